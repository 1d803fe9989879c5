use std::fmt;

/// A bug of ours: a stage made something that is not well formed. Names the stage and the entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The stage whose output is wrong.
    pub stage: &'static str,
    /// Everything that is wrong with it: entity and sentence.
    pub faults: Vec<(String, String)>,
}

impl Malformed {
    /// One fault.
    pub fn new(stage: &'static str, entity: impl Into<String>, message: impl Into<String>) -> Malformed {
        Malformed { stage, faults: vec![(entity.into(), message.into())] }
    }

    /// `Ok` when `faults` is empty.
    pub fn check(stage: &'static str, faults: Vec<(String, String)>) -> Result<(), Malformed> {
        if faults.is_empty() { Ok(()) } else { Err(Malformed { stage, faults }) }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bug in tilewright: stage `{}`", self.stage)?;
        for (entity, message) in &self.faults {
            write!(f, "; {entity}: {message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Malformed {}

/// What every stage's output can do: print itself, and say whether it is well formed.
pub trait Stage: fmt::Display {
    /// The name that `tilewright emit` takes.
    const NAME: &'static str;

    /// Checks the output and reports everything that is wrong with it.
    fn verify(&self) -> Result<(), Malformed>;
}

/// Stands behind every stage: hands its text to whoever asked for it, then verifies.
pub struct Watch<'a> {
    sink: &'a mut dyn FnMut(&'static str, &dyn fmt::Display),
}

impl<'a> Watch<'a> {
    /// `sink` gets the name and the text of every stage's output.
    pub fn new(sink: &'a mut dyn FnMut(&'static str, &dyn fmt::Display)) -> Watch<'a> {
        Watch { sink }
    }

    /// Says that a stage is done whose output is no text: machine code.
    pub fn passed(&mut self, stage: &'static str) {
        (self.sink)(stage, &"");
    }

    /// Shows and verifies the output of a stage.
    pub fn at<S: Stage>(&mut self, output: S) -> Result<S, Malformed> {
        (self.sink)(S::NAME, &output);
        output.verify()?;
        Ok(output)
    }
}
