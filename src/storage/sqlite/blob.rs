//! Blobs: what is under each key, put there and removed, and how it is read. The chunks are in `content`.

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::storage::blob::{
    Blob, Chunks, Finish, Finished, Head, Page, Query, Remove, Removed, is_whole,
};
use millpond_actors::storage::checksum::{self, Kind};
use rusqlite::{Connection, Row, params};

use super::content;
use super::error::{corrupt, database};
use super::look_up::look_up;
use super::process::advance;
use super::session::SqliteSession;

const HEAD: &str = "SELECT b.id, b.name, b.version, b.count, b.bytes, b.name = ?1
    FROM blobs i LEFT JOIN blobs b ON b.id = i.id WHERE i.name = ?1";

fn read_head(row: &Row<'_>) -> rusqlite::Result<Head> {
    let (id, name, version) = (row.get(0)?, row.get(1)?, row.get(2)?);
    Ok(Head { id, name, version, count: row.get(3)?, bytes: row.get(4)? })
}

/// How blobs stand.
pub(super) fn head(connection: &Connection, name: &Name) -> Result<Option<Head>> {
    look_up(connection, HEAD, ("blobs", name), [name.as_str()], read_head)
}

/// The columns of a blob, in the order in which they are read.
macro_rules! blobs {
    ($rest:literal) => {
        concat!(
            "SELECT key, version, content, chunk, size, created_at, sha256, crc, metadata FROM blob ",
            $rest
        )
    };
}

/// The blob of a row, if the row is sound.
pub(super) fn read(row: &Row<'_>, name: &Name) -> Result<Blob> {
    let odd = |detail: String| corrupt("blob", name.as_str(), 0, detail);
    let key: String = row.get(0).map_err(|error| odd(error.to_string()))?;
    let odd = |detail: String| odd(format!("key \"{key}\": {detail}"));
    let whole = || {
        let blob = Blob {
            key: key.clone(),
            version: row.get(1)?,
            content: row.get(2)?,
            chunk: row.get(3)?,
            size: row.get(4)?,
            created_at: row.get(5)?,
            sha256: row.get(6)?,
            metadata: row.get(8)?,
        };
        Ok((blob, row.get(7)?))
    };
    let (blob, crc): (Blob, u32) = whole().map_err(|error: rusqlite::Error| odd(error.to_string()))?;
    let found = checksum_of(name, &blob);
    if found != crc {
        return Err(odd(format!("its checksum is {found:08x}, stored is {crc:08x}")));
    }
    Ok(blob)
}

fn checksum_of(name: &Name, blob: &Blob) -> u32 {
    let Blob { key, version, content, chunk, size, created_at, sha256, metadata } = blob;
    // No key has such a character, and no metadata are empty.
    let said = format!("{key}\0{content} {chunk} {size} {created_at} {sha256:?}");
    let metadata = metadata.as_deref().unwrap_or_default();
    checksum::record(Kind::Blob, name.as_str(), *version, &said, 1, 1, metadata.as_bytes())
}

/// All of a name.
pub(super) const ALL: &str = blobs!("WHERE blobs = ?1");

const FIND: &str = blobs!("WHERE blobs = ?1 AND key = ?2");

fn find(connection: &Connection, name: &Name, blobs: u64, key: &str) -> Result<Option<Blob>> {
    let mut statement = connection.prepare_cached(FIND).map_err(database)?;
    let mut rows = statement.query(params![blobs, key]).map_err(database)?;
    rows.next().map_err(database)?.map(|row| read(row, name)).transpose()
}

/// How blobs stand, and the one under a key.
pub(super) fn look(connection: &Connection, name: &Name, key: &str) -> Result<(Option<Head>, Option<Blob>)> {
    let head = head(connection, name)?;
    let found = head.as_ref().map(|head| find(connection, name, head.id, key)).transpose()?;
    Ok((head, found.flatten()))
}

/// The version of the blob under a key.
pub(super) fn version(connection: &Connection, name: &Name, key: &str) -> Result<Option<u64>> {
    Ok(look(connection, name, key)?.1.map(|blob| blob.version))
}

impl SqliteSession {
    /// Puts a content under its key.
    pub(super) fn finish_blob(&mut self, finish: &Finish) -> Result<Finished> {
        let (head, before) = look(&self.connection, &finish.blobs, &finish.key)?;
        let actual = before.as_ref().map(|blob| blob.version);
        if !finish.expected.is_met(actual) {
            return Ok(Finished::Conflict { actual });
        }
        let chunks = match finish.content {
            Some(content) => self.written_content(content)?.map(|content| content.chunks),
            None => Some(0),
        };
        let Some(chunks) = chunks.filter(|chunks| is_whole(finish, *chunks)) else {
            return Ok(Finished::Gone);
        };
        let content = match finish.content {
            Some(content) => {
                self.forget_content(content)?;
                content
            }
            None => self.take_ticket()?,
        };
        if !finish.rest.0.is_empty() {
            self.put_chunk(content, chunks, &finish.rest)?;
        }
        let waste = before.as_ref().map_or(Ok(false), |blob| self.let_go(blob))?;
        let sizes = (before.as_ref().map(|blob| blob.size), Some(finish.size));
        let (blobs, version) = self.change_blobs(&finish.blobs, head, sizes)?;
        let created_at = self.now.wall_ms;
        let blob = Blob {
            key: finish.key.to_string(),
            version,
            content,
            chunk: finish.chunk,
            size: finish.size,
            sha256: finish.sha256,
            metadata: finish.metadata.clone(),
            created_at,
        };
        self.put_blob(&finish.blobs, blobs, &blob)?;
        Ok(Finished::Done { blobs, version, created_at, replaced: before.is_some(), waste })
    }

    const REMOVE_BLOB: &str = "DELETE FROM blob WHERE blobs = ?1 AND key = ?2";

    /// Removes a blob.
    pub(super) fn remove_blob(&mut self, remove: &Remove) -> Result<Removed> {
        let (head, found) = look(&self.connection, &remove.blobs, &remove.key)?;
        let actual = found.as_ref().map(|blob| blob.version);
        if !remove.expected.is_met(actual) {
            return Ok(Removed::Conflict { actual });
        }
        let (Some(head), Some(blob)) = (head, found) else {
            return Ok(Removed::Done { was: None, waste: false });
        };
        let mut statement = self.connection.prepare_cached(Self::REMOVE_BLOB).map_err(database)?;
        statement.execute(params![head.id, remove.key]).map_err(database)?;
        drop(statement);
        let waste = self.let_go(&blob)?;
        let was = self.change_blobs(&remove.blobs, Some(head), (Some(blob.size), None))?;
        Ok(Removed::Done { was: Some(was), waste })
    }

    const MAKE_BLOBS: &str = "INSERT INTO blobs (name, version, count, bytes) VALUES (?1, 1, 1, ?2)";
    const CHANGE_BLOBS: &str = "UPDATE blobs SET version = ?2, count = ?3, bytes = ?4 WHERE id = ?1";

    /// One change more, by which a size goes and another one comes: the row, and its version since then.
    fn change_blobs(
        &self,
        name: &Name,
        head: Option<Head>,
        (goes, comes): (Option<u64>, Option<u64>),
    ) -> Result<(u64, u64)> {
        let Some(Head { id, version, count, bytes, .. }) = head else {
            let mut statement = self.connection.prepare_cached(Self::MAKE_BLOBS).map_err(database)?;
            let id = statement.insert(params![name.as_str(), comes]).map_err(database)?.unsigned_abs();
            return Ok((id, 1));
        };
        let version = advance(version, 1, "the version of blobs")?;
        // A damaged row must not bring a commit down.
        let count =
            count.saturating_add(u64::from(comes.is_some())).saturating_sub(u64::from(goes.is_some()));
        let bytes = bytes.saturating_add(comes.unwrap_or(0)).saturating_sub(goes.unwrap_or(0));
        let mut statement = self.connection.prepare_cached(Self::CHANGE_BLOBS).map_err(database)?;
        statement.execute(params![id, version, count, bytes]).map_err(database)?;
        Ok((id, version))
    }

    const PUT_BLOB: &str = "INSERT OR REPLACE INTO blob
        (blobs, key, version, content, chunk, size, created_at, sha256, crc, metadata)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

    /// Puts what is known of a blob under its key, in place of what is there.
    pub(super) fn put_blob(&self, name: &Name, blobs: u64, blob: &Blob) -> Result<()> {
        let crc = checksum_of(name, blob);
        let Blob { key, version, content, chunk, size, created_at, sha256, metadata } = blob;
        let values = params![blobs, key, version, content, chunk, size, created_at, sha256, crc, metadata];
        let mut statement = self.connection.prepare_cached(Self::PUT_BLOB).map_err(database)?;
        statement.execute(values).map(drop).map_err(database)
    }
}

/// A blob and up to so many of its chunks, from the one on that has a byte.
pub(super) fn open(
    connection: &Connection,
    name: &Name,
    key: &str,
    from: u64,
    limit: u32,
) -> Result<Option<(Blob, Chunks)>> {
    let (_, Some(blob)) = look(connection, name, key)? else { return Ok(None) };
    let first = from / u64::from(blob.chunk).max(1);
    let found = chunks(connection, name, &blob, first, limit)?;
    Ok(found.map(|chunks| (blob, chunks)))
}

/// Up to so many chunks of a blob, unless they were swept.
pub(super) fn chunks(
    connection: &Connection,
    name: &Name,
    blob: &Blob,
    from: u64,
    limit: u32,
) -> Result<Option<Chunks>> {
    let mut found = content::chunks(connection, name, blob, from, limit)?;
    let wanted = u64::from(limit).min(blob.chunks().saturating_sub(from));
    if found.len() as u64 == wanted {
        return Ok(Some(found));
    }
    let (_, current) = look(connection, name, &blob.key)?;
    if current.is_some_and(|current| current.content == blob.content) {
        found.push(Err(content::damaged(name, blob, from + found.len() as u64, "a chunk is missing")));
    } else if found.is_empty() {
        return Ok(None);
    }
    Ok(Some(found))
}

// One bound each: by a second one the rows would be walked that lie between the two.
const FROM: &str = blobs!("WHERE blobs = ?1 AND key >= ?2 ORDER BY key");
const BEHIND: &str = blobs!("WHERE blobs = ?1 AND key > ?2 ORDER BY key");

/// Reads one page, within one snapshot.
pub(super) fn page(connection: &Connection, query: &Query) -> Result<Page> {
    let Some(head) = head(connection, &query.blobs)? else { return Ok(Page::default()) };
    let prefix = &*query.prefix;
    let (sql, bound) = match query.after.as_deref() {
        Some(after) if after >= prefix => (BEHIND, after),
        _ => (FROM, prefix),
    };
    let mut statement = connection.prepare_cached(sql).map_err(database)?;
    let mut rows = statement.query(params![head.id, bound]).map_err(database)?;
    let (mut page, mut bytes) = (Page::default(), 0);
    while page.blobs.len() < query.limit as usize && bytes < limits::PAGE_BYTES {
        let Some(row) = rows.next().map_err(database)? else { return Ok(page) };
        // One that is damaged may be no text any more, and yet is in the order of its bytes.
        let key = row.get_ref(0).map_err(database)?.as_bytes().unwrap_or_default();
        let key = String::from_utf8_lossy(key).into_owned();
        if !key.starts_with(prefix) {
            return Ok(page);
        }
        let found = read(row, &query.blobs);
        let metadata = found.as_ref().ok().and_then(|blob| blob.metadata.as_ref());
        bytes += metadata.map_or(0, String::len);
        page.last = Some(key);
        page.blobs.push(found);
    }
    page.more = query.limit > 0;
    Ok(page)
}

const HEADS: &str = "SELECT id, name, version, count, bytes FROM blobs
    WHERE ?1 IS NULL OR name > ?1 ORDER BY name LIMIT ?2";

/// Up to so many names behind one.
pub(super) fn heads(connection: &Connection, after: Option<&str>, limit: u32) -> Result<Vec<Head>> {
    let mut statement = connection.prepare_cached(HEADS).map_err(database)?;
    let rows = statement.query_map(params![after, limit], read_head).map_err(database)?;
    rows.collect::<rusqlite::Result<_>>().map_err(database)
}

const TOTALS: &str =
    "SELECT ifnull(sum(count), 0), ifnull(sum(bytes), 0), (SELECT count(*) FROM blob_content)
    FROM blobs";

/// How many blobs there are, their bytes, and the contents that no blob has.
pub(super) fn totals(connection: &Connection) -> Result<(u64, u64, u64)> {
    let mut statement = connection.prepare_cached(TOTALS).map_err(database)?;
    statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).map_err(database)
}
