//! Transfers between accounts, managed and carried out by several processes which are killed: is no cent lost and none made, and
//! did each command take effect once?
//!
//! Promises: A3, A7. Each process runs a manager of the transfers, one of which manages at a time, and workers that carry its
//! commands out. Every now and then one of them is killed, or all are, and started again. Some accounts have too little, and one
//! takes nothing, so some transfers are refused and some given back.

pub mod child;
mod judge;
mod mutant;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use millpond::blocking::Store;
use millpond::{Event, Expected};
use serde::Serialize;

use self::child::{ASKED, Account, Booked, MANAGED, Order, Stage, Step, Transfer};
use self::judge::{Booking, Evidence, Tale};
pub use self::judge::{Broken, Violation};
pub use self::mutant::Mutant;
use crate::crew::Crew;
use crate::crew::PATIENCE;
use crate::random::Random;
use crate::report::{self, Violations};
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "transfers-child";

/// Accounts that take and give, and one that takes nothing.
const ACCOUNTS: u64 = 16;
const CLOSED: u64 = 99;

/// What each account has in the beginning.
const CENTS: i64 = 10_000;

/// Transfers that are asked for in one commit, and that are open at a time.
const TOGETHER: u64 = 50;
const OPEN: u64 = 200;

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything comes from.
    pub seed: u64,
    /// Transfers.
    pub transfers: u64,
    /// Processes.
    pub processes: u64,
    /// So long between kills.
    pub every_ms: u64,
    /// How the evidence is spoilt.
    pub mutant: Option<Mutant>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, transfers: 400, processes: 4, every_ms: 200, mutant: None }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Transfers that were done, given back, and refused.
    pub done: u64,
    /// See there.
    pub undone: u64,
    /// See there.
    pub refused: u64,
    /// Commands that took effect.
    pub commands: u64,
    /// Processes killed.
    pub kills: u64,
    /// How long it took.
    pub seconds: u64,
    /// What was broken.
    #[serde(flatten)]
    pub violations: Violations<Broken>,
}

/// Runs it with children of `program`, which calls [`child::live`].
///
/// # Errors
/// What kept the test itself from being carried out; what the store did wrong is in the report.
pub fn run(program: &Path, settings: &Settings) -> Result<Report> {
    let (start, mut report) = (clock::now(), Report::default());
    let mut evidence = gather(program, settings, &mut report)?;
    if let Some(mutant) = settings.mutant {
        let spoilt = mutant.spoil(&mut evidence);
        spoilt.ok_or_else(|| format!("there is nothing to be spoilt by {mutant:?}"))?;
    }
    report.violations.extend(judge::judge(&evidence));
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

/// Runs it once, and spoils what came of it in each way: the mutants that are noticed.
///
/// # Errors
/// As [`run`].
pub fn noticed(program: &Path, settings: &Settings) -> Result<Vec<Mutant>> {
    let evidence = gather(program, settings, &mut Report::default())?;
    Ok(report::noticed(Mutant::ALL, &evidence, Mutant::spoil, judge::judge, Mutant::breaks))
}

fn gather(program: &Path, settings: &Settings, report: &mut Report) -> Result<Evidence> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("transfers.db");
    let store = Store::open(&file)?;
    let mut random = Random::new(settings.seed);
    for account in 0..ACCOUNTS {
        store
            .aggregate::<Account>(account.to_string())
            .execute(Order::Deposit(CENTS))
            .map_err(|e| e.to_string())?;
    }
    store.aggregate::<Account>(CLOSED.to_string()).execute(Order::Close).map_err(|e| e.to_string())?;
    let size = usize::try_from(settings.processes)?;
    let mut field = Field { crew: Crew::new(program, size), file: &file, report };
    (0..size).try_for_each(|process| field.start(process))?;
    let (mut book, mut asked, mut moved) = (Book::default(), 0, clock::now());
    while book.ended < settings.transfers && moved.elapsed() < PATIENCE {
        while asked < settings.transfers && asked < book.ended + OPEN {
            let together = asked..(asked + TOGETHER).min(settings.transfers);
            asked = together.end;
            ask(&store, together, &mut random)?;
        }
        field.listen(Duration::from_millis(settings.every_ms))?;
        field.kill(&mut random, size)?;
        if book.read(&store)? {
            moved = clock::now();
        }
    }
    (0..size).try_for_each(|process| field.end(process))?;
    let evidence = look(&store)?;
    store.close()?;
    let steps = |step: Step| evidence.tales.values().filter(|tale| tale.step == step).count() as u64;
    (report.done, report.undone, report.refused) =
        (steps(Step::Done), steps(Step::Undone), steps(Step::Refused));
    report.commands = evidence.bookings.iter().filter(|booking| booking.command.is_some()).count() as u64;
    Ok(evidence)
}

/// Asks for transfers, in one commit.
fn ask(store: &Store, which: std::ops::Range<u64>, random: &mut Random) -> Result<()> {
    let mut batch = store.batch();
    for n in which {
        let to = if random.below(10) == 0 { CLOSED } else { random.below(ACCOUNTS) };
        let cents = random.below(3_000).cast_signed() + 1;
        let asked = Event::new("Asked", &Transfer { from: random.below(ACCOUNTS), to, cents })?;
        batch.append(format!("{ASKED}-{n}"), Expected::NoStream, [asked])?;
    }
    batch.commit()?;
    Ok(())
}

/// Where each transfer is, as far as its manager knows.
#[derive(Default)]
struct Book {
    steps: BTreeMap<String, Step>,
    position: u64,
    ended: u64,
}

impl Book {
    /// Reads on. Whether there was anything new.
    fn read(&mut self, store: &Store) -> Result<bool> {
        let before = self.position;
        for event in store.events().read_category(MANAGED).after(before) {
            let event = event?;
            let name = event.stream().strip_prefix("stages-").unwrap_or_default().to_owned();
            let step = event.decode::<Stage>()?.step;
            self.ended += u64::from(matches!(step, Step::Done | Step::Undone | Step::Refused));
            self.steps.insert(name, step);
            self.position = event.position();
        }
        Ok(self.position > before)
    }
}

/// What is there in the end.
fn look(store: &Store) -> Result<Evidence> {
    let sum = CENTS * ACCOUNTS.cast_signed();
    let mut evidence = Evidence { sum, ..Evidence::default() };
    for event in store.events().read_category("account") {
        let event = event?;
        let account = event.stream().strip_prefix("account-").unwrap_or_default().parse()?;
        let cents = match event.decode_event::<Booked>()? {
            Booked::Withdrawn(cents) => -cents,
            Booked::Deposited(cents) => cents,
            Booked::Closed(()) => 0,
        };
        evidence.bookings.push(Booking { account, command: event.causation(), cents });
    }
    let mut book = Book::default();
    book.read(store)?;
    for event in store.events().read_category(ASKED) {
        let event = event?;
        let name = event.stream().strip_prefix("transfer-").unwrap_or_default().to_owned();
        if event.event_type() == "Asked" {
            let step = book.steps.get(&name).copied().unwrap_or_default();
            let tale = Tale { transfer: event.decode()?, done: Vec::new(), step };
            evidence.tales.insert(name, tale);
        } else if event.event_type() == "Done" {
            let tale = evidence.tales.get_mut(&name).ok_or("told of what was never asked for")?;
            tale.done.push(event.decode()?);
        }
    }
    Ok(evidence)
}

/// The run.
struct Field<'a> {
    crew: Crew,
    file: &'a Path,
    report: &'a mut Report,
}

impl Field<'_> {
    fn start(&mut self, process: usize) -> Result<()> {
        let file = self.file.to_str().ok_or("the folder's name is not a text")?.to_owned();
        self.crew.start(process, &[CHILD.to_owned(), file], &[])
    }

    /// Who says something says what should not be.
    fn listen(&mut self, time: Duration) -> Result<()> {
        let end = clock::now() + time;
        while let Some(heard) = self.crew.hear(end.saturating_duration_since(clock::now())) {
            self.take_in(heard);
        }
        Ok(())
    }

    fn take_in(&mut self, (process, line): (usize, Option<String>)) {
        let words = line.unwrap_or_else(|| "it ended by itself".to_owned());
        self.report.violations.push((Broken::Failed, format!("process {process}: {words}")));
    }

    /// Kills one of them or all, and starts them again.
    fn kill(&mut self, random: &mut Random, size: usize) -> Result<()> {
        let victim = random.below(size as u64 + 1) as usize;
        let all = if victim < size { victim..victim + 1 } else { 0..size };
        for process in all.clone() {
            self.report.kills += 1;
            self.end(process)?;
        }
        all.into_iter().try_for_each(|process| self.start(process))
    }

    /// Kills it, and hears it out.
    fn end(&mut self, process: usize) -> Result<()> {
        self.crew.end(process)?.into_iter().for_each(|heard| self.take_in(heard));
        Ok(())
    }
}
