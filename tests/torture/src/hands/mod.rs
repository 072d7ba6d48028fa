//! Hands that take a lock and write under it as they are told, and what they said of it.

pub mod child;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::child::Fault;
use crate::crew::{Crew, PATIENCE};
use crate::random::Random;
use crate::sections::{Broken, Section, Violation};
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "hands-child";

/// What a hand said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It has the store open.
    Open,
    /// It asks for the lock, since this stamp.
    Asking(u64),
    /// It got the lock: token and stamp.
    Took(u64, u64),
    /// A write began at this stamp, with this token, and landed.
    Wrote(u64, u64),
    /// As [`Said::Wrote`], and it was refused.
    Fenced(u64, u64),
    /// The order to write has been carried out.
    Done,
    /// It gave the lock back: token, stamp before, and whether it had still been held.
    Left(u64, u64, bool),
    /// The wall clock, in milliseconds.
    Wall(i64),
}

impl Said {
    fn parse(line: &str) -> Option<Said> {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
        Some(match *words.first()? {
            "open" => Said::Open,
            "asking" => Said::Asking(number(1)?),
            "took" => Said::Took(number(1)?, number(2)?),
            "wrote" => Said::Wrote(number(1)?, number(2)?),
            "fenced" => Said::Fenced(number(1)?, number(2)?),
            "done" => Said::Done,
            "left" => Said::Left(number(1)?, number(2)?, *words.get(3)? == "held"),
            "wall" => Said::Wall(words.get(1)?.parse().ok()?),
            _ => return None,
        })
    }
}

/// The processes, and the evidence of what they did.
#[derive(Debug)]
pub struct Hands {
    /// The processes.
    pub crew: Crew,
    /// The store.
    pub file: PathBuf,
    heard: Vec<VecDeque<Said>>,
    /// Their times under the lock. One that was stopped believes that it holds the lock until it finds out.
    pub sections: Vec<Section>,
    /// For each, when the last write began that landed.
    pub last_wrote: Vec<u64>,
    /// Writes that landed, and that were refused.
    pub writes: (u64, u64),
    /// What went wrong.
    pub violations: Vec<Violation>,
}

impl Hands {
    /// Starts them; each has its own environment.
    ///
    /// # Errors
    /// If they cannot be started.
    pub fn start(
        program: &Path,
        file: &Path,
        random: &mut Random,
        fault: Fault,
        environments: &[Vec<(String, String)>],
    ) -> Result<Hands> {
        let size = environments.len();
        let mut hands = Hands {
            crew: Crew::new(program, size),
            file: file.to_owned(),
            heard: vec![VecDeque::new(); size],
            sections: Vec::new(),
            last_wrote: vec![0; size],
            writes: (0, 0),
            violations: Vec::new(),
        };
        for (who, environment) in environments.iter().enumerate() {
            let arguments = [
                CHILD.to_owned(),
                random.below(1 << 40).to_string(),
                file.to_str().ok_or("the folder's name is not a text")?.to_owned(),
                fault.name().to_owned(),
            ];
            hands.crew.start(who, &arguments, environment)?;
            hands
                .wait_for(who, PATIENCE, |said| *said == Said::Open)?
                .ok_or("a child does not open the store")?;
        }
        Ok(hands)
    }

    /// Tells a hand what to do, without waiting for it.
    ///
    /// # Errors
    /// If it does not run.
    pub fn tell(&mut self, who: usize, order: &str) -> Result<()> {
        self.crew.tell(who, order)
    }

    /// Waits until a hand says what `is_it` looks for; what it says before is taken in and passed over.
    ///
    /// # Errors
    /// If a child has ended.
    pub fn wait_for(
        &mut self,
        who: usize,
        time: Duration,
        is_it: impl Fn(&Said) -> bool,
    ) -> Result<Option<Said>> {
        let end = clock::now() + time;
        loop {
            while let Some(said) = self.heard.get_mut(who).and_then(VecDeque::pop_front) {
                if is_it(&said) {
                    return Ok(Some(said));
                }
            }
            let left = end.saturating_duration_since(clock::now());
            match self.crew.hear(left) {
                Some((speaker, Some(line))) => self.take_in(speaker, &line),
                Some((speaker, None)) => return Err(format!("child {speaker} ended by itself").into()),
                None => return Ok(None),
            }
        }
    }

    /// Takes in what is said for so long.
    ///
    /// # Errors
    /// If a child has ended.
    pub fn listen(&mut self, time: Duration) -> Result<()> {
        let end = clock::now() + time;
        loop {
            let left = end.saturating_duration_since(clock::now());
            match self.crew.hear(left) {
                Some((speaker, Some(line))) => self.take_in(speaker, &line),
                Some((speaker, None)) => return Err(format!("child {speaker} ended by itself").into()),
                None => return Ok(()),
            }
        }
    }

    /// As [`Hands::wait_for`], for what must come: `Late` if it does not.
    ///
    /// # Errors
    /// If a child has ended, or it does not come at all.
    pub fn expect(&mut self, who: usize, what: &str, is_it: impl Fn(&Said) -> bool) -> Result<Said> {
        match self.wait_for(who, PATIENCE, is_it)? {
            Some(said) => Ok(said),
            None => {
                self.violations.push((Broken::Late, format!("child {who}: no {what} within {PATIENCE:?}")));
                Err(format!("{:?}", self.violations).into())
            }
        }
    }

    /// Waits until a hand has the lock; the stamp of it.
    ///
    /// # Errors
    /// As [`Hands::expect`].
    pub fn expect_took(&mut self, who: usize) -> Result<u64> {
        match self.expect(who, "lock", |said| matches!(said, Said::Took(..)))? {
            Said::Took(_, stamp) => Ok(stamp),
            other => Err(format!("{other:?}").into()),
        }
    }

    fn take_in(&mut self, who: usize, line: &str) {
        let Some(said) = Said::parse(line) else {
            self.violations.push((Broken::Failed, format!("child {who}: {line}")));
            return;
        };
        match said {
            Said::Took(token, enter) => {
                self.sections.push(Section { who, token, ticket: None, enter, end: None });
            }
            Said::Left(token, stamp, held) => self.ends(who, token, held.then_some(stamp)),
            Said::Wrote(_, stamp) => {
                self.writes.0 += 1;
                if let Some(last) = self.last_wrote.get_mut(who) {
                    *last = stamp;
                }
            }
            Said::Fenced(..) => self.writes.1 += 1,
            _ => {}
        }
        if let Some(heard) = self.heard.get_mut(who) {
            heard.push_back(said);
        }
    }

    /// A lease that was lost ended when nobody saw it, so it proves nothing: its section stays without an end.
    fn ends(&mut self, who: usize, token: u64, end: Option<u64>) {
        let mut latest = self.sections.iter_mut().rev();
        if let Some(section) = latest.find(|section| section.who == who && section.token == token) {
            section.end = end;
        }
    }
}
