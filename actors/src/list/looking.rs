//! What the actor of a list learns from other processes: whether there is anything to take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::prelude::*;

use super::ListActor;
use crate::limits;
use crate::name::Name;
use crate::storage::View;

/// Looks, on whatever thread has a view.
pub(super) struct Eye {
    name: Name,
    /// The actor was told to look and has not come to it.
    told: AtomicBool,
}

impl Eye {
    pub(super) fn new(name: Name) -> Eye {
        Eye { name, told: AtomicBool::new(false) }
    }

    /// Whether there are items; `None` if that could not be seen.
    fn look(&self, view: &mut dyn View) -> Option<bool> {
        let head = view.list(&self.name).ok()?;
        Some(head.is_some_and(|head| head.count > 0))
    }

    /// Whether the actor has to be told of this look: not of one in vain, nor twice.
    fn tells(&self, view: Option<&mut dyn View>) -> bool {
        view.and_then(|view| self.look(view)) != Some(false) && !self.told.swap(true, Ordering::SeqCst)
    }
}

impl ListActor {
    /// Has the lookout look for this actor as long as anybody waits here.
    pub(super) fn tell_watcher(&mut self, context: &mut Context<Self>) {
        let watched = !self.waiting.is_empty();
        self.desk(context).waited_for(watched || self.taking);
        if std::mem::replace(&mut self.told_watched, watched) == watched {
            return;
        }
        if !watched {
            return self.house.watcher.leave(self.key);
        }
        let (line, eye) = (context.address().downgrade(), Arc::clone(&self.eye));
        let look = move |view: Option<&mut dyn View>| {
            if let Some(line) = line.upgrade()
                && eye.tells(view)
            {
                line.do_send(News);
            }
        };
        self.house.watcher.watch(self.key, Arc::new(look));
    }

    /// Looks whether there is anything: what was put before the lookout was told is not missed so.
    pub(super) fn look(&mut self, context: &mut Context<Self>) {
        if self.waiting.is_empty() {
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
}

/// The lookout has seen that there is something, or could not see.
#[derive(Message)]
#[rtype(result = "()")]
struct News;

impl Handler<News> for ListActor {
    type Result = ();

    fn handle(&mut self, _: News, context: &mut Self::Context) {
        self.eye.told.store(false, Ordering::SeqCst);
        if let Some(error) = self.house.writer.poisoned().cloned() {
            self.refuse_all(&error, context);
            return self.tell_watcher(context);
        }
        self.take(context);
    }
}

/// A reader has looked.
#[derive(Message)]
#[rtype(result = "()")]
struct Seen(Option<bool>);

impl Handler<Seen> for ListActor {
    type Result = ();

    fn handle(&mut self, Seen(seen): Seen, context: &mut Self::Context) {
        self.looking = false;
        let again = std::mem::take(&mut self.look_again);
        match seen {
            Some(true) => self.take(context),
            Some(false) if again => self.look(context),
            Some(false) => {}
            None => {
                context.run_later(limits::TRY_AGAIN, |actor, context| actor.look(context));
            }
        }
    }
}
