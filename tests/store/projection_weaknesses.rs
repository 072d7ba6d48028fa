//! Projections: what the reference system does wrong when it reads events a second way, and cannot go wrong here. Each test has
//! the number of the weakness.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use millpond::{
    Error, Event, Expected, Failure, JobState, Log, Origin, Progress, Project, Recorded, Result, Rows, Store,
};

use crate::backends::{event, until, wait};
use crate::peer::{Peer, file};
use crate::projections::{logged, positions, progress, start, stop, there, write};

each_backend! {
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
    until(async || Ok(projection.progress().await?.is_some_and(|it| it.is_parked()))).await?;
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

#[test]
fn w1_no_event_is_skipped_whichever_process_writes() {
    let (_folder, file) = file();
    let mut peers = [Peer::start(&file), Peer::start(&file)];
    let store = wait(Store::open(file)).unwrap();
    wait(async {
        let (log, projection) = (store.log::<u64>("seen"), store.projection("all"));
        let running = start(projection.projector(store.events().read_all()), positions(&log));
        peers[0].tell("append a-1 1 150");
        peers[1].tell("append b-1 1001 1150");
        write(&store, 4, 30).await?;
        for peer in &mut peers {
            peer.hear();
        }
        projection.caught_up().await?;
        let seen = logged(&log).await?;
        assert_eq!(seen, (1..=store.events().head().await?).collect::<Vec<_>>());
        assert!(seen.len() >= 300 + 120);
        // And one that nobody wakes but the other process.
        peers[0].tell("append a-1 151 151");
        projection.wait_for(seen.len() as u64 + 1).await?;
        peers[0].hear();
        stop(running).await?;
        store.close().await
    })
    .unwrap();
}

#[test]
fn w3_a_damaged_event_is_not_passed() {
    let (_folder, file) = file();
    let store = wait(Store::open(file.clone())).unwrap();
    wait(async {
        let (log, projection) = (store.log::<u64>("seen"), store.projection("all"));
        store.events().append("c-1", Expected::Any, (0..5).map(event).collect::<Vec<_>>()).await?;
        let harm = |data: &str| {
            let vandal = rusqlite::Connection::open(&file).unwrap();
            vandal.execute("UPDATE event SET data = ?1 WHERE position = 3", [data]).unwrap();
        };
        harm("{\"n\":9}");
        let running = start(projection.projector(store.events().read_all()), positions(&log));
        for _ in 0..2 {
            let error = projection.caught_up().await.unwrap_err();
            assert!(matches!(error, Error::Parked { .. }), "{error}");
            assert!(error.to_string().contains("damaged record"), "{error}");
            assert_eq!(logged(&log).await?, [1, 2]);
            projection.resume().await?;
            until(async || Ok(progress(&projection).await?.is_parked())).await?;
        }
        harm("{\"n\":2}");
        projection.resume().await?;
        projection.caught_up().await?;
        assert_eq!(logged(&log).await?, [1, 2, 3, 4, 5]);
        stop(running).await?;
        store.close().await
    })
    .unwrap();
}

#[test]
fn w7_an_open_transaction_delays_nobody() {
    let (folder, file) = file();
    let store = wait(Store::open(file.clone())).unwrap();
    let other = rusqlite::Connection::open(folder.path().join("other.db")).unwrap();
    other.execute_batch("CREATE TABLE t (a); BEGIN IMMEDIATE; INSERT INTO t VALUES (1)").unwrap();
    let reader =
        rusqlite::Connection::open_with_flags(&file, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM event").unwrap();
    let count = || reader.query_row("SELECT count(*) FROM event", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count(), 0);
    wait(async {
        let (log, projection) = (store.log::<u64>("seen"), store.projection("all"));
        let running = start(projection.projector(store.events().read_all()), positions(&log));
        for n in 0..6 {
            let appended = store.events().append("c-1", Expected::Any, [event(n)]).await?;
            projection.wait_for(appended.position).await?;
        }
        assert_eq!(logged(&log).await?, [1, 2, 3, 4, 5, 6]);
        assert_eq!(count(), 0, "it is still open");
        stop(running).await?;
        store.close().await
    })
    .unwrap();
}
