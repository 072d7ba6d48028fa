//! The SQLite database: one file, its log, and the sidecar through which its processes know of each other.
//!
//! | file | what it does |
//! | --- | --- |
//! | `place` | which file it is, and what a path must be |
//! | `same` | whether the paths still lead to the files that were opened |
//! | `open` | connections and their pragmas |
//! | `migrate` | makes a new file a store, and an old store a current one |
//! | `anchor` | brings the log to disk before the first process builds on it |
//! | `sync`, `turn`, `presence`, `bell` | the sidecar: its locks, the writers' turn, who lives, who waits; waking |
//! | `session` | the connection that writes: begin, commit, checkpoint, leave |
//! | `tables` | every operation, and the method that does it |
//! | `ahead` | operations that are done as soon as they are foreseen |
//! | `process` | registration, and who is dead |
//! | `trace` | which group came last |
//! | `lock`, `line`, `lease`, `stream`, `import`, `erase`, `events`, `snapshot`, `change` | a primitive each: its operations and its reads |
//! | `feed`, `messages` | logs and channels: what is written of them, and how they are read |
//! | `queue`, `job`, `backlog` | queues: what is done to them, the rows of jobs, what is read of them |
//! | `schedule` | what is pushed to a queue again and again |
//! | `list` | lists, their items, and the nodes of their order |
//! | `blob`, `content` | blobs: what is under each key and how it is read, the chunks of what it holds |
//! | `dict`, `dict_index`, `dict_page`, `dict_seal` | dicts and their entries, what is indexed of them, how they are read page by page, which are sealed |
//! | `subject` | the keys of subjects |
//! | `subscription` | how far each durable subscription has come |
//! | `sql` | the user's own SQL: what it may not touch, how long it may run |
//! | `record` | records of a dump: how they are put back, a file a primitive |
//! | `compact` | the log is moved into the main file, and what is free there given back |
//! | `check` | what is wrong with a store beside what its records say of themselves |
//! | `backup` | a copy in another file |
//! | `frozen` | a copy for whoever takes long to read |
//! | `data`, `origin` | payloads, and where they come from, as columns |
//! | `dense` | what is missing in a row of records |
//! | `look_up` | rows by what they are called, and whether they are the ones |
//! | `view` | the read-only connection |

mod ahead;
mod anchor;
mod backlog;
mod backup;
mod bell;
mod blob;
mod change;
mod check;
mod compact;
mod content;
mod data;
mod dense;
mod dict;
mod dict_index;
mod dict_page;
mod dict_seal;
mod erase;
mod error;
mod events;
mod feed;
mod frozen;
mod import;
mod job;
mod lease;
mod line;
mod list;
mod lock;
mod look_up;
mod messages;
mod migrate;
mod open;
mod origin;
mod place;
mod presence;
mod process;
mod projection;
mod queue;
mod record;
mod same;
mod schedule;
mod session;
mod snapshot;
mod sql;
mod stream;
mod subject;
mod subscription;
mod sync;
mod tables;
mod trace;
mod turn;
mod view;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use millpond_actors::error::Result;
use millpond_actors::storage::filter::Fields;
use millpond_actors::storage::{Backend, Identity, Moment, Onlooker, Session, View};

#[cfg(feature = "testing")]
pub use self::anchor::watched;
use self::place::Place;
use crate::location::Durability;

/// How a store is opened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// What a commit survives.
    pub(crate) durability: Durability,
    /// Only views: nothing is created or written, and whoever joins may not write.
    pub(crate) read_only: bool,
    /// What reads payloads for filters and indexes.
    pub(crate) fields: Fields,
}

impl Options {
    /// Whether each commit is synced.
    fn syncs(&self) -> bool {
        self.durability == Durability::PowerLoss
    }
}

/// A store in a SQLite file, opened.
#[derive(Debug)]
pub(crate) struct Sqlite {
    place: Arc<Place>,
    options: Options,
    /// The running system's boot id, once somebody who joined has told it.
    boot: Arc<OnceLock<String>>,
}

impl Sqlite {
    /// Opens the store at `path`, and makes one if there is none.
    ///
    /// # Errors
    /// [`Error::InvalidPath`], [`Error::NotOurFile`], [`Error::SchemaTooNew`] or [`Error::Unsupported`] for what
    /// cannot be a store, before anything was written; else what the database said.
    pub(crate) fn open(path: &Path, options: Options) -> Result<Sqlite> {
        open::check_library()?;
        let place = Arc::new(Place::find(path, !options.read_only)?);
        migrate::bring_up(&place, &options)?;
        Ok(Sqlite { place, options, boot: Arc::default() })
    }
}

impl Backend for Sqlite {
    fn join(&self, identity: &Identity, now: &dyn Fn() -> Moment) -> Result<Box<dyn Session>> {
        if self.options.read_only {
            let position = self.view()?.head()?;
            return Ok(Box::new(Onlooker::new("it was opened for reading only", position)));
        }
        // The first to join tells; the boot does not change while a process runs.
        let _ = self.boot.set(identity.boot.clone());
        let session = session::SqliteSession::join(self.place.clone(), self.options, identity, now)?;
        Ok(Box::new(session))
    }

    fn view(&self) -> Result<Box<dyn View>> {
        Ok(Box::new(view::SqliteView::open(self.place.clone(), self.boot.clone(), self.options)?))
    }
}
