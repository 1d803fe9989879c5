//! Policies for CPUs: which steps to take.
