//! Callers who go away at any moment: what becomes of what they asked for, and what is left of them?
//!
//! Promises: G3, G7, L6, R1, Q1. Many callers at once append, import, command an aggregate, publish and consume, push jobs
//! and wait for them, want locks, permits and the right to read or write, renew and give back; two of three lose their
//! patience by chance, some before they have asked at all, and are dropped. Afterwards each call is there whole or not at
//! all, what was acknowledged is there, and nothing is left of those who have gone: no lock, no ticket, no claim of a job,
//! no call inside, no actor, no thread; and whatever somebody wanted can be had at once.

mod holding;
mod rest;

use std::cell::Cell;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use futures_executor::block_on;
use millpond::{Event, Expected, Store};

use serde::Serialize;

use self::holding::Wish;
use crate::callers::{Caller, Patient, drive, patience};
use crate::look::look;
use crate::random::Random;
use crate::recording::folder;
use crate::report::{Broken, Violation, Violations};
use crate::sidecar::Turn;
use crate::vfs::Disk;
use crate::workload::told::Counts;
use crate::workload::{Call, Told, Word, Workload};
use crate::{Result, clock};

/// Most callers in a round who write, and half as many who want locks.
const CALLERS: u64 = 48;

/// An actor that nobody needs leaves after this time.
const IDLE: Duration = Duration::from_millis(10);

/// A number that no caller ever has.
const NEVER: u64 = 1 << 40;

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything comes from.
    pub seed: u64,
    /// Rounds of callers.
    pub rounds: u64,
    /// An end in time as well, whichever comes first.
    pub seconds: Option<u64>,
    /// How long to wait for what must come.
    pub patience: Duration,
    /// What is done wrong on purpose.
    pub mutant: Option<Mutant>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, rounds: 500, seconds: None, patience: Duration::from_secs(20), mutant: None }
    }
}

/// What is done wrong on purpose, and must be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Whoever loses patience is not dropped, and keeps what he has and waits for.
    Forgotten,
    /// A call makes its parts one after the other.
    Halved,
    /// A call that was never made is taken for acknowledged.
    Boastful,
    /// The writer does not get its turn, so that calls stay inside.
    Stuck,
    /// Actors do not leave.
    Lasting,
    /// Another store is left open.
    Crowded,
    /// A caller is not asked any more.
    Silent,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 7] = [
        Mutant::Forgotten,
        Mutant::Halved,
        Mutant::Boastful,
        Mutant::Stuck,
        Mutant::Lasting,
        Mutant::Crowded,
        Mutant::Silent,
    ];

    /// What must be said of it: each of these, in words that begin so.
    #[must_use]
    pub fn breaks(self) -> &'static [(Broken, &'static str)] {
        match self {
            Mutant::Forgotten => &[(Broken::Leaked, "held"), (Broken::Wedged, "nobody has")],
            Mutant::Halved => &[(Broken::Torn, "")],
            Mutant::Boastful => &[(Broken::Lost, "gone")],
            Mutant::Stuck => &[(Broken::Leaked, "inside")],
            Mutant::Lasting => &[(Broken::Leaked, "actors")],
            Mutant::Crowded => &[(Broken::Leaked, "threads")],
            Mutant::Silent => &[(Broken::Unanswered, "")],
        }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Callers.
    pub callers: u64,
    /// Of them, those that were dropped.
    pub cancelled: u64,
    /// Of those who had begun to push a job and to wait for one, as many.
    pub pops: u64,
    /// Acknowledged events.
    pub acked: u64,
    /// Events in the store.
    pub events: u64,
    /// How long it took.
    pub seconds: u64,
    /// What was broken.
    #[serde(flatten)]
    pub violations: Violations,
}

/// Threads are counted, so there is one run at a time in a process.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs it.
///
/// # Errors
/// What kept the test itself from being carried out; what the store did wrong is in the report.
pub fn run(settings: &Settings) -> Result<Report> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (start, folder) = (clock::now(), folder()?);
    let file = folder.path().join("cancel.db");
    let disk = Disk::watch(&file)?;
    disk.record(false);
    let told = Told::new(disk.clone());
    let idle = if settings.mutant == Some(Mutant::Lasting) { Duration::from_secs(600) } else { IDLE };
    let store = block_on(Store::builder().idle(idle).open(&file))?;
    let mut report = Report::default();
    let threads = rest::threads()?;
    let (mut workload, mut random) = (Workload::new(&told, settings.seed), Random::new(settings.seed));
    let in_time = || settings.seconds.is_none_or(|limit| start.elapsed().as_secs() < limit);
    let cancelled_pops = Cell::new(0);
    let mut round = 0;
    while round < settings.rounds && in_time() && report.violations.is_empty() {
        let callers = 1 + random.below(CALLERS);
        let mut all = wishes(&store, &told, callers / 2, &mut random);
        all.extend(workload.callers(&store, callers));
        let pops = workload.pops(&store, 1 + callers / 4);
        all.extend(pops.into_iter().map(|caller| counted(caller, &cancelled_pops)));
        if settings.mutant == Some(Mutant::Halved) {
            all.push(halved(&store, NEVER + round));
        }
        go_away(settings, all, &mut random, &mut report);
        report.violations.extend(rest_of_round(settings, &file, &store)?);
        round += 1;
    }
    report.violations.extend(rest::actors_leave(&store, settings.patience)?);
    let another = match settings.mutant {
        Some(Mutant::Crowded) => Some(block_on(Store::memory())?),
        _ => None,
    };
    let now = rest::threads()?;
    if now > threads {
        report.violations.push((Broken::Leaked, format!("threads: {now}, and {threads} at the beginning")));
    }
    drop(another);
    block_on(store.close())?;
    disk.forget();
    judge(settings, &file, told.so_far(), &mut report);
    report.pops = cancelled_pops.get();
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

/// A caller who is counted if he goes away when he has begun.
fn counted<'s>(caller: Caller<'s>, cancelled: &'s Cell<u64>) -> Caller<'s> {
    struct Going<'c>(Option<&'c Cell<u64>>);
    impl Drop for Going<'_> {
        fn drop(&mut self) {
            self.0.into_iter().for_each(|cancelled| cancelled.set(cancelled.get() + 1));
        }
    }
    Box::pin(async move {
        let mut going = Going(Some(cancelled));
        caller.await;
        going.0 = None;
    })
}

/// Callers who want a lock or a part of one; nothing may go wrong with that.
fn wishes<'s>(store: &'s Store, told: &'s Told, callers: u64, random: &mut Random) -> Vec<Caller<'s>> {
    let wish = |_| {
        let wish = Wish::draw(random);
        let have = async move {
            if let Err(error) = wish.have(store).await {
                told.say([Word::Failed(error)]);
            }
        };
        Box::pin(have) as Caller<'s>
    };
    (0..callers).map(wish).collect()
}

/// The mutant: the parts of a call are made one after the other.
fn halved(store: &Store, number: u64) -> Caller<'_> {
    // An import has several parts, and each has a stream of its own.
    let call = Call { who: CALLERS, number: number * 4 };
    Box::pin(async move {
        for part in 0..call.events() {
            let Ok(event) = call.event(part) else { return };
            // Whoever hears of an error finds no more of it than of a call that was dropped.
            let _ = store.events().append(call.stream(part), Expected::Any, [event]).await;
        }
    })
}

/// All of them do what they want, or lose their patience.
fn go_away<'s>(settings: &Settings, callers: Vec<Caller<'s>>, random: &mut Random, report: &mut Report) {
    report.callers += callers.len() as u64;
    let mut patients: Vec<Patient<'s>> =
        callers.into_iter().map(|caller| Patient { caller, looks: patience(random) }).collect();
    if let (Some(Mutant::Silent), Some(last)) = (settings.mutant, patients.last_mut()) {
        *last = Patient { caller: Box::pin(std::future::pending()), looks: None };
    }
    let lose = |caller| match settings.mutant {
        // As if its `Drop` did nothing.
        Some(Mutant::Forgotten) => std::mem::forget(caller),
        _ => drop(caller),
    };
    let ended = drive(patients, random, settings.patience, Waker::noop(), lose);
    report.cancelled += ended.dropped;
    if !ended.unanswered.is_empty() {
        report.violations.push((Broken::Unanswered, format!("{ended:?}")));
    }
}

/// What is left of a round, and what cannot be had after it.
fn rest_of_round(settings: &Settings, file: &Path, store: &Store) -> Result<Vec<Violation>> {
    let turn = match settings.mutant {
        Some(Mutant::Stuck) => Some(Turn::of(file)?),
        _ => None,
    };
    if let Some(turn) = &turn {
        turn.take()?;
        let append = Box::pin(async move {
            // Nobody waits for the answer.
            let Ok(event) = Event::from_json("Called", "{}") else { return };
            let _ = store.events().append("stuck", Expected::Any, [event]).await;
        }) as Caller<'_>;
        let soon_gone = Patient { caller: append, looks: Some(1) };
        drive([soon_gone], &mut Random::new(1), settings.patience, Waker::noop(), drop);
    }
    let mut violations = rest::leaks(store, settings.patience)?;
    drop(turn);
    violations.extend(rest::withheld(store));
    Ok(violations)
}

/// What is there, whole, and everything that was acknowledged; and nobody heard of an error.
fn judge(settings: &Settings, file: &Path, mut words: Vec<Word>, report: &mut Report) {
    if settings.mutant == Some(Mutant::Boastful) {
        let call = Call { who: CALLERS, number: NEVER };
        words.extend(call.facts().into_iter().map(Word::Acked));
    }
    let mut seen = look(file, true);
    report.events = seen.found.len() as u64;
    report.acked = Counts::of(&words).acked;
    report.violations.append(&mut seen.violations);
    report.violations.extend(seen.accuse(&words));
    let failed =
        words.iter().filter(|word| matches!(word, Word::Refused(..) | Word::Unknown(..) | Word::Failed(_)));
    report.violations.extend(failed.map(|word| (Broken::Failed, format!("{word:?}"))));
}
