//! The turn among writers, seen and taken from outside. The bytes are those of `src/storage/sqlite/sync.rs`.

use std::fs::{File, OpenOptions};
use std::path::Path;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::Result;

const TURN: i64 = 16_384;

/// No process has this slot, so that nobody takes us for one.
const NOBODY: i64 = 4_096;

/// A description of the sidecar of our own.
#[derive(Debug)]
pub struct Turn(File);

impl Turn {
    /// Opens the sidecar of a store that somebody has open.
    ///
    /// # Errors
    /// If there is none.
    pub fn of(store: &Path) -> Result<Turn> {
        let mut name = store.as_os_str().to_owned();
        name.push("-sync");
        Ok(Turn(OpenOptions::new().read(true).write(true).open(name)?))
    }

    /// Which turn it is that a process has, by its length: of two soon after each other no two are equal.
    ///
    /// # Errors
    /// What the system said.
    pub fn taken(&self) -> Result<Option<i64>> {
        let mut lock = region(libc::F_WRLCK);
        fcntl(&self.0, FcntlArg::F_OFD_GETLK(&mut lock))?;
        Ok((i32::from(lock.l_type) != libc::F_UNLCK).then_some(lock.l_len))
    }

    /// Waits for the turn and keeps it: nobody writes meanwhile.
    ///
    /// # Errors
    /// What the system said.
    pub fn take(&self) -> Result<()> {
        fcntl(&self.0, FcntlArg::F_OFD_SETLKW(&region(libc::F_WRLCK)))?;
        Ok(())
    }

    /// Gives it back.
    ///
    /// # Errors
    /// What the system said.
    pub fn leave(&self) -> Result<()> {
        fcntl(&self.0, FcntlArg::F_OFD_SETLK(&region(libc::F_UNLCK)))?;
        Ok(())
    }
}

fn region(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: TURN,
        // To its end, whatever number it has: a turn's length tells which of its process's turns it is.
        l_len: if kind == libc::F_WRLCK { NOBODY + 1 } else { 0 },
        l_pid: 0,
    }
}
