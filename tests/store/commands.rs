//! Commands with an id, through the public face: sent again, they are told what they were told, and write nothing.

use millpond::blocking;
use millpond::{CommandError, Committed, Error, Event, Execute, Expected, Location, Result, Store};

use crate::backends::{begin, id};
use crate::origins::{Do, Happened, Till, TooFew};

each_backend! {
    a3_a_repeated_command_writes_nothing
    a3_a_repeated_command_is_not_decided
    a3_an_id_is_of_one_aggregate
    a3_many_who_send_one_command_have_one_effect
    a3_effects_without_an_event_need_a_command_without_an_id
    an_event_is_found_by_its_id
}

/// Version, position, events, and whether it was known.
type Told<'c> = (u64, Option<u64>, &'c [Happened], bool);

fn told(committed: &Committed<Till>) -> Told<'_> {
    (committed.version, committed.position, &committed.events, committed.repeated)
}

/// Events and jobs.
async fn there(store: &Store) -> Result<[u64; 2]> {
    let jobs = store.queue::<u64>("packing").numbers().await?.map_or(0, |numbers| numbers.ready);
    Ok([store.events().head().await?, jobs])
}

async fn a3_a_repeated_command_writes_nothing(store: Store) -> Result<()> {
    let (till, how) = (store.aggregate::<Till>("a"), Execute::new().id(id(1)));
    let first = till.execute_with(Do::OpenAndSell, how.clone()).await.unwrap();
    let events = [Happened::Opened, Happened::Sold { number: 1 }];
    assert_eq!(told(&first), (2, Some(2), &events[..], false));
    let plain = till.execute(Do::Sell).await.unwrap();
    assert!(!plain.repeated);
    store.events().append("other", Expected::Any, [crate::backends::event(1)]).await?;
    let before = there(&store).await?;
    assert_eq!(before, [4, 3]);
    for _ in 0..3 {
        let again = till.execute_with(Do::OpenAndSell, how.clone()).await.unwrap();
        assert_eq!(told(&again), (2, Some(2), &events[..], true));
        assert_eq!(there(&store).await?, before, "no event, and no job");
    }
    Ok(())
}

async fn a3_a_repeated_command_is_not_decided(store: Store) -> Result<()> {
    let (till, how) = (store.aggregate::<Till>("a"), Execute::new().id(id(1)));
    // A refusal leaves no trace: when it is sent again, it is decided on what is then.
    let refused = till.execute_with(Do::SellIf(1), how.clone()).await.unwrap_err();
    assert_eq!(refused, CommandError::Rejected(TooFew(0)));
    assert!(!till.execute_with(Do::Nothing, how.clone()).await.unwrap().repeated);
    till.execute(Do::Sell).await.unwrap();
    let first = till.execute_with(Do::SellIf(1), how.clone()).await.unwrap();
    assert_eq!(told(&first), (2, Some(2), &[Happened::Sold { number: 2 }][..], false));
    for command in [Do::SellIf(99), Do::Nothing, Do::Pack] {
        let again = till.execute_with(command, how.clone()).await.unwrap();
        assert_eq!(told(&again), (2, Some(2), &[Happened::Sold { number: 2 }][..], true));
    }
    assert_eq!(there(&store).await?, [2, 2]);
    Ok(())
}

async fn a3_an_id_is_of_one_aggregate(store: Store) -> Result<()> {
    let how = Execute::new().id(id(1));
    for till in ["a", "b", "b-1"] {
        let done = store.aggregate::<Till>(till).execute_with(Do::Sell, how.clone()).await.unwrap();
        assert_eq!((done.version, done.repeated), (1, false));
    }
    assert_eq!(there(&store).await?, [3, 3]);
    Ok(())
}

async fn a3_many_who_send_one_command_have_one_effect(store: Store) -> Result<()> {
    let till = store.aggregate::<Till>("a");
    for round in 1..=10 {
        let sent: Vec<_> = (0..20)
            .map(|n| {
                // Two commands, and some that are neither.
                let how = match n % 4 {
                    0 => Execute::new(),
                    n => Execute::new().id(id(100 * round + n % 2)),
                };
                begin(till.execute_with(Do::Sell, how))
            })
            .collect();
        let (mut new, mut known) = (0, 0);
        for done in sent {
            let repeated = done.await.unwrap().repeated;
            new += u64::from(!repeated);
            known += u64::from(repeated);
        }
        assert_eq!((new, known), (7, 13));
        assert_eq!(there(&store).await?, [7 * round; 2]);
    }
    Ok(())
}

async fn a3_effects_without_an_event_need_a_command_without_an_id(store: Store) -> Result<()> {
    let till = store.aggregate::<Till>("a");
    // Alone, and in one flight with others.
    for round in 0..2 {
        let before = begin(till.execute(Do::Sell));
        let refused = begin(till.execute_with(Do::Pack, Execute::new().id(id(1))));
        let behind = begin(till.execute_with(Do::Sell, Execute::new().id(id(10 + round))));
        let refused = refused.await.unwrap_err();
        let CommandError::Failed(Error::InvalidArgument { what, reason }) = &refused else {
            panic!("{refused:?}")
        };
        assert!(what.contains("till-a") && reason.contains("no event"), "{refused}");
        before.await.unwrap();
        behind.await.unwrap();
    }
    assert_eq!(there(&store).await?, [4, 4]);
    till.execute(Do::Pack).await.unwrap();
    assert_eq!(there(&store).await?, [4, 5]);
    Ok(())
}

async fn an_event_is_found_by_its_id(store: Store) -> Result<()> {
    let events = store.events();
    assert_eq!(events.find(id(1)).await?, None);
    let appended: Vec<Event> = (1..=5).map(crate::backends::known).collect();
    events.append("s-1", Expected::Any, appended).await?;
    for n in 1..=5 {
        let found = events.find(id(n)).await?.expect("it is there");
        assert_eq!((found.id(), found.stream(), found.version(), found.position()), (id(n), "s-1", n, n));
        assert_eq!(found.decode::<serde_json::Value>()?["n"], n);
    }
    // Also those that got their ids here.
    store.aggregate::<Till>("a").execute_with(Do::Sell, Execute::new().id(id(1))).await.unwrap();
    let sold = store.aggregate::<Till>("a").history().next().await.unwrap()?;
    assert_eq!(events.find(sold.id()).await?, Some(sold));
    assert_eq!(events.find(id(6)).await?, None);
    Ok(())
}

/// What a store forgets when it is closed is not needed to know a command.
#[test]
fn a3_a_command_is_known_when_the_store_was_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.db");
    for opened in 0..3 {
        let store = blocking::Store::open(&file).unwrap();
        let done = store.aggregate::<Till>("a").execute_with(Do::Sell, Execute::new().id(id(1))).unwrap();
        assert_eq!(told(&done), (1, Some(1), &[Happened::Sold { number: 1 }][..], opened > 0));
        store.close().unwrap();
    }
}

#[test]
fn the_blocking_face_does_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for location in [Location::Memory, Location::File(folder.path().join("s.db"))] {
        let store = blocking::Store::builder().open(location).unwrap();
        let (till, how) = (store.aggregate::<Till>("a"), Execute::new().id(id(1)));
        let first = till.execute_with(Do::Sell, how.clone()).unwrap();
        let again = till.execute_with(Do::SellIf(9), how.clone()).unwrap();
        let events = [Happened::Sold { number: 1 }];
        assert_eq!(told(&first), (1, Some(1), &events[..], false));
        assert_eq!(told(&again), (1, Some(1), &events[..], true));
        assert_eq!(till.execute(Do::SellIf(9)).unwrap_err(), CommandError::Rejected(TooFew(1)));
        let refused = till.execute_with(Do::Pack, Execute::new().id(id(2)));
        assert!(matches!(refused, Err(CommandError::Failed(Error::InvalidArgument { .. }))));
        let job = store.queue::<u64>("packing").pop().unwrap();
        let sold = store.events().find(job.causation().unwrap()).unwrap().expect("what led to the job");
        assert_eq!((sold.event_type(), sold.causation()), ("Sold", Some(id(1))));
        assert_eq!((job.correlation(), job.actor(), job.tenant()), (Some(id(1)), None, None));
        let second = till.execute_with(Do::Sell, Execute::new().id(id(3)).origin(&job)).unwrap();
        let second = store.events().read_all().from(second.position.unwrap()).next().unwrap().unwrap();
        assert_eq!((second.correlation(), second.causation()), (Some(id(1)), Some(id(3))));
        job.done().unwrap();
        assert_eq!(store.events().find(id(9)).unwrap(), None);
        assert_eq!(till.decode(&second).unwrap(), Happened::Sold { number: 2 });
        store.close().unwrap();
    }
}
