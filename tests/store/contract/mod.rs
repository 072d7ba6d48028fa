//! The contract of event-sourced stores: the conformance suites of the Python library eventsource-py (0.14), a file a suite, each
//! test under the name that it has there. Short on purpose: what is promised beyond it is tried in the files above.
//!
//! | file | suite |
//! | --- | --- |
//! | `appender` | EventAppender: what `event_stores.rs` has, once more by many at a time |
//! | `reader` | StreamReader and EventLookup: what `event_stores.rs` does not have, and by many at a time |
//! | `feed` | GlobalEventFeed |
//! | `category` | CategoryQuery |
//! | `snapshots` | Snapshots, with TypeInvalidation and Deserialization |
//! | `close` | SupportsClose |
//! | `outbox` | Outbox: what replaces it, the effects of a commit |
//! | `locks` | DistributedLock |
//! | `leader` | LeaderElector |
//! | `checkpoints` | ProjectionCheckpoints, SubscriptionPositions, CheckpointRepository |
//! | `dead_letters` | DLQ |
//! | `event_bus` | EventBus |
//! | `machine` | StoreStateMachine |
//! | `weaknesses` | no suite: what that library does wrong, and cannot go wrong here |
//!
//! The suites there have one caller each. `NAME_concurrently` is the same test with many, `NAME_over_processes` with several
//! processes on one file. What has no test here is named at the head of its file, with the reason.

mod appender;
mod category;
mod checkpoints;
mod close;
mod dead_letters;
mod event_bus;
mod feed;
mod leader;
mod locks;
mod machine;
mod outbox;
mod reader;
mod snapshots;
mod weaknesses;

use std::future::Future;

use millpond::{EventStream, Result};

/// Numbers of no events.
const NOTHING: [u64; 0] = [];

/// So many callers at once, each a task of its own; what came of them, in their order.
async fn at_once<F>(callers: u64, call: impl Fn(u64) -> F) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let tasks: Vec<_> = (0..callers).map(|caller| tokio::spawn(call(caller))).collect();
    let mut outputs = Vec::new();
    for task in tasks {
        outputs.push(task.await.unwrap());
    }
    outputs
}

/// The numbers of a stream's events.
async fn numbers(stream: EventStream) -> Result<Vec<u64>> {
    Ok(crate::backends::all(stream).await?.into_iter().map(|(_, _, _, number)| number).collect())
}
