//! What the server says, in Millpond's words.

use std::error::Error as StdError;

use millpond_actors::error::Error;
use tokio_postgres::error::SqlState;

/// The error of a statement.
pub(super) fn database(error: &tokio_postgres::Error) -> Error {
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
    Error::Storage { detail }
}

/// A row that is not as this program wrote it.
pub(super) fn odd(detail: &str) -> Error {
    corrupt("database", "main", 0, detail)
}

/// A record that is damaged.
pub(super) fn corrupt(kind: &'static str, name: &str, sequence: u64, detail: impl Into<String>) -> Error {
    Error::Corrupt { kind, name: name.to_owned(), sequence, detail: detail.into() }
}
