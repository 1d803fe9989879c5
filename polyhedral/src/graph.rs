//! Programs in parts that are compiled by themselves.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::ops::Range;

use support::{Entity, Table};

use crate::{Access, Nest, Role, ScheduleTree, Scop, Stmt, StmtId, Tensor, TensorId, isl};

/// Several programs in order and the tensors between them, by name: the parts of one.
///
/// The parts run in the order of the source, each with all of some nests at its top. So whatever depends on something in
/// another part comes after it: what is left to prove of an order is inside of the parts.
#[derive(Clone, Debug)]
pub struct Graph {
    /// In the order of execution.
    pub parts: Vec<Part>,
}

/// Some nests at the top of a program, as a program.
#[derive(Clone, Debug)]
pub struct Part {
    /// The program. What other parts compute for it is its input, what they need of it is its output, and what they have
    /// begun is both.
    pub scop: Scop,
    /// The statements, as the whole program counts them.
    pub stmts: Vec<StmtId>,
    /// The tensors, as the whole program counts them.
    pub tensors: Vec<TensorId>,
}

impl From<Scop> for Graph {
    fn from(scop: Scop) -> Graph {
        let (stmts, tensors) = (scop.stmts.keys().collect(), scop.tensors.keys().collect());
        Graph { parts: vec![Part { scop, stmts, tensors }] }
    }
}

/// The texts of all parts, one after the other.
impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().enumerate().try_for_each(|(at, part)| {
            let space = if at == 0 { "" } else { "\n" };
            write!(f, "{space}{}", part.scop)
        })
    }
}

/// What parts of a program need to know of it.
pub struct Outline<'a> {
    scop: &'a Scop,
    /// The statements of each nest at the top.
    nests: Vec<Vec<StmtId>>,
    /// Who touches each tensor: the first and the last nest.
    touched: Table<TensorId, Option<(usize, usize)>>,
    /// The first nest that writes each tensor.
    written: Table<TensorId, Option<usize>>,
    /// The text of each domain, without the statement's name.
    domains: Table<StmtId, String>,
}

impl<'a> Outline<'a> {
    /// Of a program in the [order of its source](Scop::is_source).
    ///
    /// # Errors
    /// When isl fails.
    pub fn of(scop: &'a Scop) -> isl::Result<Outline<'a>> {
        let nests: Vec<Vec<StmtId>> = scop.source.iter().map(Nest::stmts).collect();
        let mut touched: Table<TensorId, Option<(usize, usize)>> = scop.tensors.keys().map(|_| None).collect();
        let mut written: Table<TensorId, Option<usize>> = scop.tensors.keys().map(|_| None).collect();
        for (at, stmts) in nests.iter().enumerate() {
            for stmt in stmts.iter().map(|&stmt| &scop.stmts[stmt]) {
                for access in stmt.accesses() {
                    let span = &mut touched[access.tensor];
                    *span = Some(span.map_or((at, at), |(first, _)| (first, at)));
                }
                for write in &stmt.writes {
                    written[write.tensor].get_or_insert(at);
                }
            }
        }
        let text = |stmt: &Stmt| Ok(stmt.domain.with_tuple_name("S")?.to_string());
        let domains = scop.stmts.values().map(text).collect::<isl::Result<_>>()?;
        Ok(Outline { scop, nests, touched, written, domains })
    }

    /// How many nests are at the top.
    pub fn len(&self) -> usize {
        self.nests.len()
    }

    /// Whether there is no nest.
    pub fn is_empty(&self) -> bool {
        self.nests.is_empty()
    }

    /// The first statement of each nest at the top, by which scripts call it.
    pub fn first_stmt(&self, nest: usize) -> Option<&str> {
        let stmt = self.nests.get(nest)?.iter().min()?;
        Some(&self.scop.stmts[*stmt].name)
    }

    /// The nest at the top that a statement is in.
    pub fn nest_of(&self, stmt: &str) -> Option<usize> {
        let stmt = self.scop.stmt_named(stmt)?;
        self.nests.iter().position(|nest| nest.contains(&stmt))
    }

    /// How many statements some nests have.
    pub fn stmts(&self, nests: Range<usize>) -> usize {
        self.nests[nests].iter().map(Vec::len).sum()
    }

    /// The tensors that hold something between the nest before and this one that a nest from here on touches: what would be
    /// passed on where the program is cut in front of it.
    pub fn passed_to(&self, nest: usize) -> impl Iterator<Item = TensorId> + '_ {
        self.scop.tensors.keys().filter(move |id| {
            let is_written_before = self.written[*id].is_some_and(|first| first < nest);
            is_written_before && self.touched[*id].is_some_and(|(_, last)| last >= nest)
        })
    }

    /// Whether only these nests touch the tensor.
    pub fn is_within(&self, tensor: TensorId, nests: &Range<usize>) -> bool {
        self.touched[tensor].is_some_and(|(first, last)| nests.contains(&first) && nests.contains(&last))
    }

    /// What some nests have in common with others that compute the same from other tensors: all but the names of statements
    /// and tensors, places in the source, and what the rest of the program does with the tensors.
    pub fn form(&self, nests: Range<usize>) -> String {
        let mut stmts: Vec<StmtId> = self.nests[nests.clone()].iter().flatten().copied().collect();
        stmts.sort();
        let mut numbers = BTreeMap::new();
        let mut text = String::new();
        for access in stmts.iter().flat_map(|stmt| self.scop.stmts[*stmt].accesses()) {
            let next = numbers.len();
            if numbers.contains_key(&access.tensor) {
                continue;
            }
            numbers.insert(access.tensor, next);
            let Tensor { dtype, lower, extent, memory, layout, streamed, .. } = &self.scop.tensors[access.tensor];
            let _ = writeln!(text, "{dtype:?} {lower:?} {extent:?} {memory:?} {layout:?} {streamed}");
        }
        self.scop.source[nests].iter().for_each(|nest| write_nest(&mut text, nest, &stmts));
        stmts.iter().for_each(|stmt| self.write_stmt(&mut text, *stmt, &numbers));
        text
    }

    fn write_stmt(&self, text: &mut String, stmt: StmtId, numbers: &BTreeMap<TensorId, usize>) {
        let Stmt { dims, reads, writes, body, .. } = &self.scop.stmts[stmt];
        let _ = writeln!(text, "{dims:?} {} {body:?}", self.domains[stmt]);
        for (kind, accesses) in [("reads", reads), ("writes", writes)] {
            for Access { tensor, index, .. } in accesses {
                let _ = writeln!(text, "{kind} {} {index:?}", numbers[tensor]);
            }
        }
    }

    /// Some nests as a program.
    ///
    /// # Errors
    /// When isl fails.
    pub fn part(&self, nests: Range<usize>) -> isl::Result<Part> {
        let mut stmts: Vec<StmtId> = self.nests[nests.clone()].iter().flatten().copied().collect();
        stmts.sort();
        let tensors = self.tensors_of(&stmts, &nests);
        let (mut scop, whole) = (self.scop.clone(), self.scop);
        scop.tensors = tensors.iter().map(|(role, id)| Tensor { role: *role, ..whole.tensors[*id].clone() }).collect();
        let tensors: Vec<TensorId> = tensors.into_iter().map(|(_, id)| id).collect();
        let tensor_ids: BTreeMap<TensorId, TensorId> = tensors.iter().copied().zip(scop.tensors.keys()).collect();
        scop.stmts = stmts.iter().map(|&stmt| with_tensors(whole.stmts[stmt].clone(), &tensor_ids)).collect();
        let stmt_ids: BTreeMap<StmtId, StmtId> = stmts.iter().copied().zip(scop.stmts.keys()).collect();
        scop.source = whole.source[nests].iter().map(|nest| with_stmts(nest, &stmt_ids)).collect();
        scop.tree = ScheduleTree::from_source(&scop)?;
        scop.origin = scop.domain()?.identity()?;
        Ok(Part { scop, stmts, tensors })
    }

    /// The tensors that statements touch, with what they are for these: inputs, outputs, temporaries, each in the order of
    /// their first accesses.
    fn tensors_of(&self, stmts: &[StmtId], nests: &Range<usize>) -> Vec<(Role, TensorId)> {
        let mut found: Vec<(Role, TensorId)> = Vec::new();
        let all = || stmts.iter().map(|&stmt| &self.scop.stmts[stmt]);
        for access in all().flat_map(Stmt::accesses) {
            let is_written = || all().any(|stmt| stmt.writes.iter().any(|write| write.tensor == access.tensor));
            if found.iter().all(|(_, id)| *id != access.tensor) {
                found.push((self.role(access.tensor, nests, is_written()), access.tensor));
            }
        }
        found.sort_by_key(|(role, _)| match role {
            Role::Input => 0,
            Role::Output | Role::InOut => 1,
            Role::Temporary => 2,
        });
        found
    }

    fn role(&self, tensor: TensorId, nests: &Range<usize>, is_written: bool) -> Role {
        let role = self.scop.tensors[tensor].role;
        match role {
            _ if !is_written => Role::Input,
            Role::Temporary if self.is_within(tensor, nests) => Role::Temporary,
            Role::InOut => Role::InOut,
            _ if self.written[tensor].is_some_and(|first| first < nests.start) => Role::InOut,
            _ => Role::Output,
        }
    }
}

fn write_nest(text: &mut String, nest: &Nest, stmts: &[StmtId]) {
    match nest {
        Nest::Stmt(stmt) => {
            let _ = write!(text, "{:?} ", stmts.iter().position(|one| one == stmt));
        }
        Nest::Loop { name, body } => {
            let _ = write!(text, "{name} {{ ");
            body.iter().for_each(|nest| write_nest(text, nest, stmts));
            text.push_str("} ");
        }
    }
}

fn with_tensors(mut stmt: Stmt, ids: &BTreeMap<TensorId, TensorId>) -> Stmt {
    stmt.reads.iter_mut().chain(&mut stmt.writes).for_each(|access| access.tensor = ids[&access.tensor]);
    stmt
}

fn with_stmts(nest: &Nest, ids: &BTreeMap<StmtId, StmtId>) -> Nest {
    match nest {
        Nest::Stmt(stmt) => Nest::Stmt(ids[stmt]),
        Nest::Loop { name, body } => {
            Nest::Loop { name: name.clone(), body: body.iter().map(|nest| with_stmts(nest, ids)).collect() }
        }
    }
}

impl Part {
    /// What parts have in common that compute the same from other tensors: as [`Outline::form`], and what other parts do with
    /// the tensors. Two parts with equal forms differ in names alone, number for number.
    ///
    /// # Errors
    /// When isl fails.
    pub fn form(&self) -> isl::Result<String> {
        let outline = Outline::of(&self.scop)?;
        let roles: Vec<Role> = self.scop.tensors.values().map(|tensor| tensor.role).collect();
        let order: Vec<usize> =
            self.scop.stmts.values().flat_map(Stmt::accesses).map(|access| access.tensor.index()).collect();
        Ok(format!(
            "{:?}\n{}\n{roles:?}\n{order:?}\n{}",
            self.scop.params,
            self.scop.context,
            outline.form(0..outline.len())
        ))
    }
}

#[cfg(test)]
mod tests {
    use support::Stage;

    use super::*;
    use crate::eval::{self, Limits};
    use crate::testing::{self, Rng};

    /// Cuts in front of some nests, the first one included.
    fn cuts(outline: &Outline<'_>, rng: &mut Rng) -> Vec<usize> {
        (0..outline.len()).filter(|nest| *nest == 0 || rng.below(2) == 0).collect()
    }

    fn divided(scop: &Scop, starts: &[usize]) -> Graph {
        let outline = Outline::of(scop).expect("it is in the order of its source");
        let ends = starts.iter().skip(1).copied().chain([outline.len()]);
        let part = |(start, end): (&usize, usize)| outline.part(*start..end).expect("a part");
        Graph { parts: starts.iter().zip(ends).map(part).collect() }
    }

    #[test]
    fn the_parts_of_random_programs_compute_what_the_whole_does() {
        let ctx = isl::Ctx::new();
        let mut several = 0;
        for seed in 0..300 {
            let scop = testing::random(&ctx, seed);
            let starts = cuts(&Outline::of(&scop).expect("an outline"), &mut Rng::new(seed));
            let mut known = testing::random_tensors(&scop, &[], seed);
            let expected = eval::run(&scop, &[], &known, Limits::default()).expect("small enough");
            let graph = divided(&scop, &starts);
            several += usize::from(graph.parts.len() > 1);
            for Part { scop: part, .. } in &graph.parts {
                part.verify().unwrap_or_else(|error| panic!("seed {seed}: {error}\n{part}"));
                let is_read = |name: &String| part.tensor_named(name).is_some();
                let given =
                    known.iter().filter(|(name, _)| is_read(name)).map(|(name, data)| (name.clone(), data.clone()));
                let found = eval::run(part, &[], &given.collect(), Limits::default());
                known.extend(found.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{part}")));
            }
            for (name, data) in &expected {
                assert_eq!(format!("{:?}", known[name]), format!("{data:?}"), "seed {seed}, `{name}`\n{scop}\n{graph}");
            }
        }
        assert!(several > 50, "{several} programs in several parts");
    }

    const LAYERS: &str = "
scop layers()
input A: float32[8]
output D: float32[8]
temporary B: float32[8]
temporary C: float32[8]
stmt B.s[i]
  domain { B.s[i] : 0 <= i < 8 }
  B[i] = A[i] + A[i]
stmt C.s[i]
  domain { C.s[i] : 0 <= i < 8 }
  C[i] = B[i] + B[i]
stmt D.s[i]
  domain { D.s[i] : 0 <= i < 8 }
  D[i] = C[i] + C[i]
";

    #[test]
    fn parts_are_equal_but_for_names() {
        let ctx = isl::Ctx::new();
        let forms = |text: &str| -> Vec<String> {
            let scop = testing::scop(&ctx, text);
            divided(&scop, &[0, 1, 2]).parts.iter().map(|part| part.form().expect("a form")).collect()
        };
        let [first, second, third] = forms(LAYERS).try_into().expect("three parts");
        assert!(first == second && second == third, "{first}\n{second}\n{third}");
        // Another domain, another operation, another tensor twice, another type of constant, another name of a loop.
        for (from, to) in [
            ("C.s[i] : 0 <= i < 8", "C.s[i] : 0 <= i < 7"),
            ("B[i] + B[i]", "B[i] * B[i]"),
            ("B[i] + B[i]", "B[i] + A[i]"),
            ("B[i] + B[i]", "B[i] + 0f32"),
            ("B[i] + B[i]", "B[i] + B[7 - i]"),
        ] {
            let [first, second, _] = forms(&LAYERS.replace(from, to)).try_into().expect("three parts");
            assert_ne!(first, second, "{to}");
        }
        let signs = LAYERS.replace("A[i] + A[i]", "A[i] + 0f32").replace("B[i] + B[i]", "B[i] + -0f32");
        let [first, second, _] = forms(&signs).try_into().expect("three parts");
        assert_ne!(first, second, "zeros of both signs");
    }

    #[test]
    fn what_is_passed_on_is_known() {
        let scop = testing::scop(&isl::Ctx::new(), LAYERS);
        let outline = Outline::of(&scop).expect("an outline");
        let passed = |nest| -> Vec<&str> { outline.passed_to(nest).map(|id| scop.tensors[id].name.as_str()).collect() };
        assert_eq!([passed(0), passed(1), passed(2)], [vec![], vec!["B"], vec!["C"]]);
    }
}
