//! Giving back what a store does not need.

use millpond_actors::clock::Moment;
use millpond_actors::error::Result;
use millpond_actors::storage::{Compacted, Session};

use super::Store;

impl Store {
    /// Gives the room that is free in the store's file back to the file system, and puts what is left in order. Free room comes of
    /// what is removed, and is used again by what comes; it is worth giving back only when much has been removed for good.
    ///
    /// - **Others wait**: it has the writers' turn while it copies, about as long as a [backup](Store::backup) takes. Writes of this
    ///   process and of others wait as for any other commit, up to their call timeout, and are [`Error::Busy`](crate::Error::Busy)
    ///   beyond that, which names this process; nothing of them is lost. Reads go on. A lease whose time to live is shorter than that
    ///   may be over behind it.
    /// - **Nothing is lost by a kill**: it is one commit. Before it the file is as it was.
    /// - **Room**: meanwhile it needs about twice as much as the store will have, in the folder for temporary files and in the log.
    /// - As long as somebody reads from before it, the file keeps its size; then the next checkpoint shortens it.
    ///
    /// If the future is dropped before the turn was there, nothing is done; behind that it is finished all the same.
    ///
    /// # Errors
    /// [`Error::Busy`](crate::Error::Busy) if somebody else has the turn for as long as a call may take, with his name;
    /// [`Error::StorageFull`](crate::Error::StorageFull); [`Error::Unsupported`](crate::Error::Unsupported) for a store in memory;
    /// what the database said. Nothing was done then.
    ///
    /// # Examples
    /// ```
    /// # futures_executor::block_on(async {
    /// # let folder = tempfile::tempdir().unwrap();
    /// let store = millpond::Store::open(folder.path().join("shop.db")).await?;
    /// let lamps = store.dict::<String>("lamps");
    /// lamps.set("a", &"x".repeat(1_000_000)).await?;
    /// lamps.delete("a").await?;
    /// let compacted = store.compact().await?;
    /// assert!(compacted.after < compacted.before);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    pub async fn compact(&self) -> Result<Compacted> {
        self.runtime.write_aside(THREAD, compacting).await
    }

    /// The same for a thread that waits.
    pub(crate) fn compact_blocking(&self) -> Result<Compacted> {
        self.runtime.write_aside_blocking(THREAD, compacting)
    }
}

fn compacting(session: &mut dyn Session, _: Moment) -> Result<Compacted> {
    session.compact()
}

const THREAD: &str = "millpond-compact";
