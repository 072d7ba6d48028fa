//! Whether and when an aggregate keeps snapshots of its state.

use millpond_actors::aggregate::Policy;
use millpond_actors::error::{Error, Result};
use millpond_actors::storage::Data;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;

/// Whether and when snapshots of an aggregate's state are kept. They are a cache: one that is damaged, cannot be read or is of
/// another [schema](Snapshots::schema) costs a replay of the events, and the state comes out the same.
pub struct Snapshots<A> {
    pub(super) policy: Option<Policy>,
    pub(super) freeze: fn(&A) -> Result<Data>,
    pub(super) thaw: fn(&Data) -> Result<A>,
}

impl<A> Snapshots<A> {
    /// None: loading replays all events.
    #[must_use]
    pub fn never() -> Snapshots<A> {
        Snapshots { policy: None, freeze: |_| Err(no_snapshots()), thaw: |_| Err(no_snapshots()) }
    }
}

fn no_snapshots() -> Error {
    Error::Unsupported { what: "a snapshot".into(), reason: "this aggregate keeps none".into() }
}

impl<A: Serialize + DeserializeOwned> Snapshots<A> {
    /// Whenever the version passes a multiple of `events` (0 counts as 1), as bincode.
    #[must_use]
    pub fn every(events: u64) -> Snapshots<A> {
        Snapshots {
            policy: Some(Policy { every: events.max(1), schema: 1 }),
            freeze: |state| codec::to_bincode("a snapshot", state),
            thaw: |data| codec::from_data("a snapshot", data),
        }
    }

    /// The version of the state's shape, 1 unless set. Raise it whenever the state's fields change, and whenever `evolve` makes
    /// another state of the same events: a snapshot with another one is not used, and one with the same is believed.
    #[must_use]
    pub fn schema(mut self, schema: u32) -> Snapshots<A> {
        self.policy = self.policy.map(|policy| Policy { schema, ..policy });
        self
    }
}

impl<A> std::fmt::Debug for Snapshots<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshots").field("policy", &self.policy).finish_non_exhaustive()
    }
}
