//! Dicts of a dump.

use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::change::{Changed, Primitive};
use millpond_actors::storage::dict::{Entry, Life};
use millpond_actors::storage::record::{self, Base, Onto, Put, Refusal};
use rusqlite::params;

use super::super::dict::{self, Dict};
use super::super::error::database;
use super::super::session::SqliteSession;

impl SqliteSession {
    const PUT_DICT: &str = "INSERT INTO dict (name, version) VALUES (?1, ?2)
        ON CONFLICT (name) DO UPDATE SET version = excluded.version";
    const EMPTY_DICT: &str = "DELETE FROM dict_entry WHERE dict = ?1";

    /// Puts a dict back, without its entries.
    pub(super) fn put_dict(&mut self, onto: Onto, name: &Name, version: u64) -> Result<Put> {
        let found = dict::dict(&self.connection, name)?;
        if found.is_some() && onto == Onto::Nothing {
            return Ok(Put::Refused(Refusal::Exists));
        }
        if let (Some(Dict { id, .. }), Onto::Replace) = (&found, onto) {
            let mut statement = self.connection.prepare_cached(Self::EMPTY_DICT).map_err(database)?;
            statement.execute([id]).map_err(database)?;
        }
        let before = found.map_or(0, |found| found.version);
        let after = record::behind(before, version, "the version of a dict")?;
        let mut statement = self.connection.prepare_cached(Self::PUT_DICT).map_err(database)?;
        statement.execute(params![name.as_str(), after]).map_err(database)?;
        Ok(Put::Placed(Base { shift: before.cast_signed(), ..Base::NONE }))
    }

    /// Puts an entry back, in place of what is under its key.
    pub(super) fn put_entry_back(&mut self, name: &Name, entry: &Entry) -> Result<Put> {
        let Some(Dict { id, .. }) = dict::dict(&self.connection, name)? else {
            return Ok(Put::Refused(Refusal::Orphan));
        };
        let Entry { key, version, data, schema, ends_at } = entry;
        self.put_entry(name, id, (key, *version), (*schema, data), ends_at.map(Life::by_wall))?;
        let (primitive, sequence) = (Primitive::Dict, Some(*version));
        Ok(Put::Written(Some(Changed { primitive, row: id, sequence, key: Some(key.as_str().into()) })))
    }
}
