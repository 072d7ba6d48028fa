//! The children as their parent sees them: started, heard, killed, started again where they were.

use std::path::Path;
use std::time::Duration;

use super::child::{Beginning, LANES, READERS, Said, WRITERS, primitive};
use crate::crew::Crew;
use crate::crew::PATIENCE;
use crate::report::{Broken, Violation};
use crate::workload::{Line, Word};
use crate::{Result, clock};

/// Every role.
pub(super) const ALL: [usize; WRITERS + READERS] = [0, 1, 2, 3, 4, 5];

/// How far a child has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Gone,
    Opening,
    Open,
    Closing,
    Closed,
}

/// How many were killed, and in which state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Killed {
    pub(super) all: u64,
    pub(super) opening: u64,
    pub(super) closing: u64,
}

/// All children of a store, and what they have said.
#[derive(Debug)]
pub(super) struct Children<'a> {
    crew: Crew,
    file: &'a Path,
    states: [State; ALL.len()],
    next: Vec<Vec<u64>>,
    /// What those who use the store heard.
    pub(super) words: Vec<Word>,
    /// Deeds that went well.
    pub(super) acked: u64,
    /// What was read, by role.
    pub(super) readings: Vec<(usize, Beginning)>,
    /// What went wrong in a child.
    pub(super) violations: Vec<Violation>,
    /// Opens, and the longest, in microseconds.
    pub(super) opens: (u64, u64),
}

impl<'a> Children<'a> {
    /// None yet.
    #[must_use]
    pub(super) fn new(program: &Path, file: &'a Path) -> Children<'a> {
        Children {
            crew: Crew::new(program, ALL.len()),
            file,
            states: [State::Gone; ALL.len()],
            next: vec![vec![1; LANES as usize]; ALL.len()],
            words: Vec::new(),
            acked: 0,
            readings: Vec::new(),
            violations: Vec::new(),
            opens: (0, 0),
        }
    }

    /// Starts those of these roles that do not run.
    ///
    /// # Errors
    /// If the machine has no process left to give.
    pub(super) fn start(&mut self, roles: &[usize]) -> Result<()> {
        for ((role, state), next) in (0..).zip(&mut self.states).zip(&self.next) {
            if *state != State::Gone || !roles.contains(&role) {
                continue;
            }
            let first: Vec<String> = next.iter().map(u64::to_string).collect();
            let file = self.file.to_str().ok_or("the folder's name is not a text")?.to_owned();
            let arguments = [super::CHILD.to_owned(), role.to_string(), file, first.join(",")];
            self.crew.start(role, &arguments, &[])?;
            *state = State::Opening;
        }
        Ok(())
    }

    /// Listens for so many microseconds.
    ///
    /// # Errors
    /// If a child says what nobody understands.
    pub(super) fn listen(&mut self, micros: u64) -> Result<()> {
        self.listen_until(Duration::from_micros(micros), |_| false)
    }

    fn listen_until(&mut self, time: Duration, enough: impl Fn(&[State]) -> bool) -> Result<()> {
        let end = clock::now() + time;
        while !enough(&self.states) {
            let Some((role, line)) = self.crew.hear(end.saturating_duration_since(clock::now())) else {
                break;
            };
            match line {
                Some(line) => self.take_in(role, &line)?,
                None => self.ended_by_itself(role),
            }
        }
        Ok(())
    }

    /// Has those of them that are open close the store, and returns when the first is about to.
    ///
    /// # Errors
    /// If a child cannot be told.
    pub(super) fn close(&mut self, roles: &[usize]) -> Result<()> {
        let is_open = |role: &&usize| self.states.get(**role) == Some(&State::Open);
        let open: Vec<usize> = roles.iter().filter(is_open).copied().collect();
        open.iter().try_for_each(|role| self.crew.tell(*role, "close"))?;
        let begun = |states: &[State]| {
            open.iter().any(|role| matches!(states.get(*role), Some(State::Closing | State::Closed)))
        };
        if open.is_empty() {
            return Ok(());
        }
        self.listen_until(PATIENCE, begun)?;
        if !begun(&self.states) {
            self.violations.push((Broken::Failed, format!("none of {open:?} begins to close the store")));
        }
        Ok(())
    }

    /// Kills the children of these roles at once, and hears them out.
    ///
    /// # Errors
    /// If they cannot be killed.
    pub(super) fn kill(&mut self, roles: &[usize]) -> Result<Killed> {
        let runs = |role: &&usize| self.states.get(**role).is_some_and(|state| *state != State::Gone);
        let dying: Vec<usize> = roles.iter().filter(runs).copied().collect();
        self.crew.kill_at_once(&dying)?;
        // What they said before they died is in the pipe, and counts.
        let mut heard_out = 0;
        while heard_out < dying.len() {
            match self.crew.hear(PATIENCE).ok_or("a pipe has no end")? {
                (role, Some(line)) => self.take_in(role, &line)?,
                (role, None) if dying.contains(&role) => heard_out += 1,
                (role, None) => self.ended_by_itself(role),
            }
        }
        let mut killed = Killed { all: dying.len() as u64, ..Killed::default() };
        for role in dying {
            let state = self.states.get_mut(role).ok_or("no such role")?;
            killed.opening += u64::from(*state == State::Opening);
            killed.closing += u64::from(*state == State::Closing);
            *state = State::Gone;
            self.skip(role);
        }
        Ok(killed)
    }

    /// What may have been done must not be done again if that would be twice.
    fn skip(&mut self, role: usize) {
        let lanes = self.next.get_mut(role).into_iter().flatten();
        for (who, next) in (role as u64 * LANES..).zip(lanes) {
            *next += u64::from(!primitive(who).is_idempotent(*next));
        }
    }

    fn ended_by_itself(&mut self, role: usize) {
        self.violations.push((Broken::Failed, format!("child {role} ended by itself")));
        self.states.iter_mut().skip(role).take(1).for_each(|state| *state = State::Gone);
    }

    fn take_in(&mut self, role: usize, line: &str) -> Result<()> {
        let mut state = self.states.get(role).copied().ok_or("no such role")?;
        match serde_json::from_str(line)? {
            Said::Open(micros) => {
                self.opens = (self.opens.0 + 1, self.opens.1.max(micros));
                state = State::Open;
            }
            Said::Did { who, number, words } => {
                let words: Vec<Word> = words.into_iter().filter_map(Line::word).collect();
                let is_well = words.iter().all(|word| matches!(word, Word::Acked(_) | Word::Granted(_)));
                self.acked += u64::from(is_well);
                // Who closes the store refuses what comes later.
                if !is_well && state == State::Open {
                    self.violations.push((Broken::Failed, format!("child {role}: {words:?}")));
                }
                self.words.extend(words);
                let lanes = self.next.get_mut(role);
                if let Some(next) = lanes.and_then(|lanes| lanes.get_mut((who % LANES) as usize)) {
                    *next = number + 1;
                }
            }
            Said::Read(read) => self.readings.push((role, read)),
            Said::Closing => state = State::Closing,
            Said::Closed => state = State::Closed,
            Said::Failed(words) => self.violations.push((Broken::Failed, format!("child {role}: {words}"))),
        }
        self.states.iter_mut().skip(role).take(1).for_each(|at| *at = state);
        Ok(())
    }
}
