//! The store: a door to every primitive.

mod backup;
mod builder;
mod check;
mod compact;
mod copy;
mod dump;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use millpond_actors::error::{Error, Result};
use millpond_actors::runtime::Runtime;

pub use self::builder::StoreBuilder;
use crate::aggregate::{Aggregate, Entity};
use crate::batch::Batch;
use crate::blob::Blobs;
use crate::change::Changes;
use crate::channel::Channel;
use crate::channels::Channels;
use crate::dict::{Dict, SealKey, SealedDict};
use crate::events::Events;
use crate::inspect::{Health, Inspector};
use crate::leader::Election;
use crate::list::List;
use crate::location::Location;
use crate::lock::Lock;
use crate::lock_set::LockSet;
use crate::log::Log;
use crate::projection::{EventBus, Projection};
use crate::queue::Queue;
use crate::rw_lock::RwLock;
use crate::sealed::Sealed;
use crate::semaphore::Semaphore;
use crate::sql::Sql;
#[cfg(all(feature = "sqlite", feature = "testing"))]
pub use crate::storage::watched;
use crate::subject::{self, Subject};
use crate::timers::Timers;

/// An open store. Cheap to clone; every clone is the same store.
///
/// When the last clone and the last handle made from it are dropped, the store ends as safely as by a SIGKILL,
/// without waiting: what was acknowledged is on disk. [`close`](Store::close) ends it in order.
///
/// # Examples
/// ```
/// # futures_executor::block_on(async {
/// let folder = tempfile::tempdir().unwrap();
/// let store = millpond::Store::open(folder.path().join("shop.db")).await?;
/// let guard = store.lock("nightly").acquire().await?;
/// guard.release().await?;
/// # store.close().await
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Store {
    runtime: Arc<Runtime>,
    location: Location,
}

impl Store {
    /// Opens the store at a path; a file that does not exist is created.
    ///
    /// # Errors
    /// As [`StoreBuilder::open`].
    pub async fn open<L>(location: L) -> Result<Store>
    where
        L: TryInto<Location>,
        Error: From<L::Error>,
    {
        Store::builder().open(location).await
    }

    /// A new, empty store in memory. It behaves as one in a file does, except that nothing outlives it.
    ///
    /// # Errors
    /// If the machine has no thread left to give.
    pub async fn memory() -> Result<Store> {
        Store::builder().open(Location::Memory).await
    }

    /// Settings for a store to be opened.
    pub fn builder() -> StoreBuilder {
        StoreBuilder::default()
    }

    /// Where it is.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The lock of this name. A bad name is the first call's error.
    #[must_use]
    pub fn lock(&self, name: impl AsRef<str>) -> Lock {
        Lock::new(Arc::clone(&self.runtime), name.as_ref())
    }

    /// Several locks that are taken together, without deadlock. Bad names are the first call's error.
    #[must_use]
    pub fn lock_set<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) -> LockSet {
        LockSet::new(names, |name| self.lock(name))
    }

    /// The election of this name: a lock with a term and a watch. A bad name is the first call's error.
    #[must_use]
    pub fn election(&self, name: impl AsRef<str>) -> Election {
        Election::new(self.lock(name))
    }

    /// The semaphore of this name, of so many permits: 1 to 10,000. Its first use fixes how many. A bad name or number
    /// is the first call's error.
    #[must_use]
    pub fn semaphore(&self, name: impl AsRef<str>, permits: u32) -> Semaphore {
        Semaphore::new(self.lock(name), permits)
    }

    /// The lock for readers and writers of this name. A bad name is the first call's error.
    #[must_use]
    pub fn rw_lock(&self, name: impl AsRef<str>) -> RwLock {
        RwLock::new(&self.lock(name))
    }

    /// The queue of this name, whose jobs are `T`s. A bad name is the first call's error.
    #[must_use]
    pub fn queue<T>(&self, name: impl AsRef<str>) -> Queue<T> {
        Queue::new(Arc::clone(&self.runtime), name.as_ref())
    }

    /// The timers of this name, whose values are `T`s. A bad name is the first call's error.
    #[must_use]
    pub fn timers<T>(&self, name: impl AsRef<str>) -> Timers<T> {
        Timers::new(Arc::clone(&self.runtime), name.as_ref())
    }

    /// The aggregate of this kind and id. A bad id is the first call's error.
    #[must_use]
    pub fn aggregate<A: Aggregate>(&self, id: impl AsRef<str>) -> Entity<A> {
        Entity::new(Arc::clone(&self.runtime), id.as_ref())
    }

    /// The list of this name, of items of one type. A bad name is the first call's error.
    #[must_use]
    pub fn list<T>(&self, name: impl AsRef<str>) -> List<T> {
        List::new(Arc::clone(&self.runtime), name.as_ref())
    }

    /// The dict of this name, of values of one type. A bad name is the first call's error.
    #[must_use]
    pub fn dict<T>(&self, name: impl AsRef<str>) -> Dict<T> {
        Dict::new(Arc::clone(&self.runtime), name.as_ref())
    }

    /// The blobs of this name: large values by key. A bad name is the first call's error.
    #[must_use]
    pub fn blobs(&self, name: impl AsRef<str>) -> Blobs {
        Blobs::new(Arc::clone(&self.runtime), name.as_ref())
    }

    /// The sealed dict of this name, of values of one type that only whoever has this key can read. A bad name or key is the first
    /// call's error. It is opened by its first call, which takes a while for a passphrase: keep the handle.
    #[must_use]
    pub fn sealed_dict<T>(&self, name: impl AsRef<str>, key: SealKey) -> SealedDict<T> {
        SealedDict::new(self.dict(name), key)
    }

    /// The log of this name, of records of one type. A bad name is the first call's error.
    #[must_use]
    pub fn log<T>(&self, name: impl AsRef<str>) -> Log<T> {
        Log::new(Arc::clone(&self.runtime), name.as_ref())
    }

    /// The channel of this name, of messages of one type. A bad name is the first call's error.
    #[must_use]
    pub fn channel<T>(&self, name: impl AsRef<str>) -> Channel<T> {
        Channel::new(Arc::clone(&self.runtime), name.as_ref())
    }

    /// All channels whose name is of this pattern, also those that are first used later: `orders.*`. A bad pattern is the
    /// first call's error.
    #[must_use]
    pub fn channels<T>(&self, pattern: impl AsRef<str>) -> Channels<T> {
        Channels::new(Arc::clone(&self.runtime), pattern.as_ref())
    }

    /// The streams of events.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(Arc::clone(&self.runtime))
    }

    /// The projection of this name: a way through the events, with a checkpoint. A bad name is the first call's error.
    #[must_use]
    pub fn projection(&self, name: impl AsRef<str>) -> Projection {
        Projection::new(Arc::clone(&self.runtime), name.as_ref())
    }

    /// A new event bus: handlers of this process that are called for what is appended.
    #[must_use]
    pub fn event_bus(&self) -> EventBus {
        EventBus::new(&self.runtime)
    }

    /// The subject of this name: whom data is about, and the key that it is sealed with. A bad name is the first call's error.
    #[must_use]
    pub fn subject(&self, name: impl AsRef<str>) -> Subject {
        Subject::new(Arc::clone(&self.runtime), name.as_ref())
    }

    /// Opens a sealed value with the key of its subject, which is looked up in this store; `None` if that was
    /// [shredded](Subject::shred).
    ///
    /// # Errors
    /// [`Error::SealBroken`] if the value is damaged, or this is not the store of its key; [`Error::Decode`] if what was sealed
    /// is no `T`; [`Error::Corrupt`] if the key is damaged; what the database said.
    pub async fn unseal<T: DeserializeOwned>(&self, sealed: &Sealed<T>) -> Result<Option<T>> {
        subject::unseal(&self.runtime, sealed).await
    }

    pub(crate) fn unseal_blocking<T: DeserializeOwned>(&self, sealed: &Sealed<T>) -> Result<Option<T>> {
        subject::unseal_blocking(&self.runtime, sealed)
    }

    /// A batch: writes to any primitives of this store in one commit, all or none.
    pub fn batch(&self) -> Batch {
        Batch::new(Arc::clone(&self.runtime))
    }

    /// Runs a statement of SQL on tables of your own, or several in their order, all or none, and says of each how many rows it
    /// has changed, or has found if it only reads. `Ok` means: on disk. With events, jobs and messages together it is
    /// [`Batch::sql`]; [`Sql`] says what may be run.
    ///
    /// Cancel-safe: if the future is dropped, all of it is run or nothing; which of them is not known.
    ///
    /// # Errors
    /// [`Error::SqlRefused`] if one may not be run or cannot be, a constraint forbids it, say; [`Error::WrongRows`];
    /// [`Error::Unsupported`] on a store in memory; what [`Batch::sql`] refuses; [`Error::Busy`]; what the database said.
    ///
    /// # Examples
    /// ```
    /// use millpond::{Sql, Store};
    /// # futures_executor::block_on(async {
    /// # let folder = tempfile::tempdir().unwrap();
    /// let store = Store::open(folder.path().join("shop.db")).await?;
    /// store.sql([
    ///     Sql::new("CREATE TABLE IF NOT EXISTS shop_stock (sku TEXT PRIMARY KEY, left INTEGER NOT NULL) STRICT"),
    ///     Sql::new("CREATE INDEX IF NOT EXISTS shop_stock_left ON shop_stock (left)"),
    /// ]).await?;
    /// let insert = Sql::new("INSERT INTO shop_stock VALUES ('lamp', ?1), ('desk', ?2)").bind(3).bind(1);
    /// let count = Sql::new("SELECT * FROM shop_stock WHERE left > 0").rows(2);
    /// assert_eq!(store.sql([insert, count]).await?, [2, 2]);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    pub async fn sql(&self, statements: impl Into<Vec<Sql>>) -> Result<Vec<u64>> {
        let mut batch = self.batch();
        let rows = batch.sql(statements)?;
        Ok(batch.commit().await?.get(rows).cloned().unwrap_or_default())
    }

    /// What changes from now on in everything whose name is of this pattern: `*` stands for any characters, `orders.*`
    /// for all names that begin with `orders.`, `*` for all. It watches when this call has returned.
    ///
    /// Changes of all processes come in one order, that of their commits, each once. It costs nothing when nobody watches
    /// (a look at a lock of the sidecar for each commit), and a row for each change while anybody does. A lock that passes on
    /// because its holder has died or was stopped past its lease is told of when whoever waits for it takes it. What a process
    /// clears away when it joins, and dead letters that are revived or purged, are not told of.
    ///
    /// # Errors
    /// A pattern that no name can match; [`Error::Busy`]; what the database said.
    pub async fn watch(&self, pattern: impl AsRef<str>) -> Result<Changes> {
        Changes::begin(&self.runtime, pattern.as_ref()).await
    }

    pub(crate) fn watch_blocking(&self, pattern: &str) -> Result<Changes> {
        Changes::begin_blocking(&self.runtime, pattern)
    }

    /// How the store does in this process: whether the writer is stuck, or the disk dead. Waits for nothing.
    #[must_use]
    pub fn health(&self) -> Health {
        self.inspect().health()
    }

    /// What is in the store, who uses it, who holds what.
    #[must_use]
    pub fn inspect(&self) -> Inspector {
        Inspector::new(Arc::clone(&self.runtime))
    }

    /// The same store with the blocking face. It shares everything with this one.
    #[must_use]
    pub fn blocking(&self) -> crate::blocking::Store {
        crate::blocking::Store::of(self.clone())
    }

    /// Lends this process's life to programs that it starts. What it holds then stays held if it is killed and they
    /// go on: until the last of them ends, or until the time to live does, whichever is first, because nobody is
    /// left to prolong a lease.
    ///
    /// Every program inherits the descriptor that this process starts while it exists, on whatever thread; it
    /// needs to know nothing about it. Drop it as soon as the program was started. It blocks nobody: neither
    /// writers nor this process's own end, which gives up what it holds whoever has inherited it.
    ///
    /// `None` for a store in memory, which ends with its process.
    ///
    /// # Errors
    /// [`Error::Closed`]; what the system said.
    ///
    /// # Examples
    /// ```
    /// # futures_executor::block_on(async {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let store = millpond::Store::open(folder.path().join("shop.db")).await?;
    /// let guard = store.lock("backup").acquire().await?;
    /// let presence = store.lend_presence()?;
    /// let mut backup = std::process::Command::new("true").spawn().unwrap();
    /// drop(presence);
    /// backup.wait().unwrap();
    /// guard.release().await?;
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    pub fn lend_presence(&self) -> Result<Option<OwnedFd>> {
        self.runtime.lend_presence()
    }

    /// Answers every call that was accepted, gives up what this process holds, moves the log into the main file
    /// and ends all threads. Later calls, on any handle, are [`Error::Closed`]; so are callers that still wait
    /// for a lock.
    ///
    /// # Errors
    /// None today. A disk that hangs is given up on after 5 s; nothing that was acknowledged is lost by it.
    pub async fn close(&self) -> Result<()> {
        self.runtime.close().await
    }

    pub(crate) fn close_blocking(&self) -> Result<()> {
        self.runtime.close_blocking()
    }
}
