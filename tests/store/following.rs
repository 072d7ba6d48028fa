//! Following events: what there is, and then what is appended, by whoever it is.

use futures_util::future::join_all;
use millpond::{Error, Event, EventStream, Expected, Following, Origin, Result, Store, blocking};

use crate::backends::{begin, event, known, wait};
use crate::peer::{Peer, file};

each_backend! {
    what_there_is_comes_first_and_then_what_is_appended
    whoever_follows_misses_nothing_and_sees_nothing_twice
    what_is_deleted_is_not_shown_and_what_comes_behind_it_is
    a_next_that_was_dropped_takes_no_event_with_it
    following_ends_where_it_was_limited_to
    following_ends_with_the_store
}

/// The positions of the next so many.
async fn take(following: &mut Following, count: usize) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(following.next().await.expect("the store is open")?.position());
    }
    Ok(found)
}

async fn positions(mut events: EventStream) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    while let Some(event) = events.next().await {
        found.push(event?.position());
    }
    Ok(found)
}

async fn what_there_is_comes_first_and_then_what_is_appended(store: Store) -> Result<()> {
    let events = store.events();
    events.append("a-1", Expected::NoStream, [event(1), event(2)]).await?;
    let (mut all, mut new) =
        (events.read_all().follow()?, events.read_all().after(events.head().await?).follow()?);
    let (mut stream, mut category) =
        (events.read_stream("a-1").follow()?, events.read_category("b").follow()?);
    assert_eq!(take(&mut all, 2).await?, [1, 2]);
    assert_eq!(take(&mut stream, 2).await?, [1, 2]);
    events.append("b-1", Expected::Any, [event(3)]).await?;
    events.append("a-1", Expected::Any, [event(4)]).await?;
    assert_eq!(take(&mut all, 2).await?, [3, 4]);
    assert_eq!(take(&mut new, 2).await?, [3, 4]);
    assert_eq!(take(&mut category, 1).await?, [3]);
    assert_eq!(take(&mut stream, 1).await?, [4]);
    // Whatever an event is written with.
    let mut batch = store.batch();
    batch.append("b-1", Expected::Any, [event(5)])?;
    batch.commit().await?;
    events.import([("b-2".to_owned(), known(6))]).await?;
    assert_eq!(take(&mut category, 2).await?, [5, 6]);
    assert_eq!(take(&mut all, 2).await?, [5, 6]);
    Ok(())
}

/// Followers that begin at any moment, with and without filters, while others append.
async fn whoever_follows_misses_nothing_and_sees_nothing_twice(store: Store) -> Result<()> {
    const WRITERS: u64 = 4;
    const EACH: u64 = 150;
    let events = store.events();
    let tenant = |n: u64| if n.is_multiple_of(7) { "seven" } else { "other" };
    let write = |writer: u64| {
        let events = events.clone();
        async move {
            for n in 0..EACH {
                let kind = if n.is_multiple_of(3) { "Third" } else { "Counted" };
                let event = Event::new(kind, &n)?.origin(Origin::new().tenant(tenant(n)));
                let more = Event::new("Counted", &n)?;
                events.append(format!("w{}-{}", writer % 2, n % 5), Expected::Any, [event, more]).await?;
            }
            Ok(())
        }
    };
    let sorts: [fn(&millpond::Events) -> EventStream; 4] = [
        |events| events.read_all(),
        |events| events.read_category("w1"),
        |events| events.read_all().event_type("Third"),
        |events| events.read_all().tenant("seven"),
    ];
    let follow = |sort: fn(&millpond::Events) -> EventStream, begin: u64| {
        let events = events.clone();
        async move {
            while events.head().await? < begin {
                tokio::task::yield_now().await;
            }
            let mut following = sort(&events).follow()?;
            // The last of what each sort is about comes at the end of all; until then it is followed.
            let mut found = Vec::new();
            loop {
                let event = following.next().await.expect("the store is open")?;
                if event.stream() == "end-1" {
                    return Ok::<_, Error>(found);
                }
                found.push(event.position());
                if event.stream() == "w1-end" && event.event_type() == "End" {
                    found.pop();
                    return Ok(found);
                }
            }
        }
    };
    let written = async {
        join_all((0..WRITERS).map(write)).await.into_iter().collect::<Result<Vec<()>>>()?;
        let end = Event::new("End", &0)?.origin(Origin::new().tenant("seven"));
        let third = Event::new("Third", &0)?.origin(Origin::new().tenant("seven"));
        events.append("w1-end", Expected::Any, [end]).await?;
        events.append("end-1", Expected::Any, [third]).await.map(drop)
    };
    let followers = (0..16_u64).map(|number| follow(sorts[(number % 4) as usize], (number / 4) * 200));
    let (written, seen) = futures_util::future::join(written, join_all(followers)).await;
    written?;
    for (number, seen) in seen.into_iter().enumerate() {
        let mut expected = positions(sorts[number % 4](&events)).await?;
        expected.retain(|position| *position <= 2 * WRITERS * EACH);
        assert_eq!(seen?, expected, "follower {number}");
    }
    Ok(())
}

async fn what_is_deleted_is_not_shown_and_what_comes_behind_it_is(store: Store) -> Result<()> {
    let events = store.events();
    let mut all = events.read_all().follow()?;
    events.append("a-1", Expected::Any, [event(1), event(2)]).await?;
    assert_eq!(take(&mut all, 1).await?, [1]);
    events.append("b-1", Expected::Any, [event(3)]).await?;
    events.delete("b-1", Expected::Any).await?;
    events.append("c-1", Expected::Any, [event(4)]).await?;
    assert_eq!(take(&mut all, 2).await?, [2, 5]);
    Ok(())
}

async fn a_next_that_was_dropped_takes_no_event_with_it(store: Store) -> Result<()> {
    let events = store.events();
    let mut all = events.read_all().follow()?;
    for n in 1..=20 {
        drop(begin(Box::pin(all.next())));
        events.append("a-1", Expected::Any, [event(n)]).await?;
        drop(begin(Box::pin(all.next())));
    }
    // Those that were there at once were taken by who did not look at them.
    let next = all.next().await.unwrap()?.position();
    assert!((1..=20).contains(&next), "{next}");
    events.append("a-1", Expected::Any, [event(21)]).await?;
    let rest = take(&mut all, (21 - next) as usize).await?;
    assert_eq!(rest, (next + 1..=21).collect::<Vec<_>>());
    Ok(())
}

async fn following_ends_where_it_was_limited_to(store: Store) -> Result<()> {
    let events = store.events();
    let mut two = events.read_all().limit(2).follow()?;
    let mut third = events.read_all().from(2).to(3).follow()?;
    let mut stream = events.read_stream("a-1").to(2).follow()?;
    for n in 1..=4 {
        events.append("a-1", Expected::Any, [event(n)]).await?;
    }
    assert_eq!(take(&mut two, 2).await?, [1, 2]);
    assert_eq!(take(&mut third, 2).await?, [2, 3]);
    assert_eq!(take(&mut stream, 2).await?, [1, 2]);
    for ended in [&mut two, &mut third, &mut stream] {
        assert!(ended.next().await.is_none());
        assert!(ended.next().await.is_none());
    }
    let backward = events.read_all().backward().follow();
    assert!(matches!(backward, Err(Error::InvalidArgument { .. })), "{backward:?}");
    assert!(matches!(events.read_stream("").follow(), Err(Error::InvalidName { .. })));
    Ok(())
}

async fn following_ends_with_the_store(store: Store) -> Result<()> {
    let mut all = store.events().read_all().follow()?;
    let waits = begin(Box::pin(all.next()));
    assert!(waits.is_pending());
    store.close().await?;
    assert!(matches!(waits.await, Some(Err(Error::Closed))));
    assert!(all.next().await.is_none());
    Ok(())
}

#[test]
fn what_other_processes_append_comes_too() {
    let (_folder, file) = file();
    let mut peers = [Peer::start(&file), Peer::start(&file)];
    let store = wait(Store::open(file)).unwrap();
    let mut following = store.events().read_all().follow().unwrap();
    peers[0].tell("append a-1 1 100");
    peers[1].tell("append b-1 1001 1100");
    wait(async {
        for n in 1..=50 {
            store.events().append("c-1", Expected::Any, [event(n)]).await?;
        }
        assert_eq!(take(&mut following, 250).await?, (1..=250).collect::<Vec<_>>());
        Ok::<_, Error>(())
    })
    .unwrap();
    for peer in &mut peers {
        peer.hear();
    }
    // And when nobody here writes.
    peers[0].tell("append a-1 2001 2001");
    assert_eq!(wait(take(&mut following, 1)).unwrap(), [251]);
    wait(store.close()).unwrap();
}

#[test]
fn a_thread_can_follow() {
    let store = blocking::Store::memory().unwrap();
    let following = store.events().read_all().limit(3).follow().unwrap();
    std::thread::scope(|scope| {
        let follower = scope.spawn(|| following.map(|event| event.unwrap().version()).collect::<Vec<_>>());
        for n in 1..=3 {
            store.events().append("a-1", Expected::Any, [event(n)]).unwrap();
        }
        assert_eq!(follower.join().unwrap(), [1, 2, 3]);
    });
    store.close().unwrap();
}
