//! Commands that lay iterations out on the machine: parallel, vectorise, unroll.

use polyhedral::{Axis, Band, Filtered, Kind, Member, Node, ScheduleTree, Scop};
use support::Target;

use crate::loops::{NewNames, adjective, split_member};
use crate::place::{self, Taken};
use crate::proof::{Edit, Proof};
use crate::refused::Reason;
use crate::{Command, Names, Tail, tails};

/// The most copies of a statement that vectorised and unrolled loops around it may make: code grows with them.
pub const MAX_COPIES: u64 = 4096;

/// Runs the iterations of a loop on several threads.
///
/// ```text
/// parallel C.update.m
///
/// band [m, n, k]   ->   band [m parallel, n, k]
/// ```
///
/// Needs a sequential loop. Proof: order, with no two dependent instances, reduction updates included, on different
/// iterations. After Lamport, The Parallel Execution of DO Loops (CACM 1974).
pub(crate) fn parallel(scop: &Scop, member: &str) -> Result<Edit, Reason> {
    let member = place::resolve(scop, member)?;
    let mut tree = scop.tree.clone();
    let band = place::merged_band(&mut tree.root, std::slice::from_ref(&member))?;
    let at = place::position(band, &member).expect("the member is of this band");
    if band.members[at].kind != Kind::Sequential {
        return Reason::precondition(format!("the loop `{member}` is already {}", adjective(band.members[at].kind)));
    }
    band.members[at].kind = Kind::Parallel;
    let proof = if band.members[at].coincident { Proof::Known } else { Proof::order_below(band)? };
    Ok(Edit::of_tree(scop, tree, Command::Parallel { member }, proof))
}

/// Runs strips of a loop in the lanes of vectors.
///
/// ```text
/// vectorise C.update.n by 16 as no nv
///
/// band [m, n, k]   ->   band [m, no = floor(n / 16), k, nv = n vector(16)]
/// ```
///
/// The lanes are sunk into every leaf below the loop. Below a sequence each child gets a copy of its own, named after its
/// first statement.
///
/// Vectors that the iterations do not fill have masks. With `tail separate` they are left to the loop as it was, which
/// runs after the full ones:
///
/// ```text
/// vectorise C.update.n by 16 as no nv tail separate
///
/// band [m, n, k]   ->   band [m]
///                         sequence
///                           filter { 16·floor(n / 16) + 15 < N }
///                             band [no = floor(n / 16), k, nv = n vector(16)]
///                           filter { 16·floor(n / 16) + 15 >= N }
///                             band [n, k2]
/// ```
///
/// With `tail shifted` the last vector begins so early that it ends with the loop, and computes again what the vector
/// before it has computed. It is a statement of its own:
///
/// ```text
/// vectorise B.i by 16 as io iv tail shifted
///
/// band [i]   ->   sequence
///                   filter { B[i] : 16·floor(i / 16) + 15 < N }
///                     band [io = floor(i / 16), iv = i vector(16)]
///                   filter { B.tail[i] : N - 16 <= i < N }
///                     band [ivt = i - N + 16 vector(16)]
/// ```
///
/// Needs a width that is a power of two and at most four registers of bytes, and no vectorised loop around the same
/// statements; a shifted tail one statement. Proof: values for a shifted tail, else order, with no two dependent instances in
/// the lanes of one vector, but for updates of one element by one statement: these lanes are combined before the element is
/// touched. After Allen and Kennedy, Automatic Translation of FORTRAN Programs to Vector Form (TOPLAS 1987).
pub(crate) fn vectorise(
    scop: &Scop,
    target: &Target,
    (member, by): (&str, u32),
    names: Option<&Names>,
    tail: Tail,
) -> Result<Edit, Reason> {
    let most = target.vector_bytes.saturating_mul(4);
    if !by.is_power_of_two() || by > most {
        return Reason::precondition(format!(
            "{by} lanes: the number is a power of two up to {most} on {}",
            target.name
        ));
    }
    let strips = Strips::innermost(scop, member, Kind::Vector(by), names)?;
    match tail {
        Tail::Masked => strips.edit(scop, by, tail),
        Tail::Separate => tails::separate(scop, strips)?.edit(scop, by, tail),
        Tail::Shifted => tails::shifted(scop, strips, by),
    }
}

/// Copies strips of a loop out, innermost: unroll and jam.
///
/// ```text
/// unroll C.update.m by 12 as mo mu
///
/// band [m, n, k, nv vector(16)]   ->   band [mo = floor(m / 12), n, k, mu = m unroll(12), nv vector(16)]
/// ```
///
/// The copies are sunk into every leaf below the loop, inside the other loops and outside the lanes and copies that are
/// there. Below a sequence each child gets copies of its own.
///
/// Needs at most [`MAX_COPIES`] copies and lanes around a statement. Proof: order. After Allen and Cocke, A Catalogue of
/// Optimizing Transformations (1971); unroll and jam: Callahan, Carr, Kennedy, Improving Register Allocation for
/// Subscripted Variables (PLDI 1990).
pub(crate) fn unroll(scop: &Scop, member: &str, by: u32, names: Option<&Names>) -> Result<Edit, Reason> {
    let strips = Strips::innermost(scop, member, Kind::Unroll(by), names)?;
    let command = Command::Unroll { member: strips.member, by, names: Some(strips.names) };
    Ok(Edit::of_tree(scop, strips.tree, command, strips.proof))
}

/// A tree with the strips of a loop innermost.
pub(crate) struct Strips {
    pub(crate) tree: ScheduleTree,
    /// The loop as it was.
    pub(crate) member: String,
    /// The loop over strips.
    pub(crate) outer: String,
    /// The loop inside of a strip, around the first statement.
    pub(crate) inner: String,
    pub(crate) names: Names,
    pub(crate) proof: Proof,
}

impl Strips {
    /// Splits the loop, gives the inside of a strip this kind, and sinks it into every leaf.
    fn innermost(scop: &Scop, member: &str, kind: Kind, names: Option<&Names>) -> Result<Strips, Reason> {
        let member = place::resolve(scop, member)?;
        let old = std::slice::from_ref(&member);
        let (ending, by) = match kind {
            Kind::Vector(by) => ("v", by),
            Kind::Unroll(by) => ("u", by),
            Kind::Sequential | Kind::Parallel | Kind::Bound(_) | Kind::Atomic(_) => {
                unreachable!("strips of lanes and of copies are innermost")
            }
        };
        let (mut tree, mut named) = (scop.tree.clone(), NewNames::of(scop, old, names, ending)?);
        let band = place::merged_band(&mut tree.root, old)?;
        let (outer, inner) = named.next_pair();
        split_member(&scop.ctx, band, &member, by, (outer.clone(), inner.clone()))?;
        let at = place::position(band, &inner).expect("the split has just made it");
        let coincident = band.members[at].coincident;
        if !coincident {
            // What it carries is left to the loops inside: what was known of them is so no longer.
            forget_attributes(band, at);
        }
        let strip = Member { kind, ..band.members.remove(at) };

        let mut taken = Taken::by(&scop.tree, old);
        named.take(&mut taken);
        Sinking { scop, taken }.below(band, strip)?;
        // Pairs that come to a loop without dependences have one value of it: it may stand anywhere inside. But threads that
        // combine what they add up do so for one value of all loops around them.
        let proof = if coincident && !is_combined(band) { Proof::Known } else { Proof::order_below(band)? };
        Ok(Strips { tree, member, outer, inner, names: named.canonical(), proof })
    }

    /// Of a vectorise.
    pub(crate) fn edit(self, scop: &Scop, by: u32, tail: Tail) -> Result<Edit, Reason> {
        let command = Command::Vectorise { member: self.member, by, names: Some(self.names), tail };
        Ok(Edit::of_tree(scop, self.tree, command, self.proof))
    }
}

/// Whether threads run a loop of a nest whose iterations depend on each other.
fn is_combined(band: &Band) -> bool {
    let of_threads = |member: &&Member| matches!(member.kind, Kind::Bound(Axis::Thread(_)) | Kind::Atomic(_));
    let mut members = band.members.iter().chain(band.child.members());
    members.any(|member| of_threads(&member) && !member.coincident)
}

/// Takes a member down to the leaves.
struct Sinking<'a> {
    scop: &'a Scop,
    taken: Taken,
}

impl Sinking<'_> {
    /// From a band to the leaves below it.
    fn below(&mut self, band: &mut Band, member: Member) -> Result<(), Reason> {
        if let Node::Leaf = *band.child {
            insert(band, member);
            return Ok(());
        }
        self.sink(&mut band.child, member)
    }

    fn sink(&mut self, node: &mut Node, member: Member) -> Result<(), Reason> {
        match node {
            Node::Leaf => {
                *node = Node::Band(Band { members: vec![member], permutable: false, child: Box::new(Node::Leaf) });
                Ok(())
            }
            Node::Band(band) => self.below(band, member),
            Node::Mark { child, .. } => self.sink(child, member),
            Node::Sequence(children) | Node::Set(children) => self.sink_into_each(children, &member),
        }
    }

    /// Every child gets the member restricted to its instances; the first one keeps the name.
    fn sink_into_each(&mut self, children: &mut [Filtered], member: &Member) -> Result<(), Reason> {
        for (at, Filtered { filter, node }) in children.iter_mut().enumerate() {
            let mut copy = place::restricted(member, filter)?;
            if at > 0 {
                copy.name = self.taken.copy(self.scop, &member.name, place::first_stmt(self.scop, filter)?);
            }
            self.sink(node, copy)?;
        }
        Ok(())
    }
}

/// Innermost for lanes; outside all lanes and copies for further copies, which may be of strips that were made before.
fn insert(band: &mut Band, member: Member) {
    let laid_out = |other: &Member| matches!(other.kind, Kind::Vector(_) | Kind::Unroll(_));
    let at = match member.kind {
        Kind::Vector(_) => band.members.len(),
        _ => band.members.iter().position(laid_out).unwrap_or(band.members.len()),
    };
    band.members.insert(at, member);
}

/// Forgets what is known of the members from position `at` on, and of the bands below.
pub(crate) fn forget_attributes(band: &mut Band, at: usize) {
    band.members[at..].iter_mut().for_each(|member| member.coincident = false);
    forget_below(&mut band.child);
}

fn forget_below(node: &mut Node) {
    if let Node::Band(band) = node {
        band.permutable = false;
        band.members.iter_mut().for_each(|member| member.coincident = false);
    }
    node.children_mut().into_iter().for_each(forget_below);
}
