//! The short way to a lock that was used before: straight to its desk, past the supervisor and the actor.
//!
//! An uncontended acquire needs neither of them, and with many locks most of its time would be spent on finding and
//! waking an actor that has nothing to do with it. Only who has to wait comes to the actor, by the desk.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::desk::Desk;
use super::{Acquire, Place};
use crate::supervisor::WeakStay;
use crate::writer::Writer;

/// What a handle remembers of a lock; nothing at first. It keeps the lock's actor from nothing.
#[derive(Default)]
pub struct Shortcut(Mutex<Option<Way>>);

#[derive(Clone)]
struct Way {
    desk: Weak<Desk>,
    stay: WeakStay,
}

impl Shortcut {
    /// Sends a request the short way, by the caller's writer. It is given back if there is none: the actor has been let go, or
    /// has failed, or the lock is fought for.
    #[must_use]
    pub fn send(&self, writer: &Writer, request: Acquire) -> Option<Acquire> {
        let known = self.way().as_ref().and_then(|way| Some((way.desk.upgrade()?, way.stay.upgrade()?)));
        let Some((desk, stay)) = known.filter(|(desk, _)| desk.is_open()) else { return Some(request) };
        let (want, wait, passage) = request.split(|| writer.now_ms());
        desk.take(writer, want, wait, stay, Some(passage));
        None
    }

    /// Remembers the way that a place was had by.
    pub fn learn(&self, place: &Place) {
        let mut way = self.way();
        if way.as_ref().is_none_or(|way| way.desk.as_ptr() != Arc::as_ptr(place.desk())) {
            let desk = Arc::downgrade(place.desk());
            *way = Some(Way { desk, stay: place.stay().downgrade() });
        }
    }

    fn way(&self) -> MutexGuard<'_, Option<Way>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each handle has its own, so that many of them do not meet at one mutex.
impl Clone for Shortcut {
    fn clone(&self) -> Shortcut {
        Shortcut(Mutex::new(self.way().clone()))
    }
}

impl fmt::Debug for Shortcut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shortcut").field("known", &self.way().is_some()).finish()
    }
}
