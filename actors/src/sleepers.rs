//! Callers who sleep until they are answered, or until somebody has something to tell all of them. Every call comes here and
//! hardly any is ever told, so what counts is what it costs to come and to go: each thread has a list of its own, and who
//! leaves it touches nobody else's entry.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};

use slab::Slab;

use crate::shards::{SHARDS, Shards};
use crate::thread;

/// All who sleep.
#[derive(Default)]
pub(crate) struct Sleepers(Shards<Slab<Waker>>);

impl Sleepers {
    /// Somebody who may go to sleep. Who drops this does not sleep any more.
    pub(crate) fn sleeper(&self) -> Sleeper<'_> {
        Sleeper { all: self, at: None }
    }

    /// Wakes all of them. They go to sleep again, or leave.
    pub(crate) fn wake(&self) {
        for shard in 0..SHARDS as u64 {
            let woken: Vec<Waker> = self.0.of(shard).iter().map(|(_, waker)| waker.clone()).collect();
            thread::wake(woken);
        }
    }
}

impl fmt::Debug for Sleepers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleepers").finish_non_exhaustive()
    }
}

/// One of them.
pub(crate) struct Sleeper<'a> {
    all: &'a Sleepers,
    /// In which list, and where.
    at: Option<(u64, usize)>,
}

impl Sleeper<'_> {
    /// From now on it is woken like this.
    pub(crate) fn sleep(&mut self, context: &Context<'_>) {
        let waker = context.waker();
        let before = match self.at {
            Some((shard, key)) => {
                let mut sleeping = self.all.0.of(shard);
                let known = sleeping.get_mut(key).filter(|known| !known.will_wake(waker));
                known.map(|known| std::mem::replace(known, waker.clone()))
            }
            None => {
                let shard = own_shard();
                self.at = Some((shard, self.all.0.of(shard).insert(waker.clone())));
                None
            }
        };
        // It is the user's.
        thread::discard(before);
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        if let Some((shard, key)) = self.at {
            let gone = self.all.0.of(shard).try_remove(key);
            thread::discard(gone);
        }
    }
}

/// The list of this thread.
fn own_shard() -> u64 {
    static THREADS: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static OWN: Cell<u64> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed));
    }
    OWN.get()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Wake for Counting {
        fn wake(self: Arc<Counting>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn sleep(sleeper: &mut Sleeper<'_>, waker: &Arc<Counting>) {
        sleeper.sleep(&Context::from_waker(&Waker::from(Arc::clone(waker))));
    }

    fn woken(waker: &Counting) -> usize {
        waker.0.load(Ordering::SeqCst)
    }

    #[test]
    fn whoever_sleeps_is_woken_each_time_as_it_last_asked_for_and_whoever_left_is_not() {
        let sleepers = Sleepers::default();
        let [first, second, third]: [Arc<Counting>; 3] = std::array::from_fn(|_| Arc::default());
        let (mut stays, mut leaves, mut awake) = (sleepers.sleeper(), sleepers.sleeper(), sleepers.sleeper());
        sleep(&mut stays, &first);
        sleep(&mut leaves, &second);
        sleepers.wake();
        assert_eq!((woken(&first), woken(&second)), (1, 1));
        drop(leaves);
        // Whoever comes now may have the place of the one who left, and nobody else's.
        sleep(&mut awake, &third);
        sleepers.wake();
        sleep(&mut stays, &third);
        sleepers.wake();
        assert_eq!((woken(&first), woken(&second), woken(&third)), (2, 1, 3));
    }

    #[test]
    fn whoever_went_to_sleep_on_one_thread_may_leave_on_another() {
        let (sleepers, waker) = (Sleepers::default(), Arc::new(Counting::default()));
        std::thread::scope(|scope| {
            let mut sleeper = sleepers.sleeper();
            sleep(&mut sleeper, &waker);
            scope.spawn(move || drop(sleeper));
        });
        sleepers.wake();
        assert_eq!((woken(&waker), Arc::strong_count(&waker)), (0, 1));
    }
}
