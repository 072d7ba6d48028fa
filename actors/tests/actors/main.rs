//! The waist on the backend in memory, with its faults: writer, supervisor, locks, aggregates, runtime.
//!
//! Each test is named after the promise that it holds to (RELIABILITY.md, section b). Nothing sleeps: a test
//! waits for a signal, holds commits back at a gate, or moves the clock. [`world`] is what they all use,
//! [`ledger`] the aggregate, [`fragile`] an actor that fails when told, [`figures`] what metrics tell.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails says so by a panic"
)]

#[path = "../../../tests/store/figures.rs"]
mod figures;
mod fragile;
mod ledger;
mod world;

mod aggregate;
mod aggregate_known;
mod aggregate_model;
mod aggregate_shared;
mod aggregate_tail;
mod feed;
mod follow;
mod lock;
mod lock_follow;
mod lock_lost;
mod lock_rows;
mod lock_shared;
mod lock_shortcut;
mod lock_take_up;
mod observe;
mod queue;
mod queue_line;
mod runtime;
mod schedule;
mod supervisor;
mod writer;
mod writer_commit;
mod writer_line;
