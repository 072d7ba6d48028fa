//! The readers: a pool of read-only connections that see what has been committed and never wait for the writer.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use actix::prelude::*;

use crate::clock::{Clock, Seams, Spawner};
use crate::error::Result;
use crate::failpoint::{Point, reach};
use crate::observe::{Meter, target};
use crate::storage::{Backend, View};
use crate::thread;
use crate::worker::{Call, Rest, Worker};

/// The way to the readers.
#[derive(Clone)]
pub struct Readers {
    way: Way,
    backend: Arc<dyn Backend>,
    spawner: Arc<dyn Spawner>,
    clock: Arc<dyn Clock>,
    meter: Meter,
}

#[derive(Clone)]
enum Way {
    /// A pool of threads.
    Pool(Addr<ReaderActor>),
    /// One who reads what is in the line, where there are no threads.
    One(Arc<Line>),
}

impl Readers {
    /// Starts `threads` readers; the current arbiter passes their work on.
    ///
    /// # Errors
    /// If the machine has no thread left to give.
    pub(crate) fn open(
        backend: Arc<dyn Backend>,
        threads: usize,
        seams: &Seams,
        meter: Meter,
    ) -> Result<Readers> {
        let (clock, spawner, own) =
            (Arc::clone(&seams.clock), Arc::clone(&seams.spawner), Arc::clone(&backend));
        let readers = |way| Readers { way, backend: own, spawner, clock, meter };
        if !seams.spawner.has_threads() {
            let line = Arc::new(Line::default());
            let one = One { line: Arc::downgrade(&line), reader: Reader { backend, view: None } };
            let _ = seams.spawner.employ("millpond-reader", Box::new(one), line.call.clone())?;
            return Ok(readers(Way::One(line)));
        }
        let address = SyncArbiter::start_with_thread_builder(
            threads,
            || std::thread::Builder::new().name("millpond-reader".into()),
            move || ReaderActor(Reader { backend: Arc::clone(&backend), view: None }),
        );
        Ok(readers(Way::Pool(address)))
    }

    /// Runs `look` on a connection and a thread of its own, and hands what it found to `then`: for what takes so long that it
    /// would keep others from their reads.
    ///
    /// # Errors
    /// If the machine has no thread left to give.
    pub fn aside<T, L, F>(&self, name: &'static str, look: L, then: F) -> Result<()>
    where
        T: 'static,
        L: FnOnce(&mut dyn View) -> Result<T> + Send + 'static,
        F: FnOnce(Result<T>) + Send + 'static,
    {
        let backend = Arc::clone(&self.backend);
        let body = move || {
            thread::mark_as_ours();
            then(thread::contain(|| name.into(), || look(&mut *backend.view()?)).flatten());
        };
        self.spawner.spawn(name, Box::new(body)).map(drop)
    }

    /// Runs `look` here and now, on the view that is given, or on a new one.
    ///
    /// # Errors
    /// What the database said, or the look. A panic in it is an error of it alone.
    pub fn glance<T>(
        &self,
        view: &mut Option<Box<dyn View>>,
        look: impl FnOnce(&mut dyn View) -> Result<T>,
    ) -> Result<Option<T>> {
        if self.backend.is_far() {
            return Ok(None);
        }
        let view = match view {
            Some(view) => view,
            None => view.insert(self.backend.view()?),
        };
        thread::contain(|| "a look".into(), || look(&mut **view)).flatten().map(Some)
    }

    /// Runs `look` on one of the connections and hands what it found to `then`, on the reader's thread.
    ///
    /// A panic in either is an error of this read alone.
    pub fn read<T, L, F>(&self, look: L, then: F)
    where
        T: 'static,
        L: FnOnce(&mut dyn View) -> Result<T> + Send + 'static,
        F: FnOnce(Result<T>) + Send + 'static,
    {
        let (clock, meter) = (Arc::clone(&self.clock), self.meter.clone());
        let asked_us = meter.now_us(&*clock);
        let job: Job = Box::new(move |view| {
            let began_us = meter.now_us(&*clock);
            let span = tracing::trace_span!(target: target::READER, "read").entered();
            let found = match view {
                Ok(view) => {
                    let read = || {
                        reach(Point::BeforeRead)?;
                        let found = look(view)?;
                        reach(Point::AfterRead).map(|()| found)
                    };
                    thread::contain(|| "a read".into(), read).flatten()
                }
                Err(error) => Err(error),
            };
            let ended_us = meter.now_us(&*clock);
            meter.read(began_us.saturating_sub(asked_us), ended_us.saturating_sub(began_us));
            drop(span);
            then(found);
        });
        // Bounded by the gate, as every message is.
        match &self.way {
            Way::Pool(address) => address.do_send(Look(job)),
            Way::One(line) => line.push(job),
        }
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").finish_non_exhaustive()
    }
}

/// What a reader is asked to do with its connection, or with the error of opening it.
type Job = Box<dyn FnOnce(Result<&mut dyn View>) + Send>;

#[derive(Message)]
#[rtype(result = "()")]
struct Look(Job);

struct ReaderActor(Reader);

impl Actor for ReaderActor {
    type Context = SyncContext<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        thread::mark_as_ours();
    }
}

impl Handler<Look> for ReaderActor {
    type Result = ();

    fn handle(&mut self, Look(job): Look, _: &mut Self::Context) {
        self.0.serve(job);
    }
}

/// A connection, once it is needed.
struct Reader {
    backend: Arc<dyn Backend>,
    view: Option<Box<dyn View>>,
}

impl Reader {
    fn serve(&mut self, job: Job) {
        if self.view.is_none() {
            match thread::contain(|| "a reader".into(), || self.backend.view()).flatten() {
                Ok(view) => self.view = Some(view),
                Err(error) => return job(Err(error)),
            }
        }
        let Some(view) = &mut self.view else { return };
        if let Err(error) = view.refresh() {
            return job(Err(error));
        }
        // A panic would end this thread for good (actix does not restart it), and `then` is not ours alone.
        if thread::contain(|| "an answer".into(), || job(Ok(&mut **view))).is_err() {
            self.view = None;
        }
    }
}

/// What is to be read.
#[derive(Default)]
struct Line {
    jobs: Mutex<VecDeque<Job>>,
    call: Call,
}

impl Line {
    fn push(&self, job: Job) {
        self.jobs().push_back(job);
        self.call.call();
    }

    fn jobs(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Line {
    /// Nobody can ask any more.
    fn drop(&mut self) {
        self.call.call();
    }
}

/// A reader that is no actor.
struct One {
    line: Weak<Line>,
    reader: Reader,
}

impl Worker for One {
    fn work(&mut self, _: bool) -> Rest {
        let Some(line) = self.line.upgrade() else { return Rest::End };
        let job = line.jobs().pop_front();
        match job {
            Some(job) => self.reader.serve(job),
            None => return Rest::UntilCalled,
        }
        Rest::No
    }
}
