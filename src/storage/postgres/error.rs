//! What the server says, in Millpond's words.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use millpond_actors::error::{Error, Occupant};
use tokio_postgres::error::{Severity, SqlState};

/// What a server says that takes nobody in for now.
const NOT_NOW: [SqlState; 6] = [
    SqlState::CANNOT_CONNECT_NOW,
    SqlState::ADMIN_SHUTDOWN,
    SqlState::CRASH_SHUTDOWN,
    SqlState::TOO_MANY_CONNECTIONS,
    SqlState::CONNECTION_FAILURE,
    SqlState::SQLSERVER_REJECTED_ESTABLISHMENT_OF_SQLCONNECTION,
];

/// Whether this is the end of a connection. A server that ends one says so first, if it still can.
pub(super) fn ends_connection(error: &tokio_postgres::Error) -> bool {
    match error.as_db_error() {
        Some(said) => matches!(said.parsed_severity(), Some(Severity::Fatal | Severity::Panic)),
        None => error.is_closed() || error.source().is_some_and(|source| source.is::<io::Error>()),
    }
}

/// The error of an attempt to connect to a place.
pub(super) fn connecting(place: &dyn std::fmt::Display, error: &tokio_postgres::Error) -> Error {
    let what = format!("connecting to {place}");
    let refused = error.as_db_error().is_some_and(|said| !NOT_NOW.contains(said.code()));
    if refused || is_untrusted(error) { lost(&what, error) } else { away(&what, error) }
}

/// A server that is there, and that nobody should talk to: it will be the same one when it is tried again.
fn is_untrusted(error: &tokio_postgres::Error) -> bool {
    let breaks_off = |source: &io::Error| source.kind() != io::ErrorKind::InvalidData;
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    error.to_string().starts_with("error performing TLS handshake") && !source.is_some_and(breaks_off)
}

/// The error of a statement.
pub(super) fn database(error: &tokio_postgres::Error) -> Error {
    if ends_connection(error) {
        return away("the connection was lost", error);
    }
    let Some(said) = error.as_db_error() else { return lost("the connection to the server", error) };
    let detail = format!("{} (PostgreSQL {})", said.message(), said.code().code());
    let code = said.code();
    if *code == SqlState::DISK_FULL {
        Error::StorageFull { detail }
    } else if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        Error::ReadOnly { detail }
    } else if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        let detail =
            format!("{detail}; the guide millpond::guide::growing says what a role has to be granted");
        Error::ReadOnly { detail }
    } else if [SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::DUPLICATE_PSTATEMENT].contains(code) {
        let what = "this pooler as if it was a server".to_owned();
        let reason = format!("{detail}; say in the URL where the server itself is, direct=HOST:PORT");
        Error::Unsupported { what, reason }
    } else if *code == SqlState::UNDEFINED_TABLE || *code == SqlState::UNDEFINED_COLUMN {
        odd(&detail)
    } else {
        Error::Storage { detail }
    }
}

/// The error of whatever went wrong between here and the server; `what` says what was tried.
pub(super) fn lost(what: &str, error: &dyn StdError) -> Error {
    Error::Storage { detail: in_words(what, error) }
}

/// The error of what cannot be done because the server is not there, and can be when it is.
fn away(what: &str, error: &dyn StdError) -> Error {
    not_there(&in_words(what, error))
}

/// The same, in other words.
pub(super) fn not_there(detail: &str) -> Error {
    Error::Busy { process: Occupant::Away { detail: detail.to_owned() }, held_for: Duration::ZERO }
}

/// Whether that was it.
pub(super) fn is_away(error: &Error) -> bool {
    matches!(error, Error::Busy { process: Occupant::Away { .. }, .. })
}

fn in_words(what: &str, error: &dyn StdError) -> String {
    let mut detail = format!("{what}: {error}");
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !detail.contains(&inner_text) {
            detail = format!("{detail}: {inner_text}");
        }
        source = inner.source();
    }
    if detail.contains("UnknownIssuer") {
        detail += "; if whoever has signed the server's certificate is to be trusted, say so in the URL: sslrootcert=PATH";
    }
    detail
}

/// A row that is not as this program wrote it.
pub(super) fn odd(detail: &str) -> Error {
    corrupt("database", "main", 0, detail)
}

/// A record that is damaged.
pub(super) fn corrupt(kind: &'static str, name: &str, sequence: u64, detail: impl Into<String>) -> Error {
    Error::Corrupt { kind, name: name.to_owned(), sequence, detail: detail.into() }
}
