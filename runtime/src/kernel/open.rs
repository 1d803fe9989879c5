//! Code whose sizes are still open: what it takes follows from the sizes of a call.

use super::{Argument, Check, Code, LoadError, Role, Signature};
use crate::formula::Formula;
use crate::named::Named;
use crate::tensor::DType;
use serde::Serialize;
use std::sync::Arc;

/// The values of sizes, by name.
pub type SizeOf<'a> = &'a dyn Fn(&str) -> Option<i64>;

/// A [`Signature`] for all sizes of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenSignature {
    /// The name of the kernel.
    pub name: String,
    /// The tensors, in the order in which machine code takes them.
    pub arguments: Vec<OpenArgument>,
    /// The integers that machine code takes, in their order.
    pub parameters: Vec<Formula>,
    /// How much scratch memory one call needs.
    pub workspace_bytes: Formula,
    /// The subscripts that machine code checks: a [`Fault`](crate::abi::Fault) counts them.
    pub checks: Vec<Check>,
    /// The functions that machine code calls by their position in [`math::table`](crate::math::table): for the
    /// [symbol](crate::math::symbol) of each the position.
    #[serde(skip_serializing_if = "Named::is_empty")]
    pub functions: Named<usize>,
}

/// An [`Argument`] for all sizes of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenArgument {
    /// Its name in the program.
    pub name: String,
    /// The type of its elements.
    pub dtype: DType,
    /// What the kernel does with it.
    pub role: Role,
    /// The extent of each dimension.
    pub shape: Vec<Formula>,
    /// The stride of each dimension in elements where the kernel is compiled for one, `None` where it takes any.
    pub strides: Vec<Option<Formula>>,
}

impl OpenSignature {
    /// The signature of a call with these sizes.
    ///
    /// # Errors
    /// [`LoadError::Signature`] where something cannot be computed: a size is not known, or numbers overflow.
    pub fn at(&self, size: SizeOf<'_>) -> Result<Signature, LoadError> {
        let value = |of: &str, formula: &Formula| {
            let reason = || format!("{of} cannot be computed from the sizes: {formula}");
            formula.value(size).ok_or_else(|| LoadError::Signature { reason: reason() })
        };
        let arguments = self.arguments.iter().map(|argument| {
            let of = |formula: &Formula| value(&argument.name, formula);
            let stride = |stride: &Option<Formula>| stride.as_ref().map(of).transpose();
            Ok(Argument {
                name: argument.name.clone(),
                dtype: argument.dtype,
                role: argument.role,
                shape: argument.shape.iter().map(of).collect::<Result<_, LoadError>>()?,
                strides: argument.strides.iter().map(stride).collect::<Result<_, LoadError>>()?,
            })
        });
        let workspace = value("the workspace", &self.workspace_bytes)?;
        let workspace_bytes = usize::try_from(workspace)
            .map_err(|_| LoadError::Signature { reason: format!("a workspace of {workspace} bytes") })?;
        let signature = Signature {
            name: self.name.clone(),
            arguments: arguments.collect::<Result<_, LoadError>>()?,
            sizes: self.parameters.iter().map(|it| value("a size", it)).collect::<Result<_, _>>()?,
            workspace_bytes,
            checks: self.checks.clone(),
        };
        signature.check()?;
        Ok(signature)
    }

    /// Calls `see` with every formula.
    pub(crate) fn each_formula<'a>(&'a self, see: &mut dyn FnMut(&'a Formula)) {
        for argument in &self.arguments {
            argument.shape.iter().chain(argument.strides.iter().flatten()).for_each(&mut *see);
        }
        self.parameters.iter().for_each(&mut *see);
        see(&self.workspace_bytes);
    }
}

/// The signature of one choice of sizes, with constants.
impl From<Signature> for OpenSignature {
    fn from(signature: Signature) -> OpenSignature {
        let argument = |argument: Argument| {
            let Argument { name, dtype, role, shape, strides } = argument;
            let shape = shape.into_iter().map(Formula::Const).collect();
            let strides = strides.into_iter().map(|stride| stride.map(Formula::Const)).collect();
            OpenArgument { name, dtype, role, shape, strides }
        };
        OpenSignature {
            name: signature.name,
            arguments: signature.arguments.into_iter().map(argument).collect(),
            parameters: signature.sizes.into_iter().map(Formula::Const).collect(),
            workspace_bytes: Formula::Const(i64::try_from(signature.workspace_bytes).unwrap_or(i64::MAX)),
            checks: signature.checks,
            functions: Named::default(),
        }
    }
}

/// An object and what is known of it for all sizes of a call: machine code that may be called.
#[derive(Clone, Debug)]
pub struct OpenCode {
    object: Arc<[u8]>,
    entry: String,
    signature: OpenSignature,
}

impl OpenCode {
    /// Vouches for machine code.
    ///
    /// # Safety
    /// As [`Code::new`], for the signature of any sizes that [`OpenSignature::at`] gives one for and that the program takes.
    pub unsafe fn new(object: impl Into<Arc<[u8]>>, entry: impl Into<String>, signature: OpenSignature) -> OpenCode {
        OpenCode { object: object.into(), entry: entry.into(), signature }
    }

    /// The relocatable object.
    pub fn object(&self) -> &Arc<[u8]> {
        &self.object
    }

    /// The name of the function that runs the kernel.
    pub fn entry(&self) -> &str {
        &self.entry
    }

    /// What the kernel takes.
    pub fn signature(&self) -> &OpenSignature {
        &self.signature
    }

    /// The code of a call with these sizes, which the program must take. All codes share the bytes of the object.
    ///
    /// # Errors
    /// As [`OpenSignature::at`].
    ///
    /// # Safety
    /// The sizes hold what the program asks of them: the conditions of its definition, none negative.
    pub unsafe fn at(&self, size: SizeOf<'_>) -> Result<Code, LoadError> {
        let signature = self.signature.at(size)?;
        // SAFETY: whoever made this vouched for these sizes too.
        Ok(unsafe { Code::new(self.object.clone(), self.entry.clone(), signature) })
    }
}
