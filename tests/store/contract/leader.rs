//! LeaderElector. To lead is to have a [`Leadership`], and it is given away with it: so what the suite does to one who does not
//! lead is done here to one whose term has ended without his doing. A campaign is not re-entrant: the leader's second one waits
//! like anybody's, and his term goes on. `renew` is a condition of nothing, because terms are prolonged by themselves. A callback
//! is `changed`, which is waited for.
//!
//! Left out, because there is nothing to write down: `protocol`, and what only a handle that leads without knowing it could do,
//! `renew_before_acquiring_is_false`; and `removing_an_unknown_callback_is_false`, as nobody is registered.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use millpond::{Election, Error, Leadership, Result, Store, blocking};

use super::at_once;
use crate::backends::begin;
use crate::peer::{Peer, file};

each_backend! {
    identity_is_stable
    not_leader_before_acquiring
    current_leader_is_not_us_before_acquiring
    try_acquire_makes_leader
    try_acquire_is_idempotent_for_the_holder
    release_gives_up_leadership
    release_when_not_leader_is_ok
    release_is_idempotent
    renew_while_leader_is_true
    renew_after_release_is_false
    callbacks_fire_on_both_edges
    removed_callback_is_silent
    rival_cannot_acquire_while_held
    rival_can_acquire_after_release
    rivals_renew_is_false
    try_acquire_makes_leader_concurrently
    rival_can_acquire_after_release_concurrently
    callbacks_fire_on_both_edges_concurrently
}

async fn term(election: &Election) -> Result<Option<u64>> {
    Ok(election.leader().await?.map(|leader| leader.term))
}

/// Leads, which must be possible.
async fn leads(store: &Store) -> Result<(Election, Leadership)> {
    let election = store.election("chief");
    let leadership = election.try_campaign().await?.expect("nobody leads");
    Ok((election, leadership))
}

/// One whose term has ended without his doing.
async fn deposed(store: &Store) -> Result<(Election, Leadership)> {
    let (election, leadership) = leads(store).await?;
    assert!(store.lock("chief").break_lock().await?);
    Ok((election, leadership))
}

async fn identity_is_stable(store: Store) -> Result<()> {
    let mut identities = Vec::new();
    for _ in 0..3 {
        let (election, leadership) = leads(&store).await?;
        let leader = election.leader().await?.expect("somebody leads");
        assert_eq!(leader.process, store.inspect().process());
        identities.push(leader.identity.expect("it has told who it is"));
        leadership.resign().await?;
    }
    assert!(identities.iter().all(|identity| *identity == identities[0]));
    Ok(())
}

async fn not_leader_before_acquiring(store: Store) -> Result<()> {
    assert_eq!(term(&store.election("chief")).await?, None);
    Ok(())
}

async fn current_leader_is_not_us_before_acquiring(store: Store) -> Result<()> {
    let (_, leadership) = leads(&store).await?;
    assert_eq!(term(&store.election("other")).await?, None, "whoever leads elsewhere");
    leadership.resign().await
}

async fn try_acquire_makes_leader(store: Store) -> Result<()> {
    let (election, leadership) = leads(&store).await?;
    assert_eq!(term(&election).await?, Some(leadership.term()));
    leadership.resign().await
}

async fn try_acquire_is_idempotent_for_the_holder(store: Store) -> Result<()> {
    let (election, leadership) = leads(&store).await?;
    assert!(election.try_campaign().await?.is_none());
    assert_eq!(term(&election).await?, Some(leadership.term()), "the term goes on");
    leadership.guard().renew().await?;
    leadership.resign().await
}

async fn release_gives_up_leadership(store: Store) -> Result<()> {
    let (election, leadership) = leads(&store).await?;
    leadership.resign().await?;
    assert_eq!(term(&election).await?, None);
    Ok(())
}

/// He is told so, and whoever leads now is not disturbed.
async fn release_when_not_leader_is_ok(store: Store) -> Result<()> {
    let (election, former) = deposed(&store).await?;
    let (_, leadership) = leads(&store).await?;
    assert!(matches!(former.resign().await, Err(Error::Lost { .. })));
    assert_eq!(term(&election).await?, Some(leadership.term()));
    leadership.resign().await
}

async fn release_is_idempotent(store: Store) -> Result<()> {
    for _ in 0..3 {
        let (election, former) = deposed(&store).await?;
        // By the operator, and by hand.
        assert!(!store.lock("chief").break_lock().await?);
        drop(former);
        assert_eq!(term(&election).await?, None);
    }
    Ok(())
}

async fn renew_while_leader_is_true(store: Store) -> Result<()> {
    let (election, leadership) = leads(&store).await?;
    for _ in 0..3 {
        leadership.guard().renew().await?;
        assert_eq!(term(&election).await?, Some(leadership.term()));
    }
    leadership.resign().await
}

async fn renew_after_release_is_false(store: Store) -> Result<()> {
    let (election, former) = deposed(&store).await?;
    assert!(matches!(former.guard().renew().await, Err(Error::Lost { .. })));
    former.lost().await;
    assert_eq!(term(&election).await?, None, "it was not taken up again by that");
    Ok(())
}

async fn callbacks_fire_on_both_edges(store: Store) -> Result<()> {
    let election = store.election("chief");
    let begins = begin(election.changed(None));
    assert!(begins.is_pending());
    let (_, leadership) = leads(&store).await?;
    let told = begins.await?.map(|leader| leader.term);
    assert_eq!(told, Some(leadership.term()));
    let ends = begin(election.changed(told));
    leadership.resign().await?;
    assert_eq!(ends.await?, None);
    Ok(())
}

async fn removed_callback_is_silent(store: Store) -> Result<()> {
    let election = store.election("chief");
    let (removed, stays) = (begin(election.changed(None)), begin(election.changed(None)));
    drop(removed);
    let (_, leadership) = leads(&store).await?;
    assert_eq!(stays.await?.map(|leader| leader.term), Some(leadership.term()));
    leadership.resign().await
}

async fn rival_cannot_acquire_while_held(store: Store) -> Result<()> {
    let (_, leadership) = leads(&store).await?;
    assert!(store.election("chief").try_campaign().await?.is_none());
    leadership.resign().await
}

async fn rival_can_acquire_after_release(store: Store) -> Result<()> {
    let (election, leadership) = leads(&store).await?;
    let (first, rival) = (leadership.term(), begin(election.campaign()));
    leadership.resign().await?;
    let second = rival.await?;
    assert!(second.term() > first);
    second.resign().await
}

async fn rivals_renew_is_false(store: Store) -> Result<()> {
    let (_, rival) = deposed(&store).await?;
    let (election, leadership) = leads(&store).await?;
    assert!(matches!(rival.guard().renew().await, Err(Error::Lost { .. })));
    leadership.guard().renew().await?;
    assert_eq!(term(&election).await?, Some(leadership.term()));
    leadership.resign().await
}

async fn try_acquire_makes_leader_concurrently(store: Store) -> Result<()> {
    let election = store.election("chief");
    for _ in 0..10 {
        let tried = at_once(12, |_| {
            let election = election.clone();
            async move { election.try_campaign().await }
        });
        let mut leaders = Vec::new();
        for tried in tried.await {
            leaders.extend(tried?);
        }
        assert_eq!(leaders.len(), 1);
        assert_eq!(term(&election).await?, Some(leaders[0].term()));
        leaders.remove(0).resign().await?;
    }
    Ok(())
}

/// At most one leads, and terms grow from one to the next.
async fn rival_can_acquire_after_release_concurrently(store: Store) -> Result<()> {
    let (leading, last) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let led = at_once(12, |_| {
        let (election, leading, last) = (store.election("chief"), Arc::clone(&leading), Arc::clone(&last));
        async move {
            for _ in 0..4 {
                let leadership = election.campaign().await?;
                assert_eq!(leading.fetch_add(1, Ordering::SeqCst), 0);
                let now = usize::try_from(leadership.term()).unwrap();
                assert!(last.swap(now, Ordering::SeqCst) < now);
                leading.fetch_sub(1, Ordering::SeqCst);
                leadership.resign().await?;
            }
            Ok::<_, Error>(())
        }
    });
    led.await.into_iter().collect()
}

/// Whoever watches is told of terms that there were, in their order; of the one that stays everybody is, and of its end.
async fn callbacks_fire_on_both_edges_concurrently(store: Store) -> Result<()> {
    let (election, before_last) = (store.election("chief"), Arc::new(AtomicU64::new(u64::MAX)));
    let watchers = at_once(6, |_| {
        let (election, before_last) = (election.clone(), Arc::clone(&before_last));
        async move {
            let (mut known, mut told) = (None, vec![0]);
            loop {
                known = election.changed(known).await?.map(|leader| leader.term);
                let Some(term) = known else { continue };
                assert!(told.last() < Some(&term), "{term} after {told:?}");
                told.push(term);
                if term > before_last.load(Ordering::SeqCst) {
                    return Ok::<_, Error>(told);
                }
            }
        }
    });
    let leaders = async {
        let mut terms = BTreeSet::from([0]);
        for _ in 0..20 {
            let (_, leadership) = leads(&store).await?;
            terms.insert(leadership.term());
            leadership.resign().await?;
        }
        before_last.store(*terms.last().unwrap(), Ordering::SeqCst);
        let (_, last) = leads(&store).await?;
        terms.insert(last.term());
        Ok::<_, Error>((terms, last))
    };
    let (told, led) = tokio::join!(watchers, leaders);
    let (terms, last) = led?;
    for told in told {
        assert!(told?.iter().all(|term| terms.contains(term)));
    }
    let ends: Vec<_> = (0..6).map(|_| begin(election.changed(Some(last.term())))).collect();
    last.resign().await?;
    for end in ends {
        assert_eq!(end.await?, None);
    }
    Ok(())
}

#[test]
fn rival_cannot_acquire_while_held_over_processes() {
    let (_folder, file) = file();
    let store = blocking::Store::open(&file).unwrap();
    let (mut rival, election) = (Peer::start(&file), store.election("chief"));
    let leadership = election.try_campaign().unwrap().expect("nobody leads");
    assert_eq!(rival.ask("try chief"), "false");
    rival.tell("acquire chief 60000");
    let first = leadership.term();
    leadership.resign().unwrap();
    let second: u64 = rival.hear().parse().unwrap();
    let leader = election.leader().unwrap().expect("the rival leads");
    assert_eq!((leader.term, second > first), (second, true));
    assert_ne!(leader.process, store.inspect().process());
    assert!(election.try_campaign().unwrap().is_none());
}
