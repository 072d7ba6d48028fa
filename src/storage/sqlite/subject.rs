//! Keys of subjects: a row each, which stays when the key is destroyed.
//!
//! Rows are only added, at the end of their table, and a key is overwritten by a gap of the same length. So SQLite has no
//! reason to move one, and a key is where it was written and nowhere else.

use millpond_actors::error::{Error, Result};
use millpond_actors::name::Name;
use millpond_actors::storage::checksum::{self, Kind};
use millpond_actors::storage::subject::{KEY_BYTES, KeyState, Make, Secret, Shred};
use rusqlite::{Connection, Row, params};

use super::error::{corrupt, database};
use super::look_up::look_up;
use super::session::SqliteSession;

/// Stands where a key was. No key is like this.
pub(super) const GAP: [u8; KEY_BYTES] = [0; KEY_BYTES];

impl SqliteSession {
    const PUT_KEY: &str = "INSERT INTO subject (name, key, crc) VALUES (?1, ?2, ?3)
        ON CONFLICT (name) DO UPDATE SET key = excluded.key, crc = excluded.crc";

    /// The key of a subject; makes it if there is none.
    pub(super) fn make_key(&mut self, make: &Make) -> Result<KeyState> {
        if let Some(stands) = find(&self.connection, &make.subject)? {
            return Ok(stands);
        }
        self.put_key(&make.subject, make.key.bytes())?;
        Ok(KeyState::Kept(make.key.clone()))
    }

    /// Destroys the key of a subject. Whether it had one; one that is damaged is destroyed too.
    pub(super) fn shred(&mut self, shred: &Shred) -> Result<bool> {
        let had_one = match find(&self.connection, &shred.subject) {
            Ok(stands) => matches!(stands, Some(KeyState::Kept(_))),
            Err(Error::Corrupt { .. }) => true,
            Err(error) => return Err(error),
        };
        self.put_key(&shred.subject, &GAP)?;
        Ok(had_one)
    }

    pub(super) fn put_key(&self, subject: &Name, key: &[u8; KEY_BYTES]) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::PUT_KEY).map_err(database)?;
        statement.execute(params![subject.as_str(), key, checksum_of(subject, key)]).map_err(database)?;
        Ok(())
    }
}

const FIND: &str = "SELECT s.key, s.crc, s.name = ?1
    FROM subject i LEFT JOIN subject s ON s.id = i.id WHERE i.name = ?1";

/// How a subject stands, if it is known.
pub(super) fn find(connection: &Connection, subject: &Name) -> Result<Option<KeyState>> {
    let read = |row: &Row<'_>| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, u32>(1)?));
    let found = look_up(connection, FIND, ("key of subject", subject), [subject.as_str()], read)?;
    let Some((key, crc)) = found else { return Ok(None) };
    let damaged = |detail| corrupt("key of subject", subject.as_str(), 0, detail);
    let key = <[u8; KEY_BYTES]>::try_from(key).map_err(|_| damaged("it has not the length of a key"))?;
    if checksum_of(subject, &key) != crc {
        return Err(damaged("its checksum is wrong"));
    }
    Ok(Some(if key == GAP { KeyState::Shredded } else { KeyState::Kept(Secret::new(key)) }))
}

fn checksum_of(subject: &Name, key: &[u8; KEY_BYTES]) -> u32 {
    checksum::record(Kind::Subject, subject.as_str(), 0, "", 0, 0, key)
}
