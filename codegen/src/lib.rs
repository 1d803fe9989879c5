//! Scop to loops, LLVM IR and objects.
