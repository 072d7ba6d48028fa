//! A child of the kill test: appends, imports or takes a lock until it is killed, and tells what was acknowledged.
//!
//! What it does is determined by its role, the lane (one thread each) and a number. So a child that is started
//! again repeats exactly the call that its predecessor was killed in, with the same ids: it must have one effect.

use std::io::Write;
use std::path::Path;

use millpond::blocking::Store;
use millpond::{Event, Expected};
use uuid::Uuid;

use crate::Result;
use crate::clock;

/// The roles 0 and 1 write events, 2 and 3 take the lock.
pub const ROLES: u64 = 4;

/// Threads of a child.
pub const LANES: u64 = 3;

/// The stream under the lock.
pub const LEDGER: &str = "ledger-till";

/// What the streams of aggregates begin with; they are not made of calls.
pub const TALLIES: &str = "tally-";

/// The types of the events in the ledger.
pub const ENTER: &str = "Entered";
/// As [`ENTER`].
pub const LEAVE: &str = "Left";

/// One thing that a writer does: a call with one or more events, determined by who does it and the number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who: role and lane.
    pub who: u64,
    /// Which call of theirs.
    pub number: u64,
}

impl Call {
    /// Whether it is an import over several streams, or an append to one.
    #[must_use]
    pub fn imports(&self) -> bool {
        self.number.is_multiple_of(4)
    }

    /// How many events it has.
    #[must_use]
    pub fn events(&self) -> u64 {
        1 + (self.number + self.who) % 3 + u64::from(self.imports())
    }

    /// The id of one of its events.
    #[must_use]
    pub fn id(&self, part: u64) -> Uuid {
        id(self.who, self.number, part)
    }

    /// The stream of one of its events: its own, or one that all share.
    #[must_use]
    pub fn stream(&self, part: u64) -> String {
        let step = if self.imports() { part } else { 0 };
        match (self.number + step) % 3 {
            0 => format!("own-{}", self.who),
            shared => format!("shared-{shared}"),
        }
    }

    /// The content of one of its events, which tells what else belongs to the call.
    #[must_use]
    pub fn content(&self, part: u64) -> String {
        format!(r#"{{"who":{},"number":{},"part":{part},"of":{}}}"#, self.who, self.number, self.events())
    }

    /// One of its events.
    ///
    /// # Errors
    /// None: its content is JSON.
    pub fn event(&self, part: u64) -> Result<Event> {
        Ok(Event::from_json("Called", self.content(part))?.id(self.id(part)))
    }
}

fn id(who: u64, number: u64, part: u64) -> Uuid {
    Uuid::from_u128(u128::from(who + 1) << 96 | u128::from(number) << 16 | u128::from(part))
}

/// Opens the store, says so, and works until it is killed. `first` holds the number of the next call of each lane.
///
/// # Errors
/// Whatever the store said: nothing may go wrong in a child but its end.
pub fn live(role: u64, file: &Path, first: &str) -> Result<()> {
    let first: Vec<u64> = first.split(',').map(str::parse).collect::<std::result::Result<_, _>>()?;
    let start = clock::now();
    let opened = Store::open(file);
    let store = match opened {
        Ok(store) => store,
        Err(error) => return say(&format!("failed open {error:?}")),
    };
    say(&format!("open {}", start.elapsed().as_micros()))?;
    std::thread::scope(|scope| {
        for (lane, first) in (0..LANES).zip(first) {
            let store = &store;
            scope.spawn(move || {
                let who = role * LANES + lane;
                let end = if role < 2 { write(store, who, first) } else { take_turns(store, who, first) };
                let error = end.err().map_or_else(|| "ended".to_owned(), |error| error.to_string());
                // Nobody hears it if the parent is gone.
                let _ = say(&format!("failed {who} {error}"));
            });
        }
    });
    Ok(())
}

/// One line in one write: a line shorter than a pipe's atomic size is there whole or not at all.
fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{}\n", line.replace('\n', " ")).as_bytes())?;
    Ok(out.flush()?)
}

fn write(store: &Store, who: u64, first: u64) -> Result<()> {
    let events = store.events();
    for number in first.. {
        let call = Call { who, number };
        if call.imports() {
            let some = (0..call.events()).map(|part| Ok((call.stream(part), call.event(part)?)));
            events.import(some.collect::<Result<Vec<_>>>()?)?;
            say(&format!("acked {who} {number} 0 0"))?;
        } else {
            let some = (0..call.events()).map(|part| call.event(part)).collect::<Result<Vec<_>>>()?;
            let done = events.append(call.stream(0), Expected::Any, some)?;
            say(&format!("acked {who} {number} {} {}", done.version, done.position))?;
        }
    }
    Ok(())
}

/// Takes the lock, says in the ledger that it has come and that it goes, and gives the lock back.
fn take_turns(store: &Store, who: u64, first: u64) -> Result<()> {
    for number in first.. {
        let guard = store.lock("till").acquire()?;
        let events = store.events().guarded_by(&guard);
        // The same call again under another token is another pair of events: the token is in the id.
        let token = guard.token();
        for (part, kind) in [(0, ENTER), (1, LEAVE)] {
            let content = format!(r#"{{"who":{who},"number":{number},"token":{token}}}"#);
            let event = Event::from_json(kind, content)?.id(ledger_id(token, part));
            let done = events.append(LEDGER, Expected::Any, [event])?;
            say(&format!("turn {who} {number} {token} {part} {} {}", done.version, done.position))?;
        }
        guard.release()?;
    }
    Ok(())
}

/// The id of an event of the ledger.
#[must_use]
pub fn ledger_id(token: u64, part: u64) -> Uuid {
    id(1_000_000, token, part)
}
