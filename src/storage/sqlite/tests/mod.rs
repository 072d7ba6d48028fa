//! What is SQLite's own: files, the sidecar, damage. What every database owes is tested in `storage/contract`.

mod blob;
mod blob_check;
mod check;
mod damage;
mod dict;
mod feeds;
mod indexes;
mod lock;
mod opening;
mod process;
mod queue;
mod schedule;
mod sql;
mod stream;
mod subject;
mod turn;

use std::path::PathBuf;

use millpond_actors::error::{Expected, Result};
use millpond_actors::name::Name;
use millpond_actors::storage::Data;
use millpond_actors::storage::lock::{Acquire, Acquired, Grant};
use millpond_actors::storage::stream::{Append, Appended, Filter, NewEvent, Query, Scope};
use millpond_actors::storage::{Backend, Identity, Moment, Session, Standing, Target, feed};
use uuid::Uuid;

use super::session::SqliteSession;
use super::{Options, Sqlite};
use crate::location::Durability;

/// A directory that goes with the test, and a store in it.
pub(super) struct Fixture {
    pub(super) directory: tempfile::TempDir,
    pub(super) backend: Sqlite,
}

impl Fixture {
    pub(super) fn new() -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let backend = Sqlite::open(&directory.path().join("a.db"), Options::default()).unwrap();
        Fixture { directory, backend }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join("a.db")
    }

    pub(super) fn join(&self, at: u64) -> Box<dyn Session> {
        self.backend.join(&identity(), &|| moment(at)).unwrap()
    }

    /// As its own type, and with another durability.
    pub(super) fn join_with(&self, durability: Durability) -> SqliteSession {
        let options = Options { durability, ..Options::default() };
        SqliteSession::join(self.backend.place.clone(), options, &identity(), &|| moment(0)).unwrap()
    }

    /// A connection that knows nothing of Millpond.
    pub(super) fn plain(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }

    pub(super) fn one<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        self.plain().query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

pub(super) fn identity() -> Identity {
    Identity { pid: 4711, host: "here".into(), program: "test".into(), boot: "boot-1".into() }
}

/// Seconds after some start, on both clocks.
pub(super) fn moment(seconds: u64) -> Moment {
    Moment { boot_ms: 1_000_000 + seconds * 1_000, wall_ms: 1_700_000_000_000 + seconds as i64 * 1_000 }
}

pub(super) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(super) fn target(text: &str) -> Target {
    Target { name: name(text), id: None }
}

/// One group: begin, the work, commit.
pub(super) fn group<T>(
    session: &mut dyn Session,
    at: u64,
    number: u64,
    work: impl FnOnce(&mut dyn Session) -> Result<T>,
) -> (Standing, T) {
    assert!(session.take_turn(false).unwrap(), "somebody else has the turn");
    let standing = session.begin(moment(at)).unwrap();
    let done = work(session).unwrap();
    session.commit(number).unwrap();
    session.leave_turn();
    (standing, done)
}

pub(super) fn event(id: u128, json: &str) -> NewEvent {
    NewEvent {
        id: Uuid::from_u128(id),
        event_type: "Happened".into(),
        data: Data::Json(json.into()),
        schema: 1,
        at: Some("2011-10-11T13:45:40.276+02:00".into()),
        metadata: None,
        origin: None,
    }
}

pub(super) fn append(stream: &str, expected: Expected, events: Vec<NewEvent>) -> Append {
    Append { stream: target(stream), expected, events, known_ids: true, fence: None }
}

/// Appends in a group of its own.
pub(super) fn appended(session: &mut dyn Session, at: u64, append: &Append) -> Appended {
    group(session, at, 1, |session| session.stream_append(append)).1
}

pub(super) fn all() -> Query {
    Query {
        scope: Scope::All,
        backward: false,
        from: 0,
        to: u64::MAX,
        filter: Filter::default(),
        limit: 1_000,
    }
}

pub(super) fn acquire(lock: &str, ttl_seconds: u64, wait: bool) -> Acquire {
    Acquire { lock: target(lock), capacity: 1, weight: 1, ttl_ms: ttl_seconds * 1_000, wait }
}

/// Acquires in a group of its own and must get the lock.
pub(super) fn granted(session: &mut dyn Session, at: u64, wanted: &Acquire) -> Grant {
    match group(session, at, 1, |session| session.lock_acquire(wanted)).1 {
        Acquired::Granted(grant) => grant,
        other => panic!("{other:?}"),
    }
}

/// Acquires in a group of its own and must wait; gives lock and ticket.
pub(super) fn waiting(session: &mut dyn Session, at: u64, wanted: &Acquire) -> (u64, u64) {
    match group(session, at, 1, |session| session.lock_acquire(wanted)).1 {
        Acquired::Waiting { lock, ticket } => (lock, ticket),
        other => panic!("{other:?}"),
    }
}

/// A record of a log.
pub(super) fn message(log: &str) -> feed::Append {
    let data = Data::Json(r#"{"needle":1}"#.into());
    let message = feed::NewMessage { data, schema: 1, key: Some("key".into()), at: None };
    feed::Append { kind: feed::Kind::Log, feed: target(log), messages: vec![message], fence: None }
}
