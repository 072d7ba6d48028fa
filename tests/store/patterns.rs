//! One subscription to all channels of a pattern.

use std::collections::BTreeMap;

use futures_core::Stream;
use millpond::{ChannelsSubscription, Error, From, Location, Message, Result, Retention, Store};

use crate::backends::{begin, event, known, on_file, together};
use crate::peer::Peer;

each_backend! {
    c3_a_pattern_brings_every_message_once_and_in_the_order_of_the_commits
    c3_a_pattern_holds_for_channels_that_are_first_used_later
    c3_a_pattern_that_is_far_behind_has_no_gap_and_no_repeat
    c3_a_pattern_is_told_exactly_what_retention_removed
    c3_a_pattern_begins_where_it_is_asked_to
    c3_a_pattern_goes_on_after_more_channels_than_a_page_holds
    c3_a_dropped_next_of_a_pattern_loses_nothing
    c4_a_pattern_that_begins_with_what_is_kept_lags_only_behind_what_is_removed_later
    drawer_c5_a_pattern_is_active_when_its_call_has_returned
    drawer_c8_a_close_ends_a_pattern
    drawer_e2_a_message_of_a_pattern_that_cannot_be_decoded_ends_nothing
    patterns_and_places_that_cannot_be_are_refused
}

/// Channel, sequence and content of a message.
type Seen = (String, u64, u64);

fn seen(message: &Message<u64>) -> Seen {
    (message.name().to_owned(), message.sequence(), **message)
}

fn expected(channel: &str, sequence: u64, content: u64) -> Seen {
    (channel.to_owned(), sequence, content)
}

async fn next(subscription: &mut ChannelsSubscription<u64>) -> Result<Seen> {
    subscription.next().await.expect("the store is open").map(|message| seen(&message))
}

async fn take(subscription: &mut ChannelsSubscription<u64>, count: usize) -> Result<Vec<Seen>> {
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(next(subscription).await?);
    }
    Ok(found)
}

/// That each channel's messages are there from one on, once, and in order.
fn dense(found: &[Seen]) -> BTreeMap<&str, u64> {
    let mut last = BTreeMap::new();
    for (channel, sequence, _) in found {
        let before = last.insert(channel.as_str(), *sequence).unwrap_or(0);
        assert_eq!(*sequence, before + 1, "of {channel}");
    }
    last
}

async fn c3_a_pattern_brings_every_message_once_and_in_the_order_of_the_commits(store: Store) -> Result<()> {
    let mut two = [store.channels("orders.*").subscribe().await?, store.channels("*").subscribe().await?];
    // Each publisher publishes on and on in turn, so that what it has committed first has to come first.
    let publishers = (0..6_u64).map(|publisher| {
        let store = store.clone();
        async move {
            for n in 0..50 {
                let channel = store.channel::<u64>(format!("orders.{}", (publisher + n) % 4));
                channel.publish_all(&[publisher * 1_000 + 2 * n, publisher * 1_000 + 2 * n + 1]).await?;
            }
            Ok::<_, Error>(())
        }
    });
    let (one, other) = two.split_at_mut(1);
    let (published, one, other) =
        tokio::join!(together(publishers), take(&mut one[0], 600), take(&mut other[0], 600));
    published.into_iter().collect::<Result<Vec<()>>>()?;
    let (one, other) = (one?, other?);
    assert_eq!(dense(&one).len(), 4);
    assert_eq!(one, other, "one order for all");
    for publisher in 0..6 {
        let own: Vec<u64> = one.iter().map(|(.., n)| *n).filter(|n| n / 1_000 == publisher).collect();
        let right: Vec<u64> = (0..100).map(|n| publisher * 1_000 + n).collect();
        assert_eq!(own, right, "across channels too");
    }
    Ok(())
}

async fn c3_a_pattern_holds_for_channels_that_are_first_used_later(store: Store) -> Result<()> {
    let early = store.channel::<u64>("orders.early");
    early.publish(&1).await?;
    let mut orders = store.channels("orders.*").subscribe().await?;
    for name in ["orders", "other.x", "orders.new", "orders.", "xorders.y"] {
        store.channel::<u64>(name).publish(&2).await?;
    }
    // A log, a stream and a queue of such a name are no channel.
    store.log::<u64>("orders.log").append(&3).await?;
    store.queue::<u64>("orders.queue").push(&3).await?;
    store.events().append("orders.stream", millpond::Expected::Any, [event(3)]).await?;
    early.publish(&4).await?;
    let right = [expected("orders.new", 1, 2), expected("orders.", 1, 2), expected("orders.early", 2, 4)];
    assert_eq!(take(&mut orders, 3).await?, right);
    Ok(())
}

/// More messages than a page holds, and more changes than are kept.
async fn c3_a_pattern_that_is_far_behind_has_no_gap_and_no_repeat(store: Store) -> Result<()> {
    let mut slow = store.channels("c*").subscribe().await?;
    store.channel("c0").publish(&0_u64).await?;
    assert_eq!(next(&mut slow).await?, expected("c0", 1, 0));
    for round in 1..=4_u64 {
        for channel in 0..3 {
            let numbers: Vec<u64> = (0..700).map(|n| round * 1_000 + n).collect();
            store.channel(format!("c{channel}")).publish_all(&numbers).await?;
        }
    }
    // So many changes that those of the messages are gone.
    for part in 0..11 {
        let streams = (0..1_000).map(|n| (format!("s-{part}-{n}"), known(part << 10 | n)));
        store.events().import(streams.collect::<Vec<_>>()).await?;
    }
    let mut found = vec![expected("c0", 1, 0)];
    found.extend(take(&mut slow, 3 * 2_800).await?);
    assert_eq!(dense(&found), BTreeMap::from([("c0", 2_801), ("c1", 2_800), ("c2", 2_800)]));
    store.channel("c9").publish(&7_u64).await?;
    assert_eq!(next(&mut slow).await?, expected("c9", 1, 7), "and it goes on");
    Ok(())
}

async fn c3_a_pattern_is_told_exactly_what_retention_removed(store: Store) -> Result<()> {
    let (a, b) = (store.channel::<u64>("c.a"), store.channel::<u64>("c.b"));
    a.retain(Retention::everything().count(10)).await?;
    let mut slow = store.channels("c.*").subscribe().await?;
    a.publish_all(&(1..=5).collect::<Vec<_>>()).await?;
    assert_eq!(take(&mut slow, 5).await?.last(), Some(&expected("c.a", 5, 5)));
    for round in 0..5_u64 {
        a.publish_all(&(round * 100..round * 100 + 100).collect::<Vec<_>>()).await?;
    }
    b.publish(&1).await?;
    let lagged = next(&mut slow).await.unwrap_err();
    assert_eq!(lagged, Error::Lagged { kind: "channel", name: "c.a".into(), missed: 490 });
    let kept: Vec<_> = (496..=505).map(|sequence| expected("c.a", sequence, sequence - 6)).collect();
    assert_eq!(take(&mut slow, 10).await?, kept, "once, and it goes on");
    assert_eq!(next(&mut slow).await?, expected("c.b", 1, 1));
    Ok(())
}

async fn c3_a_pattern_begins_where_it_is_asked_to(store: Store) -> Result<()> {
    let (a, b) = (store.channel::<u64>("c.a"), store.channel::<u64>("c.b"));
    a.publish_all(&[1, 2, 3]).await?;
    b.publish_all(&[1, 2]).await?;
    a.trim_before(2).await?;
    let pattern = store.channels("c.*");
    let mut now = pattern.subscribe().await?;
    let mut start = pattern.subscribe_from(From::Start).await?;
    let mut recorded = pattern.subscribe_from(From::Recorded(0)).await?;
    let mut never = pattern.subscribe_from(From::Recorded(i64::MAX)).await?;
    a.publish(&4).await?;
    let last = expected("c.a", 4, 4);
    assert_eq!((next(&mut now).await?, next(&mut never).await?), (last.clone(), last.clone()));
    for begun in [&mut start, &mut recorded] {
        let mut found = take(begun, 5).await?;
        found.sort_unstable();
        let kept = [("c.a", 2), ("c.a", 3), ("c.a", 4), ("c.b", 1), ("c.b", 2)];
        assert_eq!(found, kept.map(|(name, n)| expected(name, n, n)));
        assert!(begin(begun.next()).is_pending(), "nothing comes twice");
    }
    b.publish(&3).await?;
    assert_eq!(next(&mut start).await?, expected("c.b", 3, 3));
    Ok(())
}

async fn c4_a_pattern_that_begins_with_what_is_kept_lags_only_behind_what_is_removed_later(
    store: Store,
) -> Result<()> {
    let channel = store.channel::<u64>("c");
    channel.publish_all(&(1..=9).collect::<Vec<_>>()).await?;
    channel.trim_before(4).await?;
    let mut start = store.channels("c").subscribe_from(From::Start).await?;
    channel.trim_before(6).await?;
    let lagged = next(&mut start).await.unwrap_err();
    assert!(matches!(lagged, Error::Lagged { missed: 2, .. }), "{lagged:?}");
    assert_eq!(next(&mut start).await?, expected("c", 6, 6));
    Ok(())
}

async fn c3_a_pattern_goes_on_after_more_channels_than_a_page_holds(store: Store) -> Result<()> {
    let name = |n: u64| format!("c{n:04}");
    let publish = async |round: u64| {
        let published = (0..2_100).map(|n| {
            let channel = store.channel::<u64>(name(n));
            async move { channel.publish(&round).await }
        });
        together(published).await.into_iter().collect::<Result<Vec<u64>>>()
    };
    publish(1).await?;
    let (mut now, mut start) =
        (store.channels("c*").subscribe().await?, store.channels("c1*").subscribe_from(From::Start).await?);
    publish(2).await?;
    let found = take(&mut now, 2_100).await?;
    assert!(found.iter().all(|(_, sequence, n)| (*sequence, *n) == (2, 2)));
    let names: std::collections::BTreeSet<_> = found.iter().map(|(name, ..)| name.clone()).collect();
    assert_eq!(names, (0..2_100).map(name).collect());
    let found = take(&mut start, 2_000).await?;
    assert_eq!(dense(&found).len(), 1_000, "c1000 to c1999");
    Ok(())
}

async fn c3_a_dropped_next_of_a_pattern_loses_nothing(store: Store) -> Result<()> {
    let mut subscription = store.channels("c*").subscribe().await?;
    for n in 1..=200_u64 {
        for _ in 0..n % 4 {
            drop(begin(subscription.next()));
        }
        store.channel("c").publish(&n).await?;
        assert_eq!(next(&mut subscription).await?, expected("c", n, n));
    }
    Ok(())
}

async fn drawer_c5_a_pattern_is_active_when_its_call_has_returned(store: Store) -> Result<()> {
    let channel = store.channel::<u64>("c");
    for round in 1..=50_u64 {
        let mut subscription = store.channels("*").subscribe().await?;
        channel.publish(&round).await?;
        // Asked for only now.
        assert_eq!(next(&mut subscription).await?, expected("c", round, round));
    }
    Ok(())
}

async fn drawer_c8_a_close_ends_a_pattern(store: Store) -> Result<()> {
    let mut waiting = store.channels::<u64>("*").subscribe().await?;
    let mut thread = store.blocking().channels::<u64>("*").subscribe()?;
    let blocked = tokio::task::spawn_blocking(move || (thread.next(), thread.next()));
    let next = begin(waiting.next());
    assert!(next.is_pending());
    store.close().await?;
    assert_eq!(next.await, Some(Err(Error::Closed)));
    assert_eq!(waiting.next().await, None);
    assert_eq!(blocked.await.unwrap(), (Some(Err(Error::Closed)), None), "a thread that waits, too");
    assert!(matches!(store.channels::<u64>("*").subscribe().await, Err(Error::Closed)));
    Ok(())
}

async fn drawer_e2_a_message_of_a_pattern_that_cannot_be_decoded_ends_nothing(store: Store) -> Result<()> {
    let mut subscription = store.channels::<u64>("*").subscribe().await?;
    store.channel("a").publish(&"one").await?;
    store.channel("b").publish(&2_u64).await?;
    let bad = next(&mut subscription).await.unwrap_err();
    assert!(matches!(&bad, Error::Decode { what, .. } if what == "message 1 of channel \"a\""), "{bad:?}");
    assert_eq!(next(&mut subscription).await?, expected("b", 1, 2));
    Ok(())
}

async fn patterns_and_places_that_cannot_be_are_refused(store: Store) -> Result<()> {
    for bad in ["", " ", "a\0*", &"*".repeat(600)] {
        let refused = store.channels::<u64>(bad).subscribe().await;
        assert!(matches!(refused, Err(Error::InvalidName { what: "pattern", .. })), "{bad:?}");
    }
    let refused = store.channels::<u64>("*").subscribe_from(From::After(0)).await;
    assert!(matches!(refused, Err(Error::InvalidArgument { .. })));
    Ok(())
}

/// What the traits promise, checked by the compiler.
#[test]
fn a_subscription_to_a_pattern_is_a_stream_for_any_executor() {
    fn is<S: Stream<Item = Result<Message<u64>>> + Send + Unpin + 'static>() {}
    is::<ChannelsSubscription<u64>>();
}

#[test]
fn c6_messages_of_other_processes_come_to_a_pattern_too() {
    on_file(|store| async move {
        let Location::File(path) = store.location().clone() else { panic!() };
        let mut orders = store.channels("orders.*").subscribe().await?;
        let (mut one, mut other) = (Peer::start(&path), Peer::start(&path));
        let mut right = Vec::new();
        for n in 1..=20_u64 {
            // One after the other, so that the order of the commits is known.
            let eu = one.number(&format!("publish orders.eu {n}"));
            let us = other.number(&format!("publish orders.us {n}"));
            let own = store.channel("orders.own").publish(&n).await?;
            let names = ["orders.eu", "orders.us", "orders.own"];
            right.extend(names.into_iter().zip([eu, us, own]).map(|(name, at)| expected(name, at, n)));
        }
        one.killed();
        assert_eq!(take(&mut orders, 60).await?, right);
        Ok(())
    });
}

#[test]
fn drawer_x7_the_blocking_face_has_patterns_too() {
    let store = millpond::blocking::Store::memory().unwrap();
    let mut subscription = store.channels::<u64>("c*").subscribe().unwrap();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let found = (&mut subscription).take(3).collect::<Result<Vec<_>>>();
            found.unwrap().iter().map(seen).collect::<Vec<_>>()
        });
        for (n, name) in ["c1", "c2", "c1"].into_iter().enumerate() {
            store.channel(name).publish(&(n as u64)).unwrap();
        }
        let right = [expected("c1", 1, 0), expected("c2", 1, 1), expected("c1", 2, 2)];
        assert_eq!(reader.join().unwrap(), right);
    });
    let mut again = store.channels::<u64>("*").subscribe_from(From::Start).unwrap();
    assert_eq!(seen(&again.next().unwrap().unwrap()), expected("c1", 1, 0));
    store.close().unwrap();
}
