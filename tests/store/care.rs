//! Looking after a store: it is looked over, made smaller, and looked at by those who may not write.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use millpond::{Dump, Error, Expected, Load, Result, Store, blocking};

use crate::backends::{event, wait};
use crate::peer::file;

/// Every file of a folder, with its bytes.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// A store with something in it, closed.
fn closed() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.db");
    let store = blocking::Store::open(&file).unwrap();
    store.events().append("s-1", Expected::Any, [event(1), event(2)]).unwrap();
    store.dict::<u64>("d").set("k", &7).unwrap();
    store.close().unwrap();
    (folder, file)
}

async fn check_finds_nothing_in_a_store_that_is_sound(store: Store) -> Result<()> {
    store.events().append("s-1", Expected::Any, [event(1), event(2)]).await?;
    store.queue::<u64>("q").push(&1).await?;
    let held = store.lock("l").acquire().await?;
    let report = store.check().await?;
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(report.records, 4);
    held.release().await
}

each_backend! {
    check_finds_nothing_in_a_store_that_is_sound
}

#[test]
fn check_finds_nothing_while_others_write() {
    let folder = tempfile::tempdir().unwrap();
    wait(async {
        let store = Store::open(folder.path().join("a.db")).await?;
        let writer = store.clone();
        let writing = tokio::spawn(async move {
            let (mail, audit, counts) =
                (writer.queue::<u64>("mail"), writer.log::<u64>("audit"), writer.dict::<u64>("counts"));
            for n in 0..200 {
                let mut batch = writer.batch();
                batch.append(format!("s-{}", n % 7), Expected::Any, [event(n)])?;
                batch.push(&mail, &n)?;
                batch.log(&audit, &n)?;
                batch.increment(&counts, format!("{}", n % 5), 1)?;
                batch.commit().await?;
                mail.pop().await?.done().await?;
            }
            Ok::<_, Error>(())
        });
        while !writing.is_finished() {
            let report = store.check().await?;
            assert!(report.is_sound(), "{report:#?}");
        }
        writing.await.unwrap()?;
        store.close().await
    })
    .unwrap();
}

#[test]
fn g14_check_names_what_is_damaged_and_goes_on() {
    let (_folder, file) = closed();
    let vandal = rusqlite::Connection::open(&file).unwrap();
    vandal.execute_batch("UPDATE event SET data = '[]' WHERE position = 2").unwrap();
    vandal.execute_batch("UPDATE dict_entry SET data = '8'; UPDATE dict SET version = 0").unwrap();
    drop(vandal);
    let store = blocking::Store::builder().read_only().open(&file).unwrap();
    let report = store.check().unwrap();
    let mut found: Vec<_> =
        report.findings.iter().map(|it| (it.kind.as_str(), it.name.as_str(), it.sequence)).collect();
    found.sort_unstable();
    assert_eq!(found, [("dict", "d", 1), ("entry of dict", "d", 0), ("event", "s-1", 2)]);
    assert_eq!(report.findings.len(), 3, "{report:#?}");
    let said = report.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(said.contains("event \"s-1\" at 2: its checksum is "), "{said}");
    // What is damaged is not dumped as if it were sound.
    let dumped = store.dump(Vec::new(), Dump::new());
    assert!(matches!(dumped, Err(Error::Corrupt { kind: "event", .. })), "{dumped:?}");
    store.close().unwrap();
}

#[test]
fn g14_check_comes_to_an_end_whatever_page_is_gone() {
    const PAGE: usize = 8_192;
    let (folder, file) = closed();
    let store = blocking::Store::open(&file).unwrap();
    for n in 0..300 {
        store.queue::<u64>("q").push(&n).unwrap();
        store.dict::<String>("d").set(format!("key {n}"), &"x".repeat(100)).unwrap();
    }
    store.close().unwrap();
    let whole = fs::read(&file).unwrap();
    let harmed = folder.path().join("b.db");
    for page in 1..whole.len() / PAGE {
        let other = (page * 7 + 3) % (whole.len() / PAGE - 1) + 1;
        for with in [vec![0; PAGE], whole[other * PAGE..(other + 1) * PAGE].to_vec()] {
            let mut bytes = whole.clone();
            if bytes[page * PAGE..(page + 1) * PAGE] == with {
                continue;
            }
            bytes[page * PAGE..(page + 1) * PAGE].copy_from_slice(&with);
            fs::write(&harmed, bytes).unwrap();
            let Ok(store) = blocking::Store::builder().read_only().open(&harmed) else { continue };
            let report = store.check().unwrap();
            // A page of another table may make sense where no checksum is: of processes, of locks.
            assert!(!report.is_sound() || with[0] != 0, "page {page}");
            store.close().unwrap();
        }
    }
}

#[test]
fn compact_gives_back_what_is_free_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = blocking::Store::open(folder.path().join("a.db")).unwrap();
    let dict = store.dict::<String>("d");
    for n in 0..40 {
        dict.set(format!("{n}"), &"x".repeat(100_000)).unwrap();
    }
    for n in 0..39 {
        dict.delete(format!("{n}")).unwrap();
    }
    let held = store.lock("l").acquire().unwrap();
    let compacted = store.compact().unwrap();
    assert!(compacted.before > 4_000_000 && compacted.after < 800_000, "{compacted:?}");
    let summary = store.inspect().summary().unwrap();
    assert_eq!(summary.file_bytes, compacted.after);
    assert!(summary.log_bytes < 100_000, "what this process writes when it is over");
    assert_eq!(dict.count().unwrap(), 1);
    assert!(store.check().unwrap().is_sound());
    held.renew().unwrap();
    held.release().unwrap();
    dict.set("after", &"y".to_owned()).unwrap();
    store.close().unwrap();
    let memory = blocking::Store::memory().unwrap();
    assert!(matches!(memory.compact(), Err(Error::Unsupported { .. })));
    memory.close().unwrap();
}

#[test]
fn x4_read_only_writes_nothing_neither_to_the_store_nor_beside_it() {
    let (folder, file) = closed();
    let before = contents(folder.path());
    let store = blocking::Store::builder().read_only().open(&file).unwrap();
    assert_eq!(store.events().read_all().count(), 2);
    assert_eq!(store.dict::<u64>("d").get("k").unwrap().as_deref(), Some(&7));
    assert!(store.inspect().processes().unwrap().is_empty(), "nobody knows of it");
    assert!(store.health().is_good());
    let refusals = [
        store.events().append("s-1", Expected::Any, [event(3)]).map(drop),
        store.dict::<u64>("d").set("k", &8).map(drop),
        store.lock("l").acquire().map(drop),
        store.queue::<u64>("q").push(&1).map(drop),
        store.compact().map(drop),
        store.load(std::io::Cursor::new(""), Load::new()).map(drop),
    ];
    for (index, refused) in refusals.into_iter().enumerate().take(5) {
        let Err(Error::ReadOnly { detail }) = &refused else { panic!("{index}: {refused:?}") };
        assert_eq!(detail, "it was opened for reading only");
    }
    assert!(store.check().unwrap().is_sound());
    store.close().unwrap();
    assert!(contents(folder.path()) == before, "something was touched");
    // Without what SQLite leaves beside a store, too.
    for beside in ["a.db-wal", "a.db-shm", "a.db-sync"] {
        fs::remove_file(folder.path().join(beside)).unwrap();
    }
    let before = contents(folder.path());
    let store = blocking::Store::builder().read_only().open(&file).unwrap();
    assert_eq!(store.events().head(), Ok(2));
    store.close().unwrap();
    assert!(contents(folder.path()) == before, "something was made");
    let absent = folder.path().join("b.db");
    let refused = blocking::Store::builder().read_only().open(&absent).map(drop);
    assert!(matches!(refused, Err(Error::InvalidPath { .. })), "{refused:?}");
    assert!(!absent.exists());
    let refused = blocking::Store::builder().read_only().open(millpond::Location::Memory).map(drop);
    assert!(matches!(refused, Err(Error::Unsupported { .. })), "{refused:?}");
}

#[test]
fn read_only_sees_what_others_write_whoever_came_first() {
    let (_folder, file) = closed();
    let looking = blocking::Store::builder().read_only().open(&file).unwrap();
    assert_eq!(looking.events().head(), Ok(2));
    // He comes while it is looked at as a file that nobody changes.
    let writing = blocking::Store::open(&file).unwrap();
    writing.events().append("s-1", Expected::Any, [event(3)]).unwrap();
    assert_eq!(looking.events().head(), Ok(3));
    let late = blocking::Store::builder().read_only().open(&file).unwrap();
    assert_eq!(late.events().head(), Ok(3));
    writing.events().append("s-1", Expected::Any, [event(4)]).unwrap();
    assert_eq!((looking.events().head(), late.events().head()), (Ok(4), Ok(4)));
    let mut following = looking.events().read_all().after(4).follow().unwrap();
    writing.events().append("s-1", Expected::Any, [event(5)]).unwrap();
    assert_eq!(following.next().unwrap().unwrap().position(), 5, "who waits looks now and then");
    // And goes while it is looked at through his log.
    writing.close().unwrap();
    assert_eq!(looking.events().head(), Ok(5));
    assert!(looking.check().unwrap().is_sound());
    looking.close().unwrap();
    late.close().unwrap();
}

#[test]
fn read_only_refuses_a_log_that_it_would_have_to_write_beside() {
    let (_folder, file) = file();
    let store = blocking::Store::open(&file).unwrap();
    store.events().append("s-1", Expected::Any, [event(1)]).unwrap();
    // As if this process were killed: what it has written is in the log alone.
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("a.db");
    let beside = |path: &Path, suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
    for suffix in ["", "-wal"] {
        fs::copy(beside(&file, suffix), beside(&copy, suffix)).unwrap();
    }
    store.close().unwrap();
    let before = contents(folder.path());
    let refused = blocking::Store::builder().read_only().open(&copy).map(drop);
    let Err(Error::ReadOnly { detail }) = &refused else { panic!("{refused:?}") };
    assert!(detail.ends_with("open it for writing once"), "{detail}");
    assert!(contents(folder.path()) == before, "something was touched");
}
