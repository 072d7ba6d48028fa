//! What is wrong with a store beside what its records say of themselves: SQLite's own check, and whether rows that belong together
//! agree. Each question is a statement of its own, so a snapshot of its own: others go on meanwhile, and are no finding.

use millpond_actors::error::{Error, Result};
use rusqlite::{Connection, Row};

use super::error::{corrupt, database};
use super::snapshot;

/// How many of its findings SQLite tells; what is so damaged has more.
const STRUCTURE: &str = "PRAGMA integrity_check(100)";

/// What should never be: of which kind, and a statement that finds name, number, and what is wrong.
const RULES: [(&str, &str); 37] = [
    (
        "stream",
        "SELECT s.name, s.version, 'its version is ' || s.version || ', and it has ' || count(e.version) || ' events'
        FROM stream s LEFT JOIN event e ON e.stream = s.id GROUP BY s.id
        HAVING count(e.version) <> s.version OR ifnull(max(e.version), 0) <> s.version",
    ),
    (
        "stream",
        "SELECT s.name, s.version, 'it is in another category than its name says' FROM stream s
        LEFT JOIN category c ON c.id = s.category
        WHERE c.name IS NOT iif(instr(s.name, '-') = 0, s.name, substr(s.name, 1, instr(s.name, '-') - 1))",
    ),
    (
        "stream",
        "SELECT name, erased, 'it is erased up to there, and has fewer events' FROM stream WHERE erased > version",
    ),
    (
        "event",
        "SELECT s.name, e.version, 'it is in another category than its stream' FROM event e
        JOIN stream s ON s.id = e.stream WHERE e.category <> s.category",
    ),
    (
        "event",
        "SELECT '?', e.position, 'its stream is not there' FROM event e
        WHERE NOT EXISTS (SELECT 1 FROM stream s WHERE s.id = e.stream)",
    ),
    (
        "event",
        "SELECT '?', position, 'it was recorded before the one before it' FROM (SELECT position,
            recorded_at < lag(recorded_at) OVER (ORDER BY position) AS back FROM event) WHERE back",
    ),
    (
        "store",
        "SELECT 'position', s.counted, 'so many events were counted, the last one is ' || s.last FROM (SELECT
            max((SELECT position FROM store), ifnull((SELECT max(position) FROM process), 0)) AS counted,
            ifnull((SELECT max(position) FROM event), 0) AS last) s WHERE s.last < s.counted",
    ),
    (
        "store",
        "SELECT 'token', given, 'it was given, the last one counted is ' || counted FROM (SELECT
            max((SELECT token FROM store), ifnull((SELECT max(token) FROM process), 0)) AS counted,
            max(ifnull((SELECT max(max(token, holder)) FROM lock), 0), ifnull((SELECT max(token) FROM share), 0),
                ifnull((SELECT max(ticket) FROM ticket), 0), ifnull((SELECT max(token) FROM job), 0),
                ifnull((SELECT max(revision) FROM schedule), 0),
                ifnull((SELECT max(content) FROM blob), 0), ifnull((SELECT max(id) FROM blob_content), 0),
                ifnull((SELECT max(revision) FROM projection), 0)) AS given) WHERE given > counted",
    ),
    (
        "snapshot",
        "SELECT '?', n.version, 'its stream is not there' FROM snapshot n
        WHERE NOT EXISTS (SELECT 1 FROM stream s WHERE s.id = n.stream)",
    ),
    (
        "log",
        "SELECT f.name, f.last, 'it should hold ' || (f.last + 1 - f.first) || ' records up to there, and holds '
            || count(m.sequence) FROM feed f LEFT JOIN message m ON m.feed = f.id WHERE f.kind = 1 GROUP BY f.id
        HAVING count(m.sequence) <> f.last + 1 - f.first OR ifnull(max(m.sequence), f.last) <> f.last",
    ),
    (
        "channel",
        "SELECT f.name, f.last, 'it should hold ' || (f.last + 1 - f.first) || ' messages up to there, and holds '
            || count(m.sequence) FROM feed f LEFT JOIN message m ON m.feed = f.id WHERE f.kind = 2 GROUP BY f.id
        HAVING count(m.sequence) <> f.last + 1 - f.first OR ifnull(max(m.sequence), f.last) <> f.last",
    ),
    (
        "feed",
        "SELECT f.name, 0, 'it should hold ' || f.bytes || ' bytes, and holds ' || ifnull(sum(octet_length(m.data)), 0)
        FROM feed f LEFT JOIN message m ON m.feed = f.id GROUP BY f.id
        HAVING ifnull(sum(octet_length(m.data)), 0) <> f.bytes",
    ),
    (
        "message",
        "SELECT DISTINCT '?', m.sequence, 'its log or channel is not there' FROM message m
        WHERE NOT EXISTS (SELECT 1 FROM feed f WHERE f.id = m.feed)",
    ),
    (
        "subscription",
        "SELECT u.name, u.cursor, 'its log or channel is not there' FROM subscription u
        WHERE NOT EXISTS (SELECT 1 FROM feed f WHERE f.id = u.feed)",
    ),
    (
        "subscription",
        "SELECT a.subscription, a.first, 'what was acknowledged there stands where it cannot' FROM acknowledged a
        LEFT JOIN subscription u ON u.feed = a.feed AND u.name = a.subscription
        WHERE u.name IS NULL OR a.first <= u.cursor OR a.last < a.first",
    ),
    (
        "subscription",
        "SELECT subscription, first, 'what was acknowledged there comes twice' FROM (SELECT subscription, first,
            first <= lag(last) OVER (PARTITION BY feed, subscription ORDER BY first) AS twice FROM acknowledged)
        WHERE twice",
    ),
    (
        "queue",
        "SELECT q.name, max(j.sequence), 'it has this job, and has given numbers up to ' || q.sequence
        FROM queue q JOIN job j ON j.queue = q.id GROUP BY q.id HAVING max(j.sequence) > q.sequence",
    ),
    (
        "job",
        "SELECT '?', j.sequence, 'its queue is not there' FROM job j
        WHERE NOT EXISTS (SELECT 1 FROM queue q WHERE q.id = j.queue)",
    ),
    (
        "job",
        "SELECT q.name, j.sequence, 'it is in no state that there is' FROM job j JOIN queue q ON q.id = j.queue
        WHERE j.state NOT BETWEEN 0 AND 4 OR (j.state = 1) <> (j.due IS NOT NULL)
            OR (j.state > 2) <> (j.ended_at IS NOT NULL)",
    ),
    (
        "job",
        "SELECT q.name, max(j.sequence), 'another one has its key, \"' || j.key || '\"' FROM job j
        JOIN queue q ON q.id = j.queue WHERE j.key IS NOT NULL AND j.state < 3 GROUP BY j.queue, j.key
        HAVING count(*) > 1",
    ),
    (
        "schedule",
        "SELECT s.name, 0, 'its queue is not there' FROM schedule s
        WHERE NOT EXISTS (SELECT 1 FROM queue q WHERE q.id = s.queue)",
    ),
    (
        "dict",
        "SELECT d.name, max(e.version), 'an entry has this version, and it has had ' || d.version || ' changes'
        FROM dict d JOIN dict_entry e ON e.dict = d.id GROUP BY d.id HAVING max(e.version) > d.version",
    ),
    (
        "entry of dict",
        "SELECT '?', e.version, 'its dict is not there' FROM dict_entry e
        WHERE NOT EXISTS (SELECT 1 FROM dict d WHERE d.id = e.dict)",
    ),
    (
        "list",
        "SELECT l.name, l.version, 'it has ' || l.count || ' items in its order, and ' || count(i.version) || ' that are there'
        FROM list l LEFT JOIN list_item i ON i.list = l.id GROUP BY l.id HAVING count(i.version) <> l.count",
    ),
    (
        "list",
        "SELECT l.name, max(i.version), 'an item has this version, and it has had ' || l.version || ' changes'
        FROM list l JOIN list_item i ON i.list = l.id GROUP BY l.id HAVING max(i.version) > l.version",
    ),
    (
        "item of list",
        "SELECT '?', i.version, 'its list is not there' FROM list_item i
        WHERE NOT EXISTS (SELECT 1 FROM list l WHERE l.id = i.list)",
    ),
    (
        "order of list",
        "SELECT ifnull(l.name, '?'), n.node, 'it is of no list, or beyond those that were made' FROM list_node n
        LEFT JOIN list l ON l.id = n.list WHERE l.id IS NULL OR n.node > l.last_node",
    ),
    (
        "blobs",
        "SELECT b.name, b.version, 'they should be ' || b.count || ', of ' || b.bytes || ' bytes, and are '
            || count(o.key) || ', of ' || ifnull(sum(o.size), 0) FROM blobs b LEFT JOIN blob o ON o.blobs = b.id
        GROUP BY b.id HAVING count(o.key) <> b.count OR ifnull(sum(o.size), 0) <> b.bytes",
    ),
    (
        "blobs",
        "SELECT b.name, max(o.version), 'one of them has this version, and they have had ' || b.version || ' changes'
        FROM blobs b JOIN blob o ON o.blobs = b.id GROUP BY b.id HAVING max(o.version) > b.version",
    ),
    (
        "blob",
        "SELECT '?', o.version, 'its blobs are not there' FROM blob o
        WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE b.id = o.blobs)",
    ),
    (
        "blob",
        "SELECT ifnull(b.name, '?'), max(o.version), 'key \"' || o.key || '\": another one has its content'
        FROM blob o LEFT JOIN blobs b ON b.id = o.blobs GROUP BY o.content HAVING count(*) > 1",
    ),
    (
        "blob",
        "SELECT ifnull(b.name, '?'), o.version, 'key \"' || o.key || '\": its content is written, or is to be swept'
        FROM blob o JOIN blob_content c ON c.id = o.content LEFT JOIN blobs b ON b.id = o.blobs",
    ),
    (
        "chunk of blobs",
        "SELECT ifnull(b.name, '?'), k.sequence, 'key \"' || o.key || '\": it has ' || o.size || ' bytes, and none there'
        FROM blob o JOIN blob_chunk k
            ON k.content = o.content AND k.sequence >= (o.size + max(o.chunk, 1) - 1) / max(o.chunk, 1)
        LEFT JOIN blobs b ON b.id = o.blobs",
    ),
    (
        "content of blobs",
        "SELECT '?', c.id, 'it should have ' || (c.chunks - c.first) || ' chunks up to ' || c.chunks || ', and has '
            || count(k.sequence) FROM blob_content c LEFT JOIN blob_chunk k ON k.content = c.id GROUP BY c.id
        HAVING count(k.sequence) <> c.chunks - c.first OR ifnull(max(k.sequence) + 1, c.chunks) <> c.chunks",
    ),
    (
        "chunk of blobs",
        "SELECT '?', content, 'no blob has its content, and it is not to be swept' FROM blob_chunk
        WHERE content NOT IN (SELECT content FROM blob UNION ALL SELECT id FROM blob_content) GROUP BY content",
    ),
    (
        "lock",
        "SELECT l.name, l.token, 'it should be waited for by ' || l.waiting || ', and is by ' || count(t.ticket)
        FROM lock l LEFT JOIN ticket t ON t.lock = l.id GROUP BY l.id HAVING count(t.ticket) <> l.waiting",
    ),
    (
        "lock",
        "SELECT '?', t.ticket, 'the lock that it is of is not there' FROM (SELECT lock, ticket FROM ticket
            UNION ALL SELECT lock, ticket FROM share) t WHERE NOT EXISTS (SELECT 1 FROM lock l WHERE l.id = t.lock)",
    ),
];

/// Hands on what is wrong; no more once `found` says that it is enough.
pub(super) fn check(connection: &Connection, found: &mut dyn FnMut(Error) -> bool) -> Result<()> {
    let structure = |row: &Row<'_>| Ok(("main".to_owned(), 0, row.get::<_, String>(0)?));
    if !ask(connection, ("database", STRUCTURE), structure, found) {
        return Ok(());
    }
    for rule in RULES {
        let read =
            |row: &Row<'_>| Ok((text(row, 0)?, row.get::<_, Option<u64>>(1)?.unwrap_or(0), text(row, 2)?));
        if !ask(connection, rule, read, found) {
            return Ok(());
        }
    }
    match snapshots(connection, found) {
        Err(error @ Error::Corrupt { .. }) => {
            found(error);
            Ok(())
        }
        looked => looked,
    }
}

/// A text that may be none any more.
fn text(row: &Row<'_>, index: usize) -> rusqlite::Result<String> {
    let bytes = row.get_ref(index)?.as_bytes_or_null().unwrap_or_default().unwrap_or_default().to_vec();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Asks one question. Whether to go on. One that cannot be answered is a finding too.
fn ask(
    connection: &Connection,
    (kind, sql): (&'static str, &'static str),
    read: impl Fn(&Row<'_>) -> rusqlite::Result<(String, u64, String)>,
    found: &mut dyn FnMut(Error) -> bool,
) -> bool {
    let mut go = true;
    let mut each = || -> rusqlite::Result<()> {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (name, number, detail) = read(row)?;
            let sound = kind == "database" && detail == "ok";
            if !sound && !found(corrupt(kind, &name, number, detail)) {
                go = false;
                break;
            }
        }
        Ok(())
    };
    match each() {
        Ok(()) => go,
        Err(error) => found(database(error)) && go,
    }
}

const SNAPSHOTS: &str = "SELECT s.name FROM snapshot n JOIN stream s ON s.id = n.stream
    WHERE s.name > ?1 ORDER BY s.name LIMIT 1000";

/// The checksums of snapshots. One that was replaced meanwhile is read as it is then.
fn snapshots(connection: &Connection, found: &mut dyn FnMut(Error) -> bool) -> Result<()> {
    let mut after = String::new();
    loop {
        let mut statement = connection.prepare_cached(SNAPSHOTS).map_err(database)?;
        let names = statement.query_map([&after], |row| row.get::<_, String>(0)).map_err(database)?;
        let names: Vec<String> = names.collect::<rusqlite::Result<_>>().map_err(database)?;
        // Not led back by a tree that is damaged, which was told of above.
        let Some(last) = names.last().filter(|last| **last > after) else { return Ok(()) };
        after.clone_from(last);
        for name in &names {
            let looked =
                millpond_actors::name::Name::new(name).and_then(|name| snapshot::load(connection, &name));
            if let Err(error) = looked
                && !found(error)
            {
                return Ok(());
            }
        }
    }
}
