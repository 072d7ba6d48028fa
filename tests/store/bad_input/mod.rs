//! Bad and odd input, one row a case: each gets a typed error and leaves no trace, or is kept byte for byte.
//!
//! | input | where |
//! | --- | --- |
//! | names | `names` |
//! | paths, files of others, damaged files | `files`; lower down `src/storage/sqlite/tests/{opening,damage}.rs`; harm of all kinds: `torture files` |
//! | files replaced or written to while open | `torture touch` |
//! | content: size, form, depth | `content`; of another type than the reader's: `events.rs`, `aggregates.rs` |
//! | encoded content that claims to be more than it is | `src/codec.rs` |
//! | durations, versions, positions, counters, settings, decisions | `numbers` |
//! | permits and weights; sets without names | `shared_locks.rs`; `lock_family.rs` |
//! | a holder that asks again, that has lost its lock, a guard of another name | `locks.rs`, `lock_family.rs` |
//! | a guard that is used twice or copied | does not compile: `locks.rs` |
//! | versions that conflict, ids that are taken | `events.rs` |
//! | a command that panics, calls the store, or leads to an event that cannot be borne | `aggregates.rs` |
//! | a store that is closed; one of before a fork | `lifecycle.rs`; `actors/tests/actors/runtime.rs` |
//! | blocking calls within a runtime | `blocking.rs` |
//! | imports: bad lines, half files, ids of other streams | `tests/cli/main.rs`, `src/bin/millpond/import/` |
//!
//! Left out, because there is no such thing yet: priorities and delays, queues, channels, times that are judged (those of
//! events are kept verbatim), restoring, HTTP, configuration in files; a store that is opened to be read only has no public
//! door. A million who wait for one lock (`Overloaded`) take too long here.

mod content;
mod files;
mod names;
mod numbers;

use millpond::{Result, Store};

/// Not even an actor was started.
async fn nothing_was_written(store: &Store) -> Result<()> {
    let summary = store.inspect().summary().await?;
    let written =
        (summary.events, summary.streams, summary.locks, summary.tickets_waiting, summary.snapshots);
    assert_eq!(written, (0, 0, 0, 0, 0));
    assert_eq!(store.inspect().actors().await, 0, "nothing was sent");
    Ok(())
}
