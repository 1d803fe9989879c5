//! Commands, scripts and sessions: the only way to change a schedule.
