//! Which fields of a dict's values are indexed, and what of each entry is in the indexes.
//!
//! An index says nothing that the entries do not say: whoever is led to an entry by it looks at that. The row of an index has a
//! checksum, because one that lies about what it is of, or that it is complete, would leave entries out; it is not used then.

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::storage::Data;
use millpond_actors::storage::checksum::{self, Kind};
use millpond_actors::storage::dict::{
    DropIndex, Index, Indexed, MakeIndex, Progress, Query, Unindexed, unfiltered,
};
use millpond_actors::storage::filter::plan::{self, MOST, Span, Standing};
use millpond_actors::storage::filter::{Key, Path};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::data::data_from;
use super::dict::{Dict, Found, dict, entries, read};
use super::error::{corrupt, database};
use super::session::SqliteSession;

/// An index, as its row has it.
pub(super) struct Declared {
    pub(super) id: u64,
    pub(super) path: Path,
    progress: Progress,
}

const DECLARED: &str = "SELECT id, path, state, reached, crc FROM dict_index WHERE dict = ?1 ORDER BY path";

/// The indexes of a dict; one whose row is damaged is an error in its place.
fn declared(connection: &Connection, dict: u64) -> Result<Vec<Result<Declared>>> {
    let mut statement = connection.prepare_cached(DECLARED).map_err(database)?;
    let mut rows = statement.query([dict]).map_err(database)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(database)? {
        let declared = sound(row, dict);
        all.push(declared.map_err(|detail| corrupt("index of dict", &dict.to_string(), 0, detail)));
    }
    Ok(all)
}

fn sound(row: &Row<'_>, dict: u64) -> std::result::Result<Declared, String> {
    let columns = || Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
    let (id, path, state, reached, crc): (u64, String, u8, Option<Box<str>>, u32) =
        columns().map_err(|error: rusqlite::Error| error.to_string())?;
    let found = checksum_of(id, dict, &path, (state, reached.as_deref()));
    if found != crc {
        return Err(format!("its checksum is {found:08x}, stored is {crc:08x}"));
    }
    let progress = match state {
        1 => Progress::Building(reached),
        2 => Progress::Complete,
        3 => Progress::Leaving,
        other => return Err(format!("its state is {other}")),
    };
    let path = Path::parse(&path).map_err(|error| error.to_string())?;
    Ok(Declared { id, path, progress })
}

fn checksum_of(id: u64, dict: u64, path: &str, (state, reached): (u8, Option<&str>)) -> u32 {
    let reached = reached.unwrap_or_default().as_bytes();
    checksum::record(Kind::Index, &id.to_string(), dict, path, state, 0, reached)
}

/// The columns `state` and `reached`.
fn columns(progress: &Progress) -> (u8, Option<&str>) {
    match progress {
        Progress::Building(reached) => (1, reached.as_deref()),
        Progress::Complete => (2, None),
        Progress::Leaving => (3, None),
    }
}

/// The indexes of a dict that lead to everything that is in it.
pub(super) fn complete(connection: &Connection, dict: u64) -> Result<Vec<Declared>> {
    let sound = declared(connection, dict)?.into_iter().filter_map(Result::ok);
    Ok(sound.filter(|index| index.progress == Progress::Complete).collect())
}

impl SqliteSession {
    /// Indexes some entries.
    pub(super) fn make_index(&mut self, index: &MakeIndex) -> Result<Indexed> {
        let row = dict(&self.connection, &index.dict)?;
        if row.as_ref().is_some_and(|row| row.sealed) {
            return Ok(Indexed::Sealed);
        }
        let there = row.as_ref().map_or(Ok(Vec::new()), |row| declared(&self.connection, row.id))?;
        let there: Vec<Declared> = there.into_iter().collect::<Result<_>>()?;
        let is_new = |path: &&Path| !there.iter().any(|index| index.path == **path);
        if there.len() + index.paths.iter().filter(is_new).count() > limits::INDEXES_PER_DICT {
            return Ok(Indexed::TooMany { there: there.len() as u64 });
        }
        let row = row.map_or_else(|| self.make_dict(&index.dict), Ok)?;
        let (mut left, mut more) = (index.limit as usize, false);
        for path in &index.paths {
            let known = there.iter().find(|index| index.path == *path);
            let mut at = known.map(|known| (known.id, known.progress.clone()));
            if let Some((id, Progress::Leaving)) = at {
                let (removed, gone) = self.drop_rows(&row, id, left)?;
                left -= removed;
                at = at.filter(|_| !gone);
            }
            let (id, progress) = at.map_or_else(|| self.declare(&row, path), Ok)?;
            let after = match progress {
                Progress::Building(ref after) => {
                    self.build(&row, &index.dict, (id, path), after.as_deref(), &mut left)?
                }
                ref other => other.clone(),
            };
            more |= after != Progress::Complete;
            if after != progress {
                self.mark_index(row.id, (id, path), &after)?;
            }
        }
        Ok(Indexed::Done { more })
    }

    const DECLARE: &str =
        "INSERT INTO dict_index (dict, path, state, reached, crc) VALUES (?1, ?2, 1, NULL, 0)";
    const COUNT_INDEX: &str =
        "UPDATE dict SET indexed = (SELECT count(*) FROM dict_index WHERE dict = ?1) WHERE id = ?1";

    fn declare(&self, Dict { id: dict, .. }: &Dict, path: &Path) -> Result<(u64, Progress)> {
        let mut statement = self.connection.prepare_cached(Self::DECLARE).map_err(database)?;
        let id = statement.insert(params![dict, path.to_string()]).map_err(database)?.unsigned_abs();
        let progress = Progress::Building(None);
        self.mark_index(*dict, (id, path), &progress)?;
        self.count_indexes(*dict)?;
        Ok((id, progress))
    }

    const DROP_ALL_ROWS: &str =
        "DELETE FROM dict_indexed WHERE dict_index IN (SELECT id FROM dict_index WHERE dict = ?1)";
    const DROP_ALL: &str = "DELETE FROM dict_index WHERE dict = ?1";

    /// All of them go, of a dict in which nothing is.
    pub(super) fn drop_indexes(&self, dict: u64) -> Result<()> {
        for sql in [Self::DROP_ALL_ROWS, Self::DROP_ALL] {
            self.connection.prepare_cached(sql).map_err(database)?.execute([dict]).map_err(database)?;
        }
        self.count_indexes(dict)
    }

    /// A dict in which nothing is has these.
    pub(super) fn have_indexes(&self, row: &Dict, paths: &[Path]) -> Result<()> {
        for path in paths {
            let (id, _) = self.declare(row, path)?;
            self.mark_index(row.id, (id, path), &Progress::Complete)?;
        }
        Ok(())
    }

    fn count_indexes(&self, dict: u64) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::COUNT_INDEX).map_err(database)?;
        statement.execute([dict]).map(drop).map_err(database)
    }

    const MARK_INDEX: &str = "UPDATE dict_index SET state = ?2, reached = ?3, crc = ?4 WHERE id = ?1";

    fn mark_index(&self, dict: u64, (id, path): (u64, &Path), progress: &Progress) -> Result<()> {
        let (state, reached) = columns(progress);
        let crc = checksum_of(id, dict, &path.to_string(), (state, reached));
        let mut statement = self.connection.prepare_cached(Self::MARK_INDEX).map_err(database)?;
        statement.execute(params![id, state, reached, crc]).map(drop).map_err(database)
    }

    const UNINDEXED: &str = entries!("WHERE dict = ?1 AND key > ?2 ORDER BY key");

    /// Indexes entries behind a key, as many as are left. What is damaged is in no index.
    fn build(
        &self,
        row: &Dict,
        name: &Name,
        (id, path): (u64, &Path),
        after: Option<&str>,
        left: &mut usize,
    ) -> Result<Progress> {
        let mut statement = self.connection.prepare_cached(Self::UNINDEXED).map_err(database)?;
        let mut rows = statement.query(params![row.id, after.unwrap_or_default()]).map_err(database)?;
        let (mut reached, mut bytes) = (after.map(Box::from), 0);
        while let Some(row) = rows.next().map_err(database)? {
            if *left == 0 || bytes >= limits::PAGE_BYTES {
                return Ok(Progress::Building(reached));
            }
            *left -= 1;
            // Also behind one that is damaged, or nobody would ever come beyond many of them.
            reached = row.get(0).ok().or(reached);
            let Ok(Found { entry, .. }) = read(row, name) else { continue };
            bytes += entry.data.bytes().len();
            if let Some(value) = self.options.fields.key(&entry.data, path) {
                self.put_indexed(id, &value, &entry.key)?;
            }
        }
        Ok(Progress::Complete)
    }

    const GOING: &str = "SELECT id FROM dict_index WHERE dict = ?1 AND path = ?2";

    /// Removes some rows of indexes, and those that have none left. One whose row is damaged can be removed too.
    pub(super) fn drop_index(&mut self, index: &DropIndex) -> Result<Unindexed> {
        let mut done = Unindexed { removed: 0, more: false };
        let Some(row) = dict(&self.connection, &index.dict)? else { return Ok(done) };
        let there = declared(&self.connection, row.id)?;
        let leaves = |id: u64| {
            let mut sound = there.iter().filter_map(|index| index.as_ref().ok());
            sound.any(|index| index.id == id && index.progress == Progress::Leaving)
        };
        let mut left = index.limit as usize;
        for path in &index.paths {
            let mut statement = self.connection.prepare_cached(Self::GOING).map_err(database)?;
            let id = statement.query_row(params![row.id, path.to_string()], |row| row.get(0)).optional();
            let Some(id): Option<u64> = id.map_err(database)? else { continue };
            if !leaves(id) {
                done.removed += 1;
                self.mark_index(row.id, (id, path), &Progress::Leaving)?;
            }
            let (removed, gone) = self.drop_rows(&row, id, left)?;
            left -= removed;
            done.more |= !gone;
        }
        Ok(done)
    }

    const INDEXED: &str = "SELECT value, key FROM dict_indexed WHERE dict_index = ?1 LIMIT ?2";
    const DROP_INDEX: &str = "DELETE FROM dict_index WHERE id = ?1";

    /// Removes as many rows of an index that leaves, and the index if none is left. How many they were, and whether it is gone.
    fn drop_rows(&self, row: &Dict, id: u64, most: usize) -> Result<(usize, bool)> {
        let mut statement = self.connection.prepare_cached(Self::INDEXED).map_err(database)?;
        let rows = statement.query_map(params![id, most + 1], |row| Ok((row.get(0)?, row.get(1)?)));
        let mut rows: Vec<(Vec<u8>, String)> =
            rows.map_err(database)?.collect::<rusqlite::Result<_>>().map_err(database)?;
        let gone = rows.len() <= most;
        rows.truncate(most);
        rows.iter().try_for_each(|(value, key)| self.delete_indexed(id, value, key))?;
        if gone {
            let mut statement = self.connection.prepare_cached(Self::DROP_INDEX).map_err(database)?;
            statement.execute([id]).map_err(database)?;
            self.count_indexes(row.id)?;
        }
        Ok((rows.len(), gone))
    }

    const PUT_INDEXED: &str =
        "INSERT OR IGNORE INTO dict_indexed (dict_index, value, key) VALUES (?1, ?2, ?3)";

    fn put_indexed(&self, index: u64, value: &Key, key: &str) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::PUT_INDEXED).map_err(database)?;
        statement.execute(params![index, value.bytes(), key]).map(drop).map_err(database)
    }

    const DELETE_INDEXED: &str = "DELETE FROM dict_indexed WHERE dict_index = ?1 AND value = ?2 AND key = ?3";

    fn delete_indexed(&self, index: u64, value: &[u8], key: &str) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::DELETE_INDEXED).map_err(database)?;
        statement.execute(params![index, value, key]).map(drop).map_err(database)
    }

    const BEFORE: &str = "SELECT format, data FROM dict_entry WHERE dict = ?1 AND key = ?2";

    /// What is under a key is about to be something else, or nothing: also in the indexes. What was there is asked for here, since
    /// it may be something whose time is over.
    pub(super) fn keep_indexes(&self, dict: u64, key: &str, data: Option<&Data>) -> Result<()> {
        let mut indexes = declared(&self.connection, dict)?;
        // One that is damaged is not used any more, until it is removed and made anew.
        indexes.retain(|index| index.as_ref().is_ok_and(|index| index.progress != Progress::Leaving));
        if indexes.is_empty() {
            return Ok(());
        }
        let mut statement = self.connection.prepare_cached(Self::BEFORE).map_err(database)?;
        let mut rows = statement.query(params![dict, key]).map_err(database)?;
        let before = match rows.next().map_err(database)? {
            Some(row) => row.get(0).ok().and_then(|format| data_from(format, row.get_ref(1).ok()?)),
            None => None,
        };
        drop(rows);
        for Declared { id, path, .. } in indexes.into_iter().flatten() {
            let of = |data: &Data| self.options.fields.key(data, &path);
            let (before, now) = (before.as_ref().and_then(of), data.and_then(of));
            if before == now {
                continue;
            }
            if let Some(before) = before {
                self.delete_indexed(id, before.bytes(), key)?;
            }
            if let Some(now) = now {
                self.put_indexed(id, &now, key)?;
            }
        }
        Ok(())
    }
}

const INDEX_ROWS: &str = "SELECT count(*) FROM dict_indexed WHERE dict_index = ?1";

/// The indexes of a dict, by path.
pub(super) fn list(connection: &Connection, name: &Name) -> Result<Vec<Index>> {
    let Some(row) = dict(connection, name)? else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(INDEX_ROWS).map_err(database)?;
    let counted = |index: Result<Declared>| {
        let Declared { id, path, progress } = index?;
        let rows = statement.query_row([id], |row| row.get(0)).map_err(database)?;
        Ok(Index { path, progress, rows })
    };
    declared(connection, row.id)?.into_iter().map(counted).collect()
}

const WITHIN: &str = "SELECT count(*) FROM (SELECT 1 FROM dict_indexed
    WHERE dict_index = ?1 AND value BETWEEN ?2 AND ?3 LIMIT ?4)";

/// How many entries an index leads to, up to [`MOST`] and one.
pub(super) fn count(
    connection: &Connection,
    indexes: &[Declared],
    path: &Path,
    spans: &[Span],
) -> Result<u64> {
    let index = indexes.iter().find(|index| index.path == *path).map(|index| index.id);
    let mut statement = connection.prepare_cached(WITHIN).map_err(database)?;
    let mut rows = 0;
    for Span { low, high } in spans {
        let values = params![index, low.bytes(), high.bytes(), MOST + 1 - rows];
        rows += statement.query_row(values, |row| row.get::<_, u64>(0)).map_err(database)?;
        if rows > MOST {
            break;
        }
    }
    Ok(rows)
}

/// How the indexes of a dict stand to a filter.
pub(super) fn ways(connection: &Connection, query: &Query) -> Result<Vec<Standing>> {
    let Some(filter) = &query.filter else { return Ok(Vec::new()) };
    let Some(row) = dict(connection, &query.dict)? else { return Ok(Vec::new()) };
    if row.sealed {
        return Err(unfiltered(&query.dict));
    }
    let indexes = complete(connection, row.id)?;
    let paths: Vec<Path> = indexes.iter().map(|index| index.path.clone()).collect();
    plan::choose(filter, &paths, &mut |path, spans| count(connection, &indexes, path, spans))
}
