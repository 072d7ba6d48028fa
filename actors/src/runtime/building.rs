//! What the first arbiter's thread builds and lives in, and the orderly end.

use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::oneshot;

use super::{Doors, Settings, storage};
use crate::change::Changes;
use crate::error::Result;
use crate::feed::Feeds;
use crate::follow::Follow;
use crate::gate::Gate;
use crate::horizon::Horizon;
use crate::limits;
use crate::observe::target;
use crate::projection::Projections;
use crate::reader::Readers;
use crate::reply::Reply;
use crate::storage::{Backend, Identity, Session, Turn};
use crate::stream::Streams;
use crate::supervisor::{House, Post, Supervisor};
use crate::thread;
use crate::watcher::Watcher;
use crate::writer::{Stats, Told, Tuning, WriterActor};

/// What the first arbiter's thread builds and lives in.
#[derive(Clone)]
pub(super) struct Building {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) identity: Identity,
    pub(super) settings: Settings,
    pub(super) gate: Arc<Gate>,
    pub(super) stats: Arc<Stats>,
}

impl Building {
    pub(super) fn new(backend: Arc<dyn Backend>, identity: Identity, settings: Settings) -> Building {
        let stats = Stats { meter: settings.meter.clone(), ..Stats::default() };
        let (gate, stats) = (Gate::new(settings.requests), Arc::new(stats));
        Building { backend, identity, settings, gate, stats }
    }

    /// The life of the first arbiter's thread.
    pub(super) fn live(
        self,
        ready: &crossbeam_channel::Sender<Result<Doors>>,
        stopped: oneshot::Receiver<Reply<()>>,
    ) {
        thread::mark_as_ours();
        // Whoever joins may have to wait, which within the system nobody does.
        let session = match self.join() {
            Ok(session) => session,
            Err(error) => return drop(ready.send(Err(error))),
        };
        let system = actix_rt::System::new();
        let answer = system.block_on(async move {
            let (doors, house) = match self.open(session).await {
                Ok(opened) => opened,
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return None;
                }
            };
            let end = self.end(house, doors.clone(), stopped);
            let _ = ready.send(Ok(doors));
            let answer = end.await;
            System::current().stop();
            answer
        });
        // With the arbiter its actors end, and with them whatever waited in them.
        drop(system);
        if let Some(answer) = answer {
            answer.answer(Ok(()));
        }
    }

    /// The same on an arbiter that is there already, and stays.
    #[cfg(feature = "testing")]
    pub(super) async fn live_here(self, stopped: oneshot::Receiver<Reply<()>>) -> Result<Doors> {
        let (doors, house) = self.open(self.join()?).await?;
        let end = self.end(house, doors.clone(), stopped);
        actix_rt::spawn(async {
            if let Some(answer) = end.await {
                answer.answer(Ok(()));
            }
        });
        Ok(doors)
    }

    /// Lives until the end is asked for, and ends in order. Who is to be told of it.
    async fn end(
        self,
        house: House,
        doors: Doors,
        stopped: oneshot::Receiver<Reply<()>>,
    ) -> Option<Reply<()>> {
        let answer = stopped.await.ok();
        self.gate.close();
        // What they would read is not let in any more.
        house.feeds.close();
        doors.follow.close();
        doors.projections.close();
        if answer.is_some() {
            let _ = tokio::time::timeout(limits::CLOSE_WAIT, self.gate.emptied()).await;
            house.writer.close().await;
        }
        let whole = answer.is_some();
        tracing::info!(target: target::STORE, process = house.writer.process(), whole, "the store is closed");
        house.watcher.close();
        doors.changes.close();
        // By hand: the system's own way to stop them is a message to a task of this thread, which runs no more.
        for arbiter in doors.others {
            arbiter.stop();
        }
        self.settings.meter.ended();
        answer
    }

    fn join(&self) -> Result<Box<dyn Session>> {
        let join = || self.backend.join(&self.identity, &|| self.settings.seams.clock.now());
        tracing::debug_span!(target: target::STORE, "join").in_scope(join)
    }

    async fn open(&self, session: Box<dyn Session>) -> Result<(Doors, House)> {
        let seams = self.settings.seams.clone();
        let (process, presence) = (session.process(), session.presence());
        let meter = self.settings.meter.clone();
        let readers =
            Readers::open(Arc::clone(&self.backend), self.settings.readers.max(1), &seams, meter.clone())?;
        let watcher = Watcher::open(Arc::clone(&self.backend), session.bell(), process, &seams, meter)?;
        let call_all = {
            let watcher = watcher.clone();
            Box::new(move || watcher.call_all())
        };
        let horizon = Horizon::new();
        let told = Told { call_all, horizon: Arc::clone(&horizon) };
        let ask_turn = {
            let readers = readers.clone();
            let found = |found: Result<Option<Turn>>| found.ok().flatten();
            Box::new(move |then: Box<dyn FnOnce(Option<Turn>) + Send>| {
                readers.read(|view| view.turn_holder(), move |turn| then(found(turn)));
            })
        };
        let (gate, stats) = (Arc::clone(&self.gate), Arc::clone(&self.stats));
        let Settings { call_timeout, checkpoint_pages, .. } = self.settings;
        let tuning = Tuning { call_timeout, checkpoint_pages, far: self.backend.is_far() };
        let writer = WriterActor::open(session, gate, seams.clone(), stats, tuning, told, ask_turn)?;
        let feeds = Feeds::new(writer.clone(), readers.clone(), watcher.clone(), Arc::clone(&self.gate));
        let follow = Follow::new(horizon, watcher.clone(), readers.clone());
        let projections = Projections::new(watcher.clone(), readers.clone());
        let stats = Arc::clone(&self.stats);
        let house = House { writer, readers: readers.clone(), feeds: feeds.clone(), watcher, stats, seams };
        let (supervisors, others) = self.supervisors(&house).await?;
        let (writer, arbiter) = (house.writer.clone(), Arbiter::current());
        let (streams, changes) = (Streams::new(writer.clone()), Changes::new(house.watcher.clone()));
        let post = Post::new(supervisors);
        tracing::info!(target: target::STORE, process, "the store is open");
        let doors = Doors {
            post,
            streams,
            feeds,
            follow,
            projections,
            changes,
            writer,
            readers,
            presence,
            arbiter,
            others,
        };
        Ok((doors, house))
    }

    /// One supervisor an arbiter; the first lives here, beside the writer.
    async fn supervisors(&self, house: &House) -> Result<(Vec<Addr<Supervisor>>, Vec<ArbiterHandle>)> {
        let (idle, mut others) = (self.settings.idle, Vec::new());
        let mut supervisors = vec![Supervisor::new(house.clone(), idle).start()];
        for _ in 1..self.settings.arbiters {
            let arbiter = Arbiter::new();
            let (marked, mark) = oneshot::channel();
            arbiter.spawn_fn(move || {
                thread::mark_as_ours();
                let _ = marked.send(());
            });
            mark.await.map_err(|_| storage("an arbiter ended at once"))?;
            let house = house.clone();
            supervisors
                .push(Supervisor::start_in_arbiter(&arbiter.handle(), move |_| Supervisor::new(house, idle)));
            others.push(arbiter.handle());
        }
        Ok((supervisors, others))
    }
}
