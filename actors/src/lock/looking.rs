//! What the actor of a lock learns from outside: looks at how the lock stands, when there is news from other processes,
//! when a lease may have ended, and for holders who want to know that they have lost it.

use std::collections::HashSet;
use std::time::Duration;

use actix::prelude::*;

use super::desk::may_pass;
use super::{AGAIN, LockActor, PassedOn};
use crate::error::Result;
use crate::reply::Reply;
use crate::storage::lock::{Holder, Line, Settle, Settled};
use crate::supervisor::{Stay, Visit};
use crate::watcher::{Changed, Watch};

/// Be told when the lock is lost.
#[derive(Debug)]
pub struct Loss {
    /// The lock's row.
    pub lock: u64,
    /// Under which ticket it is held.
    pub ticket: u64,
    /// Answered when it is lost; at once if it already is.
    pub reply: Reply<()>,
}

/// Be told who holds the lock, as soon as that is somebody else than is known.
#[derive(Debug)]
pub struct Follow {
    /// The token of the holder that is known; 0 for nobody.
    pub known: u64,
    /// Answered with the holder then, `None` if nobody holds it.
    pub reply: Reply<Option<Holder>>,
}

/// Somebody who follows a lock. The lock's actor stays for it.
pub(super) struct Follower {
    known: u64,
    reply: Reply<Option<Holder>>,
    _stay: Stay,
}

impl LockActor {
    /// A holder that was stopped writes nothing when its lease ends, so nothing but time tells.
    fn arm_expiry(&mut self, remaining_ms: u64, context: &mut Context<Self>) {
        if let Some(armed) = self.expiry.take() {
            context.cancel_future(armed);
        }
        let end = Duration::from_millis(remaining_ms.saturating_add(1));
        self.expiry = Some(context.run_later(end, |actor, context| actor.look(None, context)));
    }

    pub(super) fn answer_losses(&mut self, lost: impl Fn(u64) -> bool) {
        for (ticket, reply) in std::mem::take(&mut self.losses) {
            if lost(ticket) {
                reply.answer(Ok(()));
            } else if !reply.is_abandoned() {
                self.losses.push((ticket, reply));
            }
        }
    }

    /// Tells those who follow the lock who holds it, if they do not know yet.
    fn answer_followers(&mut self, holder: Option<&Holder>) {
        let holder = holder.filter(|holder| !holder.void);
        let now = holder.map_or(0, |holder| holder.grant.token);
        for follower in std::mem::take(&mut self.followers) {
            if follower.known != now {
                follower.reply.answer(Ok(holder.cloned()));
            } else if !follower.reply.is_abandoned() {
                self.followers.push(follower);
            }
        }
    }

    pub(super) fn drop_abandoned_followers(&mut self) {
        self.followers.retain(|follower| !follower.reply.is_abandoned());
    }

    /// Whether anybody here wants to know what happens to the lock.
    fn is_watched(&self) -> bool {
        !self.waiting.is_empty() || !self.followers.is_empty() || !self.losses.is_empty()
    }

    /// Tells the watcher whether this actor wants to be told, where that has changed.
    pub(super) fn tell_watcher(&mut self, context: &mut Context<Self>) {
        self.desk(context).follow(!self.followers.is_empty());
        let watched = self.is_watched();
        if std::mem::replace(&mut self.told_watched, watched) != watched {
            self.watch(watched.then(|| context.address().recipient()));
        }
        if !watched && let Some(armed) = self.expiry.take() {
            // A timer would keep the actor.
            context.cancel_future(armed);
        }
    }

    pub(super) fn watch(&self, tell: Option<Recipient<Changed>>) {
        self.house.watcher.do_send(Watch { key: self.key, tell });
    }

    /// Looks how the lock stands; only if that concerns somebody who waits, the transaction is asked.
    /// `stay` is of an earlier look that led to nothing.
    pub(super) fn look(&mut self, stay: Option<Stay>, context: &mut Context<Self>) {
        let waits = stay.or_else(|| self.waiting.values().next().map(|waiter| waiter.place.stay()));
        if waits.is_none() && self.losses.is_empty() && self.followers.is_empty() {
            return;
        }
        if std::mem::replace(&mut self.looking, true) {
            self.look_again = true;
            return;
        }
        let (name, clock, address) = (self.name.clone(), self.house.seams.clock.clone(), context.address());
        let look = move |view: &mut dyn crate::storage::View| view.lock(&name, clock.now());
        self.house.readers.read(look, move |line| address.do_send(Seen(line, waits)));
    }

    /// Looks again in a moment: what was to be seen or written now could not be.
    pub(super) fn look_later(&mut self, stay: Option<Stay>, context: &mut Context<Self>) {
        context.run_later(AGAIN, move |actor, context| actor.look(stay, context));
    }
}

impl Handler<Visit<Loss>> for LockActor {
    type Result = ();

    fn handle(&mut self, Visit { message, .. }: Visit<Loss>, context: &mut Self::Context) {
        let Loss { lock, ticket, reply } = message;
        self.id = Some(lock);
        self.losses.push((ticket, reply));
        self.tell_watcher(context);
        // It may be lost already.
        self.look(None, context);
    }
}

impl Handler<Visit<Follow>> for LockActor {
    type Result = ();

    fn handle(&mut self, Visit { message, stay }: Visit<Follow>, context: &mut Self::Context) {
        let Follow { known, reply } = message;
        self.followers.push(Follower { known, reply, _stay: stay });
        self.tell_watcher(context);
        self.look(None, context);
    }
}

impl Handler<Changed> for LockActor {
    type Result = ();

    fn handle(&mut self, _: Changed, context: &mut Self::Context) {
        self.news += 1;
        self.take_anew(context);
        self.look(None, context);
    }
}

/// How the lock stands, as a reader saw it.
#[derive(Message)]
#[rtype(result = "()")]
struct Seen(Result<Option<Line>>, Option<Stay>);

impl Handler<Seen> for LockActor {
    type Result = ();

    fn handle(&mut self, Seen(line, stay): Seen, context: &mut Self::Context) {
        self.looking = false;
        if std::mem::take(&mut self.look_again) {
            // What was seen is used all the same; what it may have missed is seen by the next look.
            self.look(None, context);
        }
        let Ok(line) = line else { return self.look_later(stay, context) };
        self.answer_followers(line.as_ref().and_then(Line::holder));
        let Some(line) = line else { return self.tell_watcher(context) };
        let remaining_ms = line.living().map(|holder| holder.remaining_ms).min().unwrap_or(0);
        let held: HashSet<u64> = line.living().map(|holder| holder.grant.ticket).collect();
        // It may only seem so, until the outcome of its own commit has been dealt with; that is before the outcome of
        // the settling below is.
        let desk = self.desk(context);
        let orphan = line
            .living()
            .any(|holder| desk.is_orphan(&holder.grant) && !self.waiting.contains_key(&holder.grant.ticket));
        // The reader looked after the grant was committed: who is not a holder then, has lost it.
        self.answer_losses(|ticket| !held.contains(&ticket));
        // Tickets are served in their order: one that is older than the first in line has been granted, or is void.
        let first = line.first.map_or(u64::MAX, |first| first.ticket);
        let oldest = self.waiting.keys().next();
        let concerns_us = oldest.is_some_and(|oldest| *oldest < first || line.is_ready());
        // Also if the reader saw the grant: until a commit of this process has taken it up it is a short one, and only
        // that commit makes sure that it is on disk.
        if let (true, Some(stay)) = (concerns_us || orphan, stay) {
            let address = context.address();
            let newest = self.waiting.keys().next_back().copied().unwrap_or(0);
            self.house.writer.apply(Settle { lock: line.lock }, None, move |settled| {
                let Settled { holders, first } = match settled {
                    Ok(settled) => settled,
                    // Nothing that others write would have it tried again.
                    Err(error) if may_pass(&error) => return address.do_send(Unsettled(stay)),
                    Err(_) => return,
                };
                let are_others = !holders.is_empty();
                for holder in holders {
                    address.do_send(PassedOn(holder, stay.clone()));
                }
                // Who has got it is not kept as waiting any more.
                address.do_send(Void { before: first.unwrap_or(u64::MAX).min(newest + 1) });
                if are_others {
                    // The leases of others have to be watched from now on.
                    address.do_send(Changed);
                }
            });
        } else if self.is_watched() && remaining_ms > 0 {
            self.arm_expiry(remaining_ms, context);
        }
        self.tell_watcher(context);
    }
}

/// The settling that a look asked for could not be written.
#[derive(Message)]
#[rtype(result = "()")]
struct Unsettled(Stay);

impl Handler<Unsettled> for LockActor {
    type Result = ();

    fn handle(&mut self, Unsettled(stay): Unsettled, context: &mut Self::Context) {
        self.look_later(Some(stay), context);
    }
}

/// The tickets before this one are in no line any more: they were granted while this process was stopped, and ended
/// before it could take them up.
#[derive(Message)]
#[rtype(result = "()")]
struct Void {
    before: u64,
}

impl Handler<Void> for LockActor {
    type Result = ();

    fn handle(&mut self, Void { before }: Void, context: &mut Self::Context) {
        self.take_anew_where(|waiter| waiter.place.ticket() < before, context);
    }
}
