//! The connection that writes: begin, commit, undo, reopen, checkpoint, leave.

use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use millpond_actors::error::{Error, Occupant, Result};
use millpond_actors::failpoint::{Point, reach};
use millpond_actors::observe::target;
use millpond_actors::storage::{self, Compacted, Identity, Moment, Operation, Session, Standing, Turn};
use rusqlite::{Connection, params};

use super::ahead::Ahead;
use super::anchor::anchor;
use super::bell::{Rope, SqliteBell};
use super::error::{busy_with, database};
use super::place::Place;
use super::presence::Presence;
use super::process::{self, Own};
use super::same::Paths;
use super::sql::Scrutiny;
use super::sync::Sidecar;
use super::trace::{Trace, Written};
use super::{Options, open};

/// How long joining waits for another program's transaction, and the whole checkpoint of who leaves last for readers.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a log that has become long waits for its readers: a few of their pages. Nobody writes meanwhile.
pub(super) const A_MOMENT: Duration = Duration::from_millis(250);

/// The store's counters, in memory while a transaction is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) position: u64,
    pub(super) token: u64,
    pub(super) process: u64,
    pub(super) recorded_at: i64,
}

/// One process's way of writing. Dropped without [`leave`](Session::leave) it is a process that was killed.
///
/// The sidecar is opened before the connection, and closed before it too, by us and by the kernel: as long as we are seen
/// to run, the log's index lives (`anchor`).
pub(super) struct SqliteSession {
    /// For the turn, the bell, and looking at the others.
    pub(super) sidecar: Arc<Sidecar>,
    rope: Arc<Rope>,
    pub(super) presence: Arc<Presence>,
    pub(super) connection: Connection,
    /// What the hooks of the connection do while it runs a user's own SQL.
    pub(super) scrutiny: Arc<Scrutiny>,
    /// Keeps the log's index alive while the connection is opened anew.
    keeper: Option<Connection>,
    pub(super) place: Arc<Place>,
    paths: Paths,
    pub(super) options: Options,
    pub(super) identity: Identity,
    pub(super) own: Own,
    /// When the open transaction happens.
    pub(super) now: Moment,
    pub(super) counters: Counters,
    /// The database's version when the last transaction was entered: it is another one once somebody else has written.
    version: i64,
    /// That transaction was committed: unless somebody else writes, the counters and our row are as we know them.
    is_known: bool,
    /// This transaction removed or added the row of a process.
    pub(super) processes_changed: bool,
    /// What this transaction has written and done, as far as what follows in it depends on that.
    pub(super) written: Written,
    /// What this transaction has done of the operations that come next.
    pub(super) ahead: Ahead,
    /// How they stood at each savepoint that is open, the innermost last.
    at_savepoints: Vec<(Counters, Written)>,
    /// The group that was committed, or tried, last without a word in the process's row, and its last event.
    pub(super) unmarked: Option<(u64, Trace)>,
    /// Ids of categories by name. A rollback may take rows with it, so it empties this.
    pub(super) categories: HashMap<Box<str>, i64>,
    /// Pages in the log after the last commit, told by SQLite.
    pub(super) log: Arc<AtomicU32>,
    /// How many of them had been moved by the last checkpoint.
    pub(super) moved: u32,
    has_turn: bool,
    /// The connection syncs its commits.
    syncs: bool,
    /// The file was found replaced: nothing is written any more.
    replaced: bool,
    /// The last group of which this session knows that it is on disk.
    pub(super) known_group: u64,
}

impl SqliteSession {
    /// Registers a process and opens its connection. `now` is asked when nobody else can write any more.
    pub(super) fn join(
        place: Arc<Place>,
        options: Options,
        identity: &Identity,
        now: &dyn Fn() -> Moment,
    ) -> Result<SqliteSession> {
        let (sidecar, slot) = Sidecar::open_with_slot(&place)?;
        let sidecar = Arc::new(sidecar);
        let (log, scrutiny) = (Arc::new(AtomicU32::new(0)), Arc::default());
        let mut session = SqliteSession {
            rope: Arc::new(Rope::new(&sidecar)),
            sidecar,
            presence: Arc::new(Presence::new(slot)),
            connection: connect(&place, &options, &log, &scrutiny)?,
            scrutiny,
            keeper: None,
            place,
            paths: Paths::default(),
            options,
            identity: identity.clone(),
            own: Own::nobody(),
            now: Moment { boot_ms: 0, wall_ms: 0 },
            counters: Counters::default(),
            version: 0,
            is_known: false,
            processes_changed: false,
            written: Written::default(),
            ahead: Ahead::default(),
            at_savepoints: Vec::new(),
            unmarked: None,
            categories: HashMap::new(),
            log,
            moved: 0,
            has_turn: false,
            syncs: options.syncs(),
            replaced: false,
            known_group: 0,
        };
        session.sidecar.wait_for_turn(|slot| process::occupant(&session.connection, slot))?;
        let registered =
            reach(Point::BeforeJoin).and_then(|()| open::try_twice(|| session.register_alone(now)));
        session.sidecar.leave_turn();
        registered.and_then(|()| reach(Point::AfterJoin)).map(|()| session)
    }

    /// The first transaction of a session.
    fn register_alone(&mut self, now: &dyn Fn() -> Moment) -> Result<()> {
        self.connection.busy_timeout(PATIENCE).map_err(database)?;
        self.run("BEGIN IMMEDIATE")?;
        self.place.know_log();
        self.paths = Paths::of(&self.place);
        // Not before: what ended while the turn was waited for must not be given away as if it had not.
        let now = now();
        self.own.looked_at_sidecar(now);
        let done = anchor(&self.place, &self.sidecar).and_then(|()| self.enter(now)).and_then(|_| {
            reach(Point::WithinJoin)?;
            self.finish()
        });
        if done.is_err() {
            self.rollback();
        }
        self.connection.busy_timeout(Duration::ZERO).map_err(database)?;
        done
    }

    /// Runs a statement without parameters or rows.
    pub(super) fn run(&self, sql: &'static str) -> Result<()> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map_err(database)?;
        Ok(())
    }

    /// From now on commits are synced, or not. Outside of transactions only.
    pub(super) fn sync(&mut self, commits: bool) -> Result<()> {
        if self.syncs != commits {
            open::sync(&self.connection, commits)?;
            self.syncs = commits;
        }
        Ok(())
    }

    /// Opens a transaction, and enters it.
    fn start(&mut self, now: Moment) -> Result<Standing> {
        if self.replaced {
            return Err(Error::FileReplaced { path: self.place.path.display().to_string() });
        }
        self.run("BEGIN IMMEDIATE")?;
        let standing = self.enter(now);
        if standing.is_err() {
            self.rollback();
        }
        standing
    }

    /// Reads where the store stands, inside a new transaction, and puts this process's own house in order.
    fn enter(&mut self, now: Moment) -> Result<Standing> {
        self.now = now;
        self.written = Written::default();
        let (was_known, version) = (std::mem::take(&mut self.is_known), self.read_version()?);
        let before = std::mem::replace(&mut self.version, version);
        let row = match was_known && version == before {
            true => Some((self.own.beat_at(), self.sidecar.id.to_vec())),
            false => self.read_counters()?,
        };
        self.processes_changed = false;
        let standing = self.settle_in(row)?;
        if standing == Standing::Lapsed {
            self.written.other = true;
        }
        self.at_savepoints.clear();
        Ok(standing)
    }

    /// It stays as it is until another connection commits.
    fn read_version(&self) -> Result<i64> {
        let mut statement = self.connection.prepare_cached("PRAGMA data_version").map_err(database)?;
        statement.query_row([], |row| row.get(0)).map_err(database)
    }

    // The last event counts by itself: a group that only appends need not write the process's row.
    const COUNTERS: &str = "SELECT
        max(s.position, ifnull(max(p.position), 0), ifnull((SELECT max(position) FROM event), 0)),
        max(s.token, ifnull(max(p.token), 0)), s.process,
        max(s.recorded_at, ifnull(max(p.recorded_at), 0),
            ifnull((SELECT recorded_at FROM event ORDER BY position DESC LIMIT 1), 0)),
        max(iif(p.slot = ?1 AND p.id = ?2, p.last_beat, NULL)), max(iif(p.slot = ?1 AND p.id = ?2, p.sidecar, NULL))
        FROM store s LEFT JOIN process p WHERE s.id = 1";

    /// The store's counters, and of our own row, if it is still there, the last beat and the sidecar.
    fn read_counters(&mut self) -> Result<Option<(u64, Vec<u8>)>> {
        let mut statement = self.connection.prepare_cached(Self::COUNTERS).map_err(database)?;
        let (counters, beat, sidecar) = statement
            .query_row(params![self.own.slot, self.own.id], |row| {
                let counters = Counters {
                    position: row.get(0)?,
                    token: row.get(1)?,
                    process: row.get(2)?,
                    recorded_at: row.get(3)?,
                };
                Ok((counters, row.get::<_, Option<u64>>(4)?, row.get::<_, Option<Vec<u8>>>(5)?))
            })
            .map_err(database)?;
        self.counters = counters;
        Ok(beat.zip(sidecar))
    }

    const SAVE_COUNTERS: &str =
        "UPDATE store SET position = ?1, token = ?2, process = ?3, recorded_at = ?4 WHERE id = 1";

    /// Looks whether the file is still ours, and commits. The counters are in our own row already; if a row came
    /// or went, they are written where they outlive it.
    fn finish(&mut self) -> Result<()> {
        let Counters { position, token, process, recorded_at } = self.counters;
        if self.processes_changed {
            let mut save = self.connection.prepare_cached(Self::SAVE_COUNTERS).map_err(database)?;
            save.execute(params![position, token, process, recorded_at]).map_err(database)?;
        }
        if let Err(error) = self.paths.check_same(&self.place, self.now) {
            self.rollback();
            self.replaced = true;
            return Err(error);
        }
        self.run("COMMIT")?;
        if self.log.load(Ordering::Relaxed) < self.moved {
            self.moved = 0; // The log began anew.
        }
        Ok(())
    }

    /// After a commit that does not: what was only remembered may be forgotten.
    pub(super) fn forget(&mut self) {
        // Another connection counts its versions anew, and may come to the same number.
        self.is_known = false;
        self.ahead = Ahead::default();
        self.categories.clear();
        self.own.undone();
    }

    /// Takes the sidecar that now lies at the path, after the one we had was removed or replaced: our slot and
    /// our turn are locked there too. Whoever still looks at the old one does not know about us, and the other
    /// way round; between such processes the time to live decides. `false` if our slot is another's there.
    pub(super) fn renew_sidecar(&mut self) -> Result<bool> {
        let (fresh, slot) = Sidecar::open_with_slot(&self.place)?;
        let claimed = slot.claim_slot(self.own.slot)?;
        fresh.claim_run(self.own.slot)?;
        if self.has_turn {
            fresh.seize_turn(self.own.slot)?;
        }
        self.sidecar = Arc::new(fresh);
        if let Err(error) = self.rope.move_to(&self.sidecar) {
            tracing::debug!(target: target::WATCH, %error, "the others do not know that somebody waits here");
        }
        self.presence.move_to(slot);
        Ok(claimed)
    }
}

/// Opens the connection that writes and has SQLite tell the length of the log after each commit. It waits for nobody.
fn connect(
    place: &Place,
    options: &Options,
    log: &Arc<AtomicU32>,
    scrutiny: &Arc<Scrutiny>,
) -> Result<Connection> {
    let mut connection = open::writer(place, options)?;
    scrutiny.begin(&mut connection)?;
    connection.busy_timeout(Duration::ZERO).map_err(database)?;
    let log = log.clone();
    let hook = move |_: &mut rusqlite::hooks::Wal, pages: c_int| {
        log.store(pages.unsigned_abs(), Ordering::Relaxed);
        Ok(())
    };
    connection.wal_hook(Some(hook)).map_err(database)?;
    Ok(connection)
}

impl Session for SqliteSession {
    fn process(&self) -> u64 {
        self.own.id
    }

    fn presence(&self) -> Option<Weak<dyn storage::Presence>> {
        // Named, so that what is downgraded is not yet what it is seen as.
        let presence: Weak<Presence> = Arc::downgrade(&self.presence);
        Some(presence)
    }

    fn give_way(&mut self) {
        if !self.has_turn
            && let Err(error) = self.sidecar.give_way()
        {
            // Whoever takes the turn next meets it again.
            tracing::debug!(target: target::WRITER, %error, "it is not known whether others wait for the turn");
        }
    }

    fn take_turn(&mut self, wait: bool) -> Result<bool> {
        if !self.has_turn {
            self.has_turn = self.sidecar.take_turn(self.own.slot, wait)?;
        }
        Ok(self.has_turn)
    }

    fn leave_turn(&mut self) {
        if self.has_turn {
            self.sidecar.leave_turn();
            self.has_turn = false;
        }
    }

    fn turn_holder(&self) -> Option<Turn> {
        process::turn_holder(&self.connection, &self.sidecar).ok().flatten()
    }

    fn begin(&mut self, now: Moment) -> Result<Standing> {
        self.sync(self.options.syncs())?;
        self.start(now)
    }

    fn begin_beat(&mut self, now: Moment) -> Result<Standing> {
        self.sync(false)?;
        match self.start(now)? {
            Standing::Good => Ok(Standing::Good),
            Standing::Lapsed => {
                self.rollback();
                self.begin(now)
            }
        }
    }

    fn foresee(&mut self, operations: &[&Operation]) {
        self.do_ahead(operations);
    }

    fn is_watched(&mut self) -> Result<bool> {
        Ok(self.rope.watches() || self.sidecar.is_watched()?)
    }

    fn savepoint(&mut self) -> Result<()> {
        self.run("SAVEPOINT part")?;
        self.at_savepoints.push((self.counters, self.written));
        Ok(())
    }

    fn end_savepoint(&mut self, keep: bool) -> Result<()> {
        // Of those that have the same name, SQLite means the innermost.
        let none = || Error::Storage { detail: "no savepoint is open".into() };
        let before = self.at_savepoints.pop().ok_or_else(none)?;
        if !keep {
            self.run("ROLLBACK TO part")?;
            (self.counters, self.written) = before;
            self.categories.clear();
        }
        self.run("RELEASE part")
    }

    fn commit(&mut self, group: u64) -> Result<()> {
        if !self.in_transaction() {
            return Err(Error::Storage { detail: "the database had rolled the group back".into() });
        }
        self.unmarked = self.trace().map(|trace| (group, trace));
        let marked = self.unmarked.is_none();
        if marked {
            self.beat(group)?;
        }
        reach(Point::WithinCommit)?;
        self.finish()?;
        self.is_known = true;
        self.known_group = group;
        self.own.committed(marked.then_some(self.now.boot_ms));
        Ok(())
    }

    fn position(&self) -> u64 {
        self.counters.position
    }

    fn rollback(&mut self) {
        self.forget();
        if self.in_transaction() && self.run("ROLLBACK").is_err() {
            // SQLite refuses this only when it has rolled back by itself.
            tracing::debug!(target: target::WRITER, "the transaction was gone already");
        }
    }

    fn in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }

    fn reopen(&mut self) -> Result<()> {
        self.forget();
        let same = self.place.check_same();
        if same.is_ok() && self.keeper.is_none() {
            self.keeper = Some(open::keeper(&self.place)?);
        }
        // The old connection goes before it, so that nothing of its state, locks least of all, outlives it.
        self.connection = Connection::open_in_memory().map_err(database)?;
        if same.is_err() {
            self.replaced = true;
            return same;
        }
        self.connection = connect(&self.place, &self.options, &self.log, &self.scrutiny)?;
        self.syncs = self.options.syncs();
        self.keeper = None;
        Ok(())
    }

    fn last_group(&mut self) -> Result<u64> {
        self.find_last_group()
    }

    fn ring(&self) {
        if let Err(error) = self.sidecar.ring() {
            // The others look from time to time anyway.
            tracing::debug!(target: target::WATCH, %error, "the bell could not be rung");
        }
    }

    fn bell(&self) -> Box<dyn storage::Bell> {
        Box::new(SqliteBell::new(Arc::clone(&self.place), Arc::clone(&self.rope)))
    }

    fn log_pages(&self) -> u32 {
        let pages = self.log.load(Ordering::Relaxed);
        pages.checked_sub(self.moved).unwrap_or(pages)
    }

    fn log_length(&self) -> u32 {
        self.log.load(Ordering::Relaxed)
    }

    fn clear_log(&mut self) -> Result<()> {
        self.move_log(A_MOMENT, "PRAGMA wal_checkpoint(RESTART)").map(drop)
    }

    fn checkpoint(&mut self, whole: bool) -> Result<()> {
        const WHOLE: &str = "PRAGMA wal_checkpoint(TRUNCATE)";
        if !whole {
            return self.move_log(Duration::ZERO, "PRAGMA wal_checkpoint(PASSIVE)").map(drop);
        }
        // Where others run they wait for the turn meanwhile, and one of them moves the rest: a reader, a backup say, may take long.
        let is_last = !self.sidecar.anybody_runs()?;
        let interrupted = self.move_log(if is_last { PATIENCE } else { A_MOMENT }, WHOLE)?;
        if interrupted && is_last { Err(busy_with(Occupant::OtherProgram, Duration::ZERO)) } else { Ok(()) }
    }

    fn compact(&mut self) -> Result<Compacted> {
        self.vacuum()
    }

    fn leave(&mut self, now: Moment) -> Result<()> {
        self.rollback();
        // With our row goes the word that not all we wrote may be on disk.
        self.sync(true)?;
        self.start(now)?;
        let left =
            self.give_everything_up().and_then(|()| reach(Point::WithinLeave)).and_then(|()| self.finish());
        match left {
            Ok(()) => {
                self.presence.leave(self.own.slot);
                self.sidecar.leave_run(self.own.slot);
            }
            Err(_) => self.rollback(),
        }
        left
    }
}
