//! What a user's own SQL may do, and what it may not: near Millpond's own tables it never comes.

use std::path::Path;

use millpond::{Expected, Sql, Store};
use rusqlite::Connection;

use crate::backends::{on_file, wait};
use crate::sql::{event, number, reason};

/// What nobody may do, and a part of the reason.
const REFUSED: [(&str, &str); 96] = [
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
    ("ALTER TABLE mine RENAME TO pragma_application_id", "kept for"),
    ("ALTER TABLE mine RENAME TO DbStat", "kept for"),
    ("CREATE INDEX pragma_user_version ON mine (x)", "not for use"),
    ("CREATE TABLE pragma_user_version (user_version)", "not for use"),
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
        let names = ["checkpoint", "Checkpoint", "\"checkpoint\"", "millpond_x", "Millpond_"];
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
