//! The rules of the house, read from its sources. What breaks them is listed all at once.
//!
//! No rule is weakened to let code pass. An exception is in a constant here, with its reason.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that is wrong should fail"
)]

mod kit;
mod planted;
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use self::source::Source;

/// Rooms of `actors/src`, bottom to top: a room may use those on lower floors. On the ground floor also its
/// neighbours; above it nobody uses a room of its own floor.
const ACTORS: [&[&str]; 10] = [
    &[
        "error",
        "name",
        "pattern",
        "clock",
        "limits",
        "thread",
        "worker",
        "failpoint",
        "shards",
        "sleepers",
        "rows",
        "calendar",
        "observe",
    ],
    &["gate", "reply", "horizon"],
    &["storage"],
    &["engine"],
    &["memory", "reader", "writer"],
    &["watcher", "batch"],
    &["feed", "follow", "projection"],
    &["supervisor", "change"],
    &["aggregate", "blob", "channel", "list", "lock", "stream", "queue"],
    &["runtime"],
];

/// An aggregate's append is a stream's append: it is answered, and its conflicts are named, in the same words.
const SHARED: (&str, &str, [&str; 2]) = ("aggregate", "stream", ["Placed", "placed"]);

/// Rooms of `src`, bottom to top. `storage` is a cellar that only `store` has the key of.
const SRC: [&[&str]; 12] = [
    &["location"],
    &["storage"],
    &["codec", "digest", "paging", "batch", "watching", "origin", "patience", "stopper"],
    &["filter"],
    &["reading", "change", "lock", "job", "sealed", "dump"],
    &["feed", "sharing", "check", "copy"],
    &["inspect"],
    &[
        "lock_set",
        "leader",
        "semaphore",
        "rw_lock",
        "durable",
        "blob",
        "dict",
        "list",
        "group",
        "queue",
        "events",
        "following",
        "subject",
    ],
    &["aggregate", "log", "channel", "channels", "worker", "schedule", "timers", "sql"],
    &["repository", "erase", "projection"],
    &["store", "relay"],
    &["blocking", "guide", "lib", "testing"],
];

/// `Store::blocking()` is the door between the two faces.
const DOOR: (&str, &str) = ("src/store/mod.rs", "blocking");

/// SQL is spoken in `src/storage/`, and in the floor that a bench compares with: bare rusqlite, and a bare client of a server, on
/// purpose.
const SQL_ROOMS: [&str; 4] = [
    "src/storage/",
    "src/bin/millpond/bench/floor.rs",
    "src/bin/millpond/bench/scan.rs",
    "src/bin/millpond/bench/postgres/",
];

/// Time, threads and ids, and who may ask for them: the seams; the command line's own clock and the thread that waits
/// for the loss of its lock; the floor, which has no seams; the readers, whose threads actix starts (a name is all that
/// can be given to them); what stands before a server in tests: a proxy, with a thread for each direction of a connection, and the
/// one that hears what a pooler says.
const SEAMS: [(&str, &[&str]); 6] = [
    ("SystemTime::now", &[]),
    ("Instant::now", &["src/bin/millpond/time.rs", "tests/peers/src/clock.rs", "tests/torture/src/clock.rs"]),
    ("thread::spawn", &[]),
    (
        "thread::Builder",
        &[
            "actors/src/clock.rs",
            "actors/src/reader.rs",
            "src/bin/millpond/bench/floor.rs",
            "src/bin/millpond/bench/postgres/floor.rs",
            "src/bin/millpond/queue/work.rs",
            "src/bin/millpond/signals.rs",
            "tests/postgres/src/pooler.rs",
            "tests/postgres/src/proxy.rs",
            "tests/torture/src/crew.rs",
            "tests/torture/src/kill/children.rs",
        ],
    ),
    (
        "thread::sleep",
        &["src/bin/millpond/time.rs", "tests/peers/src/clock.rs", "tests/torture/src/clock.rs"],
    ),
    ("Uuid::now_v7", &["actors/src/clock.rs", "src/bin/millpond/bench/floor.rs"]),
];

/// The one file that may be unsafe: SQLite's calls to its files are a table of C functions.
const UNSAFE: &str = "tests/torture/src/vfs/shim.rs";

/// Most lines of code in a file.
const LINES: usize = 400;

type Rule = fn(&[Source]) -> Vec<String>;

const RULES: [(&str, Rule); 11] = [
    ("every file says in its first lines what it is (//!)", headers),
    ("no file holds more than 400 lines of code", lengths),
    ("imports in actors/ point down, and primitives leave one another alone", actors_point_down),
    ("imports in src/ point down, and only store/ names storage", src_points_down),
    ("actors/ knows no database, no serializer and not its user", actors_are_pure),
    ("src/bin uses the public face only", bin_is_a_user),
    ("SQL is spoken under src/storage only", sql_in_its_room),
    (
        "serde_json and bincode are named in src/codec.rs only, ciphers in src/sealed.rs, hashes in src/digest.rs",
        formats_in_their_room,
    ),
    ("every async method has its blocking twin", twins),
    ("whatever is traced names its target, of those in actors/src/observe/target.rs", traces_have_targets),
    ("time, threads and ids come through their seams; nothing unsafe or unfinished", seams),
];

fn headers(sources: &[Source]) -> Vec<String> {
    let bare = sources.iter().filter(|source| !source.text.starts_with("//! "));
    bare.map(|source| source.path.clone()).collect()
}

fn lengths(sources: &[Source]) -> Vec<String> {
    let length = |source: &Source| source.code.lines().filter(|line| !line.trim().is_empty()).count();
    let long = sources.iter().map(|source| (source, length(source))).filter(|(_, lines)| *lines > LINES);
    long.map(|(source, lines)| format!("{}: {lines}", source.path)).collect()
}

fn floor(house: &[&[&str]], room: &str) -> Option<usize> {
    house.iter().position(|rooms| rooms.contains(&room))
}

fn actors_point_down(sources: &[Source]) -> Vec<String> {
    let mut wrong = BTreeSet::new();
    for source in sources {
        let Some(room) = source.room("actors/src/").filter(|room| *room != "lib") else { continue };
        let Some(here) = floor(&ACTORS, room) else {
            wrong.insert(format!("{}: the room {room} has no floor in tests/tidy", source.path));
            continue;
        };
        for path in source.behind("crate::") {
            let used = path.split("::").next().unwrap();
            let there = floor(&ACTORS, used);
            let shared = (room, used) == (SHARED.0, SHARED.1)
                && path.split("::").nth(1).is_some_and(|item| SHARED.2.contains(&item));
            let down = there.is_some_and(|there| there < here || (there == here && here == 0));
            if used != room && !down && !shared {
                wrong.insert(format!("{}: crate::{path}", source.path));
            }
        }
    }
    wrong.into_iter().collect()
}

fn src_points_down(sources: &[Source]) -> Vec<String> {
    let mut wrong = BTreeSet::new();
    let ours = |source: &&Source| !source.path.starts_with("src/bin/") && !source.is_test();
    for source in sources.iter().filter(ours) {
        let Some(room) = source.room("src/") else { continue };
        let Some(here) = floor(&SRC, room) else {
            wrong.insert(format!("{}: the room {room} has no floor in tests/tidy", source.path));
            continue;
        };
        for path in source.behind("crate::") {
            let used = path.split("::").next().unwrap();
            // What lib.rs re-exports comes from everywhere: only the top floor may take it from there.
            let there = floor(&SRC, used).unwrap_or(SRC.len() - 2);
            let key = used != "storage" || room == "store";
            let door = (source.path.as_str(), used) == DOOR;
            if used != room && !(there < here && key) && !door {
                wrong.insert(format!("{}: crate::{path}", source.path));
            }
        }
    }
    wrong.into_iter().collect()
}

/// Files below `root` that name one of these words.
fn named(sources: &[Source], belongs: impl Fn(&Source) -> bool, words: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    for source in sources.iter().filter(|source| belongs(source)) {
        for word in words.iter().filter(|word| source.names(word)) {
            wrong.push(format!("{}: {word}", source.path));
        }
    }
    wrong
}

fn actors_are_pure(sources: &[Source]) -> Vec<String> {
    let actors = |source: &Source| source.path.starts_with("actors/src/");
    named(sources, actors, &["rusqlite", "serde_json", "bincode", "serde", "millpond"])
}

fn bin_is_a_user(sources: &[Source]) -> Vec<String> {
    let user = |source: &Source| {
        source.path.starts_with("src/bin/") && !SQL_ROOMS.iter().any(|room| source.path.starts_with(room))
    };
    named(sources, user, &["millpond_actors", "rusqlite"])
}

fn sql_in_its_room(sources: &[Source]) -> Vec<String> {
    const SQL: [&str; 9] = [
        "SELECT ",
        "INSERT ",
        "UPDATE ",
        "DELETE FROM",
        "CREATE TABLE",
        "PRAGMA ",
        "BEGIN IMMEDIATE",
        "ALTER TABLE",
        "ATTACH ",
    ];
    let product = |source: &&Source| source.path.starts_with("src/") || source.path.starts_with("actors/");
    let mut wrong = Vec::new();
    for source in sources.iter().filter(product) {
        let room = SQL_ROOMS.iter().any(|room| source.path.starts_with(room));
        for text in source.strings.iter().filter(|text| !room && SQL.iter().any(|sql| text.contains(sql))) {
            wrong.push(format!(
                "{}: {:.60}",
                source.path,
                text.split_whitespace().collect::<Vec<_>>().join(" ")
            ));
        }
    }
    wrong
}

fn formats_in_their_room(sources: &[Source]) -> Vec<String> {
    let other = |room: &'static str| {
        move |source: &Source| {
            source.path.starts_with("src/")
                && !source.path.starts_with("src/bin/")
                && source.path != room
                && !source.is_test()
        }
    };
    let mut wrong = named(sources, other("src/codec.rs"), &["serde_json", "bincode"]);
    wrong.extend(named(sources, other("src/digest.rs"), &["sha2"]));
    wrong.extend(named(sources, other("src/sealed.rs"), &["chacha20poly1305", "argon2"]));
    wrong
}

fn twins(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for source in sources {
        let twin = match source.path.as_str() {
            "src/lock.rs"
            | "src/lock_set.rs"
            | "src/semaphore.rs"
            | "src/rw_lock.rs"
            | "src/leader.rs"
            | "src/events.rs"
            | "src/erase.rs"
            | "src/batch.rs"
            | "src/blob/mod.rs"
            | "src/blob/entries.rs"
            | "src/blob/reader.rs"
            | "src/blob/writer.rs"
            | "src/dict/mod.rs"
            | "src/dict/entries.rs"
            | "src/dict/watch.rs"
            | "src/list/mod.rs"
            | "src/list/ends.rs"
            | "src/list/items.rs"
            | "src/log.rs"
            | "src/channel.rs"
            | "src/channels/mod.rs"
            | "src/durable.rs"
            | "src/group/mod.rs"
            | "src/group/member.rs"
            | "src/aggregate/mod.rs"
            | "src/repository.rs"
            | "src/inspect.rs"
            | "src/job.rs"
            | "src/schedule.rs"
            | "src/projection/mod.rs"
            | "src/projection/projector.rs"
            | "src/projection/inspect.rs"
            | "src/worker/mod.rs"
            | "src/timers.rs"
            | "src/queue.rs" => source
                .path
                .replace("src/", "src/blocking/")
                .replace("/mod.rs", ".rs")
                .replace("/member.rs", ".rs")
                .replace("/entries.rs", ".rs")
                .replace("/watch.rs", ".rs")
                .replace("/ends.rs", ".rs")
                .replace("/items.rs", ".rs")
                .replace("/reader.rs", ".rs")
                .replace("/writer.rs", ".rs")
                .replace("/projector.rs", ".rs")
                .replace("projection/inspect.rs", "projection.rs"),
            path if path.starts_with("src/store/") => "src/blocking/store.rs".to_owned(),
            _ => continue,
        };
        let blocking = sources.iter().find(|other| other.path == twin).map_or("", |other| &other.code);
        for (at, start) in source.code.match_indices("pub async fn ") {
            let name = source.code[at + start.len()..].split(['(', '<']).next().unwrap();
            let has = [format!("pub fn {name}("), format!("pub fn {name}<")]
                .iter()
                .any(|twin| blocking.contains(twin));
            // What is awaited one by one is an iterator for threads that wait, whose method is the trait's.
            let iterates = name == "next" && blocking.contains(" Iterator for ");
            if !has && !iterates {
                wrong.push(format!("{}: {name} is not in {twin}", source.path));
            }
        }
    }
    wrong
}

/// The command line speaks to people; what the store traces is filtered by its targets, which the guide lists.
fn traces_have_targets(sources: &[Source]) -> Vec<String> {
    const TRACES: [&str; 11] = [
        "error!(",
        "warn!(",
        "info!(",
        "debug!(",
        "trace!(",
        "event!(",
        "error_span!(",
        "warn_span!(",
        "info_span!(",
        "debug_span!(",
        "trace_span!(",
    ];
    let product =
        |source: &&Source| source.path.starts_with("src/") || source.path.starts_with("actors/src/");
    let mut wrong = Vec::new();
    for source in sources.iter().filter(product) {
        let traces = source
            .code
            .split("tracing::")
            .skip(1)
            .filter_map(|rest| TRACES.iter().find_map(|call| rest.strip_prefix(call)));
        let bare = traces.filter(|arguments| !arguments.trim_start().starts_with("target: target::"));
        wrong.extend(bare.map(|arguments| format!("{}: {:.40}", source.path, arguments.trim_start())));
    }
    wrong
}

fn seams(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for source in sources {
        let allowed = |rooms: &[&str]| rooms.iter().any(|room| source.path == *room);
        let forbidden = SEAMS.iter().filter(|(_, rooms)| !allowed(rooms)).map(|(call, _)| *call);
        for call in forbidden.chain(["unsafe", "todo!", "unimplemented!", "dbg!", "time::sleep"]) {
            let found = if call.ends_with('!') { source.code.contains(call) } else { source.names(call) };
            if call == "unsafe" && source.path == UNSAFE {
                continue;
            }
            // The actors' own waiting is tokio's, on their own runtime.
            let tokios = call == "time::sleep" && !source.path.starts_with("tests/");
            if found && !tokios {
                wrong.push(format!("{}: {call}", source.path));
            }
        }
    }
    wrong
}

fn gather(folder: &Path, root: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target" && name != "fixtures") {
            gather(&path, root, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            sources.push(Source::new(&name, &fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn the_house_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for folder in ["src", "actors", "tests", "examples"] {
        gather(&root.join(folder), root, &mut sources);
    }
    assert!(sources.len() > 80, "only {} files were found", sources.len());
    let mut report = String::new();
    for (rule, check) in RULES {
        let mut wrong = check(&sources);
        wrong.sort();
        if !wrong.is_empty() {
            report += &format!("\n{rule}:\n    {}\n", wrong.join("\n    "));
        }
    }
    assert!(report.is_empty(), "{report}");
}
