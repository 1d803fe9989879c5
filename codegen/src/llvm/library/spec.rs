//! What a library is made of, as plain data.

use std::collections::BTreeSet;

use runtime::{Check, DType, Formula, Role};

use super::super::{Error, Result};
use super::mathematics;

/// Objects for one definition and one architecture, behind functions that a C program calls.
///
/// Of the definition `mm` with the sizes `M`, `K` and `N` these are
///
/// ```text
/// int mm(tensor *A, tensor *B, tensor *C, call *)             sizes out of the shapes
/// int mm_dense(T *A, T *B, T *C, M, K, N, call *)             row-major tensors of these sizes
/// int mm_workspace_bytes(M, K, N, size_t *)
/// const char *mm_error_text(int)
/// int mm_abi(void)
/// ```
#[derive(Clone, Debug)]
pub struct Library {
    /// The name of its function: an identifier of C that nothing else has.
    pub name: String,
    /// The triple of all of its objects.
    pub triple: String,
    /// The names of the sizes.
    pub sizes: Vec<String>,
    /// The tensors, in the order in which machine code takes them.
    pub arguments: Vec<Argument>,
    /// What must hold of the sizes, beyond that no size and no extent is negative.
    pub conditions: Vec<Condition>,
    /// The objects to choose from; the first one that fits is called.
    pub choices: Vec<Choice>,
}

/// A tensor that the function takes.
#[derive(Clone, Debug)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// The type of an element.
    pub dtype: DType,
    /// What the function does with it.
    pub role: Role,
    /// The extent of each dimension, over the sizes.
    pub extent: Vec<Formula>,
    /// Whether its strides may be any; else it is dense, in row-major order.
    pub is_strided: bool,
    /// The size that is the value of this scalar.
    pub size: Option<usize>,
}

/// A condition on the sizes: one of `any` is at least 0, unless one of `extents` is below 1.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Over the sizes.
    pub any: Vec<Formula>,
    /// Over the sizes.
    pub extents: Vec<Formula>,
    /// What the status says when it does not hold: `KH <= H + 1`.
    pub text: String,
}

/// An object to choose.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The target that it was compiled for, as people call it.
    pub target: String,
    /// The symbol of its [`runtime::abi::Entry`].
    pub entry: String,
    /// What the processor must have, by LLVM's names, beyond what every processor of the architecture has.
    pub features: Vec<String>,
    /// Bits of a vector at least, where vectors have the length of the machine's (SVE).
    pub scalable_bits: Option<u32>,
    /// The sizes that it is for; all when there are none.
    pub sizes: Option<Vec<i64>>,
    /// The integers that it takes, over the sizes.
    pub parameters: Vec<Formula>,
    /// The bytes of the workspace, over the sizes.
    pub workspace: Formula,
    /// The checks that its faults count.
    pub checks: Vec<Check>,
    /// The functions that it calls, by their position in [`runtime::math::table`].
    pub math: BTreeSet<usize>,
}

/// Where a function finds the value of a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is the value of this argument, a scalar.
    Value(usize),
    /// It is this argument's extent in this dimension.
    Extent(usize, usize),
    /// It follows from this argument's extent in this dimension, a sum of multiples of sizes known before it.
    Computed(usize, usize),
    /// The caller gives it as an argument of its own.
    Given,
}

/// What a function returns: 0, or one of these and 256 times the position of what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "`text` says what each is")]
#[repr(i32)]
pub enum Status {
    Ok = 0,
    Subscript = 1,
    Pool = 2,
    Abi = 3,
    Null = 4,
    Shape = 5,
    Strides = 6,
    Alignment = 7,
    Overlap = 8,
    Sizes = 9,
    Condition = 10,
    Processor = 11,
    NoKernel = 12,
    Workspace = 13,
}

impl Argument {
    /// Whether it is written.
    pub fn is_written(&self) -> bool {
        self.role != Role::Input
    }
}

impl Status {
    /// The number, about argument or condition number `which`.
    pub fn about(self, which: usize) -> i32 {
        self as i32 + 256 * which as i32
    }
}

/// Every status that the functions of a library return, with its text.
pub fn statuses(library: &Library) -> Vec<(i32, String)> {
    let Library { name, .. } = library;
    let mut all: Vec<(i32, String)> = [
        (Status::Ok, "done".into()),
        (
            Status::Subscript,
            "a subscript that was read from a tensor lies outside of the tensor that it subscripts".into(),
        ),
        (Status::Pool, "the thread pool of the call did not run every iteration once".into()),
        (Status::Abi, "the call was made for another version: its first member is not TILEWRIGHT_ABI".into()),
        (Status::Sizes, "a size is negative, larger than 2^48, or there are not as many bytes".into()),
        (Status::Processor, format!("this processor lacks instructions that every kernel of `{name}` needs")),
        (Status::NoKernel, format!("`{name}` has no kernel for these sizes")),
        (
            Status::Workspace,
            format!("the workspace is smaller than `{name}_workspace_bytes` says, or not aligned to 64 bytes"),
        ),
    ]
    .map(|(status, text)| (status.about(0), text))
    .into();
    for (at, argument) in library.arguments.iter().enumerate() {
        let Argument { name, dtype, .. } = argument;
        let shape: Vec<String> = argument.extent.iter().map(Formula::to_string).collect();
        let bytes = dtype.bytes();
        all.push((Status::Null.about(at), format!("`{name}`, its data or its shape is a null pointer")));
        all.push((Status::Shape.about(at), format!("`{name}` has another shape than ({})", shape.join(", "))));
        all.push((
            Status::Strides.about(at),
            match argument.is_strided {
                true => format!("the strides of `{name}` reach beyond what an address can count"),
                false => format!("`{name}` is not dense in row-major order, as its strides of NULL say"),
            },
        ));
        all.push((Status::Alignment.about(at), format!("the data of `{name}` is not aligned to {bytes} bytes")));
        if argument.is_written() {
            all.push((Status::Overlap.about(at), format!("`{name}`, which is written, overlaps another tensor")));
        }
    }
    for (at, condition) in library.conditions.iter().enumerate() {
        all.push((Status::Condition.about(at), format!("these sizes break a condition: {}", condition.text)));
    }
    all
}

impl Library {
    /// Where the value of each size comes from: scalars first, then extents that are one size, of inputs before outputs, then
    /// extents with one size that is not known yet.
    pub fn origins(&self) -> Vec<Origin> {
        let mut origins = vec![Origin::Given; self.sizes.len()];
        let mut known = vec![false; self.sizes.len()];
        let mut found = |size: usize, origin: Origin, known: &mut Vec<bool>| {
            if known.get(size) == Some(&false) {
                (known[size], origins[size]) = (true, origin);
            }
        };
        let position = |name: &str| self.sizes.iter().position(|size| size == name);
        for (at, argument) in self.arguments.iter().enumerate() {
            if let Some(size) = argument.size {
                found(size, Origin::Value(at), &mut known);
            }
        }
        for is_written in [false, true] {
            for (at, dim, extent) in self.extents().filter(|(at, ..)| self.arguments[*at].is_written() == is_written) {
                if let Formula::Size(name) = extent
                    && let Some(size) = position(name)
                {
                    found(size, Origin::Extent(at, dim), &mut known);
                }
            }
        }
        for (at, dim, extent) in self.extents() {
            if let Some((size, _)) = unknown(extent, &self.sizes, &known) {
                found(size, Origin::Computed(at, dim), &mut known);
            }
        }
        origins
    }

    /// The sizes in an order in which each is known before it is needed for another.
    pub(super) fn order(&self) -> Vec<usize> {
        let origins = self.origins();
        let is_computed = |size: &usize| matches!(origins[*size], Origin::Computed(..));
        let mut order: Vec<usize> = (0..self.sizes.len()).filter(|size| !is_computed(size)).collect();
        // In the order of the extents, as `origins` has found them.
        for (at, dim, _) in self.extents() {
            order.extend((0..self.sizes.len()).filter(|size| origins[*size] == Origin::Computed(at, dim)));
        }
        order
    }

    /// The sizes that the caller gives beside the tensors, in their order.
    pub fn given(&self) -> Vec<usize> {
        let origins = self.origins();
        (0..self.sizes.len()).filter(|size| origins[*size] == Origin::Given).collect()
    }

    /// The sizes that no tensor's elements say: what a caller gives that has no shapes.
    pub fn not_values(&self) -> Vec<usize> {
        let origins = self.origins();
        (0..self.sizes.len()).filter(|size| !matches!(origins[*size], Origin::Value(_))).collect()
    }

    fn extents(&self) -> impl Iterator<Item = (usize, usize, &Formula)> {
        let arguments = self.arguments.iter().enumerate();
        arguments.flat_map(|(at, argument)| argument.extent.iter().enumerate().map(move |(dim, e)| (at, dim, e)))
    }

    /// The functions of the C library that its objects call.
    pub(super) fn math(&self) -> BTreeSet<usize> {
        self.choices.iter().flat_map(|choice| choice.math.iter().copied()).collect()
    }

    /// Whether the object may leave a symbol to others.
    pub(super) fn may_call(&self, name: &str) -> bool {
        let is_entry = self.choices.iter().any(|choice| choice.entry == name);
        is_entry || name == "getauxval" || name == "_GLOBAL_OFFSET_TABLE_" || mathematics::is_of_c(name)
    }

    /// Checks what the emission counts on.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::Malformed(what));
        if self.choices.is_empty() {
            return wrong("a library without objects".into());
        }
        for choice in &self.choices {
            if choice.sizes.as_ref().is_some_and(|sizes| sizes.len() != self.sizes.len()) {
                return wrong(format!("`{}` is for another number of sizes", choice.entry));
            }
        }
        for argument in &self.arguments {
            let Argument { name, is_strided, size, .. } = argument;
            if argument.is_written() && *is_strided {
                return wrong(format!("`{name}` is written, and its elements may be in one place"));
            }
            if size.is_some_and(|size| size >= self.sizes.len()) {
                return wrong(format!("`{name}` is a size that there is not"));
            }
        }
        match self.arguments.iter().find(|argument| argument.size.is_some() && !is_scalar(argument)) {
            Some(argument) => wrong(format!("`{}` is a size, and no whole number", argument.name)),
            None => Ok(()),
        }
    }
}

fn is_scalar(argument: &Argument) -> bool {
    argument.extent.is_empty() && is_whole(argument.dtype)
}

/// Whether the type has whole numbers.
fn is_whole(dtype: DType) -> bool {
    dtype.name().starts_with("int") || is_unsigned(dtype)
}

/// Whether the type has numbers without sign.
pub(super) fn is_unsigned(dtype: DType) -> bool {
    dtype.name().starts_with("uint")
}

/// The only size of a sum of multiples that is not known, and its factor.
pub(super) fn unknown(extent: &Formula, sizes: &[String], known: &[bool]) -> Option<(usize, i64)> {
    let mut unknown = Vec::new();
    extent.each_size(&mut |name| {
        let at = sizes.iter().position(|size| size == name);
        unknown.extend(at.filter(|at| known.get(*at) == Some(&false)));
    });
    unknown.sort_unstable();
    unknown.dedup();
    let [size] = unknown[..] else { return None };
    let factor = factor(extent, &sizes[size])?;
    (factor != 0).then_some((size, factor))
}

/// How often a size counts in a sum of multiples; `None` where it is in something else.
fn factor(formula: &Formula, size: &str) -> Option<i64> {
    match formula {
        Formula::Size(name) => Some((name == size).into()),
        Formula::Add(a, b) => factor(a, size)?.checked_add(factor(b, size)?),
        Formula::Mul(a, b) => match (a.as_const(), b.as_const()) {
            (Some(by), _) => factor(b, size)?.checked_mul(by),
            (_, Some(by)) => factor(a, size)?.checked_mul(by),
            _ => without(formula, size),
        },
        _ => without(formula, size),
    }
}

/// 0 for a formula that a size is not in.
fn without(formula: &Formula, size: &str) -> Option<i64> {
    let mut is_in = false;
    formula.each_size(&mut |name| is_in |= name == size);
    (!is_in).then_some(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argument(role: Role, extent: &[&str], size: Option<usize>) -> Argument {
        let extent = extent.iter().map(|text| text.parse().expect("a formula")).collect();
        Argument { name: "A".into(), dtype: DType::INT32, role, extent, is_strided: false, size }
    }

    #[test]
    fn sizes_are_found_in_an_order_in_which_they_are_known() {
        let library = Library {
            name: "f".into(),
            triple: String::new(),
            sizes: ["N", "K", "T", "W", "V"].map(String::from).into(),
            arguments: vec![
                argument(Role::Input, &["2*K + N", "floor(W/2)"], None),
                argument(Role::Input, &[], Some(2)),
                argument(Role::Output, &["V"], None),
                argument(Role::Input, &["N", "V"], None),
            ],
            conditions: Vec::new(),
            choices: Vec::new(),
        };
        let expected =
            [Origin::Extent(3, 0), Origin::Computed(0, 0), Origin::Value(1), Origin::Given, Origin::Extent(3, 1)];
        assert_eq!(library.origins(), expected);
        assert_eq!(library.order(), [0, 2, 3, 4, 1]);
        assert_eq!((library.given(), library.not_values()), (vec![3], vec![0, 1, 3, 4]));
    }
}
