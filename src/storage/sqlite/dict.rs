//! Dicts: a row each, and a row an entry.

use std::borrow::Cow;

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::storage::checksum::{self, Kind};
use millpond_actors::storage::dict::{
    Clear, Cleared, Entry, Head, Increment, Incremented, Life, Remove, Removed, Set, Written, number,
};
use millpond_actors::storage::{Data, Moment, partition};
use rusqlite::{Connection, Row, params};

use super::data::{data_column, data_from};
use super::error::{corrupt, database};
use super::look_up::look_up;
use super::process::advance;
use super::session::SqliteSession;

/// A dict, as its row has it.
pub(super) struct Dict {
    pub(super) id: u64,
    pub(super) version: u64,
    /// So many indexes it has.
    pub(super) indexed: u64,
    /// Its values are sealed.
    pub(super) sealed: bool,
}

impl Dict {
    /// Whether it was ever used, so that it is known how it keeps its values.
    pub(super) fn is_used(&self) -> bool {
        self.sealed || self.version > 0 || self.indexed > 0
    }
}

/// An entry, whether its time is over or not.
pub(super) struct Found {
    pub(super) entry: Entry,
    life: Option<Life>,
}

/// By which clocks the time of entries goes.
#[derive(Clone, Copy)]
pub(super) struct Clocks {
    now: Moment,
    boot: u64,
}

impl Clocks {
    /// Now, on a machine that has this boot, if that is known.
    pub(super) fn new(now: Moment, boot: Option<&str>) -> Clocks {
        Clocks { now, boot: boot.map_or(0, partition::number) }
    }
}

impl Found {
    pub(super) fn is_there(&self, clocks: Clocks) -> bool {
        !self.life.is_some_and(|life| life.is_over(clocks.now, clocks.boot))
    }
}

const DICT: &str = "SELECT d.id, d.version, d.indexed, d.seal IS NOT NULL, d.name = ?1
    FROM dict i LEFT JOIN dict d ON d.id = i.id WHERE i.name = ?1";

/// A dict by its name.
pub(super) fn dict(connection: &Connection, name: &Name) -> Result<Option<Dict>> {
    let read = |row: &Row<'_>| {
        Ok(Dict { id: row.get(0)?, version: row.get(1)?, indexed: row.get(2)?, sealed: row.get(3)? })
    };
    look_up(connection, DICT, ("dict", name), [name.as_str()], read)
}

/// The columns of an entry, in the order in which they are read.
macro_rules! entries {
    ($rest:literal) => {
        concat!(
            "SELECT key, version, format, schema, crc, ends_at, ends_boot, boot, data FROM dict_entry ",
            $rest
        )
    };
}
pub(super) use entries;

/// How long what is in a row is there.
fn life(row: &Row<'_>) -> rusqlite::Result<Option<Life>> {
    let Some(wall_ms) = row.get(5)? else { return Ok(None) };
    let (boot_ms, boot): (_, i64) = (row.get(6)?, row.get(7)?);
    Ok(Some(Life { wall_ms, boot_ms, boot: boot.cast_unsigned() }))
}

/// The entry of a row, if the row is sound.
pub(super) fn read(row: &Row<'_>, name: &Name) -> Result<Found> {
    let odd = |detail: String| corrupt("entry of dict", name.as_str(), 0, detail);
    let key: String = row.get(0).map_err(|error| odd(error.to_string()))?;
    let odd = |detail: String| odd(format!("key \"{key}\": {detail}"));
    let numbers = || Ok((row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
    let (version, format, schema, crc): (u64, u8, u32, u32) =
        numbers().map_err(|error: rusqlite::Error| odd(error.to_string()))?;
    let life = life(row).map_err(|error| odd(error.to_string()))?;
    let data = data_from(format, row.get_ref(8).map_err(database)?);
    let data = data.ok_or_else(|| odd("its data is not of its format".into()))?;
    let found = checksum_of(name, version, &key, (schema, &data), life);
    if found != crc {
        return Err(odd(format!("its checksum is {found:08x}, stored is {crc:08x}")));
    }
    let ends_at = life.map(|life| life.wall_ms);
    Ok(Found { entry: Entry { key, version, data, schema, ends_at }, life })
}

fn checksum_of(
    name: &Name,
    version: u64,
    key: &str,
    (schema, data): (u32, &Data),
    life: Option<Life>,
) -> u32 {
    // No key has such a character.
    let ends = |Life { wall_ms, boot_ms, boot }| Cow::Owned(format!("{key}\0{wall_ms} {boot_ms} {boot}"));
    let key = life.map_or(Cow::Borrowed(key), ends);
    checksum::record(Kind::Entry, name.as_str(), version, &key, data.format(), schema, data.bytes())
}

const FIND: &str = entries!("WHERE dict = ?1 AND key = ?2");

pub(super) fn find(connection: &Connection, name: &Name, dict: u64, key: &str) -> Result<Option<Found>> {
    let mut statement = connection.prepare_cached(FIND).map_err(database)?;
    let mut rows = statement.query(params![dict, key]).map_err(database)?;
    rows.next().map_err(database)?.map(|row| read(row, name)).transpose()
}

impl SqliteSession {
    /// Puts a value under a key.
    pub(super) fn set_entry(&mut self, set: &Set) -> Result<Written> {
        let row = dict(&self.connection, &set.dict)?;
        if row.as_ref().is_some_and(|row| row.sealed) != set.data.is_sealed() {
            return Ok(Written::Otherwise);
        }
        let found = self.living(&set.dict, row.as_ref(), &set.key)?;
        let actual = found.map(|found| found.entry.version);
        if !set.expected.is_met(actual) {
            return Ok(Written::Conflict { actual });
        }
        let clocks = self.clocks();
        let life = set.life_ms.map(|ms| Life::of(ms, clocks.now, clocks.boot));
        let row = self.change_dict(&set.dict, row)?;
        self.put_entry(&set.dict, &row, &set.key, (set.schema, &set.data), life)?;
        self.sweep_entries()?;
        Ok(Written::Done { dict: row.id, version: row.version, replaced: actual.is_some() })
    }

    /// Removes an entry.
    pub(super) fn remove_entry(&mut self, remove: &Remove) -> Result<Removed> {
        let row = dict(&self.connection, &remove.dict)?;
        if row.as_ref().is_some_and(|row| row.sealed != remove.sealed) {
            return Ok(Removed::Otherwise);
        }
        let found = self.living(&remove.dict, row.as_ref(), &remove.key)?;
        let actual = found.as_ref().map(|found| found.entry.version);
        if !remove.expected.is_met(actual) {
            return Ok(Removed::Conflict { actual });
        }
        let dict = match (row, &found) {
            (Some(row), Some(_)) => {
                self.delete_entry((row.id, row.indexed > 0), &remove.key)?;
                let Dict { id, version, .. } = self.change_dict(&remove.dict, Some(row))?;
                Some((id, version))
            }
            (row, _) => row.map(|row| (row.id, row.version)),
        };
        Ok(Removed::Done { dict, entry: found.map(|found| found.entry) })
    }

    /// Adds to a number.
    pub(super) fn increment_entry(&mut self, increment: &Increment) -> Result<Incremented> {
        let row = dict(&self.connection, &increment.dict)?;
        if row.as_ref().is_some_and(|row| row.sealed) {
            return Ok(Incremented::Otherwise);
        }
        let found = self.living(&increment.dict, row.as_ref(), &increment.key)?;
        let before = match &found {
            None => 0,
            Some(found) => match number(&found.entry.data) {
                Some(number) => number,
                None => return Ok(Incremented::NoNumber),
            },
        };
        let Some(value) = before.checked_add(increment.by) else {
            return Ok(Incremented::Overflow { value: before });
        };
        let row = self.change_dict(&increment.dict, row)?;
        let (schema, life) = found.map_or((1, None), |found| (found.entry.schema, found.life));
        let data = Data::Json(value.to_string());
        self.put_entry(&increment.dict, &row, &increment.key, (schema, &data), life)?;
        self.sweep_entries()?;
        Ok(Incremented::Done { dict: row.id, version: row.version, value })
    }

    const CLEARED: &str = entries!("WHERE dict = ?1 AND key >= ?2 ORDER BY key LIMIT ?3");

    /// Removes entries, so many at most. Those whose time is over go with them, without a word.
    pub(super) fn clear_entries(&mut self, clear: &Clear) -> Result<Cleared> {
        let nothing = Cleared { dict: None, removed: Vec::new(), more: false, otherwise: false };
        let Some(row) = dict(&self.connection, &clear.dict)? else { return Ok(nothing) };
        if row.sealed != clear.sealed {
            return Ok(Cleared { otherwise: true, ..nothing });
        }
        let (limit, clocks) = (clear.limit as usize, self.clocks());
        let mut statement = self.connection.prepare_cached(Self::CLEARED).map_err(database)?;
        let found = statement.query_map(params![row.id, clear.prefix, limit + 1], |row| {
            Ok((row.get::<_, Box<str>>(0)?, life(row)?))
        });
        let mut found: Vec<_> =
            found.map_err(database)?.collect::<rusqlite::Result<_>>().map_err(database)?;
        drop(statement);
        found.retain(|(key, _)| key.starts_with(&*clear.prefix));
        let more = found.len() > limit;
        found.truncate(limit);
        found.iter().try_for_each(|(key, _)| self.delete_entry((row.id, row.indexed > 0), key))?;
        let living = |life: &Option<Life>| !life.is_some_and(|life| life.is_over(clocks.now, clocks.boot));
        found.retain(|(_, life)| living(life));
        let removed: Vec<Box<str>> = found.into_iter().map(|(key, _)| key).collect();
        let row = if removed.is_empty() { row } else { self.change_dict(&clear.dict, Some(row))? };
        Ok(Cleared { dict: Some((row.id, row.version)), removed, more, otherwise: false })
    }

    fn clocks(&self) -> Clocks {
        Clocks::new(self.now, Some(&self.identity.boot))
    }

    /// An entry that is there.
    fn living(&self, name: &Name, row: Option<&Dict>, key: &str) -> Result<Option<Found>> {
        let Some(row) = row else { return Ok(None) };
        let found = find(&self.connection, name, row.id, key)?;
        Ok(found.filter(|found| found.is_there(self.clocks())))
    }

    const MAKE_DICT: &str = "INSERT INTO dict (name, version, indexed) VALUES (?1, 0, 0)";
    const CHANGE_DICT: &str = "UPDATE dict SET version = ?2 WHERE id = ?1";

    /// One change more of a dict, which comes into being with the first.
    fn change_dict(&self, name: &Name, row: Option<Dict>) -> Result<Dict> {
        let row = row.map_or_else(|| self.make_dict(name), Ok)?;
        let version = advance(row.version, 1, "the version of a dict")?;
        let mut statement = self.connection.prepare_cached(Self::CHANGE_DICT).map_err(database)?;
        statement.execute(params![row.id, version]).map_err(database)?;
        Ok(Dict { version, ..row })
    }

    /// A dict that has had no change yet.
    pub(super) fn make_dict(&self, name: &Name) -> Result<Dict> {
        let mut statement = self.connection.prepare_cached(Self::MAKE_DICT).map_err(database)?;
        let id = statement.insert([name.as_str()]).map_err(database)?.unsigned_abs();
        Ok(Dict { id, version: 0, indexed: 0, sealed: false })
    }

    const PUT_ENTRY: &str = "INSERT OR REPLACE INTO dict_entry
        (dict, key, version, format, schema, crc, ends_at, ends_boot, boot, data)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

    /// Writes an entry, in place of what is there.
    pub(super) fn put_entry(
        &self,
        name: &Name,
        Dict { id: dict, version, indexed, .. }: &Dict,
        key: &str,
        (schema, data): (u32, &Data),
        life: Option<Life>,
    ) -> Result<()> {
        if *indexed > 0 {
            self.keep_indexes(*dict, key, Some(data))?;
        }
        let crc = checksum_of(name, *version, key, (schema, data), life);
        let (ends_at, ends_boot) = (life.map(|life| life.wall_ms), life.map(|life| life.boot_ms));
        let boot = life.map(|life| life.boot.cast_signed());
        let mut statement = self.connection.prepare_cached(Self::PUT_ENTRY).map_err(database)?;
        let (format, data) = (data.format(), data_column(data));
        let values = params![dict, key, version, format, schema, crc, ends_at, ends_boot, boot, data];
        statement.execute(values).map_err(database)?;
        Ok(())
    }

    const DELETE_ENTRY: &str = "DELETE FROM dict_entry WHERE dict = ?1 AND key = ?2";

    /// Deletes an entry, and what indexes have of it, if there may be any.
    fn delete_entry(&self, (dict, indexed): (u64, bool), key: &str) -> Result<()> {
        if indexed {
            self.keep_indexes(dict, key, None)?;
        }
        let mut statement = self.connection.prepare_cached(Self::DELETE_ENTRY).map_err(database)?;
        statement.execute(params![dict, key]).map_err(database)?;
        Ok(())
    }

    const OVER: &str = "SELECT dict, key, ends_at, ends_boot, boot FROM dict_entry INDEXED BY dict_entry_ends
        WHERE ends_at <= ?1 ORDER BY ends_at LIMIT ?2";

    /// Removes some of those whose time is over, in whatever dict.
    fn sweep_entries(&self) -> Result<()> {
        let clocks = self.clocks();
        let mut statement = self.connection.prepare_cached(Self::OVER).map_err(database)?;
        let mut rows =
            statement.query(params![clocks.now.wall_ms, limits::ENTRIES_SWEPT]).map_err(database)?;
        let mut over: Vec<(u64, String)> = Vec::new();
        while let Some(row) = rows.next().map_err(database)? {
            let life = || -> rusqlite::Result<_> {
                let (wall_ms, boot_ms, boot) =
                    (row.get(2)?, row.get(3)?, row.get::<_, i64>(4)?.cast_unsigned());
                Ok(((row.get(0)?, row.get(1)?), Life { wall_ms, boot_ms, boot }))
            };
            // What is damaged is told to whoever looks for it.
            let Ok((key, life)) = life() else { continue };
            if life.is_over(clocks.now, clocks.boot) {
                over.push(key);
            }
        }
        drop(rows);
        drop(statement);
        over.iter().try_for_each(|(dict, key)| self.delete_entry((*dict, true), key))
    }
}

/// One entry, if it is there.
pub(super) fn entry(
    connection: &Connection,
    name: &Name,
    key: &str,
    clocks: Clocks,
) -> Result<Option<Entry>> {
    let Some(dict) = dict(connection, name)? else { return Ok(None) };
    let found = find(connection, name, dict.id, key)?;
    Ok(found.filter(|found| found.is_there(clocks)).map(|found| found.entry))
}

const HEADS: &str = "SELECT id, name, version, seal IS NOT NULL FROM dict WHERE ?1 IS NULL OR name > ?1 ORDER BY name LIMIT ?2";
const COUNT: &str = "SELECT count(*) FROM dict_entry WHERE dict = ?1 AND
    (ends_at IS NULL OR CASE WHEN boot = ?2 THEN ends_boot > ?3 ELSE ends_at > ?4 END)";

fn count(connection: &Connection, dict: u64, clocks: Clocks) -> Result<u64> {
    let mut statement = connection.prepare_cached(COUNT).map_err(database)?;
    let values = params![dict, clocks.boot.cast_signed(), clocks.now.boot_ms, clocks.now.wall_ms];
    statement.query_row(values, |row| row.get(0)).map_err(database)
}

/// Row and version of a dict.
pub(super) fn stamp(connection: &Connection, name: &Name) -> Result<Option<(u64, u64)>> {
    Ok(dict(connection, name)?.map(|row| (row.id, row.version)))
}

/// How a dict stands.
pub(super) fn head(connection: &Connection, name: &Name, clocks: Clocks) -> Result<Option<Head>> {
    let Some(Dict { id, version, sealed, .. }) = dict(connection, name)? else { return Ok(None) };
    Ok(Some(Head { id, name: name.to_string(), version, count: count(connection, id, clocks)?, sealed }))
}

/// Up to so many dicts behind a name.
pub(super) fn list(
    connection: &Connection,
    after: Option<&str>,
    limit: u32,
    clocks: Clocks,
) -> Result<Vec<Head>> {
    let mut statement = connection.prepare_cached(HEADS).map_err(database)?;
    let read = |row: &Row<'_>| {
        Ok(Head { id: row.get(0)?, name: row.get(1)?, version: row.get(2)?, count: 0, sealed: row.get(3)? })
    };
    let rows = statement.query_map(params![after, limit], read).map_err(database)?;
    let mut heads: Vec<Head> = rows.collect::<rusqlite::Result<_>>().map_err(database)?;
    for head in &mut heads {
        head.count = count(connection, head.id, clocks)?;
    }
    Ok(heads)
}
