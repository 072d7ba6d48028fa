//! The user's own SQL: in one commit with everything else, and never near what is Millpond's own.

use std::path::Path;

use millpond::{Error, Event, Expected, Location, Result, Sql, SqlValue, Store, WriteOutcome, blocking};
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use crate::backends::{on_file, on_memory, together, wait};

fn event(text: &str) -> Event {
    Event::new("Happened", &json!({ "text": text })).unwrap()
}

/// As a user reads his tables.
fn reader(store: &Store) -> Connection {
    let Location::File(path) = store.location() else { panic!("{store:?}") };
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

fn number(store: &Store, sql: &str) -> i64 {
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

fn reason(error: &Error) -> &str {
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
                "expected to be about 1 rows and was about 2",
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

/// What nobody may do, and a part of the reason.
const REFUSED: [(&str, &str); 92] = [
    // Millpond's own tables, however they are spelt.
    ("SELECT * FROM event", "own"),
    ("SELECT count(*) FROM event", "own"),
    ("SELECT 1 FROM mine, event", "own"),
    ("SELECT rowid FROM main.\"EvEnT\"", "own"),
    ("SELECT data FROM [job]", "own"),
    ("SELECT 1 FROM `Process` LIMIT 0", "own"),
    ("DELETE FROM 'lock'", "own"),
    ("DELETE FROM Event", "own"),
    ("DELETE FROM event WHERE position = 1 RETURNING data", "own"),
    ("UPDATE store SET token = 0", "own"),
    ("UPDATE STORE SET token = 0 WHERE 0", "own"),
    ("INSERT INTO stream (name, category, version) VALUES ('x', 1, 1)", "own"),
    ("INSERT OR REPLACE INTO snapshot VALUES (1, 1, 1, 1, 1, 1)", "own"),
    ("REPLACE INTO queue VALUES (1, 'q', 1, 0, 1, 0, '')", "own"),
    ("INSERT INTO mine SELECT position, data FROM event", "own"),
    ("CREATE TABLE copy AS SELECT * FROM message", "own"),
    ("UPDATE mine SET x = (SELECT max(position) FROM event)", "own"),
    ("UPDATE mine SET x = 1 FROM event WHERE event.position = mine.id", "own"),
    ("DELETE FROM mine WHERE EXISTS (SELECT 1 FROM ticket)", "own"),
    ("DELETE FROM mine WHERE id IN category", "own"),
    ("SELECT 1 FROM mine ORDER BY (SELECT count(*) FROM share)", "own"),
    ("SELECT 1 FROM mine LIMIT (SELECT count(*) FROM share)", "own"),
    (
        "INSERT INTO mine (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET x = (SELECT max(token) FROM lock)",
        "own",
    ),
    ("INSERT INTO mine (x) VALUES (1) RETURNING (SELECT count(*) FROM event)", "own"),
    ("WITH all_of_it AS (SELECT * FROM feed) SELECT * FROM all_of_it", "own"),
    ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n, schedule) SELECT * FROM n", "own"),
    ("WITH mine AS (SELECT 1) DELETE FROM change", "own"),
    ("EXPLAIN SELECT * FROM event", "own"),
    ("EXPLAIN QUERY PLAN DELETE FROM subscription", "own"),
    ("SELECT * FROM mine NATURAL JOIN acknowledged", "own"),
    ("SELECT 1 UNION SELECT data FROM event", "own"),
    ("VALUES ((SELECT data FROM event))", "own"),
    // Their shape.
    ("DROP TABLE event", "own"),
    ("DROP TABLE IF EXISTS \"Job\"", "own"),
    ("DROP INDEX job_ready", "own"),
    ("ALTER TABLE event RENAME TO mine_too", "own"),
    ("ALTER TABLE event ADD COLUMN x", "own"),
    ("ALTER TABLE event DROP COLUMN at", "own"),
    ("ALTER TABLE event RENAME COLUMN at TO when_", "own"),
    ("ALTER TABLE mine RENAME TO event", "there is already another table"),
    ("ALTER TABLE mine RENAME TO job_ready", "there is already another table"),
    ("CREATE TABLE event (x)", "own"),
    ("CREATE TABLE IF NOT EXISTS Event (x)", "own"),
    ("CREATE VIEW event AS SELECT 1", "own"),
    ("CREATE INDEX mine_index ON event (at)", "own"),
    ("CREATE INDEX job_ready ON mine (x)", "already exists"),
    ("REINDEX", "not for use"),
    ("REINDEX event", "own"),
    ("REINDEX job_ready", "own"),
    // By way of what does it later.
    ("CREATE TRIGGER mine_trigger AFTER INSERT ON event BEGIN DELETE FROM mine; END", "own"),
    ("CREATE TRIGGER mine_trigger INSERT ON mine BEGIN DELETE FROM event; END", "own"),
    ("CREATE TRIGGER mine_trigger UPDATE OF x ON mine BEGIN SELECT count(*) FROM event; END", "own"),
    ("CREATE TRIGGER mine_trigger DELETE ON mine WHEN (SELECT 1 FROM job) BEGIN SELECT 1; END", "own"),
    ("CREATE TRIGGER mine_trigger INSTEAD OF INSERT ON mine_view BEGIN DELETE FROM event; END", "own"),
    ("CREATE VIEW mine_events AS SELECT * FROM event", "own"),
    ("CREATE VIEW mine_events AS WITH e AS (SELECT 1 FROM EVENT) SELECT count(*) FROM e", "own"),
    ("SELECT * FROM foreign_view", "own"),
    ("INSERT INTO trapped VALUES (1)", "own"),
    ("DROP TRIGGER foreign_trigger", "own"),
    // What SQLite keeps of its own.
    ("DELETE FROM sqlite_schema", "may not be modified"),
    ("UPDATE sqlite_master SET sql = ''", "may not be modified"),
    ("INSERT INTO sqlite_schema VALUES ('table', 'x', 'x', 2, '')", "may not be modified"),
    ("UPDATE sqlite_sequence SET seq = 0", "not for use"),
    ("DELETE FROM sqlite_sequence", "not for use"),
    ("SELECT * FROM sqlite_temp_schema", "temporary"),
    ("SELECT * FROM dbstat", "not for use"),
    ("ANALYZE", "ANALYZE"),
    ("ANALYZE mine", "ANALYZE"),
    ("VACUUM", "within a transaction"),
    ("VACUUM INTO 'copy.db'", "within a transaction"),
    // Settings, files, transactions.
    ("PRAGMA synchronous = OFF", "PRAGMA"),
    ("PRAGMA user_version = 7", "PRAGMA"),
    ("PRAGMA writable_schema = ON", "PRAGMA"),
    ("SELECT * FROM pragma_table_info('event')", "not for use"),
    ("SELECT count(*) FROM Pragma_Database_List", "not for use"),
    ("ATTACH 'other.db' AS other", "other files"),
    ("ATTACH 'other' || '.db' AS other", "does not know"),
    ("DETACH main", "other files"),
    ("BEGIN", "transaction"),
    ("COMMIT", "transaction"),
    ("END TRANSACTION", "transaction"),
    ("ROLLBACK", "transaction"),
    ("SAVEPOINT part", "transaction"),
    ("RELEASE part", "transaction"),
    ("ROLLBACK TO part", "transaction"),
    // What reaches beyond the database, and what stays when it should not.
    ("SELECT load_extension('evil')", "load_extension"),
    ("SELECT fts3_tokenizer('simple')", "fts3_tokenizer"),
    ("CREATE VIRTUAL TABLE mine_text USING fts5(x)", "virtual"),
    ("CREATE TEMP TABLE t (x)", "temporary"),
    ("CREATE TEMP TRIGGER t INSERT ON mine BEGIN SELECT 1; END", "temporary"),
    // What is no statement, or more than one.
    ("SELECT 1; DELETE FROM mine", "more than one"),
    (" -- nothing", "empty"),
];

/// Things that only another program can have made.
fn foreign_things(path: &Path) {
    let plain = Connection::open(path).unwrap();
    plain
        .execute_batch(
            "CREATE VIEW foreign_view AS SELECT * FROM event;
             CREATE TABLE trapped (x);
             CREATE TRIGGER trap INSERT ON trapped BEGIN DELETE FROM event; END;
             CREATE TRIGGER foreign_trigger INSERT ON category WHEN 0 BEGIN SELECT 1; END;",
        )
        .unwrap();
}

#[test]
fn g14_no_sql_comes_near_what_is_millponds_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("case.db");
    wait(async {
        let store = Store::open(&*path).await.unwrap();
        store.events().append("s", Expected::NoStream, [event("kept")]).await.unwrap();
        let own = [
            Sql::new("CREATE TABLE mine (id INTEGER PRIMARY KEY, x)"),
            Sql::new("CREATE VIEW mine_view AS SELECT * FROM mine"),
            Sql::new("INSERT INTO mine (x) VALUES (1), (2)"),
        ];
        store.sql(own).await.unwrap();
        foreign_things(&path);
        for (sql, part) in REFUSED {
            let refused = store.sql(Sql::new(sql)).await.expect_err(sql);
            assert!(reason(&refused).contains(part), "{sql}: {refused}");
        }
        let names =
            ["dict", "List", "\"blob\"", "projection", "checkpoint", "subject", "millpond_x", "Millpond_"];
        for name in names {
            for sql in [
                format!("CREATE TABLE {name} (x)"),
                format!("CREATE INDEX {name} ON mine (x)"),
                format!("CREATE VIEW {name} AS SELECT 1"),
                format!("CREATE TRIGGER {name} INSERT ON mine BEGIN SELECT 1; END"),
                format!("ALTER TABLE mine RENAME TO {name}"),
            ] {
                let refused = store.sql(Sql::new(&*sql)).await.expect_err(&sql);
                assert!(reason(&refused).contains("is kept for Millpond"), "{sql}: {refused}");
            }
        }
        assert_eq!(number(&store, "SELECT count(*) FROM mine"), 2);
        store.close().await.unwrap();
        // It opens, and goes on.
        let store = Store::open(&*path).await.unwrap();
        let appended = store.events().append("s", Expected::Version(1), [event("more")]).await.unwrap();
        assert_eq!((appended.version, appended.position), (2, 2));
        store.close().await.unwrap();
    });
    let plain = Connection::open(&path).unwrap();
    let sound: String = plain.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name());
    let mut files: Vec<_> = files.map(|name| name.into_string().unwrap()).collect();
    files.retain(|name| !name.starts_with("case.db"));
    assert_eq!(files, [""; 0], "no other file was made");
}

#[test]
fn what_is_the_users_own_may_be_done() {
    on_file(async |store| {
        let rows = [
            (
                "CREATE TABLE shop_a (id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT UNIQUE, y, event, \"job\")",
                0,
            ),
            ("CREATE TABLE IF NOT EXISTS shop_a (x)", 0),
            ("CREATE TABLE \"my \"\"odd'; DROP TABLE event; --\" (\"a b\" PRIMARY KEY) WITHOUT ROWID", 0),
            ("INSERT INTO \"my \"\"odd'; DROP TABLE event; --\" VALUES (1), (2)", 2),
            ("INSERT INTO shop_a (x, y) VALUES ('a', 1), ('b', 2), ('c', 3)", 3),
            ("CREATE TABLE shop_log (text)", 0),
            ("CREATE INDEX shop_index ON shop_a (y DESC) WHERE y > 0", 0),
            ("REINDEX shop_index", 0),
            ("CREATE VIEW shop_view AS SELECT x, y FROM shop_a WHERE y > 1", 0),
            (
                "CREATE TRIGGER shop_trigger UPDATE OF y ON shop_a BEGIN INSERT INTO shop_log VALUES (OLD.y), (NEW.y); END",
                0,
            ),
            (
                "CREATE TRIGGER shop_instead INSTEAD OF INSERT ON shop_view BEGIN INSERT INTO shop_log VALUES (NEW.x); END",
                0,
            ),
            ("UPDATE shop_a SET y = y + 1 WHERE y >= 2", 2),
            ("SELECT * FROM shop_log", 4),
            ("INSERT INTO shop_view VALUES ('d', 1)", 0),
            ("SELECT * FROM shop_view", 2),
            ("INSERT INTO shop_a (x, y) VALUES ('a', 9) ON CONFLICT (x) DO UPDATE SET y = excluded.y", 1),
            ("INSERT INTO shop_a (x, y) VALUES ('e', 1), ('f', 1) RETURNING id, upper(x)", 2),
            ("INSERT OR IGNORE INTO shop_a (x) VALUES ('a'), ('g')", 1),
            ("INSERT OR REPLACE INTO shop_a (x) VALUES ('a')", 1),
            ("DELETE FROM shop_a WHERE x = 'f' RETURNING *", 1),
            (
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) SELECT count(*), max(i) FROM n",
                1,
            ),
            ("WITH n(i) AS (VALUES (7), (8)) INSERT INTO shop_a (y) SELECT i FROM n", 2),
            ("SELECT value FROM json_each('[1, 2, 3]')", 3),
            ("UPDATE shop_a SET event = 1, \"job\" = last_insert_rowid() WHERE x = 'e'", 1),
            ("UPDATE shop_a SET y = other.y FROM shop_a AS other WHERE other.x = 'b' AND shop_a.x = 'e'", 1),
            ("SELECT name FROM sqlite_schema WHERE name = 'shop_a'", 1),
            ("SELECT row_number() OVER (ORDER BY y), datetime('now'), random() FROM shop_a LIMIT 2", 2),
            ("EXPLAIN QUERY PLAN SELECT y FROM shop_a", 1),
            ("VALUES (1), (2)", 2),
            ("ALTER TABLE shop_a ADD COLUMN z INTEGER DEFAULT 5", 0),
            ("ALTER TABLE shop_a RENAME COLUMN z TO zz", 0),
            ("ALTER TABLE shop_a DROP COLUMN zz", 0),
            ("ALTER TABLE shop_a RENAME TO shop_b", 0),
            ("SELECT * FROM shop_view", 5),
            ("CREATE TABLE shop_c AS SELECT * FROM shop_b", 0),
            ("DELETE FROM shop_c", 7),
            ("DROP TRIGGER shop_trigger", 0),
            ("DROP INDEX shop_index", 0),
            ("DROP VIEW shop_view", 0),
            ("DROP TABLE shop_c", 0),
            ("DROP TABLE shop_b", 0),
            ("DROP TABLE IF EXISTS shop_b", 0),
            ("DROP INDEX IF EXISTS shop_b", 0),
            ("DROP VIEW IF EXISTS shop_b", 0),
            ("DROP TRIGGER IF EXISTS shop_b", 0),
            ("CREATE INDEX IF NOT EXISTS shop_log_index ON shop_log (text)", 0),
            ("CREATE INDEX IF NOT EXISTS shop_log_index ON shop_log (text)", 0),
        ];
        for (sql, expected) in rows {
            assert_eq!(store.sql(Sql::new(sql)).await, Ok(vec![expected]), "{sql}");
        }
        store.sql(Sql::new("SELECT 1;  -- and a comment").rows(1)).await?;
        let appended = store.events().append("s", Expected::NoStream, [event("more")]).await?;
        assert_eq!(appended.position, 1);
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
