//! The targets of all spans and events that are traced, by which a subscriber filters: `millpond=debug`, or
//! `millpond::writer=trace`. None of them tells a payload, an event's content, a job's key or a cipher key.

/// The life of a store: opened, closed, brought to a newer schema.
pub const STORE: &str = "millpond::store";
/// The writer: groups, what had to be done again, failed commits, checkpoints, lapsed leases.
pub const WRITER: &str = "millpond::writer";
/// The readers: a span a read.
pub const READER: &str = "millpond::reader";
/// Calls that were answered with an error, in the span of whoever called.
pub const CALL: &str = "millpond::call";
/// Actors: one that failed and is started anew, idle ones that were let go, snapshots that are of no use.
pub const ACTOR: &str = "millpond::actor";
/// Locks that were lost.
pub const LOCK: &str = "millpond::lock";
/// Workers: begun and ended, handlers that panicked; schedules that wait.
pub const WORKER: &str = "millpond::worker";
/// What is between processes: the bell, the slow poll, changes that are watched.
pub const WATCH: &str = "millpond::watch";

/// All of them.
pub const ALL: [&str; 8] = [STORE, WRITER, READER, CALL, ACTOR, LOCK, WORKER, WATCH];
