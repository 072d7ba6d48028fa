//! Feeds in tables: messages by feed and sequence.

use std::ops::Bound;
use std::sync::Arc;

use super::counter::Counter;
use super::store::{Caller, Store};
use crate::error::{Error, Result};
use crate::limits;
use crate::name::Name;
use crate::storage::Target;
use crate::storage::change::{Changed, Primitive};
use crate::storage::feed::{
    Append, Appended, Cut, Head, Kind, Message, Page, Query, Retain, Retention, Trim, Trimmed,
};
use crate::storage::filter::Matcher;
use crate::storage::record::{self, Base, Onto, Put, Refusal};

/// What may come to an end.
const NUMBERS: &str = "the sequence of a feed";

/// A feed that was used or configured.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Its name.
    pub name: Name,
    /// A log or a channel.
    pub kind: Kind,
    /// The first message kept.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// Of the data kept.
    pub bytes: u64,
    /// When the last one was recorded.
    pub recorded_at: i64,
    /// How much is kept.
    pub retention: Retention,
}

impl Feed {
    fn new(kind: Kind, name: &Name) -> Feed {
        let (name, retention) = (name.clone(), Retention::default());
        Feed { name, kind, first: 1, last: 0, bytes: 0, recorded_at: 0, retention }
    }

    fn head(&self, id: u64) -> Head {
        let Feed { name, first, last, bytes, recorded_at, retention, .. } = self.clone();
        Head { id, name: name.to_string(), first, last, bytes, recorded_at, retention }
    }

    /// Nothing goes yet.
    fn cut(&self, me: &Caller) -> Cut {
        let Feed { first, last, bytes, .. } = *self;
        let newest = self.recorded_at.max(me.now.wall_ms);
        Cut { first, last, bytes, newest, retention: Retention::default(), before: 0 }
    }
}

/// What is written.
impl Store {
    /// Appends all messages or none, and removes what is too much.
    pub fn feed_append(&mut self, me: &Caller, operation: &Append) -> Result<Appended> {
        let Append { kind, feed, messages, fence } = operation;
        if messages.is_empty() {
            let what = format!("append to {} \"{}\"", kind.word(), feed.name);
            return Err(Error::InvalidArgument { what, reason: "it is empty".into() });
        }
        if fence.as_ref().is_some_and(|fence| !self.fence_stands(me, fence)) {
            return Ok(Appended::Fenced);
        }
        let (id, mut row) = self.feed_or_new(*kind, feed);
        row.recorded_at = if row.last == 0 { me.now.wall_ms } else { row.recorded_at.max(me.now.wall_ms) };
        for new in messages {
            row.last += 1;
            row.bytes += new.data.bytes().len() as u64;
            let message = new.clone().recorded(row.last, row.recorded_at);
            self.messages.put((id, row.last), Arc::new(message));
        }
        let cut = Cut { newest: row.recorded_at, retention: row.retention, ..row.cut(me) };
        self.feed_cut(id, &mut row, cut, messages.len() + limits::REMOVED_AT_ONCE);
        let (last, first, recorded_at) = (row.last, row.first, row.recorded_at);
        self.feeds.put(id, row);
        Ok(Appended::Done { feed: id, last, first, recorded_at })
    }

    /// Says how much is kept, and begins to remove the rest.
    pub fn feed_retain(&mut self, me: &Caller, operation: &Retain) -> Trimmed {
        let (id, mut row) = self.feed_or_new(operation.kind, &operation.feed);
        row.retention = operation.retention;
        let cut = Cut { retention: row.retention, ..row.cut(me) };
        let trimmed = self.feed_cut(id, &mut row, cut, limits::REMOVED_AT_ONCE);
        self.feeds.put(id, row);
        trimmed
    }

    /// Removes what is before a message.
    pub fn feed_trim(&mut self, me: &Caller, operation: &Trim) -> Trimmed {
        let Some((id, mut row)) = self.feed_row(operation.kind, &operation.feed) else {
            return Trimmed { first: 1, more: false };
        };
        let cut = Cut { before: operation.before, ..row.cut(me) };
        let trimmed = self.feed_cut(id, &mut row, cut, limits::REMOVED_AT_ONCE);
        self.feeds.put(id, row);
        trimmed
    }

    /// Puts a feed back, without its messages.
    pub fn feed_load(
        &mut self,
        onto: Onto,
        (kind, name): (Kind, &Name),
        (first, last, recorded_at): (u64, u64, i64),
        retention: Retention,
    ) -> Result<Put> {
        let target = Target { name: name.clone(), id: None };
        let before = self.feed_row(kind, &target);
        let (id, new) = self.feed_or_new(kind, &target);
        let verbatim = Feed { first, last, recorded_at, retention, ..new };
        let Some((_, row)) = before else {
            self.feeds.put(id, verbatim);
            return Ok(Put::Placed(Base::NONE));
        };
        let (row, base) = match onto {
            Onto::Nothing => return Ok(Put::Refused(Refusal::Exists)),
            Onto::Replace => {
                self.feed_emptied(id);
                let (first, last) = (row.last + first, record::behind(row.last, last, NUMBERS)?);
                let shift = row.last.cast_signed();
                (Feed { first, last, bytes: 0, ..verbatim }, Base { shift, ..Base::NONE })
            }
            Onto::Append => {
                let since = if row.last == 0 { i64::MIN } else { row.recorded_at };
                let (shift, count) = ((row.last + 1).cast_signed() - first.cast_signed(), last + 1 - first);
                let recorded_at = if count == 0 { row.recorded_at } else { recorded_at.max(since) };
                let last = record::behind(row.last, count, NUMBERS)?;
                (Feed { last, recorded_at, ..row }, Base { shift, since })
            }
        };
        self.feeds.put(id, row);
        Ok(Put::Placed(base))
    }

    /// Nothing is in it any more, and nobody has read anything.
    fn feed_emptied(&mut self, id: u64) {
        let messages: Vec<_> = self.messages.range((id, 0)..=(id, u64::MAX)).map(|(key, _)| *key).collect();
        messages.iter().for_each(|key| self.messages.remove(key));
        let least = Name::least;
        let cursors = self.cursors.range((id, least())..(id + 1, least()));
        let cursors: Vec<_> = cursors.map(|(key, _)| key.clone()).collect();
        cursors.iter().for_each(|key| self.cursors.remove(key));
        let beyond = self.acknowledged.range((id, least(), 0)..(id + 1, least(), 0));
        let beyond: Vec<_> = beyond.map(|(key, ())| key.clone()).collect();
        beyond.iter().for_each(|key| self.acknowledged.remove(key));
    }

    /// Puts a message back.
    pub fn message_load(&mut self, (kind, name): (Kind, &Name), message: &Message) -> Put {
        let Some((id, mut row)) = self.feed_row(kind, &Target { name: name.clone(), id: None }) else {
            return Put::Refused(Refusal::Orphan);
        };
        row.bytes += message.data.bytes().len() as u64;
        self.feeds.put(id, row);
        self.messages.put((id, message.sequence), Arc::new(message.clone()));
        let primitive = match kind {
            Kind::Log => Primitive::Log,
            Kind::Channel => Primitive::Channel,
        };
        Put::Written(Some(Changed { primitive, row: id, sequence: Some(message.sequence), key: None }))
    }

    pub(super) fn feed_row(&self, kind: Kind, feed: &Target) -> Option<(u64, Feed)> {
        let id = feed.id.or_else(|| self.feed_names.get(&(kind, feed.name.clone())).copied())?;
        self.feeds.get(&id).map(|row| (id, row.clone()))
    }

    pub(super) fn feed_or_new(&mut self, kind: Kind, feed: &Target) -> (u64, Feed) {
        if let Some(found) = self.feed_row(kind, feed) {
            return found;
        }
        let id = self.next(Counter::Feed);
        self.feed_names.put((kind, feed.name.clone()), id);
        (id, Feed::new(kind, &feed.name))
    }

    /// Removes messages from the head, at most so many.
    fn feed_cut(&mut self, id: u64, row: &mut Feed, mut cut: Cut, most: usize) -> Trimmed {
        if !cut.may_remove() {
            return Trimmed { first: cut.first, more: false };
        }
        let (mut gone, mut more) = (Vec::new(), false);
        for (key, message) in self.messages.range((id, row.first)..=(id, row.last)) {
            if !cut.removes(message.sequence, message.recorded_at) {
                break;
            }
            more = gone.len() == most;
            if more {
                break;
            }
            gone.push(*key);
            cut.removed(message.sequence, message.data.bytes().len() as u64);
        }
        gone.iter().for_each(|key| self.messages.remove(key));
        (row.first, row.bytes) = (cut.first, cut.bytes);
        Trimmed { first: cut.first, more }
    }
}

/// What is read.
impl Store {
    pub(super) fn feed_of(&self, kind: Kind, name: &Name) -> Option<(u64, &Feed)> {
        let id = *self.feed_names.get(&(kind, name.clone()))?;
        self.feeds.get(&id).map(|row| (id, row))
    }

    /// How a feed stands.
    pub fn feed_head(&self, kind: Kind, name: &Name) -> Option<Head> {
        self.feed_of(kind, name).map(|(id, row)| row.head(id))
    }

    /// Feeds by name.
    pub fn feed_list(&self, kind: Kind, after: Option<&str>, limit: u32) -> Vec<Head> {
        let from = after.map_or(Bound::Included((kind, Name::least())), |after| {
            Bound::Excluded((kind, Name::unchecked(after)))
        });
        let names = self.feed_names.range((from, Bound::Unbounded)).take_while(|((of, _), _)| *of == kind);
        let heads = names.filter_map(|(_, id)| self.feeds.get(id).map(|row| row.head(*id)));
        heads.take(limit as usize).collect()
    }

    /// How many feeds of a kind there are.
    pub fn feed_count(&self, kind: Kind) -> u64 {
        self.feeds.iter().filter(|(_, row)| row.kind == kind).count() as u64
    }

    /// One page of a feed.
    pub fn feed_page(&self, query: &Query) -> Page {
        let Some((id, row)) = self.feed_of(query.kind, &query.name) else { return Page::nothing() };
        let mut page = Page { first: row.first, head: row.last, ..Page::nothing() };
        if query.from > query.to {
            return page;
        }
        let within = |message: &&Arc<Message>| {
            query.since.is_none_or(|since| message.recorded_at >= since)
                && query.until.is_none_or(|until| message.recorded_at < until)
        };
        let range = (id, query.from)..=(id, query.to);
        let rows = self.messages.range(range).map(|(_, message)| message).filter(within);
        let matcher = query.content.as_ref().map(|content| Matcher::new(content, self.fields));
        if query.backward {
            take(&mut page, query.limit, matcher.as_ref(), rows.rev());
        } else {
            take(&mut page, query.limit, matcher.as_ref(), rows);
        }
        page
    }
}

/// Takes rows until the page is full, by count or by size, and looks whether one is left.
fn take<'a>(
    page: &mut Page,
    limit: u32,
    matcher: Option<&Matcher>,
    mut rows: impl Iterator<Item = &'a Arc<Message>>,
) {
    let (mut bytes, mut others) = (0, 0);
    while page.messages.len() < limit as usize
        && bytes < limits::PAGE_BYTES
        && others < limits::OTHERS_PER_PAGE
    {
        let Some(message) = rows.next() else { return };
        if matcher.is_some_and(|matcher| !matcher.matches(&message.data)) {
            others += 1;
            page.last = if others < limits::OTHERS_PER_PAGE { page.last } else { Some(message.sequence) };
            continue;
        }
        bytes += message.data.bytes().len();
        page.last = Some(message.sequence);
        page.messages.push((message.sequence, Ok(Message::clone(message))));
    }
    page.more = rows.next().is_some();
}
