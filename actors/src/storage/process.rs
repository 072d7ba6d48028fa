//! The processes that share a store, and what one sees of the others.

use crate::error::{Occupant, ProcessName};

/// Who a process says it is, when it registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its process id, in its own pid namespace.
    pub pid: u32,
    /// The machine's name.
    pub host: String,
    /// The program's name.
    pub program: String,
    /// The running system's boot id: boot times of another boot mean nothing.
    pub boot: String,
}

impl Identity {
    /// The process of this identity, for those who meet it.
    #[must_use]
    pub fn named(&self, id: u64) -> ProcessName {
        ProcessName { id, pid: self.pid, host: self.host.clone(), program: self.program.clone() }
    }
}

/// A turn at writing, as those see it who wait for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whose it is.
    pub occupant: Occupant,
    /// Which of its turns: two looks that find the same number have found the same turn, and nobody else wrote in
    /// between.
    pub number: u64,
}

/// A process as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id in the store: unique for ever.
    pub id: u64,
    /// Who it said it is.
    pub identity: Identity,
    /// When it registered, by the wall clock.
    pub joined_wall_ms: i64,
    /// Milliseconds since its last beat, as seen now.
    pub silent_ms: u64,
    /// Whether it lives, as far as can be told.
    pub alive: bool,
    /// Whether it lives only in what it has lent its presence to: it has ended itself, so it writes nothing, and a
    /// program that it started goes on and keeps what it held until the leases end.
    pub lent: bool,
    /// Leases that it holds, a lock or a part of one each; those that have ended do not count, nor those of the dead.
    pub holds: u64,
    /// Its tickets in the lines of all locks; 0 if it is dead.
    pub waits: u64,
    /// Jobs that it has claimed; 0 if it is dead.
    pub jobs: u64,
}

/// How this process stands when it begins a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As before.
    Good,
    /// It was silent for too long, or was buried by another: leases of its own have been freed. Every actor
    /// that holds something looks again.
    Lapsed,
}

/// What is in a store, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Streams that hold at least one event.
    pub streams: u64,
    /// Events.
    pub events: u64,
    /// Position of the last event.
    pub head: u64,
    /// Categories with their number of streams, by name; at most 100.
    pub categories: Vec<(String, u64)>,
    /// Snapshots kept.
    pub snapshots: u64,
    /// Names of logs that were ever used.
    pub logs: u64,
    /// Names of channels that were ever used.
    pub channels: u64,
    /// Names of dicts that were ever used.
    pub dicts: u64,
    /// Names of lists that were ever used.
    pub lists: u64,
    /// Blobs of all names.
    pub blobs: u64,
    /// Bytes of all of them.
    pub blob_bytes: u64,
    /// Contents of blobs that are being written, or are nobody's any more and still to be swept.
    pub blob_contents: u64,
    /// Names of locks that were ever used.
    pub locks: u64,
    /// Locks held; leases that have ended do not count, nor those of the dead.
    pub locks_held: u64,
    /// Tickets of the living in the lines of all locks.
    pub tickets_waiting: u64,
    /// Names of queues that were ever used.
    pub queues: u64,
    /// Jobs in them that are to be done: ready, delayed, or worked on.
    pub jobs: u64,
    /// Dead letters in them.
    pub jobs_dead: u64,
    /// Bytes of the main file, 0 in memory.
    pub file_bytes: u64,
    /// Bytes of the log beside it.
    pub log_bytes: u64,
    /// The schema's version.
    pub schema: u32,
}

/// Two of these that differ mean: somebody else wrote, or a process came or went. A group that only appends events may
/// go unnoticed: whoever follows events looks at the head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// The groups that the other processes have committed, together.
    pub groups: u64,
    /// The living processes.
    pub living: Vec<u64>,
    /// The last id that a process was given. Without it, one that came and went between two looks in the place of
    /// another that had died before could leave the rest as it was.
    pub joined: u64,
}
