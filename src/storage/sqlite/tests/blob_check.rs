//! The check of blobs: whatever is missing, too much or another one is found, and said where.

use millpond_actors::storage::blob::{Begin, Begun, Bytes, Finish, Finished, Write};
use millpond_actors::storage::dict::Expected;
use millpond_actors::storage::{Backend, Session};

use super::{Fixture, group, moment, name};
use crate::check::check;
use crate::digest::Digest;

/// Bytes of a chunk here.
const CHUNK: usize = 20_000;

/// A content of so many chunks that is being written, and what they are.
fn begun(session: &mut dyn Session, key: &str, chunks: u64) -> (u64, Vec<u8>) {
    let begin = Begin { blobs: name("films"), key: key.into(), expected: Expected::Any };
    let Begun::Done { content } = group(session, 0, 1, |session| session.blob_begin(&begin)).1 else {
        panic!("nothing was expected")
    };
    let mut whole = Vec::new();
    for sequence in 0..chunks {
        let data = vec![sequence as u8; CHUNK];
        whole.extend_from_slice(&data);
        let write = Write { content, sequence, data: Bytes(data) };
        group(session, 0, 1, |session| session.blob_write(&write));
    }
    (content, whole)
}

fn finish(
    session: &mut dyn Session,
    key: &str,
    content: Option<u64>,
    mut whole: Vec<u8>,
    sum: Option<[u8; 32]>,
) {
    whole.extend_from_slice(b"rest");
    let mut digest = Digest::new();
    digest.add(&whole);
    let finish = Finish {
        blobs: name("films"),
        key: key.into(),
        content,
        rest: Bytes(b"rest".to_vec()),
        chunk: CHUNK as u32,
        size: whole.len() as u64,
        sha256: sum.unwrap_or(digest.end()),
        metadata: Some("{}".into()),
        expected: Expected::Any,
    };
    let finished = group(session, 0, 1, |session| session.blob_finish(&finish)).1;
    assert!(matches!(finished, Finished::Done { .. }), "{finished:?}");
}

/// "l" has content 2, "k" 4; 3 is being written, and 1 is to be swept.
fn fill(session: &mut dyn Session) {
    for (key, chunks) in [("k", 3), ("l", 2)] {
        let (content, whole) = begun(session, key, chunks);
        finish(session, key, Some(content), whole, None);
    }
    begun(session, "m", 2);
    finish(session, "k", None, Vec::new(), None);
}

/// Kind, name and number of all that is wrong.
fn findings(fixture: &Fixture) -> Vec<(String, String, u64)> {
    let report = check(&mut *fixture.backend.view().unwrap(), moment(0)).unwrap();
    report.findings.into_iter().map(|found| (found.kind, found.name, found.sequence)).collect()
}

#[test]
fn b5_check_finds_each_way_in_which_a_blob_can_be_another_one() {
    let chunk = |at| ("chunk of blobs", "films", at);
    let lost = |content| ("chunk of blobs", "?", content);
    let blobs = ("blobs", "films", 3);
    let rows = [
        ("DELETE FROM blob_chunk WHERE content = 2 AND sequence = 0", vec![chunk(0)]),
        ("DELETE FROM blob_chunk WHERE content = 2", vec![chunk(0), chunk(1), chunk(2)]),
        ("UPDATE blob_chunk SET crc = crc + 1 WHERE content = 2 AND sequence = 1", vec![chunk(1)]),
        ("UPDATE blob_chunk SET data = x'01' WHERE content = 2 AND sequence = 1", vec![chunk(1)]),
        ("INSERT INTO blob_chunk VALUES (2, 3, 0, x'')", vec![chunk(3)]),
        ("INSERT INTO blob_chunk VALUES (9, 0, 0, x''), (9, 1, 0, x'')", vec![lost(9)]),
        ("DELETE FROM blob_content WHERE id = 1", vec![lost(1)]),
        ("DELETE FROM blob WHERE key = 'l'", vec![blobs, lost(2)]),
        ("DELETE FROM blob_chunk WHERE content = 3 AND sequence = 0", vec![("content of blobs", "?", 3)]),
        ("UPDATE blob_content SET chunks = 1 WHERE id = 3", vec![("content of blobs", "?", 3)]),
        ("UPDATE blob_content SET chunks = 5, first = 1 WHERE id = 1", vec![("content of blobs", "?", 1)]),
        ("INSERT INTO blob_content VALUES (2, 0, 0, 3)", vec![("blob", "films", 2)]),
        ("UPDATE blobs SET count = 3", vec![blobs]),
        ("UPDATE blobs SET bytes = bytes - 1", vec![blobs]),
        ("UPDATE blobs SET version = 2", vec![blobs]),
        ("UPDATE blob SET blobs = 9 WHERE key = 'k'", vec![blobs, ("blob", "?", 3)]),
        (
            "UPDATE blob SET content = 2 WHERE key = 'k'",
            vec![("blob", "films", 3), chunk(1), chunk(2), lost(4), ("blob", "films", 0)],
        ),
        ("UPDATE blob SET metadata = '[]' WHERE key = 'k'", vec![("blob", "films", 0)]),
        ("UPDATE process SET token = 3", vec![("store", "token", 4)]),
    ];
    for (harm, expected) in rows {
        let fixture = Fixture::new();
        let mut session = fixture.join(0);
        fill(&mut *session);
        assert_eq!(findings(&fixture), [], "before {harm}");
        fixture.plain().execute_batch(harm).unwrap();
        let found = findings(&fixture);
        let found: Vec<_> =
            found.iter().map(|(kind, name, at)| (kind.as_str(), name.as_str(), *at)).collect();
        assert_eq!(found, expected, "{harm}");
    }
}

#[test]
fn b5_check_compares_all_of_a_blob_with_its_sum() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    for (key, sum) in [("k", None), ("l", Some([1; 32]))] {
        let (content, whole) = begun(&mut *session, key, 9);
        finish(&mut *session, key, Some(content), whole, sum);
    }
    let report = check(&mut *fixture.backend.view().unwrap(), moment(0)).unwrap();
    let said: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    let why = "blob \"films\": key \"l\": its bytes have another SHA-256 than those that were written";
    assert_eq!(said, [why]);
    assert_eq!(report.records, 1 + 2 + 2 * 10);
}
