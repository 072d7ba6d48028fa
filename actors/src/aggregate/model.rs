//! What the actor needs of an aggregate.

use std::borrow::Cow;

use crate::batch::Part;
use crate::error::Result;
use crate::feed::Feeds;
use crate::name::Name;
use crate::storage::feed::{Kind, NewMessage};
use crate::storage::queue::NewJob;
use crate::storage::stream::Recorded;
use crate::storage::{Data, Origin};
use crate::supervisor::Post;
use crate::thread;

/// An aggregate as the actor sees it: the user's code with its encoding hidden.
pub trait Model: Sized + Send + 'static {
    /// What it is asked to do.
    type Command: Send + 'static;
    /// What happened to it.
    type Event: Send + 'static;
    /// Why it refuses a command.
    type Rejection: Send + 'static;

    /// The state before any event.
    fn fresh() -> Self;

    /// Decides a command on this state.
    ///
    /// # Errors
    /// The rejection.
    fn decide(&self, command: &Self::Command) -> std::result::Result<Plan<Self>, Self::Rejection>;

    /// Changes the state by what happened.
    fn evolve(&mut self, event: &Self::Event);

    /// A copy of the state, if it lets itself be copied.
    fn fork(&self) -> Option<Self>;

    /// An event's type, its content, and the version of the content's shape.
    ///
    /// # Errors
    /// [`Error::Encode`](crate::error::Error::Encode).
    fn encode(event: &Self::Event) -> Result<(Cow<'static, str>, Data, u32)>;

    /// What is needed to make events out of their records; found once for many of them.
    type Reader: Copy;

    /// That.
    fn reader() -> Self::Reader;

    /// An event out of its record.
    ///
    /// # Errors
    /// [`Error::Decode`](crate::error::Error::Decode), naming the type if it is unknown.
    fn decode(reader: Self::Reader, recorded: &Recorded) -> Result<Self::Event>;

    /// When to keep snapshots, if at all.
    fn snapshots() -> Option<Policy>;

    /// The state as bytes.
    ///
    /// # Errors
    /// [`Error::Encode`](crate::error::Error::Encode).
    fn freeze(&self) -> Result<Data>;

    /// The state out of its bytes.
    ///
    /// # Errors
    /// [`Error::Decode`](crate::error::Error::Decode).
    fn thaw(data: &Data) -> Result<Self>;
}

/// What a command leads to.
pub struct Plan<M: Model> {
    /// What happens to the aggregate.
    pub events: Vec<M::Event>,
    /// What else is written in the same commit, or why it cannot be.
    pub effects: Result<Vec<Effect>>,
}

/// A write to another primitive in the commit of the events that it follows from. What it is, is data; how it is made a part
/// of a batch, its primitive knows.
#[derive(Debug)]
pub struct Effect {
    /// The queue, channel or log.
    pub name: Name,
    /// What is written.
    pub what: What,
    /// Makes the part of the batch.
    pub part: fn(&Name, What, &Post, &Feeds) -> Part,
}

/// What an effect writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A job for a queue.
    Job(NewJob),
    /// A message for a channel or a log.
    Message(Kind, NewMessage),
}

impl Effect {
    /// How large it is.
    pub(super) fn bytes(&self) -> usize {
        match &self.what {
            What::Job(job) => job.data.bytes().len(),
            What::Message(_, message) => message.data.bytes().len(),
        }
    }

    /// As a part of a batch. Where it does not say where it comes from, it comes from there.
    pub(super) fn into_part(mut self, post: &Post, feeds: &Feeds, origin: Option<Box<Origin>>) -> Part {
        if let What::Job(job) = &mut self.what
            && job.origin.is_none()
        {
            job.origin = origin;
        }
        (self.part)(&self.name, self.what, post, feeds)
    }
}

/// When snapshots are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whenever the version passes a multiple of this; at least 1.
    pub every: u64,
    /// The version of the state's shape: a snapshot with another one is not used.
    pub schema: u32,
}

/// A look at the state of an aggregate.
pub trait Inspect<M>: Send {
    /// Sees the state at a version. May be called again, after another process wrote.
    fn look(&mut self, state: &M, version: u64);

    /// What was seen last is committed, or could not be.
    fn answer(self: Box<Self>, answer: Result<()>);
}

/// Runs the user's code; a panic in it is an error that says whose it was.
pub(super) fn guard<T>(what: &str, name: &Name, code: impl FnOnce() -> T) -> Result<T> {
    thread::contain(|| format!("{what} of \"{name}\""), code)
}
