//! Reading page by page, one page ahead: what all streams of stored records do alike.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use millpond_actors::error::{Error, Result};
use millpond_actors::reply::Answer;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::View;

/// A query that is answered by pages.
pub(crate) trait Paged: Clone + Send + 'static {
    /// What its pages hold.
    type Record: Send + 'static;
    /// What says where a page ends.
    type Place: Send + 'static;

    /// Reads one page of at most so many.
    fn read(&self, most: u32, view: &mut dyn View) -> Result<Leaf<Self::Record, Self::Place>>;

    /// How many a page holds at most.
    fn page_rows(&self) -> u32;

    /// Goes on behind this place; whether there is nothing there.
    fn move_behind(&mut self, last: Self::Place) -> bool;
}

/// A page.
pub(crate) struct Leaf<R, P = u64> {
    /// In order; a damaged one is an error in its place.
    pub(crate) records: Vec<Result<R>>,
    /// The place of the last row looked at, if any.
    pub(crate) last: Option<P>,
    /// Whether there may be more behind it.
    pub(crate) more: bool,
}

/// Records in order, read while they are looked at. A consumer that stops reading stops the reading; one that is slow
/// holds two pages at most.
pub(crate) struct Pages<Q: Paged> {
    runtime: Arc<Runtime>,
    query: Result<Q>,
    left: u64,
    ready: VecDeque<Result<Q::Record>>,
    ahead: Option<Answer<Leaf<Q::Record, Q::Place>>>,
    ended: bool,
}

impl<Q: Paged + std::fmt::Debug> std::fmt::Debug for Pages<Q> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").field("query", &self.query).finish_non_exhaustive()
    }
}

impl<Q: Paged> Pages<Q> {
    pub(crate) fn new(runtime: &Arc<Runtime>, query: Result<Q>) -> Pages<Q> {
        let (ready, runtime) = (VecDeque::new(), Arc::clone(runtime));
        Pages { runtime, query, left: u64::MAX, ready, ahead: None, ended: false }
    }

    /// Before the first record is asked for.
    pub(crate) fn change(mut self, change: impl FnOnce(&mut Q)) -> Pages<Q> {
        if let Ok(query) = &mut self.query {
            change(query);
        }
        self
    }

    /// What is asked for cannot be answered if this is an error, which is then all that comes.
    pub(crate) fn check(mut self, checked: Result<()>) -> Pages<Q> {
        if let (Ok(_), Err(error)) = (&self.query, checked) {
            self.query = Err(error);
        }
        self
    }

    /// At most so many records.
    pub(crate) fn limit(mut self, limit: u64) -> Pages<Q> {
        self.left = limit;
        self
    }

    /// Begins with a page that was read already.
    pub(crate) fn begun(mut self, page: Leaf<Q::Record, Q::Place>) -> Pages<Q> {
        self.accept(page);
        self
    }

    /// The next record for a thread that waits.
    pub(crate) fn next_blocking(&mut self) -> Option<Result<Q::Record>> {
        loop {
            if let Some(found) = self.take_ready() {
                return found;
            }
            let (query, most) = match self.next_query() {
                Ok(query) => query,
                Err(error) => return Some(Err(self.fail(error))),
            };
            match self.runtime.read_blocking(move |view| query.read(most, view)) {
                Ok(page) => self.accept(page),
                Err(error) => return Some(Err(self.fail(error))),
            }
        }
    }

    /// The next record; `None` at the end. Dropping a poll loses nothing.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Q::Record>>> {
        loop {
            if let Some(found) = self.take_ready() {
                return Poll::Ready(found);
            }
            if self.ahead.is_none() {
                let (query, most) = match self.next_query() {
                    Ok(query) => query,
                    Err(error) => return Poll::Ready(Some(Err(self.fail(error)))),
                };
                match self.runtime.read_ahead(move |view| query.read(most, view)) {
                    Ok(answer) => self.ahead = Some(answer),
                    Err(error) => return Poll::Ready(Some(Err(self.fail(error)))),
                }
            }
            let Some(ahead) = &mut self.ahead else { continue };
            let Poll::Ready(page) = Pin::new(ahead).poll(context) else { return Poll::Pending };
            self.ahead = None;
            match page {
                Ok(page) => {
                    self.accept(page);
                    self.read_ahead();
                }
                Err(error) => {
                    let error = self.runtime.failed(error);
                    return Poll::Ready(Some(Err(self.fail(error))));
                }
            }
        }
    }

    /// What can be said without reading: a record, or the end.
    fn take_ready(&mut self) -> Option<Option<Result<Q::Record>>> {
        if self.left == 0 {
            return Some(None);
        }
        if let Some(found) = self.ready.pop_front() {
            self.left -= 1;
            return Some(Some(found.map_err(|error| self.runtime.failed(error))));
        }
        self.ended.then_some(None)
    }

    fn next_query(&self) -> Result<(Q, u32)> {
        let query = self.query.clone()?;
        let most = query.page_rows().min(u32::try_from(self.left).unwrap_or(u32::MAX));
        Ok((query, most))
    }

    /// Takes a page in, and moves the query behind it.
    fn accept(&mut self, page: Leaf<Q::Record, Q::Place>) {
        self.ended = !page.more;
        if let (Ok(query), Some(last)) = (&mut self.query, page.last) {
            self.ended |= query.move_behind(last);
        }
        self.ready.extend(page.records);
    }

    /// Whether there is nothing to go on with: it has failed, or is at what it was limited to.
    pub(crate) fn is_over(&self) -> bool {
        self.left == 0 || self.query.is_err()
    }

    /// Whether only so many are asked for.
    pub(crate) fn is_limited(&self) -> bool {
        self.left != u64::MAX
    }

    /// Goes on with what there is by now.
    pub(crate) fn go_on(&mut self, change: impl FnOnce(&mut Q)) {
        self.ended = false;
        if let Ok(query) = &mut self.query {
            change(query);
        }
    }

    /// Whom it reads with.
    pub(crate) fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// What is asked for.
    pub(crate) fn query(&self) -> Result<&Q> {
        self.query.as_ref().map_err(Error::clone)
    }

    fn fail(&mut self, error: Error) -> Error {
        self.ended = true;
        self.left = 0;
        error
    }

    /// Has the page after this one read while this one is being looked at.
    fn read_ahead(&mut self) {
        let enough = self.ready.len() as u64 >= self.left;
        if self.ended || enough || self.ahead.is_some() {
            return;
        }
        if let Ok((query, most)) = self.next_query() {
            // Without room at this moment the page is simply read later.
            self.ahead = self.runtime.read_ahead(move |view| query.read(most, view)).ok();
        }
    }
}
