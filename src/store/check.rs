//! Looking a store over while it is in use.

use millpond_actors::error::Result;
use millpond_actors::storage::View;

use super::Store;
use crate::check::{self, Report};

impl Store {
    /// Looks the whole store over and says what is wrong with it, while it and other processes go on. It changes nothing.
    ///
    /// - SQLite's `integrity_check`: whether its trees are trees, and its indexes lead to their rows.
    /// - The checksum of each record, whatever it belongs to, and whether one is missing, comes twice or stands elsewhere; of each blob
    ///   all its bytes, with its SHA-256.
    /// - Whether rows that belong together agree: versions and counters with what there is, messages with their bytes, jobs with
    ///   their states and keys, blobs with their pieces, and all of it with what it is in. A piece that is nobody's, and that no sweep
    ///   would find, is one too many.
    ///
    /// It reads on a thread of its own, page by page but for SQLite's check, which is one snapshot: as long as that takes, the log
    /// cannot be moved into the main file beyond it, as for a [backup](Store::backup). Of a store in memory only the records are read.
    ///
    /// # Errors
    /// What is wrong with the store is no error but a [finding](crate::Finding); an error is what keeps it from being looked at:
    /// [`Error::Closed`](crate::Error::Closed), a disk that fails.
    ///
    /// # Examples
    /// ```
    /// # futures_executor::block_on(async {
    /// # let folder = tempfile::tempdir().unwrap();
    /// let store = millpond::Store::open(folder.path().join("shop.db")).await?;
    /// store.dict::<u64>("prices").set("lamp", &700).await?;
    /// let report = store.check().await?;
    /// assert!(report.is_sound(), "{:#?}", report.findings);
    /// assert_eq!(report.records, 2, "the dict and its entry");
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    pub async fn check(&self) -> Result<Report> {
        self.runtime.read_aside(THREAD, self.checking()).await
    }

    /// The same for a thread that waits.
    pub(crate) fn check_blocking(&self) -> Result<Report> {
        self.runtime.read_aside_blocking(THREAD, self.checking())
    }

    fn checking(&self) -> impl FnOnce(&mut dyn View) -> Result<Report> + Send + 'static {
        let clock = self.runtime.seams().clock.clone();
        move |view| check::check(view, clock.now())
    }
}

const THREAD: &str = "millpond-check";
