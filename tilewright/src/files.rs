//! Tensors in files: `.npy` as NumPy writes it, and `.png` pictures.
//!
//! The ending of the name decides. A `.npy` file must hold exactly the element type that is wanted: nothing is converted
//! behind the caller's back. A picture is a tensor of height × width, or height × width × channels, with values from 0 to
//! 255, as `uint8`, `float32` or `float64`.

mod npy;
mod png;

use std::fs::{self, File};
use std::path::Path;

use runtime::{DType, Tensor};
use support::Diagnostic;

use crate::{Error, Result};

/// What a file is read for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The tensor's name, for messages.
    pub name: &'a str,
    /// The type of its elements.
    pub dtype: DType,
    /// How many dimensions it has.
    pub rank: usize,
}

/// Reads a tensor from a `.npy` or a `.png` file.
///
/// # Errors
/// When there is no such file, when it is not what its name says, and when its elements or its rank are not those wanted.
pub fn read(path: &Path, wanted: &Wanted<'_>) -> Result<Tensor> {
    let tensor = match Format::of(path)? {
        Format::Npy => npy::read(path, wanted)?,
        Format::Png => png::read(path, wanted)?,
    };
    let found = tensor.shape().len();
    if found == wanted.rank {
        return Ok(tensor);
    }
    let message = format!(
        "`{}` has {} dimensions, but {} holds {found}: {:?}",
        wanted.name,
        wanted.rank,
        path.display(),
        tensor.shape()
    );
    Err(Error::user(Diagnostic::call("TC0924", message)))
}

/// Writes a tensor to a `.npy` or a `.png` file. Pictures are clamped to 0..=255 and rounded.
///
/// # Errors
/// When the file cannot be written, and when a picture cannot hold the tensor.
pub fn write(path: &Path, tensor: &Tensor) -> Result<()> {
    match Format::of(path)? {
        Format::Npy => npy::write(path, tensor),
        Format::Png => png::write(path, tensor),
    }
}

/// Writes a text file.
///
/// # Errors
/// When it cannot be written.
pub fn write_text(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| unwritable(path, &error))
}

/// Reads a text file of at most `limit` bytes.
///
/// # Errors
/// When there is no such file, when it is larger, and when it is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String> {
    let file = open(path)?;
    let bytes = read_at_most(file, limit).map_err(|error| unreadable(path, &error))?;
    let Some(bytes) = bytes else {
        let message = format!("{} is larger than {} MB", path.display(), limit >> 20);
        return Err(Error::user(Diagnostic::call("TC0920", message).help("is this the file that you meant?")));
    };
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let message = format!("{} is not UTF-8 text: byte {at} does not belong to any character", path.display());
        Error::user(Diagnostic::call("TC0920", message).help("is this the file that you meant?"))
    })
}

/// Checks that the name says which kind of file it is, before there is anything to write.
///
/// # Errors
/// When the name ends neither in .npy nor in .png.
pub fn check_name(path: &Path) -> Result<()> {
    Format::of(path).map(|_| ())
}

/// The kinds of file, by the ending of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Npy,
    Png,
}

impl Format {
    fn of(path: &Path) -> Result<Format> {
        match path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("npy") => Ok(Format::Npy),
            Some("png") => Ok(Format::Png),
            _ => {
                let message = format!("{}: the name ends neither in .npy nor in .png", path.display());
                Err(Error::user(
                    Diagnostic::call("TC0921", message).help("tensors are read and written as .npy or .png"),
                ))
            }
        }
    }
}

/// `None` when there is more than `limit` bytes.
fn read_at_most(file: impl std::io::Read, limit: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, limit + 1), &mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

fn open(path: &Path) -> Result<File> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    if file.metadata().is_ok_and(|data| data.is_dir()) {
        return Err(unreadable(path, &"it is a directory"));
    }
    Ok(file)
}

/// Opens a file to be written; what it held is gone.
fn create(path: &Path) -> Result<File> {
    File::create(path).map_err(|error| unwritable(path, &error))
}

/// Makes a directory for outputs, and those around it.
///
/// # Errors
/// When it cannot be made.
pub fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| unwritable(path, &error))
}

fn unreadable(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::user(Diagnostic::call("TC0920", format!("cannot read {}: {reason}", path.display())))
}

fn unwritable(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::user(Diagnostic::call("TC0925", format!("cannot write {}: {reason}", path.display())))
}

/// The file is not what its name says.
fn malformed(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::user(Diagnostic::call("TC0922", format!("{}: {reason}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_decides() {
        assert_eq!(Format::of(Path::new("a.npy")).unwrap(), Format::Npy);
        assert_eq!(Format::of(Path::new("d.x/a.PNG")).unwrap(), Format::Png);
        for name in ["a", "a.npz", "npy", ".npy"] {
            assert_eq!(Format::of(Path::new(name)).unwrap_err().diagnostics()[0].code, "TC0921", "{name}");
        }
    }

    #[test]
    fn text_has_a_limit_and_must_be_utf8() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tc");
        let code = |limit| read_text(&path, limit).map_err(|error| error.diagnostics()[0].code);
        assert_eq!(code(4), Err("TC0920"));
        fs::write(&path, "abcd").unwrap();
        assert_eq!(code(4), Ok("abcd".into()));
        assert_eq!(code(3), Err("TC0920"));
        fs::write(&path, [b'a', 0xff]).unwrap();
        assert_eq!(code(4), Err("TC0920"));
        assert!(read_text(dir.path(), 4).unwrap_err().to_string().contains("directory"));
    }
}
