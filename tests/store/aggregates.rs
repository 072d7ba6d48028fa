//! Aggregates: commands, rejections, states, snapshots, panics, many callers, and actors that come and go.

use std::collections::BTreeSet;
use std::time::Duration;

use millpond::{
    Aggregate, CommandError, Decision, Durability, Error, Event, Expected, Location, Result, Snapshots, Store,
};
use serde::{Deserialize, Serialize};

use crate::backends::{all, until, wait};

/// An account that keeps a snapshot every ten events, and does bad things when told to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) cents: u64,
    pub(crate) deposits: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Happened {
    Deposited { cents: u64 },
    Withdrawn { cents: u64 },
    Poisoned,
}

pub(crate) enum Do {
    Deposit(u64),
    Withdraw(u64),
    /// Several deposits of one cent in one command.
    Spread(u64),
    Nothing,
    Panic,
    /// Leads to an event that `evolve` cannot bear.
    Poison,
    /// Calls the store from `decide`.
    Call(millpond::blocking::Store),
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("only {0} cents are left")]
    TooLittle(u64),
    #[error("the store said {0:?}")]
    Said(Box<[Option<Error>]>),
}

impl Aggregate for Account {
    const KIND: &'static str = "account";
    type Command = Do;
    type Event = Happened;
    type Rejection = Refused;

    fn decide(&self, command: &Do) -> Result<Decision<Account>, Refused> {
        Ok(match command {
            Do::Deposit(cents) => [Happened::Deposited { cents: *cents }].into(),
            Do::Withdraw(cents) if *cents > self.cents => return Err(Refused::TooLittle(self.cents)),
            Do::Withdraw(cents) => [Happened::Withdrawn { cents: *cents }].into(),
            Do::Spread(count) => {
                (0..*count).map(|_| Happened::Deposited { cents: 1 }).collect::<Vec<_>>().into()
            }
            Do::Nothing => Decision::nothing(),
            Do::Panic => panic!("decide fell over"),
            Do::Poison => [Happened::Deposited { cents: 7 }, Happened::Poisoned].into(),
            Do::Call(store) => {
                let said = [
                    store.events().head().err(),
                    store.lock("l").try_acquire().err(),
                    store.events().append("a", Expected::Any, [crate::backends::event(1)]).err(),
                    store.events().read_all().next().and_then(Result::err),
                    store.inspect().summary().err(),
                    store.inspect().actors().err(),
                    store.aggregate::<Account>("other").state().err(),
                    store.projection("p").caught_up().err(),
                    millpond::blocking::Store::memory().err(),
                    store.close().err(),
                ];
                return Err(Refused::Said(said.into()));
            }
        })
    }

    fn evolve(&mut self, event: &Happened) {
        match event {
            Happened::Deposited { cents } => {
                self.cents += cents;
                self.deposits += 1;
            }
            Happened::Withdrawn { cents } => self.cents -= cents,
            Happened::Poisoned => panic!("evolve fell over"),
        }
    }

    fn snapshots() -> Snapshots<Account> {
        Snapshots::every(10)
    }
}

/// Deposits, whatever it takes to get them in.
pub(crate) async fn deposit(store: &Store, id: &str, cents: u64) -> Result<u64> {
    match store.aggregate::<Account>(id).execute(Do::Deposit(cents)).await {
        Ok(done) => Ok(done.version),
        Err(CommandError::Failed(error)) => Err(error),
        Err(other) => panic!("{other:?}"),
    }
}

each_backend! {
    commands_lead_to_events_and_a_state
    a3_the_events_of_one_command_stand_together
    a5_a_rejection_is_handed_over_and_nothing_is_written
    a6_an_event_of_an_unknown_type_is_an_error_that_names_it
    g10_a_panic_is_that_callers_error_and_nobody_elses
    g11_calls_from_decide_would_deadlock_and_say_so
    a4_sixty_four_callers_at_once_all_succeed
    a4_a_stream_that_others_append_to_is_looked_at_anew
    r1_concurrent_users_of_a_name_share_one_actor
    r1_no_request_is_lost_to_an_actor_that_leaves
    r2_an_actor_that_left_is_not_missed
}

async fn commands_lead_to_events_and_a_state(store: Store) -> Result<()> {
    let alice = store.aggregate::<Account>("alice");
    assert_eq!(alice.state().await?, Account::default());
    let done = alice.execute(Do::Deposit(500)).await.unwrap();
    assert_eq!((done.version, done.position), (1, Some(1)));
    assert_eq!(done.events, [Happened::Deposited { cents: 500 }]);
    let done = alice.execute(Do::Nothing).await.unwrap();
    assert_eq!((done.version, done.position, done.events.len()), (1, None, 0));
    let done = alice.execute(Do::Withdraw(120)).await.unwrap();
    assert_eq!((done.version, done.position), (2, Some(2)));
    assert_eq!(alice.state().await?, Account { cents: 380, deposits: 1 });
    let mut history = alice.history();
    let first = history.next().await.unwrap()?;
    assert_eq!((first.stream(), first.event_type()), ("account-alice", "Deposited"));
    assert_eq!(first.json(), Some("{\"cents\":500}"));
    assert_eq!(
        history.next().await.unwrap()?.decode_event::<Happened>()?,
        Happened::Withdrawn { cents: 120 }
    );
    assert!(history.next().await.is_none());
    // Its stream is a stream like any other.
    assert_eq!(store.events().version("account-alice").await?, 2);
    assert_eq!(all(store.events().read_category("account")).await?.len(), 2);
    assert_eq!(store.aggregate::<Account>("bob").state().await?, Account::default());
    Ok(())
}

async fn a3_the_events_of_one_command_stand_together(store: Store) -> Result<()> {
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let alice = store.aggregate::<Account>("alice");
            tokio::spawn(async move { alice.execute(Do::Spread(5)).await.unwrap() })
        })
        .collect();
    let mut ends = BTreeSet::new();
    for task in tasks {
        let done = task.await.unwrap();
        assert_eq!((done.events.len(), done.version % 5, done.position), (5, 0, Some(done.version)));
        ends.insert(done.version);
    }
    assert!(ends.into_iter().eq((1..=20).map(|n| n * 5)));
    Ok(())
}

async fn a5_a_rejection_is_handed_over_and_nothing_is_written(store: Store) -> Result<()> {
    let alice = store.aggregate::<Account>("alice");
    alice.execute(Do::Deposit(100)).await.unwrap();
    for _ in 0..3 {
        let refused = alice.execute(Do::Withdraw(101)).await.unwrap_err();
        assert_eq!(refused, CommandError::Rejected(Refused::TooLittle(100)));
        assert_eq!(refused.to_string(), "only 100 cents are left");
    }
    assert_eq!((store.events().head().await?, alice.state().await?.cents), (1, 100));
    Ok(())
}

async fn a6_an_event_of_an_unknown_type_is_an_error_that_names_it(store: Store) -> Result<()> {
    let alice = store.aggregate::<Account>("alice");
    alice.execute(Do::Deposit(1)).await.unwrap();
    store.events().append("account-alice", Expected::Version(1), [Event::new("Audited", &1)?]).await?;
    for _ in 0..2 {
        let error = alice.state().await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Decode { .. }) && text.contains("Audited"), "{text}");
        assert!(matches!(
            alice.execute(Do::Deposit(1)).await,
            Err(CommandError::Failed(Error::Decode { .. }))
        ));
    }
    assert_eq!(store.events().head().await?, 2);
    deposit(&store, "bob", 1).await?;
    Ok(())
}

async fn g10_a_panic_is_that_callers_error_and_nobody_elses(store: Store) -> Result<()> {
    let (alice, bob) = (store.aggregate::<Account>("alice"), store.aggregate::<Account>("bob"));
    alice.execute(Do::Deposit(1)).await.unwrap();
    for (bad, words) in [(Do::Panic, "decide fell over"), (Do::Poison, "evolve fell over")] {
        // Neighbours in the same flight: before, behind, and next door.
        let before = crate::backends::begin(alice.execute(Do::Deposit(1)));
        let culprit = crate::backends::begin(alice.execute(bad));
        let behind = crate::backends::begin(alice.execute(Do::Deposit(1)));
        let next_door = crate::backends::begin(bob.execute(Do::Deposit(1)));
        let error = culprit.await.unwrap_err();
        assert!(
            matches!(&error, CommandError::Failed(Error::Panicked { message, .. }) if message.contains(words)),
            "{error:?}"
        );
        assert_eq!(before.await.unwrap().events.len(), 1);
        assert_eq!(behind.await.unwrap().events.len(), 1);
        assert_eq!(next_door.await.unwrap().events.len(), 1);
    }
    assert_eq!(alice.state().await?, Account { cents: 5, deposits: 5 });
    assert_eq!(bob.state().await?.cents, 2);
    assert_eq!((store.events().version("account-alice").await?, store.events().head().await?), (5, 7));
    Ok(())
}

async fn g11_calls_from_decide_would_deadlock_and_say_so(store: Store) -> Result<()> {
    let refused = store.aggregate::<Account>("alice").execute(Do::Call(store.blocking())).await;
    let Err(CommandError::Rejected(Refused::Said(said))) = refused else { panic!("{refused:?}") };
    for (call, said) in said.iter().enumerate() {
        assert_eq!(*said, Some(Error::WouldDeadlock), "call {call}");
    }
    assert_eq!(store.events().head().await?, 0);
    deposit(&store, "alice", 1).await?;
    Ok(())
}

async fn a4_sixty_four_callers_at_once_all_succeed(store: Store) -> Result<()> {
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut versions = Vec::new();
                for _ in 0..5 {
                    versions.push(deposit(&store, "alice", 3).await?);
                }
                Ok::<_, Error>(versions)
            })
        })
        .collect();
    let mut versions = BTreeSet::new();
    for task in tasks {
        versions.extend(task.await.unwrap()?);
    }
    assert!(versions.into_iter().eq(1..=320));
    assert_eq!(store.aggregate::<Account>("alice").state().await?, Account { cents: 960, deposits: 320 });
    Ok(())
}

async fn a4_a_stream_that_others_append_to_is_looked_at_anew(store: Store) -> Result<()> {
    let alice = store.aggregate::<Account>("alice");
    alice.execute(Do::Deposit(100)).await.unwrap();
    let withdrawn = Event::new("Withdrawn", &serde_json::json!({ "cents": 80 }))?;
    store.events().append("account-alice", Expected::Version(1), [withdrawn]).await?;
    // The actor still remembers 100 cents; what it decides must rest on 20.
    let refused = alice.execute(Do::Withdraw(80)).await.unwrap_err();
    assert_eq!(refused, CommandError::Rejected(Refused::TooLittle(20)));
    assert_eq!(alice.execute(Do::Withdraw(20)).await.unwrap().version, 3);
    Ok(())
}

async fn r1_concurrent_users_of_a_name_share_one_actor(store: Store) -> Result<()> {
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { deposit(&store, ["alice", "bob"][n % 2], 1).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap()?;
    }
    assert_eq!(store.inspect().actors().await, 2);
    Ok(())
}

/// Idle so briefly that actors leave while they are asked for.
async fn restless(store: &Store) -> Result<Store> {
    let builder = Store::builder().idle(Duration::from_millis(10));
    match store.location() {
        Location::File(path) => builder.open(path.with_extension("restless")).await,
        Location::Postgres(url) => {
            let builder = builder.durability(Durability::ProcessCrash);
            builder.open(format!("{}_restless", url.reveal())).await
        }
        memory => builder.open(memory.clone()).await,
    }
}

async fn r1_no_request_is_lost_to_an_actor_that_leaves(store: Store) -> Result<()> {
    let store = restless(&store).await?;
    for n in 1..=60 {
        deposit(&store, "alice", 1).await?;
        store.lock("till").acquire().await?.release().await?;
        // Asked again in the moment in which they leave, or a few looks sooner.
        let mut looks = n % 4 * 50;
        until(async || {
            looks -= u64::from(looks > 1);
            Ok(looks == 1 || store.inspect().actors().await == 0)
        })
        .await?;
        assert_eq!(store.aggregate::<Account>("alice").state().await?.deposits, n);
    }
    store.close().await
}

async fn r2_an_actor_that_left_is_not_missed(store: Store) -> Result<()> {
    let store = restless(&store).await?;
    let guard = store.lock("held").acquire().await?;
    for round in 1..=3 {
        deposit(&store, "alice", 5).await?;
        store.lock("till").acquire().await?.release().await?;
        // Who holds a lock stays; the others leave.
        until(async || Ok(store.inspect().actors().await == 1)).await?;
        let alice = store.aggregate::<Account>("alice").state().await?;
        assert_eq!(alice, Account { cents: 5 * round, deposits: round });
    }
    store.events().guarded_by(&guard).append("x", Expected::NoStream, [crate::backends::event(1)]).await?;
    guard.release().await?;
    store.close().await
}

/// The same account, counted twice: it tells whether a state came from a snapshot.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Double<const SCHEMA: u32>(Account);

impl<const SCHEMA: u32> Aggregate for Double<SCHEMA> {
    const KIND: &'static str = "account";
    type Command = Do;
    type Event = Happened;
    type Rejection = Refused;

    fn decide(&self, _: &Do) -> Result<Decision<Self>, Refused> {
        Ok(Decision::nothing())
    }

    fn evolve(&mut self, event: &Happened) {
        self.0.evolve(event);
        self.0.evolve(event);
    }

    fn snapshots() -> Snapshots<Self> {
        Snapshots::every(10).schema(SCHEMA)
    }
}

#[test]
fn a2_a_state_from_a_snapshot_is_the_state_of_a_full_replay() {
    let folder = tempfile::tempdir().unwrap();
    wait(async {
        for opened in 1..=2_u64 {
            let store = Store::open(folder.path().join("s.db")).await?;
            let alice = store.aggregate::<Account>("alice");
            for n in 1..=33 {
                deposit(&store, "alice", n).await?;
            }
            let state = alice.state().await?;
            let mut replayed = Account::default();
            let mut history = alice.history();
            while let Some(event) = history.next().await {
                replayed.evolve(&event?.decode_event()?);
            }
            assert_eq!(state, replayed);
            assert_eq!(state.deposits, 33 * opened);
            until(async || Ok(store.inspect().summary().await?.snapshots == 1)).await?;
            store.close().await?;
        }
        let store = Store::open(folder.path().join("s.db")).await?;
        assert_eq!(store.aggregate::<Account>("alice").state().await?.deposits, 66);
        // 66 events: a snapshot at 60, and 6 behind it that are counted twice.
        assert_eq!(store.aggregate::<Double<1>>("alice").state().await?.0.deposits, 60 + 2 * 6);
        // A snapshot of another shape is not used.
        assert_eq!(store.aggregate::<Double<2>>("alice").state().await?.0.deposits, 2 * 66);
        store.close().await
    })
    .unwrap();
}
