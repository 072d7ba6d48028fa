-- "@" stands for the schema. All texts are compared byte by byte.

-- The store itself: one row. Whoever writes has the turn, and writes it in the same commit: so what is counted here has no gaps, and
-- grows in the order of the commits.
CREATE TABLE @store (
    id         bigint PRIMARY KEY CHECK (id = 1),
    schema     bigint NOT NULL, -- the version of this schema
    uuid       uuid   NOT NULL,
    created    bigint NOT NULL, -- milliseconds since 1970
    generation bigint NOT NULL, -- so many groups were committed
    process    bigint NOT NULL, -- the last process id given
    counters   bigint[] NOT NULL -- position and time of the last event; the last ticket, token or other number; the last change; the
                                 -- last row of streams, feeds, locks, queues, dicts, lists, blobs
) WITH (fillfactor = 10);

-- The processes that have the store open, or had it and are not buried yet. One lives as long as its advisory lock is held.
CREATE TABLE @process (
    id             bigint PRIMARY KEY,
    pid            bigint NOT NULL,
    host           text COLLATE "C" NOT NULL,
    program        text COLLATE "C" NOT NULL,
    boot           text COLLATE "C" NOT NULL,
    joined_wall_ms bigint NOT NULL,
    last_beat      bigint NOT NULL,
    last_group     bigint NOT NULL, -- the last group it committed
    robbed         bigint NOT NULL, -- 1 if another found a lease of it void, and it has not been told
    came           timestamptz NOT NULL DEFAULT clock_timestamp() -- by the server's clock, whatever clock it goes by itself
) WITH (fillfactor = 10);

-- Who waits for news, and who watches for changes. It is a hint, and not part of any group.
CREATE TABLE @listener (
    process  bigint PRIMARY KEY,
    waiting  boolean NOT NULL,
    watching boolean NOT NULL
) WITH (fillfactor = 10);

CREATE TABLE @stream (
    id       bigint PRIMARY KEY,
    name     text COLLATE "C" NOT NULL UNIQUE,
    version  bigint NOT NULL, -- of its last event; versions are dense and start at 1
    erased   bigint NOT NULL, -- events up to this version are erased, or about to be
    closed   bigint NOT NULL  -- 1 if nothing can be appended to it any more
) WITH (fillfactor = 50);

CREATE TABLE @event (
    position    bigint PRIMARY KEY,
    stream      bigint NOT NULL,
    version     bigint NOT NULL,
    category    text COLLATE "C" NOT NULL,
    event_id    uuid   NOT NULL UNIQUE,
    type        text COLLATE "C" NOT NULL, -- empty if it is erased; then nothing else is left of it but its place and its id
    format      bigint NOT NULL, -- 1 JSON, 2 Bincode
    schema      bigint NOT NULL,
    crc         bigint NOT NULL, -- CRC32C over stream name, version, type, format, schema, data
    recorded_at bigint NOT NULL, -- milliseconds since 1970
    at          text COLLATE "C", -- when it happened according to its source, verbatim
    data        text COLLATE "C", -- JSON, verbatim
    bytes       bytea,            -- whatever is not JSON
    metadata    text COLLATE "C",
    correlation uuid,
    causation   uuid,
    actor       text COLLATE "C",
    tenant      text COLLATE "C",
    UNIQUE (stream, version)
);
CREATE INDEX event_by_category ON @event (category, position);

CREATE TABLE @snapshot (
    stream  bigint PRIMARY KEY,
    version bigint NOT NULL,
    schema  bigint NOT NULL,
    format  bigint NOT NULL,
    crc     bigint NOT NULL,
    data    text COLLATE "C",
    bytes   bytea
);

-- The keys of subjects.
CREATE TABLE @subject (
    name text COLLATE "C" PRIMARY KEY,
    key  bytea -- nothing once it is destroyed, for ever
);

-- Locks: those who hold one stand in hold, those who wait in ticket.
CREATE TABLE @lock (
    id       bigint PRIMARY KEY,
    name     text COLLATE "C" NOT NULL UNIQUE,
    capacity bigint NOT NULL,
    waiting  bigint NOT NULL, -- rows in ticket
    holders  text COLLATE "C" NOT NULL -- six numbers each: ticket, token, process, weight, granted at, time to live
) WITH (fillfactor = 50);

CREATE TABLE @ticket (
    lock    bigint NOT NULL,
    ticket  bigint NOT NULL,
    process bigint NOT NULL,
    ttl     bigint NOT NULL,
    weight  bigint NOT NULL,
    PRIMARY KEY (lock, ticket)
);

-- What each process holds or waits for.
CREATE TABLE @lock_use (
    process bigint NOT NULL,
    lock    bigint NOT NULL,
    ticket  bigint NOT NULL,
    PRIMARY KEY (process, lock, ticket)
);

-- What the groups have changed while somebody watched for it: the last so many.
CREATE TABLE @change (
    number    bigint PRIMARY KEY,
    primitive bigint NOT NULL, -- 1 stream, 2 lock, 3 log, 4 channel, 5 queue, 6 dict, 7 list, 8 blobs
    row       bigint NOT NULL, -- its id
    sequence  bigint,          -- where it stands since then
    key       text COLLATE "C" -- of a dict, and of blobs: under which key
);

-- Logs and channels: a dense sequence of messages each, of which the oldest may be removed.
CREATE TABLE @feed (
    id          bigint PRIMARY KEY,
    kind        bigint NOT NULL, -- 1 a log, 2 a channel
    name        text COLLATE "C" NOT NULL,
    first       bigint NOT NULL, -- the first message kept; last + 1 if none is
    last        bigint NOT NULL,
    bytes       bigint NOT NULL, -- of the data kept
    recorded_at bigint NOT NULL, -- of the last message; never goes backward
    keep_count  bigint,          -- how much is kept; nothing: no bound
    keep_bytes  bigint,
    keep_ms     bigint,
    UNIQUE (kind, name)
) WITH (fillfactor = 50);

CREATE TABLE @message (
    feed        bigint NOT NULL,
    sequence    bigint NOT NULL,
    recorded_at bigint NOT NULL,
    at          text COLLATE "C",
    key         text COLLATE "C",
    format      bigint NOT NULL,
    schema      bigint NOT NULL,
    crc         bigint NOT NULL, -- CRC32C over feed, sequence, key, format, schema, data
    data        text COLLATE "C",
    bytes       bytea,
    PRIMARY KEY (feed, sequence)
);

-- How far each durable subscription has come. Who may move the cursor is told by a lock.
CREATE TABLE @subscription (
    feed   bigint NOT NULL,
    name   text COLLATE "C" NOT NULL,
    cursor bigint NOT NULL, -- all messages up to this one were acknowledged
    PRIMARY KEY (feed, name)
) WITH (fillfactor = 50);

CREATE TABLE @acknowledged (
    feed         bigint NOT NULL,
    subscription text COLLATE "C" NOT NULL,
    sequence     bigint NOT NULL,
    PRIMARY KEY (feed, subscription, sequence)
);

CREATE TABLE @queue (
    id           bigint PRIMARY KEY,
    name         text COLLATE "C" NOT NULL UNIQUE,
    sequence     bigint NOT NULL, -- of the last job; they are dense and start at 1
    paused       bigint NOT NULL,
    max_attempts bigint NOT NULL,
    keep_done    bigint NOT NULL, -- milliseconds that jobs are kept when they are done; 0: not at all
    boot         text COLLATE "C" NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE @job (
    queue        bigint NOT NULL,
    sequence     bigint NOT NULL,
    state        bigint NOT NULL, -- 0 ready, 1 delayed, 2 claimed, 3 dead, 4 done
    rank         bigint NOT NULL, -- where it comes among those of its state: priority, due, process, 0, ended
    by_boot      bigint NOT NULL, -- 1 if it is delayed by the clock of leases
    priority     bigint NOT NULL, -- the lower, the sooner
    attempts     bigint NOT NULL, -- a claim counts from its beginning
    max_attempts bigint NOT NULL,
    key          text COLLATE "C",
    pushed_at    bigint NOT NULL, -- milliseconds since 1970
    due          bigint,          -- of a delayed one: milliseconds since 1970
    due_boot     bigint,          -- the same by the clock of leases
    token        bigint NOT NULL, -- of the claim; 0 if there is none
    process      bigint NOT NULL,
    granted_at   bigint NOT NULL,
    ttl          bigint NOT NULL,
    ended_at     bigint,          -- when it was done or died: milliseconds since 1970
    reason       text COLLATE "C",
    schema       bigint NOT NULL,
    format       bigint NOT NULL,
    crc          bigint NOT NULL, -- CRC32C over queue, sequence, key, format, schema, data
    data         text COLLATE "C",
    bytes        bytea,
    correlation  uuid,
    causation    uuid,
    actor        text COLLATE "C",
    tenant       text COLLATE "C",
    PRIMARY KEY (queue, sequence)
) WITH (fillfactor = 70);
CREATE INDEX job_by_state ON @job (queue, state, by_boot, rank, sequence);
CREATE INDEX job_claimed ON @job (process, queue, sequence) WHERE state = 2;
CREATE INDEX job_of_key ON @job (queue, key, sequence) WHERE key IS NOT NULL;

CREATE TABLE @schedule (
    queue        bigint NOT NULL,
    name         text COLLATE "C" NOT NULL,
    revision     bigint NOT NULL,
    due          bigint,
    last         bigint,
    cron         text COLLATE "C" NOT NULL,
    zone         text COLLATE "C" NOT NULL,
    missed       bigint NOT NULL,
    priority     bigint NOT NULL,
    max_attempts bigint,
    key          text COLLATE "C",
    scope        bigint NOT NULL,
    schema       bigint NOT NULL,
    format       bigint NOT NULL,
    data         text COLLATE "C",
    bytes        bytea,
    correlation  uuid,
    causation    uuid,
    actor        text COLLATE "C",
    tenant       text COLLATE "C",
    PRIMARY KEY (queue, name)
);

CREATE TABLE @dict (
    id      bigint PRIMARY KEY,
    name    text COLLATE "C" NOT NULL UNIQUE,
    version bigint NOT NULL, -- so many changes it has had
    seal    bytea            -- if its values are sealed: how their key is made, and what it is known by
) WITH (fillfactor = 50);

CREATE TABLE @dict_index (
    dict    bigint NOT NULL,
    path    text COLLATE "C" NOT NULL, -- where in a value
    state   bigint NOT NULL, -- 1 being made, 2 complete, 3 being removed
    reached text COLLATE "C",
    PRIMARY KEY (dict, path)
);

CREATE TABLE @dict_indexed (
    dict  bigint NOT NULL,
    path  text COLLATE "C" NOT NULL,
    value bytea NOT NULL, -- type and value, in an order of bytes; cut off where it is long
    key   text COLLATE "C" NOT NULL,
    PRIMARY KEY (dict, path, value, key)
);

CREATE TABLE @dict_entry (
    dict      bigint NOT NULL,
    key       text COLLATE "C" NOT NULL,
    version   bigint NOT NULL, -- the dict's when it was written last
    ends_at   bigint,          -- it is there until then: milliseconds since 1970
    ends_boot bigint,          -- the same by the clock of leases, as long as it is that boot
    boot      bigint,          -- which boot, as a number
    schema    bigint NOT NULL,
    format    bigint NOT NULL, -- 1 JSON, 2 Bincode, 3 sealed
    crc       bigint NOT NULL, -- CRC32C over dict, version, key, format, schema, data
    data      text COLLATE "C",
    bytes     bytea,
    PRIMARY KEY (dict, key)
) WITH (fillfactor = 70);
CREATE INDEX dict_entry_ends ON @dict_entry (ends_at, dict, key) WHERE ends_at IS NOT NULL;

CREATE TABLE @list (
    id        bigint PRIMARY KEY,
    name      text COLLATE "C" NOT NULL UNIQUE,
    version   bigint NOT NULL, -- so many changes it has had
    root      bigint NOT NULL, -- the uppermost node of its order; 0 if there are no items
    count     bigint NOT NULL,
    last_node bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE @list_item (
    list    bigint NOT NULL,
    version bigint NOT NULL,
    schema  bigint NOT NULL,
    format  bigint NOT NULL,
    crc     bigint NOT NULL, -- CRC32C over list, version, format, schema, data
    data    text COLLATE "C",
    bytes   bytea,
    PRIMARY KEY (list, version)
);

-- In which order they are: a B+ tree that counts.
CREATE TABLE @list_node (
    list    bigint NOT NULL,
    node    bigint NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (list, node)
);

CREATE TABLE @blobs (
    id      bigint PRIMARY KEY,
    name    text COLLATE "C" NOT NULL UNIQUE,
    version bigint NOT NULL, -- so many changes they have had
    count   bigint NOT NULL,
    bytes   bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE @blob (
    blobs      bigint NOT NULL,
    key        text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    content    bigint NOT NULL,
    chunk      bigint NOT NULL, -- bytes of a chunk, of all but the last
    size       bigint NOT NULL,
    created_at bigint NOT NULL,
    sha256     bytea NOT NULL,
    metadata   text COLLATE "C",
    PRIMARY KEY (blobs, key)
);

-- The contents that no blob has: those that are being written, and those that are to be swept.
CREATE TABLE @blob_content (
    id      bigint PRIMARY KEY,
    process bigint,          -- who writes it; nothing: it is to be swept
    first   bigint NOT NULL, -- the first chunk that is left
    chunks  bigint NOT NULL  -- the number of the next one
);

CREATE TABLE @blob_chunk (
    content  bigint NOT NULL,
    sequence bigint NOT NULL,
    crc      bigint NOT NULL, -- CRC32C over content, sequence, data
    data     bytea NOT NULL,
    PRIMARY KEY (content, sequence)
);
ALTER TABLE @blob_chunk ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE @projection (
    name       text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    partition  bigint NOT NULL,
    partitions bigint NOT NULL,
    revision   bigint NOT NULL,
    position   bigint NOT NULL, -- all events up to this one have been dealt with
    handled    bigint NOT NULL,
    begun      bigint NOT NULL,
    paused     bigint NOT NULL,
    reason     text COLLATE "C",
    attempts   bigint NOT NULL,
    parked     bigint NOT NULL,
    PRIMARY KEY (name, generation, partition)
) WITH (fillfactor = 50);
