//! Blobs of a dump.

use millpond_actors::error::{Error, Result};
use millpond_actors::name::Name;
use millpond_actors::storage::blob::{Blob, Bytes};
use millpond_actors::storage::change::{Changed, Primitive};
use millpond_actors::storage::record::{self, Base, Onto, Put, Refusal};
use rusqlite::params;

use super::super::blob;
use super::super::error::database;
use super::super::session::SqliteSession;

impl SqliteSession {
    const HAVE_BLOBS: &str = "INSERT INTO blobs (name, version, count, bytes) VALUES (?1, ?2, 0, 0)
        ON CONFLICT (name) DO UPDATE SET version = ?2";

    /// Puts blobs of a name back, without any of them.
    pub(super) fn put_blobs(&mut self, onto: Onto, name: &Name, version: u64) -> Result<Put> {
        let found = blob::head(&self.connection, name)?;
        if found.is_some() && onto == Onto::Nothing {
            return Ok(Put::Refused(Refusal::Exists));
        }
        let before = found.as_ref().map_or(0, |found| found.version);
        let after = record::behind(before, version, "the version of blobs")?;
        if let Some(found) = found.filter(|_| onto == Onto::Replace) {
            self.empty_blobs(name, found.id)?;
        }
        let mut statement = self.connection.prepare_cached(Self::HAVE_BLOBS).map_err(database)?;
        statement.execute(params![name.as_str(), after]).map_err(database)?;
        Ok(Put::Placed(Base { shift: before.cast_signed(), ..Base::NONE }))
    }

    const EMPTY_BLOBS: &str = "DELETE FROM blob WHERE blobs = ?1";
    const COUNT_NO_BLOBS: &str = "UPDATE blobs SET count = 0, bytes = 0 WHERE id = ?1";

    /// Removes all blobs of a name, with their chunks: what comes then has their room.
    fn empty_blobs(&self, name: &Name, id: u64) -> Result<()> {
        let mut all = self.connection.prepare_cached(blob::ALL).map_err(database)?;
        let mut rows = all.query([id]).map_err(database)?;
        while let Some(row) = rows.next().map_err(database)? {
            match blob::read(row, name) {
                Ok(blob) => self.drop_chunks(blob.content, blob.chunks())?,
                // Nobody knows whose chunks it leads to.
                Err(Error::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        for sql in [Self::EMPTY_BLOBS, Self::COUNT_NO_BLOBS] {
            self.connection.prepare_cached(sql).map_err(database)?.execute([id]).map_err(database)?;
        }
        Ok(())
    }

    const COUNT_BLOB: &str = "UPDATE blobs SET count = count + ?2, bytes = bytes + ?3 - ?4 WHERE id = ?1";

    /// Puts a blob back, without its chunks, in place of what is under its key, of which nothing is left to be swept.
    pub(super) fn put_blob_back(&mut self, name: &Name, blob: &Blob) -> Result<Put> {
        let (Some(head), before) = blob::look(&self.connection, name, &blob.key)? else {
            return Ok(Put::Refused(Refusal::Orphan));
        };
        if let Some(before) = &before {
            self.drop_chunks(before.content, before.chunks())?;
        }
        let (new, gone) = (u64::from(before.is_none()), before.map_or(0, |before| before.size));
        let mut statement = self.connection.prepare_cached(Self::COUNT_BLOB).map_err(database)?;
        statement.execute(params![head.id, new, blob.size, gone]).map_err(database)?;
        drop(statement);
        let content = self.take_ticket()?;
        self.put_blob(name, head.id, &Blob { content, ..blob.clone() })?;
        let (primitive, sequence) = (Primitive::Blob, Some(blob.version));
        let key = Some(blob.key.as_str().into());
        Ok(Put::Written(Some(Changed { primitive, row: head.id, sequence, key })))
    }

    /// Puts a chunk of a blob back.
    pub(super) fn put_chunk_back(&self, name: &Name, key: &str, sequence: u64, data: &Bytes) -> Result<Put> {
        let (_, Some(blob)) = blob::look(&self.connection, name, key)? else {
            return Ok(Put::Refused(Refusal::Orphan));
        };
        self.put_chunk(blob.content, sequence, data)?;
        Ok(Put::Written(None))
    }
}
