use crate::testing::{PROGRAMS, program};
use crate::{Scop, isl};

#[test]
fn what_is_printed_reads_back_to_the_same_text() {
    let ctx = isl::Ctx::new();
    for (name, _) in PROGRAMS {
        let printed = program(&ctx, name).to_string();
        let again = Scop::parse(&ctx, &printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
        assert_eq!(again.to_string(), printed);
    }
}

#[test]
fn random_ones_too() {
    for seed in 0..200 {
        let ctx = isl::Ctx::new();
        let printed = crate::testing::random(&ctx, seed).to_string();
        if seed < 30 {
            println!("{printed}");
        }
        let again = Scop::parse(&ctx, &printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
        assert_eq!(again.to_string(), printed, "seed {seed}");
    }
}
