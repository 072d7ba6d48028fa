//! Projections in the database: how far each has come in the events of the store, and what is wanted of it.
//!
//! A projection reads the events a second way and keeps a checkpoint: all events up to that position have been dealt with.
//! The checkpoint moves by compare-and-set, in the transaction that writes what came of the events, and under the lock of
//! whoever projects. So what is written to the store takes effect once, however often it is tried.
//!
//! A projection has one **generation** of rows, or two while it is rebuilt: the older is read, the newer is being made. What
//! somebody wants of it (that it pauses, begins again) is written into its rows under a new **revision**. A checkpoint
//! moves only under the revision that whoever moves it has read: so from the moment on that something is wanted, nothing
//! else is done.
//!
//! A generation may be divided into **partitions**, by the streams of the events, each with a checkpoint of its own that moves
//! under a lock of its own. How many there are is settled when the projection begins. What is wanted is wanted of all of them.

use super::lock::Fence;
use super::partition::Partition;
use crate::name::Name;

/// Make a projection, or find out how it stands. Comes back as its generations, the one that is read first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// The projection.
    pub name: Name,
    /// Where it stands if it is new: behind this event.
    pub position: u64,
    /// Into how many partitions it is divided if it is new; at least one.
    pub partitions: u32,
}

/// A generation of a projection as somebody has read it, which must not have changed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The projection.
    pub name: Name,
    /// Which of its generations.
    pub generation: u64,
    /// Which partition of that, by its index.
    pub partition: u32,
    /// The revision that it had.
    pub revision: u64,
    /// Where it stood.
    pub position: u64,
    /// The lock of whoever projects. Checked before anything else.
    pub fence: Fence,
}

/// Move the checkpoint of a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// From where.
    pub seen: Seen,
    /// Behind this event; not back.
    pub to: u64,
    /// So many events between were of interest to it.
    pub handled: u64,
    /// Whether it has begun with that, if it had not before.
    pub begun: bool,
    /// Why it does not get beyond that, if it does not.
    pub failure: Option<Failure>,
}

/// Why a projection does not get on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub reason: Box<str>,
    /// How often it was tried.
    pub attempts: u32,
    /// It is not tried any more before somebody says so.
    pub parked: bool,
}

/// Have the newer generation be read from now on; the older is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promote {
    /// The newer one. It must have come as far as the older.
    pub seen: Seen,
}

/// What became of [`Advance`] or [`Promote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advanced {
    /// It was done.
    Done,
    /// The generation does not stand as it was seen any more, or is gone.
    Stale,
    /// The lock is not held by that token any more.
    Fenced,
}

/// Say what is wanted of a projection. Comes back as whether there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The projection.
    pub name: Name,
    /// What.
    pub wanted: Wanted,
}

/// What may be wanted of a projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// It stops where it is.
    Pause,
    /// It goes on, also from an event that it was parked at.
    Resume,
    /// A new generation takes the place of all there are, and begins behind this event.
    Reset(u64),
    /// A new generation is made beside the one that is read, beginning behind this event, and takes its place when it has
    /// come as far. One that is being made already is given up. Of one that is divided into partitions it is a reset.
    Rebuild(u64),
    /// It is forgotten.
    Remove,
}

/// A generation of a projection, or a partition of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The projection.
    pub name: String,
    /// Its number; they only grow.
    pub generation: u64,
    /// Which partition of it this is.
    pub partition: Partition,
    /// A number of the store's counter, new with whatever is wanted.
    pub revision: u64,
    /// All events up to this position have been dealt with.
    pub position: u64,
    /// So many of them were of interest to it.
    pub handled: u64,
    /// Whether it has begun: before that there is nothing that its events could be projected to.
    pub begun: bool,
    /// Whether it stops where it is.
    pub paused: bool,
    /// Why it does not get on, if it does not.
    pub failure: Option<Failure>,
}

impl Wanted {
    /// What it comes to for a projection that is divided into so many partitions: it has one generation at a time.
    #[must_use]
    pub fn of(self, partitions: u32) -> Wanted {
        match self {
            Wanted::Rebuild(position) if partitions > 1 => Wanted::Reset(position),
            wanted => wanted,
        }
    }
}

impl Standing {
    /// Whether it waits for somebody to say that it goes on.
    #[must_use]
    pub fn is_parked(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.parked)
    }
}
