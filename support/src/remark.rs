use std::fmt;

/// Something that the compiler did not do, or did in a slower way, and why. Never an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The stage that speaks: `scheduler`, `codegen`.
    pub stage: &'static str,
    /// What it is about: a statement, a loop, a tensor, by name.
    pub entity: String,
    /// What was not done.
    pub what: String,
    /// Why, and what would change it.
    pub why: String,
}

impl Remark {
    /// `stage` did not do `what` to `entity`, because of `why`.
    pub fn new(
        stage: &'static str,
        entity: impl Into<String>,
        what: impl Into<String>,
        why: impl Into<String>,
    ) -> Remark {
        Remark { stage, entity: entity.into(), what: what.into(), why: why.into() }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}: {}", self.stage, self.entity, self.what, self.why)
    }
}
