//! Schedules and their trees, dependence analysis, the scheduler.
