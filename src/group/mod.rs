//! Groups: a durable subscription that several consumers share, each message for one of them, those of a key in order.
//!
//! - `part`: which part of the channel a message belongs to;
//! - `balance`: whoever sees to a consumer's parts;
//! - `hand`: what a consumer has at hand;
//! - `member`: the consumer.

mod balance;
mod hand;
mod member;
#[cfg(test)]
mod model;
mod part;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use millpond_actors::error::{Error, Result};
use millpond_actors::feed::From;
use millpond_actors::limits::{GROUP_MEMBERS, GROUP_PARTS};
use millpond_actors::lock::{Shape, Wait};
use millpond_actors::reply::Reply;

use self::balance::{Balancer, Locks};
use self::hand::Shared;
use self::member::About;
pub use self::member::{Delivery, Member};
use crate::feed::{Cursor, Feed};
use crate::lock::{Lock, LockGuard};

/// A durable subscription of a channel that a group of consumers shares, in any processes. A handle: cheap to clone, no I/O
/// to make one.
///
/// - **Each message goes to one of them, at least once.** It comes until somebody has [acknowledged](Delivery::ack) it; then
///   it comes to nobody any more. Whatever is done with a message has to bear that it is done again.
/// - **Messages of one [key](crate::Stamp::key) are handled one after the other**, in the order of their sequences: the next
///   is handed out when the one before it was acknowledged. Messages without a key are in no order.
/// - **Consumers share the work among themselves**, and anew whenever one comes or goes: the channel is divided into 32
///   parts by the keys of its messages, and each has as many parts as the others, or one more. Whoever comes gets his as
///   soon as what is handed out of them has been acknowledged. More than 32 consumers have nothing to do.
/// - **Whoever dies is followed at once**: others get his parts, and what he had not acknowledged. One that was stopped for
///   longer than the time to live is fenced: what he acknowledges then is [`Error::Fenced`] and changes nothing.
/// - **The [cursor](Group::cursor) only grows**: all messages up to it have been acknowledged, in whatever order that came.
/// - **Retention does not wait for it**: what was removed before anybody had acknowledged it is told as [`Error::Lagged`], to
///   one of the consumers.
///
/// It is made of what a [`Durable`](crate::Durable) is made of, and has its name beside theirs: one name is the one or the
/// other, and the first use decides ([`Error::UsedOtherwise`]). Its members are the holders of a semaphore named
/// `channel/NAME/GROUP`, and each part is a lock, `channel/NAME/GROUP/00` to `31`, so that `millpond lock list` shows who has
/// what.
///
/// # Examples
/// ```
/// use millpond::{Stamp, Store};
/// # futures_executor::block_on(async {
/// let store = Store::memory().await?;
/// let orders = store.channel::<String>("orders");
/// orders.publish_with(&"a lamp".to_owned(), Stamp::new().key("order-17")).await?;
/// orders.publish_with(&"no, two".to_owned(), Stamp::new().key("order-17")).await?;
/// let billing = orders.group("billing");
/// let mut member = billing.join().await?;
/// while let Some(order) = member.next().await {
///     let order = order?;
///     // ... write the bill ...
///     let last = order.sequence() == 2;
///     order.ack().await?;
///     if last {
///         break;
///     }
/// }
/// assert_eq!(billing.cursor().await?, Some(2));
/// member.leave().await?;
/// # store.close().await
/// # }).unwrap();
/// ```
pub struct Group<T> {
    cursor: Cursor,
    ttl: Option<Duration>,
    value: PhantomData<fn() -> T>,
}

impl<T> Clone for Group<T> {
    fn clone(&self) -> Group<T> {
        Group { cursor: self.cursor.clone(), ttl: self.ttl, value: PhantomData }
    }
}

impl<T> fmt::Debug for Group<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

impl<T> Group<T> {
    pub(crate) fn new(feed: &Feed, name: &str) -> Group<T> {
        Group { cursor: Cursor::new(feed, name), ttl: None, value: PhantomData }
    }

    /// Where it begins if the store does not know it yet: with the oldest message that is kept unless set.
    #[must_use]
    pub fn starting(mut self, start: From) -> Group<T> {
        self.cursor.start = start;
        self
    }

    /// Sets the time to live of the leases that a consumer holds: 10 ms to 365 days, 60 s unless set. It matters only for a
    /// process that is stopped.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Group<T> {
        self.ttl = Some(ttl);
        self
    }

    /// Joins the group, as one consumer more. Cancel-safe.
    ///
    /// # Errors
    /// A bad name, also together with the channel's above 500 bytes; [`Error::InvalidDuration`]; [`Error::UsedOtherwise`] if
    /// the name is that of a [durable subscription](crate::Channel::durable); [`Error::Overloaded`] for more than 1,000
    /// consumers; [`Error::Busy`]; what the database said.
    pub async fn join(&self) -> Result<Member<T>> {
        let locks = self.locks()?;
        let membership = locks.members.try_acquire().await?.ok_or_else(full)?;
        let (_, last) = self.cursor.begin().await?;
        self.member(locks, membership, last)
    }

    /// The same for a thread that waits.
    pub(crate) fn join_blocking(&self) -> Result<Member<T>> {
        let locks = self.locks()?;
        let membership = locks.members.request_blocking(Wait::No)?.ok_or_else(full)?;
        let (_, last) = self.cursor.begin_blocking()?;
        self.member(locks, membership, last)
    }

    /// Up to which message all have been acknowledged; `None` if the store does not know the group.
    ///
    /// # Errors
    /// A bad name; what the database said.
    pub async fn cursor(&self) -> Result<Option<u64>> {
        self.cursor.stands().await
    }

    pub(crate) fn cursor_blocking(&self) -> Result<Option<u64>> {
        self.cursor.stands_blocking()
    }

    /// Has the store forget what was acknowledged. Whether it knew the group. Consumers that go on can acknowledge nothing
    /// more.
    ///
    /// # Errors
    /// A bad name; [`Error::Busy`]; what the database said.
    pub async fn remove(&self) -> Result<bool> {
        self.cursor.remove().await
    }

    pub(crate) fn remove_blocking(&self) -> Result<bool> {
        self.cursor.remove_blocking()
    }

    fn locks(&self) -> Result<Locks> {
        self.cursor.check()?;
        let (runtime, name) = (Arc::clone(&self.cursor.feed.runtime), self.cursor.lock_name());
        let lock = |name: &str| {
            let lock = Lock::new(Arc::clone(&runtime), name);
            self.ttl.map_or_else(|| lock.clone(), |ttl| lock.clone().ttl(ttl))
        };
        let members = lock(&name).shaped(Ok(Shape { capacity: GROUP_MEMBERS, weight: 1 }));
        let parts: Vec<Lock> = (0..GROUP_PARTS).map(|part| lock(&format!("{name}/{part:02}"))).collect();
        // Their names are longer.
        parts.iter().try_for_each(|part| part.checked().map(drop))?;
        let (channel, subscription) = (self.cursor.feed.name.clone()?, self.cursor.name.clone()?);
        Ok(Locks { runtime, channel, subscription, members, parts })
    }

    fn member(&self, locks: Locks, membership: LockGuard, last: u64) -> Result<Member<T>> {
        let Locks { runtime, channel, subscription, .. } = locks.clone();
        let tail = runtime.feeds().tail(self.cursor.feed.kind, &channel);
        let (shared, token, (done, answer)) = (Shared::default(), membership.token(), Reply::future());
        let about = About { runtime: Arc::clone(&runtime), channel, subscription };
        let member = Member::new(about, (tail, last + 1), shared.clone(), token, answer)?;
        if !runtime.spawn(Balancer::new(locks, shared, membership).live(done)) {
            return Err(Error::Closed);
        }
        Ok(member)
    }
}

/// As many consume already as may.
fn full() -> Error {
    Error::Overloaded { what: "the group", limit: GROUP_MEMBERS.into() }
}
