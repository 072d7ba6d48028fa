//! The processes of the tour, seen from the one that started them: what they said, and how they are ended.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use crate::args::DemoWorker;
use crate::failure::{Done, Failure};
use crate::time::Stopwatch;

/// A write that was answered with `Ok`, as its process told us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Promise {
    pub(super) stream: String,
    pub(super) version: u64,
    pub(super) position: u64,
}

/// What processes said of the queue, the log and the channel: sequences.
#[derive(Clone, Debug, Default)]
pub(super) struct Paper {
    pub(super) pushed: Vec<u64>,
    pub(super) done: Vec<u64>,
    pub(super) written: Vec<u64>,
    pub(super) published: Vec<u64>,
}

impl Paper {
    pub(super) fn answers(&self) -> u64 {
        let Paper { pushed, done, written, published } = self;
        [pushed, done, written, published].iter().map(|list| list.len() as u64).sum()
    }

    pub(super) fn extend(&mut self, other: &Paper) {
        self.pushed.extend(&other.pushed);
        self.done.extend(&other.done);
        self.written.extend(&other.written);
        self.published.extend(&other.published);
    }
}

/// All that a process said.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) promises: Vec<Promise>,
    /// Statements that were pushed and done, entries of the log, and closings that were published, by their sequences.
    pub(super) paper: Paper,
    /// Closings that were heard, as they came.
    pub(super) heard: Vec<u64>,
    pub(super) commits: u64,
    pub(super) operations: u64,
    pub(super) failures: Vec<String>,
}

/// A process holds the lock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) pid: u32,
    pub(super) token: u64,
    /// Whether it is in the middle of its turn, or has just been given the lock.
    pub(super) begun: bool,
    /// Since the start of the tour.
    pub(super) at: Duration,
}

struct Worker {
    child: Child,
    ear: JoinHandle<Said>,
}

/// The processes at work. Whatever happens to us, none of them stays behind.
pub(super) struct Crew {
    store: PathBuf,
    watch: Stopwatch,
    workers: Vec<Worker>,
    sender: Sender<Held>,
    pub(super) held: Receiver<Held>,
    pub(super) said: Vec<Said>,
}

impl Crew {
    pub(super) fn new(store: &Path, watch: Stopwatch) -> Crew {
        let (sender, held) = crossbeam_channel::unbounded();
        Crew { store: store.to_owned(), watch, workers: Vec::new(), sender, held, said: Vec::new() }
    }

    /// Starts a process; its pid.
    pub(super) fn start(&mut self, work: &DemoWorker) -> Done<u32> {
        let failed = |error: io::Error| Failure::Failed(format!("cannot start a process: {error}"));
        let program = std::env::current_exe().map_err(failed)?;
        let mut child = Command::new(program)
            .arg("--store")
            .arg(&self.store)
            .arg("demo-worker")
            .args(["--accounts", &work.accounts.to_string()])
            .args(["--tellers", &work.tellers.to_string()])
            .args(["--seed", &work.seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let pid = child.id();
        let Some(output) = child.stdout.take() else {
            return Err(Failure::Failed("a process was started without its output".into()));
        };
        let (sender, watch) = (self.sender.clone(), self.watch);
        let listen = move || listen(output, pid, watch, &sender);
        let ear = Builder::new().name("listener".into()).spawn(listen).map_err(failed)?;
        self.workers.push(Worker { child, ear });
        Ok(pid)
    }

    /// Ends a process by SIGKILL, which it cannot notice.
    pub(super) fn kill(&mut self, pid: u32) -> Done<()> {
        let Some(index) = self.workers.iter().position(|worker| worker.child.id() == pid) else {
            return Ok(());
        };
        let mut worker = self.workers.remove(index);
        let ended = worker.child.kill().and_then(|()| worker.child.wait());
        ended.map_err(|error| Failure::Failed(format!("cannot kill process {pid}: {error}")))?;
        self.said.extend(worker.ear.join());
        Ok(())
    }

    /// Lets all processes finish what they are at.
    pub(super) fn stop(&mut self) -> Done<()> {
        for worker in &mut self.workers {
            drop(worker.child.stdin.take());
        }
        for mut worker in self.workers.drain(..) {
            let ended = worker.child.wait();
            let status = ended.map_err(|error| Failure::Failed(format!("a process is lost: {error}")))?;
            let mut said = worker.ear.join().unwrap_or_default();
            if !status.success() && said.failures.is_empty() {
                said.failures.push(format!("process {} ended with {status}", worker.child.id()));
            }
            self.said.push(said);
        }
        Ok(())
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            // Only after a failure of our own; there is nobody left to tell of another.
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
    }
}

/// Hears a process to its end. What it says is kept; that it took the lock is passed on at once.
fn listen(output: ChildStdout, pid: u32, watch: Stopwatch, held: &Sender<Held>) -> Said {
    let (mut said, mut output, mut line) = (Said::default(), BufReader::new(output), String::new());
    loop {
        line.clear();
        // A line without its end was cut off by the kill, and promised nothing.
        if !output.read_line(&mut line).is_ok_and(|read| read > 0) || !line.ends_with('\n') {
            return said;
        }
        if let Some((token, begun)) = said.take(line.trim_end()) {
            let _ = held.send(Held { pid, token, begun, at: watch.elapsed() });
        }
    }
}

impl Said {
    /// Takes a line in; the token, if it is about the lock, and whether the turn has begun.
    fn take(&mut self, line: &str) -> Option<(u64, bool)> {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |text: &str| text.parse::<u64>().ok();
        match *words.as_slice() {
            ["ok", stream, version, position] => {
                if let (Some(version), Some(position)) = (number(version), number(position)) {
                    self.promises.push(Promise { stream: stream.to_owned(), version, position });
                }
            }
            [what @ ("pushed" | "done" | "written" | "published"), sequence] => {
                let list = match what {
                    "pushed" => &mut self.paper.pushed,
                    "done" => &mut self.paper.done,
                    "written" => &mut self.paper.written,
                    _ => &mut self.paper.published,
                };
                list.extend(number(sequence));
            }
            ["heard", sequence] => self.heard.extend(number(sequence)),
            ["held", token] => return number(token).map(|token| (token, false)),
            ["begun", token] => return number(token).map(|token| (token, true)),
            ["figures", commits, operations] => {
                self.commits = number(commits).unwrap_or(self.commits);
                self.operations = number(operations).unwrap_or(self.operations);
            }
            ["failed", ..] => self.failures.push(line.trim_start_matches("failed ").to_owned()),
            _ => {}
        }
        None
    }
}
