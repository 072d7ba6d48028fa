//! A circuit breaker that waits: after failures in a row nothing is begun for a while, and nothing is lost by it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use millpond_actors::reply::Answer;
use millpond_actors::runtime::Runtime;

/// What a breaker goes by: so many failures in a row, and how long it rests then.
pub(super) type Limit = Option<(u32, Duration)>;

/// The breaker of a reactor.
pub(super) struct Breaker {
    limit: Limit,
    in_a_row: u32,
    rest: Option<Answer<()>>,
}

impl Breaker {
    pub(super) fn new(limit: Limit) -> Breaker {
        Breaker { limit, in_a_row: 0, rest: None }
    }

    /// Whether one more may begin, when so many run: all of them, or one to see whether it succeeds, or none.
    pub(super) fn lets_in(&self, running: usize) -> bool {
        match self.limit {
            Some((failures, _)) if self.in_a_row >= failures => self.rest.is_none() && running == 0,
            _ => true,
        }
    }

    /// Whether it rests.
    pub(super) fn is_open(&self) -> bool {
        self.rest.is_some()
    }

    pub(super) fn succeeded(&mut self) {
        (self.in_a_row, self.rest) = (0, None);
    }

    pub(super) fn failed(&mut self, runtime: &Runtime) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        if let Some((failures, rest)) = self.limit
            && self.in_a_row >= failures
        {
            self.rest = Some(runtime.timer(rest));
        }
    }

    /// Until it has rested.
    pub(super) fn poll_rested(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(rest) = &mut self.rest else { return Poll::Pending };
        if Pin::new(rest).poll(context).is_pending() {
            return Poll::Pending;
        }
        self.rest = None;
        Poll::Ready(())
    }
}
