//! The waist of Millpond: where a message meets a transaction.
//!
//! Internal: its API is not stable, use the crate `millpond`. Modules in reading order, each using only those
//! above it. Nothing here knows a database, a file or a serializer.

pub mod calendar;
pub mod clock;
pub mod error;
pub mod failpoint;
pub mod limits;
pub mod name;
pub mod observe;
pub mod pattern;
mod rows;
mod shards;
mod sleepers;
pub mod thread;
pub mod worker;

pub mod gate;
mod horizon;
pub mod reply;

pub mod storage;

pub mod engine;
pub mod memory;
pub mod reader;
pub mod writer;

pub mod watcher;

pub mod batch;
pub mod change;
pub mod feed;
pub mod follow;
pub mod projection;

pub mod supervisor;

pub mod aggregate;
pub mod blob;
pub mod channel;
pub mod list;
pub mod lock;
pub mod queue;
pub mod stream;

pub mod runtime;
