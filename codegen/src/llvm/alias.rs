//! Metadata: what LLVM may assume of accesses and branches.

use inkwell::context::Context as LlvmContext;
use inkwell::values::{BasicMetadataValueEnum, InstructionValue, InstructionValueError, MetadataValue};
use std::collections::{BTreeMap, BTreeSet};

use polyhedral::TensorId;

use crate::{Program, arena};

/// Metadata: which accesses cannot touch the same memory.
pub(super) struct Alias<'c> {
    scope: u32,
    noalias: u32,
    invariant: u32,
    weights: u32,
    nontemporal: u32,
    /// For buffers: the scope, the scopes of those that have no byte of it, and whether nobody writes it.
    buffers: BTreeMap<TensorId, (MetadataValue<'c>, MetadataValue<'c>, bool)>,
}

impl<'c> Alias<'c> {
    /// For a function that does not write the buffers that are `constant`, and nobody else does while it runs. Buffers of the
    /// workspace that may have the same bytes are of no two scopes that exclude each other.
    pub fn new(context: &'c LlvmContext, program: &Program, constant: impl Fn(TensorId) -> bool) -> Alias<'c> {
        let all = program.buffers.keys().collect();
        Alias::of(context, program, &all, constant, |a, b| arena::are_apart(program, a, b))
    }

    /// The same of the buffers of one function, of which it is known otherwise which are apart.
    pub fn of(
        context: &'c LlvmContext,
        program: &Program,
        buffers: &BTreeSet<TensorId>,
        constant: impl Fn(TensorId) -> bool,
        apart: impl Fn(TensorId, TensorId) -> bool,
    ) -> Alias<'c> {
        let domain = context.metadata_node(&[context.metadata_string("buffers").into()]);
        let scopes: Vec<(TensorId, MetadataValue<'c>)> = buffers
            .iter()
            .map(|&id| {
                let name = context.metadata_string(&format!("{id} {}", program.buffers[id].name));
                (id, context.metadata_node(&[name.into(), domain.into()]))
            })
            .collect();
        let all_apart = |own: TensorId| {
            let others: Vec<BasicMetadataValueEnum<'c>> = scopes
                .iter()
                .filter(|(other, _)| *other != own && apart(own, *other))
                .map(|(_, scope)| (*scope).into())
                .collect();
            context.metadata_node(&others)
        };
        let rows = scopes.iter().map(|&(buffer, scope)| {
            (buffer, (context.metadata_node(&[scope.into()]), all_apart(buffer), constant(buffer)))
        });
        Alias {
            scope: context.get_kind_id("alias.scope"),
            noalias: context.get_kind_id("noalias"),
            invariant: context.get_kind_id("invariant.load"),
            weights: context.get_kind_id("prof"),
            nontemporal: context.get_kind_id("nontemporal"),
            buffers: rows.collect(),
        }
    }

    /// Marks an access of a buffer.
    pub fn describe(
        &self,
        context: &'c LlvmContext,
        access: InstructionValue<'c>,
        buffer: TensorId,
    ) -> std::result::Result<(), InstructionValueError> {
        let Some((own, others, constant)) = self.buffers.get(&buffer) else { return Ok(()) };
        access.set_metadata(*own, self.scope)?;
        access.set_metadata(*others, self.noalias)?;
        if *constant { self.describe_invariant(context, access) } else { Ok(()) }
    }

    /// Marks a load of what nobody writes during the call.
    pub fn describe_invariant(
        &self,
        context: &'c LlvmContext,
        load: InstructionValue<'c>,
    ) -> std::result::Result<(), InstructionValueError> {
        load.set_metadata(context.metadata_node(&[]), self.invariant)
    }

    /// Marks a store of what is not read soon.
    pub fn describe_nontemporal(
        &self,
        context: &'c LlvmContext,
        store: InstructionValue<'c>,
    ) -> std::result::Result<(), InstructionValueError> {
        let one = context.i32_type().const_int(1, false).into();
        store.set_metadata(context.metadata_node(&[one]), self.nontemporal)
    }

    /// Marks a branch whose first way is rarely taken.
    pub fn describe_rare(
        &self,
        context: &'c LlvmContext,
        branch: InstructionValue<'c>,
    ) -> std::result::Result<(), InstructionValueError> {
        let weight = |weight: u64| context.i32_type().const_int(weight, false).into();
        let weights =
            context.metadata_node(&[context.metadata_string("branch_weights").into(), weight(1), weight(1 << 20)]);
        branch.set_metadata(weights, self.weights)
    }
}
