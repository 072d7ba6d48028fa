//! What may be opened, and that nothing else is touched.

use std::fs;
use std::path::Path;

use millpond_actors::error::Error;
use millpond_actors::storage::Backend;

use super::{Fixture, identity, moment};
use crate::storage::sqlite::{Options, Sqlite};

fn refusal(path: &Path) -> Error {
    Sqlite::open(path, Options::default()).unwrap_err()
}

#[test]
fn paths_that_cannot_be_a_store_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("directory")).unwrap();
    std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
    std::os::unix::fs::symlink("loop", at("loop")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::write(at("one"), "").unwrap();
    fs::hard_link(at("one"), at("two")).unwrap();
    let bad = ["", ":memory:", "/dev/full", "/nowhere/at/all.db", "a\0b"].map(Into::into);
    let made = ["directory", "dangling", "loop", "socket", "pipe", "one", "two", "one/below"].map(at);
    for path in bad.into_iter().chain(made) {
        let refused = refusal(&path);
        assert!(matches!(refused, Error::InvalidPath { .. }), "{path:?}: {refused}");
    }
    assert_eq!(fs::metadata(at("one")).unwrap().len(), 0);
}

#[test]
fn files_of_others_are_refused_and_stay_as_they_are() {
    let fixture = Fixture::new();
    let good = fs::read(fixture.path()).unwrap();
    let foreign = {
        let path = fixture.directory.path().join("foreign");
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE theirs(x); INSERT INTO theirs VALUES (1)").unwrap();
        drop(connection);
        fs::read(path).unwrap()
    };
    let changed = |offset: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[offset] = byte;
        bytes
    };
    let cases: [(&str, Vec<u8>); 6] = [
        ("one byte", b"S".to_vec()),
        ("text", b"hello world\n".repeat(100)),
        ("99 bytes of a store", good[..99].to_vec()),
        ("wrong magic", changed(0, b'X')),
        ("other application id", changed(68, 1)),
        ("another program's database", foreign),
    ];
    for (what, bytes) in cases {
        let path = fixture.directory.path().join("other.db");
        fs::write(&path, &bytes).unwrap();
        let refused = refusal(&path);
        assert!(matches!(refused, Error::NotOurFile { .. }), "{what}: {refused}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "{what}");
        assert!(!fixture.directory.path().join("other.db-sync").exists(), "{what}");
    }
    let path = fixture.directory.path().join("newer.db");
    let newer = changed(63, 200);
    fs::write(&path, &newer).unwrap();
    let refused = refusal(&path);
    assert!(matches!(refused, Error::SchemaTooNew { found: 200, supported: 1, .. }), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), newer);
}

#[test]
fn a_newer_schema_that_only_the_log_knows_is_refused() {
    let fixture = Fixture::new();
    let keeps_the_log = fixture.plain();
    keeps_the_log.execute_batch("PRAGMA user_version = 7").unwrap();
    let refused = refusal(&fixture.path());
    assert!(matches!(refused, Error::SchemaTooNew { found: 7, .. }), "{refused}");
}

#[test]
fn a_name_that_looks_like_a_uri_is_a_name() {
    let fixture = Fixture::new();
    let path = fixture.directory.path().join("file:x?mode=memory");
    Sqlite::open(&path, Options::default()).unwrap();
    assert!(fs::metadata(&path).unwrap().len() > 0);
}

#[test]
fn a_symbolic_link_leads_to_one_store_with_one_sidecar() {
    let fixture = Fixture::new();
    let link = fixture.directory.path().join("link.db");
    std::os::unix::fs::symlink(fixture.path(), &link).unwrap();
    let linked = Sqlite::open(&link, Options::default()).unwrap();
    let first = fixture.join(0);
    let second = linked.join(&identity(), &|| moment(0)).unwrap();
    assert_ne!(first.process(), second.process());
    assert!(!fixture.directory.path().join("link.db-sync").exists());
}

#[test]
fn an_empty_file_and_one_whose_creation_was_cut_short_become_stores() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.db");
    fs::write(&empty, "").unwrap();
    Sqlite::open(&empty, Options::default()).unwrap();
    let begun = directory.path().join("begun.db");
    let connection = rusqlite::Connection::open(&begun).unwrap();
    connection
        .execute_batch("PRAGMA page_size = 8192; PRAGMA auto_vacuum = 0; PRAGMA journal_mode = WAL")
        .unwrap();
    drop(connection);
    assert!(fs::metadata(&begun).unwrap().len() > 0);
    let store = Sqlite::open(&begun, Options::default()).unwrap();
    assert_eq!(store.view().unwrap().summary(moment(0)).unwrap().schema, 1);
}

#[test]
fn two_that_create_at_once_both_succeed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.db");
    std::thread::scope(|scope| {
        let opening: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    Sqlite::open(&path, Options::default()).unwrap().join(&identity(), &|| moment(0))
                })
            })
            .collect();
        for opened in opening {
            opened.join().unwrap().unwrap();
        }
    });
}

#[test]
fn a_new_store_is_a_plain_database_with_its_own_settings() {
    let fixture = Fixture::new();
    assert_eq!(fixture.one::<i64>("PRAGMA page_size"), 8_192);
    assert_eq!(fixture.one::<i64>("PRAGMA auto_vacuum"), 0);
    assert_eq!(fixture.one::<i64>("PRAGMA application_id"), 0x4D50_4E44);
    assert_eq!(fixture.one::<i64>("PRAGMA user_version"), 1);
    assert_eq!(fixture.one::<String>("PRAGMA journal_mode"), "wal");
    assert_eq!(fixture.one::<String>("PRAGMA integrity_check"), "ok");
}

#[test]
fn read_only_creates_nothing_and_registers_nobody() {
    let fixture = Fixture::new();
    let options = Options { read_only: true, ..Options::default() };
    let absent = fixture.directory.path().join("absent.db");
    assert!(matches!(Sqlite::open(&absent, options), Err(Error::InvalidPath { .. })));
    assert!(!absent.exists());
    let store = Sqlite::open(&fixture.path(), options).unwrap();
    assert_eq!(store.view().unwrap().head(), Ok(0));
    let mut session = store.join(&identity(), &|| moment(0)).unwrap();
    assert!(matches!(session.begin(moment(0)), Err(Error::ReadOnly { .. })));
    assert_eq!(store.view().unwrap().processes(moment(0)), Ok(vec![]));
}

#[test]
fn a_creation_that_was_cut_short_is_begun_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.db");
    // A rollback journal without pages, of a file that was empty: magic, no pages, nonce, old size, sector, page.
    let mut journal = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7".to_vec();
    for number in [0_u32, 1, 0, 512, 8_192] {
        journal.extend(number.to_be_bytes());
    }
    journal.resize(512, 0);
    let mut headed = b"SQLite format 3\0".to_vec();
    headed.resize(8_192, 0);
    for first_page in [vec![0; 8_192], headed] {
        fs::write(directory.path().join("a.db-journal"), &journal).unwrap();
        fs::write(&path, first_page).unwrap();
        let backend = Sqlite::open(&path, Options::default()).unwrap();
        backend.join(&identity(), &|| moment(0)).unwrap();
        let pages: i64 = rusqlite::Connection::open(&path)
            .unwrap()
            .query_row("PRAGMA page_size", [], |row| row.get(0))
            .unwrap();
        assert_eq!(pages, 8_192);
        assert!(!directory.path().join("a.db-journal").exists());
    }
}

#[test]
fn a_first_page_that_was_torn_is_mended_by_the_log() {
    let fixture = Fixture::new();
    let keeps_the_log = fixture.plain();
    keeps_the_log.execute_batch("PRAGMA user_version = 1").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.db");
    let mut torn = fs::read(fixture.path()).unwrap();
    torn[..512].fill(0);
    fs::write(&path, torn).unwrap();
    fs::copy(fixture.directory.path().join("a.db-wal"), directory.path().join("a.db-wal")).unwrap();
    let backend = Sqlite::open(&path, Options::default()).unwrap();
    backend.join(&identity(), &|| moment(0)).unwrap();
}
