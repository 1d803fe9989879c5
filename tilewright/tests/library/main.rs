//! Every definition of the library `std` against plain loops, on one thread and on two.

mod array;
mod conv;
mod guide;
mod image;
mod linalg;
mod loss;
mod nn;
mod pool;
mod reduce;
mod shape;

use std::collections::{BTreeMap, BTreeSet};

use frontend_tc::library;
use polyhedral::Role;
use tilewright::{AsTensor, Compiler, Definition, Tensor};

use array::Array;

/// The definitions of one file, and which of them have been compared.
struct Suite {
    text: &'static str,
    defs: Vec<Definition>,
    compilers: Vec<Compiler>,
    compared: BTreeSet<String>,
}

impl Suite {
    fn of(file: &str) -> Suite {
        let text = library::text(file).expect("a file of the library");
        let compilers = [1, 2].map(|threads| Compiler::host().threads(threads)).into();
        Suite { text, defs: frontend_tc::check(text).defs, compilers, compared: BTreeSet::new() }
    }

    /// The definition called with `inputs` gives `expected`, with the shapes that its comment promises.
    fn check<const I: usize, const O: usize>(&mut self, name: &str, inputs: [&Array; I], expected: [Array; O]) {
        self.compared.insert(name.to_owned());
        let def = self.defs.iter().find(|def| def.name == name).unwrap_or_else(|| panic!("no definition `{name}`"));
        let given: Vec<_> = def.tensors.iter().filter(|tensor| tensor.role == Role::Input).collect();
        let results: Vec<_> = def.tensors.iter().filter(|tensor| tensor.role == Role::Output).collect();
        assert_eq!((given.len(), results.len()), (I, O), "{name}");
        let tensors: Vec<Tensor> = given.iter().zip(inputs).map(|(input, array)| array.tensor(input.dtype)).collect();
        let views: Vec<&dyn AsTensor> = tensors.iter().map(|tensor| tensor as &dyn AsTensor).collect();
        let promised = shape::documented(self.text, name, &sizes(def, &inputs));
        assert_eq!(promised.len(), O, "{name}: {promised:?}");
        for compiler in &self.compilers {
            let outputs = compiler.definition(def.clone()).call_all(&views);
            let outputs = outputs.unwrap_or_else(|error| panic!("{name}: {error}"));
            for (at, (output, result)) in outputs.iter().zip(&results).enumerate() {
                let found = Array::from_tensor(result.dtype, output);
                assert_eq!(promised[at], (result.name.clone(), found.shape.clone()), "{name}: what the comment says");
                agree(name, &found, &expected[at]);
            }
        }
    }

    /// All definitions of the file were compared.
    fn finish(self) {
        let defs: BTreeSet<String> = self.defs.into_iter().map(|def| def.name).collect();
        assert_eq!(defs, self.compared);
    }
}

/// The value of each size in the types of the inputs.
fn sizes(def: &Definition, inputs: &[&Array]) -> BTreeMap<String, i64> {
    let inputs = def.tensors.iter().filter(|tensor| tensor.role == Role::Input).zip(inputs);
    let extents = inputs.flat_map(|(tensor, array)| tensor.extent.iter().zip(&array.shape));
    extents.map(|(size, &extent)| (size.display(&[], &def.sizes).to_string(), extent as i64)).collect()
}

/// Single precision over short sums: a few units in the fifth digit at most.
fn agree(name: &str, found: &Array, expected: &Array) {
    assert_eq!(found.shape, expected.shape, "{name}");
    for (place, (found, expected)) in found.data.iter().zip(&expected.data).enumerate() {
        let close = (found - expected).abs() <= 2e-5 * (1.0 + expected.abs());
        assert!(close, "{name}, element {place}: {found}, and plain loops give {expected}");
    }
}
