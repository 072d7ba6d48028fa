//! **Durable actors in one file.** Every store primitive - a named lock, a semaphore, a queue, a channel, an event-sourced aggregate -
//! is an actor: found by its name, started on first use, let go when idle, started anew when it fails. All of them, and whoever
//! appends to a stream of events himself, write through one writer into one SQLite file, many callers sharing one fsync.
//!
//! What an `Ok` means: the write is on disk and survives the loss of power. What an [`Error`] means for a write
//! is one of two things, see [`Error::outcome`]: it left no trace, or (only if the disk failed in the very moment
//! of the commit, or did not answer) it is not known.
//!
//! - [`Store`] is the door to everything; its methods are `async` and run on any executor.
//! - [`blocking::Store`] is the same with threads that wait, for programs that are not async.
//! - Several processes may open the same file. A process that dies loses its locks at once.
//! - [`guide::event_sourcing`] leads from an empty file to an aggregate, an upcast event and a test; [`guide::observing`] says what
//!   a store tells of itself, and when to worry; [`guide::growing`] moves a store to a PostgreSQL server, for several machines.
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
//! # Dicts
//! A [`Dict`] has a value under each key: prices, settings, sessions, counters. What it promises:
//! - What was read is replaced only [if it is still that](Put::version), and [`update`](Dict::update) does so until it succeeds;
//!   [`increment`](Dict::increment) is exact. So nothing is lost, however many write at once, in whatever processes.
//! - A [time to live](Put::ttl) is exact in every view: when it is over the value is not there for `get`, `entries`, `count`, nor for
//!   what a write expects.
//! - In a [batch](Batch::set), and so with the rows of a [projection](Rows), it is all or nothing with everything else.
//! - A [filter](Where) picks [entries](Entries::matching) out by what is in their values, and finds the same with an
//!   [index](Dict::index) as without one; [`explain`](Dict::explain) says which is used. Numbers are compared exactly.
//!
//! In a [sealed dict](SealedDict) values are encrypted before they leave the caller: whoever has its [key](SealKey) reads them, and nobody
//! sees them in the file, its log or a backup.
//!
//! Not for what has a history: that is an [aggregate](Aggregate). Not for what is large: a value is read and written whole, and may
//! have 4 MiB. Not for a lock: that is a [lock](Lock), which is given back when its holder dies.
//!
//! ```
//! use std::time::Duration;
//! use millpond::{Put, Store};
//! # futures_executor::block_on(async {
//! let store = Store::memory().await?;
//! let sessions = store.dict::<String>("sessions");
//! sessions.set_with("7f3a", &"Ada".to_owned(), Put::new().ttl(Duration::from_secs(1_800)).absent()).await?;
//! assert_eq!(sessions.get("7f3a").await?.as_deref().map(String::as_str), Some("Ada"));
//! let visits = store.dict::<i64>("visits");
//! assert_eq!(visits.increment("ada", 1).await?, 1);
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! # Lists
//! A [`List`] has items in an order of its own, which whoever uses it makes: a playlist, the steps of a recipe, what was looked at
//! last, a stack. What it promises:
//! - An item is [read](List::get), [put](List::insert), [replaced](List::set), [moved](List::move_item) and [removed](List::remove) by
//!   its index, from either end; also in the middle of a million items that costs a few steps, and nothing is ever numbered anew.
//! - Each change is whole, and they have one order over all processes. An index is that of the moment of the change; whoever means the
//!   item that he has read [says its version](List::set_if).
//! - Whoever [waits](List::pop_front) for an item is served in the order in which he came, among those of his process; one who goes
//!   away takes nothing along.
//! - In a [batch](Batch::push_back) it is all or nothing with everything else: work whose effects are in this store is done once if the
//!   [item is removed](Batch::remove_item) in their commit.
//!
//! Not for work that must not get lost with the process that has it in hand: that is a [queue](Queue), whose jobs come back. Not for
//! what only grows at its end and is read by many: that is a [log](Log). Not for what is found by a name: that is a [dict](Dict).
//!
//! ```
//! use millpond::{ListEnd, Store};
//! # futures_executor::block_on(async {
//! let store = Store::memory().await?;
//! let seen = store.list::<u32>("seen-by-ada");
//! for page in [7, 9, 7, 12] {
//!     seen.push_front(&page).await?;
//! }
//! seen.trim(..3).await?;                                   // the last three are enough
//! assert_eq!(seen.get(0).await?.as_deref(), Some(&12));
//! let later = store.list("later");
//! seen.move_to(0, &later, ListEnd::Back).await?;           // one commit: it is in one of them at any time
//! assert_eq!((seen.count().await?, later.pop_front().await?), (2, 12));
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! # Blobs
//! [`Blobs`] are large values by key: films, backups, what is uploaded. What they promise:
//! - Nobody sees one before [all of it](BlobWriter::finish) is on disk. One that was not finished, because its writer was dropped or
//!   its process died, was never there, and what was written of it is swept.
//! - Writing and reading take the memory of a few pieces of 128 KiB, whether there are as many of them or 1 TiB.
//! - No byte is given out that is not the one that was written: each piece has a checksum, and all of it a SHA-256, which are compared
//!   while it is read.
//! - Who [reads](Blobs::read) goes on with what he began with when that is replaced or removed, as long as it was not swept, and else
//!   is [told so](Error::BlobGone).
//! - It is replaced only [if it is still that](Upload::version), and in a [batch](BlobWriter::finish_in) it is all or nothing with
//!   everything else: the event that tells of it, the job that looks at it.
//!
//! Not for many small values that are counted or queried: those are a [dict](Dict)'s. What is removed leaves room in the file, which
//! is used again, and is not overwritten with zeros.
//!
//! ```
//! use millpond::{Store, Upload};
//! # futures_executor::block_on(async {
//! let store = Store::memory().await?;
//! let (photos, thumbnails) = (store.blobs("photos"), store.queue::<String>("thumbnails"));
//! let mut photo = photos.write_with("pond.png", Upload::new().metadata("by Ada").absent());
//! for piece in [&b"three "[..], b"pieces ", b"of it"] {
//!     photo.write(piece).await?;
//! }
//! // It is there with the job that makes a small one of it, in one commit.
//! let mut batch = store.batch();
//! let photo = photo.finish_in(&mut batch).await?;
//! batch.push(&thumbnails, &"pond.png".to_owned())?;
//! assert_eq!(batch.commit().await?[photo].size(), 18);
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! # Logs
//! A [`Log`] is a sequence of records that never change: an audit, measurements, what a machine has said. Records are read by
//! [range](Log::range), by the time they were recorded, [newest first](History::newest_first), [followed](Log::follow) as they
//! come, and [folded](Log::live) over the last minute. What it promises: an `Ok` is on disk; sequences are dense, in the order
//! of the commits, and never used again; whoever follows gets each record once, in order, without a gap.
//!
//! Not for what is decided on what is there already: that is an [aggregate](Aggregate), or an append to a stream with an
//! [expected version](Expected). Not for a record that must not be there twice when an append of unknown fate is repeated: that
//! is an [event](Event) with an id.
//!
//! ```
//! use millpond::{From, Retention, Store};
//! # futures_executor::block_on(async {
//! let store = Store::memory().await?;
//! let audit = store.log::<serde_json::Value>("audit");
//! audit.retain(Retention::everything().count(1_000_000)).await?;
//! audit.append(&serde_json::json!({"user": "ada", "did": "opened"})).await?;
//! let mut records = audit.follow(From::Start).await?;
//! let record = records.next().await.expect("until the store is closed")?;
//! assert_eq!(record["user"], "ada");
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! # Channels
//! A [`Channel`] brings messages to whoever subscribes, in this process and in others. What it promises:
//! - A message comes after its commit, to each subscription once, in the order of the commits, without a gap. A slow one reads
//!   on from the store, in bounded memory, and holds up nobody.
//! - What retention removed before it was read is told with its exact number, [`Error::Lagged`]; nothing else is left out.
//! - A [durable subscription](Channel::durable) is remembered: at least once, one consumer at a time, and whoever consumes next
//!   begins behind the last message that was acknowledged. A consumer that was stopped past its lease acknowledges nothing
//!   more.
//! - A [group](Channel::group) is a durable subscription that several consumers share: each message goes to one of them, and
//!   those of one [key](Stamp::key) are handled one after the other. The work is shared out anew whenever one comes, goes or
//!   dies.
//! - [`Store::channels`] follows all channels of a pattern, `orders.*`, also those that are first used later.
//!
//! When a process is killed, its live subscriptions are gone, and a durable one goes on in the next process at once. When the
//! store is closed, each subscription gives [`Error::Closed`] once and ends. Nothing is removed unless a
//! [retention](Channel::retain) was fixed.
//!
//! Not for jobs with retries, delays and dead letters: that is a [queue](Queue). Where the order counts, a message that cannot
//! be dealt with holds up those behind it: all of a durable subscription, those of its key in a group. Not between machines.
//!
//! ```
//! use millpond::{Retention, Store};
//! # futures_executor::block_on(async {
//! let store = Store::memory().await?;
//! let orders = store.channel::<String>("orders");
//! orders.retain(Retention::everything().count(100_000)).await?;
//! let mut live = orders.subscribe().await?;
//! orders.publish(&"two lamps".to_owned()).await?;
//! assert_eq!(*live.next().await.expect("until the store is closed")?, "two lamps");
//! let mut billing = orders.durable("billing").consume().await?;
//! while let Some(order) = billing.next().await {
//!     let order = order?;
//!     // ... write the bill ...
//!     billing.ack(order.sequence()).await?;
//!     # break;
//! }
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! # Queues
//! A [`Queue`] holds jobs of which each is done by one of many workers, in this process and in others. What it promises:
//! - At least once: a job whose push was acknowledged is run until somebody says that it is [done](Job::done), buries or
//!   removes it, or until its attempts are used up. It is done once at most: whoever has lost it meanwhile is told
//!   [`Error::StaleClaim`], having changed nothing.
//! - Jobs begin in the order of their [priority](Push::priority), the lowest number first, and of equals in the order of the
//!   pushes. A [delayed](Push::delay) one never begins early. Of a [key](Push::key) there is one living job at a time.
//! - An attempt counts from the claim, so a job that kills its process comes to an end too: among the dead letters, with the
//!   reason, to be looked at and [revived](Queue::revive).
//!
//! When a process is killed, others get its jobs at once; when it is stopped, after the [lease](Queue::lease). A job that is
//! dropped without a word, as in a panic, is an attempt that came to nothing. One that cannot be read as a `T` is tried again
//! later, by whoever can. When the store is closed, whoever waits for a job gets [`Error::Closed`].
//!
//! Work may happen twice: a process can die after the work and before [`done`](Job::done). What must not be there twice is written
//! in one [batch](Batch) with the [end of the job](Job::done_in), or made so that a second time adds nothing: an [event](Event)
//! with an id, an [aggregate](Aggregate) that decides on nothing, or a place outside that refuses a smaller
//! [token](Job::token) than it has seen.
//!
//! Not for messages that each of several readers is to see: that is a [channel](Channel). Not for strict order to the end:
//! with several workers jobs begin in order and end in any. Not between machines.
//!
//! ```
//! use millpond::{Push, Store};
//! # futures_executor::block_on(async {
//! let store = Store::memory().await?;
//! let mail = store.queue::<String>("mail");
//! mail.push(&"Dear Ada".to_owned()).await?;
//! mail.push_with(&"Dear Grace".to_owned(), Push::new().priority(-1).key("order-17").max_attempts(3)).await?;
//! let mut sent = Vec::new();
//! while let Some(letter) = mail.try_pop().await? { // `pop` waits for more
//!     if letter.starts_with("Dear") {
//!         sent.push(letter.clone());
//!         letter.done().await?;
//!     } else {
//!         letter.retry("not polite").await?; // in a second, then in two, ...
//!     }
//! }
//! assert_eq!(sent, ["Dear Grace", "Dear Ada"]);
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! A [`Worker`] does the claiming and finishing: it runs a handler for each job, so many at a time and so many a period, on any
//! executor, and on threads on the [blocking](blocking::Worker) face. What the handler returns decides: `Ok` is done, `Err` is
//! tried again, and a [`Verdict`] says more. A handler that panics is an attempt that came to nothing, and a job that cannot be
//! read is a dead letter at once. No handler has to say that it lives: the lease lasts as long as its process runs. A worker that
//! is [stopped](Stopper::stop) begins nothing new, lets what runs come to its end within a grace, and gives the rest back, as if it
//! had never been taken.
//!
//! A [schedule](Queue::recurring) pushes a job again and again, at the times of a cron expression, in a time zone. Each time
//! comes once over all processes and crashes, and what was missed while no process was there comes once for all of it, or not
//! at all ([`Missed`]). Not more precise than a moment: a job begins within some milliseconds of its time and never before, if a
//! worker is there for it.
//!
//! ```
//! use std::time::Duration;
//! use millpond::{Every, Push, Store, Task, Verdict};
//! # async fn send(_letter: &str) -> std::io::Result<()> { Ok(()) }
//! # futures_executor::block_on(async {
//! let store = Store::memory().await?;
//! let mail = store.queue::<String>("mail");
//! // Said whenever the program starts.
//! let mornings = Every::cron("0 7 * * MON-FRI").zone("Europe/Amsterdam");
//! mail.recurring("digest", mornings, &"the digest".to_owned(), Push::new().key("digest")).await?;
//! for letter in ["Dear Ada", "Dear Grace", "rubbish"] {
//!     mail.push(&letter.to_owned()).await?;
//! }
//! // Without `drain` it waits for more, until it is stopped.
//! let worker = mail.worker().concurrency(8).rate(100, Duration::from_secs(1)).drain();
//! // For whoever hears of the end: stopper.stop(Duration::from_secs(10))
//! let stopper = worker.stopper();
//! let tally = worker
//!     .run(async |letter: Task<String>| {
//!         if !letter.starts_with("Dear") {
//!             return Ok(Verdict::Bury("not polite".into()));
//!         }
//!         send(&letter).await?; // what fails is tried again, later and later
//!         Ok::<_, std::io::Error>(Verdict::Done)
//!     })
//!     .await?;
//! assert_eq!((tally.done, tally.dead), (2, 1));
//! # drop(stopper);
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! # Timers
//! [`Timers`] are for what is to be done at a time unless something happens before: a reminder, an offer that runs out, the end of
//! a session. What they promise:
//! - One timer a key. Set again it is [moved](Timers::set), to another time and another value, and it can be
//!   [taken back](Timers::cancel).
//! - It never comes early and comes at least once, as a [`Job`] with the timer's key, also if every process has died meanwhile.
//! - One that is moved or taken back while somebody works on it is gone for him: what he says of it is [`Error::StaleClaim`], and
//!   a [batch](Batch) that ends it does not take effect.
//!
//! They are a queue, [`timers/NAME`](Timers::queue), with its workers and dead letters. Not for what happens anyway: that is a
//! [delayed](Push::delay) job. Not for what happens again and again at the times of a calendar: that is a
//! [schedule](Queue::recurring).
//!
//! ```
//! use std::time::Duration;
//! use millpond::Store;
//! # futures_executor::block_on(async {
//! let store = Store::memory().await?;
//! let sessions = store.timers::<String>("sessions");
//! let idle = Duration::from_millis(20); // half an hour
//! sessions.set("ada", idle, &"desk 7".to_owned()).await?;
//! sessions.set("bob", idle, &"desk 8".to_owned()).await?;
//! sessions.set("ada", idle, &"desk 7".to_owned()).await?; // she has done something
//! sessions.cancel("bob").await?; // he has left
//! let over = sessions.due().await?;
//! assert_eq!((over.key(), over.as_str()), (Some("ada"), "desk 7"));
//! over.done().await?;
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! # Batches
//! A [`Batch`] writes to any of them in one commit, all or none: events with the jobs and messages that follow from them, the
//! effects of a job with its [end](Job::done_in), those of a message with its [acknowledgement](Consumer::ack_in), changes of
//! [tables of your own](Sql) in the same file, all of it [under a lock](Batch::guarded_by) if that is wanted. If one
//! write is refused nothing is written, and the error is that one's.
//!
//! # Looking after a store
//! [`backup`](Store::backup) copies a store while it is in use, to another file. [`dump`](Store::dump) writes all that is in it as lines
//! of JSON, for people, other programs and other databases, and [`load`](Store::load) puts that back, all of it or nothing: names that are
//! there are refused, replaced or appended to. [`check`](Store::check) looks over every record and says what is wrong, and
//! [`compact`](Store::compact) gives free room back. A tool that may not write opens a store
//! [to look at it](StoreBuilder::read_only), also on a file that may not be written.
//!
//! ```
//! use millpond::{Dump, Store};
//! # futures_executor::block_on(async {
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("shop.db");
//! # Store::open(&path).await?.close().await?;
//! let store = Store::builder().read_only().open(&path).await?;
//! assert!(store.check().await?.is_sound());
//! store.dump(std::fs::File::create(folder.path().join("shop.jsonl")).unwrap(), Dump::new()).await?;
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
//! | `metrics` | no | what a store does, told to the recorder of the crate `metrics`; see [`guide::observing`] |
//! | `nats` | no | `NatsSink`: events are [relayed](Reactor::relay) to NATS JetStream |
//! | `testing` | no | for tests: the test kit `millpond::testing` (given-when-then for aggregates, a store that remembers and fails when told to, the contract of event stores), a clock that only the test moves; also checkpoints as often as they like, what is done to the log past SQLite, and points at which it fails |

mod store;

mod aggregate;
mod batch;
mod blob;
mod change;
mod channel;
mod channels;
mod check;
mod copy;
mod dict;
mod dump;
mod durable;
mod erase;
mod events;
mod feed;
mod filter;
mod following;
mod group;
mod leader;
mod list;
mod lock;
mod lock_set;
mod log;
mod projection;
mod queue;
mod relay;
mod repository;
mod rw_lock;
mod schedule;
mod semaphore;
mod sql;
mod subject;
mod timers;
mod watching;
mod worker;

mod inspect;
mod job;
mod origin;
mod paging;
mod patience;
mod reading;
mod sealed;
mod sharing;
mod stopper;

mod codec;
mod digest;
mod location;

pub mod blocking;

#[cfg(feature = "testing")]
pub mod testing;

mod storage;

pub mod guide;

/// The README's programs run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use crate::aggregate::{
    Aggregate, CommandError, Committed, Decision, Draft, Entity, Execute, Snapshots, Upcast, Upcasts,
};
pub use crate::batch::{Batch, Slot, Written};
pub use crate::blob::{Blob, BlobEntries, BlobReader, BlobWriter, Blobs, Upload};
pub use crate::change::{Change, Changes};
pub use crate::channel::Channel;
pub use crate::channels::{Channels, ChannelsSubscription};
pub use crate::check::{Finding, Report};
pub use crate::codec::Json;
#[cfg(feature = "testing")]
pub use crate::codec::decode;
pub use crate::copy::{Copied, CopyProgress, CopyStep, Copying};
pub use crate::dict::{
    CacheFigures, Dict, DictChange, DictChanges, DictIndex, Entries, Entry, Explained, Put,
};
pub use crate::dict::{SealKey, SealedDict};
pub use crate::dump::{Dump, Dumped, Load, Loaded};
pub use crate::durable::{Consumer, Durable};
pub use crate::erase::Deleted;
pub use crate::events::{Appended, Event, Events, Imported};
pub use crate::feed::{Extent, History, Live, Message, Retention, Stamp, Subscription};
pub use crate::filter::{Field, Literal, Where, field};
pub use crate::following::Following;
pub use crate::group::{Delivery, Group, Member};
pub use crate::inspect::{Health, Inspector, SnapshotFigures, WriterFigures, WriterState};
pub use crate::job::{Job, Push};
pub use crate::leader::{Election, Leader, Leadership};
pub use crate::list::{Item, Items, List};
pub use crate::location::{Durability, Location};
pub use crate::lock::{Lock, LockGuard};
pub use crate::lock_set::{LockSet, LockSetGuard};
pub use crate::log::Log;
pub use crate::origin::Origin;
pub use crate::projection::{
    Attempt, BusFigures, DeadLetter, EventBus, Failure, ProcessManager, Progress, Project, Projected,
    Projection, Projector, Reacted, Reactor, Rebuild, Rows, Steps, Subscriber, Timeout,
};
pub use crate::queue::{Pushed, Queue};
pub use crate::reading::{EventStream, Recorded};
#[cfg(feature = "nats")]
pub use crate::relay::NatsSink;
pub use crate::relay::Sink;
pub use crate::repository::{EventStore, Repository};
pub use crate::rw_lock::RwLock;
pub use crate::schedule::Every;
pub use crate::sealed::Sealed;
pub use crate::semaphore::Semaphore;
pub use crate::sql::Sql;
pub use crate::stopper::Stopper;
#[cfg(all(feature = "sqlite", feature = "testing"))]
pub use crate::store::watched;
pub use crate::store::{Store, StoreBuilder};
pub use crate::subject::{Subject, SubjectKey};
pub use crate::timers::Timers;
pub use crate::worker::{Tally, Task, Verdict, Worker};
#[cfg(any(test, feature = "testing"))]
pub use millpond_actors::clock::{Clock, ManualClock, Moment};
pub use millpond_actors::error::{Error, Expected, Occupant, ProcessName, Result, WriteOutcome};
#[cfg(any(test, feature = "testing"))]
pub use millpond_actors::failpoint;
pub use millpond_actors::feed::From;
pub use millpond_actors::observe::{metric, target};
pub use millpond_actors::storage::blob::Head as BlobsHead;
pub use millpond_actors::storage::change::Primitive;
pub use millpond_actors::storage::dict::Head as DictHead;
pub use millpond_actors::storage::list::{End as ListEnd, Head as ListHead};
pub use millpond_actors::storage::lock::{Grant, Holder, Line as LockLine};
pub use millpond_actors::storage::queue::{
    Job as JobRecord, Numbers as QueueNumbers, Options as QueueOptions, Page as JobPage, State as JobState,
};
pub use millpond_actors::storage::schedule::{Missed, Plan as SchedulePlan, Schedule};
pub use millpond_actors::storage::sql::Value as SqlValue;
pub use millpond_actors::storage::{Compacted, Data, Identity, Process, Summary};
