//! isl's code generation: from a schedule to loops over its points, handed out as plain Rust data.

use std::any::Any;
use std::ffi::{CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::objects::{Ret, methods, takes};
use super::{
    Aff, Ctx, Error, MultiAff, MultiUnionPwAff, PwAff, Result, Schedule, Set, Space, UnionMap, UnionSet, objects::Arg,
};

/// A loop nest that visits every point of a schedule; `T` is what the caller computed at each user node.
#[derive(Clone, Debug, PartialEq)]
pub enum AstNode<T> {
    /// `for (iterator = init; cond; iterator += inc) body`.
    For {
        /// The iterator's name.
        iterator: String,
        /// First value.
        init: AstExpr,
        /// Goes on while it holds: an upper bound on the iterator. For a degenerate loop not to be looked at.
        cond: AstExpr,
        /// The step.
        inc: AstExpr,
        /// The body.
        body: Box<AstNode<T>>,
        /// Runs exactly once, with the first value.
        degenerate: bool,
    },
    /// A guard.
    If {
        /// The condition.
        cond: AstExpr,
        /// Where it holds.
        then: Box<AstNode<T>>,
        /// Where it does not.
        otherwise: Option<Box<AstNode<T>>>,
    },
    /// One after another.
    Block(Vec<AstNode<T>>),
    /// A mark of the schedule tree.
    Mark {
        /// What it says.
        name: String,
        /// What it is said of.
        child: Box<AstNode<T>>,
    },
    /// An instance of a statement.
    User {
        /// The tuple's name.
        name: String,
        /// The coordinates.
        at: Vec<AstExpr>,
        /// What the caller computed here.
        data: T,
    },
}

/// An expression over iterators and parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AstExpr {
    /// A constant.
    Int(i64),
    /// An iterator or a parameter.
    Id(String),
    /// An operator and its operands.
    Op(AstOp, Vec<AstExpr>),
}

macro_rules! ast_ops {
    ($($(#[$doc:meta])* $variant:ident = $code:literal,)*) => {
        /// isl's operators.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum AstOp { $($(#[$doc])* $variant = $code),* }

        impl AstOp {
            fn from_c(code: c_int) -> Option<AstOp> {
                match code { $($code => Some(AstOp::$variant),)* _ => None }
            }
        }
    };
}

ast_ops! {
    /// Both hold.
    And = 0,
    /// Both hold; the second counts only where the first holds.
    AndThen = 1,
    /// One holds.
    Or = 2,
    /// One holds; the second counts only where the first does not.
    OrElse = 3,
    /// The largest.
    Max = 4,
    /// The smallest.
    Min = 5,
    /// The negation.
    Minus = 6,
    /// The sum.
    Add = 7,
    /// The difference.
    Sub = 8,
    /// The product.
    Mul = 9,
    /// A division without remainder.
    Div = 10,
    /// A division rounded towards minus infinity.
    FloorDiv = 11,
    /// A division of a dividend that is not negative.
    PosDiv = 12,
    /// A remainder of a dividend that is not negative.
    PosRem = 13,
    /// A remainder that is only compared with zero.
    ZeroRem = 14,
    /// `a ? b : c`; only one arm is defined.
    Cond = 15,
    /// `a ? b : c`.
    Select = 16,
    /// `==`
    Eq = 17,
    /// `<=`
    Le = 18,
    /// `<`
    Lt = 19,
    /// `>=`
    Ge = 20,
    /// `>`
    Gt = 21,
    /// A function and its arguments: a user node's instance.
    Call = 22,
}

/// A schedule to generate loops from, built bottom-up.
pub struct AstSchedule {
    raw: *mut c_void,
    ctx: Ctx,
}

impl Drop for AstSchedule {
    fn drop(&mut self) {
        unsafe extern "C" {
            fn isl_schedule_free(schedule: *mut c_void) -> *mut c_void;
        }
        // SAFETY: this value owns one reference, given back here.
        unsafe { isl_schedule_free(self.raw) };
    }
}

unsafe extern "C" {
    fn isl_schedule_copy(schedule: *mut c_void) -> *mut c_void;
    fn isl_schedule_from_domain(domain: *mut c_void) -> *mut c_void;
    fn isl_schedule_insert_partial_schedule(schedule: *mut c_void, partial: *mut c_void) -> *mut c_void;
    fn isl_schedule_sequence(first: *mut c_void, second: *mut c_void) -> *mut c_void;
    fn isl_schedule_set(first: *mut c_void, second: *mut c_void) -> *mut c_void;
}

impl AstSchedule {
    /// The instances, in no order.
    pub fn from_domain(domain: &UnionSet) -> Result<AstSchedule> {
        // SAFETY: a live set, of which isl takes a copy.
        AstSchedule::owned(domain.ctx(), unsafe { isl_schedule_from_domain(domain.take()) })
    }

    /// Orders by `partial` first.
    pub fn under_band(&self, partial: &MultiUnionPwAff) -> Result<AstSchedule> {
        if !partial.belongs_to(&self.ctx) {
            return Err(Error::Mixed);
        }
        // SAFETY: live objects of one context; isl takes both copies.
        let raw = unsafe { isl_schedule_insert_partial_schedule(self.copy(), partial.take()) };
        AstSchedule::owned(&self.ctx, raw)
    }

    /// The same, with one loop for each row and all of its values: none is divided into several.
    pub fn under_whole_band(&self, partial: &MultiUnionPwAff) -> Result<AstSchedule> {
        const ISL_AST_LOOP_ATOMIC: i32 = 1;
        let schedule = self.under_band(partial)?.schedule()?;
        let band = (0..partial.size()? as i32).try_fold(schedule.root()?.child(0)?, |band, at| {
            band.band_member_set_ast_loop_type(at, ISL_AST_LOOP_ATOMIC)
        })?;
        AstSchedule::owned(&self.ctx, band.schedule()?.take())
    }

    /// The instances.
    pub fn domain(&self) -> Result<UnionSet> {
        self.schedule()?.domain()
    }

    /// The schedule of those instances that are in `domain`, which may be of more parameters.
    pub fn intersect_domain(&self, domain: &UnionSet) -> Result<AstSchedule> {
        AstSchedule::owned(&self.ctx, self.schedule()?.intersect_domain(domain)?.take())
    }

    fn schedule(&self) -> Result<Schedule> {
        // SAFETY: a reference to a live schedule, taken over here.
        unsafe { Schedule::from_c(&self.ctx, self.copy()) }
    }

    /// This schedule, then the other, on disjoint instances.
    pub fn then(&self, next: &AstSchedule) -> Result<AstSchedule> {
        self.joined(next, isl_schedule_sequence)
    }

    /// This schedule and the other, on disjoint instances, in any order.
    pub fn beside(&self, other: &AstSchedule) -> Result<AstSchedule> {
        self.joined(other, isl_schedule_set)
    }

    fn joined(
        &self,
        other: &AstSchedule,
        join: unsafe extern "C" fn(*mut c_void, *mut c_void) -> *mut c_void,
    ) -> Result<AstSchedule> {
        if self.ctx != other.ctx {
            return Err(Error::Mixed);
        }
        // SAFETY: live objects of one context; isl takes both copies.
        AstSchedule::owned(&self.ctx, unsafe { join(self.copy(), other.copy()) })
    }

    fn copy(&self) -> *mut c_void {
        // SAFETY: a live schedule.
        unsafe { isl_schedule_copy(self.raw) }
    }

    fn owned(ctx: &Ctx, raw: *mut c_void) -> Result<AstSchedule> {
        if raw.is_null() { Err(ctx.take_error()) } else { Ok(AstSchedule { raw, ctx: ctx.clone() }) }
    }

    /// The loops that visit every instance once, in order. Loop number `d` from the outside uses `iterators[d]`;
    /// `context` is what is known of the parameters; `at_each` runs at every user node, with what is known there.
    ///
    /// Bounds are minima and maxima, and a loop goes on below a single upper bound.
    ///
    /// # Errors
    /// isl's, those of `at_each`, and [`Error::Panicked`] when it panics.
    pub fn loops<T: Clone>(
        &self,
        context: &Set,
        iterators: &[String],
        at_each: &mut dyn FnMut(&str, &AstBuild<'_>) -> Result<T>,
    ) -> Result<AstNode<T>> {
        unsafe extern "C" {
            fn isl_ast_build_from_context(context: *mut c_void) -> *mut c_void;
            fn isl_ast_build_set_iterators(build: *mut c_void, ids: *mut c_void) -> *mut c_void;
            fn isl_ast_build_set_at_each_domain(build: *mut c_void, f: AtEach, user: *mut c_void) -> *mut c_void;
            fn isl_ast_build_node_from_schedule(build: *mut c_void, schedule: *mut c_void) -> *mut c_void;
        }
        if !context.belongs_to(&self.ctx) {
            return Err(Error::Mixed);
        }
        let _options = GenerationOptions::set(&self.ctx);
        let ids = id_list(&self.ctx, iterators)?;
        let mut leaves = Leaves { ctx: self.ctx.clone(), at_each, found: Vec::new(), failed: None };
        // SAFETY: live objects of one context, of which isl takes references; every function passes a null on. The
        // callback's state outlives the build, which is freed before it is read again.
        let node = unsafe {
            let build = isl_ast_build_set_iterators(isl_ast_build_from_context(context.take()), ids);
            let build = isl_ast_build_set_at_each_domain(build, visit_leaf::<T>, (&raw mut leaves).cast());
            let node = isl_ast_build_node_from_schedule(build, self.copy());
            isl_ast_build_free(build);
            node
        };
        if node.is_null() {
            let refused = self.ctx.take_error();
            return Err(leaves.failed.take().unwrap_or(refused));
        }
        let node = RawNode(node);
        convert_node(&self.ctx, &node, &leaves.found)
    }
}

/// What is known at a user node while loops are generated.
pub struct AstBuild<'a> {
    raw: *mut c_void,
    ctx: Ctx,
    alive: PhantomData<&'a ()>,
}

unsafe extern "C" {
    fn isl_ast_build_free(build: *mut c_void) -> *mut c_void;
}

impl AstBuild<'_> {
    /// From the instances here to the values of the loops around.
    pub fn schedule(&self) -> Result<UnionMap> {
        unsafe extern "C" {
            fn isl_ast_build_get_schedule(build: *mut c_void) -> *mut c_void;
        }
        // SAFETY: the build is alive during the callback that holds this value.
        unsafe { UnionMap::from_c(&self.ctx, isl_ast_build_get_schedule(self.raw)) }
    }

    /// Whether the loops' values are in `set`, a set in the range of [`AstBuild::schedule`]; what is known already
    /// is left out.
    pub fn expr_from_set(&self, set: &Set) -> Result<AstExpr> {
        unsafe extern "C" {
            fn isl_ast_build_expr_from_set(build: *mut c_void, set: *mut c_void) -> *mut c_void;
        }
        if !set.belongs_to(&self.ctx) {
            return Err(Error::Mixed);
        }
        // SAFETY: the build is alive; isl takes a copy of the set.
        let raw = RawExpr(unsafe { isl_ast_build_expr_from_set(self.raw, set.take()) });
        convert_expr(&self.ctx, &raw)
    }

    /// The value of a function of the loops' values.
    pub fn expr_from_pw_aff(&self, function: &PwAff) -> Result<AstExpr> {
        unsafe extern "C" {
            fn isl_ast_build_expr_from_pw_aff(build: *mut c_void, function: *mut c_void) -> *mut c_void;
        }
        if !function.belongs_to(&self.ctx) {
            return Err(Error::Mixed);
        }
        // SAFETY: the build is alive; isl takes a copy of the function.
        let raw = RawExpr(unsafe { isl_ast_build_expr_from_pw_aff(self.raw, function.take()) });
        convert_expr(&self.ctx, &raw)
    }
}

takes! { PwAff {
    /// The function after `inner`.
    fn pullback(inner: &MultiAff) -> PwAff = isl_pw_aff_pullback_multi_aff;
    fn align_params(model: &Space) -> PwAff = isl_pw_aff_align_params;
} }
takes! { Set {
    /// The points that `function` maps into the set.
    fn preimage(function: &MultiAff) -> Set = isl_set_preimage_multi_aff;
} }
takes! { MultiAff {
    /// With another function at a position.
    fn with_at(position: i32, function: &Aff) -> MultiAff = isl_multi_aff_set_at;
} }
takes! { Space {
    /// The space of the relations from this set space to another.
    fn map_to(range: &Space) -> Space = isl_space_map_from_domain_and_range;
    /// The functions that are zero everywhere, on a map space.
    fn zero_multi_aff() -> MultiAff = isl_multi_aff_zero;
} }

type AtEach = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void) -> *mut c_void;

/// The state of the callback at user nodes. A node is annotated with the position of its result.
struct Leaves<'a, T> {
    ctx: Ctx,
    at_each: &'a mut dyn FnMut(&str, &AstBuild<'_>) -> Result<T>,
    found: Vec<T>,
    failed: Option<Error>,
}

unsafe extern "C" fn visit_leaf<T>(node: *mut c_void, build: *mut c_void, user: *mut c_void) -> *mut c_void {
    unsafe extern "C" {
        fn isl_ast_node_set_annotation(node: *mut c_void, id: *mut c_void) -> *mut c_void;
    }
    // SAFETY: `user` is the state in `AstSchedule::loops`, alive and unaliased during generation.
    let leaves = unsafe { &mut *user.cast::<Leaves<'_, T>>() };
    let node = RawNode(node);
    let result = catch_unwind(AssertUnwindSafe(|| {
        let build = AstBuild { raw: build, ctx: leaves.ctx.clone(), alive: PhantomData };
        let (name, _) = instance(&leaves.ctx, &node)?;
        let data = (leaves.at_each)(&name, &build)?;
        let note = new_id(&leaves.ctx, &leaves.found.len().to_string())?;
        leaves.found.push(data);
        Ok(note)
    }));
    match result {
        // SAFETY: isl takes the node and the id and gives the node back.
        Ok(Ok(note)) => unsafe { isl_ast_node_set_annotation(node.release(), note) },
        Ok(Err(error)) => {
            leaves.failed = Some(error);
            std::ptr::null_mut()
        }
        Err(panic) => {
            leaves.failed = Some(Error::Panicked(words(&*panic)));
            std::ptr::null_mut()
        }
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}

macro_rules! generation_options {
    ($($option:ident = $value:literal: $get:ident $set:ident;)*) => {
        unsafe extern "C" {$(
            fn $get(ctx: *mut c_void) -> c_int;
            fn $set(ctx: *mut c_void, value: c_int) -> c_int;
        )*}

        /// isl's options of code generation, which belong to the context: set here and restored on drop.
        struct GenerationOptions { ctx: Ctx, $($option: c_int),* }

        impl GenerationOptions {
            fn set(ctx: &Ctx) -> GenerationOptions {
                // SAFETY: a live context.
                let saved = unsafe { GenerationOptions { ctx: ctx.clone(), $($option: $get(ctx.raw())),* } };
                // SAFETY: a live context.
                unsafe { $($set(ctx.raw(), $value);)* }
                saved
            }
        }

        impl Drop for GenerationOptions {
            fn drop(&mut self) {
                // SAFETY: a live context.
                unsafe { $($set(self.ctx.raw(), self.$option);)* }
            }
        }
    };
}

generation_options! {
    atomic_upper_bound = 1:
        isl_options_get_ast_build_atomic_upper_bound isl_options_set_ast_build_atomic_upper_bound;
    detect_min_max = 1: isl_options_get_ast_build_detect_min_max isl_options_set_ast_build_detect_min_max;
    exploit_nested_bounds = 1:
        isl_options_get_ast_build_exploit_nested_bounds isl_options_set_ast_build_exploit_nested_bounds;
    prefer_pdiv = 1: isl_options_get_ast_build_prefer_pdiv isl_options_set_ast_build_prefer_pdiv;
    scale_strides = 0: isl_options_get_ast_build_scale_strides isl_options_set_ast_build_scale_strides;
}

fn new_id(ctx: &Ctx, name: &str) -> Result<*mut c_void> {
    unsafe extern "C" {
        fn isl_id_alloc(ctx: *mut c_void, name: *const c_char, user: *mut c_void) -> *mut c_void;
    }
    let name = CString::new(name).map_err(|_| Error::Text("a name holds a NUL"))?;
    // SAFETY: a live context; isl copies the name.
    let raw = unsafe { isl_id_alloc(ctx.raw(), name.as_ptr(), std::ptr::null_mut()) };
    if raw.is_null() { Err(ctx.take_error()) } else { Ok(raw) }
}

/// The reference to the list is the caller's to give to isl.
fn id_list(ctx: &Ctx, names: &[String]) -> Result<*mut c_void> {
    unsafe extern "C" {
        fn isl_id_list_alloc(ctx: *mut c_void, n: c_int) -> *mut c_void;
        fn isl_id_list_add(list: *mut c_void, id: *mut c_void) -> *mut c_void;
        fn isl_id_list_free(list: *mut c_void) -> *mut c_void;
    }
    // SAFETY: a live context.
    let mut list = unsafe { isl_id_list_alloc(ctx.raw(), names.len() as c_int) };
    for name in names {
        match new_id(ctx, name) {
            // SAFETY: isl takes the list and the id, and passes a null list on.
            Ok(id) => list = unsafe { isl_id_list_add(list, id) },
            Err(error) => {
                // SAFETY: the list is freed once.
                unsafe { isl_id_list_free(list) };
                return Err(error);
            }
        }
    }
    if list.is_null() { Err(ctx.take_error()) } else { Ok(list) }
}

/// An owned node, or null.
struct RawNode(*mut c_void);

impl RawNode {
    fn release(self) -> *mut c_void {
        let raw = self.0;
        std::mem::forget(self);
        raw
    }
}

impl Drop for RawNode {
    fn drop(&mut self) {
        unsafe extern "C" {
            fn isl_ast_node_free(node: *mut c_void) -> *mut c_void;
        }
        // SAFETY: one reference, given back here; isl accepts a null.
        unsafe { isl_ast_node_free(self.0) };
    }
}

/// An owned expression, or null.
struct RawExpr(*mut c_void);

impl Drop for RawExpr {
    fn drop(&mut self) {
        unsafe extern "C" {
            fn isl_ast_expr_free(expr: *mut c_void) -> *mut c_void;
        }
        // SAFETY: one reference, given back here; isl accepts a null.
        unsafe { isl_ast_expr_free(self.0) };
    }
}

/// The name of an id, whose reference is given back.
///
/// # Safety
/// `id` is null or an id of which the caller owns a reference.
unsafe fn id_name(ctx: &Ctx, id: *mut c_void) -> Result<String> {
    unsafe extern "C" {
        fn isl_id_to_str(id: *mut c_void) -> *mut c_char;
        fn isl_id_free(id: *mut c_void) -> *mut c_void;
    }
    if id.is_null() {
        return Err(ctx.take_error());
    }
    // SAFETY: a live id; the string is owned.
    unsafe {
        let name = String::from_c(ctx, isl_id_to_str(id));
        isl_id_free(id);
        name
    }
}

fn convert_node<T: Clone>(ctx: &Ctx, node: &RawNode, found: &[T]) -> Result<AstNode<T>> {
    unsafe extern "C" {
        fn isl_ast_node_get_type(node: *mut c_void) -> c_int;
        fn isl_ast_node_mark_get_id(node: *mut c_void) -> *mut c_void;
        fn isl_ast_node_mark_get_node(node: *mut c_void) -> *mut c_void;
        fn isl_ast_node_get_annotation(node: *mut c_void) -> *mut c_void;
    }
    if node.0.is_null() {
        return Err(ctx.take_error());
    }
    // SAFETY: a live node; the accessors below fit its type and return owned references.
    match unsafe { isl_ast_node_get_type(node.0) } {
        1 => convert_for(ctx, node, found),
        2 => convert_if(ctx, node, found),
        3 => convert_block(ctx, node, found),
        4 => Ok(AstNode::Mark {
            // SAFETY: as above.
            name: unsafe { id_name(ctx, isl_ast_node_mark_get_id(node.0)) }?,
            // SAFETY: as above.
            child: Box::new(convert_node(ctx, &RawNode(unsafe { isl_ast_node_mark_get_node(node.0) }), found)?),
        }),
        5 => {
            let (name, at) = instance(ctx, node)?;
            // SAFETY: as above.
            let note = unsafe { id_name(ctx, isl_ast_node_get_annotation(node.0)) }?;
            let data = note.parse().ok().and_then(|at: usize| found.get(at)).cloned();
            Ok(AstNode::User { name, at, data: data.ok_or_else(|| lost("a user node's annotation"))? })
        }
        _ => Err(ctx.take_error()),
    }
}

fn lost(what: &str) -> Error {
    Error::Refused(format!("code generation lost {what}"))
}

fn convert_for<T: Clone>(ctx: &Ctx, node: &RawNode, found: &[T]) -> Result<AstNode<T>> {
    unsafe extern "C" {
        fn isl_ast_node_for_get_iterator(node: *mut c_void) -> *mut c_void;
        fn isl_ast_node_for_get_init(node: *mut c_void) -> *mut c_void;
        fn isl_ast_node_for_get_cond(node: *mut c_void) -> *mut c_void;
        fn isl_ast_node_for_get_inc(node: *mut c_void) -> *mut c_void;
        fn isl_ast_node_for_get_body(node: *mut c_void) -> *mut c_void;
        fn isl_ast_node_for_is_degenerate(node: *mut c_void) -> c_int;
    }
    // SAFETY: a live `for` node.
    let degenerate = unsafe { bool::from_c(ctx, isl_ast_node_for_is_degenerate(node.0)) }?;
    let part = |get: unsafe extern "C" fn(*mut c_void) -> *mut c_void| {
        // SAFETY: a live `for` node; the expression is owned.
        convert_expr(ctx, &RawExpr(unsafe { get(node.0) }))
    };
    let AstExpr::Id(iterator) = part(isl_ast_node_for_get_iterator)? else {
        return Err(lost("an iterator"));
    };
    // Only the first value of a degenerate loop is defined.
    let (cond, inc) = if degenerate {
        (AstExpr::Int(1), AstExpr::Int(1))
    } else {
        (part(isl_ast_node_for_get_cond)?, part(isl_ast_node_for_get_inc)?)
    };
    // SAFETY: a live `for` node; the body is owned.
    let body = RawNode(unsafe { isl_ast_node_for_get_body(node.0) });
    let body = Box::new(convert_node(ctx, &body, found)?);
    Ok(AstNode::For { iterator, init: part(isl_ast_node_for_get_init)?, cond, inc, body, degenerate })
}

fn convert_if<T: Clone>(ctx: &Ctx, node: &RawNode, found: &[T]) -> Result<AstNode<T>> {
    unsafe extern "C" {
        fn isl_ast_node_if_get_cond(node: *mut c_void) -> *mut c_void;
        fn isl_ast_node_if_get_then_node(node: *mut c_void) -> *mut c_void;
        fn isl_ast_node_if_has_else_node(node: *mut c_void) -> c_int;
        fn isl_ast_node_if_get_else_node(node: *mut c_void) -> *mut c_void;
    }
    // SAFETY: a live `if` node; what is returned is owned.
    let (cond, then, has_else) = unsafe {
        (
            RawExpr(isl_ast_node_if_get_cond(node.0)),
            RawNode(isl_ast_node_if_get_then_node(node.0)),
            bool::from_c(ctx, isl_ast_node_if_has_else_node(node.0))?,
        )
    };
    let otherwise = if has_else {
        // SAFETY: a live `if` node that has an else branch, which is owned.
        Some(Box::new(convert_node(ctx, &RawNode(unsafe { isl_ast_node_if_get_else_node(node.0) }), found)?))
    } else {
        None
    };
    Ok(AstNode::If { cond: convert_expr(ctx, &cond)?, then: Box::new(convert_node(ctx, &then, found)?), otherwise })
}

fn convert_block<T: Clone>(ctx: &Ctx, node: &RawNode, found: &[T]) -> Result<AstNode<T>> {
    unsafe extern "C" {
        fn isl_ast_node_block_get_children(node: *mut c_void) -> *mut c_void;
        fn isl_ast_node_list_size(list: *mut c_void) -> c_int;
        fn isl_ast_node_list_get_at(list: *mut c_void, at: c_int) -> *mut c_void;
        fn isl_ast_node_list_free(list: *mut c_void) -> *mut c_void;
    }
    // SAFETY: a live block; the list is owned and freed once below; isl checks the positions.
    unsafe {
        let list = isl_ast_node_block_get_children(node.0);
        if list.is_null() {
            return Err(ctx.take_error());
        }
        let children: Result<_> = (0..isl_ast_node_list_size(list))
            .map(|at| convert_node(ctx, &RawNode(isl_ast_node_list_get_at(list, at)), found))
            .collect();
        isl_ast_node_list_free(list);
        Ok(AstNode::Block(children?))
    }
}

/// The tuple's name and the coordinates of a user node.
fn instance(ctx: &Ctx, node: &RawNode) -> Result<(String, Vec<AstExpr>)> {
    unsafe extern "C" {
        fn isl_ast_node_user_get_expr(node: *mut c_void) -> *mut c_void;
    }
    // SAFETY: a live user node; the expression is owned.
    let call = RawExpr(unsafe { isl_ast_node_user_get_expr(node.0) });
    let AstExpr::Op(AstOp::Call, mut arguments) = convert_expr(ctx, &call)? else {
        return Err(lost("an instance"));
    };
    if arguments.is_empty() {
        return Err(lost("an instance's name"));
    }
    let AstExpr::Id(name) = arguments.remove(0) else {
        return Err(lost("an instance's name"));
    };
    Ok((name, arguments))
}

fn convert_expr(ctx: &Ctx, expr: &RawExpr) -> Result<AstExpr> {
    unsafe extern "C" {
        fn isl_ast_expr_get_type(expr: *mut c_void) -> c_int;
        fn isl_ast_expr_int_get_val(expr: *mut c_void) -> *mut c_void;
        fn isl_ast_expr_id_get_id(expr: *mut c_void) -> *mut c_void;
        fn isl_ast_expr_op_get_type(expr: *mut c_void) -> c_int;
        fn isl_ast_expr_op_get_n_arg(expr: *mut c_void) -> c_int;
        fn isl_ast_expr_op_get_arg(expr: *mut c_void, at: c_int) -> *mut c_void;
    }
    if expr.0.is_null() {
        return Err(ctx.take_error());
    }
    // SAFETY: a live expression; the accessors fit its type and return owned references.
    unsafe {
        match isl_ast_expr_get_type(expr.0) {
            0 => {
                let code = isl_ast_expr_op_get_type(expr.0);
                let op = AstOp::from_c(code).ok_or_else(|| lost(&format!("operator {code}")))?;
                let arguments = (0..isl_ast_expr_op_get_n_arg(expr.0))
                    .map(|at| convert_expr(ctx, &RawExpr(isl_ast_expr_op_get_arg(expr.0, at))))
                    .collect::<Result<_>>()?;
                Ok(AstExpr::Op(op, arguments))
            }
            1 => Ok(AstExpr::Id(id_name(ctx, isl_ast_expr_id_get_id(expr.0))?)),
            2 => Ok(AstExpr::Int(super::Val::from_c(ctx, isl_ast_expr_int_get_val(expr.0))?.to_i64()?)),
            _ => Err(ctx.take_error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::UnionPwAff;
    use super::*;

    fn schedule(ctx: &Ctx, domain: &str, rows: &[&str]) -> AstSchedule {
        let leaf = AstSchedule::from_domain(&UnionSet::read(ctx, domain).unwrap()).unwrap();
        rows.iter().rev().fold(leaf, |below, row| {
            below.under_band(&UnionPwAff::read(ctx, row).unwrap().to_multi().unwrap()).unwrap()
        })
    }

    fn iterators(n: usize) -> Vec<String> {
        (0..n).map(|at| format!("#{at}")).collect()
    }

    #[test]
    fn a_triangle_becomes_two_loops() {
        let ctx = Ctx::new();
        let tree = schedule(&ctx, "{ S[i, j] : 0 <= j <= i < 10 }", &["{ S[i, j] -> [(i)] }", "{ S[i, j] -> [(j)] }"]);
        let context = Set::read(&ctx, "{ : }").unwrap();
        let ast = tree.loops(&context, &iterators(2), &mut |name, _| Ok(name.to_string())).unwrap();
        let id = |name: &str| AstExpr::Id(name.into());
        let AstNode::For { iterator, init, cond, body, degenerate: false, .. } = ast else { panic!("{ast:?}") };
        assert_eq!((iterator.as_str(), init), ("#0", AstExpr::Int(0)));
        assert_eq!(cond, AstExpr::Op(AstOp::Le, vec![id("#0"), AstExpr::Int(9)]));
        let AstNode::For { cond, body, .. } = *body else { panic!("{body:?}") };
        assert_eq!(cond, AstExpr::Op(AstOp::Le, vec![id("#1"), id("#0")]));
        assert_eq!(*body, AstNode::User { name: "S".into(), at: vec![id("#0"), id("#1")], data: "S".into() });
    }

    #[test]
    fn a_set_becomes_a_condition_on_what_is_not_known() {
        let ctx = Ctx::new();
        let tree = schedule(&ctx, "{ S[i] : 0 <= i < 10 }", &["{ S[i] -> [(i)] }"]);
        let inner = UnionSet::read(&ctx, "{ S[i] : 0 <= i < 5 }").unwrap();
        let mut at_each = |_: &str, build: &AstBuild<'_>| {
            let values = inner.apply(&build.schedule()?)?.as_set()?;
            build.expr_from_set(&values)
        };
        let context = Set::read(&ctx, "{ : }").unwrap();
        let ast = tree.loops(&context, &iterators(1), &mut at_each).unwrap();
        let AstNode::For { body, .. } = ast else { panic!("{ast:?}") };
        let AstNode::User { data, .. } = *body else { panic!("{body:?}") };
        assert_eq!(data, AstExpr::Op(AstOp::Le, vec![AstExpr::Id("#0".into()), AstExpr::Int(4)]));
    }

    #[test]
    fn a_sequence_is_a_block() {
        let ctx = Ctx::new();
        let one = |name: &str| schedule(&ctx, &format!("{{ {name}[] }}"), &[]);
        let both = one("A").then(&one("B")).unwrap();
        let ast = both.loops(&Set::read(&ctx, "{ : }").unwrap(), &[], &mut |name, _| Ok(name.to_string())).unwrap();
        let AstNode::Block(children) = ast else { panic!("{ast:?}") };
        let names: Vec<_> = children.iter().map(|c| matches!(c, AstNode::User { name, .. } if name == "A")).collect();
        assert_eq!(names, [true, false]);
    }

    #[test]
    fn a_panic_an_error_and_a_spent_budget_come_back_as_errors() {
        let ctx = Ctx::new();
        let tree = schedule(&ctx, "{ S[i] : 0 <= i < 10 }", &["{ S[i] -> [(i)] }"]);
        let context = Set::read(&ctx, "{ : }").unwrap();
        let run = |f: &mut dyn FnMut(&str, &AstBuild<'_>) -> Result<()>| tree.loops(&context, &iterators(1), f);
        assert_eq!(run(&mut |_, _| Err(Error::Overflow)), Err(Error::Overflow));
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let panicked = run(&mut |_, _| panic!("by design"));
        std::panic::set_hook(hook);
        assert_eq!(panicked, Err(Error::Panicked("by design".into())));
        assert_eq!(ctx.with_budget(3, || run(&mut |_, _| Ok(()))), Err(Error::Quota));
        assert!(run(&mut |_, _| Ok(())).is_ok());
    }
}
