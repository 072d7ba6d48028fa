//! Indexes of dicts that are damaged: nobody is told of an entry that is not as he wants it, and what an index cannot be trusted
//! in is read without it.

use millpond_actors::error::{Error, Result};
use millpond_actors::storage::Session;
use millpond_actors::storage::dict::{DropIndex, Expected, Indexed, MakeIndex, Query, Set, Unindexed};
use millpond_actors::storage::filter::Path;
use millpond_actors::storage::{Backend, Data};

use super::{Fixture, group, moment, name};
use crate::Where;
use crate::filter::fields;
use crate::storage::sqlite::{Options, Sqlite};

/// A dict with some entries, and an index of their field `a`.
fn indexed() -> (Fixture, Box<dyn Session>) {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { fields: fields(), ..Options::default() };
    let backend = Sqlite::open(&directory.path().join("a.db"), options).unwrap();
    let fixture = Fixture { directory, backend };
    let mut session = fixture.join(0);
    group(&mut *session, 0, 1, |session| {
        for n in 0..9 {
            session.dict_set(&set(&format!("k{n}"), &format!("{{\"a\": {}, \"b\": \"x{n}\"}}", n % 3)))?;
        }
        assert_eq!(session.dict_index(&make("a"))?, Indexed::Done { more: false });
        session.dict_index(&make("b"))
    });
    (fixture, session)
}

fn set(key: &str, value: &str) -> Set {
    let (dict, key, data) = (name("d"), key.into(), Data::Json(value.into()));
    Set { dict, key, data, schema: 1, life_ms: None, expected: Expected::Any }
}

fn make(path: &str) -> MakeIndex {
    MakeIndex { dict: name("d"), paths: vec![Path::parse(path).unwrap()], limit: 100 }
}

fn find(fixture: &Fixture, filter: &str) -> Vec<Result<String>> {
    let filter = Some(filter.parse::<Where>().unwrap().filter().unwrap());
    let query =
        Query { dict: name("d"), prefix: "".into(), after: None, backward: false, filter, limit: 100 };
    let page = fixture.backend.view().unwrap().dict_page(&query, moment(0)).unwrap();
    page.entries.into_iter().map(|entry| entry.map(|entry| entry.key)).collect()
}

fn keys(keys: &[&str]) -> Vec<Result<String>> {
    keys.iter().map(|key| Ok((*key).to_owned())).collect()
}

#[test]
fn g14_an_index_that_lies_is_said_to_be_damaged() {
    let (fixture, _session) = indexed();
    assert_eq!(find(&fixture, "a = 1"), keys(&["k1", "k4", "k7"]));
    let is_damage =
        |found: &Result<String>| matches!(found, Err(Error::Corrupt { kind: "index of dict", .. }));
    // What it leads to is another value, or nothing.
    let one = "SELECT value FROM dict_indexed WHERE key = 'k1' AND dict_index = 1";
    fixture.plain().execute(&format!("INSERT INTO dict_indexed VALUES (1, ({one}), 'k2')"), []).unwrap();
    fixture.plain().execute(&format!("INSERT INTO dict_indexed VALUES (1, ({one}), 'k9')"), []).unwrap();
    for filter in ["a = 1", "a >= 1 and a <= 1", "a in (1, 7)"] {
        let found = find(&fixture, filter);
        let sound: Vec<_> = found.iter().filter(|found| found.is_ok()).cloned().collect();
        assert_eq!(sound, keys(&["k1", "k4", "k7"]), "{filter}");
        assert_eq!(found.iter().filter(|found| is_damage(found)).count(), 2, "{filter}: {found:?}");
    }
}

#[test]
fn g14_an_index_whose_row_is_damaged_is_not_used() {
    let columns = [
        "path = 'b'",
        "path = 'c'",
        "state = 1",
        "reached = 'k5'",
        "crc = 7",
        "state = 9",
        "path = '('",
        "dict = 2",
    ];
    for column in columns {
        let (fixture, mut session) = indexed();
        if column.starts_with("path = 'b'") {
            fixture.plain().execute("DELETE FROM dict_index WHERE id = 2", []).unwrap();
        }
        fixture.plain().execute(&format!("UPDATE dict_index SET {column} WHERE id = 1"), []).unwrap();
        let filter = if column.starts_with("path = 'b'") { "b = \"x4\"" } else { "a = 1 and b = \"x4\"" };
        assert_eq!(find(&fixture, filter), keys(&["k4"]), "{column}");
        assert_eq!(find(&fixture, "a = 1"), keys(&["k1", "k4", "k7"]), "{column}");
        let listed = fixture.backend.view().unwrap().dict_indexes(&name("d"));
        assert!(
            column.starts_with("dict") || matches!(listed, Err(Error::Corrupt { .. })),
            "{column}: {listed:?}"
        );
        // Writing goes on, and what is removed and made anew is sound.
        group(&mut *session, 0, 2, |session| session.dict_set(&set("k1", "{\"a\": 2}")));
        assert_eq!(find(&fixture, "a = 1"), keys(&["k4", "k7"]), "{column}");
    }
    let (fixture, mut session) = indexed();
    fixture.plain().execute("UPDATE dict_index SET crc = 7 WHERE id = 1", []).unwrap();
    let drop = DropIndex { dict: name("d"), paths: make("a").paths, limit: 100 };
    let dropped = group(&mut *session, 0, 2, |session| session.dict_unindex(&drop)).1;
    assert_eq!(dropped, Unindexed { removed: 1, more: false });
    group(&mut *session, 0, 3, |session| session.dict_index(&make("a")));
    assert_eq!(fixture.backend.view().unwrap().dict_indexes(&name("d")).unwrap().len(), 2);
    assert_eq!(find(&fixture, "a = 1"), keys(&["k1", "k4", "k7"]));
}

#[test]
fn g14_an_entry_that_is_damaged_is_an_error_in_its_place_by_an_index_too() {
    let (fixture, _session) = indexed();
    fixture
        .plain()
        .execute("UPDATE dict_entry SET data = replace(data, 'x4', 'y4') WHERE key = 'k4'", [])
        .unwrap();
    for filter in ["a = 1", "a >= 1 and a < 2", "not b = \"x9\" and a = 1"] {
        let found = find(&fixture, filter);
        let damaged = matches!(&found[..], [Ok(_), Err(Error::Corrupt { kind: "entry of dict", .. }), Ok(_)]);
        assert!(damaged, "{filter}: {found:?}");
    }
}

#[test]
fn an_index_is_made_beyond_what_is_damaged() {
    let (fixture, mut session) = indexed();
    fixture
        .plain()
        .execute("UPDATE dict_entry SET crc = 7 WHERE key IN ('k0', 'k3', 'k4', 'k5')", [])
        .unwrap();
    let one = MakeIndex { limit: 1, ..make("c") };
    let steps = (2..).take_while(|group| {
        let step = group_of(&mut *session, *group, &one);
        assert!(*group < 20, "it never comes to an end");
        step == (Indexed::Done { more: true })
    });
    assert!(steps.count() >= 8);
    assert_eq!(find(&fixture, "c = 1 and a = 2"), []);
}

fn group_of(session: &mut dyn Session, number: u64, make: &MakeIndex) -> Indexed {
    group(session, 0, number, |session| session.dict_index(make)).1
}
