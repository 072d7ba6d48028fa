//! What the actor of a lock learns from outside: looks at how the lock stands, when there is news from other processes,
//! when a lease may have ended, and for holders who want to know that they have lost it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::prelude::*;

use super::{LockActor, PassedOn};
use crate::clock::Clock;
use crate::error::Result;
use crate::limits;
use crate::name::Name;
use crate::reply::Reply;
use crate::storage::View;
use crate::storage::lock::{Grant, Holder, Line, Renew, Renewed, Settle, Settled};
use crate::supervisor::{Stay, Visit};

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

/// Be told who holds the lock, or parts of it, as soon as these are others than are known.
#[derive(Debug)]
pub struct Follow {
    /// The tokens of the holders that are known, in the order of their tickets; none for nobody.
    pub known: Vec<u64>,
    /// Answered with the holders then, in this order.
    pub reply: Reply<Vec<Holder>>,
}

/// Somebody who follows a lock. The lock's actor stays for it.
pub(super) struct Follower {
    known: Vec<u64>,
    /// Looks that began earlier may have seen what was before it asked.
    since: u64,
    reply: Reply<Vec<Holder>>,
    _stay: Stay,
}

/// A holder who wants to know when it loses the lock.
pub(super) struct Keeper {
    ticket: u64,
    /// Looks that began earlier may have seen what was before it held the lock.
    since: u64,
    reply: Reply<()>,
}

/// Looks, on whatever thread has a view.
pub(super) struct Outlook {
    name: Name,
    clock: Arc<dyn Clock>,
    /// Grows with everybody who begins to want to know something.
    asked: AtomicU64,
    /// What the lookout has seen last and the actor has not: `None` inside if it could see nothing.
    news: Mutex<Option<Option<Glance>>>,
}

/// How the lock stands, as a reader saw it.
#[derive(Debug)]
struct Glance {
    line: Result<Option<Line>>,
    /// How many had asked when it began.
    asked: u64,
}

impl Outlook {
    pub(super) fn new(name: Name, clock: Arc<dyn Clock>) -> Outlook {
        Outlook { name, clock, asked: AtomicU64::new(0), news: Mutex::default() }
    }

    /// Somebody wants to know something: which looks are made for it.
    fn ask(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn look(&self, view: &mut dyn View) -> Glance {
        let asked = self.asked.load(Ordering::SeqCst);
        Glance { line: view.lock(&self.name, self.clock.now()), asked }
    }

    /// Keeps what was seen for the actor. Whether it has to be told: what it has not come to see yet is replaced.
    fn keep(&self, seen: Option<Glance>) -> bool {
        self.news().replace(seen).is_none()
    }

    fn news(&self) -> MutexGuard<'_, Option<Option<Glance>>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

    /// Tells those who follow the lock who holds it, if they do not know yet.
    fn answer_followers(&mut self, line: Option<&Line>, asked: u64) {
        let holders = || line.into_iter().flat_map(Line::living);
        let is_news = |follower: &mut Follower| {
            let known = follower.known.iter().copied();
            follower.since <= asked && !holders().map(|holder| holder.grant.token).eq(known)
        };
        let told = self.followers.extract_if(.., is_news);
        told.for_each(|follower| follower.reply.answer(Ok(holders().cloned().collect())));
    }

    /// Those who have gone away want to know nothing any more.
    pub(super) fn drop_abandoned(&mut self) {
        self.losses.retain(|keeper| !keeper.reply.is_abandoned());
        self.followers.retain(|follower| !follower.reply.is_abandoned());
    }

    /// Whether anybody here wants to know what happens to the lock.
    fn is_watched(&self) -> bool {
        !self.waiting.is_empty() || !self.followers.is_empty() || !self.losses.is_empty()
    }

    /// Has the watcher told whether this actor wants to look, where that has changed. Not before what has happened already
    /// has been dealt with: where a lock goes from hand to hand, who begins to wait is often in one commit with who lets
    /// him in.
    pub(super) fn tell_watcher(&mut self, context: &mut Context<Self>) {
        self.desk(context).follow(!self.followers.is_empty());
        if self.is_watched() != self.told_watched && !std::mem::replace(&mut self.telling, true) {
            context.address().do_send(TellWatcher);
        }
    }

    /// From now on the lookout looks for this actor, which it does not keep.
    fn watch(&mut self, context: &mut Context<Self>) {
        let (line, outlook) = (context.address().downgrade(), Arc::clone(&self.outlook));
        let look = move |view: Option<&mut dyn View>| {
            let Some(line) = line.upgrade() else { return };
            if outlook.keep(view.map(|view| outlook.look(view))) {
                line.do_send(News);
            }
        };
        self.house.watcher.watch(self.key, Arc::new(look));
        // What happened before it began to watch.
        self.see_to_waiters(context);
        self.look(None, context);
    }

    /// Others may have taken this process for dead, or it writes no more: whoever waits here lines up anew, or is told.
    fn see_to_waiters(&mut self, context: &mut Context<Self>) {
        let Some(error) = self.house.writer.poisoned().cloned() else { return self.take_anew(context) };
        // No lock will be given to anybody here. Their leases end by this process's silence.
        for waiter in std::mem::take(&mut self.waiting).into_values() {
            if let Some(deadline) = waiter.deadline {
                context.cancel_future(deadline);
            }
            waiter.want.reply.answer(Err(error.clone()));
        }
    }

    /// Looks how the lock stands; only if that concerns somebody who waits, the transaction is asked.
    /// `stay` is of an earlier look that led to nothing.
    pub(super) fn look(&mut self, stay: Option<Stay>, context: &mut Context<Self>) {
        let waits = stay.or_else(|| self.a_waiter_stays());
        if waits.is_none() && self.losses.is_empty() && self.followers.is_empty() {
            return;
        }
        if std::mem::replace(&mut self.looking, true) {
            self.look_again = true;
            return;
        }
        let (outlook, address) = (Arc::clone(&self.outlook), context.address());
        let look = move |view: &mut dyn View| Ok(outlook.look(view));
        self.house.readers.read(look, move |seen| address.do_send(Seen(seen.ok(), waits)));
    }

    fn a_waiter_stays(&self) -> Option<Stay> {
        self.waiting.values().next().map(|waiter| waiter.place.stay().clone())
    }

    /// Looks again in a moment: what was to be seen or written now could not be.
    pub(super) fn look_later(&mut self, stay: Option<Stay>, context: &mut Context<Self>) {
        context.run_later(limits::TRY_AGAIN, move |actor, context| actor.look(stay, context));
    }
}

impl Handler<Visit<Loss>> for LockActor {
    type Result = ();

    fn handle(&mut self, Visit { message, .. }: Visit<Loss>, context: &mut Self::Context) {
        let Loss { lock, ticket, reply } = message;
        self.desk(context).learn(lock);
        self.losses.push(Keeper { ticket, since: self.outlook.ask(), reply });
        self.tell_watcher(context);
        // It may be lost already.
        self.look(None, context);
    }
}

impl Handler<Visit<Follow>> for LockActor {
    type Result = ();

    fn handle(&mut self, Visit { message, stay }: Visit<Follow>, context: &mut Self::Context) {
        let Follow { known, reply } = message;
        self.followers.push(Follower { known, since: self.outlook.ask(), reply, _stay: stay });
        self.tell_watcher(context);
        self.look(None, context);
    }
}

/// Whether this actor wants to look may have changed.
#[derive(Message)]
#[rtype(result = "()")]
struct TellWatcher;

impl Handler<TellWatcher> for LockActor {
    type Result = ();

    fn handle(&mut self, _: TellWatcher, context: &mut Self::Context) {
        self.telling = false;
        let watched = self.is_watched();
        if std::mem::replace(&mut self.told_watched, watched) == watched {
            return;
        }
        if watched {
            self.watch(context);
        } else {
            self.house.watcher.leave(self.key);
            if let Some(armed) = self.expiry.take() {
                // A timer would keep the actor.
                context.cancel_future(armed);
            }
        }
    }
}

/// Something happened in this process that those who watch the lock want to know.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Changed;

impl Handler<Changed> for LockActor {
    type Result = ();

    fn handle(&mut self, _: Changed, context: &mut Self::Context) {
        self.look(None, context);
    }
}

/// The lookout has looked: something may have happened elsewhere.
#[derive(Message)]
#[rtype(result = "()")]
struct News;

impl Handler<News> for LockActor {
    type Result = ();

    fn handle(&mut self, _: News, context: &mut Self::Context) {
        let Some(seen) = self.outlook.news().take() else { return };
        self.desk(context).heard();
        self.see_to_waiters(context);
        match seen {
            Some(glance) => self.saw(glance, None, context),
            None => self.look(None, context),
        }
    }
}

/// A reader has looked; `None` if it could not.
#[derive(Message)]
#[rtype(result = "()")]
struct Seen(Option<Glance>, Option<Stay>);

impl Handler<Seen> for LockActor {
    type Result = ();

    fn handle(&mut self, Seen(glance, stay): Seen, context: &mut Self::Context) {
        self.looking = false;
        if std::mem::take(&mut self.look_again) {
            // What was seen is used all the same; what it may have missed is seen by the next look.
            self.look(None, context);
        }
        match glance {
            Some(glance) => self.saw(glance, stay, context),
            None => self.look_later(stay, context),
        }
    }
}

impl LockActor {
    /// Makes of a look what concerns somebody here.
    fn saw(&mut self, glance: Glance, stay: Option<Stay>, context: &mut Context<Self>) {
        let Glance { line, asked } = glance;
        let stay = stay.or_else(|| self.a_waiter_stays());
        let Ok(line) = line else { return self.look_later(stay, context) };
        self.answer_followers(line.as_ref(), asked);
        let Some(line) = line else { return self.tell_watcher(context) };
        let remaining_ms = line.living().map(|holder| holder.remaining_ms).min().unwrap_or(0);
        let held: HashSet<u64> = line.living().map(|holder| holder.grant.ticket).collect();
        // It may only seem so, until the outcome of its own commit has been dealt with; that is before the outcome of
        // the settling below is.
        let desk = self.desk(context);
        let orphan = line
            .living()
            .any(|holder| desk.is_orphan(&holder.grant) && !self.waiting.contains_key(&holder.grant.ticket));
        tell_of_losses(&mut self.losses, &held, asked);
        // Whoever sees his grant has it for the price of a beat, once it is known to be on disk.
        for holder in line.living().filter(|_| line.synced) {
            self.take_up(holder.grant, context);
        }
        // Tickets are served in their order: one that is older than the first in line has been granted, or is void.
        let first = line.first.map_or(u64::MAX, |first| first.ticket);
        let oldest = self.waiting.keys().find(|ticket| !(line.synced && held.contains(*ticket)));
        let concerns_us = oldest.is_some_and(|oldest| *oldest < first || line.is_ready());
        if let (true, Some(stay)) = (concerns_us || orphan, stay) {
            let address = context.address();
            let newest = self.waiting.keys().next_back().copied().unwrap_or(0);
            self.house.writer.apply(Settle { lock: line.lock }, None, move |settled| {
                let Settled { holders, first, .. } = match settled {
                    Ok(settled) => settled,
                    // Nothing that others write would have it tried again.
                    Err(error) if error.may_pass() => return address.do_send(Unsettled(stay)),
                    Err(_) => return,
                };
                for holder in holders {
                    address.do_send(PassedOn(holder, stay.clone()));
                }
                // Who has got it is not kept as waiting any more.
                address.do_send(Void { before: first.unwrap_or(u64::MAX).min(newest + 1) });
            });
        } else if self.is_watched() && remaining_ms > 0 {
            self.arm_expiry(remaining_ms, context);
        }
        self.tell_watcher(context);
    }
}

/// Tells those who hold the lock no more. Who has it is known from a look for those who had `asked`.
fn tell_of_losses(losses: &mut Vec<Keeper>, held: &HashSet<u64>, asked: u64) {
    let is_lost = |keeper: &mut Keeper| keeper.since <= asked && !held.contains(&keeper.ticket);
    losses.extract_if(.., is_lost).for_each(|keeper| keeper.reply.answer(Ok(())));
}

impl LockActor {
    /// Takes up what another process has passed on to somebody who waits here, and answers then: until a commit of this
    /// process, the lease is a short one.
    fn take_up(&self, grant: Grant, context: &mut Context<Self>) {
        let Some(stay) = self.waiting.get(&grant.ticket).map(|waiter| waiter.place.stay().clone()) else {
            return;
        };
        let address = context.address();
        let renew = Renew { lock: grant.lock, ticket: grant.ticket };
        self.house.writer.apply(renew, None, move |renewed| match renewed {
            Ok(Renewed { held: true }) => address.do_send(PassedOn(grant, stay)),
            // It was too late: how the lock stands now, says another look.
            Ok(Renewed { held: false }) => address.do_send(Changed),
            Err(error) if error.may_pass() => address.do_send(Unsettled(stay)),
            Err(_) => {}
        });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::memory::Memory;
    use crate::storage::Backend as _;

    #[test]
    fn l4_a_look_that_began_before_somebody_held_the_lock_does_not_tell_him_that_he_lost_it() {
        let mut view = Memory::new().view().unwrap();
        let outlook = Outlook::new(Name::new("x").unwrap(), ManualClock::new());
        let (reply, mut answer) = Reply::future();
        // The look is under way while the lock is granted and its holder asks to be told.
        let early = outlook.look(&mut *view);
        let mut losses = vec![Keeper { ticket: 7, since: outlook.ask(), reply }];
        let late = outlook.look(&mut *view);
        let nobody = HashSet::new();
        tell_of_losses(&mut losses, &nobody, early.asked);
        assert_eq!(losses.len(), 1, "what it saw was before");
        tell_of_losses(&mut losses, &HashSet::from([7]), late.asked);
        assert_eq!(losses.len(), 1, "it holds the lock");
        tell_of_losses(&mut losses, &nobody, late.asked);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let answered = std::pin::Pin::new(&mut answer).poll(&mut context);
        assert!(losses.is_empty() && answered.is_ready());
    }

    #[test]
    fn g9_what_the_actor_has_not_come_to_see_is_replaced_by_what_is_newer() {
        let mut view = Memory::new().view().unwrap();
        let outlook = Outlook::new(Name::new("x").unwrap(), ManualClock::new());
        assert!(outlook.keep(None), "it has to be told");
        outlook.ask();
        assert!(!outlook.keep(Some(outlook.look(&mut *view))), "it was told already");
        assert_eq!(outlook.news().take().flatten().map(|glance| glance.asked), Some(1));
        assert!(outlook.keep(None), "it has to be told again");
    }
}
