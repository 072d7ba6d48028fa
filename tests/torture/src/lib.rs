//! Programs that hurt a store and look whether it kept its promises.
//!
//! `cargo run --release -p torture -- NAME [--seed N] [--mutant NAME] ...` prints one line of JSON with figures, and exits with
//! 1 if a promise was broken; `main.rs` has the names, `all` runs them all. A run is described by its seed: what is done is
//! the same each time, the moments at which the machine does it are not.
//!
//! Every oracle has a mutant: evidence that is spoilt on purpose, which the oracle must complain of.

pub mod aggregates;
pub mod all;
pub mod blobs;
pub mod callers;
pub mod cancel;
pub mod clock;
pub mod clocks;
pub mod counters;
pub mod crew;
pub mod cuts;
pub mod direct;
pub mod failpoints;
pub mod fairness;
pub mod feeds;
pub mod files;
pub mod fsync;
pub mod full;
pub mod groups;
pub mod hands;
pub mod history;
pub mod io;
pub mod jobs;
pub mod kill;
pub mod locks;
pub mod look;
pub mod medium;
pub mod overload;
pub mod panicked;
pub mod panics;
pub mod partitions;
pub mod postgres_feed;
pub mod postgres_loss;
pub mod power;
pub mod projections;
pub mod random;
pub mod readers;
pub mod real_time;
pub mod recording;
pub mod report;
pub mod schedules;
pub mod sections;
pub mod serial;
pub mod sidecar;
pub mod sim;
pub mod stopped;
pub mod touch;
pub mod transfers;
pub mod vfs;
pub mod within;
pub mod workload;
pub mod zombies;

/// `Result` with whatever went wrong.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What a night has shown.
#[doc = include_str!("../FIGURES.md")]
pub mod figures {}
