//! Dead letters that were revived, on their way to whoever has their partition.
//!
//! They stand in one queue, whatever their partition. If who pops one has not got it, he hands it to who has, if that one works
//! for the same reactor; if not he gives it back, for the other reactors, and rests. If he handed none over, several who work for
//! one reactor would take what is another's of them and give it back, again and again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc::{self, Receiver, Sender};

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::storage::partition::Partition;

use super::letters::{self, DeadLetter};
use super::session::Session;
use crate::job::Job;

type Letter = Job<DeadLetter>;

/// So many letters wait to be taken by one of them, at most: they are claimed meanwhile.
const UNDERWAY: usize = 16;

/// Those who work for one reactor and take letters, each with the way to him.
#[derive(Default)]
pub(super) struct Exchange(Mutex<Vec<(Partition, Sender<Letter>)>>);

impl Exchange {
    fn all(&self) -> MutexGuard<'_, Vec<(Partition, Sender<Letter>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way to who has the partition of a letter, if he is one of these.
    fn way_of(&self, letter: &Letter) -> Option<Sender<Letter>> {
        let all = self.all();
        all.iter().find(|(partition, _)| partition.holds(&letter.stream)).map(|(_, way)| way.clone())
    }

    /// Letters of a partition can be handed over, as long as what this returns is there.
    pub(super) fn open(&self, partition: Partition) -> Inbox<'_> {
        let (way, handed) = mpsc::channel(UNDERWAY);
        self.all().push((partition, way));
        Inbox { exchange: self, partition, handed: Mutex::new(handed) }
    }
}

/// What one of them is handed. What is still in it at the end is given back.
pub(super) struct Inbox<'a> {
    exchange: &'a Exchange,
    partition: Partition,
    handed: Mutex<Receiver<Letter>>,
}

impl Inbox<'_> {
    /// A letter that another one has popped.
    pub(super) fn poll_handed(&self, context: &mut Context<'_>) -> Poll<Letter> {
        let mut handed = self.handed.lock().unwrap_or_else(PoisonError::into_inner);
        // It does not end: the exchange has a way to it as long as it is there.
        match handed.poll_recv(context) {
            Poll::Ready(Some(letter)) => Poll::Ready(letter),
            _ => Poll::Pending,
        }
    }

    /// The next letter of the partition in the queue. Those of other partitions are handed over, or left to others.
    pub(super) async fn pop(&self, session: &Session<'_>) -> Result<Letter> {
        let runtime = session.runtime();
        loop {
            let letter = match session.letters.pop().await {
                // It is none: who has popped it has it tried again later, and it goes to the dead letters in the end.
                Err(Error::Decode { .. }) => continue,
                letter => letter?,
            };
            if self.partition.holds(&letter.stream) {
                return Ok(letter);
            }
            if let Some(way) = self.exchange.way_of(&letter)
                && let Ok(room) = way.reserve().await
            {
                room.send(letter);
                continue;
            }
            letters::ended(letter.release().await)?;
            let random = runtime.seams().rng.uuid().as_u128() as u32;
            let _ = runtime.timer(rest(random)).await;
        }
    }
}

impl Drop for Inbox<'_> {
    fn drop(&mut self) {
        self.exchange.all().retain(|(partition, _)| *partition != self.partition);
    }
}

/// How long a letter that is nobody's of these is left to others. Those who rest for the same time come back together, and may
/// take from each other what each of them has to leave, for ever.
fn rest(random: u32) -> Duration {
    limits::TRY_AGAIN / 2 + limits::TRY_AGAIN.mul_f64(f64::from(random) / f64::from(u32::MAX))
}
