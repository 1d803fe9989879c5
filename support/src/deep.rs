/// What nesting as deep as the language allows takes of a stack at most, in bytes: measured in a build without optimisation,
/// where the front end takes 5 MB and code generation 3 MB, and doubled.
const NEEDED: usize = 10 << 20;
/// How large a stack of its own is. Pages that are not touched cost nothing.
const GIVEN: usize = 32 << 20;

/// Runs `work`, which recurses as deeply as a program nests, where that much of the stack is left, and else on a stack of its
/// own: whatever the thread of the caller has, and however the crates were compiled.
pub fn with_deep_stack<R>(work: impl FnOnce() -> R) -> R {
    stacker::maybe_grow(NEEDED, GIVEN, work)
}
