//! The user's own SQL: in one commit with everything else.

use millpond::{Error, Event, Expected, Location, Result, Sql, SqlValue, Store, WriteOutcome, blocking};
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use crate::backends::{on_file, on_memory, together, wait};

pub(crate) fn event(text: &str) -> Event {
    Event::new("Happened", &json!({ "text": text })).unwrap()
}

/// As a user reads his tables.
fn reader(store: &Store) -> Connection {
    let Location::File(path) = store.location() else { panic!("{store:?}") };
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

pub(crate) fn number(store: &Store, sql: &str) -> i64 {
    reader(store).query_row(sql, [], |row| row.get(0)).unwrap()
}

async fn with_stock(store: &Store) -> Result<()> {
    store
        .sql([
            Sql::new("CREATE TABLE shop_stock (sku TEXT PRIMARY KEY, left INTEGER NOT NULL CHECK (left >= 0)) STRICT"),
            Sql::new("INSERT INTO shop_stock VALUES ('lamp', 3), ('desk', 1), ('chair', 4)").rows(3),
        ])
        .await
        .map(drop)
}

fn take(sku: &str, count: i64) -> Sql {
    Sql::new("UPDATE shop_stock SET left = left - ?1 WHERE sku = ?2").bind(count).bind(sku)
}

fn left(store: &Store, sku: &str) -> i64 {
    reader(store).query_row("SELECT left FROM shop_stock WHERE sku = ?1", [sku], |row| row.get(0)).unwrap()
}

/// How much there is: events, jobs.
async fn there(store: &Store) -> Result<[u64; 2]> {
    let jobs = store.queue::<String>("mail").numbers().await?.map_or(0, |numbers| numbers.ready);
    Ok([store.events().head().await?, jobs])
}

pub(crate) fn reason(error: &Error) -> &str {
    match error {
        Error::SqlRefused { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn g2_sql_is_there_with_its_batch() {
    on_file(async |store| {
        with_stock(&store).await?;
        let mut batch = store.batch();
        let order = batch.append("order-1", Expected::NoStream, [event("placed")])?;
        let stock = batch.sql([take("lamp", 2).rows(1), take("desk", 1).rows(1), take("bed", 1)])?;
        batch.push(&store.queue("mail"), &"Dear Ada".to_owned())?;
        let more = batch.sql(take("lamp", 1))?;
        assert_eq!(left(&store, "lamp"), 3, "nothing is to be seen before the commit");
        let written = batch.commit().await?;
        assert_eq!((written[order].version, &written[stock], &written[more]), (1, &vec![1, 1, 0], &vec![1]));
        assert_eq!((left(&store, "lamp"), left(&store, "desk"), there(&store).await?), (0, 0, [1, 1]));
        Ok(())
    });
}

#[test]
fn g2_sql_that_fails_leaves_nothing_of_its_batch() {
    on_file(async |store| {
        with_stock(&store).await?;
        let wrong = Error::WrongRows {
            statement: "UPDATE shop_stock SET left = left - ?1 WHERE sku = ?2".into(),
            expected: 1,
            actual: 0,
        };
        let rows = [
            (take("bed", 1).rows(1), Some(wrong), ""),
            (
                Sql::new("SELECT * FROM shop_stock WHERE left > 2").rows(1),
                None,
                "expected to change or find 1 rows, but it was 2",
            ),
            (Sql::new("DELETE FROM event"), None, "\"event\" is Millpond's own"),
            (
                Sql::new("INSERT INTO shop_stock VALUES ('lamp', 1)"),
                None,
                "UNIQUE constraint failed: shop_stock.sku",
            ),
            (take("lamp", 4), None, "CHECK constraint failed"),
            (Sql::new("INSERT OR FAIL INTO shop_stock VALUES ('bed', 1), ('lamp', 1)"), None, "UNIQUE"),
            (
                Sql::new("INSERT OR ROLLBACK INTO shop_stock VALUES ('lamp', 1)"),
                None,
                "whole transaction was rolled back",
            ),
            (Sql::new("SELEKT 1"), None, "syntax error"),
            (Sql::new("UPDATE nowhere SET x = 1"), None, "no such table: nowhere"),
        ];
        for (bad, error, message) in rows {
            let mut batch = store.batch();
            batch.append("order-1", Expected::NoStream, [event("placed")])?;
            batch.sql([take("chair", 1).rows(1), Sql::new("CREATE TABLE shop_new (x)"), bad])?;
            batch.push(&store.queue("mail"), &"Dear Ada".to_owned())?;
            let refused = batch.commit().await.unwrap_err();
            assert!(error.is_none_or(|error| error == refused), "{refused}");
            assert!(refused.to_string().contains(message), "{refused}");
            assert_eq!((refused.outcome(), refused.is_retryable()), (WriteOutcome::NotApplied, false));
            assert_eq!(there(&store).await?, [0, 0], "{refused}");
            assert_eq!(left(&store, "chair"), 4, "{refused}");
            assert_eq!(number(&store, "SELECT count(*) FROM sqlite_schema WHERE name = 'shop_new'"), 0);
        }
        // And the other way round: what else is refused takes the SQL with it.
        store.events().append("order-1", Expected::NoStream, [event("there")]).await?;
        let mut batch = store.batch();
        batch.sql(take("chair", 1))?;
        batch.append("order-1", Expected::NoStream, [event("again")])?;
        assert!(matches!(batch.commit().await.unwrap_err(), Error::Conflict { .. }));
        assert_eq!(left(&store, "chair"), 4);
        Ok(())
    });
}

#[test]
fn g6_sql_that_fails_spares_its_neighbours() {
    on_file(async |store| {
        with_stock(&store).await?;
        store.sql(Sql::new("INSERT INTO shop_stock VALUES ('sand', 1000)")).await?;
        let bad = [
            "INSERT INTO shop_stock VALUES ('lamp', 1)",
            "INSERT OR ROLLBACK INTO shop_stock VALUES ('lamp', 1)",
            "UPDATE shop_stock SET left = -1",
            "COMMIT",
            "INSERT OR ROLLBACK INTO shop_stock VALUES ('desk', 1)",
        ];
        // What is sent in one go is mostly one group.
        let calls = (0..100).map(|number: usize| {
            let store = store.clone();
            async move {
                if number % 4 == 3 {
                    return store.sql(Sql::new(bad[number / 4 % bad.len()])).await.map(drop);
                }
                let mut batch = store.batch();
                batch.append(format!("order-{number}"), Expected::NoStream, [event("placed")])?;
                batch.sql(take("sand", 1).rows(1))?;
                batch.commit().await.map(drop)
            }
        });
        for (number, answer) in together(calls).await.into_iter().enumerate() {
            match answer {
                Ok(()) => assert_ne!(number % 4, 3),
                Err(error) => assert!(number % 4 == 3 && !reason(&error).is_empty(), "{number}: {error}"),
            }
        }
        assert_eq!((there(&store).await?, left(&store, "sand")), ([75, 0], 925));
        Ok(())
    });
}

#[test]
fn l3_sql_is_guarded_by_a_lock() {
    on_file(async |store| {
        with_stock(&store).await?;
        let guard = store.lock("stock").acquire().await?;
        let batch = || {
            let mut batch = store.batch();
            batch.sql(take("chair", 1))?;
            batch.guarded_by(&guard).map(|()| batch)
        };
        let (first, second) = (batch()?, batch()?);
        first.commit().await?;
        store.lock("stock").break_lock().await?;
        assert!(matches!(second.commit().await.unwrap_err(), Error::Fenced { .. }));
        assert_eq!(left(&store, "chair"), 3);
        Ok(())
    });
}

#[test]
fn values_of_every_kind_are_kept_as_they_are() {
    on_file(async |store| {
        store.sql(Sql::new("CREATE TABLE shop_values (id INTEGER PRIMARY KEY, value)")).await?;
        let long = "ä".repeat(100_000);
        let rows = [
            (SqlValue::Null, Value::Null),
            (None::<i64>.into(), Value::Null),
            (true.into(), Value::Integer(1)),
            (i64::MIN.into(), Value::Integer(i64::MIN)),
            (i64::MAX.into(), Value::Integer(i64::MAX)),
            (u32::MAX.into(), Value::Integer(u32::MAX.into())),
            ((-1_i8).into(), Value::Integer(-1)),
            (1.5_f32.into(), Value::Real(1.5)),
            (f64::MIN_POSITIVE.into(), Value::Real(f64::MIN_POSITIVE)),
            (f64::NEG_INFINITY.into(), Value::Real(f64::NEG_INFINITY)),
            (f64::NAN.into(), Value::Null),
            ("".into(), Value::Text(String::new())),
            ("a\0b'; DROP TABLE event; --".into(), Value::Text("a\0b'; DROP TABLE event; --".into())),
            (long.clone().into(), Value::Text(long)),
            (Some("😀").into(), Value::Text("😀".into())),
            (b"\0\xff\0".into(), Value::Blob(vec![0, 255, 0])),
            (Vec::new().into(), Value::Blob(Vec::new())),
        ];
        for (id, (given, kept)) in (1_i64..).zip(rows) {
            let insert = Sql::new("INSERT INTO shop_values VALUES (?, ?)").bind(id).bind(given);
            store.sql(insert.rows(1)).await?;
            let sql = "SELECT value FROM shop_values WHERE id = ?1";
            let found: Value = reader(&store).query_row(sql, [id], |row| row.get(0)).unwrap();
            assert_eq!(found, kept);
        }
        let twice = Sql::new("SELECT ?2 WHERE ?1 = 7 AND ?2 = 'x'").bind(7_u64).bind("x").rows(1);
        store.sql(twice).await?;
        Ok(())
    });
}

#[test]
fn what_no_store_takes_is_refused_before_it_is_sent() {
    on_memory(async |store| {
        let mut batch = store.batch();
        assert!(matches!(batch.sql([]), Err(Error::InvalidArgument { .. })));
        let too_large = [
            batch.sql(vec![Sql::new("SELECT 1"); 1_001]),
            batch.sql(Sql::new("x".repeat((64 << 10) + 1))),
            batch.sql((0..32_767).fold(Sql::new("SELECT 1"), Sql::bind)),
            batch.sql(vec![Sql::new("SELECT ?1").bind(vec![0; 40 << 20]); 2]),
        ];
        for refused in too_large {
            assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
        }
        let beyond = batch.sql(Sql::new("SELECT ?1, ?2").bind(u64::MAX).bind(1)).unwrap_err();
        assert!(beyond.to_string().contains("18446744073709551615"), "{beyond}");
        let cut = batch.sql(Sql::new("SELECT 1\0; DROP TABLE event")).unwrap_err();
        assert!(reason(&cut).contains("NUL"));
        assert!(batch.commit().await.is_ok(), "nothing was added");
        Ok(())
    });
}

#[test]
fn as_many_values_are_bound_as_there_are_parameters() {
    on_file(async |store| {
        let rows = [
            (Sql::new("SELECT ?1, ?2").bind(1), "it has 2 parameters, and 1 values were bound"),
            (Sql::new("SELECT 1").bind(1), "it has 0 parameters, and 1 values were bound"),
            (Sql::new("SELECT ?9").bind(1), "it has 9 parameters, and 1 values were bound"),
        ];
        for (sql, expected) in rows {
            assert_eq!(reason(&store.sql(sql).await.unwrap_err()), expected);
        }
        let many = format!("SELECT {}", vec!["?"; 2_000].join(", "));
        store.sql((0..2_000).fold(Sql::new(many), Sql::bind).rows(1)).await?;
        Ok(())
    });
}

#[test]
fn g9_a_statement_that_does_not_end_is_ended() {
    on_file(async |store| {
        store.sql(Sql::new("CREATE TABLE shop_numbers (i)")).await?;
        const FOREVER: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)";
        let read = Sql::new(format!("{FOREVER} SELECT max(i) FROM n"));
        let rows = Sql::new(format!("{FOREVER} SELECT i FROM n"));
        let write = Sql::new(format!("{FOREVER} INSERT INTO shop_numbers SELECT i FROM n"));
        let answers = together([read, rows, write].map(|sql| {
            let store = store.clone();
            async move {
                store.events().append("s", Expected::Any, [event("beside it")]).await?;
                store.sql([Sql::new("INSERT INTO shop_numbers VALUES (0)"), sql]).await
            }
        }));
        for answer in answers.await {
            let refused = answer.unwrap_err();
            assert!(reason(&refused).starts_with("it takes more than 10000000 steps"), "{refused}");
        }
        assert_eq!((number(&store, "SELECT count(*) FROM shop_numbers"), there(&store).await?), (0, [3, 0]));
        Ok(())
    });
}

#[test]
fn a_store_in_memory_has_no_sql_and_takes_no_harm() {
    on_memory(async |store| {
        let alone = store.sql(Sql::new("SELECT 1")).await.unwrap_err();
        assert!(matches!(alone, Error::Unsupported { .. }), "{alone}");
        let mut batch = store.batch();
        batch.append("s", Expected::NoStream, [event("refused")])?;
        batch.sql(Sql::new("SELECT 1"))?;
        let calls = together([batch.commit(), {
            let mut batch = store.batch();
            batch.append("t", Expected::NoStream, [event("done")])?;
            batch.commit()
        }]);
        let [refused, done] = <[_; 2]>::try_from(calls.await).unwrap();
        assert!(matches!(refused.unwrap_err(), Error::Unsupported { .. }));
        done?;
        assert_eq!(there(&store).await?, [1, 0]);
        Ok(())
    });
}

#[test]
fn both_faces_run_the_same_sql() {
    let folder = tempfile::tempdir().unwrap();
    let store = blocking::Store::open(folder.path().join("case.db")).unwrap();
    wait(with_stock(&store.asynchronous())).unwrap();
    assert_eq!(store.sql(take("chair", 1).rows(1)), Ok(vec![1]));
    let mut batch = store.batch();
    let log = batch.log(&store.log("effects"), &1).unwrap();
    let rows = batch.sql([take("chair", 1), take("bed", 1)]).unwrap();
    let written = batch.commit().unwrap();
    assert_eq!((written[log], &written[rows]), (1, &vec![1, 0]));
    let mut batch = store.batch();
    batch.log(&store.log("effects"), &2).unwrap();
    batch.sql(take("bed", 1).rows(1)).unwrap();
    assert!(matches!(batch.commit().unwrap_err(), Error::WrongRows { expected: 1, actual: 0, .. }));
    assert_eq!(store.log::<u32>("effects").extent().unwrap().last, 1);
    assert_eq!(left(&store.asynchronous(), "chair"), 2);
    store.close().unwrap();
}
