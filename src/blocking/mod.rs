//! The same store for threads that wait: the same names, the same methods, no `async`.
//!
//! Take this face in programs that are not async: scripts, legacy code, a thread pool of your own. A call blocks
//! the thread it is made on and no other, inside an async runtime too (which is then blocked, as by any other
//! blocking call). On Millpond's own threads - from `decide`, `evolve` or a serializer - it is
//! [`Error::WouldDeadlock`](crate::Error::WouldDeadlock) instead of a hang.
//!
//! # Examples
//! ```
//! use millpond::blocking::Store;
//!
//! let store = Store::memory()?;
//! let guard = store.lock("nightly").acquire()?;
//! guard.release()?;
//! store.close()?;
//! # Ok::<(), millpond::Error>(())
//! ```

mod aggregate;
mod batch;
mod blob;
mod change;
mod channel;
mod channels;
mod dict;
mod durable;
mod erase;
mod events;
mod feed;
mod following;
mod group;
mod inspect;
mod job;
mod leader;
mod list;
mod lock;
mod lock_set;
mod log;
mod projection;
mod queue;
mod reactor;
mod repository;
mod rw_lock;
mod schedule;
mod sealed_dict;
mod semaphore;
mod store;
mod subject;
mod timers;
mod worker;

pub use self::aggregate::Entity;
pub use self::batch::Batch;
pub use self::blob::{BlobEntries, BlobReader, BlobWriter, Blobs};
pub use self::change::Changes;
pub use self::channel::Channel;
pub use self::channels::{Channels, ChannelsSubscription};
pub use self::dict::{Dict, DictChanges, Entries};
pub use self::durable::{Consumer, Durable};
pub use self::events::{EventStream, Events};
pub use self::feed::{History, Live, Subscription};
pub use self::following::Following;
pub use self::group::{Delivery, Group, Member};
pub use self::inspect::Inspector;
pub use self::job::Job;
pub use self::leader::{Election, Leadership};
pub use self::list::{Items, List};
pub use self::lock::{Lock, LockGuard};
pub use self::lock_set::{LockSet, LockSetGuard};
pub use self::log::Log;
pub use self::projection::{Projection, Projector};
pub use self::queue::Queue;
pub use self::reactor::Reactor;
pub use self::repository::{EventStore, Repository};
pub use self::rw_lock::RwLock;
pub use self::sealed_dict::SealedDict;
pub use self::semaphore::Semaphore;
pub use self::store::{Store, StoreBuilder};
pub use self::subject::Subject;
pub use self::timers::Timers;
pub use self::worker::Worker;
