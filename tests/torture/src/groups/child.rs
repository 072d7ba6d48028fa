//! A process that publishes, and has consumers of the group, until it is killed.

use std::path::Path;
use std::time::Duration;

use millpond::blocking::{Delivery, Store};
use millpond::{Error, Event, Expected, Stamp};
use serde::{Deserialize, Serialize};

use crate::crew::say;
use crate::random::Random;
use crate::{Result, clock};

pub(super) const CHANNEL: &str = "letters";
pub(super) const GROUP: &str = "clerks";

/// The stream of the notes.
pub(super) const NOTES: &str = "notes";

/// The number of what a consumer is handed has so many bits; above them stands who he is.
pub(super) const HANDS: u32 = 24;

/// Consumers of a process.
const CONSUMERS: u64 = 2;

/// What one is handed before he leaves and joins again.
const TURN: u64 = 60;

/// How long one who is stopped remains a consumer.
const LEASE: Duration = Duration::from_millis(600);

/// Between two messages of a publisher, so that there is time for kills.
const REST_US: u64 = 500;

/// Keys.
const KEYS: u64 = 12;

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Letter {
    pub(super) who: u64,
    pub(super) number: u64,
}

impl Letter {
    /// Most have a key.
    pub(super) fn key(self) -> Option<String> {
        (!self.number.is_multiple_of(5)).then(|| format!("key {}", (self.who + self.number) % KEYS))
    }
}

/// That somebody was handed a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) sequence: u64,
    pub(super) letter: Letter,
    pub(super) token: u64,
    /// Who he was, and how many he had been handed before.
    pub(super) hand: u64,
}

/// One line of a child.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Said {
    /// It is about to publish its message of this number.
    Publishes(u64),
    /// It has, as this sequence.
    Published(Letter, u64),
    /// A message is acknowledged.
    Acked(Note),
    /// Or is not its any more.
    Fenced,
    /// Something that should not.
    Failed(String),
}

fn tell(said: &Said) -> Result<()> {
    say(&serde_json::to_string(said)?)
}

/// Publishes its messages from `next` to `most`, and consumes. No other process is the same `run` of this number.
///
/// # Errors
/// If the store cannot be opened, or nobody listens.
pub fn live(file: &Path, process: u64, run: u64, next: u64, most: u64) -> Result<()> {
    let store = Store::open(file)?;
    std::thread::scope(|scope| {
        let told = |done: Result<()>| {
            if let Err(error) = done {
                // Nobody hears it if the parent is gone.
                let _ = tell(&Said::Failed(error.to_string()));
            }
        };
        let store = &store;
        scope.spawn(move || told(publish(store, process, next..most)));
        for consumer in 0..CONSUMERS {
            let who = (run * 64 + process) * CONSUMERS + consumer;
            scope.spawn(move || told(consume(store, who)));
        }
    });
    // There to be killed.
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

fn publish(store: &Store, who: u64, numbers: std::ops::Range<u64>) -> Result<()> {
    let channel = store.channel::<Letter>(CHANNEL);
    for number in numbers {
        let letter = Letter { who, number };
        tell(&Said::Publishes(number))?;
        let stamp = letter.key().into_iter().fold(Stamp::new(), Stamp::key);
        tell(&Said::Published(letter, channel.publish_with(&letter, stamp)?))?;
        clock::pause(REST_US);
    }
    Ok(())
}

/// One consumer after the other, for ever.
fn consume(store: &Store, who: u64) -> Result<()> {
    let group = store.channel::<Letter>(CHANNEL).group(GROUP).ttl(LEASE);
    let (mut random, mut hand) = (Random::new(who), who << HANDS);
    loop {
        let mut member = group.join()?;
        for _ in 0..TURN {
            match member.next() {
                Some(Ok(letter)) => handle(store, letter, hand, &mut random)?,
                // It was stopped for too long.
                Some(Err(Error::Lost { .. })) | None => break,
                Some(Err(error)) => return Err(error.into()),
            }
            hand += 1;
        }
        match member.leave() {
            Ok(()) | Err(Error::Lost { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Notes that it is here, and acknowledges it, or does not.
fn handle(store: &Store, letter: Delivery<Letter>, hand: u64, random: &mut Random) -> Result<()> {
    let note = Note { sequence: letter.sequence(), letter: **letter, token: letter.token(), hand };
    store.events().append(NOTES, Expected::Any, [Event::new("Handled", &note)?])?;
    if random.below(20) == 0 {
        return Ok(());
    }
    match letter.ack() {
        Ok(()) => tell(&Said::Acked(note)),
        Err(Error::Fenced { .. }) => tell(&Said::Fenced),
        Err(error) => Err(error.into()),
    }
}
