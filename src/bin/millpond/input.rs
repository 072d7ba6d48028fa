//! JSON, as a command takes it from its arguments or standard input, and as it gives it back.

use std::io::{self, Read as _};

use millpond::Where;
use serde_json::value::RawValue;

use crate::failure::{Done, Failure};
use crate::show::compact_json;

/// Whatever it is, as long as it is JSON: byte for byte as it was given.
pub(crate) type Json = Box<RawValue>;

/// It is not read further than this: no event and no message is larger.
const INPUT_BYTES: u64 = 17 << 20;

/// All of it, as text.
pub(crate) fn read_input() -> Done<String> {
    let mut text = String::new();
    let read = io::stdin().lock().take(INPUT_BYTES).read_to_string(&mut text);
    read.map_err(|error| Failure::Failed(format!("cannot read standard input: {error}")))?;
    Ok(text)
}

/// What stands on the command line as data, or on standard input if that is `-`.
pub(crate) fn json_from(data: String) -> Done<Json> {
    let text = if data == "-" { read_input()? } else { data };
    parse_json(text.trim()).map_err(Failure::Failed)
}

/// For a line of output, whatever white space it was stored with.
pub(crate) fn compacted(data: &RawValue) -> Done<Json> {
    RawValue::from_string(compact_json(data.get())).map_err(|error| Failure::Failed(error.to_string()))
}

/// JSON, or why it is none.
pub(crate) fn parse_json(text: &str) -> Result<Json, String> {
    RawValue::from_string(text.to_owned()).map_err(|error| {
        let hint = "a text is JSON only in quotes: '\"hello\"'";
        format!("the data is not JSON: {error} ({hint})")
    })
}

/// A filter, as a person writes it or as JSON.
pub(crate) fn parse_where(text: &str) -> Result<Where, String> {
    let text = text.trim();
    let filter = if text.starts_with('{') { Where::from_json(text) } else { text.parse() };
    filter.map_err(|error| error.to_string())
}
