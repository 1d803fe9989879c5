//! NumPy's own format.
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>

use std::io::{BufReader, BufWriter, Cursor, Read, Write};
use std::path::Path;

use npyz::{Endianness, NpyHeader, Order, TypeChar, TypeStr, WriteOptions, WriterBuilder};
use runtime::{DType, Tensor};
use support::Diagnostic;

use super::{Wanted, create, malformed, open, unreadable, unwritable};
use crate::{Error, Result};

/// NumPy refuses longer headers, too (`max_header_size`).
const LONGEST_HEADER: usize = 10_000;
/// Brackets inside brackets of a header; a plain array has two levels.
const DEEPEST_HEADER: usize = 8;

pub(super) fn read(path: &Path, wanted: &Wanted<'_>) -> Result<Tensor> {
    let file = open(path)?;
    let size = file.metadata().map_err(|error| unreadable(path, &error))?.len();
    let mut reader = BufReader::new(file);
    let (header, header_bytes) = read_header(&mut reader).map_err(|reason| malformed(path, &reason))?;
    let (dtype, swapped) = element_type(&header).map_err(|reason| malformed(path, &reason))?;
    if dtype != wanted.dtype {
        return Err(wrong_type(path, wanted, dtype));
    }
    let too_large = || malformed(path, &"its shape is larger than any memory");
    let shape: Vec<i64> =
        header.shape().iter().map(|&extent| i64::try_from(extent).ok()).collect::<Option<_>>().ok_or_else(too_large)?;
    let expected = byte_count(&shape, dtype).ok_or_else(too_large)?;
    let found = size.saturating_sub(header_bytes);
    if found != expected {
        let reason = format!("its header promises {expected} bytes of elements ({dtype}{shape:?}), but {found} follow");
        return Err(malformed(path, &reason));
    }
    let mut bytes = Vec::with_capacity(expected as usize);
    reader.take(expected).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    if swapped {
        bytes.chunks_exact_mut(dtype.bytes()).for_each(|element| element.reverse());
    }
    if header.order() == Order::Fortran {
        bytes = row_major(&bytes, &shape, dtype.bytes());
    }
    Tensor::from_bytes(dtype, &shape, &bytes).map_err(|error| malformed(path, &error))
}

pub(super) fn write(path: &Path, tensor: &Tensor) -> Result<()> {
    let descr = descr(tensor.dtype()).ok_or_else(|| {
        let message = format!("{}: NumPy has no type for {} elements", path.display(), tensor.dtype());
        Error::user(Diagnostic::call("TC0925", message).help("cast to float32 in the program"))
    })?;
    let shape: Vec<u64> = tensor.shape().iter().map(|&extent| extent.unsigned_abs()).collect();
    let writer = BufWriter::new(create(path)?);
    let options = WriteOptions::new_header_only().dtype(npyz::DType::Plain(descr)).shape(&shape).writer(writer);
    let save = || {
        let mut writer = options.write_header_only()?;
        writer.write_all(tensor.as_bytes())?;
        writer.flush()
    };
    save().map_err(|error: std::io::Error| unwritable(path, &error))
}

/// The header, and how many bytes it takes.
fn read_header(reader: &mut impl Read) -> std::result::Result<(NpyHeader, u64), String> {
    let not_npy = || "not a .npy file: it does not begin as one".to_string();
    let mut start = [0; 8];
    reader.read_exact(&mut start).map_err(|_| not_npy())?;
    if &start[..6] != b"\x93NUMPY" {
        return Err(not_npy());
    }
    let length_bytes = match start[6] {
        1 => 2,
        2 | 3 => 4,
        version => return Err(format!("version {version} of the .npy format is not known")),
    };
    let cut = |_| "the file ends inside its header".to_string();
    let mut length = [0; 4];
    reader.read_exact(&mut length[..length_bytes]).map_err(cut)?;
    let text_bytes = u32::from_le_bytes(length) as usize;
    if text_bytes > LONGEST_HEADER {
        return Err(format!("its header of {text_bytes} bytes is too long for an array of plain numbers"));
    }
    let mut text = vec![0; text_bytes];
    reader.read_exact(&mut text).map_err(cut)?;
    is_plain(&text)?;
    let whole = [&start[..], &length[..length_bytes], &text].concat();
    let header =
        NpyHeader::from_reader(Cursor::new(&whole)).map_err(|error| format!("its header is malformed: {error}"))?;
    Ok((header, whole.len() as u64))
}

/// Refuses what no array of numbers has and a parser may stumble over: deep nesting, escapes, numbers in other notations,
/// and extents whose product overflows.
fn is_plain(text: &[u8]) -> std::result::Result<(), String> {
    let odd = || "its header is not that of a plain array".to_string();
    let mut depth = 0_usize;
    for pair in text.windows(2) {
        match pair[0] {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'\\' => return Err(odd()),
            digit if digit.is_ascii_digit() && (pair[1].is_ascii_alphabetic() || pair[1] == b'_') => return Err(odd()),
            _ => {}
        }
        if depth > DEEPEST_HEADER {
            return Err(odd());
        }
    }
    let numbers = text.split(|byte| !byte.is_ascii_digit()).filter(|run| !run.is_empty());
    let number = |run: &[u8]| std::str::from_utf8(run).ok()?.parse::<i64>().ok();
    let product = |all: Option<i64>, run| all?.checked_mul(number(run)?.max(1));
    numbers.fold(Some(1), product).map(|_| ()).ok_or_else(|| "its shape is larger than any memory".into())
}

/// The type of the elements, and whether their bytes lie the other way round than here.
fn element_type(header: &NpyHeader) -> std::result::Result<(DType, bool), String> {
    let dtype = header.dtype();
    let npyz::DType::Plain(text) = &dtype else {
        return Err(format!("its elements are records, {}, not plain numbers", dtype.descr()));
    };
    if text.uses_pickled_array() {
        return Err("its elements are pickled Python objects: they are not read, since that could run code".into());
    }
    let name = match (text.type_char(), text.size_field()) {
        (TypeChar::Bool, _) => "bool".to_string(),
        (TypeChar::Int, bytes) => format!("int{}", bytes.saturating_mul(8)),
        (TypeChar::Uint, bytes) => format!("uint{}", bytes.saturating_mul(8)),
        (TypeChar::Float, bytes) => format!("float{}", bytes.saturating_mul(8)),
        _ => text.to_string(),
    };
    let known = name.parse::<DType>().map_err(|_| format!("elements of the type {text} are not known here"))?;
    let order = if cfg!(target_endian = "big") { Endianness::Little } else { Endianness::Big };
    Ok((known, text.endianness() == order && known.bytes() > 1))
}

fn wrong_type(path: &Path, wanted: &Wanted<'_>, found: DType) -> Error {
    let Wanted { name, dtype, .. } = wanted;
    let message = format!("`{name}` has elements of type {dtype}, but {} holds {found}", path.display());
    let cast = match *dtype {
        DType::BOOL => "bool",
        other => other.name(),
    };
    let help = format!(
        "convert the file with NumPy, `numpy.save(file, array.astype(\"{cast}\"))`, or declare `{name}` as {found}"
    );
    Error::user(Diagnostic::call("TC0923", message).help(help))
}

fn byte_count(shape: &[i64], dtype: DType) -> Option<u64> {
    let elements = shape.iter().try_fold(1_i64, |product, &extent| product.checked_mul(extent))?;
    u64::try_from(elements.checked_mul(dtype.bytes() as i64)?).ok()
}

/// The elements of a column-major array in row-major order.
fn row_major(bytes: &[u8], shape: &[i64], width: usize) -> Vec<u8> {
    let extents: Vec<usize> = shape.iter().map(|&extent| extent as usize).collect();
    let mut strides = Vec::with_capacity(extents.len());
    let mut stride = width;
    for extent in &extents {
        strides.push(stride);
        stride *= extent;
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = vec![0; extents.len()];
    let mut from = 0;
    while out.len() < bytes.len() {
        out.extend_from_slice(&bytes[from..from + width]);
        for dim in (0..at.len()).rev() {
            at[dim] += 1;
            from += strides[dim];
            if at[dim] < extents[dim] {
                break;
            }
            from -= strides[dim] * extents[dim];
            at[dim] = 0;
        }
    }
    out
}

/// NumPy's name of a type.
fn descr(dtype: DType) -> Option<TypeStr> {
    let (kind, order) = match dtype {
        DType::BOOL => ('b', '|'),
        DType::BFLOAT16 => return None,
        DType::FLOAT16 | DType::FLOAT32 | DType::FLOAT64 => ('f', native_order()),
        DType::INT8 => ('i', '|'),
        DType::UINT8 => ('u', '|'),
        DType::INT16 | DType::INT32 | DType::INT64 => ('i', native_order()),
        _ => ('u', native_order()),
    };
    format!("{order}{kind}{}", dtype.bytes()).parse().ok()
}

fn native_order() -> char {
    if cfg!(target_endian = "big") { '>' } else { '<' }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn file(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY".to_vec();
        bytes.extend([version, 0]);
        match version {
            1 => bytes.extend((header.len() as u16).to_le_bytes()),
            _ => bytes.extend((header.len() as u32).to_le_bytes()),
        }
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn read_bytes(bytes: &[u8], dtype: DType, rank: usize) -> Result<Tensor> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        fs::write(&path, bytes).unwrap();
        super::super::read(&path, &Wanted { name: "A", dtype, rank })
    }

    #[track_caller]
    fn refused(bytes: &[u8], code: &str, words: &str) {
        let error = read_bytes(bytes, DType::FLOAT32, 1).unwrap_err();
        assert_eq!(error.diagnostics()[0].code, code, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }

    const HEADER: &str = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n";

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        for name in [
            "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32",
            "float64",
        ] {
            let dtype: DType = name.parse().unwrap();
            for shape in [&[][..], &[3], &[0, 4], &[2, 3, 4]] {
                let count: i64 = shape.iter().product();
                let bytes: Vec<u8> = (0..count as usize * dtype.bytes()).map(|at| at as u8 % 2).collect();
                let tensor = Tensor::from_bytes(dtype, shape, &bytes).unwrap();
                write(&path, &tensor).unwrap();
                let back = read(&path, &Wanted { name: "A", dtype, rank: shape.len() }).unwrap();
                assert_eq!((back.dtype(), back.shape(), back.as_bytes()), (dtype, shape, &bytes[..]));
            }
        }
        let bf16 = Tensor::zeros(DType::BFLOAT16, &[2]).unwrap();
        assert_eq!(write(&path, &bf16).unwrap_err().diagnostics()[0].code, "TC0925");
    }

    #[test]
    fn both_byte_orders_and_both_element_orders() {
        let values = [1.5_f32, -2.0, 3.25, 4.0, 5.0, 6.0];
        let big: Vec<u8> = values.iter().flat_map(|value| value.to_be_bytes()).collect();
        let header = "{'descr': '>f4', 'fortran_order': True, 'shape': (2, 3), }\n";
        let tensor = read_bytes(&file(1, header, &big), DType::FLOAT32, 2).unwrap();
        assert_eq!(tensor.as_slice::<f32>().unwrap(), [1.5, 3.25, 5.0, -2.0, 4.0, 6.0]);
        for version in [1, 2, 3] {
            let little: Vec<u8> = values[..2].iter().flat_map(|value| value.to_le_bytes()).collect();
            let tensor = read_bytes(&file(version, HEADER, &little), DType::FLOAT32, 1).unwrap();
            assert_eq!(tensor.as_slice::<f32>().unwrap(), [1.5, -2.0]);
        }
    }

    #[test]
    fn another_type_is_refused_with_both_names() {
        let bytes = file(1, &HEADER.replace("<f4", "<f8"), &[0; 16]);
        refused(&bytes, "TC0923", "`A` has elements of type float32");
        refused(&bytes, "TC0923", "holds float64");
        refused(&bytes, "TC0923", "astype(\"float32\")");
    }

    #[test]
    fn broken_files_are_refused() {
        refused(b"", "TC0922", "not a .npy file");
        refused(b"PK\x03\x04 something else", "TC0922", "not a .npy file");
        refused(&file(9, HEADER, &[0; 8]), "TC0922", "version 9");
        refused(&file(1, HEADER, &[0; 8])[..30], "TC0922", "ends inside its header");
        refused(&file(1, HEADER, &[0; 7]), "TC0922", "promises 8 bytes");
        refused(&file(1, HEADER, &[0; 9]), "TC0922", "but 9 follow");
        refused(&file(1, &HEADER.replace("<f4", "|O"), &[0; 8]), "TC0922", "pickled Python objects");
        refused(&file(1, &HEADER.replace("'<f4'", "[('a', '<f4')]"), &[0; 8]), "TC0922", "records");
        refused(&file(1, &HEADER.replace("<f4", "<c8"), &[0; 16]), "TC0922", "<c8");
        refused(&file(1, "{}", &[]), "TC0922", "malformed");
        refused(&file(1, "\u{fffd}", &[]), "TC0922", "malformed");
    }

    #[test]
    fn hostile_headers_are_refused_before_anything_is_allocated() {
        refused(&file(2, &" ".repeat(20_000), &[]), "TC0922", "too long");
        let mut huge = file(2, "", &[]);
        huge[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        refused(&huge, "TC0922", "too long");
        refused(&file(1, &"(".repeat(9_000), &[]), "TC0922", "not that of a plain array");
        for shape in ["9223372036854775807, 9223372036854775807", "99999999999999999999", "0, 4611686018427387904, 8"] {
            refused(&file(1, &HEADER.replace("2,", shape), &[0; 8]), "TC0922", "larger than any memory");
        }
        refused(&file(1, &HEADER.replace("2,", "1000000000,"), &[0; 8]), "TC0922", "promises 4000000000 bytes");
        refused(&file(1, &HEADER.replace("2,", "0x7fffffffffffffff,"), &[0; 8]), "TC0922", "not that of a plain array");
        refused(&file(1, &HEADER.replace("2,", "-2,"), &[0; 8]), "TC0922", "negative");
    }

    #[test]
    fn a_bool_that_is_no_bool_is_refused() {
        let bytes = file(1, &HEADER.replace("<f4", "|b1"), &[1, 2]);
        assert!(read_bytes(&bytes, DType::BOOL, 1).unwrap_err().to_string().contains("neither 0 nor 1"));
    }

    #[test]
    fn another_rank_is_refused() {
        let error = read_bytes(&file(1, HEADER, &[0; 8]), DType::FLOAT32, 2).unwrap_err();
        assert!(error.to_string().contains("`A` has 2 dimensions"), "{error}");
    }
}
