//! Whoever follows the events of the store in this process: reads on from where he is, and waits at the horizon.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use crate::error::{Error, Result};
use crate::horizon::Horizon;
use crate::limits;
use crate::reader::Readers;
use crate::storage::View;
use crate::watcher::{Watcher, looking};

/// The way to follow events. Cheap to clone.
#[derive(Clone)]
pub struct Follow(Arc<Tower>);

struct Tower {
    horizon: Arc<Horizon>,
    watcher: Watcher,
    readers: Readers,
    /// Ours at the watcher.
    key: usize,
    /// How many follow. Held while it changes, so that the watcher knows of it exactly while anybody does.
    followers: Mutex<usize>,
}

impl Tower {
    fn followers(&self) -> MutexGuard<'_, usize> {
        self.followers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Other processes may have written.
fn look(horizon: &Horizon, view: &mut dyn View) {
    if let Ok(head) = view.head() {
        horizon.reaches(|| head);
    }
}

impl Follow {
    pub(crate) fn new(horizon: Arc<Horizon>, watcher: Watcher, readers: Readers) -> Follow {
        let (key, followers) = (Watcher::new_key(), Mutex::default());
        Follow(Arc::new(Tower { horizon, watcher, readers, key, followers }))
    }

    /// Somebody follows from now on: he is told of whatever is not in what he reads after this.
    ///
    /// # Errors
    /// [`Error::Overloaded`] if too many follow already.
    pub fn begin(&self) -> Result<Follower> {
        let tower = &self.0;
        let mut followers = tower.followers();
        if *followers >= limits::FOLLOWERS {
            let limit = limits::FOLLOWERS as u64;
            return Err(Error::Overloaded { what: "the list of those who follow", limit });
        }
        if *followers == 0 {
            tower.horizon.set_followed(true);
            let horizon = Arc::clone(&tower.horizon);
            tower.watcher.watch_events(tower.key, looking(&tower.readers, move |view| look(&horizon, view)));
        }
        *followers += 1;
        drop(followers);
        Ok(Follower { number: tower.horizon.number(), tower: Arc::clone(tower) })
    }

    /// Somebody has read that the events have come as far as this.
    pub fn reaches(&self, position: u64) {
        self.0.horizon.reaches(|| position);
    }

    /// Nothing more comes: whoever waits is told so.
    pub(crate) fn close(&self) {
        self.0.horizon.close();
    }
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").field("horizon", &self.0.horizon).finish_non_exhaustive()
    }
}

/// One who follows.
pub struct Follower {
    tower: Arc<Tower>,
    number: u64,
}

impl Follower {
    /// How far the events have come, at least. Whatever is read after this has all of it.
    #[must_use]
    pub fn horizon(&self) -> u64 {
        self.tower.horizon.position()
    }

    /// Until the events have come further than this.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn poll_beyond(&self, seen: u64, context: &Context<'_>) -> Poll<Result<()>> {
        self.tower.horizon.poll_beyond(self.number, seen, context)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.tower.horizon.forget(self.number);
        let mut followers = self.tower.followers();
        *followers -= 1;
        if *followers == 0 {
            self.tower.watcher.leave(self.tower.key);
            self.tower.horizon.set_followed(false);
        }
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("number", &self.number).finish_non_exhaustive()
    }
}
