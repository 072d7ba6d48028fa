//! A user's own SQL, where a database has any; and where it has none, that nothing else takes harm.

use millpond_actors::error::Expected::Any;
use millpond_actors::storage::batch::{Applied, Batch};
use millpond_actors::storage::sql::{Ran, Run, Statement, Value};
use millpond_actors::storage::{Apply, Outcome};

use super::stage::*;

fn statement(sql: &str) -> Statement {
    Statement { sql: sql.into(), params: Vec::new(), expected: None }
}

fn run(statements: impl IntoIterator<Item = Statement>) -> Run {
    Run { statements: statements.into_iter().collect() }
}

fn insert(value: i64, expected: u64) -> Statement {
    let (params, expected) = (vec![Value::Integer(value)], Some(expected));
    Statement { params, expected, ..statement("INSERT INTO own_numbers VALUES (?1)") }
}

/// As [`insert`], where the numbers are.
fn count(expected: u64) -> Statement {
    Statement { expected: Some(expected), ..statement("SELECT * FROM own_numbers") }
}

/// What comes of it on a database with SQL, and on one without.
fn ran(ran: Ran, expected: Ran) {
    assert!(ran == expected || ran == Ran::Unsupported, "{ran:?}, and not {expected:?}");
}

pub(super) fn g2_sql_is_a_part_of_its_batch(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.begin();
    a.apply(append("s", Any, &[1]));
    let sql = run([statement("CREATE TABLE own_numbers (n UNIQUE)"), insert(7, 1)]);
    let parts = vec![append("s", Any, &[2]).into_operation(), sql.into_operation()];
    let has_sql = match a.apply(Batch { parts }) {
        Applied::Done(outcomes) => {
            assert_eq!(outcomes[1], Outcome::SqlRun(Ran::Done { rows: vec![0, 1] }));
            true
        }
        Applied::Refused { part, outcome } => {
            assert_eq!((part, *outcome), (1, Outcome::SqlRun(Ran::Unsupported)));
            false
        }
    };
    a.apply(append("s", Any, &[3]));
    a.commit();
    assert_eq!(stage.numbers(&all()), if has_sql { vec![1, 2, 3] } else { vec![1, 3] });
    ran(a.run(run([count(1)])), Ran::Done { rows: vec![1] });
}

pub(super) fn g2_sql_that_is_refused_leaves_no_trace(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.run(run([statement("CREATE TABLE own_numbers (n UNIQUE)"), insert(7, 1)]));
    let unexpected = Ran::Unexpected { statement: 1, expected: 2, actual: 1 };
    let refused = |reason: &str| Ran::Refused { statement: 1, reason: reason.into() };
    let rows = [
        (run([insert(8, 1), insert(9, 2)]), unexpected),
        (run([insert(8, 1), insert(7, 1)]), refused("UNIQUE constraint failed: own_numbers.n")),
        (run([insert(8, 1), statement("DELETE FROM own_nothing")]), refused("no such table: own_nothing")),
    ];
    a.begin();
    for (number, (sql, expected)) in (1..).zip(rows) {
        ran(a.apply(sql.clone()), expected.clone());
        let parts = vec![append("s", Any, &[90]).into_operation(), sql.into_operation()];
        match a.apply(Batch { parts }) {
            Applied::Refused { part: 1, outcome } => match *outcome {
                Outcome::SqlRun(outcome) => ran(outcome, expected),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
        // What is not of it goes on.
        assert_eq!(done(a.apply(append("s", Any, &[number]))), (number as u64, number as u64));
    }
    a.commit();
    assert_eq!(stage.numbers(&all()), [1, 2, 3]);
    ran(a.run(run([count(1)])), Ran::Done { rows: vec![1] });
}

pub(super) fn g2_sql_that_is_rolled_back_was_not_run(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.run(run([statement("CREATE TABLE own_numbers (n UNIQUE)")]));
    a.begin();
    ran(a.apply(run([insert(1, 1), statement("CREATE TABLE own_more (n)")])), Ran::Done { rows: vec![1, 0] });
    a.rollback();
    ran(a.run(run([count(0), statement("CREATE TABLE own_more (n)")])), Ran::Done { rows: vec![0, 0] });
}
