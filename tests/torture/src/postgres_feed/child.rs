//! A process that appends, or follows, and says what it did and what came.

use futures_executor::block_on;
use futures_util::FutureExt as _;
use millpond::{Event, Expected, Recorded, Store};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::clock::stamp;
use crate::crew::say;
use crate::random::Random;

/// What some of those who follow want: everything, or one category.
pub(super) const ALL: &str = "";
pub(super) const CATEGORY: &str = "shared";

/// Streams that all writers share, and those that one has for himself.
const SHARED: u64 = 3;
const OWN: u64 = 2;

/// Most events of one append.
const BATCH: u64 = 5;

/// Most events that are said at once.
const SAID: usize = 30;

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It appends, and comes to an end.
    Writer,
    /// It follows until it is killed: everything, and a category.
    Subscriber,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        if self == Role::Writer { "writer" } else { "subscriber" }
    }

    /// The role of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Role> {
        [Role::Writer, Role::Subscriber].into_iter().find(|role| role.name() == name)
    }
}

/// An event as somebody saw it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Came {
    pub(super) position: u64,
    pub(super) stream: String,
    pub(super) version: u64,
    /// Whose it is, and which of his.
    pub(super) number: u64,
}

/// One line of a child.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Said {
    /// These stand in the stream: so many, the last of them at this version and position.
    Appended { stream: String, first: u64, count: u64, version: u64, position: u64, acked: u64 },
    /// A writer has come to his end.
    Done,
    /// A lane follows, all or a category.
    Following { lane: u64, of: String, begun: u64 },
    /// These came, and the last was there at this stamp.
    Got { lane: u64, came: Vec<Came>, at: u64 },
    /// Something that should not.
    Failed(String),
}

/// What is seen of an event.
pub(super) fn came(event: &Recorded) -> Result<Came> {
    let (position, version) = (event.position(), event.version());
    Ok(Came { position, stream: event.stream().to_owned(), version, number: event.decode()? })
}

fn tell(said: &Said) -> Result<()> {
    say(&serde_json::to_string(said)?)
}

/// Opens the store and does what its role is.
///
/// # Errors
/// If nobody listens, or the store cannot be opened.
pub fn live(url: &str, who: u64, role: Role, seed: u64, events: u64) -> Result<()> {
    let store = block_on(Store::open(url))?;
    let done = match role {
        Role::Writer => write(&store, who, seed, events),
        Role::Subscriber => std::thread::scope(|scope| {
            let lane = |at: u64, of| {
                let store = &store;
                scope.spawn(move || follow(store, 2 * who + at, of).map_err(|error| error.to_string()))
            };
            let lanes = [lane(0, ALL), lane(1, CATEGORY)];
            lanes.into_iter().try_for_each(|lane| Ok(lane.join().map_err(|_| "a lane panicked")??))
        }),
    };
    if let Err(error) = done {
        tell(&Said::Failed(error.to_string()))?;
    }
    // There to be killed.
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// Appends: into streams of its own as one who knows their versions, into the others whatever is there.
fn write(store: &Store, who: u64, seed: u64, events: u64) -> Result<()> {
    let mut random = Random::new(seed << 16 | who);
    let mut versions = [0; OWN as usize];
    let mut own = 0;
    while own < events {
        let count = (1 + random.below(BATCH)).min(events - own);
        let first = who << 32 | own;
        let batch = (first..first + count).map(|number| Event::new("Written", &number));
        let batch = batch.collect::<millpond::Result<Vec<_>>>()?;
        let at = random.below(OWN) as usize;
        let version = versions.get_mut(at).filter(|_| random.below(2) == 0);
        let (stream, expected) = match &version {
            Some(version) => (format!("own-{who}-{at}"), Expected::Version(**version)),
            None => (format!("{CATEGORY}-{}", random.below(SHARED)), Expected::Any),
        };
        let appended = block_on(store.events().append(&stream, expected, batch))?;
        if let Some(version) = version {
            *version = appended.version;
        }
        let (version, position, acked) = (appended.version, appended.position, stamp()?);
        tell(&Said::Appended { stream, first, count, version, position, acked })?;
        own += count;
    }
    tell(&Said::Done)
}

/// Follows, until it is killed.
fn follow(store: &Store, lane: u64, of: &str) -> Result<()> {
    let events = store.events();
    let stream = if of == ALL { events.read_all() } else { events.read_category(of) };
    let mut following = stream.follow()?;
    tell(&Said::Following { lane, of: of.to_owned(), begun: stamp()? })?;
    let mut gathered = Vec::new();
    loop {
        let at_hand = if gathered.len() < SAID { following.next().now_or_never() } else { None };
        let next = match at_hand {
            Some(next) => next,
            None => {
                if !gathered.is_empty() {
                    tell(&Said::Got { lane, came: std::mem::take(&mut gathered), at: stamp()? })?;
                }
                block_on(following.next())
            }
        };
        gathered.push(came(&next.ok_or("what is followed has ended")??)?);
    }
}
