//! The side of cqrs-es, with sqlite-es, which keeps its events in SQLite: on a runtime of two threads. It has no queues.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{EventStoreAggregateContext, PersistedEventRepository, PersistedEventStore};
use cqrs_es::{Aggregate, AggregateError, DomainEvent, EventStore};
use peers::measure::{Tally, drive_tasks, runtime};
use peers::{Asked, CHUNK, Events, Measured, Outcome, STREAMS, Side, Stopwatch, payload};
use serde::{Deserialize, Serialize};
use sqlite_es::{SqliteEventRepository, default_sqlite_pool, sqlite_aggregate_cqrs};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Row, SqlitePool};

/// The tables, as its documentation has them made.
const TABLES: &str = "
    CREATE TABLE events (
        aggregate_type text NOT NULL, aggregate_id text NOT NULL, sequence integer CHECK (sequence >= 0) NOT NULL,
        event_type text NOT NULL, event_version text NOT NULL, payload text NOT NULL, metadata text NOT NULL,
        PRIMARY KEY (aggregate_type, aggregate_id, sequence)
    ) STRICT;
    CREATE TABLE snapshots (
        aggregate_type text NOT NULL, aggregate_id text NOT NULL,
        last_sequence integer CHECK (last_sequence >= 0) NOT NULL,
        current_snapshot integer CHECK (current_snapshot >= 0) NOT NULL, payload text NOT NULL,
        PRIMARY KEY (aggregate_type, aggregate_id, last_sequence)
    ) STRICT;
";

struct Cqrs;

/// A store that makes an aggregate from all of its events.
type Plain = PersistedEventStore<SqliteEventRepository, Notes>;

/// Counts what was noted.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Notes {
    events: u64,
    bytes: usize,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Happened {
    Noted { text: String },
}

fn noted() -> Happened {
    Happened::Noted { text: payload() }
}

impl DomainEvent for Happened {
    fn event_type(&self) -> String {
        "Noted".to_owned()
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

impl Aggregate for Notes {
    const TYPE: &'static str = "notes";
    type Command = ();
    type Event = Happened;
    type Error = Infallible;
    type Services = ();

    async fn handle(&mut self, (): (), (): &(), sink: &EventSink<Notes>) -> Result<(), Infallible> {
        sink.write(noted(), self).await;
        Ok(())
    }

    fn apply(&mut self, Happened::Noted { text }: Happened) {
        self.events += 1;
        self.bytes += text.len();
    }
}

/// As shipped it is NORMAL; the pool is the user's, who may say FULL. All else is as in the one that is shipped.
async fn open(asked: &Asked) -> Outcome<SqlitePool> {
    let file = asked.file();
    let pool = if asked.relaxed {
        default_sqlite_pool(&format!("sqlite://{}", file.display())).await
    } else {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true);
        SqlitePoolOptions::new().max_connections(10).connect_with(options).await?
    };
    sqlx::raw_sql(TABLES).execute(&pool).await?;
    Ok(pool)
}

fn plain(pool: &SqlitePool) -> Plain {
    PersistedEventStore::new_event_store(SqliteEventRepository::new(pool.clone()))
}

/// Appends events behind the one of this number.
async fn append(store: &Plain, id: &str, last: u64, events: u64) -> Outcome<()> {
    let context = EventStoreAggregateContext {
        aggregate_id: id.to_owned(),
        aggregate: Notes::default(),
        current_sequence: usize::try_from(last)?,
        current_snapshot: None,
    };
    store.commit((0..events).map(|_| noted()).collect(), context, HashMap::new()).await?;
    Ok(())
}

/// Gives an aggregate so many events.
async fn fill(store: &Plain, id: &str, events: u64) -> Outcome<()> {
    for first in (0..events).step_by(CHUNK as usize) {
        append(store, id, first, CHUNK.min(events - first)).await?;
    }
    Ok(())
}

/// What a connection of the pool says.
async fn said<T>(pool: &SqlitePool, question: &str) -> Outcome<T>
where
    T: for<'row> sqlx::Decode<'row, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    Ok(sqlx::query(question).fetch_one(pool).await?.try_get(0)?)
}

impl Side for Cqrs {
    fn settings(&self, asked: &Asked) -> Outcome<String> {
        runtime()?.block_on(async {
            let pool = open(asked).await?;
            let version: String = said(&pool, "SELECT sqlite_version()").await?;
            let journal: String = said(&pool, "PRAGMA journal_mode").await?;
            let synchronous: i64 = said(&pool, "PRAGMA synchronous").await?;
            let names = ["OFF", "NORMAL", "FULL", "EXTRA"];
            let synchronous = names.get(usize::try_from(synchronous)?).unwrap_or(&"?");
            pool.close().await;
            let journal = journal.to_uppercase();
            Ok(format!(
                "cqrs-es 0.5.0, sqlite-es 0.5.0, SQLite {version}, {journal}, synchronous={synchronous}"
            ))
        })
    }

    fn events(&self) -> Option<&dyn Events> {
        Some(self)
    }
}

impl Events for Cqrs {
    fn append(&self, asked: &Asked, seconds: f64) -> Outcome<Measured> {
        let runtime = runtime()?;
        let pool = runtime.block_on(open(asked))?;
        let (store, mut last) = (Arc::new(plain(&pool)), 0);
        let caller = move || {
            let (store, behind) = (Arc::clone(&store), last);
            last += 1;
            async move { append(&store, "1", behind, 1).await }
        };
        let measured = drive_tasks(&runtime, vec![caller], seconds)?;
        runtime.block_on(pool.close());
        Ok(measured)
    }

    fn command(&self, asked: &Asked, callers: usize, aggregates: usize, seconds: f64) -> Outcome<Measured> {
        let runtime = runtime()?;
        let pool = runtime.block_on(open(asked))?;
        // The fastest of its three ways: the state is kept with each commit, and read back without its events.
        let cqrs = Arc::new(sqlite_aggregate_cqrs::<Notes>(pool.clone(), Vec::new(), ()));
        let tally = Arc::new(Tally::default());
        let caller = |number: usize| {
            let (cqrs, tally) = (Arc::clone(&cqrs), Arc::clone(&tally));
            let id: Arc<str> = (number % aggregates).to_string().into();
            move || {
                let (cqrs, tally, id) = (Arc::clone(&cqrs), Arc::clone(&tally), Arc::clone(&id));
                async move {
                    loop {
                        match cqrs.execute(&id, ()).await {
                            Err(AggregateError::AggregateConflict) => tally.again(),
                            executed => break Ok(executed.map(|()| tally.done())?),
                        }
                    }
                }
            }
        };
        let measured = drive_tasks(&runtime, (0..callers).map(caller).collect(), seconds)?;
        let written: i64 = runtime.block_on(said(&pool, "SELECT count(*) FROM events"))?;
        runtime.block_on(pool.close());
        tally.check(measured, u64::try_from(written)?)
    }

    fn load(&self, asked: &Asked, events: u64, rounds: usize) -> Outcome<Measured> {
        runtime()?.block_on(async {
            let pool = open(asked).await?;
            let store = plain(&pool);
            fill(&store, "1", events).await?;
            let mut each = Vec::new();
            for _ in 0..rounds {
                let began = Stopwatch::start();
                let loaded = store.load_aggregate("1").await?;
                each.push(began.elapsed());
                assert_eq!(black_box(loaded).aggregate.events, events, "all of it is loaded");
            }
            pool.close().await;
            Ok(Measured::times(each))
        })
    }

    /// All events of a type of aggregates, which are all here. They come by their number in their aggregate: there is no
    /// order over several.
    fn read_all(&self, asked: &Asked, events: u64) -> Outcome<Measured> {
        runtime()?.block_on(async {
            let pool = open(asked).await?;
            let store = plain(&pool);
            for stream in 0..STREAMS {
                fill(&store, &stream.to_string(), events / STREAMS).await?;
            }
            let began = Stopwatch::start();
            let mut all = SqliteEventRepository::new(pool.clone()).stream_all_events::<Notes>().await?;
            let mut read = 0;
            while let Some(event) = all.next::<Notes>(&[]).await {
                black_box(event?);
                read += 1;
            }
            let measured = Measured::rate(read, began.elapsed());
            pool.close().await;
            if read == events { Ok(measured) } else { Err(format!("{read} of {events} were read").into()) }
        })
    }

    /// Its queries are called when a command is executed, or in a replay. Nothing remembers how far one is.
    fn catch_up(&self, _: &Asked, _: u64, _: Option<u32>) -> Outcome<Option<Measured>> {
        Ok(None)
    }
}

fn main() -> ExitCode {
    peers::run(&Cqrs)
}
