//! Which dicts keep their values sealed. What a seal is, nobody knows here.

use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::dict::{Kept, Seal};
use rusqlite::{Connection, params};

use super::dict::{Dict, dict};
use super::error::database;
use super::session::SqliteSession;

const SEAL: &str = "SELECT seal FROM dict WHERE id = ?1";

fn kept_in(connection: &Connection, row: &Dict) -> Result<Option<Kept>> {
    if !row.sealed {
        return Ok(row.is_used().then_some(Kept::Plain));
    }
    let mut statement = connection.prepare_cached(SEAL).map_err(database)?;
    let seal: Vec<u8> = statement.query_row([row.id], |row| row.get(0)).map_err(database)?;
    Ok(Some(Kept::Sealed(seal.into())))
}

/// How a dict keeps its values, if it was used.
pub(super) fn kept(connection: &Connection, name: &Name) -> Result<Option<Kept>> {
    dict(connection, name)?.map_or(Ok(None), |row| kept_in(connection, &row))
}

impl SqliteSession {
    const SEAL_DICT: &str = "UPDATE dict SET seal = ?2 WHERE id = ?1";

    /// Has a dict that was never used keep its values sealed.
    pub(super) fn seal_dict(&mut self, seal: &Seal) -> Result<Option<Kept>> {
        let row = dict(&self.connection, &seal.dict)?;
        if let Some(kept) = row.as_ref().map_or(Ok(None), |row| kept_in(&self.connection, row))? {
            return Ok(Some(kept));
        }
        let row = row.map_or_else(|| self.make_dict(&seal.dict), Ok)?;
        let mut statement = self.connection.prepare_cached(Self::SEAL_DICT).map_err(database)?;
        statement.execute(params![row.id, &*seal.seal]).map_err(database)?;
        Ok(None)
    }
}
