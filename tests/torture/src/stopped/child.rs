//! A process that writes without a rest, or once while it reads, as it is told line by line.
//!
//! | told | says |
//! | --- | --- |
//! | `spin` | `acked NUMBER VERSION POSITION` for each write, until it is told to `rest`; then `rested NEXT` |
//! | `try` | `tries`, then `acked NUMBER VERSION POSITION`, or `busy PID NUMBER` with what it was told of whom; then `read COUNT`: how often it could read meanwhile |

use std::io::{BufRead, StdinLock};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millpond::blocking::Store;
use millpond::{Error, Event, Expected, WriteOutcome};

use crate::Result;
use crate::crew::say;
use crate::workload::Call;

/// Bytes that come with each event: most of the time of a write is spent inside its transaction.
const PAD: usize = 60_000;

/// Who writes what next.
struct Child {
    store: Store,
    who: u64,
    next: u64,
}

/// Opens the store and does what its standard input says, to its end.
///
/// # Errors
/// If something went wrong that should not.
pub fn live(file: &Path, who: u64, next: u64, timeout_ms: u64) -> Result<()> {
    let store = Store::builder().call_timeout(Duration::from_millis(timeout_ms)).open(file)?;
    let mut child = Child { store, who, next };
    say("open")?;
    let mut orders = std::io::stdin().lock();
    loop {
        let order = order(&mut orders)?;
        let done = match order.as_str() {
            "" => return Ok(child.store.close()?),
            "spin" => child.spin(&mut orders),
            "try" => child.write_and_read(),
            other => Err(format!("what is {other:?}?").into()),
        };
        if let Err(error) = done {
            say(&format!("failed {order}: {error}"))?;
        }
    }
}

/// The next line; nothing at the end.
fn order(orders: &mut StdinLock<'_>) -> Result<String> {
    let mut line = String::new();
    orders.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

impl Child {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn spin(&mut self, orders: &mut StdinLock<'_>) -> Result<()> {
        let rests = AtomicBool::new(false);
        let (store, who, first) = (&self.store, self.who, self.next);
        let next = std::thread::scope(|scope| -> Result<u64> {
            let spins = scope.spawn(|| -> Result<u64> {
                let mut number = first;
                while !rests.load(Ordering::SeqCst) {
                    number += 1;
                    say(&write(store, who, number)?)?;
                }
                Ok(number)
            });
            let told = order(orders);
            rests.store(true, Ordering::SeqCst);
            let next = spins.join().map_err(|_| "the writing thread panicked")?;
            told?;
            next
        })?;
        self.next = next;
        say(&format!("rested {next}"))
    }

    fn write_and_read(&mut self) -> Result<()> {
        let number = self.number();
        let (store, who) = (&self.store, self.who);
        say("tries")?;
        let (said, reads) = std::thread::scope(|scope| -> Result<(String, u64)> {
            let writes = scope.spawn(|| write(store, who, number));
            let mut reads = 0;
            while !writes.is_finished() {
                let head = store.events().head()?;
                let last = store.events().read_all().next().transpose()?;
                reads += u64::from(head > 0 && last.is_some());
            }
            Ok((writes.join().map_err(|_| "the writing thread panicked")??, reads))
        })?;
        say(&said)?;
        say(&format!("read {reads}"))
    }
}

/// Writes, and what came of it.
fn write(store: &Store, who: u64, number: u64) -> Result<String> {
    let call = Call::appending(who, number);
    let pad = format!("{:?}", "x".repeat(PAD));
    let padded = |part| -> Result<Event> { Ok(call.event(part)?.metadata(pad.clone())) };
    let events = (0..call.events()).map(padded).collect::<Result<Vec<_>>>()?;
    match store.events().append(call.stream(0), Expected::Any, events) {
        Ok(done) => Ok(format!("acked {number} {} {}", done.version, done.position)),
        Err(error) if error.outcome() == WriteOutcome::Unknown => Err(error.into()),
        Err(Error::Busy { process, .. }) => {
            let pid = process.process().map_or(0, |named| named.pid);
            Ok(format!("busy {number} {pid}"))
        }
        Err(other) => Err(other.into()),
    }
}
