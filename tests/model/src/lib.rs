//! The protocol of the locks as a finite model, explored to its end: tickets, leases, beats, presence, the writers'
//! turn and the wake-ups, with three processes that are killed, stopped and continued at any point.
//!
//! `transaction` is the protocol, `world` what can happen to it, `judge` and `promises` what must hold, `mutant` the
//! ways to break it. A mutant is there for every promise: a model that cannot fail proves nothing.

pub mod fair;
pub mod judge;
pub mod mutant;
pub mod promises;
pub mod run;
pub mod state;
pub mod symmetry;
pub mod transaction;
pub mod world;
