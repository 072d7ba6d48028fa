//! What is left when everybody has gone: nothing must be held, waited for, inside or alive.

use std::time::Duration;

use futures_executor::block_on;
use millpond::Store;

use super::holding::{LOCKS, PERMITS, rw_lock, semaphore};
use crate::Result;
use crate::callers::until;
use crate::report::{Broken, Violation};
use crate::workload::ALL;

/// What is left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Left {
    /// Locks that are held or waited for.
    held: Vec<String>,
    /// Tickets that wait.
    waiting: u64,
    /// Jobs that are claimed.
    jobs: u64,
    /// Calls inside.
    inside: usize,
}

fn left(store: &Store) -> Result<Left> {
    let lines = block_on(store.inspect().locks(None, 100))?;
    Ok(Left {
        held: lines.iter().map(|line| format!("{line:?}")).collect(),
        waiting: block_on(store.inspect().summary())?.tickets_waiting,
        jobs: block_on(store.inspect().processes())?.iter().map(|process| process.jobs).sum(),
        inside: store.health().calls,
    })
}

/// What is left of those who went away, and does not go soon.
pub(super) fn leaks(store: &Store, time: Duration) -> Result<Vec<Violation>> {
    if until(time, || Ok(left(store)? == Left::default()))? {
        return Ok(Vec::new());
    }
    let left = left(store)?;
    let leaks = [
        ("held", !left.held.is_empty()),
        ("waiting", left.waiting > 0),
        ("jobs", left.jobs > 0),
        ("inside", left.inside > 0),
    ];
    let named = |what| (Broken::Leaked, format!("{what}: {left:?}"));
    Ok(leaks.into_iter().filter(|(_, leaks)| *leaks).map(|(what, _)| named(what)).collect())
}

/// What nobody has and cannot be had at once.
pub(super) fn withheld(store: &Store) -> Option<Violation> {
    block_on(take_all(store)).err().map(|words| (Broken::Wedged, words))
}

/// Takes everything that was ever wanted, without waiting.
async fn take_all(store: &Store) -> std::result::Result<(), String> {
    let words = |error: millpond::Error| error.to_string();
    let mut all = Vec::new();
    for name in LOCKS {
        all.push((name, store.lock(name).try_acquire().await.map_err(words)?));
    }
    all.push(("all permits", semaphore(store).weight(PERMITS).try_acquire().await.map_err(words)?));
    all.push(("the right to write", rw_lock(store).try_write().await.map_err(words)?));
    let mut missed = Vec::new();
    for (name, guard) in all {
        match guard {
            Some(guard) => guard.release().await.map_err(words)?,
            None => missed.push(name),
        }
    }
    for primitive in ALL {
        if !primitive.take_all(store).await.map_err(words)? {
            missed.push(primitive.name());
        }
    }
    if missed.is_empty() { Ok(()) } else { Err(format!("nobody has {missed:?}, and it cannot be had")) }
}

/// The actors go when nobody needs them.
pub(super) fn actors_leave(store: &Store, time: Duration) -> Result<Option<Violation>> {
    let alive = || block_on(store.inspect().actors());
    let gone = until(time, || Ok(alive() == 0))?;
    Ok((!gone).then(|| (Broken::Leaked, format!("actors: {} do not leave", alive()))))
}

/// Threads of stores in this process. The one that opens a store ends when it is open.
pub(super) fn threads() -> Result<usize> {
    let mut threads = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        // A thread that ends meanwhile has no name.
        let name = std::fs::read_to_string(task?.path().join("comm")).unwrap_or_default();
        threads += usize::from(name.starts_with("millpond") && name.trim() != "millpond-open");
    }
    Ok(threads)
}
