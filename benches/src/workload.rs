//! What is measured, as data: `workloads.toml`, and the programs that it names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use polyhedral::{Scop, isl};
use serde::Deserialize;
use tilewright::builder::Program;
use tilewright::cost::tensor_shape;
use tilewright::{Compiler, DType, Definition, Kernel, Source, check, select};

use crate::{Result, folder};

/// A program, its sizes, and what is known of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// What it is called; unique.
    pub name: String,
    /// What kind of program it is.
    pub group: String,
    /// The TC text: `kernels/KERNEL.tc`.
    pub kernel: String,
    /// What it computes, for the peers: `kernels/OP.c`, and the key of Python's tables. The kernel unless given.
    op: Option<String>,
    /// The values of the size parameters, by name.
    pub sizes: BTreeMap<String, i64>,
    /// How often the kernel is applied, its output fed back as its input.
    #[serde(default = "one")]
    pub steps: u32,
    /// Inputs that are not uniform: floats from -1 to 1, or all values of an integer type.
    #[serde(default)]
    pub data: BTreeMap<String, Values>,
    /// Arithmetic operations of the formula.
    pub flops: f64,
    /// Compulsory traffic.
    pub bytes: f64,
    /// What its speed is told in.
    #[serde(default)]
    pub rate: Rate,
    /// Which peak of arithmetic bounds it.
    pub peak: Option<Peak>,
    /// How far a result may be from the reference: the largest difference over the largest value.
    pub tolerance: f64,
    #[serde(skip)]
    folder: PathBuf,
    /// The program, of one that is built in Rust and named by no text.
    #[serde(skip)]
    built: Option<polyhedral::testing::Kernel>,
}

/// The values of an input.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub enum Values {
    /// Integers from 0 to below this.
    Below(i64),
    /// Of this kind.
    Kind(Kind),
}

/// A kind of values.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// From 0.5 to 1.5.
    Positive,
    /// Positive, of sum 1.
    Weights,
}

/// What a speed is told in.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub enum Rate {
    /// Operations.
    #[default]
    #[serde(rename = "GFLOP/s")]
    Flops,
    /// Compulsory bytes.
    #[serde(rename = "GB/s")]
    Bytes,
}

/// A peak of arithmetic other than that of the output's type.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Peak {
    /// Products of bytes summed in fours: four times that of `float32`, as where VNNI is.
    I8,
}

fn one() -> u32 {
    1
}

#[derive(Deserialize)]
struct List {
    workload: Vec<Workload>,
}

/// A tensor that a program takes or returns.
#[derive(Clone, Debug)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub dtype: DType,
    /// Its extents.
    pub shape: Vec<i64>,
    /// Whether what is in it before the call is read, of an output.
    pub updated: bool,
}

/// What a program takes and returns.
#[derive(Clone, Debug)]
pub struct Signature {
    /// Its inputs, in order.
    pub inputs: Vec<Argument>,
    /// Its outputs, in order.
    pub outputs: Vec<Argument>,
}

impl Workload {
    /// Every workload of a list; their programs lie beside it.
    ///
    /// # Errors
    /// When the file cannot be read or is not such a list.
    pub fn list(file: &Path) -> Result<Vec<Workload>> {
        let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let mut list: List = toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        let kernels = file.with_file_name("kernels");
        list.workload.iter_mut().for_each(|workload| workload.folder = kernels.clone());
        Ok(list.workload)
    }

    /// A kernel of PolyBench with the sizes of its data set number `set`.
    ///
    /// # Errors
    /// When isl fails.
    pub fn polybench(kernel: polyhedral::testing::Kernel, set: usize) -> Result<Workload> {
        let ctx = isl::Ctx::new();
        let (scop, sizes) = (kernel.scop(&ctx), kernel.sets[set]);
        let names = scop.params.iter().map(|param| param.to_string());
        let mut workload = Workload {
            name: kernel.title(),
            group: polyhedral::testing::SETS[set].into(),
            kernel: kernel.name.into(),
            op: None,
            sizes: names.zip(sizes.iter().copied()).collect(),
            steps: 1,
            data: BTreeMap::new(),
            flops: crate::polybench::operations(&scop.specialise(sizes)?)?,
            bytes: 0.0,
            rate: Rate::Flops,
            peak: None,
            tolerance: crate::polybench::TOLERANCE,
            folder: folder().join("../papers/polybench/kernels"),
            built: Some(kernel),
        };
        let Signature { inputs, outputs } = workload.signature()?;
        let bytes = |t: &Argument| t.shape.iter().product::<i64>() * i64::from(t.dtype.bytes());
        workload.bytes = inputs.iter().chain(&outputs).map(bytes).sum::<i64>() as f64;
        Ok(workload)
    }

    /// The kernel that it was made of, with the sizes in the order of its parameters; of PolyBench only.
    pub fn built(&self) -> Option<(polyhedral::testing::Kernel, &'static [i64])> {
        let kernel = self.built?;
        let set = polyhedral::testing::SETS.iter().position(|set| *set == self.group)?;
        Some((kernel, kernel.sets[set]))
    }

    /// What it computes, whatever the sizes and the spelling.
    pub fn op(&self) -> &str {
        self.op.as_deref().unwrap_or(&self.kernel)
    }

    /// The same as plain loops in C: beside the program, or where those of the benchmarks are.
    pub fn c_file(&self) -> PathBuf {
        let file = format!("{}.c", self.op());
        let own = self.folder.join(&file);
        if own.exists() { own } else { folder().join("kernels").join(file) }
    }

    /// The kernel of a compiler, for these sizes compiled by [`Workload::prepare`].
    ///
    /// # Errors
    /// When there is no such program, and everything that is wrong with it.
    pub fn kernel(&self, compiler: &Compiler) -> Result<Kernel> {
        if let Some(kernel) = self.built {
            return Ok(compiler.compile_program(&Program::from(&kernel.program(&isl::Ctx::new()))));
        }
        match self.definition()? {
            Some((definition, source)) => Ok(compiler.definition_in(definition, source)),
            None => Ok(compiler.compile_program(&seidel2d(self.steps)?)),
        }
    }

    /// Compiles `kernel` for the sizes.
    ///
    /// # Errors
    /// When a size is missing, and what the compiler refuses.
    pub fn prepare(&self, kernel: &Kernel) -> Result<std::sync::Arc<tilewright::Variant>> {
        Ok(self.sized(kernel)?.prepare_sizes(&self.in_order(kernel.sizes())?)?)
    }

    /// The kernel that knows its sizes, also those that stand in no shape.
    ///
    /// # Errors
    /// When a size is missing.
    pub fn sized(&self, kernel: &Kernel) -> Result<Kernel> {
        let named: Vec<(&str, i64)> =
            kernel.sizes().iter().map(String::as_str).zip(self.in_order(kernel.sizes())?).collect();
        Ok(kernel.with_sizes(&named)?)
    }

    /// The program for its sizes, before any schedule; `None` of one that is built in Rust.
    ///
    /// # Errors
    /// As [`Workload::kernel`], and when a size is missing.
    pub fn scop(&self, ctx: &isl::Ctx) -> Result<Option<Scop>> {
        if let Some((kernel, sizes)) = self.built() {
            return Ok(Some(kernel.scop(ctx).specialise(sizes)?));
        }
        let Some((definition, _)) = self.definition()? else { return Ok(None) };
        let sizes = self.in_order(&definition.sizes)?;
        Ok(Some(frontend_tc::lower(&definition, ctx)?.specialise(&sizes)?))
    }

    /// Whether GROUP/NAME contains one of the words, which `|` separates.
    pub fn is_one_of(&self, words: &str) -> bool {
        let name = format!("{}/{}", self.group, self.name);
        words.split('|').any(|word| name.contains(word))
    }

    /// How often a call of the kernel has to be repeated: programs that are built in Rust hold their steps.
    pub fn calls(&self) -> u32 {
        if self.text_file().exists() { self.steps } else { 1 }
    }

    /// The tensors, with their extents.
    ///
    /// # Errors
    /// As [`Workload::kernel`], and when a size is missing.
    pub fn signature(&self) -> Result<Signature> {
        if let Some((kernel, sizes)) = self.built() {
            return crate::polybench::signature(&kernel, sizes);
        }
        let Some((definition, _)) = self.definition()? else {
            let shape = vec![self.sizes["N"]; 2];
            let tensor =
                |name: &str| Argument { name: name.into(), dtype: DType::F64, shape: shape.clone(), updated: false };
            return Ok(Signature { inputs: vec![tensor("A")], outputs: vec![tensor("O")] });
        };
        let sizes = self.in_order(&definition.sizes)?;
        let tensor = |tensor: &frontend_tc::Tensor| {
            let shape = tensor_shape(tensor, &sizes).ok_or("the extents overflow")?;
            Ok(Argument { name: tensor.name.clone(), dtype: tensor.dtype, shape, updated: false })
        };
        Ok(Signature {
            inputs: definition.inputs().map(tensor).collect::<Result<_>>()?,
            outputs: definition.outputs().map(tensor).collect::<Result<_>>()?,
        })
    }

    fn text_file(&self) -> PathBuf {
        self.folder.join(format!("{}.tc", self.kernel))
    }

    /// Of a program in TC.
    fn definition(&self) -> Result<Option<(Definition, Source)>> {
        let file = self.text_file();
        if !file.exists() && self.kernel == "seidel2d" {
            return Ok(None);
        }
        let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let source = Source::new(file.display().to_string(), text.into());
        let definitions = check(&source)?.0;
        // One may call others beside it; it then has the file's name.
        let name = (definitions.len() > 1).then_some(self.kernel.as_str());
        Ok(Some((select(definitions, name)?, source)))
    }

    fn in_order(&self, names: &[String]) -> Result<Vec<i64>> {
        let size = |name: &String| {
            self.sizes.get(name).copied().ok_or_else(|| format!("{} has no size {name}", self.name).into())
        };
        names.iter().map(size).collect()
    }
}

/// Nine points in place, again and again, which TC cannot say: every instance needs what others of its step wrote.
fn seidel2d(steps: u32) -> Result<Program> {
    Ok(Program::build("seidel2d", |p| {
        let n = p.size("N");
        let (start, a) = (p.input("A", DType::F64, [n, n]), p.output("O", DType::F64, [n, n]));
        p.each("i", 0, n, |i| p.each("j", 0, n, |j| p.set(a.at([i, j]), *start.at([i, j]))));
        p.each("t", 0, i64::from(steps), |_| {
            p.each("i", 1, n - 1, |i| {
                p.each("j", 1, n - 1, |j| {
                    let row = |i| a.at([i, j - 1]) + a.at([i, j]) + a.at([i, j + 1]);
                    p.set(a.at([i, j]), (row(i - 1) + row(i) + row(i + 1)) / 9.0);
                });
            });
        });
    })?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::workloads_file;

    fn lists() -> Vec<Vec<Workload>> {
        let papers = folder().join("../papers");
        let own = papers.read_dir().unwrap().map(|paper| paper.unwrap().path().join("workloads.toml"));
        // PolyBench has its sizes where its programs are.
        let own = own.filter(|file| file.exists());
        own.chain([workloads_file()]).map(|file| Workload::list(&file).unwrap()).collect()
    }

    #[test]
    fn names_are_unique() {
        for list in lists() {
            let names: BTreeSet<&str> = list.iter().map(|workload| workload.name.as_str()).collect();
            assert_eq!(names.len(), list.len());
        }
    }

    #[test]
    fn every_program_checks_and_has_plain_loops() {
        for workload in lists().iter().flatten() {
            let signature = workload.signature().unwrap();
            assert!(
                signature.outputs.iter().all(|output| output.shape.iter().all(|&extent| extent > 0)),
                "{workload:?}"
            );
            assert!(workload.c_file().exists(), "{workload:?}");
        }
    }

    /// Of a table that is read through indices, only the rows that are touched count; of a picture, the triangle.
    #[test]
    fn bytes_are_those_of_the_tensors() {
        let is_whole = |workload: &&Workload| !["lut1", "lut2", "ticket2373"].contains(&workload.kernel.as_str());
        for workload in lists().iter().flatten().filter(is_whole) {
            let Signature { inputs, outputs } = workload.signature().unwrap();
            let bytes = |t: &Argument| t.shape.iter().product::<i64>() * i64::from(t.dtype.bytes());
            let all: i64 = inputs.iter().chain(&outputs).map(bytes).sum();
            assert_eq!(workload.bytes, all as f64, "{}", workload.name);
        }
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        let text = "[[workload]]\nname = \"a\"\nflop = 1\n";
        assert!(toml::from_str::<List>(text).is_err());
    }
}
