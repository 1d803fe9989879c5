//! The subcommands, one file each; what they share is in [`options`], [`call`] and [`terminal`].

mod bench;
mod build;
mod cache;
mod call;
mod check;
mod emit;
mod explain;
mod explain_code;
mod inspect;
mod options;
mod reported;
mod run;
mod targets;
mod terminal;

use std::panic;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tilewright::{Error, Fault, Result};

/// A polyhedral compiler for tensor programs: TC text to fast, checked kernels.
#[derive(Debug, Parser)]
#[command(name = "tilewright", version, propagate_version = true, max_term_width = 100, after_help = HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const HELP: &str = "\
Example:
  tilewright bench examples/mm.tc -s M=256,N=256,K=256 --verify

Exit status: 0 done; 1 the program or the call is wrong; 2 usage; 3 a bug of ours.";

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Run(run::Run),
    Bench(bench::Bench),
    Build(build::Build),
    Cache(cache::Cache),
    Emit(emit::Emit),
    Explain(explain::Explain),
    Inspect(inspect::Inspect),
    Targets(targets::Targets),
    ExplainCode(explain_code::ExplainCode),
}

/// Parses the arguments, runs the subcommand, says what went wrong.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    panic::set_hook(Box::new(|info| terminal::bug(&info)));
    let result = panic::catch_unwind(|| cli.command.run());
    match result {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            terminal::error(&error);
            status(&error)
        }
        Err(_) => ExitCode::from(BUG),
    }
}

/// The exit status of a bug of ours.
const BUG: u8 = 3;

fn status(error: &Error) -> ExitCode {
    match error.fault() {
        Fault::User => ExitCode::from(1),
        Fault::Bug => ExitCode::from(BUG),
    }
}

impl Command {
    fn run(self) -> Result<()> {
        match self {
            Command::Check(check) => check.run(),
            Command::Run(run) => run.run(),
            Command::Bench(bench) => bench.run(),
            Command::Build(build) => build.run(),
            Command::Cache(cache) => cache.run(),
            Command::Emit(emit) => emit.run(),
            Command::Explain(explain) => explain.run(),
            Command::Inspect(inspect) => inspect.run(),
            Command::Targets(targets) => targets.run(),
            Command::ExplainCode(explain) => explain.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_declared_well() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
