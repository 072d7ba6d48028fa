//! The end of one feed in this process: what was committed last, and who waits for more.
//!
//! Whoever waits at the end is served by reading that is shared: when there is news of another process, one page is read,
//! whoever waits is woken, and all of them take it out of a window of what was read last. So a burst to ten thousand
//! followers is read once. What is written in this process is not read at all: it goes into that window as it was
//! committed, if somebody waits for it and nothing before it is missing there. Who has fallen behind the window reads on
//! from the store by himself, and holds up nobody: the shared reading goes where the foremost waits.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::Feeds;
use crate::error::{Error, Result};
use crate::limits;
use crate::name::Name;
use crate::reply::{Answer, Reply};
use crate::storage::View;
use crate::storage::feed::{Kind, Message, Page, Query};
use crate::thread;
use crate::watcher::Watcher;

/// What was read of a feed at once: the messages from one sequence up to another, as far as they are still kept.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) page: Page,
    bytes: usize,
}

impl Batch {
    /// `None` if the page does not reach as far as the first sequence that was asked for.
    pub(super) fn new(from: u64, page: Page) -> Option<Batch> {
        // What was removed is dealt with, and so is what is damaged.
        let looked_at = page.messages.last().map_or(0, |(place, _)| *place);
        let to = looked_at.max(page.last.unwrap_or(0)).max(page.first.saturating_sub(1));
        let size =
            |message: &Result<Message>| message.as_ref().map_or(0, |message| message.data.bytes().len());
        let bytes = page.messages.iter().map(|(_, message)| size(message)).sum();
        (to >= from).then_some(Batch { from, to, page, bytes })
    }
}

/// What there is for somebody who wants a certain message.
pub(super) enum Sight {
    /// It is in here, or was removed.
    Here(Arc<Batch>),
    /// The others are ahead of it: it is in the store.
    Behind,
    /// The store is closed.
    Closed,
}

/// The end of a feed. It lasts as long as somebody follows.
pub struct Tail {
    kind: Kind,
    name: Name,
    feeds: Feeds,
    /// Ours at the watcher.
    key: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The first message known to be kept.
    first: u64,
    /// The last message known to be committed.
    head: u64,
    /// Where the shared reading goes on.
    front: u64,
    /// What was read last, in order.
    window: VecDeque<Arc<Batch>>,
    /// Who waits, by the follower's number, and for which message.
    waiting: BTreeMap<u64, (u64, Waker)>,
    followers: usize,
    last_number: u64,
    reading: bool,
    closed: bool,
    /// Pages that were read for all, and for one alone.
    pages: u64,
    pages_behind: u64,
}

impl State {
    /// The first message that somebody waits for and that is there, unless it is being read already.
    fn wanted(&self) -> Option<u64> {
        if self.reading || self.closed {
            return None;
        }
        self.waiting.values().map(|(next, _)| *next).min().filter(|first| *first <= self.head)
    }

    /// Those who wait for a message up to this one.
    fn take_waiting(&mut self, to: u64) -> Vec<Waker> {
        let ready: Vec<u64> =
            self.waiting.iter().filter(|(_, (next, _))| *next <= to).map(|(number, _)| *number).collect();
        ready.iter().filter_map(|number| self.waiting.remove(number)).map(|(_, waker)| waker).collect()
    }

    /// The shared reading has come as far as this. Who waits for something in it.
    fn accept(&mut self, batch: Batch) -> Vec<Waker> {
        let to = batch.to;
        self.head = self.head.max(batch.page.head);
        self.front = to + 1;
        self.keep(batch);
        self.take_waiting(to)
    }

    /// Keeps what was read, and no more of what was read before than fits.
    fn keep(&mut self, batch: Batch) {
        self.window.push_back(Arc::new(batch));
        let too_much = |window: &VecDeque<Arc<Batch>>| {
            let rows: usize = window.iter().map(|batch| batch.page.messages.len()).sum();
            let bytes: usize = window.iter().map(|batch| batch.bytes).sum();
            rows > limits::WINDOW_ROWS || bytes > limits::PAGE_BYTES
        };
        while self.window.len() > 1 && (self.window.len() > limits::WINDOW_PAGES || too_much(&self.window)) {
            self.window.pop_front();
        }
    }
}

impl Tail {
    pub(super) fn open(feeds: &Feeds, kind: Kind, name: Name) -> Arc<Tail> {
        let key = Watcher::new_key();
        let tail = Tail { kind, name, feeds: feeds.clone(), key, state: Mutex::default() };
        let tail = Arc::new(tail);
        let watching = Arc::downgrade(&tail);
        let look = move |view: Option<&mut dyn View>| {
            if let Some(tail) = watching.upgrade() {
                tail.look(view);
            }
        };
        feeds.0.watcher.watch(key, Arc::new(look));
        tail
    }

    /// A number for somebody who follows.
    pub(super) fn follow(&self) -> Result<u64> {
        let mut state = self.state();
        if state.followers >= limits::FOLLOWERS {
            let limit = limits::FOLLOWERS as u64;
            return Err(Error::Overloaded { what: "the list of those who follow", limit });
        }
        state.followers += 1;
        state.last_number += 1;
        Ok(state.last_number)
    }

    /// He does so no more.
    pub(super) fn leave(&self, number: u64) {
        let mut state = self.state();
        state.followers -= 1;
        let gone = state.waiting.remove(&number);
        drop(state);
        // It is the user's.
        thread::discard(gone);
    }

    /// What there is for the follower who wants a message; he is woken when there may be more.
    pub(super) fn poll(self: &Arc<Tail>, number: u64, next: u64, context: &Context<'_>) -> Poll<Sight> {
        let mut state = self.state();
        if state.closed {
            return Poll::Ready(Sight::Closed);
        }
        if next < state.first {
            // What is removed is gone for everybody, though it may still be at hand: the store says how much it is.
            return Poll::Ready(Sight::Behind);
        }
        let at = state.window.partition_point(|batch| batch.to < next);
        if let Some(batch) = state.window.get(at).filter(|batch| batch.from <= next) {
            return Poll::Ready(Sight::Here(Arc::clone(batch)));
        }
        if next < state.front {
            return Poll::Ready(Sight::Behind);
        }
        state.waiting.insert(number, (next, context.waker().clone()));
        // Who waits for what is to come changes nothing, and is not worth a look at all who wait.
        if next <= state.head {
            self.read(state);
        }
        Poll::Pending
    }

    /// A commit has reached this message.
    pub fn reaches(self: &Arc<Tail>, head: u64) {
        let mut state = self.state();
        state.head = state.head.max(head);
        self.read(state);
    }

    /// A commit has appended this, which is the end of the feed.
    ///
    /// It is at hand for all who wait for it, without any of it being read. Who waits for something before it, which another
    /// process has written, has that read first, for all.
    pub(super) fn grows(self: &Arc<Tail>, page: Page) {
        let mut state = self.state();
        state.head = state.head.max(page.head);
        state.first = state.first.max(page.first);
        let from = page.messages.first().map_or(page.head, |(sequence, _)| *sequence);
        let is_next = !state.reading
            && state.front <= from
            && !state.waiting.is_empty()
            && state.waiting.values().all(|(next, _)| *next >= from);
        match Batch::new(from, page).filter(|_| is_next) {
            Some(batch) => {
                let woken = state.accept(batch);
                drop(state);
                thread::wake(woken);
            }
            None => self.read(state),
        }
    }

    /// The feed was seen to stand so.
    pub fn stands(self: &Arc<Tail>, first: u64, last: u64) {
        let mut state = self.state();
        state.first = state.first.max(first);
        state.head = state.head.max(last);
        self.read(state);
    }

    /// Looks how far the feed has come: with this view, or with a reader's.
    pub(super) fn look(self: &Arc<Tail>, view: Option<&mut dyn View>) {
        let Some(view) = view else {
            let tail = Arc::clone(self);
            let look = move |view: &mut dyn View| {
                tail.look(Some(view));
                Ok(())
            };
            // One at most for each that watches and each append that failed.
            return self.feeds.0.readers.read(look, |_| {});
        };
        let Ok(Some(head)) = view.feed(self.kind, &self.name) else { return };
        let mut state = self.state();
        state.first = state.first.max(head.first);
        state.head = state.head.max(head.last);
        let Some(from) = state.wanted() else { return };
        state.reading = true;
        drop(state);
        let page = view.feed_page(&self.query(from));
        self.has_read(from, page);
    }

    fn query(&self, from: u64) -> Query {
        let (kind, name, limit) = (self.kind, self.name.clone(), limits::PAGE_ROWS);
        Query {
            kind,
            name,
            backward: false,
            from,
            to: u64::MAX,
            since: None,
            until: None,
            content: None,
            limit,
        }
    }

    /// Has a page read for all who wait, if there is one.
    fn read(self: &Arc<Tail>, mut state: MutexGuard<'_, State>) {
        let Some(from) = state.wanted() else { return };
        state.reading = true;
        drop(state);
        let (tail, query) = (Arc::clone(self), self.query(from));
        // One at a time.
        self.feeds.0.readers.read(move |view| view.feed_page(&query), move |page| tail.has_read(from, page));
    }

    fn has_read(self: &Arc<Tail>, from: u64, page: Result<Page>) {
        let mut state = self.state();
        state.reading = false;
        let head = state.head;
        let woken = match page.ok().and_then(|page| Batch::new(from, page)) {
            Some(batch) => {
                state.pages += 1;
                state.accept(batch)
            }
            // Each of them reads by himself, and finds out what is wrong.
            None => {
                state.front = head + 1;
                state.take_waiting(head)
            }
        };
        self.read(state);
        thread::wake(woken);
    }

    /// Reads a page for one who is behind.
    pub(super) fn read_behind(&self, from: u64) -> Result<Answer<Page>> {
        let gate = &self.feeds.0.gate;
        let limit = gate.limit() as u64;
        let full = || Error::Overloaded { what: "the store", limit };
        let mut passage = gate.try_enter()?.ok_or_else(full)?;
        passage.arrive();
        self.state().pages_behind += 1;
        let (reply, answer) = Reply::future();
        let query = self.query(from);
        self.feeds.0.readers.read(
            move |view| view.feed_page(&query),
            move |page| {
                reply.answer(page);
                drop(passage);
            },
        );
        Ok(answer)
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let woken = state.take_waiting(u64::MAX);
        drop(state);
        thread::wake(woken);
    }

    /// The kind of feed, and its name.
    #[must_use]
    pub fn of(&self) -> (Kind, &Name) {
        (self.kind, &self.name)
    }

    /// Pages that were read for all who follow, and those that were read for one who was behind.
    #[must_use]
    pub fn pages(&self) -> (u64, u64) {
        let state = self.state();
        (state.pages, state.pages_behind)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.feeds.0.watcher.leave(self.key);
        self.feeds.forget(&(self.kind, self.name.clone()));
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail").field("kind", &self.kind).field("name", &self.name).finish_non_exhaustive()
    }
}
