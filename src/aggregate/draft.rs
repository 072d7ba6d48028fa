//! An aggregate that was loaded to be changed, and its changes until they are saved.

use uuid::Uuid;

use millpond_actors::clock::{Rng, SystemRng};
use millpond_actors::error::{Error, Expected, Result};
use millpond_actors::name::Name;

use super::{Aggregate, CommandError, Decision, decode, encode};
use crate::events::Event;
use crate::origin::Origin;
use crate::reading::Recorded;

/// An aggregate out of a [`Repository`](crate::Repository): its state, and what was changed since it was loaded or saved.
pub struct Draft<A: Aggregate> {
    name: Name,
    state: A,
    /// The version that is stored.
    version: u64,
    changes: Vec<(Uuid, A::Event)>,
    origin: Origin,
}

impl<A: Aggregate> std::fmt::Debug for Draft<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, changes) = (self.stream(), self.changes.len());
        f.debug_struct("Draft")
            .field("stream", &name)
            .field("version", &self.version)
            .field("changes", &changes)
            .finish()
    }
}

impl<A: Aggregate> Draft<A> {
    pub(crate) fn new(name: Name) -> Draft<A> {
        Draft { name, state: A::default(), version: 0, changes: Vec::new(), origin: Origin::new() }
    }

    /// The name of its stream.
    #[must_use]
    pub fn stream(&self) -> &str {
        self.name.as_str()
    }

    /// The state, with the changes.
    #[must_use]
    pub fn state(&self) -> &A {
        &self.state
    }

    /// The version that it was loaded or saved with: without the changes.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What was changed and is not saved.
    pub fn changes(&self) -> impl ExactSizeIterator<Item = &A::Event> {
        self.changes.iter().map(|(_, event)| event)
    }

    /// Where the changes come from that are saved from now on.
    pub fn set_origin(&mut self, origin: impl Into<Origin>) {
        self.origin = origin.into();
    }

    /// Decides a command on the state, and changes it by the events.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] by the aggregate. [`CommandError::Failed`] with [`Error::Unsupported`] if the decision has
    /// effects on other primitives: those are written by an [`Entity`](crate::Entity) alone. Nothing is changed then.
    ///
    /// # Panics
    /// If `decide` or `evolve` does; after the latter the draft is of no use any more.
    pub fn execute(&mut self, command: &A::Command) -> Result<&mut Draft<A>, CommandError<A::Rejection>> {
        let Decision { events, effects } = self.state.decide(command).map_err(CommandError::Rejected)?;
        if !effects?.is_empty() {
            let what = format!("a command of \"{}\" with effects, in a repository,", self.name);
            let reason = "jobs and messages of a decision are written by `Store::aggregate`".to_owned();
            return Err(Error::Unsupported { what, reason }.into());
        }
        events.into_iter().for_each(|event| self.record(event));
        Ok(self)
    }

    /// Changes the state by an event, without a command.
    ///
    /// # Panics
    /// If `evolve` does; the draft is of no use any more then.
    pub fn record(&mut self, event: A::Event) {
        self.state.evolve(&event);
        self.changes.push((SystemRng.uuid(), event));
    }

    /// An event that is stored.
    pub(crate) fn replay(&mut self, event: &Recorded) -> Result<()> {
        let next = self.version + 1;
        if event.version() != next {
            let (name, detail) = (self.name.to_string(), format!("it came in place of version {next}"));
            return Err(Error::Corrupt { kind: "event", name, sequence: event.version(), detail });
        }
        // Nothing that came before a deletion counts any more.
        match event.is_deleted() {
            true => self.state = A::default(),
            false => self.state.evolve(&decode::<A>(event)?),
        }
        self.version = next;
        Ok(())
    }

    /// The changes as they are appended, and to what; `None` if there are none.
    pub(crate) fn unsaved(&self) -> Result<Option<(Expected, Vec<Event>)>> {
        let event =
            |(id, event): &(Uuid, A::Event)| Ok(encode::<A>(event)?.id(*id).origin(self.origin.clone()));
        let events = self.changes.iter().map(event).collect::<Result<Vec<_>>>()?;
        Ok((!events.is_empty()).then_some((Expected::Version(self.version), events)))
    }

    /// The changes are stored.
    pub(crate) fn saved(&mut self) {
        self.version += self.changes.len() as u64;
        self.changes.clear();
    }
}
