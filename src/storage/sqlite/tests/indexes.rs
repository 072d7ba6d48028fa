//! Indexes whose bits are the other way round: what is looked up by a name is found, or not found, or said to be damaged. It
//! is never another.

use std::fs;
use std::path::Path;

use millpond_actors::error::{Error, Expected, Result};
use millpond_actors::storage::feed::{Appended::Done, Kind};
use millpond_actors::storage::lock::Acquired;
use millpond_actors::storage::stream::{Appended, Query, Scope};
use millpond_actors::storage::{Backend, Session, View};

use super::{
    Fixture, acquire, all, append, appended, event, granted, group, identity, message, moment, name,
};
use crate::storage::sqlite::{Options, Sqlite};

/// Streams, and names of locks; their ids count from 1.
const NAMES: [&str; 6] = ["plum-7", "apple-1", "quince", "lemon-3", "apple-2", "banana"];

/// Events of each stream.
const EACH: u64 = 3;

/// The bits of an index that are flipped one by one: every so many-th, and some that matter most.
const STRIDE: usize = 31;

/// A store that is closed, and where the pages are that its indexes consist of.
fn original() -> (Vec<u8>, Vec<usize>) {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    for version in 0..EACH {
        for (at, stream) in (0..).zip(NAMES) {
            let id = u128::from(version) * 100 + at;
            appended(&mut *session, 0, &append(stream, Expected::Any, vec![event(id, "{}")]));
        }
    }
    for log in NAMES {
        group(&mut *session, 0, 1, |session| session.feed_append(&message(log)));
    }
    for lock in NAMES {
        let grant = granted(&mut *session, 0, &acquire(lock, 30, false));
        let leave = millpond_actors::storage::lock::Leave { lock: grant.lock, ticket: grant.ticket };
        group(&mut *session, 0, 1, |session| session.lock_leave(&leave));
    }
    session.leave(moment(0)).unwrap();
    session.checkpoint(true).unwrap();
    let plain = fixture.plain();
    let mut roots = plain.prepare("SELECT rootpage FROM sqlite_schema WHERE type = 'index'").unwrap();
    let roots = roots.query_map([], |row| row.get(0)).unwrap().map(rusqlite::Result::unwrap).collect();
    (fs::read(fixture.path()).unwrap(), roots)
}

/// What is said of a name. An error has to say that it is damage.
fn sound<T>(found: Result<T>, flipped: usize) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(Error::Corrupt { .. }) => None,
        Err(other) => panic!("bit {flipped}: {other:?}"),
    }
}

/// Looks everything up by its name. Whether there was any damage to be seen.
fn look(view: &mut dyn View, flipped: usize) -> bool {
    let mut damaged = false;
    for (id, text) in (1..).zip(NAMES) {
        let head = sound(view.stream(&name(text)), flipped);
        let line = sound(view.lock(&name(text), moment(0)), flipped);
        let log = sound(view.feed(Kind::Log, &name(text)), flipped);
        damaged |= head.is_none() || line.is_none() || log.is_none();
        assert!(log.flatten().is_none_or(|log| (log.id, &*log.name) == (id, text)), "bit {flipped}");
        assert!(head.flatten().is_none_or(|head| (head.id, head.version) == (id, EACH)), "bit {flipped}");
        assert!(line.flatten().is_none_or(|line| (line.lock, &*line.name) == (id, text)), "bit {flipped}");
        let name = name(text);
        let category = name.category().to_owned();
        for scope in [Scope::Category(category.clone()), Scope::Stream(name.clone())] {
            let exact = matches!(scope, Scope::Stream(_));
            let Some(page) = sound(view.events(&Query { scope, ..all() }), flipped) else { continue };
            for event in page.events {
                let Some(event) = sound(event, flipped) else { continue };
                let belongs = event.stream == name || (!exact && event.stream.category() == category);
                assert!(belongs, "bit {flipped}: {} among {text}", event.stream);
            }
        }
    }
    damaged
}

/// Writes to everything by its name; nothing is committed.
fn write(session: &mut dyn Session, flipped: usize) {
    for (id, text) in (1..).zip(NAMES) {
        let [again, new] =
            [u128::from(id) - 1, 1_000].map(|id| append(text, Expected::Any, vec![event(id, "{}")]));
        let written = |session: &mut dyn Session| -> Result<_> {
            session.begin(moment(1))?;
            let repeated = session.stream_append(&again)?;
            let (new, log) = (session.stream_append(&new)?, session.feed_append(&message(text))?);
            Ok((repeated, new, log, session.lock_acquire(&acquire(text, 30, false))?))
        };
        let written = sound(written(session), flipped);
        session.rollback();
        let Some((repeated, appended, log, acquired)) = written else { continue };
        // What the index has lost is made anew.
        let may_be = |found: u64| found == id || found > NAMES.len() as u64;
        match repeated {
            Appended::Done { stream, version, repeated, .. } => {
                assert!(may_be(stream), "bit {flipped}: {text} is {stream}");
                assert!(!repeated || (stream, version) == (id, 1), "bit {flipped}: {version} of {stream}");
            }
            other => assert!(matches!(other, Appended::Duplicate { .. }), "bit {flipped}: {other:?}"),
        }
        let Appended::Done { stream, .. } = appended else { panic!("bit {flipped}: {appended:?}") };
        assert!(may_be(stream), "bit {flipped}: {text} is {stream}");
        let Done { feed, .. } = log else { panic!("bit {flipped}: {log:?}") };
        assert!(may_be(feed), "bit {flipped}: {text} is {feed}");
        let Acquired::Granted(grant) = acquired else { panic!("bit {flipped}: {acquired:?}") };
        assert!(may_be(grant.lock), "bit {flipped}: {text} is {}", grant.lock);
    }
}

/// Opens the store as it is after the flip. Whether there was any damage to be seen by reading.
fn try_out(path: &Path, flipped: usize) -> bool {
    let Some(backend) = sound(Sqlite::open(path, Options::default()), flipped) else { return true };
    let damaged = look(&mut *backend.view().unwrap(), flipped);
    if let Some(mut session) = sound(backend.join(&identity(), &|| moment(1)), flipped) {
        write(&mut *session, flipped);
        sound(session.leave(moment(1)), flipped);
    }
    damaged
}

#[test]
fn g14_a_damaged_index_leads_nobody_to_another_row() {
    let (bytes, roots) = original();
    let number = |at: usize| usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    let page = number(16);
    let (mut flips, mut seen) = (0, 0);
    for root in roots {
        let at = (root - 1) * page;
        let places = at + 8..at + 8 + 2 * number(at + 3);
        let used = (at..places.end).chain(at + number(at + 5)..at + page);
        // An entry begins with its length and ends with the key of the row that it leads to.
        let ends =
            places.step_by(2).map(|place| at + number(place)).map(|entry| entry + usize::from(bytes[entry]));
        let all = used.flat_map(|byte| byte * 8..byte * 8 + 8).step_by(STRIDE);
        for flipped in all.chain(ends.flat_map(|byte| byte * 8..byte * 8 + 2)) {
            let mut bytes = bytes.clone();
            bytes[flipped / 8] ^= 1 << (flipped % 8);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.db");
            fs::write(&path, bytes).unwrap();
            flips += 1;
            seen += usize::from(try_out(&path, flipped));
        }
    }
    assert!(flips > 200 && seen > 40, "{seen} of {flips} were seen");
}
