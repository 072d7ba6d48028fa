//! DLQ. A dead letter is a job of the queue of its projection, dead from the beginning.
//!
//! | there | here |
//! | --- | --- |
//! | `add_failed_event` | an event that could not be projected, and was gone past |
//! | `get_failed_events` | `page`, of the state that is asked for |
//! | `mark_retrying` | `revive`, or a claim |
//! | `mark_resolved` | `done`; by whom is not kept |
//! | `get_failure_stats`, `get_projection_failure_counts` | `numbers`, and those of all queues |
//! | `delete_resolved_events` | `keep_done` and `purge` |

use std::time::Duration;

use millpond::{
    DeadLetter, Expected, Failure, From, JobState, Projection, Queue, QueueNumbers, Recorded, Result, Rows,
    Store,
};

use crate::backends::event;

each_backend! {
    add_list_round_trips_fields
    a_second_add_upserts
    same_event_other_projection_is_a_second_entry
    filter_by_status
    filter_by_projection
    limit_honored
    mark_retrying_moves_it
    mark_resolved_sets_status
    stats_count_failed_and_retrying_apart
    counts_per_projection
    delete_resolved_leaves_failed
    delete_resolved_deletes_a_just_resolved_one
}

/// A projection that has gone past so many events, the only ones that there are for it.
async fn failed(store: &Store, name: &str, events: u64) -> Result<(Projection, Queue<DeadLetter>)> {
    if store.events().head().await? == 0 {
        let all: Vec<_> = (0..events).map(event).collect();
        store.events().append("a-1", Expected::Any, all).await?;
    }
    let projection = store.projection(name);
    let never = |_: &Recorded, _: &mut Rows<'_>| -> Result<(), Failure> { Err("no such customer".into()) };
    let projector = projection.projector(store.events().read_all()).attempts(1).dead_letters();
    projector.drain().run(never).await?;
    let letters = projection.dead_letters();
    Ok((projection, letters))
}

/// How many are dead, to be projected, being projected, and done.
async fn standing(letters: &Queue<DeadLetter>) -> Result<[u64; 4]> {
    let QueueNumbers { dead, ready, claimed, done, .. } = letters.numbers().await?.expect("it was used");
    Ok([dead, ready, claimed, done])
}

async fn positions(letters: &Queue<DeadLetter>, state: JobState, limit: u32) -> Result<Vec<u64>> {
    let page = letters.page(Some(state), 0, limit).await?;
    page.jobs.into_iter().map(|job| Ok(letters.decode(&job?)?.position)).collect()
}

async fn add_list_round_trips_fields(store: Store) -> Result<()> {
    let (_, letters) = failed(&store, "p", 1).await?;
    let record = letters.page(None, 0, 9).await?.jobs.remove(0)?;
    let letter = letters.decode(&record)?;
    let event = store.events().find(letter.id).await?.expect("it names its event");
    assert_eq!((letter.position, letter.version), (event.position(), event.version()));
    assert_eq!((letter.stream.as_str(), letter.event_type.as_str()), (event.stream(), event.event_type()));
    assert_eq!((record.state, record.attempts), (JobState::Dead, 0));
    assert_eq!(record.reason.as_deref(), Some("no such customer"));
    assert_eq!(record.ended_at, Some(record.pushed_at));
    Ok(())
}

async fn a_second_add_upserts(store: Store) -> Result<()> {
    let (projection, letters) = failed(&store, "p", 1).await?;
    let first = letters.page(None, 0, 9).await?.jobs.remove(0)?;
    // It comes by the event once more, in the same generation of nobody's making but its own.
    let again = store.projection("p").projector(store.events().read_all()).attempts(1).dead_letters().drain();
    again.run(|_: &Recorded, _: &mut Rows<'_>| -> Result<(), Failure> { Err("again".into()) }).await?;
    assert_eq!(
        letters.page(None, 0, 9).await?.jobs,
        [Ok(first)],
        "what was gone past is not tried again by itself"
    );
    projection.reset(From::Start).await?;
    failed(&store, "p", 1).await?;
    assert_eq!(standing(&letters).await?, [2, 0, 0, 0], "another generation has failures of its own");
    Ok(())
}

async fn same_event_other_projection_is_a_second_entry(store: Store) -> Result<()> {
    let (_, p) = failed(&store, "p", 1).await?;
    let (_, q) = failed(&store, "q", 1).await?;
    assert_eq!((standing(&p).await?, standing(&q).await?), ([1, 0, 0, 0], [1, 0, 0, 0]));
    Ok(())
}

async fn filter_by_status(store: Store) -> Result<()> {
    let (_, letters) = failed(&store, "p", 3).await?;
    letters.revive(2).await?;
    assert_eq!(positions(&letters, JobState::Dead, 9).await?, [1, 3]);
    assert_eq!(positions(&letters, JobState::Ready, 9).await?, [2]);
    Ok(())
}

async fn filter_by_projection(store: Store) -> Result<()> {
    failed(&store, "p", 2).await?;
    let (_, q) = failed(&store, "q", 2).await?;
    q.purge(JobState::Dead).await?;
    assert_eq!(positions(&store.projection("p").dead_letters(), JobState::Dead, 9).await?, [1, 2]);
    Ok(())
}

async fn limit_honored(store: Store) -> Result<()> {
    let (_, letters) = failed(&store, "p", 5).await?;
    assert_eq!(positions(&letters, JobState::Dead, 2).await?, [1, 2]);
    Ok(())
}

async fn mark_retrying_moves_it(store: Store) -> Result<()> {
    let (_, letters) = failed(&store, "p", 2).await?;
    assert!(letters.revive(1).await?);
    assert!(!letters.revive(1).await?, "it is not dead any more");
    assert_eq!(standing(&letters).await?, [1, 1, 0, 0]);
    Ok(())
}

async fn mark_resolved_sets_status(store: Store) -> Result<()> {
    let (_, letters) = failed(&store, "p", 1).await?;
    letters.keep_done(Duration::from_secs(3_600)).await?;
    letters.revive(1).await?;
    // Somebody sees to it by hand.
    letters.pop().await?.done().await?;
    assert_eq!(positions(&letters, JobState::Done, 9).await?, [1]);
    Ok(())
}

async fn stats_count_failed_and_retrying_apart(store: Store) -> Result<()> {
    let (_, letters) = failed(&store, "p", 3).await?;
    letters.revive(2).await?;
    let claimed = letters.pop().await?;
    letters.revive(3).await?;
    assert_eq!(standing(&letters).await?, [1, 1, 1, 0]);
    claimed.release().await
}

async fn counts_per_projection(store: Store) -> Result<()> {
    failed(&store, "p", 3).await?;
    let (_, q) = failed(&store, "q", 3).await?;
    q.revive(1).await?;
    let queues = store.inspect().queues(None, 9).await?;
    let dead: Vec<_> = queues.iter().map(|queue| (queue.name.as_str(), queue.dead)).collect();
    assert_eq!(dead, [("projection/p", 3), ("projection/q", 2)]);
    Ok(())
}

async fn delete_resolved_leaves_failed(store: Store) -> Result<()> {
    let (_, letters) = failed(&store, "p", 2).await?;
    letters.keep_done(Duration::from_secs(3_600)).await?;
    letters.revive(1).await?;
    letters.pop().await?.done().await?;
    assert_eq!(letters.purge(JobState::Done).await?, 1);
    assert_eq!(standing(&letters).await?, [1, 0, 0, 0]);
    Ok(())
}

async fn delete_resolved_deletes_a_just_resolved_one(store: Store) -> Result<()> {
    let (_, letters) = failed(&store, "p", 1).await?;
    letters.revive(1).await?;
    letters.pop().await?.done().await?;
    assert_eq!(standing(&letters).await?, [0, 0, 0, 0], "nothing is kept unless it is wanted");
    Ok(())
}
