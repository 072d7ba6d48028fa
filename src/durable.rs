//! Durable subscriptions: a channel's messages for one consumer at a time, who says what he has done.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use serde::de::DeserializeOwned;

use millpond_actors::batch::Part;
use millpond_actors::error::{Error, Result};
use millpond_actors::feed::From;
use millpond_actors::lock::Wait;
use millpond_actors::reply;
use millpond_actors::storage::lock::Fence;
use millpond_actors::storage::subscription::{Move, Moved};
use millpond_actors::thread;

use crate::batch::Batch;
use crate::feed::{Cursor, Feed, Message, Subscription};
use crate::lock::{Lock, LockGuard};

/// A named subscription of a channel that the store remembers. A handle: cheap to clone, no I/O to make one.
///
/// - **At least once, in order, without a gap.** The store keeps a cursor: the last message that a consumer has
///   [acknowledged](Consumer::ack). Whoever consumes next, after a crash too, begins with the one behind it. So a message may
///   come again that was dealt with and not acknowledged; whatever is done with it has to bear that.
/// - **One consumer at a time**, over all processes; others who want to consume wait in line, first come, first served. It is
///   a [lock](Lock), named `channel/NAME/SUBSCRIPTION`, that a consumer holds: when his process dies the next one goes on at
///   once, and when it was stopped for longer than the time to live.
/// - **Fenced**: a consumer that was stopped past his lease can acknowledge nothing more, which is
///   [`Error::Fenced`]: the cursor is moved only in a transaction in which his token is the current one.
/// - **The cursor never moves back**, except by [`Consumer::seek`].
/// - **Retention does not wait for it**: what was removed before it was read is told as [`Error::Lagged`].
///
/// # Examples
/// ```
/// use millpond::Store;
/// # futures_executor::block_on(async {
/// let store = Store::memory().await?;
/// let orders = store.channel::<String>("orders");
/// orders.publish_all(&["lamp".to_owned(), "table".to_owned()]).await?;
/// let billing = orders.durable("billing");
/// let mut consumer = billing.consume().await?;
/// let order = consumer.next().await.expect("the store is open")?;
/// assert_eq!(*order, "lamp");
/// consumer.ack(order.sequence()).await?;
/// consumer.stop().await?;
/// let mut again = billing.consume().await?;
/// assert_eq!(*again.next().await.expect("the store is open")?, "table");
/// # store.close().await
/// # }).unwrap();
/// ```
pub struct Durable<T> {
    cursor: Cursor,
    lock: Lock,
    value: std::marker::PhantomData<fn() -> T>,
}

impl<T> Clone for Durable<T> {
    fn clone(&self) -> Durable<T> {
        Durable { cursor: self.cursor.clone(), lock: self.lock.clone(), value: self.value }
    }
}

impl<T> fmt::Debug for Durable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Durable").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

impl<T> Durable<T> {
    pub(crate) fn new(feed: &Feed, name: &str) -> Durable<T> {
        let cursor = Cursor::new(feed, name);
        let lock = Lock::new(Arc::clone(&feed.runtime), &cursor.lock_name());
        Durable { cursor, lock, value: std::marker::PhantomData }
    }

    /// Where it begins if the store does not know it yet: with the oldest message that is kept unless set.
    #[must_use]
    pub fn starting(mut self, start: From) -> Durable<T> {
        self.cursor.start = start;
        self
    }

    /// Sets the time to live of the lease that a consumer holds: 10 ms to 365 days, 60 s unless set. It matters only for
    /// a process that is stopped.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Durable<T> {
        self.lock = self.lock.ttl(ttl);
        self
    }

    /// Waits until nobody else consumes, without limit, and consumes. Cancel-safe.
    ///
    /// # Errors
    /// A bad name, also together with the channel's above 500 bytes; [`Error::Busy`]; what the database said.
    pub async fn consume(&self) -> Result<Consumer<T>> {
        self.cursor.check()?;
        let guard = self.lock.acquire().await?;
        self.begin(guard).await
    }

    /// Consumes if nobody else does or waits for it.
    ///
    /// # Errors
    /// As [`consume`](Durable::consume).
    pub async fn try_consume(&self) -> Result<Option<Consumer<T>>> {
        self.cursor.check()?;
        match self.lock.try_acquire().await? {
            Some(guard) => self.begin(guard).await.map(Some),
            None => Ok(None),
        }
    }

    /// Waits until nobody else consumes, but not longer than `time`. `None`: not in time.
    ///
    /// # Errors
    /// As [`consume`](Durable::consume).
    pub async fn consume_within(&self, time: Duration) -> Result<Option<Consumer<T>>> {
        self.cursor.check()?;
        match self.lock.acquire_within(time).await? {
            Some(guard) => self.begin(guard).await.map(Some),
            None => Ok(None),
        }
    }

    /// The last message that was acknowledged; `None` if the store does not know the subscription.
    ///
    /// # Errors
    /// A bad name; what the database said.
    pub async fn cursor(&self) -> Result<Option<u64>> {
        self.cursor.stands().await
    }

    /// Has the store forget it. Whether it knew it. A consumer that goes on can acknowledge nothing more.
    ///
    /// # Errors
    /// A bad name; [`Error::Busy`]; what the database said.
    pub async fn remove(&self) -> Result<bool> {
        self.cursor.remove().await
    }

    pub(crate) fn consume_blocking(&self, wait: Wait) -> Result<Option<Consumer<T>>> {
        self.cursor.check()?;
        let Some(guard) = self.lock.request_blocking(wait)? else { return Ok(None) };
        let (cursor, _) = self.cursor.begin_blocking()?;
        let (subscription, _) = self.cursor.feed.follow_blocking(From::After(cursor))?;
        Ok(Some(Consumer::new(self, guard, cursor, subscription)))
    }

    pub(crate) fn cursor_blocking(&self) -> Result<Option<u64>> {
        self.cursor.stands_blocking()
    }

    pub(crate) fn remove_blocking(&self) -> Result<bool> {
        self.cursor.remove_blocking()
    }

    async fn begin(&self, guard: LockGuard) -> Result<Consumer<T>> {
        let (cursor, _) = self.cursor.begin().await?;
        let (subscription, _) = self.cursor.feed.follow(From::After(cursor)).await?;
        Ok(Consumer::new(self, guard, cursor, subscription))
    }
}

type Lost = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Whoever consumes a durable subscription: a stream of its messages. Dropping it lets the next one consume, from behind the
/// last message that was acknowledged.
///
/// When the lease was lost it gives [`Error::Lost`] once, and then ends; so it does with [`Error::Closed`] when the store is
/// closed. [`Error::Lagged`], a damaged message and one that cannot be decoded are errors in their place, as in a
/// [`Subscription`].
#[must_use = "the subscription is consumed by nobody else meanwhile"]
pub struct Consumer<T> {
    durable: Durable<T>,
    subscription: Subscription<T>,
    cursor: Arc<AtomicU64>,
    lost: Lost,
    guard: Arc<LockGuard>,
    ended: bool,
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("durable", &self.durable)
            .field("cursor", &self.cursor())
            .finish_non_exhaustive()
    }
}

impl<T> Consumer<T> {
    fn new(
        durable: &Durable<T>,
        guard: LockGuard,
        cursor: u64,
        subscription: Subscription<T>,
    ) -> Consumer<T> {
        let guard = Arc::new(guard);
        let held = Arc::clone(&guard);
        let lost = Box::pin(async move { held.lost().await });
        let cursor = Arc::new(AtomicU64::new(cursor));
        Consumer { durable: durable.clone(), subscription, cursor, lost, guard, ended: false }
    }

    /// The last message that was acknowledged, as far as this consumer knows.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor.load(Ordering::Acquire)
    }

    /// The fencing token of this consumer, for the outside world: larger than that of every consumer before.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.guard.token()
    }

    /// The guard of the lock that he holds, for writes that only the consumer may make
    /// ([`Log::guarded_by`](crate::Log::guarded_by)).
    pub fn guard(&self) -> &LockGuard {
        &self.guard
    }

    /// Says that all messages up to this sequence have been dealt with. What was said before stays said.
    ///
    /// # Errors
    /// [`Error::Fenced`] if he is not the consumer any more; [`Error::InvalidArgument`] for a message that has not come
    /// yet; [`Error::Busy`]; what the database said. The cursor is where it was then.
    pub async fn ack(&mut self, sequence: u64) -> Result<()> {
        let moved = self.movement(sequence, false)?;
        let moved = self.durable.cursor.feed.runtime.write(moved).await?;
        self.moved(moved)
    }

    /// Says in a batch that all messages up to this sequence have been dealt with: if it is committed, with everything else in
    /// it. So what is done about a message to this store takes effect once.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a message that has not come yet, and for a batch of another store;
    /// [`Error::TooLarge`] if it is full. That he is not the consumer any more is the batch's [`Error::Fenced`].
    ///
    /// # Examples
    /// ```
    /// # futures_executor::block_on(async {
    /// let store = millpond::Store::memory().await?;
    /// let (orders, bills) = (store.channel::<u32>("orders"), store.log::<String>("bills"));
    /// orders.publish(&17).await?;
    /// let mut consumer = orders.durable("billing").consume().await?;
    /// let order = consumer.next().await.expect("the store is open")?;
    /// let mut batch = store.batch();
    /// batch.log(&bills, &format!("a bill for order {}", *order))?;
    /// consumer.ack_in(&mut batch, order.sequence())?;
    /// batch.commit().await?;
    /// assert_eq!(consumer.cursor(), 1);
    /// consumer.stop().await?;
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    pub fn ack_in(&self, batch: &mut Batch, sequence: u64) -> Result<()> {
        let (known, fence) = (Arc::clone(&self.cursor), self.guard.fence());
        let part = Part::new(self.movement(sequence, false)?, move |moved| {
            if let Some(Moved::Done { cursor }) = moved {
                known.store(cursor, Ordering::Release);
            }
        });
        let means = move |moved| match moved {
            Moved::Done { .. } => Ok(()),
            Moved::Fenced => Err(Fence::refused(Some(&fence))),
        };
        batch.add::<Move, _>(&self.durable.cursor.feed.runtime, (part, 0), means).map(drop)
    }

    /// Moves the cursor, back too, and goes on behind it.
    ///
    /// # Errors
    /// As [`ack`](Consumer::ack), but any sequence is taken.
    pub async fn seek(&mut self, sequence: u64) -> Result<()> {
        From::After(sequence).check()?;
        let moved = self.movement(sequence, true)?;
        let moved = self.durable.cursor.feed.runtime.write(moved).await?;
        self.moved(moved)?;
        self.subscription = self.durable.cursor.feed.follow(From::After(sequence)).await?.0;
        Ok(())
    }

    /// Lets the next one consume, and tells whether the lease was still held.
    ///
    /// # Errors
    /// [`Error::Lost`] if it was not; what the database said.
    pub async fn stop(self) -> Result<()> {
        match self.into_guard() {
            Some(guard) => guard.release().await,
            None => Ok(()),
        }
    }

    pub(crate) fn ack_blocking(&mut self, sequence: u64) -> Result<()> {
        let moved = self.movement(sequence, false)?;
        let moved = self.durable.cursor.feed.runtime.write_blocking(moved)?;
        self.moved(moved)
    }

    pub(crate) fn seek_blocking(&mut self, sequence: u64) -> Result<()> {
        From::After(sequence).check()?;
        let moved = self.movement(sequence, true)?;
        let moved = self.durable.cursor.feed.runtime.write_blocking(moved)?;
        self.moved(moved)?;
        self.subscription = self.durable.cursor.feed.follow_blocking(From::After(sequence))?.0;
        Ok(())
    }

    pub(crate) fn into_guard(self) -> Option<LockGuard> {
        let Consumer { guard, lost, .. } = self;
        drop(lost);
        Arc::into_inner(guard)
    }

    fn movement(&self, cursor: u64, back: bool) -> Result<Move> {
        if !back && cursor >= self.subscription.next_sequence() {
            let what = format!("an acknowledgement of message {cursor}");
            return Err(Error::InvalidArgument { what, reason: "it has not come yet".into() });
        }
        let (feed, subscription, fence) =
            (self.durable.cursor.target()?, self.durable.cursor.name.clone()?, self.guard.fence());
        Ok(Move { kind: self.durable.cursor.feed.kind, feed, subscription, cursor, back, fence })
    }

    fn moved(&mut self, moved: Moved) -> Result<()> {
        match moved {
            Moved::Done { cursor } => {
                self.cursor.store(cursor, Ordering::Release);
                Ok(())
            }
            Moved::Fenced => {
                Err(Error::Fenced { lock: self.guard.name().to_owned(), token: self.guard.token() })
            }
        }
    }

    /// That he consumes no more.
    fn loss(&self) -> Error {
        if self.durable.cursor.feed.runtime.is_closed() {
            return Error::Closed;
        }
        Error::Lost { lock: self.guard.name().to_owned(), ticket: self.guard.token() }
    }
}

impl<T: DeserializeOwned> Consumer<T> {
    /// The next message, waited for without limit; `None` after the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Message<T>>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// The next message for a thread that waits.
    pub(crate) fn next_blocking(&mut self) -> Option<Result<Message<T>>> {
        if thread::is_ours() {
            return Some(Err(Error::WouldDeadlock));
        }
        reply::wait_until(|context| Pin::new(&mut *self).poll_next(context))
    }
}

/// Nothing in it is pinned but what has a box of its own.
impl<T> Unpin for Consumer<T> {}

impl<T: DeserializeOwned> Stream for Consumer<T> {
    type Item = Result<Message<T>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Message<T>>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        if this.lost.as_mut().poll(context).is_ready() {
            this.ended = true;
            return Poll::Ready(Some(Err(this.loss())));
        }
        let Poll::Ready(found) = Pin::new(&mut this.subscription).poll_next(context) else {
            return Poll::Pending;
        };
        this.ended = found.is_none();
        Poll::Ready(found)
    }
}
