//! Projections: each event once and in order, whoever projects, whatever fails, and what is wanted of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use millpond::{
    Error, Event, EventStream, Expected, Failure, From, Log, Progress, Project, Projected, Projection,
    Projector, Recorded, Result, Rows, Stopper, Store,
};
use tokio::task::JoinHandle;

use crate::backends::{event, until};

each_backend! {
    a7_each_event_is_projected_once_whenever_it_comes
    a7_whoever_goes_on_begins_behind_what_was_committed
    a7_a_rebuild_gives_the_same_rows_and_takes_over
    a7_a_rebuild_of_what_cannot_be_beside_is_a_reset
    a7_what_fails_leaves_nothing_of_its_event
    two_projectors_are_one_at_a_time
    a_projection_begins_where_it_is_told_to
    a_projection_pauses_and_goes_on
    a_projection_that_is_removed_ends_its_projector
    a_projector_set_up_badly_touches_nothing
    whoever_waits_for_a_position_is_told
}

/// Writes down the positions of what it sees.
pub(crate) fn positions(log: &Log<u64>) -> impl Project + Send + 'static {
    let log = log.clone();
    move |event: &Recorded, rows: &mut Rows<'_>| -> Result<(), Failure> {
        rows.log(&log, &event.position())?;
        Ok(())
    }
}

type Running = (JoinHandle<Result<Projected>>, Stopper);

pub(crate) fn start(projector: Projector, project: impl Project + Send + 'static) -> Running {
    let stopper = projector.stopper();
    (tokio::spawn(projector.run(project)), stopper)
}

pub(crate) async fn stop((running, stopper): Running) -> Result<Projected> {
    stopper.stop(std::time::Duration::from_secs(60));
    running.await.unwrap()
}

pub(crate) async fn logged(log: &Log<u64>) -> Result<Vec<u64>> {
    let (mut records, mut found) = (log.range(..), Vec::new());
    while let Some(record) = records.next().await {
        found.push(*record?);
    }
    Ok(found)
}

pub(crate) async fn there(mut events: EventStream) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    while let Some(event) = events.next().await {
        found.push(event?.position());
    }
    Ok(found)
}

pub(crate) async fn progress(projection: &Projection) -> Result<Progress> {
    Ok(projection.progress().await?.expect("it has begun"))
}

/// So many writers, each of which appends batches to streams of some categories.
pub(crate) async fn write(store: &Store, writers: u64, each: u64) -> Result<()> {
    let write = async |writer: u64| {
        for n in 0..each {
            let stream = format!("c{}-{writer}", n % 3);
            store.events().append(stream, Expected::Any, (0..=n % 3).map(event).collect::<Vec<_>>()).await?;
        }
        Ok::<_, Error>(())
    };
    join_all((0..writers).map(write)).await.into_iter().collect()
}

async fn a7_each_event_is_projected_once_whenever_it_comes(store: Store) -> Result<()> {
    let (log, projection) = (store.log::<u64>("seen"), store.projection("all"));
    write(&store, 3, 20).await?;
    let running = start(projection.projector(store.events().read_all()).batch(7), positions(&log));
    write(&store, 8, 40).await?;
    projection.caught_up().await?;
    let all = there(store.events().read_all()).await?;
    assert_eq!(logged(&log).await?, all);
    let Progress { handled, position, .. } = progress(&projection).await?;
    assert_eq!((handled, position), (all.len() as u64, all.len() as u64));
    assert_eq!(stop(running).await?.handled, handled);
    Ok(())
}

async fn a7_whoever_goes_on_begins_behind_what_was_committed(store: Store) -> Result<()> {
    let (log, projection) = (store.log::<u64>("seen"), store.projection("all"));
    let (written, mut ends) = (write(&store, 4, 120), 0);
    let project = async {
        // A new one again and again, broken off in the midst of whatever it is at.
        while ends < 60 {
            let (running, _) =
                start(projection.projector(store.events().read_all()).batch(3), positions(&log));
            let at = progress_or_zero(&projection).await?;
            until(async || {
                let now = progress_or_zero(&projection).await?;
                // All of it may have been projected.
                Ok(now > at || ends % 4 == 0 || now == store.events().head().await?)
            })
            .await?;
            running.abort();
            let _ = running.await;
            ends += 1;
        }
        Ok::<_, Error>(())
    };
    let (written, projected) = futures_util::future::join(written, project).await;
    written?;
    projected?;
    projection.projector(store.events().read_all()).drain().run(positions(&log)).await?;
    assert_eq!(logged(&log).await?, there(store.events().read_all()).await?);
    Ok(())
}

async fn progress_or_zero(projection: &Projection) -> Result<u64> {
    Ok(projection.progress().await?.map_or(0, |progress| progress.position))
}

/// A generation is a log of its own; which of them is read stands in another.
struct Generations {
    store: Store,
    beside: bool,
}

impl Generations {
    fn log(&self, generation: u64) -> Log<u64> {
        self.store.log(format!("seen-{generation}"))
    }
}

impl Project for Generations {
    fn apply(&mut self, event: &Recorded, rows: &mut Rows<'_>) -> Result<(), Failure> {
        let log = self.log(rows.generation());
        rows.log(&log, &event.position())?;
        Ok(())
    }

    fn beside(&self) -> bool {
        self.beside
    }

    fn switch(&mut self, rows: &mut Rows<'_>) -> Result<(), Failure> {
        let generation = rows.generation();
        rows.log(&self.store.log("switched"), &generation)?;
        Ok(())
    }
}

async fn a7_a_rebuild_gives_the_same_rows_and_takes_over(store: Store) -> Result<()> {
    let projection = store.projection("all");
    let generations = || Generations { store: store.clone(), beside: true };
    let running = start(projection.projector(store.events().read_all()).batch(10), generations());
    write(&store, 2, 50).await?;
    projection.caught_up().await?;
    assert!(projection.rebuild(From::Start).await?);
    write(&store, 2, 50).await?;
    until(async || Ok(progress(&projection).await?.generation == 2)).await?;
    projection.caught_up().await?;
    stop(running).await?;
    let all = there(store.events().read_all()).await?;
    assert_eq!(logged(&store.log("seen-2")).await?, all);
    let before = logged(&store.log("seen-1")).await?;
    assert_eq!(before, all[..before.len()], "the one that is read went on meanwhile");
    assert!(before.len() >= all.len() / 2);
    assert_eq!(logged(&store.log("switched")).await?, [1, 2]);
    assert_eq!(progress(&projection).await?.rebuilding, None);
    // It is parked, and what is mended is rebuilt beside it.
    projection.rebuild(From::Start).await?;
    projection.projector(store.events().read_all()).drain().run(generations()).await?;
    assert_eq!(logged(&store.log("seen-3")).await?, all);
    Ok(())
}

async fn a7_a_rebuild_of_what_cannot_be_beside_is_a_reset(store: Store) -> Result<()> {
    let projection = store.projection("all");
    let generations = || Generations { store: store.clone(), beside: false };
    write(&store, 1, 5).await?;
    projection.projector(store.events().read_all()).drain().run(generations()).await?;
    projection.rebuild(From::After(3)).await?;
    let newer = progress(&projection).await?.rebuilding.unwrap();
    assert_eq!((newer.generation, newer.position), (2, 3));
    let projected = projection.projector(store.events().read_all()).drain().run(generations()).await?;
    let all = there(store.events().read_all()).await?;
    assert_eq!(projected.handled as usize, all.len() - 3);
    // A reset is a generation more.
    assert_eq!(logged(&store.log("seen-3")).await?, all[3..]);
    assert_eq!(logged(&store.log("switched")).await?, [1, 3]);
    assert!(logged(&store.log("seen-2")).await?.is_empty());
    Ok(())
}

async fn a7_what_fails_leaves_nothing_of_its_event(store: Store) -> Result<()> {
    let (log, projection) = (store.log::<u64>("seen"), store.projection("all"));
    store.events().append("c-1", Expected::Any, (0..20).map(event).collect::<Vec<_>>()).await?;
    let tries = Arc::new(AtomicU64::new(0));
    let (counted, to) = (Arc::clone(&tries), log.clone());
    let project = move |event: &Recorded, rows: &mut Rows<'_>| -> Result<(), Failure> {
        rows.log(&to, &event.position())?;
        match event.position() {
            7 if counted.fetch_add(1, Ordering::SeqCst) == 0 => Err("not now".into()),
            13 if counted.fetch_add(1, Ordering::SeqCst) == 1 => panic!("not here"),
            // It is refused in the commit, and nobody can say whose it was.
            17 if counted.fetch_add(1, Ordering::SeqCst) == 2 => {
                rows.append("c-1", Expected::NoStream, [Event::new("Never", &())?])?;
                Ok(())
            }
            _ => Ok(()),
        }
    };
    let projector = projection.projector(store.events().read_category("c").event_type("Counted"));
    projector.drain().run(project).await?;
    assert_eq!(logged(&log).await?, (1..=20).collect::<Vec<_>>());
    assert_eq!(store.events().version("c-1").await?, 20);
    Ok(())
}

async fn two_projectors_are_one_at_a_time(store: Store) -> Result<()> {
    let (log, projection) = (store.log::<u64>("seen"), store.projection("all"));
    let begin = || start(projection.projector(store.events().read_all()), positions(&log));
    let (first, second) = (begin(), begin());
    write(&store, 2, 20).await?;
    projection.caught_up().await?;
    let first = stop(first).await?.handled;
    write(&store, 2, 20).await?;
    projection.caught_up().await?;
    let all = there(store.events().read_all()).await?;
    assert_eq!(logged(&log).await?, all);
    assert_eq!(first + stop(second).await?.handled, all.len() as u64);
    Ok(())
}

async fn a_projection_begins_where_it_is_told_to(store: Store) -> Result<()> {
    write(&store, 1, 10).await?;
    let head = store.events().head().await?;
    for (number, (from, position)) in
        [(From::Start, 0), (From::Now, head), (From::After(4), 4), (From::Recorded(i64::MAX), head)]
            .into_iter()
            .enumerate()
    {
        let (name, log) = (format!("p{number}"), store.log::<u64>(format!("seen-{number}")));
        let projection = store.projection(name).starting(from);
        assert_eq!(projection.progress().await?, None);
        projection.projector(store.events().read_all()).drain().run(positions(&log)).await?;
        assert_eq!(logged(&log).await?, (position + 1..=head).collect::<Vec<_>>());
        // Where it begins is said once.
        let again = store.projection(format!("p{number}")).starting(From::Start);
        again.projector(store.events().read_all()).drain().run(positions(&log)).await?;
        assert_eq!(logged(&log).await?.len() as u64, head - position);
    }
    let (log, seen) = (store.log::<u64>("seen-0"), store.projection("p0"));
    assert!(seen.reset(From::After(head - 2)).await?);
    seen.projector(store.events().read_all()).drain().run(positions(&log)).await?;
    assert_eq!(logged(&log).await?[head as usize..], [head - 1, head]);
    Ok(())
}

async fn a_projection_pauses_and_goes_on(store: Store) -> Result<()> {
    let (log, projection) = (store.log::<u64>("seen"), store.projection("all"));
    assert!(!projection.pause().await?, "there is none yet");
    let running = start(projection.projector(store.events().read_all()), positions(&log));
    write(&store, 1, 10).await?;
    projection.caught_up().await?;
    assert!(projection.pause().await?);
    let paused = progress(&projection).await?;
    write(&store, 2, 10).await?;
    assert_eq!(progress(&projection).await?.position, paused.position, "from the moment on that it is said");
    assert!(paused.paused && progress(&projection).await?.lag() > 0);
    assert!(projection.resume().await?);
    projection.caught_up().await?;
    stop(running).await?;
    assert_eq!(logged(&log).await?, there(store.events().read_all()).await?);
    Ok(())
}

async fn a_projection_that_is_removed_ends_its_projector(store: Store) -> Result<()> {
    let (log, projection) = (store.log::<u64>("seen"), store.projection("all"));
    let (running, _) = start(projection.projector(store.events().read_all()), positions(&log));
    write(&store, 1, 3).await?;
    projection.caught_up().await?;
    assert!(projection.remove().await?);
    running.await.unwrap()?;
    assert_eq!(projection.progress().await?, None);
    Ok(())
}

async fn a_projector_set_up_badly_touches_nothing(store: Store) -> Result<()> {
    let (log, events) = (store.log::<u64>("seen"), store.events());
    let projection = store.projection("all");
    let refused = async |projector: Projector| {
        let error = projector.run(positions(&log)).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::InvalidArgument { .. } | Error::InvalidName { .. } | Error::TooLarge { .. }
            ),
            "{error}"
        );
    };
    for events in [
        events.read_all().backward(),
        events.read_all().limit(3),
        events.read_all().after(3),
        events.read_all().to(3),
        events.read_stream("c-1"),
        events.read_category("c").event_types((0..101).map(|n| n.to_string())),
        Store::memory().await?.events().read_all(),
    ] {
        refused(projection.projector(events)).await;
    }
    refused(projection.projector(events.read_all()).batch(0)).await;
    refused(projection.projector(events.read_all()).batch(10_001)).await;
    refused(projection.projector(events.read_all()).attempts(0)).await;
    refused(store.projection("").projector(events.read_all())).await;
    assert_eq!(projection.progress().await?, None);
    Ok(())
}

async fn whoever_waits_for_a_position_is_told(store: Store) -> Result<()> {
    let (log, projection) = (store.log::<u64>("seen"), store.projection("all"));
    let waits: Vec<_> = (1..=20_u64)
        .map(|position| {
            let (projection, log) = (projection.clone(), log.clone());
            tokio::spawn(async move {
                projection.wait_for(position).await?;
                Ok::<_, Error>(logged(&log).await?.len() as u64 >= position)
            })
        })
        .collect();
    let running = start(projection.projector(store.events().read_all()).batch(2), positions(&log));
    write(&store, 2, 10).await?;
    for wait in waits {
        assert!(wait.await.unwrap()?, "what came of it can be read");
    }
    // Also what does not concern it has been dealt with.
    let (rare, none) = (store.projection("rare"), store.log::<u64>("none"));
    let of_rare = start(rare.projector(store.events().read_all().event_type("Rare")), positions(&none));
    rare.caught_up().await?;
    stop(running).await?;
    stop(of_rare).await?;
    let waiting = tokio::spawn(async move { projection.wait_for(u64::MAX).await });
    store.close().await?;
    assert_eq!(waiting.await.unwrap(), Err(Error::Closed));
    Ok(())
}
