//! A session of nobody: of a store that is only looked at. It is registered nowhere, holds nothing, and refuses to write.

use std::fmt;
use std::sync::Weak;

use super::{Bell, Compacted, Moment, Presence, Session, Standing, Turn};
use crate::error::{Error, Result};

/// Whoever looks at a store and may not write to it.
#[derive(Clone)]
pub struct Onlooker {
    why: &'static str,
    /// The last event there was when it came.
    position: u64,
}

impl Onlooker {
    /// One who may not write for this reason, and has seen so many events.
    #[must_use]
    pub fn new(why: &'static str, position: u64) -> Onlooker {
        Onlooker { why, position }
    }

    /// What comes of every write.
    #[must_use]
    pub fn refusal(&self) -> Error {
        Error::ReadOnly { detail: self.why.to_owned() }
    }
}

impl fmt::Debug for Onlooker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Onlooker").finish_non_exhaustive()
    }
}

impl Session for Onlooker {
    /// No process has this id.
    fn process(&self) -> u64 {
        0
    }

    fn presence(&self) -> Option<Weak<dyn Presence>> {
        None
    }

    fn take_turn(&mut self, _: bool) -> Result<bool> {
        Ok(true)
    }

    fn leave_turn(&mut self) {}

    fn turn_holder(&self) -> Option<Turn> {
        None
    }

    fn begin(&mut self, _: Moment) -> Result<Standing> {
        Err(self.refusal())
    }

    fn is_watched(&mut self) -> Result<bool> {
        Ok(false)
    }

    fn savepoint(&mut self) -> Result<()> {
        Err(self.refusal())
    }

    fn end_savepoint(&mut self, _: bool) -> Result<()> {
        Err(self.refusal())
    }

    fn commit(&mut self, _: u64) -> Result<()> {
        Err(self.refusal())
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn rollback(&mut self) {}

    fn in_transaction(&self) -> bool {
        false
    }

    fn reopen(&mut self) -> Result<()> {
        Ok(())
    }

    fn last_group(&mut self) -> Result<u64> {
        Ok(0)
    }

    fn ring(&self) {}

    fn bell(&self) -> Box<dyn Bell> {
        Box::new(Mute)
    }

    fn log_pages(&self) -> u32 {
        0
    }

    fn log_length(&self) -> u32 {
        0
    }

    fn clear_log(&mut self) -> Result<()> {
        Ok(())
    }

    fn checkpoint(&mut self, _: bool) -> Result<()> {
        Ok(())
    }

    fn compact(&mut self) -> Result<Compacted> {
        Err(self.refusal())
    }

    fn leave(&mut self, _: Moment) -> Result<()> {
        Ok(())
    }
}

/// A bell that nobody rings: to say that one waits is to write. Whoever waits looks from time to time.
#[derive(Debug)]
struct Mute;

impl Bell for Mute {
    fn listen(&self, _: Box<dyn Fn() + Send + Sync>) -> Result<()> {
        Ok(())
    }

    fn waiting(&self, _: bool) -> Result<()> {
        Ok(())
    }

    fn watching(&self, _: bool) -> Result<()> {
        Ok(())
    }
}
