//! A process that does what it is told, line by line: takes a lock, writes under it, gives it back. For tests in which
//! somebody is stopped in the middle of something.
//!
//! | told | says |
//! | --- | --- |
//! | `take TTL_MS` | `asking STAMP`, `took TOKEN STAMP` |
//! | `write COUNT` | `wrote TOKEN STAMP` or `fenced TOKEN STAMP` for each; after the end, or when it finds that it stood still for longer than the TTL and a few writes more, `done` |
//! | `leave` | `left TOKEN STAMP held` or `left TOKEN STAMP lost` |
//! | `wall` | `wall MILLISECONDS`, as the store sees it |
//!
//! Stamps are taken before the call, those of `took` after it.

use std::io::BufRead;
use std::path::Path;
use std::time::Duration;

use millpond::blocking::{LockGuard, Store};
use millpond::{Error, Event, Expected};

use crate::Result;
use crate::clock::{pause, stamp};
use crate::crew::say;
use crate::random::Random;

/// The lock.
pub const LOCK: &str = "till";

/// The stream that is written under it. Each event has the token as its content.
pub const STREAM: &str = "ledger-till";

/// Writes after it found that it had stood still.
const AFTER: u64 = 5;

/// What a child does otherwise than it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It writes without the guard.
    Unguarded,
    /// It says that it took the lock, and did not ask for it.
    Unlocked,
}

impl Fault {
    /// By its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Fault> {
        [Fault::None, Fault::Unguarded, Fault::Unlocked].into_iter().find(|fault| fault.name() == name)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Fault::None => "none",
            Fault::Unguarded => "unguarded",
            Fault::Unlocked => "unlocked",
        }
    }
}

struct Hand {
    store: Store,
    random: Random,
    fault: Fault,
    ttl_us: u64,
    held: Option<Held>,
}

enum Held {
    Guard(LockGuard),
    /// Only said to be held.
    Word(u64),
}

impl Held {
    fn token(&self) -> u64 {
        match self {
            Held::Guard(guard) => guard.token(),
            Held::Word(token) => *token,
        }
    }
}

/// Opens the store and does what its standard input says, to its end.
///
/// # Errors
/// If something went wrong that should not.
pub fn live(seed: u64, file: &Path, fault: Fault) -> Result<()> {
    let store = Store::open(file)?;
    say("open")?;
    let mut hand = Hand { store, random: Random::new(seed), fault, ttl_us: 0, held: None };
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (order, number) = line.split_once(' ').unwrap_or((&line, "0"));
        let done = match (order, number.parse()?) {
            ("take", ttl_ms) => hand.take(ttl_ms),
            ("write", count) => hand.write(count),
            ("leave", _) => hand.leave(),
            ("wall", _) => hand.wall(),
            _ => Err(format!("what is {line:?}?").into()),
        };
        if let Err(error) = done {
            say(&format!("failed {line}: {error}"))?;
        }
    }
    Ok(hand.store.close()?)
}

impl Hand {
    fn take(&mut self, ttl_ms: u64) -> Result<()> {
        self.ttl_us = ttl_ms * 1_000;
        let asking = stamp()?;
        say(&format!("asking {asking}"))?;
        let held = match self.fault {
            Fault::Unlocked => Held::Word(asking),
            _ => Held::Guard(self.store.lock(LOCK).ttl(Duration::from_millis(ttl_ms)).acquire()?),
        };
        let token = held.token();
        self.held = Some(held);
        say(&format!("took {token} {}", stamp()?))
    }

    fn write(&mut self, count: u64) -> Result<()> {
        let held = self.held.as_ref().ok_or("nothing is held")?;
        let token = held.token();
        let events = match held {
            Held::Guard(guard) if self.fault == Fault::None => self.store.events().guarded_by(guard),
            _ => self.store.events(),
        };
        let (mut left, mut stood, mut last) = (count, false, stamp()?);
        while left > 0 {
            left -= 1;
            let event = Event::from_json("Wrote", token.to_string())?;
            let before = stamp()?;
            let said = match events.append(STREAM, Expected::Any, [event]) {
                Ok(_) => "wrote",
                Err(Error::Fenced { .. }) => "fenced",
                Err(other) => return Err(other.into()),
            };
            say(&format!("{said} {token} {before}"))?;
            if self.random.below(3) > 0 {
                pause(self.random.below(2_000));
            }
            let now = stamp()?;
            if !stood && (now - last > self.ttl_us || said == "fenced") {
                (stood, left) = (true, left.min(AFTER));
            }
            last = now;
        }
        say("done")
    }

    fn leave(&mut self) -> Result<()> {
        let held = self.held.take().ok_or("nothing is held")?;
        let (token, before) = (held.token(), stamp()?);
        let was = match held {
            Held::Word(_) => "held",
            Held::Guard(guard) => match guard.release() {
                Ok(()) => "held",
                Err(Error::Lost { .. }) => "lost",
                Err(other) => return Err(other.into()),
            },
        };
        say(&format!("left {token} {before} {was}"))
    }

    /// The wall clock as the store sees it: in the time at which it found this process to have joined.
    fn wall(&mut self) -> Result<()> {
        let own = self.store.inspect().process();
        let processes = self.store.inspect().processes()?;
        let own = processes.iter().find(|process| process.id == own).ok_or("this process is not listed")?;
        say(&format!("wall {}", own.joined_wall_ms))
    }
}
