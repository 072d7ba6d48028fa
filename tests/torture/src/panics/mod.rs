//! A user's code that falls over at any moment: who suffers, what is written, does the name go on?
//!
//! Promises: G3, G10, A5, R1. Many callers at once want something of one aggregate, of its neighbours, of streams and
//! locks; one place of the user's code panics in each round: while it decides, evolves, encodes, decodes, takes or reads
//! a snapshot, while one of its values is dropped, or while a caller is woken, with words, without, or with something
//! that panics again. Every caller is answered; an error hears only whose code it was, or whoever needed a state that
//! could not be made; nothing of a panicked command is there, and everything that was acknowledged is; and the next
//! command on the same name works.

mod answers;
mod fall;
mod fragile;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};
use std::time::Duration;

use futures_executor::block_on;
use millpond::{CommandError, Error, Event, Expected, Store};

use serde::Serialize;

use self::answers::{Answer, Who, check, compare};
pub use self::fall::Place;
use self::fragile::{Fragile, Note};
use crate::callers::{Caller, Patient, drive, patience, until};
use crate::random::Random;
use crate::recording::folder;
use crate::report::{Broken, Violations};
use crate::{Result, clock};

/// An aggregate that nobody needs leaves after this time, so that it is loaded now and then.
const IDLE: Duration = Duration::from_millis(10);

/// So many rounds want something of the same names.
const ROUNDS_A_NAME: u64 = 8;

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything comes from.
    pub seed: u64,
    /// Rounds, each with one panic at most.
    pub rounds: u64,
    /// An end in time as well, whichever comes first.
    pub seconds: Option<u64>,
    /// The only place that falls over; `None` is any.
    pub place: Option<Place>,
    /// How long to wait for an answer.
    pub patience: Duration,
    /// What is done wrong on purpose.
    pub mutant: Option<Mutant>,
}

impl Default for Settings {
    fn default() -> Settings {
        let patience = Duration::from_secs(20);
        Settings { seed: 1, rounds: 2_000, seconds: None, place: None, patience, mutant: None }
    }
}

/// What is done wrong on purpose, and must be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A caller is not asked any more.
    Silent,
    /// A neighbour hears that its actor failed.
    Selfish,
    /// Somebody whose events are there hears that his code panicked.
    Liar,
    /// Somebody hears that all is well who never asked.
    Forgetful,
    /// One event of a command with several is not seen.
    Torn,
    /// The code goes on falling over.
    Lasting,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 6] =
        [Mutant::Silent, Mutant::Selfish, Mutant::Liar, Mutant::Forgetful, Mutant::Torn, Mutant::Lasting];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Silent => Broken::Unanswered,
            Mutant::Selfish => Broken::Apart,
            Mutant::Liar => Broken::Lie,
            Mutant::Forgetful => Broken::Lost,
            Mutant::Torn => Broken::Torn,
            Mutant::Lasting => Broken::Wedged,
        }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Callers.
    pub callers: u64,
    /// Of them, those that went away before they were answered.
    pub cancelled: u64,
    /// Panics.
    pub panics: u64,
    /// Places that fell over at least once.
    pub places: usize,
    /// Callers who heard of an error.
    pub suffered: u64,
    /// The longest that the next command on a name took, in microseconds.
    pub recovery_max_us: u64,
    /// How long it took.
    pub seconds: u64,
    /// What was broken.
    #[serde(flatten)]
    pub violations: Violations,
}

/// The places are those of the process, so there is one run at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs it.
///
/// # Errors
/// What kept the test itself from being carried out; what the store did wrong is in the report.
pub fn run(settings: &Settings) -> Result<Report> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (start, folder) = (clock::now(), folder()?);
    let store = block_on(Store::builder().idle(IDLE).open(folder.path().join("panics.db")))?;
    let mut run = Run {
        settings,
        store: &store,
        random: Random::new(settings.seed),
        next: 1,
        names: Default::default(),
        told: Vec::new(),
        report: Report::default(),
    };
    let in_time = || settings.seconds.is_none_or(|limit| start.elapsed().as_secs() < limit);
    let mut round = 0;
    while round < settings.rounds && in_time() && run.report.violations.is_empty() {
        // New names now and then, for there is one fresh state a name.
        run.names = ["a", "b"].map(|name| format!("{name}{}", round / ROUNDS_A_NAME));
        run.round()?;
        round += 1;
    }
    let found = run.found()?;
    let mut report = run.finish(found);
    block_on(store.close())?;
    report.places = fall::fallen().len();
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

struct Run<'a> {
    settings: &'a Settings,
    store: &'a Store,
    random: Random,
    /// The number of the next caller.
    next: u64,
    /// Of the aggregates that fall over.
    names: [String; 2],
    /// What all callers have heard.
    told: Vec<Answer>,
    report: Report,
}

impl Run<'_> {
    /// Callers at once, and a place that falls over while they are there.
    fn round(&mut self) -> Result<()> {
        let heard = RefCell::new(Vec::new());
        let (store, callers) = (self.store, 2 + self.random.below(24));
        let names = self.names.clone();
        let mut patients = Vec::new();
        for _ in 0..callers {
            let (kind, which, number) = (self.random.below(14), self.random.below(3), self.number());
            let [one, other] = &names;
            let caller = ask(store, &heard, kind, if which == 0 { other } else { one }, number);
            let goes = self.random.below(3) == 0;
            let looks = if goes { patience(&mut self.random) } else { None };
            patients.push(Patient { caller, looks });
        }
        if self.settings.mutant == Some(Mutant::Silent) {
            patients.push(Patient { caller: Box::pin(std::future::pending()), looks: None });
        }
        let any = Place::ALL.get(self.random.below(Place::ALL.len() as u64) as usize);
        if let Some(place) = self.settings.place.or(any.copied()) {
            fall::arm(place, &mut self.random);
        }
        let waker = Waker::from(Arc::new(Falls));
        // What falls when a caller drops what is its own is its own affair.
        let let_go = |caller| {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(caller))) {
                forget(panic);
            }
        };
        let ended = drive(patients, &mut self.random, self.settings.patience, &waker, let_go);
        let fell = if self.settings.mutant == Some(Mutant::Lasting) { None } else { fall::disarm() };
        self.report.callers += callers;
        self.report.cancelled += ended.dropped;
        self.report.panics += u64::from(fell.is_some());
        if !ended.unanswered.is_empty() {
            self.report.violations.push((Broken::Unanswered, format!("{ended:?} when {fell:?} fell")));
        }
        drop(ended);
        let mut answers = heard.into_inner();
        self.spoil(&mut answers);
        self.report.suffered += answers.iter().filter(|answer| answer.error.is_some()).count() as u64;
        self.report.violations.extend(check(&answers, fell));
        self.told.extend(answers);
        self.go_on()
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Whatever fell over, the next command on every name works.
    fn go_on(&mut self) -> Result<()> {
        for name in self.names.clone() {
            let (number, start) = (self.number(), clock::now());
            if self.settings.mutant == Some(Mutant::Lasting) {
                fall::arm(Place::Decide, &mut Random::new(0));
            }
            let heard = RefCell::new(Vec::new());
            block_on(note(self.store, &heard, &name, number, 1));
            let answers = heard.into_inner();
            if let Some(answer) = answers.iter().find(|answer| answer.error.is_some()) {
                self.report.violations.push((Broken::Wedged, format!("{name}: {answer:?}")));
            }
            self.told.extend(answers);
            let took = start.elapsed().as_micros() as u64;
            self.report.recovery_max_us = self.report.recovery_max_us.max(took);
        }
        Ok(())
    }

    /// How many events each number has in the store.
    fn found(&self) -> Result<BTreeMap<u64, u64>> {
        let mut found = BTreeMap::new();
        for event in self.store.blocking().events().read_category("fragile") {
            let (number, _part): (u64, u64) = event?.decode()?;
            *found.entry(number).or_insert(0) += 1;
        }
        Ok(found)
    }

    fn finish(mut self, mut found: BTreeMap<u64, u64>) -> Report {
        if self.settings.mutant == Some(Mutant::Torn)
            && let Some((_, count)) = found.iter_mut().find(|(_, count)| **count > 1)
        {
            *count -= 1;
        }
        self.report.violations.extend(compare(&self.told, &found));
        for name in &self.names {
            if let Err(error) = block_on(self.store.aggregate::<Fragile>(name).state()) {
                self.report.violations.push((Broken::Wedged, format!("the state of {name}: {error}")));
            }
        }
        // A caller is answered a moment before its call is counted as gone.
        let is_well = || self.store.health().calls == 0 && self.store.health().is_good();
        if !until(self.settings.patience, || Ok(is_well())).unwrap_or(false) {
            self.report.violations.push((Broken::Leaked, format!("{:?}", self.store.health())));
        }
        self.report
    }

    fn spoil(&mut self, answers: &mut Vec<Answer>) {
        let (of, error) = match self.settings.mutant {
            Some(Mutant::Selfish) => (Who::Neighbour, Error::ActorFailed { what: "it".into() }),
            Some(Mutant::Liar) => {
                (Who::Note { parts: 1 }, Error::Panicked { what: "decide".into(), message: "nothing".into() })
            }
            Some(Mutant::Forgetful) => {
                return answers.push(Answer { number: 0, who: Who::Note { parts: 1 }, error: None });
            }
            Some(Mutant::Silent | Mutant::Torn | Mutant::Lasting) | None => return,
        };
        if let Some(answer) = answers.iter_mut().find(|answer| answer.who == of && answer.error.is_none()) {
            answer.error = Some(error);
        }
    }
}

/// A caller of some kind.
fn ask<'s>(
    store: &'s Store,
    heard: &'s RefCell<Vec<Answer>>,
    kind: u64,
    name: &'s str,
    number: u64,
) -> Caller<'s> {
    let say = move |who, error| heard.borrow_mut().push(Answer { number, who, error });
    match kind {
        0 => Box::pin(async move {
            let done = store.aggregate::<crate::workload::Tally>("steady").state().await;
            say(Who::Neighbour, done.err());
        }),
        // To a stream next door, or behind the back of the actor, which has to read its state anew.
        1 | 2 => Box::pin(async move {
            let stream = if kind == 1 { "next-door".to_owned() } else { format!("fragile-{name}") };
            let done = match Event::new("Noted", &(number, 0)) {
                Ok(event) => store.events().append(stream, Expected::Any, [event]).await,
                Err(error) => Err(error),
            };
            say(Who::Neighbour, done.err());
        }),
        3 => Box::pin(async move {
            let done = match store.lock("till").acquire().await {
                Ok(guard) => guard.release().await,
                Err(error) => Err(error),
            };
            say(Who::Neighbour, done.err());
        }),
        4 => Box::pin(async move {
            let done = store.aggregate::<Fragile>(name).state().await;
            say(Who::Look, done.map(forget).err());
        }),
        5 | 6 => Box::pin(async move {
            let command = Note { number, parts: 1, refuse: true };
            say(Who::Refused, execute(store, name, command).await);
        }),
        _ => Box::pin(note(store, heard, name, number, 1 + number % 3)),
    }
}

async fn note(store: &Store, heard: &RefCell<Vec<Answer>>, name: &str, number: u64, parts: u64) {
    let error = execute(store, name, Note { number, parts, refuse: false }).await;
    heard.borrow_mut().push(Answer { number, who: Who::Note { parts }, error });
}

/// What the caller gets stays with it: what falls when it is dropped there is not the store's affair.
async fn execute(store: &Store, name: &str, command: Note) -> Option<Error> {
    match store.aggregate::<Fragile>(name).execute(command).await {
        Ok(done) => forget(done),
        Err(CommandError::Rejected(refused)) => forget(refused),
        Err(CommandError::Failed(error)) => return Some(error),
        Err(other) => forget(other),
    }
    None
}

/// An executor that falls over when it is woken.
struct Falls;

impl Wake for Falls {
    fn wake(self: Arc<Falls>) {
        fall::reach(Place::Wake, 0);
    }
}
