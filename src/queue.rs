//! Queues of jobs: pushed by anybody, claimed by one, and tried until they are done or dead.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use millpond_actors::batch::Part;
use millpond_actors::error::{Error, Result};
use millpond_actors::gate::Passage;
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::queue::{Abandoned, Arrived, Held, Pop, QueueActor, Wait, Write};
use millpond_actors::reply::Reply;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::queue::{
    self as storage, Configure, Job as Record, NewJob, Numbers, Page, Place, Purged, Query, Revived, Start,
    State, What, Which,
};
use millpond_actors::storage::{Data, Target};
use millpond_actors::supervisor::Post;

use crate::batch::{Batch, Slot};
use crate::codec;
use crate::job::{Job, Push, check_attempts, cut, how};

/// A queue of jobs of type `T`. A handle: cheap to clone, no I/O to make one.
///
/// - **At least once**: a job whose push was acknowledged is run until somebody says that it is done, buries it or removes
///   it, or until its attempts are used up. It may run more than once: a process may die after the work and before
///   [`done`](Job::done). But it is *done* once at most: whoever lost the job meanwhile is told
///   [`Error::StaleClaim`], having changed nothing.
/// - **Order**: the lowest priority number first, and of equals the one that was pushed first, judged when it is claimed. A
///   job that is tried again keeps its place. So jobs begin in this order; with several workers they end in any. Priorities
///   are strict: the low ones wait as long as there are others.
/// - **A dead process gives its jobs up at once**, a stopped one after the [lease](Queue::lease). An attempt counts from the
///   claim, so a job that kills its process goes to the dead letters in the end, with the reason.
/// - **Those who wait** for a job in one process are served first come, first served. Between processes, whoever claims
///   first has it.
/// - **A job is JSON** in the file: `sqlite3` and its functions can read it, and so can other languages.
///
/// # Examples
/// ```
/// # futures_executor::block_on(async {
/// let store = millpond::Store::memory().await?;
/// let mail = store.queue::<String>("mail");
/// mail.push(&"Dear Ada".to_owned()).await?;
/// let job = mail.pop().await?;
/// assert_eq!(*job, "Dear Ada");
/// job.done().await?;
/// assert!(mail.try_pop().await?.is_none());
/// # store.close().await
/// # }).unwrap();
/// ```
pub struct Queue<T> {
    pub(crate) runtime: Arc<Runtime>,
    name: Result<Name>,
    lease: Duration,
    values: PhantomData<fn() -> T>,
}

/// Where a push has put its job.
pub type Pushed = Place;

impl<T> Queue<T> {
    pub(crate) fn new(runtime: Arc<Runtime>, name: &str) -> Queue<T> {
        Queue::named(runtime, Name::new(name))
    }

    pub(crate) fn named(runtime: Arc<Runtime>, name: Result<Name>) -> Queue<T> {
        Queue { runtime, name, lease: limits::JOB_LEASE, values: PhantomData }
    }

    /// Sets the time to live of claims made through this handle: 10 ms to 365 days, 30 s unless set. It matters only for a
    /// process that is stopped; a dead one loses its jobs at once, and one that runs keeps them however long they take.
    #[must_use]
    pub fn lease(self, lease: Duration) -> Queue<T> {
        Queue { lease, ..self }
    }

    /// The name, if it is usable.
    pub(crate) fn checked(&self) -> Result<&Name> {
        self.name.as_ref().map_err(Error::clone)
    }

    /// The name and the lease, if both are usable.
    fn checked_with_lease(&self) -> Result<(&Name, Duration)> {
        let (min, max) = (limits::TTL_MIN, limits::DURATION_MAX);
        if self.lease < min || self.lease > max {
            return Err(Error::InvalidDuration { what: "lease of a job", given: self.lease, min, max });
        }
        Ok((self.checked()?, self.lease))
    }

    pub(crate) async fn write<O>(&self, write: impl FnOnce(Reply<O>, Passage) -> Write) -> Result<O> {
        let name = self.checked()?;
        self.runtime.ask::<QueueActor, _, _>(name, write).await
    }

    /// The same for a thread that waits.
    pub(crate) fn write_blocking<O>(&self, write: impl FnOnce(Reply<O>, Passage) -> Write) -> Result<O> {
        let name = self.checked()?;
        self.runtime.call::<QueueActor, _, _>(name, write)
    }

    /// How many jobs there are, in which states; `None` if the queue was never used. They are counted for it one by one.
    ///
    /// # Errors
    /// A bad name; what the database said.
    pub async fn numbers(&self) -> Result<Option<Numbers>> {
        let name = self.checked()?.clone();
        self.runtime.read(move |view| view.queue(&name)).await
    }

    /// The same for a thread that waits.
    pub(crate) fn numbers_blocking(&self) -> Result<Option<Numbers>> {
        let name = self.checked()?.clone();
        self.runtime.read_blocking(move |view| view.queue(&name))
    }

    /// One page of jobs by their numbers, of one state or of all, from a number on; at most 1,000. A damaged job is an
    /// error in its place.
    ///
    /// # Errors
    /// A bad name; what the database said.
    pub async fn page(&self, state: Option<State>, from: u64, limit: u32) -> Result<Page> {
        let query = self.query(state, from, limit)?;
        self.runtime.read(move |view| view.jobs(&query)).await
    }

    /// The same for a thread that waits.
    pub(crate) fn page_blocking(&self, state: Option<State>, from: u64, limit: u32) -> Result<Page> {
        let query = self.query(state, from, limit)?;
        self.runtime.read_blocking(move |view| view.jobs(&query))
    }

    fn query(&self, state: Option<State>, from: u64, limit: u32) -> Result<Query> {
        Ok(Query { queue: self.checked()?.clone(), state, from, limit: limit.min(limits::PAGE_ROWS) })
    }

    /// Has one dead letter tried again, as if it had never been. Whether it is: it is not if there is no dead letter of this
    /// number, or if a living job has its key.
    ///
    /// # Errors
    /// A bad name; what the database said. Nothing is changed then.
    pub async fn revive(&self, sequence: u64) -> Result<bool> {
        let revived =
            self.write(|reply, passage| Write::Revive(Which::One(sequence), reply, passage)).await?;
        Ok(revived.revived == 1)
    }

    /// Has all dead letters tried again, in steps of 1,000. Tells how many are, and how many stay because a living job has
    /// their key.
    ///
    /// # Errors
    /// As [`revive`](Queue::revive); steps before are done.
    pub async fn revive_all(&self) -> Result<(u64, u64)> {
        let (mut steps, mut total) = (Some(0), Revived::default());
        while let Some(from) = steps {
            let step = self.write(|reply, passage| Write::Revive(Which::From(from), reply, passage)).await?;
            steps = add(&mut total, step);
        }
        Ok((total.revived, total.kept_out))
    }

    /// The same for a thread that waits.
    pub(crate) fn revive_all_blocking(&self) -> Result<(u64, u64)> {
        let (mut steps, mut total) = (Some(0), Revived::default());
        while let Some(from) = steps {
            let step =
                self.write_blocking(|reply, passage| Write::Revive(Which::From(from), reply, passage))?;
            steps = add(&mut total, step);
        }
        Ok((total.revived, total.kept_out))
    }

    /// Removes one job for good, whatever its state is. Whether it was there. Whoever works on it finds its claim stale.
    ///
    /// # Errors
    /// A bad name; what the database said. Nothing is changed then.
    pub async fn remove(&self, sequence: u64) -> Result<bool> {
        let purged = self.write(|reply, passage| Write::Purge(What::One(sequence), reply, passage)).await?;
        Ok(purged.removed == 1)
    }

    /// Removes all jobs of a state for good, in steps of 1,000. How many.
    ///
    /// # Errors
    /// As [`remove`](Queue::remove); steps before are done.
    pub async fn purge(&self, state: State) -> Result<u64> {
        let mut removed = 0;
        loop {
            let purge = |reply, passage| Write::Purge(What::All(state), reply, passage);
            let step: Purged = self.write(purge).await?;
            removed += step.removed;
            if !step.more {
                return Ok(removed);
            }
        }
    }

    /// The same for a thread that waits.
    pub(crate) fn purge_blocking(&self, state: State) -> Result<u64> {
        let mut removed = 0;
        loop {
            let purge = |reply, passage| Write::Purge(What::All(state), reply, passage);
            let step: Purged = self.write_blocking(purge)?;
            removed += step.removed;
            if !step.more {
                return Ok(removed);
            }
        }
    }

    /// From now on no process gets jobs of this queue. They can still be pushed, and what is being worked on can be
    /// finished.
    ///
    /// # Errors
    /// A bad name; what the database said. Nothing is changed then.
    pub async fn pause(&self) -> Result<()> {
        self.configure(Change { paused: Some(true), ..Change::default() }).await
    }

    /// Ends a [pause](Queue::pause).
    ///
    /// # Errors
    /// As [`pause`](Queue::pause).
    pub async fn resume(&self) -> Result<()> {
        self.configure(Change { paused: Some(false), ..Change::default() }).await
    }

    /// How often jobs are tried that are pushed from now on and do not say so themselves: 1 to 1,000,000; 20 unless set.
    ///
    /// # Errors
    /// As [`pause`](Queue::pause), and for a number that is not usable.
    pub async fn set_max_attempts(&self, attempts: u32) -> Result<()> {
        check_attempts(attempts)?;
        self.configure(Change { max_attempts: Some(attempts), ..Change::default() }).await
    }

    /// How long jobs are kept that are done; not at all unless set. At most 365 days. They go a few at a time, whenever
    /// another one is done.
    ///
    /// # Errors
    /// As [`pause`](Queue::pause), and for a time that is not usable.
    pub async fn keep_done(&self, time: Duration) -> Result<()> {
        self.configure(Change::keeping_done(time)?).await
    }

    async fn configure(&self, change: Change) -> Result<()> {
        let change = change.of(self.checked()?);
        self.write(|reply, passage| Write::Configure(change, reply, passage)).await.map(drop)
    }

    /// The same for a thread that waits.
    pub(crate) fn configure_blocking(&self, change: Change) -> Result<()> {
        let change = change.of(self.checked()?);
        self.write_blocking(|reply, passage| Write::Configure(change, reply, passage)).map(drop)
    }
}

/// What is to be changed about a queue.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Change {
    pub(crate) paused: Option<bool>,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) keep_done_ms: Option<u64>,
}

impl Change {
    pub(crate) fn keeping_done(time: Duration) -> Result<Change> {
        if time > limits::DURATION_MAX {
            let (min, max) = (Duration::ZERO, limits::DURATION_MAX);
            return Err(Error::InvalidDuration { what: "time to keep done jobs", given: time, min, max });
        }
        let keep_done_ms = Some(millpond_actors::clock::millis(time));
        Ok(Change { keep_done_ms, ..Change::default() })
    }

    fn of(self, name: &Name) -> Configure {
        let Change { paused, max_attempts, keep_done_ms } = self;
        Configure { queue: Target { name: name.clone(), id: None }, paused, max_attempts, keep_done_ms }
    }
}

/// Adds a step; where the next one begins.
fn add(total: &mut Revived, step: Revived) -> Option<u64> {
    total.revived += step.revived;
    total.kept_out += step.kept_out;
    step.next
}

impl<T: Serialize> Queue<T> {
    /// Pushes a job. `Ok` means: on disk.
    ///
    /// Cancel-safe: if the future is dropped, the job is pushed whole or not at all; which of them is not known.
    ///
    /// # Errors
    /// A bad name; [`Error::Encode`], [`Error::TooLarge`] beyond 4 MiB; what the database said. Nothing is pushed then.
    pub async fn push(&self, job: &T) -> Result<Pushed> {
        self.push_with(job, Push::new()).await
    }

    /// Pushes a job with a priority, a delay, a key or a number of attempts.
    ///
    /// # Errors
    /// As [`push`](Queue::push), and for what of it is not usable.
    pub async fn push_with(&self, job: &T, push: Push) -> Result<Pushed> {
        let jobs = vec![self.encoded(job, push)?];
        let places = self.write(|reply, passage| Write::Push(jobs, reply, passage)).await?;
        only(places)
    }

    /// The same for a thread that waits.
    pub(crate) fn push_blocking(&self, job: &T, push: Push) -> Result<Pushed> {
        let jobs = vec![self.encoded(job, push)?];
        let places = self.write_blocking(|reply, passage| Write::Push(jobs, reply, passage))?;
        only(places)
    }

    /// Pushes jobs in one commit, all or none, in their order: at most 10,000, and 64 MiB.
    ///
    /// # Errors
    /// As [`push_with`](Queue::push_with).
    pub async fn push_all(&self, jobs: impl IntoIterator<Item = (T, Push)>) -> Result<Vec<Pushed>> {
        let jobs = self.all_encoded(jobs)?;
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        self.write(|reply, passage| Write::Push(jobs, reply, passage)).await
    }

    /// The same for a thread that waits.
    pub(crate) fn push_all_blocking(&self, jobs: impl IntoIterator<Item = (T, Push)>) -> Result<Vec<Pushed>> {
        let jobs = self.all_encoded(jobs)?;
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        self.write_blocking(|reply, passage| Write::Push(jobs, reply, passage))
    }

    pub(crate) fn encoded(&self, job: &T, push: Push) -> Result<NewJob> {
        encode(self.checked()?, job, push)
    }

    fn all_encoded(&self, jobs: impl IntoIterator<Item = (T, Push)>) -> Result<Vec<NewJob>> {
        let (mut encoded, mut bytes) = (Vec::new(), 0);
        for (job, push) in jobs {
            let job = self.encoded(&job, push)?;
            bytes += job.data.bytes().len();
            encoded.push(job);
            limits::check_size("a push, in jobs,", encoded.len(), limits::JOBS_PER_PUSH)?;
            limits::check_size("a push, in bytes,", bytes, limits::PUSH_BYTES)?;
        }
        Ok(encoded)
    }
}

impl Batch {
    /// Adds a push of a job, as [`Queue::push`] makes it.
    ///
    /// # Errors
    /// A bad name; [`Error::Encode`]; [`Error::TooLarge`]; [`Error::InvalidArgument`] for a queue of another store. Nothing is
    /// added then.
    pub fn push<T: Serialize>(&mut self, queue: &Queue<T>, job: &T) -> Result<Slot<Pushed>> {
        self.push_with(queue, job, Push::new())
    }

    /// Adds a push of a job with a priority, a delay, a key or a number of attempts.
    ///
    /// # Errors
    /// As [`push`](Batch::push), and for what of it is not usable.
    pub fn push_with<T: Serialize>(&mut self, queue: &Queue<T>, job: &T, push: Push) -> Result<Slot<Pushed>> {
        self.add_job(queue, queue.encoded(job, push)?)
    }

    /// Adds a push of a job that is a dead letter from the beginning.
    pub(crate) fn push_dead<T: Serialize>(
        &mut self,
        queue: &Queue<T>,
        job: &T,
        push: Push,
        reason: &str,
    ) -> Result<Slot<Pushed>> {
        let job = NewJob { dead: Some(cut(reason)), ..queue.encoded(job, push)? };
        self.add_job(queue, job)
    }

    /// Adds the removal of the living job of a key. Whether there was one.
    pub(crate) fn remove_of_key<T>(&mut self, queue: &Queue<T>, key: &str) -> Result<Slot<bool>> {
        let what = What::Key(key.into());
        let purge = storage::Purge { queue: Target { name: queue.checked()?.clone(), id: None }, what };
        let removed = |purged: Purged| Ok(purged.removed > 0);
        self.add::<storage::Purge, _>(&queue.runtime, (Part::plain(purge), 0), removed)
    }

    fn add_job<T>(&mut self, queue: &Queue<T>, job: NewJob) -> Result<Slot<Pushed>> {
        let name = queue.checked()?;
        let (bytes, part) = (job.data.bytes().len(), push_part(queue.runtime.post(), name, job));
        self.add::<storage::Push, _>(&queue.runtime, (part, bytes), |pushed| only(pushed.places))
    }
}

/// A job as it is stored, with every limit checked.
pub(crate) fn encode(queue: &Name, job: &impl Serialize, push: Push) -> Result<NewJob> {
    push.job(Data::Json(codec::to_json(&format_args!("a job for queue \"{queue}\""), job)?))
}

/// A push as a part of a batch.
pub(crate) fn push_part(post: &Post, name: &Name, job: NewJob) -> Part {
    let ready = job.start == Start::Now;
    let push = storage::Push { queue: Target { name: name.clone(), id: None }, jobs: vec![job] };
    let (post, name) = (post.clone(), name.clone());
    // Also after an error: it may be there all the same.
    Part::new(push, move |_| post.tell::<QueueActor, _>(&name, Arrived { ready }))
}

fn only(places: Vec<Pushed>) -> Result<Pushed> {
    let lost = || Error::Storage { detail: "a push was answered without a place".into() };
    places.into_iter().next().ok_or_else(lost)
}

impl<T: DeserializeOwned> Queue<T> {
    /// Claims a job, and waits for one without limit.
    ///
    /// Cancel-safe: if the future is dropped, nothing is claimed; a job that is given to it at the same moment is given
    /// back, and the attempt does not count.
    ///
    /// # Errors
    /// A bad name or lease; [`Error::Decode`] if the job is no `T`: it is tried again later, by whoever can read it, and
    /// goes to the dead letters in the end. [`Error::Busy`] and [`Error::CommitUnknown`] if the store could not be written
    /// to, [`Error::Overloaded`] if too many wait; what the database said. Nothing is claimed then.
    pub async fn pop(&self) -> Result<Job<T>> {
        let job = self.request(Wait::Forever).await?;
        job.ok_or_else(|| Error::ActorFailed { what: format!("queue {:?}", self.name) })
    }

    /// Claims a job if there is one.
    ///
    /// # Errors
    /// As [`pop`](Queue::pop).
    pub async fn try_pop(&self) -> Result<Option<Job<T>>> {
        self.request(Wait::No).await
    }

    /// Claims a job, and waits for one, but not longer than `time`.
    ///
    /// # Errors
    /// As [`pop`](Queue::pop).
    pub async fn pop_within(&self, time: Duration) -> Result<Option<Job<T>>> {
        self.request(Wait::For(time)).await
    }

    /// What was pushed, out of a record of a [page](Queue::page).
    ///
    /// # Errors
    /// [`Error::Decode`].
    pub fn decode(&self, record: &Record) -> Result<T> {
        let name = self.checked()?;
        codec::from_data(&format_args!("job {} of queue \"{name}\"", record.sequence), &record.data)
    }

    async fn request(&self, wait: Wait) -> Result<Option<Job<T>>> {
        self.claim(wait, 1).await?.pop().map(|held| self.job(held)).transpose()
    }

    /// Jobs that are claimed and not taken yet, so many at most: dropped, they are given back, and the attempt does not count.
    pub(crate) async fn claim(&self, wait: Wait, most: u32) -> Result<Vec<Held>> {
        let (name, ttl) = self.checked_with_lease()?;
        let mut leaving = Leaving { runtime: &self.runtime, name, waits: true };
        let held = self.runtime.enter_and(|reply, passage| {
            self.runtime.tell::<QueueActor, _>(name, Pop { most, ttl, wait, reply, passage });
        });
        let held = held.await;
        // After an error it may wait all the same.
        leaving.waits = held.is_err();
        held
    }

    /// The same for a thread that waits.
    pub(crate) fn request_blocking(&self, wait: Wait) -> Result<Option<Job<T>>> {
        let (name, ttl) = self.checked_with_lease()?;
        let mut held = self.runtime.enter_and_wait(|reply, passage| {
            self.runtime.tell::<QueueActor, _>(name, Pop { most: 1, ttl, wait, reply, passage });
        })?;
        held.pop().map(|held| self.job(held)).transpose()
    }

    /// The job that is held now, if it is a `T`. If not, others may know it: it is tried again, though not at once.
    fn job(&self, held: Held) -> Result<Job<T>> {
        let held = held.taken();
        match self.decode(held.job()) {
            Ok(value) => Ok(Job::new(Arc::clone(&self.runtime), held, value)),
            Err(error) => {
                let how = how::retry(&self.runtime, held.job().attempts, &error.to_string());
                held.finish_unasked(how);
                Err(error)
            }
        }
    }
}

/// Tells the actor when a caller goes away while it waits.
struct Leaving<'a> {
    runtime: &'a Runtime,
    name: &'a Name,
    waits: bool,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if self.waits {
            self.runtime.tell::<QueueActor, _>(self.name, Abandoned);
        }
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Queue<T> {
        Queue {
            runtime: Arc::clone(&self.runtime),
            name: self.name.clone(),
            lease: self.lease,
            values: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("name", &self.name).field("lease", &self.lease).finish_non_exhaustive()
    }
}
