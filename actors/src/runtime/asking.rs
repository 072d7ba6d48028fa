//! The doors: how a request comes in, and how long its caller waits.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use actix::prelude::*;

use super::Runtime;
use crate::batch::{self, Part};
use crate::clock::millis;
use crate::error::{Error, Result};
use crate::gate::{Gate, Passage};
use crate::name::Name;
use crate::observe::{kind, target};
use crate::reply::{Answer, Reply};
use crate::storage::batch::Applied;
use crate::storage::{Apply, View};
use crate::supervisor::{Primitive, Visit};
use crate::thread;

/// So much later than what waits in the line a call is given up on.
const GRACE: Duration = Duration::from_millis(250);

impl Runtime {
    /// Sends a request to the actor of a name and awaits the answer, on any executor.
    ///
    /// # Errors
    /// The request's, or why it was not let in.
    pub async fn ask<A, M, T>(&self, name: &Name, build: impl FnOnce(Reply<T>, Passage) -> M) -> Result<T>
    where
        A: Primitive + Handler<Visit<M>>,
        M: Send + 'static,
    {
        self.enter_and(|reply, passage| self.tell::<A, M>(name, build(reply, passage))).await
    }

    /// Sends a request and lets this thread wait for the answer.
    ///
    /// # Errors
    /// As [`ask`](Runtime::ask), and [`Error::WouldDeadlock`] on a thread of the store's own.
    pub fn call<A, M, T>(&self, name: &Name, build: impl FnOnce(Reply<T>, Passage) -> M) -> Result<T>
    where
        A: Primitive + Handler<Visit<M>>,
        M: Send + 'static,
    {
        self.enter_and_wait(|reply, passage| self.tell::<A, M>(name, build(reply, passage)))
    }

    /// As [`ask`](Runtime::ask), for what is waited for without limit, whatever the storage does.
    ///
    /// # Errors
    /// The request's, or why it was not let in.
    pub async fn watch<A, M, T>(&self, name: &Name, build: impl FnOnce(Reply<T>, Passage) -> M) -> Result<T>
    where
        A: Primitive + Handler<Visit<M>>,
        M: Send + 'static,
    {
        let passage = self.enter().await?;
        let (reply, answer) = Reply::future();
        self.tell::<A, M>(name, build(reply, passage));
        self.honest(answer.await)
    }

    /// As [`watch`](Runtime::watch), for a thread that waits.
    ///
    /// # Errors
    /// The request's, or why it was not let in; [`Error::WouldDeadlock`] on a thread of the store's own.
    pub fn watch_blocking<A, M, T>(
        &self,
        name: &Name,
        build: impl FnOnce(Reply<T>, Passage) -> M,
    ) -> Result<T>
    where
        A: Primitive + Handler<Visit<M>>,
        M: Send + 'static,
    {
        let passage = self.enter_blocking()?;
        let (reply, waiting) = Reply::blocking();
        self.tell::<A, M>(name, build(reply, passage));
        self.honest(waiting.wait())
    }

    /// Enters, does what answers, and awaits the answer, on any executor. A storage that does not answer for the
    /// call timeout is given up on; what is granted later is given back.
    ///
    /// # Errors
    /// The answer's, or why it was not let in; [`Error::CommitUnknown`] if the storage did not answer.
    pub async fn enter_and<T>(&self, start: impl FnOnce(Reply<T>, Passage)) -> Result<T> {
        let passage = self.enter().await?;
        let (reply, answer) = Reply::future();
        let patience = self.patience();
        start(reply, passage);
        self.answered(answer, patience).await
    }

    /// Awaits an answer for as long as the storage may take.
    async fn answered<T>(&self, mut answer: Answer<T>, patience: Patience<'_>) -> Result<T> {
        let mut answerless = self.gate.answerless();
        let answered = std::future::poll_fn(|context| {
            let over = patience.is_over();
            match Pin::new(&mut answer).poll(context) {
                Poll::Pending if over => Poll::Ready(Err(patience.error())),
                Poll::Pending => {
                    answerless.sleep(context);
                    Poll::Pending
                }
                answered => answered,
            }
        });
        self.honest(answered.await)
    }

    /// Enters, does what answers, and lets this thread wait for the answer, as
    /// [`enter_and`](Runtime::enter_and) does.
    ///
    /// # Errors
    /// As there; [`Error::WouldDeadlock`] on a thread of the store's own.
    pub fn enter_and_wait<T>(&self, start: impl FnOnce(Reply<T>, Passage)) -> Result<T> {
        let passage = self.enter_blocking()?;
        let (reply, waiting) = Reply::blocking();
        let patience = self.patience();
        start(reply, passage);
        loop {
            let over = patience.is_over();
            let time = if over { Duration::ZERO } else { self.settings.call_timeout / 4 };
            match waiting.wait_for(time) {
                Some(answer) => return self.honest(answer),
                None if over => return Err(self.failed(patience.error())),
                None => {}
            }
        }
    }

    fn patience(&self) -> Patience<'_> {
        let (since_ms, limit) = (self.settings.seams.clock.boot_ms(), self.settings.call_timeout);
        Patience { gate: &self.gate, since_ms, limit }
    }

    /// Sends a message to the actor of a name, bounded by whatever the caller has.
    pub fn tell<A, M>(&self, name: &Name, message: M)
    where
        A: Primitive + Handler<Visit<M>>,
        M: Send + 'static,
    {
        self.doors.post.tell::<A, M>(name, message);
    }

    /// Writes what belongs to no single name, on any executor.
    ///
    /// # Errors
    /// The write's, or why it was not let in.
    pub async fn write<O: Apply>(&self, operation: O) -> Result<O::Outcome> {
        self.write_after(0, operation).await
    }

    /// As [`write`](Runtime::write), for what rests on what its caller has read, and was refused `overtaken` times already because
    /// others had written meanwhile. From [`limits::INSIST_AFTER`](crate::limits::INSIST_AFTER) on it
    /// [insists](crate::writer::Terms::insists).
    ///
    /// # Errors
    /// As there.
    pub async fn write_after<O: Apply>(&self, overtaken: u32, operation: O) -> Result<O::Outcome> {
        let writer = &self.doors.writer;
        self.enter_and(|reply, passage| {
            let terms = writer.terms().after(overtaken);
            writer.apply_on(terms, operation, Some(passage), |outcome| reply.answer(outcome));
        })
        .await
    }

    /// Has a write begin, on any executor, and gives a future of what comes of it. Whoever begins another one when this returns has
    /// that written behind it; both may share a commit.
    ///
    /// # Errors
    /// Why it was not let in.
    pub async fn begin_write<O: Apply>(
        self: &Arc<Runtime>,
        operation: O,
    ) -> Result<impl Future<Output = Result<O::Outcome>> + Send + 'static + use<O>> {
        let passage = self.enter().await?;
        let (reply, answer) = Reply::future();
        let (runtime, since_ms) = (Arc::clone(self), self.patience().since_ms);
        self.doors.writer.apply(operation, Some(passage), |outcome| reply.answer(outcome));
        Ok(async move {
            let patience = Patience { since_ms, ..runtime.patience() };
            runtime.answered(answer, patience).await
        })
    }

    /// Writes what belongs to no single name, on a thread that waits.
    ///
    /// # Errors
    /// As [`write`](Runtime::write), and [`Error::WouldDeadlock`] on a thread of the store's own.
    pub fn write_blocking<O: Apply>(&self, operation: O) -> Result<O::Outcome> {
        self.write_blocking_after(0, operation)
    }

    /// [`write_after`](Runtime::write_after) for a thread that waits.
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`] on a thread of the store's own.
    pub fn write_blocking_after<O: Apply>(&self, overtaken: u32, operation: O) -> Result<O::Outcome> {
        let writer = &self.doors.writer;
        self.enter_and_wait(|reply, passage| {
            let terms = writer.terms().after(overtaken);
            writer.apply_on(terms, operation, Some(passage), |outcome| reply.answer(outcome));
        })
    }

    /// Writes parts of any primitives, all or none, for whoever has entered.
    pub fn write_together(&self, parts: Vec<Part>, reply: Reply<Applied>, passage: Passage) {
        let writer = &self.doors.writer;
        let then = |applied| reply.answer(applied);
        batch::write(writer, writer.terms(), parts, Some(passage), then);
    }

    /// Reads, on any executor.
    ///
    /// # Errors
    /// The read's, or why it was not let in.
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut dyn View) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let passage = self.enter().await?;
        let (reply, answer) = Reply::future();
        self.start_read(passage, look, reply);
        self.honest(answer.await)
    }

    /// Reads, on a thread that waits.
    ///
    /// # Errors
    /// As [`read`](Runtime::read), and [`Error::WouldDeadlock`] on a thread of the store's own.
    pub fn read_blocking<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut dyn View) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let passage = self.enter_blocking()?;
        let (reply, waiting) = Reply::blocking();
        self.start_read(passage, look, reply);
        self.honest(waiting.wait())
    }

    /// Looks at once, on the caller's thread, through a view that the caller keeps: for what is over sooner than a reader's thread
    /// is woken. It must not take longer; `None`: the storage is [far](crate::storage::Backend::is_far), and it would.
    ///
    /// # Errors
    /// [`Error::Closed`]; what the look said. The view is another one then.
    pub fn glance<T>(
        &self,
        view: &mut Option<Box<dyn View>>,
        look: impl FnOnce(&mut dyn View) -> Result<T>,
    ) -> Result<Option<T>> {
        self.check_not_forked()?;
        let found = if self.is_closed() { Err(Error::Closed) } else { self.doors.readers.glance(view, look) };
        found.map_err(|error| {
            *view = None;
            self.failed(error)
        })
    }

    /// Starts a read that is awaited later: the next page of a stream, while this one is being looked at.
    ///
    /// # Errors
    /// [`Error::Closed`]; [`Error::Overloaded`] if there is no room at this moment.
    pub fn read_ahead<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut dyn View) -> Result<T> + Send + 'static,
    ) -> Result<Answer<T>> {
        self.check_not_forked()?;
        let passage = self.gate.try_enter().and_then(|passage| passage.ok_or_else(|| self.overloaded()));
        let passage = passage.map_err(|error| self.failed(error))?;
        let (reply, answer) = Reply::future();
        self.start_read(passage, look, reply);
        Ok(answer)
    }

    /// Has a task run beside the actors, on the first arbiter's thread, until it or the store ends. It must not wait but by
    /// awaiting. Whether the store still runs tasks.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> bool {
        self.doors.arbiter.spawn(task)
    }

    /// An answer that comes after this time. The caller's executor may have no timer; ours has one.
    #[must_use]
    pub fn timer(&self, after: Duration) -> Answer<()> {
        let (reply, answer) = Reply::future();
        self.doors.arbiter.spawn(async move {
            tokio::time::sleep(after).await;
            reply.answer(Ok(()));
        });
        answer
    }

    /// Does this after a while, on a thread of the store's; at once when the store ends before. It must not wait.
    pub fn later(&self, after: Duration, act: impl FnOnce() + Send + 'static) {
        let due = Due(Some(act));
        self.doors.arbiter.spawn(async move {
            tokio::time::sleep(after).await;
            drop(due);
        });
    }

    fn start_read<T: Send + 'static>(
        &self,
        mut passage: Passage,
        look: impl FnOnce(&mut dyn View) -> Result<T> + Send + 'static,
        reply: Reply<T>,
    ) {
        passage.arrive();
        self.doors.readers.read(look, move |found| {
            reply.answer(found);
            drop(passage);
        });
    }

    pub(super) async fn enter(&self) -> Result<Passage> {
        self.let_in().await.map_err(|error| self.failed(error))
    }

    pub(super) fn enter_blocking(&self) -> Result<Passage> {
        self.let_in_blocking().map_err(|error| self.failed(error))
    }

    async fn let_in(&self) -> Result<Passage> {
        self.check_not_forked()?;
        if let Some(passage) = self.gate.try_enter()? {
            return Ok(passage);
        }
        let entering = std::pin::pin!(self.gate.enter());
        match Race(entering, self.timer(self.settings.call_timeout)).await {
            Some(entered) => entered,
            None => Err(self.overloaded()),
        }
    }

    fn let_in_blocking(&self) -> Result<Passage> {
        self.check_not_forked()?;
        if thread::is_ours() {
            return Err(Error::WouldDeadlock);
        }
        if let Some(passage) = self.gate.try_enter()? {
            return Ok(passage);
        }
        let (reply, waiting) = Reply::blocking();
        let (gate, timeout, error) = (Arc::clone(&self.gate), self.settings.call_timeout, self.overloaded());
        let admitted = self.doors.arbiter.spawn(async move {
            let entered = tokio::time::timeout(timeout, gate.enter()).await;
            reply.answer(entered.unwrap_or(Err(error)));
        });
        if admitted { waiting.wait() } else { Err(Error::Closed) }
    }

    fn overloaded(&self) -> Error {
        Error::Overloaded { what: "the store", limit: self.gate.limit() as u64 }
    }

    /// A request that was dropped because the store is closing says so.
    pub(super) fn honest<T>(&self, answer: Result<T>) -> Result<T> {
        answer.map_err(|error| {
            let is_closed = matches!(error, Error::ActorFailed { .. }) && self.gate.is_closed();
            self.failed(if is_closed { Error::Closed } else { error })
        })
    }

    /// A call ends with this error. It is told on the thread and in the span of whoever called, so that it can be seen whose it
    /// was.
    #[cold]
    pub fn failed(&self, error: Error) -> Error {
        self.stats.meter.failed(&error);
        tracing::debug!(target: target::CALL, kind = kind(&error), "a call failed");
        error
    }
}

/// How long a caller waits for a storage that does not answer.
struct Patience<'a> {
    gate: &'a Gate,
    since_ms: u64,
    limit: Duration,
}

impl Patience<'_> {
    /// Whether the writer is stuck, and this call has waited for longer than it may. A little longer: what never came
    /// to the storage is answered at its deadline, and that answer says more. So the caller asks this before it looks for
    /// its answer: whoever is in the line is answered first, and then it is said that the writer is stuck.
    fn is_over(&self) -> bool {
        let waited = self.gate.stuck_ms().saturating_sub(self.since_ms);
        waited >= millis(self.limit.saturating_add(GRACE))
    }

    fn error(&self) -> Error {
        Error::CommitUnknown { detail: format!("the storage has not answered for {:?}", self.limit) }
    }
}

/// Something to be done when this is dropped, be it because its time has come or because nobody counts any more. It may
/// wake an executor of the user's.
struct Due<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for Due<F> {
    fn drop(&mut self) {
        if let Some(act) = self.0.take() {
            let _ = thread::contain(|| "the executor of a caller".into(), act);
        }
    }
}

/// The first of two futures; `None` if the second one ended first.
pub(super) struct Race<F>(pub(super) F, pub(super) Answer<()>);

impl<F: Future + Unpin> Future for Race<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = Pin::new(&mut self.0).poll(context) {
            return Poll::Ready(Some(output));
        }
        Pin::new(&mut self.1).poll(context).map(|_| None)
    }
}
