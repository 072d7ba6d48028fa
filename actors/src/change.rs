//! Watching for changes: has whoever waits for one look again when there may be any.
//!
//! What has changed is read from the store (`storage/change.rs`), whichever process has changed it. Here it is only known that
//! there may be something to read: the lookout calls after the commits of other processes, and the committer after those
//! of this one that wrote changes down.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::observe::target;
use crate::reply::Reply;
use crate::watcher::Watcher;

/// Those in this process who watch. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Changes {
    watcher: Watcher,
    /// Under which the watcher knows us.
    key: usize,
    hub: Arc<Hub>,
}

#[derive(Debug, Default)]
struct Hub {
    /// Grows whenever there may be something to read.
    news: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    watching: usize,
    /// Who is to be answered when there is news.
    waiting: Vec<Reply<()>>,
    closed: bool,
}

impl Changes {
    pub(crate) fn new(watcher: Watcher) -> Changes {
        Changes { watcher, key: Watcher::new_key(), hub: Arc::default() }
    }

    /// From the next group that begins, every process writes down what it changes; for as long as the answer lives.
    ///
    /// # Errors
    /// If the other processes cannot be told.
    pub fn watch(&self) -> Result<Watching> {
        let mut state = self.hub.state();
        if state.watching == 0 {
            self.watcher.watch_changes(true)?;
            let hub = Arc::clone(&self.hub);
            self.watcher.watch(self.key, Arc::new(move |_| hub.stir()));
        }
        state.watching += 1;
        drop(state);
        Ok(Watching(self.clone()))
    }

    /// Nobody is told anything any more.
    pub(crate) fn close(&self) {
        let mut state = self.hub.state();
        state.closed = true;
        state.waiting.clear();
    }

    fn leave(&self) {
        let mut state = self.hub.state();
        state.watching -= 1;
        if state.watching > 0 {
            return;
        }
        self.watcher.leave(self.key);
        if let Err(error) = self.watcher.watch_changes(false) {
            tracing::warn!(target: target::WATCH, %error, "changes go on being written down, though nobody watches");
        }
    }
}

impl Hub {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stir(&self) {
        let waiting = {
            let mut state = self.state();
            self.news.fetch_add(1, Ordering::SeqCst);
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(|reply| reply.answer(Ok(())));
    }
}

/// Somebody watches, until this is dropped.
#[derive(Debug)]
pub struct Watching(Changes);

impl Watching {
    /// How much news there has been. To be asked for before one reads.
    #[must_use]
    pub fn news(&self) -> u64 {
        self.0.hub.news.load(Ordering::SeqCst)
    }

    /// Answers as soon as there is more than `known`. A reply that is dropped says that the store is closed.
    pub fn wait(&self, known: u64, reply: Reply<()>) {
        let mut state = self.0.hub.state();
        if state.closed {
            return;
        }
        if self.news() != known {
            drop(state);
            return reply.answer(Ok(()));
        }
        // Whoever has gone away wants to know nothing any more.
        state.waiting.retain(|reply| !reply.is_abandoned());
        state.waiting.push(reply);
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.leave();
    }
}
