//! The floor on a server: what it gives without Millpond.
//!
//! Bare tokio-postgres with the rows and indexes of the store, one connection and one thread. It takes what has gathered in a
//! channel and sends all of it as one transaction without waiting in between, a statement a table however many the rows are: one
//! way there and one back. It answers after the commit. It does nothing that the figures do not need: no turn among processes, no
//! row of its own, nothing that is looked for, no checks.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::super::drive::failed;
use super::super::floor::{checksum, event_id};
use super::super::sides::{METADATA, Placed};
use super::Line;
use crate::time::Stopwatch;

/// Tables and indexes as the store has them, and the counter of positions.
const SCHEMA: &str = r#"
CREATE TABLE counter (id bigint PRIMARY KEY, position bigint NOT NULL) WITH (fillfactor = 10);
INSERT INTO counter VALUES (1, 0);
CREATE TABLE stream (id bigint PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE, version bigint NOT NULL,
    erased bigint NOT NULL, closed bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE event (position bigint PRIMARY KEY, stream bigint NOT NULL, version bigint NOT NULL,
    category text COLLATE "C" NOT NULL, event_id uuid NOT NULL UNIQUE, type text COLLATE "C" NOT NULL, format bigint NOT NULL,
    schema bigint NOT NULL, crc bigint NOT NULL, recorded_at bigint NOT NULL, at text COLLATE "C", data text COLLATE "C",
    bytes bytea, metadata text COLLATE "C", correlation uuid, causation uuid, actor text COLLATE "C", tenant text COLLATE "C",
    UNIQUE (stream, version));
CREATE INDEX event_by_category ON event (category, position);
"#;

/// So many positions are taken.
const COUNT: &str = "UPDATE counter SET position = position + $1 WHERE id = 1 RETURNING position";

/// The positions of this group are the last that were taken.
const INSERT: &str = "INSERT INTO event
    (position, stream, version, category, event_id, type, format, schema, crc, recorded_at, data, metadata)
    SELECT c.position - $1 + e.place, e.stream, e.version, 'order', e.id, 'Placed', 1, 1, e.crc, 1700000000000, e.data, e.metadata
    FROM counter c, unnest($2::bigint[], $3::bigint[], $4::uuid[], $5::bigint[], $6::text[], $7::text[]) WITH ORDINALITY
        AS e (stream, version, id, crc, data, metadata, place)
    WHERE c.id = 1";

const MOVE_ON: &str = "INSERT INTO stream (id, name, version, erased, closed)
    SELECT s.id, s.name, s.version, 0, 0 FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS s (id, name, version)
    ON CONFLICT (id) DO UPDATE SET version = excluded.version";

/// How long a group waits for callers who were answered a moment ago, if it is smaller than the one before: without that it falls
/// apart into a small one and a large one, and a floor has to be a good one.
const RETURN: Duration = Duration::from_micros(100);

/// A group is full with so many, as ours is.
const MOST: usize = 10_000;

/// An event, and who waits for it.
struct Request {
    name: Arc<str>,
    stream: Option<i64>,
    version: i64,
    id: Uuid,
    crc: i64,
    data: String,
    reply: oneshot::Sender<i64>,
}

/// The thread and the way to it.
pub(super) struct Floor {
    requests: UnboundedSender<Request>,
    _thread: JoinHandle<()>,
}

impl Floor {
    pub(super) fn open(url: &str) -> millpond::Result<Floor> {
        let line = Line::open(url)?;
        let schema = &line.schema;
        let make = format!("CREATE SCHEMA {schema}; SET search_path TO {schema}; {SCHEMA}");
        line.wait(async |client| client.batch_execute(&make).await)?;
        let (requests, receiver) = unbounded_channel();
        let body = move || {
            if let Err(error) = line.wait(async |client| serve(client, receiver).await) {
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
}

/// Takes what has gathered into one transaction, commits, answers.
async fn serve(
    client: &Client,
    mut requests: UnboundedReceiver<Request>,
) -> Result<(), tokio_postgres::Error> {
    let mut statements = Vec::new();
    for sql in [COUNT, INSERT, MOVE_ON, "BEGIN", "COMMIT"] {
        statements.push(client.prepare(sql).await?);
    }
    let [count, insert, move_on, begin, commit] = statements.as_slice() else { return Ok(()) };
    let (mut streams, mut likely) = (HashMap::new(), 0);
    while let Some(first) = requests.recv().await {
        let mut group = vec![first];
        gather(&mut requests, &mut group, likely);
        let columns = Columns::of(&group, &mut streams);
        let Columns { ids, names, versions, event_ids, crcs, data, metadata } = &columns;
        let size = i64::try_from(group.len()).unwrap_or(i64::MAX);
        let steps: [(&Statement, Vec<&(dyn ToSql + Sync)>); 5] = [
            (begin, vec![]),
            (count, vec![&size]),
            (insert, vec![&size, ids, versions, event_ids, crcs, data, metadata]),
            (move_on, vec![ids, names, versions]),
            (commit, vec![]),
        ];
        // All are sent when they are polled for the first time, one behind the other.
        let sent =
            steps.iter().map(|(statement, values)| async move { client.query(*statement, values).await });
        for answer in join_all(sent).await {
            answer?;
        }
        let ids = columns.ids;
        likely = group.len() + requests.len();
        for (request, id) in group.into_iter().zip(ids) {
            let _ = request.reply.send(id);
        }
    }
    Ok(())
}

fn gather(requests: &mut UnboundedReceiver<Request>, group: &mut Vec<Request>, likely: usize) {
    let mut waits: Option<Stopwatch> = None;
    while group.len() < MOST {
        match requests.try_recv() {
            Ok(request) => {
                group.push(request);
                waits = None;
            }
            Err(_) if group.len() >= likely => break,
            Err(_) if waits.get_or_insert_with(Stopwatch::start).elapsed() >= RETURN => break,
            Err(_) => std::thread::yield_now(),
        }
    }
}

/// A group as the server gets it, column by column.
struct Columns<'a> {
    ids: Vec<i64>,
    names: Vec<&'a str>,
    versions: Vec<i64>,
    event_ids: Vec<Uuid>,
    crcs: Vec<i64>,
    data: Vec<&'a str>,
    metadata: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn of(group: &'a [Request], streams: &mut HashMap<Arc<str>, i64>) -> Columns<'a> {
        let mut id_of = |request: &Request| {
            request.stream.unwrap_or_else(|| {
                let next = streams.len() as i64 + 1;
                *streams.entry(Arc::clone(&request.name)).or_insert(next)
            })
        };
        Columns {
            ids: group.iter().map(&mut id_of).collect(),
            names: group.iter().map(|request| &*request.name).collect(),
            versions: group.iter().map(|request| request.version).collect(),
            event_ids: group.iter().map(|request| request.id).collect(),
            crcs: group.iter().map(|request| request.crc).collect(),
            data: group.iter().map(|request| &*request.data).collect(),
            metadata: group.iter().map(|_| METADATA).collect(),
        }
    }
}

/// A caller's stream.
pub(super) struct Stream {
    requests: UnboundedSender<Request>,
    name: Arc<str>,
    id: Option<i64>,
    version: u64,
}

impl Stream {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) async fn append(&mut self, placed: &Placed) -> millpond::Result<()> {
        let data = serde_json::to_string(placed).map_err(|error| failed(&error))?;
        let (reply, answer) = oneshot::channel();
        let request = Request {
            name: Arc::clone(&self.name),
            stream: self.id,
            version: self.version as i64 + 1,
            id: event_id(),
            crc: checksum(&data).into(),
            data,
            reply,
        };
        self.requests.send(request).map_err(|error| failed(&error))?;
        self.id = Some(answer.await.map_err(|error| failed(&error))?);
        self.version += 1;
        Ok(())
    }
}
