//! Copies, and who else is there: who writes where it goes, who copies there too, the store itself.

use std::future::Future;
use std::sync::{Arc, Mutex};

use millpond::{CopyStep, Copying, Error, Expected, Result, Store};

use crate::backends::event;
use crate::copies::{each, fill_well, resting, stopped};
use crate::dumps::{dumped, records};

/// What a copy comes to if this is done to where it goes when it has made so many commits.
async fn disturbed<F: Future<Output = Result<()>>>(
    store: &Store,
    commits: usize,
    meanwhile: impl FnOnce(Store) -> F,
) -> Result<(Store, Error)> {
    let other = Store::memory().await?;
    let to = other.clone();
    let done = resting(
        commits,
        each(1),
        async |copying| store.copy_to(&other, copying).await,
        async || meanwhile(to).await,
    );
    Ok((other.clone(), done.await.unwrap_err()))
}

/// How many commits it takes until the store has this.
async fn commits_until(store: &Store, kind: &str) -> Result<usize> {
    let other = Store::memory().await?;
    let mut commits = 0;
    while !dumped(&other).await?.contains(&format!("\"kind\":\"{kind}\"")) {
        commits += 1;
        assert!(stopped(1, store, &other).await?);
    }
    other.close().await?;
    Ok(commits)
}

async fn who_writes_meanwhile_is_not_written_over(store: Store) -> Result<()> {
    fill_well(&store).await?;
    let entries = commits_until(&store, "dict.entry").await?;
    let (other, error) = disturbed(&store, entries, async |to| {
        let prices = to.dict::<u64>("prices");
        prices.set("lamp", &1).await?;
        prices.set("chair-3", &2).await.map(drop)
    })
    .await?;
    let Error::CopyStopped { record, reason } = &error else { panic!("{error}") };
    assert!(record.ends_with("of dict \"prices\""), "{record}");
    assert_eq!(reason, "what it comes behind is not as it was left: somebody else writes to this store");
    let prices = other.dict::<u64>("prices");
    assert_eq!(prices.get("lamp").await?.as_deref(), Some(&1));
    assert_eq!(prices.get("chair-3").await?.as_deref(), Some(&2));
    other.close().await?;

    let messages = commits_until(&store, "channel.message").await?;
    let (_, error) =
        disturbed(&store, messages, async |to| to.channel::<u64>("orders").publish(&7).await.map(drop))
            .await?;
    assert!(matches!(&error, Error::CopyStopped { record, .. } if record.contains("channel \"orders\"")));

    let items = commits_until(&store, "list.item").await?;
    let (_, error) =
        disturbed(&store, items, async |to| to.list::<u64>("numbers").push_back(&7).await.map(drop)).await?;
    assert!(matches!(&error, Error::CopyStopped { record, .. } if record.contains("list \"numbers\"")));

    let events = commits_until(&store, "stream.event").await?;
    let (_, error) = disturbed(&store, events, async |to| {
        to.events().append("own", Expected::Any, [event(1)]).await.map(drop)
    })
    .await?;
    assert!(matches!(error, Error::CopyStopped { .. }), "{error}");

    let blobs = commits_until(&store, "blob.entry").await?;
    let (_, error) =
        disturbed(&store, blobs, async |to| to.blobs("films").put("river", "a river").await.map(drop))
            .await?;
    assert!(matches!(&error, Error::CopyStopped { record, .. } if record.contains("blobs \"films\"")));
    Ok(())
}

async fn what_differs_at_the_end_is_named(store: Store) -> Result<()> {
    fill_well(&store).await?;
    let commits = {
        let count = Arc::new(Mutex::new(0));
        let told = Arc::clone(&count);
        let to = Store::memory().await?;
        let copying = each(1).progress(move |far| {
            *told.lock().unwrap() += usize::from(far.step == CopyStep::Write);
        });
        store.copy_to(&to, copying).await?;
        *count.lock().unwrap()
    };
    let (_, error) =
        disturbed(&store, commits, async |to| to.dict::<u64>("prices").set("lamp", &1).await.map(drop))
            .await?;
    let (record, reason) = ("dict \"prices\"".to_owned(), "is another one there".to_owned());
    assert_eq!(error, Error::CopyDiffers { record, reason });
    let said = "the copy is not what was copied: dict \"prices\" is another one there";
    assert_eq!(error.to_string(), said);
    let (_, error) =
        disturbed(&store, commits, async |to| to.queue::<u64>("zebras").push(&1).await.map(drop)).await?;
    assert!(matches!(error, Error::CopyDiffers { .. }), "{error}");
    Ok(())
}

async fn two_copies_do_not_meet(store: Store) -> Result<()> {
    fill_well(&store).await?;
    let other = Store::memory().await?;
    let done = resting(
        3,
        each(1),
        async |copying| store.copy_to(&other, copying).await,
        async || {
            let refused = store.copy_to(&other, Copying::new()).await;
            assert!(matches!(refused, Err(Error::CopyRefused { .. })), "{refused:?}");
            Ok(())
        },
    );
    assert!(done.await?.is_some());
    // Whoever is taken for dead writes nothing any more.
    let (_, error) =
        disturbed(&store, 3, async |to| to.lock("millpond-copy").break_lock().await.map(drop)).await?;
    assert!(matches!(error, Error::Fenced { .. }), "{error}");
    other.close().await
}

async fn a_store_is_not_copied_onto_itself(store: Store) -> Result<()> {
    fill_well(&store).await?;
    let before = dumped(&store).await?;
    let itself = "a store cannot be copied onto itself; nothing was copied";
    let refused = store.copy_to(&store.clone(), Copying::new()).await.unwrap_err();
    assert_eq!(refused.to_string(), itself);
    // Also if nobody could tell by how it was opened.
    if let millpond::Location::File(path) = store.location() {
        let looked_at = Store::builder().read_only().open(path.as_path()).await?;
        let refused = looked_at.copy_to(&store, Copying::new()).await.unwrap_err();
        assert_eq!(refused.to_string(), itself);
        let refused = store.copy_to(&looked_at, Copying::new()).await;
        assert!(matches!(refused, Err(Error::ReadOnly { .. })), "{refused:?}");
        looked_at.close().await?;
    }
    assert_eq!(records(&dumped(&store).await?), records(&before));
    Ok(())
}

each_backend! {
    who_writes_meanwhile_is_not_written_over
    what_differs_at_the_end_is_named
    two_copies_do_not_meet
    a_store_is_not_copied_onto_itself
}
