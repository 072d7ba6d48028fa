//! Watching over a store: what it counts, what it traces, and when to worry.
//!
//! A store tells three things of itself, and each answers another question:
//!
//! - [Metrics](#1-metrics): numbers over time. Does it do well, and since when does it not?
//! - [Traces](#3-traces): what happened, in words and in order. Why?
//! - [`Store::health`](crate::Store::health) and [`Store::inspect`](crate::Store::inspect), or `millpond status`: how it stands at
//!   this moment, by name. Who holds the lock, how deep is the queue, which process has the turn?
//!
//! # 1. Metrics
//!
//! They go to the facade of the crate [`metrics`](https://docs.rs/metrics), which hands them to whatever recorder the program has
//! installed: `metrics-exporter-prometheus`, one for StatsD, or one of its own. That is the feature `metrics`, which is off unless
//! asked for; without it nothing of this is compiled in.
//!
//! ```toml
//! [dependencies]
//! millpond = { version = "0.1", default-features = false, features = ["sqlite", "metrics"] }
//! metrics = "0.24"
//! ```
//!
//! The recorder is installed before a store is opened: a store asks for its handles once, when its settings are made
//! ([`Store::open`](crate::Store::open), [`Store::builder`](crate::Store::builder)), and does not look for another recorder later.
//!
//! ```
//! use metrics_util::debugging::{DebugValue, DebuggingRecorder};
//! use millpond::{Event, Expected, Store, metric};
//! use serde_json::json;
//!
//! # futures_executor::block_on(async {
//! let recorder = DebuggingRecorder::new(); // in a service, that of an exporter
//! let shown = recorder.snapshotter();
//! recorder.install().unwrap();
//!
//! let store = Store::memory().await?;
//! let opened = Event::new("Opened", &json!({ "seats": 100 }))?;
//! store.events().append("show-hamlet", Expected::NoStream, [opened.clone()]).await?;
//! store.events().append("show-hamlet", Expected::NoStream, [opened]).await.unwrap_err();
//!
//! let mut counted = Vec::new();
//! for (key, _unit, about, value) in shown.snapshot().into_vec() {
//!     if let DebugValue::Counter(count @ 1..) = value {
//!         println!("{} {count}: {}", key.key(), about.unwrap_or_default());
//!         counted.push(key.key().name().to_owned());
//!     }
//! }
//! counted.sort();
//! assert_eq!(counted, [metric::CONFLICTS, metric::EVENTS, metric::GROUPS]);
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! - All names are constants of [`millpond::metric`](crate::metric), with what they mean; each is known to the recorder from the
//!   beginning, with all values of its label, so a rate can be taken of it before it has ever happened.
//! - No metric carries the name of a lock, a queue or a stream: there may be millions of those. What is to be known of one of them
//!   by its name, [`Store::inspect`](crate::Store::inspect) knows.
//! - Several stores of one process add up. A store that is to be seen alone gets a recorder of its own, which may put a label of
//!   its own on everything: `metrics::with_local_recorder(&recorder, Store::builder)`.
//! - Each process tells of itself. Over all processes of a store, counters are added up.
//!
//! # 2. What is counted, and when to worry
//!
//! What takes time or has a size is a histogram; its count says how often it happened. Times are in seconds.
//!
//! | the writer | kind | what it is | when to worry |
//! | --- | --- | --- | --- |
//! | `millpond_groups_total` | counter | groups of writes that were committed, each one sync of the disk | it stands still while there are `millpond_requests` |
//! | `millpond_group_operations` | histogram | writes in a group | 16,384 again and again: the store is as busy as it can be |
//! | `millpond_group_seconds` | histogram | from the turn to the end of the commit | far above the commit alone: large batches, or SQL of your own that takes long, keep all writers waiting |
//! | `millpond_commit_seconds` | histogram | the commit, mostly the sync of the disk | it has become slower: the disk |
//! | `millpond_turn_wait_seconds` | histogram | waiting for another process's turn | near the call timeout (30 s): somebody is stopped in a commit; `millpond status` says who |
//! | `millpond_groups_redone_total` | counter | groups that were done again, a write at a time | at all: something in the database fails |
//! | `millpond_commits_failed_total` | counter | commits that failed | at all: look after the disk |
//! | `millpond_poisoned` | gauge | stores that are closed for writing | above 0: look after the disk, then open the store anew |
//! | `millpond_checkpoint_seconds` | histogram | moving the log into the main file | nobody writes meanwhile |
//! | `millpond_checkpoints_failed_total` | counter | checkpoints that failed | again and again: the log grows |
//! | `millpond_log_pages` | gauge | pages in the log, of 8 KiB | above 10,000: a reader is stopped in the middle of a page, or checkpoints fail |
//!
//! | callers | kind | what it is | when to worry |
//! | --- | --- | --- | --- |
//! | `millpond_requests` | gauge | requests inside; not those that stand in the line of a lock or a queue | near the limit ([`StoreBuilder::requests`](crate::StoreBuilder::requests)) |
//! | `millpond_errors_total` | counter, by `kind` | calls that ended with an error, and records that could not be read | `storage`, `storage_full`, `corrupt`, `commit_unknown`, `poisoned`: at all. `busy`, `overloaded`: more than now and then. `panicked`, `actor_failed`: a defect. `conflict`: an aggregate that was overtaken too often. The others are answers |
//! | `millpond_read_seconds` | histogram | a page, or another look at the store | slower than the disk should be |
//! | `millpond_read_wait_seconds` | histogram | waiting for a reader that is free | above the read itself: more [`readers`](crate::StoreBuilder::readers) |
//!
//! | actors | kind | what it is | when to worry |
//! | --- | --- | --- | --- |
//! | `millpond_actors` | gauge | actors that live | it grows without end: names are used and held on to |
//! | `millpond_actors_started_total` | counter | actors that were started | as fast as requests come: the [idle time](crate::StoreBuilder::idle) is too short |
//! | `millpond_actors_failed_total` | counter | actors that failed | at all: a defect, please report it |
//! | `millpond_replayed_events` | histogram | events that were replayed to load an aggregate | hundreds, again and again: [snapshots](crate::Snapshots) |
//! | `millpond_snapshots_total` | counter, by `found` | snapshots that were looked for | `unreadable` at all; `other_schema` long after a deployment |
//! | `millpond_events_total` | counter | events that were appended or imported | |
//! | `millpond_conflicts_total` | counter | appends that were overtaken | a large part of the appends: many processes share one aggregate |
//! | `millpond_fenced_total` | counter | writes that were refused because their lock was lost | at all: somebody went on without his lock, and did no harm |
//! | `millpond_projected_events_total` | counter | events that projections and reactors have dealt with | it stands still while events come: see their lag |
//! | `millpond_projection_failures_total` | counter | a projection or reactor does not get on, which was written down | at all: `millpond projection list` says why |
//! | `millpond_messages_total` | counter, `to` a log or a channel | messages that were appended | |
//!
//! | locks and jobs | kind | what it is | when to worry |
//! | --- | --- | --- | --- |
//! | `millpond_lock_grants_total` | counter | locks and permits that were given to somebody by this process's commits | |
//! | `millpond_locks_lost_total` | counter | locks that were gone when their holder released them | at all: what was done under them was done without |
//! | `millpond_leases_lapsed_total` | counter | this process was silent for longer than a lease | at all: it was stopped, or its disk was |
//! | `millpond_jobs_pushed_total` | counter | jobs that were pushed | for long faster than jobs end |
//! | `millpond_jobs_claimed_total` | counter | jobs that were claimed | it stands still while jobs are pushed: no worker runs |
//! | `millpond_jobs_ended_total` | counter, by `how` | claims that ended | `dead`: look at the dead letters. `stale`: a lease is too short. `retried`, more than `done` |
//! | `millpond_job_seconds` | histogram | what the handlers of workers took | near the queue's lease does not matter, near the grace of a stop does |
//! | `millpond_handler_panics_total` | counter | handlers that panicked | at all |
//!
//! | other processes | kind | what it is | when to worry |
//! | --- | --- | --- | --- |
//! | `millpond_looks_total` | counter | looks at what other processes have done | thousands a second: the bell rings without an end |
//! | `millpond_looks_failed_total` | counter | looks that failed | at all: the disk |
//!
//! # 3. Traces
//!
//! Spans and events go to the subscriber of the crate [`tracing`](https://docs.rs/tracing) that the program has installed. There is
//! no feature for it: without a subscriber each is a look at one number in memory.
//!
//! ```
//! use millpond::{Store, target};
//! use tracing::Level;
//! use tracing_subscriber::filter::Targets;
//! use tracing_subscriber::prelude::*;
//!
//! # futures_executor::block_on(async {
//! let wanted = Targets::new().with_target("millpond", Level::INFO).with_target(target::WRITER, Level::DEBUG);
//! tracing_subscriber::registry().with(tracing_subscriber::fmt::layer()).with(wanted).init();
//!
//! let store = Store::memory().await?;
//! store.lock("nightly").acquire().await?.release().await?;
//! store.close().await
//! # }).unwrap();
//! ```
//!
//! The targets are constants of [`millpond::target`](crate::target). Their levels mean: `error`, somebody has to do something;
//! `warn`, somebody should know of it; `info`, once in the life of a store or a worker; `debug`, once a group; `trace`, more often.
//!
//! | target | spans | events |
//! | --- | --- | --- |
//! | `millpond::store` | `join` (debug): registering in the store | info: opened, closed, brought to a newer schema. warn: part of the log had not been on disk |
//! | `millpond::writer` | `group` (debug): the commit of a group and all that goes wrong with it; `operations` | debug: `committed`, with `group`, `operations`, and how many microseconds were `turn_us`, `group_us` and `commit_us`; a write that failed, a group that is done again, a new connection, the log moved. warn: a commit that failed, what became of it, leases that have lapsed. error: nothing is written any more |
//! | `millpond::reader` | `read` (trace): a page, or another look at the store | |
//! | `millpond::call` | | debug: a call was answered with an error, by its `kind` |
//! | `millpond::actor` | | warn: an actor failed and is started anew; a snapshot that is of no use. trace: idle actors were let go |
//! | `millpond::lock` | | warn: a lock was lost before it was released |
//! | `millpond::worker` | | info: a worker begins, and ends with its tally. warn: a handler panicked, a schedule waits |
//! | `millpond::watch` | | warn: the bell cannot be heard or rung. debug: a look at the other processes failed |
//!
//! None of them tells what an event, a job, a message or a state holds, nor the key of a job or a message, nor what a panic or a
//! decoder has said. They do tell names - of a lock, a queue, an actor - so a name is no place for what is personal: that belongs
//! into a [`Sealed`](crate::Sealed) value.
//!
//! There is no span a call. A call is a step or two on the caller's side and then shares a group with others, so its own time says
//! little; and a span would have to travel with it over two threads. Who wants to follow one of his requests puts a span of his own
//! around it (`.instrument(span)`): a call that fails is told on the caller's side, so its event is in that span.
//!
//! # 4. What it costs
//!
//! Nothing is counted where an operation is made or answered. The writer looks once through each group that it has committed, at what
//! its operations and outcomes say, and adds the sums to handles that it has had since the store was opened: no string is built, and
//! no name is looked up. What is counted elsewhere is what happens seldom: an error, an actor that is started, a page that is read.
