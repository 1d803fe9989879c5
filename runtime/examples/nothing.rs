//! What `call` has besides this crate: `benches/size.sh` takes it off.

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
    let bytes = std::fs::read(Path::new(&folder).join("package.json"))?;
    println!("{sizes:?} {:?}", bytes.first());
    Ok(())
}
