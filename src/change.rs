//! Watching the store: what changes, whichever process changes it.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

use millpond_actors::change::Watching;
use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::pattern::Pattern;
use millpond_actors::reply::{Answer, Reply};
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::change::{Change as Record, Primitive, Record as Write};

/// Something in the store has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change(Record);

impl Change {
    /// What sort of thing.
    #[must_use]
    pub fn primitive(&self) -> Primitive {
        self.0.primitive
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Where it stands since then: the version of a stream, the sequence of the last message of a log or channel, that of
    /// the job that was pushed to a queue, claimed, or whose claim has ended, the fencing token of a lock that was given to
    /// somebody; `None` of a lock that nobody holds, and of a queue whose options are others.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        self.0.sequence
    }
}

/// What changes in the store, in the order of the commits of all its processes; see [`Store::watch`](crate::Store::watch).
///
/// It has no end but that of the store. Whoever reads slowly holds one page; what is written down is kept for the last
/// 10,000 changes, and who is further behind is told by [`Error::Lagged`] how many are gone, and reads on.
///
/// # Examples
/// ```
/// use millpond::{Event, Expected, Primitive, Store};
/// # futures_executor::block_on(async {
/// let store = Store::memory().await?;
/// let mut changes = store.watch("permit-*").await?;
/// let opened = Event::new("Opened", &serde_json::json!({"by": "Ada"}))?;
/// store.events().append("permit-7", Expected::NoStream, [opened]).await?;
/// let change = changes.next().await.expect("the store is open")?;
/// assert_eq!((change.primitive(), change.name(), change.sequence()), (Primitive::Stream, "permit-7", Some(1)));
/// # Ok::<(), millpond::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "nothing is read until changes are asked for"]
pub struct Changes {
    runtime: Arc<Runtime>,
    pattern: Pattern,
    watching: Watching,
    /// The number of the last change that was read.
    after: u64,
    ready: VecDeque<Result<Change>>,
    waits: Waits,
    ended: bool,
}

/// What is waited for.
#[derive(Debug)]
enum Waits {
    Nothing,
    /// A page, and how much news there had been before it was asked for.
    Page(Answer<Vec<Record>>, u64),
    News(Answer<()>),
}

impl Changes {
    /// Begins to watch.
    pub(crate) async fn begin(runtime: &Arc<Runtime>, pattern: &str) -> Result<Changes> {
        let (pattern, watching) = (Pattern::new(pattern)?, runtime.changes().watch()?);
        // Every group that begins behind this one knows that somebody watches.
        let before = runtime.write(Write { changes: Vec::new() }).await?;
        Ok(Changes::of(runtime, pattern, watching, before.last))
    }

    /// The same for a thread that waits.
    pub(crate) fn begin_blocking(runtime: &Arc<Runtime>, pattern: &str) -> Result<Changes> {
        let (pattern, watching) = (Pattern::new(pattern)?, runtime.changes().watch()?);
        let before = runtime.write_blocking(Write { changes: Vec::new() })?;
        Ok(Changes::of(runtime, pattern, watching, before.last))
    }

    fn of(runtime: &Arc<Runtime>, pattern: Pattern, watching: Watching, after: u64) -> Changes {
        let (runtime, ready) = (Arc::clone(runtime), VecDeque::new());
        Changes { runtime, pattern, watching, after, ready, waits: Waits::Nothing, ended: false }
    }

    /// The next change; `None` once the store is closed.
    ///
    /// Cancel-safe: a dropped future loses no change.
    pub async fn next(&mut self) -> Option<Result<Change>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// The next change for a thread that waits.
    pub(crate) fn next_blocking(&mut self) -> Option<Result<Change>> {
        loop {
            if let Some(found) = self.take_ready() {
                return found;
            }
            let (after, news) = (self.after, self.watching.news());
            match self.runtime.read_blocking(move |view| view.changes(after, limits::PAGE_ROWS)) {
                Ok(page) if page.is_empty() => {
                    let (reply, waiting) = Reply::blocking();
                    self.watching.wait(news, reply);
                    self.ended = waiting.wait().is_err();
                }
                Ok(page) => self.accept(page),
                Err(error) => return self.fail(error),
            }
        }
    }

    /// What can be said without reading: a change, or the end.
    fn take_ready(&mut self) -> Option<Option<Result<Change>>> {
        match self.ready.pop_front() {
            Some(found) => Some(Some(found)),
            None => self.ended.then_some(None),
        }
    }

    fn accept(&mut self, page: Vec<Record>) {
        for change in page {
            // Numbers are dense: what is missing is not kept any more.
            let missed = change.number.saturating_sub(self.after.saturating_add(1));
            if missed > 0 {
                let name = self.pattern.to_string();
                self.ready.push_back(Err(Error::Lagged { kind: "watch", name, missed }));
            }
            self.after = change.number;
            if self.pattern.matches(&change.name) {
                self.ready.push_back(Ok(Change(change)));
            }
        }
    }

    /// The end: with the store's, without a word.
    fn fail(&mut self, error: Error) -> Option<Result<Change>> {
        self.ended = true;
        (error != Error::Closed).then_some(Err(error))
    }

    /// Has a page read.
    fn read(&mut self) -> Result<()> {
        let (after, news) = (self.after, self.watching.news());
        let page = self.runtime.read_ahead(move |view| view.changes(after, limits::PAGE_ROWS))?;
        self.waits = Waits::Page(page, news);
        Ok(())
    }
}

impl Stream for Changes {
    type Item = Result<Change>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Change>>> {
        let this = &mut *self;
        loop {
            if let Some(found) = this.take_ready() {
                return Poll::Ready(found);
            }
            match &mut this.waits {
                Waits::Nothing => {
                    if let Err(error) = this.read() {
                        return Poll::Ready(this.fail(error));
                    }
                }
                Waits::Page(page, news) => {
                    let Poll::Ready(page) = Pin::new(page).poll(context) else { return Poll::Pending };
                    let news = *news;
                    this.waits = Waits::Nothing;
                    match page {
                        Ok(page) if page.is_empty() => {
                            let (reply, answer) = Reply::future();
                            this.watching.wait(news, reply);
                            this.waits = Waits::News(answer);
                        }
                        Ok(page) => this.accept(page),
                        // A read that was dropped because the store is closing says something else.
                        Err(_) if this.runtime.is_closed() => return Poll::Ready(this.fail(Error::Closed)),
                        Err(error) => return Poll::Ready(this.fail(error)),
                    }
                }
                Waits::News(answer) => {
                    let Poll::Ready(answer) = Pin::new(answer).poll(context) else { return Poll::Pending };
                    this.waits = Waits::Nothing;
                    this.ended = answer.is_err();
                }
            }
        }
    }
}
