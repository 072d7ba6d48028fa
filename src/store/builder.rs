//! How a store is opened when the defaults are not wanted.

use std::sync::Arc;
use std::time::Duration;

use millpond_actors::clock::Seams;
use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::reply::Reply;
use millpond_actors::runtime::{Runtime, Settings};
use millpond_actors::storage::Backend;

use super::Store;
use crate::filter;
use crate::location::{Durability, Location};
use crate::storage;

/// Settings of a store to be opened. Made by [`Store::builder`].
///
/// # Examples
/// ```
/// # futures_executor::block_on(async {
/// use std::time::Duration;
/// let folder = tempfile::tempdir().unwrap();
/// let store = millpond::Store::builder()
///     .call_timeout(Duration::from_secs(5))
///     .open(folder.path().join("shop.db"))
///     .await?;
/// # store.close().await
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing happens until it is opened"]
pub struct StoreBuilder {
    settings: Settings,
    durability: Durability,
    read_only: bool,
    /// The source of time was given.
    timed: bool,
}

impl StoreBuilder {
    /// What an `Ok` survives; loss of power unless set.
    pub fn durability(mut self, durability: Durability) -> StoreBuilder {
        self.durability = durability;
        self
    }

    /// Only to look at what is there, for tools. The store has to be there, of the schema of this program. Nothing is written, neither
    /// to it nor beside it, no process is registered, and every write is [`Error::ReadOnly`].
    /// (A [dump](Store::dump) is read from a copy in the folder for temporary files.)
    ///
    /// It works on a file, and in a folder, that may not be written. While others have the store open it is read through their log,
    /// as they read it. Where nobody has, it is read as a file that nobody changes; should somebody come and write, he is noticed, and
    /// from then on it is read through his log. What was being looked at in that very moment, and takes long (a dump, a check), is
    /// [`Error::Busy`]. A log that was left behind by processes that were killed has to be read by one that may write: if its index is
    /// not there either, or may not be written, opening is refused.
    ///
    /// Whoever waits for news (who [follows](crate::EventStream::follow) events, say) looks for it every now and then; he cannot say that he
    /// waits.
    pub fn read_only(mut self) -> StoreBuilder {
        self.read_only = true;
        self
    }

    /// How long a call that waits for nobody may take, 10 ms to 365 days; 30 s unless set. Waiting for a lock is
    /// not limited by it, but reaching the store in order to wait is.
    pub fn call_timeout(mut self, timeout: Duration) -> StoreBuilder {
        self.settings.call_timeout = timeout;
        self
    }

    /// How long an actor that nobody uses stays in memory, 10 ms to 365 days; 30 s unless set.
    pub fn idle(mut self, idle: Duration) -> StoreBuilder {
        self.settings.idle = idle;
        self
    }

    /// Requests that may be inside at once, at least 1; beyond, callers wait. 65,536 unless set.
    pub fn requests(mut self, requests: usize) -> StoreBuilder {
        self.settings.requests = requests;
        self
    }

    /// Read-only connections, 1 to 64; 2 unless set.
    pub fn readers(mut self, readers: usize) -> StoreBuilder {
        self.settings.readers = readers;
        self
    }

    /// Threads that actors live on, 1 to 64; 1 unless set. More help only where deciding commands takes long.
    pub fn arbiters(mut self, arbiters: usize) -> StoreBuilder {
        self.settings.arbiters = arbiters;
        self
    }

    /// The source of time, for tests.
    #[cfg(any(test, feature = "testing"))]
    pub fn clock(mut self, clock: Arc<dyn millpond_actors::clock::Clock>) -> StoreBuilder {
        self.settings.seams.clock = clock;
        self.timed = true;
        self
    }

    /// Time, ids and threads, for simulations.
    #[cfg(feature = "testing")]
    pub fn seams(mut self, seams: Seams) -> StoreBuilder {
        self.settings.seams = seams;
        self.timed = true;
        self
    }

    /// Pages in the log at which it is moved into the main file, for tests that cut the power in the middle of that: at
    /// the usual 1,000 there would be few of them, and large files to look at.
    #[cfg(any(test, feature = "testing"))]
    pub fn checkpoint_pages(mut self, pages: u32) -> StoreBuilder {
        self.settings.checkpoint_pages = pages;
        self
    }

    /// Opens the store; a file that does not exist is created. The file is opened on a thread of its own, so the
    /// caller's executor goes on meanwhile.
    ///
    /// In one process a file is opened once: a second open of it returns the same store, whatever its settings.
    ///
    /// # Errors
    /// [`Error::InvalidPath`], [`Error::NotOurFile`], [`Error::SchemaTooNew`], [`Error::ReadOnly`],
    /// [`Error::Unsupported`] for network file systems, [`Error::InvalidArgument`] for settings out of range. A
    /// file that is refused is not touched.
    pub async fn open<L>(self, location: L) -> Result<Store>
    where
        L: TryInto<Location>,
        Error: From<L::Error>,
    {
        let location = location.try_into().map_err(Error::from)?;
        let (reply, answer) = Reply::future();
        self.start_aside(location, reply)?;
        answer.await
    }

    /// Opens a process's store within the actix system of this thread, which a simulation has several live in.
    ///
    /// # Errors
    /// As [`open`](StoreBuilder::open).
    #[cfg(feature = "testing")]
    pub fn open_here(
        self,
        backend: Arc<dyn millpond_actors::storage::Backend>,
        identity: millpond_actors::storage::Identity,
    ) -> Result<Store> {
        self.check()?;
        let runtime = Runtime::start_here(backend, identity, self.settings)?;
        Ok(Store { runtime: Arc::new(runtime), location: Location::Memory })
    }

    /// [`open`](StoreBuilder::open) for a thread that waits.
    pub(crate) fn open_blocking(self, location: Location) -> Result<Store> {
        if millpond_actors::thread::is_ours() {
            return Err(Error::WouldDeadlock);
        }
        // On a thread of its own here too: the caller's may be one that must not wait for a network, as one of an executor.
        let (reply, waiting) = Reply::blocking();
        self.start_aside(location, reply)?;
        waiting.wait()
    }

    fn start_aside(self, location: Location, reply: Reply<Store>) -> Result<()> {
        let spawner = Arc::clone(&self.settings.seams.spawner);
        spawner.spawn("millpond-open", Box::new(move || reply.answer(self.start(location)))).map(drop)
    }

    fn start(self, location: Location) -> Result<Store> {
        self.check()?;
        let StoreBuilder { mut settings, durability, read_only, timed } = self;
        if read_only && location == Location::Memory {
            let (what, reason) =
                ("a store in memory that is only looked at".into(), "nothing is in it".into());
            return Err(Error::Unsupported { what, reason });
        }
        let patience = settings.call_timeout;
        let start = |backend: Arc<dyn Backend>, identity| {
            if let Some(clock) = backend.clock().filter(|_| !timed) {
                settings.seams.clock = clock;
            }
            Runtime::start(backend, identity, settings)
        };
        let runtime =
            storage::open_once(&location, (durability, read_only), filter::fields(), patience, start)?;
        Ok(Store { runtime, location })
    }

    fn check(&self) -> Result<()> {
        let Settings {
            arbiters,
            readers,
            call_timeout,
            idle,
            requests,
            checkpoint_pages: _,
            seams: Seams { .. },
            meter: _,
        } = &self.settings;
        let counts =
            [("arbiters", *arbiters, 64), ("readers", *readers, 64), ("requests", *requests, 1 << 24)];
        for (what, count, most) in counts {
            if count == 0 || count > most {
                let reason = format!("{count} is not between 1 and {most}");
                return Err(Error::InvalidArgument { what: format!("the setting `{what}`"), reason });
            }
        }
        let (min, max) = (limits::TTL_MIN, limits::DURATION_MAX);
        for (what, given) in [("call timeout", *call_timeout), ("idle time", *idle)] {
            if given < min || given > max {
                return Err(Error::InvalidDuration { what, given, min, max });
            }
        }
        Ok(())
    }
}
