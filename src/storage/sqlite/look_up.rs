//! Rows that are looked up by what they are called.
//!
//! The index that leads to a row may be damaged, and lead to another one, whose own checksums are in order: an append would
//! go to another stream, two names would be one lock. So the row itself is asked whether it is the one.

use std::fmt::Display;

use millpond_actors::error::Result;
use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::error::{corrupt, database};

/// Reads the row that is called so; `None` if the index knows of none.
///
/// The statement looks the index up alone, joins the row by its own key, and says in its last column whether that row is
/// called so. `kind` and `shown` are for the error.
pub(super) fn look_up<T>(
    connection: &Connection,
    sql: &'static str,
    (kind, shown): (&'static str, &dyn Display),
    key: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>> {
    let mut statement = connection.prepare_cached(sql).map_err(database)?;
    let checked = |row: &Row<'_>| {
        let last = row.as_ref().column_count() - 1;
        let is_it = row.get::<_, Option<bool>>(last)? == Some(true);
        is_it.then(|| read(row)).transpose()
    };
    match statement.query_row(key, checked).optional().map_err(database)? {
        None => Ok(None),
        Some(None) => Err(corrupt(kind, &shown.to_string(), 0, "the index leads to another one")),
        Some(found) => Ok(found),
    }
}

const CATEGORY: &str = "SELECT c.id, c.name = ?1
    FROM category i LEFT JOIN category c ON c.id = i.id WHERE i.name = ?1";

/// The id of a category.
pub(super) fn category(connection: &Connection, name: &str) -> Result<Option<i64>> {
    look_up(connection, CATEGORY, ("category", &name), [name], |row| row.get(0))
}

/// The row of a stream.
#[derive(Clone, Copy)]
pub(super) struct Stream {
    pub(super) id: u64,
    pub(super) version: u64,
    /// Events up to this version are erased, or about to be.
    pub(super) erased: u64,
    /// Nothing can be appended to it any more.
    pub(super) closed: bool,
}

impl Stream {
    /// Out of the columns `id, version, erased, closed`.
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Stream> {
        Ok(Stream { id: row.get(0)?, version: row.get(1)?, erased: row.get(2)?, closed: row.get(3)? })
    }
}

const STREAM: &str = "SELECT s.id, s.version, s.erased, s.closed, s.name = ?1
    FROM stream i LEFT JOIN stream s ON s.id = i.id WHERE i.name = ?1";

/// A stream by its name.
pub(super) fn stream(connection: &Connection, name: &str) -> Result<Option<Stream>> {
    look_up(connection, STREAM, ("stream", &name), [name], Stream::read)
}
