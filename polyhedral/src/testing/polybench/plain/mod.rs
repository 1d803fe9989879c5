//! The kernels once more, as loops in Rust over `f64`: what [`POLYBENCH`](super::POLYBENCH) must compute.

mod products;
mod solvers;
mod stencils;

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};

use crate::eval::{Data, Tensors};
use products::{
    atax, bicg, correlation, covariance, doitgen, gemm, gemver, gesummv, mvt, symm, syr2k, syrk, three_mm, trmm, two_mm,
};
use solvers::{cholesky, durbin, floyd_warshall, gramschmidt, lu, lu_right_looking, ludcmp, nussinov, trisolv};
use stencils::{adi, deriche, fdtd_2d, heat_3d, jacobi_1d, jacobi_2d, seidel_2d};

/// A dense tensor.
#[derive(Clone, Debug)]
pub struct Array {
    shape: Vec<usize>,
    values: Vec<f64>,
}

/// Tensors by name; what is not there yet is 0 where it is made.
pub struct Arrays(BTreeMap<String, Array>);

impl Array {
    fn zeros<const R: usize>(shape: [usize; R]) -> Array {
        Array { shape: shape.to_vec(), values: vec![0.0; shape.iter().product()] }
    }

    fn of(data: &Data) -> Array {
        Array { shape: data.shape.iter().map(|&n| n as usize).collect(), values: data.to_f64s() }
    }

    fn at<const R: usize>(&self, index: [usize; R]) -> usize {
        assert_eq!(R, self.shape.len());
        index.iter().zip(&self.shape).fold(0, |at, (&i, &n)| {
            assert!(i < n, "{index:?} in {:?}", self.shape);
            at * n + i
        })
    }

    /// Its elements, the last dimension running fastest.
    pub fn values(&self) -> &[f64] {
        &self.values
    }
}

impl<const R: usize> Index<[usize; R]> for Array {
    type Output = f64;
    fn index(&self, index: [usize; R]) -> &f64 {
        &self.values[self.at(index)]
    }
}

impl<const R: usize> IndexMut<[usize; R]> for Array {
    fn index_mut(&mut self, index: [usize; R]) -> &mut f64 {
        let at = self.at(index);
        &mut self.values[at]
    }
}

impl Arrays {
    /// What a kernel is given.
    pub fn of(tensors: &Tensors) -> Arrays {
        Arrays(tensors.iter().map(|(name, data)| (name.clone(), Array::of(data))).collect())
    }

    /// The one with that name.
    ///
    /// # Panics
    /// When there is none.
    pub fn get(&self, name: &str) -> &Array {
        self.0.get(name).unwrap_or_else(|| panic!("no {name}"))
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Array)> {
        self.0.iter().map(|(name, array)| (name.as_str(), array))
    }

    /// What the kernel was given.
    fn take(&mut self, name: &str) -> Array {
        self.0.remove(name).unwrap_or_else(|| panic!("no {name}"))
    }

    fn put(&mut self, name: &str, array: Array) {
        self.0.insert(name.into(), array);
    }
}

/// Runs the plain version of a kernel: results take the place of what was given.
///
/// # Panics
/// When there is no such kernel, or it is not given what it reads.
pub fn run(name: &str, sizes: &[i64], t: &mut Arrays) {
    let s: Vec<usize> = sizes.iter().map(|&n| n as usize).collect();
    match name {
        "gemm" => gemm([s[0], s[1], s[2]], t),
        "two_mm" => two_mm([s[0], s[1], s[2], s[3]], t),
        "three_mm" => three_mm([s[0], s[1], s[2], s[3], s[4]], t),
        "syrk" => syrk([s[0], s[1]], t),
        "syr2k" => syr2k([s[0], s[1]], t),
        "trmm" => trmm([s[0], s[1]], t),
        "symm" => symm([s[0], s[1]], t),
        "atax" => atax([s[0], s[1]], t),
        "bicg" => bicg([s[0], s[1]], t),
        "mvt" => mvt(s[0], t),
        "gemver" => gemver(s[0], t),
        "gesummv" => gesummv(s[0], t),
        "doitgen" => doitgen([s[0], s[1], s[2]], t),
        "cholesky" => cholesky(s[0], t),
        "lu" => lu(s[0], t),
        "lu_right_looking" => lu_right_looking(s[0], t),
        "ludcmp" => ludcmp(s[0], t),
        "trisolv" => trisolv(s[0], t),
        "durbin" => durbin(s[0], t),
        "gramschmidt" => gramschmidt([s[0], s[1]], t),
        "covariance" => covariance([s[0], s[1]], t),
        "correlation" => correlation([s[0], s[1]], t),
        "floyd_warshall" => floyd_warshall(s[0], t),
        "nussinov" => nussinov(s[0], t),
        "jacobi_1d" => jacobi_1d([s[0], s[1]], t),
        "jacobi_2d" => jacobi_2d([s[0], s[1]], t),
        "seidel_2d" => seidel_2d([s[0], s[1]], t),
        "heat_3d" => heat_3d([s[0], s[1]], t),
        "fdtd_2d" => fdtd_2d([s[0], s[1], s[2]], t),
        "adi" => adi([s[0], s[1]], t),
        "deriche" => deriche([s[0], s[1]], t),
        other => panic!("no plain version of {other}"),
    }
}
