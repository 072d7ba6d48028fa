//! Reactors that share the partitions of a projection, in any processes: competing consumers. Each has as many partitions as the
//! others, or one more, and each partition goes its own way, as a projection that is not divided does.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};

use millpond_actors::error::{Error, Result};
use millpond_actors::limits::PROJECTION_MEMBERS;
use millpond_actors::lock::Shape;
use millpond_actors::storage::partition::Partition;

use super::reactor::{Attempt, Reacted, Reaction};
use super::session::{End, Turns, members_name};
use crate::lock::{Lock, LockGuard};
use crate::sharing::Membership;
use crate::stopper::{Stage, Stopper};
use crate::worker::Verdict;

/// Reacts in the partitions that are this one's, until it is told to stop or there is nothing more to do.
pub(super) async fn share<H, V>(reaction: &Reaction<'_, H>, of: u32, stopper: &Stopper) -> Result<Reacted>
where
    H: AsyncFn(Attempt) -> V,
    V: Into<Verdict>,
{
    let members = reaction.lock(&members_name(reaction.name));
    let members = members.shaped(Ok(Shape { capacity: PROJECTION_MEMBERS, weight: 1 }));
    let mut reacted = Reacted::default();
    // Once: one that is removed meanwhile is not made again by whoever gets what others have left of it.
    if !reaction.begin(of, stopper).await? {
        return Ok(reacted);
    }
    let mut turns = Turns::new(members.clone(), stopper);
    while let Some(membership) = turns.next().await? {
        let mut parts: Vec<Part> = Partition::each(of).map(Part::new).collect();
        let ended = together(reaction, (&members, &membership), &mut parts, stopper, &mut reacted).await;
        if !turns.goes_on(membership, ended).await? {
            break;
        }
    }
    Ok(reacted)
}

/// A partition, as one of the members has it.
struct Part {
    partition: Partition,
    /// How it is given up, while it is waited for or its events are reacted to.
    running: Option<Stopper>,
    /// There is nothing more to do in it.
    over: bool,
}

impl Part {
    fn new(partition: Partition) -> Part {
        Part { partition, running: None, over: false }
    }
}

/// Goes on as long as this one is a member. It ends when all that runs has ended.
async fn together<H, V>(
    reaction: &Reaction<'_, H>,
    (members, membership): (&Lock, &LockGuard),
    parts: &mut [Part],
    stopper: &Stopper,
    reacted: &mut Reacted,
) -> Result<End>
where
    H: AsyncFn(Attempt) -> V,
    V: Into<Verdict>,
{
    let mut membership = Membership::new(members, membership, parts.len());
    let mut stopped = pin!(stopper.reached(Stage::Ending));
    let mut over = pin!(stopper.reached(Stage::Over).fuse());
    let (mut running, mut end, mut parked) = (FuturesUnordered::new(), None, None);
    poll_fn(|context| {
        loop {
            if end.is_none() {
                end = ended(&mut membership, stopped.as_mut(), context);
            }
            if stopper.is_stopping() {
                // What runs has the grace that was given.
                let is_over = over.as_mut().poll(context).is_ready();
                let stage = if is_over { Stage::Over } else { Stage::Ending };
                parts.iter().filter_map(|part| part.running.as_ref()).for_each(|it| it.reach(stage));
            }
            for (index, part) in parts.iter_mut().enumerate() {
                let is_wanted = end.is_none() && !part.over && membership.has(index);
                match &part.running {
                    None if is_wanted => {
                        let stopper = part.running.insert(reaction.stopper()).clone();
                        let partition = part.partition;
                        running.push(async move { (index, reaction.run(partition, &stopper).await) });
                    }
                    // Whoever gets it waits for what runs in it.
                    Some(running) if !is_wanted && !running.is_stopping() => running.stop(reaction.timeout()),
                    _ => {}
                }
            }
            match running.poll_next_unpin(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some((index, ended))) => {
                    let Some(part) = parts.get_mut(index) else { continue };
                    let was_told = part.running.take().is_some_and(|running| running.is_stopping());
                    match ended {
                        Ok(done) => {
                            *reacted += done;
                            part.over = !was_told;
                        }
                        // Others are drained all the same.
                        Err(error @ Error::Parked { .. }) => (part.over, parked) = (true, Some(error)),
                        Err(error) => end = Some(Err(error)),
                    }
                }
                Poll::Ready(None) => {
                    if let Some(end) = end.take() {
                        return Poll::Ready(end);
                    }
                    // Nothing runs, so all that are this one's are over, if there are any.
                    let is_over = parts.iter().any(|part| part.over) || reaction.drains();
                    if !is_over || !membership.is_known() {
                        return Poll::Pending;
                    }
                    return Poll::Ready(parked.take().map_or(Ok(End::Over), Err));
                }
            }
        }
    })
    .await
}

/// Whether no partition is this one's any more, and why.
fn ended(
    membership: &mut Membership,
    stopped: Pin<&mut impl Future<Output = ()>>,
    context: &mut Context<'_>,
) -> Option<Result<End>> {
    if stopped.poll(context).is_ready() {
        return Some(Ok(End::Over));
    }
    match membership.look(context) {
        Ok(()) => None,
        Err(Error::Lost { .. }) => Some(Ok(End::Lost)),
        Err(error) => Some(Err(error)),
    }
}
