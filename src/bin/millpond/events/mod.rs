//! What is done with events, a file a command; in `read` also `all`, in `erase` `delete` and
//! `shred`. (`import` has a room of its own.)

mod append;
mod diff;
mod erase;
mod export;
mod read;
mod verify;

use millpond::Recorded;
use millpond::blocking::{EventStream, Store};
use serde::Serialize;
use serde_json::value::RawValue;

pub(crate) use self::append::append;
pub(crate) use self::diff::diff;
pub(crate) use self::erase::{delete, shred};
pub(crate) use self::export::export;
pub(crate) use self::read::{all, read};
pub(crate) use self::verify::verify;
use crate::failure::{Done, Failure};

/// Rows that are laid out together.
const ROWS: usize = 200;

/// The version of a stream that must be there.
fn existing(store: &Store, stream: &str) -> Done<u64> {
    match store.events().version(stream)? {
        0 => Err(no_stream(stream)),
        version => Ok(version),
    }
}

fn no_stream(stream: &str) -> Failure {
    Failure::Failed(format!("there is no stream \"{stream}\""))
}

fn of_category(store: &Store, category: Option<&str>) -> EventStream {
    match category {
        Some(category) => store.events().read_category(category),
        None => store.events().read_all(),
    }
}

/// Where an event comes from, as fields of what is printed of it.
#[derive(Serialize)]
struct From<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
}

impl From<'_> {
    fn of(event: &Recorded) -> From<'_> {
        let id = |id: Option<uuid::Uuid>| id.map(|id| id.to_string());
        let (correlation, causation) = (id(event.correlation()), id(event.causation()));
        From { correlation, causation, actor: event.actor(), tenant: event.tenant() }
    }
}

fn raw(event: &Recorded, json: String) -> Done<Box<RawValue>> {
    RawValue::from_string(json).map_err(|error| {
        Failure::Failed(format!("the event at position {} does not hold JSON: {error}", event.position()))
    })
}
