//! Where large programs are divided.

use polyhedral::{Outline, Scop, isl};
use scheduler::parts;

/// Layers that pass on a vector, each with `steps` nests between that pass on matrices; the steps of a layer differ.
fn layers(count: usize, steps: usize, before: usize) -> String {
    let mut text = String::from("scop layers()\ninput A0: float32[8]\noutput Last: float32[8]\n");
    let mut body = String::new();
    let mut last = String::from("A0");
    let mut step = |name: String, is_vector: bool, factor: usize, last: &mut String, body: &mut String| {
        let (shape, dims, bounds) = match is_vector {
            true => ("[8]", "[i]", "0 <= i < 8"),
            false => ("[8, 8]", "[i, j]", "0 <= i < 8 and 0 <= j < 8"),
        };
        let index = |name: &str| if name.starts_with('M') { format!("{name}[i, 0]") } else { format!("{name}[i]") };
        if name != "Last" {
            text += &format!("temporary {name}: float32{shape}\n");
        }
        *body += &format!(
            "stmt {name}.s{dims}\n  domain {{ {name}.s{dims} : {bounds} }}\n  {name}{dims} = {} * {factor}f32\n",
            index(last)
        );
        *last = name;
    };
    for at in 0..before {
        step(format!("Before{at}"), true, 1000 + at, &mut last, &mut body);
    }
    for layer in 0..count {
        for at in 0..steps {
            step(format!("M{layer}_{at}"), false, at + 2, &mut last, &mut body);
        }
        step(format!("V{layer}"), true, 1, &mut last, &mut body);
    }
    step("Last".into(), true, 77, &mut last, &mut body);
    text + &body
}

fn program(ctx: &isl::Ctx, text: &str) -> Scop {
    Scop::parse(ctx, text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn small_programs_are_one_part() {
    let ctx = isl::Ctx::new();
    assert_eq!(parts(&program(&ctx, &layers(3, 19, 0))).expect("parts"), [0], "61 statements");
}

#[test]
fn equal_layers_are_parts_that_pass_on_little() {
    let ctx = isl::Ctx::new();
    for before in [0, 1, 3] {
        let scop = program(&ctx, &layers(5, 19, before));
        let starts = parts(&scop).expect("parts");
        let outline = Outline::of(&scop).expect("an outline");
        // Layers of 20 statements, and what is before and behind them.
        let layers: Vec<usize> = (0..5).map(|layer| before + 20 * layer).collect();
        assert!(layers.iter().all(|start| starts.contains(start)), "{starts:?} of {before} + 5 * 20 + 1");
        let forms: Vec<String> = layers
            .iter()
            .map(|&start| outline.part(start..start + 20).expect("a part").form().expect("a form"))
            .collect();
        assert!(forms.iter().all(|form| *form == forms[0]));
    }
}

#[test]
fn layers_that_are_large_are_divided_alike() {
    let ctx = isl::Ctx::new();
    let starts = parts(&program(&ctx, &layers(3, 59, 0))).expect("parts");
    let inside = |layer: usize| -> Vec<usize> {
        let own = 60 * layer..60 * (layer + 1);
        starts.iter().filter(|start| own.contains(start)).map(|start| start - own.start).collect()
    };
    assert!(inside(0).len() > 1, "{starts:?}");
    assert!(inside(0) == inside(1) && inside(1) == inside(2), "{starts:?}");
}

#[test]
fn what_is_there_once_is_cut_where_a_vector_is_passed_on() {
    let ctx = isl::Ctx::new();
    // Every layer has another number of steps, so that nothing is there twice.
    let text = layers(1, 90, 0);
    let starts = parts(&program(&ctx, &text)).expect("parts");
    assert!(starts.len() > 1 && starts[0] == 0 && starts.is_sorted(), "{starts:?}");
    let ends = starts.iter().skip(1).copied().chain([92]);
    assert!(starts.iter().zip(ends).all(|(start, end)| end - start <= 48), "{starts:?}");
}
