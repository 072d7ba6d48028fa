//! Groups of consumers: each message for one of them, those of a key in order and one at a time.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use futures_core::Stream;
use millpond::{Channel, Delivery, Error, From, Group, Member, Result, Retention, Stamp, Store};

use crate::backends::{begin, together, until};

each_backend! {
    c2_each_message_of_a_group_goes_to_one_and_those_of_a_key_in_order
    c2_the_next_message_of_a_key_comes_when_the_one_before_was_acknowledged
    c2_a_message_that_is_dropped_comes_again_before_the_later_ones_of_its_key
    c2_the_cursor_of_a_group_is_what_all_below_was_acknowledged_of
    c2_what_was_acknowledged_comes_to_nobody_again
    c2_one_slow_message_does_not_hold_up_the_other_keys
    c2_a_dropped_next_or_ack_of_a_group_loses_nothing
    c2_what_was_about_to_be_given_up_and_is_kept_after_all_comes_to_who_waits
    c2_a_group_begins_where_it_was_told_to_and_only_once
    c4_what_retention_removed_is_told_once_to_a_group
    drawer_e2_a_message_of_a_group_that_cannot_be_decoded_ends_nothing
}

pub(crate) async fn publish(channel: &Channel<u64>, n: u64, key: &str) -> Result<u64> {
    channel.publish_with(&n, Stamp::new().key(key)).await
}

/// Numbers from 1 on, of so many keys in turn.
pub(crate) async fn channel(store: &Store, messages: u64, keys: u64) -> Result<Channel<u64>> {
    let channel = store.channel("c");
    for n in 1..=messages {
        publish(&channel, n, &format!("key-{}", n % keys)).await?;
    }
    Ok(channel)
}

pub(crate) async fn next(member: &mut Member<u64>) -> Result<Delivery<u64>> {
    member.next().await.expect("the store is open")
}

/// Takes so many and acknowledges none.
pub(crate) async fn take(member: &mut Member<u64>, count: usize) -> Result<Vec<Delivery<u64>>> {
    let mut taken = Vec::new();
    for _ in 0..count {
        taken.push(next(member).await?);
    }
    Ok(taken)
}

pub(crate) fn numbers(taken: &[Delivery<u64>]) -> Vec<u64> {
    taken.iter().map(|delivery| ***delivery).collect()
}

/// Watches that messages of one key come in order, and never while another one of it is being handled.
#[derive(Default)]
pub(crate) struct Judge(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    /// By key, what is being handled.
    handled: BTreeMap<String, u64>,
    /// By key, what was acknowledged, in order.
    done: BTreeMap<String, Vec<u64>>,
}

impl Judge {
    fn count(&self) -> usize {
        self.0.lock().unwrap().done.values().map(Vec::len).sum()
    }

    /// Handles what comes, until all are done by somebody.
    pub(crate) async fn work(&self, member: &mut Member<u64>, all: usize) -> Result<usize> {
        let mut own = 0;
        while self.count() < all {
            let Ok(found) = tokio::time::timeout(Duration::from_millis(20), member.next()).await else {
                continue;
            };
            let delivery = found.expect("the store is open")?;
            let key = delivery.key().unwrap_or("none").to_owned();
            let before = self.0.lock().unwrap().handled.insert(key.clone(), delivery.sequence());
            assert_eq!(before, None, "{key} is handled already");
            tokio::task::yield_now().await;
            {
                let mut seen = self.0.lock().unwrap();
                seen.handled.remove(&key);
                let done = seen.done.entry(key).or_default();
                assert!(done.last().is_none_or(|last| *last < delivery.sequence()), "in order, each once");
                done.push(delivery.sequence());
            }
            delivery.ack().await?;
            own += 1;
        }
        Ok(own)
    }

    pub(crate) fn all(&self) -> Vec<u64> {
        let mut all: Vec<u64> = self.0.lock().unwrap().done.values().flatten().copied().collect();
        all.sort_unstable();
        all
    }
}

async fn c2_each_message_of_a_group_goes_to_one_and_those_of_a_key_in_order(store: Store) -> Result<()> {
    let channel = channel(&store, 150, 12).await?;
    let group = channel.group("billing");
    let mut members = Vec::new();
    for _ in 0..3 {
        members.push(group.join().await?);
    }
    let judge = Judge::default();
    let work = members.iter_mut().map(|member| judge.work(member, 300));
    let publishing = async {
        for n in 151..=300_u64 {
            publish(&channel, n, &format!("key-{}", n % 12)).await?;
        }
        Ok::<_, Error>(())
    };
    let (own, published) = tokio::join!(together(work), publishing);
    published?;
    own.into_iter().collect::<Result<Vec<usize>>>()?;
    assert_eq!(judge.all(), (1..=300).collect::<Vec<u64>>());
    assert_eq!(group.cursor().await?, Some(300));
    Ok(())
}

async fn c2_the_next_message_of_a_key_comes_when_the_one_before_was_acknowledged(store: Store) -> Result<()> {
    let channel = store.channel("c");
    for (n, key) in [(1, "a"), (2, "a"), (3, "b"), (4, "a"), (5, "b")] {
        publish(&channel, n, key).await?;
    }
    channel.publish(&6).await?;
    channel.publish(&7).await?;
    let mut member = channel.group("billing").join().await?;
    until(async || Ok(member.parts() == 32)).await?;
    let mut taken = take(&mut member, 4).await?;
    taken.sort_by_key(|delivery| delivery.sequence());
    assert_eq!(numbers(&taken), [1, 3, 6, 7], "the first of each key, and what has none");
    let waits = begin(member.next());
    assert!(waits.is_pending());
    taken.remove(1).ack().await?;
    let five = waits.await.unwrap()?;
    assert_eq!(**five, 5);
    taken.remove(0).ack().await?;
    let two = next(&mut member).await?;
    assert_eq!(**two, 2);
    two.ack().await?;
    assert_eq!(**next(&mut member).await?, 4);
    Ok(())
}

async fn c2_a_message_that_is_dropped_comes_again_before_the_later_ones_of_its_key(
    store: Store,
) -> Result<()> {
    let channel = channel(&store, 3, 1).await?;
    let mut member = channel.group("billing").join().await?;
    for _ in 0..3 {
        let one = next(&mut member).await?;
        assert_eq!(**one, 1);
        assert!(begin(member.next()).is_pending());
    }
    next(&mut member).await?.ack().await?;
    assert_eq!(**next(&mut member).await?, 2);
    Ok(())
}

async fn c2_the_cursor_of_a_group_is_what_all_below_was_acknowledged_of(store: Store) -> Result<()> {
    let channel = channel(&store, 9, 9).await?;
    let group = channel.group("billing");
    assert_eq!(group.cursor().await?, None);
    let mut member = group.join().await?;
    assert_eq!(group.cursor().await?, Some(0));
    let mut taken = take(&mut member, 9).await?;
    taken.sort_by_key(|delivery| delivery.sequence());
    for (position, cursor) in [(8, 0), (1, 0), (0, 2), (5, 2), (2, 3), (0, 4), (0, 6)] {
        // Positions are those among what is left.
        taken.remove(position.min(taken.len() - 1)).ack().await?;
        let left = numbers(&taken);
        let right = left.first().copied().unwrap_or(10) - 1;
        assert_eq!(group.cursor().await?, Some(right), "{left:?} {cursor}");
    }
    Ok(())
}

async fn c2_what_was_acknowledged_comes_to_nobody_again(store: Store) -> Result<()> {
    let channel = channel(&store, 600, 600).await?;
    let group = channel.group("billing");
    let mut member = group.join().await?;
    for delivery in take(&mut member, 600).await? {
        if delivery.sequence().is_multiple_of(3) {
            delivery.ack().await?;
        }
    }
    member.leave().await?;
    let mut again = group.join().await?;
    let mut taken = numbers(&take(&mut again, 400).await?);
    taken.sort_unstable();
    assert_eq!(taken, (1..=600).filter(|n| n % 3 > 0).collect::<Vec<u64>>());
    Ok(())
}

async fn c2_one_slow_message_does_not_hold_up_the_other_keys(store: Store) -> Result<()> {
    let channel = store.channel("c");
    let mut member = channel.group("billing").join().await?;
    publish(&channel, 0, "slow").await?;
    let slow = next(&mut member).await?;
    // More of its key than is kept at hand, and than a page holds.
    for _ in 0..1_500 {
        publish(&channel, 1, "slow").await?;
    }
    for n in 0..200 {
        publish(&channel, 2, &format!("key-{n}")).await?;
    }
    let mut quick = 0;
    while quick < 180 {
        // Only those that share its part may have to wait.
        let delivery = next(&mut member).await?;
        assert_eq!(**delivery, 2);
        delivery.ack().await?;
        quick += 1;
    }
    slow.ack().await?;
    let mut sequences = Vec::new();
    for _ in 0..1_520 {
        let delivery = next(&mut member).await?;
        if **delivery == 1 {
            sequences.push(delivery.sequence());
        }
        delivery.ack().await?;
    }
    assert_eq!(sequences, (2..=1_501).collect::<Vec<u64>>());
    Ok(())
}

async fn c2_a_dropped_next_or_ack_of_a_group_loses_nothing(store: Store) -> Result<()> {
    let channel = store.channel("c");
    let group = channel.group("billing");
    let mut member = group.join().await?;
    for n in 1..=60 {
        drop(begin(member.next()));
        publish(&channel, n, "key").await?;
        let delivery = next(&mut member).await?;
        assert_eq!(**delivery, n);
        let acknowledging = begin(delivery.ack());
        if n.is_multiple_of(2) && acknowledging.is_pending() {
            // Nobody knows what became of it: it comes again, and nothing else may come before it.
            drop(acknowledging);
            let again = begin(member.next());
            let again = if again.is_pending() {
                drop(again);
                next(&mut member).await?
            } else {
                again.await.unwrap()?
            };
            assert_eq!(**again, n);
            again.ack().await?;
        } else {
            acknowledging.await?;
        }
    }
    assert_eq!(group.cursor().await?, Some(60));
    for cancelled in 0..20 {
        let joining = group.join();
        let mut joining = std::pin::pin!(joining);
        for _ in 0..cancelled {
            let begun = begin(joining.as_mut());
            if !begun.is_pending() {
                break;
            }
            drop(begun);
            tokio::task::yield_now().await;
        }
    }
    until(async || Ok(member.parts() == 32)).await
}

async fn c2_what_was_about_to_be_given_up_and_is_kept_after_all_comes_to_who_waits(
    store: Store,
) -> Result<()> {
    let channel = channel(&store, 400, 400).await?;
    let group = channel.group("billing");
    let mut member = group.join().await?;
    until(async || Ok(member.parts() == 32)).await?;
    // Some of every part is handed out, so none can be given up.
    let mut taken = take(&mut member, 300).await?;
    let other = group.join().await?;
    until(async || Ok(member.parts() == 16)).await?;
    loop {
        let more = begin(member.next());
        if more.is_pending() {
            break;
        }
        taken.push(more.await.unwrap()?);
    }
    assert!(taken.len() < 400, "what is about to be given up is handed out no more");
    let (more, left) = tokio::join!(member.next(), other.leave());
    left?;
    taken.push(more.unwrap()?);
    let missing = 400 - taken.len();
    taken.extend(take(&mut member, missing).await?);
    let mut numbers = numbers(&taken);
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=400).collect::<Vec<u64>>());
    Ok(())
}

async fn c2_a_group_begins_where_it_was_told_to_and_only_once(store: Store) -> Result<()> {
    let channel = channel(&store, 5, 5).await?;
    for (name, start, cursor) in
        [("start", From::Start, 0), ("now", From::Now, 5), ("after", From::After(3), 3)]
    {
        let group = channel.group(name).starting(start);
        group.join().await?.leave().await?;
        channel.group(name).starting(From::After(1)).join().await?.leave().await?;
        assert_eq!(group.cursor().await?, Some(cursor), "{name}");
    }
    let mut now = channel.group("now").join().await?;
    publish(&channel, 6, "key-1").await?;
    assert_eq!(**next(&mut now).await?, 6);
    Ok(())
}

async fn c4_what_retention_removed_is_told_once_to_a_group(store: Store) -> Result<()> {
    let channel = channel(&store, 20, 20).await?;
    let group = channel.group("billing");
    let mut member = group.join().await?;
    for delivery in take(&mut member, 20).await? {
        if [3, 5, 18].contains(&delivery.sequence()) {
            delivery.ack().await?;
        }
    }
    member.leave().await?;
    channel.retain(Retention::everything().count(5)).await?;
    let (mut one, mut other) = (group.join().await?, group.join().await?);
    until(async || Ok(one.parts() == 16 && other.parts() == 16)).await?;
    let (mut missed, mut came) = (Vec::new(), Vec::new());
    for member in [&mut one, &mut other] {
        while let Ok(found) = tokio::time::timeout(Duration::from_millis(300), member.next()).await {
            match found.unwrap() {
                Ok(delivery) => {
                    came.push(**delivery);
                    delivery.ack().await?;
                }
                Err(Error::Lagged { kind: "channel", missed: count, .. }) => missed.push(count),
                Err(other) => return Err(other),
            }
        }
    }
    came.sort_unstable();
    assert_eq!(
        (missed, came),
        (vec![13], vec![16, 17, 19, 20]),
        "15 were removed, and two of them were done"
    );
    assert_eq!(group.cursor().await?, Some(20));
    Ok(())
}

async fn drawer_e2_a_message_of_a_group_that_cannot_be_decoded_ends_nothing(store: Store) -> Result<()> {
    let channel = store.channel::<u64>("c");
    store.channel("c").publish(&"one").await?;
    channel.publish(&2).await?;
    let group = channel.group("billing");
    let mut member = group.join().await?;
    let (mut bad, mut good) = (0, 0);
    for _ in 0..2 {
        match member.next().await.unwrap() {
            Err(Error::Decode { .. }) => bad += 1,
            Ok(delivery) => {
                delivery.ack().await?;
                good += 1;
            }
            Err(other) => return Err(other),
        }
    }
    channel.publish(&3).await?;
    assert_eq!((**next(&mut member).await?, bad, good), (3, 1, 1));
    assert_eq!(group.cursor().await?, Some(2), "it counts as acknowledged");
    Ok(())
}

/// What the traits promise, checked by the compiler.
#[test]
fn a_member_is_a_stream_for_any_executor() {
    fn is<S: Stream<Item = Result<Delivery<u64>>> + Send + Unpin + 'static>() {}
    is::<Member<u64>>();
    fn sends<T: Send + Sync + 'static>() {}
    sends::<(Group<u64>, Delivery<u64>)>();
}

#[test]
fn the_blocking_face_has_groups_too() {
    let store = millpond::blocking::Store::memory().unwrap();
    let channel = store.channel::<u64>("c");
    channel.publish_all(&[1, 2, 3]).unwrap();
    let group = channel.group("billing").ttl(Duration::from_secs(9)).starting(From::After(1));
    let mut member = group.join().unwrap();
    let mut taken: Vec<_> = (&mut member).take(2).map(Result::unwrap).collect();
    assert!(taken[0].token() > 0 && member.token() > 0 && member.parts() > 0);
    taken.sort_by_key(|delivery| delivery.sequence());
    assert_eq!(taken.iter().map(|delivery| ***delivery).collect::<Vec<u64>>(), [2, 3]);
    taken.into_iter().for_each(|delivery| delivery.ack().unwrap());
    assert_eq!(group.cursor().unwrap(), Some(3));
    member.leave().unwrap();
    assert!(group.remove().unwrap());
    store.close().unwrap();
}
