//! Foreign hands on the snapshots of a store that nobody uses: whatever they do, it must cost a replay and nothing else.

use std::path::Path;

use millpond_actors::storage::checksum::{self, Kind};
use rusqlite::{Connection, params};

use crate::Result;
use crate::random::Random;

/// A snapshot as it is stored.
struct Row {
    stream: i64,
    name: String,
    version: u64,
    schema: u32,
    format: u8,
    crc: u32,
    data: Vec<u8>,
}

const READ: &str = "SELECT s.stream, t.name, s.version, s.schema, s.format, s.crc, s.data
    FROM snapshot s JOIN stream t ON t.id = s.stream ORDER BY s.stream";
const WRITE: &str =
    "UPDATE snapshot SET version = ?2, schema = ?3, format = ?4, crc = ?5, data = ?6 WHERE stream = ?1";
const REMOVE: &str = "DELETE FROM snapshot WHERE stream = ?1";

impl Row {
    /// Gives it the checksum of what it says.
    fn sign(&mut self) {
        let Row { name, version, schema, format, data, .. } = self;
        self.crc = checksum::record(Kind::Snapshot, name, *version, "", *format, *schema, data);
    }
}

/// Damages the snapshots, each in a way of its own; how many there were.
///
/// # Errors
/// What the database said.
pub(super) fn damage(file: &Path, random: &mut Random) -> Result<u64> {
    change(file, |row| {
        let at = random.below(row.data.len().max(1) as u64) as usize;
        match random.below(8) {
            0 => return false,
            1 => row.data.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
            2 => row.data.truncate(at),
            3 => row.crc ^= 1 << random.below(32),
            4 => row.version += 1 + random.below(1_000_000),
            5 => row.format = 1,
            6 => {
                row.schema += 1;
                row.sign();
            }
            // It is what was written, and cannot be read.
            _ => {
                row.data.clear();
                row.sign();
            }
        }
        true
    })
}

/// Makes each snapshot a wrong one that looks right: it knows an event more than it says.
///
/// # Errors
/// What the database said.
pub(super) fn forge(file: &Path) -> Result<u64> {
    change(file, |row| {
        row.version = row.version.saturating_sub(1);
        row.sign();
        true
    })
}

/// Changes each snapshot, or removes those of which `change` says `false`.
fn change(file: &Path, mut change: impl FnMut(&mut Row) -> bool) -> Result<u64> {
    let mut connection = Connection::open(file)?;
    let transaction = connection.transaction()?;
    let mut rows: Vec<Row> = transaction
        .prepare(READ)?
        .query_map([], |row| {
            Ok(Row {
                stream: row.get(0)?,
                name: row.get(1)?,
                version: row.get(2)?,
                schema: row.get(3)?,
                format: row.get(4)?,
                crc: row.get(5)?,
                data: row.get(6)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    for row in &mut rows {
        let stays = change(row);
        if stays {
            let Row { stream, version, schema, format, crc, data, .. } = &*row;
            transaction.execute(WRITE, params![stream, version, schema, format, crc, data])?;
        } else {
            transaction.execute(REMOVE, [row.stream])?;
        }
    }
    transaction.commit()?;
    Ok(rows.len() as u64)
}
