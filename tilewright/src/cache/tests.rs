use std::fs;
use std::os::unix::fs::PermissionsExt;

use runtime::{Pool, Tensor};

use super::*;
use crate::compile::{Code, Options};
use crate::error::Source;
use crate::routine::Routine;
use crate::{Compiler, check, host_target};

/// A kernel that is kept, how it is called, and what it gives.
struct Case {
    key: Key,
    sizes: Vec<i64>,
    inputs: Vec<Tensor>,
    expected: Vec<f32>,
}

impl Case {
    fn new(text: &str, symbolic: bool, cache: &KernelCache, inputs: Vec<Tensor>) -> Case {
        let compiler = Compiler::new(host_target()).threads(1).symbolic(symbolic).cache(cache.clone());
        let kernel = compiler.compile(text).unwrap();
        let shapes: Vec<&[i64]> = inputs.iter().map(|input| input.shape()).collect();
        let sizes = kernel.prepare(&shapes).unwrap().sizes.clone();
        let views: Vec<&dyn crate::AsTensor> = inputs.iter().map(|input| input as &dyn crate::AsTensor).collect();
        let expected = kernel.call(&views).unwrap().as_slice::<f32>().unwrap().to_vec();
        let (defs, _) = check(&Source::load("<tc>".into(), text.into(), &mut |_, _| None)).unwrap();
        let routine = Routine::of_definition(defs.into_iter().next().unwrap(), None);
        let options = Options { symbolic, ..Options::new(compiler.target().clone()) };
        let key = key(&routine, (!symbolic).then_some(&sizes), &[], &options);
        Case { key, sizes, inputs, expected }
    }

    /// Whether it is found; what is found gives what it should.
    fn is_found(&self, cache: &KernelCache) -> bool {
        let Some(kept) = cache.get(&self.key) else { return false };
        let Code::Host(code) = kept.code(&self.sizes).unwrap() else { panic!("it is for the processor") };
        let kernel = runtime::Kernel::load(&code).unwrap();
        let views: Vec<_> = self.inputs.iter().map(Tensor::view).collect();
        let argument = kernel.signature().outputs().next().unwrap();
        let mut output = Tensor::zeros(argument.dtype, &argument.shape).unwrap();
        kernel.run(&views, &mut [output.view_mut()], &Pool::single()).unwrap();
        assert_eq!(output.as_slice::<f32>().unwrap(), self.expected);
        true
    }
}

fn numbers(shape: &[i64]) -> Tensor {
    let values: Vec<f32> = (0..shape.iter().product::<i64>()).map(|at| (at % 11 - 5) as f32).collect();
    Tensor::from_slice(&values, shape).unwrap()
}

/// One byte of one file of several entries at a time.
#[test]
fn no_changed_byte_of_a_thousand_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let cache = KernelCache::open(folder.path()).unwrap();
    let mm = "def mm(float(M,K) A, float(K,N) B) -> (C) { C(m,n) +=! A(m,k) * B(k,n) }";
    let rows = "def rows(float(M,N) A) -> (B) { S(i) +=! A(i,j)  B(i,j) = A(i,j) - S(i) }";
    let cases = [
        Case::new(mm, false, &cache, vec![numbers(&[13, 40]), numbers(&[40, 9])]),
        Case::new(mm, true, &cache, vec![numbers(&[3, 17]), numbers(&[17, 20])]),
        Case::new(rows, true, &cache, vec![numbers(&[5, 30])]),
    ];
    assert!(cases.iter().all(|case| case.is_found(&cache)));
    let entries = fs::read_dir(cache.folder()).unwrap().flatten();
    let files = entries.flat_map(|entry| fs::read_dir(entry.path()).unwrap().flatten());
    let mut files: Vec<PathBuf> =
        files.map(|file| file.path()).filter(|file| file.metadata().unwrap().len() > 0).collect();
    files.sort();
    assert!(files.len() >= 6 * cases.len(), "{files:?}");
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..1000 {
        let file = &files[random.usize(..files.len())];
        let whole = fs::read(file).unwrap();
        let mut bytes = whole.clone();
        let at = random.usize(..bytes.len());
        bytes[at] ^= random.u8(1..);
        fs::write(file, &bytes).unwrap();
        let found = cases.iter().filter(|case| case.is_found(&cache)).count();
        assert_eq!(found, cases.len() - 1, "byte {at} of {}", file.display());
        fs::write(file, &whole).unwrap();
    }
    assert!(cases.iter().all(|case| case.is_found(&cache)));
}
