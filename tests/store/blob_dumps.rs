//! Blobs in dumps, and in the check: all of one comes back, with little memory, and what others do meanwhile is nothing wrong.

use std::fs::File;

use millpond::{Dump, Error, Load, Primitive, Result, Store, Upload, blocking};

use crate::backends::{alone, wait};
use crate::blobs::{PIECE, bytes, write};
use crate::dumps::{dumped, load, records};

each_backend! {
    b1_dump_brings_blobs_to_another_store_as_they_were
    b1_dump_has_nothing_of_what_is_not_finished
    load_of_blobs_is_told_to_who_watches
    b5_load_refuses_a_blob_with_another_byte
}

async fn b1_dump_brings_blobs_to_another_store_as_they_were(store: Store) -> Result<()> {
    let films = store.blobs("films");
    let (pond, lake) = (bytes(1, 20 * PIECE + 9), bytes(2, 3 * PIECE));
    write(&films, "pond", &pond, 50_000).await?;
    films.put_with("lake", &lake, Upload::new().metadata("3 pieces, none of them a rest")).await?;
    films.put("nothing", "").await?;
    films.put("gone", &lake).await?;
    films.delete("gone").await?;
    store.blobs("other").put("title", "The pond").await?;
    let text = dumped(&store).await?;
    // Two names, four blobs, and their pieces.
    assert_eq!(records(&text).len(), 2 + 4 + 21 + 3 + 1);
    let other = Store::memory().await?;
    let loaded = load(&other, &text, Load::new()).await?;
    assert_eq!((loaded.written, loaded.known), (records(&text).len() as u64, 0));
    assert_eq!(records(&dumped(&other).await?), records(&text));
    let copies = other.blobs("films");
    for key in ["pond", "lake", "nothing"] {
        assert_eq!(copies.head(key).await?, films.head(key).await?, "{key}");
        assert_eq!(copies.get(key).await?, films.get(key).await?, "{key}");
    }
    assert_eq!(copies.read_range("pond", 300_000..300_002).await?.unwrap().next().await.unwrap()?.len(), 2);
    assert_eq!((copies.contains("gone").await?, copies.put("new", "").await?.version()), (false, 6));
    let report = other.check().await?;
    assert!(report.is_sound(), "{report:#?}");
    load(&store, &text, Load::new().replace()).await?;
    assert_eq!(films.get("pond").await?.as_deref(), Some(&pond[..]));
    let before = films.put("own", "its own").await?.version();
    load(&store, &text, Load::new().append().only("blob/films")).await?;
    assert_eq!(films.get("lake").await?.as_deref(), Some(&lake[..]));
    assert_eq!(films.head("lake").await?.unwrap().version(), before + 2);
    assert_eq!((films.count().await?, store.inspect().summary().await?.blob_contents), (4, 0));
    let report = store.check().await?;
    assert!(report.is_sound(), "{report:#?}");
    other.close().await
}

async fn b1_dump_has_nothing_of_what_is_not_finished(store: Store) -> Result<()> {
    let films = store.blobs("films");
    let mut writing = films.write("pond");
    writing.write(&bytes(1, 9 * PIECE)).await?;
    assert!(records(&dumped(&store).await?).is_empty());
    let report = store.check().await?;
    assert!(report.is_sound(), "{report:#?}");
    // Nor does a load disturb whoever writes.
    let other = Store::memory().await?;
    other.blobs("films").put("lake", bytes(2, 2 * PIECE)).await?;
    load(&store, &dumped(&other).await?, Load::new()).await?;
    other.close().await?;
    assert_eq!(writing.finish().await?.version(), 2);
    assert_eq!(films.get("pond").await?.unwrap(), bytes(1, 9 * PIECE));
    assert_eq!(films.get("lake").await?.unwrap(), bytes(2, 2 * PIECE));
    let report = store.check().await?;
    assert!(report.is_sound(), "{report:#?}");
    Ok(())
}

async fn load_of_blobs_is_told_to_who_watches(store: Store) -> Result<()> {
    let source = Store::memory().await?;
    for (key, length) in [("b", 2 * PIECE), ("a", 1)] {
        source.blobs("films").put(key, bytes(1, length)).await?;
    }
    let text = dumped(&source).await?;
    source.close().await?;
    store.blobs("films").put("c", "").await?;
    let mut changes = store.watch("films").await?;
    load(&store, &text, Load::new().append()).await?;
    for (key, version) in [("a", 3), ("b", 2)] {
        let change = changes.next().await.unwrap()?;
        let told = (change.primitive(), change.name(), change.key(), change.sequence());
        assert_eq!(told, (Primitive::Blob, "films", Some(key), Some(version)));
    }
    Ok(())
}

async fn b5_load_refuses_a_blob_with_another_byte(store: Store) -> Result<()> {
    let source = Store::memory().await?;
    source.blobs("films").put("k", vec![0; PIECE + 1]).await?;
    let text = dumped(&source).await?;
    source.close().await?;
    let (line, other) = (4, text.replacen("AAAA", "AAAB", 1));
    let refused = load(&store, &other, Load::new()).await;
    let Err(Error::LoadRefused { line: found, reason }) = refused else { panic!("{refused:?}") };
    // Of which of its pieces it was is not known before the last.
    assert_eq!((found, &*reason), (line + 1, "the bytes of \"k\" have another SHA-256 than it says"));
    assert!(records(&dumped(&store).await?).is_empty());
    Ok(())
}

#[test]
fn b7_check_finds_nothing_while_blobs_are_replaced_and_swept() {
    let folder = tempfile::tempdir().unwrap();
    wait(async {
        let store = Store::open(folder.path().join("a.db")).await?;
        let films = store.blobs("films");
        films.put("k", bytes(0, 40 * PIECE)).await?;
        let writing = tokio::spawn(async move {
            for n in 1..30_u8 {
                write(&films, "k", &bytes(n, 40 * PIECE), PIECE).await?;
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

/// The most bytes of memory that this process has had at once.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

#[test]
fn b8_dump_and_load_hold_a_few_pieces_of_a_blob() {
    alone("blob_dumps::b8_dump_and_load_hold_a_few_pieces_of_a_blob", || {
        const MIB: usize = 1 << 20;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let store = blocking::Store::open(path("a.db")).unwrap();
        let mut film = store.blobs("films").write("pond");
        for n in 0..64 {
            film.write(&bytes(n, MIB)).unwrap();
        }
        film.finish().unwrap();
        let other = blocking::Store::open(path("b.db")).unwrap();
        let before = peak();
        let dumped = store.dump(File::create(path("a.jsonl")).unwrap(), Dump::new()).unwrap();
        assert_eq!((dumped.counts["blob.chunk"], dumped.bytes / MIB as u64), (512, 85));
        let behind = peak();
        assert!(behind < before + 16 * MIB, "a dump took {} MiB", (behind - before) / MIB);
        other.load(File::open(path("a.jsonl")).unwrap(), Load::new()).unwrap();
        let behind = peak();
        assert!(behind < before + 40 * MIB, "a load took {} MiB", (behind - before) / MIB);
        assert!(other.check().unwrap().is_sound());
        let behind = peak();
        assert!(behind < before + 40 * MIB, "a check took {} MiB", (behind - before) / MIB);
        assert_eq!(other.blobs("films").count().unwrap(), 1);
        store.close().unwrap();
        other.close().unwrap();
    });
}
