//! Queues of jobs that are pushed, some at once, and worked on: done, tried again, buried, or dropped.
//!
//! Jobs that are done are kept, so what was pushed is there for good, and says how it stands. Whoever has a job says so,
//! and what he then heard: a job that was said to be done or buried is never worked on again, and no attempt is forgotten.

mod spoil;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::time::Duration;

use millpond::{Error, Job, JobRecord, JobState, Push, Pushed, Queue, Store, blocking};

use super::part::{self, Part};
use super::told::{Fact, Told, Word};
use super::{Deed, Mutant, Primitive, Reading};
use crate::Result;
use crate::callers::Caller;
use crate::look::{Found, Seen};
use crate::random::Random;
use crate::report::{Broken, Violation};

/// Whoever works on this one takes what there is.
const PRESS: &str = "press";

/// Whoever wants a job of this one pushes one, and waits until he has one: there is always one for everybody.
const FERRY: &str = "ferry";

/// How often a job is tried.
const ATTEMPTS: u32 = 3;

/// Longer than anything here runs.
const FOR_GOOD: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Jobs that one takes from the press.
const TURN: usize = 4;

/// Some queues.
#[derive(Clone, Copy, Debug)]
pub struct Jobs;

/// What a worker does with a job.
#[derive(Clone, Copy, Debug)]
enum End {
    Done,
    Again,
    Buried,
    Dropped,
}

impl End {
    /// By chance.
    fn draw(random: &mut Random) -> End {
        match random.below(8) {
            0 => End::Again,
            1 => End::Buried,
            2 => End::Dropped,
            _ => End::Done,
        }
    }

    /// How a job is said to have ended in the file, if this is an end.
    fn state(self) -> Option<JobState> {
        match self {
            End::Done => Some(JobState::Done),
            End::Buried => Some(JobState::Dead),
            End::Again | End::Dropped => None,
        }
    }
}

impl Jobs {
    /// A caller who pushes a job and waits for one.
    pub(super) fn wait<'s>(
        &self,
        deed: Deed,
        random: &mut Random,
        store: &'s Store,
        told: &'s Told,
    ) -> Caller<'s> {
        let end = End::draw(random);
        Box::pin(async move { tell(wait_for_one(deed, end, store, told).await, told) })
    }
}

impl Primitive for Jobs {
    fn name(&self) -> &'static str {
        "queue"
    }

    fn streams(&self) -> &'static [&'static str] {
        &[]
    }

    fn share(&self) -> u64 {
        3
    }

    /// A job has no id.
    fn is_idempotent(&self, _: u64) -> bool {
        false
    }

    fn ask<'s>(&self, deed: Deed, random: &mut Random, store: &'s Store, told: &'s Told) -> Caller<'s> {
        let (what, ends) = (random.below(5), [(); TURN].map(|()| End::draw(random)));
        Box::pin(async move {
            let asked = match what {
                0 => feed(Part::all(deed), store, told).await,
                1 => feed(Part::some(deed, 1), store, told).await,
                2 => wait_for_one(deed, ends[0], store, told).await,
                _ => work(ends, store, told).await,
            };
            tell(asked, told);
        })
    }

    fn read<'s>(&self, store: &'s Store, _: &'s [Found]) -> Pin<Box<dyn Future<Output = Vec<Reading>> + 's>> {
        Box::pin(async move {
            let mut readings = Vec::new();
            for name in [PRESS, FERRY] {
                readings.extend(read(name, &store.queue(name)).await);
            }
            readings
        })
    }

    fn stays(&self) -> bool {
        true
    }

    fn check(&self, seen: &Seen) -> Vec<Violation> {
        let mut violations = Vec::new();
        for found in by_queue(seen).into_values() {
            violations.extend(part::check(&found));
            violations.extend(found.iter().filter_map(|found| overworked(found)));
            let mut keys = BTreeSet::new();
            let living = found.iter().filter_map(|found| Some((key_of(found)?, found)));
            let again = living.filter(|(key, _)| !keys.insert(key.clone()));
            violations.extend(again.map(|(key, found)| (Broken::Twice, format!("{key} again: {found:?}"))));
        }
        violations
    }

    /// How a job stands is covered by no checksum, and which others there were is not either.
    fn check_harmed(&self, seen: &Seen) -> Vec<Violation> {
        let mut ids = BTreeSet::new();
        let all = seen.rest.get(self.name()).into_iter().flatten();
        let again = all.filter(|found| !ids.insert(found.id));
        again.map(|found| (Broken::Twice, format!("{found:?}"))).collect()
    }

    fn find<'s>(&self, seen: &'s Seen, fact: &Fact) -> Option<&'s Found> {
        seen.find_rest(fact)
    }

    /// Also what was said of a job by whoever had it.
    fn judge(&self, seen: &Seen, words: &[Word]) -> Vec<Violation> {
        let own = words.iter().filter(|word| word.fact().is_some_and(|fact| fact.of == self.name()));
        let (pushes, deeds): (Vec<&Word>, Vec<&Word>) =
            own.partition(|word| word.fact().is_some_and(|fact| !fact.stream.contains('/')));
        let mut violations: Vec<Violation> = pushes.into_iter().filter_map(|word| seen.belie(word)).collect();
        let mut heard = BTreeSet::new();
        for fact in deeds.into_iter().filter(|word| word.is_acked()).filter_map(Word::fact) {
            if !heard.insert((fact.id, &fact.stream, &fact.content)) {
                violations.push((Broken::Twice, format!("{fact:?} was told before")));
            }
            violations.extend(belie(seen, fact));
        }
        violations
    }

    fn use_again(&self, store: &blocking::Store, seen: &mut Seen) -> Result<()> {
        // A queue of its own: in the others somebody's job may be due first.
        let queue = store.queue::<u64>("after");
        let place = queue.push(&1)?;
        match queue.try_pop()? {
            Some(job) if job.sequence() == place.sequence => {
                seen.token = seen.token.max(Some(job.token()));
                job.done()?;
            }
            other => seen.violations.push((Broken::Wedged, format!("pushed {place:?}, popped {other:?}"))),
        }
        Ok(())
    }

    /// Somebody has a job, or it is there to be had. Most of what was taken is done: this is asked for again and again,
    /// and more is pushed than taken meanwhile.
    fn take_all<'s>(&self, store: &'s Store) -> Pin<Box<dyn Future<Output = millpond::Result<bool>> + 's>> {
        Box::pin(async move {
            let mut taken = Vec::new();
            for name in [PRESS, FERRY] {
                let queue = store.queue::<Part>(name);
                while let Some(job) = queue.try_pop().await? {
                    taken.push(job);
                }
            }
            let processes = store.inspect().processes().await?;
            let claimed: u64 = processes.iter().map(|process| process.jobs).sum();
            let is_all = claimed == taken.len() as u64;
            for (number, job) in taken.into_iter().enumerate() {
                if number < TURN { job.release().await? } else { job.done().await? }
            }
            Ok(is_all)
        })
    }

    fn mutants(&self) -> &'static [Mutant] {
        &[
            Mutant { name: "job-lost", breaks: Broken::Lost, spoil: spoil::lose },
            Mutant { name: "job-torn", breaks: Broken::Torn, spoil: spoil::tear },
            Mutant { name: "undone", breaks: Broken::Lost, spoil: spoil::undo },
            Mutant { name: "done-again", breaks: Broken::Twice, spoil: spoil::repeat },
            Mutant { name: "uncounted", breaks: Broken::Lost, spoil: spoil::uncount },
            Mutant { name: "untiring", breaks: Broken::Twice, spoil: spoil::overwork },
            Mutant { name: "two-of-a-key", breaks: Broken::Twice, spoil: spoil::revive },
        ]
    }
}

/// A queue that keeps what is done.
async fn queue(store: &Store, name: &str) -> std::result::Result<Queue<Part>, Error> {
    let queue = store.queue::<Part>(name);
    // Once is enough; whoever finds it said pushes into a queue that keeps.
    if queue.numbers().await?.is_none_or(|numbers| numbers.options.keep_done_ms == 0) {
        queue.keep_done(FOR_GOOD).await?;
    }
    Ok(queue)
}

fn stream(name: &str) -> String {
    format!("queue:{name}")
}

/// What one who had a job is told about: not of the job, but of what happened to it.
fn word_of(job: &Job<Part>, what: &str, content: String) -> Word {
    let stream = format!("{}/{what}", stream(job.queue()));
    Word::Acked(Fact { content, ..job.fact(&Jobs, &stream) })
}

/// The key of a part that is alone: one of three. Those that are pushed with others have none, so that all are pushed or
/// none is.
fn key(part: &Part) -> Option<String> {
    (part.of == 1).then(|| format!("key {}", part.number % 3))
}

/// With nothing special but an end.
fn plain() -> Push {
    Push::new().max_attempts(ATTEMPTS)
}

/// How it is pushed to the press, as its numbers say.
fn how(part: &Part) -> Push {
    let push = plain().priority((part.number % 3) as i64 - 1);
    let push = if part.number.is_multiple_of(5) { push.delay(Duration::from_millis(2)) } else { push };
    key(part).into_iter().fold(push, Push::key)
}

/// Pushes, and tells where; one who was kept out by a key has pushed nothing. Whether all is well.
async fn push(queue: &Queue<Part>, name: &str, jobs: Vec<(Part, Push)>, told: &Told) -> bool {
    let facts = jobs.iter().map(|(part, _)| part.fact(&Jobs, &stream(name))).collect();
    let pushed = queue.push_all(jobs).await;
    if pushed.as_ref().is_ok_and(|places| places.iter().any(|place| place.existed)) {
        return true;
    }
    let last = |places: Vec<Pushed>| places.last().map(|place| (place.sequence, place.sequence));
    let pushed = pushed.map(last);
    told.answer(facts, &pushed);
    pushed.is_ok()
}

/// Says what went wrong.
fn tell(asked: std::result::Result<(), Error>, told: &Told) {
    if let Err(error) = asked {
        told.say([Word::Failed(error)]);
    }
}

/// Pushes to the press.
async fn feed(parts: Vec<Part>, store: &Store, told: &Told) -> std::result::Result<(), Error> {
    let jobs = parts.into_iter().map(|part| (part.clone(), how(&part))).collect();
    // How it went was told.
    let _ = push(&queue(store, PRESS).await?, PRESS, jobs, told).await;
    Ok(())
}

/// Takes some jobs, one after the other, as long as there are any.
async fn work(ends: [End; TURN], store: &Store, told: &Told) -> std::result::Result<(), Error> {
    let queue = store.queue::<Part>(PRESS);
    for end in ends {
        let Some(job) = queue.try_pop().await? else { break };
        finish(job, end, told).await?;
    }
    Ok(())
}

/// Pushes a job, and waits for one.
async fn wait_for_one(deed: Deed, end: End, store: &Store, told: &Told) -> std::result::Result<(), Error> {
    let queue = queue(store, FERRY).await?;
    let jobs: Vec<_> = Part::some(deed, 1).into_iter().map(|part| (part, plain())).collect();
    if push(&queue, FERRY, jobs, told).await {
        finish(queue.pop().await?, end, told).await?;
    }
    Ok(())
}

/// Says that the job is here, and what became of it.
async fn finish(job: Job<Part>, end: End, told: &Told) -> std::result::Result<(), Error> {
    told.say([Word::Granted(job.token()), word_of(&job, "claim", job.attempt().to_string())]);
    let said = end.state().map(|state| word_of(&job, "end", format!("{state:?}")));
    match end {
        End::Done => job.done().await?,
        End::Again => job.retry_in(Duration::from_millis(1)).await?,
        End::Buried => job.bury("it is to be buried").await?,
        End::Dropped => drop(job),
    }
    told.say(said);
    Ok(())
}

/// All jobs of a queue, by their numbers.
async fn read(name: &str, queue: &Queue<Part>) -> Vec<Reading> {
    let (mut readings, mut next, mut number) = (Vec::new(), Some(1), 1);
    while let Some(from) = next {
        let page = match queue.page(None, from, 1_000).await {
            Ok(page) => page,
            Err(error) => {
                readings.push((format!("page of {}", stream(name)), Err(error)));
                break;
            }
        };
        for job in page.jobs {
            if let Ok(job) = &job {
                number = job.sequence;
            }
            let found = job.and_then(|job| found(name, queue, &job)).map(Some);
            readings.push((format!("job {number} of {}", stream(name)), found));
            number += 1;
        }
        next = page.next;
    }
    readings
}

fn found(name: &str, queue: &Queue<Part>, job: &JobRecord) -> std::result::Result<Found, Error> {
    let part = queue.decode(job)?;
    let mut found = part.found(&stream(name), job.sequence);
    let key = if name == PRESS { key(&part) } else { None };
    if job.key.as_deref() != key.as_deref() {
        // Nobody has pushed this.
        found.content = format!("{} under {:?}", found.content, job.key);
    }
    found.state = format!("{:?} {}", job.state, job.attempts);
    Ok(found)
}

fn by_queue(seen: &Seen) -> BTreeMap<&str, Vec<&Found>> {
    let mut queues: BTreeMap<&str, Vec<&Found>> = BTreeMap::new();
    for found in seen.rest.get(Jobs.name()).into_iter().flatten() {
        queues.entry(&found.stream).or_default().push(found);
    }
    queues
}

/// How a job stands, and how often it was tried.
fn state_of(found: &Found) -> Option<(&str, u32)> {
    let (state, attempts) = found.state.split_once(' ')?;
    Some((state, attempts.parse().ok()?))
}

/// It was tried more often than it may be.
fn overworked(found: &Found) -> Option<Violation> {
    let (state, attempts) = state_of(found)?;
    // The last attempt is the last.
    let most = if matches!(state, "Ready" | "Delayed") { ATTEMPTS - 1 } else { ATTEMPTS };
    (attempts > most).then(|| (Broken::Twice, format!("tried too often: {found:?}")))
}

/// The key that it keeps others from.
fn key_of(found: &Found) -> Option<String> {
    let (state, _) = state_of(found)?;
    let part: Part = serde_json::from_str(&found.content).ok()?;
    let lives = found.stream == stream(PRESS) && !matches!(state, "Done" | "Dead");
    key(&part).filter(|_| lives)
}

/// What was told by whoever had a job, and is not so.
fn belie(seen: &Seen, fact: &Fact) -> Option<Violation> {
    let Some(found) = seen.place(fact) else { return Some((Broken::Lost, format!("gone: {fact:?}"))) };
    let (state, attempts) = state_of(found)?;
    let is_so = match fact.content.parse::<u32>() {
        Ok(attempt) => attempt <= attempts,
        Err(_) => fact.content == state,
    };
    (!is_so).then(|| (Broken::Lost, format!("{fact:?} is {found:?}")))
}
