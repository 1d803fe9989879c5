//! What a program has of the standard library: `benches/size.sh` takes it off.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for argument in std::env::args().skip(1) {
        println!("{argument}");
    }
    Ok(())
}
