//! New instances: which coordinates tell them apart, and how they are called.

use polyhedral::text::is_carried;
use polyhedral::{Scop, isl};

/// The instances of a statement that runs inside of loops: the values of these loops first, then dimensions of its own.
/// Loops whose value the other coordinates give are left out.
pub(super) struct Instances {
    /// `S[kept loops…, own…]`
    pub(super) domain: isl::Set,
    /// Names of its dimensions.
    pub(super) dims: Vec<String>,
    /// How many of the dimensions are loops.
    pub(super) loops: usize,
    /// `S[…] -> [t0, …]`: the values of all loops.
    pub(super) values: isl::Map,
    /// `S[…] -> [own…]`
    pub(super) own: isl::Map,
}

impl Instances {
    /// Of a statement called `name`, from what runs in each iteration: `[t0, …] -> […own]`.
    pub(super) fn of(
        scop: &Scop,
        name: &str,
        each: &isl::Map,
        loops: &[String],
        own: &[String],
    ) -> isl::Result<Instances> {
        let points = points_of(scop, each)?;
        let (n, rank) = (loops.len() as u32, own.len() as u32);
        let (kept, named) = without_determined(&points, n, rank)?;
        let mut dims = Vec::new();
        for at in kept.iter().map(|&at| &loops[at]) {
            let name = dimension(at, |name| dims.iter().chain(own).chain(&scop.params).any(|taken| taken == name));
            dims.push(name);
        }
        let loops_kept = dims.len();
        dims.extend(own.iter().cloned());
        let mut domain = named.domain()?.coalesce()?.with_tuple_name(name)?;
        for (at, dim) in dims.iter().enumerate() {
            domain = domain.with_dim_name(isl::Dim::Set, at as u32, dim)?;
        }
        let named = named.with_tuple_name(isl::Dim::In, name)?.reset_tuple_id(isl::Dim::Out)?;
        let named = domain.identity()?.apply_range(&named)?;
        let values = named.project_out(isl::Dim::Out, n, rank)?;
        let own = named.project_out(isl::Dim::Out, 0, n)?;
        Ok(Instances { domain, dims, loops: loops_kept, values, own })
    }
}

/// The loops that tell points apart, by position, and the map from the coordinates that are left to all of them. The
/// first `loops` coordinates are the loops, `own` more follow.
fn without_determined(points: &isl::Set, loops: u32, own: u32) -> isl::Result<(Vec<usize>, isl::Map)> {
    let (mut kept, mut named) = (Vec::new(), points.identity()?);
    for at in 0..loops {
        let without = named.project_out(isl::Dim::In, kept.len() as u32, 1)?;
        let value = without.project_out(isl::Dim::Out, at + 1, loops + own - at - 1)?;
        if value.project_out(isl::Dim::Out, 0, at)?.is_single_valued()? {
            named = without;
        } else {
            kept.push(at as usize);
        }
    }
    Ok((kept, named))
}

/// The pairs as points, in one piece when they are all that is inside of the pieces' common bounds.
fn points_of(scop: &Scop, each: &isl::Map) -> isl::Result<isl::Set> {
    // What the context says of the sizes makes pieces fit together; it need not be repeated.
    let points = flat(each)?.intersect_params(&scop.context)?.coalesce()?;
    if points.n_basic_set()? < 2 {
        return points.gist_params(&scop.context);
    }
    let anything = each.range()?.space()?.universe_set()?;
    let loops = flat(&each.domain()?.coalesce()?.product_map(&anything)?)?;
    let hull = points.simple_hull()?.to_set()?.intersect(&loops)?;
    if hull.is_subset(&points)? { hull } else { points }.gist_params(&scop.context)
}

/// `[a, …] -> [b, …]` as the set `[a, …, b, …]`.
fn flat(map: &isl::Map) -> isl::Result<isl::Set> {
    let map = map.reset_tuple_id(isl::Dim::In)?.reset_tuple_id(isl::Dim::Out)?;
    map.domain()?.identity()?.flat_range_product(&map)?.range()
}

/// What the dimension for a loop is called: the last word of the loop's name, when isl reads it and nobody has it.
pub(super) fn dimension(member: &str, taken: impl Fn(&str) -> bool) -> String {
    let word = member.rsplit('.').next().unwrap_or(member);
    let word = if is_carried(word, true) { word.to_string() } else { format!("_{word}") };
    let numbered = (2u64..).map(|number| format!("{word}{number}"));
    let mut candidates = std::iter::once(word.clone()).chain(numbered);
    candidates.find(|name| !taken(name)).expect("finitely many names are taken")
}
