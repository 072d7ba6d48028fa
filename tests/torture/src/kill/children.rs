//! The children as their parent sees them: started, heard, killed, started again where they were.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::child::{Call, LANES, LEDGER, ROLES, ledger_id};
use super::oracle::{Acked, Broken, Violation};
use crate::Result;
use crate::crew::{Heard, listen};

/// All children, and what they have said.
#[derive(Debug)]
pub(super) struct Children<'a> {
    program: &'a Path,
    file: &'a Path,
    running: Vec<Option<Running>>,
    next: Vec<Vec<u64>>,
    lines: Receiver<Heard>,
    to_lines: Sender<Heard>,
    /// What was acknowledged.
    pub(super) acked: Vec<Acked>,
    /// What went wrong in a child.
    pub(super) violations: Vec<Violation>,
    /// Opens, and the longest, in microseconds.
    pub(super) opens: (u64, u64),
}

#[derive(Debug)]
struct Running {
    child: Child,
    open: bool,
}

impl<'a> Children<'a> {
    /// None yet.
    #[must_use]
    pub(super) fn new(program: &'a Path, file: &'a Path) -> Children<'a> {
        let (to_lines, lines) = channel();
        let next = (0..ROLES).map(|_| vec![1; LANES as usize]).collect();
        let running = (0..ROLES).map(|_| None).collect();
        let (acked, violations, opens) = (Vec::new(), Vec::new(), (0, 0));
        Children { program, file, running, next, lines, to_lines, acked, violations, opens }
    }

    /// Starts every child that does not run.
    ///
    /// # Errors
    /// If the machine has no process left to give.
    pub(super) fn start_all(&mut self) -> Result<()> {
        for (role, (running, next)) in self.running.iter_mut().zip(&self.next).enumerate() {
            if running.is_some() {
                continue;
            }
            let first: Vec<String> = next.iter().map(u64::to_string).collect();
            let mut child = Command::new(self.program)
                .arg(super::CHILD)
                .arg(role.to_string())
                .arg(self.file)
                .arg(first.join(","))
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()?;
            listen(&mut child, role, &self.to_lines)?;
            *running = Some(Running { child, open: false });
        }
        Ok(())
    }

    /// Listens for so many microseconds.
    ///
    /// # Errors
    /// If a child that has ended cannot be asked how.
    pub(super) fn listen(&mut self, micros: u64) -> Result<()> {
        let end = crate::clock::now() + std::time::Duration::from_micros(micros);
        loop {
            let left = end.saturating_duration_since(crate::clock::now());
            let Ok((role, line)) = self.lines.recv_timeout(left) else { return Ok(()) };
            match line {
                Some(line) => self.hear(role, &line),
                None => self.ended_by_itself(role)?,
            }
        }
    }

    /// A child that has ended says nothing more: it is not waited for again.
    fn ended_by_itself(&mut self, role: usize) -> Result<()> {
        let ended = self.running.get_mut(role).and_then(Option::take);
        let how = ended.map(|mut ended| ended.child.wait()).transpose()?;
        let how = how.map_or_else(|| "twice".to_owned(), |status| status.to_string());
        self.violations.push((Broken::Failed, format!("child {role} ended by itself: {how}")));
        Ok(())
    }

    /// Kills the children of these roles at once, hears them out, and tells how many had not opened the store yet.
    ///
    /// # Errors
    /// If they cannot be killed.
    pub(super) fn kill(&mut self, roles: &[usize]) -> Result<u64> {
        let mut dying = Vec::new();
        for role in roles {
            if let Some(Some(running)) = self.running.get_mut(*role) {
                running.child.kill()?;
                dying.push(*role);
            }
        }
        // What they said before they died is in the pipe, and counts.
        let mut heard_out = 0;
        while heard_out < dying.len() {
            match self.lines.recv()? {
                (role, Some(line)) => self.hear(role, &line),
                (role, None) if dying.contains(&role) => heard_out += 1,
                (role, None) => self.ended_by_itself(role)?,
            }
        }
        let mut opening = 0;
        for role in dying {
            if let Some(mut killed) = self.running.get_mut(role).and_then(Option::take) {
                killed.child.wait()?;
                opening += u64::from(!killed.open);
            }
        }
        Ok(opening)
    }

    fn hear(&mut self, role: usize, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
        match (words.first().copied(), number(1), number(2), number(3), number(4)) {
            (Some("open"), Some(micros), ..) => {
                self.opens = (self.opens.0 + 1, self.opens.1.max(micros));
                if let Some(Some(running)) = self.running.get_mut(role) {
                    running.open = true;
                }
            }
            (Some("acked"), Some(who), Some(call), Some(version), Some(position)) => {
                self.move_on(who, call);
                let call = Call { who, number: call };
                for part in 0..call.events() {
                    let behind = call.events() - 1 - part;
                    let place = (version > 0).then(|| (version - behind, position - behind));
                    let (id, stream, content) = (call.id(part), call.stream(part), call.content(part));
                    self.acked.push(Acked { id, stream, content, place });
                }
            }
            (Some("turn"), Some(who), Some(turn), Some(token), Some(part)) => {
                self.move_on(who, turn);
                let content = format!(r#"{{"who":{who},"number":{turn},"token":{token}}}"#);
                let place = number(5).zip(number(6));
                self.acked.push(Acked { id: ledger_id(token, part), stream: LEDGER.into(), content, place });
            }
            _ => self.violations.push((Broken::Failed, format!("child {role}: {line}"))),
        }
    }

    /// The next call of a lane is the one behind the last that was acknowledged.
    fn move_on(&mut self, who: u64, number: u64) {
        let lane =
            self.next.get_mut((who / LANES) as usize).and_then(|next| next.get_mut((who % LANES) as usize));
        if let Some(next) = lane {
            *next = number + 1;
        }
    }
}

impl Drop for Children<'_> {
    fn drop(&mut self) {
        for running in self.running.iter_mut().flatten() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }
}
