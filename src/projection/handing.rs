//! Dead letters that were revived, on their way to whoever has their partition.
//!
//! They stand in one queue, whatever their partition. If who pops one has not got it, he hands it to who has, if that one works
//! for the same reactor; if not he gives it back, for the other reactors, and rests. If he handed none over, several who work for
//! one reactor would take what is another's of them and give it back, again and again.

use std::future::pending;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::mpsc::{self, Receiver, Sender};

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::storage::partition::Partition;

use super::letters::{self, DeadLetter};
use super::session::Session;
use crate::job::Job;

type Letter = Job<DeadLetter>;

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
        // No more than one is under way, for each is claimed meanwhile.
        let (way, handed) = mpsc::channel(1);
        self.all().push((partition, way));
        Inbox { exchange: self, partition, handed: handed.into() }
    }
}

/// What is handed to one of them. What is still in it at the end is given back.
pub(super) struct Inbox<'a> {
    exchange: &'a Exchange,
    partition: Partition,
    handed: tokio::sync::Mutex<Receiver<Letter>>,
}

impl Inbox<'_> {
    /// The next letter of the partition. Dropped before it is there it has taken none.
    pub(super) async fn next(&self, session: &Session<'_>) -> Result<Letter> {
        let runtime = session.runtime();
        loop {
            let letter = match select(pin!(self.handed()), pin!(session.letters.pop())).await {
                Either::Left((letter, _)) => return Ok(letter),
                // It is none: who has popped it has it tried again later, and it goes to the dead letters in the end.
                Either::Right((Err(Error::Decode { .. }), _)) => continue,
                Either::Right((letter, _)) => letter?,
            };
            if self.partition.holds(&letter.stream) {
                return Ok(letter);
            }
            if let Some(way) = self.exchange.way_of(&letter) {
                match select(pin!(self.handed()), pin!(way.reserve())).await {
                    // What could not be handed over yet is given back by being dropped.
                    Either::Left((own, _)) => return Ok(own),
                    Either::Right((Ok(room), _)) => {
                        room.send(letter);
                        continue;
                    }
                    // He takes no more.
                    Either::Right((Err(_), _)) => {}
                }
            }
            letters::ended(letter.release().await)?;
            let random = runtime.seams().rng.uuid().as_u128() as u32;
            if let Either::Left((letter, _)) = select(pin!(self.handed()), runtime.timer(rest(random))).await
            {
                return Ok(letter);
            }
        }
    }

    async fn handed(&self) -> Letter {
        match self.handed.lock().await.recv().await {
            Some(letter) => letter,
            // Never: there is a way to it as long as it is there.
            None => pending().await,
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
