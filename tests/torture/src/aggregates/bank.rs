//! One file, the processes that use it at once, and what is found in it when they have ended.

use std::path::Path;
use std::time::Duration;

use millpond::blocking::Store;

use super::account::{Account, Happened, Id, LETTERS};
use super::child::{Orders, STREAMS, Said};
use super::evidence::{Evidence, Found};
use super::judge::{Broken, Violation};
use super::{Mutant, Report, Settings, harm};
use crate::crew::Crew;
use crate::crew::PATIENCE;
use crate::random::Random;
use crate::{Result, clock};

/// If no caller was told anything for so long, none will be: it is longer than a call may take.
const SILENCE: Duration = Duration::from_secs(90);

/// How a file is used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) accounts: u64,
    pub(super) processes: usize,
    /// In each process.
    pub(super) tasks: u64,
    /// Whether processes are killed.
    pub(super) kills: bool,
}

/// A file in use.
pub(super) struct Bank<'a> {
    crew: Crew,
    file: &'a Path,
    settings: &'a Settings,
    plan: Plan,
    random: Random,
    /// Processes that run.
    working: Vec<usize>,
    /// Of them, those that have said that they have done all.
    done: Vec<usize>,
    /// When a caller was told something last.
    heard: std::time::Instant,
    pub(super) evidence: Evidence,
    violations: Vec<Violation>,
}

impl<'a> Bank<'a> {
    pub(super) fn new(program: &Path, file: &'a Path, settings: &'a Settings, plan: Plan) -> Bank<'a> {
        let next = vec![0; plan.processes * plan.tasks as usize];
        let (seed, accounts) = (settings.seed, plan.accounts);
        Bank {
            crew: Crew::new(program, plan.processes),
            file,
            settings,
            plan,
            random: Random::new(seed),
            working: Vec::new(),
            done: Vec::new(),
            heard: clock::now(),
            evidence: Evidence { seed, accounts, next, ..Evidence::default() },
            violations: Vec::new(),
        }
    }

    /// All tasks do what they do up to this deed of theirs; then it is looked what there is, before the snapshots are damaged
    /// and after it. What went wrong with a child.
    ///
    /// # Errors
    /// What kept the test itself from being carried out.
    pub(super) fn round(&mut self, end: u64, report: &mut Report) -> Result<Vec<Violation>> {
        (self.evidence.end, self.heard) = (end, clock::now());
        (0..self.plan.processes).try_for_each(|process| self.start(process))?;
        while !self.working.is_empty() && self.violations.is_empty() {
            self.listen(Duration::from_millis(self.settings.every_ms), report)?;
            let at = self.random.below(self.working.len().max(1) as u64) as usize;
            let victim = self.working.get(at).copied().filter(|victim| !self.done.contains(victim));
            if let Some(victim) = victim.filter(|_| self.plan.kills) {
                self.kill(victim, report)?;
            }
            if self.heard.elapsed() > SILENCE {
                let words = format!("nobody is told anything any more in {:?}", self.working);
                self.violations.push((Broken::Unanswered, words));
            }
        }
        if self.violations.is_empty() {
            self.look(report)?;
        }
        Ok(std::mem::take(&mut self.violations))
    }

    /// The tasks of a process.
    fn tasks(&self, process: usize) -> std::ops::Range<u64> {
        let first = process as u64 * self.plan.tasks;
        first..first + self.plan.tasks
    }

    fn start(&mut self, process: usize) -> Result<()> {
        let tasks = self.tasks(process);
        let next = self.evidence.next.iter().skip(tasks.start as usize).take(self.plan.tasks as usize);
        let orders = Orders {
            seed: self.settings.seed,
            accounts: self.plan.accounts,
            who: tasks.start,
            next: next.copied().collect(),
            end: self.evidence.end,
            careless: self.settings.mutant == Some(Mutant::Outside),
            nameless: self.settings.mutant == Some(Mutant::Nameless),
        };
        let file = self.file.to_str().ok_or("the folder's name is not a text")?.to_owned();
        self.crew.start(process, &[super::CHILD.to_owned(), file, serde_json::to_string(&orders)?], &[])?;
        self.working.push(process);
        Ok(())
    }

    /// Listens until the time is over, or nobody is at work.
    fn listen(&mut self, time: Duration, report: &mut Report) -> Result<()> {
        let end = clock::now() + time;
        while !self.working.is_empty()
            && let Some((process, line)) = self.crew.hear(end.saturating_duration_since(clock::now()))
        {
            match line {
                Some(line) => self.take_in(process, &line, report)?,
                None => self.ended(process)?,
            }
        }
        Ok(())
    }

    fn take_in(&mut self, process: usize, line: &str, report: &mut Report) -> Result<()> {
        match serde_json::from_str(line)? {
            Said::Told(told) => {
                self.heard = clock::now();
                self.evidence.take_in(told);
            }
            Said::Closed { overtaken, groups } => {
                report.overtaken += overtaken;
                report.groups += groups;
                self.done.push(process);
            }
            Said::Failed(words) => {
                self.violations.push((Broken::Failed, format!("process {process}: {words}")))
            }
        }
        Ok(())
    }

    /// One whose pipe has ended: it has done all, or should not have ended.
    fn ended(&mut self, process: usize) -> Result<()> {
        if !self.is_over(process) && self.violations.is_empty() {
            self.violations.push((Broken::Failed, format!("process {process} ended by itself")));
        }
        self.crew.kill(process)
    }

    /// Of a process that is no more: whether it had done all.
    fn is_over(&mut self, process: usize) -> bool {
        let is_over = self.done.contains(&process);
        self.working.retain(|working| *working != process);
        self.done.retain(|done| *done != process);
        is_over
    }

    /// Kills one that is at work, hears it out, and starts it anew where its tasks were.
    fn kill(&mut self, process: usize, report: &mut Report) -> Result<()> {
        self.crew.kill(process)?;
        report.kills += 1;
        loop {
            match self.crew.hear(PATIENCE).ok_or("a pipe has no end")? {
                (speaker, Some(line)) => self.take_in(speaker, &line, report)?,
                (dead, None) if dead == process => break,
                (other, None) => self.ended(other)?,
            }
        }
        // It may have come to its end just before.
        if !self.is_over(process) {
            self.evidence.cut(self.tasks(process));
            self.start(process)?;
        }
        Ok(())
    }

    /// What is there, by a store that knows nothing yet; and how the accounts stand, from sound snapshots and from others.
    fn look(&mut self, report: &mut Report) -> Result<()> {
        let store = Store::open(self.file)?;
        self.evidence.events = events(&store)?;
        self.evidence.jobs = jobs(&store)?;
        let messages = store.channel::<Id>(LETTERS).history();
        self.evidence.messages =
            messages.map(|message| message.map(|message| *message)).collect::<millpond::Result<_>>()?;
        store.close()?;
        self.evidence.states.clear();
        self.look_at_states("as it is")?;
        let how = if self.settings.mutant == Some(Mutant::Snapshot) {
            report.damaged += harm::forge(self.file)?;
            "forged"
        } else {
            report.damaged += harm::damage(self.file, &mut self.random)?;
            "damaged"
        };
        self.look_at_states(how)
    }

    fn look_at_states(&mut self, how: &str) -> Result<()> {
        let store = Store::open(self.file)?;
        for account in 0..self.plan.accounts {
            let state = store.aggregate::<Account>(account.to_string()).state()?;
            self.evidence.states.push((how.to_owned(), account, state));
        }
        Ok(store.close()?)
    }
}

/// All events, read as they are, not as an aggregate reads them.
fn events(store: &Store) -> Result<Vec<Found>> {
    let mut events = Vec::new();
    for event in store.events().read_all() {
        let event = event?;
        let entry = serde_json::from_str(event.json().ok_or("an event is no JSON")?)?;
        let event_type = event.event_type();
        let kinds = [Happened::Deposited, Happened::Withdrawn, Happened::Broken];
        let named = kinds.into_iter().map(|kind| kind(entry)).find(|kind| kind.name() == event_type);
        let account = event.stream().strip_prefix(STREAMS).ok_or("an event of no account")?;
        events.push(Found {
            position: event.position(),
            account: account.parse()?,
            version: event.version(),
            event: named.ok_or_else(|| format!("an event of type {event_type}"))?,
        });
    }
    Ok(events)
}

/// The jobs, none of which is ever worked on.
fn jobs(store: &Store) -> Result<Vec<Id>> {
    let (queue, mut next, mut jobs) = (store.queue::<Id>(LETTERS), Some(1), Vec::new());
    while let Some(from) = next {
        let page = queue.page(None, from, 1_000)?;
        for job in page.jobs {
            jobs.push(queue.decode(&job?)?);
        }
        next = page.next;
    }
    Ok(jobs)
}
