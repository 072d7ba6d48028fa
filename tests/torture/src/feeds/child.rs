//! A process that publishes, follows or consumes, and says what it did and what came. A message is a number that tells who
//! published it, and its place among his own.

use std::path::Path;
use std::time::Duration;

use futures_executor::block_on;
use futures_util::FutureExt as _;
use millpond::{Channel, Consumer, Error, From, Log, Message, Retention, Store, Subscription};
use serde::{Deserialize, Serialize};

use super::{CHANNEL, KEEP, LANES, LEASE, LOG, READER, Role};
use crate::Result;
use crate::clock::{pause, stamp};
use crate::crew::say;
use crate::random::Random;

/// Nobody has the writers' turn for so long, unless the machine stands still.
const CALL: Duration = Duration::from_secs(60);

/// Most messages of one publish.
const BATCH: u64 = 16;

/// One publish in so many is appended to the log too.
const LOGGED: u64 = 4;

/// Most messages that are said at once.
const SAID: usize = 60;

/// What a slow subscriber takes for a message, in microseconds.
const SLOW_US: u64 = 3_000;

/// A consumer lets the next one have a turn after so many messages.
const TURN: u64 = 400;

/// Who has not moved for so many microseconds was stopped, or had to wait for the next message.
const STILL_US: u64 = 500_000;

/// Messages that a consumer acknowledges at once.
const ACK: u64 = 20;

/// One line of a child.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Said {
    /// It has the store open.
    Open,
    /// A publisher is about to publish those of its own from this one on.
    Publishing(u64, u64),
    /// It has: the first of them stands there, in the channel and in the log.
    Published { lane: u64, own: u64, first: u64, logged: Option<u64>, begun: u64, acked: u64 },
    /// A subscriber follows: a log or a channel, from this sequence on, since these stamps.
    Following { lane: u64, of: Of, next: u64, begun: u64, acked: u64 },
    /// A consumer consumes, with this token, from behind this cursor, since this stamp.
    Consuming { lane: u64, token: u64, cursor: u64, acked: u64 },
    /// These came, the first with this sequence, and the last was there at this stamp.
    Got { lane: u64, from: u64, numbers: Vec<u64>, at: u64 },
    /// So many were missed.
    Missed { lane: u64, count: u64 },
    /// A consumer has acknowledged, or was not allowed to any more.
    Acked { lane: u64, token: u64, sequence: u64, begun: u64, well: bool },
    /// Something that should not.
    Failed(String),
}

/// What is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Of {
    Channel,
    Log,
}

/// The number of a publisher's message.
pub(super) fn number(publisher: u64, own: u64) -> u64 {
    own * (super::PUBLISHERS * LANES) + publisher
}

/// How many messages are published at once whose first is this one of the publisher's own.
pub(super) fn batch(own: u64) -> u64 {
    1 + Random::new(own).below(BATCH)
}

/// Opens the store and does what its role is until it is killed. `first` holds each publisher's next message, of `most`.
///
/// # Errors
/// If nobody listens, or the store cannot be opened.
pub fn live(file: &Path, role: usize, first: &str, most: u64) -> Result<()> {
    let first: Vec<u64> = first.split(',').map(str::parse).collect::<std::result::Result<_, _>>()?;
    let store = block_on(Store::builder().call_timeout(CALL).open(file))?;
    block_on(store.channel::<u64>(CHANNEL).retain(Retention::everything().count(KEEP)))?;
    tell(&Said::Open)?;
    std::thread::scope(|scope| {
        for (lane, first) in (role as u64 * LANES..).zip(first).take(LANES as usize) {
            let store = &store;
            scope.spawn(move || {
                let done = match Role::of(role) {
                    Role::Publisher => publish(store, lane, first, most),
                    Role::Follower if lane % LANES == 0 => follow(store, lane, Of::Channel, 0),
                    Role::Follower => follow(store, lane, Of::Log, 0),
                    Role::Slow if lane % LANES == 0 => follow(store, lane, Of::Channel, SLOW_US),
                    Role::Slow => follow(store, lane, Of::Channel, 0),
                    Role::Consumer => consume(store, lane),
                };
                if let Err(error) = done {
                    // Nobody hears it if the parent is gone.
                    let _ = tell(&Said::Failed(error.to_string()));
                }
            });
        }
    });
    // There to be killed.
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

fn tell(said: &Said) -> Result<()> {
    say(&serde_json::to_string(said)?)
}

fn publish(store: &Store, lane: u64, first: u64, most: u64) -> Result<()> {
    let (channel, log): (Channel<u64>, Log<u64>) = (store.channel(CHANNEL), store.log(LOG));
    let mut own = first;
    while own < most {
        let count = batch(own);
        let numbers: Vec<u64> = (own..own + count).map(|own| number(lane, own)).collect();
        tell(&Said::Publishing(lane, own))?;
        let begun = stamp()?;
        let places = block_on(channel.publish_all(&numbers))?;
        let acked = stamp()?;
        let is_logged = own.is_multiple_of(LOGGED);
        let logged = if is_logged { Some(block_on(log.append_all(&numbers))?.start) } else { None };
        tell(&Said::Published { lane, own, first: places.start, logged, begun, acked })?;
        own += count;
    }
    Ok(())
}

/// What came and was not said yet.
struct Came {
    lane: u64,
    from: u64,
    numbers: Vec<u64>,
}

impl Came {
    fn add(&mut self, message: &Message<u64>) -> Result<()> {
        let expected = self.from + self.numbers.len() as u64;
        if self.numbers.len() >= SAID || message.sequence() != expected {
            self.say()?;
        }
        if self.numbers.is_empty() {
            self.from = message.sequence();
        }
        self.numbers.push(**message);
        Ok(())
    }

    fn say(&mut self) -> Result<()> {
        if self.numbers.is_empty() {
            return Ok(());
        }
        let numbers = std::mem::take(&mut self.numbers);
        tell(&Said::Got { lane: self.lane, from: self.from, numbers, at: stamp()? })
    }
}

/// Follows until it is killed. Half of the looks for the next message are dropped before it has come: that loses none.
fn follow(store: &Store, lane: u64, of: Of, slow_us: u64) -> Result<()> {
    let begun = stamp()?;
    let mut subscription: Subscription<u64> = match of {
        Of::Channel => block_on(store.channel(CHANNEL).subscribe())?,
        Of::Log => block_on(store.log(LOG).follow(From::Now))?,
    };
    tell(&Said::Following { lane, of, next: subscription.next_sequence(), begun, acked: stamp()? })?;
    let mut came = Came { lane, from: 0, numbers: Vec::new() };
    loop {
        let next = subscription.next().now_or_never();
        let next = match next {
            Some(next) => next,
            None => {
                came.say()?;
                block_on(subscription.next())
            }
        };
        match next.ok_or("a subscription has ended")? {
            Ok(message) => came.add(&message)?,
            Err(Error::Lagged { missed, .. }) => {
                came.say()?;
                tell(&Said::Missed { lane, count: missed })?;
            }
            Err(error) => return Err(error.into()),
        }
        if slow_us > 0 {
            pause(slow_us);
        }
    }
}

/// Consumes, lets others have their turn, and consumes again.
fn consume(store: &Store, lane: u64) -> Result<()> {
    let durable = store.channel::<u64>(CHANNEL).durable(READER).ttl(LEASE);
    loop {
        let mut consumer = block_on(durable.consume())?;
        let (token, cursor) = (consumer.token(), consumer.cursor());
        tell(&Said::Consuming { lane, token, cursor, acked: stamp()? })?;
        if turn(&mut consumer, lane, token)? {
            // Its lease may end at this moment.
            let _ = block_on(consumer.stop());
        }
    }
}

/// One turn of a consumer; `false` if he has lost it.
fn turn(consumer: &mut Consumer<u64>, lane: u64, token: u64) -> Result<bool> {
    let mut came = Came { lane, from: 0, numbers: Vec::new() };
    let mut moved = stamp()?;
    for count in 1..=TURN {
        let next = match consumer.next().now_or_never() {
            Some(next) => next,
            None => {
                came.say()?;
                block_on(consumer.next())
            }
        };
        let sequence = match next.ok_or("a durable subscription has ended")? {
            Ok(message) => {
                came.add(&message)?;
                message.sequence()
            }
            Err(Error::Lagged { missed, .. }) => {
                came.say()?;
                tell(&Said::Missed { lane, count: missed })?;
                continue;
            }
            Err(Error::Lost { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        // Who was stopped acknowledges at once: he may not be the consumer any more, and does not know yet.
        let stood_still = stamp()? - std::mem::replace(&mut moved, stamp()?) > STILL_US;
        if (stood_still || count % ACK == 0) && !ack(consumer, sequence, &mut came, token)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What came is said before it is acknowledged.
fn ack(consumer: &mut Consumer<u64>, sequence: u64, came: &mut Came, token: u64) -> Result<bool> {
    came.say()?;
    let begun = stamp()?;
    let well = match block_on(consumer.ack(sequence)) {
        Ok(()) => true,
        Err(Error::Fenced { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    tell(&Said::Acked { lane: came.lane, token, sequence, begun, well })?;
    Ok(well)
}
