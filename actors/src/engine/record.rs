//! Records of a dump in tables: which primitive puts which of them back.

use uuid::Uuid;

use super::counter::Counter;
use super::store::{Caller, Store};
use crate::error::Result;
use crate::name;
use crate::storage::list::shelf;
use crate::storage::record::{self, Imprint, Load, Loaded, Marked, Put, Record};

impl Store {
    /// Puts records back.
    pub fn record_load(&mut self, me: &Caller, load: &Load) -> Result<Loaded> {
        if self.counter(Counter::Number) < load.above {
            self.counters.put(Counter::Number, load.above);
        }
        record::load(load, |record| self.put_record(me, load, record))
    }

    fn put_record(&mut self, me: &Caller, load: &Load, record: &Record) -> Result<Put> {
        let onto = load.onto;
        Ok(match record {
            Record::Subject { name, state } => self.subject_load(onto, name, state),
            Record::Event(event) => self.event_load(onto, event),
            Record::Stream { name, version, erased, closed } => {
                self.stream_load(onto, name, *version, (*erased, *closed))
            }
            Record::Feed { kind, name, first, last, recorded_at, retention } => {
                self.feed_load(onto, (*kind, name), (*first, *last, *recorded_at), *retention)?
            }
            Record::Subscription { kind, feed, name, cursor, beyond } => {
                self.subscription_load((*kind, feed), name, *cursor, beyond)
            }
            Record::Message { kind, feed, message } => self.message_load((*kind, feed), message),
            Record::Queue { name, sequence, options } => {
                self.queue_load(me, onto, name, *sequence, *options)?
            }
            Record::Schedule { queue, schedule } => self.schedule_load(queue, schedule),
            Record::Job { queue, job } => self.job_load(queue, job),
            Record::Dict { name, version, seal, indexes } => {
                self.dict_load(onto, name, *version, (seal.as_deref(), indexes))?
            }
            Record::Entry { dict, entry } => self.entry_load(dict, entry),
            Record::List { name, version } => shelf::put_back(self, onto, name, *version)?,
            Record::Item { list, item } => shelf::put_item_back(self, list, item)?,
            Record::Blobs { name, version } => self.blobs_load(onto, name, *version)?,
            Record::Blob { blobs, blob } => self.blob_load(blobs, blob),
            Record::Chunk { blobs, key, sequence, data } => self.chunk_load(blobs, key, *sequence, data),
            Record::Projection { name, rows } => self.projection_load((onto, load.head), name, rows),
        })
    }

    /// Which store it is.
    pub fn imprint(&self) -> Imprint {
        let token = self.counter(Counter::Number);
        Imprint { store: Uuid::nil(), schema: 0, position: self.head(), token }
    }

    /// Streams that were erased or closed, by name.
    pub fn marked_streams(&self, after: Option<&str>, limit: u32) -> Vec<Marked> {
        let later = self.stream_names.range(name::behind(after));
        let marked = later.filter_map(|(name, id)| {
            let stream = self.streams.get(id)?;
            let marked = stream.erased > 0 || stream.closed;
            let (name, version, erased) = (name.to_string(), stream.version, stream.erased);
            marked.then_some(Marked { name, version, erased, closed: stream.closed })
        });
        marked.take(limit as usize).collect()
    }
}
