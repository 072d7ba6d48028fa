//! What the writer does beside groups: it moves the log into the main file, and leaves the store.

use std::sync::atomic::Ordering;

use super::Committer;
use crate::error::Result;
use crate::failpoint::{Point, reach};
use crate::limits;
use crate::observe::target;

impl Committer {
    pub(in crate::writer) fn checkpoint_due(&self) -> bool {
        self.session.log_pages() >= self.checkpoint_pages
    }

    /// Moves what readers do not need any more out of the log. Under the turn, so that two processes never do
    /// it at once.
    ///
    /// A log begins anew if nobody reads in it at the moment of a commit. Where pages are read all the time that moment
    /// does not come by itself; so a log that has become long waits for it. If it waited for nothing (a process may be
    /// stopped in the middle of a page), it waits again only when it has become longer by an eighth.
    pub(in crate::writer) fn checkpoint(&mut self) {
        if self.poisoned.is_some() || !matches!(self.session.take_turn(false), Ok(true)) {
            return;
        }
        let length = self.session.log_length();
        let short = limits::LONG_LOG.saturating_mul(self.checkpoint_pages);
        if length < short {
            self.long = short;
        }
        let is_long = length >= self.long;
        if is_long {
            self.long = length.saturating_add(length / 8);
        }
        let began_us = self.now_us();
        let moved = reach(Point::BeforeCheckpoint)
            .and_then(|()| if is_long { self.session.clear_log() } else { self.session.checkpoint(false) })
            .and_then(|()| reach(Point::AfterCheckpoint));
        self.has_moved(&moved, length, began_us);
        self.session.leave_turn();
    }

    /// Leaves the store in order: what is held is given up, the log is emptied. Whatever fails here, the next
    /// process puts right.
    pub(in crate::writer) fn leave(&mut self) {
        if self.poisoned.is_some() || !matches!(self.session.take_turn(false), Ok(true)) {
            return;
        }
        let (length, began_us) = (self.session.log_length(), self.now_us());
        let left = reach(Point::BeforeLeave)
            .and_then(|()| self.session.leave(self.clock.now()))
            .and_then(|()| self.session.checkpoint(true))
            .and_then(|()| reach(Point::AfterLeave));
        self.has_moved(&left, length, began_us);
        self.session.leave_turn();
        self.session.ring();
    }

    /// Tells what came of moving a log of so many pages.
    fn has_moved(&self, moved: &Result<()>, pages: u32, began_us: u64) {
        let micros = self.now_us().saturating_sub(began_us);
        self.stats.meter.checkpointed(micros, moved.is_ok());
        match moved {
            Ok(()) => tracing::debug!(target: target::WRITER, pages, micros, "the log was moved"),
            Err(error) => {
                self.stats.failed_checkpoints.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(target: target::WRITER, pages, %error, "the log could not be moved");
            }
        }
    }
}
