//! A consumer of a group, and what it hands out.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use serde::de::DeserializeOwned;

use millpond_actors::error::{Error, Result};
use millpond_actors::feed::{Follower, Tail};
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::reply::{self, Answer};
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::feed::{Kind, Query};
use millpond_actors::storage::subscription::{Acknowledge, Acknowledged, Moved, PassOver, Span};
use millpond_actors::storage::{Target, View};
use millpond_actors::thread;

use super::hand::{Handed, Read, Shared};
use crate::feed::Message;

const KIND: Kind = Kind::Channel;

/// Which subscription it is about.
#[derive(Clone)]
pub(super) struct About {
    pub(super) runtime: Arc<Runtime>,
    pub(super) channel: Name,
    pub(super) subscription: Name,
}

impl About {
    fn target(&self) -> Target {
        Target { name: self.channel.clone(), id: None }
    }

    fn acknowledge(&self, handed: &Handed) -> Acknowledge {
        let (kind, feed, subscription) = (KIND, self.target(), self.subscription.clone());
        let (sequence, fence) = (handed.sequence, handed.fence.clone());
        Acknowledge { kind, feed, subscription, sequence, fence }
    }

    fn pass_over(&self) -> PassOver {
        PassOver { kind: KIND, feed: self.target(), subscription: self.subscription.clone() }
    }
}

/// One who consumes in a [group](crate::Group): a stream of the messages that are his. Each has to be
/// [acknowledged](Delivery::ack).
///
/// - It hands out what waits in its parts of the channel, the oldest message first whose key is not handed out. So messages
///   of one key come one after the other, each when the one before it was acknowledged; those of others may be handed out,
///   dealt with and acknowledged meanwhile, in any order.
/// - It has at most 256 messages of each of the 32 parts at hand, and 256 KiB of each that wait; one that is neither
///   acknowledged nor dropped holds up its part when so many have come behind it.
/// - [`Error::Lagged`] says how many messages retention removed that nobody in the group had acknowledged, once for the
///   whole group. A damaged message is [`Error::Corrupt`] and one that cannot be decoded [`Error::Decode`]; it counts as
///   acknowledged then, and the stream goes on.
/// - When the membership was lost, because the process was stopped past its lease, it gives [`Error::Lost`] once, and then
///   ends; so it does with [`Error::Closed`] when the store is closed. Join again then.
/// - Dropping it hands its parts on at once, and what it has not acknowledged comes again, to others.
#[must_use = "the group takes messages for it meanwhile"]
pub struct Member<T> {
    // Before the runtime, which ends with its last owner.
    follower: Follower,
    tail: Arc<Tail>,
    about: About,
    shared: Shared,
    page: Option<Answer<Read>>,
    work: Option<Work>,
    done: Option<Answer<()>>,
    token: u64,
    ended: bool,
    value: PhantomData<fn() -> T>,
}

/// Something that has to be written before it goes on.
type Work = Pin<Box<dyn Future<Output = Result<Option<Error>>> + Send>>;

impl<T> fmt::Debug for Member<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("token", &self.token).finish_non_exhaustive()
    }
}

/// Nothing in it is pinned but what has a box of its own.
impl<T> Unpin for Member<T> {}

impl<T> Member<T> {
    pub(super) fn new(
        about: About,
        (tail, next): (Arc<Tail>, u64),
        shared: Shared,
        token: u64,
        done: Answer<()>,
    ) -> Result<Member<T>> {
        let follower = Follower::new(Arc::clone(&tail), next)?;
        let (page, work, done) = (None, None, Some(done));
        Ok(Member {
            follower,
            tail,
            about,
            shared,
            page,
            work,
            done,
            token,
            ended: false,
            value: PhantomData,
        })
    }

    /// The fencing token of its membership, which no other consumer of the group has or had.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.token
    }

    /// How many of the group's 32 parts it has at this moment. It changes as others come and go.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.shared.hand().count()
    }

    /// Leaves the group: its parts are the others' when this returns. What it has handed out and was not acknowledged comes
    /// again, to them.
    ///
    /// # Errors
    /// [`Error::Lost`] if it was no member any more; what the database said.
    pub async fn leave(mut self) -> Result<()> {
        self.end();
        match self.done.take() {
            Some(done) => done.await,
            None => Ok(()),
        }
    }

    /// The same for a thread that waits.
    pub(crate) fn leave_blocking(mut self) -> Result<()> {
        if thread::is_ours() {
            return Err(Error::WouldDeadlock);
        }
        self.end();
        let Some(mut done) = self.done.take() else { return Ok(()) };
        reply::wait_until(|context| Pin::new(&mut done).poll(context))
    }

    fn end(&self) {
        self.shared.change(|hand| hand.end(Error::Closed));
    }

    /// Reads on from a message for parts that are behind.
    fn read(&mut self, from: u64) -> Result<()> {
        let number = Some(self.shared.hand().begin_read());
        let About { channel, subscription, .. } = self.about.clone();
        let look = move |view: &mut dyn View| {
            let (name, to, limit) = (channel.clone(), u64::MAX, limits::PAGE_ROWS);
            let query = Query {
                kind: KIND,
                name,
                backward: false,
                from,
                to,
                since: None,
                until: None,
                content: None,
                limit,
            };
            let page = view.feed_page(&query)?;
            let looked_at = page.messages.last().map_or(0, |(place, _)| *place).max(page.last.unwrap_or(0));
            let end = if page.more { looked_at } else { looked_at.max(page.head) };
            let to = end.max(page.first.saturating_sub(1)).max(from.saturating_sub(1));
            let within = Span { first: from, last: to };
            let acknowledged = view.acknowledged(KIND, &channel, &subscription, within)?;
            let acknowledged = acknowledged.unwrap_or_else(nothing);
            let removed = page.first > from && page.first > acknowledged.cursor + 1;
            Ok(Read { number, from, to, messages: page.messages, acknowledged, removed })
        };
        self.page = Some(self.about.runtime.read_ahead(look)?);
        Ok(())
    }

    /// What has come just now: one message.
    fn come(&self, sequence: u64, found: Result<millpond_actors::storage::feed::Message>) {
        let (number, messages) = (None, vec![(sequence, found)]);
        let read =
            Read { number, from: sequence, to: sequence, messages, acknowledged: nothing(), removed: false };
        self.shared.hand().take(read);
    }

    /// Has the cursor pass over what was removed. Whoever does it first tells how much it was.
    fn pass_over(&self) -> Work {
        let about = self.about.clone();
        Box::pin(async move {
            let missed = about.runtime.write(about.pass_over()).await?;
            let name = about.channel.to_string();
            Ok((missed > 0).then(|| Error::Lagged { kind: KIND.word(), name, missed }))
        })
    }

    /// What cannot be read is done with.
    fn dismiss(&self, handed: Handed) -> Work {
        let (about, shared) = (self.about.clone(), self.shared.clone());
        Box::pin(async move {
            acknowledged(&shared, &handed, about.runtime.write(about.acknowledge(&handed)).await)
                .map(|()| None)
        })
    }

    /// The end: its reason, once.
    fn finish(&mut self, error: Error) -> Option<Result<Delivery<T>>> {
        let told = std::mem::replace(&mut self.ended, true);
        (!told).then_some(Err(error))
    }
}

/// As if nothing had been acknowledged.
fn nothing() -> Acknowledged {
    Acknowledged { cursor: 0, beyond: Vec::new() }
}

/// Makes of the store's word on an acknowledgement what it means here.
fn acknowledged(shared: &Shared, handed: &Handed, moved: Result<Moved>) -> Result<()> {
    match moved {
        Ok(Moved::Done { .. }) => {
            shared.change(|hand| hand.done(handed));
            Ok(())
        }
        Ok(Moved::Fenced) => {
            shared.change(|hand| hand.robbed(handed));
            Err(Error::Fenced { lock: handed.fence.name.to_string(), token: handed.fence.token })
        }
        Err(error) => {
            shared.change(|hand| hand.give_back(handed));
            Err(error)
        }
    }
}

impl<T: DeserializeOwned> Member<T> {
    /// The next message, waited for without limit; `None` after the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Delivery<T>>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// The next message for a thread that waits.
    pub(crate) fn next_blocking(&mut self) -> Option<Result<Delivery<T>>> {
        if thread::is_ours() {
            return Some(Err(Error::WouldDeadlock));
        }
        reply::wait_until(|context| Pin::new(&mut *self).poll_next(context))
    }

    /// What can be handed out now.
    fn hand_out(&mut self) -> Option<Result<Delivery<T>>> {
        let handed = self.shared.hand().hand_out()?;
        let found = handed.entry.clone();
        match found.and_then(|record| Message::decode(KIND, &self.about.channel, &record)) {
            Ok(message) => {
                let (about, shared) = (self.about.clone(), self.shared.clone());
                Some(Ok(Delivery { message, about, shared, handed: Some(handed) }))
            }
            Err(error) => {
                self.work = Some(self.dismiss(handed));
                Some(Err(error))
            }
        }
    }

    /// Goes on reading. Ready if there may be something new to hand out, or with what went wrong.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        if let Some(page) = &mut self.page {
            let Poll::Ready(read) = Pin::new(page).poll(context) else { return Poll::Pending };
            self.page = None;
            let read = read?;
            if read.removed {
                self.work = Some(self.pass_over());
            }
            self.shared.hand().take(read);
            return Poll::Ready(Ok(()));
        }
        let (behind, front) = {
            let hand = self.shared.hand();
            (hand.behind(self.follower.next()), hand.front())
        };
        if let Some(from) = behind {
            return Poll::Ready(self.read(from));
        }
        // Nobody wants what comes.
        let Some(front) = front else { return Poll::Pending };
        if front > self.follower.next() {
            self.follower = Follower::new(Arc::clone(&self.tail), front)?;
        }
        let Poll::Ready(Some(found)) = self.follower.poll_next(context) else { return Poll::Pending };
        match found {
            Ok(seen) => self.come(seen.sequence, Ok((*seen).clone())),
            Err(Error::Corrupt { sequence, kind, name, detail }) if sequence < self.follower.next() => {
                self.come(sequence, Err(Error::Corrupt { kind, name, sequence, detail }));
            }
            // The parts are behind now, and see to it.
            Err(Error::Lagged { .. }) => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: DeserializeOwned> Stream for Member<T> {
    type Item = Result<Delivery<T>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Delivery<T>>>> {
        let this = &mut *self;
        loop {
            if let Some(work) = &mut this.work {
                let Poll::Ready(told) = work.as_mut().poll(context) else { return Poll::Pending };
                this.work = None;
                match told {
                    Ok(None) => {}
                    Err(_) if this.about.runtime.is_closed() => this.end(),
                    Ok(Some(error)) | Err(error) => return Poll::Ready(Some(Err(error))),
                }
            }
            let ended = {
                let mut hand = this.shared.hand();
                // Before the look, so that nothing is missed that changes after it.
                hand.consumer = Some(context.waker().clone());
                hand.ended().cloned()
            };
            if let Some(error) = ended {
                return Poll::Ready(this.finish(error));
            }
            if let Some(found) = this.hand_out() {
                return Poll::Ready(Some(found));
            }
            match this.poll_read(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) if this.about.runtime.is_closed() => {
                    this.end();
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

impl<T> Drop for Member<T> {
    fn drop(&mut self) {
        self.end();
    }
}

/// A message that is this consumer's to deal with. It can be used as the [`Message`], and so as the value itself.
///
/// Dropped without being acknowledged, it comes again, before all later ones of its key.
#[must_use = "a message that is not acknowledged comes again"]
pub struct Delivery<T> {
    message: Message<T>,
    about: About,
    shared: Shared,
    handed: Option<Handed>,
}

impl<T> Delivery<T> {
    /// The fencing token of whoever has this message's part of the channel, for the outside world: whoever gets its messages
    /// later has a larger one.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.handed.as_ref().map_or(0, |handed| handed.fence.token)
    }

    /// Says that it was dealt with: it comes to nobody in the group any more.
    ///
    /// # Errors
    /// [`Error::Fenced`] if it is not this consumer's any more: it was or will be given to another one, and nothing is
    /// changed. [`Error::Busy`]; what the database said; it comes again then.
    pub async fn ack(mut self) -> Result<()> {
        let Some(handed) = &self.handed else { return Ok(()) };
        let moved = self.about.runtime.write(self.about.acknowledge(handed)).await;
        self.acknowledged(moved)
    }

    /// The same for a thread that waits.
    pub(crate) fn ack_blocking(mut self) -> Result<()> {
        let Some(handed) = &self.handed else { return Ok(()) };
        let moved = self.about.runtime.write_blocking(self.about.acknowledge(handed));
        self.acknowledged(moved)
    }

    fn acknowledged(&mut self, moved: Result<Moved>) -> Result<()> {
        self.handed.take().map_or(Ok(()), |handed| acknowledged(&self.shared, &handed, moved))
    }
}

impl<T> Deref for Delivery<T> {
    type Target = Message<T>;

    fn deref(&self) -> &Message<T> {
        &self.message
    }
}

impl<T: fmt::Debug> fmt::Debug for Delivery<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("message", &self.message).finish_non_exhaustive()
    }
}

impl<T> Drop for Delivery<T> {
    fn drop(&mut self) {
        if let Some(handed) = self.handed.take() {
            self.shared.change(|hand| hand.give_back(&handed));
        }
    }
}
