//! Pictures.

use std::io::{BufReader, BufWriter};
use std::path::Path;

use png::{BitDepth, ColorType, Decoder, Encoder, Limits, Transformations};
use runtime::{DType, Element, Tensor, TensorError};
use support::Diagnostic;

use super::{Wanted, create, malformed, open, unwritable};
use crate::{Error, Result};

/// Larger pictures are refused before memory is asked for.
const MOST_BYTES: usize = 1 << 30;

pub(super) fn read(path: &Path, wanted: &Wanted<'_>) -> Result<Tensor> {
    let mut decoder = Decoder::new_with_limits(BufReader::new(open(path)?), Limits { bytes: MOST_BYTES });
    // Palettes become colours, and fewer than eight bits become eight.
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(|error| malformed(path, &error))?;
    let (colour, depth) = reader.output_color_type();
    if depth != BitDepth::Eight {
        return Err(malformed(path, &"a picture with 16 bits for each channel: only 8 are read"));
    }
    let size = reader.output_buffer_size().filter(|&bytes| bytes <= MOST_BYTES);
    let size = size.ok_or_else(|| malformed(path, &"a picture of more than 1 GB"))?;
    let mut pixels = vec![0; size];
    reader.next_frame(&mut pixels).map_err(|error| malformed(path, &error))?;
    let (width, height) = reader.info().size();
    let shape = shape(path, wanted, [height.into(), width.into(), colour.samples() as i64])?;
    tensor(wanted.dtype, &shape, &pixels).ok_or_else(|| not_a_pixel(path, wanted))
}

pub(super) fn write(path: &Path, tensor: &Tensor) -> Result<()> {
    let refused = |reason: String| {
        let help =
            "a picture is height × width, or height × width × 1, 2, 3 or 4 channels, of uint8, float32 or float64";
        Error::user(Diagnostic::call("TC0925", format!("{}: {reason}", path.display())).help(help))
    };
    let (height, width, colour) = match *tensor.shape() {
        [height, width] | [height, width, 1] => (height, width, ColorType::Grayscale),
        [height, width, 2] => (height, width, ColorType::GrayscaleAlpha),
        [height, width, 3] => (height, width, ColorType::Rgb),
        [height, width, 4] => (height, width, ColorType::Rgba),
        ref other => return Err(refused(format!("no picture has the shape {other:?}"))),
    };
    let side = |extent: i64| u32::try_from(extent).ok().filter(|&side| side > 0);
    let (Some(width), Some(height)) = (side(width), side(height)) else {
        return Err(refused(format!("no picture is {width} wide and {height} high")));
    };
    let pixels = pixels(tensor).ok_or_else(|| refused(format!("no picture has pixels of type {}", tensor.dtype())))?;
    let mut encoder = Encoder::new(BufWriter::new(create(path)?), width, height);
    encoder.set_color(colour);
    encoder.set_depth(BitDepth::Eight);
    let save = || {
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&pixels)?;
        writer.finish()
    };
    save().map_err(|error| unwritable(path, &error))
}

/// Height and width, and the channels unless a tensor of two dimensions is wanted.
fn shape(path: &Path, wanted: &Wanted<'_>, [height, width, channels]: [i64; 3]) -> Result<Vec<i64>> {
    if wanted.rank != 2 {
        return Ok(vec![height, width, channels]);
    }
    if channels == 1 {
        return Ok(vec![height, width]);
    }
    let Wanted { name, .. } = wanted;
    let message = format!("`{name}` has 2 dimensions, but {} has {channels} channels", path.display());
    let help = format!("declare `{name}` with a third dimension, {name}(H, W, C), or convert the picture to grey");
    Err(Error::user(Diagnostic::call("TC0924", message).help(help)))
}

fn not_a_pixel(path: &Path, wanted: &Wanted<'_>) -> Error {
    let message =
        format!("`{}` has elements of type {}, but {} is a picture", wanted.name, wanted.dtype, path.display());
    Error::user(Diagnostic::call("TC0923", message).help("a picture is read as uint8, float32 or float64"))
}

/// `None` when the elements are of a type that no pixel is read as.
fn tensor(dtype: DType, shape: &[i64], pixels: &[u8]) -> Option<Tensor> {
    fn of<T: Element + From<u8>>(shape: &[i64], pixels: &[u8]) -> std::result::Result<Tensor, TensorError> {
        Tensor::from_slice(&pixels.iter().map(|&pixel| T::from(pixel)).collect::<Vec<T>>(), shape)
    }
    match dtype {
        DType::UINT8 => of::<u8>(shape, pixels).ok(),
        DType::FLOAT32 => of::<f32>(shape, pixels).ok(),
        DType::FLOAT64 => of::<f64>(shape, pixels).ok(),
        _ => None,
    }
}

fn pixels(tensor: &Tensor) -> Option<Vec<u8>> {
    // A float cast to an integer saturates, and NaN becomes 0.
    match tensor.dtype() {
        DType::UINT8 => Some(tensor.as_bytes().to_vec()),
        DType::FLOAT32 => Some(tensor.as_slice::<f32>().ok()?.iter().map(|value| value.round() as u8).collect()),
        DType::FLOAT64 => Some(tensor.as_slice::<f64>().ok()?.iter().map(|value| value.round() as u8).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn wanted(dtype: DType, rank: usize) -> Wanted<'static> {
        Wanted { name: "A", dtype, rank }
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        for channels in 1..=4 {
            let shape = [2, 3, channels];
            let bytes: Vec<u8> = (0..6 * channels as u8).map(|at| at * 10).collect();
            write(&path, &Tensor::from_slice(&bytes, &shape).unwrap()).unwrap();
            let back = read(&path, &wanted(DType::UINT8, 3)).unwrap();
            assert_eq!((back.shape(), back.as_bytes()), (&shape[..], &bytes[..]));
            let floats = read(&path, &wanted(DType::FLOAT32, 3)).unwrap();
            assert_eq!(floats.as_slice::<f32>().unwrap()[1], 10.0);
        }
        let error = read(&path, &wanted(DType::UINT8, 2)).unwrap_err();
        assert!(error.to_string().contains("4 channels"), "{error}");
        let error = read(&path, &wanted(DType::INT32, 3)).unwrap_err();
        assert!(error.to_string().contains("uint8, float32 or float64"), "{error}");
    }

    #[test]
    fn floats_are_clamped_and_rounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        let values = [-5.0_f32, 0.4, 0.5, 254.6, 300.0, f32::NAN];
        write(&path, &Tensor::from_slice(&values, &[2, 3]).unwrap()).unwrap();
        let back = read(&path, &wanted(DType::UINT8, 2)).unwrap();
        assert_eq!(back.as_bytes(), [0, 0, 1, 255, 255, 0]);
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        for (dtype, shape) in
            [(DType::FLOAT32, &[4][..]), (DType::FLOAT32, &[2, 2, 5]), (DType::INT32, &[2, 2]), (DType::UINT8, &[0, 2])]
        {
            let error = write(&path, &Tensor::zeros(dtype, shape).unwrap()).unwrap_err();
            assert_eq!(error.diagnostics()[0].code, "TC0925", "{error}");
            assert!(!path.exists());
        }
        fs::write(&path, b"no picture").unwrap();
        assert_eq!(read(&path, &wanted(DType::UINT8, 3)).unwrap_err().diagnostics()[0].code, "TC0922");
    }

    #[test]
    fn a_cut_picture_and_a_huge_one_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        write(&path, &Tensor::from_slice(&[7_u8; 64 * 64], &[64, 64]).unwrap()).unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(read(&path, &wanted(DType::UINT8, 2)).is_err());

        let mut bytes = Vec::new();
        let mut huge = Encoder::new(&mut bytes, 1 << 16, 1 << 15);
        huge.set_depth(BitDepth::Eight);
        let mut writer = huge.write_header().unwrap();
        writer.write_chunk(png::chunk::IDAT, &[0; 8]).unwrap();
        drop(writer);
        fs::write(&path, bytes).unwrap();
        let error = read(&path, &wanted(DType::UINT8, 2)).unwrap_err();
        assert!(error.to_string().contains("more than 1 GB"), "{error}");
    }
}
