//! The readers: a pool of read-only connections that see what has been committed and never wait for the writer.

use std::fmt;
use std::sync::Arc;

use actix::prelude::*;

use crate::error::Result;
use crate::failpoint::{Point, reach};
use crate::storage::{Backend, View};
use crate::thread;

/// The way to the readers.
#[derive(Clone)]
pub struct Readers {
    address: Addr<ReaderActor>,
}

impl Readers {
    /// Starts `threads` readers; the current arbiter passes their work on.
    pub(crate) fn open(backend: Arc<dyn Backend>, threads: usize) -> Readers {
        let address = SyncArbiter::start_with_thread_builder(
            threads,
            || std::thread::Builder::new().name("millpond-reader".into()),
            move || ReaderActor { backend: Arc::clone(&backend), view: None },
        );
        Readers { address }
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
        // Bounded by the gate, as every message is.
        self.address.do_send(Look(Box::new(move |view| {
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
            then(found);
        })));
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

struct ReaderActor {
    backend: Arc<dyn Backend>,
    view: Option<Box<dyn View>>,
}

impl Actor for ReaderActor {
    type Context = SyncContext<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        thread::mark_as_ours();
    }
}

impl Handler<Look> for ReaderActor {
    type Result = ();

    fn handle(&mut self, Look(job): Look, _: &mut Self::Context) {
        if self.view.is_none() {
            match thread::contain(|| "a reader".into(), || self.backend.view()).flatten() {
                Ok(view) => self.view = Some(view),
                Err(error) => return job(Err(error)),
            }
        }
        let Some(view) = &mut self.view else { return };
        // A panic would end this thread for good (actix does not restart it), and `then` is not ours alone.
        if thread::contain(|| "an answer".into(), || job(Ok(&mut **view))).is_err() {
            self.view = None;
        }
    }
}
