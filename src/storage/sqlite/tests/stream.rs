//! Appending and reading, as seen by SQLite.

use millpond_actors::error::{Error, Expected};
use millpond_actors::storage::Backend;
use millpond_actors::storage::Data;
use millpond_actors::storage::lock::Fence;
use millpond_actors::storage::stream::{Appended, Filter, Query, Scope};

use super::{Fixture, acquire, all, append, appended, event, granted, group, moment, name};

#[test]
fn a_committed_group_is_seen_by_others_and_an_undone_one_is_not() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    appended(&mut *session, 0, &append("order-1", Expected::NoStream, vec![event(1, r#"{"x":7}"#)]));
    session.begin(moment(0)).unwrap();
    session.stream_append(&append("other-1", Expected::Any, vec![event(2, "{}")])).unwrap();
    session.rollback();
    assert!(!session.in_transaction());
    assert_eq!(fixture.one::<i64>("SELECT count(*) FROM event"), 1);
    assert_eq!(fixture.one::<i64>("SELECT json_extract(data, '$.x') FROM event"), 7);
    assert_eq!(fixture.one::<String>("SELECT typeof(data) FROM event"), "text");
    // The category that the undone append had made must not be remembered.
    appended(&mut *session, 0, &append("third-1", Expected::Any, vec![event(3, "{}")]));
    appended(&mut *session, 0, &append("other-1", Expected::Any, vec![event(2, "{}")]));
    let sql = "SELECT group_concat(c.name) FROM event e JOIN category c ON c.id = e.category";
    assert_eq!(fixture.one::<String>(sql), "order,third,other");
    assert_eq!(fixture.one::<i64>("SELECT max(position) FROM event"), 3);
    assert_eq!(fixture.one::<String>("PRAGMA integrity_check"), "ok");
}

#[test]
fn an_undone_part_takes_its_numbers_with_it() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    group(&mut *session, 0, 1, |session| {
        session.savepoint()?;
        session.stream_append(&append("a-1", Expected::Any, vec![event(1, "{}")]))?;
        session.end_savepoint(false)?;
        session.savepoint()?;
        session.stream_append(&append("b-1", Expected::Any, vec![event(2, "{}")]))?;
        session.end_savepoint(true)
    });
    let mut view = fixture.backend.view().unwrap();
    assert_eq!(view.head(), Ok(1));
    assert_eq!(view.events(&all()).unwrap().events[0].as_ref().unwrap().stream, name("b-1"));
    assert_eq!(view.stream(&name("a-1")), Ok(None));
}

#[test]
fn expectations_and_ids_are_checked_in_order() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    let session = &mut *session;
    let first = append("a-1", Expected::NoStream, vec![event(1, "{}"), event(2, "{}")]);
    let Appended::Done { stream, version: 2, position: 2, repeated: false } = appended(session, 0, &first)
    else {
        panic!("not appended")
    };
    // A repetition answers with the first time's numbers, whatever is expected by now.
    let again = Appended::Done { stream, version: 2, position: 2, repeated: true };
    assert_eq!(appended(session, 0, &first), again);
    let duplicate = |id: u128| Appended::Duplicate { id: uuid::Uuid::from_u128(id) };
    let cases = [
        (append("a-1", Expected::NoStream, vec![event(3, "{}")]), Appended::Conflict { actual: 2 }),
        (append("a-1", Expected::Version(1), vec![event(3, "{}")]), Appended::Conflict { actual: 2 }),
        (append("b-1", Expected::Exists, vec![event(3, "{}")]), Appended::Conflict { actual: 0 }),
        (append("a-1", Expected::Any, vec![event(2, "{}"), event(1, "{}")]), duplicate(2)),
        (append("b-1", Expected::Any, vec![event(1, "{}"), event(2, "{}")]), duplicate(1)),
        (append("a-1", Expected::Any, vec![event(3, "{}"), event(2, "{}")]), duplicate(2)),
        (append("a-1", Expected::Any, vec![event(3, "{}"), event(3, "{}")]), duplicate(3)),
    ];
    for (append, outcome) in cases {
        assert_eq!(appended(session, 0, &append), outcome, "{append:?}");
    }
    let mut known = append("a-1", Expected::Version(2), vec![event(3, "{}")]);
    known.stream.id = Some(stream);
    let done = Appended::Done { stream, version: 3, position: 3, repeated: false };
    assert_eq!(appended(session, 0, &known), done);
    known.events = vec![event(4, "{}")];
    assert_eq!(appended(session, 0, &known), Appended::Conflict { actual: 3 });
    assert_eq!(fixture.one::<i64>("SELECT count(*) FROM event"), 3);
}

#[test]
fn an_id_that_was_said_to_be_new_and_is_not_is_an_error() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    let mut twice = append("a-1", Expected::Any, vec![event(1, "{}")]);
    appended(&mut *session, 0, &twice);
    twice.known_ids = false;
    session.begin(moment(0)).unwrap();
    assert!(matches!(session.stream_append(&twice), Err(Error::Corrupt { .. })));
    session.rollback();
}

#[test]
fn a_fence_holds_while_the_lock_does() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    let session = &mut *session;
    let grant = granted(session, 0, &acquire("guard", 60, false));
    let mut fenced = append("a-1", Expected::Any, vec![event(1, "{}")]);
    fenced.fence = Some(Fence { lock: grant.lock, name: name("guard"), token: grant.token });
    assert!(matches!(appended(session, 1, &fenced), Appended::Done { .. }));
    fenced.events = vec![event(2, "{}")];
    // 61 seconds without a beat.
    assert_eq!(appended(session, 62, &fenced), Appended::Fenced);
}

#[test]
fn names_are_kept_byte_for_byte_and_events_come_back_whole() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    let odd = ["x'); DROP TABLE event;--", "\"q\"-1", "%-_", "e\u{301}", "é", "😀-1", "A-1", "a-1"];
    for (id, stream) in odd.iter().enumerate() {
        let mut bytes = event(id as u128, "");
        bytes.data = Data::Bincode(vec![0, 255, 39]);
        bytes.metadata = Some("{ \"by\": \"me\" }".into());
        appended(&mut *session, 0, &append(stream, Expected::NoStream, vec![bytes]));
    }
    let mut view = fixture.backend.view().unwrap();
    let page = view.events(&all()).unwrap();
    for (recorded, stream) in page.events.iter().zip(odd) {
        let recorded = recorded.as_ref().unwrap();
        assert_eq!(recorded.stream.as_str(), stream);
        assert_eq!(recorded.data, Data::Bincode(vec![0, 255, 39]));
        assert_eq!(recorded.at.as_deref(), Some("2011-10-11T13:45:40.276+02:00"));
        assert_eq!(recorded.metadata.as_deref(), Some("{ \"by\": \"me\" }"));
    }
    assert_eq!((page.events.len(), page.last, page.more), (8, Some(8), false));
}

#[test]
fn pages_follow_their_range_their_type_and_their_direction() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    for id in 0..6_u128 {
        let mut one = event(id, "{}");
        one.event_type = if id % 2 == 0 { "Even".into() } else { "Odd".into() };
        appended(&mut *session, 0, &append(["a-1", "b-1"][id as usize / 3], Expected::Any, vec![one]));
    }
    let mut view = fixture.backend.view().unwrap();
    let mut numbers = |query: Query| {
        let page = view.events(&query).unwrap();
        let numbers: Vec<_> = page.events.into_iter().map(|event| event.unwrap().position).collect();
        (numbers, page.last, page.more)
    };
    let scope = |scope| Query { scope, ..all() };
    assert_eq!(numbers(Query { limit: 2, ..all() }), (vec![1, 2], Some(2), true));
    assert_eq!(numbers(Query { backward: true, from: 2, to: 4, ..all() }), (vec![4, 3, 2], Some(2), false));
    assert_eq!(numbers(scope(Scope::Category("b".into()))), (vec![4, 5, 6], Some(6), false));
    assert_eq!(numbers(scope(Scope::Stream(name("b-1")))), (vec![4, 5, 6], Some(3), false));
    let odd = Query {
        filter: Filter { types: vec!["Odd".into()], ..Filter::default() },
        ..scope(Scope::Category("a".into()))
    };
    assert_eq!(numbers(odd), (vec![2], Some(2), false));
    for nothing in [Scope::Category("c".into()), Scope::Stream(name("c-1"))] {
        assert_eq!(numbers(scope(nothing)), (vec![], None, false));
    }
    let plan =
        "EXPLAIN QUERY PLAN SELECT data FROM event WHERE category = 1 AND position > 3 ORDER BY position";
    let plan: String = fixture.plain().query_row(plan, [], |row| row.get(3)).unwrap();
    assert!(plan.contains("event_by_category (category=? AND rowid>?)"), "{plan}");
}
