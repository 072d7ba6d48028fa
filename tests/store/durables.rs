//! Durable subscriptions: at least once, in order, one consumer at a time.

use std::time::Duration;

use millpond::{Channel, Consumer, Error, From, Location, Result, Retention, Store};

use crate::backends::{begin, on_file, until};
use crate::peer::Peer;

each_backend! {
    c2_the_next_consumer_begins_behind_what_was_acknowledged
    c2_one_consumes_at_a_time_and_the_others_wait_in_line
    c2_a_stale_consumer_acknowledges_nothing
    c2_the_cursor_never_moves_back_but_by_a_seek
    c2_subscriptions_of_one_channel_are_independent
    c2_it_begins_where_it_was_told_to_and_only_once
    c2_what_has_not_come_cannot_be_acknowledged
    c4_a_consumer_behind_the_tail_is_told_once
    c2_a_consumer_that_is_robbed_is_told
    g11_a_close_ends_a_consumer
    a_subscription_that_is_removed_is_forgotten
    bad_names_of_subscriptions_are_refused
}

async fn channel(store: &Store, messages: u64) -> Result<Channel<u64>> {
    let channel = store.channel("c");
    channel.publish_all(&(1..=messages).collect::<Vec<u64>>()).await?;
    Ok(channel)
}

async fn take(consumer: &mut Consumer<u64>, count: usize) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(consumer.next().await.expect("the store is open")?.into_inner());
    }
    Ok(found)
}

async fn c2_the_next_consumer_begins_behind_what_was_acknowledged(store: Store) -> Result<()> {
    let channel = channel(&store, 10).await?;
    let billing = channel.durable("billing");
    let mut consumer = billing.consume().await?;
    assert_eq!(take(&mut consumer, 5).await?, [1, 2, 3, 4, 5]);
    consumer.ack(3).await?;
    assert_eq!((consumer.cursor(), billing.cursor().await?), (3, Some(3)));
    drop(consumer);
    let mut again = billing.consume().await?;
    assert_eq!(take(&mut again, 7).await?, [4, 5, 6, 7, 8, 9, 10], "what was not acknowledged comes again");
    channel.publish(&11).await?;
    assert_eq!(take(&mut again, 1).await?, [11], "and it goes on live");
    again.ack(11).await?;
    again.stop().await?;
    let mut last = billing.consume().await?;
    channel.publish(&12).await?;
    assert_eq!(take(&mut last, 1).await?, [12]);
    Ok(())
}

async fn c2_one_consumes_at_a_time_and_the_others_wait_in_line(store: Store) -> Result<()> {
    let billing = channel(&store, 3).await?.durable("billing");
    let mut first = billing.consume().await?;
    assert!(billing.try_consume().await?.is_none());
    assert!(billing.consume_within(Duration::from_millis(1)).await?.is_none());
    let second = begin(billing.consume());
    assert!(second.is_pending());
    assert_eq!(take(&mut first, 2).await?, [1, 2]);
    first.ack(2).await?;
    let token = first.token();
    drop(first);
    let mut second = second.await?;
    assert!(second.token() > token);
    assert_eq!(take(&mut second, 1).await?, [3]);
    Ok(())
}

async fn c2_a_stale_consumer_acknowledges_nothing(store: Store) -> Result<()> {
    let billing = channel(&store, 5).await?.durable("billing");
    let mut stale = billing.consume().await?;
    assert_eq!(take(&mut stale, 3).await?, [1, 2, 3]);
    stale.ack(1).await?;
    store.lock("channel/c/billing").break_lock().await?;
    for refused in [stale.ack(2).await, stale.seek(0).await, stale.seek(5).await] {
        assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    }
    assert_eq!((stale.cursor(), billing.cursor().await?), (1, Some(1)));
    let mut next = billing.consume().await?;
    assert_eq!(take(&mut next, 2).await?, [2, 3]);
    next.ack(3).await?;
    assert!(matches!(stale.ack(3).await, Err(Error::Fenced { .. })));
    assert!(matches!(stale.stop().await, Err(Error::Lost { .. })));
    next.ack(3).await
}

async fn c2_the_cursor_never_moves_back_but_by_a_seek(store: Store) -> Result<()> {
    let billing = channel(&store, 5).await?.durable("billing");
    let mut consumer = billing.consume().await?;
    assert_eq!(take(&mut consumer, 5).await?, [1, 2, 3, 4, 5]);
    consumer.ack(4).await?;
    consumer.ack(2).await?;
    assert_eq!((consumer.cursor(), billing.cursor().await?), (4, Some(4)));
    consumer.seek(1).await?;
    assert_eq!(billing.cursor().await?, Some(1));
    assert_eq!(take(&mut consumer, 2).await?, [2, 3]);
    consumer.seek(4).await?;
    assert_eq!(take(&mut consumer, 1).await?, [5]);
    Ok(())
}

async fn c2_subscriptions_of_one_channel_are_independent(store: Store) -> Result<()> {
    let channel = channel(&store, 3).await?;
    let mut consumers = Vec::new();
    // Names that a careless lock name would take for one another.
    for name in ["billing", "stock", "a/b", "a%2Fb", "/"] {
        consumers.push(channel.durable(name).consume().await?);
    }
    consumers.push(store.channel("c/a").durable("b").consume().await?);
    for consumer in &mut consumers[..5] {
        assert_eq!(take(consumer, 3).await?, [1, 2, 3]);
    }
    consumers[0].ack(3).await?;
    assert_eq!(channel.durable("stock").cursor().await?, Some(0));
    Ok(())
}

async fn c2_it_begins_where_it_was_told_to_and_only_once(store: Store) -> Result<()> {
    let channel = channel(&store, 5).await?;
    channel.trim_before(3).await?;
    for (name, start, first) in [
        ("start", From::Start, 3),
        ("now", From::Now, 6),
        ("after", From::After(3), 4),
        ("late", From::After(5), 6),
    ] {
        let durable = channel.durable(name).starting(start);
        assert_eq!(durable.cursor().await?, None, "nothing is remembered of a handle");
        drop(durable.consume().await?);
        assert_eq!(durable.cursor().await?, Some(first - 1), "{name}");
        drop(channel.durable(name).starting(From::After(0)).consume().await?);
        assert_eq!(durable.cursor().await?, Some(first - 1), "{name}, once it is known");
    }
    channel.publish(&6).await?;
    let mut now = channel.durable("now").consume().await?;
    assert_eq!(take(&mut now, 1).await?, [6]);
    Ok(())
}

async fn c2_what_has_not_come_cannot_be_acknowledged(store: Store) -> Result<()> {
    let billing = channel(&store, 3).await?.durable("billing");
    let mut consumer = billing.consume().await?;
    assert_eq!(take(&mut consumer, 1).await?, [1]);
    for sequence in [2, 3, u64::MAX] {
        let refused = consumer.ack(sequence).await.unwrap_err();
        assert!(matches!(refused, Error::InvalidArgument { .. }), "{refused:?}");
    }
    assert!(consumer.seek(u64::MAX).await.is_err());
    assert_eq!(billing.cursor().await?, Some(0));
    Ok(())
}

async fn c4_a_consumer_behind_the_tail_is_told_once(store: Store) -> Result<()> {
    let channel = channel(&store, 10).await?;
    let billing = channel.durable("billing");
    let mut consumer = billing.consume().await?;
    assert_eq!(take(&mut consumer, 2).await?, [1, 2]);
    consumer.ack(2).await?;
    drop(consumer);
    channel.retain(Retention::everything().count(3)).await?;
    let mut consumer = billing.consume().await?;
    let lagged = consumer.next().await.unwrap().unwrap_err();
    assert!(matches!(lagged, Error::Lagged { missed: 5, .. }), "{lagged:?}");
    assert_eq!(take(&mut consumer, 3).await?, [8, 9, 10]);
    consumer.ack(10).await?;
    drop(consumer);
    channel.publish(&11).await?;
    assert_eq!(take(&mut billing.consume().await?, 1).await?, [11], "not again");
    Ok(())
}

async fn c2_a_consumer_that_is_robbed_is_told(store: Store) -> Result<()> {
    let billing = channel(&store, 0).await?.durable("billing");
    let mut robbed = billing.consume().await?;
    let next = begin(robbed.next());
    assert!(next.is_pending());
    store.lock("channel/c/billing").break_lock().await?;
    assert!(matches!(next.await, Some(Err(Error::Lost { .. }))));
    assert_eq!(robbed.next().await, None);
    Ok(())
}

async fn g11_a_close_ends_a_consumer(store: Store) -> Result<()> {
    let billing = channel(&store, 0).await?.durable("billing");
    let mut consumer = billing.consume().await?;
    let next = begin(consumer.next());
    assert!(next.is_pending());
    store.close().await?;
    assert_eq!(next.await, Some(Err(Error::Closed)));
    assert!(matches!(billing.consume().await, Err(Error::Closed)));
    Ok(())
}

async fn a_subscription_that_is_removed_is_forgotten(store: Store) -> Result<()> {
    let billing = channel(&store, 3).await?.durable("billing");
    assert!(!billing.remove().await?);
    let mut consumer = billing.consume().await?;
    assert_eq!(take(&mut consumer, 2).await?, [1, 2]);
    assert!(billing.remove().await?);
    assert!(matches!(consumer.ack(2).await, Err(Error::Fenced { .. })));
    assert_eq!(billing.cursor().await?, None);
    drop(consumer);
    assert_eq!(take(&mut billing.consume().await?, 1).await?, [1], "it begins anew");
    Ok(())
}

async fn bad_names_of_subscriptions_are_refused(store: Store) -> Result<()> {
    let channel = channel(&store, 1).await?;
    for bad in ["", " ", "\0", "a\nb", &"x".repeat(513), &"x".repeat(512)] {
        assert!(matches!(channel.durable(bad).consume().await, Err(Error::InvalidName { .. })), "{bad:?}");
    }
    assert!(matches!(store.channel::<u64>("").durable("s").consume().await, Err(Error::InvalidName { .. })));
    let ttl = channel.durable("s").ttl(Duration::ZERO).consume().await;
    assert!(matches!(ttl, Err(Error::InvalidDuration { .. })));
    Ok(())
}

/// Over processes: whoever is killed leaves what he has not acknowledged to the next, at once, and nothing is left out.
#[test]
fn c2_a_killed_consumer_is_followed_by_the_next_without_a_gap() {
    on_file(|store| async move {
        let Location::File(path) = store.location().clone() else { panic!() };
        let channel = channel(&store, 100).await?;
        let billing = channel.durable("billing").ttl(Duration::from_secs(3_600));
        let mut peer = Peer::start(&path);
        // It takes 10 messages and acknowledges 7 of them.
        assert_eq!(peer.ask("consume c billing 10 7"), "10");
        assert!(billing.try_consume().await?.is_none());
        let waits = billing.consume();
        let mut waits = std::pin::pin!(waits);
        let begun = begin(waits.as_mut());
        assert!(begun.is_pending());
        drop(begun);
        until(async || Ok(store.inspect().summary().await?.tickets_waiting == 1)).await?;
        peer.killed();
        let mut consumer = waits.await?;
        assert_eq!(take(&mut consumer, 93).await?, (8..=100).collect::<Vec<u64>>());
        consumer.ack(100).await
    });
}
