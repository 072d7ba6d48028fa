//! Damage and theft: what was changed under us is seen, and what was not stays readable.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use millpond_actors::error::{Error, Expected};
use millpond_actors::storage::snapshot::{Save, Saved};
use millpond_actors::storage::stream::{Appended, Query, Scope};
use millpond_actors::storage::{Backend, Data, Moment, Session};

use super::{Fixture, all, append, appended, event, group, identity, moment, name};

#[test]
fn a_flipped_bit_is_found_and_its_neighbours_are_read() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    let events = vec![event(1, r#"{"n":1}"#), event(2, r#"{"needle":2}"#), event(3, r#"{"n":3}"#)];
    appended(&mut *session, 0, &append("a-1", Expected::Any, events));
    session.checkpoint(true).unwrap();
    session.leave(moment(0)).unwrap();
    drop(session);
    let directory = fixture.directory;
    drop(fixture.backend);
    let path = directory.path().join("a.db");
    let mut bytes = fs::read(&path).unwrap();
    let needle = bytes.windows(6).position(|window| window == b"needle").unwrap();
    bytes[needle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let _ = fs::remove_file(directory.path().join("a.db-wal"));
    let backend = crate::storage::sqlite::Sqlite::open(&path, Default::default()).unwrap();
    let page = backend.view().unwrap().events(&all()).unwrap();
    assert!(page.events[0].is_ok() && page.events[2].is_ok());
    let damaged = page.events[1].as_ref().unwrap_err();
    assert!(matches!(damaged, Error::Corrupt { kind: "event", name, sequence: 2, .. } if name == "a-1"));
}

#[test]
fn columns_of_other_types_are_damage_not_a_panic() {
    let columns = ["data = x'00'", "data = 7", "format = 9", "event_id = x'0102'", "crc = -1", "stream = 99"];
    for column in columns {
        let fixture = Fixture::new();
        let mut session = fixture.join(0);
        appended(&mut *session, 0, &append("a-1", Expected::Any, vec![event(1, "{}"), event(2, "{}")]));
        fixture.plain().execute(&format!("UPDATE event SET {column} WHERE position = 1"), []).unwrap();
        let page = fixture.backend.view().unwrap().events(&all()).unwrap();
        assert!(matches!(page.events[0], Err(Error::Corrupt { .. })), "{column}: {:?}", page.events[0]);
        assert!(page.events[1].is_ok(), "{column}");
        assert_eq!(page.last, Some(2));
    }
}

#[test]
fn g14_an_event_that_is_gone_is_missed_in_every_way_of_reading() {
    for gone in 1..=3_u64 {
        let fixture = Fixture::new();
        let mut session = fixture.join(0);
        let events = vec![event(1, "{}"), event(2, "{}"), event(3, "{}")];
        appended(&mut *session, 0, &append("a-1", Expected::Any, events));
        // With its process's row goes the position to where it outlives it.
        session.leave(moment(0)).unwrap();
        fixture.plain().execute("DELETE FROM event WHERE position = ?1", [gone]).unwrap();
        let mut view = fixture.backend.view().unwrap();
        for backward in [false, true] {
            for scope in [Scope::All, Scope::Stream(name("a-1"))] {
                let page = view.events(&Query { scope, backward, ..all() }).unwrap();
                let missed: Vec<&Error> =
                    page.events.iter().filter_map(|event| event.as_ref().err()).collect();
                assert!(
                    matches!(missed[..], [Error::Corrupt { kind: "event", sequence, .. }] if *sequence == gone),
                    "{gone} {backward}: {missed:?}"
                );
                assert_eq!(page.events.len(), 3);
            }
        }
        let is_last = gone == 3;
        assert_eq!(matches!(view.head(), Err(Error::Corrupt { sequence: 3, .. })), is_last);
        assert_eq!(matches!(view.stream(&name("a-1")), Err(Error::Corrupt { kind: "stream", .. })), is_last);
    }
}

#[test]
fn g14_a_version_that_is_not_that_of_the_last_event_is_damage() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    appended(&mut *session, 0, &append("a-1", Expected::Any, vec![event(1, "{}")]));
    fixture.plain().execute("UPDATE stream SET version = 3", []).unwrap();
    let mut view = fixture.backend.view().unwrap();
    let found = view.stream(&name("a-1"));
    assert!(matches!(found, Err(Error::Corrupt { kind: "stream", sequence: 3, .. })), "{found:?}");
}

#[test]
fn g14_rows_that_nobody_wrote_so_are_damage() {
    for harm in
        ["DELETE FROM store", "UPDATE store SET process = -1", "ALTER TABLE process RENAME schema TO scheme"]
    {
        let fixture = Fixture::new();
        fixture.plain().execute(harm, []).unwrap();
        let refused = fixture.backend.join(&identity(), &|| moment(0)).map(drop);
        assert!(matches!(refused, Err(Error::Corrupt { kind: "database", .. })), "{harm}: {refused:?}");
    }
}

#[test]
fn g14_an_empty_file_or_none_with_a_log_is_no_new_store() {
    let fixture = Fixture::new();
    let keeps_the_log = fixture.plain();
    keeps_the_log.execute_batch("PRAGMA user_version = 1").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.db");
    let log = directory.path().join("a.db-wal");
    fs::write(&path, "").unwrap();
    fs::copy(fixture.directory.path().join("a.db-wal"), &log).unwrap();
    let before = fs::read(&log).unwrap();
    let refused = crate::storage::sqlite::Sqlite::open(&path, Default::default()).unwrap_err();
    assert!(matches!(refused, Error::Corrupt { kind: "database", .. }), "{refused}");
    assert!(fs::read(&path).unwrap().is_empty() && fs::read(&log).unwrap() == before);
    fs::remove_file(&path).unwrap();
    let refused = crate::storage::sqlite::Sqlite::open(&path, Default::default()).unwrap_err();
    assert!(matches!(refused, Error::Corrupt { kind: "database", .. }), "{refused}");
    assert!(!path.exists() && fs::read(&log).unwrap() == before);
}

#[test]
fn snapshots_are_replaced_by_later_ones_and_checked() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    let events = (1..=6).map(|number| event(number, "{}")).collect();
    let Appended::Done { stream, .. } = appended(&mut *session, 0, &append("a-1", Expected::Any, events))
    else {
        panic!("not appended")
    };
    let save = |version, byte| Save { stream, version, schema: 1, data: Data::Bincode(vec![byte]) };
    let mut kept = |save: Save| group(&mut *session, 0, 1, |session| session.snapshot_save(&save)).1;
    assert_eq!(kept(save(5, 5)), Saved::Kept);
    assert_eq!(kept(save(4, 4)), Saved::Outdated);
    assert_eq!(kept(Save { stream: 99, ..save(1, 1) }), Saved::Outdated);
    assert_eq!(kept(save(5, 6)), Saved::Kept);
    let mut view = fixture.backend.view().unwrap();
    assert_eq!(view.snapshot(&name("a-1")).unwrap().unwrap().data, Data::Bincode(vec![6]));
    assert_eq!(view.snapshot(&name("b-1")), Ok(None));
    fixture.plain().execute("UPDATE snapshot SET data = x'07'", []).unwrap();
    assert!(matches!(view.snapshot(&name("a-1")), Err(Error::Corrupt { kind: "snapshot", .. })));
    // However damaged, it keeps no sound one out.
    for version in [7, i64::MAX, -1, i64::MIN] {
        fixture.plain().execute("UPDATE snapshot SET version = ?1", [version]).unwrap();
        assert!(matches!(view.snapshot(&name("a-1")), Err(Error::Corrupt { kind: "snapshot", .. })));
        assert_eq!(kept(save(6, 8)), Saved::Kept);
        assert_eq!(view.snapshot(&name("a-1")).unwrap().unwrap().data, Data::Bincode(vec![8]));
    }
}

/// What a foreign hand may do with the files of a store in use.
const HANDS: [fn(&Path); 7] = [
    |path| fs::remove_file(path).unwrap(),
    |path| fs::rename(path, path.with_extension("moved")).unwrap(),
    |path| fs::hard_link(path, path.with_extension("second")).unwrap(),
    |path| fs::hard_link(path, path.with_extension("elsewhere").join("second")).unwrap(),
    |path| fs::remove_file(path.with_extension("db-wal")).unwrap(),
    |path| fs::rename(path.with_extension("db-shm"), path.with_extension("moved")).unwrap(),
    |path| {
        fs::write(path.with_extension("new"), "").unwrap();
        fs::rename(path.with_extension("new"), path).unwrap();
    },
];

#[test]
fn a_file_that_is_replaced_moved_or_linked_takes_no_more_writes() {
    for hand in HANDS {
        let fixture = Fixture::new();
        fs::create_dir(fixture.path().with_extension("elsewhere")).unwrap();
        let mut session = fixture.join(0);
        refuses_all_when(hand, &fixture, &mut *session, moment(0));
    }
}

/// Whoever commits one time after the other only looks whether the directory has changed.
#[test]
fn a_file_that_is_replaced_between_two_commits_takes_no_more_writes() {
    for hand in HANDS {
        let fixture = Fixture::new();
        fs::create_dir(fixture.path().with_extension("elsewhere")).unwrap();
        // By the wall clock all that has been done to the directory until now is long ago.
        let later = Moment { wall_ms: 4_000_000_000_000, ..moment(0) };
        let mut session = fixture.join(0);
        wait_for_the_next_tick(&fixture.path());
        for group in 1..=3 {
            session.begin(later).unwrap();
            session.commit(group).unwrap();
        }
        refuses_all_when(hand, &fixture, &mut *session, later);
    }
}

fn refuses_all_when(hand: fn(&Path), fixture: &Fixture, session: &mut dyn Session, now: Moment) {
    session.begin(now).unwrap();
    session.stream_append(&append("a-1", Expected::Any, vec![event(1, "{}")])).unwrap();
    hand(&fixture.path());
    assert!(matches!(session.commit(4), Err(Error::FileReplaced { .. })));
    assert!(!session.in_transaction());
    assert!(matches!(session.begin(now), Err(Error::FileReplaced { .. })));
    assert!(matches!(session.reopen(), Err(Error::FileReplaced { .. })));
    let view = fixture.backend.view().map(drop);
    assert!(matches!(view, Err(Error::FileReplaced { .. })), "{view:?}");
}

/// The clock of the file system has gone on since the directory changed.
fn wait_for_the_next_tick(store: &Path) {
    let changed = |path: &Path| fs::metadata(path).map(|found| (found.ctime(), found.ctime_nsec())).unwrap();
    let (clock, before) = (tempfile::NamedTempFile::new().unwrap(), changed(store.parent().unwrap()));
    while changed(clock.path()) <= before {
        fs::write(clock.path(), "").unwrap();
    }
}
