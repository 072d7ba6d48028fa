//! Projections: each event once and in order, whoever projects, whatever fails, and what is wanted of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use millpond::{
    Error, Event, EventStream, Expected, Failure, From, JobState, Log, Origin, Progress, Project, Projected,
    Projection, Projector, Recorded, Result, Rows, Stopper, Store,
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
    w2_no_event_comes_twice_however_many_wake_ups_there_are
    w3_failures_in_a_row_skip_nothing
    w4_no_wake_up_is_lost
    w5_what_fails_is_seen_and_can_be_mended
    w5_what_is_gone_past_is_a_dead_letter_and_can_be_projected_later
    w6_a_type_that_cannot_be_read_is_the_failure_of_the_one_that_wants_it
    w11_a_tenants_projection_sees_that_tenant_alone
    w11_rows_without_a_checkpoint_do_not_come_about
    w14_a_category_is_read_without_a_gap
    w15_a_poison_event_is_tried_so_often_and_no_more
    w16_a_stop_saves_the_place
    w17_a_failure_says_why_and_running_waits_for_nothing
    w18_all_types_are_all_types_in_what_there_is_and_what_comes
    w19_events_of_one_stream_stay_in_order
}

/// Writes down the positions of what it sees.
fn positions(log: &Log<u64>) -> impl Project + Send + 'static {
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

async fn there(mut events: EventStream) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    while let Some(event) = events.next().await {
        found.push(event?.position());
    }
    Ok(found)
}

async fn progress(projection: &Projection) -> Result<Progress> {
    Ok(projection.progress().await?.expect("it has begun"))
}

/// So many writers, each of which appends batches to streams of some categories.
async fn write(store: &Store, writers: u64, each: u64) -> Result<()> {
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
                Ok(progress_or_zero(&projection).await? > at || running.is_finished() || ends % 4 == 0)
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
    assert_eq!(progress(&projection).await?.rebuilding, Some((2, 3)));
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

async fn w2_no_event_comes_twice_however_many_wake_ups_there_are(store: Store) -> Result<()> {
    let (log, projection) = (store.log::<u64>("seen"), store.projection("all"));
    let (to, events) = (log.clone(), store.events());
    // One that makes the events itself that it is woken by.
    let project = move |event: &Recorded, rows: &mut Rows<'_>| -> Result<(), Failure> {
        rows.log(&to, &event.position())?;
        if event.stream().starts_with('c') {
            rows.append("echo-1", Expected::Any, [Event::new("Echo", &event.position())?])?;
        }
        Ok(())
    };
    let running = start(projection.projector(events.read_all()), project);
    let append = |n: u64| events.append(format!("c-{n}"), Expected::Any, [event(n)]);
    join_all((0..20).map(append)).await.into_iter().collect::<Result<Vec<_>>>()?;
    until(async || Ok(events.version("echo-1").await? == 20)).await?;
    projection.caught_up().await?;
    stop(running).await?;
    assert_eq!(logged(&log).await?, (1..=40).collect::<Vec<_>>());
    Ok(())
}

async fn w3_failures_in_a_row_skip_nothing(store: Store) -> Result<()> {
    let (log, projection) = (store.log::<u64>("seen"), store.projection("all"));
    store.events().append("c-1", Expected::Any, (0..1_000).map(event).collect::<Vec<_>>()).await?;
    let (to, failures) = (log.clone(), AtomicU64::new(0));
    let project = move |event: &Recorded, rows: &mut Rows<'_>| -> Result<(), Failure> {
        if (101..=105).contains(&event.position()) && failures.fetch_add(1, Ordering::SeqCst) < 3 {
            return Err("not now".into());
        }
        rows.log(&to, &event.position())?;
        Ok(())
    };
    projection.projector(store.events().read_all()).drain().run(project).await?;
    assert_eq!(logged(&log).await?, (1..=1_000).collect::<Vec<_>>());
    assert_eq!(progress(&projection).await?.failure, None);
    Ok(())
}

async fn w4_no_wake_up_is_lost(store: Store) -> Result<()> {
    let (log, projection) = (store.log::<u64>("seen"), store.projection("all"));
    let running = start(projection.projector(store.events().read_all()), positions(&log));
    for n in 0..200 {
        // Whatever it is at when this comes: each is waited for before there is another one that would wake it.
        let appended = store.events().append("c-1", Expected::Any, [event(n)]).await?;
        projection.wait_for(appended.position).await?;
    }
    stop(running).await?;
    assert_eq!(logged(&log).await?, (1..=200).collect::<Vec<_>>());
    Ok(())
}

async fn w5_what_fails_is_seen_and_can_be_mended(store: Store) -> Result<()> {
    let (log, projection) = (store.log::<u64>("seen"), store.projection("all"));
    store.events().append("c-1", Expected::Any, (0..5).map(event).collect::<Vec<_>>()).await?;
    let mended = Arc::new(AtomicU64::new(0));
    let (asked, to) = (Arc::clone(&mended), log.clone());
    let project = move |event: &Recorded, rows: &mut Rows<'_>| -> Result<(), Failure> {
        if event.position() == 3 && asked.load(Ordering::SeqCst) == 0 {
            return Err("no such customer".into());
        }
        rows.log(&to, &event.position())?;
        Ok(())
    };
    let running = start(projection.projector(store.events().read_all()).attempts(1), project);
    let error = projection.caught_up().await.unwrap_err();
    let reason = "event 3 (Counted of stream \"c-1\"): no such customer";
    assert_eq!(error, Error::Parked { projection: "all".into(), reason: reason.into() });
    let parked = progress(&projection).await?;
    assert!(parked.is_parked());
    assert_eq!((parked.position, parked.attempts, parked.failure.as_deref()), (2, 1, Some(reason)));
    // It stays there, whatever comes.
    store.events().append("c-1", Expected::Any, [event(6)]).await?;
    mended.store(1, Ordering::SeqCst);
    assert_eq!(progress(&projection).await?.position, 2);
    projection.resume().await?;
    projection.caught_up().await?;
    stop(running).await?;
    assert_eq!(logged(&log).await?, (1..=6).collect::<Vec<_>>());
    assert!(!progress(&projection).await?.is_parked());
    Ok(())
}

async fn w6_a_type_that_cannot_be_read_is_the_failure_of_the_one_that_wants_it(store: Store) -> Result<()> {
    let odd = Event::new("Renamed", &"no number")?;
    let number = |n: u64| Event::new("Counted", &n);
    store.events().append("c-1", Expected::Any, [number(1)?, odd, number(3)?]).await?;
    let decoding = |log: &Log<u64>| {
        let log = log.clone();
        move |event: &Recorded, rows: &mut Rows<'_>| -> Result<(), Failure> {
            rows.log(&log, &event.decode::<u64>()?)?;
            Ok(())
        }
    };
    let (counted, all) = (store.log::<u64>("counted"), store.log::<u64>("all"));
    let of_type = store.events().read_all().event_type("Counted");
    store.projection("counted").projector(of_type).drain().run(decoding(&counted)).await?;
    assert_eq!(logged(&counted).await?, [1, 3]);
    let wanting = store.projection("all").projector(store.events().read_all()).attempts(1).drain();
    let error = wanting.run(decoding(&all)).await.unwrap_err().to_string();
    assert!(error.contains("event 2 (Renamed of stream \"c-1\")"), "{error}");
    assert_eq!(logged(&all).await?, [1]);
    Ok(())
}

async fn w11_a_tenants_projection_sees_that_tenant_alone(store: Store) -> Result<()> {
    let (log, projection) = (store.log::<u64>("seen"), store.projection("ada"));
    let of = |tenant: &str| Event::new("Counted", &1).map(|event| event.origin(Origin::new().tenant(tenant)));
    store.events().append("c-1", Expected::Any, [of("ada")?, of("grace")?, event(3)]).await?;
    let running = start(projection.projector(store.events().read_all().tenant("ada")), positions(&log));
    projection.caught_up().await?;
    store.events().append("c-1", Expected::Any, [of("grace")?, of("ada")?]).await?;
    projection.caught_up().await?;
    stop(running).await?;
    assert_eq!(logged(&log).await?, [1, 5]);
    Ok(())
}

/// While its events are being projected, something else is wanted of the projection: that commit does not come about.
async fn w11_rows_without_a_checkpoint_do_not_come_about(store: Store) -> Result<()> {
    let (log, projection) = (store.log::<u64>("seen"), store.projection("all"));
    store.events().append("c-1", Expected::Any, (0..9).map(event).collect::<Vec<_>>()).await?;
    let (to, handle, calls) = (log.clone(), tokio::runtime::Handle::current(), Arc::new(AtomicU64::new(0)));
    let (wanting, counted) = (projection.clone(), Arc::clone(&calls));
    let project = move |event: &Recorded, rows: &mut Rows<'_>| -> Result<(), Failure> {
        rows.log(&to, &event.position())?;
        if counted.fetch_add(1, Ordering::SeqCst) == 4 {
            let wanting = wanting.clone();
            tokio::task::block_in_place(|| handle.block_on(wanting.resume()))?;
        }
        Ok(())
    };
    projection.projector(store.events().read_all()).drain().run(project).await?;
    assert_eq!(logged(&log).await?, (1..=9).collect::<Vec<_>>());
    assert_eq!(calls.load(Ordering::SeqCst), 18, "all of them were projected twice, and committed once");
    Ok(())
}

async fn w14_a_category_is_read_without_a_gap(store: Store) -> Result<()> {
    let (log, projection) = (store.log::<u64>("seen"), store.projection("c1"));
    let running = start(projection.projector(store.events().read_category("c1")), positions(&log));
    write(&store, 8, 40).await?;
    projection.caught_up().await?;
    stop(running).await?;
    assert_eq!(logged(&log).await?, there(store.events().read_category("c1")).await?);
    Ok(())
}

async fn w15_a_poison_event_is_tried_so_often_and_no_more(store: Store) -> Result<()> {
    let projection = store.projection("all");
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let poison = move |_: &Recorded, _: &mut Rows<'_>| -> Result<(), Failure> {
        counted.fetch_add(1, Ordering::SeqCst);
        Err("never".into())
    };
    let running = start(projection.projector(store.events().read_all()).batch(1).attempts(2), poison);
    // Nobody who appends waits for it, and no wake-up has it tried again.
    write(&store, 4, 25).await?;
    until(async || Ok(progress(&projection).await?.is_parked())).await?;
    write(&store, 4, 25).await?;
    stop(running).await?;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert_eq!(progress(&projection).await?.position, 0);
    Ok(())
}

async fn w16_a_stop_saves_the_place(store: Store) -> Result<()> {
    let (log, projection) = (store.log::<u64>("seen"), store.projection("rare"));
    let seen = Arc::new(Mutex::new(0));
    let rare = || store.events().read_all().event_type("Rare");
    store.events().append("c-1", Expected::Any, [Event::new("Rare", &1)?]).await?;
    write(&store, 1, 10).await?;
    let running = start(projection.projector(rare()), positions(&log));
    projection.wait_for(1).await?;
    // What comes now does not concern it, and is saved after a moment, or when it is stopped.
    write(&store, 1, 10).await?;
    let head = store.events().head().await?;
    stop(running).await?;
    *seen.lock().unwrap() = progress(&projection).await?.position;
    projection.projector(rare()).drain().run(positions(&log)).await?;
    assert_eq!(progress(&projection).await?.position, head);
    assert!(*seen.lock().unwrap() > 1, "not only at what concerned it");
    assert_eq!(logged(&log).await?, [1]);
    Ok(())
}

async fn w17_a_failure_says_why_and_running_waits_for_nothing(store: Store) -> Result<()> {
    let projection = store.projection("all");
    struct Unusable(u32);
    impl Project for Unusable {
        fn apply(&mut self, _: &Recorded, _: &mut Rows<'_>) -> Result<(), Failure> {
            Ok(())
        }
        fn begin(&mut self, _: &mut Rows<'_>) -> Result<(), Failure> {
            self.0 += 1;
            if self.0 == 1 { Err("no such table".into()) } else { Ok(()) }
        }
    }
    write(&store, 1, 5).await?;
    let running = start(projection.projector(store.events().read_all()).attempts(1), Unusable(0));
    until(async || Ok(projection.progress().await?.is_some_and(|progress| progress.is_parked()))).await?;
    assert_eq!(progress(&projection).await?.failure.as_deref(), Some("no such table"));
    projection.resume().await?;
    projection.caught_up().await?;
    stop(running).await?;
    Ok(())
}

async fn w18_all_types_are_all_types_in_what_there_is_and_what_comes(store: Store) -> Result<()> {
    let (log, projection) = (store.log::<u64>("seen"), store.projection("all"));
    let some = || [Event::new("One", &1), Event::new("Two", &2)].into_iter().collect::<Result<Vec<_>>>();
    store.events().append("c-1", Expected::Any, some()?).await?;
    let none: [&str; 0] = [];
    let running = start(projection.projector(store.events().read_all().event_types(none)), positions(&log));
    projection.caught_up().await?;
    store.events().append("c-1", Expected::Any, some()?).await?;
    projection.caught_up().await?;
    stop(running).await?;
    assert_eq!(logged(&log).await?, [1, 2, 3, 4]);
    Ok(())
}

async fn w19_events_of_one_stream_stay_in_order(store: Store) -> Result<()> {
    let (log, projection) = (store.log::<u64>("seen"), store.projection("versions"));
    let to = log.clone();
    let versions = move |event: &Recorded, rows: &mut Rows<'_>| -> Result<(), Failure> {
        rows.log(&to, &(event.stream().len() as u64 * 1_000 + event.version()))?;
        Ok(())
    };
    let running = start(projection.projector(store.events().read_all()), versions);
    let append = async |stream: &str| {
        for n in 0..60 {
            store.events().append(stream, Expected::Any, [event(n)]).await?;
        }
        Ok::<_, Error>(())
    };
    join_all(["c", "cc", "ccc"].map(append)).await.into_iter().collect::<Result<()>>()?;
    projection.caught_up().await?;
    stop(running).await?;
    let seen = logged(&log).await?;
    for stream in 1..=3 {
        let of_stream: Vec<u64> =
            seen.iter().filter(|it| *it / 1_000 == stream).map(|it| it % 1_000).collect();
        assert_eq!(of_stream, (1..=60).collect::<Vec<_>>());
    }
    Ok(())
}

/// One whose third event fails until it is mended.
fn failing(log: &Log<u64>, mended: &Arc<AtomicU64>) -> impl Project + Send + 'static {
    let (log, mended) = (log.clone(), Arc::clone(mended));
    move |event: &Recorded, rows: &mut Rows<'_>| -> Result<(), Failure> {
        rows.log(&log, &event.position())?;
        match (event.position(), mended.load(Ordering::SeqCst)) {
            (3, 0) => Err("no such customer".into()),
            (3, 1) => {
                rows.append("c-1", Expected::NoStream, [Event::new("Never", &())?])?;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

async fn w5_what_is_gone_past_is_a_dead_letter_and_can_be_projected_later(store: Store) -> Result<()> {
    let (log, projection, mended) = (store.log::<u64>("seen"), store.projection("all"), Arc::default());
    let letters = projection.dead_letters();
    store.events().append("c-1", Expected::Any, (0..5).map(event).collect::<Vec<_>>()).await?;
    let projector = projection.projector(store.events().read_category("c")).attempts(1).dead_letters();
    let running = start(projector, failing(&log, &mended));
    projection.caught_up().await?;
    assert_eq!(logged(&log).await?, [1, 2, 4, 5], "the others do not wait for it");
    let Progress { handled, failure, .. } = progress(&projection).await?;
    assert_eq!((handled, failure), (4, None));
    let dead =
        async || Ok::<_, Error>(letters.page(Some(JobState::Dead), 0, 9).await?.jobs.remove(0).unwrap());
    let record = dead().await?;
    assert_eq!(record.reason.as_deref(), Some("no such customer"));
    let letter = letters.decode(&record)?;
    assert_eq!((letter.position, letter.stream.as_str(), letter.version), (3, "c-1", 3));
    assert_eq!((letter.event_type.as_str(), letter.generation), ("Counted", 1));
    // It fails again, whoever refuses it: the user or the store.
    for (way, reason) in [(0, "no such customer"), (1, "c-1")] {
        mended.store(way, Ordering::SeqCst);
        letters.revive(record.sequence).await?;
        until(async || {
            let numbers = letters.numbers().await?.unwrap();
            Ok(numbers.dead == 1 && dead().await?.reason.unwrap().contains(reason))
        })
        .await?;
    }
    mended.store(2, Ordering::SeqCst);
    letters.revive(record.sequence).await?;
    until(async || Ok(progress(&projection).await?.handled == 5)).await?;
    stop(running).await?;
    assert_eq!(logged(&log).await?, [1, 2, 4, 5, 3]);
    let numbers = letters.numbers().await?.unwrap();
    assert_eq!((numbers.dead, numbers.ready, numbers.claimed), (0, 0, 0));
    Ok(())
}
