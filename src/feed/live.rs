//! What was recorded lately, folded into one value again and again.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use serde::de::DeserializeOwned;

use millpond_actors::clock::millis;
use millpond_actors::error::{Error, Result};
use millpond_actors::feed::From;
use millpond_actors::limits;
use millpond_actors::reply::{self, Answer};
use millpond_actors::thread;

use super::{Feed, Message, Subscription, check_duration};

type Fold<T, R> = Box<dyn FnMut(&[Message<T>]) -> R + Send>;

/// A view of the records of the last so many seconds, made anew every so often: a stream of what a fold makes of them.
///
/// The first value comes at once, when all of the window was read; then one every period, as long as it is asked for one.
/// The window is told by the wall clock and by when records were recorded. It holds at most 100,000 records; with more in it
/// the view is [`Error::TooLarge`]. A record that is damaged or cannot be decoded is an error in its place. When the store
/// is closed it gives [`Error::Closed`] once, and then ends.
#[must_use = "nothing is folded until values are asked for"]
pub struct Live<T, R> {
    subscription: Subscription<T>,
    /// The last record when it began: before that is read, the window is not whole.
    begun_at: u64,
    window_ms: i64,
    every: Duration,
    fold: Fold<T, R>,
    held: VecDeque<Message<T>>,
    timer: Option<Answer<()>>,
    ended: bool,
}

impl<T, R> fmt::Debug for Live<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

/// Nothing in it is pinned.
impl<T, R> Unpin for Live<T, R> {}

impl<T, R> Live<T, R> {
    fn new(
        subscription: Subscription<T>,
        begun_at: u64,
        (window_ms, every): (i64, Duration),
        fold: Fold<T, R>,
    ) -> Live<T, R> {
        let held = VecDeque::new();
        Live { subscription, begun_at, window_ms, every, fold, held, timer: None, ended: false }
    }

    fn now_ms(&self) -> i64 {
        self.subscription.runtime().seams().clock.now().wall_ms
    }

    /// Lets go what is too old.
    fn slide(&mut self) {
        let oldest = self.now_ms().saturating_sub(self.window_ms);
        while self.held.front().is_some_and(|record| record.recorded_at_ms() < oldest) {
            self.held.pop_front();
        }
    }
}

impl<T: DeserializeOwned, R> Live<T, R> {
    /// The next value; `None` after the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<R>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// The next value for a thread that waits.
    pub(crate) fn next_blocking(&mut self) -> Option<Result<R>> {
        if thread::is_ours() {
            return Some(Err(Error::WouldDeadlock));
        }
        reply::wait_until(|context| Pin::new(&mut *self).poll_next(context))
    }

    /// Takes in what has come. An error, or the end, if there is one.
    fn gather(&mut self, context: &mut Context<'_>) -> Option<Option<Error>> {
        while let Poll::Ready(found) = Pin::new(&mut self.subscription).poll_next(context) {
            match found {
                Some(Ok(record)) => self.held.push_back(record),
                // What retention has removed is in no window.
                Some(Err(Error::Lagged { .. })) => {}
                Some(Err(error)) => return Some(Some(error)),
                None => return Some(None),
            }
            if self.held.len() > limits::LIVE_RECORDS {
                self.slide();
                let (what, limit) = ("the window of a live view in records", limits::LIVE_RECORDS as u64);
                if self.held.len() as u64 > limit {
                    self.held.pop_front();
                    return Some(Some(Error::TooLarge { what, size: limit + 1, limit }));
                }
            }
        }
        None
    }
}

impl<T: DeserializeOwned, R> Stream for Live<T, R> {
    type Item = Result<R>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<R>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        match this.gather(context) {
            Some(Some(error)) => return Poll::Ready(Some(Err(error))),
            Some(None) => {
                this.ended = true;
                return Poll::Ready(None);
            }
            None if this.subscription.next_sequence() <= this.begun_at => return Poll::Pending,
            None => {}
        }
        if let Some(timer) = &mut this.timer {
            let Poll::Ready(due) = Pin::new(timer).poll(context) else { return Poll::Pending };
            this.timer = None;
            // Only the end of the store's threads ends a timer early, and who follows is told of that first.
            if due.is_err() {
                this.ended = true;
                return Poll::Ready(Some(Err(Error::Closed)));
            }
        }
        this.timer = Some(this.subscription.runtime().timer(this.every));
        this.slide();
        let value = (this.fold)(this.held.make_contiguous());
        Poll::Ready(Some(Ok(value)))
    }
}

impl Feed {
    /// A view of what was recorded within a window of time.
    pub(crate) async fn live<T, R>(
        &self,
        window: Duration,
        every: Duration,
        fold: impl FnMut(&[Message<T>]) -> R + Send + 'static,
    ) -> Result<Live<T, R>> {
        let (window_ms, every) = check_live(window, every)?;
        let (subscription, begun_at) = self.follow(From::Recorded(self.since(window_ms))).await?;
        Ok(Live::new(subscription, begun_at, (window_ms, every), Box::new(fold)))
    }

    /// The same for a thread that waits.
    pub(crate) fn live_blocking<T, R>(
        &self,
        window: Duration,
        every: Duration,
        fold: impl FnMut(&[Message<T>]) -> R + Send + 'static,
    ) -> Result<Live<T, R>> {
        let (window_ms, every) = check_live(window, every)?;
        let (subscription, begun_at) = self.follow_blocking(From::Recorded(self.since(window_ms)))?;
        Ok(Live::new(subscription, begun_at, (window_ms, every), Box::new(fold)))
    }

    fn since(&self, window_ms: i64) -> i64 {
        self.runtime.seams().clock.now().wall_ms.saturating_sub(window_ms)
    }
}

fn check_live(window: Duration, every: Duration) -> Result<(i64, Duration)> {
    let window = check_duration("window of a live view", window)?;
    let every = check_duration("period of a live view", every)?;
    Ok((i64::try_from(millis(window)).unwrap_or(i64::MAX), every))
}
