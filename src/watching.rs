//! Reading what has changed, as it changes: what all streams that are woken by changes do alike.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use millpond_actors::change::Watching;
use millpond_actors::error::{Error, Result};
use millpond_actors::reply::{self, Answer, Reply};
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::View;
use millpond_actors::storage::change::Record as Write;
use millpond_actors::thread;

/// What is read when something has changed, and how far it has been read.
pub(crate) trait Watched: Send + 'static {
    /// What comes of it.
    type Item: Send + 'static;

    /// Reads on, about a page. Whether there may be more; if not, it is asked again when something has changed. After an
    /// error it goes on where it was.
    ///
    /// # Errors
    /// What the database said; what was put into `ready` before that counts.
    fn read(&mut self, view: &mut dyn View, ready: &mut VecDeque<Result<Self::Item>>) -> Result<bool>;
}

/// Shared with the reader that reads at this moment, if one does.
struct Hand<W: Watched> {
    watched: W,
    ready: VecDeque<Result<W::Item>>,
}

impl<W: Watched> Hand<W> {
    fn read(&mut self, view: &mut dyn View) -> bool {
        let read = self.watched.read(view, &mut self.ready);
        read.unwrap_or_else(|error| {
            // Behind what was read before it.
            self.ready.push_back(Err(error));
            true
        })
    }
}

/// Somebody who watches. He holds about a page, and has one read at a time.
pub(crate) struct Watch<W: Watched> {
    runtime: Arc<Runtime>,
    watching: Watching,
    hand: Arc<Mutex<Hand<W>>>,
    waits: Waits,
    /// What there was when there had been so much news has been read.
    all_read: Option<u64>,
    ended: bool,
}

/// What is waited for.
#[derive(Debug)]
enum Waits {
    Nothing,
    /// A page, and how much news there had been before it was asked for.
    Page(Answer<bool>, u64),
    News(Answer<()>),
}

/// Begins to watch. Comes with the number of the last change before: every group that begins behind it knows of us.
pub(crate) async fn begin(runtime: &Runtime) -> Result<(Watching, u64)> {
    // To tell the others may be a way over a network, for which an executor's thread is not to wait.
    let changes = runtime.changes().clone();
    let watching = runtime.read(move |_| changes.watch()).await?;
    let before = runtime.write(Write { changes: Vec::new() }).await?;
    Ok((watching, before.last))
}

/// The same for a thread that waits.
pub(crate) fn begin_blocking(runtime: &Runtime) -> Result<(Watching, u64)> {
    let watching = runtime.changes().watch()?;
    let before = runtime.write_blocking(Write { changes: Vec::new() })?;
    Ok((watching, before.last))
}

impl<W: Watched> Watch<W> {
    pub(crate) fn new(runtime: &Arc<Runtime>, watching: Watching, watched: W) -> Watch<W> {
        let hand = Arc::new(Mutex::new(Hand { watched, ready: VecDeque::new() }));
        let runtime = Arc::clone(runtime);
        Watch { runtime, watching, hand, waits: Waits::Nothing, all_read: None, ended: false }
    }

    /// What comes next; `None` once the store is closed. Dropping a poll loses nothing.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<W::Item>>> {
        loop {
            match &mut self.waits {
                Waits::Nothing => {
                    // Nobody reads, so nobody has it.
                    if let Some(found) = self.hand().ready.pop_front() {
                        return Poll::Ready(Some(found));
                    }
                    if self.ended {
                        return Poll::Ready(None);
                    }
                    if let Some(news) = self.all_read.take() {
                        let (reply, answer) = Reply::future();
                        self.watching.wait(news, reply);
                        self.waits = Waits::News(answer);
                    } else if let Err(error) = self.read() {
                        return Poll::Ready(self.failed(error));
                    }
                }
                Waits::Page(page, news) => {
                    let Poll::Ready(more) = Pin::new(page).poll(context) else { return Poll::Pending };
                    let news = *news;
                    self.waits = Waits::Nothing;
                    match more {
                        Ok(more) => self.all_read = (!more).then_some(news),
                        // A read that was dropped because the store is closing says something else.
                        Err(_) if self.runtime.is_closed() => {
                            return Poll::Ready(self.failed(Error::Closed));
                        }
                        Err(error) => return Poll::Ready(self.failed(error)),
                    }
                }
                Waits::News(answer) => {
                    let Poll::Ready(answer) = Pin::new(answer).poll(context) else { return Poll::Pending };
                    self.waits = Waits::Nothing;
                    self.ended = answer.is_err();
                }
            }
        }
    }

    /// What comes next, for a thread that waits.
    pub(crate) fn next_blocking(&mut self) -> Option<Result<W::Item>> {
        if thread::is_ours() {
            return Some(Err(Error::WouldDeadlock));
        }
        reply::wait_until(|context| self.poll_next(context))
    }

    /// Has a page read.
    fn read(&mut self) -> Result<()> {
        // Before the page, so that what comes while it is read is news.
        let (news, hand) = (self.watching.news(), Arc::clone(&self.hand));
        let page = self.runtime.read_ahead(move |view| Ok(lock(&hand).read(view)))?;
        self.waits = Waits::Page(page, news);
        Ok(())
    }

    /// The end of the store is its end, without a word.
    fn failed(&mut self, error: Error) -> Option<Result<W::Item>> {
        self.ended = error == Error::Closed;
        (!self.ended).then_some(Err(error))
    }

    fn hand(&self) -> MutexGuard<'_, Hand<W>> {
        lock(&self.hand)
    }
}

fn lock<W: Watched>(hand: &Mutex<Hand<W>>) -> MutexGuard<'_, Hand<W>> {
    hand.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<W: Watched> fmt::Debug for Watch<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("waits", &self.waits).finish_non_exhaustive()
    }
}
