use support::Remark;

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

    /// Takes steps for what a script left as in the source, and leaves the rest alone: `auto` in a script. With `stmts`,
    /// for the nests of these statements only.
    ///
    /// A policy that cannot tell does nothing, and remarks it.
    ///
    /// # Errors
    /// As for [`Policy::schedule`].
    fn complete(&self, session: &mut Session, stmts: &[String]) -> Result<(), Refused> {
        if stmts.is_empty() && session.script().is_empty() {
            return self.schedule(session);
        }
        let entity = session.scop().name.clone();
        let why = format!("the policy `{}` takes whole programs only", self.name());
        session.remark(Remark::new("script", entity, "nothing done for `auto`", why));
        Ok(())
    }
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
