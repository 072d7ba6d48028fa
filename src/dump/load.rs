//! Writing what a dump holds, in one transaction: whatever is refused, or fails, or ends the process, the store is as it was.

use std::mem;

use millpond_actors::clock::Moment;
use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::storage::batch::Check;
use millpond_actors::storage::blob::Blob;
use millpond_actors::storage::change::{self, Changed};
use millpond_actors::storage::dict::Entry;
use millpond_actors::storage::feed::Message;
use millpond_actors::storage::list::Item;
use millpond_actors::storage::queue::Job;
use millpond_actors::storage::record::{self, Base, Load, Onto, Record, Refusal};
use millpond_actors::storage::subscription::Span;
use millpond_actors::storage::{Apply, Session};

use super::plan::{Plan, refused};
use super::{Loaded, label, section_of};

/// Puts all that is wanted into the store of a session that has the turn, and commits it.
pub(crate) fn load(session: &mut dyn Session, now: Moment, mut plan: Plan) -> Result<Loaded> {
    let above = plan.header.token + limits::TOKENS_AHEAD;
    let mut loading = Loading::begin(session, now, (plan.load.onto, above, plan.header.position))?;
    loading.streams = plan.streams.iter().cloned().rev().collect();
    let wanted = plan.wanted.clone();
    plan.each(&mut |line, record| {
        let (kind, name) = label(&record);
        if wanted.wants(section_of(kind), name) {
            return loading.take(line, record);
        }
        loading.loaded.left_out += 1;
        Ok(())
    })?;
    loading.compare_streams()?;
    loading.commit(now)
}

/// The group of a load, the only one of its session.
const GROUP: u64 = 1;

/// Commits, and finds out what has become of a commit that failed.
fn commit(session: &mut dyn Session, now: Moment) -> Result<()> {
    let Err(error) = session.commit(GROUP) else { return Ok(()) };
    let mut settle = || {
        session.rollback();
        session.reopen()?;
        session.begin(now)?;
        let last = session.last_group()?;
        // Behind it, nothing of the one that failed can surface after a crash.
        session.commit(GROUP + 1).map(|()| last >= GROUP)
    };
    match settle() {
        Ok(true) => Ok(()),
        Ok(false) | Err(Error::FileReplaced { .. }) => Err(error),
        Err(_) => Err(Error::CommitUnknown { detail: error.to_string() }),
    }
}

/// Records on their way into a store, in one transaction, in the order of a dump.
pub(crate) struct Loading<'a> {
    session: &'a mut dyn Session,
    onto: Onto,
    above: u64,
    head: u64,
    /// Somebody watches what changes.
    watched: bool,
    /// Of what has a name, and whose contents come.
    base: Base,
    /// Events have other positions than they had.
    moved: bool,
    /// Streams that are to be what they were in the dump, the first one last.
    streams: Vec<(millpond_actors::name::Name, u64)>,
    records: Vec<Record>,
    lines: Vec<u64>,
    bytes: usize,
    loaded: Loaded,
}

impl<'a> Loading<'a> {
    /// Opens the transaction. What becomes of names that are there; the tokens that are never given from now on; the position of the
    /// last event of the store that the records are of.
    pub(crate) fn begin(
        session: &'a mut dyn Session,
        now: Moment,
        (onto, above, head): (Onto, u64, u64),
    ) -> Result<Loading<'a>> {
        session.begin(now)?;
        let watched = session.is_watched()?;
        let mut loading = Loading {
            session,
            onto,
            above,
            head,
            watched,
            base: Base::NONE,
            moved: false,
            streams: Vec::new(),
            records: Vec::new(),
            lines: Vec::new(),
            bytes: 0,
            loaded: Loaded::default(),
        };
        // Also if nothing comes: tokens go on above.
        loading.apply()?;
        Ok(loading)
    }

    /// Goes on with what is in something that is there, under `head`, which adds nothing to its numbers: by so much they are moved.
    /// What comes behind it is not, because it has been moved already, or does not have to be.
    pub(crate) fn go_on(&mut self, head: Record) -> Result<i64> {
        self.put()?;
        let onto = mem::replace(&mut self.onto, Onto::Append);
        self.push(0, head);
        let done = self.put();
        self.onto = onto;
        done.map(|()| mem::replace(&mut self.base, Base::NONE).shift)
    }

    /// Whether the transaction fulfils a condition.
    pub(crate) fn holds(&mut self, condition: Check) -> Result<bool> {
        let outcome = self.session.apply(&condition.into_operation())?;
        Ok(Check::from_outcome(outcome).unwrap_or(false))
    }

    /// Whether an event has come to another position than it had.
    pub(crate) fn has_moved(&self) -> bool {
        self.moved
    }

    /// What has become of records so far.
    pub(crate) fn loaded(&self) -> Loaded {
        self.loaded
    }

    /// Puts what is at hand, and commits all of it.
    pub(crate) fn commit(mut self, now: Moment) -> Result<Loaded> {
        self.put()?;
        let loaded = self.loaded;
        commit(self.session, now).map(|()| loaded)
    }

    /// Takes a record, which is put with others; `line` is what it is called by if it is refused.
    pub(crate) fn take(&mut self, line: u64, record: Record) -> Result<()> {
        let is_projection = matches!(record, Record::Projection { .. });
        if is_projection && !matches!(self.records.last(), None | Some(Record::Projection { .. })) {
            self.put()?;
        }
        if self.moved && is_projection {
            let reason = "it stands at positions that its events have not been given here; leave it out";
            return Err(refused(line, reason.into()));
        }
        if is_named(&record) {
            // What comes behind it is moved by what becomes of it.
            self.put()?;
            self.push(line, record);
            return self.put();
        }
        let record = self.base_moved(record);
        self.push(line, record);
        if self.records.len() >= limits::LOADED_AT_ONCE || self.bytes >= limits::LOADED_BYTES {
            self.put()?;
        }
        Ok(())
    }

    fn push(&mut self, line: u64, record: Record) {
        self.bytes += size(&record);
        self.records.push(record);
        self.lines.push(line);
    }

    /// What is in a stream beyond the dump would stay.
    fn compare_streams(&mut self) -> Result<()> {
        if self.onto != Onto::Replace {
            return Ok(());
        }
        self.put()?;
        // They are asked for, and are no records of the dump.
        let loaded = self.loaded;
        while let Some((name, version)) = self.streams.pop() {
            let record = Record::Stream { name, version, erased: 0, closed: false };
            self.push(0, record);
            if self.records.len() >= limits::LOADED_AT_ONCE {
                self.put()?;
            }
        }
        self.put()?;
        self.loaded = loaded;
        Ok(())
    }

    /// Puts what is at hand.
    pub(crate) fn put(&mut self) -> Result<()> {
        if self.records.is_empty() { Ok(()) } else { self.apply() }
    }

    fn apply(&mut self) -> Result<()> {
        let (records, onto) = (mem::take(&mut self.records), self.onto);
        let (above, head) = (self.above, self.head);
        let operation = Load { records, onto, above, head }.into_operation();
        let outcome = self.session.apply(&operation)?;
        if self.watched {
            let mut changes = Vec::new();
            change::of(&operation, &outcome, &mut changes);
            self.tell(changes)?;
        }
        let millpond_actors::storage::Operation::RecordLoad(Load { records, .. }) = operation else {
            return Ok(());
        };
        match Load::from_outcome(outcome) {
            Some(record::Loaded::Done { base, written, known, moved, .. }) => {
                self.base = if records.last().is_some_and(is_named) { base } else { self.base };
                self.moved |= moved;
                self.loaded.written += written;
                self.loaded.known += known;
            }
            Some(record::Loaded::Refused { index, why }) => {
                let line = self.lines.get(index).copied().unwrap_or(0);
                return Err(records.get(index).map_or(Error::Closed, |record| explain(line, record, why)));
            }
            None => {}
        }
        self.bytes = 0;
        self.lines.clear();
        Ok(())
    }

    fn tell(&mut self, mut changes: Vec<Changed>) -> Result<()> {
        let kept = usize::try_from(limits::CHANGES).unwrap_or(usize::MAX);
        let changes = changes.split_off(changes.len().saturating_sub(kept));
        self.session.apply(&change::Record { changes }.into_operation()).map(drop)
    }

    /// With numbers that go on behind those that were given.
    fn base_moved(&self, record: Record) -> Record {
        let base = self.base;
        match record {
            Record::Subscription { kind, feed, name, cursor, beyond } => {
                let moved = |span: &Span| Span { first: base.moved(span.first), last: base.moved(span.last) };
                let beyond = beyond.iter().map(moved).collect();
                Record::Subscription { kind, feed, name, cursor: base.moved(cursor), beyond }
            }
            Record::Message { kind, feed, message } => {
                let (sequence, recorded_at) =
                    (base.moved(message.sequence), message.recorded_at.max(base.since));
                let message = Box::new(Message { sequence, recorded_at, ..*message });
                Record::Message { kind, feed, message }
            }
            Record::Job { queue, job } => {
                let job = Box::new(Job { sequence: base.moved(job.sequence), ..*job });
                Record::Job { queue, job }
            }
            Record::Entry { dict, entry } => {
                let entry = Box::new(Entry { version: base.moved(entry.version), ..*entry });
                Record::Entry { dict, entry }
            }
            Record::Item { list, item } => {
                let item = Box::new(Item { version: base.moved(item.version), ..*item });
                Record::Item { list, item }
            }
            Record::Blob { blobs, blob } => {
                let blob = Box::new(Blob { version: base.moved(blob.version), ..*blob });
                Record::Blob { blobs, blob }
            }
            record => record,
        }
    }
}

/// Whether what comes behind it is in it.
pub(crate) fn is_named(record: &Record) -> bool {
    matches!(
        record,
        Record::Feed { .. }
            | Record::Queue { .. }
            | Record::Dict { .. }
            | Record::List { .. }
            | Record::Blobs { .. }
    )
}

/// Bytes that can be many.
pub(crate) fn size(record: &Record) -> usize {
    match record {
        Record::Event(event) => event.data.bytes().len() + event.metadata.as_ref().map_or(0, String::len),
        Record::Message { message, .. } => message.data.bytes().len(),
        Record::Schedule { schedule, .. } => schedule.plan.job.data.bytes().len(),
        Record::Job { job, .. } => job.data.bytes().len(),
        Record::Entry { entry, .. } => entry.data.bytes().len(),
        Record::Item { item, .. } => item.data.bytes().len(),
        Record::Blob { blob, .. } => blob.metadata.as_ref().map_or(0, String::len),
        Record::Chunk { data, .. } => data.0.len(),
        _ => 0,
    }
}

/// Why the store did not take it.
fn explain(line: u64, record: &Record, why: Refusal) -> Error {
    let (kind, name) = label(record);
    let reason = match why {
        Refusal::Exists => {
            return Error::Exists { kind: section_of(kind), name: name.to_owned() };
        }
        Refusal::Taken(id) => format!("the id {id} is taken by another event"),
        Refusal::Closed => format!("stream \"{name}\" is closed, and holds less"),
        Refusal::Diverged => {
            let what = "holds something else, or more, and events are never removed";
            format!("stream \"{name}\" cannot be replaced: it {what}")
        }
        Refusal::OtherKey => format!("subject \"{name}\" has another key"),
        Refusal::Shredded => format!("the key of subject \"{name}\" was destroyed, and never comes back"),
        Refusal::OtherSeal => {
            format!("dict \"{name}\" keeps its values otherwise: as they are, or with another seal")
        }
        Refusal::Full => format!("queue \"{name}\" has as many schedules as it can have"),
        Refusal::Beyond => {
            format!("projection \"{name}\" stands behind an event that is not there; load its events too")
        }
        Refusal::Orphan => format!("\"{name}\" is not there"),
    };
    refused(line, reason)
}
