//! Batches: writes to any primitives in one commit, all or none. Each primitive adds its own words to it, in its own file.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Index;
use std::sync::Arc;

use millpond_actors::batch::Part;
use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::batch::{Applied, Check};
use millpond_actors::storage::lock::Fence;
use millpond_actors::storage::{Apply, Outcome};

/// Writes that take effect together or not at all: events, jobs, messages, records, the end of a job, an acknowledgement, SQL on
/// tables of your own, all of them under a lock if that is wanted.
///
/// - **All or none**: if one of them is refused (the expected version is another one, the job is somebody else's now, the lock
///   is lost), nothing is written, and the error is that of the one that was refused.
/// - **In their order**: each sees what those before it have done, and what is numbered is numbered in this order.
/// - **Exactly once**: work whose effects are all in this store takes effect once, however often it is run, if its batch holds
///   the end of its job ([`Job::done_in`](crate::Job::done_in)) or the acknowledgement of its message
///   ([`Consumer::ack_in`](crate::Consumer::ack_in)).
/// - At most 10,000 writes and 64 MiB. Nothing is sent before [`commit`](Batch::commit); a batch that is dropped writes nothing,
///   and gives back the jobs in it.
///
/// # Examples
/// ```
/// use millpond::{Event, Expected, Store};
/// # futures_executor::block_on(async {
/// let store = Store::memory().await?;
/// let (mail, news) = (store.queue::<String>("mail"), store.channel::<String>("orders"));
/// let mut batch = store.batch();
/// let placed = Event::new("Placed", &serde_json::json!({ "items": 3 }))?;
/// let order = batch.append("order-17", Expected::NoStream, [placed])?;
/// let letter = batch.push(&mail, &"Dear Ada".to_owned())?;
/// batch.publish(&news, &"order 17 was placed".to_owned())?;
/// let committed = batch.commit().await?;
/// assert_eq!((committed[order].version, committed[letter].sequence), (1, 1));
/// # store.close().await
/// # }).unwrap();
/// ```
#[must_use = "nothing is written before it is committed"]
pub struct Batch {
    runtime: Arc<Runtime>,
    /// What must be so, before anything is written.
    conditions: Vec<Entry>,
    writes: Vec<Entry>,
    bytes: usize,
}

type Value = Box<dyn Any + Send>;

/// A write, and what its outcome means to whoever asked for it.
struct Entry {
    part: Part,
    means: Box<dyn FnOnce(Outcome) -> Result<Value> + Send>,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("writes", &self.writes.len()).finish_non_exhaustive()
    }
}

/// The place of a write in its batch: what came of it is found under it once the batch is committed.
pub struct Slot<T> {
    index: usize,
    value: PhantomData<fn() -> T>,
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Slot<T> {
        *self
    }
}

impl<T> Copy for Slot<T> {}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slot").field(&self.index).finish()
    }
}

/// How much there was in a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    conditions: usize,
    writes: usize,
    bytes: usize,
}

/// What came of the writes of a batch.
#[derive(Default)]
pub struct Written {
    values: Vec<Value>,
}

impl Written {
    /// What came of a write; `None` if the slot is of another batch.
    #[must_use]
    pub fn get<T: 'static>(&self, slot: Slot<T>) -> Option<&T> {
        self.values.get(slot.index)?.downcast_ref()
    }
}

impl<T: 'static> Index<Slot<T>> for Written {
    type Output = T;

    /// # Panics
    /// If the slot is of another batch.
    #[allow(clippy::expect_used, reason = "as with every index")]
    fn index(&self, slot: Slot<T>) -> &T {
        self.get(slot).expect("the slot is of another batch")
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written").field("writes", &self.values.len()).finish()
    }
}

impl Batch {
    pub(crate) fn new(runtime: Arc<Runtime>) -> Batch {
        Batch { runtime, conditions: Vec::new(), writes: Vec::new(), bytes: 0 }
    }

    pub(crate) fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// Adds a write of so many bytes, asked for through a handle of this store.
    pub(crate) fn add<O: Apply, T: Send + 'static>(
        &mut self,
        runtime: &Arc<Runtime>,
        (part, bytes): (Part, usize),
        means: impl FnOnce(O::Outcome) -> Result<T> + Send + 'static,
    ) -> Result<Slot<T>> {
        let (index, all) = (self.writes.len(), self.bytes.saturating_add(bytes));
        limits::check_size("the batch in writes", index + 1, limits::BATCH_WRITES)?;
        limits::check_size("the batch in bytes", all, limits::BATCH_BYTES)?;
        let entry = self.entry::<O, T>(runtime, part, means)?;
        self.writes.push(entry);
        self.bytes = all;
        Ok(Slot { index, value: PhantomData })
    }

    /// Nothing of it is written unless this lock is held.
    pub(crate) fn guarded(&mut self, runtime: &Arc<Runtime>, fence: Fence) -> Result<()> {
        let part = Part::plain(Check { fence: fence.clone() });
        let means = move |held| if held { Ok(()) } else { Err(Fence::refused(Some(&fence))) };
        self.condition::<Check>(runtime, part, means)
    }

    /// Adds what comes before all writes, and nobody has a slot of.
    pub(crate) fn condition<O: Apply>(
        &mut self,
        runtime: &Arc<Runtime>,
        part: Part,
        means: impl FnOnce(O::Outcome) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        limits::check_size("the batch in conditions", self.conditions.len() + 1, limits::BATCH_WRITES)?;
        let entry = self.entry::<O, ()>(runtime, part, means)?;
        self.conditions.push(entry);
        Ok(())
    }

    /// Adds what comes before everything else, and nobody has a slot of.
    pub(crate) fn first<O: Apply>(
        &mut self,
        runtime: &Arc<Runtime>,
        part: Part,
        means: impl FnOnce(O::Outcome) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let entry = self.entry::<O, ()>(runtime, part, means)?;
        self.conditions.insert(0, entry);
        Ok(())
    }

    /// Where it stands, to come back to.
    pub(crate) fn mark(&self) -> Mark {
        Mark { conditions: self.conditions.len(), writes: self.writes.len(), bytes: self.bytes }
    }

    /// Takes out what was added since.
    pub(crate) fn back_to(&mut self, mark: Mark) {
        self.conditions.truncate(mark.conditions);
        self.writes.truncate(mark.writes);
        self.bytes = mark.bytes;
    }

    fn entry<O: Apply, T: Send + 'static>(
        &self,
        runtime: &Arc<Runtime>,
        part: Part,
        means: impl FnOnce(O::Outcome) -> Result<T> + Send + 'static,
    ) -> Result<Entry> {
        if !Arc::ptr_eq(runtime, &self.runtime) {
            let what = "a write of a batch".to_owned();
            return Err(Error::InvalidArgument { what, reason: "its handle is of another store".into() });
        }
        let means = |outcome| {
            let outcome = O::from_outcome(outcome).ok_or_else(misplaced)?;
            Ok(Box::new(means(outcome)?) as Value)
        };
        Ok(Entry { part, means: Box::new(means) })
    }

    /// Writes all of it, or nothing. `Ok` means: on disk.
    ///
    /// Cancel-safe: if the future is dropped, all of it is written or nothing; which of them is not known.
    ///
    /// # Errors
    /// That of the write that was refused, as if it had been made alone: [`Error::Conflict`], [`Error::DuplicateEvent`],
    /// [`Error::StaleClaim`], [`Error::SqlRefused`], [`Error::WrongRows`], [`Error::Fenced`]; [`Error::Busy`]; what the database
    /// said. Nothing is written then, and jobs that were to be done in it are given back.
    pub async fn commit(self) -> Result<Written> {
        let Some((runtime, parts, means)) = self.split() else { return Ok(Written::default()) };
        let write = |reply, passage| runtime.write_together(parts, reply, passage);
        means.of(runtime.enter_and(write).await?)
    }

    /// As [`commit`](Batch::commit), for one that has conditions: it is committed even if there is nothing else in it, and what
    /// was refused is told.
    pub(crate) async fn commit_unless_refused(self) -> Result<Result<Written, Refused>> {
        let (runtime, parts, means) = self.parts();
        let write = |reply, passage| runtime.write_together(parts, reply, passage);
        means.unless_refused(runtime.enter_and(write).await?)
    }

    /// The same for a thread that waits.
    pub(crate) fn commit_blocking(self) -> Result<Written> {
        let Some((runtime, parts, means)) = self.split() else { return Ok(Written::default()) };
        let write = |reply, passage| runtime.write_together(parts, reply, passage);
        means.of(runtime.enter_and_wait(write)?)
    }

    /// What is sent, and what its outcomes mean; `None` if there is nothing to be written.
    fn split(self) -> Option<(Arc<Runtime>, Vec<Part>, Meanings)> {
        (!self.writes.is_empty()).then(|| self.parts())
    }

    fn parts(self) -> (Arc<Runtime>, Vec<Part>, Meanings) {
        let conditions = self.conditions.len();
        let entries = self.conditions.into_iter().chain(self.writes);
        let (parts, means): (Vec<_>, Vec<_>) = entries.map(|entry| (entry.part, entry.means)).unzip();
        (self.runtime, parts, Meanings { means, conditions })
    }
}

/// What the outcomes of a batch mean.
struct Meanings {
    means: Vec<Box<dyn FnOnce(Outcome) -> Result<Value> + Send>>,
    /// So many of them, the first, are conditions, which nobody has a slot of.
    conditions: usize,
}

/// The write of a batch that was refused.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) outcome: Outcome,
    /// What it means to whoever asked for it.
    pub(crate) error: Error,
}

impl Meanings {
    fn of(self, applied: Applied) -> Result<Written> {
        self.unless_refused(applied)?.map_err(|refused| refused.error)
    }

    fn unless_refused(self, applied: Applied) -> Result<Result<Written, Refused>> {
        match applied {
            Applied::Done(outcomes) if outcomes.len() == self.means.len() => {
                let values = self.means.into_iter().zip(outcomes).map(|(means, outcome)| means(outcome));
                let values = values.collect::<Result<Vec<_>>>()?;
                Ok(Ok(Written { values: values.into_iter().skip(self.conditions).collect() }))
            }
            Applied::Done(_) => Err(misplaced()),
            Applied::Refused { part, outcome } => {
                let means = self.means.into_iter().nth(part).ok_or_else(misplaced)?;
                let error = means((*outcome).clone()).err().unwrap_or_else(misplaced);
                Ok(Err(Refused { outcome: *outcome, error }))
            }
        }
    }
}

fn misplaced() -> Error {
    Error::Storage { detail: "a write of a batch was answered as if it were another one".into() }
}
