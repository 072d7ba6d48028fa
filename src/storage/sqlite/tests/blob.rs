//! Blobs in the file: no row is left that is nobody's, room is used again, and damage is seen where it is.

use millpond_actors::error::Error;
use millpond_actors::storage::blob::{
    Begin, Begun, Bytes, Finish, Finished, Query, Remove, Stored, Sweep, Write,
};
use millpond_actors::storage::dict::Expected;
use millpond_actors::storage::{Backend, Session};

use super::{Fixture, group, moment, name};

/// Bytes of a chunk here.
const CHUNK: u32 = 20_000;

fn begun(session: &mut dyn Session, key: &str) -> u64 {
    let begin = Begin { blobs: name("films"), key: key.into(), expected: Expected::Any };
    match group(session, 0, 1, |session| session.blob_begin(&begin)).1 {
        Begun::Done { content } => content,
        Begun::Conflict { .. } => panic!("nothing was expected"),
    }
}

fn write(session: &mut dyn Session, content: u64, chunks: u64) {
    for sequence in 0..chunks {
        let write = Write { content, sequence, data: Bytes(vec![sequence as u8; CHUNK as usize]) };
        assert_eq!(group(session, 0, 1, |session| session.blob_write(&write)).1, Stored::Done);
    }
}

fn finish(session: &mut dyn Session, key: &str, content: u64, chunks: u64) {
    let finish = Finish {
        blobs: name("films"),
        key: key.into(),
        content: Some(content),
        rest: Bytes(b"rest".to_vec()),
        chunk: CHUNK,
        size: chunks * u64::from(CHUNK) + 4,
        sha256: [1; 32],
        metadata: Some("{}".into()),
        expected: Expected::Any,
    };
    let finished = group(session, 0, 1, |session| session.blob_finish(&finish)).1;
    assert!(matches!(finished, Finished::Done { .. }), "{finished:?}");
}

/// A blob of so many chunks and a rest.
fn put(session: &mut dyn Session, key: &str, chunks: u64) -> u64 {
    let content = begun(session, key);
    write(session, content, chunks);
    finish(session, key, content, chunks);
    content
}

fn sweep(session: &mut dyn Session, chunks: u32) -> bool {
    let sweep = Sweep { given_up: Vec::new(), chunks };
    group(session, 0, 1, |session| session.blob_sweep(&sweep)).1.more
}

/// Rows of chunks, of contents that no blob has, and of blobs.
fn rows(fixture: &Fixture) -> (u64, u64, u64) {
    let count = |table| fixture.one(&format!("SELECT count(*) FROM {table}"));
    (count("blob_chunk"), count("blob_content"), count("blob"))
}

#[test]
fn b3_no_row_is_left_of_what_is_swept() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    put(&mut *session, "k", 9);
    assert_eq!(rows(&fixture), (10, 0, 1));
    put(&mut *session, "k", 1);
    assert_eq!(rows(&fixture), (12, 1, 1), "the first was replaced");
    let mut swept = 0;
    while sweep(&mut *session, 3) {
        swept += 1;
        assert_eq!(rows(&fixture).0, 12 - 3 * swept);
    }
    assert_eq!((rows(&fixture), swept), ((2, 0, 1), 3));
    let remove = Remove { blobs: name("films"), key: "k".into(), expected: Expected::Any };
    group(&mut *session, 0, 1, |session| session.blob_remove(&remove));
    assert_eq!(rows(&fixture), (0, 0, 0), "what is small goes at once");
}

#[test]
fn b4_no_row_is_left_of_what_the_dead_were_writing() {
    let fixture = Fixture::new();
    let mut dying = fixture.join(0);
    let content = begun(&mut *dying, "k");
    write(&mut *dying, content, 7);
    drop(dying);
    let mut session = fixture.join(0);
    assert_eq!(rows(&fixture), (7, 1, 0));
    assert!(sweep(&mut *session, 3) && !sweep(&mut *session, 9));
    assert_eq!(rows(&fixture), (0, 0, 0));
}

#[test]
fn b3_room_is_used_again() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    let pages = || fixture.one::<u64>("PRAGMA page_count");
    put(&mut *session, "k", 100);
    let one = pages();
    for _ in 0..4 {
        put(&mut *session, "k", 100);
        while sweep(&mut *session, 30) {}
    }
    assert!(pages() < 2 * one + 60, "{} pages instead of {one}", pages());
    let check: String = fixture.one("PRAGMA integrity_check");
    assert_eq!(check, "ok");
}

#[test]
fn b5_a_chunk_that_is_not_what_it_was_is_seen_in_its_place() {
    let harms = [
        "UPDATE blob_chunk SET data = zeroblob(20000) WHERE sequence = 1",
        "UPDATE blob_chunk SET data = x'01' WHERE sequence = 1",
        "UPDATE blob_chunk SET crc = crc + 1 WHERE sequence = 1",
        "UPDATE blob_chunk SET crc = -1 WHERE sequence = 1",
        // Another chunk in its place, and another's.
        "UPDATE blob_chunk SET (crc, data) = (SELECT crc, data FROM blob_chunk WHERE content = 1 AND sequence = 0)
            WHERE content = 1 AND sequence = 1",
        "UPDATE blob_chunk SET (crc, data) = (SELECT crc, data FROM blob_chunk WHERE content = 2 AND sequence = 1)
            WHERE content = 1 AND sequence = 1",
        "DELETE FROM blob_chunk WHERE content = 1 AND sequence = 1",
    ];
    for harm in harms {
        let fixture = Fixture::new();
        let mut session = fixture.join(0);
        assert_eq!((put(&mut *session, "k", 3), put(&mut *session, "l", 3)), (1, 2));
        fixture.plain().execute(harm, []).unwrap();
        let mut view = fixture.backend.view().unwrap();
        let (blob, chunks) = view.blob(&name("films"), "k", 0, 9).unwrap().unwrap();
        assert_eq!(chunks[0], Ok(Bytes(vec![0; CHUNK as usize])), "{harm}");
        let found = &chunks[1];
        assert!(
            matches!(found, Err(Error::Corrupt { kind: "chunk of blobs", sequence: 1, .. })),
            "{harm}: {found:?}"
        );
        let rest = view.blob_chunks(&name("films"), &blob, 2, 9).unwrap().unwrap();
        assert_eq!(rest, [Ok(Bytes(vec![2; CHUNK as usize])), Ok(Bytes(b"rest".to_vec()))], "{harm}");
    }
}

#[test]
fn b5_what_is_known_of_a_blob_is_checked_too() {
    let columns = [
        "size = size - 1",
        "content = 2",
        "chunk = 7",
        "metadata = '[]'",
        "metadata = NULL",
        "sha256 = zeroblob(32)",
        "sha256 = x'00'",
        "created_at = 1",
        "version = 9",
        "crc = -1",
        "key = 'K'",
    ];
    for column in columns {
        let fixture = Fixture::new();
        let mut session = fixture.join(0);
        put(&mut *session, "k", 1);
        put(&mut *session, "l", 1);
        fixture.plain().execute(&format!("UPDATE blob SET {column} WHERE key = 'k'"), []).unwrap();
        let mut view = fixture.backend.view().unwrap();
        let query = Query { blobs: name("films"), prefix: "".into(), after: None, limit: 9 };
        let page = view.blob_page(&query).unwrap();
        let damaged =
            page.blobs.iter().filter(|blob| matches!(blob, Err(Error::Corrupt { kind: "blob", .. })));
        assert_eq!((damaged.count(), page.blobs.len()), (1, 2), "{column}");
        let key = if column.starts_with("key") { "K" } else { "k" };
        let found = view.blob(&name("films"), key, 0, 9);
        assert!(matches!(found, Err(Error::Corrupt { .. })), "{column}: {found:?}");
        let content = begun(&mut *session, "l");
        finish(&mut *session, "l", content, 0);
        session.leave(moment(0)).unwrap();
    }
}
