//! `events export`: all of it as lines that `import` takes.

use millpond::blocking::Store;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{From, of_category, raw};
use crate::args::Export;
use crate::failure::{Done, Failure, code};
use crate::show::Show;

/// A line of an export, in the order of its fields. `import` reads the same.
#[derive(Serialize)]
struct Exported<'a> {
    id: String,
    stream: &'a str,
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<&'a str>,
    data: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Box<RawValue>>,
    /// Only if it is not 1, which is what an import without it means.
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<u32>,
    #[serde(flatten)]
    origin: From<'a>,
}

pub(crate) fn export(store: &Store, export: &Export, show: &mut Show) -> Done<u8> {
    for event in of_category(store, export.category.as_deref()).after(export.after) {
        // An export that leaves a damaged event out in silence would pass for a whole one: it stops here.
        let event = event?;
        let Some(data) = event.json() else {
            let why =
                format!("the event at position {} is not JSON and cannot be exported", event.position());
            return Err(Failure::Failed(why));
        };
        let line = Exported {
            id: event.id().to_string(),
            stream: event.stream(),
            r#type: event.event_type(),
            time: event.at(),
            data: raw(&event, on_one_line(data))?,
            metadata: event.metadata().map(|json| raw(&event, on_one_line(json))).transpose()?,
            schema: Some(event.schema()).filter(|schema| *schema != 1),
            origin: From::of(&event),
        };
        let line = serde_json::to_string(&line).map_err(|error| Failure::Failed(error.to_string()))?;
        show.verbatim(&line)?;
    }
    Ok(code::DONE)
}

/// JSON as it was stored, except that line ends between its tokens become blanks: an event is a line. (In a
/// string there is no bare line end.)
fn on_one_line(json: &str) -> String {
    json.trim().replace(['\n', '\r'], " ")
}
