//! The answer to one request: the one place where the async and the blocking face differ.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use tokio::sync::oneshot;

use crate::clock::millis;
use crate::error::{Error, Result};
use crate::thread;

/// How long to wait for what somebody else may have: a lock, a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    No,
    /// At most so long.
    For(Duration),
    /// Until it is there.
    Forever,
}

impl Wait {
    /// When the waiting ends, if it has an end of its own.
    pub(crate) fn deadline_ms(self, now_ms: impl FnOnce() -> u64) -> Option<u64> {
        match self {
            Wait::For(time) => Some(now_ms().saturating_add(millis(time))),
            Wait::No | Wait::Forever => None,
        }
    }
}

/// Where an answer goes. It rides in the request, so that no floor keeps a table of who asked.
///
/// Dropped without an answer, it tells the caller [`Error::ActorFailed`]: whoever had the request is gone and
/// has written nothing for it. Whoever hands a request to the writer sees to it that this stays true.
#[derive(Debug)]
pub struct Reply<T> {
    to: To<T>,
}

#[derive(Debug)]
enum To<T> {
    Async(oneshot::Sender<Result<T>>),
    Blocking(crossbeam_channel::Sender<Result<T>>),
    Nobody,
}

impl<T> Reply<T> {
    /// A reply that is awaited.
    #[must_use]
    pub fn future() -> (Reply<T>, Answer<T>) {
        let (sender, receiver) = oneshot::channel();
        (Reply { to: To::Async(sender) }, Answer(receiver))
    }

    /// A reply that a thread waits for.
    #[must_use]
    pub fn blocking() -> (Reply<T>, Waiting<T>) {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        (Reply { to: To::Blocking(sender) }, Waiting(receiver))
    }

    /// A reply that interests nobody.
    #[must_use]
    pub fn nobody() -> Reply<T> {
        Reply { to: To::Nobody }
    }

    /// Answers.
    ///
    /// # Errors
    /// The answer itself, if nobody takes it any more: what was granted must then be given back.
    pub fn send(mut self, answer: Result<T>) -> std::result::Result<(), Result<T>> {
        match std::mem::replace(&mut self.to, To::Nobody) {
            // It wakes the caller's executor: if that panics, the answer is there all the same.
            To::Async(sender) => thread::contain(woken, || sender.send(answer)).unwrap_or(Ok(())),
            To::Blocking(sender) => sender.send(answer).map_err(|error| error.0),
            To::Nobody => Ok(()),
        }
    }

    /// Answers where an answer that nobody takes needs no undoing.
    pub fn answer(self, answer: Result<T>) {
        // The caller has gone away; what was done for it stays done, and is documented so.
        let _ = self.send(answer).map_err(thread::discard);
    }

    /// Whether the caller has gone away. A blocking caller never does.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        matches!(&self.to, To::Async(sender) if sender.is_closed())
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        // Unanswered: that wakes the caller too.
        let to = std::mem::replace(&mut self.to, To::Nobody);
        let _ = thread::contain(woken, || drop(to));
    }
}

fn woken() -> String {
    "the executor of a caller".to_owned()
}

/// An answer to come, for a caller on any executor.
#[derive(Debug)]
pub struct Answer<T>(oneshot::Receiver<Result<T>>);

impl<T> Future for Answer<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or_else(|_| Err(lost())))
    }
}

/// An answer to come, for a caller on a thread of its own.
#[derive(Debug)]
pub struct Waiting<T>(crossbeam_channel::Receiver<Result<T>>);

impl<T> Waiting<T> {
    /// Waits for it. The other side keeps the deadlines.
    ///
    /// # Errors
    /// The request's error, or [`Error::ActorFailed`] if it was dropped unanswered.
    pub fn wait(self) -> Result<T> {
        self.0.recv().unwrap_or_else(|_| Err(lost()))
    }

    /// Waits for it so long; `None` if it has not come.
    pub(crate) fn wait_for(&self, time: Duration) -> Option<Result<T>> {
        match self.0.recv_timeout(time) {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(lost())),
        }
    }
}

/// Lets this thread wait until a poll is ready. On a thread of the store's own it could wait for itself.
pub fn wait_until<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let (ring, rings) = crossbeam_channel::bounded(1);
    let waker = Waker::from(Arc::new(Ring(ring)));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(found) = poll(&mut context) {
            return found;
        }
        // A ring from before is in there. It never fails: the waker lives here.
        let _ = rings.recv();
    }
}

/// Wakes a thread. One ring that was not heard yet stands for all that follow.
struct Ring(crossbeam_channel::Sender<()>);

impl Wake for Ring {
    fn wake(self: Arc<Ring>) {
        let _ = self.0.try_send(());
    }
}

fn lost() -> Error {
    Error::ActorFailed { what: "this request".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_nobody_takes_comes_back() {
        let (reply, answer) = Reply::future();
        drop(answer);
        assert!(reply.is_abandoned());
        assert_eq!(reply.send(Ok(7)), Err(Ok(7)));
        let (reply, waiting) = Reply::blocking();
        drop(waiting);
        assert_eq!(reply.send(Ok(7)), Err(Ok(7)));
    }

    #[test]
    fn a_dropped_reply_is_an_error_and_not_a_hang() {
        let (reply, waiting) = Reply::<()>::blocking();
        drop(reply);
        assert!(matches!(waiting.wait(), Err(Error::ActorFailed { .. })));
    }

    /// An executor that panics when it is woken.
    struct Fragile;

    impl std::task::Wake for Fragile {
        fn wake(self: std::sync::Arc<Fragile>) {
            panic!("woken");
        }
    }

    #[test]
    fn g10_an_executor_that_panics_when_it_is_woken_is_answered_all_the_same() {
        let waker = std::task::Waker::from(std::sync::Arc::new(Fragile));
        let mut context = Context::from_waker(&waker);
        for answered in [true, false] {
            let (reply, mut answer) = Reply::future();
            assert!(Pin::new(&mut answer).poll(&mut context).is_pending());
            if answered {
                assert_eq!(reply.send(Ok(7)), Ok(()));
                assert_eq!(Pin::new(&mut answer).poll(&mut context), Poll::Ready(Ok(7)));
            } else {
                drop(reply);
                assert_eq!(Pin::new(&mut answer).poll(&mut context), Poll::Ready(Err(lost())));
            }
        }
    }
}
