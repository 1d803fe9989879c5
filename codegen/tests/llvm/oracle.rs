//! What functions of a `float32` should be, in `float64`: one at a time from the C library, and, where there are very many,
//! four at a time from glibc's vector functions (libmvec, whose results are within 4 units in the last place of a
//! `float64`, that is 2^-27 of one of a `float32`).
//!
//! The vector functions only pick the suspects, which the scalar ones then judge; without them all are suspects. Nothing
//! here is shared with the formulas of the compiler.

use polyhedral::Builtin;

/// A function of one argument.
pub struct Oracle {
    scalar: extern "C" fn(f64) -> f64,
    #[cfg(target_arch = "x86_64")]
    lanes: Option<lanes::Function>,
}

impl Oracle {
    pub fn new(builtin: Builtin) -> Oracle {
        let slot = runtime::math::slot(builtin.name(), true).expect("in the table");
        assert_eq!(builtin.arity(), 1);
        // SAFETY: the slot is that of a function of one `double`, which the table holds the address of.
        let scalar: extern "C" fn(f64) -> f64 = unsafe { std::mem::transmute(runtime::math::table()[slot].address()) };
        #[cfg(target_arch = "x86_64")]
        return Oracle { scalar, lanes: lanes::Function::new(builtin) };
        #[cfg(not(target_arch = "x86_64"))]
        return Oracle { scalar };
    }

    /// What the C library finds.
    pub fn value(&self, x: f32) -> f64 {
        (self.scalar)(x.into())
    }

    /// The positions of all results that may be further than `ulps` from what they should be, or of another kind.
    pub fn suspects(&self, x: &[f32], found: &[f32], ulps: f64) -> Vec<usize> {
        #[cfg(target_arch = "x86_64")]
        if let Some(lanes) = &self.lanes {
            return lanes.suspects(x, found, ulps);
        }
        (0..x.len()).collect()
    }

    /// What the vector functions find; nothing without them.
    pub fn quick(&self, x: [f32; 4]) -> Option<[f64; 4]> {
        #[cfg(target_arch = "x86_64")]
        return self.lanes.as_ref().map(|lanes| lanes.values(x));
        #[cfg(not(target_arch = "x86_64"))]
        return None;
    }
}

#[cfg(target_arch = "x86_64")]
mod lanes {
    use std::arch::x86_64::*;
    use std::f64::consts::{FRAC_1_SQRT_2, PI};
    use std::ffi::CString;

    use polyhedral::Builtin;

    /// A function of libmvec; only code that has AVX2 may call it.
    #[allow(improper_ctypes_definitions, reason = "that a vector travels in a register is the convention of libmvec")]
    type Vector = extern "C" fn(__m256d) -> __m256d;

    /// How a function is made from those of libmvec.
    enum Way {
        Itself(Vector),
        Sinpi { sin: Vector },
        Cospi { sin: Vector },
        Erfcx { exp: Vector, erfc: Vector },
        Normcdf { erfc: Vector },
        Rcbrt { cbrt: Vector },
    }

    /// A function of four numbers at a time, on a machine with AVX2.
    pub struct Function(Way);

    impl Function {
        pub fn new(builtin: Builtin) -> Option<Function> {
            if !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
                return None;
            }
            Some(Function(match builtin {
                Builtin::Sinpi => Way::Sinpi { sin: vector("sin")? },
                Builtin::Cospi => Way::Cospi { sin: vector("sin")? },
                Builtin::Erfcx => Way::Erfcx { exp: vector("exp")?, erfc: vector("erfc")? },
                Builtin::Normcdf => Way::Normcdf { erfc: vector("erfc")? },
                Builtin::Rcbrt => Way::Rcbrt { cbrt: vector("cbrt")? },
                other => Way::Itself(vector(other.name())?),
            }))
        }

        pub fn values(&self, x: [f32; 4]) -> [f64; 4] {
            let mut values = [0.0; 4];
            // SAFETY: there is no such function on a machine without AVX2 and FMA; both arrays have four elements.
            unsafe { _mm256_storeu_pd(values.as_mut_ptr(), self.apply(_mm256_cvtps_pd(_mm_loadu_ps(x.as_ptr())))) };
            values
        }

        pub fn suspects(&self, x: &[f32], found: &[f32], ulps: f64) -> Vec<usize> {
            let mut suspects = Vec::new();
            // SAFETY: there is no such function on a machine without AVX2 and FMA.
            unsafe { self.scan(x, found, ulps, &mut suspects) };
            suspects.extend(x.len() / 4 * 4..x.len());
            suspects
        }

        #[target_feature(enable = "avx2,fma")]
        fn scan(&self, x: &[f32], found: &[f32], ulps: f64, suspects: &mut Vec<usize>) {
            for (at, (x, found)) in x.chunks_exact(4).zip(found.chunks_exact(4)).enumerate() {
                // SAFETY: both have four elements.
                let (x, found) = unsafe { (_mm_loadu_ps(x.as_ptr()), _mm_loadu_ps(found.as_ptr())) };
                let far = far(found, self.apply(_mm256_cvtps_pd(x)), ulps);
                if far != 0 {
                    suspects.extend((0..4).filter(|lane| far >> lane & 1 == 1).map(|lane| 4 * at + lane));
                }
            }
        }

        #[target_feature(enable = "avx2,fma")]
        fn apply(&self, x: __m256d) -> __m256d {
            let all = |x: f64| _mm256_set1_pd(x);
            match self.0 {
                Way::Itself(f) => f(x),
                Way::Sinpi { sin } => {
                    let (nearest, odd) = half_turns(x);
                    _mm256_xor_pd(sin(_mm256_mul_pd(all(PI), _mm256_sub_pd(x, nearest))), odd)
                }
                Way::Cospi { sin } => {
                    // A quarter turn less the distance, which is exact near a quarter turn, where the value is small.
                    let (nearest, odd) = half_turns(x);
                    let rest = _mm256_andnot_pd(all(-0.0), _mm256_sub_pd(x, nearest));
                    _mm256_xor_pd(sin(_mm256_mul_pd(all(PI), _mm256_sub_pd(all(0.5), rest))), odd)
                }
                Way::Erfcx { exp, erfc } => {
                    // The square of a `float32` is exact. The second operand is what comes of no number.
                    let near = _mm256_min_pd(all(26.0), x);
                    let near = _mm256_mul_pd(exp(_mm256_mul_pd(near, near)), erfc(near));
                    _mm256_blendv_pd(near, erfcx_far(x), _mm256_cmp_pd::<_CMP_GT_OQ>(x, all(26.0)))
                }
                Way::Normcdf { erfc } => _mm256_mul_pd(all(0.5), erfc(_mm256_mul_pd(all(-FRAC_1_SQRT_2), x))),
                Way::Rcbrt { cbrt } => _mm256_div_pd(all(1.0), cbrt(x)),
            }
        }
    }

    /// The nearest integers, and a sign where they are odd.
    #[target_feature(enable = "avx2,fma")]
    fn half_turns(x: __m256d) -> (__m256d, __m256d) {
        let nearest = _mm256_round_pd::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x);
        let half = _mm256_mul_pd(nearest, _mm256_set1_pd(0.5));
        let odd = _mm256_cmp_pd::<_CMP_NEQ_OQ>(half, _mm256_floor_pd(half));
        (nearest, _mm256_and_pd(odd, _mm256_set1_pd(-0.0)))
    }

    /// `erfcx x` for large `x`: `1/(x√π) · Σ (-1)^n (2n-1)!! / (2x²)^n` (DLMF 7.12.1).
    #[target_feature(enable = "avx2,fma")]
    fn erfcx_far(x: __m256d) -> __m256d {
        let all = |x: f64| _mm256_set1_pd(x);
        let z = _mm256_div_pd(all(-0.5), _mm256_mul_pd(x, x));
        let sum = [9.0, 7.0, 5.0, 3.0, 1.0]
            .into_iter()
            .fold(all(1.0), |sum, k| _mm256_fmadd_pd(_mm256_mul_pd(all(k), z), sum, all(1.0)));
        _mm256_div_pd(sum, _mm256_mul_pd(all(PI.sqrt()), x))
    }

    /// A bit for each lane that is further than `ulps` from what is expected, or of another kind: what
    /// `single_ulps` tells of one number.
    #[target_feature(enable = "avx2,fma")]
    fn far(found: __m128, expected: __m256d, ulps: f64) -> i32 {
        let all = |x: f64| _mm256_set1_pd(x);
        let rounded = _mm256_cvtpd_ps(expected);
        let same = _mm_castsi128_ps(_mm_cmpeq_epi32(_mm_castps_si128(found), _mm_castps_si128(rounded)));
        let both_none = _mm_and_ps(_mm_cmpunord_ps(found, found), _mm_cmpunord_ps(rounded, rounded));
        let right = _mm_movemask_ps(_mm_or_ps(same, both_none));
        // Zeros of two signs: equal, but not the same.
        let equal = _mm_movemask_ps(_mm_cmpeq_ps(found, rounded));
        let past = 2f64.powi(128);
        // What comes of no number is the second operand.
        let clamp = |x| _mm256_min_pd(all(past), _mm256_max_pd(all(-past), x));
        let error = _mm256_sub_pd(clamp(_mm256_cvtps_pd(found)), clamp(expected));
        let magnitude = _mm256_andnot_pd(all(-0.0), error);
        let power = _mm256_and_pd(expected, _mm256_castsi256_pd(_mm256_set1_epi64x(0x7ff0 << 48)));
        let power = _mm256_min_pd(_mm256_max_pd(power, all(2f64.powi(-126))), all(2f64.powi(127)));
        let most = _mm256_mul_pd(power, all(ulps * 2f64.powi(-23)));
        let further = _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_NLE_UQ>(magnitude, most));
        (further | equal) & !right & 0b1111
    }

    fn vector(name: &str) -> Option<Vector> {
        let symbol = CString::new(format!("_ZGVdN4v_{name}")).ok()?;
        // SAFETY: the names end in zero; the library stays loaded, and a function of that name takes and returns four
        // doubles in a register.
        unsafe {
            let library = libc::dlopen(c"libmvec.so.1".as_ptr(), libc::RTLD_NOW);
            let address = if library.is_null() { library } else { libc::dlsym(library, symbol.as_ptr()) };
            (!address.is_null()).then(|| std::mem::transmute::<*mut libc::c_void, Vector>(address))
        }
    }
}
