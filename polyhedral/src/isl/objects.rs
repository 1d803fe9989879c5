//! isl's objects. Every method copies what isl would take, so the receiver and the arguments stay usable.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::fmt;

use super::{Ctx, Error, Result, text};

/// isl's kinds of dimensions; for a set the tuple is [`Dim::Set`] (which is isl's `out`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    /// Parameters.
    Param = 1,
    /// The input tuple of a map or function.
    In = 2,
    /// The output tuple of a map, or the tuple of a set.
    Out = 3,
    /// Existentially quantified integer divisions.
    Div = 4,
}

impl Dim {
    /// The tuple of a set.
    #[allow(non_upper_case_globals)]
    pub const Set: Dim = Dim::Out;
}

/// How an argument reaches isl: what the C function gets when it takes, and when it only looks.
pub(super) trait Arg: Copy {
    type C;
    fn belongs_to(self, ctx: &Ctx) -> bool;
    fn take(self) -> Self::C;
    fn keep(self) -> Self::C;
}

/// How a result comes back from isl.
pub(super) trait Ret: Sized {
    type C;
    /// # Safety
    /// `raw` is what an isl function declared with this result has just returned in `ctx`.
    unsafe fn from_c(ctx: &Ctx, raw: Self::C) -> Result<Self>;
}

macro_rules! plain_arg {
    ($($T:ty => $C:ty),*) => {$(
        impl Arg for $T {
            type C = $C;
            fn belongs_to(self, _: &Ctx) -> bool { true }
            fn take(self) -> $C { self as $C }
            fn keep(self) -> $C { self as $C }
        }
    )*};
}
plain_arg!(u32 => c_uint, i32 => c_int, Dim => c_int);

impl Ret for bool {
    type C = c_int;
    unsafe fn from_c(ctx: &Ctx, raw: c_int) -> Result<bool> {
        if raw < 0 { Err(ctx.take_error()) } else { Ok(raw != 0) }
    }
}

/// isl's sizes and counts.
impl Ret for u32 {
    type C = c_int;
    unsafe fn from_c(ctx: &Ctx, raw: c_int) -> Result<u32> {
        u32::try_from(raw).map_err(|_| ctx.take_error())
    }
}

unsafe extern "C" {
    fn free(memory: *mut c_void);
}

/// Takes an owned C string.
impl Ret for String {
    type C = *mut c_char;
    unsafe fn from_c(ctx: &Ctx, raw: *mut c_char) -> Result<String> {
        if raw.is_null() {
            return Err(ctx.take_error());
        }
        // SAFETY: isl returns a NUL-terminated string from `malloc`; it is copied, then freed once.
        unsafe {
            let owned = CStr::from_ptr(raw).to_string_lossy().into_owned();
            free(raw.cast());
            Ok(owned)
        }
    }
}

macro_rules! objects {
    ($($(#[$doc:meta])* $T:ident: $copy:ident $free:ident;)*) => {$(
        $(#[$doc])*
        pub struct $T { raw: *mut c_void, ctx: Ctx }

        impl $T {
            /// The context it lives in.
            pub fn ctx(&self) -> &Ctx { &self.ctx }

            /// Whether both are one object, as clones are: then they are equal. Objects made apart may be equal too.
            pub fn is(&self, other: &Self) -> bool { std::ptr::eq(self.raw, other.raw) }

            pub(super) fn raw_copy(&self) -> *mut c_void {
                unsafe extern "C" { fn $copy(raw: *mut c_void) -> *mut c_void; }
                // SAFETY: `raw` is a live object of this type.
                unsafe { $copy(self.raw) }
            }

            #[allow(dead_code)]
            pub(super) fn raw(&self) -> *mut c_void { self.raw }
        }

        impl Clone for $T {
            fn clone(&self) -> Self { $T { raw: self.raw_copy(), ctx: self.ctx.clone() } }
        }

        impl Drop for $T {
            fn drop(&mut self) {
                unsafe extern "C" { fn $free(raw: *mut c_void) -> *mut c_void; }
                // SAFETY: this value owns one reference, given back here.
                unsafe { $free(self.raw) };
            }
        }

        impl Arg for &$T {
            type C = *mut c_void;
            fn belongs_to(self, ctx: &Ctx) -> bool { self.ctx == *ctx }
            fn take(self) -> *mut c_void { self.raw_copy() }
            fn keep(self) -> *mut c_void { self.raw }
        }

        impl Ret for $T {
            type C = *mut c_void;
            unsafe fn from_c(ctx: &Ctx, raw: *mut c_void) -> Result<$T> {
                if raw.is_null() { Err(ctx.take_error()) } else { Ok($T { raw, ctx: ctx.clone() }) }
            }
        }
    )*};
}

objects! {
    /// The space that objects live in: parameters and tuples.
    Space: isl_space_copy isl_space_free;
    /// An integer, a rational, an infinity or a NaN.
    Val: isl_val_copy isl_val_free;
    /// A conjunction of affine constraints with integer divisions.
    BasicSet: isl_basic_set_copy isl_basic_set_free;
    /// A union of basic sets in one space.
    Set: isl_set_copy isl_set_free;
    /// A union of conjunctions between two tuples.
    Map: isl_map_copy isl_map_free;
    /// Sets of several spaces.
    UnionSet: isl_union_set_copy isl_union_set_free;
    /// Maps of several spaces.
    UnionMap: isl_union_map_copy isl_union_map_free;
    /// A quasi-affine function.
    Aff: isl_aff_copy isl_aff_free;
    /// A piecewise quasi-affine function.
    PwAff: isl_pw_aff_copy isl_pw_aff_free;
    /// A tuple of quasi-affine functions.
    MultiAff: isl_multi_aff_copy isl_multi_aff_free;
    /// A piecewise tuple of quasi-affine functions.
    PwMultiAff: isl_pw_multi_aff_copy isl_pw_multi_aff_free;
    /// A tuple of piecewise quasi-affine functions.
    MultiPwAff: isl_multi_pw_aff_copy isl_multi_pw_aff_free;
    /// Piecewise quasi-affine functions on several spaces: one row of a schedule.
    UnionPwAff: isl_union_pw_aff_copy isl_union_pw_aff_free;
    /// Several rows: a partial schedule.
    MultiUnionPwAff: isl_multi_union_pw_aff_copy isl_multi_union_pw_aff_free;
}

pub(super) use objects;

/// `takes!`: isl takes the receiver and the arguments (they are copied); `keeps!`: isl only looks at them.
macro_rules! methods {
    ($how:ident $T:ident { $($(#[$doc:meta])* fn $name:ident($($arg:ident: $A:ty),*) -> $R:ty = $c:ident;)* }) => {
        impl $T {$(
            $(#[$doc])*
            #[doc = concat!("isl: `", stringify!($c), "`.")]
            pub fn $name(&self, $($arg: $A),*) -> Result<$R> {
                unsafe extern "C" {
                    fn $c(this: *mut c_void, $($arg: <$A as Arg>::C),*) -> <$R as Ret>::C;
                }
                $(if !$arg.belongs_to(self.ctx()) { return Err(Error::Mixed); })*
                // SAFETY: all arguments are live objects of this context and of the declared types.
                unsafe { <$R as Ret>::from_c(self.ctx(), $c((&*self).$how(), $($arg.$how()),*)) }
            }
        )*}
    };
}
pub(super) use methods;

macro_rules! takes { ($T:ident { $($body:tt)* }) => { methods!(take $T { $($body)* }); }; }
macro_rules! keeps { ($T:ident { $($body:tt)* }) => { methods!(keep $T { $($body)* }); }; }
pub(super) use {keeps, takes};

macro_rules! printed {
    ($($T:ident: $to_str:ident;)*) => {$(
        impl fmt::Display for $T {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                unsafe extern "C" { fn $to_str(this: *mut c_void) -> *mut c_char; }
                // SAFETY: a live object; the string is owned.
                match unsafe { String::from_c(&self.ctx, $to_str(self.raw)) } {
                    Ok(text) => f.write_str(&text),
                    Err(error) => write!(f, "<{error}>"),
                }
            }
        }
        impl fmt::Debug for $T {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Display::fmt(self, f) }
        }
    )*};
}
pub(super) use printed;

printed! {
    Space: isl_space_to_str;
    Val: isl_val_to_str;
    BasicSet: isl_basic_set_to_str;
    Set: isl_set_to_str;
    Map: isl_map_to_str;
    UnionSet: isl_union_set_to_str;
    UnionMap: isl_union_map_to_str;
    Aff: isl_aff_to_str;
    PwAff: isl_pw_aff_to_str;
    MultiAff: isl_multi_aff_to_str;
    PwMultiAff: isl_pw_multi_aff_to_str;
    MultiPwAff: isl_multi_pw_aff_to_str;
    UnionPwAff: isl_union_pw_aff_to_str;
    MultiUnionPwAff: isl_multi_union_pw_aff_to_str;
}

/// Reading: names with dots are carried through isl under a stand-in and put back on every tuple.
macro_rules! read {
    ($($T:ident: $read:ident $restore:ident;)*) => {$(
        impl $T {
            /// Reads isl's notation. The text is bounded before isl sees it.
            pub fn read(ctx: &Ctx, source: &str) -> Result<$T> {
                unsafe extern "C" { fn $read(ctx: *mut c_void, text: *const c_char) -> *mut c_void; }
                let admitted = text::admit(source)?;
                let c_text = CString::new(admitted.text).map_err(|_| Error::Text("holds a NUL"))?;
                // SAFETY: a live context and a NUL-terminated text.
                let object = unsafe { $T::from_c(ctx, $read(ctx.raw(), c_text.as_ptr())) }?;
                match admitted.dot {
                    Some(dot) => object.$restore(&dot),
                    None => Ok(object),
                }
            }
        }
    )*};
}

read! {
    Set: isl_set_read_from_str restore_dots;
    Map: isl_map_read_from_str restore_dots;
    UnionSet: isl_union_set_read_from_str restore_dots;
    UnionMap: isl_union_map_read_from_str restore_dots;
    Aff: isl_aff_read_from_str no_dots;
    UnionPwAff: isl_union_pw_aff_read_from_str restore_dots;
}

takes! { Space {
    /// The space without its tuples.
    fn params() -> Space = isl_space_params;
    fn domain() -> Space = isl_space_domain;
    fn range() -> Space = isl_space_range;
    fn map_from_set() -> Space = isl_space_map_from_set;
    /// The space of the pairs that a set of wrapped pairs holds.
    fn unwrap() -> Space = isl_space_unwrap;
    fn add_dims(kind: Dim, n: u32) -> Space = isl_space_add_dims;
    fn align_params(model: &Space) -> Space = isl_space_align_params;
    fn universe_set() -> Set = isl_set_universe;
    fn empty_set() -> Set = isl_set_empty;
    fn universe_map() -> Map = isl_map_universe;
    fn empty_map() -> Map = isl_map_empty;
    fn identity_multi_aff() -> MultiAff = isl_multi_aff_identity;
    /// On a space of parameters.
    fn empty_union_set() -> UnionSet = isl_union_set_empty;
    fn empty_union_map() -> UnionMap = isl_union_map_empty;
    fn set_from_params() -> Space = isl_space_set_from_params;
    /// The zero function on this set space.
    fn zero_aff() -> Aff = isl_aff_zero_on_domain_space;
} }
keeps! { Space {
    fn dim(kind: Dim) -> u32 = isl_space_dim;
    fn is_equal(other: &Space) -> bool = isl_space_is_equal;
    fn is_set() -> bool = isl_space_is_set;
} }

impl Space {
    /// A space with parameters only.
    pub fn parameters(ctx: &Ctx, names: &[impl AsRef<str>]) -> Result<Space> {
        unsafe extern "C" {
            fn isl_space_params_alloc(ctx: *mut c_void, n: c_uint) -> *mut c_void;
        }
        // SAFETY: a live context.
        let mut space = unsafe { Space::from_c(ctx, isl_space_params_alloc(ctx.raw(), names.len() as c_uint)) }?;
        for (at, name) in names.iter().enumerate() {
            space = space.with_dim_name(Dim::Param, at as u32, name.as_ref())?;
        }
        Ok(space)
    }

    /// A set space: this space's parameters and the tuple `name[dims…]`.
    pub fn named_set(&self, name: &str, dims: &[impl AsRef<str>]) -> Result<Space> {
        let mut space = self.params()?.set_from_params()?.add_dims(Dim::Set, dims.len() as u32)?;
        for (at, dim) in dims.iter().enumerate() {
            space = space.with_dim_name(Dim::Set, at as u32, dim.as_ref())?;
        }
        space.with_tuple_name(Dim::Set, name)
    }

    /// Gives dimension `at` a name.
    pub fn with_dim_name(&self, kind: Dim, at: u32, name: &str) -> Result<Space> {
        let id = Id::new(&self.ctx, name)?;
        unsafe extern "C" {
            fn isl_space_set_dim_id(space: *mut c_void, kind: c_int, at: c_uint, id: *mut c_void) -> *mut c_void;
        }
        // SAFETY: live objects of one context.
        unsafe { Space::from_c(&self.ctx, isl_space_set_dim_id(self.raw_copy(), kind as c_int, at, id.into_raw())) }
    }

    /// Gives a tuple a name.
    pub fn with_tuple_name(&self, kind: Dim, name: &str) -> Result<Space> {
        let id = Id::new(&self.ctx, name)?;
        unsafe extern "C" {
            fn isl_space_set_tuple_id(space: *mut c_void, kind: c_int, id: *mut c_void) -> *mut c_void;
        }
        // SAFETY: live objects of one context.
        unsafe { Space::from_c(&self.ctx, isl_space_set_tuple_id(self.raw_copy(), kind as c_int, id.into_raw())) }
    }

    /// The name of a tuple; empty when it has none.
    pub fn tuple_name(&self, kind: Dim) -> String {
        unsafe extern "C" {
            fn isl_space_get_tuple_name(space: *mut c_void, kind: c_int) -> *const c_char;
        }
        // SAFETY: a live space; the string belongs to it and is copied.
        unsafe { borrowed(isl_space_get_tuple_name(self.raw, kind as c_int)) }
    }

    /// The name of a dimension; empty when it has none.
    pub fn dim_name(&self, kind: Dim, at: u32) -> String {
        unsafe extern "C" {
            fn isl_space_get_dim_name(space: *mut c_void, kind: c_int, at: c_uint) -> *const c_char;
        }
        // SAFETY: a live space; isl checks the position; the string belongs to the space and is copied.
        unsafe { borrowed(isl_space_get_dim_name(self.raw, kind as c_int, at)) }
    }

    /// The universal relation from this set space to one unnamed dimension.
    pub fn map_to_one(&self) -> Result<Map> {
        self.map_from_range_of(1)
    }

    fn map_from_range_of(&self, dims: u32) -> Result<Map> {
        let domain = self.universe_set()?;
        let range = self.params()?.set_from_params()?.add_dims(Dim::Set, dims)?.universe_set()?;
        domain.product_map(&range)
    }

    /// The names of the parameters, in order.
    pub fn param_names(&self) -> Result<Vec<String>> {
        Ok((0..self.dim(Dim::Param)?).map(|at| self.dim_name(Dim::Param, at)).collect())
    }
}

/// # Safety
/// `raw` is null or a NUL-terminated string that lives during the call.
unsafe fn borrowed(raw: *const c_char) -> String {
    if raw.is_null() {
        return String::new();
    }
    // SAFETY: by the contract of this function.
    unsafe { CStr::from_ptr(raw) }.to_string_lossy().into_owned()
}

/// A name inside isl; exists only on its way into an object.
struct Id(*mut c_void);

impl Id {
    fn new(ctx: &Ctx, name: &str) -> Result<Id> {
        unsafe extern "C" {
            fn isl_id_alloc(ctx: *mut c_void, name: *const c_char, user: *mut c_void) -> *mut c_void;
        }
        let name = CString::new(name).map_err(|_| Error::Text("a name holds a NUL"))?;
        // SAFETY: a live context; isl copies the name.
        let raw = unsafe { isl_id_alloc(ctx.raw(), name.as_ptr(), std::ptr::null_mut()) };
        if raw.is_null() { Err(ctx.take_error()) } else { Ok(Id(raw)) }
    }

    /// Hands the reference to isl.
    fn into_raw(self) -> *mut c_void {
        self.0
    }
}

takes! { Val {
    fn neg() -> Val = isl_val_neg;
} }
keeps! { Val {
    fn is_int() -> bool = isl_val_is_int;
} }

impl Val {
    /// An integer.
    pub fn int(ctx: &Ctx, value: i64) -> Result<Val> {
        unsafe extern "C" {
            fn isl_val_int_from_si(ctx: *mut c_void, value: std::ffi::c_long) -> *mut c_void;
        }
        // SAFETY: a live context.
        unsafe { Val::from_c(ctx, isl_val_int_from_si(ctx.raw(), value)) }
    }

    /// The integer, when it is one that fits.
    pub fn to_i64(&self) -> Result<i64> {
        if !self.is_int()? {
            return Err(Error::Overflow);
        }
        // isl's own accessor reports an overflow only as an error message: the text is exact.
        self.to_string().parse().map_err(|_| Error::Overflow)
    }
}

takes! { BasicSet {
    fn to_set() -> Set = isl_set_from_basic_set;
} }
keeps! { BasicSet {
    fn space() -> Space = isl_basic_set_get_space;
    fn dim(kind: Dim) -> u32 = isl_basic_set_dim;
    fn div(at: i32) -> Aff = isl_basic_set_get_div;
    fn is_empty() -> bool = isl_basic_set_is_empty;
} }

/// One affine constraint of a basic set: `constant + Σ params + Σ dims + Σ divs`, equal to or at least zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    /// Whether it is an equality.
    pub equality: bool,
    /// The constant.
    pub constant: i64,
    /// Coefficients of the parameters.
    pub params: Vec<i64>,
    /// Coefficients of the tuple.
    pub dims: Vec<i64>,
    /// Coefficients of the integer divisions (see [`BasicSet::divs`]).
    pub divs: Vec<i64>,
}

impl BasicSet {
    /// How many integer divisions there are.
    pub fn n_div(&self) -> Result<u32> {
        self.dim(Dim::Div)
    }

    /// The constraints. Integer divisions are explicit when the set went through [`Set::compute_divs`].
    pub fn constraints(&self) -> Result<Vec<Constraint>> {
        let mut all = self.matrix(true)?;
        all.extend(self.matrix(false)?);
        Ok(all)
    }

    /// The integer divisions as functions on this set's space with the earlier divisions.
    pub fn divs(&self) -> Result<Vec<Terms>> {
        (0..self.n_div()?).map(|at| self.div(at as i32)?.terms()).collect()
    }

    fn matrix(&self, equality: bool) -> Result<Vec<Constraint>> {
        unsafe extern "C" {
            fn isl_basic_set_equalities_matrix(s: *mut c_void, a: c_int, b: c_int, c: c_int, d: c_int) -> *mut c_void;
            fn isl_basic_set_inequalities_matrix(s: *mut c_void, a: c_int, b: c_int, c: c_int, d: c_int)
            -> *mut c_void;
            fn isl_mat_rows(m: *mut c_void) -> c_int;
            fn isl_mat_get_element_val(m: *mut c_void, row: c_int, col: c_int) -> *mut c_void;
            fn isl_mat_free(m: *mut c_void) -> *mut c_void;
        }
        const CST: c_int = 0;
        let (params, dims) = (self.dim(Dim::Param)? as usize, self.dim(Dim::Set)? as usize);
        let divs = self.n_div()? as usize;
        let read = if equality { isl_basic_set_equalities_matrix } else { isl_basic_set_inequalities_matrix };
        // SAFETY: a live set and the four kinds of columns, each once.
        let matrix = unsafe { read(self.raw, CST, Dim::Param as c_int, Dim::Set as c_int, Dim::Div as c_int) };
        if matrix.is_null() {
            return Err(self.ctx.take_error());
        }
        let element = |row: c_int, col: usize| -> Result<i64> {
            // SAFETY: a live matrix; isl checks the position.
            unsafe { Val::from_c(&self.ctx, isl_mat_get_element_val(matrix, row, col as c_int)) }?.to_i64()
        };
        let one = |row: c_int| -> Result<Constraint> {
            let block = |from: usize, n: usize| (from..from + n).map(|col| element(row, col)).collect::<Result<_>>();
            Ok(Constraint {
                equality,
                constant: element(row, 0)?,
                params: block(1, params)?,
                dims: block(1 + params, dims)?,
                divs: block(1 + params + dims, divs)?,
            })
        };
        // SAFETY: a live matrix.
        let rows = unsafe { isl_mat_rows(matrix) };
        let result = (0..rows).map(one).collect();
        // SAFETY: the matrix is freed once; no element outlives it.
        unsafe { isl_mat_free(matrix) };
        result
    }
}

takes! { Set {
    fn intersect(other: &Set) -> Set = isl_set_intersect;
    fn union(other: &Set) -> Set = isl_set_union;
    fn subtract(other: &Set) -> Set = isl_set_subtract;
    fn complement() -> Set = isl_set_complement;
    fn coalesce() -> Set = isl_set_coalesce;
    fn gist(context: &Set) -> Set = isl_set_gist;
    fn gist_params(context: &Set) -> Set = isl_set_gist_params;
    fn params() -> Set = isl_set_params;
    fn intersect_params(params: &Set) -> Set = isl_set_intersect_params;
    fn project_out(kind: Dim, first: u32, n: u32) -> Set = isl_set_project_out;
    fn compute_divs() -> Set = isl_set_compute_divs;
    fn detect_equalities() -> Set = isl_set_detect_equalities;
    fn remove_redundancies() -> Set = isl_set_remove_redundancies;
    fn make_disjoint() -> Set = isl_set_make_disjoint;
    fn lexmin() -> Set = isl_set_lexmin;
    fn lexmax() -> Set = isl_set_lexmax;
    fn apply(map: &Map) -> Set = isl_set_apply;
    fn identity() -> Map = isl_set_identity;
    fn unwrap() -> Map = isl_set_unwrap;
    fn to_union_set() -> UnionSet = isl_union_set_from_set;
    fn fix_si(kind: Dim, at: u32, value: i32) -> Set = isl_set_fix_si;
    fn lower_bound_si(kind: Dim, at: u32, value: i32) -> Set = isl_set_lower_bound_si;
    fn upper_bound_si(kind: Dim, at: u32, value: i32) -> Set = isl_set_upper_bound_si;
    fn reset_tuple_id() -> Set = isl_set_reset_tuple_id;
    fn simple_hull() -> BasicSet = isl_set_simple_hull;
    fn polyhedral_hull() -> BasicSet = isl_set_polyhedral_hull;
    fn convex_hull() -> BasicSet = isl_set_convex_hull;
    /// Over-approximates away the integer divisions.
    fn remove_divs() -> Set = isl_set_remove_divs;
    fn sample() -> BasicSet = isl_set_sample;
    /// The largest value of dimension `at`; infinite or NaN as [`Val`] tells.
    fn dim_max_val(at: i32) -> Val = isl_set_dim_max_val;
    fn dim_min_val(at: i32) -> Val = isl_set_dim_min_val;
    fn dim_max(at: i32) -> PwAff = isl_set_dim_max;
    fn dim_min(at: i32) -> PwAff = isl_set_dim_min;
    fn indicator() -> PwAff = isl_set_indicator_function;
    fn align_params(model: &Space) -> Set = isl_set_align_params;
    fn set_from_params() -> Set = isl_set_from_params;
    fn move_dims(to: Dim, to_at: u32, from: Dim, from_at: u32, n: u32) -> Set = isl_set_move_dims;
    fn flat_product(other: &Set) -> Set = isl_set_flat_product;
    /// Every pair of an element of this set and one of `range`.
    fn product_map(range: &Set) -> Map = isl_map_from_domain_and_range;
} }
keeps! { Set {
    fn space() -> Space = isl_set_get_space;
    fn is_empty() -> bool = isl_set_is_empty;
    fn is_subset(other: &Set) -> bool = isl_set_is_subset;
    fn is_equal(other: &Set) -> bool = isl_set_is_equal;
    fn is_disjoint(other: &Set) -> bool = isl_set_is_disjoint;
    fn is_singleton() -> bool = isl_set_is_singleton;
    fn is_bounded() -> bool = isl_set_is_bounded;
    fn dim(kind: Dim) -> u32 = isl_set_dim;
    fn dim_is_bounded(kind: Dim, at: u32) -> bool = isl_set_dim_is_bounded;
    fn involves_dims(kind: Dim, first: u32, n: u32) -> bool = isl_set_involves_dims;
    fn n_basic_set() -> u32 = isl_set_n_basic_set;
    fn plain_is_universe() -> bool = isl_set_plain_is_universe;
    fn count_val() -> Val = isl_set_count_val;
    fn max_val(objective: &Aff) -> Val = isl_set_max_val;
    fn min_val(objective: &Aff) -> Val = isl_set_min_val;
} }

impl Set {
    /// The disjuncts.
    pub fn basic_sets(&self) -> Result<Vec<BasicSet>> {
        unsafe extern "C" {
            fn isl_set_foreach_basic_set(set: *mut c_void, f: Callback, user: *mut c_void) -> c_int;
        }
        collect(&self.ctx, |f, user| {
            // SAFETY: a live set; the callback takes each basic set.
            unsafe { isl_set_foreach_basic_set(self.raw, f, user) }
        })
    }

    /// Fixes a dimension to a value of any size.
    pub fn fix(&self, kind: Dim, at: u32, value: i64) -> Result<Set> {
        unsafe extern "C" {
            fn isl_set_fix_val(set: *mut c_void, kind: c_int, at: c_uint, value: *mut c_void) -> *mut c_void;
        }
        let value = Val::int(&self.ctx, value)?;
        // SAFETY: live objects of one context; isl takes the set and the value.
        unsafe { Set::from_c(&self.ctx, isl_set_fix_val(self.raw_copy(), kind as c_int, at, value.raw_copy())) }
    }

    /// Renames the tuple.
    pub fn with_tuple_name(&self, name: &str) -> Result<Set> {
        let id = Id::new(&self.ctx, name)?;
        unsafe extern "C" {
            fn isl_set_set_tuple_id(set: *mut c_void, id: *mut c_void) -> *mut c_void;
        }
        // SAFETY: live objects of one context.
        unsafe { Set::from_c(&self.ctx, isl_set_set_tuple_id(self.raw_copy(), id.into_raw())) }
    }

    /// Renames a dimension.
    pub fn with_dim_name(&self, kind: Dim, at: u32, name: &str) -> Result<Set> {
        let id = Id::new(&self.ctx, name)?;
        unsafe extern "C" {
            fn isl_set_set_dim_id(set: *mut c_void, kind: c_int, at: c_uint, id: *mut c_void) -> *mut c_void;
        }
        // SAFETY: live objects of one context.
        unsafe { Set::from_c(&self.ctx, isl_set_set_dim_id(self.raw_copy(), kind as c_int, at, id.into_raw())) }
    }

    /// The tuple's name; empty when it has none.
    pub fn tuple_name(&self) -> Result<String> {
        Ok(self.space()?.tuple_name(Dim::Set))
    }

    /// One point of a set without parameters, or `None` when it is empty.
    pub fn sample_point(&self) -> Result<Option<Vec<i64>>> {
        unsafe extern "C" {
            fn isl_set_sample_point(set: *mut c_void) -> *mut c_void;
            fn isl_point_is_void(point: *mut c_void) -> c_int;
        }
        let dims = self.dim(Dim::Set)?;
        // SAFETY: a live set; isl takes the copy and gives a point.
        let point = unsafe { isl_set_sample_point(self.raw_copy()) };
        if point.is_null() {
            return Err(self.ctx.take_error());
        }
        // SAFETY: a live point.
        let is_void = unsafe { bool::from_c(&self.ctx, isl_point_is_void(point)) };
        let result = is_void.and_then(|is_void| {
            if is_void {
                return Ok(None);
            }
            // SAFETY: a live point with so many coordinates.
            unsafe { coordinates(&self.ctx, point, dims) }.map(Some)
        });
        // SAFETY: freed once.
        unsafe { isl_point_free(point) };
        result
    }

    /// All points of a bounded set without parameters, in lexicographic order; `None` when there are more than `most`.
    pub fn points(&self, most: usize) -> Result<Option<Vec<Vec<i64>>>> {
        unsafe extern "C" {
            fn isl_set_foreach_point(set: *mut c_void, f: Callback, user: *mut c_void) -> c_int;
        }
        struct Gather {
            ctx: Ctx,
            dims: u32,
            most: usize,
            found: Vec<Vec<i64>>,
            failed: Option<Error>,
        }
        unsafe extern "C" fn push(point: *mut c_void, user: *mut c_void) -> c_int {
            // SAFETY: `user` is the `Gather` below, alive and unaliased during the walk.
            let gather = unsafe { &mut *user.cast::<Gather>() };
            if gather.found.len() >= gather.most {
                gather.most = 0;
                // SAFETY: isl hands the point over.
                unsafe { isl_point_free(point) };
                return -1;
            }
            // SAFETY: a live point with so many coordinates.
            let read = unsafe { coordinates(&gather.ctx, point, gather.dims) };
            // SAFETY: isl hands the point over.
            unsafe { isl_point_free(point) };
            match read {
                Ok(read) => gather.found.push(read),
                Err(error) => gather.failed = Some(error),
            }
            if gather.failed.is_some() { -1 } else { 0 }
        }
        if !self.is_bounded()? {
            return Ok(None);
        }
        let dims = self.dim(Dim::Set)?;
        let mut gather = Gather { ctx: self.ctx.clone(), dims, most, found: Vec::new(), failed: None };
        // SAFETY: a live set; the callback takes each point.
        let status = unsafe { isl_set_foreach_point(self.raw, push, (&raw mut gather).cast()) };
        if status < 0 {
            let own = self.ctx.take_error();
            return match gather.failed {
                Some(error) => Err(error),
                None if gather.most == 0 => Ok(None),
                None => Err(own),
            };
        }
        gather.found.sort_unstable();
        Ok(Some(gather.found))
    }

    fn restore_dots(&self, dot: &str) -> Result<Set> {
        let name = self.tuple_name()?;
        let set = if name.contains(dot) { self.with_tuple_name(&name.replace(dot, "."))? } else { self.clone() };
        Ok(set)
    }
}

takes! { Map {
    fn intersect(other: &Map) -> Map = isl_map_intersect;
    fn union(other: &Map) -> Map = isl_map_union;
    fn subtract(other: &Map) -> Map = isl_map_subtract;
    fn complement() -> Map = isl_map_complement;
    fn coalesce() -> Map = isl_map_coalesce;
    fn gist(context: &Map) -> Map = isl_map_gist;
    fn gist_domain(context: &Set) -> Map = isl_map_gist_domain;
    fn domain() -> Set = isl_map_domain;
    fn range() -> Set = isl_map_range;
    fn reverse() -> Map = isl_map_reverse;
    fn apply_range(other: &Map) -> Map = isl_map_apply_range;
    fn apply_domain(other: &Map) -> Map = isl_map_apply_domain;
    fn intersect_domain(set: &Set) -> Map = isl_map_intersect_domain;
    fn intersect_range(set: &Set) -> Map = isl_map_intersect_range;
    fn intersect_params(set: &Set) -> Map = isl_map_intersect_params;
    /// The pairs with equal values of two dimensions.
    fn equate(first: Dim, at: u32, second: Dim, there: u32) -> Map = isl_map_equate;
    /// The pairs with a smaller value of the first of two dimensions.
    fn order_lt(first: Dim, at: u32, second: Dim, there: u32) -> Map = isl_map_order_lt;
    /// The pairs with a greater value of the first of two dimensions.
    fn order_gt(first: Dim, at: u32, second: Dim, there: u32) -> Map = isl_map_order_gt;
    fn range_product(other: &Map) -> Map = isl_map_range_product;
    fn flat_range_product(other: &Map) -> Map = isl_map_flat_range_product;
    fn domain_product(other: &Map) -> Map = isl_map_domain_product;
    fn project_out(kind: Dim, first: u32, n: u32) -> Map = isl_map_project_out;
    fn lexmin() -> Map = isl_map_lexmin;
    fn lexmax() -> Map = isl_map_lexmax;
    fn compute_divs() -> Map = isl_map_compute_divs;
    fn deltas() -> Set = isl_map_deltas;
    fn wrap() -> Set = isl_map_wrap;
    fn to_union_map() -> UnionMap = isl_union_map_from_map;
    fn to_pw_multi_aff() -> PwMultiAff = isl_pw_multi_aff_from_map;
    fn reset_tuple_id(kind: Dim) -> Map = isl_map_reset_tuple_id;
    fn align_params(model: &Space) -> Map = isl_map_align_params;
} }
keeps! { Map {
    fn space() -> Space = isl_map_get_space;
    fn is_empty() -> bool = isl_map_is_empty;
    fn is_subset(other: &Map) -> bool = isl_map_is_subset;
    fn is_equal(other: &Map) -> bool = isl_map_is_equal;
    fn is_single_valued() -> bool = isl_map_is_single_valued;
    fn is_injective() -> bool = isl_map_is_injective;
    fn dim(kind: Dim) -> u32 = isl_map_dim;
    /// The value of a dimension when the constraints say it outright; NaN when not.
    fn constant_at(kind: Dim, at: u32) -> Val = isl_map_plain_get_val_if_fixed;
    fn n_basic_map() -> u32 = isl_map_n_basic_map;
} }

impl Map {
    /// Renames a tuple.
    pub fn with_tuple_name(&self, kind: Dim, name: &str) -> Result<Map> {
        let id = Id::new(&self.ctx, name)?;
        unsafe extern "C" {
            fn isl_map_set_tuple_id(map: *mut c_void, kind: c_int, id: *mut c_void) -> *mut c_void;
        }
        // SAFETY: live objects of one context.
        unsafe { Map::from_c(&self.ctx, isl_map_set_tuple_id(self.raw_copy(), kind as c_int, id.into_raw())) }
    }

    /// Fixes a dimension to a value.
    pub fn fix(&self, kind: Dim, at: u32, value: i64) -> Result<Map> {
        unsafe extern "C" {
            fn isl_map_fix_val(map: *mut c_void, kind: c_int, at: c_uint, value: *mut c_void) -> *mut c_void;
        }
        let value = Val::int(&self.ctx, value)?;
        // SAFETY: live objects of one context; isl takes the map and the value.
        unsafe { Map::from_c(&self.ctx, isl_map_fix_val(self.raw_copy(), kind as c_int, at, value.raw_copy())) }
    }

    /// The name of a tuple; empty when it has none.
    pub fn tuple_name(&self, kind: Dim) -> Result<String> {
        Ok(self.space()?.tuple_name(kind))
    }

    fn restore_dots(&self, dot: &str) -> Result<Map> {
        let mut map = self.clone();
        for kind in [Dim::In, Dim::Out] {
            let name = map.tuple_name(kind)?;
            if name.contains(dot) {
                map = map.with_tuple_name(kind, &name.replace(dot, "."))?;
            }
        }
        Ok(map)
    }
}

takes! { UnionSet {
    fn intersect(other: &UnionSet) -> UnionSet = isl_union_set_intersect;
    fn union(other: &UnionSet) -> UnionSet = isl_union_set_union;
    fn subtract(other: &UnionSet) -> UnionSet = isl_union_set_subtract;
    fn coalesce() -> UnionSet = isl_union_set_coalesce;
    fn gist(context: &UnionSet) -> UnionSet = isl_union_set_gist;
    fn apply(map: &UnionMap) -> UnionSet = isl_union_set_apply;
    fn identity() -> UnionMap = isl_union_set_identity;
    fn universe() -> UnionSet = isl_union_set_universe;
    fn params() -> Set = isl_union_set_params;
    fn intersect_params(params: &Set) -> UnionSet = isl_union_set_intersect_params;
    fn unwrap() -> UnionMap = isl_union_set_unwrap;
    /// The only set, when there is one space.
    fn as_set() -> Set = isl_set_from_union_set;
    /// The function that is `value` on all of it.
    fn constant(value: &Val) -> UnionPwAff = isl_union_pw_aff_val_on_domain;
    fn lexmin() -> UnionSet = isl_union_set_lexmin;
    fn lexmax() -> UnionSet = isl_union_set_lexmax;
    fn compute_divs() -> UnionSet = isl_union_set_compute_divs;
} }
keeps! { UnionSet {
    fn space() -> Space = isl_union_set_get_space;
    fn is_empty() -> bool = isl_union_set_is_empty;
    fn is_subset(other: &UnionSet) -> bool = isl_union_set_is_subset;
    fn is_equal(other: &UnionSet) -> bool = isl_union_set_is_equal;
    fn is_disjoint(other: &UnionSet) -> bool = isl_union_set_is_disjoint;
    fn n_set() -> u32 = isl_union_set_n_set;
} }

impl UnionSet {
    /// The empty union.
    pub fn empty(ctx: &Ctx) -> Result<UnionSet> {
        unsafe extern "C" {
            fn isl_union_set_empty_ctx(ctx: *mut c_void) -> *mut c_void;
        }
        // SAFETY: a live context.
        unsafe { UnionSet::from_c(ctx, isl_union_set_empty_ctx(ctx.raw())) }
    }

    /// The union of all of `parts`, two by two: one after the other, what is there already would be copied each time.
    pub fn union_of(ctx: &Ctx, mut parts: Vec<UnionSet>) -> Result<UnionSet> {
        while parts.len() > 1 {
            let pairs =
                parts.chunks(2).map(|pair| pair.get(1).map_or_else(|| Ok(pair[0].clone()), |b| pair[0].union(b)));
            parts = pairs.collect::<Result<_>>()?;
        }
        parts.pop().map_or_else(|| UnionSet::empty(ctx), Ok)
    }

    /// The sets, ordered by the name of their tuple.
    pub fn sets(&self) -> Result<Vec<Set>> {
        unsafe extern "C" {
            fn isl_union_set_foreach_set(set: *mut c_void, f: Callback, user: *mut c_void) -> c_int;
        }
        let mut sets: Vec<Set> = collect(&self.ctx, |f, user| {
            // SAFETY: a live union; the callback takes each set.
            unsafe { isl_union_set_foreach_set(self.raw, f, user) }
        })?;
        sets.sort_by_cached_key(|set| set.space().map(|space| space.to_string()).unwrap_or_default());
        Ok(sets)
    }

    fn restore_dots(&self, dot: &str) -> Result<UnionSet> {
        let sets = self.sets()?.into_iter().map(|set| set.restore_dots(dot)?.to_union_set());
        UnionSet::union_of(&self.ctx, sets.collect::<Result<_>>()?)
    }
}

takes! { UnionMap {
    fn intersect(other: &UnionMap) -> UnionMap = isl_union_map_intersect;
    fn union(other: &UnionMap) -> UnionMap = isl_union_map_union;
    fn subtract(other: &UnionMap) -> UnionMap = isl_union_map_subtract;
    fn coalesce() -> UnionMap = isl_union_map_coalesce;
    fn domain() -> UnionSet = isl_union_map_domain;
    fn range() -> UnionSet = isl_union_map_range;
    fn reverse() -> UnionMap = isl_union_map_reverse;
    fn apply_range(other: &UnionMap) -> UnionMap = isl_union_map_apply_range;
    fn apply_domain(other: &UnionMap) -> UnionMap = isl_union_map_apply_domain;
    fn intersect_domain(set: &UnionSet) -> UnionMap = isl_union_map_intersect_domain;
    fn intersect_range(set: &UnionSet) -> UnionMap = isl_union_map_intersect_range;
    fn subtract_domain(set: &UnionSet) -> UnionMap = isl_union_map_subtract_domain;
    fn intersect_params(set: &Set) -> UnionMap = isl_union_map_intersect_params;
    fn range_product(other: &UnionMap) -> UnionMap = isl_union_map_range_product;
    fn flat_range_product(other: &UnionMap) -> UnionMap = isl_union_map_flat_range_product;
    fn domain_product(other: &UnionMap) -> UnionMap = isl_union_map_domain_product;
    fn product(other: &UnionMap) -> UnionMap = isl_union_map_product;
    fn wrap() -> UnionSet = isl_union_map_wrap;
    fn domain_map() -> UnionMap = isl_union_map_domain_map;
    fn range_map() -> UnionMap = isl_union_map_range_map;
    fn deltas() -> UnionSet = isl_union_map_deltas;
    fn lexmin() -> UnionMap = isl_union_map_lexmin;
    fn lexmax() -> UnionMap = isl_union_map_lexmax;
    fn compute_divs() -> UnionMap = isl_union_map_compute_divs;
    fn domain_factor_domain() -> UnionMap = isl_union_map_domain_factor_domain;
    fn range_factor_domain() -> UnionMap = isl_union_map_range_factor_domain;
    fn range_factor_range() -> UnionMap = isl_union_map_range_factor_range;
    fn gist(context: &UnionMap) -> UnionMap = isl_union_map_gist;
    fn gist_domain(context: &UnionSet) -> UnionMap = isl_union_map_gist_domain;
    /// The only map, when there is one space.
    fn as_map() -> Map = isl_map_from_union_map;
    /// The pairs at which both ends have equal values.
    fn eq_at(values: &MultiUnionPwAff) -> UnionMap = isl_union_map_eq_at_multi_union_pw_aff;
    /// The pairs whose source has the lexicographically smaller value.
    fn lex_lt_at(values: &MultiUnionPwAff) -> UnionMap = isl_union_map_lex_lt_at_multi_union_pw_aff;
    fn lex_le_at(values: &MultiUnionPwAff) -> UnionMap = isl_union_map_lex_le_at_multi_union_pw_aff;
    /// The pairs whose source has the lexicographically greater value.
    fn lex_gt_at(values: &MultiUnionPwAff) -> UnionMap = isl_union_map_lex_gt_at_multi_union_pw_aff;
    fn lex_ge_at(values: &MultiUnionPwAff) -> UnionMap = isl_union_map_lex_ge_at_multi_union_pw_aff;
} }
keeps! { UnionMap {
    fn space() -> Space = isl_union_map_get_space;
    fn is_empty() -> bool = isl_union_map_is_empty;
    fn is_subset(other: &UnionMap) -> bool = isl_union_map_is_subset;
    fn is_equal(other: &UnionMap) -> bool = isl_union_map_is_equal;
    fn is_single_valued() -> bool = isl_union_map_is_single_valued;
    fn is_injective() -> bool = isl_union_map_is_injective;
    fn n_map() -> u32 = isl_union_map_n_map;
} }

impl UnionMap {
    /// The empty union.
    pub fn empty(ctx: &Ctx) -> Result<UnionMap> {
        unsafe extern "C" {
            fn isl_union_map_empty_ctx(ctx: *mut c_void) -> *mut c_void;
        }
        // SAFETY: a live context.
        unsafe { UnionMap::from_c(ctx, isl_union_map_empty_ctx(ctx.raw())) }
    }

    /// The union of all of `parts`, two by two: one after the other, what is there already would be copied each time.
    pub fn union_of(ctx: &Ctx, mut parts: Vec<UnionMap>) -> Result<UnionMap> {
        while parts.len() > 1 {
            let pairs =
                parts.chunks(2).map(|pair| pair.get(1).map_or_else(|| Ok(pair[0].clone()), |b| pair[0].union(b)));
            parts = pairs.collect::<Result<_>>()?;
        }
        parts.pop().map_or_else(|| UnionMap::empty(ctx), Ok)
    }

    /// The pairs that one or more steps of the relation join, or more than these: isl finds them exactly for
    /// translations and in a few other cases.
    pub fn transitive_closure(&self) -> Result<UnionMap> {
        unsafe extern "C" {
            fn isl_union_map_transitive_closure(map: *mut c_void, exact: *mut c_int) -> *mut c_void;
        }
        let mut exact = 0;
        // SAFETY: a live map, of which isl takes a copy; `exact` outlives the call.
        unsafe { UnionMap::from_c(&self.ctx, isl_union_map_transitive_closure(self.raw_copy(), &raw mut exact)) }
    }

    /// The maps, ordered by their spaces.
    pub fn maps(&self) -> Result<Vec<Map>> {
        unsafe extern "C" {
            fn isl_union_map_foreach_map(map: *mut c_void, f: Callback, user: *mut c_void) -> c_int;
        }
        let mut maps: Vec<Map> = collect(&self.ctx, |f, user| {
            // SAFETY: a live union; the callback takes each map.
            unsafe { isl_union_map_foreach_map(self.raw, f, user) }
        })?;
        maps.sort_by_cached_key(|map| map.space().map(|space| space.to_string()).unwrap_or_default());
        Ok(maps)
    }

    fn restore_dots(&self, dot: &str) -> Result<UnionMap> {
        let maps = self.maps()?.into_iter().map(|map| map.restore_dots(dot)?.to_union_map());
        UnionMap::union_of(&self.ctx, maps.collect::<Result<_>>()?)
    }
}

takes! { Aff {
    fn add(other: &Aff) -> Aff = isl_aff_add;
    fn sub(other: &Aff) -> Aff = isl_aff_sub;
    fn neg() -> Aff = isl_aff_neg;
    fn floor() -> Aff = isl_aff_floor;
    fn scale(by: &Val) -> Aff = isl_aff_scale_val;
    fn scale_down(by: &Val) -> Aff = isl_aff_scale_down_val;
    fn modulo(by: &Val) -> Aff = isl_aff_mod_val;
    fn add_constant(value: &Val) -> Aff = isl_aff_add_constant_val;
    fn add_coefficient_si(kind: Dim, at: i32, value: i32) -> Aff = isl_aff_add_coefficient_si;
    fn to_pw_aff() -> PwAff = isl_pw_aff_from_aff;
    fn ge_set(other: &Aff) -> Set = isl_aff_ge_set;
    fn eq_set(other: &Aff) -> Set = isl_aff_eq_set;
} }
keeps! { Aff {
    fn dim(kind: Dim) -> u32 = isl_aff_dim;
    fn constant() -> Val = isl_aff_get_constant_val;
    fn coefficient(kind: Dim, at: i32) -> Val = isl_aff_get_coefficient_val;
    fn denominator() -> Val = isl_aff_get_denominator_val;
    fn div(at: i32) -> Aff = isl_aff_get_div;
    fn domain_space() -> Space = isl_aff_get_domain_space;
} }

/// A quasi-affine function taken apart: `(constant + Σ params + Σ dims + Σ cᵢ·floor(divᵢ)) / denominator`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The constant, times the denominator.
    pub constant: i64,
    /// Coefficients of the parameters, times the denominator.
    pub params: Vec<i64>,
    /// Coefficients of the domain's tuple, times the denominator.
    pub dims: Vec<i64>,
    /// Coefficients, times the denominator, of the floors of further functions.
    pub floors: Vec<(i64, Terms)>,
    /// At least 1.
    pub denominator: i64,
}

impl Aff {
    /// The function taken apart.
    pub fn terms(&self) -> Result<Terms> {
        let denominator = self.denominator()?.to_i64()?;
        let scaled = self.scale(&Val::int(&self.ctx, denominator)?)?;
        let all = |kind: Dim| -> Result<Vec<i64>> {
            (0..scaled.dim(kind)?).map(|at| scaled.coefficient(kind, at as i32)?.to_i64()).collect()
        };
        let mut floors = Vec::new();
        for (at, coefficient) in all(Dim::Div)?.into_iter().enumerate() {
            if coefficient != 0 {
                floors.push((coefficient, scaled.div(at as i32)?.terms()?));
            }
        }
        Ok(Terms {
            constant: scaled.constant()?.to_i64()?,
            params: all(Dim::Param)?,
            dims: all(Dim::In)?,
            floors,
            denominator,
        })
    }

    fn no_dots(&self, _dot: &str) -> Result<Aff> {
        Ok(self.clone())
    }
}

takes! { PwAff {
    fn add(other: &PwAff) -> PwAff = isl_pw_aff_add;
    fn sub(other: &PwAff) -> PwAff = isl_pw_aff_sub;
    fn neg() -> PwAff = isl_pw_aff_neg;
    fn min(other: &PwAff) -> PwAff = isl_pw_aff_min;
    fn max(other: &PwAff) -> PwAff = isl_pw_aff_max;
    fn floor() -> PwAff = isl_pw_aff_floor;
    fn scale(by: &Val) -> PwAff = isl_pw_aff_scale_val;
    fn scale_down(by: &Val) -> PwAff = isl_pw_aff_scale_down_val;
    fn modulo(by: &Val) -> PwAff = isl_pw_aff_mod_val;
    fn coalesce() -> PwAff = isl_pw_aff_coalesce;
    fn domain() -> Set = isl_pw_aff_domain;
    fn intersect_domain(set: &Set) -> PwAff = isl_pw_aff_intersect_domain;
    /// Where only one is defined, that one.
    fn union_add(other: &PwAff) -> PwAff = isl_pw_aff_union_add;
    fn gist(context: &Set) -> PwAff = isl_pw_aff_gist;
    fn gist_params(context: &Set) -> PwAff = isl_pw_aff_gist_params;
    fn ge_set(other: &PwAff) -> Set = isl_pw_aff_ge_set;
    fn gt_set(other: &PwAff) -> Set = isl_pw_aff_gt_set;
    fn eq_set(other: &PwAff) -> Set = isl_pw_aff_eq_set;
    fn max_val() -> Val = isl_pw_aff_max_val;
    fn min_val() -> Val = isl_pw_aff_min_val;
    fn nonneg_set() -> Set = isl_pw_aff_nonneg_set;
    fn to_union_pw_aff() -> UnionPwAff = isl_union_pw_aff_from_pw_aff;
    fn to_map() -> Map = isl_map_from_pw_aff;
    fn mul(other: &PwAff) -> PwAff = isl_pw_aff_mul;
} }
keeps! { PwAff {
    fn space() -> Space = isl_pw_aff_get_space;
    fn is_equal(other: &PwAff) -> bool = isl_pw_aff_is_equal;
    fn n_piece() -> u32 = isl_pw_aff_n_piece;
    fn is_cst() -> bool = isl_pw_aff_is_cst;
} }

impl PwAff {
    /// `then` where this is not negative, else `otherwise`.
    pub fn select_nonneg(&self, then: &PwAff, otherwise: &PwAff) -> Result<PwAff> {
        let there = self.nonneg_set()?;
        let elsewhere = self.domain()?.subtract(&there)?;
        then.intersect_domain(&there)?.union_add(&otherwise.intersect_domain(&elsewhere)?)
    }

    /// The pieces: where, and what.
    pub fn pieces(&self) -> Result<Vec<(Set, Aff)>> {
        unsafe extern "C" {
            fn isl_pw_aff_foreach_piece(pw: *mut c_void, f: PairCallback, user: *mut c_void) -> c_int;
        }
        unsafe extern "C" fn push(set: *mut c_void, aff: *mut c_void, user: *mut c_void) -> c_int {
            // SAFETY: `user` is the vector below, alive and unaliased during the walk.
            let pieces = unsafe { &mut *user.cast::<(Ctx, Vec<(Set, Aff)>)>() };
            // SAFETY: isl hands over one reference to each.
            match unsafe { (Set::from_c(&pieces.0, set), Aff::from_c(&pieces.0, aff)) } {
                (Ok(set), Ok(aff)) => {
                    pieces.1.push((set, aff));
                    0
                }
                _ => -1,
            }
        }
        let mut pieces = (self.ctx.clone(), Vec::new());
        // SAFETY: a live function; the callback takes each piece; `pieces` outlives the walk.
        let status = unsafe { isl_pw_aff_foreach_piece(self.raw, push, (&raw mut pieces).cast()) };
        if status < 0 { Err(self.ctx.take_error()) } else { Ok(pieces.1) }
    }
}

takes! { MultiAff {
    fn to_map() -> Map = isl_map_from_multi_aff;
    fn to_multi_union_pw_aff() -> MultiUnionPwAff = isl_multi_union_pw_aff_from_multi_aff;
} }
keeps! { MultiAff {
    fn size() -> u32 = isl_multi_aff_size;
    fn at(position: i32) -> Aff = isl_multi_aff_get_at;
} }

takes! { PwMultiAff {
    fn to_map() -> Map = isl_map_from_pw_multi_aff;
    fn coalesce() -> PwMultiAff = isl_pw_multi_aff_coalesce;
    fn gist(context: &Set) -> PwMultiAff = isl_pw_multi_aff_gist;
} }
keeps! { PwMultiAff {
    fn dim(kind: Dim) -> u32 = isl_pw_multi_aff_dim;
    fn n_piece() -> u32 = isl_pw_multi_aff_n_piece;
    fn at(position: i32) -> PwAff = isl_pw_multi_aff_get_at;
} }

keeps! { MultiPwAff {
    fn size() -> u32 = isl_multi_pw_aff_size;
    fn at(position: i32) -> PwAff = isl_multi_pw_aff_get_at;
} }

takes! { UnionPwAff {
    fn add(other: &UnionPwAff) -> UnionPwAff = isl_union_pw_aff_add;
    fn sub(other: &UnionPwAff) -> UnionPwAff = isl_union_pw_aff_sub;
    fn union_add(other: &UnionPwAff) -> UnionPwAff = isl_union_pw_aff_union_add;
    fn neg() -> UnionPwAff = isl_union_pw_aff_neg;
    fn floor() -> UnionPwAff = isl_union_pw_aff_floor;
    fn scale(by: &Val) -> UnionPwAff = isl_union_pw_aff_scale_val;
    fn scale_down(by: &Val) -> UnionPwAff = isl_union_pw_aff_scale_down_val;
    fn modulo(by: &Val) -> UnionPwAff = isl_union_pw_aff_mod_val;
    fn coalesce() -> UnionPwAff = isl_union_pw_aff_coalesce;
    fn domain() -> UnionSet = isl_union_pw_aff_domain;
    fn intersect_domain(set: &UnionSet) -> UnionPwAff = isl_union_pw_aff_intersect_domain;
    fn gist(context: &UnionSet) -> UnionPwAff = isl_union_pw_aff_gist;
    fn to_union_map() -> UnionMap = isl_union_map_from_union_pw_aff;
    fn to_multi() -> MultiUnionPwAff = isl_multi_union_pw_aff_from_union_pw_aff;
    fn add_pw_aff(other: &PwAff) -> UnionPwAff = isl_union_pw_aff_add_pw_aff;
} }
keeps! { UnionPwAff {
    fn space() -> Space = isl_union_pw_aff_get_space;
    fn plain_is_equal(other: &UnionPwAff) -> bool = isl_union_pw_aff_plain_is_equal;
} }

impl UnionPwAff {
    /// The empty union.
    pub fn empty(ctx: &Ctx) -> Result<UnionPwAff> {
        unsafe extern "C" {
            fn isl_union_pw_aff_empty_ctx(ctx: *mut c_void) -> *mut c_void;
        }
        // SAFETY: a live context.
        unsafe { UnionPwAff::from_c(ctx, isl_union_pw_aff_empty_ctx(ctx.raw())) }
    }

    /// The functions, ordered by their spaces.
    pub fn pw_affs(&self) -> Result<Vec<PwAff>> {
        unsafe extern "C" {
            fn isl_union_pw_aff_foreach_pw_aff(upa: *mut c_void, f: Callback, user: *mut c_void) -> c_int;
        }
        let mut all: Vec<PwAff> = collect(&self.ctx, |f, user| {
            // SAFETY: a live union; the callback takes each function.
            unsafe { isl_union_pw_aff_foreach_pw_aff(self.raw, f, user) }
        })?;
        all.sort_by_cached_key(|pw| pw.space().map(|space| space.to_string()).unwrap_or_default());
        Ok(all)
    }

    fn restore_dots(&self, dot: &str) -> Result<UnionPwAff> {
        let map = self.to_union_map()?.restore_dots(dot)?;
        map.maps()?.iter().try_fold(UnionPwAff::empty(&self.ctx)?, |all, map| {
            all.union_add(&map.to_pw_multi_aff()?.at(0)?.to_union_pw_aff()?)
        })
    }
}

takes! { MultiUnionPwAff {
    fn domain() -> UnionSet = isl_multi_union_pw_aff_domain;
    fn flat_range_product(other: &MultiUnionPwAff) -> MultiUnionPwAff = isl_multi_union_pw_aff_flat_range_product;
    fn intersect_domain(set: &UnionSet) -> MultiUnionPwAff = isl_multi_union_pw_aff_intersect_domain;
    fn to_union_map() -> UnionMap = isl_union_map_from_multi_union_pw_aff;
    fn drop_dims(kind: Dim, first: u32, n: u32) -> MultiUnionPwAff = isl_multi_union_pw_aff_drop_dims;
} }
keeps! { MultiUnionPwAff {
    fn space() -> Space = isl_multi_union_pw_aff_get_space;
    fn size() -> u32 = isl_multi_union_pw_aff_size;
    fn at(position: i32) -> UnionPwAff = isl_multi_union_pw_aff_get_at;
} }

/// isl's walks hand each element over to a function like this.
pub(super) type Callback = unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int;
type PairCallback = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void) -> c_int;

unsafe extern "C" {
    fn isl_point_get_coordinate_val(point: *mut c_void, kind: c_int, at: c_int) -> *mut c_void;
    fn isl_point_free(point: *mut c_void) -> *mut c_void;
}

/// The coordinates of a point.
///
/// # Safety
/// `point` is live, of that context, and has `dims` coordinates at least.
unsafe fn coordinates(ctx: &Ctx, point: *mut c_void, dims: u32) -> Result<Vec<i64>> {
    let coordinate = |at: u32| {
        // SAFETY: a live point; isl checks the position.
        unsafe { Val::from_c(ctx, isl_point_get_coordinate_val(point, Dim::Set as c_int, at as c_int))?.to_i64() }
    };
    (0..dims).map(coordinate).collect()
}

/// Gathers what an isl walk hands over. Nothing in the callback can panic: it stores and returns.
pub(super) fn collect<T: Ret<C = *mut c_void>>(
    ctx: &Ctx,
    walk: impl FnOnce(Callback, *mut c_void) -> c_int,
) -> Result<Vec<T>> {
    struct Gather<T> {
        ctx: Ctx,
        found: Vec<T>,
    }
    unsafe extern "C" fn push<T: Ret<C = *mut c_void>>(element: *mut c_void, user: *mut c_void) -> c_int {
        // SAFETY: `user` is the `Gather` below, alive and unaliased during the walk.
        let gather = unsafe { &mut *user.cast::<Gather<T>>() };
        // SAFETY: isl hands over one reference of the type that the walk is declared with.
        match unsafe { T::from_c(&gather.ctx, element) } {
            Ok(element) => {
                gather.found.push(element);
                0
            }
            Err(_) => -1,
        }
    }
    let mut gather = Gather { ctx: ctx.clone(), found: Vec::new() };
    let status = walk(push::<T>, (&raw mut gather).cast());
    if status < 0 { Err(ctx.take_error()) } else { Ok(gather.found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_listed_up_to_a_number() {
        let ctx = Ctx::new();
        let set = Set::read(&ctx, "{ A[i, j] : 0 <= i <= 3 and i <= j <= 3 and j mod 2 = 1 }").unwrap();
        let points = [[0, 1], [0, 3], [1, 1], [1, 3], [2, 3], [3, 3]].map(|point| point.to_vec());
        assert_eq!(set.points(6).unwrap(), Some(points.to_vec()));
        assert_eq!(set.points(5).unwrap(), None);
        assert_eq!(set.points(6).unwrap().map(|points| points.len()), Some(6), "the context is as before");
        assert_eq!(Set::read(&ctx, "{ A[i] : i >= 0 }").unwrap().points(10).unwrap(), None);
        assert_eq!(Set::read(&ctx, "{ A[i] : false }").unwrap().points(0).unwrap(), Some(Vec::new()));
    }

    /// isl takes what these are called on: a receiver that was not copied would be freed twice.
    #[test]
    fn extreme_values_leave_the_receiver_alive() {
        let ctx = Ctx::new();
        let set = Set::read(&ctx, "{ A[i, j] : 0 <= i <= 9 and i <= j <= 2i }").unwrap();
        for _ in 0..3 {
            assert_eq!(set.dim_max_val(1).unwrap().to_i64(), Ok(18));
            assert_eq!(set.dim_min_val(1).unwrap().to_i64(), Ok(0));
            let most = set.project_out(Dim::Set, 1, 1).unwrap().dim_max(0).unwrap();
            assert_eq!(most.max_val().unwrap().to_i64(), Ok(9));
            assert_eq!(most.min_val().unwrap().to_i64(), Ok(9));
        }
        assert_eq!(set.to_string(), "{ A[i, j] : 0 <= i <= 9 and i <= j <= 2i }");
    }
}
