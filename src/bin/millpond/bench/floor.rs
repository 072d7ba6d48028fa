//! The floor: what the machine gives without Millpond.
//!
//! Bare rusqlite with the rows, indexes and settings of the store, one thread, statements prepared once. It does
//! nothing that the figures do not need: no process row, no counters, no sidecar, no checks of names or sizes.

use std::collections::HashMap;
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
    version INTEGER NOT NULL, erased INTEGER NOT NULL, closed INTEGER NOT NULL) STRICT;
CREATE TABLE event (position INTEGER PRIMARY KEY, stream INTEGER NOT NULL, version INTEGER NOT NULL,
    category INTEGER NOT NULL, event_id BLOB NOT NULL UNIQUE, type TEXT NOT NULL, format INTEGER NOT NULL,
    schema INTEGER NOT NULL, crc INTEGER NOT NULL, recorded_at INTEGER NOT NULL, at TEXT, data ANY NOT NULL,
    metadata TEXT, correlation BLOB, causation BLOB, actor TEXT, tenant TEXT, UNIQUE (stream, version)) STRICT;
CREATE INDEX event_category ON event (category);
CREATE INDEX event_tenant ON event (tenant) WHERE tenant IS NOT NULL;
CREATE TABLE lock (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
    holder INTEGER NOT NULL, token INTEGER NOT NULL, process INTEGER NOT NULL, granted_at INTEGER NOT NULL,
    ttl INTEGER NOT NULL, waiting INTEGER NOT NULL) STRICT;
CREATE TABLE queue (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, sequence INTEGER NOT NULL) STRICT;
CREATE TABLE job (queue INTEGER NOT NULL, sequence INTEGER NOT NULL, state INTEGER NOT NULL,
    priority INTEGER NOT NULL, attempts INTEGER NOT NULL, max_attempts INTEGER NOT NULL, key TEXT,
    pushed_at INTEGER NOT NULL, due INTEGER, due_boot INTEGER, token INTEGER NOT NULL, process INTEGER NOT NULL,
    granted_at INTEGER NOT NULL, ttl INTEGER NOT NULL, ended_at INTEGER, reason TEXT, schema INTEGER NOT NULL,
    format INTEGER NOT NULL, crc INTEGER NOT NULL, data ANY NOT NULL, correlation BLOB, causation BLOB, actor TEXT,
    tenant TEXT, PRIMARY KEY (queue, sequence)) STRICT, WITHOUT ROWID;
CREATE INDEX job_ready ON job (queue, priority, sequence) WHERE state = 0;
CREATE INDEX job_delayed ON job (queue, due_boot) WHERE state = 1 AND due_boot IS NOT NULL;
CREATE INDEX job_timed ON job (queue, due) WHERE state = 1 AND due_boot IS NULL;
CREATE INDEX job_claimed ON job (process, ttl) WHERE state = 2;
CREATE INDEX job_dead ON job (queue, sequence) WHERE state = 3;
CREATE INDEX job_done ON job (queue, ended_at) WHERE state = 4;
CREATE INDEX job_of_key ON job (queue, key, state) WHERE key IS NOT NULL;
CREATE TABLE feed (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, first INTEGER NOT NULL,
    last INTEGER NOT NULL, bytes INTEGER NOT NULL, recorded_at INTEGER NOT NULL) STRICT;
CREATE TABLE message (feed INTEGER NOT NULL, sequence INTEGER NOT NULL, recorded_at INTEGER NOT NULL, at TEXT,
    key TEXT, format INTEGER NOT NULL, schema INTEGER NOT NULL, crc INTEGER NOT NULL, data ANY NOT NULL,
    PRIMARY KEY (feed, sequence)) STRICT, WITHOUT ROWID;
";

const SETTINGS: &str = "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 1000;";

const MAKE_STREAM: &str =
    "INSERT INTO stream (name, category, version, erased, closed) VALUES (?1, 1, 0, 0, 0)";
const MOVE_ON: &str = "UPDATE stream SET version = ?3 WHERE id = ?1 AND version = ?2";
const INSERT: &str =
    "INSERT INTO event (position, stream, version, category, event_id, type, format, schema, crc,
    recorded_at, at, data, metadata) VALUES (NULL, ?1, ?2, 1, ?3, 'Placed', 1, 1, ?4, ?5, NULL, ?6, ?7)";
const MAKE_LOCK: &str = "INSERT INTO lock (name, holder, token, process, granted_at, ttl, waiting)
    VALUES (?1, 0, 0, 0, 0, 0, 0)";
const TAKE: &str = "UPDATE lock SET holder = ?2, token = ?2, process = 1, granted_at = ?3, ttl = 60000
    WHERE id = ?1 AND holder = 0";
const RELEASE: &str = "UPDATE lock SET holder = 0 WHERE id = ?1 AND holder = ?2";

const MAKE_QUEUE: &str = "INSERT INTO queue (name, sequence) VALUES (?1, 0)";
const COUNT_JOB: &str = "UPDATE queue SET sequence = sequence + 1 WHERE id = ?1 RETURNING sequence";
const PUSH: &str =
    "INSERT INTO job (queue, sequence, state, priority, attempts, max_attempts, key, pushed_at, due,
    due_boot, token, process, granted_at, ttl, ended_at, reason, schema, format, crc, data)
    VALUES (?1, ?2, 0, 0, 0, 20, NULL, 1700000000000, NULL, NULL, 0, 0, 0, 0, NULL, NULL, 1, 1, ?3, ?4)";
const FIRST: &str = "SELECT sequence FROM job INDEXED BY job_ready WHERE queue = ?1 AND state = 0
    ORDER BY priority, sequence LIMIT 1";
const CLAIM: &str =
    "UPDATE job SET state = 2, attempts = attempts + 1, token = ?3, process = 1, granted_at = ?3,
    ttl = 30000 WHERE queue = ?1 AND sequence = ?2 RETURNING data";
const DONE: &str = "DELETE FROM job WHERE queue = ?1 AND sequence = ?2 AND token = ?3";
const MAKE_FEED: &str = "INSERT INTO feed (name, first, last, bytes, recorded_at) VALUES (?1, 1, 0, 0, 0)";
const GROW: &str = "UPDATE feed SET last = last + 1, bytes = bytes + ?2, recorded_at = 1700000000000
    WHERE id = ?1 RETURNING last";
const PUBLISH: &str = "INSERT INTO message (feed, sequence, recorded_at, at, key, format, schema, crc, data)
    VALUES (?1, ?2, 1700000000000, NULL, NULL, 1, 1, ?3, ?4)";

enum Request {
    Append { name: Arc<str>, stream: Option<i64>, version: u64, id: Uuid, crc: u32, data: String },
    Take { name: Arc<str>, lock: Option<i64> },
    Release { lock: i64, ticket: i64 },
    Push { name: Arc<str>, queue: Option<i64>, crc: u32, data: String },
    Claim { queue: i64 },
    PushAndClaim { name: Arc<str>, queue: Option<i64>, crc: u32, data: String },
    Done { queue: i64, sequence: i64, token: i64 },
    Publish { name: Arc<str>, feed: Option<i64>, crc: u32, data: String },
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

    pub(super) fn queue(&self, name: String) -> Queue {
        Queue { requests: self.requests.clone(), name: name.into(), id: None }
    }

    pub(super) fn feed(&self, name: String) -> Feed {
        Feed { requests: self.requests.clone(), name: name.into(), id: None }
    }
}

/// Takes what has gathered into one transaction, commits, answers.
fn serve(connection: &Connection, requests: &Receiver<(Request, Reply)>) -> rusqlite::Result<()> {
    let prepare = |sql| connection.prepare_cached(sql);
    let (mut begin, mut commit) = (prepare("BEGIN IMMEDIATE")?, prepare("COMMIT")?);
    let mut statements = Statements {
        connection,
        tickets: 0,
        rows: HashMap::new(),
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
    /// Of what several callers use, by name.
    rows: HashMap<String, i64>,
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
            Request::Push { name, queue, crc, data } => self.push(&name, queue, crc, &data),
            Request::Claim { queue } => self.claim(queue),
            Request::PushAndClaim { name, queue, crc, data } => {
                let pushed = self.push(&name, queue, crc, &data)?;
                self.claim(pushed.0)?;
                Ok(pushed)
            }
            Request::Done { queue, sequence, token } => {
                self.connection.prepare_cached(DONE)?.execute([queue, sequence, token])?;
                Ok((queue, sequence))
            }
            Request::Publish { name, feed, crc, data } => {
                let feed = self.known(MAKE_FEED, feed, &name)?;
                let sequence = self.one(GROW, params![feed, data.len() as i64])?;
                self.connection.prepare_cached(PUBLISH)?.execute(params![feed, sequence, crc, data])?;
                Ok((feed, sequence))
            }
        }
    }

    fn push(&mut self, name: &str, queue: Option<i64>, crc: u32, data: &str) -> rusqlite::Result<(i64, i64)> {
        let queue = self.known(MAKE_QUEUE, queue, name)?;
        let sequence = self.one(COUNT_JOB, [queue])?;
        self.connection.prepare_cached(PUSH)?.execute(params![queue, sequence, crc, data])?;
        Ok((queue, sequence))
    }

    fn claim(&mut self, queue: i64) -> rusqlite::Result<(i64, i64)> {
        let sequence = self.one(FIRST, [queue])?;
        self.tickets += 1;
        let mut claim = self.connection.prepare_cached(CLAIM)?;
        let data: String = claim.query_row([queue, sequence, self.tickets], |row| row.get(0))?;
        drop(data);
        Ok((sequence, self.tickets))
    }

    /// The row of what all callers use: only the first of them makes it.
    fn known(&mut self, make: &str, id: Option<i64>, name: &str) -> rusqlite::Result<i64> {
        if let Some(id) = id.or_else(|| self.rows.get(name).copied()) {
            return Ok(id);
        }
        let id = self.row(make, None, name)?;
        self.rows.insert(name.to_owned(), id);
        Ok(id)
    }

    fn one(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<i64> {
        self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))
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
        let answer = wait(&self.requests, self.request(placed)?)?;
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

/// A queue, as one caller knows it.
pub(super) struct Queue {
    requests: Sender<(Request, Reply)>,
    name: Arc<str>,
    id: Option<i64>,
}

impl Queue {
    fn request(&self, placed: &Placed) -> millpond::Result<Request> {
        let data = serde_json::to_string(placed).map_err(|error| failed(&error))?;
        let (name, queue) = (Arc::clone(&self.name), self.id);
        Ok(Request::Push { name, queue, crc: checksum(&data), data })
    }

    pub(super) async fn push(&mut self, placed: &Placed) -> millpond::Result<()> {
        let (id, _) = call(&self.requests, self.request(placed)?).await?;
        self.id = Some(id);
        Ok(())
    }

    /// Pushes for somebody who waits for a job, who has it by the same commit.
    pub(super) async fn push_and_claim(&mut self, placed: &Placed) -> millpond::Result<()> {
        let Request::Push { name, queue, crc, data } = self.request(placed)? else { return Ok(()) };
        let (id, _) = call(&self.requests, Request::PushAndClaim { name, queue, crc, data }).await?;
        self.id = Some(id);
        Ok(())
    }

    pub(super) fn push_blocking(&mut self, placed: &Placed) -> millpond::Result<()> {
        let (id, _) = wait(&self.requests, self.request(placed)?)?;
        self.id = Some(id);
        Ok(())
    }

    /// Claims a job and has it done.
    pub(super) async fn work(&self) -> millpond::Result<()> {
        let queue = self.id.unwrap_or(0);
        let (sequence, token) = call(&self.requests, Request::Claim { queue }).await?;
        call(&self.requests, Request::Done { queue, sequence, token }).await.map(drop)
    }
}

/// A feed, as one caller knows it.
pub(super) struct Feed {
    requests: Sender<(Request, Reply)>,
    name: Arc<str>,
    id: Option<i64>,
}

impl Feed {
    pub(super) async fn publish(&mut self, placed: &Placed) -> millpond::Result<()> {
        let data = serde_json::to_string(placed).map_err(|error| failed(&error))?;
        let (name, feed) = (Arc::clone(&self.name), self.id);
        let publish = Request::Publish { name, feed, crc: checksum(&data), data };
        let (id, _) = call(&self.requests, publish).await?;
        self.id = Some(id);
        Ok(())
    }
}

fn wait(requests: &Sender<(Request, Reply)>, request: Request) -> millpond::Result<(i64, i64)> {
    let (sender, receiver) = crossbeam_channel::bounded(1);
    requests.send((request, Reply::Blocking(sender))).map_err(|error| failed(&error))?;
    receiver.recv().map_err(|error| failed(&error))
}

async fn call(requests: &Sender<(Request, Reply)>, request: Request) -> millpond::Result<(i64, i64)> {
    let (sender, receiver) = oneshot::channel();
    requests.send((request, Reply::Async(sender))).map_err(|error| failed(&error))?;
    receiver.await.map_err(|error| failed(&error))
}

#[allow(clippy::disallowed_methods, reason = "the floor has no seams")]
pub(super) fn event_id() -> Uuid {
    Uuid::now_v7()
}

/// A checksum of the row, as the store's rows have one.
pub(super) fn checksum(data: &str) -> u32 {
    data.bytes().fold(0, |sum: u32, byte| sum.rotate_left(5) ^ u32::from(byte))
}
