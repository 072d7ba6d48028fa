//! Subjects of a dump: each is put back unless that would bring back a key that was destroyed.

use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::record::{Onto, Put, Refusal};
use millpond_actors::storage::subject::KeyState;
use rusqlite::{Connection, params};

use super::super::error::database;
use super::super::session::SqliteSession;
use super::super::subject::{self, GAP};

impl SqliteSession {
    /// Puts a subject back.
    pub(super) fn put_subject(&mut self, onto: Onto, name: &Name, state: &KeyState) -> Result<Put> {
        match (subject::find(&self.connection, name)?, onto) {
            (Some(there), _) if there == *state => return Ok(Put::Known),
            (Some(KeyState::Shredded), _) => return Ok(Put::Refused(Refusal::Shredded)),
            (Some(KeyState::Kept(_)), Onto::Nothing | Onto::Append) => {
                return Ok(Put::Refused(Refusal::OtherKey));
            }
            (Some(KeyState::Kept(_)), Onto::Replace) | (None, _) => {}
        }
        self.leaving_nothing(|session| match state {
            KeyState::Kept(key) => session.put_key(name, key.bytes()),
            KeyState::Shredded => session.put_key(name, &GAP),
        })?;
        Ok(Put::Written(None))
    }
}

const NAMES: &str = "SELECT name FROM subject WHERE ?1 IS NULL OR name > ?1 ORDER BY name LIMIT ?2";

/// Subjects by name, within one snapshot.
pub(in super::super) fn list(
    connection: &Connection,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<(String, Result<KeyState>)>> {
    let mut statement = connection.prepare_cached(NAMES).map_err(database)?;
    let names =
        statement.query_map(params![after, limit], |row| row.get::<_, String>(0)).map_err(database)?;
    let names: Vec<String> = names.collect::<rusqlite::Result<_>>().map_err(database)?;
    let state = |name: &str| {
        let found = subject::find(connection, &Name::new(name)?)?;
        found.ok_or_else(|| super::super::error::corrupt("key of subject", name, 0, "an index has lost it"))
    };
    Ok(names.into_iter().map(|name| (name.clone(), state(&name))).collect())
}
