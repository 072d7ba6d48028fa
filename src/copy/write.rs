//! Writing what is missing to a store, one commit after the other. Each is the continuation of what is there: it looks in its own
//! transaction whether that is as it was left, and is undone otherwise.

use millpond_actors::clock::Moment;
use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::storage::Session;
use millpond_actors::storage::batch::Check;
use millpond_actors::storage::lock::Fence;
use millpond_actors::storage::record::{Onto, Record};

use super::records::{Item, Original, Records, Under};
use super::{CopyStep, Copying, LOCK, above, words};
use crate::dump::{Loading, is_named, size};

/// What is to be written.
pub(crate) struct Work {
    pub(super) original: Original,
    /// Those that are missing.
    records: Records,
    /// Records that were there.
    pub(super) known: u64,
    /// Records that were written.
    pub(super) written: u64,
    fence: Fence,
    pub(super) copying: Copying,
    is_done: bool,
}

impl Work {
    /// Behind so many records that are there. Whether anything is to be written may stand beside them: tokens above the original's.
    pub(super) fn new(
        original: Original,
        (mut records, known): (Records, u64),
        tokens_are_above: bool,
        (fence, copying): (Fence, Copying),
    ) -> Result<Work> {
        let is_done = records.peek()?.is_none() && tokens_are_above;
        Ok(Work { original, records, known, written: 0, fence, copying, is_done })
    }

    /// Whether all of it is written.
    pub(crate) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Writes the next records and commits them.
    pub(crate) fn go_on(mut self, session: &mut dyn Session, now: Moment) -> Result<Work> {
        let (imprint, is_dump) = (self.original.imprint, self.original.is_dump);
        let mut loading = Loading::begin(session, now, (Onto::Nothing, above(imprint), imprint.position))?;
        // Somebody else may have it by now, if this process was stopped.
        if !loading.holds(Check { fence: self.fence.clone() })? {
            return Err(Error::Fenced { lock: LOCK.into(), token: self.fence.token });
        }
        let at_once = self.copying.records_at_once();
        let (mut count, mut bytes) = (0, 0);
        loop {
            let batch = Batch::gather(&mut self.records, at_once.min(limits::LOADED_AT_ONCE))?;
            count += batch.items.len();
            bytes += batch.bytes;
            batch.put(&mut loading).map_err(|error| stopped(error, is_dump))?;
            // Nobody sees a blob before all of it is there.
            let next = self.records.peek()?;
            let is_within = matches!(next, Some(Item { record: Record::Chunk { .. }, .. }));
            self.is_done = next.is_none();
            let is_enough = count >= at_once || bytes >= limits::COPIED_BYTES;
            if self.is_done || is_enough && !is_within {
                break;
            }
        }
        loading.commit(now)?;
        self.written += count as u64;
        self.copying.tell(CopyStep::Write, self.written);
        Ok(self)
    }
}

/// Records that are put together.
struct Batch {
    items: Vec<Item>,
    /// What the first of them is in, if that is there already.
    under: Option<Under>,
    bytes: usize,
}

impl Batch {
    /// The next records, not many; none behind the last.
    fn gather(records: &mut Records, most: usize) -> Result<Batch> {
        let mut batch = Batch { items: Vec::new(), under: records.under().cloned(), bytes: 0 };
        while let Some(next) = records.peek()? {
            let is_full = batch.items.len() >= most || batch.bytes >= limits::LOADED_BYTES;
            if is_full && batch.items.last().is_none_or(|last| may_part(&last.record, &next.record)) {
                break;
            }
            let Some(item) = records.next()? else { break };
            batch.bytes += size(&item.record);
            batch.items.push(item);
        }
        Ok(batch)
    }

    fn put(mut self, loading: &mut Loading<'_>) -> Result<()> {
        let Some(first) = self.items.first().map(|item| words::of(&item.record)) else { return Ok(()) };
        // Of what is in something that is there.
        let inside = self.items.iter().take_while(|item| is_inside(&item.record));
        let (count, last) = (inside.clone().count(), inside.filter_map(message).last());
        if let Some(under) = self.under.take().filter(|_| count > 0) {
            let (head, shift) = going_on(under, last);
            if loading.go_on(head)? != shift {
                return Err(disturbed(first));
            }
        }
        self.shorten_feed();
        for Item { number, record, .. } in self.items {
            loading.take(number, record)?;
        }
        loading.put()?;
        // What is moved, or is there, is somebody else's.
        if loading.has_moved() || loading.loaded().known > 0 { Err(disturbed(first)) } else { Ok(()) }
    }

    /// A feed in the middle of which it ends has no more messages than that for now: it has as many as it says.
    fn shorten_feed(&mut self) {
        let last = self.items.last().and_then(message);
        let mut heads = self.items.iter_mut().rev().map(|item| &mut item.record);
        if let Some(Record::Feed { last: end, recorded_at, .. }) = heads.find(|record| is_named(record))
            && let Some((sequence, at)) = last
            && sequence < *end
        {
            (*end, *recorded_at) = (sequence, at);
        }
    }
}

/// Number and time of a message.
fn message(item: &Item) -> Option<(u64, i64)> {
    if let Record::Message { message, .. } = &item.record {
        Some((message.sequence, message.recorded_at))
    } else {
        None
    }
}

/// What has a name and is there, so that more of it can come behind, and by how much the store moves that: if it is as it was left.
fn going_on(under: Under, last: Option<(u64, i64)>) -> (Record, i64) {
    let Under { head, next } = under;
    match head {
        Record::Feed { kind, name, last: end, recorded_at, retention, .. } => {
            let (last, recorded_at) = match last {
                Some((last, at)) if last < end => (last, at),
                _ => (end, recorded_at),
            };
            (Record::Feed { kind, name, first: next, last, recorded_at, retention }, 0)
        }
        Record::Queue { name, sequence, options } => {
            (Record::Queue { name, sequence: 0, options }, sequence.cast_signed())
        }
        Record::Dict { name, version, seal, .. } => {
            (Record::Dict { name, version: 0, seal, indexes: Vec::new() }, version.cast_signed())
        }
        Record::List { name, version } => (Record::List { name, version: 0 }, version.cast_signed()),
        Record::Blobs { name, version } => (Record::Blobs { name, version: 0 }, version.cast_signed()),
        other => (other, 0),
    }
}

/// Whether it is in something that has a name, and comes behind that.
fn is_inside(record: &Record) -> bool {
    match record {
        Record::Subscription { .. }
        | Record::Message { .. }
        | Record::Schedule { .. }
        | Record::Job { .. }
        | Record::Entry { .. }
        | Record::Item { .. }
        | Record::Blob { .. }
        | Record::Chunk { .. } => true,
        Record::Subject { .. }
        | Record::Event(_)
        | Record::Stream { .. }
        | Record::Feed { .. }
        | Record::Queue { .. }
        | Record::Dict { .. }
        | Record::List { .. }
        | Record::Blobs { .. }
        | Record::Projection { .. } => false,
    }
}

/// Whether two records may be put one after the other. A feed comes with its subscriptions and its first message, by which it is known
/// how far it has come; a queue with its schedules, of which nothing else would say that they are as they were left.
fn may_part(last: &Record, next: &Record) -> bool {
    match last {
        Record::Feed { .. } | Record::Subscription { .. } => !is_inside(next),
        Record::Queue { .. } | Record::Schedule { .. } => !matches!(next, Record::Schedule { .. }),
        _ => true,
    }
}

/// What is there is not what was left there.
fn disturbed(record: String) -> Error {
    let reason = "what it comes behind is not as it was left: somebody else writes to this store".into();
    Error::CopyStopped { record, reason }
}

/// A record that the store refuses stops the copy.
fn stopped(error: Error, is_dump: bool) -> Error {
    match error {
        Error::LoadRefused { line, reason } => {
            let record = if is_dump { format!("line {line} of the dump") } else { format!("record {line}") };
            Error::CopyStopped { record, reason }
        }
        Error::Exists { kind, name } => {
            let reason = "it is there already: somebody else writes to this store".into();
            Error::CopyStopped { record: format!("{kind} \"{name}\""), reason }
        }
        other => other,
    }
}
