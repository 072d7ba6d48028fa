//! The hooks under which a user's SQL is prepared and runs: whose connection they are on, and what they cover.

use millpond_actors::error::Error;
use millpond_actors::storage::Session;
use millpond_actors::storage::sql::{Ran, Run, Statement};

use super::{Fixture, append, appended, event, group};
use crate::storage::sqlite::migrate;

fn run(sql: impl Into<String>) -> Run {
    Run { statements: vec![Statement { sql: sql.into(), params: Vec::new(), expected: None }] }
}

/// In a group of its own.
fn ran(session: &mut dyn Session, number: u64, sql: impl Into<String>) -> Ran {
    group(session, 0, number, |session| session.sql_run(&run(sql))).1
}

/// Why it was refused.
fn refused(ran: Ran) -> String {
    match ran {
        Ran::Refused { statement: 0, reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_table_of_the_schema_is_millponds_own() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    let new = migrate::in_memory().unwrap();
    let mut tables = new.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(tables.len() > 15, "{tables:?}");
    for (number, table) in (1..).zip(tables.iter().filter(|name| !name.starts_with("sqlite_"))) {
        for sql in [format!("SELECT * FROM {table}"), format!("DELETE FROM {}", table.to_uppercase())] {
            let reason = refused(ran(&mut *session, number, &*sql));
            assert!(reason.ends_with("is Millpond's own"), "{sql}: {reason}");
        }
    }
}

#[test]
fn a_connection_that_was_opened_anew_looks_as_the_first_did() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    for number in 1..3 {
        assert_eq!(refused(ran(&mut *session, number, "DROP TABLE event")), "\"event\" is Millpond's own");
        session.reopen().unwrap();
    }
}

#[test]
fn nobody_looks_at_millponds_own_statements() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    let trials = [
        "CREATE TABLE own_numbers (n UNIQUE)",
        "INSERT INTO own_numbers VALUES (1)",
        "INSERT INTO own_numbers VALUES (1)",
        "SELECT * FROM event",
        "PRAGMA foreign_keys = ON",
        "SELEKT",
        "",
    ];
    for (number, sql) in (1..).zip(trials) {
        let _ = ran(&mut *session, number, sql);
        // After each of them, whatever came of it: of statements that are prepared now and of those that were before.
        appended(
            &mut *session,
            0,
            &append("s", millpond_actors::error::Expected::Any, vec![event(number.into(), "{}")]),
        );
        session.checkpoint(false).unwrap();
    }
    assert_eq!(fixture.one::<u64>("SELECT count(*) FROM event"), trials.len() as u64);
}

#[test]
fn g6_what_rolls_the_transaction_back_is_an_error_that_names_it() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    let table = "CREATE TABLE own_numbers (n UNIQUE ON CONFLICT ROLLBACK, CHECK (n < 9))";
    assert_eq!(ran(&mut *session, 1, table), Ran::Done { rows: vec![0] });
    assert_eq!(ran(&mut *session, 2, "INSERT INTO own_numbers VALUES (1)"), Ran::Done { rows: vec![1] });
    let raising = "CREATE TRIGGER own_trigger INSERT ON own_numbers WHEN NEW.n = 7
        BEGIN SELECT RAISE(ROLLBACK, 'no sevens'); END";
    assert_eq!(ran(&mut *session, 3, raising), Ran::Done { rows: vec![0] });
    for (value, message) in [(1, "UNIQUE constraint failed: own_numbers.n"), (7, "no sevens")] {
        assert!(session.take_turn(false).unwrap());
        session.begin(super::moment(0)).unwrap();
        let statement = format!("INSERT INTO own_numbers VALUES ({value})");
        let reason = format!("{message}, and with it the whole transaction was rolled back");
        assert_eq!(session.sql_run(&run(&*statement)), Err(Error::SqlRefused { statement, reason }));
        assert!(!session.in_transaction());
        session.rollback();
        session.leave_turn();
    }
    // Within a trigger's own bounds it is an ordinary refusal.
    let reason = refused(ran(&mut *session, 4, "INSERT INTO own_numbers VALUES (9)"));
    assert!(reason.starts_with("CHECK constraint failed"), "{reason}");
}
