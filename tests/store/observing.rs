//! What a store tells whoever watches over it: what is counted, under which names, and that nothing is told that is nobody's
//! business.

use std::collections::BTreeSet;
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use millpond::metric::*;
use millpond::{
    CommandError, Error, Expected, Location, Push, Result, Stamp, Store, Task, Verdict, metric, target,
};
use tracing::field::{Field, Visit};
use tracing::{Event, Id, Subscriber, span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::aggregates::{Account, Do, deposit};
use crate::backends::{alone, begin, event, known, wait, waiting};
use crate::figures::Figures;
use crate::workers::push;

/// Runs a case on a store in memory and on one in a file; what is told is told to the case alone.
fn watched(case: impl AsyncFn(&Store, &Figures) -> Result<()>) {
    let folder = tempfile::tempdir().unwrap();
    for location in [Location::Memory, Location::File(folder.path().join("case.db"))] {
        let (figures, builder) = Figures::of(Store::builder);
        wait(async {
            let store = builder.open(location).await?;
            case(&store, &figures).await?;
            store.close().await
        })
        .unwrap();
    }
}

#[test]
fn what_is_appended_is_counted_and_so_are_groups_and_conflicts() {
    watched(async |store, figures| {
        let events = store.events();
        events.append("s", Expected::NoStream, [1, 2, 3].map(known)).await?;
        events.append("s", Expected::NoStream, [1, 2, 3].map(known)).await?;
        events.append("t", Expected::Any, [event(1)]).await?;
        let written = [GROUPS, GROUP_OPERATIONS, COMMIT_SECONDS, GROUP_SECONDS, EVENTS, CONFLICTS];
        assert_eq!(figures.since(written), [3.0, 3.0, 3.0, 3.0, 4.0, 0.0], "a repetition adds no event");
        let late = events.append("s", Expected::Version(1), [event(9)]).await;
        assert!(matches!(late, Err(Error::Conflict { actual: 3, .. })));
        let refused = [EVENTS, CONFLICTS, FENCED, GROUPS];
        assert_eq!(figures.since(refused), [0.0, 1.0, 0.0, 1.0]);
        let lock = store.lock("x").acquire().await?;
        store.lock("x").break_lock().await?;
        figures.all();
        let fenced = events.guarded_by(&lock).append("s", Expected::Any, [event(9)]).await;
        assert!(matches!(fenced, Err(Error::Fenced { .. })));
        assert_eq!(figures.since(refused), [0.0, 0.0, 1.0, 1.0]);
        drop(lock);
        figures.all();
        store.log("l").append_all(&[1, 2]).await?;
        store.channel("c").publish(&1).await?;
        let mut batch = store.batch();
        batch.append("s", Expected::Any, [event(4)])?;
        batch.publish(&store.channel("c"), &2)?;
        batch.push(&store.queue("q"), &3)?;
        batch.commit().await?;
        let feeds = ["millpond_messages_total{log}", "millpond_messages_total{channel}"];
        let [log, channel] = feeds;
        assert_eq!(figures.since([log, channel, EVENTS, JOBS_PUSHED]), [2.0, 2.0, 1.0, 1.0]);
        Ok(())
    });
}

#[test]
fn locks_that_are_given_and_lost_are_counted() {
    watched(async |store, figures| {
        let lock = store.lock("x");
        let held = lock.acquire().await?;
        assert!(lock.try_acquire().await?.is_none());
        assert_eq!(figures.since([LOCK_GRANTS, LOCKS_LOST]), [1.0, 0.0]);
        let next = begin(lock.acquire());
        waiting(store, 1).await?;
        held.release().await?;
        let held = next.await?;
        assert_eq!(figures.since([LOCK_GRANTS, LOCKS_LOST]), [1.0, 0.0], "it was passed on");
        assert!(lock.break_lock().await?);
        assert!(matches!(held.release().await, Err(Error::Lost { .. })));
        assert_eq!(figures.since([LOCK_GRANTS, LOCKS_LOST, "millpond_errors_total{lost}"]), [0.0, 1.0, 1.0]);
        Ok(())
    });
}

/// How many jobs were pushed and claimed, and how many claims ended, and how.
const JOBS: [&str; 7] = [
    JOBS_PUSHED,
    JOBS_CLAIMED,
    "millpond_jobs_ended_total{done}",
    "millpond_jobs_ended_total{retried}",
    "millpond_jobs_ended_total{dead}",
    "millpond_jobs_ended_total{given_back}",
    "millpond_jobs_ended_total{stale}",
];

#[test]
fn jobs_are_counted_when_they_are_pushed_and_claimed_and_by_how_that_ends() {
    watched(async |store, figures| {
        let queue = store.queue::<u64>("q");
        queue.push_with(&0, Push::new().key("one")).await?;
        assert!(queue.push_with(&0, Push::new().key("one")).await?.existed);
        push(&queue, 1..5).await?;
        assert_eq!(figures.since(JOBS), [5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        queue.pop().await?.done().await?;
        queue.pop().await?.retry_in(Duration::from_secs(60)).await?;
        queue.pop().await?.bury("no use").await?;
        queue.pop().await?.release().await?;
        assert_eq!(figures.since(JOBS), [0.0, 4.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
        let job = queue.pop().await?;
        assert!(queue.remove(job.sequence()).await?);
        assert!(matches!(job.done().await, Err(Error::StaleClaim { .. })));
        assert_eq!(figures.since(JOBS), [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        Ok(())
    });
}

#[test]
fn what_the_handlers_of_workers_do_is_told() {
    watched(async |store, figures| {
        let queue = store.queue::<u64>("q");
        queue.set_max_attempts(1).await?;
        push(&queue, 0..3).await?;
        let handler = async |job: Task<u64>| {
            assert_ne!(*job, 1, "this one panics");
            Ok::<_, Error>(Verdict::Done)
        };
        queue.worker().drain().run(handler).await?;
        let told = figures.since([JOB_SECONDS, HANDLER_PANICS, JOBS[2], JOBS[4]]);
        assert_eq!(told, [3.0, 1.0, 2.0, 1.0]);
        Ok(())
    });
}

#[test]
fn a_panic_of_an_aggregate_is_counted_and_so_is_what_is_replayed_for_it() {
    watched(async |store, figures| {
        let alice = store.aggregate::<Account>("alice");
        deposit(store, "alice", 5).await?;
        let panics = ["millpond_errors_total{panicked}", ACTORS_STARTED, ACTORS, ACTORS_FAILED];
        assert_eq!(figures.since(panics), [0.0, 1.0, 1.0, 0.0]);
        let panicked = alice.execute(Do::Panic).await;
        assert!(matches!(panicked, Err(CommandError::Failed(Error::Panicked { .. }))));
        assert_eq!(figures.since(panics), [1.0, 0.0, 0.0, 0.0], "the actor has not failed");
        for _ in 0..10 {
            deposit(store, "alice", 5).await?;
        }
        let of_events = format!("{REPLAYED_EVENTS} sum");
        let found = ["used", "none"].map(|found| format!("{SNAPSHOTS}{{{found}}}"));
        let loads = [REPLAYED_EVENTS, &of_events, &found[0], &found[1]];
        figures.all();
        assert_eq!(alice.at_version(9).await?.deposits, 9);
        assert_eq!(figures.since(loads), [1.0, 9.0, 0.0, 0.0], "the snapshot is of a later state");
        assert_eq!(alice.at_version(11).await?.deposits, 11);
        assert_eq!(figures.since(loads), [1.0, 1.0, 1.0, 0.0]);
        Ok(())
    });
}

#[test]
fn reads_are_timed() {
    watched(async |store, figures| {
        store.events().append("s", Expected::Any, [event(1)]).await?;
        figures.all();
        assert_eq!(store.events().head().await?, 1);
        store.inspect().summary().await?;
        assert_eq!(figures.since([READ_SECONDS, READ_WAIT_SECONDS, GROUPS]), [2.0, 2.0, 0.0]);
        Ok(())
    });
}

#[test]
fn what_a_store_has_added_to_gauges_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (figures, builder) = Figures::of(Store::builder);
    wait(async {
        let store = builder.open(folder.path().join("case.db")).await?;
        let held = store.lock("x").acquire().await?;
        let [actors, pages] = figures.since([ACTORS, LOG_PAGES]);
        assert!(actors == 1.0 && pages > 0.0, "{actors} {pages}");
        store.close().await?;
        let [fewer, less] = figures.since([ACTORS, LOG_PAGES]);
        // The last commit, which gave the lock up, may have made the log longer.
        assert!(fewer == -1.0 && less <= -pages, "{fewer} {less}");
        drop(held);
        Ok::<_, Error>(())
    })
    .unwrap();
}

/// What is told to it makes it panic.
struct Panics;

impl metrics::CounterFn for Panics {
    fn increment(&self, _: u64) {
        panic!("a counter fell over");
    }

    fn absolute(&self, _: u64) {}
}

impl metrics::GaugeFn for Panics {
    fn increment(&self, _: f64) {
        panic!("a gauge fell over");
    }

    fn decrement(&self, _: f64) {
        panic!("a gauge fell over");
    }

    fn set(&self, _: f64) {}
}

impl metrics::HistogramFn for Panics {
    fn record(&self, _: f64) {
        panic!("a histogram fell over");
    }
}

impl Recorder for Panics {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(Panics))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(Panics))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Panics))
    }
}

#[test]
fn g10_a_recorder_that_panics_disturbs_nobody() {
    let builder = metrics::with_local_recorder(&Panics, Store::builder);
    wait(async {
        let store = builder.open(Location::Memory).await?;
        assert_eq!(deposit(&store, "alice", 5).await, Ok(1));
        store.lock("x").acquire().await?.release().await?;
        assert_eq!(store.events().head().await, Ok(1));
        let refused = store.events().append("s", Expected::Version(7), [event(1)]).await;
        assert!(matches!(refused, Err(Error::Conflict { .. })));
        store.close().await
    })
    .unwrap();
}

/// All names, with the values of their labels.
fn names() -> BTreeSet<String> {
    let names = metric::ALL.iter().flat_map(|metric| match metric.label {
        None => vec![metric.name.to_owned()],
        Some((_, values)) => {
            values.iter().map(|value| format!("{}{{{value}}}", metric.name)).collect::<Vec<_>>()
        }
    });
    names.collect()
}

#[test]
fn all_metrics_are_there_from_the_beginning_and_no_others_ever() {
    watched(async |store, figures| {
        let told = |figures: &Figures| -> BTreeSet<String> {
            figures.all().into_keys().filter(|name| !name.ends_with(" sum")).collect()
        };
        assert_eq!(told(figures), names());
        deposit(store, "alice", 5).await?;
        store.lock("x").acquire().await?.release().await?;
        store.events().append("s", Expected::Version(7), [event(1)]).await.unwrap_err();
        assert_eq!(told(figures), names());
        Ok(())
    });
}

/// The first column of the tables of the guide.
fn in_the_guide() -> BTreeSet<String> {
    let guide = include_str!("../../src/guide/observing.rs");
    let rows = guide.lines().filter_map(|line| line.strip_prefix("//! | `millpond"));
    rows.filter_map(|row| row.split('`').next()).map(|name| format!("millpond{name}")).collect()
}

#[test]
fn the_guide_tells_of_every_metric_and_of_every_target() {
    let names = metric::ALL.iter().map(|metric| metric.name).chain(target::ALL);
    assert_eq!(in_the_guide(), names.map(str::to_owned).collect());
}

/// Hears of everything that is traced: its target, its level, and all of its words.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<(String, String)>>>);

impl Listener {
    fn hear(&self, metadata: &tracing::Metadata<'_>, record: impl FnOnce(&mut dyn Visit)) {
        let mut words = Words(format!("{} {}", metadata.level(), metadata.name()));
        record(&mut words);
        self.0.lock().unwrap().push((metadata.target().to_owned(), words.0));
    }
}

impl<S: Subscriber> Layer<S> for Listener {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.hear(event.metadata(), |words| event.record(words));
    }

    fn on_new_span(&self, span: &span::Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.hear(span.metadata(), |words| span.record(words));
    }
}

struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

/// What stands in contents, keys and panics, and must never be told.
const SECRET: &str = "s3cret";

/// Uses a store for all sorts of things, and what is secret in all of them.
async fn use_it(store: &Store) -> Result<()> {
    let secret = millpond::Event::new("Said", &SECRET)?;
    store.events().append("s", Expected::Any, [secret.clone()]).await?;
    store.events().append("s", Expected::Version(7), [secret]).await.unwrap_err();
    store.channel("c").publish_with(&SECRET, Stamp::new().key(SECRET)).await?;
    store.log("l").append(&SECRET).await?;
    store.lock("x").acquire().await?.release().await?;
    let texts = store.queue::<String>("q");
    texts.push_with(&SECRET.to_owned(), Push::new().key(SECRET)).await?;
    // It is no number: the decoder's words tell what it has found.
    assert!(store.queue::<u64>("q").try_pop().await.is_err());
    texts.push(&SECRET.to_owned()).await?;
    texts.pop().await?.retry(SECRET).await?;
    texts.push(&SECRET.to_owned()).await?;
    let tally = texts.worker().drain().run(async |_: Task<String>| -> Verdict { panic!("{SECRET}") }).await?;
    assert_eq!(tally.retried, 1);
    assert!(store.sql([millpond::Sql::new("SELECT * FROM s3cret")]).await.is_err());
    deposit(store, "alice", 5).await?;
    store.aggregate::<Account>("alice").execute(Do::Panic).await.unwrap_err();
    Ok(())
}

#[test]
fn what_is_traced_has_its_target_and_tells_nothing_secret() {
    alone("observing::what_is_traced_has_its_target_and_tells_nothing_secret", || {
        let listener = Listener::default();
        let subscriber = tracing_subscriber::registry().with(listener.clone());
        tracing::subscriber::set_global_default(subscriber).unwrap();
        let folder = tempfile::tempdir().unwrap();
        wait(async {
            let store = Store::open(folder.path().join("case.db")).await?;
            use_it(&store).await?;
            store.close().await
        })
        .unwrap();
        let mut heard = listener.0.lock().unwrap().clone();
        heard.retain(|(target, _)| target.starts_with("millpond"));
        for (target, words) in &heard {
            assert!(target::ALL.contains(&target.as_str()), "{target}: {words}");
            assert!(!words.contains(SECRET), "{target}: {words}");
        }
        let was_heard = |target: &str, words: &str| {
            heard.iter().any(|(from, heard)| from == target && heard.starts_with(words))
        };
        for (target, words) in [
            (target::STORE, "DEBUG join"),
            (target::WRITER, "DEBUG group operations=1"),
            (target::READER, "TRACE read"),
        ] {
            assert!(was_heard(target, words), "{target}: {words}: {heard:?}");
        }
        let said = |target: &str, words: &str| {
            heard.iter().any(|(from, heard)| from == target && heard.contains(&format!("message={words}")))
        };
        for (target, words) in [
            (target::STORE, "the store was brought to this schema"),
            (target::STORE, "the store is open"),
            (target::STORE, "the store is closed"),
            (target::WRITER, "committed"),
            (target::WRITER, "the log was moved"),
            (target::CALL, "a call failed"),
            (target::WORKER, "a worker begins"),
            (target::WORKER, "the handler of a job panicked"),
            (target::WORKER, "a worker has ended"),
        ] {
            assert!(said(target, words), "{target}: {words}: {heard:?}");
        }
    });
}
