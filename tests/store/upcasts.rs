//! Events in the shapes of the past: read in the shape of today, and never rewritten.

use millpond::{
    Aggregate, CommandError, Decision, Error, Event, Expected, Json, Result, Snapshots, Store, Upcasts,
    blocking,
};
use serde::{Deserialize, Serialize};

use crate::backends::{until, wait};

each_backend! {
    old_events_are_read_in_the_shape_of_today
    what_is_recorded_now_has_the_schema_of_today
    the_past_stays_as_it_was_recorded
    a_step_that_fails_is_an_error_that_names_event_and_step
    a6_a_schema_that_is_not_known_is_an_error_that_names_it
    a6_what_was_renamed_to_nothing_is_an_error_that_names_it
    a2_a_snapshot_and_old_events_are_the_state
    steps_that_do_not_fit_together_are_refused_at_the_first_call
}

/// An account of today. Once it had one owner, before that no currency, and its first event was called otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Account {
    owners: Vec<String>,
    currency: String,
    cents: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Happened {
    Opened { owners: Vec<String>, currency: String },
    Moved { cents: i64 },
    Frozen,
}

enum Do {
    Open,
    Move(i64),
    Freeze,
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("it is never refused")]
struct Never;

fn with_currency(mut content: Json) -> std::result::Result<Json, String> {
    assert!(content["owner"] != "panic", "there is no such owner");
    content["currency"] = "EUR".into();
    Ok(content)
}

fn with_owners(mut content: Json) -> std::result::Result<Json, String> {
    match content["owner"].take() {
        Json::String(owner) => content["owners"] = vec![owner].into(),
        other => return Err(format!("the owner is {other}")),
    }
    Ok(content)
}

impl Aggregate for Account {
    const KIND: &'static str = "account";
    type Command = Do;
    type Event = Happened;
    type Rejection = Never;

    fn decide(&self, command: &Do) -> std::result::Result<Decision<Account>, Never> {
        Ok(match command {
            Do::Open => {
                [Happened::Opened { owners: vec!["ada".into(), "bob".into()], currency: "CHF".into() }].into()
            }
            Do::Move(cents) => [Happened::Moved { cents: *cents }].into(),
            Do::Freeze => [Happened::Frozen].into(),
        })
    }

    fn evolve(&mut self, event: &Happened) {
        match event {
            Happened::Opened { owners, currency } => {
                self.owners.clone_from(owners);
                self.currency.clone_from(currency);
            }
            Happened::Moved { cents } => self.cents += cents,
            Happened::Frozen => self.cents = 0,
        }
    }

    fn snapshots() -> Snapshots<Account> {
        Snapshots::every(4)
    }

    fn upcasts() -> Upcasts {
        Upcasts::new()
            .rename("AccountOpened", "Opened")
            .step("Opened", 2, with_owners)
            .step("Opened", 1, with_currency)
            .rename("Deposited", "Moved")
            .step("Moved", 1, |content| Ok(serde_json::json!({ "cents": content })))
            .rename("Locked", "Frozen")
    }
}

/// An event of the past.
fn old(event_type: &'static str, schema: u32, content: &str) -> Event {
    Event::from_json(event_type, content).unwrap().schema(schema)
}

async fn append(store: &Store, id: &str, events: Vec<Event>) -> Result<()> {
    store.events().append(format!("account-{id}"), Expected::Any, events).await.map(drop)
}

fn account(owners: &[&str], currency: &str, cents: i64) -> Account {
    let owners = owners.iter().map(|owner| (*owner).to_owned()).collect();
    Account { owners, currency: currency.into(), cents }
}

async fn old_events_are_read_in_the_shape_of_today(store: Store) -> Result<()> {
    let shapes = [
        ("AccountOpened", 1, "{\"owner\":\"eva\"}", account(&["eva"], "EUR", 5)),
        ("Opened", 1, "{\"owner\":\"eva\"}", account(&["eva"], "EUR", 5)),
        ("AccountOpened", 2, "{\"owner\":\"eva\",\"currency\":\"USD\"}", account(&["eva"], "USD", 5)),
        (
            "Opened",
            3,
            "{\"owners\":[\"eva\",\"li\"],\"currency\":\"USD\"}",
            account(&["eva", "li"], "USD", 5),
        ),
        ("AccountOpened", 3, "{\"owners\":[],\"currency\":\"USD\"}", account(&[], "USD", 5)),
    ];
    for (n, (event_type, schema, content, right)) in shapes.into_iter().enumerate() {
        let id = n.to_string();
        let moved = [old("Deposited", 1, "7"), old("Moved", 1, "-4"), old("Moved", 2, "{\"cents\":2}")];
        append(&store, &id, [old(event_type, schema, content)].into_iter().chain(moved).collect()).await?;
        let account = store.aggregate::<Account>(&id);
        assert_eq!(account.state().await?, right, "{event_type} {schema}");
        assert_eq!(account.at_version(2).await?.cents, 7);
        // What is decided rests on it.
        assert_eq!(account.execute(Do::Move(1)).await.unwrap().version, 5);
        assert_eq!(account.latest().await?, Account { cents: 6, ..right });
        append(&store, &id, vec![old("Locked", 1, "null")]).await?;
        assert_eq!(account.state().await?.cents, 0);
    }
    Ok(())
}

async fn what_is_recorded_now_has_the_schema_of_today(store: Store) -> Result<()> {
    let account = store.aggregate::<Account>("a");
    for command in [Do::Open, Do::Move(3), Do::Freeze] {
        account.execute(command).await.unwrap();
    }
    let (mut history, mut found) = (account.history(), Vec::new());
    while let Some(event) = history.next().await {
        let event = event?;
        found.push((event.event_type().to_owned(), event.schema()));
    }
    assert_eq!(found, [("Opened".into(), 3), ("Moved".into(), 2), ("Frozen".into(), 1)]);
    assert_eq!(account.at_version(2).await?, self::account(&["ada", "bob"], "CHF", 3));
    Ok(())
}

async fn the_past_stays_as_it_was_recorded(store: Store) -> Result<()> {
    append(&store, "a", vec![old("AccountOpened", 1, "{\"owner\": \"eva\"}"), old("Deposited", 1, "7")])
        .await?;
    let account = store.aggregate::<Account>("a");
    account.execute(Do::Move(1)).await.unwrap();
    let mut history = account.history();
    let opened = history.next().await.unwrap()?;
    assert_eq!((opened.event_type(), opened.schema()), ("AccountOpened", 1));
    assert_eq!(opened.json(), Some("{\"owner\": \"eva\"}"));
    let today = Happened::Opened { owners: vec!["eva".into()], currency: "EUR".into() };
    assert_eq!(account.decode(&opened)?, today);
    assert!(opened.decode_event::<Happened>().is_err(), "as it stands it is not of today");
    assert_eq!(account.decode(&history.next().await.unwrap()?)?, Happened::Moved { cents: 7 });
    let moved = history.next().await.unwrap()?;
    assert_eq!((moved.schema(), account.decode(&moved)?), (2, Happened::Moved { cents: 1 }));
    Ok(())
}

async fn a_step_that_fails_is_an_error_that_names_event_and_step(store: Store) -> Result<()> {
    append(&store, "good", vec![old("Opened", 1, "{\"owner\":\"eva\"}")]).await?;
    let good = store.aggregate::<Account>("good");
    let bad = [
        ("{\"owner\":4}", "schema 2", "the owner is 4"),
        ("{\"owner\":\"panic\"}", "schema 1", "no such owner"),
    ];
    for (n, (content, step, said)) in bad.into_iter().enumerate() {
        let id = format!("bad{n}");
        append(&store, &id, vec![old("Deposited", 1, "7"), old("AccountOpened", 1, content)]).await?;
        let bad = store.aggregate::<Account>(&id);
        let second = bad.history().after(1).next().await.unwrap()?;
        let Err(CommandError::Failed(refused)) = bad.execute(Do::Move(1)).await else { panic!("{id}") };
        let errors = [
            bad.state().await.unwrap_err(),
            bad.latest().await.unwrap_err(),
            bad.at_version(2).await.unwrap_err(),
            bad.decode(&second).unwrap_err(),
            refused,
        ];
        for error in errors {
            assert!(matches!(error, Error::Decode { .. } | Error::Panicked { .. }), "{error}");
            let text = error.to_string();
            let event = format!("event 2 (AccountOpened) of stream \"account-{id}\"");
            assert!([&event, step, said].iter().all(|part| text.contains(*part)), "{text}");
        }
        // What does not need it is not harmed, and neither is anybody else.
        assert_eq!(bad.at_version(1).await?.cents, 7);
        assert_eq!(good.state().await?, account(&["eva"], "EUR", n as i64));
        good.execute(Do::Move(1)).await.unwrap();
        assert_eq!(store.events().version(format!("account-{id}")).await?, 2);
    }
    Ok(())
}

async fn a6_a_schema_that_is_not_known_is_an_error_that_names_it(store: Store) -> Result<()> {
    let newer = [("Opened", 4, "up to 3"), ("Moved", 9, "up to 2"), ("Locked", 2, "up to 1")];
    for (event_type, schema, known) in newer {
        append(&store, event_type, vec![old("Moved", 2, "{\"cents\":1}"), old(event_type, schema, "null")])
            .await?;
        let account = store.aggregate::<Account>(event_type);
        let error = account.state().await.unwrap_err();
        let Error::Decode { what, reason } = &error else { panic!("{error}") };
        assert!(what.contains("event 2") && what.contains(event_type), "{what}");
        assert!(reason.contains(&format!("schema is {schema}")) && reason.contains(known), "{reason}");
        assert!(account.execute(Do::Move(1)).await.is_err());
        assert_eq!(
            store.events().version(format!("account-{event_type}")).await?,
            2,
            "nothing is decided without it"
        );
    }
    Ok(())
}

async fn a6_what_was_renamed_to_nothing_is_an_error_that_names_it(store: Store) -> Result<()> {
    append(&store, "a", vec![old("Locked", 1, "null"), old("Unlocked", 1, "null")]).await?;
    let error = store.aggregate::<Account>("a").state().await.unwrap_err();
    assert!(matches!(&error, Error::Decode { reason, .. } if reason.contains("Unlocked")), "{error}");
    Ok(())
}

async fn a2_a_snapshot_and_old_events_are_the_state(store: Store) -> Result<()> {
    append(&store, "a", vec![old("AccountOpened", 1, "{\"owner\":\"eva\"}"), old("Deposited", 1, "7")])
        .await?;
    let a = store.aggregate::<Account>("a");
    for cents in [1, 2, 3] {
        a.execute(Do::Move(cents)).await.unwrap();
    }
    until(async || Ok(store.inspect().summary().await?.snapshots == 1)).await?;
    append(&store, "a", vec![old("Deposited", 1, "10")]).await?;
    let right = account(&["eva"], "EUR", 23);
    assert_eq!((a.at_version(6).await?, store.inspect().snapshots().used), (right.clone(), 1));
    assert_eq!(a.state().await?, right);
    assert_eq!(a.at_version(1).await?, account(&["eva"], "EUR", 0));
    Ok(())
}

/// An aggregate with these upcasts and nothing else.
macro_rules! with_upcasts {
    ($($name:ident: $upcasts:expr;)+) => {
        $(
            #[derive(Clone, Debug, Default)]
            struct $name;

            impl Aggregate for $name {
                const KIND: &'static str = "odd";
                type Command = ();
                type Event = Happened;
                type Rejection = Never;

                fn decide(&self, _: &()) -> std::result::Result<Decision<$name>, Never> {
                    Ok([Happened::Frozen].into())
                }

                fn evolve(&mut self, _: &Happened) {}

                fn upcasts() -> Upcasts {
                    $upcasts
                }
            }
        )+
    };
}

with_upcasts! {
    Gap: Upcasts::new().step("Opened", 1, Ok).step("Opened", 3, Ok);
    Late: Upcasts::new().step("Opened", 2, Ok);
    Zero: Upcasts::new().step("Opened", 0, Ok).step("Opened", 1, Ok);
    Doubled: Upcasts::new().step("Opened", 1, Ok).step("Frozen", 1, Ok).step("Opened", 1, Ok);
    TwoNames: Upcasts::new().rename("Old", "Opened").rename("Old", "Frozen");
    OldSteps: Upcasts::new().rename("Old", "Opened").step("Old", 1, Ok);
    Chain: Upcasts::new().rename("Older", "Old").rename("Old", "Opened");
    Circle: Upcasts::new().rename("Opened", "Opened");
}

/// Whatever is asked of it first.
async fn refused<A>(store: &Store, words: &str) -> Result<()>
where
    A: Aggregate<Command = ()> + Clone + std::fmt::Debug,
{
    let odd = store.aggregate::<A>("a");
    let Err(CommandError::Failed(executed)) = odd.execute(()).await else { panic!("it was executed") };
    store.events().append("other", Expected::Any, [old("Frozen", 1, "null")]).await?;
    let event = store.events().read_stream("other").next().await.unwrap()?;
    let errors = [
        executed,
        odd.state().await.unwrap_err(),
        odd.latest().await.unwrap_err(),
        odd.at_version(0).await.unwrap_err(),
        odd.history().next().await.unwrap().unwrap_err(),
        odd.decode(&event).err().expect("it was decoded"),
        A::upcasts().check().unwrap_err(),
    ];
    for error in errors {
        let Error::InvalidArgument { what, reason } = &error else { panic!("{error}") };
        assert_eq!((&**what, reason.contains(words)), ("upcasts", true), "{reason}");
    }
    assert_eq!(store.events().version("odd-a").await?, 0);
    Ok(())
}

async fn steps_that_do_not_fit_together_are_refused_at_the_first_call(store: Store) -> Result<()> {
    refused::<Gap>(&store, "no step leads from schema 2 of \"Opened\"").await?;
    refused::<Late>(&store, "no step leads from schema 1 of \"Opened\"").await?;
    refused::<Zero>(&store, "schema 0").await?;
    refused::<Doubled>(&store, "two steps lead from schema 1 of \"Opened\"").await?;
    refused::<TwoNames>(&store, "\"Old\" has two new names").await?;
    refused::<OldSteps>(&store, "\"Old\" is called \"Opened\" now").await?;
    refused::<Chain>(&store, "\"Older\" is called \"Old\"").await?;
    refused::<Circle>(&store, "\"Opened\" is called \"Opened\"").await?;
    let today = Account::upcasts();
    today.check()?;
    let schemas = ["Opened", "Moved", "Frozen", "AccountOpened", "anything"].map(|name| today.schema(name));
    assert_eq!(schemas, [3, 2, 1, 1, 1]);
    Ok(())
}

/// The content of an event is JSON. Of another format it is not understood, of whatever schema it is.
#[test]
fn a6_a_content_of_another_format_is_an_error_that_says_so() {
    use millpond_actors::storage::checksum::{Kind, record};
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.db");
    let store = wait(Store::open(&file)).unwrap();
    wait(append(&store, "a", vec![old("Moved", 2, "{\"cents\":1}"), old("Moved", 1, "7")])).unwrap();
    wait(store.close()).unwrap();
    for (version, schema) in [(2, 1), (1, 2)] {
        let crc = record(Kind::Event, "account-a", version, "Moved", 2, schema, &[7]);
        let sql = "UPDATE event SET format = 2, data = x'07', crc = ?1 WHERE version = ?2";
        let plain = rusqlite::Connection::open(&file).unwrap();
        assert_eq!(plain.execute(sql, rusqlite::params![crc, version]).unwrap(), 1);
        let store = blocking::Store::open(&file).unwrap();
        let account = store.aggregate::<Account>("a");
        let error = account.state().unwrap_err();
        let event = format!("event {version} (Moved)");
        assert!(
            matches!(&error, Error::Decode { what, reason } if what.contains(&event) && reason.contains("not JSON")),
            "{error}"
        );
        store.close().unwrap();
    }
}
