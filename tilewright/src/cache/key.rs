//! All that machine code depends on.

use codegen::llvm;

use super::store::{Key, KeyOf};
use crate::compile::Options;
use crate::routine::Routine;

/// What an entry looks like; with another number nothing is found that was kept before.
const LAYOUT: &str = "1";

/// Which compiler this is: its version, and what it was built from.
const COMPILER: &str = concat!(env!("CARGO_PKG_VERSION"), " ", env!("TILEWRIGHT_SOURCES"));

/// The key of a routine for these sizes, or for all; `strided` says of each argument whether only the call knows its strides.
///
/// Of a definition the text with every range explicit counts, not what was written: comments and other definitions do not.
pub fn key(routine: &Routine, sizes: Option<&[i64]>, strided: &[bool], options: &Options) -> Key {
    let Options { target, device, script, symbolic, fusion, strict, trust_indices, tile_sizes } = options;
    KeyOf::default()
        .part("layout", LAYOUT)
        .part("compiler", COMPILER)
        .part("LLVM", llvm::version())
        .part("name", &routine.name)
        .part("program", routine.text())
        .part("parameters", format!("{:?}", routine.sizes))
        .part("sizes", format!("{sizes:?}"))
        .part("strided", format!("{strided:?}"))
        .part("target", target.to_toml())
        .part("device", format!("{device:?}"))
        .part("script", script.as_ref().map(|script| format!("given\n{script}")).unwrap_or_default())
        .part("options", format!("{symbolic} {fusion:?} {strict} {trust_indices}"))
        .part("tiles", format!("{tile_sizes:?}"))
        .key()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use support::{Gpu, Target};

    use super::*;
    use crate::error::Source;
    use crate::{check, known_targets};

    fn routine(text: &str) -> Routine {
        let (defs, _) = check(&Source::load("<tc>".into(), text.into(), &mut |_, _| None)).expect("it is right");
        Routine::of_definition(defs.into_iter().next().expect("one"), None)
    }

    fn options() -> Options {
        Options::new(known_targets()[0].clone())
    }

    const TEXT: &str = "def f(float(N,M) A) -> (B) { B(i,j) = A(i,j) * 2 }";

    #[test]
    fn what_machine_code_does_not_depend_on_is_not_in_the_key() {
        let spelled = "# A comment.\ndef f(float(N, M) A) -> (B) {\n  B(i,j) =   A(i,j) * 2\n}\n";
        let with_range = "def f(float(N,M) A) -> (B) { B(i,j) = A(i,j) * 2 where i in 0:N, j in 0:M }";
        let of = |text| key(&routine(text), Some(&[4, 8]), &[], &options());
        assert_eq!((of(spelled), of(with_range)), (of(TEXT), of(TEXT)));
    }

    #[test]
    fn everything_else_is() {
        type Change = fn(&mut Options);
        let changes: [Change; 13] = [
            |_| {},
            |options| options.symbolic = true,
            |options| options.strict = true,
            |options| options.fusion = Some(scheduler::Fusion::Smart),
            |options| options.trust_indices = true,
            |options| options.script = Some("".parse().expect("a script")),
            |options| options.script = Some("order i\n".parse().unwrap_or_else(|_| "auto".parse().expect("a script"))),
            |options| options.tile_sizes.extend([("T".to_string(), 8)]),
            |options| options.device = Some(Gpu::opencl()),
            |options| options.device = Some(Gpu { warp: 64, ..Gpu::opencl() }),
            |options| options.target.threads += 1,
            |options| options.target.caches[0].bytes += 1024,
            |options| options.target = Target { features: "+avx512f".into(), ..options.target.clone() },
        ];
        let mut keys = BTreeSet::new();
        for change in changes {
            let mut options = options();
            change(&mut options);
            keys.insert(key(&routine(TEXT), Some(&[4, 8]), &[], &options));
        }
        assert_eq!(keys.len(), changes.len());
        let plain = &options();
        keys.insert(key(&routine(TEXT), Some(&[8, 4]), &[], plain));
        keys.insert(key(&routine(TEXT), None, &[], plain));
        keys.insert(key(&routine(TEXT), Some(&[4, 8]), &[true, false], plain));
        keys.insert(key(&routine(TEXT), Some(&[4, 8]), &[false, true], plain));
        for text in [
            "def g(float(N,M) A) -> (B) { B(i,j) = A(i,j) * 2 }",
            "def f(float(M,N) A) -> (B) { B(i,j) = A(i,j) * 2 }",
            "def f(float(N,M) A) -> (B) { B(i,j) = A(i,j) * 3 }",
            "def f(double(N,M) A) -> (B) { B(i,j) = A(i,j) * 2 }",
        ] {
            keys.insert(key(&routine(text), Some(&[4, 8]), &[], plain));
        }
        assert_eq!(keys.len(), changes.len() + 8);
    }
}
