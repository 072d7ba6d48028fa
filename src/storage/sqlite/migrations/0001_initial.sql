-- The store itself: one row. The counters only grow, for ever. Each process keeps those that it advances in its own
-- row, which it writes with every commit anyway; here are those of the processes that have gone. The store's
-- counter is the largest of all of them.
CREATE TABLE store (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    uuid        BLOB    NOT NULL,
    created     INTEGER NOT NULL, -- milliseconds since 1970
    position    INTEGER NOT NULL, -- of the last event
    token       INTEGER NOT NULL, -- the last ticket or fencing token given, for whatever lock
    process     INTEGER NOT NULL, -- the last process id given
    recorded_at INTEGER NOT NULL  -- of the last event; never goes backward
) STRICT;

-- The processes that have the store open, or had it and are not buried yet.
CREATE TABLE process (
    slot           INTEGER PRIMARY KEY,  -- byte 64 + slot of the sidecar is locked while it lives
    id             INTEGER NOT NULL UNIQUE,
    pid            INTEGER NOT NULL,
    host           TEXT    NOT NULL,
    program        TEXT    NOT NULL,
    boot           TEXT    NOT NULL,     -- boot times of another boot mean nothing
    sidecar        BLOB    NOT NULL,     -- the sidecar its slot is locked in
    schema         INTEGER NOT NULL,     -- the newest schema it knows
    syncs          INTEGER NOT NULL,     -- 1 if it syncs every commit
    joined_wall_ms INTEGER NOT NULL,
    last_beat      INTEGER NOT NULL,     -- milliseconds since boot
    last_group     INTEGER NOT NULL,     -- the last group it committed
    position       INTEGER NOT NULL,     -- the store's counters after that
    token          INTEGER NOT NULL,
    recorded_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE category (
    id   INTEGER PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE
) STRICT;

CREATE TABLE stream (
    id       INTEGER PRIMARY KEY,
    name     TEXT    NOT NULL UNIQUE,
    category INTEGER NOT NULL,
    version  INTEGER NOT NULL, -- of its last event; versions are dense and start at 1
    erased   INTEGER NOT NULL, -- events up to this version are erased, or about to be
    closed   INTEGER NOT NULL  -- 1 if nothing can be appended to it any more
) STRICT;

CREATE TABLE event (
    position    INTEGER PRIMARY KEY,
    stream      INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    category    INTEGER NOT NULL,
    event_id    BLOB    NOT NULL UNIQUE,
    type        TEXT    NOT NULL, -- empty if it is erased; then nothing else is left of it but its place and its id
    format      INTEGER NOT NULL, -- 1 JSON, 2 Bincode
    schema      INTEGER NOT NULL,
    crc         INTEGER NOT NULL, -- CRC32C over stream name, version, type, format, schema, data
    recorded_at INTEGER NOT NULL, -- milliseconds since 1970
    at          TEXT,             -- when it happened according to its source, verbatim
    data        ANY     NOT NULL, -- TEXT for JSON, so that SQLite's json functions can read it; BLOB else
    metadata    TEXT,
    correlation BLOB,             -- what belongs together
    causation   BLOB,             -- the event or command that led to it
    actor       TEXT,             -- on whose behalf
    tenant      TEXT,
    UNIQUE (stream, version)
) STRICT;

-- SQLite appends the rowid, so this serves a category by position.
CREATE INDEX event_by_category ON event (category);
-- And this a tenant; it costs those who have none nothing.
CREATE INDEX event_by_tenant ON event (tenant) WHERE tenant IS NOT NULL;

-- With a capacity of 1 a lock excludes, and its holder stands here; it is free if holder is 0, and then nobody waits
-- either. With more it is shared, holder stays 0, and its holders stand in share.
CREATE TABLE lock (
    id          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    capacity    INTEGER NOT NULL DEFAULT 1,
    holder      INTEGER NOT NULL, -- the ticket that holds it, or 0
    token       INTEGER NOT NULL, -- of the last grant
    process     INTEGER NOT NULL, -- of the last grant
    granted_at  INTEGER NOT NULL, -- milliseconds since boot
    ttl         INTEGER NOT NULL,
    waiting     INTEGER NOT NULL  -- rows in ticket
) STRICT;

-- The tickets that hold a part of a lock that is shared.
CREATE TABLE share (
    lock       INTEGER NOT NULL,
    ticket     INTEGER NOT NULL,
    token      INTEGER NOT NULL,
    process    INTEGER NOT NULL,
    granted_at INTEGER NOT NULL, -- milliseconds since boot
    ttl        INTEGER NOT NULL,
    weight     INTEGER NOT NULL, -- how much of the capacity
    PRIMARY KEY (lock, ticket)
) STRICT, WITHOUT ROWID;

-- The tickets that wait; the holders' are not among them.
CREATE TABLE ticket (
    lock    INTEGER NOT NULL,
    ticket  INTEGER NOT NULL,
    process INTEGER NOT NULL,
    ttl     INTEGER NOT NULL,
    weight  INTEGER NOT NULL,
    PRIMARY KEY (lock, ticket)
) STRICT, WITHOUT ROWID;

-- What the groups have changed while somebody watched for it: the last so many.
CREATE TABLE change (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    primitive INTEGER NOT NULL, -- 1 stream, 2 lock, 3 log, 4 channel, 5 queue, 6 dict, 7 list, 8 blobs
    row       INTEGER NOT NULL, -- its id
    sequence  INTEGER,          -- where it stands since then
    key       TEXT              -- of a dict, and of blobs: under which key
) STRICT;

CREATE TABLE snapshot (
    stream  INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    schema  INTEGER NOT NULL,
    format  INTEGER NOT NULL,
    crc     INTEGER NOT NULL,
    data    ANY     NOT NULL
) STRICT;

-- The keys of subjects. Rows are only added at the end, and none is removed.
CREATE TABLE subject (
    id   INTEGER PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE,
    key  BLOB    NOT NULL, -- 32 bytes; all of them 0 once it is destroyed, for ever
    crc  INTEGER NOT NULL  -- CRC32C over name and key
) STRICT;

-- Logs and channels: a dense sequence of messages each, of which the oldest may be removed.
CREATE TABLE feed (
    id          INTEGER PRIMARY KEY,
    kind        INTEGER NOT NULL, -- 1 a log, 2 a channel
    name        TEXT    NOT NULL,
    first       INTEGER NOT NULL, -- the first message kept; last + 1 if none is
    last        INTEGER NOT NULL, -- sequences start at 1, are dense and never used again
    bytes       INTEGER NOT NULL, -- of the data kept
    recorded_at INTEGER NOT NULL, -- of the last message; never goes backward
    keep_count  INTEGER,          -- how much is kept; NULL: no bound
    keep_bytes  INTEGER,
    keep_ms     INTEGER,
    UNIQUE (kind, name)
) STRICT;

CREATE TABLE message (
    feed        INTEGER NOT NULL,
    sequence    INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL, -- milliseconds since 1970
    at          TEXT,             -- when it happened according to its source, verbatim
    key         TEXT,
    format      INTEGER NOT NULL, -- 1 JSON, 2 Bincode
    schema      INTEGER NOT NULL,
    crc         INTEGER NOT NULL, -- CRC32C over the feed's name, sequence, key, format, schema, data
    data        ANY     NOT NULL,
    PRIMARY KEY (feed, sequence)
) STRICT, WITHOUT ROWID;
-- A queue, with its options.
CREATE TABLE queue (
    id           INTEGER PRIMARY KEY,
    name         TEXT    NOT NULL UNIQUE,
    sequence     INTEGER NOT NULL, -- of the last job; they are dense and start at 1
    paused       INTEGER NOT NULL, -- 1 if nothing can be claimed
    max_attempts INTEGER NOT NULL, -- of jobs that do not say so themselves
    keep_done    INTEGER NOT NULL, -- milliseconds that jobs are kept when they are done; 0: not at all
    boot         TEXT    NOT NULL  -- the boot that due_boot of its jobs belongs to
) STRICT;

CREATE TABLE job (
    queue        INTEGER NOT NULL,
    sequence     INTEGER NOT NULL,
    state        INTEGER NOT NULL, -- 0 ready, 1 delayed, 2 claimed, 3 dead, 4 done
    priority     INTEGER NOT NULL, -- the lower, the sooner
    attempts     INTEGER NOT NULL, -- a claim counts from its beginning
    max_attempts INTEGER NOT NULL,
    key          TEXT,
    pushed_at    INTEGER NOT NULL, -- milliseconds since 1970
    due          INTEGER,          -- of a delayed one: milliseconds since 1970
    due_boot     INTEGER,          -- the same since boot, which then decides, as long as it is the queue's boot
    token        INTEGER NOT NULL, -- of the claim; 0 if there is none
    process      INTEGER NOT NULL, -- of the claim
    granted_at   INTEGER NOT NULL, -- of the last claim: milliseconds since boot
    ttl          INTEGER NOT NULL,
    ended_at     INTEGER,          -- when it was done or died: milliseconds since 1970
    reason       TEXT,             -- why it is dead, or why the last attempt came to nothing
    schema       INTEGER NOT NULL,
    format       INTEGER NOT NULL, -- 1 JSON, 2 Bincode
    crc          INTEGER NOT NULL, -- CRC32C over queue name, sequence, key, format, schema, data
    data         ANY     NOT NULL, -- TEXT for JSON, BLOB else
    correlation  BLOB,             -- as of an event
    causation    BLOB,
    actor        TEXT,
    tenant       TEXT,
    PRIMARY KEY (queue, sequence)
) STRICT, WITHOUT ROWID;

-- An index a state, so that what is done with one does not cost more for how many there are of another. SQLite appends
-- what is missing of the key.
CREATE INDEX job_ready ON job (queue, priority, sequence) WHERE state = 0;
CREATE INDEX job_delayed ON job (queue, due_boot) WHERE state = 1 AND due_boot IS NOT NULL;
CREATE INDEX job_timed ON job (queue, due) WHERE state = 1 AND due_boot IS NULL;
CREATE INDEX job_claimed ON job (process, ttl) WHERE state = 2;
CREATE INDEX job_dead ON job (queue, sequence) WHERE state = 3;
CREATE INDEX job_done ON job (queue, ended_at) WHERE state = 4;
CREATE INDEX job_of_key ON job (queue, key, state) WHERE key IS NOT NULL;

-- What is pushed to a queue again and again. A time is done for by whoever moves the schedule on, in the same commit.
CREATE TABLE schedule (
    queue        INTEGER NOT NULL,
    name         TEXT    NOT NULL,
    revision     INTEGER NOT NULL, -- a number of the store's counter, new with whatever changes
    due          INTEGER,          -- the next time: milliseconds since 1970; NULL: never again
    last         INTEGER,          -- the last time that was done for
    cron         TEXT    NOT NULL,
    zone         TEXT    NOT NULL, -- an IANA name
    missed       INTEGER NOT NULL, -- missed times: 0 once for all of them, 1 not at all
    priority     INTEGER NOT NULL, -- from here on: of the jobs that it pushes
    max_attempts INTEGER,
    key          TEXT,
    scope        INTEGER NOT NULL, -- which jobs of its key keep it out: 0 living, 1 all that are kept
    schema       INTEGER NOT NULL,
    format       INTEGER NOT NULL, -- 1 JSON, 2 Bincode
    crc          INTEGER NOT NULL, -- CRC32C over queue name, all of it from cron on, name, data
    data         ANY     NOT NULL,
    correlation  BLOB,
    causation    BLOB,
    actor        TEXT,
    tenant       TEXT,
    PRIMARY KEY (queue, name)
) STRICT, WITHOUT ROWID;

-- Dicts, and their entries: values by key.
CREATE TABLE dict (
    id      INTEGER PRIMARY KEY,
    name    TEXT    NOT NULL UNIQUE,
    version INTEGER NOT NULL, -- so many changes it has had
    indexed INTEGER NOT NULL, -- so many indexes it has
    seal    BLOB              -- if its values are sealed: how their key is made, and what it is known by
) STRICT;

-- Which fields of the values of a dict are indexed, and what the indexes hold: what can be found out from the entries.
CREATE TABLE dict_index (
    id      INTEGER PRIMARY KEY,
    dict    INTEGER NOT NULL,
    path    TEXT    NOT NULL, -- where in a value
    state   INTEGER NOT NULL, -- 1 being made, 2 complete, 3 being removed
    reached TEXT,             -- while it is being made: all entries up to this key are in it
    crc     INTEGER NOT NULL, -- CRC32C over dict, id, path, state, reached
    UNIQUE (dict, path)
) STRICT;

CREATE TABLE dict_indexed (
    dict_index INTEGER NOT NULL,
    value      BLOB    NOT NULL, -- type and value, in an order of bytes; cut off where it is long
    key        TEXT    NOT NULL,
    PRIMARY KEY (dict_index, value, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE dict_entry (
    dict      INTEGER NOT NULL,
    key       TEXT    NOT NULL,
    version   INTEGER NOT NULL, -- the dict's when it was written last
    ends_at   INTEGER,          -- it is there until then: milliseconds since 1970
    ends_boot INTEGER,          -- the same since boot, which decides as long as it is that boot
    boot      INTEGER,          -- which boot, as a number
    schema    INTEGER NOT NULL,
    format    INTEGER NOT NULL, -- 1 JSON, 2 Bincode, 3 sealed
    crc       INTEGER NOT NULL, -- CRC32C over dict name, version, key, its end, format, schema, data
    data      ANY     NOT NULL, -- TEXT for JSON, BLOB else
    PRIMARY KEY (dict, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX dict_entry_ends ON dict_entry (ends_at) WHERE ends_at IS NOT NULL;

-- Lists, and their items, each under the version that the list had when it was put there.
CREATE TABLE list (
    id        INTEGER PRIMARY KEY,
    name      TEXT    NOT NULL UNIQUE,
    version   INTEGER NOT NULL, -- so many changes it has had
    root      INTEGER NOT NULL, -- the uppermost node of its order; 0 if there are no items
    count     INTEGER NOT NULL, -- so many items there are
    last_node INTEGER NOT NULL  -- the last number that was given to a node
) STRICT;

CREATE TABLE list_item (
    list    INTEGER NOT NULL,
    version INTEGER NOT NULL,
    schema  INTEGER NOT NULL,
    format  INTEGER NOT NULL, -- 1 JSON, 2 Bincode
    crc     INTEGER NOT NULL, -- CRC32C over list name, version, format, schema, data
    data    ANY     NOT NULL, -- TEXT for JSON, BLOB else
    PRIMARY KEY (list, version)
) STRICT, WITHOUT ROWID;

-- In which order they are: a B+ tree that counts. A leaf is a 0 and the versions of its items, an inner node a 1 and number and count
-- of each of its children, all of them 64 bits, the lowest byte first.
CREATE TABLE list_node (
    list    INTEGER NOT NULL,
    node    INTEGER NOT NULL,
    crc     INTEGER NOT NULL, -- CRC32C over list name, number, content
    content BLOB    NOT NULL,
    PRIMARY KEY (list, node)
) STRICT, WITHOUT ROWID;

-- Blobs: large values by key. The bytes of one are its content, which has a number of the store's counter and lies in chunks.
CREATE TABLE blobs (
    id      INTEGER PRIMARY KEY,
    name    TEXT    NOT NULL UNIQUE,
    version INTEGER NOT NULL, -- so many changes they have had
    count   INTEGER NOT NULL, -- so many there are
    bytes   INTEGER NOT NULL  -- of all of them
) STRICT;

CREATE TABLE blob (
    blobs      INTEGER NOT NULL,
    key        TEXT    NOT NULL,
    version    INTEGER NOT NULL, -- that of the blobs when it was put there
    content    INTEGER NOT NULL,
    chunk      INTEGER NOT NULL, -- bytes of a chunk, of all but the last
    size       INTEGER NOT NULL, -- bytes in all
    created_at INTEGER NOT NULL, -- milliseconds since 1970
    sha256     BLOB    NOT NULL, -- of all of it
    crc        INTEGER NOT NULL, -- CRC32C over the name of the blobs, key, all of it, metadata
    metadata   TEXT,             -- JSON
    PRIMARY KEY (blobs, key)
) STRICT, WITHOUT ROWID;

-- The contents that no blob has: those that are being written, and those that are to be swept.
CREATE TABLE blob_content (
    id      INTEGER PRIMARY KEY,
    process INTEGER NOT NULL, -- who writes it; 0: nobody, it is to be swept
    first   INTEGER NOT NULL, -- the first chunk that is left
    chunks  INTEGER NOT NULL  -- the number of the next one
) STRICT;

CREATE INDEX blob_content_written ON blob_content (process) WHERE process <> 0;
CREATE INDEX blob_content_waste ON blob_content (id) WHERE process = 0;

CREATE TABLE blob_chunk (
    content  INTEGER NOT NULL,
    sequence INTEGER NOT NULL, -- from 0 on
    crc      INTEGER NOT NULL, -- CRC32C over content, sequence, data
    data     BLOB    NOT NULL,
    PRIMARY KEY (content, sequence)
) STRICT, WITHOUT ROWID;

-- How far each projection has come in the events, a row a generation: the older is read while the newer is being made. Or a row a
-- partition of it, each of which has the streams whose names come to it.
CREATE TABLE projection (
    name       TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    partition  INTEGER NOT NULL, -- from 0 on
    partitions INTEGER NOT NULL, -- how many there are
    revision   INTEGER NOT NULL, -- a number of the store's counter, new with whatever is wanted of it
    position   INTEGER NOT NULL, -- all events up to this one have been dealt with
    handled    INTEGER NOT NULL, -- so many of them were of interest to it
    begun      INTEGER NOT NULL, -- 1 once what it is projected to is there
    paused     INTEGER NOT NULL, -- 1 if it is to stop where it is
    reason     TEXT,             -- why it does not get on
    attempts   INTEGER NOT NULL, -- how often that was tried
    parked     INTEGER NOT NULL, -- 1 if it is not tried any more
    PRIMARY KEY (name, generation, partition)
) STRICT, WITHOUT ROWID;

-- How far each durable subscription has come. Who may move the cursor is told by a lock.
CREATE TABLE subscription (
    feed   INTEGER NOT NULL,
    name   TEXT    NOT NULL,
    cursor INTEGER NOT NULL, -- all messages up to this one were acknowledged
    PRIMARY KEY (feed, name)
) STRICT, WITHOUT ROWID;

-- What was acknowledged beyond the cursor: messages that follow one another are one row, and rows never touch.
CREATE TABLE acknowledged (
    feed         INTEGER NOT NULL,
    subscription TEXT    NOT NULL,
    first        INTEGER NOT NULL,
    last         INTEGER NOT NULL,
    PRIMARY KEY (feed, subscription, first)
) STRICT, WITHOUT ROWID;
