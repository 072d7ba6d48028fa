//! Feeds whose rows were changed or lost under us.

use millpond_actors::error::Error;
use millpond_actors::storage::feed::{Kind, Page, Query};
use millpond_actors::storage::{Backend, Session};

use super::{Fixture, group, message, name};

/// A log of so many records, and who has written it: with its last connection goes the write-ahead log.
fn log_of(records: u64) -> (Fixture, Box<dyn Session>) {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    for number in 1..=records {
        group(&mut *session, 0, number, |session| session.feed_append(&message("l")));
    }
    (fixture, session)
}

fn page(fixture: &Fixture, backward: bool) -> Page {
    let (kind, name) = (Kind::Log, name("l"));
    let query =
        Query { kind, name, backward, from: 1, to: 9, since: None, until: None, content: None, limit: 9 };
    fixture.backend.view().unwrap().feed_page(&query).unwrap()
}

#[test]
fn g14_columns_of_other_types_or_contents_are_damage_of_one_message() {
    for column in [
        "data = x'00'",
        "data = 7",
        "data = '{}'",
        "format = 9",
        "crc = -1",
        "crc = 1",
        "key = NULL",
        "schema = 2",
    ] {
        let (fixture, _session) = log_of(3);
        fixture.plain().execute(&format!("UPDATE message SET {column} WHERE sequence = 2"), []).unwrap();
        let page = page(&fixture, false);
        let found: Vec<_> = page.messages.iter().map(|(at, found)| (*at, found.is_ok())).collect();
        assert_eq!(found, [(1, true), (2, false), (3, true)], "{column}");
        let damage = page.messages[1].1.as_ref().unwrap_err();
        assert!(
            matches!(damage, Error::Corrupt { kind: "log", sequence: 2, name, .. } if name == "l"),
            "{column}"
        );
    }
}

#[test]
fn g14_a_message_is_not_taken_for_one_of_another_place_or_feed() {
    let (fixture, _session) = log_of(1);
    let plain = fixture.plain();
    plain.execute("UPDATE message SET sequence = 2", []).unwrap();
    plain.execute("UPDATE feed SET last = 2", []).unwrap();
    let moved = page(&fixture, false).messages;
    assert!(moved.len() == 2 && moved.iter().all(|(_, found)| found.is_err()), "{moved:?}");
    let (fixture, _session) = log_of(1);
    fixture.plain().execute("UPDATE feed SET name = 'm'; ", []).unwrap();
    let view = &mut *fixture.backend.view().unwrap();
    let (kind, name) = (Kind::Log, name("m"));
    let query = Query {
        kind,
        name,
        backward: false,
        from: 1,
        to: 9,
        since: None,
        until: None,
        content: None,
        limit: 9,
    };
    assert!(view.feed_page(&query).unwrap().messages[0].1.is_err());
}

#[test]
fn g14_a_message_that_is_gone_is_missed_in_both_directions() {
    for gone in 1..=3_u64 {
        let (fixture, _session) = log_of(3);
        fixture.plain().execute("DELETE FROM message WHERE sequence = ?1", [gone]).unwrap();
        for backward in [false, true] {
            let page = page(&fixture, backward);
            let mut found: Vec<_> = page.messages.iter().map(|(at, found)| (*at, found.is_ok())).collect();
            found.sort_unstable();
            let right: Vec<_> = (1..=3).map(|at| (at, at != gone)).collect();
            assert_eq!(found, right, "{gone} {backward}");
        }
        let head = fixture.backend.view().unwrap().feed(Kind::Log, &name("l"));
        assert_eq!(head.is_err(), gone == 3, "its end is looked at: {head:?}");
    }
}

#[test]
fn g1_sqlite_reads_what_a_log_holds() {
    let (fixture, _session) = log_of(2);
    let sum: u64 = fixture
        .one("SELECT sum(data ->> 'needle') FROM message JOIN feed ON feed.id = feed WHERE name = 'l'");
    assert_eq!(sum, 2);
    assert_eq!(fixture.one::<String>("PRAGMA integrity_check"), "ok");
}
