//! What the actor needs of an aggregate, and how one is loaded.

use std::borrow::Cow;

use crate::batch::Part;
use crate::error::{Error, Result};
use crate::feed::Feeds;
use crate::limits;
use crate::name::Name;
use crate::storage::Data;
use crate::storage::View;
use crate::storage::stream::{Filter, Query, Recorded, Scope};
use crate::supervisor::Post;
use crate::thread::{self, Theirs};

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

    /// An event's type and content.
    ///
    /// # Errors
    /// [`Error::Encode`].
    fn encode(event: &Self::Event) -> Result<(Cow<'static, str>, Data)>;

    /// An event out of its record.
    ///
    /// # Errors
    /// [`Error::Decode`], naming the type if it is unknown.
    fn decode(recorded: &Recorded) -> Result<Self::Event>;

    /// When to keep snapshots, if at all.
    fn snapshots() -> Option<Policy>;

    /// The state as bytes.
    ///
    /// # Errors
    /// [`Error::Encode`].
    fn freeze(&self) -> Result<Data>;

    /// The state out of its bytes.
    ///
    /// # Errors
    /// [`Error::Decode`].
    fn thaw(data: &Data) -> Result<Self>;
}

/// What a command leads to.
pub struct Plan<M: Model> {
    /// What happens to the aggregate.
    pub events: Vec<M::Event>,
    /// What else is written in the same commit, or why it cannot be.
    pub effects: Result<Vec<Effect>>,
}

/// A write to another primitive, of so many bytes, in the commit of the events that it follows from.
pub struct Effect {
    /// How large it is.
    pub bytes: usize,
    /// Makes the part of the batch.
    pub part: MakePart,
}

/// Makes a part of a batch, by whatever ways it needs.
pub(super) type MakePart = Box<dyn FnOnce(&Post, &Feeds) -> Part + Send>;

impl std::fmt::Debug for Effect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Effect").field("bytes", &self.bytes).finish_non_exhaustive()
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

/// An aggregate in memory.
pub(super) struct Loaded<M> {
    pub(super) state: Theirs<M>,
    pub(super) version: u64,
    /// The stream's row, once it exists.
    pub(super) id: Option<u64>,
}

/// Loads an aggregate: the last snapshot if there is a usable one, and the events behind it.
pub(super) fn load<M: Model>(view: &mut dyn View, name: &Name) -> Result<Loaded<M>> {
    let Some(head) = view.stream(name)? else {
        return Ok(Loaded { state: fresh(name)?, version: 0, id: None });
    };
    let (mut state, mut version) = match thaw::<M>(view, name, head.version) {
        Some(thawed) => thawed,
        None => (fresh(name)?, 0),
    };
    loop {
        let scope = Scope::Stream(name.clone());
        let limit = limits::PAGE_ROWS;
        let (from, to, filter) = (version + 1, limits::LAST_SEQUENCE, Filter::default());
        let query = Query { scope, backward: false, from, to, filter, limit };
        let page = view.events(&query)?;
        for recorded in page.events {
            let recorded = recorded?;
            if recorded.version != version + 1 {
                let detail = format!("version {} follows version {version}", recorded.version);
                return Err(Error::Corrupt {
                    kind: "stream",
                    name: name.to_string(),
                    sequence: version,
                    detail,
                });
            }
            let event = Theirs::new(guard("decoding an event", name, || M::decode(&recorded))??);
            guard("evolve", name, || state.evolve(&event))?;
            version = recorded.version;
        }
        if !page.more {
            return Ok(Loaded { state, version, id: Some(head.id) });
        }
    }
}

fn fresh<M: Model>(name: &Name) -> Result<Theirs<M>> {
    guard("the fresh state", name, M::fresh).map(Theirs::new)
}

/// The kept snapshot, if it can be used. Whatever is wrong with it costs a replay and nothing else.
fn thaw<M: Model>(view: &mut dyn View, name: &Name, head: u64) -> Option<(Theirs<M>, u64)> {
    let policy = M::snapshots()?;
    let why = match view.snapshot(name) {
        Ok(None) => return None,
        Ok(Some(kept)) if kept.schema != policy.schema => format!("its schema is {}", kept.schema),
        Ok(Some(kept)) if kept.version > head => "it is ahead of the stream".to_owned(),
        Ok(Some(kept)) => match guard("thawing a snapshot", name, || M::thaw(&kept.data)).flatten() {
            Ok(state) => return Some((Theirs::new(state), kept.version)),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    tracing::warn!(stream = %name, why, "a snapshot cannot be used, all events are replayed");
    None
}

/// The state as bytes, for a snapshot.
pub(super) fn freeze<M: Model>(name: &Name, state: &M) -> Result<Data> {
    let data = guard("freezing a snapshot", name, || state.freeze())??;
    limits::check_size("the snapshot in bytes", data.bytes().len(), limits::SNAPSHOT_BYTES)?;
    Ok(data)
}

/// Runs the user's code; a panic in it is an error that says whose it was.
pub(super) fn guard<T>(what: &str, name: &Name, code: impl FnOnce() -> T) -> Result<T> {
    thread::contain(|| format!("{what} of \"{name}\""), code)
}
