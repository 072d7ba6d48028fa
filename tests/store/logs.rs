//! Logs: appending, ranges by sequence and time, following, what is kept, and views of a window of time.

use std::time::Duration;

use millpond::{Error, From, History, Result, Retention, Stamp, Store, Subscription};

use crate::backends::{on_file, on_memory, together, until};

each_backend! {
    lg1_an_append_has_a_sequence_and_never_changes
    lg1_records_appended_at_once_follow_one_another
    lg2_nobody_sees_a_record_before_the_one_before_it
    lg3_following_gives_each_record_once_in_order
    lg3_following_can_be_resumed_behind_any_sequence
    lg4_the_source_s_own_time_is_kept_verbatim_and_orders_nothing
    lg5_records_go_from_the_oldest_on_and_no_sequence_comes_again
    l3_a_stale_guard_appends_nothing
    drawer_g1_whoever_follows_misses_no_record_of_a_batch
    drawer_g2_what_is_followed_is_committed
    drawer_g3_equal_times_are_as_good_as_any
    drawer_g4_a_log_can_be_followed_from_a_position
    a_live_view_folds_what_is_in_its_window
    a_live_view_ends_when_the_store_is_closed
    what_was_recorded_is_found_by_time
    what_cannot_be_decoded_is_an_error_in_its_place
    a_limit_and_a_direction_are_honored_over_pages
}

pub(crate) async fn rest<T: serde::de::DeserializeOwned>(mut history: History<T>) -> Result<Vec<T>> {
    let mut found = Vec::new();
    while let Some(record) = history.next().await {
        found.push(record?.into_inner());
    }
    Ok(found)
}

async fn take(subscription: &mut Subscription<u64>, count: usize) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(subscription.next().await.expect("the store is open")?.into_inner());
    }
    Ok(found)
}

async fn lg1_an_append_has_a_sequence_and_never_changes(store: Store) -> Result<()> {
    let (log, other) = (store.log::<u64>("l"), store.log::<u64>("m"));
    for n in 1..=5 {
        assert_eq!(log.append(&(n * 10)).await?, n);
    }
    assert_eq!(other.append(&7).await?, 1, "each has its own");
    assert_eq!(rest(log.range(..)).await?, [10, 20, 30, 40, 50]);
    let extent = log.extent().await?;
    assert_eq!((extent.first, extent.last, extent.count(), extent.bytes), (1, 5, 5, 10));
    assert_eq!(store.log::<u64>("never").extent().await?.last, 0);
    Ok(())
}

async fn lg1_records_appended_at_once_follow_one_another(store: Store) -> Result<()> {
    let log = store.log::<u64>("l");
    let appends = (0..20_u64).map(|caller| {
        let log = log.clone();
        async move { log.append_all(&[caller, caller, caller]).await }
    });
    for appended in together(appends).await {
        let appended = appended?;
        assert_eq!(appended.end - appended.start, 3);
    }
    let records = rest(log.range(..)).await?;
    assert_eq!(records.len(), 60);
    assert!(records.chunks(3).all(|three| three[0] == three[1] && three[1] == three[2]), "{records:?}");
    assert_eq!(log.append_all(&[]).await?, 0..0, "nothing is appended");
    assert_eq!(log.extent().await?.last, 60);
    Ok(())
}

async fn lg2_nobody_sees_a_record_before_the_one_before_it(store: Store) -> Result<()> {
    let log = store.log::<u64>("l");
    let writers = (0..4_u64).map(|_| {
        let log = log.clone();
        async move {
            for n in 0..50 {
                log.append(&n).await?;
            }
            Ok::<_, Error>(())
        }
    });
    let reader = async {
        let mut seen = 0;
        while seen < 200 {
            let mut history = log.range(..);
            let mut next = 1;
            while let Some(record) = history.next().await {
                assert_eq!(record?.sequence(), next);
                next += 1;
            }
            assert!(next > seen, "what was seen is gone");
            seen = next - 1;
            tokio::task::yield_now().await;
        }
        Ok::<_, Error>(())
    };
    let (written, read) = tokio::join!(together(writers), reader);
    read?;
    written.into_iter().collect()
}

async fn lg3_following_gives_each_record_once_in_order(store: Store) -> Result<()> {
    let log = store.log::<u64>("l");
    log.append_all(&[1, 2, 3]).await?;
    let (mut now, mut start) = (log.follow(From::Now).await?, log.follow(From::Start).await?);
    let writer = async {
        for n in 4..=100 {
            log.append(&n).await?;
        }
        Ok::<_, Error>(())
    };
    let (written, now, start) = tokio::join!(writer, take(&mut now, 97), take(&mut start, 100));
    written?;
    assert_eq!(now?, (4..=100).collect::<Vec<u64>>());
    assert_eq!(start?, (1..=100).collect::<Vec<u64>>());
    Ok(())
}

async fn lg3_following_can_be_resumed_behind_any_sequence(store: Store) -> Result<()> {
    let log = store.log::<u64>("l");
    let numbers: Vec<u64> = (1..=2_500).collect();
    log.append_all(&numbers).await?;
    for after in [0, 1, 999, 1_000, 1_001, 2_499] {
        let mut follow = log.follow(From::After(after)).await?;
        assert_eq!(follow.next_sequence(), after + 1);
        let read = take(&mut follow, 2_500 - after as usize).await?;
        assert_eq!(read, numbers[after as usize..], "{after}");
    }
    let mut future = log.follow(From::After(2_501)).await?;
    log.append_all(&[2_501, 2_502]).await?;
    assert_eq!(take(&mut future, 1).await?, [2_502], "what is not there yet is waited for");
    let never = log.follow(From::After(u64::MAX)).await.unwrap_err();
    assert!(matches!(never, Error::InvalidArgument { .. }), "{never:?}");
    Ok(())
}

async fn lg4_the_source_s_own_time_is_kept_verbatim_and_orders_nothing(store: Store) -> Result<()> {
    let log = store.log::<u64>("l");
    for (n, at) in
        [(1, "2011-10-11T13:45:40.276+02:00"), (2, "1969-12-31T23:59:60Z"), (3, "yesterday, or so")]
    {
        log.append_with(&n, Stamp::new().at(at).key(format!("key {n}")).schema(n as u32)).await?;
    }
    let mut history = log.range(..);
    let mut last = i64::MIN;
    for n in 1..=3_u64 {
        let record = history.next().await.unwrap()?;
        assert_eq!((*record, record.sequence(), record.schema()), (n, n, n as u32));
        assert_eq!(record.key(), Some(&*format!("key {n}")));
        assert_eq!(record.at().map(str::len), Some([29, 20, 16][n as usize - 1]));
        assert!(record.recorded_at_ms() >= last);
        last = record.recorded_at_ms();
    }
    Ok(())
}

async fn lg5_records_go_from_the_oldest_on_and_no_sequence_comes_again(store: Store) -> Result<()> {
    let log = store.log::<u64>("l");
    log.append_all(&(1..=5_000).collect::<Vec<u64>>()).await?;
    log.retain(Retention::everything().count(10)).await?;
    let extent = log.extent().await?;
    assert_eq!((extent.first, extent.last, extent.retention.max_count()), (4_991, 5_000, Some(10)));
    log.append_all(&[5_001, 5_002]).await?;
    assert_eq!(rest(log.range(..)).await?, (4_993..=5_002).collect::<Vec<u64>>());
    assert_eq!(log.trim_before(5_001).await?, 5_001);
    assert_eq!(log.trim_before(u64::MAX).await?, 5_003, "all of it");
    assert_eq!(log.append(&5_003).await?, 5_003);
    for (refused, retention) in
        [Retention::everything().count(0), Retention::everything().bytes(u64::MAX)].into_iter().enumerate()
    {
        let error = log.retain(retention).await.unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }), "{refused}: {error:?}");
    }
    for age in [Duration::ZERO, Duration::MAX] {
        let error = log.retain(Retention::everything().age(age)).await.unwrap_err();
        assert!(matches!(error, Error::InvalidDuration { .. }), "{error:?}");
    }
    Ok(())
}

async fn l3_a_stale_guard_appends_nothing(store: Store) -> Result<()> {
    let guard = store.lock("l").acquire().await?;
    let log = store.log::<u64>("l").guarded_by(&guard);
    log.append(&1).await?;
    store.lock("l").break_lock().await?;
    assert!(matches!(log.append(&2).await, Err(Error::Fenced { .. })));
    assert!(matches!(log.append_all(&[2]).await, Err(Error::Fenced { .. })));
    assert_eq!(store.log::<u64>("l").append(&3).await?, 2, "unguarded it is a log like any other");
    Ok(())
}

/// Times are given when an append is committed, and whoever follows goes by sequence: a batch that was made earlier and
/// committed later is not passed over.
async fn drawer_g1_whoever_follows_misses_no_record_of_a_batch(store: Store) -> Result<()> {
    let log = store.log::<u64>("l");
    let mut follow = log.follow(From::Now).await?;
    let batch: Vec<u64> = (100..200).collect();
    let mut later = std::pin::pin!(log.append_all(&batch));
    log.append(&1).await?;
    assert_eq!(take(&mut follow, 1).await?, [1]);
    later.as_mut().await?;
    log.append(&2).await?;
    let seen = take(&mut follow, 101).await?;
    assert_eq!(seen, (100..200).chain([2]).collect::<Vec<u64>>());
    Ok(())
}

async fn drawer_g2_what_is_followed_is_committed(store: Store) -> Result<()> {
    let log = store.log::<u64>("l");
    let mut follow = log.follow(From::Now).await?;
    for n in 1..=50 {
        let (appended, seen) = tokio::join!(log.append(&n), follow.next());
        let seen = seen.expect("the store is open")?;
        assert_eq!((appended?, *seen), (n, n));
        let stored = log.range(n..=n).next().await.expect("it was seen, so it is there")?;
        assert_eq!(*stored, n);
    }
    Ok(())
}

async fn drawer_g3_equal_times_are_as_good_as_any(store: Store) -> Result<()> {
    let log = store.log::<u64>("l");
    for n in 1..=400 {
        log.append_with(&n, Stamp::new().at("1970-01-01T00:00:00Z")).await?;
    }
    let mut history = log.range(..);
    for n in 1..=400 {
        let record = history.next().await.unwrap()?;
        assert_eq!((*record, record.at()), (n, Some("1970-01-01T00:00:00Z")));
    }
    Ok(())
}

async fn drawer_g4_a_log_can_be_followed_from_a_position(store: Store) -> Result<()> {
    let log = store.log::<u64>("l");
    log.append_all(&[1, 2, 3]).await?;
    let mut follow = log.follow(From::Start).await?;
    assert_eq!(take(&mut follow, 2).await?, [1, 2]);
    let position = follow.next_sequence();
    drop(follow);
    log.append(&4).await?;
    let mut resumed = log.follow(From::After(position - 1)).await?;
    assert_eq!(take(&mut resumed, 2).await?, [3, 4], "as if it had never been away");
    Ok(())
}

async fn a_live_view_folds_what_is_in_its_window(store: Store) -> Result<()> {
    let log = store.log::<u64>("l");
    log.append_all(&(1..=1_500).collect::<Vec<u64>>()).await?;
    let (year, ms) = (Duration::from_secs(300 * 86_400), Duration::from_millis(1));
    let mut counts = log.live(year, ms, |window| (window.len(), window.last().map(|last| **last))).await?;
    assert_eq!(counts.next().await.unwrap()?, (1_500, Some(1_500)), "all of the window, at once");
    log.append(&9).await?;
    until(async || Ok(counts.next().await.unwrap()? == (1_501, Some(9)))).await?;
    for (window, every) in [(Duration::ZERO, ms), (ms, Duration::ZERO), (ms, Duration::MAX)] {
        let refused = log.live(window, every, <[_]>::len).await.unwrap_err();
        assert!(matches!(refused, Error::InvalidDuration { .. }), "{refused:?}");
    }
    Ok(())
}

async fn a_live_view_ends_when_the_store_is_closed(store: Store) -> Result<()> {
    let log = store.log::<u64>("l");
    let hour = Duration::from_secs(3_600);
    let mut lengths = log.live(hour, hour, <[_]>::len).await?;
    assert_eq!(lengths.next().await, Some(Ok(0)), "of an empty log");
    let (closed, told) = tokio::join!(store.close(), lengths.next());
    closed?;
    assert_eq!(told, Some(Err(Error::Closed)));
    assert_eq!(lengths.next().await, None);
    Ok(())
}

async fn what_was_recorded_is_found_by_time(store: Store) -> Result<()> {
    let log = store.log::<u64>("l");
    let times = async || {
        let mut history = log.range(..);
        let mut times = Vec::new();
        while let Some(record) = history.next().await {
            times.push(record?.recorded_at_ms());
        }
        Ok::<_, Error>(times)
    };
    for n in 1..=3 {
        log.append(&n).await?;
        let last = times().await?.last().copied();
        // Real time passes: until the next is recorded later than this one.
        until(async || {
            log.append(&n).await?;
            Ok(times().await?.last().copied() > last)
        })
        .await?;
    }
    let times = times().await?;
    for time in [times[0], times[times.len() / 2], times[times.len() - 1], times[times.len() - 1] + 1] {
        let right = times.iter().filter(|at| **at >= time).count();
        assert_eq!(rest(log.range(..).recorded_since(time)).await?.len(), right);
        assert_eq!(rest(log.range(..).recorded_before(time)).await?.len(), times.len() - right);
    }
    Ok(())
}

async fn what_cannot_be_decoded_is_an_error_in_its_place(store: Store) -> Result<()> {
    let (texts, numbers) = (store.log::<String>("l"), store.log::<u64>("l"));
    numbers.append(&1).await?;
    texts.append(&"two".into()).await?;
    numbers.append(&3).await?;
    let (mut history, mut follow) = (numbers.range(..), numbers.follow(From::Start).await?);
    for n in 1..=3 {
        for found in [history.next().await.unwrap(), follow.next().await.unwrap()] {
            match found {
                Ok(record) => assert_eq!((*record, n != 2), (n, true)),
                Err(Error::Decode { what, .. }) => assert_eq!(what, "record 2 of log \"l\""),
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    assert!(history.next().await.is_none());
    Ok(())
}

async fn a_limit_and_a_direction_are_honored_over_pages(store: Store) -> Result<()> {
    let log = store.log::<u64>("l");
    let numbers: Vec<u64> = (1..=2_100).collect();
    log.append_all(&numbers).await?;
    let mut backward = numbers.clone();
    backward.reverse();
    assert_eq!(rest(log.range(..).newest_first()).await?, backward);
    assert_eq!(rest(log.range(..).limit(1_001)).await?, numbers[..1_001]);
    assert_eq!(rest(log.range(..).newest_first().limit(3)).await?, [2_100, 2_099, 2_098]);
    assert_eq!(rest(log.range(5..8)).await?, [5, 6, 7]);
    assert_eq!(rest(log.range(2_099..)).await?, [2_099, 2_100]);
    assert_eq!(rest(log.range(..=2)).await?, [1, 2]);
    let mut twice = log.range(..).limit(2).newest_first();
    assert_eq!(*twice.next().await.unwrap()?, 2_100);
    let empty: [u64; 0] = [];
    assert_eq!(rest(log.range(2_101..)).await?, empty);
    assert_eq!(rest(log.range(u64::MAX..)).await?, empty);
    Ok(())
}

/// What one has appended stays a log after it was opened anew.
#[test]
fn lg1_a_log_outlives_its_process() {
    on_file(|store| async move {
        let millpond::Location::File(path) = store.location().clone() else { panic!() };
        store.log::<u64>("l").append_all(&[1, 2]).await?;
        store.close().await?;
        let again = Store::open(path).await?;
        let log = again.log::<u64>("l");
        assert_eq!(log.append(&3).await?, 3);
        assert_eq!(rest(log.range(..)).await?, [1, 2, 3]);
        again.close().await
    });
}

async fn refused(store: Store) -> Result<()> {
    let log = store.log::<String>("l");
    let large = "x".repeat(17 << 20);
    let many = vec![String::new(); 10_001];
    let heavy = vec!["x".repeat(15 << 20); 5];
    let refusals = [
        log.append(&large).await.unwrap_err(),
        log.append_all(&many).await.unwrap_err(),
        log.append_all(&heavy).await.unwrap_err(),
        log.append_with(&String::new(), Stamp::new().at("x".repeat(513))).await.unwrap_err(),
    ];
    for error in refusals {
        assert!(matches!(error, Error::TooLarge { .. }), "{error:?}");
        assert_eq!(error.outcome(), millpond::WriteOutcome::NotApplied);
    }
    for key in ["", "\0", " ", &"x".repeat(513)] {
        let refused = log.append_with(&String::new(), Stamp::new().key(key)).await.unwrap_err();
        assert!(matches!(refused, Error::InvalidName { what: "key", .. }), "{refused:?}");
    }
    let bad = store.log::<String>("");
    assert!(matches!(bad.append(&String::new()).await, Err(Error::InvalidName { .. })));
    assert!(matches!(bad.range(..).next().await, Some(Err(Error::InvalidName { .. }))));
    assert!(matches!(bad.follow(From::Now).await, Err(Error::InvalidName { .. })));
    assert_eq!(log.extent().await?.last, 0);
    Ok(())
}

/// It is looked at before any backend comes into it, and so much text takes its time.
#[test]
fn g3_what_is_refused_is_not_applied() {
    on_memory(refused);
}
