//! States of the past, the latest state that is known here, and the figures of snapshots.

use std::sync::Arc;
use std::time::Duration;

use millpond::{
    Aggregate, Clock, CommandError, Decision, Error, Event, Expected, Location, ManualClock, Result,
    Snapshots, Store, blocking,
};
use serde::{Deserialize, Serialize};

use crate::aggregates::{Account, Do, Happened, Refused, deposit};
use crate::backends::{begin, by_hand, on_a_clock, until, wait};

each_backend! {
    a2_the_state_at_each_version_is_that_of_its_events
    a_version_that_does_not_exist_is_an_error_that_says_how_many_there_are
    a2_a_snapshot_serves_what_is_not_older
    latest_has_what_was_answered_here_and_asks_nobody
    latest_waits_for_what_is_under_way
    a2_a_snapshot_of_another_shape_costs_a_replay
    a2_a_snapshot_that_cannot_be_decoded_costs_a_replay
}

/// The same account without a snapshot, or with another one.
macro_rules! twin {
    ($(#[$doc:meta])+ $name:ident($state:ty), $evolve:expr, $snapshots:expr) => {
        $(#[$doc])+
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        struct $name($state);

        impl Aggregate for $name {
            const KIND: &'static str = "account";
            type Command = Do;
            type Event = Happened;
            type Rejection = Refused;

            fn decide(&self, command: &Do) -> std::result::Result<Decision<Self>, Refused> {
                match command {
                    Do::Deposit(cents) => Ok([Happened::Deposited { cents: *cents }].into()),
                    _ => Ok(Decision::nothing()),
                }
            }

            fn evolve(&mut self, event: &Happened) {
                let evolve: fn(&mut $state, &Happened) = $evolve;
                evolve(&mut self.0, event);
            }

            fn snapshots() -> Snapshots<Self> {
                $snapshots
            }
        }
    };
}

twin! {
    /// It keeps no snapshot: what it says is what all events give.
    Plain(Account), Account::evolve, Snapshots::never()
}
twin! {
    /// It has raised its schema.
    Raised(Account), Account::evolve, Snapshots::every(10).schema(2)
}
twin! {
    /// It keeps something else under the same schema.
    Wide(Vec<String>), |texts, event| texts.push(format!("{event:?}")), Snapshots::every(10)
}

/// So many events, of one to three by a command, and their folds: the state at each version.
async fn with_folds(store: &Store, versions: u64) -> Result<Vec<Account>> {
    let alice = store.aggregate::<Account>("alice");
    let mut version = 0;
    while version < versions {
        let command = match version % 5 {
            0 => Do::Spread((versions - version).min(3)),
            3 => Do::Withdraw(1),
            _ => Do::Deposit(version),
        };
        version = alice.execute(command).await.unwrap().version;
    }
    let (mut folds, mut history) = (vec![Account::default()], alice.history());
    while let Some(event) = history.next().await {
        let mut next = folds[folds.len() - 1].clone();
        next.evolve(&event?.decode_event()?);
        folds.push(next);
    }
    assert_eq!(folds.len() as u64, versions + 1);
    Ok(folds)
}

async fn a2_the_state_at_each_version_is_that_of_its_events(store: Store) -> Result<()> {
    let folds = with_folds(&store, 36).await?;
    until(async || Ok(store.inspect().summary().await?.snapshots == 1)).await?;
    let (alice, plain) = (store.aggregate::<Account>("alice"), store.aggregate::<Plain>("alice"));
    for (version, fold) in (0..).zip(&folds) {
        assert_eq!(alice.at_version(version).await?, *fold, "at {version}");
        assert_eq!(plain.at_version(version).await?.0, *fold, "at {version}, without a snapshot");
    }
    // A look at the past leaves the present as it is.
    assert_eq!(alice.latest().await?, folds[36]);
    assert_eq!(deposit(&store, "alice", 1).await?, 37);
    assert_eq!(alice.at_version(36).await?, folds[36]);
    Ok(())
}

async fn a_version_that_does_not_exist_is_an_error_that_says_how_many_there_are(store: Store) -> Result<()> {
    let folds = with_folds(&store, 12).await?;
    let alice = store.aggregate::<Account>("alice");
    for version in [13, 14, 1_000_000, i64::MAX as u64, u64::MAX] {
        let error = alice.at_version(version).await.unwrap_err();
        let Error::InvalidArgument { what, reason } = &error else { panic!("{version}: {error}") };
        assert!(what.contains(&format!("version {version} of \"account-alice\"")), "{what}");
        assert!(reason.contains("12"), "{reason}");
    }
    assert_eq!(alice.at_version(12).await?, folds[12]);
    let nobody = store.aggregate::<Account>("nobody");
    assert_eq!(nobody.at_version(0).await?, Account::default());
    assert!(matches!(nobody.at_version(1).await, Err(Error::InvalidArgument { .. })));
    assert_eq!(nobody.at_time(i64::MAX).await?, Account::default());
    assert!(matches!(store.aggregate::<Account>("").at_version(0).await, Err(Error::InvalidName { .. })));
    Ok(())
}

fn figures(store: &Store) -> (u64, u64) {
    let figures = store.inspect().snapshots();
    assert_eq!(store.blocking().inspect().snapshots(), figures);
    (figures.used, figures.unusable)
}

/// A snapshot at 30 and five events behind it.
async fn kept(store: &Store) -> Result<Account> {
    for n in 1..=35 {
        deposit(store, "alice", n).await?;
        // One after the other: each is there before the next might overtake it.
        until(async || Ok(n < 10 || store.inspect().summary().await?.snapshots == 1)).await?;
    }
    // What is written behind the last snapshot is on disk when that is.
    deposit(store, "bob", 1).await?;
    store.aggregate::<Plain>("alice").state().await.map(|plain| plain.0)
}

async fn a2_a_snapshot_serves_what_is_not_older(store: Store) -> Result<()> {
    let state = kept(&store).await?;
    let alice = store.aggregate::<Account>("alice");
    assert_eq!(figures(&store), (0, 0), "nothing was loaded that has one");
    assert_eq!(alice.at_version(35).await?, state);
    assert_eq!(alice.at_time(i64::MAX).await?, state);
    assert_eq!(alice.at_version(30).await?.deposits, 30);
    assert_eq!(figures(&store), (3, 0));
    // For what is older it is of no use, which is nobody's fault.
    assert_eq!(alice.at_version(29).await?.deposits, 29);
    assert_eq!(alice.at_version(0).await?, Account::default());
    assert_eq!(figures(&store), (3, 0));
    Ok(())
}

async fn latest_has_what_was_answered_here_and_asks_nobody(store: Store) -> Result<()> {
    let alice = store.aggregate::<Account>("alice");
    assert_eq!(alice.latest().await?, Account::default(), "it is loaded, if it is not in memory");
    for cents in 1..=20 {
        deposit(&store, "alice", 1).await?;
        assert_eq!(alice.latest().await?.cents, cents);
    }
    // Somebody else writes, past the actor: who asks the store sees it, and only then it is known here.
    let foreign = Event::new("Deposited", &serde_json::json!({ "cents": 100 }))?;
    store.events().append("account-alice", Expected::Any, [foreign]).await?;
    for _ in 0..3 {
        assert_eq!(alice.latest().await?.cents, 20);
    }
    assert_eq!(alice.state().await?.cents, 120);
    assert_eq!(alice.latest().await?.cents, 120);
    assert_eq!(store.blocking().aggregate::<Account>("alice").clone().history().count(), 21);
    Ok(())
}

async fn latest_waits_for_what_is_under_way(store: Store) -> Result<()> {
    let alice = store.aggregate::<Account>("alice");
    for round in 1..=20 {
        let sent: Vec<_> = (0..5).map(|_| begin(alice.execute(Do::Deposit(1)))).collect();
        let latest = begin(alice.latest());
        // They were sent before it.
        assert_eq!(latest.await?.deposits, 5 * round);
        for done in sent {
            done.await.unwrap();
        }
    }
    Ok(())
}

async fn a2_a_snapshot_of_another_shape_costs_a_replay(store: Store) -> Result<()> {
    let state = kept(&store).await?;
    let raised = store.aggregate::<Raised>("alice");
    assert_eq!(raised.state().await?.0, state);
    assert_eq!(figures(&store), (0, 1));
    assert_eq!(raised.at_version(35).await?.0, state);
    assert_eq!(figures(&store), (0, 2));
    // Known here it is not loaded again; and it replaces the snapshot by one of its own.
    for n in 36..=40 {
        assert_eq!(raised.execute(Do::Deposit(1)).await.unwrap().version, n);
    }
    assert_eq!(figures(&store), (0, 2));
    deposit(&store, "bob", 1).await?;
    assert_eq!(raised.at_version(40).await?.0.deposits, 40);
    assert_eq!(figures(&store), (1, 2));
    assert_eq!(store.aggregate::<Account>("alice").at_version(40).await?.deposits, 40);
    assert_eq!(figures(&store), (1, 3));
    Ok(())
}

async fn a2_a_snapshot_that_cannot_be_decoded_costs_a_replay(store: Store) -> Result<()> {
    let wide = store.aggregate::<Wide>("alice");
    for n in 1..=10 {
        assert_eq!(wide.execute(Do::Deposit(n)).await.unwrap().version, n);
    }
    until(async || Ok(store.inspect().summary().await?.snapshots == 1)).await?;
    let alice = store.aggregate::<Account>("alice");
    assert_eq!(alice.state().await?, Account { cents: 55, deposits: 10 });
    assert_eq!(figures(&store), (0, 1));
    assert_eq!(wide.at_version(10).await?.0.len(), 10);
    assert_eq!(figures(&store), (1, 1));
    Ok(())
}

#[test]
fn a2_a_damaged_snapshot_costs_a_replay() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.db");
    let store = wait(Store::open(&file)).unwrap();
    let state = wait(kept(&store)).unwrap();
    wait(store.close()).unwrap();
    for harm in ["data = x'00'", "crc = crc + 1", "version = 31", "format = 7"] {
        let plain = rusqlite::Connection::open(&file).unwrap();
        plain.execute_batch("CREATE TEMP TABLE before AS SELECT * FROM snapshot").unwrap();
        assert_eq!(plain.execute(&format!("UPDATE snapshot SET {harm}"), []).unwrap(), 1);
        let store = blocking::Store::open(&file).unwrap();
        let alice = store.aggregate::<Account>("alice");
        assert_eq!(alice.state().unwrap(), state, "{harm}");
        let figures = store.inspect().snapshots();
        assert_eq!((figures.used, figures.unusable), (0, 1), "{harm}");
        assert_eq!(alice.at_version(35).unwrap(), state, "{harm}");
        store.close().unwrap();
        plain.execute_batch("REPLACE INTO snapshot SELECT * FROM before; DROP TABLE before").unwrap();
    }
    let store = blocking::Store::open(&file).unwrap();
    assert_eq!(store.aggregate::<Account>("alice").state().unwrap(), state);
    assert_eq!(store.inspect().snapshots().used, 1);
    store.close().unwrap();
}

#[test]
fn the_state_at_a_time_is_that_of_what_had_been_recorded() {
    on_a_clock(async |store: Store, clock: Arc<ManualClock>| {
        let (alice, begun) = (store.aggregate::<Account>("alice"), clock.now().wall_ms);
        deposit(&store, "other", 1).await?;
        clock.advance(Duration::from_millis(10));
        deposit(&store, "alice", 1).await?;
        deposit(&store, "alice", 1).await?;
        clock.advance(Duration::from_millis(10));
        deposit(&store, "alice", 1).await?;
        // Before, at, between, at, after.
        let times = [(9, 0), (10, 2), (11, 2), (19, 2), (20, 3), (21, 3), (1 << 40, 3)];
        for (after, deposits) in times {
            assert_eq!(alice.at_time(begun + after).await?.deposits, deposits, "after {after} ms");
        }
        assert_eq!(alice.at_time(i64::MIN).await?, Account::default());
        assert_eq!(alice.at_time(i64::MAX).await?.deposits, 3);
        Ok(())
    });
}

/// What is recorded never goes back, so what was written while the clock was wrong counts as of the time before.
#[test]
fn g12_a_clock_that_is_set_back_hides_nothing_from_the_past() {
    on_a_clock(async |store: Store, clock: Arc<ManualClock>| {
        let (alice, mut folds) = (store.aggregate::<Account>("alice"), vec![]);
        let begun = clock.now().wall_ms;
        for step in [0, 5, -3, 0, 0, 1, 40, -100, 2, 70, 0, -1] {
            clock.set_wall(clock.now().wall_ms + step);
            deposit(&store, "alice", 7).await?;
            let last = alice.history().backward().next().await.unwrap()?;
            folds.push((last.recorded_at_ms(), alice.state().await?));
        }
        for time in begun - 5..begun + 130 {
            let right = folds.iter().rev().find(|(recorded, _)| *recorded <= time);
            let right = right.map_or_else(Account::default, |(_, state)| state.clone());
            assert_eq!(alice.at_time(time).await?, right, "{} ms", time - begun);
        }
        Ok(())
    });
}

#[test]
fn the_blocking_face_sees_the_same_past() {
    by_hand(Location::Memory, async |store: Store, clock: Arc<ManualClock>| {
        let folds = with_folds(&store, 12).await?;
        let begun = clock.now().wall_ms;
        let blocking = store.blocking();
        let face = || {
            let alice = blocking.aggregate::<Account>("alice");
            for (version, fold) in (0..).zip(&folds) {
                assert_eq!(alice.at_version(version).unwrap(), *fold);
            }
            assert!(matches!(alice.at_version(13), Err(Error::InvalidArgument { .. })));
            assert_eq!(alice.at_time(begun).unwrap(), folds[12]);
            assert_eq!(alice.at_time(begun - 1).unwrap(), folds[0]);
            assert_eq!(alice.latest().unwrap(), folds[12]);
        };
        std::thread::scope(|scope| scope.spawn(face).join()).unwrap();
        Ok(())
    });
}

/// The store cannot be read, and what is known here is known.
#[cfg(feature = "testing")]
#[test]
fn latest_needs_no_read() {
    use millpond::failpoint::{Point, arm};
    crate::backends::alone("past::latest_needs_no_read", || {
        wait(async {
            let store = Store::memory().await.unwrap();
            let alice = store.aggregate::<Account>("alice");
            deposit(&store, "alice", 5).await.unwrap();
            assert!(arm(Point::BeforeRead, "error", 0, 1_000));
            for n in 2..5 {
                assert_eq!(deposit(&store, "alice", 5).await, Ok(n));
                assert_eq!(alice.latest().await.unwrap().deposits, n);
            }
            assert!(matches!(alice.state().await, Err(Error::Storage { .. })));
            let refused = alice.execute(Do::Withdraw(1_000)).await;
            assert!(
                matches!(refused, Err(CommandError::Failed(Error::Storage { .. }))),
                "a refusal rests on the store"
            );
        });
    });
}
