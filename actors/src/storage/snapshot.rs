//! Snapshots: the state of an aggregate at a version, kept so that loading need not replay everything.
//!
//! A snapshot is a cache. It can be thrown away at any time, and whatever is wrong with one (its schema, its
//! checksum, its bytes) costs a replay and nothing else.

use super::Data;

/// Keep a snapshot, unless a later one is kept already. One of a version that its stream does not have is none: it would cost a
/// replay of all events at each load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Save {
    /// The stream's row.
    pub stream: u64,
    /// The state's version.
    pub version: u64,
    /// The version of the state's shape.
    pub schema: u32,
    /// The state.
    pub data: Data,
}

/// What became of [`Save`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It is kept.
    Kept,
    /// A later one was there, or the stream is gone; nothing changed.
    Outdated,
}

/// A snapshot as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The state's version.
    pub version: u64,
    /// The version of the state's shape.
    pub schema: u32,
    /// The state.
    pub data: Data,
}
