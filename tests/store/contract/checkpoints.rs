//! ProjectionCheckpoints, SubscriptionPositions and CheckpointRepository. A checkpoint here is moved by whoever projects, in the
//! commit of what he has projected, and by nobody else; so what those suites write, a projector does here.
//!
//! Left out: what belongs to tokens of positions that are texts of others (`multi-element token verbatim`, `legacy int-only row`,
//! `foreign token`): a position is a number of this store.

use millpond::{Error, Expected, Failure, From, Progress, Projection, Recorded, Result, Rows, Store};

use super::at_once;
use crate::backends::event;

each_backend! {
    absent_reads_none
    update_then_read_round_trips
    events_processed_increments
    last_write_wins
    reset_makes_absent
    reset_of_absent_is_a_no_op
    projections_do_not_interfere
    get_all_is_sorted_by_name
    lag_is_none_without_a_checkpoint
    lag_is_present_with_one
    a_saved_position_is_where_it_goes_on
    events_processed_increments_concurrently
}

fn nothing(_: &Recorded, _: &mut Rows<'_>) -> Result<(), Failure> {
    Ok(())
}

/// Brings a projection up to what is there.
async fn project(store: &Store, name: &str) -> Result<Projection> {
    let projection = store.projection(name);
    projection.projector(store.events().read_all()).drain().run(nothing).await?;
    Ok(projection)
}

async fn append(store: &Store, events: u64) -> Result<u64> {
    let events: Vec<_> = (0..events).map(event).collect();
    Ok(store.events().append("a-1", Expected::Any, events).await?.position)
}

async fn progress(projection: &Projection) -> Result<Progress> {
    Ok(projection.progress().await?.expect("it has begun"))
}

async fn absent_reads_none(store: Store) -> Result<()> {
    assert_eq!(store.projection("p").progress().await?, None);
    Ok(())
}

async fn update_then_read_round_trips(store: Store) -> Result<()> {
    let position = append(&store, 1).await?;
    let stands = progress(&project(&store, "p").await?).await?;
    assert_eq!((stands.name.as_str(), stands.position), ("p", position));
    Ok(())
}

async fn events_processed_increments(store: Store) -> Result<()> {
    for handled in 1..=3 {
        append(&store, 1).await?;
        assert_eq!(progress(&project(&store, "p").await?).await?.handled, handled);
    }
    Ok(())
}

async fn last_write_wins(store: Store) -> Result<()> {
    append(&store, 1).await?;
    project(&store, "p").await?;
    let last = append(&store, 2).await?;
    assert_eq!(progress(&project(&store, "p").await?).await?.position, last);
    Ok(())
}

async fn reset_makes_absent(store: Store) -> Result<()> {
    append(&store, 3).await?;
    let projection = project(&store, "p").await?;
    assert!(projection.reset(From::Start).await?);
    let stands = progress(&projection).await?;
    assert_eq!((stands.position, stands.handled), (0, 0));
    assert!(projection.remove().await?);
    assert_eq!(projection.progress().await?, None);
    Ok(())
}

async fn reset_of_absent_is_a_no_op(store: Store) -> Result<()> {
    let projection = store.projection("p");
    assert!(!projection.reset(From::Start).await?);
    assert!(!projection.remove().await?);
    assert_eq!(projection.progress().await?, None);
    let error = projection.reset(From::After(1)).await.unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }), "there is no such event: {error}");
    Ok(())
}

async fn projections_do_not_interfere(store: Store) -> Result<()> {
    let first = append(&store, 1).await?;
    let p = project(&store, "p").await?;
    let second = append(&store, 1).await?;
    let q = project(&store, "q").await?;
    assert_eq!((progress(&p).await?.position, progress(&q).await?.position), (first, second));
    p.remove().await?;
    assert_eq!(progress(&q).await?.handled, 2);
    Ok(())
}

async fn get_all_is_sorted_by_name(store: Store) -> Result<()> {
    for name in ["b", "c", "a"] {
        project(&store, name).await?;
    }
    let all = store.inspect().projections(None, 9).await?;
    assert_eq!(all.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    let behind = store.inspect().projections(Some("a"), 1).await?;
    assert_eq!(behind.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["b"]);
    Ok(())
}

async fn lag_is_none_without_a_checkpoint(store: Store) -> Result<()> {
    append(&store, 3).await?;
    assert_eq!(store.projection("p").progress().await?.map(|it| it.lag()), None);
    Ok(())
}

async fn lag_is_present_with_one(store: Store) -> Result<()> {
    append(&store, 1).await?;
    let projection = project(&store, "p").await?;
    assert_eq!(progress(&projection).await?.lag(), 0);
    append(&store, 4).await?;
    let stands = progress(&projection).await?;
    assert_eq!((stands.lag(), stands.handled), (4, 1), "against what there is, read or not");
    Ok(())
}

async fn a_saved_position_is_where_it_goes_on(store: Store) -> Result<()> {
    append(&store, 3).await?;
    project(&store, "p").await?;
    append(&store, 2).await?;
    let seen = std::sync::Mutex::new(Vec::new());
    let note = |event: &Recorded, _: &mut Rows<'_>| -> Result<(), Failure> {
        seen.lock().unwrap().push(event.position());
        Ok(())
    };
    store.projection("p").projector(store.events().read_all()).drain().run(note).await?;
    assert_eq!(seen.into_inner().unwrap(), [4, 5]);
    Ok(())
}

/// Many who project at the same time are one after the other.
async fn events_processed_increments_concurrently(store: Store) -> Result<()> {
    append(&store, 50).await?;
    let own = store.clone();
    let projected = at_once(8, move |_| {
        let store = own.clone();
        async move { project(&store, "p").await.map(drop) }
    });
    projected.await.into_iter().collect::<Result<()>>()?;
    let stands = progress(&store.projection("p")).await?;
    assert_eq!((stands.handled, stands.position), (50, 50));
    Ok(())
}
