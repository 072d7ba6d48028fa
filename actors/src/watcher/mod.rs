//! The watcher: tells the actors that wait for other processes when there may be news.
//!
//! The bell is the shortcut, a look every [`SLOW_POLL`](crate::limits::SLOW_POLL) the guarantee. While nobody
//! waits there is neither. Who looks is the `lookout`, on a thread of its own; this actor keeps the list of those who
//! want to be told.

mod lookout;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::WeakRecipient;
use actix::prelude::*;

use self::lookout::{Eye, Lookout};
use crate::clock::Seams;
use crate::error::Result;
use crate::storage::{Backend, Bell};

/// Another process wrote, came or went, or leases of this one lapsed: whoever waits or holds looks again.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Changed;

/// The actor that keeps the list of those who want to be told.
pub struct WatcherActor {
    bell: Box<dyn Bell>,
    lookout: Arc<Lookout>,
    /// Weak, so that being on a list keeps no actor that nobody uses any more.
    waiting: HashMap<usize, WeakRecipient<Changed>>,
}

impl WatcherActor {
    /// Starts the watcher on the current arbiter, and the thread that looks for it.
    ///
    /// # Errors
    /// If the machine has no thread left to give.
    pub(crate) fn open(backend: Arc<dyn Backend>, process: u64, seams: &Seams) -> Result<Addr<WatcherActor>> {
        let lookout = Arc::new(Lookout::default());
        let bell = backend.bell();
        let ring = Arc::clone(&lookout);
        if let Err(error) = bell.listen(Box::new(move || ring.ring())) {
            tracing::warn!(%error, "the bell cannot be heard, the slow poll has to do");
        }
        let actor = WatcherActor { bell, lookout: Arc::clone(&lookout), waiting: HashMap::new() };
        let address = actor.start();
        let (told, watcher, clock) = (Arc::new(AtomicBool::new(false)), address.clone(), seams.clock.clone());
        let tell = move || {
            // One that has not been passed on yet stands for all that follow.
            if !told.swap(true, Ordering::AcqRel) {
                watcher.do_send(News(Arc::clone(&told)));
            }
        };
        let mut eye = Eye { backend, own: process, view: None };
        let body = move || lookout.run(&*clock, || eye.look(), tell);
        let _ = seams.spawner.spawn("millpond-watch", Box::new(body))?;
        Ok(address)
    }

    fn begin_waiting(&self) {
        if let Err(error) = self.bell.waiting(true) {
            tracing::warn!(%error, "the bell cannot be used, the slow poll has to do");
        }
        self.lookout.want(true);
    }

    fn end_waiting(&self) {
        self.lookout.want(false);
        if let Err(error) = self.bell.waiting(false) {
            tracing::warn!(%error, "the bell cannot be told that nobody waits");
        }
    }

    fn tell_waiting(&self) {
        let living = self.waiting.values().filter_map(WeakRecipient::upgrade);
        living.for_each(|actor| actor.do_send(Changed));
    }
}

impl std::fmt::Debug for WatcherActor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatcherActor").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

impl Actor for WatcherActor {
    type Context = Context<Self>;
}

impl Drop for WatcherActor {
    fn drop(&mut self) {
        self.lookout.close();
    }
}

/// Registers or removes an actor that waits for what another process may do, or that has somebody who may lose what is
/// held; `key` is the actor's own, unique in the process.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Watch {
    /// Whose.
    pub key: usize,
    /// Whom to tell; `None` to remove.
    pub tell: Option<Recipient<Changed>>,
}

impl Handler<Watch> for WatcherActor {
    type Result = ();

    fn handle(&mut self, watch: Watch, _: &mut Self::Context) {
        let was_empty = self.waiting.is_empty();
        match &watch.tell {
            Some(tell) => drop(self.waiting.insert(watch.key, tell.downgrade())),
            None => drop(self.waiting.remove(&watch.key)),
        }
        let is_empty = self.waiting.is_empty();
        if was_empty && !is_empty {
            self.begin_waiting();
        } else if !was_empty && is_empty {
            self.end_waiting();
        }
        if let Some(newcomer) = watch.tell {
            // What was written before the bell could be rung for it has to be looked at now.
            newcomer.do_send(Changed);
        }
    }
}

/// The lookout has seen that something changed.
#[derive(Message)]
#[rtype(result = "()")]
struct News(Arc<AtomicBool>);

impl Handler<News> for WatcherActor {
    type Result = ();

    fn handle(&mut self, News(told): News, _: &mut Self::Context) {
        // Before the others look: what is seen after this is told again.
        told.store(false, Ordering::Release);
        self.tell_waiting();
    }
}

/// Leases of this process have lapsed.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Lapsed;

impl Handler<Lapsed> for WatcherActor {
    type Result = ();

    fn handle(&mut self, _: Lapsed, _: &mut Self::Context) {
        self.tell_waiting();
    }
}
