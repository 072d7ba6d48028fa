//! Copying a store into another one, or into a dump, or out of one.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millpond_actors::clock::Moment;
use millpond_actors::error::Result;
use millpond_actors::lock::Wait;
use millpond_actors::storage::{Session, View};

use super::Store;
use crate::copy::{self, Copied, Copying, Original, Work};
use crate::dump::Load;
use crate::lock::{Lock, LockGuard};

impl Store {
    /// Copies all that is in this store, as it is at one moment, into another one, whatever database each of them is: everything that a
    /// [dump](Store::dump) has, with the keys of subjects, under the numbers that it has here.
    ///
    /// - **Begun anew it goes on**: whoever was killed, lost the connection, or dropped the future, calls the same again. What is there
    ///   already is read and compared, and only the rest is written. Nothing is kept of how far a copy has come: the other store is
    ///   empty, or the beginning of what is copied, in the order of a dump, or it is [refused](crate::Error::NotTheCopy) and nothing is
    ///   written. So a copy that was begun and a store that has changed since in what was copied already do not go together; what
    ///   changes behind that is copied as it is now.
    /// - **A commit each 10,000 records** or 16 MiB, more or less, under the writers' turn; between two of them others have theirs. A blob
    ///   is one commit, however large: nobody sees half of it.
    /// - **Verified**: at the end both sides are read once more and held against one another, record by record, with the position of the
    ///   last event. What differs is an [error](crate::Error::CopyDiffers) that names the first such record. What is said to be the same
    ///   then has been read from both.
    /// - **Nobody else should write to the other store** until it is done. One who copies too is refused, since whoever copies holds the
    ///   lock `millpond-copy` there. One who writes to what is being copied [stops](crate::Error::CopyStopped) it in the next commit, or
    ///   is found at the end. Nothing of his is written over.
    /// - **Tokens** go on far above all that this store has given, so that they keep their order also if it goes on. What belongs to a
    ///   process (locks, claims), can be made anew (snapshots), or is in [tables of your own](crate::Sql) is not copied.
    ///
    /// This store is read from a copy that needs room on its disk, as by a dump. The memory does not depend on how much it is.
    ///
    /// # Errors
    /// [`Error::CopyRefused`](crate::Error::CopyRefused) onto itself, and if somebody else copies there;
    /// [`Error::NotTheCopy`](crate::Error::NotTheCopy), [`Error::CopyStopped`](crate::Error::CopyStopped) and
    /// [`Error::CopyDiffers`](crate::Error::CopyDiffers) as above; [`Error::Fenced`](crate::Error::Fenced) if this process was stopped
    /// for so long that the lock was lost; [`Error::Busy`](crate::Error::Busy); [`Error::ReadOnly`](crate::Error::ReadOnly);
    /// [`Error::Corrupt`](crate::Error::Corrupt); [`Error::StorageFull`](crate::Error::StorageFull); what the databases said. What was
    /// committed before stays.
    ///
    /// # Examples
    /// ```
    /// use millpond::{Copying, Error, Store};
    /// # futures_executor::block_on(async {
    /// # let folder = tempfile::tempdir().unwrap();
    /// let store = Store::open(folder.path().join("shop.db")).await?;
    /// store.dict::<u64>("prices").set("lamp", &700).await?;
    /// let other = Store::open(folder.path().join("other.db")).await?;
    /// let copied = store.copy_to(&other, Copying::new()).await?;
    /// assert_eq!((copied.written, copied.known), (2, 0));
    /// let again = store.copy_to(&other, Copying::new()).await?;
    /// assert_eq!((again.written, again.known, again.checksum), (0, 2, copied.checksum));
    ///
    /// other.dict::<u64>("prices").set("lamp", &800).await?;
    /// let refused = store.copy_to(&other, Copying::new()).await;
    /// assert!(matches!(refused, Err(Error::NotTheCopy { .. })));
    /// # other.close().await?;
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    pub async fn copy_to(&self, to: &Store, copying: Copying) -> Result<Copied> {
        self.is_another(to)?;
        let guard = to.copying().try_acquire().await?.ok_or_else(copy::another)?;
        let original = self.runtime.read_aside(COPY, self.opening()).await?;
        to.fill(original, guard, copying).await
    }

    /// The same for a thread that waits.
    pub(crate) fn copy_to_blocking(&self, to: &Store, copying: Copying) -> Result<Copied> {
        self.is_another(to)?;
        let guard = to.copying().request_blocking(Wait::No)?.ok_or_else(copy::another)?;
        let original = self.runtime.read_aside_blocking(COPY, self.opening())?;
        to.fill_blocking(original, guard, copying)
    }

    /// Copies all that is in this store, as it is at one moment, to a new file: a [dump](Store::dump) with the keys of subjects, which
    /// is as secret as the store. Only whoever owns it may read it.
    ///
    /// It is written as `FILE.part`, and has its name when it is whole, on disk, and has been read again and compared. Begun anew, it goes
    /// on where the one before was cut; if the store has changed since, it is written anew from there, or from the beginning. A file
    /// that has the name already must be this copy; then nothing is written.
    ///
    /// # Errors
    /// [`Error::NotTheCopy`](crate::Error::NotTheCopy) if there is another file; [`Error::CopyRefused`](crate::Error::CopyRefused) if
    /// somebody else copies to it; [`Error::CopyDiffers`](crate::Error::CopyDiffers); [`Error::Corrupt`](crate::Error::Corrupt);
    /// [`Error::StorageFull`](crate::Error::StorageFull); what the database and the file system said.
    ///
    /// # Examples
    /// ```
    /// use millpond::{Copying, Store};
    /// # futures_executor::block_on(async {
    /// # let folder = tempfile::tempdir().unwrap();
    /// let store = Store::open(folder.path().join("shop.db")).await?;
    /// store.dict::<u64>("prices").set("lamp", &700).await?;
    /// let copied = store.copy_to_dump(folder.path().join("shop.jsonl"), Copying::new()).await?;
    /// assert_eq!(copied.records(), 2);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    pub async fn copy_to_dump(&self, to: impl AsRef<Path>, copying: Copying) -> Result<Copied> {
        let to = to.as_ref().to_owned();
        self.runtime.read_aside(COPY, self.writing_out(to, copying)).await
    }

    /// The same for a thread that waits.
    pub(crate) fn copy_to_dump_blocking(&self, to: &Path, copying: Copying) -> Result<Copied> {
        self.runtime.read_aside_blocking(COPY, self.writing_out(to.to_owned(), copying))
    }

    /// Copies all that was [dumped](Store::dump) into this store, as [`copy_to`](Store::copy_to) does out of another one: begun anew it
    /// goes on, and at the end this store is held against the dump. It is for what is too large for one commit, which is what
    /// [`load`](Store::load) is; and for a whole dump only.
    ///
    /// First the dump is read to its end, as by `load`, to a file without a name beside the store: a line that is not what it should be
    /// is an error that names it, and nothing is written. Values of dicts whose time is over are left out. A dump without the keys of
    /// subjects is copied without them.
    ///
    /// # Errors
    /// [`Error::LoadRefused`](crate::Error::LoadRefused), with the line; [`Error::CopyRefused`](crate::Error::CopyRefused) if the dump
    /// holds only a part of its store; what [`copy_to`](Store::copy_to) says.
    ///
    /// # Examples
    /// ```
    /// use millpond::{Copying, Store};
    /// # futures_executor::block_on(async {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("shop.jsonl");
    /// # let store = Store::memory().await?;
    /// # store.dict::<u64>("prices").set("lamp", &700).await?;
    /// # store.copy_to_dump(&path, Copying::new()).await?;
    /// # store.close().await?;
    /// let other = Store::open(folder.path().join("other.db")).await?;
    /// let copied = other.copy_from_dump(std::fs::File::open(&path).unwrap(), Copying::new()).await?;
    /// assert_eq!(copied.written, 2);
    /// # other.close().await
    /// # }).unwrap();
    /// ```
    pub async fn copy_from_dump<R: Read + Send + 'static>(
        &self,
        from: R,
        copying: Copying,
    ) -> Result<Copied> {
        let plan = self.runtime.read_aside(COPY, self.planning(from, Load::new())).await?;
        let original = Original::of_dump(plan)?;
        let guard = self.copying().try_acquire().await?.ok_or_else(copy::another)?;
        self.fill(original, guard, copying).await
    }

    /// The same for a thread that waits.
    pub(crate) fn copy_from_dump_blocking<R: Read + Send + 'static>(
        &self,
        from: R,
        copying: Copying,
    ) -> Result<Copied> {
        let plan = self.runtime.read_aside_blocking(COPY, self.planning(from, Load::new()))?;
        let original = Original::of_dump(plan)?;
        let guard = self.copying().request_blocking(Wait::No)?.ok_or_else(copy::another)?;
        self.fill_blocking(original, guard, copying)
    }

    /// Fills this store with what is copied, under the lock.
    async fn fill(&self, original: Original, guard: LockGuard, copying: Copying) -> Result<Copied> {
        let comparing = self.comparing(original, &guard, copying);
        let mut work = self.runtime.read_aside(COPY, comparing).await?;
        while !work.is_done() {
            work = self.runtime.write_aside(COPY, writing(work)).await?;
        }
        let copied = self.runtime.read_aside(COPY, self.verifying(work)).await?;
        guard.release().await?;
        Ok(copied)
    }

    fn fill_blocking(&self, original: Original, guard: LockGuard, copying: Copying) -> Result<Copied> {
        let comparing = self.comparing(original, &guard, copying);
        let mut work = self.runtime.read_aside_blocking(COPY, comparing)?;
        while !work.is_done() {
            work = self.runtime.write_aside_blocking(COPY, writing(work))?;
        }
        let copied = self.runtime.read_aside_blocking(COPY, self.verifying(work))?;
        guard.release_blocking()?;
        Ok(copied)
    }

    /// What can be told without reading either of them.
    fn is_another(&self, to: &Store) -> Result<()> {
        if Arc::ptr_eq(&self.runtime, &to.runtime) { Err(copy::onto_itself()) } else { Ok(()) }
    }

    fn copying(&self) -> Lock {
        self.lock(copy::LOCK)
    }

    fn opening(&self) -> impl FnOnce(&mut dyn View) -> Result<Original> + Send + 'static {
        let clock = self.runtime.seams().clock.clone();
        move |view| Original::of_store(view, clock.now())
    }

    fn comparing(
        &self,
        original: Original,
        guard: &LockGuard,
        copying: Copying,
    ) -> impl FnOnce(&mut dyn View) -> Result<Work> + Send + 'static {
        let (seams, fence) = (self.runtime.seams().clone(), guard.fence());
        move |view| copy::compare(view, original, (fence, copying), &seams)
    }

    fn verifying(&self, work: Work) -> impl FnOnce(&mut dyn View) -> Result<Copied> + Send + 'static {
        let seams = self.runtime.seams().clone();
        move |view| copy::verify(view, work, &seams)
    }

    fn writing_out(
        &self,
        to: PathBuf,
        copying: Copying,
    ) -> impl FnOnce(&mut dyn View) -> Result<Copied> + Send + 'static {
        let seams = self.runtime.seams().clone();
        move |view| copy::to_dump(Original::of_store(view, seams.clock.now())?, &to, copying, &seams)
    }
}

fn writing(work: Work) -> impl FnOnce(&mut dyn Session, Moment) -> Result<Work> + Send + 'static {
    move |session, now| work.go_on(session, now)
}

const COPY: &str = "millpond-copy";
