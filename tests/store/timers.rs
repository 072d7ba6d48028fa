//! Timers: one a key, set, moved and taken back. What they do over time is in `timer_model`.

use std::time::Duration;

use millpond::{Error, Expected, Job, JobState, Primitive, QueueNumbers, Result, Store, Task, Timers};

use crate::backends::{begin, event, until};
use crate::peer::{Peer, file};

/// Long enough that only a wake-up ends the wait.
const LONG: Duration = Duration::from_secs(3_600);
const SOON: Duration = Duration::from_millis(10);

each_backend! {
    q1_a_timer_comes_until_it_is_done
    q2_what_is_moved_or_taken_back_in_hand_is_a_stale_claim
    q2_whoever_ends_a_timer_in_a_batch_is_fenced_off_by_its_removal
    q5_one_that_is_moved_nearer_wakes_whoever_waits
    q5_one_that_is_taken_back_holds_up_no_other
    q6_one_timer_a_key_whoever_sets_it
    q7_bad_input_is_refused_and_loses_nothing
    g2_a_batch_sets_and_takes_back_with_all_else_or_not_at_all
    g2_one_that_comes_again_is_ended_first_and_then_set
    far_timers_cost_whoever_waits_no_claims
    a_worker_is_given_what_is_due
    the_queue_is_named_after_the_timers_and_told_of
    both_faces_are_the_same_timers
}

async fn counts(timers: &Timers<u64>) -> Result<[u64; 4]> {
    let numbers = timers.queue().numbers().await?;
    Ok(numbers
        .map_or([0; 4], |QueueNumbers { ready, delayed, claimed, dead, .. }| [ready, delayed, claimed, dead]))
}

/// A timer that has come.
async fn in_hand(timers: &Timers<u64>, key: &str, value: u64) -> Result<Job<u64>> {
    timers.set(key, Duration::ZERO, &value).await?;
    let job = timers.due().await?;
    assert_eq!((job.key(), *job), (Some(key), value));
    Ok(job)
}

async fn q1_a_timer_comes_until_it_is_done(store: Store) -> Result<()> {
    let timers = store.timers::<u64>("t");
    assert!(!timers.set("k", Duration::ZERO, &7).await?);
    for attempt in 1..=3 {
        let job = timers.due_within(LONG).await?.expect("it comes");
        assert_eq!((*job, job.attempt()), (7, attempt));
        match attempt {
            1 => drop(job),
            2 => job.retry_in(Duration::ZERO).await?,
            _ => job.done().await?,
        }
    }
    assert!(timers.try_due().await?.is_none());
    assert_eq!((timers.get("k").await?, counts(&timers).await?), (None, [0; 4]));
    Ok(())
}

async fn q2_what_is_moved_or_taken_back_in_hand_is_a_stale_claim(store: Store) -> Result<()> {
    let timers = store.timers::<u64>("t");
    for end in 0..8 {
        let job = in_hand(&timers, "k", end).await?;
        let stale = Err(Error::StaleClaim { queue: "timers/t".into(), sequence: job.sequence() });
        let moves = end % 2 == 0;
        let was_there = match moves {
            true => timers.set("k", LONG, &99).await?,
            false => timers.cancel("k").await?,
        };
        assert!(was_there, "what is worked on is there");
        let ended = match end / 2 {
            0 => job.done().await,
            1 => job.retry("no luck").await,
            2 => job.bury("no use").await,
            _ => job.release().await,
        };
        assert_eq!(ended, stale);
        assert_eq!(counts(&timers).await?, [0, u64::from(moves), 0, 0]);
        assert_eq!(timers.cancel("k").await?, moves);
    }
    Ok(())
}

async fn q2_whoever_ends_a_timer_in_a_batch_is_fenced_off_by_its_removal(store: Store) -> Result<()> {
    let (timers, log) = (store.timers::<u64>("t"), store.log::<u64>("effects"));
    for moves in [true, false] {
        let job = in_hand(&timers, "k", 7).await?;
        let mut batch = store.batch();
        batch.log(&log, &7)?;
        job.done_in(&mut batch)?;
        assert!(if moves { timers.set("k", LONG, &8).await? } else { timers.cancel("k").await? });
        assert!(matches!(batch.commit().await, Err(Error::StaleClaim { .. })));
        assert_eq!(log.extent().await?.last, 0, "its effects did not come about");
        assert_eq!(timers.cancel("k").await?, moves);
    }
    Ok(())
}

/// As a call of its own, and in a batch.
async fn q5_one_that_is_moved_nearer_wakes_whoever_waits(store: Store) -> Result<()> {
    let timers = store.timers::<u64>("t");
    // A wait that is not woken looks by itself after ten seconds: so many of them are a hang.
    for round in 0..24 {
        timers.set("k", LONG, &1).await?;
        let operations = || store.inspect().writer().operations;
        let before = operations();
        let waiting = begin(timers.due());
        assert!(waiting.is_pending());
        if round % 4 > 0 {
            // It has claimed in vain, and mostly looked too.
            until(async || Ok(operations() > before)).await?;
            for _ in 0..5 {
                timers.get("k").await?;
            }
        }
        if round % 2 == 0 {
            assert!(timers.set("k", SOON, &2).await?);
        } else {
            let mut batch = store.batch();
            batch.set_timer(&timers, "k", SOON, &2)?;
            batch.commit().await?;
        }
        let job = waiting.await?;
        assert_eq!((*job, job.key()), (2, Some("k")));
        job.done().await?;
    }
    Ok(())
}

async fn q5_one_that_is_taken_back_holds_up_no_other(store: Store) -> Result<()> {
    let timers = store.timers::<u64>("t");
    timers.set("next", Duration::from_millis(40), &1).await?;
    timers.set("then", Duration::from_millis(80), &2).await?;
    let waiting = begin(timers.due());
    assert!(timers.cancel("next").await?);
    let mut job = waiting.await?;
    if *job == 1 {
        // It had come already.
        assert!(matches!(job.done().await, Err(Error::StaleClaim { .. })));
        job = timers.due().await?;
    }
    assert_eq!((*job, counts(&timers).await?), (2, [0, 0, 1, 0]));
    job.done().await
}

async fn q6_one_timer_a_key_whoever_sets_it(store: Store) -> Result<()> {
    let timers = store.timers::<u64>("t");
    let setting = (0..20_u64).map(|n| {
        let timers = timers.clone();
        tokio::spawn(async move { timers.set("k", LONG * (n as u32 + 1), &n).await })
    });
    let mut new = 0;
    for set in setting.collect::<Vec<_>>() {
        new += u64::from(!set.await.unwrap()?);
    }
    assert_eq!((new, counts(&timers).await?), (1, [0, 1, 0, 0]));
    let timer = timers.get("k").await?.expect("one of them");
    assert_eq!(timer.sequence, 20, "the one that was set last");
    assert_eq!(timer.state, JobState::Delayed);
    Ok(())
}

async fn q7_bad_input_is_refused_and_loses_nothing(store: Store) -> Result<()> {
    let timers = store.timers::<u64>("t");
    timers.set("k", LONG, &7).await?;
    let before = timers.get("k").await?;
    let mut batch = store.batch();
    let year = LONG * 24 * 366;
    let long = "k".repeat(513);
    for key in ["", "  ", "a\nb", &long] {
        assert!(matches!(timers.set(key, LONG, &1).await, Err(Error::InvalidName { .. })));
        assert!(matches!(timers.cancel(key).await, Err(Error::InvalidName { .. })));
        assert!(matches!(batch.cancel_timer(&timers, key), Err(Error::InvalidName { .. })));
        assert_eq!(timers.get(key).await?, None);
    }
    assert!(matches!(timers.set("k", year, &1).await, Err(Error::InvalidDuration { .. })));
    assert!(matches!(batch.set_timer(&timers, "k", year, &1), Err(Error::InvalidDuration { .. })));
    let texts = store.timers::<String>("t");
    let large = texts.set("k", LONG, &"7".repeat(4 << 20)).await;
    assert!(matches!(large, Err(Error::TooLarge { .. })));
    let lease = timers.clone().lease(Duration::from_millis(9));
    assert!(matches!(lease.try_due().await, Err(Error::InvalidDuration { .. })));
    for name in ["", " ", &"t".repeat(506), &"/".repeat(200)] {
        assert!(matches!(store.timers::<u64>(name).set("k", LONG, &1).await, Err(Error::InvalidName { .. })));
        assert!(matches!(store.timers::<u64>(name).get("k").await, Err(Error::InvalidName { .. })));
    }
    let other = Store::memory().await?;
    let foreign = batch.set_timer(&other.timers::<u64>("t"), "k", LONG, &1);
    assert!(matches!(foreign, Err(Error::InvalidArgument { .. })));
    other.close().await?;
    // What was refused is not in the batch.
    batch.log(&store.log("l"), &1)?;
    batch.commit().await?;
    assert_eq!((timers.get("k").await?, timers.queue().numbers().await?.unwrap().pushed), (before, 1));
    Ok(())
}

async fn g2_a_batch_sets_and_takes_back_with_all_else_or_not_at_all(store: Store) -> Result<()> {
    let (timers, events) = (store.timers::<u64>("t"), store.events());
    timers.set("old", LONG, &1).await?;
    for (expected, comes_about) in [(Expected::Exists, false), (Expected::NoStream, true)] {
        let mut batch = store.batch();
        let new = batch.set_timer(&timers, "new", LONG, &2)?;
        let at = batch.set_timer_at(&timers, "new", i64::MAX, &3)?;
        let old = batch.cancel_timer(&timers, "old")?;
        let again = batch.cancel_timer(&timers, "old")?;
        batch.append("s", expected, [event(1)])?;
        match batch.commit().await {
            Ok(written) => {
                let told = (written[new], written[at], written[old], written[again]);
                assert_eq!((comes_about, told), (true, (false, true, true, false)), "in their order");
            }
            Err(error) => assert!(!comes_about && matches!(error, Error::Conflict { .. }), "{error}"),
        }
        let there = (timers.get("old").await?.is_some(), timers.get("new").await?.map(|timer| timer.due));
        assert_eq!(there, (!comes_about, comes_about.then_some(Some(i64::MAX))));
        assert_eq!(events.version("s").await?, u64::from(comes_about));
    }
    Ok(())
}

async fn g2_one_that_comes_again_is_ended_first_and_then_set(store: Store) -> Result<()> {
    let timers = store.timers::<u64>("t");
    timers.set("k", Duration::ZERO, &0).await?;
    for round in 0..5 {
        let timer = timers.due().await?;
        assert_eq!((*timer, timer.attempt()), (round, 1));
        let mut batch = store.batch();
        timer.done_in(&mut batch)?;
        let moved = batch.set_timer(&timers, "k", Duration::from_millis(1), &(round + 1))?;
        assert!(!batch.commit().await?[moved]);
    }
    // The other way round it would be moved while it is worked on: all of it is refused, and it comes once more.
    let timer = timers.due().await?;
    let mut batch = store.batch();
    batch.set_timer(&timers, "k", LONG, &9)?;
    timer.done_in(&mut batch)?;
    assert!(matches!(batch.commit().await, Err(Error::StaleClaim { .. })));
    let timer = timers.due().await?;
    assert_eq!((*timer, timer.attempt()), (5, 2));
    timer.done().await
}

/// What is far is no reason to claim: each claim would be a commit.
async fn far_timers_cost_whoever_waits_no_claims(store: Store) -> Result<()> {
    const TIMERS: u64 = 50;
    let timers = store.timers::<u64>("t");
    let waiting = begin(timers.due());
    assert!(waiting.is_pending());
    for n in 0..TIMERS {
        timers.set(n.to_string(), LONG, &n).await?;
    }
    timers.set("now", Duration::ZERO, &99).await?;
    let job = waiting.await?;
    // It may have claimed when it came, and in vain once more when somebody had told it that there was something.
    let claims = store.inspect().writer().operations - (TIMERS + 1);
    assert!((1..=4).contains(&claims), "{claims}");
    job.done().await
}

async fn a_worker_is_given_what_is_due(store: Store) -> Result<()> {
    let timers = store.timers::<u64>("t");
    for n in 0..3 {
        timers.set(format!("k{n}"), Duration::ZERO, &n).await?;
    }
    timers.set("far", LONG, &9).await?;
    let handler = async |timer: Task<u64>| assert_eq!(timer.key(), Some(&*format!("k{}", *timer)));
    let tally = timers.queue().worker().drain().run(handler).await?;
    assert_eq!((tally.done, counts(&timers).await?), (3, [0, 1, 0, 0]));
    Ok(())
}

async fn the_queue_is_named_after_the_timers_and_told_of(store: Store) -> Result<()> {
    let timers = store.timers::<u64>("a/b%");
    let mut changes = store.watch("timers/*").await?;
    timers.set("k", LONG, &1).await?;
    timers.set("k", LONG, &2).await?;
    timers.cancel("k").await?;
    timers.cancel("k").await?;
    timers.set("k", LONG, &3).await?;
    // Set; the first of it removed and the second one pushed; that one removed; nothing; set.
    for sequence in [1, 1, 2, 2, 3] {
        let change = changes.next().await.unwrap()?;
        assert_eq!((change.primitive(), change.name()), (Primitive::Queue, "timers/a%2Fb%25"));
        assert_eq!(change.sequence(), Some(sequence));
    }
    let queue = store.queue::<u64>("timers/a%2Fb%25");
    let page = queue.page(None, 0, 9).await?.jobs;
    assert_eq!(page.into_iter().map(|job| queue.decode(&job?)).collect::<Result<Vec<_>>>()?, [3]);
    Ok(())
}

async fn both_faces_are_the_same_timers(store: Store) -> Result<()> {
    let (timers, blocking) = (store.timers::<u64>("t"), store.blocking());
    let waiting = begin(timers.due());
    let thread = tokio::task::spawn_blocking(move || {
        let timers = blocking.timers::<u64>("t");
        assert!(!timers.set("a", LONG, &1)? && timers.set_at("a", 0, &2)?);
        let mut batch = blocking.batch();
        let set = batch.set_timer(&timers, "b", LONG, &3)?;
        let at = batch.set_timer_at(&timers, "b", i64::MAX, &4)?;
        let gone = batch.cancel_timer(&timers, "c")?;
        let written = batch.commit()?;
        assert_eq!((written[set], written[at], written[gone]), (false, true, false));
        assert_eq!(timers.get("b")?.and_then(|timer| timer.due), Some(i64::MAX));
        assert!(timers.cancel("b")? && !timers.cancel("b")?);
        let mine = timers.lease(LONG);
        assert!(mine.due_within(SOON)?.is_none_or(|job| *job == 2));
        mine.set("d", Duration::ZERO, &5)?;
        Ok::<_, Error>(mine)
    });
    let first = waiting.await?;
    let mine = thread.await.unwrap()?;
    let second = tokio::task::spawn_blocking(move || {
        let job = mine.due()?;
        let value = *job;
        job.done()?;
        assert!(mine.try_due()?.is_none());
        assert_eq!(mine.queue().numbers()?.unwrap().pushed, 5);
        Ok::<_, Error>(value)
    });
    let mut values = [*first, second.await.unwrap()?];
    first.done().await?;
    values.sort_unstable();
    assert_eq!(values, [2, 5]);
    Ok(())
}

#[test]
fn q5_a_timer_that_another_process_moves_nearer_wakes_whoever_waits_for_it() {
    let (_folder, file) = file();
    let store = millpond::blocking::Store::open(&file).unwrap();
    let (timers, mut peer) = (store.timers::<u64>("t"), Peer::start(&file));
    for round in 1..=5 {
        timers.set("k", LONG, &0).unwrap();
        peer.tell("pop timers/t 1000000");
        assert!(timers.set("k", SOON, &round).unwrap());
        assert_eq!(peer.hear(), format!("{round} 1"));
        assert_eq!(peer.ask("done"), "done");
    }
    store.close().unwrap();
}

#[test]
fn q2_a_timer_that_was_taken_back_is_a_stale_claim_in_every_process() {
    let (_folder, file) = file();
    let store = millpond::blocking::Store::open(&file).unwrap();
    let (timers, mut peer) = (store.timers::<u64>("t"), Peer::start(&file));
    timers.set("k", Duration::ZERO, &7).unwrap();
    assert_eq!(peer.ask("pop timers/t 1000000"), "7 1");
    assert!(timers.cancel("k").unwrap());
    assert_eq!(peer.ask("done"), "StaleClaim");
    // And what a process had that was killed comes to the next one.
    timers.set("k", Duration::ZERO, &8).unwrap();
    assert_eq!(peer.ask("pop timers/t 1000000"), "8 1");
    peer.killed();
    let job = timers.due().unwrap();
    assert_eq!((*job, job.attempt()), (8, 2));
    job.done().unwrap();
    store.close().unwrap();
}
