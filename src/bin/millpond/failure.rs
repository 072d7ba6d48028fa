//! How a command fails: what is said on stderr, and the exit code.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use millpond::Error;

use crate::show::safe;

/// The exit codes that are not a child's.
pub(crate) mod code {
    pub(crate) const DONE: u8 = 0;
    pub(crate) const FAILED: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    /// `EX_TEMPFAIL` of sysexits.h: not acquired in time, try again.
    pub(crate) const NOT_ACQUIRED: u8 = 75;
    pub(crate) const LEASE_LOST: u8 = 76;
}

/// What a command comes to.
pub(crate) type Done<T> = Result<T, Failure>;

/// Why a command did not get done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was asked for in a way that makes no sense.
    Usage(String),
    /// It was tried and failed.
    Failed(String),
    /// Whoever read our output has seen enough (`| head`). Nothing to complain about.
    Unread,
}

impl Failure {
    /// Says it on stderr as `millpond: what: why`; the exit code.
    pub(crate) fn report(self, what: &str) -> u8 {
        let (why, code) = match self {
            Failure::Unread => return code::DONE,
            Failure::Usage(why) => (why, code::USAGE),
            Failure::Failed(why) => (why, code::FAILED),
        };
        complain(what, &why);
        code
    }
}

/// One line on stderr. A stderr that is closed is no reason to panic.
pub(crate) fn complain(what: &str, why: &str) {
    let mut line = format!("millpond: {what}: ");
    let _ = writeln!(line, "{}", safe(why));
    let _ = io::stderr().write_all(line.as_bytes());
}

/// What a command could not show: it is complained of, and the exit code tells that it was there.
pub(crate) struct Unshown {
    command: &'static str,
    any: bool,
}

impl Unshown {
    pub(crate) fn new(command: &'static str) -> Unshown {
        Unshown { command, any: false }
    }

    /// What can be shown. A store goes on behind what is damaged, gone, or not what it should be, and so does the command.
    pub(crate) fn sound<T>(&mut self, found: millpond::Result<T>) -> Done<Option<T>> {
        match found {
            Ok(sound) => Ok(Some(sound)),
            Err(error @ (Error::Corrupt { .. } | Error::Decode { .. } | Error::Lagged { .. })) => {
                complain(self.command, &error.to_string());
                self.any = true;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn any(&self) -> bool {
        self.any
    }

    pub(crate) fn code(&self) -> u8 {
        if self.any { code::FAILED } else { code::DONE }
    }
}

impl From<millpond::Error> for Failure {
    fn from(error: millpond::Error) -> Failure {
        Failure::Failed(error.to_string())
    }
}

/// Only output fails as a bare `io::Error`; everything else says itself which file it was.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Unread,
            _ => Failure::Failed(format!("cannot write to standard output: {error}")),
        }
    }
}
