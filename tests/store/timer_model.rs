//! Timers over time, on a clock that is moved by hand: whatever is set, moved, taken back, worked on and left, what comes is what
//! a model says, when it says so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millpond::{Clock, Error, Job, JobState, Location, ManualClock, Result, Store, Timers};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::backends::wait;

const KEYS: u8 = 4;

#[derive(Clone, Copy, Debug)]
enum When {
    After(u64),
    /// From what the clock shows.
    At(i64),
}

#[derive(Clone, Copy, Debug)]
enum End {
    Done,
    DoneInBatch,
    RetryIn(u64),
    Release,
}

#[derive(Clone, Debug)]
enum Step {
    Set {
        key: u8,
        when: When,
        in_batch: bool,
    },
    Cancel {
        key: u8,
        in_batch: bool,
    },
    Due,
    /// Of those in hand the one that came so long ago.
    End {
        back: usize,
        how: End,
    },
    Pass(u64),
    /// Until the next one is due, or a moment before.
    PassToNext {
        early: bool,
    },
    SetClock(i64),
    /// The store is closed, and opened again.
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let when = prop_oneof![
        4 => prop_oneof![Just(0), 1..100_u64, Just(1_000)].prop_map(When::After),
        2 => (-50..100_i64).prop_map(When::At),
    ];
    let end = prop_oneof![
        3 => Just(End::Done),
        2 => Just(End::DoneInBatch),
        2 => prop_oneof![Just(0), 1..50_u64].prop_map(End::RetryIn),
        1 => Just(End::Release),
    ];
    let step = prop_oneof![
        8 => (0..KEYS, when, any::<bool>()).prop_map(|(key, when, in_batch)| Step::Set { key, when, in_batch }),
        3 => (0..KEYS, any::<bool>()).prop_map(|(key, in_batch)| Step::Cancel { key, in_batch }),
        6 => Just(Step::Due),
        4 => (0..3_usize, end).prop_map(|(back, how)| Step::End { back, how }),
        6 => prop_oneof![Just(1), 1..120_u64].prop_map(Step::Pass),
        6 => any::<bool>().prop_map(|early| Step::PassToNext { early }),
        1 => (-200..200_i64).prop_map(Step::SetClock),
        1 => Just(Step::Reopen),
    ];
    vec(step, 1..60)
}

/// By which clock it is due, and when.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Due {
    Now,
    Boot(u64),
    Wall(i64),
}

#[derive(Clone, Debug)]
struct Timer {
    sequence: u64,
    due: Due,
    /// As it is shown.
    shown: i64,
    attempts: u32,
    in_hand: bool,
}

/// What is set, and who has what in hand.
struct Model {
    clock: Arc<ManualClock>,
    timers: BTreeMap<u8, Timer>,
    last: u64,
}

impl Model {
    fn set(&mut self, key: u8, when: When) -> bool {
        let (now, sequence) = (self.clock.now(), self.last + 1);
        self.last = sequence;
        let (due, shown) = match when {
            When::After(ms) => (Due::Boot(now.boot_ms + ms), now.wall_ms + ms as i64),
            When::At(ms) => (Due::Wall(now.wall_ms + ms), now.wall_ms + ms),
        };
        let mut timer = Timer { sequence, due, shown, attempts: 0, in_hand: false };
        self.settle(&mut timer);
        self.timers.insert(key, timer).is_some()
    }

    /// What was found to be due stays so, wherever the clock is set.
    fn settle(&self, timer: &mut Timer) {
        let now = self.clock.now();
        let comes = match timer.due {
            Due::Now => true,
            Due::Boot(ms) => ms <= now.boot_ms,
            Due::Wall(ms) => ms <= now.wall_ms,
        };
        if comes && !timer.in_hand {
            timer.due = Due::Now;
        }
    }

    /// The one that comes next.
    fn due(&mut self) -> Option<(u8, u64)> {
        let mut timers = std::mem::take(&mut self.timers);
        timers.values_mut().for_each(|timer| self.settle(timer));
        self.timers = timers;
        let mut due: Vec<_> =
            self.timers.iter_mut().filter(|(_, timer)| timer.due == Due::Now && !timer.in_hand).collect();
        due.sort_by_key(|(_, timer)| timer.sequence);
        let (key, timer) = due.into_iter().next()?;
        timer.in_hand = true;
        timer.attempts += 1;
        Some((*key, timer.sequence))
    }

    /// In so many milliseconds one is due; 0 if there is none that is not.
    fn next(&self) -> u64 {
        let now = self.clock.now();
        let wait = |timer: &Timer| match timer.due {
            _ if timer.in_hand => None,
            Due::Now => None,
            Due::Boot(ms) => ms.checked_sub(now.boot_ms),
            Due::Wall(ms) => u64::try_from(ms - now.wall_ms).ok(),
        };
        self.timers.values().filter_map(wait).min().unwrap_or_default()
    }

    /// Whether it could still be ended by whoever has it in hand.
    fn end(&mut self, key: u8, sequence: u64, how: End) -> bool {
        let now = self.clock.now();
        let Some(timer) = self.timers.get_mut(&key).filter(|timer| timer.sequence == sequence) else {
            return false;
        };
        timer.in_hand = false;
        match how {
            End::Done | End::DoneInBatch => drop(self.timers.remove(&key)),
            End::RetryIn(0) => timer.due = Due::Now,
            End::RetryIn(ms) => {
                (timer.due, timer.shown) = (Due::Boot(now.boot_ms + ms), now.wall_ms + ms as i64);
            }
            End::Release => (timer.due, timer.attempts) = (Due::Now, timer.attempts - 1),
        }
        true
    }
}

fn text(key: u8) -> String {
    format!("k{key}")
}

/// The store, what of it is in hand, and what is expected.
struct Case {
    store: Store,
    location: Location,
    hand: Vec<(u8, u64, Job<u64>)>,
    model: Model,
}

impl Case {
    async fn open(location: &Location, clock: &Arc<ManualClock>) -> Result<Store> {
        let clock = Arc::<ManualClock>::clone(clock);
        let store = Store::builder().clock(clock).open(location.clone()).await?;
        store.timers::<u64>("t").queue().set_max_attempts(1_000).await?;
        Ok(store)
    }

    fn timers(&self) -> Timers<u64> {
        self.store.timers("t").lease(Duration::from_secs(86_400))
    }

    async fn step(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Set { key, when, in_batch } => {
                let moved = self.model.set(key, when);
                assert_eq!(self.set(key, when, in_batch).await?, moved);
            }
            Step::Cancel { key, in_batch } => {
                let was_there = self.model.timers.remove(&key).is_some();
                let mut batch = self.store.batch();
                let cancelled = batch.cancel_timer(&self.timers(), text(key))?;
                let found = match in_batch {
                    true => batch.commit().await?[cancelled],
                    false => self.timers().cancel(text(key)).await?,
                };
                assert_eq!(found, was_there);
            }
            Step::Due => {
                let job = self.timers().try_due().await?;
                let expected = self.model.due();
                assert_eq!(job.as_ref().map(Job::sequence), expected.map(|(_, sequence)| sequence));
                if let (Some(job), Some((key, sequence))) = (job, expected) {
                    let attempts = self.model.timers[&key].attempts;
                    let found = (job.key().map(str::to_owned), *job, job.attempt());
                    assert_eq!(found, (Some(text(key)), sequence, attempts));
                    self.hand.push((key, sequence, job));
                }
            }
            Step::End { back, how } => {
                let Some(at) = self.hand.len().checked_sub(back + 1) else { return Ok(()) };
                let (key, sequence, job) = self.hand.remove(at);
                let ended = match how {
                    End::Done => job.done().await,
                    End::DoneInBatch => {
                        let mut batch = self.store.batch();
                        job.done_in(&mut batch)?;
                        batch.commit().await.map(drop)
                    }
                    End::RetryIn(ms) => job.retry_in(Duration::from_millis(ms)).await,
                    End::Release => job.release().await,
                };
                let stale = Error::StaleClaim { queue: "timers/t".into(), sequence };
                assert_eq!(ended, if self.model.end(key, sequence, how) { Ok(()) } else { Err(stale) });
            }
            Step::Pass(ms) => self.model.clock.advance(Duration::from_millis(ms)),
            Step::PassToNext { early } => {
                let wait = self.model.next().saturating_sub(u64::from(early));
                self.model.clock.advance(Duration::from_millis(wait));
                return Box::pin(self.step(Step::Due)).await;
            }
            Step::SetClock(by) => self.model.clock.set_wall(self.model.clock.now().wall_ms + by),
            Step::Reopen if self.location == Location::Memory => {}
            Step::Reopen => {
                for (key, sequence, job) in self.hand.drain(..) {
                    drop(job);
                    self.model.end(key, sequence, End::RetryIn(0));
                }
                self.store.close().await?;
                self.store = Case::open(&self.location, &self.model.clock).await?;
            }
        }
        self.compare().await
    }

    async fn set(&self, key: u8, when: When, in_batch: bool) -> Result<bool> {
        let (timers, value) = (self.timers(), self.model.last);
        let wall_ms = self.model.clock.now().wall_ms;
        if !in_batch {
            return match when {
                When::After(ms) => timers.set(text(key), Duration::from_millis(ms), &value).await,
                When::At(ms) => timers.set_at(text(key), wall_ms + ms, &value).await,
            };
        }
        let mut batch = self.store.batch();
        let moved = match when {
            When::After(ms) => batch.set_timer(&timers, text(key), Duration::from_millis(ms), &value)?,
            When::At(ms) => batch.set_timer_at(&timers, text(key), wall_ms + ms, &value)?,
        };
        Ok(batch.commit().await?[moved])
    }

    /// Every key, as anybody can look it up.
    async fn compare(&self) -> Result<()> {
        for key in 0..KEYS {
            let found = self.timers().get(text(key)).await?;
            let found = found.map(|timer| (timer.sequence, timer.attempts, timer.state, timer.due));
            let shown = |timer: &Timer| {
                let (state, due) = match timer.due {
                    _ if timer.in_hand => (JobState::Claimed, None),
                    Due::Now => (JobState::Ready, None),
                    Due::Boot(_) | Due::Wall(_) => (JobState::Delayed, Some(timer.shown)),
                };
                (timer.sequence, timer.attempts, state, due)
            };
            assert_eq!(found, self.model.timers.get(&key).map(shown), "key {key}");
        }
        Ok(())
    }
}

async fn run(location: Location, steps: Vec<Step>) -> Result<()> {
    let clock = ManualClock::new();
    let store = Case::open(&location, &clock).await?;
    let model = Model { clock, timers: BTreeMap::new(), last: 0 };
    let mut case = Case { store, location, hand: Vec::new(), model };
    for step in steps {
        case.step(step).await?;
    }
    // In the end each comes once, and is done.
    case.hand.clear();
    let left: Vec<_> = case.model.timers.values().map(|timer| timer.sequence).collect();
    case.model.clock.advance(Duration::from_secs(3));
    let mut came = Vec::new();
    while let Some(job) = case.timers().try_due().await? {
        came.push(job.sequence());
        job.done().await?;
    }
    came.sort_unstable();
    let mut left = left;
    left.sort_unstable();
    assert_eq!(came, left);
    case.store.close().await
}

#[test]
fn q5_q6_what_is_set_moved_and_taken_back_comes_as_it_should() {
    proptest!(ProptestConfig::with_cases(32), |(steps in steps())| {
        wait(run(Location::Memory, steps.clone())).unwrap();
        let folder = tempfile::tempdir().unwrap();
        wait(run(Location::File(folder.path().join("case.db")), steps)).unwrap();
    });
}
