//! Blobs in dumps: what was finished comes back as it was, chunk by chunk, and nothing else does.

use millpond_actors::error::Error;
use millpond_actors::memory::Memory;
use millpond_actors::storage::blob::Blob;
use millpond_actors::storage::dict::Expected;

use super::blobs::{begun, get, put_text, remove, sum, totals, write};
use super::dumps::{dumped, load, records};
use super::stage::*;
use crate::check::check;
use crate::dump::{Dump, Load, Loaded};

/// Two chunks and a rest, whole chunks, less than one, and nothing.
const TEXTS: [(&str, &str); 4] = [("a", "abcdefghij"), ("b", "abcdefgh"), ("c", "abc"), ("d", "")];

/// Blobs, among others that come and go.
fn fill(stage: &Stage<'_>) {
    let mut a = stage.join();
    put_text(&mut a, "b", "a", "what is replaced, and is more than is removed at once");
    for (key, text) in TEXTS {
        stage.pass(10);
        put_text(&mut a, "b", key, text);
    }
    put_text(&mut a, "b", "e", "what is removed, and is more than is removed at once");
    a.run(remove("e", Expected::Any));
    put_text(&mut a, "other", "a", "xyz");
    let unfinished = begun(&mut a, "f");
    a.run(write(unfinished, 0, "abcd"));
}

/// The same in memory, as text, and its records.
fn filled() -> (String, Vec<String>) {
    let memory = Memory::new();
    let stage = Stage::new(&memory);
    fill(&stage);
    let text = dumped(&mut *stage.view(), stage.now(), Dump::new());
    (text, records(&mut *stage.view(), stage.now()))
}

fn is_sound(stage: &Stage<'_>) {
    let report = check(&mut *stage.view(), stage.now()).unwrap();
    assert_eq!(report.findings, []);
}

pub(super) fn b1_dump_has_what_is_finished_and_comes_back_as_it_was(stage: &Stage<'_>) {
    fill(stage);
    let before = records(&mut *stage.view(), stage.now());
    assert_eq!(before, filled().1, "the same whatever database it is of");
    let first = &before[..5];
    let sum: String = sum("abcdefghij").iter().map(|byte| format!("{byte:02x}")).collect();
    let entry = r#"{"kind":"blob.entry","blobs":"b","key":"a","version":2,"size":10,"chunk":4,"sha256":""#;
    let rest = r#"","created_at":1700000000010,"metadata":"{\"is\": \"abcdefghij\"}"}"#;
    let chunk = |sequence: u64, data: &str| {
        format!(r#"{{"kind":"blob.chunk","blobs":"b","key":"a","sequence":{sequence},"data":"{data}"}}"#)
    };
    let expected = [
        r#"{"kind":"blob","name":"b","version":7}"#.to_owned(),
        format!("{entry}{sum}{rest}"),
        chunk(0, "YWJjZA=="),
        chunk(1, "ZWZnaA=="),
        chunk(2, "aWo="),
    ];
    assert_eq!(first, expected);
    // Two names, five blobs, three chunks and two and one and none and one.
    assert_eq!(before.len(), 2 + 5 + 7, "{before:#?}");
    is_sound(stage);
    let text = dumped(&mut *stage.view(), stage.now(), Dump::new());
    let memory = Memory::new();
    let other = Stage::new(&memory);
    let loaded = load(&memory, stage.now(), &text, Load::new()).unwrap();
    assert_eq!(loaded, Loaded { written: before.len() as u64, ..Loaded::default() });
    assert_eq!(records(&mut *other.view(), stage.now()), before);
    assert_eq!(totals(&other), (5, 24, 0), "and nothing is there that is nobody's");
}

pub(super) fn load_brings_back_blobs_that_were_dumped_elsewhere(stage: &Stage<'_>) {
    let (text, lines) = filled();
    load(stage.backend, stage.now(), &text, Load::new()).unwrap();
    assert_eq!(records(&mut *stage.view(), stage.now()), lines);
    for (key, text) in TEXTS {
        assert_eq!(get(stage, key).unwrap().1, text);
    }
    assert_eq!(totals(stage), (5, 24, 0));
    is_sound(stage);
    // They are blobs like any others.
    let mut a = stage.join();
    put_text(&mut a, "b", "a", "anew");
    let (blob, text) = get(stage, "a").unwrap();
    assert_eq!((blob.version, &*text), (8, "anew"), "their numbers go on");
    a.run(remove("b", Expected::Version(3)));
    assert_eq!(totals(stage), (4, 10, 1), "what was replaced is swept");
    is_sound(stage);
}

pub(super) fn load_puts_blobs_in_place_of_those_that_are_there(stage: &Stage<'_>) {
    let (text, _) = filled();
    let mut a = stage.join();
    put_text(&mut a, "b", "a", "what gives way, and is more than is removed at once");
    put_text(&mut a, "b", "z", "its own");
    let before = records(&mut *stage.view(), stage.now());
    let refused = load(stage.backend, stage.now(), &text, Load::new().only("blob/b"));
    assert_eq!(refused, Err(Error::Exists { kind: "blob", name: "b".into() }));
    assert_eq!(records(&mut *stage.view(), stage.now()), before, "nothing of it is there");
    let only = |how: Load| how.only("blob/b");
    let gone = |old: &Blob| stage.view().blob_chunks(&name("b"), old, 0, 1).unwrap().is_none();
    let ((first, _), (own, _)) = (get(stage, "a").unwrap(), get(stage, "z").unwrap());
    load(stage.backend, stage.now(), &text, only(Load::new().append())).unwrap();
    assert!(gone(&first) && !gone(&own), "nothing is left of what gave way");
    let (blob, found) = get(stage, "a").unwrap();
    assert_eq!((blob.version, &*found), (2 + 2, "abcdefghij"), "behind the two that were given");
    let second = blob;
    assert_eq!(get(stage, "z").unwrap().1, "its own");
    assert_eq!(totals(stage), (5, 21 + 7, 0), "nothing is left to be swept of what gave way");
    is_sound(stage);
    load(stage.backend, stage.now(), &text, only(Load::new().replace())).unwrap();
    let (blob, found) = get(stage, "a").unwrap();
    assert_eq!((blob.version, &*found), (9 + 2, "abcdefghij"));
    assert!(gone(&second) && gone(&own), "nor of what was replaced");
    assert_eq!((get(stage, "z"), totals(stage)), (None, (4, 21, 0)));
    assert_eq!(stage.view().blobs_head(&name("b")).unwrap().unwrap().version, 9 + 7);
    is_sound(stage);
}

/// The dump with lines changed, and a last line that fits.
fn changed(text: &str, change: impl FnOnce(&mut Vec<String>)) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    lines.join("\n") + "\n"
}

pub(super) fn b5_load_refuses_a_blob_that_is_not_what_was_written(stage: &Stage<'_>) {
    let (text, _) = filled();
    let swap = |line: usize, from: &'static str, to: &'static str| {
        let text = changed(&text, |lines| {
            assert!(lines[line - 1].contains(from), "{}", lines[line - 1]);
            lines[line - 1] = lines[line - 1].replace(from, to);
        });
        (line, text)
    };
    let without = |line: usize| (line, changed(&text, |lines| drop(lines.remove(line - 1))));
    let twice = |line: usize| {
        let text = changed(&text, |lines| lines.insert(line, lines[line - 1].clone()));
        (line + 1, text)
    };
    // Line 2 is the name, 3 the blob "a", 4 to 6 its chunks, 7 the blob "b", 8 and 9 its chunks.
    let rows = [
        (without(2), "which do not come before it"),
        (without(3), "\"a\" of blobs \"b\", which is whole, or does not come before it"),
        (without(4), "chunk 1 of \"a\" comes where 0 should"),
        (without(6), "chunk 2 of 3 of \"a\" should come here, and does not"),
        (without(9), "chunk 1 of 2 of \"b\" should come here"),
        (twice(2), "\"b\" comes twice"),
        (twice(3), "chunk 0 of 3 of \"a\" should come here"),
        (twice(4), "chunk 0 of \"a\" comes where 1 should"),
        (twice(6), "\"a\" of blobs \"b\", which is whole"),
        (swap(5, "\"key\":\"a\"", "\"key\":\"b\""), "\"b\" of blobs \"b\", which is whole, or"),
        (swap(5, "\"blobs\":\"b\"", "\"blobs\":\"other\""), "of blobs \"other\""),
        (swap(5, "ZWZnaA==", "ZWZn"), "chunk 1 of \"a\" has 3 bytes of 4"),
        (swap(5, "ZWZnaA==", "ZWZnaGg="), "chunk 1 of \"a\" has 5 bytes of 4"),
        (swap(5, "ZWZnaA==", "?"), "its data"),
        (swap(6, "aWo=", "aWk="), "the bytes of \"a\" have another SHA-256 than it says"),
        (swap(3, "\"size\":10", "\"size\":1099511627777"), "no blob has 1099511627777 bytes"),
        (swap(3, "\"chunk\":4", "\"chunk\":0"), "no chunk has 0 bytes"),
        (swap(3, "\"chunk\":4", "\"chunk\":131073"), "no chunk has 131073 bytes"),
        (swap(3, "\"version\":2", "\"version\":0"), "have had 7 changes, not 0"),
        (swap(3, "\"version\":2", "\"version\":8"), "have had 7 changes, not 8"),
        (swap(3, "\"sha256\":\"", "\"sha256\":\"0"), "64 hexadecimal digits"),
        (swap(3, "\"metadata\":\"{", "\"metadata\":\"{{"), "the metadata of a blob"),
        (swap(3, "\"key\":\"a\"", "\"key\":\"\""), "key of a blob"),
        (swap(7, "\"key\":\"b\"", "\"key\":\"a\""), "key \"a\" comes behind key \"a\""),
        (swap(2, "\"version\":7", "\"version\":9223372036854775807"), "no blobs have had"),
    ];
    for ((line, text), reason) in rows {
        let refused = load(stage.backend, stage.now(), &text, Load::new());
        let Err(Error::LoadRefused { line: found, reason: why }) = refused else {
            panic!("{reason}: {refused:?}")
        };
        assert!(why.contains(reason), "{reason}: {why}");
        assert_eq!(found as usize, line, "{reason}: {why}");
    }
    // What is empty has a sum too, and there is nothing behind which it could be looked at.
    let line = 1 + text.lines().position(|line| line.contains("\"key\":\"d\"")).unwrap();
    let (line, odd) = swap(line, "\"sha256\":\"e", "\"sha256\":\"0");
    let refused = load(stage.backend, stage.now(), &odd, Load::new());
    let why = "the bytes of \"d\" have another SHA-256 than it says".to_owned();
    assert_eq!(refused, Err(Error::LoadRefused { line: line as u64, reason: why }));
    assert!(records(&mut *stage.view(), stage.now()).is_empty(), "and nothing was loaded");
    assert_eq!(totals(stage), (0, 0, 0));
}
