//! Records of a dump in the database: which primitive puts which of them back, a file each, and what of a dump no primitive reads.

mod blobs;
mod dicts;
mod feeds;
mod projections;
mod queues;
mod streams;
mod subjects;

use millpond_actors::error::Result;
use millpond_actors::storage::list::shelf;
use millpond_actors::storage::record::{self, Imprint, Load, Loaded, Put, Record};
use rusqlite::Connection;
use uuid::Uuid;

pub(super) use self::streams::marked;
pub(super) use self::subjects::list as subjects;
use super::error::database;
use super::events;
use super::list::Shelf;
use super::migrate::SCHEMA;
use super::session::SqliteSession;

impl SqliteSession {
    /// Puts records back.
    pub(super) fn load_records(&mut self, load: &Load) -> Result<Loaded> {
        self.counters.token = self.counters.token.max(load.above);
        record::load(load, |record| self.put_record(load, record))
    }

    fn put_record(&mut self, load: &Load, record: &Record) -> Result<Put> {
        let onto = load.onto;
        match record {
            Record::Subject { name, state } => self.put_subject(onto, name, state),
            Record::Event(event) => self.put_event(onto, event),
            Record::Stream { name, version, erased, closed } => {
                self.put_stream(onto, name, *version, (*erased, *closed))
            }
            Record::Feed { kind, name, first, last, recorded_at, retention } => {
                self.put_feed(onto, (*kind, name), (*first, *last, *recorded_at), *retention)
            }
            Record::Subscription { kind, feed, name, cursor, beyond } => {
                self.put_subscription((*kind, feed), name, *cursor, beyond)
            }
            Record::Message { kind, feed, message } => self.put_message((*kind, feed), message),
            Record::Queue { name, sequence, options } => self.put_queue(onto, name, *sequence, *options),
            Record::Schedule { queue, schedule } => self.put_schedule_back(queue, schedule),
            Record::Job { queue, job } => self.put_job_back(queue, job),
            Record::Dict { name, version, seal, indexes } => {
                self.put_dict(onto, name, *version, (seal.as_deref(), indexes))
            }
            Record::Entry { dict, entry } => self.put_entry_back(dict, entry),
            Record::List { name, version } => {
                shelf::put_back(&mut Shelf(&self.connection), onto, name, *version)
            }
            Record::Item { list, item } => shelf::put_item_back(&mut Shelf(&self.connection), list, item),
            Record::Blobs { name, version } => self.put_blobs(onto, name, *version),
            Record::Blob { blobs, blob } => self.put_blob_back(blobs, blob),
            Record::Chunk { blobs, key, sequence, data } => self.put_chunk_back(blobs, key, *sequence, data),
            Record::Projection { name, rows } => self.put_projection((onto, load.head), name, rows),
        }
    }
}

const IMPRINT: &str =
    "SELECT s.uuid, max(s.token, ifnull(max(p.token), 0)) FROM store s LEFT JOIN process p WHERE s.id = 1";

/// Which store it is, within one snapshot.
pub(super) fn imprint(connection: &Connection) -> Result<Imprint> {
    let mut statement = connection.prepare_cached(IMPRINT).map_err(database)?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, [u8; 16]>(0)?, row.get(1)?));
    let (store, token) = statement.query_row([], read).map_err(database)?;
    let position = events::last(connection)?;
    Ok(Imprint { store: Uuid::from_bytes(store), schema: SCHEMA, position, token })
}
