//! What one consumer of a group has at hand: its parts of the channel, what waits there and what it has handed out.
//!
//! Nothing here reads or writes the store. Of each part it knows up to which message it has seen all of them, so that parts
//! may come at any place and be read together, and one that is full is passed by and read again later.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use millpond_actors::error::{Error, Result};
use millpond_actors::limits::{GROUP_AT_HAND, GROUP_BYTES, GROUP_PARTS};
use millpond_actors::storage::feed::Message as Record;
use millpond_actors::storage::lock::Fence;
use millpond_actors::storage::subscription::Acknowledged;
use millpond_actors::thread;

use super::part::part_of;

/// A message, or what is wrong with it.
type Entry = Result<Arc<Record>>;

fn key(entry: &Entry) -> Option<&str> {
    entry.as_ref().ok().and_then(|record| record.key.as_deref())
}

fn size(entry: &Entry) -> usize {
    entry.as_ref().map_or(0, |record| record.data.bytes().len())
}

/// A message that is handed out: whoever has it says what becomes of it.
#[derive(Clone, Debug)]
pub(super) struct Handed {
    pub(super) part: usize,
    pub(super) sequence: u64,
    /// What is compared when it is acknowledged; its token tells one holding of the part from another.
    pub(super) fence: Fence,
    pub(super) entry: Entry,
}

/// What was read of the channel: all messages from one up to another.
#[derive(Debug)]
pub(super) struct Read {
    /// Which of the reads it is, see [`Hand::begin_read`]; `None` of what has come just now.
    pub(super) number: Option<u64>,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) messages: Vec<(u64, Result<Record>)>,
    pub(super) acknowledged: Acknowledged,
    /// Retention has removed what nobody had acknowledged.
    pub(super) removed: bool,
}

/// A part that is held.
#[derive(Debug)]
struct Part {
    fence: Fence,
    /// Reads before this one may not know what was acknowledged by whoever held it before.
    since: u64,
    /// Up to this message that has to be asked for.
    head: u64,
    /// All its messages up to this one have been seen.
    seen: u64,
    waiting: VecDeque<(u64, Entry)>,
    bytes: usize,
    out: BTreeMap<u64, Entry>,
    keys_out: BTreeSet<String>,
    /// It is given up as soon as nothing of it is handed out.
    leaving: bool,
}

impl Part {
    fn is_full(&self) -> bool {
        self.waiting.len() + self.out.len() >= GROUP_AT_HAND || self.bytes >= GROUP_BYTES
    }

    /// Whether it wants to see more: only with half of its room free, so that it does not read a page for each message.
    fn reads(&self) -> bool {
        let at_hand = self.waiting.len() + self.out.len();
        !self.leaving && at_hand <= GROUP_AT_HAND / 2 && self.bytes <= GROUP_BYTES / 2
    }

    /// Where the first message waits whose key is not handed out.
    fn ready(&self) -> Option<usize> {
        let is_out = |entry: &Entry| key(entry).is_some_and(|key| self.keys_out.contains(key));
        (!self.leaving).then(|| self.waiting.iter().position(|(_, entry)| !is_out(entry))).flatten()
    }

    fn put(&mut self, sequence: u64, entry: Entry) {
        self.bytes += size(&entry);
        let at = self.waiting.partition_point(|(other, _)| *other < sequence);
        self.waiting.insert(at, (sequence, entry));
    }

    fn hand_out(&mut self, at: usize, part: usize) -> Option<Handed> {
        let (sequence, entry) = self.waiting.remove(at)?;
        self.bytes -= size(&entry);
        self.keys_out.extend(key(&entry).map(str::to_owned));
        self.out.insert(sequence, entry.clone());
        Some(Handed { part, sequence, fence: self.fence.clone(), entry })
    }

    fn take_back(&mut self, sequence: u64) -> Option<Entry> {
        let entry = self.out.remove(&sequence)?;
        if let Some(key) = key(&entry) {
            self.keys_out.remove(key);
        }
        Some(entry)
    }
}

/// What a consumer has at hand.
#[derive(Debug, Default)]
pub(super) struct Hand {
    parts: [Option<Part>; GROUP_PARTS],
    reads: u64,
    /// Why it has ended.
    ended: Option<Error>,
    /// Whoever asks for messages, and whoever sees to the parts.
    pub(super) consumer: Option<Waker>,
    pub(super) balancer: Option<Waker>,
}

/// Of parts.
impl Hand {
    /// A part is held from now on: all up to the cursor is done, and all up to the head may have been.
    pub(super) fn add(&mut self, part: usize, fence: Fence, cursor: u64, head: u64) {
        let (waiting, out, keys_out) = (VecDeque::new(), BTreeMap::new(), BTreeSet::new());
        let (since, seen) = (self.reads + 1, cursor);
        let new = Part { fence, since, head, seen, waiting, bytes: 0, out, keys_out, leaving: false };
        if let Some(place) = self.parts.get_mut(part) {
            *place = Some(new);
        }
    }

    /// Whether a part is held.
    pub(super) fn has(&self, part: usize) -> bool {
        self.part(part).is_some()
    }

    /// Whether a part can be given up now. From now on nothing more of it is handed out, until it is [kept](Hand::keep).
    pub(super) fn leave(&mut self, part: usize) -> bool {
        let Some(part) = self.part_mut(part) else { return true };
        part.leaving = true;
        part.out.is_empty()
    }

    /// A part is kept. Whether it was about to be given up, so that what waits in it can be handed out again.
    pub(super) fn keep(&mut self, part: usize) -> bool {
        self.part_mut(part).is_some_and(|part| std::mem::take(&mut part.leaving))
    }

    /// A part is held no more.
    pub(super) fn remove(&mut self, part: usize) {
        if let Some(place) = self.parts.get_mut(part) {
            *place = None;
        }
    }

    /// It comes to nothing more.
    pub(super) fn end(&mut self, error: Error) {
        self.ended.get_or_insert(error);
    }

    pub(super) fn ended(&self) -> Option<&Error> {
        self.ended.as_ref()
    }

    /// How many parts are held.
    pub(super) fn count(&self) -> usize {
        self.parts.iter().flatten().filter(|part| !part.leaving).count()
    }

    fn part(&self, part: usize) -> Option<&Part> {
        self.parts.get(part)?.as_ref()
    }

    fn part_mut(&mut self, part: usize) -> Option<&mut Part> {
        self.parts.get_mut(part)?.as_mut()
    }
}

/// Of messages.
impl Hand {
    /// From which message on there has to be read, for parts that have not come as far as what comes now, which is `live`.
    pub(super) fn behind(&self, live: u64) -> Option<u64> {
        let parts = self.parts.iter().flatten().filter(|part| part.reads());
        parts.filter(|part| part.seen < part.head || part.seen + 1 < live).map(|part| part.seen + 1).min()
    }

    /// Where the first part is that wants what comes; `None` if none does.
    pub(super) fn front(&self) -> Option<u64> {
        self.parts.iter().flatten().filter(|part| part.reads()).map(|part| part.seen + 1).min()
    }

    /// The number of a read that begins now.
    pub(super) fn begin_read(&mut self) -> u64 {
        self.reads += 1;
        self.reads
    }

    /// Takes in what was read, each part as far as it has room.
    pub(super) fn take(&mut self, read: Read) {
        let Read { number, from, to, messages, acknowledged, .. } = read;
        let knows = |part: &Part| number.map_or(part.seen >= part.head, |number| number >= part.since);
        let mut open = [false; GROUP_PARTS];
        for (open, part) in open.iter_mut().zip(&self.parts) {
            *open = part.as_ref().is_some_and(|part| part.reads() && knows(part) && part.seen + 1 >= from);
        }
        for (sequence, found) in messages {
            let number = part_of(found.as_ref().ok().and_then(|record| record.key.as_deref()), sequence);
            let (Some(open), Some(Some(part))) = (open.get_mut(number), self.parts.get_mut(number)) else {
                continue;
            };
            if !*open || sequence <= part.seen || acknowledged.contains(sequence) {
                continue;
            }
            if part.is_full() {
                (*open, part.seen) = (false, sequence - 1);
            } else {
                part.put(sequence, found.map(Arc::new));
            }
        }
        let parts = self.parts.iter_mut().zip(open).filter(|(_, open)| *open);
        parts.filter_map(|(part, _)| part.as_mut()).for_each(|part| part.seen = part.seen.max(to));
    }

    /// Hands out the first message that may be.
    pub(super) fn hand_out(&mut self) -> Option<Handed> {
        let ready = |(number, part): (usize, &Option<Part>)| {
            let part = part.as_ref()?;
            let at = part.ready()?;
            Some((part.waiting.get(at)?.0, number, at))
        };
        let (_, number, at) = self.parts.iter().enumerate().filter_map(ready).min()?;
        self.part_mut(number)?.hand_out(at, number)
    }

    /// A message was acknowledged.
    pub(super) fn done(&mut self, handed: &Handed) {
        if let Some(part) = self.holding(handed) {
            part.take_back(handed.sequence);
        }
    }

    /// A message was given back: it is the next of its key again.
    pub(super) fn give_back(&mut self, handed: &Handed) {
        if let Some(part) = self.holding(handed)
            && let Some(entry) = part.take_back(handed.sequence)
        {
            part.put(handed.sequence, entry);
        }
    }

    /// The store says that a part is held no more.
    pub(super) fn robbed(&mut self, handed: &Handed) {
        if self.holding(handed).is_some() {
            self.remove(handed.part);
        }
    }

    /// The part, if it is still held as it was when this was handed out.
    fn holding(&mut self, handed: &Handed) -> Option<&mut Part> {
        self.part_mut(handed.part).filter(|part| part.fence.token == handed.fence.token)
    }
}

/// Shared by a consumer, by what it has handed out, and by whoever sees to its parts.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared(Arc<Mutex<Hand>>);

impl Shared {
    pub(super) fn hand(&self) -> MutexGuard<'_, Hand> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, and has both sides look what that means for them.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Hand) -> T) -> T {
        let mut hand = self.hand();
        let changed = change(&mut hand);
        let wakers = [hand.consumer.take(), hand.balancer.take()];
        drop(hand);
        for waker in wakers.into_iter().flatten() {
            // The consumer's executor is not ours, and may panic.
            let _ = thread::contain(|| "the executor of a caller".into(), || waker.wake());
        }
        changed
    }
}
