//! New instances: which coordinates tell them apart, and how they are called.

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
        let mut kept: Vec<usize> = (0..loops.len()).collect();
        let mut named = points.identity()?;
        for at in 0..loops.len() {
            let place = kept.iter().position(|&loop_at| loop_at == at).expect("it is not left out yet") as u32;
            let without = named.project_out(isl::Dim::In, place, 1)?;
            let value = without.project_out(isl::Dim::Out, at as u32 + 1, n + rank - at as u32 - 1)?;
            if value.project_out(isl::Dim::Out, 0, at as u32)?.is_single_valued()? {
                kept.remove(place as usize);
                named = without;
            }
        }
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
    const ISL_WORDS: [&str; 18] = [
        "exists", "and", "or", "implies", "not", "infty", "infinity", "NaN", "min", "max", "rat", "true", "false",
        "ceild", "floord", "mod", "ceil", "floor",
    ];
    let word = member.rsplit('.').next().unwrap_or(member);
    let readable = !word.starts_with(|first: char| first.is_ascii_digit()) && !ISL_WORDS.contains(&word);
    let word = if readable { word.to_string() } else { format!("_{word}") };
    let numbered = (2u64..).map(|number| format!("{word}{number}"));
    let mut candidates = std::iter::once(word.clone()).chain(numbered);
    candidates.find(|name| !taken(name)).expect("finitely many names are taken")
}
