//! Workers: what handlers say, do wrong and leave behind, how many run and how fast, and the ways in which one ends.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millpond::{Error, Push, Queue, QueueNumbers, Result, Store, Tally, Task, Verdict};
use tokio::sync::Notify;

use crate::backends::until;

/// Long enough that only a wake-up ends the wait.
const LONG: Duration = Duration::from_secs(3_600);

each_backend! {
    q1_a_worker_does_each_job_and_drains_what_its_jobs_push
    q1_a_dropped_worker_gives_its_jobs_back_and_no_attempt_counts
    q1_what_does_not_end_within_the_grace_is_given_back
    q1_a_stopped_worker_lets_what_runs_end_and_begins_nothing
    q2_a_handler_whose_job_was_taken_away_is_lost_and_the_worker_goes_on
    q4_a_handler_says_what_becomes_of_its_job
    q4_a_handler_that_panics_is_an_attempt_and_the_worker_goes_on
    q4_what_always_panics_is_dead_after_its_last_attempt
    q4_a_job_that_is_no_value_is_buried_at_once
    q7_a_worker_set_up_badly_touches_nothing
    q8_so_many_jobs_at_a_time_and_no_more
    q8_a_worker_that_drains_keeps_all_its_hands_until_the_end
    q8_no_more_jobs_begin_within_a_period_than_were_allowed
    c8_closing_ends_a_worker
    g9_an_idle_worker_is_stopped_without_a_job
}

async fn numbers<T>(queue: &Queue<T>) -> Result<[u64; 5]> {
    let QueueNumbers { ready, delayed, claimed, dead, done, .. } = queue.numbers().await?.unwrap();
    Ok([ready, delayed, claimed, dead, done])
}

pub(crate) async fn push(queue: &Queue<u64>, jobs: std::ops::Range<u64>) -> Result<()> {
    queue.push_all(jobs.map(|job| (job, Push::new()))).await.map(drop)
}

/// The attempts and reasons of all jobs.
pub(crate) async fn records(queue: &Queue<u64>) -> Result<Vec<(u32, Option<String>)>> {
    let page = queue.page(None, 0, 100).await?;
    let shown = |job: Result<millpond::JobRecord>| {
        let job = job.unwrap();
        (job.attempts, job.reason.map(String::from))
    };
    Ok(page.jobs.into_iter().map(shown).collect())
}

async fn q1_a_worker_does_each_job_and_drains_what_its_jobs_push(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    push(&queue, 0..40).await?;
    queue.push_with(&99, Push::new().delay(LONG)).await?;
    let seen = Mutex::new(Vec::new());
    let tally = queue.worker().concurrency(5).drain().run(async |job: Task<u64>| {
        if *job < 20 {
            queue.push(&(*job + 40)).await?;
        }
        seen.lock().unwrap().push(*job);
        Ok::<_, Error>(())
    });
    let tally = tally.await?;
    assert_eq!((tally.done, tally.retried, tally.dead, tally.released, tally.lost), (60, 0, 0, 0, 0));
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (0..60).collect::<Vec<_>>());
    assert_eq!(numbers(&queue).await?, [0, 1, 0, 0, 0], "what waits for its time is left");
    Ok(())
}

/// A worker whose handlers have begun and never end.
async fn stuck(queue: &Queue<u64>, jobs: u32) -> (tokio::task::JoinHandle<Result<Tally>>, millpond::Stopper) {
    let (worker, begun) = (queue.worker().concurrency(jobs), Arc::new(Notify::new()));
    let (stopper, told) = (worker.stopper(), Arc::clone(&begun));
    let running = tokio::spawn(worker.run(async move |_: Task<u64>| {
        told.notify_one();
        std::future::pending::<()>().await;
    }));
    begun.notified().await;
    (running, stopper)
}

async fn q1_a_dropped_worker_gives_its_jobs_back_and_no_attempt_counts(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    push(&queue, 0..1).await?;
    let (running, _) = stuck(&queue, 3).await;
    assert_eq!(numbers(&queue).await?, [0, 0, 1, 0, 0]);
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    until(async || Ok(numbers(&queue).await? == [1, 0, 0, 0, 0])).await?;
    assert_eq!(records(&queue).await?, [(0, None)]);
    Ok(())
}

async fn q1_what_does_not_end_within_the_grace_is_given_back(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    push(&queue, 0..1).await?;
    for grace in [Duration::ZERO, Duration::from_millis(20)] {
        let (running, stopper) = stuck(&queue, 2).await;
        stopper.stop(grace);
        let tally = running.await.unwrap()?;
        // The other place may have been given it in the moment in which it was left, and gives it back too.
        assert!(tally.done == 0 && (1..=2).contains(&tally.released), "{tally:?}");
        until(async || Ok(numbers(&queue).await? == [1, 0, 0, 0, 0])).await?;
        assert_eq!(records(&queue).await?, [(0, None)], "the attempt does not count");
    }
    let (running, stopper) = stuck(&queue, 2).await;
    stopper.stop(LONG);
    stopper.stop(Duration::ZERO);
    let released = running.await.unwrap()?.released;
    assert!((1..=2).contains(&released), "a second word shortens the grace: {released}");
    Ok(())
}

async fn q1_a_stopped_worker_lets_what_runs_end_and_begins_nothing(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    push(&queue, 0..3).await?;
    let worker = queue.worker();
    let stopper = worker.stopper();
    let tally = worker.run(async |job: Task<u64>| {
        assert!(!job.is_stopping());
        stopper.stop(LONG);
        job.stopping().await;
        assert!(job.is_stopping());
        // Another round through the store: it is not broken off.
        queue.numbers().await.map(drop)
    });
    assert_eq!(tally.await?.done, 1);
    until(async || Ok(numbers(&queue).await? == [2, 0, 0, 0, 0])).await?;
    Ok(())
}

async fn q2_a_handler_whose_job_was_taken_away_is_lost_and_the_worker_goes_on(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    push(&queue, 0..2).await?;
    let tally = queue.worker().drain().run(async |job: Task<u64>| {
        if *job == 0 {
            assert!(queue.remove(job.sequence()).await?);
        }
        Ok::<_, Error>(())
    });
    let tally = tally.await?;
    assert_eq!((tally.done, tally.lost), (1, 1));
    Ok(())
}

async fn q4_a_handler_says_what_becomes_of_its_job(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    push(&queue, 0..5).await?;
    queue.push_with(&5, Push::new().key("k").max_attempts(1)).await?;
    let tally = queue.worker().drain().run(async |job: Task<u64>| {
        assert_eq!(
            (job.queue(), job.sequence(), job.max_attempts()),
            ("q", *job + 1, if *job == 5 { 1 } else { 20 })
        );
        match *job {
            0 => Ok(Verdict::Done),
            1 if job.attempt() == 1 => Ok(Verdict::RetryIn(Duration::ZERO, "once more".into())),
            1 => {
                assert_eq!(job.last_reason(), Some("once more"));
                Ok(Verdict::Done)
            }
            2 => Ok(Verdict::Retry("later".into())),
            3 => Ok(Verdict::Bury("no use".into())),
            4 => Err("no luck"),
            _ => {
                assert_eq!(job.key(), Some("k"));
                Err("its last")
            }
        }
    });
    let tally = tally.await?;
    assert_eq!((tally.done, tally.retried, tally.dead, tally.released, tally.lost), (2, 3, 2, 0, 0));
    assert_eq!(numbers(&queue).await?, [0, 2, 0, 2, 0]);
    let reason = |why: &str| (1, Some(why.to_owned()));
    assert_eq!(records(&queue).await?, ["later", "no use", "no luck", "its last"].map(reason));
    Ok(())
}

async fn q4_a_handler_that_panics_is_an_attempt_and_the_worker_goes_on(store: Store) -> Result<()> {
    /// Panics when it is dropped.
    struct Fragile;
    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let queue = store.queue::<u64>("q");
    for job in 0..4 {
        queue.push_with(&job, Push::new().max_attempts(1)).await?;
    }
    let tally = queue.worker().concurrency(2).drain().run(async |job: Task<u64>| {
        let _fragile = (*job == 1).then(|| Fragile);
        if *job == 1 {
            return Ok(());
        }
        if *job == 2 {
            store.queue::<u64>("other").push(&1).await?;
        }
        assert!(*job == 3, "job {} is a bad one", *job);
        Ok::<_, Error>(())
    });
    let tally = tally.await?;
    assert_eq!((tally.done, tally.dead), (1, 3));
    let said = records(&queue).await?.into_iter().map(|(_, reason)| reason.unwrap()).collect::<Vec<_>>();
    let why = |what: &str| format!("its handler panicked: {what}");
    assert_eq!(said, ["job 0 is a bad one", "dropped", "job 2 is a bad one"].map(why));
    Ok(())
}

async fn q4_what_always_panics_is_dead_after_its_last_attempt(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    queue.push_with(&7, Push::new().max_attempts(2)).await?;
    let worker = queue.worker();
    let (stopper, attempts) = (worker.stopper(), AtomicU32::new(0));
    let tally = worker.run(async |job: Task<u64>| {
        attempts.fetch_add(1, Ordering::SeqCst);
        if job.attempt() == 2 {
            stopper.stop(LONG);
        }
        assert!(job.attempt() > 2, "attempt {}", job.attempt());
    });
    let tally = tally.await?;
    assert_eq!((tally.retried, tally.dead, attempts.into_inner()), (1, 1, 2));
    assert_eq!(records(&queue).await?, [(2, Some("its handler panicked: attempt 2".into()))]);
    Ok(())
}

async fn q4_a_job_that_is_no_value_is_buried_at_once(store: Store) -> Result<()> {
    store.queue::<String>("q").push(&"not a number".to_owned()).await?;
    let queue = store.queue::<u64>("q");
    queue.push(&1).await?;
    let tally = queue.worker().drain().run(async |_: Task<u64>| ()).await?;
    assert_eq!((tally.done, tally.dead, tally.retried), (1, 1, 0));
    let records = records(&queue).await?;
    let reason = records[0].1.as_deref().unwrap();
    assert!(reason.starts_with("cannot decode job 1 of queue \"q\": "), "{reason}");
    Ok(())
}

async fn q7_a_worker_set_up_badly_touches_nothing(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    let day = Duration::from_secs(86_400);
    for worker in [
        queue.worker().concurrency(0),
        queue.worker().concurrency(10_001),
        queue.worker().rate(0, day),
        queue.worker().rate(10_001, day),
        queue.worker().rate(1, Duration::ZERO),
        queue.worker().rate(1, 366 * day),
        queue.clone().lease(Duration::ZERO).worker(),
        store.queue::<u64>("").worker(),
    ] {
        let refused = worker.run(async |_: Task<u64>| ()).await.unwrap_err();
        let typed = matches!(
            refused,
            Error::InvalidArgument { .. } | Error::InvalidDuration { .. } | Error::InvalidName { .. }
        );
        assert!(typed, "{refused}");
    }
    assert_eq!(queue.numbers().await?, None);
    Ok(())
}

async fn q8_so_many_jobs_at_a_time_and_no_more(store: Store) -> Result<()> {
    const SIZE: usize = 4;
    let queue = store.queue::<u64>("q");
    push(&queue, 0..40).await?;
    let (at_once, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let together = tokio::sync::Barrier::new(SIZE);
    let tally = queue.worker().concurrency(SIZE as u32).drain().run(async |_: Task<u64>| {
        let now = at_once.fetch_add(1, Ordering::SeqCst) + 1;
        most.fetch_max(now, Ordering::SeqCst);
        // Were there fewer at a time, they would wait for ever.
        together.wait().await;
        at_once.fetch_sub(1, Ordering::SeqCst);
    });
    assert_eq!(tally.await?.done, 40);
    assert_eq!(most.into_inner(), SIZE);
    Ok(())
}

async fn q8_a_worker_that_drains_keeps_all_its_hands_until_the_end(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    queue.push(&0).await?;
    let together = tokio::sync::Barrier::new(2);
    let tally = queue.worker().concurrency(2).drain().run(async |job: Task<u64>| {
        if *job > 0 {
            // Alone, one would wait for ever.
            together.wait().await;
            return Ok(());
        }
        // Time enough for the other one to find nothing.
        for _ in 0..50 {
            store.queue::<u64>("other").push(&1).await?;
        }
        push(&queue, 1..3).await
    });
    assert_eq!(tally.await?.done, 3);
    Ok(())
}

async fn q8_no_more_jobs_begin_within_a_period_than_were_allowed(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    push(&queue, 0..7).await?;
    let worker = queue.worker().concurrency(4).rate(3, LONG);
    let (stopper, begun) = (worker.stopper(), AtomicU32::new(0));
    let running = worker.run(async |_: Task<u64>| {
        begun.fetch_add(1, Ordering::SeqCst);
    });
    let watching = async {
        until(async || Ok(numbers(&queue).await? == [4, 0, 0, 0, 0])).await?;
        // As many rounds through the store as would serve all of them.
        for _ in 0..50 {
            store.queue::<u64>("other").push(&1).await?;
        }
        stopper.stop(LONG);
        Ok::<_, Error>(())
    };
    let (tally, watched) = tokio::join!(running, watching);
    watched?;
    assert_eq!((tally?.done, begun.load(Ordering::SeqCst)), (3, 3));
    // They come back: 4 jobs need at least as many periods as there are between them.
    let tally = queue.worker().concurrency(4).rate(1, Duration::from_millis(5)).drain();
    assert_eq!(tally.run(async |_: Task<u64>| ()).await?.done, 4);
    Ok(())
}

async fn c8_closing_ends_a_worker(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    let blocking = store.blocking().queue::<u64>("q").worker().concurrency(2);
    let thread = tokio::task::spawn_blocking(move || blocking.run(|_: Task<u64>| ()));
    let running = tokio::spawn(queue.worker().concurrency(3).run(async |_: Task<u64>| ()));
    store.close().await?;
    assert_eq!(running.await.unwrap(), Err(Error::Closed));
    assert_eq!(thread.await.unwrap(), Err(Error::Closed));
    Ok(())
}

async fn g9_an_idle_worker_is_stopped_without_a_job(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    for drain in [false, true] {
        let worker = queue.worker().concurrency(3);
        let (stopper, worker) = (worker.stopper(), if drain { worker.drain() } else { worker });
        let running = tokio::spawn(worker.run(async |_: Task<u64>| ()));
        stopper.stop(LONG);
        assert_eq!(running.await.unwrap()?, Tally::default());
    }
    // What it waited for is not eaten.
    queue.push(&7).await?;
    assert_eq!(queue.pop().await?.attempt(), 1);
    Ok(())
}
