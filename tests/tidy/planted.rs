//! Every rule proved: by violations that are planted, and by what is allowed.

use crate::source::Source;
use crate::{
    Rule, actors_are_pure, actors_point_down, bin_is_a_user, formats_in_their_room, headers, lengths, seams,
    sql_in_its_room, src_points_down, traces_have_targets, twins,
};

/// How often a rule complains of one file with this text.
fn complaints(rule: Rule, path: &str, text: &str) -> usize {
    rule(&[Source::new(path, text)]).len()
}

#[test]
fn a_planted_violation_of_every_rule_is_found() {
    let long = format!("//! x\n{}", "fn f() {}\n".repeat(401));
    let rows: [(Rule, &str, &str); 30] = [
        (headers, "src/a.rs", "// no\nfn f() {}"),
        (headers, "tests/store/a.rs", ""),
        (lengths, "src/a.rs", &long),
        (actors_point_down, "actors/src/storage/lock.rs", "use crate::writer::Writer;"),
        (actors_point_down, "actors/src/lock.rs", "use crate::stream::Append;"),
        (actors_point_down, "actors/src/aggregate/mod.rs", "use crate::stream::{Placed, Streams};"),
        (actors_point_down, "actors/src/reader.rs", "use crate::{error::Result, writer::Writer};"),
        (actors_point_down, "actors/src/supervisor.rs", "fn f() { crate::lock::open() }"),
        (actors_point_down, "actors/src/attic.rs", "fn f() {}"),
        (src_points_down, "src/codec.rs", "use crate::events::Event;"),
        (src_points_down, "src/lock.rs", "use crate::storage::x;"),
        (src_points_down, "src/lock.rs", "use crate::Store;"),
        (src_points_down, "src/blocking/store.rs", "use crate::storage::open_once;"),
        (src_points_down, "src/reading.rs", "use crate::{codec, events::Event};"),
        (actors_are_pure, "actors/src/lock.rs", "fn f(x: rusqlite::Error) {}"),
        (actors_are_pure, "actors/src/lock.rs", "use millpond::Store;"),
        (bin_is_a_user, "src/bin/millpond/main.rs", "use millpond_actors::error::Error;"),
        (sql_in_its_room, "src/lock.rs", "const X: &str = \"SELECT 1\";"),
        (sql_in_its_room, "actors/src/lock.rs", "const X: &str = r#\"x \"\nPRAGMA x\"#;"),
        (formats_in_their_room, "src/lock.rs", "fn f() { serde_json::to_string(&1); }"),
        (formats_in_their_room, "src/codec.rs", "use chacha20poly1305::XNonce;"),
        (twins, "src/lock.rs", "impl L { pub async fn acquire(&self) {} }"),
        (traces_have_targets, "src/lock.rs", "fn f() { tracing::warn!(x, \"y\"); }"),
        (traces_have_targets, "actors/src/lock.rs", "fn f() { tracing::debug_span!(\"y\"); }"),
        (seams, "src/lock.rs", "fn f() { std::time::Instant::now(); }"),
        (seams, "actors/src/supervisor.rs", "fn f() { thread::Builder::new(); }"),
        (seams, "tests/store/a.rs", "fn f() { std::thread::sleep(x); }"),
        (seams, "tests/store/a.rs", "async fn f() { tokio::time::sleep(x).await; }"),
        (seams, "src/lock.rs", "fn f() { unsafe { x() } }"),
        (seams, "examples/a.rs", "fn f() { todo!() }"),
    ];
    for (row, (rule, path, text)) in rows.into_iter().enumerate() {
        assert_eq!(complaints(rule, path, text), 1, "row {row}: {path}: {:.60}", text);
    }
}

#[test]
fn what_is_allowed_is_not_complained_of() {
    let tests =
        format!("//! x\n#[cfg(test)]\nmod tests {{\n{}\n}}\n", "fn f() { \"}\"; '}'; }\n".repeat(500));
    let comments = format!("//! x\n{}", "// a line of prose, and \"quotes\n\n".repeat(500));
    let rows: [(Rule, &str, &str); 14] = [
        (lengths, "src/a.rs", &tests),
        (lengths, "src/a.rs", &comments),
        (actors_point_down, "actors/src/aggregate/mod.rs", "use crate::stream::{Placed, placed};"),
        (actors_point_down, "actors/src/name.rs", "use crate::error::{Error, Result}; use crate::limits;"),
        (
            actors_point_down,
            "actors/src/lock.rs",
            "//! [x](crate::runtime::Runtime)\nuse crate::{gate::Passage, name::Name};",
        ),
        (src_points_down, "src/store/builder.rs", "use crate::storage;"),
        (src_points_down, "src/store/mod.rs", "fn f() -> crate::blocking::Store {}"),
        (src_points_down, "src/lock.rs", "pub(crate) fn f<'a>(x: &'a str) {} // crate::store"),
        (actors_are_pure, "actors/src/lock.rs", "const X: &str = \"millpond: rusqlite\";"),
        (sql_in_its_room, "src/storage/sqlite/lock.rs", "const X: &str = \"SELECT 1\";"),
        (sql_in_its_room, "src/lock.rs", "#[cfg(test)]\nmod tests {\n const X: &str = \"SELECT 1\";\n}\n"),
        (formats_in_their_room, "src/aggregate.rs", "fn f() { codec::to_bincode(x); } // serde_json"),
        (traces_have_targets, "src/lock.rs", "fn f() { tracing::warn!(\n target: target::LOCK, x, \"y\"); }"),
        (
            seams,
            "actors/src/clock.rs",
            "fn f() { std::thread::Builder::new(); let unsafe_code = \"unsafe\"; }",
        ),
    ];
    for (row, (rule, path, text)) in rows.into_iter().enumerate() {
        assert_eq!(complaints(rule, path, text), 0, "row {row}: {path}");
    }
    let pair = [
        Source::new("src/lock.rs", "impl L { pub async fn acquire<T>(&self) {} }"),
        Source::new("src/blocking/lock.rs", "impl L { pub fn acquire(&self) {} }"),
    ];
    assert!(twins(&pair).is_empty());
}
