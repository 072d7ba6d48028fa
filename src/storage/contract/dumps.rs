//! Dumps: what was dumped of one database comes back in another as it was, and what a name that is there makes of it.

use millpond_actors::error::{Error, Expected, Result};
use millpond_actors::memory::Memory;
use millpond_actors::storage::dict::{Expected as Entry, Set};
use millpond_actors::storage::erase::{Erase, Step};
use millpond_actors::storage::feed::{Kind, Retain, Retention};
use millpond_actors::storage::projection::{Advance, Begin, Failure, Seen};
use millpond_actors::storage::queue::{How, Scope, Start};
use millpond_actors::storage::stream::NewEvent;
use millpond_actors::storage::subject::{KeyState, Make, Secret, Shred};
use millpond_actors::storage::subscription::{Acknowledge, Subscribe};
use millpond_actors::storage::{Backend, Data, Moment, View};
use uuid::Uuid;

use super::jobs::{change, keyed, starting};
use super::queues::{new_job, push};
use super::schedules::{plan as times, set};
use super::stage::*;
use crate::dump::{self, Dump, Load, Loaded};

/// A dump as text.
pub(super) fn dumped(view: &mut dyn View, now: Moment, dump: Dump) -> String {
    let mut text = Vec::new();
    let mut frozen = view.frozen().unwrap();
    dump::write(&mut *frozen, now, &mut text, dump).unwrap();
    String::from_utf8(text).unwrap()
}

/// Its records alone: the first line tells of the store and the time, and with it the checksum in the last one.
pub(super) fn records(view: &mut dyn View, now: Moment) -> Vec<String> {
    let text = dumped(view, now, Dump::new().with_keys());
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines[1..lines.len() - 1].to_vec()
}

/// Loads it as a process of its own.
pub(super) fn load(backend: &dyn Backend, now: Moment, text: &str, load: Load) -> Result<Loaded> {
    let plan = dump::plan(text.as_bytes(), None, load)?;
    let mut session = backend.join(&identity("loader", "boot"), &|| now).unwrap();
    assert!(session.take_turn(false).unwrap());
    let loaded = dump::load(&mut *session, now, plan);
    session.rollback();
    session.leave(now).unwrap();
    session.leave_turn();
    loaded
}

/// An event with all that one may have.
fn odd(number: u128) -> NewEvent {
    NewEvent {
        data: if number == 2 { Data::Bincode(vec![0, 255]) } else { Data::Json("{\n\"b\": 1.50}".into()) },
        at: Some("2011-10-11T13:45:40.276+02:00".into()),
        metadata: Some("{\"ip\": \"::1\"}".into()),
        origin: odd_origin(210 * number).kept(),
        ..event(number)
    }
}

/// Something of everything.
fn fill(stage: &Stage<'_>) {
    let mut a = stage.join();
    let key = |subject| Make { subject: name(subject), key: Secret::new([7; 32]) };
    a.run(key("ada"));
    a.run(key("bob"));
    a.run(Shred { subject: name("bob") });
    a.run(append_events("s-1", Expected::Any, (1..6).map(odd).collect()));
    a.append("t-1", &[11, 12]);
    a.append("s-2", &[21]);
    let begin = Step::Begin { expected: Expected::Any, id: Uuid::from_u128(99), close: true };
    a.run(Erase { stream: target("t-1"), step: begin });
    a.append("s-1", &[31]);
    let grant = a.hold("l", 1_000_000);
    for kind in [Kind::Log, Kind::Channel] {
        a.run(append_to(kind, "f", &[1, 2, 3, 4, 5, 6]));
        let retention = Retention { count: Some(4), bytes: None, age_ms: Some(1_000_000) };
        a.run(Retain { kind, feed: target("f"), retention });
        stage.pass(10);
        a.run(append_to(kind, "f", &[7]));
        a.run(append_to(kind, "g", &[1]));
        let (feed, subscription) = (target("f"), name("s"));
        a.run(Subscribe { kind, feed: feed.clone(), subscription: subscription.clone(), cursor: 4 });
        let fence = fence("l", grant);
        a.run(Acknowledge { kind, feed, subscription, sequence: 6, fence });
        a.run(Subscribe { kind, feed: target("unused"), subscription: name("t"), cursor: 9 });
    }
    let mut configured = change("q");
    (configured.keep_done_ms, configured.max_attempts) = (Some(1_000_000), Some(3));
    a.run(configured);
    a.run(set("tick", times("* * * * *", 8), 1_700_000_060_000));
    a.push_numbers("q", &[1, 2, 3, 4]);
    let (done, dead, again) = (a.claim_one("q", 1_000), a.claim_one("q", 1_000), a.claim_one("q", 1_000));
    a.finish(done.0, How::Done);
    a.finish(dead.0, How::Bury { reason: "no address".into() });
    a.finish(again.0, How::Retry { delay_ms: 5_000, reason: "busy".into() });
    a.run(push("q", vec![starting(5, Start::After(7_000)), starting(6, Start::At(1_800_000_000_000))]));
    a.run(push("q", vec![keyed(7, "k", Scope::Live)]));
    // It stays claimed.
    a.claim_one("q", 1_000_000);
    for (key, value, life_ms) in
        [("a", "1", None), ("b", "{\"x\": [1.0]}", Some(60_000)), ("c", "2", Some(1))]
    {
        let (dict, data) = (name("d"), Data::Json(value.into()));
        let expected = Entry::Any;
        a.run(Set { dict, key: key.into(), data, schema: 3, life_ms, expected });
    }
    stage.pass(1);
    a.run(Begin { name: name("p"), position: 2, partitions: 2 });
    let all = a.run(Begin { name: name("r"), position: 0, partitions: 1 });
    let (revision, fence) = (all[0].revision, fence("l", grant));
    let seen = Seen { name: name("r"), generation: 1, partition: 0, revision, position: 0, fence };
    let failure = Some(Failure { reason: "it fails".into(), attempts: 4, parked: true });
    a.run(Advance { seen, to: 3, handled: 2, begun: true, failure });
}

/// The same store in memory.
fn filled() -> (Memory, Vec<String>, Moment) {
    let memory = Memory::new();
    let stage = Stage::new(&memory);
    fill(&stage);
    let now = stage.now();
    let lines = records(&mut *stage.view(), now);
    (memory, lines, now)
}

pub(super) fn dump_comes_back_as_it_was(stage: &Stage<'_>) {
    fill(stage);
    let (now, mut view) = (stage.now(), stage.view());
    let before = records(&mut *view, now);
    assert_eq!(before, filled().1, "the same whatever database it is of");
    for kind in ["subject", "stream", "stream.event", "log.message", "channel.subscription", "queue.schedule"]
    {
        let found = before.iter().any(|line| line.starts_with(&format!("{{\"kind\":\"{kind}\"")));
        assert!(found, "{kind} in {before:#?}");
    }
    let claimed =
        before.iter().find(|line| line.contains("\"queue.job\"") && line.contains("\"sequence\":4,"));
    let waits = "\"state\":\"ready\",\"priority\":0,\"attempts\":0,";
    assert!(
        claimed.is_some_and(|line| line.contains(waits)),
        "{claimed:?}: whoever works on it does so elsewhere"
    );
    let text = dumped(&mut *view, now, Dump::new().with_keys());
    let other = Memory::new();
    let loaded = load(&other, now, &text, Load::new()).unwrap();
    assert_eq!(loaded, Loaded { written: before.len() as u64, ..Loaded::default() });
    assert_eq!(records(&mut *other.view().unwrap(), now), before);
}

pub(super) fn load_brings_back_what_was_dumped_elsewhere(stage: &Stage<'_>) {
    let (memory, lines, now) = filled();
    let text = dumped(&mut *memory.view().unwrap(), now, Dump::new().with_keys());
    load(stage.backend, now, &text, Load::new()).unwrap();
    assert_eq!(records(&mut *stage.view(), now), lines);
    // It is a store like any other.
    let mut a = stage.join();
    assert_eq!(a.push_numbers("q", &[9]), [8], "the numbers go on");
    a.append("s-2", &[500]);
    assert_eq!(stage.version("s-2"), 2);
    assert_eq!(stage.version("t-1"), 3, "closed, with a blank event");
    assert_eq!(a.append("t-1", &[501]), millpond_actors::storage::stream::Appended::Closed);
    assert_eq!(stage.numbers_of("q").claimed, 0, "nobody has claimed any");
}

pub(super) fn load_refuses_a_name_that_is_there(stage: &Stage<'_>) {
    let (memory, _, now) = filled();
    let text = dumped(&mut *memory.view().unwrap(), now, Dump::new());
    let mut a = stage.join();
    a.run(push("q", vec![new_job(1)]));
    let before = records(&mut *stage.view(), now);
    let refused = load(stage.backend, now, &text, Load::new());
    assert_eq!(refused, Err(Error::Exists { kind: "queue", name: "q".into() }));
    assert_eq!(records(&mut *stage.view(), now), before, "nothing of it is there");
    let loaded = load(stage.backend, now, &text, Load::new().only("dict").only("log/f")).unwrap();
    assert_eq!((loaded.written, loaded.known), (3 + 2 + 4, 0));
}

pub(super) fn load_replaces_and_no_number_is_given_twice(stage: &Stage<'_>) {
    let (memory, _, now) = filled();
    let text = dumped(&mut *memory.view().unwrap(), now, Dump::new().with_keys());
    load(stage.backend, now, &text, Load::new()).unwrap();
    load(stage.backend, now, &text, Load::new().replace()).unwrap();
    let mut view = stage.view();
    let feed = view.feed(Kind::Log, &name("f")).unwrap().unwrap();
    assert_eq!((feed.first, feed.last, feed.count()), (11, 14, 4), "behind the seven that were there");
    let standing = view.subscriptions(Kind::Log, &name("f")).unwrap();
    assert_eq!(standing[0].cursor, 11, "the fourth of them, in other words");
    let dict = view.dict(&name("d"), now).unwrap().unwrap();
    assert_eq!((dict.version, dict.count), (6, 2));
    assert_eq!(view.dict_entry(&name("d"), "a", now).unwrap().unwrap().version, 4);
    assert_eq!(stage.numbers_of("q").pushed, 14);
    assert_eq!(view.head(), Ok(10), "events are never removed, and all were there");
    assert_eq!(view.projection(&name("p")).unwrap().len(), 2);
    assert_eq!(view.projection(&name("p")).unwrap()[0].generation, 2);
}

pub(super) fn load_appends_behind_what_is_there(stage: &Stage<'_>) {
    let (memory, _, now) = filled();
    let text = dumped(&mut *memory.view().unwrap(), now, Dump::new());
    let mut a = stage.join();
    a.append("own-1", &[700]);
    a.run(append_to(Kind::Log, "f", &[70, 71]));
    a.run(push("q", vec![keyed(70, "k", Scope::Live)]));
    let text_without = |kind: &str| Load::new().append().only(kind);
    for (kind, written, known) in
        [("stream", 11, 0), ("log", 10, 0), ("queue", 8, 1), ("dict", 3, 0), ("subject", 1, 0)]
    {
        let loaded = load(stage.backend, now, &text, text_without(kind)).unwrap();
        assert_eq!((kind, loaded.written, loaded.known), (kind, written, known));
    }
    let mut view = stage.view();
    let feed = view.feed(Kind::Log, &name("f")).unwrap().unwrap();
    assert_eq!((feed.first, feed.last), (1, 6));
    let again = load(stage.backend, now, &text, Load::new().append().only("stream")).unwrap();
    assert_eq!((again.written, again.known), (0, 11), "an event is there once");
    let moved = load(stage.backend, now, &text, Load::new().append().only("projection"));
    assert_eq!(moved.map(|loaded| loaded.written), Ok(2));
}

pub(super) fn a7_load_does_not_bring_a_checkpoint_to_other_positions(stage: &Stage<'_>) {
    let (memory, _, now) = filled();
    let text = dumped(&mut *memory.view().unwrap(), now, Dump::new());
    let refused = load(stage.backend, now, &text, Load::new().only("projection"));
    assert!(matches!(refused, Err(Error::LoadRefused { .. })), "{refused:?}: its events are not there");
    stage.join().append("own-1", &[700]);
    let refused = load(stage.backend, now, &text, Load::new().only("projection").only("stream"));
    let Err(Error::LoadRefused { line, reason }) = refused else { panic!("{refused:?}") };
    assert_eq!(reason, "it stands at positions that its events have not been given here; leave it out");
    assert!(text.lines().nth(line as usize - 1).unwrap().contains("\"kind\":\"projection\""));
    assert_eq!(stage.view().head(), Ok(1), "and none of them is");
}

pub(super) fn a_destroyed_key_is_not_brought_back_by_a_load(stage: &Stage<'_>) {
    let (memory, _, now) = filled();
    let text = dumped(&mut *memory.view().unwrap(), now, Dump::new().with_keys());
    let mut a = stage.join();
    a.run(Make { subject: name("ada"), key: Secret::new([9; 32]) });
    let only = |load: Load| load.only("subject/ada");
    for kind in [only(Load::new()), only(Load::new().append())] {
        assert!(matches!(load(stage.backend, now, &text, kind), Err(Error::LoadRefused { .. })));
    }
    load(stage.backend, now, &text, only(Load::new().replace())).unwrap();
    let key = stage.view().subject(&name("ada"));
    assert_eq!(key, Ok(Some(KeyState::Kept(Secret::new([7; 32])))));
    a.run(Shred { subject: name("ada") });
    for kind in [Load::new(), Load::new().append(), Load::new().replace()] {
        assert!(matches!(load(stage.backend, now, &text, only(kind)), Err(Error::LoadRefused { .. })));
    }
    assert_eq!(stage.view().subject(&name("ada")), Ok(Some(KeyState::Shredded)));
    let secret = dumped(&mut *memory.view().unwrap(), now, Dump::new());
    assert!(!secret.contains("\"ada\"") && secret.contains("\"bob\""), "keys are asked for by their name");
}

pub(super) fn l2_a_loaded_store_gives_tokens_far_above(stage: &Stage<'_>) {
    let memory = Memory::new();
    let other = Stage::new(&memory);
    let last = other.join().hold("l", 1_000).token;
    let text = dumped(&mut *other.view(), other.now(), Dump::new());
    load(stage.backend, stage.now(), &text, Load::new()).unwrap();
    let token = stage.join().hold("l", 1_000).token;
    assert!(token > last + (1 << 40), "{token}");
}

pub(super) fn load_never_removes_an_event(stage: &Stage<'_>) {
    let source = Memory::new();
    let from = Stage::new(&source);
    let mut there = from.join();
    there.append("s-1", &[1, 2]);
    there.append("s-2", &[3]);
    let (text, now) = (dumped(&mut *from.view(), from.now(), Dump::new()), from.now());
    let mut a = stage.join();
    let reason = |load: Load| match super::dumps::load(stage.backend, now, &text, load) {
        Err(Error::LoadRefused { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    let only = |load: Load| load.only("stream/s-1");
    a.append("s-1", &[1]);
    assert_eq!(
        load(stage.backend, now, &text, only(Load::new().replace())).unwrap().written,
        1,
        "what is missing"
    );
    a.append("s-1", &[9]);
    let longer =
        "stream \"s-1\" cannot be replaced: it holds something else, or more, and events are never removed";
    assert_eq!(reason(only(Load::new().replace())), longer);
    assert_eq!(stage.version("s-1"), 3);
    assert_eq!(load(stage.backend, now, &text, only(Load::new().append())).unwrap().known, 2);
    // An id of another stream, another event at its place, and a stream that is closed.
    a.append("t-1", &[3]);
    let taken = format!("the id {} is taken by another event", Uuid::from_u128(3));
    for how in [Load::new(), Load::new().append(), Load::new().replace()] {
        assert_eq!(reason(how.only("stream/s-2")), taken);
    }
    a.append("u-1", &[7]);
    let (step, text) = (
        Step::Begin { expected: Expected::Any, id: Uuid::from_u128(99), close: true },
        text.replace("\"s-2\"", "\"u-1\"")
            .replace(&Uuid::from_u128(3).to_string(), &Uuid::from_u128(8).to_string()),
    );
    let crc = text.rfind("\"crc\":\"").unwrap() + 7;
    let (lines, last) = text.split_at(text[..text.len() - 1].rfind('\n').unwrap() + 1);
    let sum = millpond_actors::storage::checksum::append(0, lines.as_bytes());
    let last = last.replace(&text[crc..crc + 8], &format!("{sum:08x}"));
    let text = format!("{lines}{last}");
    let of_u = |load: Load| super::dumps::load(stage.backend, now, &text, load.only("stream/u-1"));
    assert!(matches!(of_u(Load::new().replace()), Err(Error::LoadRefused { .. })), "another event is there");
    a.run(Erase { stream: target("u-1"), step });
    let closed = of_u(Load::new().append());
    assert!(
        matches!(&closed, Err(Error::LoadRefused { reason, .. }) if reason.contains("is closed")),
        "{closed:?}"
    );
    assert_eq!((stage.version("s-1"), stage.version("t-1"), stage.version("u-1")), (3, 1, 2));
}
