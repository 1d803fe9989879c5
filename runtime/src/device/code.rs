//! A text and a plan: what a device is given to build and to run.

use super::Plan;
use crate::kernel::SizeOf;
use crate::plan::{OpenPlan, PlanError};
use std::sync::Arc;

/// The text of kernels, in a language of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// OpenCL C.
    OpenCl(Arc<str>),
    /// PTX.
    Ptx {
        /// The text.
        text: Arc<str>,
        /// What it is made for: `sm_80`.
        architecture: String,
    },
    /// What `ptxas` makes of PTX.
    Cubin {
        /// The file's contents.
        bytes: Arc<[u8]>,
        /// What it is made for: `sm_80`.
        architecture: String,
    },
}

/// Kernels and what a call runs of them.
#[derive(Clone, Debug)]
pub struct DeviceCode {
    text: Text,
    plan: Plan,
}

impl DeviceCode {
    /// Vouches for kernels.
    ///
    /// # Safety
    /// The kernels of the plan are in the text. Launched as the plan says, with tensors that fit its signature, each reads only
    /// its arguments and the workspace, writes only the outputs, with values of their types, the workspace and its report,
    /// and returns.
    pub unsafe fn new(text: Text, plan: Plan) -> DeviceCode {
        DeviceCode { text, plan }
    }

    /// The text.
    pub fn text(&self) -> &Text {
        &self.text
    }

    /// What a call runs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// Kernels and what a call runs of them, for all sizes of a call.
#[derive(Clone, Debug)]
pub struct OpenDeviceCode {
    text: Text,
    plan: OpenPlan,
}

impl OpenDeviceCode {
    /// Vouches for kernels.
    ///
    /// # Safety
    /// As [`DeviceCode::new`], for the plan of any sizes that [`OpenPlan::at`] gives one for and that the program takes.
    pub unsafe fn new(text: Text, plan: OpenPlan) -> OpenDeviceCode {
        OpenDeviceCode { text, plan }
    }

    /// The text.
    pub fn text(&self) -> &Text {
        &self.text
    }

    /// What a call runs.
    pub fn plan(&self) -> &OpenPlan {
        &self.plan
    }

    /// The code of a call with these sizes, which the program must take. All codes have the same text.
    ///
    /// # Errors
    /// As [`OpenPlan::at`].
    ///
    /// # Safety
    /// The sizes hold what the program asks of them: the conditions of its definition, none negative.
    pub unsafe fn at(&self, size: SizeOf<'_>) -> Result<DeviceCode, PlanError> {
        Ok(DeviceCode { text: self.text.clone(), plan: self.plan.at(size)? })
    }
}

/// The code of one choice of sizes, with constants.
impl From<DeviceCode> for OpenDeviceCode {
    fn from(code: DeviceCode) -> OpenDeviceCode {
        OpenDeviceCode { text: code.text, plan: code.plan.into() }
    }
}
