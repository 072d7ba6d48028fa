//! A durable subscription as the store knows it: where it begins, how far it has come, and which lock says whose it is.

use millpond_actors::error::{Error, Result};
use millpond_actors::feed::{From, Place};
use millpond_actors::name::{Name, part};
use millpond_actors::storage::Target;
use millpond_actors::storage::subscription::{Subscribe, Unsubscribe};

use super::Feed;

/// A durable subscription of a channel. No I/O to make one.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    pub(crate) feed: Feed,
    pub(crate) name: Result<Name>,
    /// Where it begins if the store does not know it yet.
    pub(crate) start: From,
}

impl Cursor {
    /// With the oldest message that is kept.
    pub(crate) fn new(feed: &Feed, name: &str) -> Cursor {
        Cursor { feed: feed.clone(), name: Name::new(name), start: From::Start }
    }

    /// The name of its lock. Whatever belongs to it has a slash more.
    pub(crate) fn lock_name(&self) -> String {
        let named =
            |name: &Result<Name>| name.as_ref().map_or_else(|_| String::new(), |name| part(name.as_str()));
        format!("channel/{}/{}", named(&self.feed.name), named(&self.name))
    }

    /// Whether its names and its beginning can be.
    pub(crate) fn check(&self) -> Result<()> {
        self.feed.name.as_ref().map_err(Error::clone)?;
        self.name.as_ref().map_err(Error::clone)?;
        self.start.check()
    }

    pub(crate) fn target(&self) -> Result<Target> {
        Ok(Target { name: self.feed.name.clone()?, id: None })
    }

    /// Where it stands; `None` if the store does not know it.
    pub(crate) async fn stands(&self) -> Result<Option<u64>> {
        let (kind, feed, name) = (self.feed.kind, self.feed.name.clone()?, self.name.clone()?);
        let found = self.feed.runtime.read(move |view| view.subscriptions(kind, &feed)).await?;
        Ok(found.into_iter().find(|found| found.name == name.as_str()).map(|found| found.cursor))
    }

    pub(crate) fn stands_blocking(&self) -> Result<Option<u64>> {
        let (kind, feed, name) = (self.feed.kind, self.feed.name.clone()?, self.name.clone()?);
        let found = self.feed.runtime.read_blocking(move |view| view.subscriptions(kind, &feed))?;
        Ok(found.into_iter().find(|found| found.name == name.as_str()).map(|found| found.cursor))
    }

    /// Begins it if the store does not know it. Where it stands, and the channel's last message.
    pub(crate) async fn begin(&self) -> Result<(u64, u64)> {
        let (kind, name, start) = (self.feed.kind, self.feed.name.clone()?, self.start);
        let place = self.feed.runtime.read(move |view| start.find(kind, &name, view)).await?;
        Ok((self.feed.runtime.write(self.subscribe(place)?).await?, place.last))
    }

    pub(crate) fn begin_blocking(&self) -> Result<(u64, u64)> {
        let (kind, name, start) = (self.feed.kind, self.feed.name.clone()?, self.start);
        let place = self.feed.runtime.read_blocking(move |view| start.find(kind, &name, view))?;
        Ok((self.feed.runtime.write_blocking(self.subscribe(place)?)?, place.last))
    }

    /// It begins at this place, if the store does not know it yet.
    fn subscribe(&self, Place { next, .. }: Place) -> Result<Subscribe> {
        let (feed, subscription) = (self.target()?, self.name.clone()?);
        Ok(Subscribe { kind: self.feed.kind, feed, subscription, cursor: next.saturating_sub(1) })
    }

    /// Has the store forget it. Whether it knew it.
    pub(crate) async fn remove(&self) -> Result<bool> {
        self.feed.runtime.write(self.removal()?).await
    }

    pub(crate) fn remove_blocking(&self) -> Result<bool> {
        self.feed.runtime.write_blocking(self.removal()?)
    }

    fn removal(&self) -> Result<Unsubscribe> {
        let (feed, subscription) = (self.target()?, self.name.clone()?);
        Ok(Unsubscribe { kind: self.feed.kind, feed, subscription })
    }
}
