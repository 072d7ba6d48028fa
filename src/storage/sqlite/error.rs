//! What SQLite and the file system say, in Millpond's words.

use std::io;
use std::time::Duration;

use millpond_actors::error::{Error, Occupant};
use rusqlite::ErrorCode;

/// The error of a statement.
pub(super) fn database(error: rusqlite::Error) -> Error {
    let rusqlite::Error::SqliteFailure(code, ref message) = error else { return outside_sqlite(&error) };
    let text = message.clone().unwrap_or_else(|| code.to_string());
    let detail = format!("{text} (SQLite code {})", code.extended_code);
    match code.code {
        ErrorCode::DiskFull => Error::StorageFull { detail },
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Error::ReadOnly { detail },
        // Every statement is ours, and none writes before it has looked: what a constraint refuses is not what was read.
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ConstraintViolation => {
            corrupt("database", "main", 0, detail)
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            busy_with(Occupant::OtherProgram, Duration::ZERO)
        }
        // It is the schema that is another.
        ErrorCode::Unknown if text.starts_with("no such ") || text.contains(" has no column named ") => {
            corrupt("database", "main", 0, detail)
        }
        _ => Error::Storage { detail },
    }
}

/// What rusqlite itself refuses: numbers that do not fit, and columns and rows that this program did not write so.
fn outside_sqlite(error: &rusqlite::Error) -> Error {
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, QueryReturnedNoRows,
        SqlInputError, Utf8Error,
    };
    let number_too_large = matches!(error, rusqlite::Error::ToSqlConversionFailure(inner)
        if inner.is::<std::num::TryFromIntError>());
    let damaged = matches!(
        error,
        FromSqlConversionFailure(..)
            | IntegralValueOutOfRange(..)
            | InvalidColumnType(..)
            | QueryReturnedNoRows
            | SqlInputError { .. }
            | Utf8Error(..)
    );
    if damaged {
        return corrupt("database", "main", 0, error.to_string());
    }
    if number_too_large {
        Error::Exhausted { what: "a number kept in the database (it ends at 2^63-1)" }
    } else {
        Error::Storage { detail: error.to_string() }
    }
}

/// Somebody else writes, and has been seen at it for so long.
pub(super) fn busy_with(process: Occupant, held_for: Duration) -> Error {
    Error::Busy { process, held_for }
}

/// The error of a call to the operating system; `what` says what was tried, on which file.
pub(super) fn system(what: &str, error: &io::Error) -> Error {
    let detail = format!("{what}: {error}");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::StorageFull { detail },
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Error::ReadOnly { detail },
        _ => Error::Storage { detail },
    }
}

/// A row whose columns are not what this program wrote.
pub(super) fn corrupt(kind: &'static str, name: &str, sequence: u64, detail: impl Into<String>) -> Error {
    Error::Corrupt { kind, name: name.to_owned(), sequence, detail: detail.into() }
}
