//! Whoever sees to the parts of one consumer: he takes those that are his share and gives up those that are others'.
//!
//! Which are his his membership tells. He waits in line for the locks of those, and gives up the others as soon as nothing of
//! them is handed out.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use millpond_actors::error::{Error, Result};
use millpond_actors::limits::{self, GROUP_PARTS};
use millpond_actors::name::Name;
use millpond_actors::reply::{Answer, Reply};
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::feed::Kind;
use millpond_actors::storage::subscription::Span;

use super::hand::Shared;
use crate::lock::{Lock, LockGuard};
use crate::sharing::Membership;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The locks of a group, and what they are about.
#[derive(Clone)]
pub(super) struct Locks {
    pub(super) runtime: Arc<Runtime>,
    pub(super) channel: Name,
    pub(super) subscription: Name,
    pub(super) members: Lock,
    pub(super) parts: Vec<Lock>,
}

/// A part, as the one who sees to it knows it.
enum Slot {
    /// Not held, and not asked for.
    Free,
    /// It is waited for.
    Asked(Boxed<Result<Taken>>),
    /// Something went wrong; it is asked for again after a while.
    Later(Answer<()>),
    /// It is held as long as this is here.
    Held(#[expect(dead_code, reason = "dropping it releases the part")] LockGuard),
}

/// A part that was taken, and where it stood then.
struct Taken {
    guard: LockGuard,
    cursor: u64,
    head: u64,
}

/// Sees to the parts until the consumer has ended. Then all of them are given up, and the membership last.
pub(super) struct Balancer {
    locks: Locks,
    shared: Shared,
    membership: LockGuard,
    members: Membership,
    slots: Vec<Slot>,
    _last: Last,
}

/// However it ends, the consumer is told: a store that is closed drops whoever sees to his parts without a word.
struct Last(Shared);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.change(|hand| hand.end(Error::Closed));
    }
}

impl Balancer {
    pub(super) fn new(locks: Locks, shared: Shared, membership: LockGuard) -> Balancer {
        let slots = (0..GROUP_PARTS).map(|_| Slot::Free).collect();
        let members = Membership::new(&locks.members, &membership, GROUP_PARTS);
        Balancer { locks, _last: Last(shared.clone()), shared, membership, members, slots }
    }

    /// Its life. `done` is told whether the membership was held to the end.
    pub(super) async fn live(mut self, done: Reply<()>) {
        std::future::poll_fn(|context| self.see_to_all(context)).await;
        // The parts' releases are on their way before that of the membership, so they are committed before it.
        self.slots.clear();
        done.answer(self.membership.release().await);
    }

    /// Until the consumer has ended.
    fn see_to_all(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            // Before the look, so that nothing is missed that changes after it.
            self.shared.hand().balancer = Some(context.waker().clone());
            if let Err(error) = self.members.look(context) {
                self.end(error);
            }
            let mut again = false;
            for part in 0..GROUP_PARTS {
                again |= self.see_to(part, context);
            }
            if self.shared.hand().ended().is_some() {
                return Poll::Ready(());
            }
            if !again {
                return Poll::Pending;
            }
        }
    }

    fn end(&self, error: Error) {
        self.shared.change(|hand| hand.end(error));
    }

    /// Moves one part on. Whether it has to be looked at again at once.
    fn see_to(&mut self, part: usize, context: &mut Context<'_>) -> bool {
        let is_ours = self.members.has(part);
        let Some(slot) = self.slots.get_mut(part) else { return false };
        match slot {
            Slot::Free if is_ours => *slot = Slot::Asked(take(&self.locks, part)),
            Slot::Free => return false,
            Slot::Asked(_) | Slot::Later(_) if !is_ours => *slot = Slot::Free,
            Slot::Asked(asked) => match asked.as_mut().poll(context) {
                Poll::Pending => return false,
                Poll::Ready(Ok(Taken { guard, cursor, head })) => {
                    let fence = guard.fence();
                    *slot = Slot::Held(guard);
                    self.shared.change(|hand| hand.add(part, fence, cursor, head));
                }
                Poll::Ready(Err(_)) if self.locks.runtime.is_closed() => {
                    self.end(Error::Closed);
                    return false;
                }
                Poll::Ready(Err(_)) => *slot = Slot::Later(self.locks.runtime.timer(limits::TRY_AGAIN)),
            },
            Slot::Later(timer) => match Pin::new(timer).poll(context) {
                Poll::Pending => return false,
                Poll::Ready(_) => *slot = Slot::Free,
            },
            Slot::Held(_) => {
                let mut hand = self.shared.hand();
                if is_ours && hand.keep(part) {
                    drop(hand);
                    // Whoever consumes waits perhaps for what is in it.
                    self.shared.change(|_| ());
                    return false;
                }
                // What is ours may have been lost, which whoever acknowledges is told.
                let goes = if is_ours { !hand.has(part) } else { hand.leave(part) };
                if !goes {
                    return false;
                }
                hand.remove(part);
                drop(hand);
                *slot = Slot::Free;
            }
        }
        true
    }
}

/// Waits for a part, and looks where it stands once it is held: from then on only its holder acknowledges.
fn take(locks: &Locks, part: usize) -> Boxed<Result<Taken>> {
    let Locks { runtime, channel, subscription, parts, .. } = locks.clone();
    Box::pin(async move {
        let lock = parts.get(part).ok_or(Error::Closed)?;
        let guard = lock.acquire().await?;
        let look = move |view: &mut dyn millpond_actors::storage::View| {
            let nothing = Span { first: 1, last: 0 };
            let found = view.acknowledged(Kind::Channel, &channel, &subscription, nothing)?;
            let head = view.feed(Kind::Channel, &channel)?;
            Ok((found.map_or(0, |found| found.cursor), head.map_or(0, |head| head.last)))
        };
        let (cursor, head) = runtime.read(look).await?;
        Ok(Taken { guard, cursor, head })
    })
}
