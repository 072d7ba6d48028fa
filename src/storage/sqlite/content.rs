//! The contents of blobs: chunks that are written while nobody sees them, read, and swept when they are nobody's.

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::storage::blob::{Begin, Begun, Blob, Bytes, Chunks, Stored, Sweep, Swept, Write};
use millpond_actors::storage::checksum::{self, Kind};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::blob;
use super::error::{corrupt, database};
use super::session::SqliteSession;

/// How far a content has been written.
#[derive(Clone, Copy)]
pub(super) struct Content {
    id: u64,
    /// Who writes it; nobody if 0.
    process: u64,
    /// The first chunk that is left.
    first: u64,
    /// The next one.
    pub(super) chunks: u64,
}

impl Content {
    fn read(row: &Row<'_>) -> rusqlite::Result<Content> {
        Ok(Content { id: row.get(0)?, process: row.get(1)?, first: row.get(2)?, chunks: row.get(3)? })
    }
}

fn checksum_of(content: u64, sequence: u64, data: &[u8]) -> u32 {
    checksum::record(Kind::Chunk, &content.to_string(), sequence, "", 2, 1, data)
}

impl SqliteSession {
    /// Begins a content.
    pub(super) fn begin_content(&mut self, begin: &Begin) -> Result<Begun> {
        let actual = blob::version(&self.connection, &begin.blobs, &begin.key)?;
        if !begin.expected.is_met(actual) {
            return Ok(Begun::Conflict { actual });
        }
        self.give_up_contents()?;
        self.sweep_contents(limits::CHUNKS_SWEPT)?;
        let content = self.take_ticket()?;
        self.keep_content(Content { id: content, process: self.own.id, first: 0, chunks: 0 })?;
        Ok(Begun::Done { content })
    }

    /// Writes the next chunk of a content.
    pub(super) fn write_chunk(&mut self, write: &Write) -> Result<Stored> {
        let content = self.written_content(write.content)?;
        let Some(content) = content.filter(|content| content.chunks == write.sequence) else {
            return Ok(Stored::Gone);
        };
        self.put_chunk(content.id, write.sequence, &write.data)?;
        self.keep_content(Content { chunks: content.chunks + 1, ..content })?;
        self.sweep_contents(limits::CHUNKS_SWEPT)?;
        Ok(Stored::Done)
    }

    /// Sweeps.
    pub(super) fn sweep_blobs(&mut self, sweep: &Sweep) -> Result<Swept> {
        for content in &sweep.given_up {
            if let Some(content) = self.written_content(*content)? {
                self.keep_content(Content { process: 0, ..content })?;
            }
        }
        self.give_up_contents()?;
        self.sweep_contents(sweep.chunks)
    }

    const WRITTEN: &str =
        "SELECT id, process, first, chunks FROM blob_content WHERE id = ?1 AND process <> 0";

    /// A content that is being written.
    pub(super) fn written_content(&self, id: u64) -> Result<Option<Content>> {
        let mut statement = self.connection.prepare_cached(Self::WRITTEN).map_err(database)?;
        statement.query_row([id], Content::read).optional().map_err(database)
    }

    const KEEP_CONTENT: &str =
        "INSERT OR REPLACE INTO blob_content (id, process, first, chunks) VALUES (?1, ?2, ?3, ?4)";

    fn keep_content(&self, content: Content) -> Result<()> {
        let Content { id, process, first, chunks } = content;
        let mut statement = self.connection.prepare_cached(Self::KEEP_CONTENT).map_err(database)?;
        statement.execute(params![id, process, first, chunks]).map(drop).map_err(database)
    }

    const FORGET_CONTENT: &str = "DELETE FROM blob_content WHERE id = ?1";

    /// A content has come to a blob, or is gone.
    pub(super) fn forget_content(&self, id: u64) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::FORGET_CONTENT).map_err(database)?;
        statement.execute([id]).map(drop).map_err(database)
    }

    const PUT_CHUNK: &str = "INSERT INTO blob_chunk (content, sequence, crc, data) VALUES (?1, ?2, ?3, ?4)";

    /// Writes a chunk.
    pub(super) fn put_chunk(&self, content: u64, sequence: u64, data: &Bytes) -> Result<()> {
        let crc = checksum_of(content, sequence, &data.0);
        let mut statement = self.connection.prepare_cached(Self::PUT_CHUNK).map_err(database)?;
        statement.execute(params![content, sequence, crc, data.0]).map(drop).map_err(database)
    }

    const DROP_CHUNKS: &str = "DELETE FROM blob_chunk WHERE content = ?1 AND sequence < ?2";

    /// Removes the chunks of a content up to one.
    pub(super) fn drop_chunks(&self, content: u64, to: u64) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::DROP_CHUNKS).map_err(database)?;
        statement.execute(params![content, to]).map(drop).map_err(database)
    }

    /// The content of a blob is nobody's any more: a small one goes at once. Whether something is left to be swept.
    pub(super) fn let_go(&self, blob: &Blob) -> Result<bool> {
        let chunks = blob.chunks();
        if chunks <= u64::from(limits::CHUNKS_SWEPT) {
            self.drop_chunks(blob.content, chunks)?;
            return Ok(false);
        }
        self.keep_content(Content { id: blob.content, process: 0, first: 0, chunks })?;
        Ok(true)
    }

    pub(super) const NEXT_WRITER: &str =
        "SELECT min(process) FROM blob_content INDEXED BY blob_content_written
        WHERE process <> 0 AND process > ?1";
    const GIVE_UP_CONTENTS: &str = "UPDATE blob_content SET process = 0 WHERE process <> 0 AND process = ?1";

    /// What the dead were writing is nobody's any more.
    fn give_up_contents(&self) -> Result<()> {
        let mut next = self.connection.prepare_cached(Self::NEXT_WRITER).map_err(database)?;
        let mut give_up = self.connection.prepare_cached(Self::GIVE_UP_CONTENTS).map_err(database)?;
        let mut after = 0_u64;
        loop {
            let writer: Option<u64> = next.query_row([after], |row| row.get(0)).map_err(database)?;
            let Some(writer) = writer else { return Ok(()) };
            if self.judge().beat(writer)?.is_none() {
                give_up.execute([writer]).map_err(database)?;
            }
            after = writer;
        }
    }

    pub(super) const WASTE: &str = "SELECT id, process, first, chunks FROM blob_content
        INDEXED BY blob_content_waste WHERE process = 0 ORDER BY id LIMIT 1";

    /// Removes up to so many chunks that are nobody's, of the oldest content first, and of that the first.
    fn sweep_contents(&self, limit: u32) -> Result<Swept> {
        let (mut left, mut swept) = (u64::from(limit), 0);
        let mut waste = self.connection.prepare_cached(Self::WASTE).map_err(database)?;
        loop {
            let next = waste.query_row([], Content::read).optional().map_err(database)?;
            let Some(content) = next else { return Ok(Swept { chunks: swept, more: false }) };
            if left == 0 {
                return Ok(Swept { chunks: swept, more: true });
            }
            let to = content.chunks.min(content.first.saturating_add(left));
            self.drop_chunks(content.id, to)?;
            if to == content.chunks {
                self.forget_content(content.id)?;
            } else {
                self.keep_content(Content { first: to, ..content })?;
            }
            let gone = to.saturating_sub(content.first);
            swept += gone;
            // One without chunks is worth one too, so that many of them do not keep others waiting.
            left -= gone.max(1);
        }
    }
}

const CHUNKS: &str = "SELECT sequence, crc, data FROM blob_chunk
    WHERE content = ?1 AND sequence >= ?2 ORDER BY sequence LIMIT ?3";

/// Up to so many chunks of a blob from one on, as long as there is one after the other; the first that is not
/// there is an error. Within a snapshot.
pub(super) fn chunks(
    connection: &Connection,
    name: &Name,
    blob: &Blob,
    from: u64,
    limit: u32,
) -> Result<Chunks> {
    let mut statement = connection.prepare_cached(CHUNKS).map_err(database)?;
    let limit = u64::from(limit).min(blob.chunks().saturating_sub(from));
    let mut rows = statement.query(params![blob.content, from, limit]).map_err(database)?;
    let mut found = Chunks::new();
    while let Some(row) = rows.next().map_err(database)? {
        let sequence = from + found.len() as u64;
        if row.get::<_, u64>(0).ok() != Some(sequence) {
            break;
        }
        found.push(chunk(row, name, blob, sequence));
    }
    Ok(found)
}

/// The chunk of a row, if the row is sound.
fn chunk(row: &Row<'_>, name: &Name, blob: &Blob, sequence: u64) -> Result<Bytes> {
    let odd = |detail: String| damaged(name, blob, sequence, &detail);
    let crc: u32 = row.get(1).map_err(|error| odd(error.to_string()))?;
    let data = row.get_ref(2).map_err(database)?;
    let data = data.as_blob().map_err(|error| odd(error.to_string()))?;
    let found = checksum_of(blob.content, sequence, data);
    if found != crc {
        return Err(odd(format!("its checksum is {found:08x}, stored is {crc:08x}")));
    }
    if data.len() as u64 != blob.length_of(sequence) {
        return Err(odd(format!("it has {} bytes of {}", data.len(), blob.length_of(sequence))));
    }
    Ok(Bytes(data.to_vec()))
}

/// A chunk of a blob is not what it was.
pub(super) fn damaged(
    name: &Name,
    blob: &Blob,
    sequence: u64,
    detail: &str,
) -> millpond_actors::error::Error {
    corrupt("chunk of blobs", name.as_str(), sequence, format!("key \"{}\": {detail}", blob.key))
}
