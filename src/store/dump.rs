//! Dumps: a store as text, made while it is in use, and back.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use millpond_actors::clock::Moment;
use millpond_actors::error::Result;
use millpond_actors::storage::{Session, View};

use super::Store;
use crate::dump::{self, Dump, Dumped, Load, Loaded, Plan};
use crate::location::Location;

impl Store {
    /// Writes all that is in the store as lines of JSON, as it is at one moment, while it and other processes go on. It is for people,
    /// for other programs, for another database, and for a store that has to be put together anew; to have a store twice, a
    /// [backup](Store::backup) is faster.
    ///
    /// - **What is in it**: streams with their events, those that were deleted and closed too; subjects whose keys were destroyed, and
    ///   the keys of the others only if [asked for](Dump::with_keys); logs and channels with their retention and their durable
    ///   subscriptions; queues with their options, schedules and jobs; dicts with their indexes, and how they are
    ///   sealed; lists; blobs with their bytes; how far projections have come. A
    ///   job that somebody works on is dumped as one that waits.
    /// - **What is not**: what belongs to a process (locks, claims, who is registered, the changes that somebody watches), what can be
    ///   made anew (snapshots), what is over (values of dicts), blobs that are not finished, and [tables of your own](crate::Sql).
    /// - **The same store, the same lines**: records come in one order, byte for byte, whatever database they are in. Dumped,
    ///   [loaded](Store::load) into an empty store and dumped again they are the same: positions, versions, sequences, ids, times.
    /// - **One snapshot, in a copy**: it is read from a copy of the file, beside it, which has no name from the moment on that it is
    ///   complete. So whoever reads a dump may take his time: the log does not grow for him. The disk needs room for the copy. If
    ///   the store is only [looked at](crate::StoreBuilder::read_only), the copy is in the folder for temporary files.
    /// - **Known to be whole**: the last line has a checksum over all others. What is damaged in the store is an error, and no line.
    ///
    /// Each line is an object with a `kind`. The first is `millpond` (format, store, time, counters), the last `end` (counts, CRC32C).
    /// A payload is `{"json": ...}` as it was stored, `{"text": "..."}` where that would not be a line, or `{"bincode": "..."}` in
    /// Base64, as what is sealed is in `{"sealed": "..."}`; a blob is a line with its size and SHA-256, and one with each of its pieces
    /// in Base64, which go out as they are read: a few of them are in memory, however large it is. Times are milliseconds since 1970.
    /// `to` is written to on a thread of the store's own. If the future is dropped, the dump is written to its end all the same.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for what is no kind; [`Error::Corrupt`](crate::Error::Corrupt);
    /// [`Error::StorageFull`](crate::Error::StorageFull); what the database said, and whoever it is written to. What was written
    /// has no last line then.
    ///
    /// # Examples
    /// ```
    /// use millpond::{Dump, Load, Store};
    /// # futures_executor::block_on(async {
    /// # let folder = tempfile::tempdir().unwrap();
    /// let store = Store::open(folder.path().join("shop.db")).await?;
    /// store.dict::<u64>("prices").set("lamp", &700).await?;
    /// let file = std::fs::File::create(folder.path().join("shop.jsonl")).unwrap();
    /// let dumped = store.dump(file, Dump::new()).await?;
    /// assert_eq!(dumped.counts["dict.entry"], 1);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    pub async fn dump<W: Write + Send + 'static>(&self, to: W, dump: Dump) -> Result<Dumped> {
        self.runtime.read_aside(DUMP, self.dumping(to, dump)).await
    }

    /// The same for a thread that waits.
    pub(crate) fn dump_blocking<W: Write + Send + 'static>(&self, to: W, dump: Dump) -> Result<Dumped> {
        self.runtime.read_aside_blocking(DUMP, self.dumping(to, dump))
    }

    fn dumping<W: Write + Send + 'static>(
        &self,
        mut to: W,
        dump: Dump,
    ) -> impl FnOnce(&mut dyn View) -> Result<Dumped> + Send + 'static {
        let clock = self.runtime.seams().clock.clone();
        move |view| {
            let mut frozen = view.frozen()?;
            dump::write(&mut *frozen, clock.now(), &mut to, dump)
        }
    }

    /// Puts what was [dumped](Store::dump) into this store: all that is wanted of it, or nothing.
    ///
    /// - **First it is read to its end**, to a file without a name beside the store: a line that is not what it should be, comes twice
    ///   or in another order, one that is missing, a dump that was cut, or made by a newer version, is an error that names the line, and
    ///   the store is as it was. So is a blob whose pieces are not all there, or not what its SHA-256 says.
    /// - **Then it is one commit**, however much it is, under the writers' turn. What is refused, fails, or is killed leaves no trace.
    ///   An `Ok` is on disk.
    /// - **Names that are there** are refused, with the name, unless they are to be [replaced](Load::replace) or
    ///   [appended to](Load::append).
    /// - **Tokens** go on far above all that the original had given, as in a [backup](Store::backup). Delays and times to live go by the
    ///   wall clock. A projection goes on where it was, if its events have the positions that they had.
    /// - **Others wait**: it takes some ten seconds for a million records, and with blobs as long as it takes to write their bytes. Writes
    ///   of this process and of others wait meanwhile, up to their call timeout, and are [`Error::Busy`](crate::Error::Busy) beyond that,
    ///   which names this process; nothing of them is lost. Reads go on, and see all of it at once. A lease whose time to live is shorter
    ///   than that may be over behind it. The log grows by as much as is loaded, and is empty again behind it. Its memory does not depend
    ///   on how much it is, but for a few dozen bytes a stream or an item of a list. Into a store that is busy, load
    ///   [a part](Load::only) at a time.
    ///
    /// If the future is dropped before the turn was there, nothing is loaded; behind that it is finished all the same.
    ///
    /// # Errors
    /// [`Error::LoadRefused`](crate::Error::LoadRefused), with the line; [`Error::Exists`](crate::Error::Exists);
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for what is no kind; [`Error::Busy`](crate::Error::Busy) if somebody else
    /// has the turn for as long as a call may take, with his name; [`Error::ReadOnly`](crate::Error::ReadOnly);
    /// [`Error::StorageFull`](crate::Error::StorageFull); what the database said. Nothing was loaded then, but for
    /// [`Error::CommitUnknown`](crate::Error::CommitUnknown).
    ///
    /// # Examples
    /// ```
    /// use millpond::{Dump, Error, Load, Store};
    /// # futures_executor::block_on(async {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("shop.jsonl");
    /// # let store = Store::memory().await?;
    /// # store.dict::<u64>("prices").set("lamp", &700).await?;
    /// # store.dump(std::fs::File::create(&path).unwrap(), Dump::new()).await?;
    /// # store.close().await?;
    /// let other = Store::open(folder.path().join("other.db")).await?;
    /// let dump = || std::fs::File::open(&path).unwrap();
    /// let loaded = other.load(dump(), Load::new()).await?;
    /// assert_eq!((loaded.written, loaded.known), (2, 0));
    /// assert_eq!(other.dict::<u64>("prices").get("lamp").await?.as_deref(), Some(&700));
    ///
    /// let again = other.load(dump(), Load::new()).await;
    /// assert!(matches!(again, Err(Error::Exists { kind: "dict", .. })));
    /// other.load(dump(), Load::new().replace()).await?;
    /// # other.close().await
    /// # }).unwrap();
    /// ```
    pub async fn load<R: Read + Send + 'static>(&self, from: R, load: Load) -> Result<Loaded> {
        let plan = self.runtime.read_aside(LOAD, self.planning(from, load)).await?;
        self.runtime.write_aside(LOAD, loading(plan)).await
    }

    /// The same for a thread that waits.
    pub(crate) fn load_blocking<R: Read + Send + 'static>(&self, from: R, load: Load) -> Result<Loaded> {
        let plan = self.runtime.read_aside_blocking(LOAD, self.planning(from, load))?;
        self.runtime.write_aside_blocking(LOAD, loading(plan))
    }

    pub(super) fn planning<R: Read + Send + 'static>(
        &self,
        from: R,
        load: Load,
    ) -> impl FnOnce(&mut dyn View) -> Result<Plan> + Send + 'static {
        let folder = self.folder();
        move |_| dump::plan(from, folder.as_deref(), load)
    }

    /// Where the store's file is, if it has one and may be written beside.
    fn folder(&self) -> Option<PathBuf> {
        // Who only looks is no process.
        if self.runtime.process() == 0 {
            return None;
        }
        let Location::File(path) = &self.location else { return None };
        path.parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .or(Some(Path::new(".")))
            .map(Path::to_owned)
    }
}

fn loading(plan: Plan) -> impl FnOnce(&mut dyn Session, Moment) -> Result<Loaded> + Send + 'static {
    move |session, now| dump::load(session, now, plan)
}

const DUMP: &str = "millpond-dump";
const LOAD: &str = "millpond-load";
