//! The thirty kernels of PolyBench/C 4.2 (L.-N. Pouchet, T. Yuki, 2016), written with [`crate::builder`] from their formulas,
//! and in [`plain`] as loops in Rust. `float64` throughout but for `floyd_warshall` and `nussinov`, whose numbers are whole;
//! factors that are arguments there are constants here.

pub mod plain;
mod products;
mod solvers;
mod stencils;

use products::{
    atax, bicg, correlation, covariance, doitgen, gemm, gemver, gesummv, mvt, symm, syr2k, syrk, three_mm, trmm, two_mm,
};
use solvers::{cholesky, durbin, floyd_warshall, gramschmidt, lu, lu_right_looking, ludcmp, nussinov, trisolv};
use stencils::{adi, deriche, fdtd_2d, heat_3d, jacobi_1d, jacobi_2d, seidel_2d};

use crate::builder::{Builder, Program};
use crate::eval::{Data, Tensors};
use crate::testing::random_tensors;
use crate::{Scop, isl};

/// A kernel.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// Its name, also that of its Scop.
    pub name: &'static str,
    define: fn(&Builder),
    /// Sizes of a few elements to run it at, among them the smallest there are.
    pub sizes: &'static [&'static [i64]],
    /// The sizes of PolyBench's data sets, in the order of the program's parameters; of `gramschmidt` exchanged, because
    /// more vectors than dimensions are what rounding makes of them.
    pub sets: [&'static [i64]; 4],
}

/// The names of [`Kernel::sets`].
pub const SETS: [&str; 4] = ["MINI", "SMALL", "MEDIUM", "LARGE"];

impl Kernel {
    /// What PolyBench calls it.
    pub fn title(&self) -> String {
        match self.name {
            "two_mm" => "2mm".into(),
            "three_mm" => "3mm".into(),
            name => name.replace('_', "-"),
        }
    }

    /// The program with its text.
    ///
    /// # Panics
    /// When the builder refuses it; for tests only.
    pub fn program(&self, ctx: &isl::Ctx) -> Program {
        Program::build(ctx, self.name, self.define).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The program.
    ///
    /// # Panics
    /// When the builder refuses it; for tests only.
    pub fn scop(&self, ctx: &isl::Ctx) -> Scop {
        self.program(ctx).scop
    }

    /// Contents for every input and in-out: [`conditioned_tensors`], and what else the kernel needs for results that are
    /// finite at every size: correlations that make a definite matrix, distances that are not negative, four bases.
    pub fn tensors(&self, scop: &Scop, sizes: &[i64], seed: u64) -> Tensors {
        let mut tensors = conditioned_tensors(scop, sizes, seed);
        let mut change = |name: &str, to: &dyn Fn(f64) -> f64| {
            let data = tensors.get_mut(name).expect("one of the kernel's");
            let values: Vec<f64> = data.to_f64s().into_iter().map(to).collect();
            *data = Data::from_f64s(data.dtype, &data.shape, &values);
        };
        match self.name {
            "durbin" => change("r", &|x| x / (sizes[0] + 1) as f64),
            "floyd_warshall" => change("path", &|x| (x + 9.0) * 17.0),
            "nussinov" => change("seq", &|x| x.rem_euclid(4.0)),
            _ => {}
        }
        tensors
    }
}

/// Contents for every input and in-out of a program: random, and square matrices of floats symmetric with a heavy
/// diagonal, so that factorisations and solvers have something to work on.
pub fn conditioned_tensors(scop: &Scop, sizes: &[i64], seed: u64) -> Tensors {
    let mut tensors = random_tensors(scop, sizes, seed);
    for data in tensors.values_mut() {
        if let &[n, m] = data.shape.as_slice()
            && n == m
            && data.dtype.is_float()
        {
            *data = with_heavy_diagonal(data, n as usize);
        }
    }
    tensors
}

fn with_heavy_diagonal(data: &Data, n: usize) -> Data {
    let mut values = data.to_f64s();
    for i in 0..n {
        for j in 0..i {
            values[i * n + j] = values[j * n + i];
        }
        values[i * n + i] += 2.0 * n as f64;
    }
    Data::from_f64s(data.dtype, &data.shape, &values)
}

/// All of them.
pub const POLYBENCH: &[Kernel] = &[
    Kernel {
        name: "correlation",
        define: correlation,
        sizes: &[&[5, 4], &[2, 3]],
        sets: [&[32, 28], &[100, 80], &[260, 240], &[1400, 1200]],
    },
    Kernel {
        name: "covariance",
        define: covariance,
        sizes: &[&[5, 4], &[2, 1]],
        sets: [&[32, 28], &[100, 80], &[260, 240], &[1400, 1200]],
    },
    Kernel {
        name: "two_mm",
        define: two_mm,
        sizes: &[&[3, 4, 5, 2], &[1, 1, 1, 1], &[2, 3, 0, 2]],
        sets: [&[16, 18, 22, 24], &[40, 50, 70, 80], &[180, 190, 210, 220], &[800, 900, 1100, 1200]],
    },
    Kernel {
        name: "three_mm",
        define: three_mm,
        sizes: &[&[3, 4, 5, 2, 3], &[1, 1, 1, 1, 1]],
        sets: [&[16, 18, 20, 22, 24], &[40, 50, 60, 70, 80], &[180, 190, 200, 210, 220], &[800, 900, 1000, 1100, 1200]],
    },
    Kernel {
        name: "atax",
        define: atax,
        sizes: &[&[4, 5], &[1, 1]],
        sets: [&[38, 42], &[116, 124], &[390, 410], &[1900, 2100]],
    },
    Kernel {
        name: "bicg",
        define: bicg,
        sizes: &[&[4, 5], &[3, 1]],
        sets: [&[42, 38], &[124, 116], &[410, 390], &[2100, 1900]],
    },
    Kernel {
        name: "doitgen",
        define: doitgen,
        sizes: &[&[3, 4, 5], &[1, 1, 1]],
        sets: [&[10, 8, 12], &[25, 20, 30], &[50, 40, 60], &[150, 140, 160]],
    },
    Kernel { name: "mvt", define: mvt, sizes: &[&[5], &[1]], sets: [&[40], &[120], &[400], &[2000]] },
    Kernel {
        name: "gemm",
        define: gemm,
        sizes: &[&[3, 4, 5], &[1, 1, 1], &[4, 2, 0]],
        sets: [&[20, 25, 30], &[60, 70, 80], &[200, 220, 240], &[1000, 1100, 1200]],
    },
    Kernel { name: "gemver", define: gemver, sizes: &[&[5], &[1]], sets: [&[40], &[120], &[400], &[2000]] },
    Kernel { name: "gesummv", define: gesummv, sizes: &[&[5], &[1]], sets: [&[30], &[90], &[250], &[1300]] },
    Kernel {
        name: "symm",
        define: symm,
        sizes: &[&[4, 3], &[1, 2]],
        sets: [&[20, 30], &[60, 80], &[200, 240], &[1000, 1200]],
    },
    Kernel {
        name: "syr2k",
        define: syr2k,
        sizes: &[&[4, 3], &[1, 1]],
        sets: [&[30, 20], &[80, 60], &[240, 200], &[1200, 1000]],
    },
    Kernel {
        name: "syrk",
        define: syrk,
        sizes: &[&[5, 3], &[1, 4]],
        sets: [&[30, 20], &[80, 60], &[240, 200], &[1200, 1000]],
    },
    Kernel {
        name: "trmm",
        define: trmm,
        sizes: &[&[4, 3], &[1, 5]],
        sets: [&[20, 30], &[60, 80], &[200, 240], &[1000, 1200]],
    },
    Kernel { name: "cholesky", define: cholesky, sizes: &[&[6], &[1], &[2]], sets: [&[40], &[120], &[400], &[2000]] },
    Kernel { name: "durbin", define: durbin, sizes: &[&[6], &[1], &[2]], sets: [&[40], &[120], &[400], &[2000]] },
    Kernel {
        name: "gramschmidt",
        define: gramschmidt,
        sizes: &[&[5, 4], &[1, 1]],
        sets: [&[30, 20], &[80, 60], &[240, 200], &[1200, 1000]],
    },
    Kernel { name: "lu", define: lu, sizes: &[&[6], &[1], &[2]], sets: [&[40], &[120], &[400], &[2000]] },
    Kernel { name: "ludcmp", define: ludcmp, sizes: &[&[5], &[1], &[2]], sets: [&[40], &[120], &[400], &[2000]] },
    Kernel { name: "trisolv", define: trisolv, sizes: &[&[6], &[1]], sets: [&[40], &[120], &[400], &[2000]] },
    Kernel {
        name: "deriche",
        define: deriche,
        sizes: &[&[4, 5], &[1, 1]],
        sets: [&[64, 64], &[192, 128], &[720, 480], &[4096, 2160]],
    },
    Kernel {
        name: "floyd_warshall",
        define: floyd_warshall,
        sizes: &[&[6], &[1]],
        sets: [&[60], &[180], &[500], &[2800]],
    },
    Kernel { name: "nussinov", define: nussinov, sizes: &[&[8], &[1], &[2]], sets: [&[60], &[180], &[500], &[2500]] },
    Kernel {
        name: "adi",
        define: adi,
        sizes: &[&[2, 5], &[1, 3]],
        sets: [&[20, 20], &[40, 60], &[100, 200], &[500, 1000]],
    },
    Kernel {
        name: "fdtd_2d",
        define: fdtd_2d,
        sizes: &[&[3, 4, 5], &[1, 1, 1]],
        sets: [&[20, 20, 30], &[40, 60, 80], &[100, 200, 240], &[500, 1000, 1200]],
    },
    Kernel {
        name: "heat_3d",
        define: heat_3d,
        sizes: &[&[2, 5], &[1, 3]],
        sets: [&[20, 10], &[40, 20], &[100, 40], &[500, 120]],
    },
    Kernel {
        name: "jacobi_1d",
        define: jacobi_1d,
        sizes: &[&[3, 8], &[0, 4], &[2, 3]],
        sets: [&[20, 30], &[40, 120], &[100, 400], &[500, 2000]],
    },
    Kernel {
        name: "jacobi_2d",
        define: jacobi_2d,
        sizes: &[&[3, 6], &[1, 3]],
        sets: [&[20, 30], &[40, 90], &[100, 250], &[500, 1300]],
    },
    Kernel {
        name: "seidel_2d",
        define: seidel_2d,
        sizes: &[&[3, 6], &[2, 3]],
        sets: [&[20, 40], &[40, 120], &[100, 400], &[500, 2000]],
    },
];

/// The right-looking factorisation of PolyBench 3, for tests: each step updates what is left.
pub const LU_RIGHT_LOOKING: Kernel = Kernel {
    name: "lu_right_looking",
    define: lu_right_looking,
    sizes: &[&[6], &[1], &[2]],
    sets: [&[40], &[120], &[400], &[2000]],
};

/// The kernel with that name.
///
/// # Panics
/// When there is none.
pub fn polybench(name: &str) -> Kernel {
    let kernel = POLYBENCH.iter().chain([&LU_RIGHT_LOOKING]).find(|kernel| kernel.name == name);
    *kernel.unwrap_or_else(|| panic!("no kernel is called {name}"))
}
