use crate::{Refused, Script, Session};

/// Decides which commands to apply. It looks at a [`Session`] and takes steps; the session proves each of them.
///
/// ```
/// use transform::{Command, Policy, Refused, Session};
///
/// /// Splits the outermost loop.
/// struct Strips;
///
/// impl Policy for Strips {
///     fn name(&self) -> &str {
///         "strips"
///     }
///
///     fn schedule(&self, session: &mut Session) -> Result<(), Refused> {
///         let outermost = session.scop().tree.root.members().first().map(|member| member.name.clone());
///         outermost.map_or(Ok(()), |member| session.apply(Command::split(member, 32)))
///     }
/// }
/// ```
pub trait Policy {
    /// The name that users type.
    fn name(&self) -> &str;

    /// Takes the steps.
    ///
    /// # Errors
    /// When a command that the policy cannot do without was refused.
    fn schedule(&self, session: &mut Session) -> Result<(), Refused>;
}

/// A script is the policy that replays it.
impl Policy for Script {
    fn name(&self) -> &str {
        "script"
    }

    fn schedule(&self, session: &mut Session) -> Result<(), Refused> {
        session.replay(self)
    }
}
