//! Queues: order, attempts, keys, the dead, what is left when a worker goes away, and several processes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use millpond::{Error, Job, JobState, Push, Queue, QueueNumbers, Result, Store};
use nix::sys::signal::Signal;

use crate::backends::{Begun, begin, until};
use crate::peer::Peer;

/// Long enough that only a wake-up ends the wait.
const LONG: Duration = Duration::from_secs(3_600);

each_backend! {
    q1_a_job_is_run_until_it_is_done
    q1_a_pop_dropped_as_it_was_sent_loses_nothing
    q1_a_wait_that_was_given_up_eats_no_later_job
    drawer_q2_of_pops_that_are_cancelled_at_any_moment_none_loses_a_job
    drawer_q3_a_thread_that_waited_long_enough_eats_no_later_job
    drawer_q6_what_was_purged_stays_so_whatever_fails_beside_it
    q2_each_job_is_done_by_one_of_many_workers
    q2_a_job_that_was_removed_meanwhile_is_a_stale_claim
    q3_the_lower_number_comes_first_then_the_earlier_push
    q4_dead_letters_keep_job_and_reason_and_are_revived
    q4_a_job_that_nobody_can_read_is_tried_later_and_not_for_ever
    q5_a_delayed_job_comes_by_itself
    q6_one_job_a_key
    q7_bad_input_is_refused_and_loses_nothing
    drawer_c8_closing_ends_those_who_wait
    a_push_of_many_is_one_commit
    what_is_done_is_kept_if_asked_for
    both_faces_are_one_queue
}

async fn numbers(queue: &Queue<u64>) -> Result<[u64; 5]> {
    let QueueNumbers { ready, delayed, claimed, dead, done, .. } = queue.numbers().await?.unwrap();
    Ok([ready, delayed, claimed, dead, done])
}

async fn q1_a_job_is_run_until_it_is_done(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    queue.push(&7).await?;
    for attempt in 1..=3 {
        let job = queue.pop().await?;
        assert_eq!((*job, job.sequence(), job.attempt()), (7, 1, attempt));
        match attempt {
            1 => drop(job),
            2 => job.retry_in(Duration::ZERO).await?,
            _ => job.done().await?,
        }
    }
    assert!(queue.try_pop().await?.is_none());
    assert_eq!(numbers(&queue).await?, [0; 5]);
    Ok(())
}

/// Drops a pop that has not been answered yet. One that has is a job that was taken: it is given back.
async fn give_up<F: Future<Output = Result<Option<Job<u64>>>>>(pop: Begun<F>) -> Result<()> {
    if pop.is_pending() {
        return Ok(());
    }
    match pop.await? {
        Some(job) => job.release().await,
        None => Ok(()),
    }
}

async fn q1_a_pop_dropped_as_it_was_sent_loses_nothing(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    for number in 0..20 {
        queue.push(&number).await?;
        give_up(begin(async { queue.pop().await.map(Some) })).await?;
        give_up(begin(queue.try_pop())).await?;
        give_up(begin(queue.pop_within(LONG))).await?;
    }
    until(async || Ok(numbers(&queue).await? == [20, 0, 0, 0, 0])).await?;
    let attempts: BTreeSet<u32> =
        queue.page(None, 0, 100).await?.jobs.into_iter().map(|job| job.unwrap().attempts).collect();
    assert_eq!(attempts, BTreeSet::from([0]), "nobody has taken them");
    Ok(())
}

async fn q1_a_wait_that_was_given_up_eats_no_later_job(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    let waiting = begin(queue.pop());
    assert!(waiting.is_pending());
    drop(waiting);
    queue.push(&7).await?;
    let job = queue.pop_within(LONG).await?.expect("it is there");
    job.done().await
}

/// Each is let go a step further than the one before: some are cancelled before their claim, some within it, some behind its
/// commit.
async fn drawer_q2_of_pops_that_are_cancelled_at_any_moment_none_loses_a_job(store: Store) -> Result<()> {
    const JOBS: u64 = 300;
    let (queue, mut taken) = (store.queue::<u64>("q"), BTreeSet::new());
    for number in 0..JOBS {
        queue.push(&number).await?;
        let mut pop = std::pin::pin!(queue.pop());
        for _ in 0..number {
            if let Poll::Ready(job) = pop.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                let job = job?;
                assert!(taken.insert(*job), "twice");
                job.done().await?;
                break;
            }
            std::thread::yield_now();
        }
    }
    until(async || Ok(numbers(&queue).await? == [JOBS - taken.len() as u64, 0, 0, 0, 0])).await?;
    while let Some(job) = queue.try_pop().await? {
        assert!(taken.insert(*job), "twice");
        assert_eq!(job.attempt(), 1, "what nobody took has not counted");
        job.done().await?;
    }
    assert_eq!(taken.len() as u64, JOBS);
    Ok(())
}

async fn drawer_q3_a_thread_that_waited_long_enough_eats_no_later_job(store: Store) -> Result<()> {
    let (queue, blocking) = (store.queue::<u64>("q"), store.blocking().queue::<u64>("q"));
    for number in 0..20 {
        let blocking = blocking.clone();
        let waits = move || blocking.pop_within(Duration::from_millis(number % 3));
        assert!(tokio::task::spawn_blocking(waits).await.unwrap()?.is_none());
        queue.push(&number).await?;
        let job = queue.try_pop().await?.expect("nobody else wants it");
        assert_eq!((*job, job.attempt()), (number, 1));
        job.done().await?;
    }
    Ok(())
}

/// A purge among calls that are refused, all of them on their way at once.
async fn drawer_q6_what_was_purged_stays_so_whatever_fails_beside_it(store: Store) -> Result<()> {
    let (queue, log) = (store.queue::<u64>("q"), store.log::<u64>("l"));
    let guard = store.lock("l").acquire().await?;
    let stale = log.guarded_by(&guard);
    store.lock("l").break_lock().await?;
    for round in 0..20 {
        queue.push_all((0..5).map(|number| (number, Push::new()))).await?;
        let fails = || async { assert!(matches!(stale.append(&round).await, Err(Error::Fenced { .. }))) };
        let (_, purged, _) = tokio::join!(fails(), queue.purge(JobState::Ready), fails());
        assert_eq!(purged?, 5);
        assert_eq!(numbers(&queue).await?, [0; 5]);
    }
    assert_eq!(store.log::<u64>("l").extent().await?.last, 0);
    Ok(())
}

async fn q2_each_job_is_done_by_one_of_many_workers(store: Store) -> Result<()> {
    const JOBS: u64 = 120;
    let queue = store.queue::<u64>("q");
    let done = Arc::new(Mutex::new(Vec::new()));
    let workers: Vec<_> = (0..8_u64)
        .map(|worker| {
            let (queue, done) = (queue.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                while let Some(job) = queue.pop_within(Duration::from_secs(2)).await? {
                    if job.attempt() == 1 && *job % 5 == worker % 5 {
                        drop(job);
                        continue;
                    }
                    let number = *job;
                    job.done().await?;
                    done.lock().unwrap().push(number);
                    if done.lock().unwrap().len() as u64 == JOBS {
                        break;
                    }
                }
                Ok::<_, Error>(())
            })
        })
        .collect();
    let all = (0..JOBS).map(|number| (number, Push::new()));
    queue.push_all(all).await?;
    for worker in workers {
        worker.await.unwrap()?;
    }
    let mut done = done.lock().unwrap().clone();
    done.sort_unstable();
    assert_eq!(done, (0..JOBS).collect::<Vec<_>>());
    Ok(())
}

async fn q2_a_job_that_was_removed_meanwhile_is_a_stale_claim(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    for end in 0..4 {
        let sequence = queue.push(&end).await?.sequence;
        let job = queue.pop().await?;
        assert!(queue.remove(sequence).await?);
        let ended = match end {
            0 => job.done().await,
            1 => job.retry("no luck").await,
            2 => job.bury("no use").await,
            _ => job.release().await,
        };
        assert_eq!(ended, Err(Error::StaleClaim { queue: "q".into(), sequence }));
    }
    Ok(())
}

async fn q3_the_lower_number_comes_first_then_the_earlier_push(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    for (number, priority) in [(1, 0), (2, i64::MAX), (3, -1), (4, i64::MIN), (5, 0)] {
        queue.push_with(&number, Push::new().priority(priority)).await?;
    }
    let mut order = Vec::new();
    while let Some(job) = queue.try_pop().await? {
        order.push(*job);
        job.done().await?;
    }
    assert_eq!(order, [4, 3, 1, 5, 2]);
    Ok(())
}

async fn q4_dead_letters_keep_job_and_reason_and_are_revived(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    queue.push_with(&1, Push::new().max_attempts(1)).await?;
    queue.push(&2).await?;
    queue.pop().await?.retry("no luck").await?;
    queue.pop().await?.bury("no use").await?;
    let page = queue.page(Some(JobState::Dead), 0, 10).await?;
    let dead: Vec<_> = page.jobs.into_iter().map(Result::unwrap).collect();
    let shown: Vec<_> =
        dead.iter().map(|job| (queue.decode(job).unwrap(), job.reason.as_deref().unwrap())).collect();
    assert_eq!(shown, [(1, "no luck"), (2, "no use")]);
    assert!(queue.revive(2).await? && !queue.revive(2).await?);
    let job = queue.pop().await?;
    assert_eq!((*job, job.attempt()), (2, 1), "as if it had never been tried");
    job.done().await?;
    assert_eq!(queue.revive_all().await?, (1, 0));
    assert_eq!(queue.purge(JobState::Ready).await?, 1);
    assert_eq!(numbers(&queue).await?, [0; 5]);
    Ok(())
}

async fn q4_a_job_that_nobody_can_read_is_tried_later_and_not_for_ever(store: Store) -> Result<()> {
    let texts = store.queue::<String>("q");
    texts.push_with(&"not a number".to_owned(), Push::new().max_attempts(2)).await?;
    let queue = store.queue::<u64>("q");
    assert!(matches!(queue.pop().await, Err(Error::Decode { .. })));
    until(async || Ok(numbers(&queue).await? == [0, 1, 0, 0, 0])).await?;
    assert!(matches!(queue.pop().await, Err(Error::Decode { .. })), "after a while");
    until(async || Ok(numbers(&queue).await? == [0, 0, 0, 1, 0])).await?;
    assert!(texts.revive(1).await?);
    assert_eq!(*texts.pop().await?, "not a number", "whoever can read it has it");
    Ok(())
}

async fn q5_a_delayed_job_comes_by_itself(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    queue.push_with(&1, Push::new().delay(Duration::from_millis(50))).await?;
    queue.push_with(&2, Push::new().at(i64::MAX)).await?;
    assert_eq!(numbers(&queue).await?[1], 2);
    assert!(queue.try_pop().await?.is_none_or(|job| *job == 1));
    let job = queue.pop_within(LONG).await?.expect("its time comes");
    assert_eq!(*job, 1);
    job.done().await
}

async fn q6_one_job_a_key(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    let pushes: Vec<_> = (0..20)
        .map(|number| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.push_with(&number, Push::new().key("k")).await })
        })
        .collect();
    let mut new = 0;
    for push in pushes {
        let pushed = push.await.unwrap()?;
        assert_eq!(pushed.sequence, 1);
        new += u64::from(!pushed.existed);
    }
    assert_eq!(new, 1);
    let job = queue.pop().await?;
    assert_eq!(job.key(), Some("k"));
    job.done().await?;
    assert!(!queue.push_with(&1, Push::new().key("k")).await?.existed);
    Ok(())
}

async fn q7_bad_input_is_refused_and_loses_nothing(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    let day = Duration::from_secs(86_400);
    for push in [
        Push::new().key(""),
        Push::new().key("k".repeat(513)),
        Push::new().max_attempts(0),
        Push::new().max_attempts(1_000_001),
        Push::new().delay(366 * day),
    ] {
        let refused = queue.push_with(&1, push).await.expect_err("it is refused");
        assert_eq!(refused.outcome(), millpond::WriteOutcome::NotApplied);
    }
    let large = store.queue::<String>("q").push(&"7".repeat(4 << 20)).await;
    assert!(matches!(large, Err(Error::TooLarge { .. })), "with its quotes it is too large");
    assert!(matches!(store.queue::<u64>("").push(&1).await, Err(Error::InvalidName { .. })));
    let lease = queue.clone().lease(Duration::from_millis(9));
    assert!(matches!(lease.try_pop().await, Err(Error::InvalidDuration { .. })));
    assert!(matches!(queue.set_max_attempts(0).await, Err(Error::InvalidArgument { .. })));
    assert!(matches!(queue.keep_done(366 * day).await, Err(Error::InvalidDuration { .. })));
    assert_eq!(queue.push_all([]).await?, []);
    assert_eq!(queue.numbers().await?, None, "nothing was written");
    Ok(())
}

async fn drawer_c8_closing_ends_those_who_wait(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    let waiting = begin(queue.pop());
    let blocking = store.blocking().queue::<u64>("q");
    let thread = tokio::task::spawn_blocking(move || blocking.pop().map(drop));
    assert!(waiting.is_pending());
    store.close().await?;
    assert!(matches!(waiting.await, Err(Error::Closed)));
    assert_eq!(thread.await.unwrap(), Err(Error::Closed));
    assert!(matches!(queue.push(&1).await, Err(Error::Closed)));
    Ok(())
}

async fn a_push_of_many_is_one_commit(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    let before = store.inspect().writer().operations;
    let pushed = queue.push_all((0..1_000).map(|number| (number, Push::new()))).await?;
    assert_eq!(store.inspect().writer().operations, before + 1);
    assert_eq!(pushed.last().map(|pushed| pushed.sequence), Some(1_000));
    let most = queue.push_all((0..10_001).map(|number| (number, Push::new()))).await;
    assert!(matches!(most, Err(Error::TooLarge { .. })));
    let summary = store.inspect().summary().await?;
    assert_eq!((summary.queues, summary.jobs), (1, 1_000));
    Ok(())
}

async fn what_is_done_is_kept_if_asked_for(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    queue.keep_done(LONG).await?;
    queue.push_with(&1, Push::new().key_once("k")).await?;
    queue.pop().await?.done().await?;
    assert_eq!(numbers(&queue).await?, [0, 0, 0, 0, 1]);
    assert!(queue.push_with(&2, Push::new().key_once("k")).await?.existed, "it is not done again");
    queue.pause().await?;
    queue.push(&3).await?;
    assert!(queue.try_pop().await?.is_none());
    queue.resume().await?;
    assert_eq!(*queue.pop().await?, 3);
    Ok(())
}

async fn both_faces_are_one_queue(store: Store) -> Result<()> {
    let (queue, blocking) = (store.queue::<u64>("q"), store.blocking().queue::<u64>("q"));
    let waiting = begin(queue.pop());
    let thread = tokio::task::spawn_blocking(move || {
        blocking.push(&1)?;
        let job = blocking.pop_within(LONG)?.expect("it is given back");
        assert_eq!((*job, job.attempt(), job.max_attempts()), (1, 1, 20));
        job.bury("no use")?;
        assert_eq!(blocking.revive_all()?, (1, 0));
        blocking.set_max_attempts(3)?;
        assert_eq!(blocking.numbers()?.unwrap().options.max_attempts, 3);
        assert_eq!(blocking.purge(JobState::Ready)?, 1);
        Ok::<_, Error>(())
    });
    waiting.await?.release().await?;
    thread.await.unwrap()
}

#[test]
fn drawer_q1_q4_a_killed_worker_gives_its_job_up_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.db");
    let (mut a, mut b) = (Peer::start(&file), Peer::start(&file));
    assert_eq!(a.ask("push q 7"), "1");
    assert_eq!(a.ask("pop q 1000000"), "7 1");
    b.tell("pop q 1000000");
    a.killed();
    assert_eq!(b.hear(), "7 2", "whatever its lease was");
    assert_eq!(b.ask("done"), "done");
}

#[test]
fn q2_a_worker_that_was_stopped_past_its_lease_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.db");
    let (mut a, mut b) = (Peer::start(&file), Peer::start(&file));
    assert_eq!(a.ask("push q 7"), "1");
    assert_eq!(a.ask("pop q 300"), "7 1");
    a.signal(Signal::SIGSTOP);
    assert_eq!(b.ask("pop q 1000000"), "7 2");
    assert_eq!(b.ask("done"), "done");
    a.signal(Signal::SIGCONT);
    assert_eq!(a.ask("done"), "StaleClaim");
}

#[test]
fn d8_a_push_wakes_a_worker_of_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.db");
    let (mut a, mut b) = (Peer::start(&file), Peer::start(&file));
    for number in 1..=5 {
        b.tell("pop q 1000000");
        assert_eq!(a.ask(&format!("push q {number}")), number.to_string());
        assert_eq!(b.hear(), format!("{number} 1"));
        assert_eq!(b.ask("done"), "done");
    }
}
