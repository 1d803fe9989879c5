//! Mapping objects: what must work, and that nothing damaged gets through to undefined behaviour.

mod common;

use common::{object, object_with};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use runtime::image::{Image, ImageError};

type Function = extern "C" fn(i64) -> i64;

/// Calls a function of the image.
fn call(image: &Image, name: &str, argument: i64) -> i64 {
    let address = image.entry(name).expect(name);
    // SAFETY: the functions that the tests call have this type.
    let function = unsafe { std::mem::transmute::<*const (), Function>(address) };
    function(argument)
}

/// Calls between functions, constants, a jump table, pointers in constants, a global that is reached through the
/// global offset table.
const SOURCE: &str = r#"
static const double weights[5] = { 0.5, 1.5, 2.5, 3.5, 4.5 };
const i64 exported[3] = { 100, 200, 300 };
static i64 __attribute__((noinline)) one(i64 x) { return x + 1; }
static i64 __attribute__((noinline)) two(i64 x) { return x * 2; }
typedef i64 (*Unary)(i64);
static const Unary table[2] = { one, two };
i64 weight(i64 i) { return (i64)(weights[i] * 2); }
i64 indirect(i64 x) { return table[x & 1](x); }
i64 global(i64 i) { return exported[i]; }
i64 calls(i64 x) { return weight(x) + indirect(x) + 1000; }
i64 jump(i64 x) {
    switch (x) {
        case 0: return one(5); case 1: return two(7); case 2: return -3; case 3: return 99;
        case 4: return weight(2); case 5: return 12345; default: return 0;
    }
}
"#;

#[test]
fn code_and_constants_find_each_other() {
    for flags in [&["-fPIC"][..], &["-fPIC", "-O0"], &["-fPIE"], &["-fPIC", "-ffunction-sections", "-fdata-sections"]] {
        let image = Image::map(&object_with(SOURCE, flags)).expect("the object stands for itself");
        assert_eq!(call(&image, "weight", 3), 7);
        assert_eq!(call(&image, "indirect", 4), 5);
        assert_eq!(call(&image, "indirect", 5), 10);
        assert_eq!(call(&image, "global", 2), 300);
        assert_eq!(call(&image, "calls", 1), 3 + 2 + 1000);
        assert_eq!((0..7).map(|x| call(&image, "jump", x)).collect::<Vec<_>>(), [6, 14, -3, 99, 5, 12345, 0]);
    }
}

#[test]
fn only_global_functions_are_entries() {
    let image = Image::map(&object(SOURCE)).expect("the object stands for itself");
    assert!(image.entry("weight").is_some());
    assert!(image.entry("one").is_none(), "static");
    assert!(image.entry("exported").is_none(), "data");
    assert!(image.entry("missing").is_none());
}

#[test]
fn what_an_image_cannot_have_is_refused() {
    let refused = |source: &str| Image::map(&object(source)).expect_err("an image cannot have that").to_string();
    assert_eq!(
        refused("double sin(double); double entry(double x) { return sin(x); }"),
        "the symbol `sin` is not defined"
    );
    assert_eq!(
        refused("static i64 count = 5; i64 entry(void) { return count++; }"),
        "section `.data` has data that is written: a kernel may be called by several threads at once"
    );
    assert!(refused("static i64 count; i64 entry(void) { return count++; }").starts_with("section `.bss`"));
    let thread_local = "static __thread i64 count; i64 entry(void) { return count++; }";
    let refusal = refused(thread_local);
    assert!(refusal.contains("__tls_get_addr") || refusal.contains("data for each thread"), "{refusal}");
    // 32-bit absolute addresses, which code that may lie anywhere cannot have.
    let absolute =
        object_with("static const i64 t[9] = {7}; i64 entry(i64 i) { return t[i]; }", &["-fno-pic", "-fno-pie"]);
    let error = Image::map(&absolute).expect_err("the image does not lie so low").to_string();
    assert!(error.ends_with("its value does not fit in its field"), "{error}");
}

#[test]
fn what_is_no_object_is_refused() {
    assert!(matches!(Image::map(b""), Err(ImageError::Damaged(_))));
    assert!(matches!(Image::map(b"#!/bin/sh\n"), Err(ImageError::Damaged(_))));
    let program = std::fs::read(std::env::current_exe().expect("this test")).expect("is a file");
    assert!(matches!(Image::map(&program), Err(ImageError::NotRelocatable)));
    let mut other = object(SOURCE);
    other[18] = if other[18] == 183 { 62 } else { 183 };
    assert!(matches!(Image::map(&other), Err(ImageError::WrongMachine { .. })));
}

#[test]
fn every_truncation_is_refused() {
    let whole = object(SOURCE);
    for length in 0..whole.len() {
        assert!(Image::map(&whole[..length]).is_err(), "the first {length} of {} bytes", whole.len());
    }
}

/// The damaged code is mapped, never run.
#[test]
fn random_damage_never_crashes() {
    let whole = object(SOURCE);
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut refused = 0;
    for _ in 0..3000 {
        let mut damaged = whole.clone();
        for _ in 0..1 + random.next_u32() % 8 {
            let at = random.next_u32() as usize % damaged.len();
            damaged[at] = random.next_u32() as u8;
        }
        refused += usize::from(Image::map(&damaged).is_err());
    }
    assert!(refused > 100, "only {refused} of the damaged objects were refused");
}

/// Damage where it hurts most: the headers, the sections' headers, symbols and relocations, one byte at a time.
#[test]
fn systematic_damage_never_crashes() {
    let whole = object("static const double w[2] = {1, 2}; double entry(i64 i) { return w[i]; }");
    for at in 0..whole.len() {
        for value in [0x00, 0x7f, 0x80, 0xff, whole[at] ^ 1, whole[at].wrapping_add(8)] {
            let mut damaged = whole.clone();
            damaged[at] = value;
            let _ = Image::map(&damaged);
        }
    }
}

#[test]
fn memory_is_given_back_and_never_both_writable_and_executable() {
    let bytes = object(SOURCE);
    let mappings = || std::fs::read_to_string("/proc/self/maps").expect("Linux");
    let image = Image::map(&bytes).expect("the object stands for itself");
    let code = image.entry("weight").expect("defined") as usize;
    let line_of = |address: usize| {
        mappings().lines().map(str::to_owned).find(|line| {
            let range = line.split(' ').next().expect("a range");
            let (begin, end) = range.split_once('-').expect("begin-end");
            let number = |text| usize::from_str_radix(text, 16).expect("hexadecimal");
            (number(begin)..number(end)).contains(&address)
        })
    };
    assert!(line_of(code).expect("mapped").contains(" r-xp "));
    assert!(!mappings().lines().any(|line| line.contains(" rwx")));
    drop(image);
    for _ in 0..2000 {
        Image::map(&bytes).expect("the object stands for itself");
    }
    let count = mappings().lines().count();
    assert!(count < 1000, "{count} mappings");
}
