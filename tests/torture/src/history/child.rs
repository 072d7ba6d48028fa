//! A child of the history test: some threads that use a few names at random, and say when they ask and are answered.
//!
//! It is told `ROUND SEED`, one line a round. Nothing is asked before it has been said.

use std::io::BufRead;
use std::path::Path;

use millpond::blocking::{LockGuard, Store};

use super::deed::{Answer, Call, Said, Want, perform};
use crate::Result;
use crate::clock::{pause, stamp};
use crate::crew::say;
use crate::random::Random;

/// Names of a round: two streams, two locks, two tills.
pub(super) const NAMES: u64 = 6;

/// Opens the store and plays rounds to the end of its standard input. `who` tells it from the other children.
///
/// # Errors
/// If something went wrong that should not.
pub fn live(who: u64, file: &Path, lanes: u64, operations: u64) -> Result<()> {
    let store = Store::open(file)?;
    tell(&Said::Open)?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (round, seed) = line.split_once(' ').ok_or("not a round")?;
        let (round, seed): (u64, u64) = (round.parse()?, seed.parse()?);
        std::thread::scope(|scope| {
            for lane in 0..lanes {
                let first = (who * lanes + lane) * operations;
                let random = Random::new(seed.wrapping_mul(1_000).wrapping_add(lane));
                let mut client = Client { store: &store, round, lane, random, first, known: 0, held: None };
                scope.spawn(move || {
                    if let Err(error) = client.play(operations) {
                        // Nobody hears it if the parent is gone.
                        let _ = tell(&Said::Failed(error.to_string()));
                    }
                });
            }
        });
        tell(&Said::Done)?;
    }
    Ok(store.close()?)
}

fn tell(said: &Said) -> Result<()> {
    say(&serde_json::to_string(said)?)
}

/// The name that goes by this number, in a round.
pub(super) fn name(round: u64, number: u64) -> String {
    format!("{number}in{round}")
}

struct Client<'a> {
    store: &'a Store,
    round: u64,
    lane: u64,
    random: Random,
    /// Of the numbers that are this lane's to append and to set: nobody else has them.
    first: u64,
    /// What it was last told that a stream's version or a till's number is.
    known: u64,
    held: Option<(u64, LockGuard)>,
}

impl Client<'_> {
    fn play(&mut self, operations: u64) -> Result<()> {
        for number in 0..operations {
            let (name, call) = self.draw(self.first + number + 1);
            self.ask(number, name, &call)?;
            if self.random.below(4) == 0 {
                pause(self.random.below(300));
            }
        }
        if let Some((name, token)) = self.holds() {
            self.ask(operations, name, &Call::Release(token))?;
        }
        Ok(())
    }

    fn holds(&self) -> Option<(u64, u64)> {
        self.held.as_ref().map(|(name, guard)| (*name, guard.token()))
    }

    /// What comes next. Whoever holds a lock asks for no other one, so that nobody waits for ever.
    fn draw(&mut self, own: u64) -> (u64, Call) {
        let name = self.random.below(NAMES);
        let chance = self.random.below(12);
        let want = match self.random.below(8) {
            0 => Want::NoStream,
            1 => Want::Exists,
            2 | 3 => Want::Version(self.known),
            _ => Want::Any,
        };
        let call = match name / 2 {
            0 if chance < 6 => Call::Append(own, want),
            0 => Call::Read,
            1 => match self.holds() {
                Some((held, token)) => return (held, Call::Release(token)),
                None if chance < 7 => Call::TryAcquire,
                None => Call::Acquire,
            },
            _ => match chance {
                0..=2 => Call::Set(own),
                3..=6 => Call::Swap(self.known, own),
                7 | 8 => Call::Ask,
                _ => Call::Look,
            },
        };
        (name, call)
    }

    fn ask(&mut self, number: u64, name: u64, call: &Call) -> Result<()> {
        let lane = self.lane;
        tell(&Said::Calls { lane, number, name, at: stamp()?, call: call.clone() })?;
        let mut guard = match call {
            Call::Release(_) => self.held.take().map(|(_, guard)| guard),
            _ => None,
        };
        let answer = perform(self.store, &self::name(self.round, name), call, &mut guard)?;
        let at = stamp()?;
        if let Some(guard) = guard {
            self.held = Some((name, guard));
        }
        match &answer {
            Answer::Appended(known, _) | Answer::Conflict(known) | Answer::Value(known) => {
                self.known = *known
            }
            _ => {}
        }
        tell(&Said::Returns { lane, number, at, answer })
    }
}
