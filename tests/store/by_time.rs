//! What logs and channels do by the time at which something was recorded, on a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use millpond::{Clock, Error, From, ManualClock, Message, Retention, Store};

use crate::backends::on_a_clock;
use crate::logs::rest;

#[test]
fn c4_what_is_older_than_it_may_be_goes_and_nothing_else() {
    on_a_clock(async |store: Store, clock: Arc<ManualClock>| {
        let channel = store.channel::<u64>("c");
        let minute = Duration::from_secs(60);
        channel.retain(Retention::everything().age(10 * minute)).await?;
        for n in 1..=30 {
            channel.publish(&n).await?;
            let extent = channel.extent().await?;
            // One that is just ten minutes old is not older than that.
            assert_eq!((extent.first, extent.last), (n.saturating_sub(10).max(1), n));
            clock.advance(minute);
        }
        // Whoever is behind is told how much he missed, once.
        let mut late = channel.subscribe_from(From::Start).await?;
        assert_eq!(*late.next().await.unwrap()?, 20);
        clock.advance(100 * minute);
        channel.publish(&31).await?;
        assert_eq!(channel.extent().await?.first, 31, "the newest is kept, however late it comes");
        let mut rest = Vec::new();
        while rest.last() != Some(&Ok(31)) {
            rest.push(late.next().await.unwrap().map(Message::into_inner));
        }
        let missed: u64 = rest
            .iter()
            .map(|found| match found {
                Err(Error::Lagged { missed, .. }) => *missed,
                _ => 0,
            })
            .sum();
        assert_eq!(missed as usize + rest.iter().filter(|found| found.is_ok()).count(), 11);
        Ok(())
    });
}

/// The times of a log are searched, not looked through: both must find the same, wherever the clock goes.
#[test]
fn drawer_g6_what_is_found_by_time_is_what_looking_at_everything_finds() {
    on_a_clock(async |store: Store, clock: Arc<ManualClock>| {
        let (log, mut random) = (store.log::<u64>("l"), 7_u64);
        let mut below = |limit: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % limit
        };
        log.retain(Retention::everything().count(150)).await?;
        for n in 0..300 {
            match below(6) {
                0 => clock.set_wall(clock.now().wall_ms - 3),
                1 | 2 => clock.advance(Duration::from_millis(below(4))),
                _ => {}
            }
            log.append(&n).await?;
        }
        let mut all = Vec::new();
        let mut history = log.range(..);
        while let Some(record) = history.next().await {
            let record = record?;
            all.push((record.recorded_at_ms(), *record));
        }
        assert_eq!(all.len(), 150);
        let (first, last) = (all[0].0, all[149].0);
        for _ in 0..200 {
            let at = |time: u64| first - 2 + time.cast_signed();
            let (since, before) = (at(below(last.abs_diff(first) + 5)), at(below(last.abs_diff(first) + 5)));
            let looked: Vec<u64> =
                all.iter().filter(|(time, _)| (since..before).contains(time)).map(|(_, n)| *n).collect();
            let found = rest(log.range(..).recorded_since(since).recorded_before(before)).await?;
            assert_eq!(found, looked, "{since} to {before}");
            let mut found =
                rest(log.range(..).recorded_since(since).recorded_before(before).newest_first()).await?;
            found.reverse();
            assert_eq!(found, looked, "{since} to {before}, the newest first");
        }
        Ok(())
    });
}
