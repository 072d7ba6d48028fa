//! What a client of the serial test does, and how it is said by a child.

use futures_executor::block_on;
use millpond::CommandError;
use millpond::blocking::Store;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::random::Random;
use crate::workload::Call;
use crate::workload::aggregate::TALLIES;
use crate::workload::{Happened, Tally};

/// Events that a reader looks at.
const TAIL: u64 = 10;

/// Aggregates.
const AGGREGATES: u64 = 2;

/// A write with all its events, or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Write {
    /// An append to one list, or an import over several.
    Call(u64, u64),
    /// A command of an aggregate: which, who and their number.
    Count(u64, u64, u64),
}

impl Write {
    /// Its events: stream and content of each.
    #[must_use]
    pub fn parts(&self) -> Vec<(String, String)> {
        match *self {
            Write::Call(who, number) => {
                let call = Call { who, number };
                (0..call.events()).map(|part| (call.stream(part), call.content(part))).collect()
            }
            Write::Count(tally, who, number) => {
                vec![(stream_of(tally), format!(r#"{{"who":{who},"number":{number}}}"#))]
            }
        }
    }

    /// Writes it.
    pub(super) fn perform(&self, store: &Store) -> Result<()> {
        match *self {
            Write::Call(who, number) => {
                block_on(Call { who, number }.make(0, &store.asynchronous()))?;
            }
            Write::Count(tally, who, number) => {
                let command = Happened::Counted { who, number };
                match store.aggregate::<Tally>(tally.to_string()).execute(command) {
                    Ok(_) => {}
                    Err(CommandError::Failed(error)) => return Err(error.into()),
                    Err(other) => return Err(other.to_string().into()),
                }
            }
        }
        Ok(())
    }
}

/// The stream of an aggregate.
pub(super) fn stream_of(tally: u64) -> String {
    format!("{TALLIES}{tally}")
}

/// What is read in one snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// One list.
    Stream(String),
    /// The lists of a category.
    Category(String),
    /// All.
    All,
    /// The state of an aggregate: how many events it has.
    State(u64),
}

impl Scope {
    /// Whether events of this stream belong to it.
    #[must_use]
    pub fn holds(&self, stream: &str) -> bool {
        match self {
            Scope::Stream(name) => name == stream,
            Scope::Category(category) => stream.split('-').next() == Some(category),
            Scope::All => true,
            Scope::State(tally) => stream == stream_of(*tally),
        }
    }

    fn draw(who: u64, random: &mut Random) -> Scope {
        match random.below(6) {
            0 => Scope::Stream(format!("shared-{}", 1 + random.below(2))),
            1 => Scope::Stream(format!("own-{who}")),
            2 => Scope::Category("shared".into()),
            3 => Scope::Category("own".into()),
            4 => Scope::State(random.below(AGGREGATES)),
            _ => Scope::All,
        }
    }
}

/// What a reader was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shown {
    /// The newest events, oldest first: position, stream and version.
    Tail(Vec<(u64, String, u64)>),
    /// How many events an aggregate has.
    Count(u64),
}

impl Shown {
    /// Looks.
    pub(super) fn read(store: &Store, scope: &Scope) -> Result<Shown> {
        let events = store.events();
        let events = match scope {
            Scope::Stream(name) => events.read_stream(name),
            Scope::Category(category) => events.read_category(category),
            Scope::All => events.read_all(),
            Scope::State(tally) => {
                return Ok(Shown::Count(store.aggregate::<Tally>(tally.to_string()).state()?.count));
            }
        };
        let mut tail = Vec::new();
        for event in events.backward().limit(TAIL) {
            let event = event?;
            tail.push((event.position(), event.stream().to_owned(), event.version()));
        }
        tail.reverse();
        Ok(Shown::Tail(tail))
    }
}

/// What is done next.
pub(super) enum Next {
    Write(Write),
    Read(Scope),
}

impl Next {
    /// By chance. Of two writes one is over several lists.
    pub(super) fn draw(who: u64, number: u64, random: &mut Random) -> Next {
        match random.below(8) {
            0..=3 => Next::Read(Scope::draw(who, random)),
            4 => Next::Write(Write::Count(random.below(AGGREGATES), who, number)),
            5 => Next::Write(Write::Call(who, 4 * number + 1)),
            _ => Next::Write(Write::Call(who, 4 * number)),
        }
    }
}

/// One line of a child.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Said {
    /// It has the store open.
    Open,
    /// It is about to do its write of this number, at this stamp.
    Writes { who: u64, number: u64, at: u64, write: Write },
    /// It is on disk.
    Wrote { who: u64, number: u64, at: u64 },
    /// It has read.
    Read { called: u64, returned: u64, scope: Scope, shown: Shown },
    /// Something that should not.
    Failed(String),
}
