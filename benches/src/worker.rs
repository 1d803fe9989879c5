//! A contender in a process of its own, driven by lines: thread pools and runtimes do not mix. It is stopped whenever it is
//! not asked something, so that what still spins in it takes no time from the others.
//!
//! Requests are `prepare FOLDER` (only of peers that stay for several workloads), `results` and `measure MOST SECONDS`;
//! answers `ok`, `ns` with times, `skip`, and `error` with the reason. `peers/worker.py`, `peers/driver.c` and `peers/rust`
//! speak it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::Result;

/// How long any one answer may take: compilers tune.
const PATIENCE: Duration = Duration::from_secs(120);
/// The priority of real-time measurements.
const PRIORITY: &str = "10";

/// A process that speaks the protocol.
pub struct Worker {
    child: Child,
    requests: ChildStdin,
    answers: Receiver<String>,
    realtime: bool,
}

/// What a worker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// How long calls took, in nanoseconds.
    Times(Vec<u64>),
    /// It has no natural form of this workload.
    Skip,
    /// It failed, and why.
    Error(String),
}

impl Worker {
    /// Starts it; measured with real-time priority if asked for.
    ///
    /// # Errors
    /// When there is no such command.
    pub fn start(mut command: Command, name: &str, realtime: bool) -> Result<Worker> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn().map_err(|error| format!("{name}: {error}"))?;
        let (requests, output) = (child.stdin.take().ok_or("no input")?, child.stdout.take().ok_or("no output")?);
        let (send, answers) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let worker = Worker { child, requests, answers, realtime };
        worker.signal(Signal::STOP);
        Ok(worker)
    }

    /// Asks it something, and lets it run as long as it takes.
    pub fn ask(&mut self, request: &str) -> Answer {
        self.signal(Signal::CONT);
        let in_time = self.realtime && request.starts_with("measure");
        if in_time {
            set_realtime(self.child.id(), true);
        }
        let answer = match writeln!(self.requests, "{request}") {
            Ok(()) => self.answers.recv_timeout(PATIENCE).map_or_else(|_| self.failure(), |line| parse(&line)),
            Err(_) => self.failure(),
        };
        if in_time {
            set_realtime(self.child.id(), false);
        }
        self.signal(Signal::STOP);
        answer
    }

    fn failure(&mut self) -> Answer {
        match self.child.try_wait() {
            Ok(Some(status)) => Answer::Error(format!("it ended: {status}")),
            _ => Answer::Error(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }

    fn signal(&self, signal: Signal) {
        // One that has ended is found out when it is asked.
        let _ = kill_process_group(Pid::from_child(&self.child), signal);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

/// All threads of a process to real-time priority, or back. Where that is not allowed they stay as they are.
pub fn set_realtime(process: u32, on: bool) {
    let arguments = if on { ["-f", "-p", PRIORITY] } else { ["-o", "-p", "0"] };
    let _ = Command::new("chrt").arg("-a").args(arguments).arg(process.to_string()).stderr(Stdio::null()).status();
}

fn parse(line: &str) -> Answer {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "ok" => Answer::Done,
        "skip" => Answer::Skip,
        "ns" => {
            let times: std::result::Result<Vec<u64>, _> = rest.split(' ').map(str::parse).collect();
            times.map_or_else(|error| Answer::Error(format!("{error}: {line}")), Answer::Times)
        }
        "error" => Answer::Error(rest.into()),
        _ => Answer::Error(format!("what is this? {line}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        assert_eq!(parse("ok"), Answer::Done);
        assert_eq!(parse("ns 12 7"), Answer::Times(vec![12, 7]));
        assert_eq!(parse("error no such thing"), Answer::Error("no such thing".into()));
        assert!(matches!(parse("ns twelve"), Answer::Error(_)) && matches!(parse("what"), Answer::Error(_)));
    }

    #[test]
    fn one_that_ends_is_an_error() {
        let mut worker = Worker::start(Command::new("true"), "true", false).unwrap();
        assert!(matches!(worker.ask("results"), Answer::Error(_)));
    }

    #[test]
    fn it_answers_line_by_line() {
        let mut echo = Command::new("sh");
        echo.args(["-c", "while read line; do echo ns 1 2; done"]);
        let mut worker = Worker::start(echo, "echo", false).unwrap();
        assert_eq!(worker.ask("measure 2 1"), Answer::Times(vec![1, 2]));
        assert_eq!(worker.ask("measure 2 1"), Answer::Times(vec![1, 2]));
    }
}
