//! For tests of what is built on Millpond (feature `testing`). Nothing in here needs a test framework, or a runtime but for what
//! is awaited.
//!
//! - [`Scenario`]: given these events, when this command, then those events; a decider's test without a store;
//! - [`RecordingStore`]: an [`EventStore`](crate::EventStore) that remembers what was appended, and fails when it is told to;
//! - [`contract`]: what every [`EventStore`](crate::EventStore) must do, for one of your own;
//! - [`ManualClock`](crate::ManualClock): time that only the test moves, for [`StoreBuilder::clock`](crate::StoreBuilder::clock).
//!
//! A store for a test is [`Store::memory`](crate::Store::memory): it keeps the same promises.

pub mod contract;
mod recording;
mod scenario;

pub use self::recording::RecordingStore;
pub use self::scenario::{Decided, Scenario};
