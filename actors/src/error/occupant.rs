//! Who keeps a store from being written to, as far as it is known.

use std::fmt;

/// A process that shares the store, as it named itself when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessName {
    /// Its id in the store: unique for ever.
    pub id: u64,
    /// Its process id, in its own pid namespace.
    pub pid: u32,
    /// The machine's name, or the container's.
    pub host: String,
    /// The program's name.
    pub program: String,
}

impl fmt::Display for ProcessName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProcessName { id, pid, host, program } = self;
        write!(f, "{program} (pid {pid} on {host}, process {id})")
    }
}

/// Who keeps a store from being written to, as far as it is known: for [`Error::Busy`](super::Error::Busy).
///
/// # Examples
/// ```
/// use millpond_actors::error::{Error, Occupant, ProcessName};
///
/// /// Which process to look at, if a write was refused because of one.
/// fn culprit(error: &Error) -> Option<u32> {
///     match error {
///         Error::Busy { process, .. } => process.process().map(|named| named.pid),
///         _ => None,
///     }
/// }
/// let named = ProcessName { id: 3, pid: 4711, host: "here".into(), program: "shop".into() };
/// let busy = Error::Busy { process: Occupant::Process(named), held_for: std::time::Duration::from_secs(2) };
/// assert_eq!(culprit(&busy), Some(4711));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Occupant {
    /// A process of this store has the writers' turn.
    Process(ProcessName),
    /// A process has it that is just opening the store and has not named itself yet.
    Newcomer,
    /// A program that does not use Millpond has locked the database: `sqlite3`, a backup.
    OtherProgram,
    /// This process itself: its own commit has not come back from the storage.
    ThisProcess,
    /// Somebody who was gone when it was asked who: he died, or passed the turn on.
    Unknown,
    /// Nobody: the server that has the store cannot be reached.
    Away {
        /// What was tried last, and what came of it.
        detail: String,
    },
}

impl Occupant {
    /// The process, if it is known which.
    #[must_use]
    pub fn process(&self) -> Option<&ProcessName> {
        if let Occupant::Process(process) = self { Some(process) } else { None }
    }
}

impl fmt::Display for Occupant {
    /// What it does, as the end of a sentence about the store.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Occupant::Process(process) => write!(f, "{process} has the writers' turn"),
            Occupant::Newcomer => f.write_str("a process that is just opening it has the writers' turn"),
            Occupant::OtherProgram => f.write_str("another program has locked the database"),
            Occupant::ThisProcess => f.write_str("this process waits for a commit of its own"),
            Occupant::Unknown => f.write_str("somebody has the writers' turn who cannot be named"),
            Occupant::Away { detail } => write!(f, "its server cannot be reached ({detail})"),
        }
    }
}
