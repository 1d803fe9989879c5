//! `rust-peers gemm|matrixmultiply THREADS`: matrix products by libraries written in Rust. The protocol is that of
//! `../worker.py`.

use std::error::Error;
use std::fs;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gemm::f16;
use serde::Deserialize;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let library = arguments.next().ok_or("which library?")?;
    let threads: usize = arguments.next().ok_or("how many threads?")?.parse()?;
    let mut product = None;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (request, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match (request, &mut product) {
            ("prepare", product) => prepare(Path::new(rest), &library, threads, product),
            ("results", Some(product)) => product.call().and_then(|()| product.write()),
            ("measure", Some(product)) => measure(product, rest),
            _ => Err("nothing is prepared".into()),
        };
        println!("{}", answer.unwrap_or_else(|error| format!("error {error}")));
        io::stdout().flush()?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Workload {
    op: String,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

#[derive(Deserialize)]
struct Tensor {
    name: String,
    dtype: String,
    shape: Vec<usize>,
}

fn prepare(folder: &Path, library: &str, threads: usize, product: &mut Option<Box<dyn Product>>) -> Result<String> {
    let workload: Workload = serde_json::from_slice(&fs::read(folder.join("workload.json"))?)?;
    let [a, b] = workload.inputs.as_slice() else { return Ok("skip".into()) };
    let transposed = match workload.op.as_str() {
        "gemm" | "hgemm" => false,
        "tmm" | "tbmm" => true,
        _ => return Ok("skip".into()),
    };
    let output = &workload.outputs[0];
    // Of a batch, the products one after the other.
    let (batch, rows) = if a.shape.len() == 3 { (a.shape[0], &a.shape[1..]) } else { (1, &a.shape[..]) };
    let columns = output.shape[output.shape.len() - 1];
    let shape = Shape { batch, m: rows[0], k: rows[1], n: columns, transposed, threads };
    let library = if library == "gemm" { Library::Gemm } else { Library::Matrixmultiply };
    let file = folder.join(format!("{}.{}.bin", output.name, library.name()));
    let read = |tensor: &Tensor| fs::read(folder.join(format!("{}.bin", tensor.name)));
    let made: Box<dyn Product> = match a.dtype.as_str() {
        "float32" => Box::new(Of::<f32>::new(library, shape, file, read(a)?, read(b)?)),
        "float64" => Box::new(Of::<f64>::new(library, shape, file, read(a)?, read(b)?)),
        "float16" if library == Library::Gemm => Box::new(Of::<f16>::new(library, shape, file, read(a)?, read(b)?)),
        _ => return Ok("skip".into()),
    };
    *product = Some(made);
    Ok("ok".into())
}

fn measure(product: &mut Box<dyn Product>, limits: &str) -> Result<String> {
    let (most, seconds) = limits.split_once(' ').ok_or("how many calls, how many seconds?")?;
    let (most, seconds): (usize, f64) = (most.parse()?, seconds.parse()?);
    product.call()?;
    let (end, mut times) = (Instant::now() + Duration::from_secs_f64(seconds), String::from("ns"));
    for done in 0..most {
        let start = Instant::now();
        if done > 0 && start > end {
            break;
        }
        product.call()?;
        times += &format!(" {}", start.elapsed().as_nanos());
    }
    Ok(times)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Library {
    Gemm,
    Matrixmultiply,
}

impl Library {
    fn name(self) -> &'static str {
        match self {
            Library::Gemm => "gemm",
            Library::Matrixmultiply => "matrixmultiply",
        }
    }
}

#[derive(Clone, Copy)]
struct Shape {
    batch: usize,
    m: usize,
    k: usize,
    n: usize,
    transposed: bool,
    threads: usize,
}

trait Product {
    fn call(&mut self) -> Result<()>;
    fn write(&self) -> Result<String>;
}

struct Of<T> {
    library: Library,
    shape: Shape,
    file: PathBuf,
    a: Vec<T>,
    b: Vec<T>,
    c: Vec<T>,
}

trait Element: Copy + Default + 'static {
    const BYTES: usize;
    fn from_bytes(bytes: &[u8]) -> Self;
    fn append_to(self, bytes: &mut Vec<u8>);
    const ONE: Self;
    /// The function of matrixmultiply, where it has one.
    const MATRIXMULTIPLY: Option<Matrixmultiply<Self>>;
}

/// `c = α·a·b + β·c`: extents, α, then each matrix with its strides, with β before the last.
type Matrixmultiply<T> =
    unsafe fn(usize, usize, usize, T, *const T, isize, isize, *const T, isize, isize, T, *mut T, isize, isize);

macro_rules! element {
    ($t:ty, $one:expr, $matrixmultiply:expr) => {
        impl Element for $t {
            const BYTES: usize = size_of::<$t>();
            const ONE: $t = $one;
            const MATRIXMULTIPLY: Option<Matrixmultiply<$t>> = $matrixmultiply;
            fn from_bytes(bytes: &[u8]) -> $t {
                <$t>::from_le_bytes(bytes.try_into().expect("the chunks have that size"))
            }
            fn append_to(self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_le_bytes());
            }
        }
    };
}

element!(f32, 1.0, Some(matrixmultiply::sgemm));
element!(f64, 1.0, Some(matrixmultiply::dgemm));
element!(f16, f16::ONE, None);

impl<T: Element> Of<T> {
    fn new(library: Library, shape: Shape, file: PathBuf, a: Vec<u8>, b: Vec<u8>) -> Of<T> {
        let elements = |bytes: Vec<u8>| bytes.chunks_exact(T::BYTES).map(T::from_bytes).collect();
        Of {
            library,
            shape,
            file,
            a: elements(a),
            b: elements(b),
            c: vec![T::default(); shape.batch * shape.m * shape.n],
        }
    }
}

impl<T: Element> Product for Of<T> {
    fn call(&mut self) -> Result<()> {
        let Shape { batch, m, k, n, transposed, threads } = self.shape;
        let strides = if transposed { [1, k as isize] } else { [n as isize, 1] };
        let parallelism = if threads == 1 { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(threads) };
        for at in 0..batch {
            let (a, b) = (&self.a[at * m * k..][..m * k], &self.b[at * k * n..][..k * n]);
            let c = &mut self.c[at * m * n..][..m * n];
            // SAFETY: the slices have as many elements as the extents and strides reach.
            unsafe {
                match self.library {
                    Library::Matrixmultiply => {
                        let product = T::MATRIXMULTIPLY.ok_or("it has no products of this type")?;
                        let (a, b, c, [row, column]) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr(), strides);
                        product(m, k, n, T::ONE, a, k as isize, 1, b, row, column, T::default(), c, n as isize, 1);
                    }
                    Library::Gemm => gemm::gemm(
                        m,
                        n,
                        k,
                        c.as_mut_ptr(),
                        1,
                        n as isize,
                        false,
                        a.as_ptr(),
                        1,
                        k as isize,
                        b.as_ptr(),
                        strides[1],
                        strides[0],
                        T::default(),
                        T::ONE,
                        false,
                        false,
                        false,
                        parallelism,
                    ),
                }
            }
        }
        Ok(())
    }

    fn write(&self) -> Result<String> {
        let mut bytes = Vec::with_capacity(self.c.len() * T::BYTES);
        self.c.iter().for_each(|element| element.append_to(&mut bytes));
        fs::write(&self.file, bytes)?;
        Ok("ok".into())
    }
}
