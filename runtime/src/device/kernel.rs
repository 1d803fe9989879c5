//! A text and a plan, as something to launch.

use super::driver::{Handle, Job, Kind, Object, Value};
use super::stream::{Turn, on};
use super::{Device, DeviceCode, DeviceError, DeviceTensor, Operand, Plan, Stream, Text, architecture};
use crate::kernel::{CallError, Role, Signature};
use crate::tensor::{TensorView, TensorViewMut};
use smallvec::SmallVec;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Kernels of a device that are ready to be launched. Cheap to clone, `Send + Sync`.
#[derive(Clone)]
pub struct DeviceKernel {
    loaded: Arc<Loaded>,
}

/// What the clones of a kernel share.
pub(super) struct Loaded {
    module: Arc<Module>,
    plan: Plan,
    workspace_bytes: usize,
}

/// A text that the device has built.
struct Module {
    device: Device,
    text: Text,
    /// In the order of the plan; arguments of one are set by one thread at a time.
    kernels: Mutex<Vec<Object>>,
    /// Holds what the kernels are of: dropped after them.
    _module: Object,
}

impl Loaded {
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }
}

impl DeviceKernel {
    pub(super) fn load(device: &Device, code: &DeviceCode) -> Result<DeviceKernel, DeviceError> {
        code.plan().check()?;
        let text = made_for(device, code.text())?;
        let driver = &device.driver;
        let module = Object::own(driver, Kind::Module, driver.module(text)?);
        let mut kernels = Vec::new();
        for entry in &code.plan().kernels {
            fits(device, entry)?;
            // SAFETY: the module was made above.
            let kernel = unsafe { driver.kernel(module.handle, entry) }?;
            kernels.push(Object::own(driver, Kind::Kernel, kernel));
        }
        let (kernels, text) = (Mutex::new(kernels), code.text().clone());
        DeviceKernel::of_module(
            Arc::new(Module { device: device.clone(), text, kernels, _module: module }),
            code.plan(),
        )
    }

    /// As [`Device::load`], with what this kernel has built when the text is the same one: kernels for any sizes are built once,
    /// and get a plan for each of the sizes that they are called with.
    ///
    /// # Errors
    /// As [`Device::load`].
    pub fn load_beside(&self, code: &DeviceCode) -> Result<DeviceKernel, DeviceError> {
        let Loaded { module, plan, .. } = &*self.loaded;
        if module.text != *code.text() || plan.kernels != code.plan().kernels {
            return DeviceKernel::load(&module.device, code);
        }
        code.plan().check()?;
        DeviceKernel::of_module(module.clone(), code.plan())
    }

    fn of_module(module: Arc<Module>, plan: &Plan) -> Result<DeviceKernel, DeviceError> {
        let about = module.device.about();
        for launch in &plan.launches {
            if let Some((&needed, &found)) = launch.grid.iter().zip(&about.grid).find(|(needed, found)| needed > found)
            {
                let (device, kernel) = (about.name.clone(), plan.kernels[launch.kernel].name.clone());
                let (needed, found) = (needed.into(), found.into());
                return Err(DeviceError::TooLarge { device, kernel, what: "blocks along one axis", needed, found });
            }
        }
        let workspace_bytes = plan.workspace_bytes();
        Ok(DeviceKernel { loaded: Arc::new(Loaded { module, plan: plan.clone(), workspace_bytes }) })
    }

    /// What the kernel takes.
    pub fn signature(&self) -> &Signature {
        &self.loaded.plan.signature
    }

    /// What a call runs.
    pub fn plan(&self) -> &Plan {
        &self.loaded.plan
    }

    /// Where it runs.
    pub fn device(&self) -> &Device {
        &self.loaded.module.device
    }

    /// Gives the kernel to a stream: `inputs` are its inputs in the order of the signature, `outputs` its outputs and the
    /// tensors that it updates. Returns at once; [`Stream::synchronise`] waits, and says what a check has found.
    ///
    /// # Errors
    /// When an argument does not fit: then nothing has been started. When the device has no memory for the workspace, or
    /// refuses.
    pub fn launch(
        &self,
        stream: &Stream,
        inputs: &[&DeviceTensor],
        outputs: &mut [&mut DeviceTensor],
    ) -> Result<(), DeviceError> {
        self.launch_in(&mut stream.turn(), inputs, outputs)
    }

    /// As [`DeviceKernel::launch`], in a turn.
    fn launch_in(
        &self,
        turn: &mut Turn<'_>,
        inputs: &[&DeviceTensor],
        outputs: &mut [&mut DeviceTensor],
    ) -> Result<(), DeviceError> {
        let stream = turn.stream();
        let Loaded { module, plan, workspace_bytes } = &*self.loaded;
        on(&module.device, stream.device(), "stream")?;
        let outputs: SmallVec<[&DeviceTensor; 12]> = outputs.iter().map(|output| &**output).collect();
        self.accepts(inputs, &outputs)?;
        let arguments = in_order(&plan.signature, inputs, &outputs);
        let parts = arguments.iter().map(|tensor| tensor.part()).collect::<Result<Vec<Object>, _>>()?;
        let workspace = turn.workspace(*workspace_bytes)?;
        let scratch = match &workspace {
            None => Vec::new(),
            Some(workspace) => self.scratch(workspace)?,
        };
        let reports = turn.reports(&self.loaded)?;
        let operand = |operand: &Operand| -> Value {
            let int = |value: i64| if plan.index_bits == 32 { Value::I32(value as i32) } else { Value::I64(value) };
            match *operand {
                Operand::Argument(at) => Value::Address(parts[at].handle),
                Operand::Workspace(at) => Value::Address(scratch[at].handle),
                Operand::Int(value) => int(value),
                Operand::Stride(at, dim) => int(arguments[at].strides()[dim]),
                Operand::Faults => Value::Address(reports.as_ref().map_or(Handle(0), |words| words.handle)),
            }
        };
        let kernels = module.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        let mut values: SmallVec<[Value; 16]> = SmallVec::new();
        for launch in &plan.launches {
            let entry = &plan.kernels[launch.kernel];
            values.clear();
            values.extend(launch.operands.iter().map(operand));
            let job = Job {
                name: &entry.name,
                kernel: kernels[launch.kernel].handle,
                grid: launch.grid,
                block: entry.block,
                dynamic_shared: entry.dynamic_shared_bytes,
                values: &values,
            };
            // SAFETY: whoever made the code vouched for the kernels when the tensors fit the signature, and they do.
            unsafe { module.device.driver.launch(stream.queue(), &job) }?;
        }
        // SAFETY: the queue is the stream's.
        unsafe { module.device.driver.start(stream.queue()) }
    }

    /// As [`DeviceKernel::launch`] with tensors of the host: copies all of them to the device, waits, and copies the outputs
    /// back.
    ///
    /// # Errors
    /// As [`DeviceKernel::launch`] and [`Stream::synchronise`]. After an error nothing has been written.
    pub fn run(
        &self,
        stream: &Stream,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
    ) -> Result<(), DeviceError> {
        self.signature().accepts_any_strides(inputs, outputs)?;
        let device = self.device();
        let inputs = inputs.iter().map(|input| device.upload(stream, input)).collect::<Result<Vec<_>, _>>()?;
        // What a kernel does not write stays.
        let upload = |output: &TensorViewMut<'_>| device.upload(stream, &output.as_view());
        let mut results = outputs.iter().map(upload).collect::<Result<Vec<_>, _>>()?;
        let inputs: Vec<&DeviceTensor> = inputs.iter().collect();
        {
            let mut turn = stream.turn();
            self.launch_in(&mut turn, &inputs, &mut results.iter_mut().collect::<Vec<_>>())?;
            turn.synchronise()?;
        }
        results.iter().zip(outputs).try_for_each(|(result, output)| stream.fetch(result, output))
    }

    /// The parts of a workspace, as kernels take them.
    fn scratch(&self, workspace: &Object) -> Result<Vec<Object>, DeviceError> {
        let driver = &self.loaded.module.device.driver;
        let part = |part: &super::Part| {
            // SAFETY: the workspace has as many bytes as the plan says.
            let (handle, is_own) = unsafe { driver.part(workspace.handle, part.offset, part.bytes) }?;
            Ok(if is_own { Object::own(driver, Kind::Part, handle) } else { Object::borrow(driver, handle) })
        };
        self.loaded.plan.workspace.iter().map(part).collect()
    }

    /// Checks that these tensors are what the kernel takes, and where it runs.
    fn accepts(&self, inputs: &[&DeviceTensor], outputs: &[&DeviceTensor]) -> Result<(), DeviceError> {
        let signature = self.signature();
        signature.check_count(Role::Input, signature.inputs().count(), inputs.len())?;
        signature.check_count(Role::Output, signature.outputs().count(), outputs.len())?;
        let all = signature.inputs().zip(inputs).chain(signature.outputs().zip(outputs));
        for (argument, tensor) in all {
            argument.accepts(tensor.dtype(), tensor.shape(), tensor.strides())?;
            on(self.device(), tensor.device(), &argument.name)?;
            if !argument.takes_any_address() && !tensor.is_aligned() {
                return Err(DeviceError::Unaligned { argument: argument.name.clone(), alignment: Plan::VECTOR_BYTES });
            }
        }
        for (at, (output, written)) in signature.outputs().zip(outputs).enumerate() {
            written.layout().has_distinct_elements()?;
            let others = signature.inputs().zip(inputs).chain(signature.outputs().zip(&outputs[..at]));
            for (other, tensor) in others {
                if overlap(written, tensor) {
                    return Err(CallError::Overlap { output: output.name.clone(), other: other.name.clone() }.into());
                }
            }
        }
        Ok(())
    }
}

fn overlap(a: &DeviceTensor, b: &DeviceTensor) -> bool {
    let ((a_memory, a), (b_memory, b)) = (a.bytes(), b.bytes());
    a_memory == b_memory && !a.is_empty() && !b.is_empty() && a.start < b.end && b.start < a.end
}

/// The tensors in the order of the signature.
fn in_order<'a>(
    signature: &Signature,
    inputs: &[&'a DeviceTensor],
    outputs: &[&'a DeviceTensor],
) -> SmallVec<[&'a DeviceTensor; 12]> {
    let (mut inputs, mut outputs) = (inputs.iter(), outputs.iter());
    let next = |role| match role {
        Role::Input => inputs.next().copied(),
        Role::Output | Role::InOut => outputs.next().copied(),
    };
    signature.arguments.iter().map(|argument| argument.role).filter_map(next).collect()
}

/// The text, when it is for a device like this one.
fn made_for<'a>(device: &Device, text: &'a Text) -> Result<&'a [u8], DeviceError> {
    let about = device.about();
    let another = |expected: String| {
        let found = match about.capability {
            Some((major, minor)) => format!("sm_{major}{minor}"),
            None => "an OpenCL device".into(),
        };
        Err(DeviceError::WrongDevice { device: about.name.clone(), expected, found })
    };
    match (text, about.capability) {
        (Text::OpenCl(text), None) => Ok(text.as_bytes()),
        (Text::OpenCl(_), Some(_)) => another("an OpenCL device".into()),
        (Text::Ptx { text, architecture: name, .. }, capability) => match (architecture(name), capability) {
            (Some(needed), Some(found)) if needed.runs_on(found) => Ok(text.as_bytes()),
            _ => another(name.clone()),
        },
        (Text::Cubin { bytes, architecture: name }, capability) => match (architecture(name), capability) {
            (Some(needed), Some(found)) if needed.runs_assembled_on(found) => Ok(bytes),
            _ => another(name.clone()),
        },
    }
}

/// Whether the device has room for a block of the kernel.
fn fits(device: &Device, entry: &super::KernelEntry) -> Result<(), DeviceError> {
    let about = device.about();
    let threads = entry.block.iter().map(|&threads| u64::from(threads)).product();
    let axis = entry.block.iter().zip(&about.block).find(|(needed, found)| needed > found);
    let limits = [
        ("threads in a block", threads, about.threads.into()),
        (
            "threads along one axis",
            axis.map_or(0, |(needed, _)| (*needed).into()),
            axis.map_or(0, |(_, found)| (*found).into()),
        ),
        ("bytes of shared memory", entry.shared_bytes.into(), about.shared_bytes),
    ];
    match limits.into_iter().find(|(_, needed, found)| needed > found) {
        None => Ok(()),
        Some((what, needed, found)) => {
            let (device, kernel) = (about.name.clone(), entry.name.clone());
            Err(DeviceError::TooLarge { device, kernel, what, needed, found })
        }
    }
}

impl fmt::Debug for DeviceKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceKernel").field("device", self.device()).field("signature", self.signature()).finish()
    }
}
