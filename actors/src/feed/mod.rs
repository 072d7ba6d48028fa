//! The way to feeds, of which logs and channels are made: appends, past any actor, and what happens at their ends.
//!
//! An append needs no actor: the writer puts appends in their order, and the outcome itself is the answer. Whoever
//! follows a feed in this process does it through the feed's one [`Tail`], which is told of every commit here and looks
//! when there is news from another process; each has a [`Follower`] of his own, which knows how far he has come.

mod follower;
mod start;
mod tail;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

pub use self::follower::{Follower, Seen};
pub use self::start::{From, Place};
pub use self::tail::Tail;
use crate::batch::Part;
use crate::gate::{Gate, Passage};
use crate::name::Name;
use crate::reader::Readers;
use crate::reply::Reply;
use crate::rows::Rows;
use crate::storage::Target;
use crate::storage::feed::{self, Appended, Kind, NewMessage, Page};
use crate::storage::lock::Fence;
use crate::watcher::Watcher;
use crate::writer::Writer;

/// Append messages.
#[derive(Debug)]
pub struct Append {
    /// The messages, checked by the handle.
    pub messages: Vec<NewMessage>,
    /// A lock that must be held.
    pub fence: Option<Fence>,
    /// Answered after the commit, with the outcome itself.
    pub reply: Reply<Appended>,
    /// The request's passage.
    pub passage: Passage,
}

/// The way to the feeds. Cheap to clone.
#[derive(Clone)]
pub struct Feeds(Arc<Inside>);

type Key = (Kind, Name);

struct Inside {
    writer: Writer,
    readers: Readers,
    watcher: Watcher,
    gate: Arc<Gate>,
    rows: Rows<Key>,
    /// The ends that somebody follows.
    tails: Mutex<BTreeMap<Key, Weak<Tail>>>,
    closed: AtomicBool,
}

impl Feeds {
    pub(crate) fn new(writer: Writer, readers: Readers, watcher: Watcher, gate: Arc<Gate>) -> Feeds {
        let (rows, tails, closed) = (Rows::default(), Mutex::default(), AtomicBool::new(false));
        Feeds(Arc::new(Inside { writer, readers, watcher, gate, rows, tails, closed }))
    }

    /// Sends an append on its way.
    pub fn append(&self, kind: Kind, name: &Name, append: Append) {
        let Append { messages, fence, reply, passage } = append;
        let (append, after) = self.appending(kind, name, messages, fence);
        self.0.writer.apply(append, Some(passage), move |outcome| {
            let appended = outcome.as_ref().ok().cloned();
            reply.answer(outcome);
            after(appended);
        });
    }

    /// An append as a part of a batch, which has the fence.
    #[must_use]
    pub fn part(&self, kind: Kind, name: &Name, messages: Vec<NewMessage>) -> Part {
        let (append, after) = self.appending(kind, name, messages, None);
        Part::new(append, after)
    }

    /// An append, and what is to be done for those who follow once it is known what came of it.
    fn appending(
        &self,
        kind: Kind,
        name: &Name,
        messages: Vec<NewMessage>,
        fence: Option<Fence>,
    ) -> (feed::Append, impl FnOnce(Option<Appended>) + Send + use<>) {
        let key = (kind, name.clone());
        let id = self.0.rows.get(&key);
        let feed = Target { name: name.clone(), id };
        // Whoever follows is given what was written, and need not read it.
        let followed = self.known_tail(&key).map(|_| messages.clone());
        let feeds = self.clone();
        let after = move |appended| {
            let tail = feeds.known_tail(&key);
            match (appended, tail) {
                (Some(Appended::Done { feed, last, first, recorded_at }), tail) => {
                    if id.is_none() {
                        feeds.0.rows.put(key, feed);
                    }
                    match (tail, followed) {
                        (Some(tail), Some(written)) => {
                            tail.grows(Page::appended(written, last, first, recorded_at));
                        }
                        (Some(tail), None) => tail.reaches(last),
                        (None, _) => {}
                    }
                }
                // It may be there all the same.
                (None, Some(tail)) => tail.look(None),
                (Some(Appended::Fenced) | None, _) => {}
            }
        };
        (feed::Append { kind, feed, messages, fence }, after)
    }

    /// The end of a feed, to be followed. It lasts as long as somebody has it.
    #[must_use]
    pub fn tail(&self, kind: Kind, name: &Name) -> Arc<Tail> {
        let key = (kind, name.clone());
        let mut tails = self.tails();
        if let Some(tail) = tails.get(&key).and_then(Weak::upgrade) {
            return tail;
        }
        let tail = Tail::open(self, kind, name.clone());
        tails.insert(key, Arc::downgrade(&tail));
        drop(tails);
        // After it is on the list, so that one of the two closes it.
        if self.0.closed.load(Ordering::SeqCst) {
            tail.close();
        }
        tail
    }

    fn known_tail(&self, key: &Key) -> Option<Arc<Tail>> {
        self.tails().get(key).and_then(Weak::upgrade)
    }

    /// Nobody follows the end of a feed any more, unless somebody has begun anew meanwhile.
    fn forget(&self, key: &Key) {
        let mut tails = self.tails();
        if tails.get(key).is_some_and(|tail| tail.strong_count() == 0) {
            tails.remove(key);
        }
    }

    /// Everybody who follows is told that the store is closed.
    pub(crate) fn close(&self) {
        self.0.closed.store(true, Ordering::SeqCst);
        let open: Vec<Arc<Tail>> = self.tails().values().filter_map(Weak::upgrade).collect();
        open.iter().for_each(|tail| tail.close());
    }

    fn tails(&self) -> MutexGuard<'_, BTreeMap<Key, Weak<Tail>>> {
        self.0.tails.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Feeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feeds").field("followed", &self.tails().len()).finish_non_exhaustive()
    }
}
