//! What is copied, record by record, in the order of a dump: a thread of its own reads it ahead, so that one is read while another is
//! compared or written.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};
use millpond_actors::clock::{Moment, Seams};
use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::storage::View;
use millpond_actors::storage::lock::Fence;
use millpond_actors::storage::record::{Imprint, Record};
use millpond_actors::thread;

use super::LOCK;
use crate::dump::{self, Plan};

/// What is copied. Whoever reads it has what it is read from for himself as long as that takes; what is known of it is everybody's.
#[derive(Clone)]
pub(crate) struct Original {
    from: Arc<Mutex<From>>,
    /// Where it stands.
    pub(super) imprint: Imprint,
    /// Whether it has lines.
    pub(super) is_dump: bool,
    /// The tokens under which somebody copies to it.
    held: Vec<u64>,
}

enum From {
    /// A store as it was at one moment.
    Store(Box<dyn View>),
    /// A dump that is whole and in order.
    Dump(Box<Plan>),
}

impl Original {
    /// Of the store of a view, as it is at this moment.
    pub(crate) fn of_store(view: &mut dyn View, now: Moment) -> Result<Original> {
        let mut view = view.frozen()?;
        let imprint = view.imprint()?;
        let line = view.lock(&Name::new(LOCK)?, now)?;
        let held = line.map(|line| line.holders.iter().map(|holder| holder.grant.token).collect());
        let from = Arc::new(Mutex::new(From::Store(view)));
        Ok(Original { from, imprint, is_dump: false, held: held.unwrap_or_default() })
    }

    /// Of a dump, which has to be one of a whole store.
    pub(crate) fn of_dump(plan: Plan) -> Result<Original> {
        let dump::Header { store, schema, position, token, ref only, .. } = plan.header;
        if !only.is_empty() {
            let reason = format!("the dump holds only {} of its store, and a copy is whole", only.join(", "));
            return Err(Error::CopyRefused { reason });
        }
        let imprint = Imprint { store, schema, position, token };
        let from = Arc::new(Mutex::new(From::Dump(Box::new(plan))));
        Ok(Original { from, imprint, is_dump: true, held: Vec::new() })
    }

    /// The first line of a dump of all that is in it.
    pub(super) fn header(&self, now: Moment) -> dump::Header {
        dump::Header::of(self.imprint, now, true, Vec::new())
    }

    /// Whether somebody copied to it under that token.
    pub(super) fn has_held(&self, fence: &Fence) -> bool {
        self.held.contains(&fence.token)
    }
}

impl From {
    /// Hands on its records, each with the line of a dump in which it stands, or its number.
    fn each(&mut self, now: Moment, act: &mut dyn FnMut(u64, Record) -> Result<()>) -> Result<()> {
        match self {
            From::Store(view) => {
                let mut number = 0;
                dump::all_records(&mut **view, now, &mut |record| {
                    number += 1;
                    act(number, record)
                })
            }
            // What is over by now is read nowhere any more.
            From::Dump(plan) => plan.each(&mut |line, record| match &record {
                Record::Entry { entry, .. } if entry.ends_at.is_some_and(|end| end <= now.wall_ms) => Ok(()),
                _ => act(line, record),
            }),
        }
    }
}

/// A record that is copied.
pub(super) struct Item {
    /// The line in which it stands, or its number.
    pub(super) number: u64,
    pub(super) record: Record,
    /// What a dump says of it.
    pub(super) line: String,
}

/// What the thread says that reads.
enum News {
    Items(Vec<Item>),
    End,
    Failed(Error),
}

/// Records that are read ahead, and what the last one that was taken is in.
pub(super) struct Records {
    news: Receiver<News>,
    at_hand: VecDeque<Item>,
    ended: bool,
    under: Option<Under>,
}

/// What has a name, and whose contents come.
#[derive(Clone)]
pub(super) struct Under {
    /// It.
    pub(super) head: Record,
    /// The next message of a feed.
    pub(super) next: u64,
}

impl Records {
    /// Begins to read all of it, from the beginning.
    pub(super) fn read(original: &Original, now: Moment, seams: &Seams) -> Result<Records> {
        let (sender, news) = bounded(AHEAD);
        let from = Arc::clone(&original.from);
        let body = move || {
            thread::mark_as_ours();
            let mut pouring = Pouring { sender, items: Vec::new(), bytes: 0 };
            let read = || {
                // Nobody leaves it half changed. One who began before and was given up ends with the next that he sends.
                let mut from = from.lock().unwrap_or_else(PoisonError::into_inner);
                from.each(now, &mut |number, record| pouring.take(number, record))?;
                pouring.send()
            };
            let last = match thread::contain(|| THREAD.into(), read).flatten() {
                Ok(()) => News::End,
                Err(error) => News::Failed(error),
            };
            // Whoever does not take it has seen enough.
            let _ = pouring.sender.send(last);
        };
        seams.spawner.spawn(THREAD, Box::new(body))?;
        Ok(Records { news, at_hand: VecDeque::new(), ended: false, under: None })
    }

    /// The next one, which stays the next.
    pub(super) fn peek(&mut self) -> Result<Option<&Item>> {
        while self.at_hand.is_empty() && !self.ended {
            match self.news.recv() {
                Ok(News::Items(items)) => self.at_hand.extend(items),
                Ok(News::End) => self.ended = true,
                Ok(News::Failed(error)) => return Err(error),
                Err(_) => return Err(Error::Closed),
            }
        }
        Ok(self.at_hand.front())
    }

    /// Takes the next one.
    pub(super) fn next(&mut self) -> Result<Option<Item>> {
        self.peek()?;
        let item = self.at_hand.pop_front();
        if let Some(Item { record, .. }) = &item {
            self.under = Under::behind(self.under.take(), record);
        }
        Ok(item)
    }

    /// What the next one is in, if it is in something.
    pub(super) fn under(&self) -> Option<&Under> {
        self.under.as_ref()
    }
}

impl Under {
    fn behind(before: Option<Under>, record: &Record) -> Option<Under> {
        match record {
            Record::Feed { first, .. } => Some(Under { head: record.clone(), next: *first }),
            head if dump::is_named(head) => Some(Under { head: head.clone(), next: 0 }),
            Record::Message { message, .. } => {
                before.map(|under| Under { next: message.sequence + 1, ..under })
            }
            // They are in nothing.
            Record::Subject { .. } | Record::Event(_) | Record::Stream { .. } | Record::Projection { .. } => {
                None
            }
            _ => before,
        }
    }
}

/// Records on their way to whoever compares or writes them, some at a time.
struct Pouring {
    sender: Sender<News>,
    items: Vec<Item>,
    bytes: usize,
}

impl Pouring {
    fn take(&mut self, number: u64, record: Record) -> Result<()> {
        let line = dump::line(&record)?;
        self.bytes += line.len() + dump::size(&record);
        self.items.push(Item { number, record, line });
        if self.items.len() >= limits::LOADED_AT_ONCE || self.bytes >= limits::LOADED_BYTES {
            return self.send();
        }
        Ok(())
    }

    fn send(&mut self) -> Result<()> {
        self.bytes = 0;
        self.sender.send(News::Items(mem::take(&mut self.items))).map_err(|_| Error::Closed)
    }
}

/// So often what is sent at once may lie at hand. It bounds the memory.
const AHEAD: usize = 2;

const THREAD: &str = "millpond-copy-read";
