//! Snapshots, with TypeInvalidation and Deserialization. Here a snapshot is a cache that an aggregate's actor keeps by itself:
//! whatever is wrong with one costs a replay, never an error. So some of it is told by what a state was made from.
//!
//! Left out, because nobody deletes a snapshot: `delete_true_then_gone` and `delete_missing_false` (one that must not be used any
//! more is so by its schema, and overwritten by the next); and both `protocol` tests, which are the compiler's here.
//! `delete_by_type` is a schema that was raised, and "below" is "another": also a newer one is not understood.
//! `malformed_state` is no error but a replay, and counted.

use std::convert::Infallible;

use millpond::{Aggregate, Decision, Result, Snapshots, Store};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::at_once;
use crate::backends::until;

each_backend! {
    round_trip_is_equal
    missing_is_none
    save_overwrites
    exists_before_and_after
    types_are_independent
    delete_by_type_deletes_the_matching_type_only
    schema_version_below_filter
    malformed_state_raises_deserialization_error
    save_overwrites_concurrently
    types_are_independent_concurrently
}

/// A sum, of one of several kinds, whose snapshots have a schema. It knows how many events it was made from since it came out
/// of one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Sum<const KIND: u8, const SCHEMA: u32, T> {
    total: u64,
    other: T,
    #[serde(skip)]
    replayed: u64,
}

/// What the sums of a kind are now, after a change of the schema, and as somebody would have it who has forgotten to change it.
type Today = Sum<0, 1, String>;
type Tomorrow = Sum<0, 2, String>;
type Mistaken = Sum<0, 1, (u64, [f64; 20])>;
type Neighbour = Sum<1, 1, String>;

#[derive(Serialize, Deserialize)]
enum Happened {
    Added(u64),
}

trait Other: Default + Clone + Serialize + DeserializeOwned + Send + 'static {
    fn after(total: u64) -> Self;
}

impl Other for String {
    fn after(total: u64) -> String {
        format!("\0 ünd {total}")
    }
}

impl Other for (u64, [f64; 20]) {
    fn after(total: u64) -> (u64, [f64; 20]) {
        (total, [0.5; 20])
    }
}

impl<const KIND: u8, const SCHEMA: u32, T: Other> Aggregate for Sum<KIND, SCHEMA, T> {
    const KIND: &'static str = if KIND == 0 { "sum" } else { "neighbour" };
    type Command = u64;
    type Event = Happened;
    type Rejection = Infallible;

    fn decide(&self, add: &u64) -> Result<Decision<Self>, Infallible> {
        Ok([Happened::Added(*add)].into())
    }

    fn evolve(&mut self, Happened::Added(add): &Happened) {
        self.total += add;
        self.other = T::after(self.total);
        self.replayed += 1;
    }

    fn snapshots() -> Snapshots<Self> {
        Snapshots::every(3).schema(SCHEMA)
    }
}

/// Adds ones until there are so many, and waits until so many snapshots are kept.
async fn add<A: Aggregate<Command = u64, Rejection = Infallible>>(
    store: &Store,
    version: u64,
    snapshots: u64,
) -> Result<()> {
    let sum = store.aggregate::<A>("a");
    while sum.execute(1).await.unwrap().version < version {}
    until(async || Ok(store.inspect().summary().await?.snapshots == snapshots)).await
}

/// The total at a version, and how many events were replayed for it.
async fn at<const K: u8, const S: u32, T: Other>(store: &Store, version: u64) -> Result<(u64, u64)> {
    let sum = store.aggregate::<Sum<K, S, T>>("a").at_version(version).await?;
    Ok((sum.total, sum.replayed))
}

/// How many states came out of snapshots, and how many snapshots were of no use.
fn figures(store: &Store) -> (u64, u64) {
    let figures = store.inspect().snapshots();
    (figures.used, figures.unusable)
}

async fn round_trip_is_equal(store: Store) -> Result<()> {
    add::<Today>(&store, 3, 1).await?;
    let kept = store.aggregate::<Today>("a").at_version(3).await?;
    assert_eq!((kept.replayed, figures(&store)), (0, (1, 0)), "it came out of the snapshot");
    assert_eq!((kept.total, kept.other), (3, String::after(3)));
    Ok(())
}

async fn missing_is_none(store: Store) -> Result<()> {
    add::<Today>(&store, 2, 0).await?;
    assert_eq!(at::<0, 1, String>(&store, 2).await?, (2, 2));
    assert_eq!(at::<0, 1, String>(&store, 0).await?, (0, 0));
    assert_eq!(figures(&store), (0, 0));
    Ok(())
}

async fn save_overwrites(store: Store) -> Result<()> {
    add::<Today>(&store, 3, 1).await?;
    add::<Today>(&store, 7, 1).await?;
    until(async || Ok(at::<0, 1, String>(&store, 7).await? == (7, 1))).await?;
    assert_eq!(at::<0, 1, String>(&store, 4).await?, (4, 4), "the one at 3 is there no more");
    Ok(())
}

async fn exists_before_and_after(store: Store) -> Result<()> {
    assert_eq!(store.inspect().summary().await?.snapshots, 0);
    add::<Today>(&store, 2, 0).await?;
    add::<Today>(&store, 3, 1).await
}

async fn types_are_independent(store: Store) -> Result<()> {
    add::<Today>(&store, 3, 1).await?;
    add::<Neighbour>(&store, 6, 2).await?;
    until(async || Ok(at::<1, 1, String>(&store, 6).await? == (6, 0))).await?;
    assert_eq!(at::<0, 1, String>(&store, 3).await?, (3, 0), "of the same id, and another kind");
    Ok(())
}

async fn delete_by_type_deletes_the_matching_type_only(store: Store) -> Result<()> {
    add::<Today>(&store, 3, 1).await?;
    add::<Neighbour>(&store, 3, 2).await?;
    assert_eq!(at::<0, 2, String>(&store, 3).await?, (3, 3), "a schema that was raised");
    assert_eq!((at::<1, 1, String>(&store, 3).await?, figures(&store)), ((3, 0), (1, 1)));
    Ok(())
}

async fn schema_version_below_filter(store: Store) -> Result<()> {
    add::<Today>(&store, 3, 1).await?;
    assert_eq!(at::<0, 2, String>(&store, 3).await?, (3, 3), "below");
    // The next one is of the new schema, in place of the old one.
    add::<Tomorrow>(&store, 6, 1).await?;
    until(async || Ok(at::<0, 2, String>(&store, 6).await? == (6, 0))).await?;
    assert_eq!(at::<0, 1, String>(&store, 6).await?, (6, 6), "above, for who was not renewed");
    Ok(())
}

async fn malformed_state_raises_deserialization_error(store: Store) -> Result<()> {
    add::<Today>(&store, 3, 1).await?;
    let mistaken = store.aggregate::<Mistaken>("a");
    let state = mistaken.at_version(3).await?;
    assert_eq!((state.total, state.other.0, state.replayed), (3, 3, 3));
    assert_eq!(figures(&store), (0, 1), "whoever counts sees it");
    assert_eq!(mistaken.execute(1).await.unwrap().version, 4, "and nobody is kept from anything");
    Ok(())
}

/// Whatever snapshots come and go while many add, the state of a version is that of its events.
async fn save_overwrites_concurrently(store: Store) -> Result<()> {
    const CALLERS: u64 = 8;
    let added = at_once(CALLERS, |_| {
        let sum = store.aggregate::<Today>("a");
        async move {
            for _ in 0..12 {
                let version = sum.execute(1).await.unwrap().version;
                assert_eq!(sum.at_version(version).await?.total, version);
                assert_eq!(sum.at_version(version / 2).await?.total, version / 2);
            }
            Ok::<_, millpond::Error>(())
        }
    });
    added.await.into_iter().collect::<Result<()>>()?;
    // Of many commands that shared a flight one snapshot is kept, at its end.
    add::<Today>(&store, 12 * CALLERS + 3, 1).await?;
    until(async || Ok(at::<0, 1, String>(&store, 12 * CALLERS + 3).await? == (12 * CALLERS + 3, 0))).await
}

async fn types_are_independent_concurrently(store: Store) -> Result<()> {
    let added = at_once(8, |caller| {
        let store = store.clone();
        async move {
            for _ in 0..9 {
                if caller % 2 == 0 {
                    store.aggregate::<Today>("a").execute(1).await.unwrap();
                } else {
                    store.aggregate::<Neighbour>("a").execute(10).await.unwrap();
                }
            }
        }
    });
    added.await;
    assert_eq!(at::<0, 1, String>(&store, 36).await?.0, 36);
    assert_eq!(at::<1, 1, String>(&store, 36).await?.0, 360);
    until(async || Ok(store.inspect().summary().await?.snapshots == 2)).await
}
