//! Growing out of one machine: the same program on a PostgreSQL server.
//!
//! A store is a file until it has a reason not to be. Then it moves into a PostgreSQL database, and the program stays as it is: the same
//! calls, the same promises, except for those of [section 5](#5-what-changes-and-what-does-not).
//!
//! # 1. When
//!
//! Not because there is much to do. One file takes some 3,000 appends a second from a caller that waits for each, 53,000 from 64
//! callers and 127,000 from 1,024 (the README's figures, with what they were measured on); on one machine a server does less than that,
//! because each group of writes goes to it and back once or twice. These are reasons:
//!
//! | sign | why a file does not help |
//! | --- | --- |
//! | the work needs more processors than one machine has | all processes of a file are on its machine |
//! | work has to go on when a machine is lost | the file is lost with it, or at least as long as the machine is away |
//! | what shares the locks, the queues or the events runs on several machines anyway, such as in containers that are moved about | a file must not lie on a network file system: locks of the operating system and the log in shared memory end at the machine |
//! | somebody else looks after databases: backups, replicas, access | a file is looked after by whoever runs the program |
//!
//! What does not need the same order may also be several stores, each in a file on a machine of its own. That is simpler than a server,
//! and faster.
//!
//! # 2. How
//!
//! The feature `postgres` is off unless asked for:
//!
//! ```toml
//! [dependencies]
//! millpond = { version = "0.1", default-features = false, features = ["sqlite", "postgres"] }
//! ```
//!
//! ```sh
//! cargo install --path . --features postgres           # the command line, where it is to know servers too
//! ```
//!
//! What there is moves with one command. It writes a commit each 10,000 records, goes on when it was killed and is begun again, and reads
//! both sides again at the end. Nobody should write meanwhile: what is written to the file behind it stays there.
//!
//! ```sh
//! millpond copy shop.db 'postgres://shop@db.example/shop?schema=shop'
//! ```
//!
//! Then one line is another one:
//!
//! ```no_run
//! # async fn open() -> millpond::Result<()> {
//! let store = millpond::Store::open("postgres://shop@db.example/shop?schema=shop").await?; // was: "shop.db"
//! # store.close().await
//! # }
//! ```
//!
//! Better, it is read from where the program is run, so that tests and a machine on a train go on with a file:
//!
//! ```
//! # futures_executor::block_on(async {
//! # let folder = tempfile::tempdir().unwrap();
//! # let file = folder.path().join("shop.db").display().to_string();
//! let place = std::env::var("SHOP_STORE").unwrap_or(file);
//! let store = millpond::Store::open(place.as_str()).await?;
//! assert_eq!(store.events().head().await?, 0);
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! The URL is `postgres://USER@HOST:PORT/DATABASE?...`, and may have, beside what every client of PostgreSQL knows:
//!
//! | parameter | what it is | otherwise |
//! | --- | --- | --- |
//! | `schema=NAME` | the schema that the store is; it is made if it is not there | `millpond` |
//! | `sslmode=require` | the connection is secret, and the server's certificate is checked, its name too. `verify-ca` and `verify-full` are the same; `disable` does without | secret if the server can do it; not asked for on the same machine |
//! | `sslrootcert=PATH` | whom to trust beside those whom the system trusts: certificates, as PEM | nobody else |
//! | `direct=HOST:PORT` | the main address is a pooler, and this is the server itself, see [below](#a-pooler) | the main address is the server |
//! | `prepared=yes`, `no` | whether statements are known by names | `yes`, behind a pooler `no` |
//!
//! A password is better not in it, but in the environment as `PGPASSWORD`. Errors and logs never show it. The folder of the machine on
//! which a process runs is not used for anything.
//!
//! A schema is a store: **several tenants**, or several stages, are several schemas of one database, and know nothing of one another. Each has
//! its own turn to write, its own locks and its own numbers. From some dozens of processes on they are better several databases, for the
//! reason that [section 6](#6-how-far-it-grows) has a figure for.
//!
//! ```
//! use millpond::Location;
//!
//! let of = |tenant: &str| format!("postgres://shop@db.example/shop?schema=shop_{tenant}&sslmode=require");
//! assert!(Location::try_from(of("delft").as_str()).is_ok());
//! ```
//!
//! # 3. Roles
//!
//! Whoever opens a store first makes its schema, and owns it. A service need not be that: a role that owns nothing does everything with
//! the rows of its tables, and needs no more than that. The owner says once:
//!
//! ```sql
//! CREATE ROLE shop_app LOGIN;
//! GRANT USAGE ON SCHEMA shop TO shop_app;
//! GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA shop TO shop_app;
//!
//! CREATE ROLE shop_reader LOGIN;
//! GRANT USAGE ON SCHEMA shop TO shop_reader;
//! GRANT SELECT ON ALL TABLES IN SCHEMA shop TO shop_reader;
//!
//! -- and for the tables that a later version of Millpond adds:
//! ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO shop_app;
//! ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO shop_reader;
//! ```
//!
//! The schema is made by whoever may: `millpond --store 'postgres://owner@db.example/shop?schema=shop' status`, say, before the first
//! service starts. A reader opens it with [`read_only`](crate::StoreBuilder::read_only), on the command line `--read-only`: he is no process
//! of the store, and is not seen in it.
//!
//! ```no_run
//! # fn open() -> millpond::Result<()> {
//! use millpond::blocking::Store;
//!
//! let store = Store::builder().read_only().open("postgres://shop_reader@db.example/shop?schema=shop")?;
//! for event in store.events().read_all() {
//!     println!("{}", event?.event_type());
//! }
//! # store.close()
//! # }
//! ```
//!
//! Whoever lacks a right is told which: [`Error::InvalidPath`](crate::Error::InvalidPath) where the store cannot be seen or made,
//! [`Error::ReadOnly`](crate::Error::ReadOnly) where a write is refused. Such a write left no trace, and neither did those that were to be
//! committed with it; reads and other writes go on, and so does this one once the right is there.
//!
//! # 4. The server
//!
//! PostgreSQL 13 or later, a database in `UTF8`. What a commit survives is its to say: with `fsync` or `full_page_writes` off, or
//! `synchronous_commit` off for the role, a store is refused, unless the program asks for less by name,
//! [`Durability::ProcessCrash`](crate::Durability::ProcessCrash). A session that has `synchronous_commit` off later, such as one that
//! a pooler hands on from somebody else, commits with it on all the same.
//!
//! Whatever else is set for a database or a role goes for a store too. `statement_timeout` and `lock_timeout` should not be set for its
//! role: a process that waits for its turn waits in a statement.
//!
//! ## A pooler
//!
//! A process has a connection that writes, one a reader (two unless [`readers`](crate::StoreBuilder::readers) says otherwise), and one
//! that shows that it lives and hears when others have written. All but the last may be shared with other processes through a pooler in
//! transaction mode, such as PgBouncer. It is the main address, and the server itself is told as `direct`:
//!
//! ```text
//! postgres://shop@pooler.example:6432/shop?schema=shop&direct=db.example:5432
//! ```
//!
//! - What Millpond asks of the server - how statements are planned, how long it waits, which process this is - it asks a transaction at a time, so
//!   nothing of it is left for whoever is next.
//! - Statements are sent without names, as any pooler passes them on. PgBouncer from 1.21 on keeps names too (`max_prepared_statements`
//!   above 0): then `prepared=yes` saves the server some work.
//! - Who waits for the turn to write has a connection of the pool meanwhile, and so does a dump, as long as it takes. The pool
//!   should have more connections than there are processes that write all the time.
//! - Without `direct` nothing would hold what a connection holds as long as it lasts. If it is left out, most poolers give that away at
//!   the first statement, and the error says so; PgBouncer with `prepared=yes` does not, so do not leave it out.
//!
//! # 5. What changes, and what does not
//!
//! The same tests run on files and on servers, and a seeded model on both. What is different:
//!
//! | | a file | a server |
//! | --- | --- | --- |
//! | the clock | the machine's | the server's, for all processes, whatever their machines show |
//! | a process that dies | gives up what it holds at once | the same: its system closes its connections |
//! | a machine that vanishes | takes the store with it | its processes are dead when the server has waited some ten seconds for a sign of life, or their leases have ended |
//! | a commit whose answer is lost | only if the disk fails in that moment | if the connection is lost in that moment: the process connects again and looks, by the number of its last group, which is in the same commit; if the server is away for longer than a call may take, [`Error::CommitUnknown`](crate::Error::CommitUnknown) |
//! | the power is lost | what was acknowledged is there | the same, on the server that acknowledged it; **a replica that takes its place, and was not waited for, may lack the last of it** (`synchronous_standby_names` waits for it) |
//! | a backup | [`Store::backup`](crate::Store::backup), `millpond backup` | the server's: `pg_dump --schema=shop`, or of all its files; or `millpond dump`, which is one moment too. `backup` is [`Error::Unsupported`](crate::Error::Unsupported) |
//! | [`compact`](crate::Store::compact) | gives free room back | `Unsupported`: autovacuum does that |
//! | SQL of your own ([`Sql`](crate::Sql)), in batches and projections | in the same commit | `Unsupported`; what a projection makes lies in dicts, lists and logs, in the same commit too |
//! | what [`check`](crate::Store::check) looks at | records, what belongs together, pages | records, and what belongs together |
//!
//! What does not change:
//!
//! - **An `Ok` means on disk**, and an error says whether the write left no trace or is not known.
//! - **One order.** Positions are dense and in the order of the commits. They come from a row that whoever has the turn writes in the same
//!   commit, and not from a sequence of the server's, whose numbers have gaps and are seen out of order. Whoever has read up to a
//!   position has read all there is up to it; no transaction that is open elsewhere on the server, for however long, hides an event or
//!   holds it up.
//! - Locks first come, first served over all processes; tokens that only grow; guarded writes refused once the lock is lost.
//! - An append that expects nothing never conflicts, however many there are at once.
//! - A lost notification costs a moment, never a message: whoever waits also looks by himself.
//!
//! # 6. How far it grows
//!
//! What one store does is bounded, and the bound is not the number of rows. What follows was measured on one small machine: 2 cores
//! (AMD EPYC, virtual) that processes, server and other programs shared at a load of 5 to 7, PostgreSQL 15.18 as Debian sets it up
//! (`shared_buffers` 128 MB, `fsync` on), over the loopback, `fdatasync` at 0.2 to 4 ms from minute to minute. A server of its own does
//! better; what grows with what is the same.
//!
//! **The turn.** A store writes one group at a time, whoever writes it: a few trips to the server and one sync of its disk. Each row is three
//! seconds in which so many processes append without a pause, from one thread each or from 16; in brackets what the least and the most of
//! four rounds were.
//!
//! | processes | groups a second, 1 caller each | appends a second, 1 caller each | groups a second, 16 callers each | appends a second, 16 callers each |
//! | --- | --- | --- | --- | --- |
//! | 1 | 692 (210 to 692) | 704 | 365 (201 to 365) | 5,848 (3,169 to 5,862) |
//! | 2 | 466 (299 to 466) | 474 | 298 (156 to 298) | 4,798 (2,543 to 4,798) |
//! | 4 | 429 (241 to 429) | 437 | 279 (98 to 345) | 4,552 (1,668 to 5,585) |
//! | 8 | 327 (165 to 327) | 332 | 231 (140 to 231) | 3,801 (2,271 to 3,801) |
//!
//! More processes do not write more: they take turns, fairly (41 groups a second each of the eight), and whoever comes after somebody else reads
//! anew what the other may have changed. More **callers** do, because a group takes along all that has gathered in its process: so few
//! processes with many callers each are better than many with one.
//!
//! At 300 groups a second, 100 processes that all write without a pause have the turn three times a second, 1,000 every three seconds, and
//! 10,000 every 33 seconds, which is more than a call waits (30 s). So ten thousand writing processes are **many stores**.
//!
//! **Connections.** A process has two from the start, and one more for each reader that was needed: four with the usual two readers. One that
//! shows that its process lives took 1.1 MB of the server's own memory, one that wrote with 16 callers 12.5 MB, with the
//! statements that it knows. Ten thousand processes are 40,000 connections; with a [pooler](#a-pooler) they are 10,000 of the small ones, 11 GB, and as many
//! large ones as the pool has. Statements without names, as a pooler needs them, cost: one process and one caller did 561 to 570 groups a
//! second instead of 930 to 1,043, 16 callers 5,808 to 8,174 appends instead of 10,724 to 10,783 (two rounds each, in a minute in which the
//! disk was fast). PgBouncer 1.21 and `prepared=yes` keep them.
//!
//! **Notifications.** A group after which somebody in another process waits for news sends one, and the server wakes everybody in the *database*
//! who listens, also those of other schemas. One connection that did nothing but notify did so 23,576 times a second where nobody
//! listened, 2,277 times where 20 did, 420 times where 150 did (`pgbench`; another time, on a busier machine, 4,821, 1,854 and 80) - and
//! 23,892 times where those 150 were in another database of the same server. This is what is full first: some hundreds of processes in one
//! database. Beyond that: more databases.
//!
//! **Rows of processes.** Whoever looks at what the others have done reads one row of each process: 2.3 to 2.5 ms of
//! the server's time for 10,000 of them. They look when they wait and hear nothing, and when they are rung.
//!
//! **What is left open.** The row of the store is written by each group, that of a process too. Old versions of them are cleared away by the server
//! as it goes, but not while a transaction is open anywhere in the database that may still see them: one that is left open for hours makes
//! every group slower, of all stores there. `idle_in_transaction_session_timeout` ends such transactions; Millpond's own are ended after 30 s, except
//! for that of a dump.
//!
//! So, on paper:
//!
//! 1. **Many callers a process before many processes.** One process per machine, or per core, with everything that it does in it.
//! 2. **A store for what needs one order.** By tenant if there are tenants; else by category: orders in one, permits in another. What is
//!    in two stores has two orders, and no batch reaches over both; what goes from one to the other goes through a
//!    [reactor](crate::guide::projections) or a relay, at least once. Which store is whose is decided by the name alone, so that every
//!    process decides alike:
//!
//! ```
//! /// FNV-1a: the same number in every program, version and machine, for ever.
//! fn number(name: &str) -> u64 {
//!     name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
//! }
//!
//! fn store_of(tenant: &str, stores: u64) -> String {
//!     format!("postgres://shop@db.example/shop_{}", number(tenant) % stores)
//! }
//!
//! assert_eq!(store_of("delft", 32), store_of("delft", 32));
//! ```
//!
//! 3. **A database a store**, for the notifications, and as many servers as their disks and memory need. Ten thousand processes in 32
//!    databases are some 310 each, every one of which can write about once a second at 300 groups a second, and rings at the edge of
//!    what was measured; in 100 databases they are 100 each, three times a second.
//! 4. **Tenants move alone**: `millpond copy` takes a store from one server to another while nobody writes to it.
//! 5. **Replicas for who only reads**: reports, exports and dumps are read from a replica with `read_only`. It may be behind; what it shows
//!    is one moment of the store all the same, without gaps; opened without `read_only` it is
//!    [`Error::ReadOnly`](crate::Error::ReadOnly). Who lives and who has the turn is known on the server alone. Whoever decides anything reads from the server that is written to.
//!
//! None of this was tried at that size. What was measured stands above, and `millpond bench append --store postgres://...` measures the first
//! table's first row where you are.
