//! The processes of a bench, seen from the one that started them: told a line, heard a line, killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::args::BenchWorker;
use crate::failure::{Done, Failure};

/// A process at work. It does not outlive this.
pub(super) struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts a process on a store.
    pub(super) fn start(store: &Path, work: &BenchWorker) -> Done<Worker> {
        let failed = |error: std::io::Error| Failure::Failed(format!("cannot start a process: {error}"));
        let program = std::env::current_exe().map_err(failed)?;
        let mut child = Command::new(program)
            .arg("--store")
            .arg(store)
            .arg("bench-worker")
            .arg(work.role.name())
            .args(["--seconds", &work.seconds.to_string()])
            .args(["--waiters", &work.waiters.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let input = child.stdin.take();
        match child.stdout.take() {
            Some(output) => Ok(Worker { child, input, output: BufReader::new(output) }),
            None => Err(Failure::Failed("a process was started without its output".into())),
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its standard input.
    pub(super) fn tell(&mut self, line: &str) -> Done<()> {
        let told = self.input.as_mut().map(|input| writeln!(input, "{line}"));
        told.transpose().map_err(|error| Failure::Failed(format!("a process is lost: {error}")))?;
        Ok(())
    }

    /// Waits for a line that begins with `word`; the numbers behind it.
    pub(super) fn hear<const N: usize>(&mut self, word: &str) -> Done<[u64; N]> {
        let mut line = String::new();
        let heard = self.output.read_line(&mut line);
        let numbers = line.strip_prefix(word).filter(|_| heard.is_ok()).and_then(|rest| {
            let numbers: Option<Vec<u64>> =
                rest.split_whitespace().map(|number| number.parse().ok()).collect();
            numbers?.try_into().ok()
        });
        numbers
            .ok_or_else(|| Failure::Failed(format!("a process says \"{}\" for \"{word}\"", line.trim_end())))
    }

    /// Ends it by SIGKILL, which it cannot notice.
    pub(super) fn kill(&mut self) -> Done<()> {
        let ended = self.child.kill();
        ended.map_err(|error| Failure::Failed(format!("cannot kill a process: {error}")))
    }

    /// Lets it finish.
    pub(super) fn finish(mut self) -> Done<()> {
        drop(self.input.take());
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failure::Failed(format!("a process ended with {status}"))),
            Err(error) => Err(Failure::Failed(format!("a process is lost: {error}"))),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Only after a failure, or after a kill; there is nobody left to tell of another.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
