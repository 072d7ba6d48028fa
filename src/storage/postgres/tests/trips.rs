//! How often a group goes to the server and back.

use std::borrow::Cow;

use millpond_actors::error::Expected;
use millpond_actors::name::Name;
use millpond_actors::storage::lock::Acquire;
use millpond_actors::storage::queue::{Claim, NewJob, Push, Start};
use millpond_actors::storage::stream::{Append, Appended, NewEvent};
use millpond_actors::storage::{Apply, Data, Operation, Session, Standing, Tables, Target, dict, feed};
use uuid::Uuid;

use super::super::session::PostgresSession;
use super::{NOW, fresh, ground, join};

fn target(name: String) -> Target {
    Target { name: Name::new(name).unwrap(), id: None }
}

/// One operation of each kind that is asked for all the time, on names of its own.
fn some(number: u128) -> Vec<Operation> {
    let data = Data::Json(number.to_string());
    let event = NewEvent {
        id: Uuid::from_u128(number + 1),
        event_type: Cow::Borrowed("Happened"),
        data: data.clone(),
        schema: 1,
        at: None,
        metadata: None,
        origin: None,
    };
    let append = Append {
        stream: target(format!("s-{number}")),
        expected: Expected::Any,
        events: vec![event],
        known_ids: true,
        fence: None,
    };
    let job = NewJob {
        data: data.clone(),
        schema: 1,
        priority: 0,
        start: Start::Now,
        key: None,
        max_attempts: None,
        origin: None,
        dead: None,
    };
    let set = dict::Set {
        dict: Name::new(format!("d{}", number % 7)).unwrap(),
        key: number.to_string().into(),
        data: data.clone(),
        schema: 1,
        life_ms: None,
        expected: dict::Expected::Any,
    };
    let message = feed::NewMessage { data, schema: 1, key: None, at: None };
    let publish = feed::Append {
        kind: feed::Kind::Channel,
        feed: target(format!("c{}", number % 5)),
        messages: vec![message],
        fence: None,
    };
    let lock = target(format!("l{number}"));
    vec![
        append.into_operation(),
        Push { queue: target(format!("q{}", number % 3)), jobs: vec![job] }.into_operation(),
        Claim { queue: target(format!("q{}", number % 3)), most: 1, ttl_ms: 60_000 }.into_operation(),
        set.into_operation(),
        publish.into_operation(),
        Acquire { lock, capacity: 1, weight: 1, ttl_ms: 60_000, wait: true }.into_operation(),
    ]
}

/// A group of the operations with these numbers: how often the server was waited for.
pub(super) fn group(session: &mut PostgresSession, count: &mut u64, numbers: std::ops::Range<u128>) -> u64 {
    let operations: Vec<Operation> = numbers.flat_map(some).collect();
    let before = session.trips();
    assert!(session.take_turn(true).unwrap());
    assert_eq!(session.begin(NOW).unwrap(), Standing::Good);
    session.foresee(&operations.iter().collect::<Vec<_>>());
    for operation in &operations {
        session.apply(operation).unwrap();
    }
    *count += 1;
    session.commit(*count).unwrap();
    session.leave_turn();
    session.trips() - before
}

/// G2, and the promise of a group that is one: a group of one operation of each kind, and one of hundreds of each.
#[test]
fn g2_a_group_takes_as_many_trips_whatever_its_size() {
    let Some(url) = fresh() else { return };
    let ground = ground(&url);
    let (mut a, mut b) = (join(&ground), join(&ground));
    let (mut of_a, mut of_b) = (0, 0);
    // The server gets to know the statements, and all names are used once.
    group(&mut a, &mut of_a, 0..7);
    group(&mut b, &mut of_b, 7..14);
    group(&mut a, &mut of_a, 14..21);
    let mut after_others = |from: u128, size: u128| {
        group(&mut b, &mut of_b, from..from + 1);
        group(&mut a, &mut of_a, from + 1..from + 1 + size)
    };
    let (few, many) = (after_others(100, 1), after_others(1_000, 500));
    assert_eq!(few, many, "when somebody else has written meanwhile");
    let (few, many) = (group(&mut a, &mut of_a, 2_000..2_001), group(&mut a, &mut of_a, 3_000..3_500));
    assert_eq!(few, many, "and when nobody has");
    assert!(many <= 4, "the turn, what is not known, what it leads to, the commit: {many}");
}

/// A group is done again over a new connection, and not foreseen any more, when the thread that foresaw it has fallen over.
#[test]
fn g3_who_fell_over_while_foreseeing_decides_by_what_there_is() {
    let Some(url) = fresh() else { return };
    let ground = ground(&url);
    let (mut a, mut b) = (join(&ground), join(&ground));
    group(&mut b, &mut 0, 0..1);
    a.foresees = true;
    a.reopen().unwrap();
    assert!(a.take_turn(true).unwrap());
    a.begin(NOW).unwrap();
    let Some(Operation::StreamAppend(mut append)) = some(0).into_iter().next() else { panic!("an append") };
    append.expected = Expected::NoStream;
    append.events[0].id = Uuid::from_u128(99);
    let appended = a.stream_append(&append).unwrap();
    assert!(matches!(appended, Appended::Conflict { .. }), "{appended:?}");
}
