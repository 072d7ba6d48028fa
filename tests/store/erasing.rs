//! Deleting streams: what is gone, what stays, and who finds out.

use std::future::Future;
use std::path::Path;

use millpond::blocking;
use millpond::{CommandError, Deleted, Error, Event, Execute, Expected, Repository, Result, Store};
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use crate::aggregates::{Account, Do};
use crate::backends::{event, wait};

each_backend! {
    an_aggregate_starts_anew_behind_its_deletion
    a_command_that_was_carried_out_stays_so_when_its_events_are_deleted
    a_closed_aggregate_refuses_every_command
    a_deletion_tells_who_watches
    more_than_a_portion_is_deleted_in_one_call
}

async fn an_aggregate_starts_anew_behind_its_deletion(store: Store) -> Result<()> {
    let alice = store.aggregate::<Account>("alice");
    for _ in 0..12 {
        alice.execute(Do::Deposit(5)).await.unwrap();
    }
    assert_eq!(alice.state().await?.cents, 60, "with a snapshot on the way");
    let events = store.events();
    let wrong = events.delete("account-alice", Expected::Version(3)).await;
    assert!(matches!(wrong, Err(Error::Conflict { actual: 12, .. })), "{wrong:?}");
    let deleted = events.delete("account-alice", Expected::Version(12)).await?;
    assert_eq!(deleted, Deleted { events: 12, version: 13 });
    // The actor has the old state, and is told by the version that it counts no more.
    let refused = alice.execute(Do::Withdraw(1)).await;
    assert!(matches!(refused, Err(CommandError::Rejected(_))), "{refused:?}");
    assert_eq!(alice.state().await?, Account::default());
    assert_eq!(alice.execute(Do::Deposit(7)).await.unwrap().version, 14);
    assert_eq!(alice.at_version(14).await?.cents, 7);
    assert_eq!(alice.at_version(5).await?, Account::default(), "of what was deleted nothing is left");
    let draft = Repository::<Account>::new(events.clone()).load("alice").await?;
    assert_eq!((draft.version(), draft.state().cents), (14, 7));
    let mut history = alice.history();
    assert_eq!(history.next().await.unwrap()?.version(), 14);
    assert!(history.next().await.is_none());
    let mut all = events.read_all().with_deleted();
    let (mut deleted, mut places) = (0, 0);
    while let Some(event) = all.next().await {
        let event = event?;
        places += 1;
        assert_eq!(event.position(), places);
        deleted += u64::from(event.is_deleted());
    }
    assert_eq!((places, deleted), (14, 13));
    Ok(())
}

async fn a_command_that_was_carried_out_stays_so_when_its_events_are_deleted(store: Store) -> Result<()> {
    let alice = store.aggregate::<Account>("alice");
    let how = Execute::new().id(Uuid::from_u128(7));
    let first = alice.execute_with(Do::Deposit(5), how.clone()).await.unwrap();
    store.events().delete("account-alice", Expected::Any).await?;
    let again = alice.execute_with(Do::Deposit(5), how).await.unwrap();
    assert_eq!((again.version, again.repeated, again.events.len()), (first.version, true, 0));
    assert_eq!(alice.state().await?.cents, 0);
    assert_eq!(store.events().find(first_id(&store).await?).await?, None);
    Ok(())
}

/// The id of the store's first event, which is deleted.
async fn first_id(store: &Store) -> Result<Uuid> {
    store.events().read_all().with_deleted().next().await.unwrap().map(|event| event.id())
}

async fn a_closed_aggregate_refuses_every_command(store: Store) -> Result<()> {
    let alice = store.aggregate::<Account>("alice");
    alice.execute(Do::Deposit(5)).await.unwrap();
    let closed = store.events().tombstone("account-alice", Expected::Exists).await?;
    assert_eq!(closed, Deleted { events: 1, version: 2 });
    let refused = Error::StreamClosed { stream: "account-alice".into() };
    assert_eq!(alice.execute(Do::Deposit(5)).await.unwrap_err(), CommandError::Failed(refused.clone()));
    assert_eq!(store.events().append("account-alice", Expected::Any, [event(1)]).await, Err(refused.clone()));
    let import = store.events().import([("account-alice".to_owned(), event(2).id(Uuid::from_u128(2)))]).await;
    assert_eq!(import.unwrap_err(), refused);
    let mut batch = store.batch();
    batch.push(&store.queue("mail"), &1)?;
    batch.append("account-alice", Expected::Any, [event(3)])?;
    assert_eq!(batch.commit().await.unwrap_err(), refused);
    assert!(store.queue::<u8>("mail").try_pop().await?.is_none());
    assert_eq!(
        store.events().tombstone("account-alice", Expected::NoStream).await?.events,
        0,
        "closed already"
    );
    Ok(())
}

async fn a_deletion_tells_who_watches(store: Store) -> Result<()> {
    let events = store.events();
    events.append("person-7", Expected::Any, [event(1)]).await?;
    let mut changes = store.watch("person-*").await?;
    events.delete("person-7", Expected::Any).await?;
    let change = changes.next().await.unwrap()?;
    assert_eq!((change.name(), change.sequence()), ("person-7", Some(2)));
    Ok(())
}

async fn more_than_a_portion_is_deleted_in_one_call(store: Store) -> Result<()> {
    let events = store.events();
    for chunk in 0..5 {
        let chunk: Vec<Event> = (0..500).map(|number| event(chunk * 500 + number)).collect();
        events.append("s", Expected::Any, chunk).await?;
    }
    let deleted = events.delete("s", Expected::Any).await?;
    assert_eq!(deleted, Deleted { events: 2_500, version: 2_501 });
    assert!(events.read_all().next().await.is_none());
    Ok(())
}

/// All bytes of all files of a store that is closed.
pub(crate) fn bytes_of(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap();
    files.flat_map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
}

/// Whether a text is among the bytes.
pub(crate) fn contains(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

/// Streams that grow side by side, with events that share a page and events on pages of their own, and are deleted one after
/// the other: SQLite moves what lies in a page when the page is full, or becomes emptier.
#[test]
fn what_was_deleted_is_not_in_the_file_any_more() {
    let secret = |stream: usize, number: usize| format!("SECRET{stream}.{number}:");
    let streams = ["a-1", "b-1", "c-1", "d-1"];
    proptest!(ProptestConfig::with_cases(24), |(
        events in vec((0..streams.len(), prop_oneof![4 => 0..60_usize, 2 => 60..3_000_usize, 1 => 3_000..30_000_usize]), 1..120),
        order in Just([0, 1, 2, 3]).prop_shuffle(),
        gone in 1..=streams.len(),
    )| {
        let folder = tempfile::tempdir().unwrap();
        let store = blocking::Store::open(folder.path().join("case.db")).unwrap();
        for (number, (stream, size)) in events.iter().enumerate() {
            let secret = secret(*stream, number);
            let event = Event::new("Named", &format!("{secret}{}", "x".repeat(*size))).unwrap();
            let event = event.metadata(format!("{{\"m\":\"{secret}\"}}"));
            store.events().append(streams[*stream], Expected::Any, [event]).unwrap();
        }
        let gone = &order[..gone];
        for stream in gone {
            store.events().delete(streams[*stream], Expected::Any).unwrap();
        }
        store.close().unwrap();
        let bytes = bytes_of(folder.path());
        for (number, (stream, _)) in events.iter().enumerate() {
            let secret = secret(*stream, number);
            let is_there = contains(&bytes, &secret);
            prop_assert_eq!(is_there, !gone.contains(stream), "{}", secret);
        }
    });
}

#[test]
fn g4_a_deletion_that_was_interrupted_is_done_by_whoever_asks_again() {
    wait(async {
        let store = Store::memory().await?;
        let events = store.events();
        events.append("s", Expected::Any, (0..1_000).map(event).collect::<Vec<_>>()).await?;
        events.append("s", Expected::Any, (1_000..1_500).map(event).collect::<Vec<_>>()).await?;
        // Dropped behind its first portion, or before it.
        let mut deleting = Box::pin(events.delete("s", Expected::Any));
        std::future::poll_fn(|context| {
            let _ = deleting.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
        drop(deleting);
        events.delete("s", Expected::Any).await?;
        assert!(events.read_all().next().await.is_none());
        store.close().await
    })
    .unwrap();
}
