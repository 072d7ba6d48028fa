//! Outbox. There is none to be written to, because there is no broker that one would have to be kept in step with: what follows
//! from an event is written where it is wanted, in the commit of the event. A row of an outbox is a job here, pushed by
//! [`Decision::push`] or by a batch; who publishes is a worker.
//!
//! | there | here |
//! | --- | --- |
//! | `add_event` | an effect of the command |
//! | `get_pending_events` | `pop`, which claims, or `page`, which looks |
//! | `mark_published` | `done` |
//! | `mark_failed` | `bury`: a dead letter |
//! | `increment_retry` | `retry_in`, or the claim itself: attempts are counted when they begin |
//! | `cleanup_published` | `keep_done` and `purge` |
//! | `get_stats` | `numbers` |
//!
//! Left out of `stats`: how old the oldest is and the average of the retries, which nobody keeps; `page` has the jobs themselves.

use std::time::Duration;

use millpond::{Aggregate, Data, Decision, Error, JobState, Queue, QueueNumbers, Result, Store};
use serde::{Deserialize, Serialize};

use super::{NOTHING, at_once, numbers};

each_backend! {
    add_then_pending_round_trip
    event_data_has_exactly_the_keys
    pending_is_oldest_first
    pending_limit_honored
    mark_published_removes_and_counts
    mark_failed_removes_and_counts
    increment_retry_stays_pending
    cleanup_published_deletes_only_published
    stats
    unknown_id_is_a_no_op
    pending_is_oldest_first_concurrently
    mark_published_removes_and_counts_concurrently
}

/// Orders, each of which is to be told to the outside.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders(u64);

#[derive(Clone, Copy, Debug)]
pub(super) enum Do {
    Place,
    /// Places one that cannot be told to anybody.
    Misplace,
}

#[derive(Serialize, Deserialize)]
pub(super) enum Happened {
    Placed { n: u64 },
}

impl Aggregate for Orders {
    const KIND: &'static str = "orders";
    type Command = Do;
    type Event = Happened;
    type Rejection = std::convert::Infallible;

    fn decide(&self, command: &Do) -> Result<Decision<Orders>, std::convert::Infallible> {
        let n = self.0 + 1;
        let queue = if matches!(command, Do::Place) { "outside" } else { "" };
        Ok(Decision::from([Happened::Placed { n }]).push(queue, &n))
    }

    fn evolve(&mut self, Happened::Placed { n }: &Happened) {
        self.0 = *n;
    }
}

/// Places so many orders; the queue in which they are.
async fn placed(store: &Store, orders: u64) -> Result<Queue<u64>> {
    for _ in 0..orders {
        store.aggregate::<Orders>("a").execute(Do::Place).await.unwrap();
    }
    Ok(store.queue("outside"))
}

/// How many are ready, being told, dead, and done.
async fn standing(queue: &Queue<u64>) -> Result<[u64; 4]> {
    let QueueNumbers { ready, claimed, dead, done, .. } = queue.numbers().await?.expect("it was used");
    Ok([ready, claimed, dead, done])
}

/// The numbers of those that are ready, without claiming them.
async fn pending(queue: &Queue<u64>, limit: u32) -> Result<Vec<u64>> {
    let page = queue.page(Some(JobState::Ready), 1, limit).await?;
    page.jobs.into_iter().map(|job| queue.decode(&job?)).collect()
}

async fn add_then_pending_round_trip(store: Store) -> Result<()> {
    let queue = placed(&store, 1).await?;
    assert_eq!(pending(&queue, 9).await?, [1]);
    let job = queue.pop().await?;
    assert_eq!((*job, job.sequence(), job.attempt()), (1, 1, 1));
    job.done().await
}

/// What was given and nothing else; where it comes from is beside it.
async fn event_data_has_exactly_the_keys(store: Store) -> Result<()> {
    let queue = placed(&store, 1).await?;
    let event = store.aggregate::<Orders>("a").history().next().await.expect("it was placed")?;
    let job = queue.pop().await?;
    assert_eq!(job.record().data, Data::Json("1".into()));
    assert_eq!((job.causation(), job.correlation()), (Some(event.id()), Some(event.id())));
    job.done().await
}

async fn pending_is_oldest_first(store: Store) -> Result<()> {
    let queue = placed(&store, 5).await?;
    assert_eq!(pending(&queue, 9).await?, [1, 2, 3, 4, 5]);
    for n in 1..=5 {
        let job = queue.pop().await?;
        assert_eq!(*job, n);
        job.done().await?;
    }
    Ok(())
}

async fn pending_limit_honored(store: Store) -> Result<()> {
    let queue = placed(&store, 5).await?;
    assert_eq!(pending(&queue, 2).await?, [1, 2]);
    assert_eq!(pending(&queue, 0).await?, NOTHING);
    Ok(())
}

async fn mark_published_removes_and_counts(store: Store) -> Result<()> {
    let queue = placed(&store, 2).await?;
    queue.keep_done(Duration::from_secs(3_600)).await?;
    queue.pop().await?.done().await?;
    assert_eq!((standing(&queue).await?, pending(&queue, 9).await?), ([1, 0, 0, 1], vec![2]));
    Ok(())
}

async fn mark_failed_removes_and_counts(store: Store) -> Result<()> {
    let queue = placed(&store, 2).await?;
    queue.pop().await?.bury("nobody lives there").await?;
    assert_eq!((standing(&queue).await?, pending(&queue, 9).await?), ([1, 0, 1, 0], vec![2]));
    let dead = queue.page(Some(JobState::Dead), 1, 9).await?.jobs.remove(0)?;
    assert_eq!(dead.reason.as_deref(), Some("nobody lives there"));
    Ok(())
}

async fn increment_retry_stays_pending(store: Store) -> Result<()> {
    let queue = placed(&store, 1).await?;
    for attempt in 1..=2 {
        let job = queue.pop().await?;
        assert_eq!(job.attempt(), attempt);
        job.retry_in(Duration::ZERO).await?;
    }
    let job = queue.pop().await?;
    assert_eq!((*job, job.attempt()), (1, 3));
    job.done().await
}

async fn cleanup_published_deletes_only_published(store: Store) -> Result<()> {
    let queue = placed(&store, 4).await?;
    queue.keep_done(Duration::from_secs(3_600)).await?;
    queue.pop().await?.done().await?;
    queue.pop().await?.bury("no").await?;
    let held = queue.pop().await?;
    assert_eq!(standing(&queue).await?, [1, 1, 1, 1]);
    assert_eq!(queue.purge(JobState::Done).await?, 1);
    assert_eq!(standing(&queue).await?, [1, 1, 1, 0]);
    held.done().await
}

async fn stats(store: Store) -> Result<()> {
    assert_eq!(store.queue::<u64>("outside").numbers().await?, None);
    let queue = placed(&store, 5).await?;
    let held = queue.pop().await?;
    queue.pop().await?.bury("no").await?;
    let numbers = queue.numbers().await?.expect("it was used");
    assert_eq!((numbers.pushed, numbers.ready, numbers.claimed, numbers.dead), (5, 3, 1, 1));
    assert_eq!(pending(&queue, 1).await?, [3], "the oldest");
    held.done().await
}

async fn unknown_id_is_a_no_op(store: Store) -> Result<()> {
    let queue = placed(&store, 1).await?;
    assert!(!queue.remove(99).await? && !queue.revive(99).await?);
    assert!(!queue.revive(1).await?, "it is not dead");
    assert_eq!(standing(&queue).await?, [1, 0, 0, 0]);
    Ok(())
}

/// Jobs stand in the order of the events that they follow from, whoever caused these.
async fn pending_is_oldest_first_concurrently(store: Store) -> Result<()> {
    let orders = at_once(8, |_| {
        let orders = store.aggregate::<Orders>("a");
        async move {
            for _ in 0..10 {
                orders.execute(Do::Place).await.unwrap();
            }
        }
    });
    orders.await;
    let placed = numbers(store.events().read_stream("orders-a")).await?;
    assert_eq!((pending(&store.queue("outside"), 99).await?, placed.len()), (placed, 80));
    Ok(())
}

/// Each is told once, by one of several who do nothing else, while they come.
async fn mark_published_removes_and_counts_concurrently(store: Store) -> Result<()> {
    let told = at_once(7, |caller| {
        let (store, queue) = (store.clone(), store.queue::<u64>("outside"));
        async move {
            let mut told = Vec::new();
            for _ in 0..10 {
                if caller < 4 {
                    store.aggregate::<Orders>(caller.to_string()).execute(Do::Place).await.unwrap();
                    continue;
                }
                let job = queue.pop().await?;
                told.push(job.sequence());
                job.done().await?;
            }
            Ok::<_, Error>(told)
        }
    });
    let told: Vec<Vec<u64>> = told.await.into_iter().collect::<Result<_>>()?;
    let mut told = told.concat();
    told.sort_unstable();
    told.dedup();
    assert_eq!((told.len(), standing(&store.queue("outside")).await?), (30, [10, 0, 0, 0]));
    Ok(())
}
