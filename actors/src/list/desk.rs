//! What happens to a list's outcomes where they are known first: on the thread that committed. And an item that was taken, which
//! goes back if nobody has it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::WeakAddr;
use actix::prelude::*;

use super::{Changed, GiveBackAgain, HandedOut, ListActor, Waiter};
use crate::gate::Passage;
use crate::name::Name;
use crate::reply::Reply;
use crate::storage::Data;
use crate::storage::list::{At, End, Insert, Inserted, Item, Move, Moved, NewItem, Take};
use crate::supervisor::{House, Stay};
use crate::watcher::Watcher;
use crate::writer::Writer;

/// What puts something into a list, and is answered by its outcome.
#[derive(Debug)]
pub enum Write {
    /// Put items.
    Insert(Insert, Reply<Inserted>, Passage),
    /// Move an item to this list.
    Move(Move, Reply<Moved>, Passage),
}

/// What is needed to deal with an outcome without the actor.
pub(super) struct Desk {
    name: Name,
    /// Somebody waits here for an item.
    waited_for: AtomicBool,
    writer: Writer,
    watcher: Watcher,
    /// Weak, or the actor would keep itself.
    actor: WeakAddr<ListActor>,
}

impl Desk {
    pub(super) fn new(name: Name, house: &House, actor: WeakAddr<ListActor>) -> Desk {
        let (writer, watcher) = (house.writer.clone(), house.watcher.clone());
        Desk { name, waited_for: AtomicBool::new(false), writer, watcher, actor }
    }

    /// Whether anybody here is to be told of items.
    pub(super) fn waited_for(&self, waited_for: bool) {
        self.waited_for.store(waited_for, Ordering::SeqCst);
    }

    fn changed(&self) {
        if self.waited_for.load(Ordering::SeqCst) {
            self.tell(Changed);
        }
    }

    /// Tells the actor. One that has failed has nobody waiting, but its successor may have: that one looks by itself.
    fn tell<M>(&self, message: M)
    where
        M: Message<Result = ()> + Send + 'static,
        ListActor: Handler<M>,
    {
        match self.actor.upgrade().filter(Addr::connected) {
            // Bounded by the gate, as every message is.
            Some(actor) => actor.do_send(message),
            None => self.watcher.call_all(),
        }
    }

    /// Takes for these, and answers as many as there are items. An item that nobody takes is given back.
    pub(super) fn take(self: &Arc<Self>, mut waiters: VecDeque<Waiter>, end: End) {
        let Some(stay) = waiters.front().map(|first| first.stay.clone()) else { return };
        let desk = Arc::clone(self);
        let take = Take { list: self.name.clone(), end, most: waiters.len() as u32 };
        self.writer.apply(take, None, move |taken| {
            let mut timers = Vec::new();
            match taken {
                Ok(taken) => {
                    let popped = |item| Popped::new(Arc::clone(&desk), stay.clone(), end, item);
                    let items = taken.items.into_iter().map(popped).collect();
                    // The one farthest inside goes back first, so that their order is what it was.
                    hand_out(items, &mut waiters, &mut timers).into_iter().rev().for_each(drop);
                }
                Err(error) => waiters.drain(..).for_each(|waiter| {
                    timers.extend(waiter.timer);
                    waiter.reply.answer(Err(error.clone()));
                }),
            }
            desk.tell(HandedOut { left: waiters, timers });
        });
    }

    /// Puts an item back to the end from which it was taken.
    pub(super) fn give_back(self: &Arc<Self>, back: Back) {
        let items = vec![NewItem { data: back.item.data.clone(), schema: back.item.schema }];
        let insert = Insert { list: self.name.clone(), at: At::End(back.end), items };
        let desk = Arc::clone(self);
        // It is held until then, so that its actor stays.
        self.writer.apply(insert, None, move |inserted| match inserted {
            Ok(_) => desk.changed(),
            Err(error) if error.may_pass() => desk.tell(GiveBackAgain(back)),
            Err(_) => drop(back),
        });
    }

    /// Writes, and answers with the outcome. Where a take follows at once nobody has to be told that there may be items.
    pub(super) fn write(self: &Arc<Self>, write: Write, take_follows: bool, stay: Stay) {
        let desk = Arc::clone(self);
        let told = move || {
            if !take_follows {
                desk.changed();
            }
            drop(stay);
        };
        match write {
            Write::Insert(insert, reply, passage) => {
                self.writer.apply(insert, Some(passage), move |inserted| {
                    reply.answer(inserted);
                    told();
                });
            }
            Write::Move(step, reply, passage) => self.writer.apply(step, Some(passage), move |moved| {
                reply.answer(moved);
                told();
            }),
        }
    }
}

/// Gives items to the first who take them. What is left of them.
fn hand_out(
    items: VecDeque<Popped>,
    waiters: &mut VecDeque<Waiter>,
    timers: &mut Vec<SpawnHandle>,
) -> VecDeque<Popped> {
    let mut left = VecDeque::new();
    for mut item in items {
        loop {
            let Some(Waiter { reply, timer, .. }) = waiters.pop_front() else {
                left.push_back(item);
                break;
            };
            timers.extend(timer);
            match reply.send(Ok(Some(item))) {
                Ok(()) => break,
                // He has gone away; so the next one has it.
                Err(Ok(Some(back))) => item = back,
                Err(_) => break,
            }
        }
    }
    left
}

/// An item, and the way back.
#[derive(Clone)]
pub(super) struct Back {
    end: End,
    item: Arc<Item>,
    #[allow(dead_code, reason = "held for its count")]
    stay: Stay,
}

/// An item that was taken for somebody.
///
/// Whoever drops it gives it back to the end where it was, wherever that happens, unless somebody [has](Popped::keep) it: so a caller
/// who goes away takes nothing along.
pub struct Popped {
    desk: Arc<Desk>,
    back: Back,
    kept: bool,
}

impl Popped {
    fn new(desk: Arc<Desk>, stay: Stay, end: End, item: Item) -> Popped {
        Popped { desk, back: Back { end, item: Arc::new(item), stay }, kept: false }
    }

    /// What it holds.
    #[must_use]
    pub fn data(&self) -> &Data {
        &self.back.item.data
    }

    /// It is its caller's now.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Popped {
    fn drop(&mut self) {
        if !self.kept {
            self.desk.give_back(self.back.clone());
        }
    }
}

impl fmt::Debug for Popped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Popped").field("list", &self.desk.name).finish_non_exhaustive()
    }
}
