//! Dead letters that were revived, on their way to whoever has their partition.
//!
//! They stand in one queue, whatever their partition, and each partition of a reactor pops from it. A partition that pops another's
//! letter hands it over, if the same reactor has that one; if not it gives the letter back, for the other reactors, and rests. If
//! none were handed over, the partitions of one reactor would pop each other's letters and give them back, again and again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::storage::partition::Partition;

use super::letters::{self, DeadLetter};
use super::session::Session;
use crate::job::Job;

type Letter = Job<DeadLetter>;

/// So many letters wait to be taken by one partition, at most: they are claimed meanwhile.
const UNDERWAY: usize = 16;

/// The partitions of one reactor that take letters, each with the way to its inbox.
#[derive(Default)]
pub(super) struct Exchange(Mutex<Vec<(Partition, Sender<Letter>)>>);

impl Exchange {
    fn all(&self) -> MutexGuard<'_, Vec<(Partition, Sender<Letter>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a letter to its partition. It comes back if that is not one of these, or has no room.
    fn hand(&self, letter: Letter) -> Option<Letter> {
        // Under the lock, so that nothing comes into an inbox that has just been closed.
        let all = self.all();
        let Some((_, way)) = all.iter().find(|(partition, _)| partition.holds(&letter.stream)) else {
            return Some(letter);
        };
        match way.try_send(letter) {
            Ok(()) => None,
            Err(TrySendError::Full(letter) | TrySendError::Closed(letter)) => Some(letter),
        }
    }

    /// An inbox for the letters of a partition, which is closed until it [takes](Inbox::takes) some.
    pub(super) fn inbox(&self, partition: Partition) -> Inbox<'_> {
        let (way, handed) = mpsc::channel(UNDERWAY);
        Inbox { exchange: self, partition, way, handed: Mutex::new(handed) }
    }
}

/// What one partition is handed.
pub(super) struct Inbox<'a> {
    exchange: &'a Exchange,
    partition: Partition,
    way: Sender<Letter>,
    handed: Mutex<Receiver<Letter>>,
}

impl Inbox<'_> {
    /// From now on letters are handed over to it, or none: what is in it then is given back, and no attempt counts for it.
    pub(super) fn takes(&self, letters: bool) {
        let mut all = self.exchange.all();
        let place = all.iter().position(|(partition, _)| *partition == self.partition);
        match (letters, place) {
            (true, None) => all.push((self.partition, self.way.clone())),
            (false, Some(place)) => {
                all.swap_remove(place);
                let mut handed = self.handed();
                while let Ok(letter) = handed.try_recv() {
                    letter.give_back();
                }
            }
            _ => {}
        }
    }

    fn handed(&self) -> MutexGuard<'_, Receiver<Letter>> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A letter that another partition has popped.
    pub(super) fn poll_handed(&self, context: &mut Context<'_>) -> Poll<Letter> {
        // It does not end: there is a way to it here.
        match self.handed().poll_recv(context) {
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
            let Some(letter) = self.exchange.hand(letter) else { continue };
            letters::ended(letter.release().await)?;
            let random = runtime.seams().rng.uuid().as_u128() as u32;
            let _ = runtime.timer(rest(random)).await;
        }
    }
}

impl Drop for Inbox<'_> {
    fn drop(&mut self) {
        self.takes(false);
    }
}

/// How long a letter that was given back is left to others. Partitions that rest for the same time would come back together, and may
/// then pop each other's letters again, for ever.
fn rest(random: u32) -> Duration {
    limits::TRY_AGAIN / 2 + limits::TRY_AGAIN.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;
    use uuid::Uuid;

    use super::*;
    use crate::Store;
    use crate::queue::Queue;

    async fn popped(letters: &Queue<DeadLetter>) -> Letter {
        let letter = DeadLetter {
            position: 1,
            stream: "a-1".into(),
            version: 1,
            event_type: "Placed".into(),
            id: Uuid::nil(),
            generation: 1,
        };
        letters.push(&letter).await.unwrap();
        letters.pop().await.unwrap()
    }

    #[test]
    fn what_nobody_has_taken_from_an_inbox_is_given_back_and_no_attempt_counts() {
        block_on(async {
            let store = Store::memory().await.unwrap();
            let letters = store.queue("letters");
            let exchange = Exchange::default();
            let inbox = exchange.inbox(Partition::WHOLE);
            let letter = exchange.hand(popped(&letters).await).expect("it takes none yet");
            inbox.takes(true);
            assert!(exchange.hand(letter).is_none());
            inbox.takes(false);
            let letter = letters.pop().await.unwrap();
            assert_eq!(letter.attempt(), 1);
            inbox.takes(true);
            assert!(exchange.hand(letter).is_none());
            drop(inbox);
            let letter = letters.pop().await.unwrap();
            assert_eq!(letter.attempt(), 1);
            assert!(exchange.hand(letter).is_some());
        });
    }

    #[test]
    fn an_inbox_that_is_full_takes_no_more_and_keeps_nobody_waiting() {
        block_on(async {
            let store = Store::memory().await.unwrap();
            let letters = store.queue("letters");
            let exchange = Exchange::default();
            let inbox = exchange.inbox(Partition::WHOLE);
            inbox.takes(true);
            for _ in 0..UNDERWAY {
                assert!(exchange.hand(popped(&letters).await).is_none());
            }
            assert!(exchange.hand(popped(&letters).await).is_some());
        });
    }
}
