//! Watching the store: what changes, whichever process changes it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::pattern::Pattern;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::View;
use millpond_actors::storage::change::{Change as Record, Primitive};

use crate::watching::{self, Watch, Watched};

/// Something in the store has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change(Record);

impl Change {
    /// What sort of thing.
    #[must_use]
    pub fn primitive(&self) -> Primitive {
        self.0.primitive
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Where it stands since then: the version of a stream, the sequence of the last message of a log or channel, that of
    /// the job that was pushed to a queue, claimed, revived or removed, or whose claim has ended, the fencing token of a lock
    /// that was given to somebody, the version of a dict or of blobs; `None` of a lock that nobody holds, and of a queue whose
    /// options are others or of which many jobs were revived or removed at once.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        self.0.sequence
    }

    /// Of a dict, and of blobs: under which key.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }
}

/// What changes in the store, in the order of the commits of all its processes; see [`Store::watch`](crate::Store::watch).
///
/// It has no end but that of the store. Whoever reads slowly holds one page; what is written down is kept for the last
/// 10,000 changes, and who is further behind is told by [`Error::Lagged`] how many are gone, and reads on.
///
/// # Examples
/// ```
/// use millpond::{Event, Expected, Primitive, Store};
/// # futures_executor::block_on(async {
/// let store = Store::memory().await?;
/// let mut changes = store.watch("permit-*").await?;
/// let opened = Event::new("Opened", &serde_json::json!({"by": "Ada"}))?;
/// store.events().append("permit-7", Expected::NoStream, [opened]).await?;
/// let change = changes.next().await.expect("the store is open")?;
/// assert_eq!((change.primitive(), change.name(), change.sequence()), (Primitive::Stream, "permit-7", Some(1)));
/// # Ok::<(), millpond::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "nothing is read until changes are asked for"]
pub struct Changes(Watch<Matching>);

/// The changes of a pattern.
#[derive(Debug)]
struct Matching {
    pattern: Pattern,
    /// The number of the last change that was read.
    after: u64,
}

impl Watched for Matching {
    type Item = Change;

    fn read(&mut self, view: &mut dyn View, ready: &mut VecDeque<Result<Change>>) -> Result<bool> {
        let (changes, more) = page(view, self.after)?;
        for (missed, change) in changes {
            if missed > 0 {
                let name = self.pattern.to_string();
                ready.push_back(Err(Error::Lagged { kind: "watch", name, missed }));
            }
            self.after = change.number;
            if self.pattern.matches(&change.name) {
                ready.push_back(Ok(Change(change)));
            }
        }
        Ok(more)
    }
}

/// About a page of changes after a number, each with how many before it are gone. Whether there may be more.
pub(crate) fn page(view: &mut dyn View, after: u64) -> Result<(Vec<(u64, Record)>, bool)> {
    let (changes, mut last) = (view.changes(after, limits::PAGE_ROWS)?, after);
    let more = changes.len() == limits::PAGE_ROWS as usize;
    // Numbers are dense: what is missing is not kept any more.
    let missed = |change: Record| {
        let missed = change.number.saturating_sub(last.saturating_add(1));
        last = change.number;
        (missed, change)
    };
    Ok((changes.into_iter().map(missed).collect(), more))
}

impl Changes {
    /// Begins to watch.
    pub(crate) async fn begin(runtime: &Arc<Runtime>, pattern: &str) -> Result<Changes> {
        let pattern = Pattern::new(pattern)?;
        let (watching, after) = watching::begin(runtime).await?;
        Ok(Changes(Watch::new(runtime, watching, Matching { pattern, after })))
    }

    /// The same for a thread that waits.
    pub(crate) fn begin_blocking(runtime: &Arc<Runtime>, pattern: &str) -> Result<Changes> {
        let pattern = Pattern::new(pattern)?;
        let (watching, after) = watching::begin_blocking(runtime)?;
        Ok(Changes(Watch::new(runtime, watching, Matching { pattern, after })))
    }

    /// The next change; `None` once the store is closed.
    ///
    /// Cancel-safe: a dropped future loses no change.
    pub async fn next(&mut self) -> Option<Result<Change>> {
        std::future::poll_fn(|context| self.0.poll_next(context)).await
    }

    /// The next change for a thread that waits.
    pub(crate) fn next_blocking(&mut self) -> Option<Result<Change>> {
        self.0.next_blocking()
    }
}

impl Stream for Changes {
    type Item = Result<Change>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Change>>> {
        self.0.poll_next(context)
    }
}
