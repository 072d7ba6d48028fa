//! A caller who wants a lock, or a part of one, and may go away at any moment: while it waits, while it holds, while it
//! gives back.

use std::time::Duration;

use millpond::{Error, Lock, LockGuard, RwLock, Semaphore, Store};

use crate::random::Random;

/// Locks that are wanted.
pub(super) const LOCKS: [&str; 2] = ["left", "right"];

/// Permits of the semaphore.
pub(super) const PERMITS: u32 = 3;

/// The semaphore.
pub(super) fn semaphore(store: &Store) -> Semaphore {
    store.semaphore("boats", PERMITS)
}

/// The lock for readers and writers.
pub(super) fn rw_lock(store: &Store) -> RwLock {
    store.rw_lock("map")
}

/// What a caller wants, and what it does when it has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    what: u64,
    within_us: u64,
    renews: bool,
    gives_back: bool,
}

impl Wish {
    /// One by chance.
    pub(super) fn draw(random: &mut Random) -> Wish {
        Wish {
            what: random.below(11),
            within_us: random.below(3_000),
            renews: random.below(2) == 0,
            gives_back: random.below(2) == 0,
        }
    }

    /// Takes it and goes.
    pub(super) async fn have(self, store: &Store) -> Result<(), Error> {
        let lock = |which: usize| -> Lock { store.lock(LOCKS.get(which).copied().unwrap_or("left")) };
        let within = Duration::from_micros(self.within_us);
        let guard = match self.what {
            0 | 1 => Some(lock(0).acquire().await?),
            2 => lock(1).try_acquire().await?,
            3 => lock(1).acquire_within(within).await?,
            4 => Some(semaphore(store).acquire().await?),
            5 => Some(semaphore(store).weight(2).acquire().await?),
            6 => semaphore(store).acquire_within(within).await?,
            7 => Some(rw_lock(store).read().await?),
            8 => Some(rw_lock(store).write().await?),
            9 => rw_lock(store).write_within(within).await?,
            _ => {
                let both = store.lock_set(LOCKS).acquire().await?;
                return if self.gives_back { both.release().await } else { Ok(()) };
            }
        };
        let Some(guard) = guard else { return Ok(()) };
        self.use_and_leave(guard).await
    }

    async fn use_and_leave(self, guard: LockGuard) -> Result<(), Error> {
        if self.renews {
            guard.renew().await?;
        }
        if self.gives_back { guard.release().await } else { Ok(()) }
    }
}
