//! What the actor of a queue learns from outside: looks at what a claim would find, when there is news from other
//! processes and when a time has come.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::prelude::*;

use super::QueueActor;
use super::keeping::Sight;
use crate::clock::Clock;
use crate::limits;
use crate::name::Name;
use crate::storage::View;

/// What was seen: `None` inside if the queue was never used, outside if nothing could be seen.
type Glance = Option<Option<Sight>>;

/// Looks, on whatever thread has a view.
pub(super) struct Eye {
    name: Name,
    clock: Arc<dyn Clock>,
    /// What the lookout has seen last and the actor has not.
    news: Mutex<Option<Glance>>,
}

impl Eye {
    pub(super) fn new(name: Name, clock: Arc<dyn Clock>) -> Eye {
        Eye { name, clock, news: Mutex::default() }
    }

    fn look(&self, view: &mut dyn View) -> Glance {
        let now = self.clock.now();
        let outlook = view.queue_outlook(&self.name, now).ok()?;
        Some(outlook.map(|outlook| Sight::of(view, &self.name, now, outlook)))
    }

    /// Keeps what was seen for the actor. Whether it has to be told: what it has not come to see yet is replaced.
    fn keep(&self, seen: Glance) -> bool {
        self.news().replace(seen).is_none()
    }

    fn news(&self) -> MutexGuard<'_, Option<Glance>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueActor {
    /// Has the lookout look for this actor as long as anybody waits here.
    pub(super) fn tell_watcher(&mut self, context: &mut Context<Self>) {
        let (watched, waited_for) = (!self.is_idle(), !self.waiting.is_empty());
        self.desk(context).waited_for(waited_for || self.claiming > 0);
        if std::mem::replace(&mut self.told_watched, watched) == watched {
            return;
        }
        if !watched {
            self.house.watcher.leave(self.key);
            if let Some(armed) = self.timer.take() {
                // A timer would keep the actor.
                context.cancel_future(armed);
            }
            return;
        }
        let (line, eye) = (context.address().downgrade(), Arc::clone(&self.eye));
        let look = move |view: Option<&mut dyn View>| {
            let Some(line) = line.upgrade() else { return };
            if eye.keep(view.and_then(|view| eye.look(view))) {
                line.do_send(News);
            }
        };
        self.house.watcher.watch(self.key, Arc::new(look));
    }

    /// Looks what a claim would find. Only if that is something, a claim is made.
    pub(super) fn look(&mut self, context: &mut Context<Self>) {
        if self.is_idle() {
            return;
        }
        if std::mem::replace(&mut self.looking, true) {
            self.look_again = true;
            return;
        }
        let (eye, address) = (Arc::clone(&self.eye), context.address());
        let look = move |view: &mut dyn View| Ok(eye.look(view));
        self.house.readers.read(look, move |seen| address.do_send(Seen(seen.ok().flatten())));
    }

    /// Makes of a look what concerns somebody here.
    fn saw(&mut self, glance: Glance, context: &mut Context<Self>) {
        if self.is_idle() {
            return;
        }
        let sight = match glance {
            None => return self.look_in(limits::TRY_AGAIN, context),
            Some(None) => return,
            Some(Some(sight)) => sight,
        };
        let mut next = sight.next();
        if sight.outlook.claimable && !self.waiting.is_empty() {
            self.after_a_look |= self.claiming == 0;
            self.claim(context);
        } else {
            let claimable = sight.outlook.next_ms.map(Duration::from_millis);
            next = next.into_iter().chain(claimable).min();
        }
        self.desk(context).fire(sight.fires);
        if let Some(next) = next {
            self.look_in(next.min(limits::CLOCKS_DRIFT), context);
        }
    }

    /// Looks again after a while, whatever happens until then.
    pub(super) fn look_in(&mut self, time: Duration, context: &mut Context<Self>) {
        if self.is_idle() {
            return;
        }
        if let Some(armed) = self.timer.take() {
            context.cancel_future(armed);
        }
        self.timer = Some(context.run_later(time, |actor, context| {
            actor.timer = None;
            actor.look(context);
        }));
    }
}

/// The lookout has looked: something may have happened elsewhere.
#[derive(Message)]
#[rtype(result = "()")]
struct News;

impl Handler<News> for QueueActor {
    type Result = ();

    fn handle(&mut self, _: News, context: &mut Self::Context) {
        let Some(seen) = self.eye.news().take() else { return };
        if let Some(error) = self.house.writer.poisoned().cloned() {
            self.refuse_all(&error, context);
            return self.tell_watcher(context);
        }
        self.saw(seen, context);
    }
}

/// A reader has looked.
#[derive(Message)]
#[rtype(result = "()")]
struct Seen(Glance);

impl Handler<Seen> for QueueActor {
    type Result = ();

    fn handle(&mut self, Seen(seen): Seen, context: &mut Self::Context) {
        self.looking = false;
        if std::mem::take(&mut self.look_again) {
            // What was seen is used all the same; what it may have missed is seen by the next look.
            self.look(context);
        }
        self.saw(seen, context);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::memory::Memory;
    use crate::storage::Backend;

    #[test]
    fn g9_what_the_actor_has_not_come_to_see_is_replaced_by_what_is_newer() {
        let mut view = Memory::new().view().unwrap();
        let eye = Eye::new(Name::new("x").unwrap(), ManualClock::new());
        assert!(eye.keep(None), "it has to be told");
        assert!(!eye.keep(eye.look(&mut *view)), "it was told already");
        assert_eq!(eye.news().take(), Some(Some(None)));
        assert!(eye.keep(None), "it has to be told again");
    }
}
