//! The door to every primitive, for threads that wait.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;

use millpond_actors::error::{Error, Result};
use millpond_actors::storage::Compacted;

use super::{
    Batch, Blobs, Changes, Channel, Channels, Dict, Election, Entity, Events, Inspector, List, Lock, LockSet,
    Log, Projection, Queue, RwLock, SealedDict, Semaphore, Subject, Timers,
};
use crate::aggregate::Aggregate;
use crate::check::Report;
use crate::copy::{Copied, Copying};
use crate::dict::SealKey;
use crate::dump::{Dump, Dumped, Load, Loaded};
use crate::inspect::Health;
use crate::location::{Durability, Location};
use crate::sealed::Sealed;
use crate::sql::Sql;

/// An open store; see [`crate::Store`].
#[derive(Clone, Debug)]
pub struct Store {
    store: crate::Store,
}

impl Store {
    pub(crate) fn of(store: crate::Store) -> Store {
        Store { store }
    }

    /// See [`crate::Store::open`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn open<L>(location: L) -> Result<Store>
    where
        L: TryInto<Location>,
        Error: From<L::Error>,
    {
        Store::builder().open(location)
    }

    /// See [`crate::Store::memory`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn memory() -> Result<Store> {
        Store::builder().open(Location::Memory)
    }

    /// See [`crate::Store::builder`].
    pub fn builder() -> StoreBuilder {
        StoreBuilder { builder: crate::Store::builder() }
    }

    /// See [`crate::Store::location`].
    #[must_use]
    pub fn location(&self) -> &Location {
        self.store.location()
    }

    /// See [`crate::Store::lock`].
    #[must_use]
    pub fn lock(&self, name: impl AsRef<str>) -> Lock {
        Lock { lock: self.store.lock(name) }
    }

    /// See [`crate::Store::blobs`].
    #[must_use]
    pub fn blobs(&self, name: impl AsRef<str>) -> Blobs {
        Blobs { blobs: self.store.blobs(name) }
    }

    /// See [`crate::Store::backup`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<u64> {
        self.store.backup_blocking(to.as_ref())
    }

    /// See [`crate::Store::dump`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn dump<W: Write + Send + 'static>(&self, to: W, dump: Dump) -> Result<Dumped> {
        self.store.dump_blocking(to, dump)
    }

    /// See [`crate::Store::load`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn load<R: Read + Send + 'static>(&self, from: R, load: Load) -> Result<Loaded> {
        self.store.load_blocking(from, load)
    }

    /// See [`crate::Store::copy_to`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn copy_to(&self, to: &Store, copying: Copying) -> Result<Copied> {
        self.store.copy_to_blocking(&to.store, copying)
    }

    /// See [`crate::Store::copy_to_dump`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn copy_to_dump(&self, to: impl AsRef<Path>, copying: Copying) -> Result<Copied> {
        self.store.copy_to_dump_blocking(to.as_ref(), copying)
    }

    /// See [`crate::Store::copy_from_dump`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn copy_from_dump<R: Read + Send + 'static>(&self, from: R, copying: Copying) -> Result<Copied> {
        self.store.copy_from_dump_blocking(from, copying)
    }

    /// See [`crate::Store::check`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn check(&self) -> Result<Report> {
        self.store.check_blocking()
    }

    /// See [`crate::Store::compact`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn compact(&self) -> Result<Compacted> {
        self.store.compact_blocking()
    }

    /// See [`crate::Store::health`].
    #[must_use]
    pub fn health(&self) -> Health {
        self.store.health()
    }

    /// See [`crate::Store::lock_set`].
    #[must_use]
    pub fn lock_set<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) -> LockSet {
        LockSet { set: self.store.lock_set(names) }
    }

    /// See [`crate::Store::election`].
    #[must_use]
    pub fn election(&self, name: impl AsRef<str>) -> Election {
        Election { election: self.store.election(name) }
    }

    /// See [`crate::Store::subject`].
    #[must_use]
    pub fn subject(&self, name: impl AsRef<str>) -> Subject {
        Subject { subject: self.store.subject(name) }
    }

    /// See [`crate::Store::unseal`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn unseal<T: DeserializeOwned>(&self, sealed: &Sealed<T>) -> Result<Option<T>> {
        self.store.unseal_blocking(sealed)
    }

    /// See [`crate::Store::semaphore`].
    #[must_use]
    pub fn semaphore(&self, name: impl AsRef<str>, permits: u32) -> Semaphore {
        Semaphore { semaphore: self.store.semaphore(name, permits) }
    }

    /// See [`crate::Store::rw_lock`].
    #[must_use]
    pub fn rw_lock(&self, name: impl AsRef<str>) -> RwLock {
        RwLock { lock: self.store.rw_lock(name) }
    }

    /// See [`crate::Store::queue`].
    #[must_use]
    pub fn queue<T>(&self, name: impl AsRef<str>) -> Queue<T> {
        Queue { queue: self.store.queue(name) }
    }

    /// See [`crate::Store::timers`].
    #[must_use]
    pub fn timers<T>(&self, name: impl AsRef<str>) -> Timers<T> {
        Timers { timers: self.store.timers(name) }
    }

    /// See [`crate::Store::aggregate`].
    #[must_use]
    pub fn aggregate<A: Aggregate>(&self, id: impl AsRef<str>) -> Entity<A> {
        Entity { entity: self.store.aggregate(id) }
    }

    /// See [`crate::Store::list`].
    #[must_use]
    pub fn list<T>(&self, name: impl AsRef<str>) -> List<T> {
        List { list: self.store.list(name) }
    }

    /// See [`crate::Store::dict`].
    #[must_use]
    pub fn dict<T>(&self, name: impl AsRef<str>) -> Dict<T> {
        Dict { dict: self.store.dict(name) }
    }

    /// See [`crate::Store::sealed_dict`].
    #[must_use]
    pub fn sealed_dict<T>(&self, name: impl AsRef<str>, key: SealKey) -> SealedDict<T> {
        SealedDict { dict: self.store.sealed_dict(name, key) }
    }

    /// See [`crate::Store::log`].
    #[must_use]
    pub fn log<T>(&self, name: impl AsRef<str>) -> Log<T> {
        Log { log: self.store.log(name) }
    }

    /// See [`crate::Store::channel`].
    #[must_use]
    pub fn channel<T>(&self, name: impl AsRef<str>) -> Channel<T> {
        Channel { channel: self.store.channel(name) }
    }

    /// See [`crate::Store::channels`].
    #[must_use]
    pub fn channels<T>(&self, pattern: impl AsRef<str>) -> Channels<T> {
        Channels { channels: self.store.channels(pattern) }
    }

    /// See [`crate::Store::events`].
    #[must_use]
    pub fn events(&self) -> Events {
        Events { events: self.store.events() }
    }

    /// See [`crate::Store::projection`].
    #[must_use]
    pub fn projection(&self, name: impl AsRef<str>) -> Projection {
        Projection { projection: self.store.projection(name) }
    }

    /// See [`crate::Store::batch`].
    pub fn batch(&self) -> Batch {
        Batch { batch: self.store.batch() }
    }

    /// See [`crate::Store::sql`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn sql(&self, statements: impl Into<Vec<Sql>>) -> Result<Vec<u64>> {
        let mut batch = self.batch();
        let rows = batch.sql(statements)?;
        Ok(batch.commit()?.get(rows).cloned().unwrap_or_default())
    }

    /// See [`crate::Store::watch`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn watch(&self, pattern: impl AsRef<str>) -> Result<Changes> {
        Ok(Changes { changes: self.store.watch_blocking(pattern.as_ref())? })
    }

    /// See [`crate::Store::inspect`].
    #[must_use]
    pub fn inspect(&self) -> Inspector {
        Inspector { inspector: self.store.inspect() }
    }

    /// The same store with the async face.
    #[must_use]
    pub fn asynchronous(&self) -> crate::Store {
        self.store.clone()
    }

    /// See [`crate::Store::lend_presence`].
    ///
    /// # Errors
    /// As there.
    pub fn lend_presence(&self) -> Result<Option<OwnedFd>> {
        self.store.lend_presence()
    }

    /// See [`crate::Store::close`].
    ///
    /// # Errors
    /// [`Error::WouldDeadlock`].
    pub fn close(&self) -> Result<()> {
        self.store.close_blocking()
    }
}

/// Settings of a store to be opened; see [`crate::StoreBuilder`].
#[derive(Clone, Debug)]
#[must_use = "nothing happens until it is opened"]
pub struct StoreBuilder {
    builder: crate::StoreBuilder,
}

impl StoreBuilder {
    /// See [`crate::StoreBuilder::durability`].
    pub fn durability(self, durability: Durability) -> StoreBuilder {
        StoreBuilder { builder: self.builder.durability(durability) }
    }

    /// See [`crate::StoreBuilder::read_only`].
    pub fn read_only(self) -> StoreBuilder {
        StoreBuilder { builder: self.builder.read_only() }
    }

    /// See [`crate::StoreBuilder::call_timeout`].
    pub fn call_timeout(self, timeout: Duration) -> StoreBuilder {
        StoreBuilder { builder: self.builder.call_timeout(timeout) }
    }

    /// See [`crate::StoreBuilder::idle`].
    pub fn idle(self, idle: Duration) -> StoreBuilder {
        StoreBuilder { builder: self.builder.idle(idle) }
    }

    /// See [`crate::StoreBuilder::requests`].
    pub fn requests(self, requests: usize) -> StoreBuilder {
        StoreBuilder { builder: self.builder.requests(requests) }
    }

    /// See [`crate::StoreBuilder::readers`].
    pub fn readers(self, readers: usize) -> StoreBuilder {
        StoreBuilder { builder: self.builder.readers(readers) }
    }

    /// See [`crate::StoreBuilder::arbiters`].
    pub fn arbiters(self, arbiters: usize) -> StoreBuilder {
        StoreBuilder { builder: self.builder.arbiters(arbiters) }
    }

    /// See [`crate::StoreBuilder::open`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn open<L>(self, location: L) -> Result<Store>
    where
        L: TryInto<Location>,
        Error: From<L::Error>,
    {
        let location = location.try_into().map_err(Error::from)?;
        self.builder.open_blocking(location).map(Store::of)
    }
}
