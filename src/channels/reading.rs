//! What a subscription to a pattern reads: changes tell which channel has come how far, and the messages up to there are
//! read from that channel.
//!
//! How far each channel has been read is remembered, so a change is only ever a hint: what comes next is what was not read
//! yet, whatever was told. Whoever is so far behind that changes are gone looks at all channels of the pattern instead,
//! once, and goes on with the changes that are left.

use std::collections::{BTreeMap, VecDeque};

use millpond_actors::error::{Error, Result};
use millpond_actors::feed::From;
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::pattern::Pattern;
use millpond_actors::storage::View;
use millpond_actors::storage::change::Primitive;
use millpond_actors::storage::feed::{Head, Kind, Message, Query};

use crate::watching::Watched;

const KIND: Kind = Kind::Channel;

/// A message as it was recorded, and of which channel it is.
pub(super) type Found = (Name, Message);

/// How far the channels of a pattern have been read.
#[derive(Debug)]
pub(super) struct Reading {
    pattern: Pattern,
    /// Of each channel the last message that has been read; of one that is not here, none has.
    cursors: BTreeMap<Name, u64>,
    /// The number of the last change that has been dealt with.
    after: u64,
    /// All channels are being looked at: those behind this name are left.
    walk: Option<String>,
}

/// How much may still be put into this page.
struct Room {
    rows: u32,
    bytes: usize,
}

impl Room {
    fn page() -> Room {
        Room { rows: limits::PAGE_ROWS, bytes: limits::PAGE_BYTES }
    }

    fn take(&mut self, bytes: usize) {
        (self.rows, self.bytes) = (self.rows.saturating_sub(1), self.bytes.saturating_sub(bytes));
    }

    fn is_used_up(&self) -> bool {
        self.rows == 0 || self.bytes == 0
    }
}

impl Reading {
    /// Nothing was read yet, and changes count from behind this one.
    pub(super) fn new(pattern: Pattern, after: u64) -> Reading {
        let walk = Some(before_all(&pattern));
        Reading { pattern, cursors: BTreeMap::new(), after, walk }
    }

    /// Finds out where the channels that are there begin, a page of them at a time. Whether there are more.
    ///
    /// # Errors
    /// What the database said.
    pub(super) fn begin(&mut self, from: From, view: &mut dyn View) -> Result<bool> {
        for (name, head) in self.next_channels(view)? {
            let place = from.find_in(KIND, &name, (head.first, head.last), view)?;
            self.remember(name, place.next.saturating_sub(1))?;
        }
        if self.walk.is_none() && from != From::Now {
            // What is there already comes before what changes.
            self.walk = Some(before_all(&self.pattern));
            return Ok(false);
        }
        Ok(self.walk.is_some())
    }

    fn remember(&mut self, name: Name, cursor: u64) -> Result<()> {
        if self.cursors.len() >= limits::CHANNELS_FOLLOWED && !self.cursors.contains_key(&name) {
            let limit = limits::CHANNELS_FOLLOWED as u64;
            return Err(Error::Overloaded { what: "the list of channels that a pattern follows", limit });
        }
        self.cursors.insert(name, cursor);
        Ok(())
    }

    /// The next page of the channels of the pattern; the walk is moved behind it, or ends.
    fn next_channels(&mut self, view: &mut dyn View) -> Result<Vec<(Name, Head)>> {
        let Some(after) = &self.walk else { return Ok(Vec::new()) };
        let heads =
            view.feeds(KIND, Some(after.as_str()).filter(|after| !after.is_empty()), limits::PAGE_ROWS)?;
        let prefix = self.pattern.prefix();
        let beyond = |name: &str| name > prefix && !name.starts_with(prefix);
        let last = heads.last().map(|head| head.name.clone());
        self.walk = last.filter(|last| heads.len() == limits::PAGE_ROWS as usize && !beyond(last));
        let ours = heads.into_iter().filter(|head| self.pattern.matches(&head.name));
        ours.map(|head| Ok((Name::new(&head.name)?, head))).collect()
    }

    /// Reads a channel up to a message, or until the page is full. Whether it came so far.
    fn read_channel(
        &mut self,
        name: &Name,
        to: u64,
        view: &mut dyn View,
        room: &mut Room,
        ready: &mut VecDeque<Result<Found>>,
    ) -> Result<bool> {
        let mut cursor = self.cursors.get(name).copied().unwrap_or(0);
        while cursor < to {
            if room.is_used_up() {
                return Ok(false);
            }
            let from = cursor + 1;
            let (backward, since, until, content, limit) = (false, None, None, None, room.rows);
            let query =
                Query { kind: KIND, name: name.clone(), backward, from, to, since, until, content, limit };
            let page = view.feed_page(&query)?;
            if from < page.first {
                let missed = page.first - from;
                ready.push_back(Err(Error::Lagged { kind: KIND.word(), name: name.to_string(), missed }));
                cursor = page.first - 1;
                room.take(0);
            }
            for (sequence, message) in page.messages {
                room.take(message.as_ref().map_or(0, |message| message.data.bytes().len()));
                ready.push_back(message.map(|message| (name.clone(), message)));
                cursor = sequence;
            }
            if !page.more && cursor < to {
                ready.push_back(Err(gone_back(name, cursor + 1)));
                cursor = to;
            }
            // At once, so that nothing comes twice if the next page cannot be read.
            self.remember(name.clone(), cursor)?;
        }
        Ok(true)
    }

    /// Reads what is left of all channels, a page of them.
    fn read_all(
        &mut self,
        view: &mut dyn View,
        room: &mut Room,
        ready: &mut VecDeque<Result<Found>>,
    ) -> Result<()> {
        let before = self.walk.clone();
        let mut done = before.clone();
        for (name, head) in self.next_channels(view)? {
            let read = self.read_channel(&name, head.last, view, room, ready);
            if !matches!(read, Ok(true)) {
                // The same page of channels again, as far as they were not read.
                self.walk = done;
                return read.map(drop);
            }
            done = Some(name.to_string());
        }
        Ok(())
    }
}

impl Watched for Reading {
    type Item = Found;

    fn read(&mut self, view: &mut dyn View, ready: &mut VecDeque<Result<Found>>) -> Result<bool> {
        let mut room = Room::page();
        if self.walk.is_some() {
            self.read_all(view, &mut room, ready)?;
            return Ok(true);
        }
        let page = view.changes(self.after, limits::PAGE_ROWS)?;
        let more = page.len() == limits::PAGE_ROWS as usize;
        for change in page {
            if change.number > self.after + 1 {
                // What is missing is not kept any more, and the channels know all that it could have told.
                self.after = change.number - 1;
                self.walk = Some(before_all(&self.pattern));
                return Ok(true);
            }
            let is_ours = change.primitive == Primitive::Channel && self.pattern.matches(&change.name);
            if let (true, Some(to)) = (is_ours, change.sequence)
                && !self.read_channel(&Name::new(&change.name)?, to, view, &mut room, ready)?
            {
                return Ok(true);
            }
            self.after = change.number;
        }
        Ok(more)
    }
}

/// A name before all that begin as the pattern does: without its last character.
fn before_all(pattern: &Pattern) -> String {
    let mut before = pattern.prefix().to_owned();
    before.pop();
    before
}

/// The store knew of more messages than it has.
fn gone_back(name: &Name, sequence: u64) -> Error {
    let detail = "it was there, and is not any more".to_owned();
    Error::Corrupt { kind: KIND.word(), name: name.to_string(), sequence, detail }
}
