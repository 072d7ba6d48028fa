//! Guides: from an empty file to something that works. Each is one page of text and programs, and the programs are tests.
//!
//! - [`event_sourcing`]: streams, aggregates, the past, old events, and how all of it is tested.
//! - [`projections`]: the same events read a second way: reports, reactions, and processes that take their time.
//! - [`observing`]: metrics and traces, what they mean, and when to worry.
//! - [`growing`]: the same program on a PostgreSQL server, when one machine is not enough, and how far that goes.

pub mod event_sourcing;
pub mod growing;
pub mod observing;
pub mod projections;
