//! Dicts of a dump.

use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::change::{Changed, Primitive};
use millpond_actors::storage::dict::{Entry, Kept, Life};
use millpond_actors::storage::filter::Path;
use millpond_actors::storage::record::{self, Base, Onto, Put, Refusal};
use rusqlite::params;

use super::super::dict::{self, Dict};
use super::super::dict_seal;
use super::super::error::database;
use super::super::session::SqliteSession;

impl SqliteSession {
    const PUT_DICT: &str = "UPDATE dict SET version = ?2, seal = ?3 WHERE id = ?1";
    const EMPTY_DICT: &str = "DELETE FROM dict_entry WHERE dict = ?1";

    /// Puts a dict back, without its entries. One that is not there, or gives way, gets its seal and its indexes, which are complete
    /// as long as nothing is in it.
    pub(super) fn put_dict(
        &mut self,
        onto: Onto,
        name: &Name,
        version: u64,
        (seal, indexes): (Option<&[u8]>, &[Path]),
    ) -> Result<Put> {
        let found = dict::dict(&self.connection, name)?;
        if found.is_some() && onto == Onto::Nothing {
            return Ok(Put::Refused(Refusal::Exists));
        }
        if found.is_some() && onto == Onto::Append {
            let kept = dict_seal::kept(&self.connection, name)?;
            let own = if let Some(Kept::Sealed(own)) = &kept { Some(&**own) } else { None };
            if own != seal {
                return Ok(Put::Refused(Refusal::OtherSeal));
            }
        }
        let (is_new, before) = (found.is_none(), found.as_ref().map_or(0, |found| found.version));
        let after = record::behind(before, version, "the version of a dict")?;
        let row = found.map_or_else(|| self.make_dict(name), Ok)?;
        if onto == Onto::Replace {
            let mut statement = self.connection.prepare_cached(Self::EMPTY_DICT).map_err(database)?;
            statement.execute([row.id]).map_err(database)?;
            drop(statement);
            self.drop_indexes(row.id)?;
        }
        let mut statement = self.connection.prepare_cached(Self::PUT_DICT).map_err(database)?;
        statement.execute(params![row.id, after, seal]).map_err(database)?;
        drop(statement);
        if is_new || onto == Onto::Replace {
            self.have_indexes(&row, indexes)?;
        }
        Ok(Put::Placed(Base { shift: before.cast_signed(), ..Base::NONE }))
    }

    /// Puts an entry back, in place of what is under its key.
    pub(super) fn put_entry_back(&mut self, name: &Name, entry: &Entry) -> Result<Put> {
        let Some(row) = dict::dict(&self.connection, name)? else {
            return Ok(Put::Refused(Refusal::Orphan));
        };
        let Entry { key, version, data, schema, ends_at } = entry;
        let row = Dict { version: *version, ..row };
        self.put_entry(name, &row, key, (*schema, data), ends_at.map(Life::by_wall))?;
        let (primitive, sequence) = (Primitive::Dict, Some(*version));
        Ok(Put::Written(Some(Changed { primitive, row: row.id, sequence, key: Some(key.as_str().into()) })))
    }
}
