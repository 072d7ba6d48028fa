//! What says that a process lives: the byte of its slot, locked through a description of its own.
//!
//! The lock belongs to the open file description, and all duplicates of a descriptor are one description. So a
//! program that inherits a duplicate keeps the byte locked when the process that started it is killed: to all
//! others that process lives until both have ended. Giving the slot up unlocks it for all duplicates at once.
//!
//! That is why nothing but the slot is ever locked through it. A program that inherited the description of the
//! turn would keep the turn of a process that was killed inside a commit, and nobody could write until that
//! program ends; with the byte of the waiting, everybody would ring for nobody.
//!
//! A sidecar that is replaced takes the presence with it: what was lent before says nothing in the new one.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use millpond_actors::error::Result;
use millpond_actors::storage;

use super::sync::Sidecar;

/// A session's presence. The session owns it; who lends it out finds it gone with the session.
#[derive(Debug)]
pub(super) struct Presence(Mutex<Sidecar>);

impl Presence {
    pub(super) fn new(slot: Sidecar) -> Presence {
        Presence(Mutex::new(slot))
    }

    fn sidecar(&self) -> MutexGuard<'_, Sidecar> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims a slot for the life of the description; `false` if another description has it.
    pub(super) fn claim(&self, slot: u32) -> Result<bool> {
        self.sidecar().claim_slot(slot)
    }

    /// Gives a slot up.
    pub(super) fn leave(&self, slot: u32) {
        self.sidecar().leave_slot(slot);
    }

    /// Goes on in another sidecar.
    pub(super) fn move_to(&self, fresh: Sidecar) {
        *self.sidecar() = fresh;
    }
}

impl storage::Presence for Presence {
    fn lend(&self) -> Result<OwnedFd> {
        self.sidecar().inheritable()
    }
}
