//! The floor: what the machine gives without Millpond.
//!
//! Bare rusqlite with the rows, indexes and settings of the store, one thread, statements prepared once. It does
//! nothing that the figures do not need: no process row, no counters, no sidecar, no checks of names or sizes.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender};
use rusqlite::{CachedStatement, Connection, params};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::drive::failed;
use super::sides::{METADATA, Placed};

/// Tables and indexes as the store has them.
const SCHEMA: &str = "
CREATE TABLE stream (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, category INTEGER NOT NULL,
    version INTEGER NOT NULL) STRICT;
CREATE TABLE event (position INTEGER PRIMARY KEY, stream INTEGER NOT NULL, version INTEGER NOT NULL,
    category INTEGER NOT NULL, event_id BLOB NOT NULL UNIQUE, type TEXT NOT NULL, format INTEGER NOT NULL,
    schema INTEGER NOT NULL, crc INTEGER NOT NULL, recorded_at INTEGER NOT NULL, at TEXT, data ANY NOT NULL,
    metadata TEXT, UNIQUE (stream, version)) STRICT;
CREATE INDEX event_category ON event (category);
CREATE TABLE lock (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
    holder INTEGER NOT NULL, token INTEGER NOT NULL, process INTEGER NOT NULL, granted_at INTEGER NOT NULL,
    ttl INTEGER NOT NULL, waiting INTEGER NOT NULL) STRICT;
";

const SETTINGS: &str = "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 1000;";

const MAKE_STREAM: &str = "INSERT INTO stream (name, category, version) VALUES (?1, 1, 0)";
const MOVE_ON: &str = "UPDATE stream SET version = ?3 WHERE id = ?1 AND version = ?2";
const INSERT: &str =
    "INSERT INTO event (position, stream, version, category, event_id, type, format, schema, crc,
    recorded_at, at, data, metadata) VALUES (NULL, ?1, ?2, 1, ?3, 'Placed', 1, 1, ?4, ?5, NULL, ?6, ?7)";
const MAKE_LOCK: &str = "INSERT INTO lock (name, holder, token, process, granted_at, ttl, waiting)
    VALUES (?1, 0, 0, 0, 0, 0, 0)";
const TAKE: &str = "UPDATE lock SET holder = ?2, token = ?2, process = 1, granted_at = ?3, ttl = 60000
    WHERE id = ?1 AND holder = 0";
const RELEASE: &str = "UPDATE lock SET holder = 0 WHERE id = ?1 AND holder = ?2";

enum Request {
    Append { name: Arc<str>, stream: Option<i64>, version: u64, id: Uuid, crc: u32, data: String },
    Take { name: Arc<str>, lock: Option<i64> },
    Release { lock: i64, ticket: i64 },
}

enum Reply {
    Async(oneshot::Sender<(i64, i64)>),
    Blocking(Sender<(i64, i64)>),
}

/// The thread and the way to it.
pub(super) struct Floor {
    requests: Sender<(Request, Reply)>,
    _thread: JoinHandle<()>,
}

impl Floor {
    pub(super) fn open(file: &Path) -> millpond::Result<Floor> {
        let connection = Connection::open(file).map_err(|error| failed(&error))?;
        connection.execute_batch(&format!("{SETTINGS}{SCHEMA}")).map_err(|error| failed(&error))?;
        connection.set_prepared_statement_cache_capacity(64);
        let (requests, receiver) = crossbeam_channel::unbounded();
        let body = move || {
            if let Err(error) = serve(&connection, &receiver) {
                eprintln!("millpond: bench: the floor failed: {error}");
            }
        };
        let thread =
            std::thread::Builder::new().name("floor".into()).spawn(body).map_err(|error| failed(&error))?;
        Ok(Floor { requests, _thread: thread })
    }

    pub(super) fn stream(&self, name: String) -> Stream {
        Stream { requests: self.requests.clone(), name: name.into(), id: None, version: 0 }
    }

    pub(super) fn lock(&self, name: String) -> Lock {
        Lock { requests: self.requests.clone(), name: name.into(), id: None }
    }
}

/// Takes what has gathered into one transaction, commits, answers.
fn serve(connection: &Connection, requests: &Receiver<(Request, Reply)>) -> rusqlite::Result<()> {
    let prepare = |sql| connection.prepare_cached(sql);
    let (mut begin, mut commit) = (prepare("BEGIN IMMEDIATE")?, prepare("COMMIT")?);
    let mut statements = Statements {
        connection,
        tickets: 0,
        move_on: prepare(MOVE_ON)?,
        insert: prepare(INSERT)?,
        take: prepare(TAKE)?,
        release: prepare(RELEASE)?,
    };
    let mut answers = Vec::new();
    while let Ok(first) = requests.recv() {
        begin.execute([])?;
        let mut next = Some(first);
        while let Some((request, reply)) = next {
            answers.push((reply, statements.apply(request)?));
            next = requests.try_recv().ok();
        }
        commit.execute([])?;
        for (reply, answer) in answers.drain(..) {
            match reply {
                Reply::Async(sender) => drop(sender.send(answer)),
                Reply::Blocking(sender) => drop(sender.send(answer)),
            }
        }
    }
    Ok(())
}

struct Statements<'a> {
    connection: &'a Connection,
    tickets: i64,
    move_on: CachedStatement<'a>,
    insert: CachedStatement<'a>,
    take: CachedStatement<'a>,
    release: CachedStatement<'a>,
}

impl Statements<'_> {
    fn apply(&mut self, request: Request) -> rusqlite::Result<(i64, i64)> {
        match request {
            Request::Append { name, stream, version, id, crc, data } => {
                let stream = self.row(MAKE_STREAM, stream, &name)?;
                self.move_on.execute(params![stream, version, version + 1])?;
                let recorded_at = 1_700_000_000_000_i64;
                self.insert.execute(params![
                    stream,
                    version + 1,
                    id.as_bytes(),
                    crc,
                    recorded_at,
                    data,
                    METADATA
                ])?;
                Ok((stream, i64::try_from(version + 1).unwrap_or(i64::MAX)))
            }
            Request::Take { name, lock } => {
                let lock = self.row(MAKE_LOCK, lock, &name)?;
                self.tickets += 1;
                self.take.execute([lock, self.tickets, self.tickets])?;
                Ok((lock, self.tickets))
            }
            Request::Release { lock, ticket } => {
                self.release.execute([lock, ticket])?;
                Ok((lock, ticket))
            }
        }
    }

    fn row(&self, make: &str, id: Option<i64>, name: &str) -> rusqlite::Result<i64> {
        match id {
            Some(id) => Ok(id),
            None => self.connection.prepare_cached(make)?.insert([name]),
        }
    }
}

/// A caller's stream.
pub(super) struct Stream {
    requests: Sender<(Request, Reply)>,
    name: Arc<str>,
    id: Option<i64>,
    version: u64,
}

impl Stream {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    fn request(&self, placed: &Placed) -> millpond::Result<Request> {
        let data = serde_json::to_string(placed).map_err(|error| failed(&error))?;
        let (name, stream, version) = (Arc::clone(&self.name), self.id, self.version);
        Ok(Request::Append { name, stream, version, id: event_id(), crc: checksum(&data), data })
    }

    fn appended(&mut self, (id, _): (i64, i64)) {
        self.id = Some(id);
        self.version += 1;
    }

    pub(super) async fn append(&mut self, placed: &Placed) -> millpond::Result<()> {
        let answer = call(&self.requests, self.request(placed)?).await?;
        self.appended(answer);
        Ok(())
    }

    pub(super) fn append_blocking(&mut self, placed: &Placed) -> millpond::Result<()> {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        self.requests
            .send((self.request(placed)?, Reply::Blocking(sender)))
            .map_err(|error| failed(&error))?;
        let answer = receiver.recv().map_err(|error| failed(&error))?;
        self.appended(answer);
        Ok(())
    }
}

/// A caller's lock.
pub(super) struct Lock {
    requests: Sender<(Request, Reply)>,
    name: Arc<str>,
    id: Option<i64>,
}

impl Lock {
    /// Takes it and releases it.
    pub(super) async fn cycle(&mut self) -> millpond::Result<()> {
        let take = Request::Take { name: Arc::clone(&self.name), lock: self.id };
        let (lock, ticket) = call(&self.requests, take).await?;
        self.id = Some(lock);
        call(&self.requests, Request::Release { lock, ticket }).await.map(drop)
    }
}

async fn call(requests: &Sender<(Request, Reply)>, request: Request) -> millpond::Result<(i64, i64)> {
    let (sender, receiver) = oneshot::channel();
    requests.send((request, Reply::Async(sender))).map_err(|error| failed(&error))?;
    receiver.await.map_err(|error| failed(&error))
}

#[allow(clippy::disallowed_methods, reason = "the floor has no seams")]
fn event_id() -> Uuid {
    Uuid::now_v7()
}

/// A checksum of the row, as the store's rows have one.
fn checksum(data: &str) -> u32 {
    data.bytes().fold(0, |sum: u32, byte| sum.rotate_left(5) ^ u32::from(byte))
}
