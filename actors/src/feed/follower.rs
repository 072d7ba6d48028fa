//! Somebody who follows a feed: which message he wants next, and what he has at hand.

use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::tail::{Batch, Sight, Tail};
use crate::error::{Error, Result};
use crate::reply::Answer;
use crate::storage::feed::{Message, Page};

/// A message at hand. All who follow share it.
#[derive(Clone, Debug)]
pub struct Seen {
    batch: Arc<Batch>,
    index: usize,
}

impl Deref for Seen {
    type Target = Message;

    fn deref(&self) -> &Message {
        let found = self.batch.page.messages.get(self.index).and_then(|(_, found)| found.as_ref().ok());
        found.unwrap_or_else(|| unreachable!("only what is there is made a `Seen` of"))
    }
}

/// One who follows. It holds one page at most, which it mostly shares with others, and has one under way.
///
/// Nothing is lost by dropping a poll: what it has asked for stays with it.
#[derive(Debug)]
pub struct Follower {
    tail: Arc<Tail>,
    /// Its number at the tail.
    number: u64,
    next: u64,
    at_hand: Option<(Arc<Batch>, usize)>,
    behind: Option<Answer<Page>>,
    ended: bool,
}

impl Follower {
    /// One who wants all messages from this sequence on.
    ///
    /// # Errors
    /// [`Error::Overloaded`] if too many follow already.
    pub fn new(tail: Arc<Tail>, next: u64) -> Result<Follower> {
        let number = tail.follow()?;
        Ok(Follower { tail, number, next, at_hand: None, behind: None, ended: false })
    }

    /// The sequence of the message that it wants next.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The next message, or what has happened to it; `None` after the store was closed.
    ///
    /// [`Error::Lagged`] says how many messages were removed before they were read, a damaged one is
    /// [`Error::Corrupt`] in its place, and after both it goes on. [`Error::Closed`] is the last.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Seen>>> {
        loop {
            if let Some(found) = self.take() {
                return Poll::Ready(Some(found));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            if let Some(answer) = &mut self.behind {
                let Poll::Ready(page) = Pin::new(answer).poll(context) else { return Poll::Pending };
                self.behind = None;
                match page {
                    Ok(page) => match Batch::new(self.next, page) {
                        Some(batch) => self.accept(Arc::new(batch)),
                        None => return Poll::Ready(Some(Err(self.gone_back()))),
                    },
                    Err(error) => return Poll::Ready(Some(Err(error))),
                }
                continue;
            }
            match self.tail.poll(self.number, self.next, context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Sight::Here(batch)) => self.accept(batch),
                Poll::Ready(Sight::Behind) => match self.tail.read_behind(self.next) {
                    Ok(answer) => self.behind = Some(answer),
                    Err(error) => {
                        self.ended = error == Error::Closed;
                        return Poll::Ready(Some(Err(error)));
                    }
                },
                Poll::Ready(Sight::Closed) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(Error::Closed)));
                }
            }
        }
    }

    fn accept(&mut self, batch: Arc<Batch>) {
        let at = batch.page.messages.partition_point(|(place, _)| *place < self.next);
        self.at_hand = Some((batch, at));
    }

    /// What can be said of what is at hand.
    fn take(&mut self) -> Option<Result<Seen>> {
        let (batch, index) = self.at_hand.as_mut()?;
        let first = batch.page.first;
        if self.next < first && self.next >= batch.from {
            let missed = first - self.next;
            self.next = first;
            return Some(Err(lagged(&self.tail, missed)));
        }
        let Some((place, found)) = batch.page.messages.get(*index) else {
            self.next = self.next.max(batch.to + 1);
            self.at_hand = None;
            return None;
        };
        let seen = Seen { batch: Arc::clone(batch), index: *index };
        *index += 1;
        self.next = place + 1;
        Some(found.as_ref().map(|_| seen).map_err(Clone::clone))
    }

    /// The store knew of more messages than it has.
    fn gone_back(&self) -> Error {
        let (kind, name) = self.tail.of();
        let detail = "it was there, and is not any more".to_owned();
        Error::Corrupt { kind: kind.word(), name: name.to_string(), sequence: self.next, detail }
    }
}

fn lagged(tail: &Tail, missed: u64) -> Error {
    let (kind, name) = tail.of();
    Error::Lagged { kind: kind.word(), name: name.to_string(), missed }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.tail.leave(self.number);
    }
}
