//! The table of functions: where the C library has them, and what is made of those.

use inkwell::module::Linkage;
use inkwell::types::BasicMetadataTypeEnum;
use inkwell::values::{BasicMetadataValueEnum, FloatValue, PointerValue};
use runtime::math::FUNCTIONS;

use super::super::{Error, Result};
use super::glue::Glue;

/// The functions that the mathematics library of C11 has under the name that ours have, with an `f` behind that of `float`.
const OF_C: &str = "acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs fdim floor \
     fma fmax fmin fmod hypot log log10 log1p log2 logb nextafter pow remainder round sin sinh sqrt tan tanh tgamma trunc";

/// Those that POSIX adds, for `double` only.
const OF_POSIX: &str = "j0 j1 y0 y1";

/// Whether a symbol is a function of the C library that tables have.
pub(super) fn is_of_c(symbol: &str) -> bool {
    let is_in = |names: &str, name: &str| names.split_whitespace().any(|known| known == name);
    let is_whole = [OF_C, OF_POSIX, FOR_SPECIAL].iter().any(|names| is_in(names, symbol));
    is_whole || symbol.strip_suffix('f').is_some_and(|name| is_in(OF_C, name))
}

/// Those that special.ll has.
const SPECIAL: &str = "cospi cyl_bessel_i0 cyl_bessel_i1 erfcinv erfcx erfinv exp10 fdivide lgamma norm3d norm4d normcdf normcdfinv \
     rcbrt rhypot rnorm3d rnorm4d round_even rsqrt sinpi";

/// What special.ll calls beside them.
const FOR_SPECIAL: &str = "lgamma_r rint";

impl<'c> Glue<'c, '_> {
    /// The table for [`runtime::abi::Context::math`], with what the objects call; null when they call nothing.
    pub fn table(&self) -> Result<PointerValue<'c>> {
        let used = self.library.math();
        let pointer = self.ir.pointer_type();
        let Some(&last) = used.last() else { return Ok(pointer.const_null()) };
        let slots =
            (0..=last).map(|slot| if used.contains(&slot) { self.slot(slot) } else { Ok(pointer.const_null()) });
        let slots = slots.collect::<Result<Vec<_>>>()?;
        self.constant("math", pointer.const_array(&slots).into())
    }

    /// The function of a slot, which is that of `double` where the number is odd.
    fn slot(&self, slot: usize) -> Result<PointerValue<'c>> {
        let function = FUNCTIONS.get(slot / 2).ok_or_else(|| Error::Malformed(format!("no function {slot}")))?;
        let (name, is_double) = (function.name, slot % 2 == 1);
        let is_in = |names: &str| names.split_whitespace().any(|known| known == name);
        if is_in(OF_C) {
            let symbol = if is_double { name.to_owned() } else { format!("{name}f") };
            return Ok(self.outside(&symbol, function.arity, is_double));
        }
        let double = if is_in(OF_POSIX) {
            self.outside(name, function.arity, true)
        } else if is_in(SPECIAL) {
            self.defined(&format!("special.{name}"))?
        } else {
            return Err(Error::Malformed(format!("`{name}` is neither a function of C nor one of special.ll")));
        };
        if is_double { Ok(double) } else { self.rounded(name, function.arity, double) }
    }

    /// A function of the C library.
    fn outside(&self, symbol: &str, arity: usize, is_double: bool) -> PointerValue<'c> {
        let context = self.ir.context;
        let float = if is_double { context.f64_type() } else { context.f32_type() };
        let parameters = vec![BasicMetadataTypeEnum::from(float); arity];
        let known = self.ir.module.get_function(symbol);
        let function =
            known.unwrap_or_else(|| self.ir.module.add_function(symbol, float.fn_type(&parameters, false), None));
        function.as_global_value().as_pointer_value()
    }

    /// The function of `float` that a function of `double` computes.
    fn rounded(&self, name: &str, arity: usize, double: PointerValue<'c>) -> Result<PointerValue<'c>> {
        let (context, builder) = (self.ir.context, &self.ir.builder);
        let (short, long) = (context.f32_type(), context.f64_type());
        let ty = short.fn_type(&vec![BasicMetadataTypeEnum::from(short); arity], false);
        let function = self.ir.module.add_function(&format!("float.{name}"), ty, Some(Linkage::Internal));
        builder.position_at_end(context.append_basic_block(function, ""));
        let mut operands: Vec<BasicMetadataValueEnum<'c>> = Vec::new();
        for operand in function.get_param_iter() {
            operands.push(builder.build_float_ext(operand.into_float_value(), long, "")?.into());
        }
        let ty = long.fn_type(&vec![BasicMetadataTypeEnum::from(long); arity], false);
        let value = builder.build_indirect_call(ty, double, &operands, "")?.try_as_basic_value().basic();
        let value: FloatValue<'c> =
            value.ok_or_else(|| Error::Malformed("a function without a value".into()))?.into_float_value();
        builder.build_return(Some(&builder.build_float_trunc(value, short, "")?))?;
        Ok(function.as_global_value().as_pointer_value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_of_the_run_time_is_there_once() {
        let mut ours: Vec<&str> = [OF_C, OF_POSIX, SPECIAL].iter().flat_map(|names| names.split_whitespace()).collect();
        ours.sort_unstable();
        assert_eq!(ours, FUNCTIONS.iter().map(|function| function.name).collect::<Vec<_>>());
    }

    #[test]
    fn symbols_of_c_are_known() {
        assert!(is_of_c("exp") && is_of_c("expf") && is_of_c("j0") && is_of_c("lgamma_r"));
        assert!(!is_of_c("j0f") && !is_of_c("memcpy") && !is_of_c("f"));
    }
}
