//! A wall clock that is set while the store is in use: it is recorded and decides nothing, so nothing is lost, seen twice
//! or put in another order.

use std::sync::Arc;
use std::time::Duration;

use millpond::{From, Location, ManualClock, Push, Result, Stamp, Store, Subscription};

use crate::backends::by_hand;

/// Makes a test on each backend of every case, with a clock that the case moves.
macro_rules! each_backend_by_hand {
    ($($case:ident)+) => {
        mod memory { $( #[test] fn $case() { super::by_hand(millpond::Location::Memory, super::$case) } )+ }
        mod sqlite { $( #[test] fn $case() { super::on_file(super::$case) } )+ }
    };
}

each_backend_by_hand! {
    drawer_c2_a_clock_step_back_loses_no_message
    drawer_g1_neither_a_clock_step_back_nor_an_older_time_hides_a_record
    drawer_q5_a_clock_step_back_keeps_the_order_of_jobs
    q5_a_delay_is_as_long_as_it_was_whatever_the_wall_clock_does
    lg4_recorded_at_never_goes_back_whatever_the_clock_does
}

/// What a wall clock shows one after the other: set back, standing still, before 1970, far ahead.
const SHOWN: [i64; 8] = [1_000_000, 998_000, 998_000, -3, 2_000_000, 1_999_999, 1 << 50, 0];

fn on_file<F: Future<Output = Result<()>>>(case: impl FnOnce(Store, Arc<ManualClock>) -> F) {
    let folder = tempfile::tempdir().unwrap();
    by_hand(Location::File(folder.path().join("case.db")), case);
}

async fn take(subscription: &mut Subscription<u64>, count: usize) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(subscription.next().await.expect("the store is open")?.into_inner());
    }
    Ok(found)
}

/// Those who listen all along, one who comes at each step, one who goes on from a cursor, and a durable one.
async fn drawer_c2_a_clock_step_back_loses_no_message(store: Store, clock: Arc<ManualClock>) -> Result<()> {
    let channel = store.channel::<u64>("c");
    let (mut live, mut n) = (channel.subscribe().await?, 0);
    for wall_ms in SHOWN {
        clock.set_wall(wall_ms);
        let (mut now, before) = (channel.subscribe().await?, n);
        for _ in 0..5 {
            n += 1;
            channel.publish(&n).await?;
        }
        let five: Vec<u64> = (before + 1..=n).collect();
        assert_eq!(take(&mut live, 5).await?, five, "at {wall_ms}");
        assert_eq!(take(&mut now, 5).await?, five, "at {wall_ms}");
        let mut resumed = channel.subscribe_from(From::After(before)).await?;
        assert_eq!(take(&mut resumed, 5).await?, five, "at {wall_ms}");
        let mut consumer = channel.durable("billing").starting(From::Start).consume().await?;
        for message in five {
            assert_eq!(*consumer.next().await.expect("the store is open")?, message, "at {wall_ms}");
        }
        consumer.ack(n).await?;
    }
    let mut history = channel.history();
    for sequence in 1..=n {
        assert_eq!(history.next().await.unwrap()?.sequence(), sequence);
    }
    assert!(history.next().await.is_none());
    Ok(())
}

/// Records one by one and at once, with times of their own that are older and older.
async fn drawer_g1_neither_a_clock_step_back_nor_an_older_time_hides_a_record(
    store: Store,
    clock: Arc<ManualClock>,
) -> Result<()> {
    let log = store.log::<u64>("l");
    let (mut follow, mut n) = (log.follow(From::Now).await?, 0);
    for (step, wall_ms) in SHOWN.into_iter().enumerate() {
        clock.set_wall(wall_ms);
        log.append_all(&[n + 1, n + 2, n + 3]).await?;
        log.append_with(&(n + 4), Stamp::new().at(format!("{}-01-01T00:00:00Z", 1999 - step))).await?;
        assert_eq!(take(&mut follow, 4).await?, [n + 1, n + 2, n + 3, n + 4], "at {wall_ms}");
        n += 4;
    }
    let mut history = log.range(..);
    for record in 1..=n {
        assert_eq!(*history.next().await.unwrap()?, record);
    }
    Ok(())
}

/// Also of those that are tried again, and of those that are more urgent.
async fn drawer_q5_a_clock_step_back_keeps_the_order_of_jobs(
    store: Store,
    clock: Arc<ManualClock>,
) -> Result<()> {
    let queue = store.queue::<u64>("q");
    for (n, wall_ms) in (0..).zip(SHOWN) {
        clock.set_wall(wall_ms);
        queue.push(&n).await?;
        queue.push_with(&(100 + n), Push::new().priority(-1)).await?;
    }
    clock.set_wall(-10_000);
    let first = queue.pop().await?;
    assert_eq!(*first, 100);
    clock.set_wall(5_000);
    first.retry_in(Duration::ZERO).await?;
    let mut order = Vec::new();
    while let Some(job) = queue.try_pop().await? {
        order.push(*job);
        job.done().await?;
    }
    assert_eq!(order, (100..108).chain(0..8).collect::<Vec<u64>>());
    Ok(())
}

async fn q5_a_delay_is_as_long_as_it_was_whatever_the_wall_clock_does(
    store: Store,
    clock: Arc<ManualClock>,
) -> Result<()> {
    let queue = store.queue::<u64>("q");
    queue.push_with(&1, Push::new().delay(Duration::from_secs(60))).await?;
    for wall_ms in SHOWN {
        clock.set_wall(wall_ms);
        assert!(queue.try_pop().await?.is_none(), "at {wall_ms}");
    }
    clock.advance(Duration::from_millis(59_999));
    assert!(queue.try_pop().await?.is_none());
    clock.advance(Duration::from_millis(1));
    assert_eq!(queue.try_pop().await?.map(|job| *job), Some(1));
    Ok(())
}

/// What is recorded of the clock follows it forward only.
async fn lg4_recorded_at_never_goes_back_whatever_the_clock_does(
    store: Store,
    clock: Arc<ManualClock>,
) -> Result<()> {
    let log = store.log::<u64>("l");
    let mut follow = log.follow(From::Now).await?;
    let mut last = i64::MIN;
    for (n, wall_ms) in (1..).zip(SHOWN) {
        clock.set_wall(wall_ms);
        log.append(&n).await?;
        let record = follow.next().await.unwrap()?;
        assert!(*record == n && record.recorded_at_ms() >= last, "{record:?} after {last}");
        last = record.recorded_at_ms();
    }
    assert_eq!(last, 1 << 50);
    Ok(())
}
