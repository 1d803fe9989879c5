//! Runs a package on this machine's processor: `call FOLDER [M=4 …]`. Its inputs are ones.
//!
//! It is what a program that ships kernels has of this crate: `benches/size.sh` measures how much that is.

use runtime::{DType, Package, Pool, Tensor};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("call FOLDER [M=4 …]")?;
    let arguments: Vec<String> = arguments.collect();
    let sizes: Vec<(&str, i64)> = arguments
        .iter()
        .map(|text| {
            let (name, value) = text.split_once('=').ok_or("sizes are written M=4")?;
            Ok((name, value.parse()?))
        })
        .collect::<Result<_, Box<dyn Error>>>()?;
    // SAFETY: whoever runs this vouches for the folder.
    let package = unsafe { Package::load(Path::new(&folder)) }?;
    let kernel = package.kernel(&sizes)?;
    let of = |argument: &runtime::Argument| Tensor::zeros(argument.dtype, &argument.shape);
    let mut inputs = kernel.signature().inputs().map(of).collect::<Result<Vec<_>, _>>()?;
    for input in &mut inputs {
        if input.dtype() == DType::FLOAT32 {
            input.as_mut_slice::<f32>()?.fill(1.0);
        }
    }
    let mut outputs = kernel.signature().outputs().map(of).collect::<Result<Vec<_>, _>>()?;
    let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
    kernel.run(&views, &mut outputs.iter_mut().map(Tensor::view_mut).collect::<Vec<_>>(), &Pool::global())?;
    for (argument, output) in kernel.signature().outputs().zip(&outputs) {
        let first = output.as_slice::<f32>().ok().and_then(|values| values.first().map(|value| *value as i64));
        println!("{} {:?} {:?}", argument.name, argument.shape, first);
    }
    Ok(())
}
