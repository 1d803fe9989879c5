//! `tilewright explain-code`

use clap::Args;
use support::Diagnostic;
use tilewright::{Error, Result, codes};

use super::terminal;

/// What an error means, with an example
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tilewright explain-code TC0923")]
pub struct ExplainCode {
    /// The code in brackets after `error`; without it, all codes are listed
    code: Option<String>,
}

impl ExplainCode {
    /// Prints the page of the code, or all codes.
    pub fn run(self) -> Result<()> {
        let Some(code) = self.code else { return terminal::print(codes::list()) };
        let page = codes::explain(&code).ok_or_else(|| {
            let error = Diagnostic::call("TC0939", format!("no error has the code `{code}`"));
            Error::user(error.help("`tilewright explain-code` lists all codes"))
        });
        terminal::print(page?)
    }
}
