//! The check: each of its rules finds what it is there for, and says where.

use millpond_actors::error::{Error, Expected};
use millpond_actors::storage::dict::{self, Set};
use millpond_actors::storage::list::{At, End, Insert, NewItem};
use millpond_actors::storage::queue::{Claim, Key, NewJob, Push, Scope, Start};
use millpond_actors::storage::snapshot::Save;
use millpond_actors::storage::subscription::Subscribe;
use millpond_actors::storage::{Backend, Data, Session, feed};

use super::{Fixture, acquire, append, appended, event, granted, group, message, name, target, waiting};

fn job(key: &str) -> NewJob {
    NewJob {
        data: Data::Json("1".into()),
        schema: 1,
        priority: 0,
        start: Start::Now,
        key: Some(Key { text: key.into(), scope: Scope::Live }),
        max_attempts: None,
        origin: None,
        dead: None,
    }
}

/// Something of everything that a rule is about.
fn fill(session: &mut dyn Session, other: &mut dyn Session) {
    appended(session, 0, &append("a-1", Expected::Any, vec![event(1, "{}"), event(2, "{}")]));
    appended(session, 1, &append("b-1", Expected::Any, vec![event(3, "{}")]));
    let save = Save { stream: 1, version: 2, schema: 1, data: Data::Json("{}".into()) };
    group(session, 1, 2, |session| session.snapshot_save(&save));
    for log in ["l", "m"] {
        group(session, 1, 3, |session| session.feed_append(&message(log)));
    }
    let begin = Subscribe { kind: feed::Kind::Log, feed: target("l"), subscription: name("s"), cursor: 0 };
    group(session, 1, 4, |session| session.subscription_begin(&begin));
    let push = Push { queue: target("q"), jobs: vec![job("a"), job("b"), job("c")] };
    group(session, 1, 5, |session| session.queue_push(&push));
    let claim = Claim { queue: target("q"), most: 1, ttl_ms: 1_000_000 };
    group(session, 1, 6, |session| session.queue_claim(&claim));
    let set = Set {
        dict: name("d"),
        key: "k".into(),
        data: Data::Json("1".into()),
        schema: 1,
        life_ms: None,
        expected: dict::Expected::Any,
    };
    group(session, 1, 7, |session| session.dict_set(&set));
    let items = (0..2).map(|_| NewItem { data: Data::Json("1".into()), schema: 1 }).collect();
    let insert = Insert { list: name("li"), at: At::End(End::Back), items };
    group(session, 1, 8, |session| session.list_insert(&insert));
    granted(session, 1, &acquire("held", 1_000, true));
    waiting(other, 1, &acquire("held", 1_000, true));
}

fn findings(fixture: &Fixture) -> Vec<(&'static str, String, u64)> {
    let mut found = Vec::new();
    let mut view = fixture.backend.view().unwrap();
    view.check(&mut |error| {
        let Error::Corrupt { kind, name, sequence, .. } = error else { panic!("{error}") };
        found.push((kind, name, sequence));
        true
    })
    .unwrap();
    found
}

#[test]
fn check_has_a_rule_for_each_way_in_which_rows_can_disagree() {
    let rows = [
        ("DELETE FROM event WHERE position = 3", vec![("stream", "b-1", 1), ("store", "position", 3)]),
        ("UPDATE stream SET version = 3 WHERE id = 1", vec![("stream", "a-1", 3)]),
        ("UPDATE stream SET erased = 3 WHERE id = 1", vec![("stream", "a-1", 3)]),
        ("UPDATE category SET name = 'x' WHERE id = 1", vec![("stream", "a-1", 2)]),
        ("UPDATE event SET category = 2 WHERE position = 1", vec![("event", "a-1", 1)]),
        (
            "UPDATE event SET stream = 9, version = 1 WHERE position = 3",
            vec![("stream", "b-1", 1), ("event", "?", 3)],
        ),
        ("UPDATE event SET recorded_at = 1 WHERE position = 2", vec![("event", "?", 2)]),
        ("UPDATE store SET position = 9", vec![("store", "position", 9)]),
        ("UPDATE process SET token = 0", vec![("store", "token", 3)]),
        ("UPDATE snapshot SET stream = 9", vec![("snapshot", "?", 2)]),
        ("UPDATE snapshot SET data = '[]'", vec![("snapshot", "a-1", 2)]),
        ("DELETE FROM message WHERE feed = 1", vec![("log", "l", 1), ("feed", "l", 0)]),
        ("UPDATE feed SET kind = 2, last = 2 WHERE name = 'm'", vec![("channel", "m", 2)]),
        ("UPDATE feed SET bytes = 1 WHERE id = 2", vec![("feed", "m", 0)]),
        ("DELETE FROM feed WHERE id = 2", vec![("message", "?", 1)]),
        ("UPDATE subscription SET feed = 9", vec![("subscription", "s", 0)]),
        ("INSERT INTO acknowledged VALUES (1, 't', 4, 5)", vec![("subscription", "t", 4)]),
        ("INSERT INTO acknowledged VALUES (1, 's', 3, 6), (1, 's', 5, 7)", vec![("subscription", "s", 5)]),
        ("UPDATE queue SET sequence = 2", vec![("queue", "q", 3)]),
        ("DELETE FROM queue", vec![("job", "?", 1), ("job", "?", 2), ("job", "?", 3)]),
        ("UPDATE job SET state = 1 WHERE sequence = 3", vec![("job", "q", 3)]),
        ("UPDATE job SET state = 9 WHERE sequence = 3", vec![("job", "q", 3)]),
        ("UPDATE job SET key = 'b' WHERE sequence = 3", vec![("job", "q", 3)]),
        ("UPDATE dict SET version = 0", vec![("dict", "d", 1)]),
        ("UPDATE dict_entry SET dict = 9", vec![("entry of dict", "?", 1)]),
        ("UPDATE list SET count = 3", vec![("list", "li", 2)]),
        ("DELETE FROM list_item WHERE version = 1", vec![("list", "li", 2)]),
        ("UPDATE list SET version = 1", vec![("list", "li", 2)]),
        (
            "UPDATE list_item SET list = 9 WHERE version = 2",
            vec![("list", "li", 2), ("item of list", "?", 2)],
        ),
        ("UPDATE list_node SET list = 9", vec![("order of list", "?", 1)]),
        ("UPDATE list SET last_node = 0", vec![("order of list", "li", 1)]),
        ("UPDATE lock SET waiting = 0", vec![("lock", "held", 2)]),
        ("UPDATE ticket SET lock = 9", vec![("lock", "held", 2), ("lock", "?", 3)]),
    ];
    for (harm, expected) in rows {
        let fixture = Fixture::new();
        let (mut session, mut other) = (fixture.join(0), fixture.join(0));
        fill(&mut *session, &mut *other);
        assert_eq!(findings(&fixture), [], "before {harm}");
        fixture.plain().execute_batch(harm).unwrap();
        let found = findings(&fixture);
        let found: Vec<_> = found.iter().map(|(kind, name, at)| (*kind, name.as_str(), *at)).collect();
        assert_eq!(found, expected, "{harm}");
    }
}

#[test]
fn check_stops_when_it_is_told_to() {
    let fixture = Fixture::new();
    let (mut session, mut other) = (fixture.join(0), fixture.join(0));
    fill(&mut *session, &mut *other);
    fixture.plain().execute_batch("DELETE FROM queue").unwrap();
    let mut count = 0;
    let mut view = fixture.backend.view().unwrap();
    view.check(&mut |_| {
        count += 1;
        count < 2
    })
    .unwrap();
    assert_eq!(count, 2);
}

#[test]
fn check_sees_what_an_index_has_lost() {
    let fixture = Fixture::new();
    let (mut session, mut other) = (fixture.join(0), fixture.join(0));
    fill(&mut *session, &mut *other);
    // An index that says that it is about something else.
    let harm = "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql =
        'CREATE INDEX job_dead ON job (queue, sequence) WHERE state = 0' WHERE name = 'job_dead'";
    fixture.plain().execute_batch(harm).unwrap();
    let found = findings(&fixture);
    assert!(found.iter().any(|(kind, ..)| *kind == "database"), "{found:?}");
}
