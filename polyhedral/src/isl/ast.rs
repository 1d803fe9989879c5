//! isl syntax trees.
