//! What a job is, by its number: whoever pushes it, works on it or judges it draws the same from it.

use std::time::Duration;

use millpond::Push;

use crate::random::Random;

/// How often a job is tried that is no poison: more often than its workers are killed over it.
pub(super) const ATTEMPTS: u32 = 20;

/// How often poison is tried.
pub(super) const DOSES: u32 = 3;

/// Most jobs of one push.
pub(super) const BATCH: u64 = 6;

/// Keys that jobs have.
const KEYS: u64 = 24;

/// What happens when it is worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is done.
    Plain,
    /// It is done after a while, in which its worker may be stopped.
    Slow,
    /// It is tried again after so many milliseconds, until it was tried so often.
    Flaky(u64, u32),
    /// It is buried.
    Hopeless,
    /// It is dropped without a word the first time.
    Forgotten,
    /// It aborts its process.
    Poison,
}

/// A job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) kind: Kind,
    pub(super) priority: i64,
    /// Not before so many milliseconds have passed.
    pub(super) delay_ms: u64,
    pub(super) key: Option<u64>,
}

impl Spec {
    /// The one of this number.
    pub(super) fn of(seed: u64, number: u64) -> Spec {
        let mut random = Random::new(seed.wrapping_mul(1_000_003) ^ (number << 20));
        let kind = match random.below(600) {
            0 | 1 => Kind::Poison,
            2..=12 => Kind::Hopeless,
            13..=40 => Kind::Forgotten,
            41..=70 => Kind::Slow,
            71..=130 => Kind::Flaky(random.below(3) * random.below(60), 2 + random.below(3) as u32),
            _ => Kind::Plain,
        };
        let priority = random.below(4) as i64 - 1;
        let delay_ms = if random.below(6) == 0 { 1 + random.below(200) } else { 0 };
        let key = (random.below(8) == 0).then(|| random.below(KEYS));
        Spec { kind, priority, delay_ms, key }
    }

    /// How it is pushed.
    pub(super) fn push(self) -> Push {
        let push = Push::new().priority(self.priority).delay(Duration::from_millis(self.delay_ms));
        let push = push.max_attempts(self.max_attempts());
        match self.key {
            Some(key) => push.key(format!("key {key}")),
            None => push,
        }
    }

    /// How often it is tried.
    pub(super) fn max_attempts(self) -> u32 {
        if self.kind == Kind::Poison { DOSES } else { ATTEMPTS }
    }
}

/// How many jobs a lane pushes at once whose first has this number among its own.
pub(super) fn batch(own: u64) -> u64 {
    1 + Random::new(own).below(BATCH)
}
