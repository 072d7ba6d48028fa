//! Paths and files: what cannot be a store is refused and stays as it is, to the byte.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use millpond::{Error, Expected, Store};

use crate::backends::{event, wait};

/// Every file of a folder with its bytes.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), path.is_file().then(|| fs::read(path).ok()).flatten()))
        .collect()
}

/// A page of SQLite with these numbers in its header; it says that it holds a table.
fn database(application: u32, user_version: u32) -> Vec<u8> {
    let mut page = vec![0; 4_096];
    page[..16].copy_from_slice(b"SQLite format 3\0");
    page[16..24].copy_from_slice(&[16, 0, 1, 1, 0, 64, 32, 32]);
    page[28..32].copy_from_slice(&1_u32.to_be_bytes());
    page[60..64].copy_from_slice(&user_version.to_be_bytes());
    page[68..72].copy_from_slice(&application.to_be_bytes());
    page[100..108].copy_from_slice(&[13, 0, 0, 0, 1, 15, 255, 0]);
    page
}

const MILLPOND: u32 = 0x4D50_4E44;

#[test]
fn what_is_not_ours_is_refused_and_not_touched() {
    type Refusal = fn(&Error) -> bool;
    let not_ours: Refusal = |error| matches!(error, Error::NotOurFile { .. });
    let rows: [(&str, Vec<u8>, Refusal); 10] = [
        ("1 byte", vec![0], not_ours),
        ("15 bytes", b"SQLite format 3".to_vec(), not_ours),
        ("16 bytes", b"SQLite format 3\0".to_vec(), not_ours),
        ("99 bytes", vec![0; 99], not_ours),
        ("text", "a shopping list\n".repeat(40).into_bytes(), not_ours),
        ("a picture", [b"\xFF\xD8\xFF\xE0".to_vec(), vec![7; 5_000]].concat(), not_ours),
        ("another program's", database(0x0F05_5112, 0), not_ours),
        ("a nameless program's", database(0, 3), not_ours),
        ("a newer millpond's", database(MILLPOND, 4_000), |error| {
            matches!(error, Error::SchemaTooNew { found: 4_000, supported: 1.., .. })
        }),
        ("the newest possible", database(MILLPOND, u32::MAX), |error| {
            matches!(error, Error::SchemaTooNew { found: u32::MAX, .. })
        }),
    ];
    for (what, bytes, refused) in rows {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("s.db");
        fs::write(&file, &bytes).unwrap();
        let before = contents(folder.path());
        for _ in 0..2 {
            let error = wait(Store::open(&file)).unwrap_err();
            assert!(refused(&error), "{what}: {error:?}");
            assert!(error.to_string().contains("s.db"), "{what}: {error}");
            assert_eq!(millpond::blocking::Store::open(&file).err(), Some(error), "{what}");
        }
        assert!(contents(folder.path()) == before, "{what}: something was touched");
    }
}

#[test]
fn paths_that_cannot_be_a_store_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("file"), b"").unwrap();
    fs::write(at("two-names"), b"").unwrap();
    fs::hard_link(at("two-names"), at("other-name")).unwrap();
    std::os::unix::fs::symlink(at("nowhere"), at("dangling")).unwrap();
    std::os::unix::fs::symlink(at("loop"), at("loop")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let before = contents(folder.path());
    let paths = [
        PathBuf::new(),
        ":memory:".into(),
        "a\0b".into(),
        "/dev/full".into(),
        "/".into(),
        "..".into(),
        folder.path().into(),
        at("no-such-folder/s.db"),
        at("file/s.db"),
        at("two-names"),
        at("dangling"),
        at("loop"),
        at("socket"),
        at("pipe"),
        at(&"x".repeat(300)),
    ];
    for path in paths {
        let error = wait(Store::open(&path)).unwrap_err();
        assert!(matches!(error, Error::InvalidPath { .. }), "{path:?}: {error:?}");
    }
    for url in
        ["postgres:///shop", "postgres://localhost/shop?schema=\"", "postgres://localhost/shop?colour=blue"]
    {
        let error = wait(Store::open(url)).unwrap_err();
        assert!(matches!(error, Error::InvalidPath { .. }), "{url}: {error:?}");
    }
    assert!(contents(folder.path()) == before, "something was touched");
}

#[test]
fn an_empty_file_and_an_odd_name_become_stores() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("empty.db"), b"").unwrap();
    let names = ["empty.db", "file:x?mode=memory&nolock=1", "name with ; -- and 'quotes'", "😀"];
    let not_text = OsStr::from_bytes(b"\xFFx");
    for name in names.map(OsStr::new).into_iter().chain([not_text]) {
        let file = folder.path().join(name);
        for opened in 0..2 {
            wait(async {
                let store = Store::open(&file).await?;
                store.events().append("a", Expected::Version(opened), [event(1)]).await?;
                store.close().await
            })
            .unwrap();
        }
        assert!(fs::metadata(&file).unwrap().len() > 0, "{name:?}");
    }
}

/// A store with a few pages of events, that was closed in order, in a folder of its own.
fn closed() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.db");
    let store = millpond::blocking::Store::open(&file).unwrap();
    let events = (1_000..1_360).map(event).collect::<Vec<_>>();
    store.events().append("a", Expected::NoStream, events).unwrap();
    store.close().unwrap();
    (folder, file)
}

/// Bytes of a page.
const PAGE: usize = 8_192;

#[test]
fn a_store_that_is_damaged_is_refused_and_not_touched() {
    type Harm = fn(&Path);
    type Refusal = fn(&Error) -> bool;
    let corrupt: Refusal = |error| matches!(error, Error::Corrupt { kind: "database", .. });
    let rows: [(&str, Harm, Refusal); 10] = [
        ("a header only", |file| cut(file, 100), corrupt),
        ("half a page", |file| cut(file, PAGE / 2), corrupt),
        ("one page", |file| cut(file, PAGE), corrupt),
        ("half of a page too much", |file| cut(file, 3 * PAGE + PAGE / 2), corrupt),
        ("to be read by a newer SQLite", |file| set(file, 19, 9), corrupt),
        (
            "to be written by a newer SQLite",
            |file| set(file, 18, 9),
            |error| matches!(error, Error::ReadOnly { .. }),
        ),
        ("a page size that is none", |file| set(file, 17, 7), corrupt),
        (
            "a directory for a log",
            |file| fs::create_dir(beside(file, "-wal")).unwrap(),
            |error| matches!(error, Error::InvalidPath { path, .. } if path.ends_with("s.db-wal")),
        ),
        (
            "a directory for the log's index",
            |file| fs::create_dir(beside(file, "-shm")).unwrap(),
            |error| matches!(error, Error::InvalidPath { path, .. } if path.ends_with("s.db-shm")),
        ),
        (
            "something else for a sidecar",
            |file| fs::write(beside(file, "-sync"), "mine").unwrap(),
            |error| matches!(error, Error::NotOurFile { .. }),
        ),
    ];
    for (what, harm, refused) in rows {
        let (folder, file) = closed();
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(beside(&file, suffix));
        }
        harm(&file);
        let before = contents(folder.path());
        for _ in 0..2 {
            let error = wait(Store::open(&file)).unwrap_err();
            assert!(refused(&error), "{what}: {error:?}");
        }
        for (path, bytes) in before {
            assert!(fs::read(&path).ok() == bytes, "{what}: {path:?} was touched");
        }
    }
}

fn cut(file: &Path, length: usize) {
    let file = fs::OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(length as u64).unwrap();
}

fn set(file: &Path, offset: usize, byte: u8) {
    let mut bytes = fs::read(file).unwrap();
    bytes[offset] = byte;
    fs::write(file, bytes).unwrap();
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[test]
fn a_log_that_is_garbage_is_no_log() {
    for length in [1, 32, 4_096, 100_000] {
        let (_folder, file) = closed();
        fs::write(beside(&file, "-wal"), vec![0xA5; length]).unwrap();
        let store = millpond::blocking::Store::open(&file).unwrap();
        assert_eq!(store.events().read_all().map(|event| event.unwrap().position()).max(), Some(360));
        store.events().append("a", Expected::Version(360), [event(1)]).unwrap();
        store.close().unwrap();
    }
}

#[test]
fn a_flipped_bit_is_that_events_error_and_nobody_elses() {
    let (_folder, file) = closed();
    let mut bytes = fs::read(&file).unwrap();
    let content = br#"{"n":1100}"#;
    let at = bytes.windows(content.len()).rposition(|window| window == content).unwrap();
    bytes[at + 5] ^= 1;
    fs::write(&file, bytes).unwrap();
    let store = millpond::blocking::Store::open(&file).unwrap();
    for backward in [false, true] {
        let events = store.events().read_stream("a");
        let events = if backward { events.backward() } else { events };
        let (good, bad): (Vec<_>, Vec<_>) = events.partition(Result::is_ok);
        assert_eq!(good.len(), 359);
        assert!(
            matches!(&bad[..], [Err(Error::Corrupt { kind: "event", name, sequence: 101, .. })] if name == "a"),
            "{bad:?}"
        );
    }
    store.close().unwrap();
}

#[test]
fn what_may_not_be_written_is_said_to_be_read_only() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, file) = closed();
    let permit = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    permit(&file, 0o444);
    if fs::OpenOptions::new().write(true).open(&file).is_ok() {
        println!("skipped: whoever runs this may write everywhere");
        return;
    }
    let before = contents(folder.path());
    let error = wait(Store::open(&file)).unwrap_err();
    assert!(matches!(error, Error::ReadOnly { .. }), "{error:?}");
    permit(&file, 0o644);
    permit(folder.path(), 0o555);
    let new = wait(Store::open(folder.path().join("new.db"))).unwrap_err();
    assert!(matches!(new, Error::ReadOnly { .. }), "{new:?}");
    permit(folder.path(), 0o755);
    assert!(contents(folder.path()) == before, "something was touched");
}
