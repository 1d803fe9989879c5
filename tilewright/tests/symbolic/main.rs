//! One kernel for all sizes computes what the specialised ones and the evaluator do: every program of the guide to the
//! language, of the library, of the benchmarks and of the examples, each compiled once and called with several sizes, with
//! every tensor between pages that may not be touched, too.
//!
//! A plain run takes a part of the programs, the same ones each time; `TILEWRIGHT_TEST_FULL=1` takes all of them.
//! `TILEWRIGHT_TEST_ONLY=word` takes those whose names have the word in them.

mod call;
mod calls;
mod devices;
#[path = "../guards/memory.rs"]
mod memory;
mod programs;
mod random;

use std::env;

use tilewright::Compiler;

/// Of so many programs a plain run takes one.
const PART: usize = 5;

fn is_full() -> bool {
    env::var("TILEWRIGHT_TEST_FULL").is_ok_and(|full| full == "1")
}

#[test]
fn so_does_one_of_a_program_that_nobody_wrote() {
    let all = random::definitions(if is_full() { 300 } else { 12 });
    let differ = |(at, (text, def)): (usize, &(String, _))| {
        let compiler = Compiler::host().threads(1 + at % 2);
        call::compare(def, &compiler).err().map(|error| format!("{text}: {error}"))
    };
    let wrong: Vec<String> = all.iter().enumerate().filter_map(differ).collect();
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_kernel_for_all_sizes_computes_what_the_specialised_ones_do() {
    let full = is_full();
    let only = env::var("TILEWRIGHT_TEST_ONLY").ok();
    let all = programs::all();
    assert!(all.len() > 200, "{} definitions", all.len());
    let chosen = all.iter().enumerate().filter(|(at, (name, _))| match &only {
        Some(word) => name.contains(word.as_str()),
        None => full || at % PART == 0,
    });
    let mut wrong = Vec::new();
    for (at, (name, def)) in chosen {
        // On one thread or on two; on both when there is time.
        let threads = if full { [1, 2].as_slice() } else { &[1 + at / PART % 2] };
        for &threads in threads {
            let compiler = Compiler::host().threads(threads);
            wrong
                .extend(call::compare(def, &compiler).err().map(|error| format!("{name}, {threads} threads: {error}")));
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}
