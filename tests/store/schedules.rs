//! Schedules: each time comes once, whoever keeps it, and what a program may say about them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use millpond::blocking;
use millpond::{Clock, Error, Every, ManualClock, Missed, Push, Queue, Result, Store, Task};

use crate::backends::{begin, on_a_clock, until};
use crate::peer::{Peer, file};

/// Long enough that only a wake-up ends the wait.
const LONG: Duration = Duration::from_secs(3_600);

each_backend! {
    q5_a_worker_keeps_the_time
    q5_a_worker_all_of_whose_hands_are_full_keeps_the_time
    q5_a_waiting_pop_keeps_the_time
    q5_a_time_comes_once_whoever_keeps_it
    q5_a_schedule_said_again_stays_as_it_is
    q7_a_schedule_that_is_none_is_refused_and_changes_nothing
    c8_closing_ends_whoever_keeps_the_time
    both_faces_have_the_same_schedules
}

/// Each second.
const SECONDS: &str = "* * * * * *";

async fn every_second(queue: &Queue<u64>) -> Result<bool> {
    queue.recurring("tick", SECONDS, &7, Push::new()).await
}

async fn pushed(queue: &Queue<u64>) -> Result<u64> {
    Ok(queue.numbers().await?.map_or(0, |numbers| numbers.pushed))
}

async fn q5_a_worker_keeps_the_time(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    let worker = queue.worker();
    let (stopper, done) = (worker.stopper(), AtomicU32::new(0));
    let running = worker.run(async |job: Task<u64>| {
        assert_eq!(*job, 7);
        if done.fetch_add(1, Ordering::SeqCst) == 1 {
            stopper.stop(LONG);
        }
    });
    // It is said when the worker runs already.
    let (tally, placed) = tokio::join!(running, every_second(&queue));
    assert_eq!((tally?.done, placed?), (2, true));
    let schedule = queue.schedules().await?.remove(0)?;
    assert!(schedule.last.unwrap() % 1_000 == 0 && schedule.due > schedule.last);
    Ok(())
}

async fn q5_a_worker_all_of_whose_hands_are_full_keeps_the_time(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    queue.push(&1).await?;
    let running = tokio::spawn(queue.worker().run(async |_: Task<u64>| std::future::pending::<()>().await));
    until(async || Ok(queue.numbers().await?.is_some_and(|numbers| numbers.claimed == 1))).await?;
    every_second(&queue).await?;
    until(async || Ok(pushed(&queue).await? >= 3)).await?;
    running.abort();
    Ok(())
}

async fn q5_a_waiting_pop_keeps_the_time(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    every_second(&queue).await?;
    let job = queue.pop().await?;
    assert_eq!((*job, job.attempt()), (7, 1));
    job.done().await
}

async fn q5_a_time_comes_once_whoever_keeps_it(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    let keepers: Vec<_> = (0..4)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.keep_schedules().await })
        })
        .collect();
    every_second(&queue).await?;
    let first = queue.schedules().await?.remove(0)?.due.unwrap();
    until(async || Ok(pushed(&queue).await? >= 2)).await?;
    keepers.iter().for_each(tokio::task::JoinHandle::abort);
    assert!(queue.unschedule("tick").await? && !queue.unschedule("tick").await?);
    // No more than there were times, by the clock that was gone by.
    let jobs = queue.page(None, 0, 100).await?.jobs;
    let last = jobs.into_iter().map(|job| job.unwrap().pushed_at).max().unwrap();
    let times = (last - first) / 1_000 + 1;
    assert!(i64::try_from(pushed(&queue).await?).unwrap() <= times);
    Ok(())
}

async fn q5_a_schedule_said_again_stays_as_it_is(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    let mornings = || Every::cron("30 8 * * MON-FRI").zone("Europe/Amsterdam");
    assert!(queue.recurring("a", mornings(), &7, Push::new().priority(-1).key("k")).await?);
    assert!(!queue.recurring("a", mornings(), &7, Push::new().priority(-1).key("k")).await?);
    let before = queue.schedules().await?.remove(0)?;
    assert_eq!((&*before.plan.cron, &*before.plan.zone), ("30 8 * * MON-FRI", "Europe/Amsterdam"));
    assert!(queue.recurring("a", mornings().missed(Missed::Skip), &8, Push::new()).await?);
    let after = queue.schedules().await?.remove(0)?;
    assert_eq!((after.due, after.plan.missed), (before.due, Missed::Skip));
    assert!(queue.recurring("a", "0 3 * * *", &8, Push::new()).await?);
    assert_ne!(queue.schedules().await?.remove(0)?.due, before.due);
    Ok(())
}

async fn q7_a_schedule_that_is_none_is_refused_and_changes_nothing(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    let long = "0 ".repeat(400);
    for cron in ["", "now", "* * *", "61 * * * *", "0 0 31 2 *", "0 3 * * *\0", &long] {
        let refused = queue.recurring("a", cron, &7, Push::new()).await.unwrap_err();
        let typed = matches!(refused, Error::InvalidArgument { .. } | Error::TooLarge { .. });
        assert!(typed, "{cron:?}: {refused}");
    }
    for push in [Push::new().delay(LONG), Push::new().at(0)] {
        let refused = queue.recurring("a", SECONDS, &7, push).await;
        assert!(matches!(refused, Err(Error::InvalidArgument { .. })));
    }
    let nowhere = Every::cron(SECONDS).zone("Nowhere/At_all");
    assert!(matches!(
        queue.recurring("a", nowhere, &7, Push::new()).await,
        Err(Error::InvalidArgument { .. })
    ));
    let bad = queue.recurring("", SECONDS, &7, Push::new()).await;
    assert!(matches!(bad, Err(Error::InvalidName { .. })));
    let bad = store.queue::<u64>("").keep_schedules().await;
    assert!(matches!(bad, Err(Error::InvalidName { .. })));
    let large = store.queue::<String>("q").recurring("a", SECONDS, &"7".repeat(64 << 10), Push::new()).await;
    assert!(matches!(large, Err(Error::TooLarge { .. })));
    assert_eq!(queue.numbers().await?, None, "nothing was written");
    Ok(())
}

async fn c8_closing_ends_whoever_keeps_the_time(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    let keeping = begin(queue.keep_schedules());
    assert!(keeping.is_pending());
    let blocking = store.blocking().queue::<u64>("q");
    let thread = tokio::task::spawn_blocking(move || blocking.keep_schedules());
    store.close().await?;
    assert_eq!(keeping.await, Err(Error::Closed));
    assert_eq!(thread.await.unwrap(), Err(Error::Closed));
    Ok(())
}

async fn both_faces_have_the_same_schedules(store: Store) -> Result<()> {
    let (queue, blocking) = (store.queue::<u64>("q"), store.blocking().queue::<u64>("q"));
    let thread = move || {
        assert!(blocking.recurring("a", "@daily", &7, Push::new())?);
        assert_eq!(blocking.schedules()?.len(), 1);
        Ok::<_, Error>(blocking)
    };
    let blocking = tokio::task::spawn_blocking(thread).await.unwrap()?;
    assert!(!queue.recurring("a", "@daily", &7, Push::new()).await?);
    assert_eq!(queue.schedules().await?.remove(0)?.name, "a");
    assert!(tokio::task::spawn_blocking(move || blocking.unschedule("a")).await.unwrap()?);
    Ok(())
}

/// Has somebody keep the time until so many jobs have been pushed.
async fn kept(queue: &Queue<u64>, jobs: u64) -> Result<()> {
    let keeping = begin(queue.keep_schedules());
    assert!(keeping.is_pending());
    until(async || Ok(pushed(queue).await? >= jobs)).await?;
    drop(keeping);
    assert_eq!(pushed(queue).await?, jobs);
    Ok(())
}

#[test]
fn q5_what_was_missed_comes_once_and_the_next_time_is_the_next() {
    on_a_clock(async |store: Store, clock: Arc<ManualClock>| {
        let queue = store.queue::<u64>("q");
        let hour = Duration::from_secs(3_600);
        queue.recurring("hourly", "0 * * * *", &7, Push::new()).await?;
        let first = queue.schedules().await?.remove(0)?.due.unwrap();
        // Nobody is there for ten hours.
        clock.advance(10 * hour);
        kept(&queue, 1).await?;
        let schedule = queue.schedules().await?.remove(0)?;
        assert_eq!((schedule.last, schedule.due), (Some(first), Some(first + 10 * 3_600_000)));
        clock.advance(hour);
        kept(&queue, 2).await?;
        // A clock that is set back has nothing come again.
        clock.set_wall(first);
        let keeping = begin(queue.keep_schedules());
        for _ in 0..50 {
            store.queue::<u64>("other").push(&1).await?;
        }
        drop(keeping);
        assert_eq!(pushed(&queue).await?, 2);
        Ok(())
    });
}

#[test]
fn q5_what_was_missed_is_left_out_if_it_is_to_be() {
    on_a_clock(async |store: Store, clock: Arc<ManualClock>| {
        let queue = store.queue::<u64>("q");
        let hour = Duration::from_secs(3_600);
        let every = Every::cron("0 * * * *").missed(Missed::Skip);
        queue.recurring("hourly", every, &7, Push::new()).await?;
        let first = queue.schedules().await?.remove(0)?.due.unwrap();
        clock.set_wall(first + 61_000);
        let keeping = begin(queue.keep_schedules());
        until(async || Ok(queue.schedules().await?.remove(0)?.last == Some(first))).await?;
        drop(keeping);
        assert_eq!(pushed(&queue).await?, 0);
        clock.set_wall(first);
        clock.advance(hour);
        assert_eq!(clock.now().wall_ms, first + 3_600_000);
        kept(&queue, 1).await
    });
}

#[test]
fn q5_processes_do_each_time_once_and_a_killed_one_holds_nobody_up() {
    let (_folder, file) = file();
    let (mut a, mut b) = (Peer::start(&file), Peer::start(&file));
    let store = blocking::Store::open(&file).unwrap();
    let queue = store.queue::<u64>("q");
    queue.keep_done(LONG).unwrap();
    for peer in [&mut a, &mut b] {
        peer.tell("pop q 1000000");
    }
    // Said by one who does not wait, while the others do.
    assert!(queue.recurring("tick", SECONDS, &7, Push::new()).unwrap());
    assert_eq!((a.hear(), b.hear()), ("7 1".to_owned(), "7 1".to_owned()));
    a.killed();
    assert_eq!(b.ask("done"), "done");
    for job in ["7 2", "7 1", "7 1"] {
        assert_eq!(b.ask("pop q 1000000"), job, "at first the job of the one that was killed");
        assert_eq!(b.ask("done"), "done");
    }
    let jobs = queue.page(None, 0, 100).unwrap().jobs;
    let seconds: Vec<_> = jobs.into_iter().map(|job| job.unwrap().pushed_at / 1_000).collect();
    assert!(seconds.len() >= 4 && seconds.is_sorted_by(|earlier, later| earlier < later), "{seconds:?}");
}
