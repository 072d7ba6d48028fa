//! The promises of a store, tried through its public face on every backend.
//!
//! A test of a promise is named by the promise's id: `g4_..` is G4 of the list of promises. Nothing here sleeps:
//! what has to be waited for is asked for until it is so, and a test that hangs is ended by a guard.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that is wrong about this should fail"
)]

#[macro_use]
mod backends;

mod aggregates;
mod backups;
mod bad_input;
mod batches;
mod blob_dumps;
mod blob_use;
mod blobs;
mod blocking;
mod busy;
mod by_time;
mod care;
mod changes;
mod channels;
#[cfg(feature = "testing")]
mod clocks;
mod commands;
mod containers;
#[cfg(feature = "testing")]
mod contract;
mod copies;
mod copy_dumps;
mod copy_others;
mod dict_caches;
mod dict_updates;
mod dicts;
mod drawer_engine;
mod dump_kinds;
mod dumps;
mod durables;
mod effects;
mod erasing;
mod event_filters;
#[cfg(feature = "testing")]
mod event_stores;
mod events;
mod executors;
mod figures;
mod filter_model;
mod filters;
mod following;
mod group_members;
mod groups;
mod lifecycle;
mod lists;
mod lock_family;
mod locks;
mod logs;
mod observing;
mod origins;
mod partition_wants;
mod partitions;
mod past;
mod patterns;
mod peer;
mod peer_drawer;
mod process_managers;
mod processes;
mod projection_threads;
mod projection_weaknesses;
mod projections;
mod queues;
mod reactors;
mod reading;
#[cfg(feature = "testing")]
mod scenarios;
mod schedules;
mod sealed_dicts;
mod sealing;
mod shared_locks;
mod sql;
mod sql_allowed;
mod threads;
mod timeouts;
#[cfg(feature = "testing")]
mod timer_model;
mod timers;
mod upcasts;
mod worker_threads;
mod workers;
