//! A child of the lock test: takes the lock and gives it back until it is killed, and says what it believes.

use std::path::Path;

use millpond::blocking::{LockGuard, Store};

use crate::Result;
use crate::clock::{pause, stamp};
use crate::crew::say;
use crate::random::Random;

/// The lock.
pub const LOCK: &str = "till";

/// One section in so many is long, so that kills find somebody inside.
const LONG: u64 = 8;

/// Opens the store and works with so many threads. With `locked` false it only says that it holds the lock.
///
/// # Errors
/// If the store could not be opened.
pub fn live(seed: u64, file: &Path, lanes: u64, locked: bool) -> Result<()> {
    let store = Store::open(file)?;
    say("open")?;
    std::thread::scope(|scope| {
        for lane in 0..lanes {
            let (store, mut random) = (&store, Random::new(seed.wrapping_mul(1_000).wrapping_add(lane)));
            scope.spawn(move || {
                loop {
                    let done = if locked { take(store, &mut random) } else { pretend(&mut random) };
                    if let Err(error) = done {
                        // Nobody hears it if the parent is gone.
                        let _ = say(&format!("failed {error}"));
                        return;
                    }
                }
            });
        }
    });
    Ok(())
}

/// Waits for the lock, sometimes not long enough, and holds it for a moment.
fn take(store: &Store, random: &mut Random) -> Result<()> {
    let lock = store.lock(LOCK);
    let guard = if random.below(8) == 0 {
        lock.acquire_within(std::time::Duration::from_micros(random.below(3_000)))?
    } else {
        Some(lock.acquire()?)
    };
    let Some(guard) = guard else { return say("cancelled") };
    // The stamp first: whatever is said between it and the leaving is said under the lock.
    let (token, enter) = (guard.token(), stamp()?);
    say(&format!("enter {token} {enter}"))?;
    say(&format!("ticket {token} {}", ticket(store, &guard)?))?;
    linger(random);
    say(&format!("leave {token} {}", stamp()?))?;
    Ok(guard.release()?)
}

/// The ticket that our token was given to, as everybody can see it while we hold the lock.
fn ticket(store: &Store, guard: &LockGuard) -> Result<u64> {
    let lines = store.inspect().locks(None, 2)?;
    let holder = lines.iter().find(|line| line.name == LOCK).and_then(|line| line.holder());
    match holder {
        Some(holder) if holder.grant.token == guard.token() && !holder.void => Ok(holder.grant.ticket),
        other => Err(format!("the holder of token {} is shown as {other:?}", guard.token()).into()),
    }
}

/// The mutant: nobody was asked.
fn pretend(random: &mut Random) -> Result<()> {
    let enter = stamp()?;
    say(&format!("enter {enter} {enter}"))?;
    linger(random);
    say(&format!("leave {enter} {}", stamp()?))
}

fn linger(random: &mut Random) {
    pause(if random.below(LONG) == 0 { 3_000 } else { random.below(300) });
}
