//! Schedules and their trees, dependence analysis, the scheduler.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::fmt;

use super::objects::{Arg, Ret, keeps, methods, objects, printed, takes};
use super::{Ctx, Dim, Error, Map, MultiUnionPwAff, Result, Set, UnionMap, UnionSet};

objects! {
    /// A schedule: a tree with a domain at its root.
    Schedule: isl_schedule_copy isl_schedule_free;
    /// A place in the tree of a [`Schedule`].
    ScheduleNode: isl_schedule_node_copy isl_schedule_node_free;
}

printed! {
    Schedule: isl_schedule_to_str;
    ScheduleNode: isl_schedule_node_to_str;
}

/// What a [`ScheduleNode`] is, as isl counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum NodeType {
    Band,
    Context,
    Domain,
    Expansion,
    Extension,
    Filter,
    Leaf,
    Guard,
    Mark,
    Sequence,
    Set,
}

takes! { Schedule {
    /// The sizes of the parameters that the schedule is for.
    fn intersect_domain(domain: &UnionSet) -> Schedule = isl_schedule_intersect_domain;
} }
keeps! { Schedule {
    fn root() -> ScheduleNode = isl_schedule_get_root;
    fn domain() -> UnionSet = isl_schedule_get_domain;
    fn map() -> UnionMap = isl_schedule_get_map;
} }

impl Schedule {
    /// The schedule that orders nothing.
    pub fn from_domain(domain: &UnionSet) -> Result<Schedule> {
        unsafe extern "C" {
            fn isl_schedule_from_domain(domain: *mut c_void) -> *mut c_void;
        }
        // SAFETY: a live set, of which isl takes a copy.
        unsafe { Schedule::from_c(domain.ctx(), isl_schedule_from_domain(domain.raw_copy())) }
    }
}

takes! { ScheduleNode {
    fn child(at: i32) -> ScheduleNode = isl_schedule_node_child;
    fn parent() -> ScheduleNode = isl_schedule_node_parent;
    /// A band above this node.
    fn insert_partial_schedule(rows: &MultiUnionPwAff) -> ScheduleNode = isl_schedule_node_insert_partial_schedule;
    fn band_set_permutable(permutable: i32) -> ScheduleNode = isl_schedule_node_band_set_permutable;
    fn band_member_set_coincident(at: i32, coincident: i32) -> ScheduleNode
        = isl_schedule_node_band_member_set_coincident;
    fn band_member_set_ast_loop_type(at: i32, kind: i32) -> ScheduleNode
        = isl_schedule_node_band_member_set_ast_loop_type;
} }
keeps! { ScheduleNode {
    fn schedule() -> Schedule = isl_schedule_node_get_schedule;
    fn n_children() -> u32 = isl_schedule_node_n_children;
    fn band_n_member() -> u32 = isl_schedule_node_band_n_member;
    fn band_permutable() -> bool = isl_schedule_node_band_get_permutable;
    fn band_member_coincident(at: i32) -> bool = isl_schedule_node_band_member_get_coincident;
    fn band_partial_schedule() -> MultiUnionPwAff = isl_schedule_node_band_get_partial_schedule;
    fn filter() -> UnionSet = isl_schedule_node_filter_get_filter;
} }

impl ScheduleNode {
    /// What the node is.
    pub fn node_type(&self) -> Result<NodeType> {
        unsafe extern "C" {
            fn isl_schedule_node_get_type(node: *mut c_void) -> c_int;
        }
        const TYPES: [NodeType; 11] = [
            NodeType::Band,
            NodeType::Context,
            NodeType::Domain,
            NodeType::Expansion,
            NodeType::Extension,
            NodeType::Filter,
            NodeType::Leaf,
            NodeType::Guard,
            NodeType::Mark,
            NodeType::Sequence,
            NodeType::Set,
        ];
        // SAFETY: a live node.
        let kind = unsafe { isl_schedule_node_get_type(self.raw) };
        let known = usize::try_from(kind).ok().and_then(|kind| TYPES.get(kind).copied());
        known.ok_or_else(|| self.ctx.take_error())
    }

    /// A sequence above this leaf, with one child for each filter.
    pub fn insert_sequence(&self, filters: &[UnionSet]) -> Result<ScheduleNode> {
        unsafe extern "C" {
            fn isl_schedule_node_insert_sequence(node: *mut c_void, filters: *mut c_void) -> *mut c_void;
        }
        let filters = union_set_list(&self.ctx, filters)?;
        // SAFETY: a live node and a list, both taken.
        unsafe { ScheduleNode::from_c(&self.ctx, isl_schedule_node_insert_sequence(self.raw_copy(), filters)) }
    }

    /// A set above this leaf, with one child for each filter.
    pub fn insert_set(&self, filters: &[UnionSet]) -> Result<ScheduleNode> {
        unsafe extern "C" {
            fn isl_schedule_node_insert_set(node: *mut c_void, filters: *mut c_void) -> *mut c_void;
        }
        let filters = union_set_list(&self.ctx, filters)?;
        // SAFETY: a live node and a list, both taken.
        unsafe { ScheduleNode::from_c(&self.ctx, isl_schedule_node_insert_set(self.raw_copy(), filters)) }
    }

    /// A mark above this node.
    pub fn insert_mark(&self, name: &str) -> Result<ScheduleNode> {
        unsafe extern "C" {
            fn isl_id_alloc(ctx: *mut c_void, name: *const c_char, user: *mut c_void) -> *mut c_void;
            fn isl_schedule_node_insert_mark(node: *mut c_void, mark: *mut c_void) -> *mut c_void;
        }
        let name = CString::new(name).map_err(|_| Error::Text("a name holds a NUL"))?;
        // SAFETY: a live context; isl copies the name, then takes the id and a copy of the node; null is passed on.
        unsafe {
            let mark = isl_id_alloc(self.ctx.raw(), name.as_ptr(), std::ptr::null_mut());
            ScheduleNode::from_c(&self.ctx, isl_schedule_node_insert_mark(self.raw_copy(), mark))
        }
    }

    /// What a mark says.
    pub fn mark(&self) -> Result<String> {
        unsafe extern "C" {
            fn isl_schedule_node_mark_get_id(node: *mut c_void) -> *mut c_void;
            fn isl_id_get_name(id: *mut c_void) -> *const c_char;
            fn isl_id_free(id: *mut c_void) -> *mut c_void;
        }
        // SAFETY: a live node; the id is owned, its name is copied before it is given back.
        unsafe {
            let id = isl_schedule_node_mark_get_id(self.raw);
            if id.is_null() {
                return Err(self.ctx.take_error());
            }
            let name = isl_id_get_name(id);
            let owned =
                if name.is_null() { String::new() } else { CStr::from_ptr(name).to_string_lossy().into_owned() };
            isl_id_free(id);
            Ok(owned)
        }
    }
}

/// An owned `isl_union_set_list`.
fn union_set_list(ctx: &Ctx, sets: &[UnionSet]) -> Result<*mut c_void> {
    unsafe extern "C" {
        fn isl_union_set_list_alloc(ctx: *mut c_void, n: c_int) -> *mut c_void;
        fn isl_union_set_list_add(list: *mut c_void, set: *mut c_void) -> *mut c_void;
    }
    if sets.iter().any(|set| set.ctx() != ctx) {
        return Err(Error::Mixed);
    }
    // SAFETY: a live context; `add` takes the list and the copy, and passes null on.
    let list = unsafe {
        let empty = isl_union_set_list_alloc(ctx.raw(), sets.len() as c_int);
        sets.iter().fold(empty, |list, set| isl_union_set_list_add(list, set.raw_copy()))
    };
    if list.is_null() { Err(ctx.take_error()) } else { Ok(list) }
}

/// The question that dataflow analysis answers: for each sink, which sources touched the element before it? All are
/// relations from instances to elements.
#[derive(Clone, Debug)]
pub struct AccessInfo {
    /// What asks.
    pub sink: UnionMap,
    /// Accesses that hide everything before them.
    pub must_source: UnionMap,
    /// Accesses that hide nothing.
    pub may_source: UnionMap,
    /// Accesses that hide everything before them and are no sources themselves.
    pub kill: UnionMap,
    /// When instances run.
    pub schedule: Times,
}

/// When instances run.
#[derive(Clone, Debug)]
pub enum Times {
    /// A map to one common space of times.
    Map(UnionMap),
    /// A tree, of which isl takes less time; children of a set are not ordered.
    Tree(Schedule),
}

impl Times {
    fn ctx(&self) -> &Ctx {
        match self {
            Times::Map(map) => map.ctx(),
            Times::Tree(schedule) => schedule.ctx(),
        }
    }
}

impl AccessInfo {
    /// Every sink's sources since the last one that hides: a relation `source -> [sink -> element]`.
    pub fn flow(&self) -> Result<UnionMap> {
        Ok(self.flow_and_initial()?.0)
    }

    /// The same, and the sinks that nothing surely hides from what was there before all: a relation `sink -> element`.
    pub fn flow_and_initial(&self) -> Result<(UnionMap, UnionMap)> {
        if let Times::Map(times) = &self.schedule
            && let Some(hidden) = self.hiding_mixed_rows(times)?
        {
            let (found, initial) = AccessInfo { schedule: Times::Map(hidden), ..self.clone() }.ask()?;
            return Ok((without_param(&found, HIDING)?, without_param(&initial, HIDING)?));
        }
        self.ask()
    }

    /// The times with a parameter added to the rows by which isl would tell accesses apart that it does not tell apart
    /// from a third one; `None` when there are none.
    ///
    /// isl takes a row for a place in a sequence where two accesses have different constants there, and for a loop where
    /// one of them has none. Its search for sources between a source and a sink then leaves out levels, and so sources.
    /// With the parameter a row is a loop for all, in the same order.
    fn hiding_mixed_rows(&self, times: &UnionMap) -> Result<Option<UnionMap>> {
        let by_time = times.reverse()?.range_map()?;
        let Some(rows) = times.maps()?.first().map(|map| map.dim(Dim::Out)).transpose()? else { return Ok(None) };
        let mut accesses = Vec::new();
        for access in [&self.sink, &self.must_source, &self.may_source, &self.kill] {
            // As isl itself brings the two together, so that the same rows are constant here and there.
            for map in by_time.apply_range(access)?.maps()? {
                accesses.push((0..rows).map(|row| plainly_fixed(&map, row)).collect::<Result<Vec<_>>>()?);
            }
        }
        let mixed = mixed_rows(accesses, rows as usize);
        if !mixed.contains(&true) {
            return Ok(None);
        }
        let names: Vec<String> = (0..rows).map(|row| format!("t{row}")).collect();
        let hidden = names.iter().zip(mixed);
        let hidden = hidden.map(|(name, mixed)| if mixed { format!("{name} + {HIDING}") } else { name.clone() });
        let (hidden, names) = (hidden.collect::<Vec<_>>().join(", "), names.join(", "));
        let hide = UnionMap::read(times.ctx(), &format!("[{HIDING}] -> {{ [{names}] -> [{hidden}] }}"))?;
        times.apply_range(&hide).map(Some)
    }

    fn ask(&self) -> Result<(UnionMap, UnionMap)> {
        unsafe extern "C" {
            fn isl_union_access_info_from_sink(sink: *mut c_void) -> *mut c_void;
            fn isl_union_access_info_set_must_source(info: *mut c_void, map: *mut c_void) -> *mut c_void;
            fn isl_union_access_info_set_may_source(info: *mut c_void, map: *mut c_void) -> *mut c_void;
            fn isl_union_access_info_set_kill(info: *mut c_void, map: *mut c_void) -> *mut c_void;
            fn isl_union_access_info_set_schedule_map(info: *mut c_void, map: *mut c_void) -> *mut c_void;
            fn isl_union_access_info_set_schedule(info: *mut c_void, schedule: *mut c_void) -> *mut c_void;
            fn isl_union_access_info_compute_flow(info: *mut c_void) -> *mut c_void;
            fn isl_union_flow_get_full_may_dependence(flow: *mut c_void) -> *mut c_void;
            fn isl_union_flow_get_may_no_source(flow: *mut c_void) -> *mut c_void;
            fn isl_union_flow_free(flow: *mut c_void) -> *mut c_void;
        }
        let ctx = self.sink.ctx();
        let maps = [&self.must_source, &self.may_source, &self.kill];
        if maps.iter().any(|map| map.ctx() != ctx) || self.schedule.ctx() != ctx {
            return Err(Error::Mixed);
        }
        // SAFETY: live maps of one context, of which isl takes copies; null is passed on from step to step; the flow
        // is freed once.
        unsafe {
            let mut info = isl_union_access_info_from_sink(self.sink.raw_copy());
            info = isl_union_access_info_set_must_source(info, self.must_source.raw_copy());
            info = isl_union_access_info_set_may_source(info, self.may_source.raw_copy());
            if !self.kill.is_empty()? {
                info = isl_union_access_info_set_kill(info, self.kill.raw_copy());
            }
            info = match &self.schedule {
                Times::Map(map) => isl_union_access_info_set_schedule_map(info, map.raw_copy()),
                Times::Tree(schedule) => isl_union_access_info_set_schedule(info, schedule.raw_copy()),
            };
            let flow = isl_union_access_info_compute_flow(info);
            if flow.is_null() {
                return Err(ctx.take_error());
            }
            let found = UnionMap::from_c(ctx, isl_union_flow_get_full_may_dependence(flow));
            let initial = UnionMap::from_c(ctx, isl_union_flow_get_may_no_source(flow));
            isl_union_flow_free(flow);
            Ok((found?, initial?))
        }
    }
}

/// The parameter of [`AccessInfo::hiding_mixed_rows`]; no program has one of this name.
const HIDING: &str = "hiding__";

/// The rows at which accesses that no row before tells apart have different constants, and some none. Each access is given
/// by the constants of its rows.
fn mixed_rows(accesses: Vec<Vec<Option<String>>>, rows: usize) -> Vec<bool> {
    let (mut groups, mut mixed) = (vec![accesses], vec![false; rows]);
    for (row, mixed) in mixed.iter_mut().enumerate() {
        let values = |group: &[Vec<Option<String>>]| -> BTreeSet<Option<String>> {
            group.iter().map(|access| access[row].clone()).collect()
        };
        *mixed = groups.iter().any(|group| values(group).len() > 2 && values(group).contains(&None));
        if *mixed {
            continue;
        }
        let mut apart = Vec::new();
        for group in groups {
            let values = values(&group);
            if values.contains(&None) {
                apart.push(group);
                continue;
            }
            let with = |value| group.iter().filter(|access| access[row] == value).cloned().collect();
            apart.extend(values.into_iter().map(with).collect::<Vec<Vec<_>>>());
        }
        groups = apart;
    }
    mixed
}

/// The number that a row of times is, when isl sees without a search that it is one.
fn plainly_fixed(map: &Map, row: u32) -> Result<Option<String>> {
    let value = map.constant_at(Dim::In, row)?;
    Ok(value.is_int()?.then(|| value.to_string()))
}

/// The pairs for any value of a parameter.
fn without_param(map: &UnionMap, name: &str) -> Result<UnionMap> {
    unsafe extern "C" {
        fn isl_union_map_find_dim_by_name(map: *mut c_void, kind: c_int, name: *const c_char) -> c_int;
        fn isl_union_map_project_out(map: *mut c_void, kind: c_int, first: c_uint, count: c_uint) -> *mut c_void;
    }
    let name = CString::new(name).map_err(|_| Error::Text("a name with a zero byte"))?;
    // SAFETY: a live map, of which isl takes a copy, and a text that outlives the call.
    unsafe {
        let at = isl_union_map_find_dim_by_name(map.raw(), Dim::Param as c_int, name.as_ptr());
        match c_uint::try_from(at) {
            Ok(at) => {
                UnionMap::from_c(map.ctx(), isl_union_map_project_out(map.raw_copy(), Dim::Param as c_int, at, 1))
            }
            Err(_) => Ok(map.clone()),
        }
    }
}

/// What isl's scheduler must respect and would like.
#[derive(Clone, Debug)]
pub struct Constraints {
    /// The instances.
    pub domain: UnionSet,
    /// What is known of the parameters.
    pub context: Set,
    /// Pairs that must stay in order.
    pub validity: UnionMap,
    /// Pairs that keep a loop from being parallel.
    pub coincidence: UnionMap,
    /// Pairs that are better close together.
    pub proximity: UnionMap,
}

/// How isl's scheduler works; the names are isl's options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchedulerOptions {
    /// Strongly connected components in loops of their own (no fusion), or fused as far as possible.
    pub serialize_sccs: bool,
    /// Only bands whose outermost member is parallel, where there are any.
    pub outer_coincidence: bool,
    /// Rather deep bands than parallel ones.
    pub maximize_band_depth: bool,
    /// Solve for a whole component at once, or cluster by cluster.
    pub whole_component: bool,
    /// Bound of the coefficients; none when `None`.
    pub max_coefficient: Option<i32>,
    /// Bound of the constant terms; none when `None`.
    pub max_constant_term: Option<i32>,
}

impl Default for SchedulerOptions {
    /// Full fusion, small coefficients.
    fn default() -> Self {
        SchedulerOptions {
            serialize_sccs: false,
            outer_coincidence: true,
            maximize_band_depth: true,
            whole_component: false,
            max_coefficient: Some(4),
            max_constant_term: None,
        }
    }
}

impl Constraints {
    /// isl's scheduler (the Pluto-like one), with the options put back afterwards.
    pub fn schedule(&self, options: &SchedulerOptions) -> Result<Schedule> {
        unsafe extern "C" {
            fn isl_schedule_constraints_on_domain(domain: *mut c_void) -> *mut c_void;
            fn isl_schedule_constraints_set_context(sc: *mut c_void, context: *mut c_void) -> *mut c_void;
            fn isl_schedule_constraints_set_validity(sc: *mut c_void, map: *mut c_void) -> *mut c_void;
            fn isl_schedule_constraints_set_coincidence(sc: *mut c_void, map: *mut c_void) -> *mut c_void;
            fn isl_schedule_constraints_set_proximity(sc: *mut c_void, map: *mut c_void) -> *mut c_void;
            fn isl_schedule_constraints_compute_schedule(sc: *mut c_void) -> *mut c_void;
        }
        let ctx = self.domain.ctx();
        let maps = [&self.validity, &self.coincidence, &self.proximity];
        if self.context.ctx() != ctx || maps.iter().any(|map| map.ctx() != ctx) {
            return Err(Error::Mixed);
        }
        let _restore = Restore::set(ctx, options);
        // SAFETY: live objects of one context, of which isl takes copies; null is passed on from step to step.
        unsafe {
            let mut sc = isl_schedule_constraints_on_domain(self.domain.raw_copy());
            sc = isl_schedule_constraints_set_context(sc, self.context.raw_copy());
            sc = isl_schedule_constraints_set_validity(sc, self.validity.raw_copy());
            sc = isl_schedule_constraints_set_coincidence(sc, self.coincidence.raw_copy());
            sc = isl_schedule_constraints_set_proximity(sc, self.proximity.raw_copy());
            Schedule::from_c(ctx, isl_schedule_constraints_compute_schedule(sc))
        }
    }
}

type SetOption = unsafe extern "C" fn(*mut c_void, c_int) -> c_int;

/// Options of a context as they were, put back on drop.
struct Restore<'a> {
    ctx: &'a Ctx,
    before: Vec<(SetOption, c_int)>,
}

impl<'a> Restore<'a> {
    fn set(ctx: &'a Ctx, options: &SchedulerOptions) -> Restore<'a> {
        unsafe extern "C" {
            fn isl_options_get_schedule_serialize_sccs(ctx: *mut c_void) -> c_int;
            fn isl_options_set_schedule_serialize_sccs(ctx: *mut c_void, value: c_int) -> c_int;
            fn isl_options_get_schedule_outer_coincidence(ctx: *mut c_void) -> c_int;
            fn isl_options_set_schedule_outer_coincidence(ctx: *mut c_void, value: c_int) -> c_int;
            fn isl_options_get_schedule_maximize_band_depth(ctx: *mut c_void) -> c_int;
            fn isl_options_set_schedule_maximize_band_depth(ctx: *mut c_void, value: c_int) -> c_int;
            fn isl_options_get_schedule_whole_component(ctx: *mut c_void) -> c_int;
            fn isl_options_set_schedule_whole_component(ctx: *mut c_void, value: c_int) -> c_int;
            fn isl_options_get_schedule_max_coefficient(ctx: *mut c_void) -> c_int;
            fn isl_options_set_schedule_max_coefficient(ctx: *mut c_void, value: c_int) -> c_int;
            fn isl_options_get_schedule_max_constant_term(ctx: *mut c_void) -> c_int;
            fn isl_options_set_schedule_max_constant_term(ctx: *mut c_void, value: c_int) -> c_int;
        }
        type GetOption = unsafe extern "C" fn(*mut c_void) -> c_int;
        let settings: [(GetOption, SetOption, c_int); 6] = [
            (
                isl_options_get_schedule_serialize_sccs,
                isl_options_set_schedule_serialize_sccs,
                options.serialize_sccs.into(),
            ),
            (
                isl_options_get_schedule_outer_coincidence,
                isl_options_set_schedule_outer_coincidence,
                options.outer_coincidence.into(),
            ),
            (
                isl_options_get_schedule_maximize_band_depth,
                isl_options_set_schedule_maximize_band_depth,
                options.maximize_band_depth.into(),
            ),
            (
                isl_options_get_schedule_whole_component,
                isl_options_set_schedule_whole_component,
                options.whole_component.into(),
            ),
            (
                isl_options_get_schedule_max_coefficient,
                isl_options_set_schedule_max_coefficient,
                options.max_coefficient.unwrap_or(-1),
            ),
            (
                isl_options_get_schedule_max_constant_term,
                isl_options_set_schedule_max_constant_term,
                options.max_constant_term.unwrap_or(-1),
            ),
        ];
        let before = settings
            .into_iter()
            .map(|(get, set, value)| {
                // SAFETY: a live context; both functions belong to one of isl's own options.
                unsafe {
                    let was = get(ctx.raw());
                    set(ctx.raw(), value);
                    (set, was)
                }
            })
            .collect();
        Restore { ctx, before }
    }
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        for &(set, value) in &self.before {
            // SAFETY: a live context; the value is the one that the option had.
            unsafe { set(self.ctx.raw(), value) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where `R` runs in two children of a sequence, isl by itself leaves out what `U` wrote after `W`.
    #[test]
    fn rows_that_are_constant_for_some_accesses_lose_no_source() {
        let ctx = Ctx::new();
        let read = |text: &str| UnionMap::read(&ctx, text).expect("a relation");
        let flow = |times: &str| {
            let info = AccessInfo {
                sink: read("{ R[i] -> A[i] : 0 <= i < 4 }"),
                must_source: read("{ W[i] -> A[i] : 0 <= i < 4 }"),
                may_source: read("{ U[i, j] -> A[i] : 0 <= i < 4 and 0 <= j < i }"),
                kill: UnionMap::empty(&ctx).expect("a relation"),
                schedule: Times::Map(read(times)),
            };
            info.flow_and_initial().expect("isl decides")
        };
        let all = "{ W[i] -> [R[i] -> A[i]] : 0 <= i < 4; U[i, j] -> [R[i] -> A[i]] : 0 <= i < 4 and 0 <= j < i }";
        for times in [
            "{ W[i] -> [0, i, 0]; U[i, j] -> [1, i, j]; R[i] -> [2, i, 0] }",
            "{ W[i] -> [0, i, 0]; U[i, j] -> [1, i, j]; R[i] -> [2, i, 0] : i < 2; R[i] -> [3, i, 0] : i >= 2 }",
            "{ W[i] -> [0, i, 0]; U[i, j] -> [1, i, j] : j < 1; U[i, j] -> [2, i, j] : j >= 1; R[i] -> [3, i, 0] }",
            "{ W[i] -> [0, i, 0] : i < 2; W[i] -> [1, i, 0] : i >= 2; U[i, j] -> [2, i, j]; R[i] -> [3, i, 0] }",
        ] {
            let (found, initial) = flow(times);
            assert!(found.is_equal(&read(all)).expect("isl decides"), "{times}: {found}");
            assert!(initial.is_empty().expect("isl decides"), "{times}: {initial}");
        }
    }
}
