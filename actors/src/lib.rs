//! The waist of Millpond: where a message meets a transaction.
//!
//! Internal: its API is not stable, use the crate `millpond`. Modules in reading order, each using only those
//! above it.

pub mod clock;
pub mod error;
pub mod limits;
pub mod name;
pub mod storage;
