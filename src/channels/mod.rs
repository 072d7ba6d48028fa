//! All channels of a pattern: one subscription to what is published to any of them.

mod reading;

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use serde::de::DeserializeOwned;

use millpond_actors::error::{Error, Result};
use millpond_actors::feed::From;
use millpond_actors::pattern::Pattern;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::feed::Kind;

use self::reading::{Found, Reading};
use crate::feed::Message;
use crate::watching::{self, Watch};

/// The channels whose name is of a pattern, also those that are first used later. A handle: cheap to clone, no I/O to make
/// one.
///
/// `*` stands for any characters: `orders.*` for all names that begin with `orders.`, `*` for all.
///
/// # Examples
/// ```
/// use millpond::Store;
/// # futures_executor::block_on(async {
/// let store = Store::memory().await?;
/// let mut orders = store.channels::<String>("orders.*").subscribe().await?;
/// store.channel("orders.eu").publish(&"lamp".to_owned()).await?;
/// store.channel("orders.us").publish(&"table".to_owned()).await?;
/// let first = orders.next().await.expect("the store is open")?;
/// assert_eq!((first.name(), first.sequence(), first.as_str()), ("orders.eu", 1, "lamp"));
/// let second = orders.next().await.expect("the store is open")?;
/// assert_eq!((second.name(), second.sequence(), second.as_str()), ("orders.us", 1, "table"));
/// # store.close().await
/// # }).unwrap();
/// ```
pub struct Channels<T> {
    runtime: Arc<Runtime>,
    pattern: Result<Pattern>,
    value: PhantomData<fn() -> T>,
}

impl<T> Clone for Channels<T> {
    fn clone(&self) -> Channels<T> {
        Channels { runtime: Arc::clone(&self.runtime), pattern: self.pattern.clone(), value: PhantomData }
    }
}

impl<T> fmt::Debug for Channels<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channels").field("pattern", &self.pattern).finish_non_exhaustive()
    }
}

impl<T> Channels<T> {
    pub(crate) fn new(runtime: Arc<Runtime>, pattern: &str) -> Channels<T> {
        Channels { runtime, pattern: Pattern::new(pattern), value: PhantomData }
    }
}

impl<T: DeserializeOwned> Channels<T> {
    /// Follows the channels from now on. Active when this returns: whatever is published after that comes.
    ///
    /// # Errors
    /// As [`subscribe_from`](Channels::subscribe_from).
    pub async fn subscribe(&self) -> Result<ChannelsSubscription<T>> {
        self.subscribe_from(From::Now).await
    }

    /// Follows the channels from some place on. Active when this returns. With [`From::Start`] and [`From::Recorded`] what
    /// is kept of the channels comes first, channel by channel.
    ///
    /// # Errors
    /// A pattern that no name can match; [`Error::InvalidArgument`] for [`From::After`], because each channel has sequences
    /// of its own; [`Error::Overloaded`] for more than 100,000 channels; [`Error::Busy`]; what the database said.
    pub async fn subscribe_from(&self, from: From) -> Result<ChannelsSubscription<T>> {
        let pattern = self.checked(from)?;
        let (watching, after) = watching::begin(&self.runtime).await?;
        let mut reading = Reading::new(pattern, after);
        loop {
            let read = self.runtime.read(move |view| reading.begin(from, view).map(|more| (reading, more)));
            let (begun, more) = read.await?;
            if !more {
                return Ok(ChannelsSubscription::new(Watch::new(&self.runtime, watching, begun)));
            }
            reading = begun;
        }
    }

    /// The same for a thread that waits.
    pub(crate) fn subscribe_blocking(&self, from: From) -> Result<ChannelsSubscription<T>> {
        let pattern = self.checked(from)?;
        let (watching, after) = watching::begin_blocking(&self.runtime)?;
        let mut reading = Reading::new(pattern, after);
        loop {
            let read = move |view: &mut dyn millpond_actors::storage::View| {
                reading.begin(from, view).map(|more| (reading, more))
            };
            let (begun, more) = self.runtime.read_blocking(read)?;
            if !more {
                return Ok(ChannelsSubscription::new(Watch::new(&self.runtime, watching, begun)));
            }
            reading = begun;
        }
    }

    fn checked(&self, from: From) -> Result<Pattern> {
        if let From::After(sequence) = from {
            let what = format!("a subscription to a pattern after sequence {sequence}");
            return Err(Error::InvalidArgument {
                what,
                reason: "each channel has sequences of its own".into(),
            });
        }
        self.pattern.clone()
    }
}

/// The messages of all channels of a pattern, as they are committed, in whatever process.
///
/// - **Each message once, without a gap**, those of one channel in their order. [`Message::name`] and
///   [`Message::sequence`] tell which it is.
/// - **Between channels** they come in the order of the commits, over all processes, as long as the subscriber is less than
///   10,000 changes of the store behind. What he has left to read beyond that comes channel by channel, and then it goes
///   on in the order of the commits.
/// - **A slow one** reads on from the store: it holds a page of messages and, for each channel of the pattern, how far it
///   has come. [`Error::Lagged`] names the channel, and says exactly how many of its messages retention had removed before
///   they were read. A damaged message is [`Error::Corrupt`] and one that cannot be decoded [`Error::Decode`], in its place.
/// - **When the store is closed** it gives [`Error::Closed`] once, and then ends.
/// - Cancel-safe: a dropped `next` loses no message.
///
/// Cost: it is built on [`Store::watch`](crate::Store::watch), so while there is one, every write of the store writes a row
/// more; and each subscription reads for itself.
#[must_use = "messages come when they are asked for"]
pub struct ChannelsSubscription<T> {
    watch: Watch<Reading>,
    told: bool,
    value: PhantomData<fn() -> T>,
}

impl<T> ChannelsSubscription<T> {
    fn new(watch: Watch<Reading>) -> ChannelsSubscription<T> {
        ChannelsSubscription { watch, told: false, value: PhantomData }
    }
}

impl<T> fmt::Debug for ChannelsSubscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelsSubscription").field("watch", &self.watch).finish_non_exhaustive()
    }
}

impl<T: DeserializeOwned> ChannelsSubscription<T> {
    /// The next message, waited for without limit; `None` after the end.
    ///
    /// Cancel-safe: a dropped future loses no message.
    pub async fn next(&mut self) -> Option<Result<Message<T>>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// The next message for a thread that waits.
    pub(crate) fn next_blocking(&mut self) -> Option<Result<Message<T>>> {
        let found = self.watch.next_blocking();
        self.decode(found)
    }

    fn decode(&mut self, found: Option<Result<Found>>) -> Option<Result<Message<T>>> {
        match found {
            Some(found) => {
                Some(found.and_then(|(name, record)| Message::decode(Kind::Channel, &name, &record)))
            }
            // As every subscription does.
            None if !std::mem::replace(&mut self.told, true) => Some(Err(Error::Closed)),
            None => None,
        }
    }
}

impl<T: DeserializeOwned> Stream for ChannelsSubscription<T> {
    type Item = Result<Message<T>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Message<T>>>> {
        let Poll::Ready(found) = self.watch.poll_next(context) else { return Poll::Pending };
        Poll::Ready(self.decode(found))
    }
}
