//! Named locks: strict first come, first served over all processes, with fencing tokens.

use std::sync::Arc;
use std::time::Duration;

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::lock::{
    Abandoned, Acquire, BreakLock, Follow, LockActor, Loss, Place, Shape, Shortcut, Wait,
};
use millpond_actors::name::Name;
use millpond_actors::reply::Reply;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::lock::{Fence, Holder};

use crate::batch::Batch;

/// A named lock. A handle: cheap to clone, no I/O to make one.
///
/// - **Mutual exclusion**: at most one live lease a name, over all processes that share the store.
/// - **Order**: first come, first served, over all processes. There are no readers' or other priorities.
/// - **A lease ends** when it is released, when its process dies (at once), or when its process was stopped for
///   longer than the time to live. A running process keeps its leases by itself.
/// - **A stopped process keeps nobody waiting for what it never used**: if the lock is passed on to one of its callers
///   and it gives no sign of life, the lease lasts no longer than 5 seconds. Whoever had waited there lines up anew.
/// - **Not re-entrant**: a second acquire by the holder waits like any other.
///
/// A lease is a hint about time; the [token](LockGuard::token) is the safety. A process that was stopped past its
/// lease cannot know that it lost the lock, so a write that must not happen then has to carry the token: inside
/// the store by [`Events::guarded_by`](crate::Events::guarded_by), outside by handing the token to whatever is
/// written to, which refuses a token smaller than one it has seen. (Kleppmann, "How to do distributed locking".)
///
/// # Examples
/// ```
/// # futures_executor::block_on(async {
/// let store = millpond::Store::memory().await?;
/// let lock = store.lock("nightly-report");
/// let guard = lock.acquire().await?;
/// assert!(lock.try_acquire().await?.is_none());
/// guard.release().await?;
/// # store.close().await
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Lock {
    pub(crate) runtime: Arc<Runtime>,
    name: Usable<Name>,
    shape: Usable<Shape>,
    ttl: Duration,
    shortcut: Shortcut,
}

/// What a handle was made with, or why it cannot be used: an error is large, and there are many handles.
type Usable<T> = std::result::Result<T, Box<Error>>;

impl Lock {
    pub(crate) fn new(runtime: Arc<Runtime>, name: &str) -> Lock {
        let (shape, ttl, shortcut) = (Ok(Shape::EXCLUSIVE), limits::LOCK_TTL, Shortcut::default());
        Lock { runtime, name: Name::new(name).map_err(Box::new), shape, ttl, shortcut }
    }

    /// One of which there is more, or a part of it is wanted.
    pub(crate) fn shaped(self, shape: Result<Shape>) -> Lock {
        Lock { shape: shape.map_err(Box::new), ..self }
    }

    /// Sets the time to live of leases taken through this handle: 10 ms to 365 days, 60 s unless set. It matters
    /// only for a process that is stopped; a dead one loses its leases at once.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Lock {
        self.ttl = ttl;
        self
    }

    /// Waits for the lock, without limit.
    ///
    /// Cancel-safe: if the future is dropped, its place in the line is given up, and a grant that comes at the
    /// same moment is given back.
    ///
    /// # Errors
    /// A bad name or time to live; [`Error::UsedOtherwise`] if the name is that of a semaphore or of a lock for
    /// readers and writers; [`Error::Busy`] if the store could not be written to within the call timeout, and
    /// [`Error::CommitUnknown`] if the disk did not answer for so long; [`Error::Overloaded`] if too many wait; what
    /// the database said. Nothing is held then.
    pub async fn acquire(&self) -> Result<LockGuard> {
        let guard = self.request(Wait::Forever).await?;
        guard.ok_or_else(|| Error::ActorFailed { what: format!("lock {:?}", self.name) })
    }

    /// Takes the lock if nobody holds it or waits for it; never waits for another holder.
    ///
    /// # Errors
    /// As [`acquire`](Lock::acquire).
    pub async fn try_acquire(&self) -> Result<Option<LockGuard>> {
        self.request(Wait::No).await
    }

    /// Waits for the lock, but not longer than `time`. `None`: not granted in time, and not in line any more.
    ///
    /// # Errors
    /// As [`acquire`](Lock::acquire).
    pub async fn acquire_within(&self, time: Duration) -> Result<Option<LockGuard>> {
        self.request(Wait::For(time)).await
    }

    /// Takes the lock away from whoever holds it, in whatever process, and passes it on to the next in line. Whether
    /// somebody held it. Of a [semaphore](crate::Semaphore) or a [lock for readers and writers](crate::RwLock) of
    /// this name, it is taken away from all who hold a part of it.
    ///
    /// For operators: the former holder goes on until it looks ([`LockGuard::lost`], [`LockGuard::renew`]); what it
    /// still writes under its token is refused.
    ///
    /// # Errors
    /// A bad name; what the database said. Nothing is changed then.
    pub async fn break_lock(&self) -> Result<bool> {
        let name = self.name()?;
        self.runtime.ask::<LockActor, _, _>(name, |reply, passage| BreakLock { reply, passage }).await
    }

    /// The same for a thread that waits.
    pub(crate) fn break_lock_blocking(&self) -> Result<bool> {
        let name = self.name()?;
        self.runtime.call::<LockActor, _, _>(name, |reply, passage| BreakLock { reply, passage })
    }

    /// Waits until others hold it, or parts of it, than those with these tokens, and tells who; both in the order in which
    /// they were granted it.
    pub(crate) async fn changed(&self, known: Vec<u64>) -> Result<Vec<Holder>> {
        let (name, ..) = self.checked()?;
        // Tells the actor when this one goes away.
        let _leaving = Leaving { lock: self, name, waits: true };
        self.runtime.watch::<LockActor, _, _>(name, |reply, _| Follow { known, reply }).await
    }

    /// The same for a thread that waits.
    pub(crate) fn changed_blocking(&self, known: Vec<u64>) -> Result<Vec<Holder>> {
        let (name, ..) = self.checked()?;
        self.runtime.watch_blocking::<LockActor, _, _>(name, |reply, _| Follow { known, reply })
    }

    async fn request(&self, wait: Wait) -> Result<Option<LockGuard>> {
        let (name, shape, ttl) = self.checked()?;
        let mut leaving = Leaving { lock: self, name, waits: true };
        let mut short = false;
        let place = self.runtime.enter_and(|reply, passage| {
            short = self.send(name, Acquire { shape, ttl, wait, reply, passage });
        });
        let place = place.await;
        // After an error its ticket may be in the line all the same.
        leaving.waits = place.is_err();
        Ok(place?.map(|place| self.guard(place, short)))
    }

    /// The same for a thread that waits.
    pub(crate) fn request_blocking(&self, wait: Wait) -> Result<Option<LockGuard>> {
        let (name, shape, ttl) = self.checked()?;
        let mut short = false;
        let place = self.runtime.enter_and_wait(|reply, passage| {
            short = self.send(name, Acquire { shape, ttl, wait, reply, passage });
        })?;
        Ok(place.map(|place| self.guard(place, short)))
    }

    /// Whether it went the short way.
    fn send(&self, name: &Name, acquire: Acquire) -> bool {
        let refused = self.shortcut.send(self.runtime.writer(), acquire);
        let short = refused.is_none();
        if let Some(acquire) = refused {
            self.runtime.tell::<LockActor, _>(name, acquire);
        }
        short
    }

    /// From what was had the short way there is nothing to learn.
    fn guard(&self, place: Place, short: bool) -> LockGuard {
        if !short {
            self.shortcut.learn(&place);
        }
        LockGuard { runtime: Arc::clone(&self.runtime), place }
    }

    fn name(&self) -> Result<&Name> {
        self.name.as_ref().map_err(|error| Error::clone(error))
    }

    /// The name, how much is wanted and the time to live, if all are usable.
    pub(crate) fn checked(&self) -> Result<(&Name, Shape, Duration)> {
        let (name, shape) = (self.name()?, *self.shape.as_ref().map_err(|error| Error::clone(error))?);
        let (min, max) = (limits::TTL_MIN, limits::DURATION_MAX);
        if self.ttl < min || self.ttl > max {
            return Err(Error::InvalidDuration { what: "time to live", given: self.ttl, min, max });
        }
        Ok((name, shape, self.ttl))
    }
}

/// Tells the actor when a caller goes away while it waits.
struct Leaving<'a> {
    lock: &'a Lock,
    name: &'a Name,
    waits: bool,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if self.waits {
            self.lock.runtime.tell::<LockActor, _>(self.name, Abandoned);
        }
    }
}

/// A lock that is held, or a part of one: permits of a [semaphore](crate::Semaphore), or one side of a
/// [lock for readers and writers](crate::RwLock). Each has a lease and a token of its own.
///
/// Dropping it releases it without waiting for the commit; [`release`](LockGuard::release) waits and tells whether it was
/// still held.
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub struct LockGuard {
    runtime: Arc<Runtime>,
    place: Place,
}

impl Batch {
    /// Nothing of it is written unless `guard`'s lock is held when it is: its token is compared in the same transaction, and
    /// a stale one is [`Error::Fenced`].
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a guard of another store.
    pub fn guarded_by(&mut self, guard: &LockGuard) -> Result<()> {
        self.guarded(&guard.runtime, guard.fence())
    }
}

impl LockGuard {
    /// The fencing token: larger than every token that any lock of this store gave before.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.place.fence().token
    }

    /// The lock's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.place.name().as_str()
    }

    /// The condition that this lock is still held, for writes to the store.
    pub(crate) fn fence(&self) -> Fence {
        self.place.fence()
    }

    /// How long the lease lasts, by this process's own clock, if the process wrote nothing from now on. A running
    /// process prolongs its leases by itself, so this is near the time to live; at zero the lock must be taken for
    /// lost.
    ///
    /// A courtesy and no safety: the process may be stopped right after it has looked. The safety is the
    /// [token](LockGuard::token).
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.place.remaining()
    }

    /// Prolongs the lease by a commit of its own, and tells whether the lock is still held. A running process need
    /// not do that; it is for one that wants to know before its next step. The commit is not synced, because no lease
    /// outlives a power cut.
    ///
    /// # Errors
    /// [`Error::Lost`] if it is not held any more; nothing is changed then. What the database said.
    pub async fn renew(&self) -> Result<()> {
        self.runtime.enter_and(|reply, passage| self.place.renew(reply, passage)).await
    }

    /// The same for a thread that waits.
    pub(crate) fn renew_blocking(&self) -> Result<()> {
        self.runtime.enter_and_wait(|reply, passage| self.place.renew(reply, passage))
    }

    /// Resolves when the lock is lost: its lease ended while this process was stopped, somebody broke it, or the
    /// store was closed. It may resolve late, never early; see [`Lock`] for what that means.
    pub async fn lost(&self) {
        let ask = || self.runtime.watch::<LockActor, _, _>(self.place.name(), |reply, _| self.loss(reply));
        // An actor that failed cannot tell any more; the next one can.
        while let Err(Error::ActorFailed { .. }) = ask().await {}
    }

    /// The same for a thread that waits.
    pub(crate) fn lost_blocking(&self) {
        let ask =
            || self.runtime.watch_blocking::<LockActor, _, _>(self.place.name(), |reply, _| self.loss(reply));
        while let Err(Error::ActorFailed { .. }) = ask() {}
    }

    fn loss(&self, reply: Reply<()>) -> Loss {
        Loss { lock: self.place.fence().lock, ticket: self.place.ticket(), reply }
    }

    /// Gives the lock back, to the next in line.
    ///
    /// # Errors
    /// [`Error::Lost`] if it was not held any more: somebody else may have held it meanwhile. After any other error
    /// it is given back as soon as the store can be written to again.
    pub async fn release(self) -> Result<()> {
        let LockGuard { runtime, place, .. } = self;
        runtime.enter_and(|reply, passage| place.leave(runtime.writer(), reply, passage)).await.map(drop)
    }

    /// The same for a thread that waits.
    pub(crate) fn release_blocking(self) -> Result<()> {
        let LockGuard { runtime, place, .. } = self;
        runtime.enter_and_wait(|reply, passage| place.leave(runtime.writer(), reply, passage)).map(drop)
    }
}
