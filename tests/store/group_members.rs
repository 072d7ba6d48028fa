//! The consumers of a group: how they come and go, share the work, lose it, and end.

use std::time::Duration;

use millpond::{Delivery, Error, Location, Member, Result, Store};
use nix::sys::signal::Signal;

use crate::backends::{begin, on_file, together, until, wait};
use crate::groups::{Judge, channel, next, take};
use crate::peer::Peer;

each_backend! {
    c2_consumers_that_come_and_go_leave_no_message_out
    c2_whoever_comes_gets_his_share_and_whoever_goes_leaves_it
    c2_a_part_is_not_handed_on_before_what_is_handed_out_of_it_is_acknowledged
    c2_a_consumer_whose_part_was_taken_away_acknowledges_nothing
    c2_a_member_that_is_robbed_is_told
    g11_a_close_ends_a_group
    a_group_and_a_durable_subscription_of_one_name_are_told_apart
    a_group_that_is_removed_is_forgotten
    bad_names_of_groups_are_refused
}

async fn c2_consumers_that_come_and_go_leave_no_message_out(store: Store) -> Result<()> {
    let channel = channel(&store, 300, 20).await?;
    let group = channel.group("billing");
    let (judge, mut stays) = (Judge::default(), group.join().await?);
    let coming_and_going = async {
        for round in 0..6_u64 {
            let mut guest = group.join().await?;
            // It goes in all ways: in order, dropped, and with messages that it has taken and not acknowledged.
            judge.work(&mut guest, (30 * (round as usize + 1)).min(200)).await?;
            match round % 3 {
                0 => guest.leave().await?,
                1 => drop(guest),
                _ => drop((tokio::time::timeout(Duration::from_millis(5), guest.next()).await, guest)),
            }
        }
        Ok::<_, Error>(())
    };
    let (gone, stayed) = tokio::join!(coming_and_going, judge.work(&mut stays, 300));
    gone.and(stayed)?;
    assert_eq!(judge.all(), (1..=300).collect::<Vec<u64>>());
    assert_eq!(group.cursor().await?, Some(300));
    until(async || Ok(stays.parts() == 32)).await
}

async fn c2_whoever_comes_gets_his_share_and_whoever_goes_leaves_it(store: Store) -> Result<()> {
    let group = store.channel::<u64>("c").group("billing");
    let parts = async |members: &[Member<u64>], right: &[usize]| {
        until(async || {
            let mut parts: Vec<usize> = members.iter().map(Member::parts).collect();
            parts.sort_unstable();
            Ok(parts == right)
        })
        .await
    };
    let mut members = vec![group.join().await?];
    parts(&members, &[32]).await?;
    members.push(group.join().await?);
    parts(&members, &[16, 16]).await?;
    members.push(group.join().await?);
    parts(&members, &[10, 11, 11]).await?;
    members.remove(0).leave().await?;
    parts(&members, &[16, 16]).await?;
    drop(members.remove(1));
    parts(&members, &[32]).await?;
    let tokens: Vec<u64> = members.iter().map(Member::token).collect();
    let again = group.join().await?;
    assert!(again.token() > tokens[0]);
    Ok(())
}

async fn c2_a_part_is_not_handed_on_before_what_is_handed_out_of_it_is_acknowledged(
    store: Store,
) -> Result<()> {
    let channel = channel(&store, 40, 20).await?;
    let group = channel.group("billing");
    let mut first = group.join().await?;
    // One of each key is being handled.
    let mut taken = take(&mut first, 20).await?;
    let mut second = group.join().await?;
    // It has got parts of which nothing is handed out, and there is nothing in them.
    until(async || Ok(second.parts() > 0)).await?;
    let waits = begin(second.next());
    assert!(waits.is_pending());
    drop(waits);
    for delivery in taken.drain(..) {
        delivery.ack().await?;
    }
    until(async || Ok(first.parts() == 16 && second.parts() == 16)).await?;
    let judge = Judge::default();
    let work = [&mut first, &mut second].map(|member| judge.work(member, 20));
    let own = together(work).await.into_iter().collect::<Result<Vec<usize>>>()?;
    assert!(own.iter().all(|own| *own > 0), "{own:?}: both had work");
    assert_eq!(judge.all(), (21..=40).collect::<Vec<u64>>());
    Ok(())
}

/// Whose part a message is, by the locks.
async fn break_part_of(store: &Store, delivery: &Delivery<u64>) -> Result<()> {
    let mut after = None;
    loop {
        let locks = store.inspect().locks(after.as_deref(), 100).await?;
        let held = |lock: &&millpond::LockLine| {
            lock.holders.iter().any(|holder| holder.grant.token == delivery.token())
        };
        if let Some(lock) = locks.iter().find(held) {
            assert!(store.lock(&lock.name).break_lock().await?);
            return Ok(());
        }
        after = Some(locks.last().expect("it is held").name.clone());
    }
}

async fn c2_a_consumer_whose_part_was_taken_away_acknowledges_nothing(store: Store) -> Result<()> {
    let channel = channel(&store, 2, 1).await?;
    let group = channel.group("billing");
    let mut member = group.join().await?;
    let stale = next(&mut member).await?;
    break_part_of(&store, &stale).await?;
    let token = stale.token();
    assert!(matches!(stale.ack().await, Err(Error::Fenced { .. })));
    assert_eq!(group.cursor().await?, Some(0));
    let again = next(&mut member).await?;
    assert_eq!(**again, 1, "it has the part anew, and the message comes again");
    assert!(again.token() > token);
    again.ack().await?;
    assert_eq!(group.cursor().await?, Some(1));
    Ok(())
}

async fn c2_a_member_that_is_robbed_is_told(store: Store) -> Result<()> {
    let group = store.channel::<u64>("c").group("billing");
    let mut robbed = group.join().await?;
    let waits = begin(robbed.next());
    assert!(waits.is_pending());
    assert!(store.lock("channel/c/billing").break_lock().await?);
    assert!(matches!(waits.await, Some(Err(Error::Lost { .. }))));
    assert!(robbed.next().await.is_none());
    let other = group.join().await?;
    until(async || Ok(other.parts() == 32)).await?;
    assert!(matches!(robbed.leave().await, Err(Error::Lost { .. })));
    Ok(())
}

async fn g11_a_close_ends_a_group(store: Store) -> Result<()> {
    let group = store.channel::<u64>("c").group("billing");
    let mut member = group.join().await?;
    let mut thread = store.blocking().channel::<u64>("c").group("billing").join()?;
    let blocked = tokio::task::spawn_blocking(move || {
        let first = thread.next().map(|found| found.map(drop));
        (first, thread.next().is_none())
    });
    let waits = begin(member.next());
    assert!(waits.is_pending());
    store.close().await?;
    assert!(matches!(waits.await, Some(Err(Error::Closed))));
    assert!(member.next().await.is_none());
    assert_eq!(blocked.await.unwrap(), (Some(Err(Error::Closed)), true));
    assert!(matches!(group.join().await, Err(Error::Closed)));
    Ok(())
}

async fn a_group_and_a_durable_subscription_of_one_name_are_told_apart(store: Store) -> Result<()> {
    let channel = channel(&store, 1, 1).await?;
    drop(channel.durable("a").consume().await?);
    assert!(matches!(channel.group("a").join().await, Err(Error::UsedOtherwise { .. })));
    drop(channel.group("b").join().await?);
    assert!(matches!(channel.durable("b").consume().await, Err(Error::UsedOtherwise { .. })));
    Ok(())
}

async fn a_group_that_is_removed_is_forgotten(store: Store) -> Result<()> {
    let channel = channel(&store, 3, 3).await?;
    let group = channel.group("billing");
    assert!(!group.remove().await?);
    let mut member = group.join().await?;
    let taken = take(&mut member, 3).await?;
    assert!(group.remove().await?);
    for delivery in taken {
        assert!(matches!(delivery.ack().await, Err(Error::Fenced { .. })));
    }
    assert_eq!(group.cursor().await?, None);
    drop(member);
    let mut again = group.join().await?;
    assert_eq!(take(&mut again, 3).await?.len(), 3, "it begins anew");
    Ok(())
}

async fn bad_names_of_groups_are_refused(store: Store) -> Result<()> {
    let channel = channel(&store, 1, 1).await?;
    for bad in ["", " ", "\0", "a\nb", &"x".repeat(513), &"x".repeat(500)] {
        assert!(matches!(channel.group(bad).join().await, Err(Error::InvalidName { .. })), "{bad:?}");
    }
    assert!(matches!(store.channel::<u64>("").group("g").join().await, Err(Error::InvalidName { .. })));
    let ttl = channel.group("g").ttl(Duration::ZERO).join().await;
    assert!(matches!(ttl, Err(Error::InvalidDuration { .. })));
    Ok(())
}

/// Over processes: whoever is killed leaves what he has not acknowledged to the others, at once and whatever the time to
/// live is.
#[test]
fn c2_a_killed_member_is_followed_by_the_others_without_a_gap() {
    on_file(|store| async move {
        let Location::File(path) = store.location().clone() else { panic!() };
        let channel = channel(&store, 100, 50).await?;
        let group = channel.group("billing").ttl(Duration::from_secs(3_600));
        let mut peers = [Peer::start(&path), Peer::start(&path)];
        assert_eq!(peers[0].ask("join c billing 3600000"), "joined");
        // It takes 40 messages, of 40 keys, and acknowledges 25 of them.
        let acknowledged = peers[0].ask("deliver 40 25");
        let mut done: Vec<u64> = acknowledged.split(' ').map(|n| n.parse().unwrap()).collect();
        assert_eq!(done.len(), 25);
        let mut member = group.join().await?;
        assert_eq!(peers[1].ask("join c billing 3600000"), "joined");
        let [first, second] = peers;
        first.killed();
        until(async || Ok(member.parts() == 16)).await?;
        second.killed();
        until(async || Ok(member.parts() == 32)).await?;
        while done.len() < 100 {
            let delivery = next(&mut member).await?;
            let own = done.iter().filter(|n| *n % 50 == delivery.sequence() % 50);
            assert!(own.max().is_none_or(|last| *last < delivery.sequence()), "in order, and none again");
            done.push(delivery.sequence());
            delivery.ack().await?;
        }
        done.sort_unstable();
        assert_eq!(done, (1..=100).collect::<Vec<u64>>());
        assert_eq!(group.cursor().await?, Some(100));
        Ok(())
    });
}

/// One that is stopped past its lease is fenced, and its messages are others'.
#[test]
fn c2_a_stopped_member_is_fenced() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shared.db");
    wait(async {
        let store = Store::builder().call_timeout(Duration::from_secs(3)).open(&file).await?;
        let channel = channel(&store, 1, 1).await?;
        let mut peer = Peer::start(&file);
        assert_eq!(peer.ask("join c billing 300"), "joined");
        assert_eq!(peer.ask("deliver 1 0"), "");
        let mut member = loop {
            peer.signal(Signal::SIGSTOP);
            match channel.group("billing").join().await {
                // It was stopped in the middle of a commit, and with it all writers (G8): once more.
                Err(Error::Busy { .. }) => {
                    peer.signal(Signal::SIGCONT);
                    until(async || Ok(store.lock("any").try_acquire().await.is_ok())).await?;
                }
                joined => break joined?,
            }
        };
        let delivery = next(&mut member).await?;
        assert_eq!(**delivery, 1);
        peer.signal(Signal::SIGCONT);
        assert_eq!(peer.ask("acknowledge"), "Fenced");
        delivery.ack().await?;
        assert_eq!(peer.ask("deliver 1 0"), "Lost");
        drop(member);
        store.close().await
    })
    .unwrap();
}
