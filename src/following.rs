//! Events as they come: what there is, and then what is appended.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use millpond_actors::error::{Error, Result};
use millpond_actors::follow::Follower;
use millpond_actors::reply;
use millpond_actors::storage::stream::{Query, Scope};
use millpond_actors::thread;

use crate::reading::{EventStream, Recorded};

/// Events that are there, and then those that are appended, from [`EventStream::follow`]: in order, each once, without a gap.
///
/// - It is read **from the store**, page by page, and only woken when there is more: in bounded memory, however slow its consumer
///   is, and nobody else is held up by him.
/// - Order is that of the positions, or of the versions in one stream. They follow the commits, and no reader sees a later one
///   before an earlier one, whichever process has written them. So whoever has seen position *n* has seen all before it that is of
///   interest to him, and can go on [behind it](EventStream::after) at any time, in another process too.
/// - What is appended in this process comes after its commit; what another process commits, mostly at once, and within 150 ms
///   at the latest.
/// - A damaged record is [`Error::Corrupt`] in its place, and it goes on behind that. After any other error it has ended. **When
///   the store is closed** it gives [`Error::Closed`] once, and ends. It ends too at a [limit](EventStream::limit), and at a
///   [last](EventStream::to) position or version.
/// - Cancel-safe: a dropped `next` loses no event.
///
/// # Examples
/// ```
/// use millpond::{Event, Expected, Store};
/// # futures_executor::block_on(async {
/// let store = Store::memory().await?;
/// let events = store.events();
/// events.append("permit-7", Expected::NoStream, [Event::new("Opened", &1)?, Event::new("Moved", &2)?]).await?;
/// let mut opened = events.read_category("permit").event_type("Opened").follow()?;
/// assert_eq!(opened.next().await.expect("one")?.position(), 1);
/// events.append("permit-8", Expected::NoStream, [Event::new("Opened", &1)?]).await?;
/// assert_eq!(opened.next().await.expect("another one")?.position(), 3);
/// # store.close().await
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "events come when they are asked for"]
pub struct Following {
    // Before the stream, whose runtime ends with its last owner.
    follower: Follower,
    stream: EventStream,
    /// All up to here is in what has been read, or is read now.
    known: u64,
    /// What failed behind what has been gathered.
    failed: Option<Error>,
    ended: bool,
}

impl EventStream {
    /// Goes on with what is appended, by whatever process, when it has come to the end. What there is comes first, and there is
    /// no gap between the two; for the new alone, begin [behind](EventStream::after) the [head](crate::Events::head).
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a stream that is read newest first: it has no end to go on at;
    /// [`Error::Overloaded`] if more than 100,000 follow in this process; what was wrong with the stream.
    pub fn follow(self) -> Result<Following> {
        Following::new(self)
    }
}

impl Following {
    pub(crate) fn new(mut stream: EventStream) -> Result<Following> {
        let pages = stream.pages();
        if pages.query()?.backward {
            let reason = "it is read newest first, and has no end to go on at".to_owned();
            return Err(Error::InvalidArgument { what: "following events".into(), reason });
        }
        let follower = pages.runtime().follow().begin()?;
        let known = follower.horizon();
        Ok(Following { follower, stream, known, failed: None, ended: false })
    }

    /// The next event, waited for without limit; `None` after the end.
    ///
    /// Cancel-safe: a dropped future loses no event.
    pub async fn next(&mut self) -> Option<Result<Recorded>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// The next event for a thread that waits.
    pub(crate) fn next_blocking(&mut self) -> Option<Result<Recorded>> {
        if thread::is_ours() {
            return Some(Err(Error::WouldDeadlock));
        }
        reply::wait_until(|context| Pin::new(&mut *self).poll_next(context))
    }

    /// Gathers what there is, so many at most and as far as it can be had without waiting for more than the first; comes back
    /// as the position that all has been looked at up to, which is beyond `looked`. An error comes when all before it has.
    pub(crate) fn poll_stretch(
        &mut self,
        (looked, most): (u64, usize),
        events: &mut VecDeque<Recorded>,
        context: &mut Context<'_>,
    ) -> Poll<Result<u64>> {
        loop {
            let last = events.back().map(Recorded::position);
            if let (None, Some(error)) = (last, self.failed.take()) {
                return Poll::Ready(Err(error));
            }
            if let (Some(last), true) = (last, events.len() >= most) {
                return Poll::Ready(Ok(last));
            }
            match (Pin::new(&mut self.stream).poll_next(context), last) {
                (Poll::Ready(Some(Ok(event))), _) => events.push_back(event),
                (Poll::Ready(Some(Err(error))), None) => return Poll::Ready(Err(error)),
                (Poll::Ready(Some(Err(error))), Some(last)) => {
                    self.failed = Some(error);
                    return Poll::Ready(Ok(last));
                }
                (Poll::Pending, Some(last)) => return Poll::Ready(Ok(last)),
                (Poll::Pending, None) => return Poll::Pending,
                (Poll::Ready(None), Some(last)) => return Poll::Ready(Ok(last.max(self.known))),
                (Poll::Ready(None), None) if self.known > looked => return Poll::Ready(Ok(self.known)),
                (Poll::Ready(None), None) => {
                    if let Err(error) = ready!(self.follower.poll_beyond(self.known, context)) {
                        return Poll::Ready(Err(error));
                    }
                    self.go_on();
                }
            }
        }
    }

    /// Whether nothing can come any more, whatever is appended.
    fn is_over(&mut self) -> bool {
        let known = self.known;
        let pages = self.stream.pages();
        pages.is_over() || pages.query().is_ok_and(|query| next(query, known) > query.to)
    }

    /// Reads on, behind all that has been looked at.
    fn go_on(&mut self) {
        let known = std::mem::replace(&mut self.known, self.follower.horizon());
        self.stream.pages().go_on(|query| query.from = next(query, known));
    }
}

/// Where there may be more, if all up to a position has been looked at. What the filter leaves out is not looked at again; in one
/// stream it is the version that counts.
fn next(query: &Query, known: u64) -> u64 {
    match query.scope {
        Scope::Stream(_) => query.from,
        Scope::Category(_) | Scope::All => query.from.max(known.saturating_add(1)),
    }
}

impl Stream for Following {
    type Item = Result<Recorded>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Recorded>>> {
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            match Pin::new(&mut self.stream).poll_next(context) {
                Poll::Ready(None) => {}
                found => return found,
            }
            if self.is_over() {
                self.ended = true;
                return Poll::Ready(None);
            }
            match self.follower.poll_beyond(self.known, context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => self.go_on(),
                Poll::Ready(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}
