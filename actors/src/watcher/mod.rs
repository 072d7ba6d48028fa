//! The watcher: has those who wait for other processes look when there may be news.
//!
//! The bell is the shortcut, a look every [`SLOW_POLL`](crate::limits::SLOW_POLL) the guarantee. While nobody
//! waits there is neither. It is the `lookout` that looks, on a thread of its own, and with its view everybody looks
//! who wants to: one wake less than if each were told to look by himself. This file is the list of them, and says to the
//! bell whether there is anybody on it.

mod lookout;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::lookout::{Eye, Lookout, Rounds};
use crate::clock::Seams;
use crate::error::Result;
use crate::observe::{Meter, target};
use crate::reader::Readers;
use crate::storage::{Backend, Bell, View};

/// What somebody who watches does when there may be news: looks with the view, if there is one, and must not wait.
/// Without one it has to look by itself. Called on the lookout's thread.
pub type Look = Arc<dyn Fn(Option<&mut dyn View>) + Send + Sync>;

/// Has this done with a view whenever there may be news: the lookout's own, or a reader's.
pub(crate) fn looking(
    readers: &Readers,
    look: impl Fn(&mut dyn View) + Clone + Send + Sync + 'static,
) -> Look {
    let readers = readers.clone();
    Arc::new(move |view| match view {
        Some(view) => look(view),
        None => {
            let look = look.clone();
            let look = move |view: &mut dyn View| {
                look(view);
                Ok(())
            };
            // One at a time: the lookout calls again only when this has been called.
            readers.read(look, |_| {});
        }
    })
}

/// The list of those who watch for other processes. Cheap to clone.
#[derive(Clone)]
pub struct Watcher(Arc<Watch>);

struct Watch {
    /// Held while the list changes, so that what the bell was told last is true.
    bell: Mutex<Box<dyn Bell>>,
    lookout: Arc<Lookout>,
}

impl Watcher {
    /// Starts the thread that looks: at what others than `process` have done, also when its `bell` rings.
    ///
    /// # Errors
    /// If the machine has no thread left to give.
    pub(crate) fn open(
        backend: Arc<dyn Backend>,
        bell: Box<dyn Bell>,
        process: u64,
        seams: &Seams,
        meter: Meter,
    ) -> Result<Watcher> {
        let lookout = Arc::new(Lookout::default());
        let ring = Arc::clone(&lookout);
        if let Err(error) = bell.listen(Box::new(move || ring.ring())) {
            tracing::warn!(target: target::WATCH, %error, "the bell cannot be heard, the slow poll has to do");
        }
        let eye = Box::new(Eye { backend, own: process, view: None, meter });
        let rounds = Rounds::new(Arc::clone(&lookout), Arc::clone(&seams.clock), eye);
        let _ = seams.spawner.employ("millpond-watch", Box::new(rounds), lookout.call())?;
        Ok(Watcher(Arc::new(Watch { bell: Mutex::new(bell), lookout })))
    }

    /// A key that no other watcher has.
    #[must_use]
    pub fn new_key() -> usize {
        static KEYS: AtomicUsize = AtomicUsize::new(0);
        KEYS.fetch_add(1, Ordering::Relaxed)
    }

    /// From now on `look` is called when another process may have written, come or gone, and when leases of this one
    /// have lapsed or nothing is written any more. `key` is the watcher's own, unique in the process. What was written before has to be looked at by
    /// whoever begins to watch.
    pub fn watch(&self, key: usize, look: Look) {
        self.add(key, look, false);
    }

    /// The same for one who wants to know of events: a group of nothing else may change nothing that is compared. So `look` is
    /// called whenever it is looked, and must be cheap.
    pub(crate) fn watch_events(&self, key: usize, look: Look) {
        self.add(key, look, true);
    }

    fn add(&self, key: usize, look: Look, each_time: bool) {
        let bell = self.bell();
        if self.0.lookout.add(key, look, each_time)
            && let Err(error) = bell.waiting(true)
        {
            tracing::warn!(target: target::WATCH, %error, "the bell cannot be used, the slow poll has to do");
        }
    }

    /// It is not called any more, but for a call that is under way.
    pub fn leave(&self, key: usize) {
        let bell = self.bell();
        if self.0.lookout.remove(key)
            && let Err(error) = bell.waiting(false)
        {
            tracing::warn!(target: target::WATCH, %error, "the bell cannot be told that nobody waits");
        }
    }

    /// Says to all processes whether somebody here watches for changes.
    ///
    /// # Errors
    /// If they cannot be told.
    pub(crate) fn watch_changes(&self, somebody: bool) -> Result<()> {
        self.bell().watching(somebody)
    }

    /// Has everybody who watches look, whatever the others did: leases of this process have lapsed, it writes no more,
    /// or something was to be told to an actor that is not there any more.
    pub(crate) fn call_all(&self) {
        self.0.lookout.call_all();
    }

    /// The thread ends, and nobody is told anything any more.
    pub(crate) fn close(&self) {
        self.0.lookout.close();
    }

    fn bell(&self) -> MutexGuard<'_, Box<dyn Bell>> {
        self.0.bell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.lookout.close();
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("lookout", &self.0.lookout).finish_non_exhaustive()
    }
}
