//! Commands that change the function of a loop: skew, shift, reverse.

use polyhedral::{Band, Kind, Member, Scop, isl};

use crate::Command;
use crate::loops::adjective;
use crate::parallel::forget_attributes;
use crate::place::{self, Site, Taken};
use crate::proof::{Edit, Proof};
use crate::refused::Reason;
use crate::shape;

/// Adds a multiple of another loop to a loop.
///
/// ```text
/// skew A.j by 1 of A.i
///
/// band [i, j]   ->   band [i, j = i + j]
/// ```
///
/// With the other loop outside, the order stays as it is: only what the loop's values mean changes, so that a tile or
/// an interchange after it can be legal. With the other loop inside, the loop becomes a wavefront.
///
/// Needs a loop that is not vectorised or unrolled, and another one around it or perfectly nested in it. Proof: none of
/// its own when the other loop is outside, because its value is the same for all that the loop orders; else order. After
/// Wolfe, Loop Skewing: The Wavefront Method Revisited (International Journal of Parallel Programming 1986).
pub(crate) fn skew(scop: &Scop, member: &str, by: i32, of: &str, name: Option<&str>) -> Result<Edit, Reason> {
    let (member, of) = (place::resolve(scop, member)?, place::resolve(scop, of)?);
    if member == of {
        return Reason::precondition(format!("the loop `{member}` cannot be skewed by itself"));
    }
    let mut tree = scop.tree.clone();
    let site = Site::of(&tree, &member)?;
    let new = new_name(scop, &member, name)?;
    let outside = site.outer.iter().find(|outer| outer.name == of).cloned();
    let both = if outside.is_some() { vec![member.clone()] } else { vec![member.clone(), of.clone()] };
    let band = place::merged_band(&mut tree.root, &both)?;
    let at = changeable(band, &member)?;
    let multiple = |other: &Member| -> isl::Result<isl::UnionPwAff> {
        other.schedule.intersect_domain(&site.instances)?.scale(&isl::Val::int(&scop.ctx, i64::from(by))?)
    };
    let proof = if let Some(other) = &outside {
        band.members[at].schedule = band.members[at].schedule.add(&multiple(other)?)?;
        // A multiple that is not negative keeps distances that are not.
        band.permutable &= by >= 0 || place::position(band, &of).is_none();
        Proof::SameOrder
    } else {
        let other = band.members[place::position(band, &of).expect("the band was merged to hold it")].clone();
        band.members[at].schedule = band.members[at].schedule.add(&multiple(&other)?)?;
        band.permutable = false;
        forget_between(band, &member, &of);
        Proof::order_below(band)?
    };
    let name = Some(place::short(&new, &member));
    band.members[at].name = new;
    shape::in_reach(&band.members[at], &scop.tree.domain)?;
    Ok(Edit::of_tree(scop, tree, Command::Skew { member, by, of, name }, proof))
}

/// Of the members from one to the other, one of which gets other values: that they carry no dependence is known
/// afterwards only when none of them did.
fn forget_between(band: &mut Band, one: &str, other: &str) {
    let (Some(a), Some(b)) = (place::position(band, one), place::position(band, other)) else { return };
    let between = &mut band.members[a.min(b)..=a.max(b)];
    let all = between.iter().all(|member| member.coincident);
    between.iter_mut().for_each(|member| member.coincident = all);
}

/// Moves the values of a loop, for all of its statements or for some.
///
/// ```text
/// shift B.i by 1 for C
///
/// band [i = { B[i] -> i; C[i] -> i }]   ->   band [i = { B[i] -> i; C[i] -> i + 1 }]
/// ```
///
/// Needs a loop that is not vectorised or unrolled, and statements in it. Proof: none of its own when all of its
/// statements move by the same distance; else order. Loop shifting, also alignment: Allen, Callahan, Kennedy, Automatic
/// Decomposition of Scientific Programs for Parallel Execution (POPL 1987).
pub(crate) fn shift(scop: &Scop, member: &str, by: i32, stmts: &[String]) -> Result<Edit, Reason> {
    let member = place::resolve(scop, member)?;
    let mut tree = scop.tree.clone();
    let inside = place::stmts_of(&Site::of(&tree, &member)?.instances)?;
    for (at, stmt) in stmts.iter().enumerate() {
        if !inside.contains(stmt) {
            let sentence = place::no_such("statement", stmt, &inside);
            return Reason::precondition(format!("{sentence} in the loop `{member}`"));
        }
        if stmts[..at].contains(stmt) {
            return Reason::precondition(format!("the statement `{stmt}` is named twice"));
        }
    }
    let band = place::merged_band(&mut tree.root, std::slice::from_ref(&member))?;
    let at = changeable(band, &member)?;
    let all = stmts.is_empty() || stmts.len() == inside.len();
    let moved = |stmt: &String| all || stmts.contains(stmt);
    band.members[at].schedule = shifted(&band.members[at].schedule, by.into(), &moved)?;
    shape::in_reach(&band.members[at], &scop.tree.domain)?;
    let proof = if all {
        Proof::SameOrder
    } else {
        forget_attributes(band, at);
        Proof::order_below(band)?
    };
    Ok(Edit::of_tree(scop, tree, Command::Shift { member, by, stmts: stmts.to_vec() }, proof))
}

/// Runs a loop from its last value to its first.
///
/// ```text
/// reverse C.update.k
///
/// band [m, n, k]   ->   band [m, n, k = -k]
/// ```
///
/// Needs a loop that is not vectorised or unrolled. Proof: order. After Wolf and Lam, A Loop Transformation Theory and an
/// Algorithm to Maximize Parallelism (IEEE TPDS 1991), where skewing, reversal and permutation are the unimodular
/// transformations.
pub(crate) fn reverse(scop: &Scop, member: &str) -> Result<Edit, Reason> {
    let member = place::resolve(scop, member)?;
    let mut tree = scop.tree.clone();
    let band = place::merged_band(&mut tree.root, std::slice::from_ref(&member))?;
    let at = changeable(band, &member)?;
    band.members[at].schedule = band.members[at].schedule.neg()?;
    band.permutable = false;
    let proof = Proof::order_below(band)?;
    Ok(Edit::of_tree(scop, tree, Command::Reverse { member }, proof))
}

/// `schedule` with `by` added on the statements that are `moved`.
pub(crate) fn shifted(
    schedule: &isl::UnionPwAff,
    by: i64,
    moved: &dyn Fn(&String) -> bool,
) -> isl::Result<isl::UnionPwAff> {
    let by = isl::Val::int(schedule.ctx(), by)?;
    schedule.pw_affs()?.into_iter().try_fold(isl::UnionPwAff::empty(schedule.ctx())?, |all, function| {
        let function = function.to_union_pw_aff()?;
        let domain = function.domain()?;
        let moves = place::stmts_of(&domain)?.iter().any(moved);
        all.union_add(&if moves { function.add(&domain.constant(&by)?)? } else { function })
    })
}

/// Where the member is, when its function may be changed: lanes and copies run over whole strips.
fn changeable(band: &Band, member: &str) -> Result<usize, Reason> {
    let at = place::position(band, member).expect("the member is of this band");
    match band.members[at].kind {
        kind @ (Kind::Vector(_) | Kind::Unroll(_)) => {
            Reason::precondition(format!("the loop `{member}` is already {}", adjective(kind)))
        }
        _ => Ok(at),
    }
}

/// The loop's name after a skew: the one that is given, or its own.
fn new_name(scop: &Scop, member: &str, given: Option<&str>) -> Result<String, Reason> {
    let mut taken = Taken::by(&scop.tree, &[member.to_string()]);
    given.map_or_else(|| Ok(member.to_string()), |name| taken.given(name, member))
}
