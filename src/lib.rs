//! **Durable actors in one file.** Every store primitive - a named lock, a semaphore, an event-sourced aggregate - is an
//! actor: found by its name, started on first use, let go when idle, started anew when it fails. All of them, and whoever
//! appends to a stream of events himself, write through one writer into one SQLite file, many callers sharing one fsync.
//!
//! What an `Ok` means: the write is on disk and survives the loss of power. What an [`Error`] means for a write
//! is one of two things, see [`Error::outcome`]: it left no trace, or (only if the disk failed in the very moment
//! of the commit, or did not answer) it is not known.
//!
//! - [`Store`] is the door to everything; its methods are `async` and run on any executor.
//! - [`blocking::Store`] is the same with threads that wait, for programs that are not async.
//! - Several processes may open the same file. A process that dies loses its locks at once.
//!
//! # Examples
//! ```
//! # futures_executor::block_on(async {
//! let folder = tempfile::tempdir().unwrap();
//! let store = millpond::Store::open(folder.path().join("shop.db")).await?;
//! let guard = store.lock("nightly").acquire().await?;
//! let event = millpond::Event::new("ReportMade", &serde_json::json!({"pages": 7}))?;
//! store.events().guarded_by(&guard).append("report-2026", millpond::Expected::Any, [event]).await?;
//! guard.release().await?;
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! # What it is not
//! Not a database server, not a broker, not a consensus system. One machine; network file systems are refused.
//!
//! # Features
//! | feature | default | what it brings |
//! | --- | --- | --- |
//! | `sqlite` | yes | stores in SQLite files, with SQLite compiled in |
//! | `cli` | yes | the program `millpond`; a library user leaves it out |
//! | `testing` | no | for tests: a clock of their own, checkpoints as often as they like, what is done to the log past SQLite, and points at which it fails |

mod store;

mod aggregate;
mod events;
mod leader;
mod lock;
mod lock_set;
mod queue;
mod rw_lock;
mod semaphore;

mod inspect;
mod job;
mod reading;

mod codec;
mod location;

pub mod blocking;

mod storage;

/// The README's programs run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use crate::aggregate::{Aggregate, CommandError, Committed, Decision, Entity, Snapshots};
#[cfg(feature = "testing")]
pub use crate::codec::decode;
pub use crate::events::{Appended, Event, Events, Imported};
pub use crate::inspect::{Health, Inspector, WriterFigures, WriterState};
pub use crate::job::{Job, Push};
pub use crate::leader::{Election, Leader, Leadership};
pub use crate::location::{Durability, Location};
pub use crate::lock::{Lock, LockGuard};
pub use crate::lock_set::{LockSet, LockSetGuard};
pub use crate::queue::{Pushed, Queue};
pub use crate::reading::{EventStream, Recorded};
pub use crate::rw_lock::RwLock;
pub use crate::semaphore::Semaphore;
#[cfg(all(feature = "sqlite", feature = "testing"))]
pub use crate::store::watched;
pub use crate::store::{Store, StoreBuilder};
#[cfg(any(test, feature = "testing"))]
pub use millpond_actors::clock::{Clock, ManualClock, Moment};
pub use millpond_actors::error::{Error, Expected, Occupant, ProcessName, Result, WriteOutcome};
#[cfg(any(test, feature = "testing"))]
pub use millpond_actors::failpoint;
pub use millpond_actors::storage::lock::{Grant, Holder, Line as LockLine};
pub use millpond_actors::storage::queue::{
    Job as JobRecord, Numbers as QueueNumbers, Options as QueueOptions, Page as JobPage, State as JobState,
};
pub use millpond_actors::storage::{Data, Identity, Process, Summary};
