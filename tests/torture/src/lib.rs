//! Programs that hurt a store and look whether it kept its promises.
//!
//! `cargo run --release -p torture -- kill|locks|zombies|clock|power|fsync|io|files|touch [--seed N] [--mutant NAME] ...`
//! prints one line of JSON with figures, and exits with 1 if a promise was broken. A run is described by its seed: what is
//! done is the same each time, the moments at which the machine does it are not.
//!
//! Every oracle has a mutant: evidence that is spoilt on purpose, which the oracle must complain of.

pub mod all;
pub mod clock;
pub mod clocks;
pub mod crew;
pub mod cuts;
pub mod files;
pub mod fsync;
pub mod hands;
pub mod io;
pub mod kill;
pub mod locks;
pub mod look;
pub mod medium;
pub mod panics;
pub mod power;
pub mod random;
pub mod recording;
pub mod sections;
pub mod sidecar;
pub mod touch;
pub mod vfs;
pub mod within;
pub mod workload;
pub mod zombies;

/// `Result` with whatever went wrong.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
