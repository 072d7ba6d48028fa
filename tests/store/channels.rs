//! Channels: publishing, live subscriptions, what a slow one gets, and the end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures_core::Stream;
use millpond::{Channel, Error, From, Location, Message, Result, Retention, Stamp, Store, Subscription};
use serde::{Deserialize, Deserializer};

use crate::backends::{begin, on_file, together};
use crate::peer::Peer;

each_backend! {
    c1_offsets_are_dense_and_follow_the_commits
    c3_a_subscription_gets_each_message_once_in_order
    c3_a_slow_subscriber_reads_on_from_the_store_and_holds_up_nobody
    c3_what_retention_removed_is_told_exactly
    c3_a_subscription_begins_where_it_is_asked_to
    c3_a_dropped_next_loses_nothing
    c4_retention_trims_what_policy_says_and_no_more
    drawer_c3_messages_of_one_moment_are_no_error
    drawer_c4_what_comes_is_committed
    drawer_c5_a_subscription_is_active_when_its_call_has_returned
    drawer_c7_a_channel_is_pruned_as_it_is_told
    drawer_c8_a_close_ends_every_subscription
    drawer_e2_a_message_that_cannot_be_decoded_ends_nothing
    drawer_e2_a_subscriber_that_panics_is_alone_in_that
    drawer_e3_whoever_gets_a_message_may_use_the_store
    channels_of_different_names_and_logs_are_apart
    everything_said_about_a_message_comes_with_it
    what_is_published_at_once_comes_in_one_piece
}

async fn take(subscription: &mut Subscription<u64>, count: usize) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(subscription.next().await.expect("the store is open")?.into_inner());
    }
    Ok(found)
}

/// Publishes these numbers, one after the other.
async fn publish(channel: &Channel<u64>, numbers: std::ops::RangeInclusive<u64>) -> Result<()> {
    for n in numbers {
        channel.publish(&n).await?;
    }
    Ok(())
}

async fn c1_offsets_are_dense_and_follow_the_commits(store: Store) -> Result<()> {
    let channel = store.channel::<u64>("c");
    let publishers = (0..8_u64).map(|publisher| {
        let channel = channel.clone();
        async move {
            let mut last = 0;
            for n in 0..25 {
                let sequence = channel.publish(&(publisher * 100 + n)).await?;
                assert!(sequence > last, "the order of one publisher");
                last = sequence;
            }
            Ok::<_, Error>(())
        }
    });
    for done in together(publishers).await {
        done?;
    }
    let mut history = channel.history();
    for sequence in 1..=200 {
        assert_eq!(history.next().await.unwrap()?.sequence(), sequence);
    }
    assert!(history.next().await.is_none());
    Ok(())
}

async fn c3_a_subscription_gets_each_message_once_in_order(store: Store) -> Result<()> {
    let channel = store.channel::<u64>("c");
    let mut subscriptions = Vec::new();
    for _ in 0..20 {
        subscriptions.push(channel.subscribe().await?);
    }
    let readers = subscriptions.iter_mut().map(|subscription| take(subscription, 300));
    let publishers = (0..3).map(|_| publish(&channel, 1..=100));
    let (published, read) = tokio::join!(together(publishers), together(readers));
    published.into_iter().collect::<Result<Vec<()>>>()?;
    let read = read.into_iter().collect::<Result<Vec<_>>>()?;
    assert!(read.iter().all(|one| *one == read[0]), "one order for all");
    let mut sorted = read[0].clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (1..=100).flat_map(|n| [n; 3]).collect::<Vec<u64>>());
    Ok(())
}

async fn c3_a_slow_subscriber_reads_on_from_the_store_and_holds_up_nobody(store: Store) -> Result<()> {
    let channel = store.channel::<u64>("c");
    let (mut slow, mut fast) = (channel.subscribe().await?, channel.subscribe().await?);
    for batch in 0..20_u64 {
        let numbers: Vec<u64> = (batch * 500 + 1..=batch * 500 + 500).collect();
        channel.publish_all(&numbers).await?;
        assert_eq!(take(&mut fast, 500).await?, numbers, "though the other has read nothing yet");
    }
    assert_eq!(take(&mut slow, 10_000).await?, (1..=10_000).collect::<Vec<u64>>());
    channel.publish(&10_001).await?;
    assert_eq!((take(&mut slow, 1).await?, take(&mut fast, 1).await?), (vec![10_001], vec![10_001]));
    Ok(())
}

async fn c3_what_retention_removed_is_told_exactly(store: Store) -> Result<()> {
    let channel = store.channel::<u64>("c");
    channel.retain(Retention::everything().count(100)).await?;
    let mut slow = channel.subscribe().await?;
    publish(&channel, 1..=1).await?;
    assert_eq!(take(&mut slow, 1).await?, [1]);
    // More than any page or window holds.
    for batch in 0..20_u64 {
        channel.publish_all(&(batch * 500 + 2..=batch * 500 + 501).collect::<Vec<u64>>()).await?;
    }
    let lagged = slow.next().await.unwrap().unwrap_err();
    let name = "c".to_owned();
    assert_eq!(lagged, Error::Lagged { kind: "channel", name, missed: 9_900 });
    assert_eq!(take(&mut slow, 100).await?, (9_902..=10_001).collect::<Vec<u64>>(), "once, and it goes on");
    let mut late = channel.subscribe_from(From::After(9_000)).await?;
    assert!(matches!(late.next().await, Some(Err(Error::Lagged { missed: 901, .. }))));
    assert_eq!(take(&mut late, 1).await?, [9_902]);
    // What was removed is gone for everybody, though others have it at hand.
    let mut gone = channel.subscribe_from(From::After(9_990)).await?;
    channel.trim_before(10_000).await?;
    let mut later = channel.subscribe_from(From::After(9_995)).await?;
    assert!(matches!(later.next().await, Some(Err(Error::Lagged { missed: 4, .. }))));
    assert!(matches!(gone.next().await, Some(Err(Error::Lagged { missed: 9, .. }))));
    channel.trim_before(u64::MAX).await?;
    let mut start = channel.subscribe_from(From::Start).await?;
    channel.publish(&7).await?;
    assert_eq!(take(&mut start, 1).await?, [7], "nobody lags who begins with what is kept");
    Ok(())
}

async fn c3_a_subscription_begins_where_it_is_asked_to(store: Store) -> Result<()> {
    let channel = store.channel::<u64>("c");
    publish(&channel, 1..=5).await?;
    channel.trim_before(3).await?;
    let mut subscriptions = [
        channel.subscribe().await?,
        channel.subscribe_from(From::Now).await?,
        channel.subscribe_from(From::Start).await?,
        channel.subscribe_from(From::After(4)).await?,
        channel.subscribe_from(From::After(6)).await?,
        channel.subscribe_from(From::Recorded(0)).await?,
        channel.subscribe_from(From::Recorded(i64::MAX)).await?,
    ];
    publish(&channel, 6..=7).await?;
    for (number, (subscription, first)) in subscriptions.iter_mut().zip([6, 6, 3, 5, 7, 3, 6]).enumerate() {
        let right = (first..=7).collect::<Vec<u64>>();
        assert_eq!(take(subscription, right.len()).await?, right, "subscription {number}");
    }
    let never = channel.subscribe_from(From::After(u64::MAX)).await.unwrap_err();
    assert!(matches!(never, Error::InvalidArgument { .. }), "{never:?}");
    Ok(())
}

async fn c3_a_dropped_next_loses_nothing(store: Store) -> Result<()> {
    let channel = store.channel::<u64>("c");
    let mut subscription = channel.subscribe().await?;
    for n in 1..=200_u64 {
        for _ in 0..n % 4 {
            // Begun and given up, before the message is there or after.
            let begun = begin(subscription.next());
            assert!(begun.is_pending());
            drop(begun);
        }
        channel.publish(&n).await?;
        assert_eq!(take(&mut subscription, 1).await?, [n]);
    }
    Ok(())
}

async fn c4_retention_trims_what_policy_says_and_no_more(store: Store) -> Result<()> {
    let channel = store.channel::<u64>("c");
    channel.retain(Retention::everything().count(3)).await?;
    for n in 1..=10 {
        channel.publish(&n).await?;
        let extent = channel.extent().await?;
        assert_eq!((extent.last, extent.count()), (n, n.min(3)));
    }
    channel.retain(Retention::everything().bytes(2)).await?;
    assert_eq!(channel.extent().await?.first, 10, "10 is two bytes long");
    channel.retain(Retention::everything().age(Duration::from_secs(3_600))).await?;
    publish(&channel, 1..=5).await?;
    assert_eq!(channel.extent().await?.count(), 6, "none of it is an hour old");
    Ok(())
}

async fn drawer_c3_messages_of_one_moment_are_no_error(store: Store) -> Result<()> {
    let publishes = (0..100_u64).map(|n| {
        let channel = store.channel::<u64>(format!("c{}", n % 3));
        async move { channel.publish(&n).await }
    });
    for published in together(publishes).await {
        published?;
    }
    Ok(())
}

async fn drawer_c4_what_comes_is_committed(store: Store) -> Result<()> {
    let channel = store.channel::<u64>("c");
    let mut subscription = channel.subscribe().await?;
    for n in 1..=50 {
        let (published, came) = tokio::join!(channel.publish(&n), subscription.next());
        let came = came.expect("the store is open")?;
        assert_eq!((published?, *came), (n, n));
        assert_eq!(channel.extent().await?.last, n, "it came, so it is there");
    }
    Ok(())
}

async fn drawer_c5_a_subscription_is_active_when_its_call_has_returned(store: Store) -> Result<()> {
    let channel = store.channel::<u64>("c");
    for round in 0..50_u64 {
        let mut subscription = channel.subscribe().await?;
        channel.publish(&round).await?;
        // Asked for only now.
        assert_eq!(take(&mut subscription, 1).await?, [round]);
    }
    Ok(())
}

async fn drawer_c7_a_channel_is_pruned_as_it_is_told(store: Store) -> Result<()> {
    let channel = store.channel::<String>("c");
    channel.retain(Retention::everything().bytes(1_000)).await?;
    for _ in 0..100 {
        channel.publish(&"x".repeat(98)).await?;
    }
    let extent = channel.extent().await?;
    assert_eq!((extent.count(), extent.bytes), (10, 1_000));
    Ok(())
}

async fn drawer_c8_a_close_ends_every_subscription(store: Store) -> Result<()> {
    let channel = store.channel::<u64>("c");
    let mut waiting = channel.subscribe().await?;
    let mut behind = channel.subscribe().await?;
    publish(&channel, 1..=3).await?;
    assert_eq!(take(&mut waiting, 3).await?, [1, 2, 3]);
    let mut thread = store.blocking().channel::<u64>("c").subscribe()?;
    let blocked = tokio::task::spawn_blocking(move || (thread.next(), thread.next()));
    let next = begin(waiting.next());
    assert!(next.is_pending());
    store.close().await?;
    assert_eq!(next.await, Some(Err(Error::Closed)));
    assert_eq!(waiting.next().await, None);
    assert_eq!(blocked.await.unwrap(), (Some(Err(Error::Closed)), None), "a thread that waits, too");
    let mut ended = behind.next().await;
    while let Some(Ok(_)) = ended {
        ended = behind.next().await;
    }
    assert_eq!(ended, Some(Err(Error::Closed)), "one that was behind, too");
    assert_eq!(behind.next().await, None);
    assert!(matches!(channel.subscribe().await, Err(Error::Closed)));
    assert!(matches!(channel.publish(&4).await, Err(Error::Closed)));
    Ok(())
}

async fn drawer_e2_a_message_that_cannot_be_decoded_ends_nothing(store: Store) -> Result<()> {
    let (numbers, texts) = (store.channel::<u64>("c"), store.channel::<String>("c"));
    let mut subscription = numbers.subscribe().await?;
    numbers.publish(&1).await?;
    texts.publish(&"two".into()).await?;
    numbers.publish(&3).await?;
    assert_eq!(take(&mut subscription, 1).await?, [1]);
    let bad = subscription.next().await.unwrap().unwrap_err();
    assert!(matches!(&bad, Error::Decode { what, .. } if what == "message 2 of channel \"c\""), "{bad:?}");
    assert_eq!(take(&mut subscription, 1).await?, [3]);
    Ok(())
}

/// A value that cannot be made of 2.
#[derive(Debug)]
struct Touchy(u64);

impl<'de> Deserialize<'de> for Touchy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Touchy, D::Error> {
        let number = u64::deserialize(deserializer)?;
        assert_ne!(number, 2, "it is too much");
        Ok(Touchy(number))
    }
}

/// In its own code or in that of its value: the others get theirs, and it goes on behind what it cannot take.
async fn drawer_e2_a_subscriber_that_panics_is_alone_in_that(store: Store) -> Result<()> {
    let mut touchy = store.blocking().channel::<Touchy>("c").subscribe()?;
    let channel = store.channel::<u64>("c");
    let (mut other, mut doomed) = (channel.subscribe().await?, channel.subscribe().await?);
    publish(&channel, 1..=3).await?;
    let fallen = tokio::spawn(async move { panic!("got {:?}", doomed.next().await) });
    assert!(fallen.await.unwrap_err().is_panic());
    let thread = tokio::task::spawn_blocking(move || {
        let mut next = || catch_unwind(AssertUnwindSafe(|| touchy.next().unwrap().unwrap().0)).ok();
        (next(), next(), next())
    });
    assert_eq!(thread.await.unwrap(), (Some(1), None, Some(3)));
    assert_eq!(take(&mut other, 3).await?, [1, 2, 3]);
    publish(&channel, 4..=4).await?;
    assert_eq!(take(&mut other, 1).await?, [4]);
    Ok(())
}

/// Callbacks that use the store are a loop in the caller's own code, so there is nothing to block.
async fn drawer_e3_whoever_gets_a_message_may_use_the_store(store: Store) -> Result<()> {
    let orders = store.channel::<u64>("orders");
    let blocking = store.blocking();
    let subscription = blocking.channel::<u64>("orders").subscribe()?;
    publish(&orders, 1..=20).await?;
    let thread = tokio::task::spawn_blocking(move || {
        for (n, order) in (1..).zip(subscription.take(20)) {
            assert_eq!(blocking.channel("bills").publish(&*order?)?, n);
            assert_eq!(blocking.queue("mail").push(&n)?.sequence, n);
        }
        Ok::<_, Error>(())
    });
    thread.await.unwrap()?;
    assert_eq!(store.channel::<u64>("bills").extent().await?.last, 20);
    Ok(())
}

async fn channels_of_different_names_and_logs_are_apart(store: Store) -> Result<()> {
    let (a, b, log) = (store.channel::<u64>("a"), store.channel::<u64>("b"), store.log::<u64>("a"));
    let (mut of_a, mut of_log) = (a.subscribe().await?, log.follow(From::Now).await?);
    b.publish(&1).await?;
    log.append(&2).await?;
    a.publish(&3).await?;
    assert_eq!((take(&mut of_a, 1).await?, take(&mut of_log, 1).await?), (vec![3], vec![2]));
    assert_eq!(a.extent().await?.last, 1);
    Ok(())
}

async fn everything_said_about_a_message_comes_with_it(store: Store) -> Result<()> {
    let channel = store.channel::<u64>("c");
    let mut subscription = channel.subscribe().await?;
    channel.publish_with(&7, Stamp::new().key("order-1").at("noon").schema(3)).await?;
    let message: Message<u64> = subscription.next().await.unwrap()?;
    assert_eq!((*message, message.sequence(), message.schema()), (7, 1, 3));
    assert_eq!((message.key(), message.at()), (Some("order-1"), Some("noon")));
    Ok(())
}

async fn what_is_published_at_once_comes_in_one_piece(store: Store) -> Result<()> {
    let channel = store.channel::<u64>("c");
    let mut subscription = channel.subscribe().await?;
    let (first, second) = ([1; 50], [2; 50]);
    let (a, b) = tokio::join!(channel.publish_all(&first), channel.publish_all(&second));
    let (a, b) = (a?, b?);
    assert!(a.end == b.start || b.end == a.start, "{a:?} {b:?}");
    let came = take(&mut subscription, 100).await?;
    assert!(came[..50].iter().all(|n| *n == came[0]) && came[50..].iter().all(|n| *n == came[50]));
    assert_eq!(channel.publish_all(&[]).await?, 0..0);
    Ok(())
}

/// What the traits promise, checked by the compiler.
#[test]
fn a_subscription_is_a_stream_for_any_executor() {
    fn is<S: Stream<Item = Result<Message<u64>>> + Send + Unpin + 'static>() {}
    is::<Subscription<u64>>();
    is::<millpond::History<u64>>();
}

/// What was read is remembered by its sequence, which means the same in the next process.
#[test]
fn drawer_c5_a_subscription_is_resumed_after_a_restart() {
    on_file(|store| async move {
        let Location::File(path) = store.location().clone() else { panic!() };
        let channel = store.channel::<u64>("c");
        let mut subscription = channel.subscribe().await?;
        publish(&channel, 1..=5).await?;
        assert_eq!(take(&mut subscription, 3).await?, [1, 2, 3]);
        let next = subscription.next_sequence();
        store.close().await?;
        let again = Store::open(path).await?;
        let channel = again.channel::<u64>("c");
        publish(&channel, 6..=8).await?;
        let mut resumed = channel.subscribe_from(From::After(next - 1)).await?;
        assert_eq!(take(&mut resumed, 5).await?, [4, 5, 6, 7, 8]);
        again.close().await
    });
}

/// Over two processes, the one of which is killed in the middle: what it was told `Ok` for comes, in one order.
#[test]
fn c6_messages_come_from_other_processes_without_a_gap() {
    on_file(|store| async move {
        let Location::File(path) = store.location().clone() else { panic!() };
        let channel = store.channel::<u64>("c");
        let (mut peer, mut subscription) = (Peer::start(&path), channel.subscribe().await?);
        for n in 1..=20_u64 {
            let published =
                if n % 2 == 0 { channel.publish(&n).await? } else { peer.number(&format!("publish c {n}")) };
            assert_eq!((published, take(&mut subscription, 1).await?), (n, vec![n]));
        }
        peer.tell("publish-many c");
        let first = take(&mut subscription, 5).await?;
        assert_eq!(first, [1, 2, 3, 4, 5]);
        peer.killed();
        channel.publish(&0).await?;
        let mut next = 6;
        while let Some(message) = subscription.next().await {
            let message = message?;
            assert_eq!(message.sequence(), 20 + next);
            if *message == 0 {
                break;
            }
            assert_eq!(*message, next);
            next += 1;
        }
        Ok(())
    });
}
