//! Scop, schedule trees, dependences, legality, the reference evaluator: the one form in the middle.
