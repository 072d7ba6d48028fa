//! What comes: a stream of the messages that are appended to a log or published to a channel.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use serde::de::DeserializeOwned;

use millpond_actors::channel::Seat;
use millpond_actors::error::{Error, Result};
use millpond_actors::feed::{self, Follower, Place, Seen};
use millpond_actors::name::Name;
use millpond_actors::reply;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::feed::Kind;
use millpond_actors::storage::filter::Matcher;
use millpond_actors::thread;

use super::{Feed, Message};
use crate::filter::{Where, fields};

/// So many messages that nobody wants are passed over before others may run.
const PASSED_AT_ONCE: usize = 256;

/// Where they come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// The end of a log.
    Log(Follower),
    /// The actor of a channel.
    Channel(Seat),
}

impl From<Seat> for Source {
    fn from(seat: Seat) -> Source {
        Source::Channel(seat)
    }
}

/// Messages from some place on, in order, each once, without a gap, as they are committed.
///
/// - It is read **from the store**, in bounded memory: one page at hand, which it mostly shares with the others, and one
///   under way. A slow consumer reads on from the store where it is, and holds up neither publishers nor others.
/// - [`Error::Lagged`] says exactly how many messages retention had removed before they were read; the subscription goes on
///   with the first that is kept. Nothing else is ever left out in silence. A damaged message is [`Error::Corrupt`] and one
///   that cannot be decoded [`Error::Decode`], in its place; the subscription goes on behind it.
/// - What another process commits comes within 150 ms and a commit at the latest, mostly at once.
/// - **When the store is closed** it gives [`Error::Closed`] once, and then ends.
/// - Cancel-safe: a dropped `next` loses no message.
#[must_use = "messages come when they are asked for"]
pub struct Subscription<T> {
    // Before the runtime, which ends with its last owner.
    source: Source,
    kind: Kind,
    name: Result<Name>,
    /// What it has to be like, if not everything comes.
    wanted: Option<Matcher>,
    runtime: Arc<Runtime>,
    value: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<T> Subscription<T> {
    pub(crate) fn new(feed: &Feed, source: Source) -> Subscription<T> {
        let (kind, name, runtime) = (feed.kind, feed.name.clone(), Arc::clone(&feed.runtime));
        Subscription { source, kind, name, wanted: None, runtime, value: PhantomData }
    }

    /// Only those whose values are so; the others are passed over before they are decoded. An error comes in any case.
    ///
    /// # Errors
    /// What is wrong with the filter. The subscription is gone then.
    ///
    /// # Examples
    /// ```
    /// use millpond::{From, Store, field};
    /// # futures_executor::block_on(async {
    /// let heat = Store::memory().await?.log::<f64>("heat");
    /// let mut hot = heat.follow(From::Now).await?.matching(field(".").more(30))?;
    /// heat.append_all(&[21.0, 30.0, 30.5]).await?;
    /// assert_eq!(hot.next().await.expect("the store is open")?.sequence(), 3);
    /// # Ok::<(), millpond::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn matching(self, filter: Where) -> Result<Subscription<T>> {
        let wanted = Some(Matcher::new(&*filter.filter()?, fields()));
        Ok(Subscription { wanted, ..self })
    }

    /// Sequence of the message that comes next, unless it is removed before.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        match &self.source {
            Source::Log(follower) => follower.next(),
            Source::Channel(seat) => seat.next(),
        }
    }
}

impl<T: DeserializeOwned> Subscription<T> {
    /// The next message, waited for without limit; `None` after the end.
    ///
    /// Cancel-safe: a dropped future loses no message.
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

    fn decode(&self, found: Result<Seen>) -> Result<Message<T>> {
        found.and_then(|seen| Message::decode(self.kind, self.name.as_ref().map_err(Error::clone)?, &seen))
    }
}

impl<T: DeserializeOwned> Stream for Subscription<T> {
    type Item = Result<Message<T>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Message<T>>>> {
        for _ in 0..PASSED_AT_ONCE {
            let found = match &mut self.source {
                Source::Log(follower) => follower.poll_next(context),
                Source::Channel(seat) => seat.poll_next(context),
            };
            let Poll::Ready(found) = found else { return Poll::Pending };
            let is_passed_over = match (&self.wanted, &found) {
                (Some(wanted), Some(Ok(seen))) => !wanted.matches(&seen.data),
                _ => false,
            };
            if !is_passed_over {
                return Poll::Ready(found.map(|found| self.decode(found)));
            }
        }
        // Others of this thread come to run before it goes on.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Feed {
    /// Follows it from some place on: active when this returns. Its last message at that moment comes with it.
    pub(crate) async fn follow<T>(&self, from: feed::From) -> Result<(Subscription<T>, u64)> {
        let (kind, name) = (self.kind, self.name.clone()?);
        from.check()?;
        // Before the look, so that what is committed after it is not missed.
        let tail = self.runtime.feeds().tail(kind, &name);
        let Place { next, first, last } = self.runtime.read(move |view| from.find(kind, &name, view)).await?;
        tail.stands(first, last);
        Ok((Subscription::new(self, Source::Log(Follower::new(tail, next)?)), last))
    }

    /// The same for a thread that waits.
    pub(crate) fn follow_blocking<T>(&self, from: feed::From) -> Result<(Subscription<T>, u64)> {
        let (kind, name) = (self.kind, self.name.clone()?);
        from.check()?;
        let tail = self.runtime.feeds().tail(kind, &name);
        let Place { next, first, last } =
            self.runtime.read_blocking(move |view| from.find(kind, &name, view))?;
        tail.stands(first, last);
        Ok((Subscription::new(self, Source::Log(Follower::new(tail, next)?)), last))
    }
}

impl<T> Subscription<T> {
    pub(super) fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }
}
