//! The watcher: tells the actors that wait for other processes when there may be news.
//!
//! The bell is the shortcut, a look every [`SLOW_POLL`](crate::limits::SLOW_POLL) the guarantee. While nobody
//! waits there is neither.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::WeakRecipient;
use actix::prelude::*;

use crate::error::Result;
use crate::limits;
use crate::reader::Readers;
use crate::storage::{Bell, Pulse};

/// How long after a ring to look again, for a process that was just dying when it rang.
const AFTER_DEATH: std::time::Duration = std::time::Duration::from_millis(5);

/// Another process wrote, came or went, or leases of this one lapsed: whoever waits or holds looks again.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Changed;

/// The actor that keeps the list of those who want to be told.
pub struct WatcherActor {
    bell: Box<dyn Bell>,
    readers: Readers,
    process: u64,
    /// Weak, so that being on a list keeps no actor that nobody uses any more.
    waiting: HashMap<usize, WeakRecipient<Changed>>,
    pulse: Option<Pulse>,
    polling: Option<SpawnHandle>,
    looking: bool,
}

impl WatcherActor {
    /// Starts the watcher on the current arbiter.
    pub(crate) fn open(bell: Box<dyn Bell>, readers: Readers, process: u64) -> Addr<WatcherActor> {
        let actor = WatcherActor {
            bell,
            readers,
            process,
            waiting: HashMap::new(),
            pulse: None,
            polling: None,
            looking: false,
        };
        actor.start()
    }

    fn begin_waiting(&mut self, context: &mut Context<Self>) {
        if let Err(error) = self.bell.waiting(true) {
            tracing::warn!(%error, "the bell cannot be used, the slow poll has to do");
        }
        self.pulse = None;
        self.polling =
            Some(context.run_interval(limits::SLOW_POLL, |watcher, context| watcher.look(context)));
    }

    fn end_waiting(&mut self, context: &mut Context<Self>) {
        if let Some(polling) = self.polling.take() {
            context.cancel_future(polling);
        }
        if let Err(error) = self.bell.waiting(false) {
            tracing::warn!(%error, "the bell cannot be told that nobody waits");
        }
    }

    /// Compares the store with how it was at the last look.
    fn look(&mut self, context: &mut Context<Self>) {
        if std::mem::replace(&mut self.looking, true) {
            return;
        }
        let (address, own) = (context.address(), self.process);
        self.readers.read(move |view| view.pulse(own), move |pulse| address.do_send(Looked(pulse)));
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

    fn started(&mut self, context: &mut Self::Context) {
        let address = context.address();
        let told = Arc::new(AtomicBool::new(false));
        let on_ring = Box::new(move || {
            // Rings fold: one that has not been looked at yet stands for all that follow.
            if !told.swap(true, Ordering::AcqRel) {
                address.do_send(Rung(Arc::clone(&told)));
            }
        });
        if let Err(error) = self.bell.listen(on_ring) {
            tracing::warn!(%error, "the bell cannot be heard, the slow poll has to do");
        }
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

    fn handle(&mut self, watch: Watch, context: &mut Self::Context) {
        let was_empty = self.waiting.is_empty();
        match &watch.tell {
            Some(tell) => drop(self.waiting.insert(watch.key, tell.downgrade())),
            None => drop(self.waiting.remove(&watch.key)),
        }
        let is_empty = self.waiting.is_empty();
        if was_empty && !is_empty {
            self.begin_waiting(context);
        } else if !was_empty && is_empty {
            self.end_waiting(context);
        }
        if let Some(newcomer) = watch.tell {
            // What was written before the bell could be rung for it has to be looked at now.
            newcomer.do_send(Changed);
        }
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Rung(Arc<AtomicBool>);

impl Handler<Rung> for WatcherActor {
    type Result = ();

    fn handle(&mut self, Rung(told): Rung, context: &mut Self::Context) {
        told.store(false, Ordering::Release);
        if self.waiting.is_empty() {
            return;
        }
        // A look that is under way may have been too early for this ring.
        self.looking = false;
        self.look(context);
        // When a process dies, the kernel rings before it takes its locks away.
        context.run_later(AFTER_DEATH, |watcher, context| watcher.look(context));
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Looked(Result<Pulse>);

impl Handler<Looked> for WatcherActor {
    type Result = ();

    fn handle(&mut self, Looked(pulse): Looked, _: &mut Self::Context) {
        self.looking = false;
        match pulse {
            Ok(pulse) if self.pulse.as_ref() == Some(&pulse) => {}
            Ok(pulse) => {
                self.pulse = Some(pulse);
                self.tell_waiting();
            }
            // Better one look too many than one too few.
            Err(_) => self.tell_waiting(),
        }
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
