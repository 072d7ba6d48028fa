//! Channels: messages that are published to whoever follows, kept as long as their retention says.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use millpond_actors::channel::{ChannelActor, Seat, Subscribe};
use millpond_actors::error::Result;
use millpond_actors::feed::From;
use millpond_actors::name::Name;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::feed::Kind;

use crate::batch::{Batch, Slot};
use crate::durable::Durable;
use crate::feed::{Extent, Feed, History, Retention, Stamp, Subscription};
use crate::group::Group;
use crate::lock::LockGuard;

/// A named channel of messages of one type. A handle: cheap to clone, no I/O to make one.
///
/// - **`Ok` means on disk.** A message is delivered after its commit, never before, and to every process.
/// - **Sequences** start at 1, are dense, and follow the order of the commits, over all processes. Every subscription gets
///   the messages in this order, each once, without a gap.
/// - **A slow subscriber** holds up nobody: it reads on from the store, in bounded memory. Only if
///   [retention](Channel::retain) has removed what it had not read yet it is told so, with the exact number:
///   [`Error::Lagged`](crate::Error::Lagged).
/// - **Nothing is removed** unless a retention was fixed: a channel that is published to for ever should have one.
/// - **A publish of unknown fate** ([`Error::CommitUnknown`](crate::Error::CommitUnknown)) that is repeated may be there
///   twice: messages carry no id.
///
/// Values are kept as JSON, which `sqlite3` can read too.
///
/// # Examples
/// ```
/// use millpond::Store;
/// # futures_executor::block_on(async {
/// let store = Store::memory().await?;
/// let orders = store.channel::<String>("orders");
/// let mut live = orders.subscribe().await?;
/// orders.publish(&"two lamps".to_owned()).await?;
/// let message = live.next().await.expect("the store is open")?;
/// assert_eq!((message.sequence(), message.as_str()), (1, "two lamps"));
/// # store.close().await
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Channel<T> {
    feed: Feed,
    value: PhantomData<fn(T) -> T>,
}

impl<T> Clone for Channel<T> {
    fn clone(&self) -> Channel<T> {
        Channel::of(self.feed.clone())
    }
}

impl<T> Channel<T> {
    pub(crate) fn new(runtime: Arc<Runtime>, name: &str) -> Channel<T> {
        Channel::of(Feed::new(runtime, Kind::Channel, name))
    }

    fn of(feed: Feed) -> Channel<T> {
        Channel { feed, value: PhantomData }
    }

    pub(crate) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The durable subscription of this name: the store remembers how far it has come. A bad name is the first call's
    /// error.
    #[must_use]
    pub fn durable(&self, name: impl AsRef<str>) -> Durable<T> {
        Durable::new(&self.feed, name.as_ref())
    }

    /// The group of consumers of this name: a durable subscription that they share. A bad name is the first call's error.
    #[must_use]
    pub fn group(&self, name: impl AsRef<str>) -> Group<T> {
        Group::new(&self.feed, name.as_ref())
    }

    /// The same channel, but every publish through this handle is applied only while `guard`'s lock is held: its token is
    /// compared inside the same transaction, and a stale one is [`Error::Fenced`](crate::Error::Fenced).
    #[must_use]
    pub fn guarded_by(&self, guard: &LockGuard) -> Channel<T> {
        Channel::of(self.feed.guarded_by(guard))
    }

    /// How the channel stands: first and last message, how many bytes, how much is kept.
    ///
    /// # Errors
    /// A bad name; what the database said.
    pub async fn extent(&self) -> Result<Extent> {
        self.feed.extent().await
    }

    /// Fixes how much is kept from now on, for every process, in place of what was said before. What is too much is removed
    /// before this returns, and from then on in the commit of each publish: by at most 1,000 messages more than it
    /// publishes, so that nobody has to wait for it.
    ///
    /// # Errors
    /// A bad name or bound; [`Error::Busy`](crate::Error::Busy); what the database said. Some may have been removed then.
    pub async fn retain(&self, retention: Retention) -> Result<()> {
        self.feed.retain(retention).await
    }

    /// Removes all messages before a sequence. The sequence of the first message that is kept.
    ///
    /// # Errors
    /// As [`retain`](Channel::retain).
    pub async fn trim_before(&self, sequence: u64) -> Result<u64> {
        self.feed.trim(sequence).await
    }
}

impl<T: Serialize> Channel<T> {
    /// Publishes a message. Its sequence.
    ///
    /// # Errors
    /// A bad name; [`Error::Encode`](crate::Error::Encode); [`Error::TooLarge`](crate::Error::TooLarge) above 16 MiB;
    /// [`Error::Fenced`](crate::Error::Fenced); [`Error::Busy`](crate::Error::Busy); what the database said.
    pub async fn publish(&self, value: &T) -> Result<u64> {
        self.publish_with(value, Stamp::new()).await
    }

    /// Publishes a message about which something is said beside its value.
    ///
    /// # Errors
    /// As [`publish`](Channel::publish); a bad key.
    pub async fn publish_with(&self, value: &T, stamp: Stamp) -> Result<u64> {
        let message = self.feed.message(value, stamp)?;
        Ok(self.feed.append(vec![message]).await?.start)
    }

    /// Publishes messages in their order, all or none, in one commit. Their sequences; an empty range for no messages.
    ///
    /// # Errors
    /// As [`publish`](Channel::publish); more than 10,000 messages or 64 MiB at once are
    /// [`Error::TooLarge`](crate::Error::TooLarge).
    pub async fn publish_all<'a>(&self, values: impl IntoIterator<Item = &'a T>) -> Result<Range<u64>>
    where
        T: 'a,
    {
        let messages = self.feed.messages(values)?;
        self.feed.append(messages).await
    }
}

impl Batch {
    /// Adds a message to be published, as [`Channel::publish`] does it. Its sequence.
    ///
    /// # Errors
    /// A bad name; [`Error::Encode`](crate::Error::Encode); [`Error::TooLarge`](crate::Error::TooLarge);
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a channel of another store. Nothing is added then.
    pub fn publish<T: Serialize>(&mut self, channel: &Channel<T>, value: &T) -> Result<Slot<u64>> {
        self.publish_with(channel, value, Stamp::new())
    }

    /// Adds a message about which something is said beside its value.
    ///
    /// # Errors
    /// As [`publish`](Batch::publish); a bad key.
    pub fn publish_with<T: Serialize>(
        &mut self,
        channel: &Channel<T>,
        value: &T,
        stamp: Stamp,
    ) -> Result<Slot<u64>> {
        let message = channel.feed.message(value, stamp)?;
        channel.feed.add_to(self, message)
    }
}

impl<T: DeserializeOwned> Channel<T> {
    /// The messages that are kept, oldest first unless told otherwise. Nothing is read before the first is asked for.
    pub fn history(&self) -> History<T> {
        self.feed.history()
    }

    /// Follows the channel from now on. Active when this returns: whatever is published after that comes.
    ///
    /// # Errors
    /// As [`subscribe_from`](Channel::subscribe_from).
    pub async fn subscribe(&self) -> Result<Subscription<T>> {
        self.subscribe_from(From::Now).await
    }

    /// Follows the channel from some place on. Active when this returns.
    ///
    /// # Errors
    /// A bad name; [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a sequence that there can never be;
    /// [`Error::Overloaded`](crate::Error::Overloaded) if 100,000 follow in this process already; what the database said.
    pub async fn subscribe_from(&self, from: From) -> Result<Subscription<T>> {
        let name = self.checked(from)?;
        let subscribe = |reply, passage| Subscribe { from, reply, passage };
        self.seated(self.feed.runtime.ask::<ChannelActor, _, _>(&name, subscribe).await)
    }

    /// The same for a thread that waits.
    pub(crate) fn subscribe_blocking(&self, from: From) -> Result<Subscription<T>> {
        let name = self.checked(from)?;
        let subscribe = |reply, passage| Subscribe { from, reply, passage };
        self.seated(self.feed.runtime.call::<ChannelActor, _, _>(&name, subscribe))
    }

    fn checked(&self, from: From) -> Result<Name> {
        from.check()?;
        self.feed.name.clone()
    }

    fn seated(&self, seat: Result<Seat>) -> Result<Subscription<T>> {
        seat.map(|seat| Subscription::new(&self.feed, seat.into()))
    }
}
