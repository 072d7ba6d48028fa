//! Child processes as their parent sees them: started, told, heard, stopped, killed.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use nix::sys::signal::{self, Signal};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::Result;

/// After this time a test does not wait any longer for what should have come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Who said what; `None` is a child's end.
pub type Heard = (usize, Option<String>);

/// Has what a child says sent on, line by line, until its end.
///
/// # Errors
/// If it has no pipe, or the machine no thread left to give.
fn listen(child: &mut Child, who: usize, to_lines: &Sender<Heard>) -> Result<()> {
    let out = child.stdout.take().ok_or("no pipe")?;
    let to_lines = to_lines.clone();
    // Ends with the pipe, which ends with the child.
    std::thread::Builder::new().spawn(move || {
        for line in BufReader::new(out).lines().map_while(std::result::Result::ok) {
            let _ = to_lines.send((who, Some(line)));
        }
        let _ = to_lines.send((who, None));
    })?;
    Ok(())
}

/// The children, by number. None of them outlives it.
#[derive(Debug)]
pub struct Crew {
    program: PathBuf,
    running: Vec<Option<Child>>,
    lines: Receiver<Heard>,
    to_lines: Sender<Heard>,
}

impl Crew {
    /// Room for so many children of `program`.
    #[must_use]
    pub fn new(program: &Path, size: usize) -> Crew {
        let (to_lines, lines) = channel();
        let running = (0..size).map(|_| None).collect();
        Crew { program: program.to_owned(), running, lines, to_lines }
    }

    /// Starts child `who`.
    ///
    /// # Errors
    /// If the machine has no process left to give.
    pub fn start(
        &mut self,
        who: usize,
        arguments: &[String],
        environment: &[(String, String)],
    ) -> Result<()> {
        let mut child = Command::new(&self.program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        listen(&mut child, who, &self.to_lines)?;
        *self.running.get_mut(who).ok_or("no room for this child")? = Some(child);
        Ok(())
    }

    /// Writes a line to its standard input.
    ///
    /// # Errors
    /// If it does not run.
    pub fn tell(&mut self, who: usize, line: &str) -> Result<()> {
        let child = self.running.get_mut(who).and_then(Option::as_mut).ok_or("no such child")?;
        let input = child.stdin.as_mut().ok_or("no pipe")?;
        Ok(input.write_all(format!("{line}\n").as_bytes())?)
    }

    /// The next line of any child, if one comes in time.
    #[must_use]
    pub fn hear(&self, time: Duration) -> Option<Heard> {
        self.lines.recv_timeout(time).ok()
    }

    /// Stops it, and returns when it stands still.
    ///
    /// # Errors
    /// If it does not run.
    pub fn stop(&self, who: usize) -> Result<()> {
        let pid = self.pid(who)?;
        signal::kill(pid, Signal::SIGSTOP)?;
        waitpid(pid, Some(WaitPidFlag::WUNTRACED))?;
        Ok(())
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// If it does not run.
    pub fn go_on(&self, who: usize) -> Result<()> {
        Ok(signal::kill(self.pid(who)?, Signal::SIGCONT)?)
    }

    /// Kills it. What it had said is still to be heard, and then its end.
    ///
    /// # Errors
    /// If it does not run.
    pub fn kill(&mut self, who: usize) -> Result<()> {
        self.kill_at_once(&[who])
    }

    /// Kills all of these before it waits for the end of the first.
    ///
    /// # Errors
    /// If one of them does not run.
    pub fn kill_at_once(&mut self, all: &[usize]) -> Result<()> {
        let mut dying = Vec::new();
        for who in all {
            let mut child = self.running.get_mut(*who).and_then(Option::take).ok_or("no such child")?;
            child.kill()?;
            dying.push(child);
        }
        Ok(dying.iter_mut().try_for_each(|child| child.wait().map(drop))?)
    }

    /// Kills it, and hears everybody out until it has come to its end: what it said before it died is in the pipe, and counts.
    ///
    /// # Errors
    /// If it does not run, or its pipe has no end.
    pub fn end(&mut self, who: usize) -> Result<Vec<Heard>> {
        self.kill(who)?;
        let mut all = Vec::new();
        loop {
            match self.hear(PATIENCE).ok_or("a pipe has no end")? {
                (dead, None) if dead == who => return Ok(all),
                heard => all.push(heard),
            }
        }
    }

    /// Its process id.
    ///
    /// # Errors
    /// If it does not run.
    pub fn id(&self, who: usize) -> Result<u32> {
        Ok(self.running.get(who).and_then(Option::as_ref).ok_or("no such child")?.id())
    }

    /// The same, for the system's calls.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pid(&self, who: usize) -> Result<Pid> {
        Ok(Pid::from_raw(self.id(who)?.try_into()?))
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for child in self.running.iter_mut().flatten() {
            // Only its own end can have been faster.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A child says one line in one write: shorter than a pipe's atomic size, it is there whole or not at all.
///
/// # Errors
/// If nobody listens any more.
pub fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{}\n", line.replace('\n', " ")).as_bytes())?;
    Ok(out.flush()?)
}
