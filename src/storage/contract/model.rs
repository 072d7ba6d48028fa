//! Random groups on two databases at once: the one in plain maps says what is right, the other has to agree.
//!
//! Every outcome, every standing and every read is compared as it is, ids and tokens included: both count
//! from 1. An [`Auditor`] who knows nothing but a list of tickets a lock watches that the yardstick itself
//! keeps the line.

mod auditor;
mod blobs;
mod dicts;
mod dumps;
mod events;
mod feeds;
mod jobs;
mod lists;
mod processes;
mod projections;

use millpond_actors::error::{Expected, Result};
use millpond_actors::storage::Data;
use millpond_actors::storage::batch::{Applied, Batch};
use millpond_actors::storage::erase::{Erase, Erased, Step::Begin};
use millpond_actors::storage::lock::{
    Acquire, Acquired, Break, Broken, Grant, Leave, Line, Renew, Settle, Settled, Was,
};
use millpond_actors::storage::projection;
use millpond_actors::storage::snapshot::Save;
use millpond_actors::storage::stream::{Appended, Query};
use millpond_actors::storage::{Moment, Operation, Outcome, Session, Standing, Summary, View};
use proptest::test_runner::Config;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use uuid::Uuid;

use self::auditor::{Auditor, Waiting};
use self::events::{Anything, End, Event, LOCKS, PLAYERS, STREAMS, Step, TYPES, odd_event};
use self::jobs::Jobs;
use super::stage::*;
use super::{Fresh, fresh_memory};

/// One database with its players.
struct Side {
    players: Vec<Box<dyn Session>>,
    view: Box<dyn View>,
    fresh: Fresh,
}

impl Side {
    fn new(fresh: Fresh, now: Moment) -> Side {
        let join = |_| fresh.backend.join(&identity("program", "boot"), &|| now).unwrap();
        Side { players: (0..PLAYERS).map(join).collect(), view: fresh.backend.view().unwrap(), fresh }
    }

    fn player(&mut self, player: usize) -> &mut dyn Session {
        &mut *self.players[player]
    }

    /// Another process sits down where one has died or left.
    fn replace(&mut self, player: usize, now: Moment) {
        drop(self.players.remove(player));
        self.players.insert(player, self.fresh.backend.join(&identity("program", "boot"), &|| now).unwrap());
    }
}

/// What the groups have brought so far, for later steps to refer to.
#[derive(Clone, Debug, Default)]
struct Known {
    /// Every ticket taken by a player who still sits, oldest first.
    tickets: Vec<(usize, Leave)>,
    /// Those of them that wait, as far as outcomes have told.
    waiting: Vec<Waiting>,
    /// Lock and token, oldest first.
    grants: Vec<Grant>,
    streams: [u64; STREAMS.len()],
    locks: [u64; LOCKS.len()],
    jobs: Jobs,
    blobs: blobs::Known,
    /// How they stood after the last group.
    projections: Vec<projection::Standing>,
}

/// Both sides, driven alike.
struct Pair {
    right: Side,
    tried: Side,
    now: Moment,
    known: Known,
    auditor: Auditor,
    groups: u64,
    new_numbers: u128,
}

/// Memory has no power to lose, and the SQLite that is compared with it does not sync.
fn alike(line: Line) -> Line {
    Line { synced: true, ..line }
}

impl Pair {
    fn new(tried: Fresh) -> Pair {
        let now = Moment { boot_ms: 1_000, wall_ms: 1_700_000_000_000 };
        let (right, tried) = (Side::new(fresh_memory(), now), Side::new(tried, now));
        let (known, auditor) = (Known::default(), Auditor::default());
        Pair { right, tried, now, known, auditor, groups: 0, new_numbers: 1_000 }
    }

    /// Does the same on both sides and compares what comes of it.
    fn both<T: PartialEq + std::fmt::Debug>(&mut self, act: impl Fn(&mut Side) -> T) -> T {
        let right = act(&mut self.right);
        assert_eq!(act(&mut self.tried), right, "the left one is the database that is tried");
        right
    }

    /// Reads the same on both sides and compares it.
    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, read: impl Fn(&mut dyn View) -> Result<T>) -> T {
        self.both(|side| read(&mut *side.view)).unwrap()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Group { player, steps, savepoint, end } => self.group(player, steps, savepoint, end),
            Event::Pass { ms } => {
                self.now.boot_ms += ms;
                self.now.wall_ms += i64::try_from(ms).unwrap();
            }
            Event::WallJumps { by } => self.now.wall_ms += by,
            Event::Dies { player } => self.replace(player),
            Event::Leaves { player } => {
                let now = self.now;
                self.both(|side| {
                    assert!(side.player(player).take_turn(false).unwrap());
                    side.player(player).leave(now).unwrap();
                    side.player(player).leave_turn();
                });
                self.replace(player);
            }
            Event::Reads { query, limit } => self.read(Query { limit, ..query }),
            Event::ReadsFeed { query } => feeds::read(self, query),
        }
        self.compare_state();
    }

    /// A newcomer sits down, and commits an empty group, so that the dead are buried.
    fn replace(&mut self, player: usize) {
        let now = self.now;
        self.known.tickets.retain(|(owner, _)| *owner != player);
        self.known.waiting.retain(|waiting| waiting.player != player);
        let gone = self.both(|side| side.player(player).process());
        self.auditor.dead.push(gone);
        self.both(|side| side.replace(player, now));
        self.group(player, Vec::new(), None, End::Commit);
    }

    fn group(&mut self, player: usize, steps: Vec<Step>, savepoint: Option<(usize, bool)>, end: End) {
        let now = self.now;
        let before = self.known.clone();
        self.begin(player, now);
        let (at, keep) = savepoint.unwrap_or((usize::MAX, true));
        let mut first_part = steps;
        let second_part = first_part.split_off(at.min(first_part.len()));
        for step in first_part {
            self.step(player, step);
        }
        if at != usize::MAX {
            let kept = self.known.clone();
            self.both(|side| side.player(player).savepoint().unwrap());
            for step in second_part {
                self.step(player, step);
            }
            self.both(|side| side.player(player).end_savepoint(keep).unwrap());
            if !keep {
                self.known = kept;
            }
        }
        self.groups += 1;
        let group = self.groups;
        self.both(|side| {
            let player = side.player(player);
            match end {
                End::Commit => player.commit(group).unwrap(),
                End::Rollback => player.rollback(),
                End::Reopen => player.reopen().unwrap(),
            }
            player.leave_turn();
            player.in_transaction()
        });
        if end != End::Commit {
            self.known = before;
        }
    }

    /// A false alarm is allowed, a missed one is not; and both know the same last group.
    fn begin(&mut self, player: usize, now: Moment) {
        let begin = |side: &mut Side| {
            assert!(side.player(player).take_turn(false).unwrap());
            side.player(player).begin(now).unwrap()
        };
        let (right, tried) = (begin(&mut self.right), begin(&mut self.tried));
        assert!(tried == right || right == Standing::Good, "a lapse was missed");
        self.both(|side| side.player(player).last_group().unwrap());
    }

    fn step(&mut self, player: usize, step: Step) {
        let Some(operation) = self.operation(player, &step) else { return };
        let outcome = self.both(|side| side.player(player).apply(&operation).unwrap());
        self.learn(player, &step, &operation, &outcome);
    }

    /// The step as an operation; `None` if what it refers to is not there yet.
    fn operation(&mut self, player: usize, step: &Step) -> Option<Operation> {
        Some(match step {
            Step::Append { stream, expected, numbers, event_type, guarded } => {
                let kind = TYPES[*event_type];
                let mut append = append_events(
                    STREAMS[*stream],
                    *expected,
                    numbers.iter().map(|number| typed(*number, kind)).collect(),
                );
                if let Some(back) = guarded {
                    let grant = *self.known.grants.iter().rev().nth(*back)?;
                    append.fence = Some(fence("guard", grant));
                }
                Operation::StreamAppend(append)
            }
            Step::AppendNew { stream, events } => {
                let numbers = self.new_numbers..self.new_numbers + *events as u128;
                self.new_numbers = numbers.end;
                let events = numbers.map(odd_event).collect();
                let mut append = append_events(STREAMS[*stream], Expected::Any, events);
                append.known_ids = false;
                Operation::StreamAppend(append)
            }
            Step::Erase { stream, expected, close } => {
                self.new_numbers += 1;
                let (id, stream) = (Uuid::from_u128(self.new_numbers - 1), target(STREAMS[*stream]));
                Operation::StreamErase(Erase {
                    stream,
                    step: Begin { expected: *expected, id, close: *close },
                })
            }
            Step::Acquire { lock, part, ttl_ms, wait, otherwise } => {
                let (name, capacity) = LOCKS[*lock];
                let weight = weight_of(*part, capacity);
                let capacity = capacity + u32::from(*otherwise);
                let plain = acquire(name, *ttl_ms);
                Operation::LockAcquire(Acquire { capacity, weight, wait: *wait, ..plain })
            }
            Step::Leave { back } => {
                let own = |(owner, leave): &(usize, Leave)| (*owner == player).then_some(*leave);
                Operation::LockLeave(self.known.tickets.iter().rev().filter_map(own).nth(*back)?)
            }
            Step::Renew { back } => {
                let own = |(owner, leave): &(usize, Leave)| (*owner == player).then_some(*leave);
                let Leave { lock, ticket } = self.known.tickets.iter().rev().filter_map(own).nth(*back)?;
                Operation::LockRenew(Renew { lock, ticket })
            }
            Step::Break { lock } => Operation::LockBreak(Break { lock: target(LOCKS[*lock].0) }),
            Step::Settle { lock } => Operation::LockSettle(Settle { lock: self.known.locks[*lock] }),
            Step::Feed(step) => return feeds::operation(self, step),
            Step::Dict(step) => dicts::operation(step),
            Step::List(step) => lists::operation(step),
            Step::Blob(step) => return self.known.blobs.operation(step),
            Step::Projection(step) => return projections::operation(self, step),
            Step::Queue(step) => return self.known.jobs.operation(step),
            Step::Batch(steps) => {
                let parts = steps.iter().map(|step| self.operation(player, step)).collect::<Option<_>>()?;
                Operation::Batch(Batch { parts })
            }
            Step::Save { stream, version } => Operation::SnapshotSave(Save {
                stream: self.known.streams[*stream],
                version: *version,
                schema: 1,
                data: Data::Json(format!("[{version}]")),
            }),
        })
    }

    /// Remembers rows, tickets and tokens.
    fn learn(&mut self, player: usize, step: &Step, operation: &Operation, outcome: &Outcome) {
        if let (Operation::LockLeave(leave), Outcome::LockLeave(left)) = (operation, outcome)
            && left.was != Was::Gone
        {
            self.known.waiting.retain(|waiting| waiting.place != *leave);
        }
        if let (Step::Batch(steps), Operation::Batch(batch)) = (step, operation) {
            // Of what was refused nothing is left.
            let Outcome::Batch(Applied::Done(outcomes)) = outcome else { return };
            for ((step, part), outcome) in steps.iter().zip(&batch.parts).zip(outcomes) {
                self.learn(player, step, part, outcome);
            }
            return;
        }
        self.known.jobs.learn(operation, outcome);
        self.known.blobs.learn(operation, outcome);
        match (step, outcome) {
            (Step::Acquire { lock, part, .. }, Outcome::LockAcquire(acquired)) => {
                let (row, ticket, waits) = match acquired {
                    Acquired::Granted(grant) => {
                        self.known.grants.push(*grant);
                        (grant.lock, grant.ticket, None)
                    }
                    Acquired::Waiting { lock, ticket } => {
                        let place = Leave { lock: *lock, ticket: *ticket };
                        (*lock, *ticket, Some(place))
                    }
                    Acquired::Held | Acquired::Full | Acquired::Mismatch { .. } => return,
                };
                let weight = weight_of(*part, LOCKS[*lock].1);
                self.known.waiting.extend(waits.map(|place| Waiting { player, place, weight }));
                self.known.locks[*lock] = row;
                self.known.tickets.push((player, Leave { lock: row, ticket }));
            }
            (
                Step::Append { stream, .. } | Step::AppendNew { stream, .. },
                Outcome::StreamAppend(Appended::Done { stream: row, .. }),
            ) => self.known.streams[*stream] = *row,
            (Step::Erase { stream, .. }, Outcome::StreamErase(Erased::Done { stream: Some(row), .. })) => {
                self.known.streams[*stream] = *row;
            }
            (_, Outcome::LockLeave(left)) => {
                self.known.grants.extend(&left.next);
            }
            (_, Outcome::LockBreak(Broken { taken, next })) => {
                // Whoever was given the lock and lost it again in one group waits no more.
                let moved = |waiting: &Waiting| taken.iter().chain(next).any(|grant| waiting.is_of(grant));
                self.known.waiting.retain(|waiting| !moved(waiting));
                self.known.grants.extend(next);
            }
            (_, Outcome::LockSettle(Settled { holders, .. })) => self.known.grants.extend(holders),
            _ => {}
        }
    }

    /// Page after page on both sides.
    fn read(&mut self, mut query: Query) {
        loop {
            let right = self.right.view.events(&query).unwrap();
            let tried = self.tried.view.events(&query).unwrap();
            assert_eq!((&tried.events, tried.last), (&right.events, right.last));
            // A page that is exactly full need not know whether it was the last.
            let full = right.events.len() == query.limit as usize;
            assert!(tried.more == right.more || (full && tried.more), "more: {}", tried.more);
            let Some(last) = right.last.filter(|_| right.more) else { return };
            if query.backward {
                query.to = last - 1;
            } else {
                query.from = last + 1;
            }
        }
    }

    /// Everything else that can be read.
    fn compare_state(&mut self) {
        let now = self.now;
        self.compare(|view| view.head());
        self.compare_processes(now);
        self.compare(|view| view.pulse(0).map(|pulse| pulse.living));
        self.compare(|view| Ok(view.locks(None, 2, now)?.into_iter().map(alike).collect::<Vec<_>>()));
        self.compare(|view| Ok(view.locks(Some("l"), 9, now)?.into_iter().map(alike).collect::<Vec<_>>()));
        self.compare(|view| {
            view.summary(now).map(|it| Summary { file_bytes: 0, log_bytes: 0, schema: 0, ..it })
        });
        feeds::compare(self);
        jobs::compare(self);
        projections::compare(self);
        dicts::compare(self);
        lists::compare(self);
        blobs::compare(self);
        for stream in STREAMS {
            self.compare(|view| view.stream(&name(stream)));
            self.compare(|view| view.snapshot(&name(stream)));
        }
        let lines = LOCKS.map(|(lock, _)| self.compare(|view| Ok(view.lock(&name(lock), now)?.map(alike))));
        self.auditor.audit(&mut self.known.waiting, &lines);
    }
}

/// Of a lock with so much capacity: a part of it, at least 1 and at most all.
fn weight_of(part: f64, capacity: u32) -> u32 {
    1 + (part * f64::from(capacity)) as u32
}

/// The switch: one line a database.
macro_rules! model_test {
    ($case:ident, $machine:ident, $fresh:expr, $cases:expr) => {
        struct $machine;

        impl StateMachineTest for $machine {
            // Nothing where there is no such database.
            type SystemUnderTest = Option<Pair>;
            type Reference = Anything;

            fn init_test((): &()) -> Option<Pair> {
                Option::from($fresh).map(Pair::new)
            }

            fn apply(mut pair: Option<Pair>, (): &(), event: Event) -> Option<Pair> {
                pair.iter_mut().for_each(|pair| pair.happen(event.clone()));
                pair
            }

            fn teardown(pair: Option<Pair>, _: <Anything as ReferenceStateMachine>::State) {
                pair.into_iter().for_each(|mut pair| dumps::compare(&mut pair));
            }
        }

        prop_state_machine! {
            #![proptest_config(Config { cases: $cases, failure_persistence: None, ..Config::default() })]
            #[test]
            fn $case(sequential 1..80 => $machine);
        }
    };
}

model_test!(memory_does_as_memory_does, OnMemory, fresh_memory(), 256);
#[cfg(feature = "sqlite")]
model_test!(sqlite_does_as_memory_does, OnSqlite, super::fresh_sqlite(), 48);
#[cfg(feature = "postgres")]
model_test!(postgres_does_as_memory_does, OnPostgres, super::fresh_postgres(), 4);
#[cfg(feature = "postgres")]
model_test!(postgres_behind_a_pooler_does_as_memory_does, OnPooled, super::fresh_pooled(), 2);

/// Writes to one side alone, which the comparison must notice.
#[test]
#[should_panic(expected = "the database that is tried")]
fn a_difference_is_noticed() {
    let mut pair = Pair::new(fresh_memory());
    pair.happen(Event::Pass { ms: 1 });
    let now = pair.now;
    let player = pair.tried.player(0);
    assert!(player.take_turn(false).unwrap());
    player.begin(now).unwrap();
    player.apply(&Operation::LockAcquire(acquire("l", 20))).unwrap();
    player.commit(1).unwrap();
    player.leave_turn();
    pair.happen(Event::Pass { ms: 1 });
}

/// Groups of the first player.
fn played(groups: impl IntoIterator<Item = Vec<Step>>) -> Pair {
    let mut pair = Pair::new(fresh_memory());
    for steps in groups {
        pair.happen(Event::Group { player: 0, steps, savepoint: None, end: End::Commit });
    }
    pair
}

fn take(lock: usize, part: f64) -> Step {
    Step::Acquire { lock, part, ttl_ms: 500, wait: true, otherwise: false }
}

/// The auditor sees what a comparison of two equals cannot.
#[test]
#[should_panic(expected = "passed another")]
fn a_passed_ticket_is_noticed() {
    let mut pair = played([vec![take(0, 0.0), take(0, 0.0), take(0, 0.0)], vec![Step::Leave { back: 1 }]]);
    // As if the second had not left: the third then gets the lock past it.
    let place = Leave { lock: 1, ticket: 2 };
    pair.known.waiting.push(Waiting { player: 0, place, weight: 1 });
    let steps = vec![Step::Leave { back: 2 }];
    pair.happen(Event::Group { player: 0, steps, savepoint: None, end: End::Commit });
}

#[test]
#[should_panic(expected = "it fits, and waits")]
fn a_ticket_that_fits_and_waits_is_noticed() {
    let mut pair = played([vec![take(2, 0.4), take(2, 0.4)]]);
    // As if the second wanted no more than the first has left.
    pair.known.waiting[0].weight = 1;
    pair.happen(Event::Pass { ms: 1 });
}
