//! Copies of a part of a tensor near the statements that use it: promote.

use polyhedral::{
    Access, Axis, Body, DType, Expr, Index, Kind, Layout, Member, Memory, Role, Scop, Stmt, Subscript, Tensor,
    TensorId, isl,
};

use crate::grammar;
use crate::place;
use crate::proof::Edit;
use crate::refused::Reason;
use crate::shape;
use crate::storage::formula::simplified;
use crate::storage::hull::{Hull, range_of};
use crate::storage::parts::wholly_inside;
use crate::storage::site::{Placed, Site, instances, loops_over, tuple};
use crate::storage::uses::{Use, Uses, Which, tensor_named};
use crate::{Command, Promotion};

/// The most bytes of a tensor that goes to the stack of a thread when nothing is said. When it is said, it may take what
/// [all of them](Memory::STACK_BYTES) may have.
pub const UNASKED_STACK_BYTES: i64 = 64 << 10;

/// Keeps a part of a tensor in a new one while one iteration of a loop runs: packing, caching, shared memory, register
/// tiles.
///
/// ```text
/// promote B at C.update.ko as Bp
///
/// band [no, ko]                        band [no, ko]
///   band [m, k, n]                       sequence
///     C.update reads B[k, n]     ->        band [x0, x1]   Bp.load[no, ko, x0, x1]: Bp[x0, x1] = B[256ko + x0, 512no + x1]
///                                          band [m, k, n]  C.update reads Bp[k - 256ko, n - 512no]
/// ```
///
/// What the chosen accesses touch in one iteration is found exactly. Its smallest box becomes the new tensor, a temporary;
/// the copies are of the touched elements alone. What is read is loaded before the rest of the iteration, but for what the
/// iteration itself overwrites first; what is written is stored after it, unless the new tensor takes the place of a
/// temporary altogether. Without a loop the copies are around the whole program.
///
/// `transposed` gives the order of the old dimensions in the new tensor; `padded` adds cells to the innermost one;
/// `widened` has a wider type in it, that all reads convert to: each element is then converted once, by the copy;
/// `double` makes two boxes, used in turn, and loads what an iteration needs one iteration earlier.
///
/// `in shared` and `in registers` are memories of a device: of a block of threads, as long as an iteration of the loops on
/// blocks around runs, and of each of its threads, as long as the block runs. What one thread writes `in registers` no other
/// one reads: a thread has the elements that its iterations of the loops on threads touch, and `layout` says in how few
/// cells. Without a word a tensor of constant
/// size up to [`UNASKED_STACK_BYTES`] lives on the stack of its thread where there is room, a larger one in global memory, with a
/// box for each iteration of the parallel loops around.
///
/// A statement that is partly inside the loop becomes two: `S` outside, and `S.Bp` inside.
///
/// Needs affine accesses whose boxes have sizes that do not depend on the iteration. Proof: values. After Verdoolaege et al., Polyhedral Parallel Code Generation for CUDA (TACO 2013), and Goto
/// and van de Geijn, Anatomy of High-Performance Matrix Multiplication (TOMS 2008).
pub(crate) fn promote(scop: &Scop, promotion: &Promotion) -> Result<Edit, Reason> {
    let tensor = tensor_named(scop, &promotion.tensor)?;
    let member = promotion.member.as_deref().map(|name| place::resolve(scop, name)).transpose()?;
    let site = Site::of(scop, member.as_deref())?;
    let name = new_name(scop, promotion)?;
    let (scop, of) = &wholly_inside(scop, &site, tensor, &promotion.of, &name)?;
    let site = Site::of(scop, member.as_deref())?;
    let uses = Uses::of(scop, &site, tensor, of)?;
    if let Some(wide) = promotion.widened {
        are_widened(scop, &uses, wide)?;
    }
    let buffer = Buffer::of(scop, &site, &uses, promotion, &name)?;
    let command = Command::Promote(Promotion {
        member,
        name: Some(name),
        memory: Some(buffer.declared.memory),
        ..promotion.clone()
    });

    let mut edited = Scop { source: Vec::new(), ..scop.clone() };
    let id = edited.tensors.push(buffer.declared.clone());
    for used in &uses.accesses {
        let access = buffer.instead_of(used, id, &scop.stmts[used.stmt])?;
        let stmt = &mut edited.stmts[used.stmt];
        *used.which.of_mut(stmt) = access;
        if let (Some(wide), Which::Read(read)) = (promotion.widened, used.which) {
            stmt.body.exprs_mut().iter_mut().for_each(|expr| *expr = without_conversion(expr, read, wide));
        }
    }
    let copies = Copies { site: &site, uses: &uses, buffer: &buffer, id };
    let (before, after) = copies.add(&mut edited, scop)?;
    if promotion.double && before.is_empty() {
        return Reason::precondition(format!("nothing of `{}` is loaded, and so nothing earlier", promotion.tensor));
    }
    site.insert(&mut edited.tree, before, after)?;
    Ok(Edit::of_values(edited, command))
}

/// Whether each of the uses is a read that is converted to `wide`, which changes none of its values.
fn are_widened(scop: &Scop, uses: &Uses, wide: DType) -> Result<(), Reason> {
    let Tensor { name, dtype, .. } = &scop.tensors[uses.tensor];
    if !dtype.widens_to(wide) {
        return Reason::precondition(format!("`{wide}` does not hold every value of `{name}`, which is `{dtype}`"));
    }
    for used in &uses.accesses {
        let stmt = &scop.stmts[used.stmt];
        let Which::Read(read) = used.which else {
            return Reason::precondition(format!("`{}` writes `{name}`: only what is read can be wider", stmt.name));
        };
        let mut in_subscripts =
            stmt.accesses().flat_map(|access| &access.index).filter_map(|subscript| match subscript {
                Subscript::Indirect(expr) => Some(expr),
                Subscript::Affine(_) => None,
            });
        let bare = |expr: &Expr| loads(expr, read) > conversions(expr, read, wide);
        if in_subscripts.any(|expr| loads(expr, read) > 0) || stmt.body.exprs().iter().any(bare) {
            return Reason::precondition(format!("`{}` uses `{name}` without a conversion to `{wide}`", stmt.name));
        }
    }
    Ok(())
}

/// The expression with a read in place of the read converted to `wide`.
fn without_conversion(expr: &Expr, read: usize, wide: DType) -> Expr {
    expr.map(&mut |expr| match expr {
        Expr::Cast(to, inner) if to == wide && *inner == Expr::Load(read) => *inner,
        other => other,
    })
}

/// How often an expression uses a read.
fn loads(expr: &Expr, read: usize) -> usize {
    let mut count = 0;
    expr.visit(&mut |expr| count += usize::from(*expr == Expr::Load(read)));
    count
}

/// How often an expression converts a read to `wide`.
fn conversions(expr: &Expr, read: usize, wide: DType) -> usize {
    let mut count = 0;
    expr.visit(&mut |expr| {
        if let Expr::Cast(to, inner) = expr {
            count += usize::from(*to == wide && **inner == Expr::Load(read));
        }
    });
    count
}

/// The name that was given, or the next free one of `A_local`, `A_local2`, ….
fn new_name(scop: &Scop, promotion: &Promotion) -> Result<String, Reason> {
    let is_taken = |name: &str| {
        let mut copies = [Direction::Load, Direction::Store].into_iter().map(|direction| direction.statement(name));
        scop.tensor_named(name).is_some() || copies.any(|copy| scop.stmt_named(&copy).is_some())
    };
    match &promotion.name {
        Some(name) if !grammar::is_name(name) || name.contains('.') => {
            Reason::precondition(format!("`{name}` cannot be the name of a tensor"))
        }
        Some(name) if is_taken(name) => Reason::precondition(format!("there is already a tensor `{name}`")),
        Some(name) => Ok(name.clone()),
        None => {
            let base = format!("{}_local", promotion.tensor);
            let numbered = (2u64..).map(|number| format!("{base}{number}"));
            let mut candidates = std::iter::once(base.clone()).chain(numbered);
            Ok(candidates.find(|name| !is_taken(name)).expect("a program has finitely many tensors"))
        }
    }
}

/// The new tensor, and where in it the elements of the old one are.
struct Buffer {
    declared: Tensor,
    /// The box, in the dimensions of the old tensor.
    hull: Hull,
    /// Which dimension of the old tensor each of the box's dimensions is.
    order: Vec<usize>,
    /// The dimensions before those of the box, over the values of the site's members.
    boxes: Vec<Index>,
    /// Whether a box is loaded one iteration before it is used.
    ahead: bool,
}

impl Buffer {
    fn of(scop: &Scop, site: &Site, uses: &Uses, promotion: &Promotion, name: &str) -> Result<Buffer, Reason> {
        let old = &scop.tensors[uses.tensor];
        let order = order_of(promotion, old)?;
        let Some(hull) = Hull::of(&uses.touched(scop)?, &scop.context)? else {
            let (site, tensor) = (site.described(), &old.name);
            return Reason::precondition(format!("what {site} touches of `{tensor}` is in no box of one size"));
        };
        let bytes = bytes_of(scop, uses, promotion, &hull);
        let memory = memory_for(scop, (site, uses), bytes, promotion.memory)?;
        let mut boxes = Boxes::default();
        if promotion.double {
            boxes.in_turn(site)?;
        }
        if memory == Memory::Global {
            boxes.apart(scop, site, uses)?;
        }
        let mut extent = boxes.extent;
        extent.extend(order.iter().map(|&at| hull.extent[at].clone()));
        let declared = Tensor {
            name: name.to_string(),
            dtype: promotion.widened.unwrap_or(old.dtype),
            lower: vec![Index::Const(0); extent.len()],
            layout: padded(promotion.padded, &extent)?,
            extent,
            role: Role::Temporary,
            memory,
            streamed: false,
            span: old.span,
        };
        Ok(Buffer { declared, hull, order, boxes: boxes.index, ahead: promotion.double })
    }

    /// The access to the new tensor that takes the place of one to the old.
    fn instead_of(&self, used: &Use, id: TensorId, stmt: &Stmt) -> Result<Access, Reason> {
        let old = used.which.of(stmt);
        let element = old.affine().expect("the uses are affine");
        let at_values = |index: &Index| index.substitute(&|at| used.values[at].clone(), &Index::Param);
        let inside = self.order.iter().map(|&at| element[at].clone() - at_values(&self.hull.lower[at]));
        let index = self.boxes.iter().map(at_values).chain(inside).map(|index| simplified(index, &stmt.domain));
        let index = index.map(|index| Ok(Subscript::Affine(index?))).collect::<isl::Result<_>>()?;
        Ok(Access { tensor: id, index, span: old.span })
    }
}

/// Which dimension of the old tensor each dimension of the box is.
fn order_of(promotion: &Promotion, old: &Tensor) -> Result<Vec<usize>, Reason> {
    let rank = old.extent.len();
    if promotion.transposed.is_empty() {
        return Ok((0..rank).collect());
    }
    let order: Vec<usize> = promotion.transposed.iter().map(|&at| at as usize).collect();
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted != (0..rank).collect::<Vec<_>>() {
        let all = (0..rank).map(|at| at.to_string()).collect::<Vec<_>>().join(", ");
        return Reason::precondition(format!(
            "`{}` has {rank} dimensions: `transposed` lists each of {all} once",
            old.name
        ));
    }
    Ok(order)
}

/// Where a new tensor of so many bytes, if that is a constant, lives: as asked, or on the stack when it is small there.
pub(super) fn memory_for(
    scop: &Scop,
    (site, uses): (&Site, &Uses),
    bytes: Option<i64>,
    asked: Option<Memory>,
) -> Result<Memory, Reason> {
    let fits = |most: i64| bytes.is_some_and(|bytes| bytes <= most);
    match asked {
        Some(Memory::Stack) if !fits(Memory::STACK_BYTES) => {
            let size = bytes.map_or("a size that depends on the program's".into(), |bytes| format!("{bytes} bytes"));
            let most = Memory::STACK_BYTES;
            Reason::precondition(format!(
                "the stack takes {most} bytes at most, and this has {size}: put it `in global`"
            ))
        }
        Some(Memory::Global) => Ok(Memory::Global),
        Some(memory @ (Memory::Shared | Memory::Registers)) if bytes.is_none() => {
            let memory = memory.word();
            Reason::precondition(format!(
                "a device has constant room `in {memory}`, and this has a size of the program's"
            ))
        }
        Some(Memory::Shared) => in_block(site).map(|()| Memory::Shared),
        Some(memory @ (Memory::Rank | Memory::Message)) => {
            let memory = memory.word();
            Reason::precondition(format!("what is `in {memory}` is `exchange`'s to give out"))
        }
        Some(Memory::Registers) => in_kernel(scop, site).map(|()| Memory::Registers),
        Some(Memory::Stack) => Ok(Memory::Stack),
        None => {
            let room = Memory::STACK_BYTES.saturating_sub(shape::stack_bytes(scop));
            let on_stack = fits(UNASKED_STACK_BYTES.min(room)) && !has_threads_inside(scop, site, uses)?;
            Ok(if on_stack { Memory::Stack } else { Memory::Global })
        }
    }
}

/// Whether a site is one of a whole block.
fn in_block(site: &Site) -> Result<(), Reason> {
    let has = |is_axis: fn(Axis) -> bool| site.members.iter().find(|member| member.kind.axis().is_some_and(is_axis));
    if let Some(Member { name, .. }) = has(|axis| matches!(axis, Axis::Thread(_))) {
        return Reason::precondition(format!(
            "`{name}`, which is around, is on threads: these share nothing in one of its iterations"
        ));
    }
    match has(|axis| matches!(axis, Axis::Block(_))) {
        Some(_) => Ok(()),
        None => {
            Reason::precondition("the threads of a block share it, and no loop around is on blocks: `bind` one first")
        }
    }
}

/// Whether a site is inside of a kernel that is known as one.
fn in_kernel(scop: &Scop, site: &Site) -> Result<(), Reason> {
    for launched in scop.tree.kernels()? {
        if site.instances.is_subset(&launched.instances)? && site.members.len() > launched.host.len() {
            return Ok(());
        }
    }
    Reason::precondition(
        "a thread of a block keeps it, and there is no kernel around: `launch` says how many threads it has",
    )
}

/// The size when it is a constant.
fn bytes_of(scop: &Scop, uses: &Uses, promotion: &Promotion, hull: &Hull) -> Option<i64> {
    let dtype = promotion.widened.unwrap_or(scop.tensors[uses.tensor].dtype);
    let element = i64::from(dtype.bytes()) * if promotion.double { 2 } else { 1 };
    let innermost = promotion.transposed.last().map_or(hull.extent.len().wrapping_sub(1), |&at| at as usize);
    hull.extent.iter().enumerate().try_fold(element, |bytes, (at, extent)| {
        let padding = if at == innermost { i64::from(promotion.padded) } else { 0 };
        bytes.checked_mul(extent.as_const()?.checked_add(padding)?)
    })
}

/// Whether threads of execution part inside the site, around one of the uses: they would share its stack.
pub(crate) fn has_threads_inside(scop: &Scop, site: &Site, uses: &Uses) -> isl::Result<bool> {
    let around = |name: &str| site.members.iter().any(|member| member.name == name);
    for member in scop.tree.root.members() {
        if member.kind.apart() && !around(&member.name) {
            let own = member.schedule.domain()?;
            for used in &uses.accesses {
                if !own.is_disjoint(&scop.stmts[used.stmt].domain.to_union_set()?)? {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// Padding keeps rows out of each other's cache sets and banks; a page of elements does so on every machine.
const MOST_PADDING: u32 = 4096;

/// Cells behind the innermost dimension that hold nothing.
fn padded(by: u32, extent: &[Index]) -> Result<Option<Layout>, Reason> {
    if by > MOST_PADDING {
        return Reason::precondition(format!("{by} cells of padding: at most {MOST_PADDING} keep rows apart"));
    }
    if by == 0 {
        return Ok(None);
    }
    let cell = (0..extent.len()).map(Index::Dim).collect();
    let mut extent = extent.to_vec();
    match extent.last_mut() {
        Some(innermost) => *innermost = innermost.clone() + i64::from(by),
        None => return Reason::precondition("a single element has no dimension to be padded"),
    }
    Ok(Some(Layout { cell, extent }))
}

/// Several boxes beside each other: the dimensions that tell them apart.
#[derive(Default)]
struct Boxes {
    /// Over the values of the site's members.
    index: Vec<Index>,
    extent: Vec<Index>,
}

impl Boxes {
    /// Two, used in turn by the iterations of the innermost loop around.
    fn in_turn(&mut self, site: &Site) -> Result<(), Reason> {
        let Some((last, member)) = site.members.iter().enumerate().next_back() else {
            return Reason::precondition("two boxes are used in turn by the iterations of a loop: say `at` which one");
        };
        if member.kind != Kind::Sequential {
            return Reason::precondition(format!(
                "the iterations of `{}` run at once: none is before another",
                member.name
            ));
        }
        self.index.push(Index::Dim(last).modulo(2));
        self.extent.push(Index::Const(2));
        Ok(())
    }

    /// One for each iteration of the loops around whose iterations run in threads of their own.
    fn apart(&mut self, scop: &Scop, site: &Site, uses: &Uses) -> Result<(), Reason> {
        let iterations = uses.touched(scop)?.domain()?;
        for (at, member) in site.members.iter().enumerate().filter(|(_, member)| member.kind.apart()) {
            let value = Index::Dim(at).to_pw_aff(&iterations.space()?)?.to_map()?.intersect_domain(&iterations)?;
            let Some((first, extent)) = range_of(&value, &scop.context)? else {
                return Reason::precondition(format!("how many iterations `{}` has is not one formula", member.name));
            };
            self.index.push(Index::Dim(at) - first);
            self.extent.push(extent);
        }
        Ok(())
    }
}

/// Which way a copy goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// Into the new tensor.
    Load,
    /// Back.
    Store,
}

impl Direction {
    fn statement(self, tensor: &str) -> String {
        match self {
            Direction::Load => format!("{tensor}.load"),
            Direction::Store => format!("{tensor}.store"),
        }
    }
}

/// The statements that copy between the old tensor and the new one.
struct Copies<'a> {
    site: &'a Site,
    uses: &'a Uses,
    buffer: &'a Buffer,
    id: TensorId,
}

impl Copies<'_> {
    /// Adds the statements that are needed; what is to be put before and after the rest of an iteration.
    fn add(&self, edited: &mut Scop, scop: &Scop) -> isl::Result<(Vec<Placed>, Vec<Placed>)> {
        let (loaded, stored) = (self.uses.read_from_outside(scop)?, self.uses.written(scop)?);
        let (mut before, mut after) = (Vec::new(), Vec::new());
        if !loaded.is_empty()? {
            before.push(self.copy(edited, Direction::Load, &loaded)?);
        }
        let replaced = before.is_empty() && self.uses.are_all(scop);
        if !stored.is_empty()? && !replaced {
            after.push(self.copy(edited, Direction::Store, &stored)?);
        }
        Ok((before, after))
    }

    /// A statement over the values of the site's members and the box, for every one of `elements`.
    fn copy(&self, edited: &mut Scop, direction: Direction, elements: &isl::Map) -> isl::Result<Placed> {
        let (prefix, name) = (self.site.members.len(), direction.statement(&self.buffer.declared.name));
        let dims = self.site.dims(edited, self.buffer.order.len());
        let space = edited.param_space()?.named_set(&name, &dims)?;
        let (here, old): (Vec<Index>, _) = ((0..prefix).map(Index::Dim).collect(), self.old_element(prefix));
        let mut domain = instances(&space, &here, &old, elements)?;
        if edited.tensors[self.uses.tensor].role == Role::Input && domain.n_basic_set()? > 1 {
            // What is never written can be read around holes and corners: one convex piece makes simpler loops.
            let tensor = tuple(&space, &old)?
                .intersect_range(&edited.elements(self.uses.tensor)?.reset_tuple_id()?)?
                .domain()?;
            domain = domain.remove_divs()?.simple_hull()?.to_set()?.intersect(&tensor)?;
        }

        let subscripts = |all: Vec<Index>| -> isl::Result<Vec<Subscript>> {
            all.into_iter().map(|index| Ok(Subscript::Affine(simplified(index, &domain)?))).collect()
        };
        let new =
            self.buffer.boxes.iter().cloned().chain((0..self.buffer.order.len()).map(|at| Index::Dim(prefix + at)));
        let span = edited.tensors[self.uses.tensor].span;
        let old = Access { tensor: self.uses.tensor, index: subscripts(old)?, span };
        let new = Access { tensor: self.id, index: subscripts(new.collect())?, span };
        let (read, write) = if direction == Direction::Load { (old, new) } else { (new, old) };
        let node = loops_over(&domain, &name, &dims, prefix)?;
        let (from, to) = (edited.tensors[read.tensor].dtype, edited.tensors[write.tensor].dtype);
        let value = if from == to { Expr::Load(0) } else { Expr::Cast(to, Box::new(Expr::Load(0))) };
        let body = Body::Assign(vec![value]);
        let (reads, writes) = (vec![read], vec![write]);
        edited.stmts.push(Stmt { name, dims, domain: domain.clone(), reads, writes, body, span });
        Ok(Placed { domain, values: self.values(direction), node })
    }

    /// The element of the old tensor at a point of a copy.
    fn old_element(&self, prefix: usize) -> Vec<Index> {
        let Buffer { hull, order, .. } = self.buffer;
        let mut element = hull.lower.clone();
        for (at, &dim) in order.iter().enumerate() {
            element[dim] = element[dim].clone() + Index::Dim(prefix + at);
        }
        element
    }

    /// When a copy runs.
    fn values(&self, direction: Direction) -> Vec<Index> {
        let mut values: Vec<Index> = (0..self.site.members.len()).map(Index::Dim).collect();
        if direction == Direction::Load
            && self.buffer.ahead
            && let Some(last) = values.last_mut()
        {
            *last = last.clone() - 1;
        }
        values
    }
}
