//! Which of the objects a call runs, and how much workspace that one takes.

use inkwell::module::Linkage;
use inkwell::types::BasicType;
use inkwell::values::{BasicValue, FunctionValue, InstructionValue, IntValue, PointerValue};
use inkwell::{AtomicOrdering, IntPredicate};

use super::super::{Error, Result};
use super::features::{SCALABLE_BYTES, WORDS, bits};
use super::formula::Checked;
use super::glue::Glue;
use super::spec::{Choice, Status};

/// Set in what is known of the processor once that is known; the other bits are for sets of features.
const KNOWN: u32 = 63;

/// What [`Glue::choose`] returns in place of a position.
const NO_PROCESSOR: i32 = -1;
const NO_KERNEL: i32 = -2;

/// Features, and bits of a vector at least.
type Needs<'a> = (&'a [String], Option<u32>);

fn needs_of(choice: &Choice) -> Needs<'_> {
    (&choice.features, choice.scalable_bits)
}

impl<'c> Glue<'c, '_> {
    /// What choices ask of the processor, each set of features with the bits of a vector once.
    fn sets(&self) -> Vec<Needs<'_>> {
        let mut sets: Vec<Needs<'_>> = Vec::new();
        for choice in &self.library.choices {
            if !sets.contains(&needs_of(choice)) {
                sets.push(needs_of(choice));
            }
        }
        sets
    }

    /// `i64 processor()`: for each set of features a bit that says whether the processor has them all. It asks once: whoever
    /// asks at the same time finds the same and writes the same.
    pub fn processor(&self) -> Result<FunctionValue<'c>> {
        let (builder, wide) = (&self.ir.builder, self.ir.context.i64_type());
        let sets = self.sets();
        if sets.len() > KNOWN as usize {
            return Err(Error::Unsupported(format!("a library for {} kinds of processors", sets.len())));
        }
        let known = self.ir.module.add_global(wide, None, "processor.known");
        known.set_initializer(&wide.const_zero());
        known.set_linkage(Linkage::Internal);
        let body = self.begin("processor", wide.into(), &[], Linkage::Internal);
        let before = builder.build_load(wide, known.as_pointer_value(), "")?;
        self.atomically(before.as_instruction_value())?;
        let before = before.into_int_value();
        let is_known = self.compare(IntPredicate::NE, before, self.ir.i64(0))?;
        self.fail_if(&body, is_known, before)?;
        let words = self.numbers(&body, WORDS)?;
        builder.build_call(self.known("words")?, &[words.into()], "")?;
        let mut found = wide.const_int(1 << KNOWN, false);
        for (at, (set, scalable_bits)) in sets.iter().enumerate() {
            let mut has = self.bool(true);
            for (word, needed) in self.needed(set)? {
                let needed = wide.const_int(needed, false);
                let there = self.and(self.load_int(words, 8 * word, 64)?, needed)?;
                has = self.and(has, self.compare(IntPredicate::EQ, there, needed)?)?;
            }
            if let Some(bits) = scalable_bits {
                let there = self.load_int(words, 8 * SCALABLE_BYTES, 64)?;
                let needed = self.ir.i64(i64::from(*bits) / 8);
                has = self.and(has, self.compare(IntPredicate::UGE, there, needed)?)?;
            }
            let bit = self.select(has, wide.const_int(1 << at, false), wide.const_zero())?;
            found = self.or(found, bit)?;
        }
        let store = builder.build_store(known.as_pointer_value(), found)?;
        self.atomically(Some(store))?;
        self.end(&body, found.into())?;
        Ok(body.function)
    }

    /// The bits of each word that a set of features asks for.
    fn needed(&self, set: &[String]) -> Result<Vec<(usize, u64)>> {
        let mut words = [0; WORDS];
        for feature in set {
            for (word, needed) in bits(self.machine.architecture, feature)? {
                words[word] |= needed;
            }
        }
        Ok(words.into_iter().enumerate().filter(|(_, needed)| *needed != 0).collect())
    }

    fn atomically(&self, access: Option<InstructionValue<'c>>) -> Result<()> {
        let access = access.ok_or_else(|| Error::Malformed("no access".into()))?;
        let not = |error| Error::Malformed(format!("no atomic access: {error:?}"));
        access.set_atomic_ordering(AtomicOrdering::Monotonic).map_err(not)
    }

    /// `i32 choose(sizes)`: the position of the first choice that the processor can run and that is for these sizes, else a
    /// negative number.
    pub fn choose(&self, processor: FunctionValue<'c>) -> Result<FunctionValue<'c>> {
        let (narrow, pointer) = (self.ir.context.i32_type(), self.ir.pointer_type());
        let body = self.begin("choose", narrow.into(), &[pointer.into()], Linkage::Internal);
        let sizes = body.parameter(0)?.into_pointer_value();
        let found = self.call(processor, &[])?;
        let (sets, mut runs) = (self.sets(), self.bool(false));
        for (at, choice) in self.library.choices.iter().enumerate() {
            let set = sets.iter().position(|set| *set == needs_of(choice)).unwrap_or_default();
            let bit = self.ir.context.i64_type().const_int(1 << set, false);
            let can = self.compare(IntPredicate::NE, self.and(found, bit)?, self.ir.i64(0))?;
            runs = self.or(runs, can)?;
            let mut fits = can;
            for (size, expected) in choice.sizes.iter().flatten().enumerate() {
                let is = self.compare(IntPredicate::EQ, self.load_int(sizes, 8 * size, 64)?, self.ir.i64(*expected))?;
                fits = self.and(fits, is)?;
            }
            self.fail_if(&body, fits, self.ir.i32(at as i32))?;
        }
        let none = self.select(runs, self.ir.i32(NO_KERNEL), self.ir.i32(NO_PROCESSOR))?;
        self.end(&body, none.into())?;
        Ok(body.function)
    }

    /// `i32 plan(sizes, i32 *choice, i64 *bytes, i64 *parameters)`: the choice, its workspace and the integers that it takes, or
    /// a status.
    pub fn plan(&self, choose: FunctionValue<'c>) -> Result<FunctionValue<'c>> {
        let (narrow, pointer) = (self.ir.context.i32_type(), self.ir.pointer_type());
        let body = self.begin("plan", narrow.into(), &[pointer.into(); 4], Linkage::Internal);
        let pointer = |at| -> Result<PointerValue<'c>> { Ok(body.parameter(at)?.into_pointer_value()) };
        let (sizes, to_choice, to_bytes, to_parameters) = (pointer(0)?, pointer(1)?, pointer(2)?, pointer(3)?);
        let choice = self.call(choose, &[sizes.into()])?;
        for (number, status) in [(NO_PROCESSOR, Status::Processor), (NO_KERNEL, Status::NoKernel)] {
            let is = self.compare(IntPredicate::EQ, choice, self.ir.i32(number))?;
            self.refuse_if(&body, is, status.about(0))?;
        }
        self.store(to_choice, 0, choice)?;
        let sizes: Vec<IntValue<'c>> =
            (0..self.library.sizes.len()).map(|size| self.load_int(sizes, 8 * size, 64)).collect::<Result<_>>()?;
        let builder = &self.ir.builder;
        for (at, Choice { workspace, parameters, .. }) in self.library.choices.iter().enumerate() {
            let own = self.ir.context.append_basic_block(body.function, "");
            let after = self.ir.context.append_basic_block(body.function, "");
            let is = self.compare(IntPredicate::EQ, choice, self.ir.i32(at as i32))?;
            builder.build_conditional_branch(is, own, after)?;
            builder.position_at_end(own);
            let Checked { value, overflow } = self.formula(workspace, &sizes)?;
            let is_negative = self.compare(IntPredicate::SLT, value, self.ir.i64(0))?;
            self.refuse_if(&body, self.or(overflow, is_negative)?, Status::Sizes.about(0))?;
            self.store(to_bytes, 0, value)?;
            for (at, parameter) in parameters.iter().enumerate() {
                let Checked { value, overflow } = self.formula(parameter, &sizes)?;
                self.refuse_if(&body, overflow, Status::Sizes.about(0))?;
                self.store(to_parameters, 8 * at, value)?;
            }
            builder.build_return(Some(&self.ir.i32(0)))?;
            builder.position_at_end(after);
        }
        self.end(&body, self.ir.i32(Status::NoKernel.about(0)).into())?;
        Ok(body.function)
    }

    /// For each choice what its checks are told by, and its entry: two tables.
    pub fn tables(&self) -> Result<[PointerValue<'c>; 2]> {
        let (pointer, narrow) = (self.ir.pointer_type(), self.ir.context.i32_type());
        let entry_type = narrow.fn_type(&[pointer.into(); 3], false);
        let (mut checks, mut entries) = (Vec::new(), Vec::new());
        for choice in &self.library.choices {
            checks.push(self.checks(choice)?);
            let known = self.ir.module.get_function(&choice.entry);
            let entry = known.unwrap_or_else(|| self.ir.module.add_function(&choice.entry, entry_type, None));
            entries.push(entry.as_global_value().as_pointer_value());
        }
        Ok([
            self.constant("checks", pointer.const_array(&checks).into())?,
            self.constant("entries", pointer.const_array(&entries).into())?,
        ])
    }

    /// The `%check`s of threads.ll; null when there are none.
    fn checks(&self, choice: &Choice) -> Result<PointerValue<'c>> {
        let context = self.ir.context;
        if choice.checks.is_empty() {
            return Ok(self.ir.pointer_type().const_null());
        }
        let ty = context.struct_type(
            &[
                self.ir.pointer_type().into(),
                context.i32_type().into(),
                context.i32_type().into(),
                self.ir.pointer_type().into(),
                context.i64_type().into(),
            ],
            false,
        );
        let rows = choice.checks.iter().map(|check| {
            let names: Vec<&str> = check.found_by.iter().map(|(name, _)| name.as_str()).collect();
            let subscripts: usize = check.found_by.iter().map(|(_, rank)| rank).sum();
            Ok(ty.const_named_struct(&[
                self.text(&check.tensor)?.into(),
                self.ir.i32(check.dim as i32).into(),
                self.ir.i32(check.unsigned.into()).into(),
                self.text(&names.join(", "))?.into(),
                self.ir.i64(subscripts as i64).into(),
            ]))
        });
        let rows = rows.collect::<Result<Vec<_>>>()?;
        self.constant("check", ty.as_basic_type_enum().into_struct_type().const_array(&rows).into())
    }
}
