//! Copies of a store, made while it is in use.

use std::path::Path;

use millpond_actors::error::Result;

use super::Store;

impl Store {
    /// Copies the store to a new file, as it is at one moment, while it and other processes go on. How many bytes that has.
    ///
    /// - **One snapshot**: what was acknowledged before is in it, of each commit all or nothing.
    /// - **Others go on**: it reads on a thread of its own. The log cannot be moved into the main file beyond the snapshot meanwhile,
    ///   so it grows by what is written; once it is long, writers try now and then to begin it anew, and stand still for a quarter of
    ///   a second each time.
    /// - **Checked**: SQLite's `integrity_check` has found it sound, and it is on disk, before it has its name. If anything fails
    ///   before that there is nothing.
    /// - **A store of its own**: it can be opened, and put in the place of the original, `shop.db` say, when nobody has that open. Then
    ///   `shop.db-wal`, `shop.db-shm` and `shop.db-sync` have to be removed first: they are the original's, and what is left in its
    ///   log must not come over the copy. Nobody holds a lock or a job in it, and its
    ///   fencing tokens go on far above those of the original, so that no token is given twice even if the original gave more behind
    ///   the copy. What was destroyed in the original behind the copy, the [key of a subject](crate::Subject::shred) say, is still in
    ///   it.
    ///
    /// If the future is dropped, or the store closed, it is finished all the same, unless the process ends: then a file
    /// `.millpond-backup-…` may be left beside it.
    ///
    /// # Errors
    /// [`Error::InvalidPath`](crate::Error::InvalidPath) if there is something at that path, or no folder for it;
    /// [`Error::Unsupported`](crate::Error::Unsupported) for a store in memory; [`Error::StorageFull`](crate::Error::StorageFull); what
    /// the database and the file system said.
    ///
    /// # Examples
    /// ```
    /// # futures_executor::block_on(async {
    /// # let folder = tempfile::tempdir().unwrap();
    /// let store = millpond::Store::open(folder.path().join("shop.db")).await?;
    /// store.dict::<u64>("prices").set("lamp", &700).await?;
    /// store.backup(folder.path().join("monday.db")).await?;
    /// store.close().await?;
    ///
    /// let monday = millpond::Store::open(folder.path().join("monday.db")).await?;
    /// assert_eq!(monday.dict::<u64>("prices").get("lamp").await?.as_deref(), Some(&700));
    /// # monday.close().await
    /// # }).unwrap();
    /// ```
    pub async fn backup(&self, to: impl AsRef<Path>) -> Result<u64> {
        let to = to.as_ref().to_owned();
        self.runtime.read_aside(THREAD, move |view| view.backup(&to)).await
    }

    /// The same for a thread that waits.
    pub(crate) fn backup_blocking(&self, to: &Path) -> Result<u64> {
        let to = to.to_owned();
        self.runtime.read_aside_blocking(THREAD, move |view| view.backup(&to))
    }
}

const THREAD: &str = "millpond-backup";
