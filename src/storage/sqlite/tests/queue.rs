//! Queues on SQLite: damage, what a claim costs, and another boot of the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millpond_actors::error::Error;
use millpond_actors::storage::queue::{
    Claim, Claimed, Finish, Finished, How, Key, NewJob, Page, Purge, Push, Query, Receipt, Scope, Start,
    State, What,
};
use millpond_actors::storage::{Backend, Data, Identity, Session};

use super::{Fixture, group, identity, moment, name, target};
use crate::location::Durability;
use crate::storage::sqlite::{Options, Sqlite};

/// Jobs by their keys and priorities.
pub(super) fn push(queue: &str, jobs: &[(&str, i64)]) -> Push {
    let job = |(key, priority): &(&str, i64)| NewJob {
        data: Data::Json(format!("{{\"key\":\"{key}\"}}")),
        schema: 1,
        priority: *priority,
        start: Start::Now,
        key: Some(Key { text: (*key).into(), scope: Scope::Live }),
        max_attempts: None,
        origin: None,
        dead: None,
    };
    Push { queue: target(queue), jobs: jobs.iter().map(job).collect() }
}

pub(super) fn claim(queue: &str) -> Claim {
    Claim { queue: target(queue), most: 1, ttl_ms: 30_000 }
}

fn page(fixture: &Fixture, state: Option<State>) -> Page {
    let query = Query { queue: name("q"), state, from: 0, limit: 100 };
    fixture.backend.view().unwrap().jobs(&query).unwrap()
}

/// Whether an error says which job is damaged.
fn is_damage_of(error: &Error, sequence: u64) -> bool {
    matches!(error, Error::Corrupt { kind: "job", sequence: found, .. } if *found == sequence)
}

#[test]
fn g14_a_damaged_job_is_buried_and_holds_up_nobody() {
    for (column, value) in [
        ("data", "'{\"key\":\"x\"}'"),
        ("data", "x'00'"),
        ("key", "'x'"),
        ("schema", "2"),
        ("format", "2"),
        ("crc", "crc + 1"),
        ("attempts", "-1"),
    ] {
        let fixture = Fixture::new();
        let mut session = fixture.join(0);
        group(&mut *session, 0, 1, |session| session.queue_push(&push("q", &[("a", 0), ("b", 0)])));
        let set = format!("UPDATE job SET {column} = {value} WHERE sequence = 1");
        fixture.plain().execute(&set, []).unwrap();
        let (_, Claimed { jobs, .. }) =
            group(&mut *session, 0, 2, |session| session.queue_claim(&Claim { most: 9, ..claim("q") }));
        assert_eq!(jobs.iter().map(|(_, job)| job.sequence).collect::<Vec<_>>(), [2], "{set}");
        let Page { jobs, .. } = page(&fixture, Some(State::Dead));
        assert!(matches!(&jobs[..], [Err(error)] if is_damage_of(error, 1)), "{set}: {jobs:?}");
        let reason: String = fixture.one("SELECT reason FROM job WHERE sequence = 1");
        assert!(reason.contains("damaged"), "{reason}");
    }
}

#[test]
fn g14_a_job_that_ended_up_elsewhere_is_damaged() {
    for set in [
        "UPDATE job SET sequence = 7 WHERE sequence = 2",
        "UPDATE job SET queue = 2 WHERE sequence = 2",
        "UPDATE queue SET name = iif(id = 1, 'other', 'q')",
    ] {
        let fixture = Fixture::new();
        let mut session = fixture.join(0);
        group(&mut *session, 0, 1, |session| session.queue_push(&push("q", &[("a", 0), ("b", 0)])));
        group(&mut *session, 0, 2, |session| session.queue_push(&push("r", &[("c", 0)])));
        fixture.plain().execute(set, []).unwrap();
        let mut view = fixture.backend.view().unwrap();
        let mut damaged = 0;
        for queue in ["q", "r"] {
            let query = Query { queue: name(queue), state: None, from: 0, limit: 100 };
            let jobs = view.jobs(&query).map_or(Vec::new(), |page| page.jobs);
            damaged += jobs.iter().filter(|job| job.is_err()).count();
        }
        assert!(damaged > 0, "{set}");
    }
}

/// A session whose virtual machine counts its steps.
fn counted(fixture: &Fixture) -> (crate::storage::sqlite::session::SqliteSession, Arc<AtomicU64>) {
    let mut session = fixture.join_with(Durability::ProcessCrash);
    let steps = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&steps);
    let step = move || {
        count.fetch_add(1, Ordering::Relaxed);
        false
    };
    session.connection.progress_handler(1, Some(step)).unwrap();
    (session, steps)
}

/// Steps of a claim and its end, at such a backlog of ready, delayed, dead, claimed and kept jobs.
fn cost(backlog: usize) -> u64 {
    let fixture = Fixture::new();
    let (mut session, steps) = counted(&fixture);
    let jobs = |start| -> Push {
        let job = NewJob { start, key: None, ..push("q", &[("", 0)]).jobs.remove(0) };
        Push { queue: target("q"), jobs: vec![job; backlog] }
    };
    let mut number = 0;
    let mut write = |session: &mut dyn Session, work: &dyn Fn(&mut dyn Session)| {
        number += 1;
        group(session, 0, number, |session| {
            work(session);
            Ok(())
        });
    };
    write(&mut session, &|session| drop(session.queue_push(&jobs(Start::After(1_000_000)))));
    write(&mut session, &|session| drop(session.queue_push(&jobs(Start::At(i64::MAX)))));
    for how in [Some(How::Bury { reason: "no use".into() }), None] {
        write(&mut session, &|session| drop(session.queue_push(&jobs(Start::Now))));
        write(&mut session, &|session| {
            let all = Claim { most: u32::MAX, ..claim("q") };
            for (receipt, _) in session.queue_claim(&all).unwrap().jobs {
                if let Some(how) = how.clone() {
                    session.queue_finish(&Finish { receipt, how }).unwrap();
                }
            }
        });
    }
    write(&mut session, &|session| drop(session.queue_push(&jobs(Start::Now))));
    let before = steps.load(Ordering::Relaxed);
    write(&mut session, &|session| {
        let (receipt, _) = session.queue_claim(&claim("q")).unwrap().jobs[0].clone();
        assert_eq!(session.queue_finish(&Finish { receipt, how: How::Done }), Ok(Finished::Done));
    });
    steps.load(Ordering::Relaxed) - before
}

#[test]
fn r3_what_a_claim_costs_does_not_depend_on_how_many_jobs_there_are() {
    let (few, many) = (cost(20), cost(2_000));
    assert!(few > 100, "{few} steps: nothing was counted");
    assert!(many <= few + few / 5, "{many} steps instead of {few}");
}

#[test]
fn r3_what_a_removal_by_key_costs_does_not_depend_on_how_many_jobs_there_are() {
    let cost = |backlog: usize| {
        let fixture = Fixture::new();
        let (mut session, steps) = counted(&fixture);
        let keys: Vec<String> = (0..backlog).map(|n| format!("k{n}")).collect();
        let jobs: Vec<_> = keys.iter().map(|key| (key.as_str(), 0)).collect();
        group(&mut session, 0, 1, |session| session.queue_push(&push("q", &jobs)));
        let before = steps.load(Ordering::Relaxed);
        let purge = Purge { queue: target("q"), what: What::Key("k7".into()) };
        let (_, purged) = group(&mut session, 0, 2, |session| session.queue_purge(&purge));
        assert_eq!((purged.removed, purged.one), (1, Some(8)));
        steps.load(Ordering::Relaxed) - before
    };
    let (few, many) = (cost(20), cost(2_000));
    assert!(few > 20, "{few} steps: nothing was counted");
    assert!(many <= few + few / 5, "{many} steps instead of {few}");
}

#[test]
fn r3_no_statement_is_prepared_anew_for_each_use() {
    let fixture = Fixture::new();
    let mut session = fixture.join_with(Durability::ProcessCrash);
    // Asked while a statement is prepared, and only then.
    let prepared = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&prepared);
    let ask = move |context: rusqlite::hooks::AuthContext<'_>| {
        let reads = matches!(context.action, rusqlite::hooks::AuthAction::Read { .. });
        count.fetch_add(u64::from(reads), Ordering::Relaxed);
        rusqlite::hooks::Authorization::Allow
    };
    session.connection.authorizer(Some(ask)).unwrap();
    for round in 1..=4 {
        group(&mut session, round, round, |session| {
            session.queue_push(&push("q", &[("", 0)]))?;
            let (receipt, _) = session.queue_claim(&claim("q"))?.jobs[0].clone();
            session.queue_finish(&Finish { receipt, how: retry() })
        });
        let asked = prepared.swap(0, Ordering::Relaxed);
        assert!(if round < 2 { asked > 0 } else { round == 2 || asked == 0 }, "{asked} in round {round}");
    }
}

fn retry() -> How {
    How::Retry { delay_ms: 0, reason: "no luck".into() }
}

#[test]
fn q5_after_another_boot_a_claim_is_worth_it() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    let late = |ms| {
        let job = NewJob { start: Start::After(ms), ..push("q", &[("a", 0)]).jobs.remove(0) };
        Push { queue: target("q"), jobs: vec![job] }
    };
    group(&mut *session, 0, 1, |session| session.queue_push(&late(5_000)));
    session.leave(moment(0)).unwrap();
    drop(session);
    let backend = Sqlite::open(&fixture.path(), Options::default()).unwrap();
    let after = Identity { boot: "boot-2".into(), ..identity() };
    let mut session = backend.join(&after, &|| moment(1)).unwrap();
    let outlook = |at| backend.view().unwrap().queue_outlook(&name("q"), moment(at)).unwrap().unwrap();
    assert!(outlook(1).claimable, "somebody has to tell it that this is another boot");
    let (_, claimed) = group(&mut *session, 1, 1, |session| session.queue_claim(&claim("q")));
    assert_eq!(claimed.jobs, []);
    assert_eq!((outlook(1).claimable, outlook(1).next_ms), (false, Some(4_000)));
    let (_, claimed) = group(&mut *session, 5, 2, |session| session.queue_claim(&claim("q")));
    assert_eq!(claimed.jobs.len(), 1);
}

#[test]
fn q2_a_token_of_a_claim_outlives_its_process() {
    let fixture = Fixture::new();
    let mut last = 0;
    for at in 0..3 {
        let mut session = fixture.join(at);
        group(&mut *session, at, 1, |session| session.queue_push(&push("q", &[("", 0)])));
        let (_, claimed) = group(&mut *session, at, 2, |session| session.queue_claim(&claim("q")));
        let Receipt { token, .. } = claimed.jobs[0].0;
        assert!(token > last, "{token} after {last}");
        last = token;
        session.leave(moment(at)).unwrap();
    }
}
