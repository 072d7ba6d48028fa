//! Blobs: what is written is seen when it is finished, and by nobody before; what nobody has any more is swept.

use millpond_actors::error::Error;
use millpond_actors::limits::CHUNKS_SWEPT;
use millpond_actors::storage::batch::{Applied, Batch};
use millpond_actors::storage::blob::{
    Begin, Begun, Blob, Bytes, Finish, Finished, Query, Remove, Removed, Stored, Sweep, Swept, Write,
};
use millpond_actors::storage::dict::Expected;
use millpond_actors::storage::{Apply, Summary};

use super::stage::*;
use crate::digest::Digest;

/// Bytes of a chunk.
const CHUNK: u32 = 4;

fn begin(key: &str, expected: Expected) -> Begin {
    Begin { blobs: name("b"), key: key.into(), expected }
}

pub(super) fn write(content: u64, sequence: u64, data: &str) -> Write {
    Write { content, sequence, data: Bytes(data.into()) }
}

/// Of a content that has so many chunks.
fn finish(key: &str, content: Option<u64>, chunks: u64, rest: &str) -> Finish {
    Finish {
        blobs: name("b"),
        key: key.into(),
        content,
        rest: Bytes(rest.into()),
        chunk: CHUNK,
        size: chunks * u64::from(CHUNK) + rest.len() as u64,
        sha256: [7; 32],
        metadata: None,
        expected: Expected::Any,
    }
}

/// A small blob; the row of its blobs.
pub(super) fn put(player: &mut Player<'_, '_>, key: &str) -> u64 {
    match player.run(finish(key, None, 0, "x")) {
        Finished::Done { blobs, .. } => blobs,
        refused => panic!("{refused:?}"),
    }
}

/// SHA-256 of a text.
pub(super) fn sum(text: &str) -> [u8; 32] {
    let mut digest = Digest::new();
    digest.add(text.as_bytes());
    digest.end()
}

/// A blob of this text, in chunks, with the sum that it has.
pub(super) fn put_text(player: &mut Player<'_, '_>, blobs: &str, key: &str, text: &str) {
    let content = begun(player, key);
    let (mut sequence, mut left) = (0, text);
    while left.len() > CHUNK as usize {
        let (now, later) = left.split_at(CHUNK as usize);
        assert_eq!(player.run(write(content, sequence, now)), Stored::Done);
        (sequence, left) = (sequence + 1, later);
    }
    let metadata = (!text.is_empty()).then(|| format!("{{\"is\": \"{text}\"}}"));
    let plain = finish(key, Some(content), sequence, left);
    let finished = player.run(Finish { blobs: name(blobs), sha256: sum(text), metadata, ..plain });
    assert!(matches!(finished, Finished::Done { .. }), "{finished:?}");
}

pub(super) fn remove(key: &str, expected: Expected) -> Remove {
    Remove { blobs: name("b"), key: key.into(), expected }
}

fn sweep(chunks: u32) -> Sweep {
    Sweep { given_up: Vec::new(), chunks }
}

pub(super) fn begun(player: &mut Player<'_, '_>, key: &str) -> u64 {
    match player.run(begin(key, Expected::Any)) {
        Begun::Done { content } => content,
        Begun::Conflict { .. } => panic!("nothing was expected"),
    }
}

/// A content of so many whole chunks.
fn written(player: &mut Player<'_, '_>, key: &str, chunks: u64) -> u64 {
    let content = begun(player, key);
    for sequence in 0..chunks {
        assert_eq!(player.run(write(content, sequence, "abcd")), Stored::Done);
    }
    content
}

fn version(finished: Finished) -> u64 {
    match finished {
        Finished::Done { version, .. } => version,
        refused => panic!("{refused:?}"),
    }
}

/// A blob and all of its text.
pub(super) fn get(stage: &Stage<'_>, key: &str) -> Option<(Blob, String)> {
    let (blob, chunks) = stage.view().blob(&name("b"), key, 0, 99).unwrap()?;
    let text = chunks.into_iter().map(|chunk| String::from_utf8(chunk.unwrap().0).unwrap());
    Some((blob, text.collect()))
}

fn text(stage: &Stage<'_>, key: &str) -> Option<String> {
    get(stage, key).map(|(_, text)| text)
}

fn summary(stage: &Stage<'_>) -> Summary {
    stage.view().summary(stage.now()).unwrap()
}

/// Blobs, bytes of them, and contents that no blob has.
pub(super) fn totals(stage: &Stage<'_>) -> (u64, u64, u64) {
    let Summary { blobs, blob_bytes, blob_contents, .. } = summary(stage);
    (blobs, blob_bytes, blob_contents)
}

pub(super) fn b1_what_is_not_finished_is_seen_by_nobody(stage: &Stage<'_>) {
    let mut a = stage.join();
    let content = written(&mut a, "k", 3);
    assert_eq!(get(stage, "k"), None);
    assert_eq!(stage.view().blobs_head(&name("b")), Ok(None));
    assert_eq!(totals(stage), (0, 0, 1));
    let whole = Finish { metadata: Some("{}".into()), ..finish("k", Some(content), 3, "xy") };
    a.begin();
    let done = a.apply(whole.clone());
    assert_eq!(get(stage, "k"), None, "it is not committed");
    a.rollback();
    assert_eq!(get(stage, "k"), None, "it was undone");
    assert_eq!(a.run(whole), done);
    let Finished::Done { version: 1, replaced: false, waste: false, created_at, .. } = done else {
        panic!("{done:?}")
    };
    assert_eq!(created_at, stage.now().wall_ms);
    let blob = Blob {
        key: "k".into(),
        version: 1,
        content,
        chunk: CHUNK,
        size: 14,
        sha256: [7; 32],
        metadata: Some("{}".into()),
        created_at,
    };
    assert_eq!(get(stage, "k"), Some((blob, "abcdabcdabcdxy".into())));
    assert_eq!(totals(stage), (1, 14, 0));
}

pub(super) fn b1_a_blob_is_all_that_was_written_or_nothing(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let content = written(&mut a, "k", 2);
    assert_eq!(a.run(write(content, 3, "abcd")), Stored::Gone, "a chunk is left out");
    assert_eq!(a.run(write(content, 1, "abcd")), Stored::Gone, "a chunk is there already");
    assert_eq!(a.run(write(content + 1, 0, "abcd")), Stored::Gone, "nobody has begun it");
    assert_eq!(a.run(finish("k", Some(content), 3, "")), Finished::Gone, "a chunk is missing");
    assert_eq!(a.run(finish("k", Some(content), 1, "")), Finished::Gone, "there is a chunk more");
    assert_eq!(a.run(finish("k", Some(content + 1), 2, "")), Finished::Gone);
    let odd = Finish { size: 9, ..finish("k", None, 0, "abcd") };
    assert_eq!(a.run(odd), Finished::Gone);
    assert_eq!(a.run(finish("k", None, 0, "abcde")), Finished::Gone, "more than a chunk");
    assert_eq!((get(stage, "k"), totals(stage)), (None, (0, 0, 1)), "and nothing has left a trace");
    // Whoever knows it may finish it: a process hands over no more than a number.
    assert_eq!(version(b.run(finish("k", Some(content), 2, ""))), 1);
    assert_eq!(a.run(finish("l", Some(content), 2, "")), Finished::Gone, "it is finished once");
    assert_eq!(a.run(write(content, 2, "abcd")), Stored::Gone);
    assert_eq!(text(stage, "k").as_deref(), Some("abcdabcd"));
}

pub(super) fn b2_what_is_expected_is_looked_at_in_the_commit(stage: &Stage<'_>) {
    let mut a = stage.join();
    assert_eq!(a.run(begin("k", Expected::Present)), Begun::Conflict { actual: None });
    let late = written(&mut a, "k", 1);
    assert_eq!(version(a.run(finish("k", None, 0, "1"))), 1);
    assert_eq!(a.run(begin("k", Expected::Absent)), Begun::Conflict { actual: Some(1) });
    let when = |expected| Finish { expected, ..finish("k", Some(late), 1, "2") };
    assert_eq!(a.run(when(Expected::Absent)), Finished::Conflict { actual: Some(1) });
    assert_eq!(a.run(when(Expected::Version(2))), Finished::Conflict { actual: Some(1) });
    assert_eq!(text(stage, "k").as_deref(), Some("1"));
    assert_eq!(version(a.run(when(Expected::Version(1)))), 2, "what was refused can be finished still");
    assert_eq!(text(stage, "k").as_deref(), Some("abcd2"));
    assert_eq!(a.run(remove("k", Expected::Version(1))), Removed::Conflict { actual: Some(2) });
    let was = Some((1, 3));
    assert_eq!(a.run(remove("k", Expected::Version(2))), Removed::Done { was, waste: false });
    assert_eq!(a.run(remove("k", Expected::Present)), Removed::Conflict { actual: None });
    assert_eq!(a.run(remove("k", Expected::Any)), Removed::Done { was: None, waste: false });
    assert_eq!(a.run(remove("x", Expected::Any)), Removed::Done { was: None, waste: false });
    let other = Remove { blobs: name("x"), ..remove("k", Expected::Any) };
    assert_eq!(a.run(other), Removed::Done { was: None, waste: false });
    assert_eq!(version(a.run(finish("k", None, 0, ""))), 4, "no version comes again");
    assert_eq!(text(stage, "k").as_deref(), Some(""));
    assert_eq!(totals(stage), (1, 0, 0));
}

pub(super) fn b3_what_is_replaced_or_removed_is_swept_in_portions(stage: &Stage<'_>) {
    let mut a = stage.join();
    let large = written(&mut a, "k", 7);
    a.run(finish("k", Some(large), 7, ""));
    let (old, _) = get(stage, "k").unwrap();
    let Finished::Done { version: 2, replaced: true, waste: true, .. } = a.run(finish("k", None, 0, "new"))
    else {
        panic!("it is replaced")
    };
    let read = |from| stage.view().blob_chunks(&name("b"), &old, from, 9).unwrap().map(|chunks| chunks.len());
    assert_eq!((totals(stage), read(0)), ((1, 3, 1), Some(7)), "who was reading it can go on");
    assert_eq!(a.run(sweep(2)), Swept { chunks: 2, more: true });
    assert_eq!((read(0), read(2), read(6)), (None, Some(5), Some(1)), "from its beginning on");
    let content = begun(&mut a, "l");
    assert_eq!(read(3), None, "who begins sweeps {CHUNKS_SWEPT}");
    a.run(write(content, 0, "abcd"));
    assert_eq!((read(5), read(6)), (None, Some(1)), "and who writes");
    assert_eq!(a.run(sweep(9)), Swept { chunks: 1, more: false });
    assert_eq!((read(6), text(stage, "k").as_deref()), (None, Some("new")));
    a.run(finish("l", Some(content), 1, ""));
    assert_eq!(a.run(remove("l", Expected::Any)), Removed::Done { was: Some((1, 4)), waste: false });
    assert_eq!(totals(stage), (1, 3, 0), "a small one goes at once");
    // Who gives up without a chunk leaves a row, and no more of them are looked at than chunks.
    for _ in 0..3 {
        let content = begun(&mut a, "m");
        for _ in 0..2 {
            assert_eq!(a.run(Sweep { given_up: vec![content], chunks: 0 }), Swept { chunks: 0, more: true });
        }
        assert_eq!(a.run(write(content, 0, "abcd")), Stored::Gone);
        assert_eq!(a.run(finish("m", Some(content), 0, "")), Finished::Gone);
    }
    assert_eq!(a.run(sweep(1)), Swept { chunks: 0, more: false });
    assert_eq!(totals(stage).2, 0);
}

pub(super) fn b4_what_the_dead_were_writing_is_swept(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let (of_a, of_b) = (written(&mut a, "k", 2), written(&mut b, "k", 3));
    drop(a);
    assert_eq!(b.run(sweep(1)), Swept { chunks: 1, more: true }, "at once, with nobody to bury it");
    assert_eq!(b.run(finish("k", Some(of_a), 2, "")), Finished::Gone);
    assert_eq!(b.run(sweep(9)), Swept { chunks: 1, more: false });
    assert_eq!(version(b.run(finish("k", Some(of_b), 3, ""))), 1, "the living keep theirs");
    let mut c = stage.join();
    written(&mut c, "l", 3);
    c.begin();
    c.rollback();
    let now = stage.now();
    assert!(c.session.take_turn(false).unwrap());
    c.session.leave(now).unwrap();
    c.session.leave_turn();
    drop(c);
    assert_eq!(b.run(sweep(9)), Swept { chunks: 3, more: false }, "those who leave too");
    assert_eq!((totals(stage), get(stage, "k").unwrap().1.len()), ((1, 12, 0), 12));
}

pub(super) fn b5_chunks_are_read_from_any_byte_on(stage: &Stage<'_>) {
    let mut a = stage.join();
    let content = begun(&mut a, "k");
    for (sequence, data) in (0..).zip(["abcd", "efgh", "ijkl"]) {
        a.run(write(content, sequence, data));
    }
    a.run(finish("k", Some(content), 3, "m"));
    let read = |from, chunks| {
        let (_, found) = stage.view().blob(&name("b"), "k", from, chunks).unwrap().unwrap();
        found.into_iter().map(|it| String::from_utf8(it.unwrap().0).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(read(0, 0), Vec::<String>::new());
    assert_eq!(read(0, 2), ["abcd", "efgh"]);
    assert_eq!(read(3, 1), ["abcd"]);
    assert_eq!(read(4, 9), ["efgh", "ijkl", "m"]);
    assert_eq!(read(12, 9), ["m"]);
    for beyond in [16, 17, u64::MAX] {
        assert_eq!(read(beyond, 9), Vec::<String>::new());
    }
    let odd = Blob { key: "never".into(), content: 99, ..get(stage, "k").unwrap().0 };
    assert_eq!(stage.view().blob_chunks(&name("b"), &odd, 0, 9), Ok(None));
    // A blob that says it has a content that is not there is damaged, and not gone.
    let odd = Blob { size: 99, ..get(stage, "k").unwrap().0 };
    let found = stage.view().blob_chunks(&name("b"), &odd, 4, 9).unwrap().unwrap();
    assert!(matches!(found.as_slice(), [.., Err(Error::Corrupt { sequence: 4.., .. })]), "{found:?}");
}

pub(super) fn blobs_come_by_key_prefix_and_page(stage: &Stage<'_>) {
    let mut a = stage.join();
    let sorted = ["%", "a", "a b", "a-1", "a-2", "a-\u{10ffff}x", "aä", "b", "ä"];
    for key in sorted.iter().rev() {
        a.run(finish(key, None, 0, "x"));
    }
    a.run(Finish { blobs: name("a"), ..finish("other", None, 0, "abc") });
    a.run(Finish { blobs: name("c"), ..finish("a-0", None, 0, "") });
    let keys = |prefix: &str, after: Option<&str>, limit| {
        let after = after.map(Box::from);
        let (mut query, mut keys) =
            (Query { blobs: name("b"), prefix: prefix.into(), after, limit }, Vec::new());
        loop {
            let page = stage.view().blob_page(&query).unwrap();
            assert!(page.blobs.len() <= limit as usize);
            keys.extend(page.blobs.into_iter().map(|blob| blob.unwrap().key));
            let Some(last) = page.last.filter(|_| page.more) else { return keys };
            query.after = Some(last.into());
        }
    };
    for limit in [1, 2, 100] {
        assert_eq!(keys("", None, limit), sorted);
        assert_eq!(keys("a-", None, limit), &sorted[3..6]);
        assert_eq!(keys("c", None, limit), Vec::<String>::new());
        assert_eq!(keys("a", Some("a-1"), limit), &sorted[4..7]);
        assert_eq!(keys("a-", Some("%"), limit), &sorted[3..6]);
        assert_eq!(keys("a", Some("b"), limit), Vec::<String>::new());
    }
    let none = Query { blobs: name("x"), prefix: "".into(), after: None, limit: 9 };
    assert_eq!(stage.view().blob_page(&none).unwrap().blobs, []);
    let heads = stage.view().blobs_heads(None, 9).unwrap();
    let shown: Vec<_> =
        heads.iter().map(|head| (head.name.as_str(), head.version, head.count, head.bytes)).collect();
    assert_eq!(shown, [("a", 1, 1, 3), ("b", 9, 9, 9), ("c", 1, 1, 0)]);
    assert_eq!(stage.view().blobs_heads(Some("a"), 1).unwrap(), &heads[1..2]);
    assert_eq!(stage.view().blobs_head(&name("c")).unwrap().as_ref(), Some(&heads[2]));
}

pub(super) fn b6_a_blob_is_a_part_of_its_batch(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.run(finish("old", None, 0, "old"));
    let content = written(&mut a, "k", 3);
    let both = |expected| Batch {
        parts: vec![
            finish("k", Some(content), 3, "!").into_operation(),
            remove("old", expected).into_operation(),
        ],
    };
    assert!(matches!(a.run(both(Expected::Absent)), Applied::Refused { part: 1, .. }));
    assert_eq!((text(stage, "k"), text(stage, "old").as_deref()), (None, Some("old")));
    assert!(matches!(a.run(both(Expected::Present)), Applied::Done(_)), "it can be finished still");
    assert_eq!((text(stage, "k").as_deref(), text(stage, "old")), (Some("abcdabcdabcd!"), None));
    let late = Batch { parts: vec![finish("k", Some(content), 3, "!").into_operation()] };
    assert!(matches!(a.run(late), Applied::Refused { part: 0, .. }));
}
