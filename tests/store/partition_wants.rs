//! Partitions of a projection: what is wanted of all of them, what is settled at the beginning, and their dead letters.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use millpond::{Attempt, Error, From, JobState, Result, Store};

use crate::backends::{until, wait};
use crate::figures::Figures;
use crate::partitions::{LONG, Seen, append, reactor, start};

each_backend! {
    how_many_partitions_there_are_is_settled_at_the_beginning
    a_revived_letter_comes_under_the_token_of_its_partition
    a_letter_that_is_purged_while_it_is_handled_ends_nobody
    one_that_is_removed_is_made_again_by_nobody_who_shares_it
    what_waits_for_its_turn_is_not_begun_once_it_is_paused
    what_is_wanted_is_wanted_of_all_partitions
    a_bad_number_of_partitions_touches_nothing
}

async fn how_many_partitions_there_are_is_settled_at_the_beginning(store: Store) -> Result<()> {
    append(&store, 3, 0).await?;
    let run = async |partitions: u32| reactor(&store, partitions).drain().run(async |_: Attempt| ()).await;
    assert_eq!(run(4).await?.done, 3);
    for (partitions, wanted) in [(3, "3 partitions"), (1, "one piece")] {
        let error = run(partitions).await.unwrap_err();
        assert!(matches!(error, Error::UsedOtherwise { .. }), "{error}");
        assert!(error.to_string().contains(wanted) && error.to_string().contains("4 partitions"), "{error}");
    }
    store.projection("mails").remove().await?;
    assert_eq!(run(1).await?.done, 3);
    assert!(matches!(run(4).await, Err(Error::UsedOtherwise { .. })));
    Ok(())
}

async fn a_revived_letter_comes_under_the_token_of_its_partition(store: Store) -> Result<()> {
    append(&store, 12, 0).await?;
    let (mended, seen) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<(String, u64)>>>::default());
    let (is_mended, to) = (Arc::clone(&mended), Arc::clone(&seen));
    let reactor = reactor(&store, 4).attempts(1).dead_letters();
    let stopper = reactor.stopper();
    let running = tokio::spawn(reactor.run(async move |event: Attempt| {
        to.lock().unwrap().push((event.stream().to_owned(), event.token()));
        if is_mended.load(Ordering::SeqCst) { Ok(()) } else { Err("not now") }
    }));
    store.projection("mails").caught_up().await?;
    let letters = store.projection("mails").dead_letters();
    assert_eq!(letters.page(Some(JobState::Dead), 0, 99).await?.jobs.len(), 12);
    mended.store(true, Ordering::SeqCst);
    letters.revive_all().await?;
    until(async || Ok(seen.lock().unwrap().len() == 24)).await?;
    until(async || Ok(letters.numbers().await?.is_some_and(|it| it.dead + it.ready + it.claimed == 0)))
        .await?;
    stopper.stop(LONG);
    assert_eq!(running.await.unwrap()?.dead, 12);
    let seen = seen.lock().unwrap();
    let tokens: HashSet<_> = seen.iter().collect();
    assert_eq!(tokens.len(), 12, "each stream under one token: {seen:?}");
    Ok(())
}

#[test]
fn a_letter_that_is_popped_by_another_partition_is_handed_over() {
    let folder = tempfile::tempdir().unwrap();
    let (figures, builder) = Figures::of(Store::builder);
    wait(async {
        let store = builder.open(folder.path().join("case.db")).await?;
        append(&store, 40, 0).await?;
        let (mended, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (is_mended, count) = (Arc::clone(&mended), Arc::clone(&done));
        let reactor = reactor(&store, 8).attempts(1).dead_letters();
        let stopper = reactor.stopper();
        let running = tokio::spawn(reactor.run(async move |_: Attempt| {
            if !is_mended.load(Ordering::SeqCst) {
                return Err("not now");
            }
            count.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }));
        store.projection("mails").caught_up().await?;
        mended.store(true, Ordering::SeqCst);
        assert_eq!(store.projection("mails").dead_letters().revive_all().await?.0, 40);
        until(async || Ok(done.load(Ordering::SeqCst) == 40)).await?;
        stopper.stop(LONG);
        assert_eq!(running.await.unwrap()?.dead, 40);
        let [given_back] = figures.since(["millpond_jobs_ended_total{given_back}"]);
        assert_eq!(given_back, 0.0);
        store.close().await
    })
    .unwrap();
}

async fn a_letter_that_is_purged_while_it_is_handled_ends_nobody(store: Store) -> Result<()> {
    append(&store, 1, 0).await?;
    let (calls, go_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (tell, wait) = (Arc::clone(&calls), Arc::clone(&go_on));
    let reactor = reactor(&store, 2).attempts(1).dead_letters();
    let stopper = reactor.stopper();
    let running =
        tokio::spawn(reactor.run(async move |_: Attempt| match tell.fetch_add(1, Ordering::SeqCst) {
            0 => Err("not now"),
            1 => {
                while !wait.load(Ordering::SeqCst) {
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
            _ => Ok(()),
        }));
    let (projection, letters) = (store.projection("mails"), store.projection("mails").dead_letters());
    projection.caught_up().await?;
    letters.revive_all().await?;
    until(async || Ok(calls.load(Ordering::SeqCst) == 2)).await?;
    let sequence = letters.page(None, 0, 9).await?.jobs[0].clone()?.sequence;
    assert!(letters.remove(sequence).await?);
    go_on.store(true, Ordering::SeqCst);
    append(&store, 1, 1).await?;
    projection.caught_up().await?;
    stopper.stop(LONG);
    let reacted = running.await.unwrap()?;
    assert_eq!((reacted.done, reacted.dead), (1, 1));
    Ok(())
}

async fn one_that_is_removed_is_made_again_by_nobody_who_shares_it(store: Store) -> Result<()> {
    append(&store, 20, 0).await?;
    let projection = store.projection("mails");
    // As many reactors as partitions, fewer, and more.
    for (partitions, reactors) in [(4, 4), (4, 2), (2, 3), (2, 6)] {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let all: Vec<_> = (0..reactors).map(|who| start(reactor(&store, partitions), who, &seen)).collect();
        projection.caught_up().await?;
        let members = store.inspect();
        until(async || {
            let line = members.lock("projection/mails/members").await?;
            Ok(line.is_some_and(|line| line.holders.len() as u64 == reactors))
        })
        .await?;
        assert!(projection.remove().await?);
        for (running, _) in all {
            running.await.unwrap()?;
        }
        assert_eq!(projection.progress().await?, None, "{partitions}, {reactors}");
        let counts: u64 = seen.lock().unwrap().counts.values().sum();
        assert_eq!(counts, 20, "each once: {partitions}, {reactors}");
    }
    Ok(())
}

async fn what_waits_for_its_turn_is_not_begun_once_it_is_paused(store: Store) -> Result<()> {
    append(&store, 40, 0).await?;
    let (begun, go_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (tell, wait) = (Arc::clone(&begun), Arc::clone(&go_on));
    let reactor = reactor(&store, 8).streams(1);
    let stopper = reactor.stopper();
    let running = tokio::spawn(reactor.run(async move |_: Attempt| {
        tell.fetch_add(1, Ordering::SeqCst);
        while !wait.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
    }));
    until(async || Ok(begun.load(Ordering::SeqCst) == 1)).await?;
    let projection = store.projection("mails");
    projection.pause().await?;
    // The news has come when the row was read again; the first handler ends only then.
    for _ in 0..200 {
        projection.progress().await?;
        tokio::task::yield_now().await;
    }
    go_on.store(true, Ordering::SeqCst);
    until(async || Ok(projection.progress().await?.is_some_and(|it| it.handled == 1))).await?;
    assert_eq!(begun.load(Ordering::SeqCst), 1, "nothing more was begun");
    projection.resume().await?;
    projection.caught_up().await?;
    stopper.stop(LONG);
    assert_eq!(running.await.unwrap()?.done, 40);
    Ok(())
}

async fn what_is_wanted_is_wanted_of_all_partitions(store: Store) -> Result<()> {
    append(&store, 20, 0).await?;
    let (projection, seen) = (store.projection("mails"), Arc::default());
    let running = start(reactor(&store, 4), 1, &seen);
    projection.caught_up().await?;
    assert!(projection.pause().await?);
    append(&store, 20, 1).await?;
    assert!(projection.reset(From::After(20)).await?);
    assert_eq!(seen.lock().unwrap().counts[&1], 20, "it is paused");
    projection.resume().await?;
    projection.caught_up().await?;
    assert_eq!(seen.lock().unwrap().counts[&1], 40);
    projection.rebuild(From::Start).await?;
    until(async || Ok(seen.lock().unwrap().counts[&1] == 80)).await?;
    assert_eq!(projection.progress().await?.map(|it| (it.partitions, it.rebuilding)), Some((4, None)));
    assert!(projection.remove().await?);
    running.0.await.unwrap()?;
    assert_eq!(projection.progress().await?, None);
    Ok(())
}

async fn a_bad_number_of_partitions_touches_nothing(store: Store) -> Result<()> {
    for partitions in [0, 65, u32::MAX] {
        let error = reactor(&store, partitions).run(async |_: Attempt| ()).await.unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
        assert!(error.to_string().contains("between 1 and 64"), "{error}");
    }
    assert_eq!(store.projection("mails").progress().await?, None);
    Ok(())
}
