//! The connection that writes: the turn, begin, what is done within, commit, undo, reopen, leave.
//!
//! Everything is decided here, on rows that were fetched ([`engine`](millpond_actors::engine)), and is known from group to group as
//! long as nobody else has written: whoever has the turn reads the store's generation, which each commit raises. A group asks the
//! server for the turn, then for all that its operations look for and is not here, and then writes all that they have changed, a
//! statement a table, with the commit behind it. However many its operations are, each of these is one way there and one back.

use std::sync::{Arc, Weak};
use std::time::Duration;

use millpond_actors::engine::counter::Counter;
use millpond_actors::engine::gaps::Edge;
use millpond_actors::engine::table::Transactional;
use millpond_actors::engine::{Caller, Operates, Store};
use millpond_actors::error::{Error, Occupant, Result};
use millpond_actors::failpoint::{Point, reach};
use millpond_actors::limits;
use millpond_actors::storage::batch::{self, Batch};
use millpond_actors::storage::{
    Bell, Compacted, Identity, Moment, Operation, Session, Standing, Tables, Turn,
};
use tokio_postgres::error::SqlState;

use super::ground::Ground;
use super::param::{Param, Reading, signed};
use super::presence::Presence;
use super::turn;
use super::wire::{Connection, Step};
use super::{error, tables};

/// Rows that are kept from group to group at most.
const ROWS: usize = 100_000;

/// So many rows of a range are fetched at first: mostly the first of them is enough.
const FIRST: usize = 8;

/// How often a group is begun again that has run into another transaction.
const AGAIN: u32 = 3;

/// How long to wait before the server is tried again, in milliseconds: twice as long each time.
const PAUSES: std::ops::RangeInclusive<u64> = 4..=250;

/// How often it is tried when somebody has to know what has become of a commit: for as long as a call may take, mostly.
const TRIES: usize = 120;

/// One process's way of writing. Dropped without [`leave`](Session::leave) it is a process that was killed.
pub(super) struct PostgresSession {
    ground: Arc<Ground>,
    line: Connection,
    presence: Presence,
    identity: Identity,
    store: Store,
    process: u64,
    /// The shortest lease this process ever asked for: while it beats faster, none of its own can have ended.
    least_ttl_ms: u64,
    /// Whether it has yet to commit for the first time; until then it buries the dead.
    newcomer: bool,
    has_turn: bool,
    /// A transaction is open on the server.
    begun: bool,
    /// Who writes and when, while a group is open.
    open: Option<Caller>,
    /// What the store's was when what is here was the last that was known.
    generation: Option<u64>,
    /// Of the last event that is on disk.
    position: u64,
    /// The last group that was committed, as far as it knows.
    last_group: u64,
    watched: bool,
    /// There may be others.
    others: bool,
    /// What is done is done only to find out what will be looked for.
    foresees: bool,
    /// Something was missing meanwhile.
    missed: bool,
    broken: bool,
    left: bool,
    /// The process that a commit failed of, until it is known what became of that.
    doubted: Option<u64>,
    /// How long to wait before the server is tried again, in milliseconds.
    pause_ms: u64,
}

impl PostgresSession {
    /// Registers the process.
    pub(super) fn join(
        ground: Arc<Ground>,
        identity: &Identity,
        now: &dyn Fn() -> Moment,
    ) -> Result<PostgresSession> {
        let line = ground.connect()?;
        let presence = Presence::open(&ground.wire, &ground.address, ground.place.oid)?;
        let mut session = PostgresSession {
            store: Store::elsewhere(ground.fields, FIRST),
            ground,
            line,
            presence,
            identity: identity.clone(),
            process: 0,
            least_ttl_ms: u64::MAX,
            newcomer: true,
            has_turn: false,
            begun: false,
            open: None,
            generation: None,
            position: 0,
            last_group: 0,
            watched: false,
            others: true,
            foresees: false,
            missed: false,
            broken: false,
            left: false,
            doubted: None,
            pause_ms: 0,
        };
        session.take_turn(true)?;
        let registered = reach(Point::BeforeJoin).and_then(|()| {
            let now = now();
            session.enter(now);
            session.register(now)?;
            reach(Point::WithinJoin)?;
            session.write()
        });
        session.leave_turn();
        // Others may come before the first group that could find out.
        session.others = true;
        registered.and_then(|()| reach(Point::AfterJoin)).map(|()| session)
    }

    /// Takes the turn, opens a transaction and reads where the store stands; `false` if somebody else has the turn and is not to be
    /// waited for.
    fn start(&mut self, wait: bool) -> Result<bool> {
        let steps = turn::steps(self.ground.place.oid, self.ground.begin, wait);
        let answers = match self.line.is_closed() {
            true => self.connect(wait).and_then(|()| self.line.all(&steps)),
            // Mostly it is found only now that the connection was lost, and another one is to be had.
            false => self.line.all(&steps).or_else(|error| match self.line.is_closed() {
                true => self.connect(false).and_then(|()| self.line.all(&steps)),
                false => Err(error),
            }),
        }?;
        self.begun = true;
        let read =
            answers.last().and_then(|rows| rows.first()).ok_or_else(|| error::odd("the store has no row"))?;
        let found = turn::Found::read(read)?;
        let got = answers.get(1).and_then(|rows| rows.first());
        if !wait && !got.map_or(Ok(false), |row| Reading::of(row).next::<bool>())? {
            self.end_transaction();
            return Ok(false);
        }
        if self.generation != Some(found.generation) {
            self.store.forget();
            self.generation = Some(found.generation);
        }
        self.ground.clock.heard(found.server_ms);
        self.store.living.forget();
        self.store.last_process = found.process;
        (self.others, self.watched) = (found.processes > 1, found.watched);
        for (counter, value) in Counter::ALL.into_iter().zip(&found.counters) {
            self.store.counters.put_at_once(counter, value.cast_unsigned());
        }
        self.store.counters.know(Edge::First, Edge::Last);
        self.position = self.store.counter(Counter::Position);
        Ok(true)
    }

    /// The transaction on the server is over, whatever it has come to.
    fn end_transaction(&mut self) {
        if std::mem::take(&mut self.begun) && self.line.script("ROLLBACK").is_err() {
            self.generation = None;
        }
    }

    /// Takes another connection. `patient`: if the server was not there a moment ago, it is given a while first.
    fn connect(&mut self, patient: bool) -> Result<()> {
        if patient && self.pause_ms > 0 {
            self.ground.pause(Duration::from_millis(self.pause_ms));
        }
        self.pause_ms = (self.pause_ms * 2).clamp(*PAUSES.start(), *PAUSES.end());
        // What is known was read over another connection, which may have been to another server.
        (self.generation, self.begun) = (None, false);
        let line = self.ground.connect()?;
        if self.process > 0 {
            line.script(&format!("SET application_name = 'millpond {}'", self.process))?;
        }
        (self.line, self.pause_ms) = (line, 0);
        Ok(())
    }

    fn enter(&mut self, now: Moment) {
        let boot = Arc::from(self.identity.boot.as_str());
        self.open = Some(Caller { process: self.process, boot, now });
        self.store.living.add_own(self.process);
    }

    /// Becomes a process of a new id.
    fn register(&mut self, now: Moment) -> Result<()> {
        let mut process = self.store.last_process + 1;
        // Before the row: who has one and holds no lock is dead.
        while !self.presence.claim(process)? {
            process += 1;
        }
        self.line.script(&format!(
            "SET application_name = 'millpond {process}';
            DELETE FROM @listener l WHERE NOT EXISTS (SELECT 1 FROM @process p WHERE p.id = l.process)"
        ))?;
        (self.process, self.store.last_process) = (process, process);
        self.enter(now);
        let (identity, last_group) = (self.identity.clone(), self.last_group);
        self.operate(|store, _| {
            store.register(process, &identity, now, last_group);
            Ok(())
        })
    }

    /// Puts this process's own house in order, and buries the dead if it has just come.
    fn settle_in(&mut self, now: Moment) -> Result<Standing> {
        let mut standing = Standing::Good;
        if !self.operate(|store, me| Ok(store.processes.get(&me.process).is_some()))? {
            self.register(now)?;
            standing = Standing::Lapsed;
        }
        let least_ttl_ms = self.least_ttl_ms;
        if self.operate(|store, me| Ok(store.stand(me, least_ttl_ms)))? == Standing::Lapsed {
            standing = Standing::Lapsed;
        }
        if self.newcomer {
            self.operate(|store, me| {
                store.bury_the_dead(me);
                Ok(())
            })?;
        }
        Ok(standing)
    }

    /// Fetches what was looked for and is not here.
    fn fetch(&mut self) -> Result<()> {
        let questions = tables::ask(&mut self.store);
        let asks_living = self.store.living.take_want();
        let (mut steps, mut absorbs) = (Vec::with_capacity(questions.len() + 1), Vec::new());
        for question in questions {
            steps.push(question.step);
            absorbs.push(question.absorb);
        }
        if asks_living {
            steps.push(Step::new(turn::living(self.ground.place.oid), Vec::new()));
        }
        let mut answers = self.line.all(&steps)?;
        if asks_living && let Some(rows) = answers.pop() {
            let mut living = turn::read_living(&rows)?;
            living.insert(self.process);
            self.store.living.know(living);
        }
        for (absorb, rows) in absorbs.into_iter().zip(&answers) {
            absorb(&mut self.store, rows)?;
        }
        Ok(())
    }

    /// Writes what the group has changed, and commits.
    fn write(&mut self) -> Result<()> {
        let generation = self.generation.unwrap_or_default() + 1;
        let mut attempts = 0;
        loop {
            let mut steps = tables::save(&self.store);
            let counters =
                Counter::ALL.into_iter().map(|counter| Some(self.store.counter(counter).cast_signed()));
            let values = vec![
                Param::Int(signed(generation)),
                Param::Int(signed(self.store.last_process)),
                Param::Ints(counters.collect()),
            ];
            steps.push(Step::new(
                "UPDATE @store SET generation = $1, process = $2, counters = $3 WHERE id = 1",
                values,
            ));
            steps.push(Step::commit());
            let Err(failure) = self.line.try_all(&steps) else { break };
            drop(steps);
            let passes = failure.code().is_some_and(|code| {
                [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code)
            });
            attempts += 1;
            // What it rests on is here: if nobody has written meanwhile, it is as right as before.
            let is_same = passes && attempts <= AGAIN && self.starts_again(generation - 1)?;
            if !is_same {
                self.begun = false;
                return Err(error::database(&failure));
            }
        }
        self.begun = false;
        self.generation = Some(generation);
        self.store.commit();
        self.position = self.store.counter(Counter::Position);
        self.let_go();
        Ok(())
    }

    fn starts_again(&mut self, generation: u64) -> Result<bool> {
        self.end_transaction();
        let steps = turn::steps(self.ground.place.oid, self.ground.begin, true);
        let answers = self.line.all(&steps)?;
        self.begun = true;
        let row =
            answers.last().and_then(|rows| rows.first()).ok_or_else(|| error::odd("the store has no row"))?;
        Ok(turn::Found::read(row)?.generation == generation)
    }

    /// What was written and is hardly looked at again is not kept here, and nothing is if it has become too much.
    fn let_go(&mut self) {
        let store = &mut self.store;
        store.events.forget();
        store.event_ids.forget();
        store.versions.forget();
        store.categories.forget();
        store.messages.forget();
        store.chunks.forget();
        if store.rows() > ROWS {
            store.forget();
        }
    }

    /// What must be so before a group can be opened.
    fn check_ready(&self) -> Result<()> {
        if self.left {
            return Err(Error::Closed);
        }
        if self.broken {
            return Err(storage("the connection is broken since a commit failed"));
        }
        if self.open.is_some() {
            return Err(storage("a transaction is open already"));
        }
        if !self.has_turn {
            let process = self.turn_holder().map_or(Occupant::Unknown, |turn| turn.occupant);
            return Err(Error::Busy { process, held_for: Duration::ZERO });
        }
        Ok(())
    }

    fn undo(&mut self) {
        if self.open.take().is_some() {
            self.store.rollback();
        }
        self.end_transaction();
    }
}

impl Operates for PostgresSession {
    fn operate<T>(&mut self, mut run: impl FnMut(&mut Store, &Caller) -> Result<T>) -> Result<T> {
        let caller = self.open.clone().ok_or_else(|| storage("no transaction is open"))?;
        loop {
            self.store.savepoint();
            let outcome = run(&mut self.store, &caller);
            let missed = self.store.was_missing();
            self.store.end_savepoint(!missed);
            if !missed {
                return outcome;
            }
            self.missed = true;
            if self.foresees {
                return outcome;
            }
            self.fetch()?;
        }
    }

    fn asks_for(&mut self, ttl_ms: u64) {
        self.least_ttl_ms = self.least_ttl_ms.min(ttl_ms);
    }

    fn apply_batch(&mut self, batch: &Batch) -> Result<batch::Applied> {
        if self.foresees {
            // Whatever the first of them comes to, the others will be looked at too.
            batch.parts.iter().for_each(|part| drop(self.apply(part)));
        }
        batch::apply(self, batch)
    }
}

impl Session for PostgresSession {
    fn process(&self) -> u64 {
        self.process
    }

    /// A program that this process starts has no part in its connection.
    fn presence(&self) -> Option<Weak<dyn millpond_actors::storage::Presence>> {
        None
    }

    fn is_far(&self) -> bool {
        true
    }

    fn take_turn(&mut self, wait: bool) -> Result<bool> {
        if !self.begun {
            // It is asked for: whoever loses the connection over that, and gets another one, goes on to wait for it.
            self.has_turn = true;
            self.has_turn = self.start(wait)?;
        }
        Ok(self.has_turn)
    }

    fn leave_turn(&mut self) {
        self.undo();
        self.has_turn = false;
    }

    fn turn_holder(&self) -> Option<Turn> {
        turn::holder(&self.line, self.ground.place.oid).ok().flatten()
    }

    fn begin(&mut self, now: Moment) -> Result<Standing> {
        self.check_ready()?;
        if !self.begun {
            self.start(true)?;
        }
        self.enter(now);
        let settled = self.settle_in(now);
        if settled.is_err() {
            self.undo();
        }
        settled
    }

    fn foresee(&mut self, operations: &[&Operation]) {
        if self.open.is_none() {
            return;
        }
        self.foresees = true;
        // Each look may lead to another one. Whatever goes wrong does so again when it is meant.
        for _ in 0..limits::LOOKS {
            self.missed = false;
            self.store.savepoint();
            operations.iter().for_each(|operation| drop(self.apply(operation)));
            self.store.end_savepoint(false);
            if !self.missed || self.fetch().is_err() {
                break;
            }
        }
        self.foresees = false;
    }

    fn is_watched(&mut self) -> Result<bool> {
        if !self.begun {
            let found =
                self.line.ask("SELECT EXISTS (SELECT 1 FROM @listener WHERE watching)", Vec::new())?;
            self.watched = found.first().map_or(Ok(false), |row| Reading::of(row).next())?;
        }
        Ok(self.watched)
    }

    fn savepoint(&mut self) -> Result<()> {
        self.open.as_ref().ok_or_else(|| storage("no transaction is open"))?;
        self.store.savepoint();
        Ok(())
    }

    fn end_savepoint(&mut self, keep: bool) -> Result<()> {
        self.open.as_ref().ok_or_else(|| storage("no transaction is open"))?;
        self.store.end_savepoint(keep);
        Ok(())
    }

    fn commit(&mut self, group: u64) -> Result<()> {
        self.operate(|store, me| {
            store.beat(me, group);
            Ok(())
        })?;
        let written = self.write();
        self.open = None;
        match written {
            Ok(()) => {
                (self.newcomer, self.last_group, self.doubted) = (false, group, None);
                Ok(())
            }
            Err(error) => {
                self.store.rollback();
                self.generation = None;
                self.broken = true;
                self.doubted = Some(self.process);
                Err(error)
            }
        }
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn rollback(&mut self) {
        self.undo();
    }

    /// A connection that is lost has none.
    fn in_transaction(&self) -> bool {
        self.open.is_some() && !self.line.is_closed()
    }

    /// The server may have been started anew, or another one takes its place: it is tried for a while.
    fn reopen(&mut self) -> Result<()> {
        self.undo();
        let mut tries = 1;
        while let Err(error) = self.connect(true) {
            if tries == TRIES || !error::is_away(&error) {
                return Err(error);
            }
            tries += 1;
        }
        self.broken = false;
        Ok(())
    }

    fn last_group(&mut self) -> Result<u64> {
        if self.doubted.is_some_and(|process| process != self.process) {
            // With its row went what it had committed last.
            return Err(storage("the process was taken for dead, and cannot be asked"));
        }
        self.operate(|store, me| Ok(store.processes.get(&me.process).map_or(0, |row| row.last_group)))
    }

    /// Nobody waits for the answer.
    fn ring(&self) {
        if self.others {
            self.line.tell(turn::ring(self.ground.place.oid, self.process));
        }
    }

    fn bell(&self) -> Box<dyn Bell> {
        self.presence.bell()
    }

    fn log_pages(&self) -> u32 {
        0
    }

    fn log_length(&self) -> u32 {
        0
    }

    fn clear_log(&mut self) -> Result<()> {
        Ok(())
    }

    fn checkpoint(&mut self, _whole: bool) -> Result<()> {
        Ok(())
    }

    fn compact(&mut self) -> Result<Compacted> {
        let (what, reason) =
            ("giving back what is free".into(), "the server does that by itself (autovacuum)".into());
        Err(Error::Unsupported { what, reason })
    }

    fn leave(&mut self, now: Moment) -> Result<()> {
        self.undo();
        self.check_ready()?;
        if !self.begun {
            self.start(true)?;
        }
        self.enter(now);
        let least_ttl_ms = self.least_ttl_ms;
        let left = self.operate(|store, me| {
            // A group like any other at its start: what had expired is passed on before the rest is given up.
            store.stand(me, least_ttl_ms);
            store.living.remove(me.process);
            store.leave(me);
            Ok(())
        });
        let left = left.and_then(|()| self.write());
        self.open = None;
        if left.is_err() {
            self.store.rollback();
            self.end_transaction();
        }
        self.left = true;
        left
    }
}

impl Drop for PostgresSession {
    fn drop(&mut self) {
        self.undo();
    }
}

fn storage(detail: &str) -> Error {
    Error::Storage { detail: detail.to_owned() }
}
