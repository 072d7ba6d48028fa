//! No suite, but what was measured of that library as its weaknesses, by their numbers: W8 to W10, W12, W13, W20. W22, which is
//! about what is compiled, stands in `tests/tidy`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use millpond::{Appended, CommandError, Durability, Error, Expected, Location, Result, Store, blocking};

use super::outbox::{Do, Orders};
use super::{at_once, numbers};
use crate::aggregates::{Account, Do as Move};
use crate::backends::{event, known, wait};
use crate::peer::{Peer, file};

each_backend! {
    w8_append_is_idempotent_by_the_ids_of_its_events
    w9_any_never_conflicts
    w12_what_follows_from_an_event_is_in_its_commit
    w12_what_cannot_follow_leaves_no_event
    w13_two_workers_never_take_the_same_job
    w20_the_blocking_face_works_from_many_threads_and_inside_a_runtime
}

/// There the second answer was a conflict, or an error about the id: a lost reply could not be told from another's append.
async fn w8_append_is_idempotent_by_the_ids_of_its_events(store: Store) -> Result<()> {
    let events = store.events();
    for (stream, expected) in [("a", Expected::NoStream), ("b", Expected::Version(0)), ("c", Expected::Any)] {
        let number = u64::from(stream.as_bytes()[0]);
        let append = || events.append(stream, expected, [known(number)]);
        let first = append().await?;
        events.append(stream, Expected::Exists, [event(0)]).await?;
        for _ in 0..2 {
            assert_eq!(append().await, Ok(Appended { repeated: true, ..first }), "{expected}");
        }
        assert_eq!(numbers(events.read_stream(stream)).await?, [number, 0]);
    }
    Ok(())
}

/// There 8 of 10 at once were told of a conflict, because the version is read before it is written.
async fn w9_any_never_conflicts(store: Store) -> Result<()> {
    let appended = at_once(64, |caller| {
        let events = store.events();
        async move { events.append("s-1", Expected::Any, [event(caller)]).await }
    });
    let versions: Result<BTreeSet<u64>> =
        appended.await.into_iter().map(|appended| Ok(appended?.version)).collect();
    assert!(versions?.into_iter().eq(1..=64));
    Ok(())
}

#[test]
fn w9_any_never_conflicts_over_processes() {
    let (_folder, file) = file();
    let store = blocking::Store::open(&file).unwrap();
    let mut peers = [Peer::start(&file), Peer::start(&file), Peer::start(&file)];
    for (peer, number) in peers.iter_mut().zip(0..) {
        peer.tell(&format!("append s-1 {} {}", 100 * number, 100 * number + 49));
    }
    let last = peers.each_mut().map(|peer| peer.hear().parse::<u64>().unwrap());
    assert_eq!(last.iter().max(), Some(&150), "each append was answered by its version");
    assert_eq!(store.events().version("s-1"), Ok(150));
}

/// There a schema for many events forgot that a stream's versions are unique: 4 of 8 succeeded. Here there is one schema, and what
/// can be chosen about it is where the store is and what its writes survive.
#[test]
fn w10_no_way_of_keeping_events_loses_the_expected_version() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one.db"), folder.path().join("other.db"));
    for (location, durability) in [
        (Location::Memory, Durability::PowerLoss),
        (Location::File(one), Durability::PowerLoss),
        (Location::File(other), Durability::ProcessCrash),
    ] {
        wait(async {
            let store = Store::builder().durability(durability).open(location).await?;
            for round in 0..20 {
                let (events, stream) = (store.events(), format!("s-{round}"));
                let race = at_once(8, |caller| {
                    let (events, stream) = (events.clone(), stream.clone());
                    async move { events.append(stream, Expected::Version(0), [event(caller)]).await }
                });
                assert_eq!(race.await.iter().filter(|appended| appended.is_ok()).count(), 1);
                assert_eq!(events.version(&stream).await?, 1);
            }
            store.close().await
        })
        .unwrap();
    }
}

/// How many events of orders there are, and how many jobs that follow from them.
async fn events_and_jobs(store: &Store) -> Result<(u64, u64)> {
    let jobs = store.queue::<u64>("outside").numbers().await?.map_or(0, |numbers| numbers.ready);
    Ok((store.events().version("orders-a").await?, jobs))
}

/// There what follows was published behind the commit, and was lost when that failed. Here whoever looks at any moment finds one
/// for each.
async fn w12_what_follows_from_an_event_is_in_its_commit(store: Store) -> Result<()> {
    const ORDERS: u64 = 60;
    let orders = store.aggregate::<Orders>("a");
    let placing = tokio::spawn(async move {
        for _ in 0..ORDERS {
            orders.execute(Do::Place).await.unwrap();
        }
    });
    let mut jobs = 0;
    while jobs < ORDERS {
        let before = store.events().version("orders-a").await?;
        (_, jobs) = events_and_jobs(&store).await?;
        let after = store.events().version("orders-a").await?;
        assert!(before <= jobs && jobs <= after, "{before} events, {jobs} jobs, {after} events");
    }
    placing.await.unwrap();
    assert_eq!(events_and_jobs(&store).await?, (ORDERS, ORDERS));
    Ok(())
}

/// Neither is there if one of them cannot be, whichever it is.
async fn w12_what_cannot_follow_leaves_no_event(store: Store) -> Result<()> {
    let orders = store.aggregate::<Orders>("a");
    orders.execute(Do::Place).await.unwrap();
    let failed = orders.execute(Do::Misplace).await.err();
    assert!(matches!(failed, Some(CommandError::Failed(Error::InvalidName { .. }))), "{failed:?}");
    assert_eq!(events_and_jobs(&store).await?, (1, 1));

    let outside = store.queue::<u64>("outside");
    let mut batch = store.batch();
    batch.push(&outside, &2)?;
    batch.append("orders-a", Expected::Version(0), [event(2)])?;
    assert!(matches!(batch.commit().await, Err(Error::Conflict { .. })));
    assert_eq!(events_and_jobs(&store).await?, (1, 1), "no job without its event");

    let stale = outside.pop().await?;
    outside.remove(stale.sequence()).await?;
    let mut batch = store.batch();
    batch.append("orders-a", Expected::Version(1), [event(2)])?;
    stale.done_in(&mut batch)?;
    assert!(matches!(batch.commit().await, Err(Error::StaleClaim { .. })));
    assert_eq!(events_and_jobs(&store).await?, (1, 0), "no event without what it follows");
    Ok(())
}

/// There two who asked for the rows of the outbox got the same 20 of 20.
async fn w13_two_workers_never_take_the_same_job(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("outside");
    for _ in 0..40 {
        store.aggregate::<Orders>("a").execute(Do::Place).await.unwrap();
    }
    let taken = at_once(2, |_| {
        let queue = queue.clone();
        async move {
            let mut taken = Vec::new();
            for _ in 0..20 {
                taken.push(queue.pop().await?);
            }
            Ok::<_, Error>(taken)
        }
    });
    let taken: Vec<_> = taken.await.into_iter().collect::<Result<_>>()?;
    let orders: BTreeSet<u64> = taken.iter().flatten().map(|job| **job).collect();
    assert_eq!(orders.len(), 40, "while all of them are held");
    for job in taken.into_iter().flatten() {
        job.done().await?;
    }
    Ok(())
}

#[test]
fn w13_two_workers_never_take_the_same_job_over_processes() {
    let (_folder, file) = file();
    let store = blocking::Store::open(&file).unwrap();
    for _ in 0..20 {
        store.aggregate::<Orders>("a").execute(Do::Place).unwrap();
    }
    let mut peers = [Peer::start(&file), Peer::start(&file)];
    let mut taken = BTreeSet::new();
    for _ in 0..10 {
        for peer in &mut peers {
            peer.tell("pop outside 60000");
        }
        taken.extend(peers.each_mut().map(|peer| peer.hear()));
    }
    let first_attempts: BTreeSet<String> = (1..=20).map(|order| format!("{order} 1")).collect();
    assert_eq!(taken, first_attempts);
}

const THREADS: u64 = 8;
const CALLS: u64 = 20;

/// Something of each primitive, for a thread that waits.
fn call(store: &blocking::Store, thread: u64, call: u64, inside: &AtomicUsize) -> Result<()> {
    store.events().append(format!("thread-{thread}"), Expected::Version(call), [event(call)])?;
    store.aggregate::<Account>("all").execute(Move::Deposit(1)).unwrap();
    let guard = store.lock("till").acquire()?;
    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
    inside.fetch_sub(1, Ordering::SeqCst);
    guard.release()?;
    store.queue("jobs").push(&call)?;
    store.queue::<u64>("jobs").pop()?.done()?;
    store.channel("news").publish(&call).map(drop)
}

/// There the second call failed, because the first had bound the connections to its own loop; 40 of 80 calls of four threads
/// failed; and nothing but the event store could be called at all.
async fn w20_the_blocking_face_works_from_many_threads_and_inside_a_runtime(store: Store) -> Result<()> {
    let (store, inside) = (store.blocking(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (store, inside) = (&store, &inside);
                scope.spawn(move || (0..CALLS).try_for_each(|n| call(store, thread, n, inside)))
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap())
    })?;
    // Here, which is inside of a runtime; and in two others, one after the other, each gone before the next one comes.
    call(&store, THREADS, 0, &inside)?;
    for runtime in 1..=2 {
        let (store, inside) = (&store, &inside);
        let in_another = || {
            let runtime_of_one = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime_of_one.block_on(async { call(store, THREADS, runtime, inside) })
        };
        std::thread::scope(|scope| scope.spawn(in_another).join().unwrap())?;
    }
    let calls = THREADS * CALLS + 3;
    assert_eq!(store.events().head()?, 2 * calls, "an event, and a deposit");
    assert_eq!(store.aggregate::<Account>("all").state()?.deposits, calls);
    assert_eq!(store.channel::<u64>("news").extent()?.last, calls);
    let numbers = store.queue::<u64>("jobs").numbers()?.expect("it was used");
    assert_eq!((numbers.pushed, numbers.ready, numbers.claimed), (calls, 0, 0));
    Ok(())
}
