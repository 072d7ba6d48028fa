//! Payloads as columns.

use millpond_actors::storage::Data;
use rusqlite::types::{ToSqlOutput, ValueRef};

/// JSON goes in as text, so that SQLite's own functions can read it.
pub(super) fn data_column(data: &Data) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match data {
        Data::Json(text) => ValueRef::Text(text.as_bytes()),
        Data::Bincode(bytes) | Data::Sealed(bytes) => ValueRef::Blob(bytes),
    })
}

/// The data of a column, if it is what its format says.
pub(super) fn data_from(format: u8, column: ValueRef<'_>) -> Option<Data> {
    match (format, column) {
        (1, ValueRef::Text(text)) => String::from_utf8(text.to_vec()).ok().map(Data::Json),
        (2, ValueRef::Blob(bytes)) => Some(Data::Bincode(bytes.to_vec())),
        (3, ValueRef::Blob(bytes)) => Some(Data::Sealed(bytes.to_vec())),
        _ => None,
    }
}
