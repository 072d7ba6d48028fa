//! Names: what cannot be told apart is refused, what is only odd is kept byte for byte.

use std::time::Duration;

use millpond::{CommandError, Error, Event, Expected, Result, Store, WriteOutcome};

use super::nothing_was_written;
use crate::aggregates::{Account, Do};
use crate::backends::{all, event, known};

each_backend! {
    names_that_cannot_be_told_apart_are_refused_everywhere
    odd_names_are_kept_byte_for_byte_everywhere
}

fn bad_names() -> Vec<String> {
    let long = ["x".repeat(513), "é".repeat(257), "x".repeat(10 << 20)];
    let invisible =
        ["\u{200B}", "\u{202E}", "\u{FEFF}", "\u{2028}", "\u{85}", "\u{7F}", "\u{1B}", "\0", "\n", "\t"];
    ["", " ", "   ", "\u{2003}"]
        .map(str::to_owned)
        .into_iter()
        .chain(long)
        .chain(invisible.iter().flat_map(|bad| [(*bad).to_owned(), format!("a{bad}b"), format!("a{bad}")]))
        .collect()
}

async fn names_that_cannot_be_told_apart_are_refused_everywhere(store: Store) -> Result<()> {
    let events = store.events();
    for bad in bad_names() {
        let (lock, alice) = (store.lock(&bad), store.aggregate::<Account>(&bad));
        let command = match alice.execute(Do::Deposit(1)).await.unwrap_err() {
            CommandError::Failed(error) => error,
            other => panic!("{other:?}"),
        };
        let refusals = [
            lock.acquire().await.unwrap_err(),
            lock.try_acquire().await.unwrap_err(),
            lock.acquire_within(Duration::ZERO).await.unwrap_err(),
            lock.break_lock().await.unwrap_err(),
            store.semaphore(&bad, 3).acquire().await.unwrap_err(),
            store.rw_lock(&bad).read().await.unwrap_err(),
            store.rw_lock(&bad).write().await.unwrap_err(),
            store.lock_set(["good", &bad]).acquire().await.unwrap_err(),
            store.election(&bad).campaign().await.unwrap_err(),
            store.election(&bad).leader().await.unwrap_err(),
            store.inspect().lock(&bad).await.unwrap_err(),
            events.append(&bad, Expected::Any, [event(1)]).await.unwrap_err(),
            events.append("a", Expected::Any, [Event::new(bad.clone(), &1)?]).await.unwrap_err(),
            events.import([(bad.clone(), known(1))]).await.unwrap_err(),
            events.version(&bad).await.unwrap_err(),
            events.read_stream(&bad).next().await.unwrap().unwrap_err(),
            command,
            alice.state().await.unwrap_err(),
            alice.history().next().await.unwrap().unwrap_err(),
        ];
        for (call, refusal) in refusals.iter().enumerate() {
            let shown = refusal.to_string();
            assert!(matches!(refusal, Error::InvalidName { .. }), "call {call} of {bad:?}: {refusal:?}");
            assert!(shown.len() < 700 && !shown.contains(char::is_control), "{shown:?}");
            assert_eq!(refusal.outcome(), WriteOutcome::NotApplied);
        }
    }
    nothing_was_written(&store).await
}

async fn odd_names_are_kept_byte_for_byte_everywhere(store: Store) -> Result<()> {
    let events = store.events();
    let full = "x".repeat(512);
    let names = [
        "x'); DROP TABLE event;--",
        "%",
        "_",
        "*",
        "?1",
        "../../etc/passwd",
        "C:\\con",
        "sqlite_x",
        "😀",
        " a ",
        "A",
        "a",
        "\u{E9}",
        "e\u{301}",
        "-",
        "a-",
        "-a",
        "NULL",
        "0",
        "\"",
        "`",
        "[x]",
        &full,
    ];
    let mut last = 0;
    for name in names {
        let guard = store.lock(name).acquire().await?;
        assert_eq!(guard.name(), name);
        let held = store.inspect().locks(None, 10).await?;
        assert_eq!(held.iter().map(|line| line.name.as_str()).collect::<Vec<_>>(), [name]);
        let typed =
            Event::new(name.chars().take(100).collect::<String>(), &name)?.id(uuid::Uuid::now_v7_of(last));
        let done = events.guarded_by(&guard).append(name, Expected::NoStream, [typed]).await?;
        guard.release().await?;
        assert_eq!((done.version, done.position), (1, last + 1), "{name:?} is a name of its own");
        last = done.position;
        let found = events.read_stream(name).next().await.unwrap()?;
        assert_eq!((found.stream(), found.decode::<String>()?.as_str()), (name, name));
        assert!(name.starts_with(found.event_type()));
        let category = name.split('-').next().unwrap();
        assert!(all(events.read_category(category)).await?.iter().any(|row| row.0 == name), "{name:?}");
        if name.len() < 500 {
            let alice = store.aggregate::<Account>(name);
            last = alice.execute(Do::Deposit(1)).await.unwrap().position.unwrap();
            assert_eq!(alice.state().await?.deposits, 1, "{name:?} is an aggregate of its own");
            assert_eq!(alice.history().next().await.unwrap()?.stream(), format!("account-{name}"));
        }
    }
    assert_eq!(store.inspect().summary().await?.locks, names.len() as u64);
    Ok(())
}

/// Ids that differ; what they are does not matter.
trait Numbered {
    fn now_v7_of(number: u64) -> uuid::Uuid;
}

impl Numbered for uuid::Uuid {
    fn now_v7_of(number: u64) -> uuid::Uuid {
        crate::backends::id(1_000_000 + number)
    }
}
