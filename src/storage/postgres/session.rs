//! The connection that writes: the turn, begin, what is done within, commit, undo, reopen, leave.
//!
//! Everything is decided here, on rows that were fetched ([`engine`](millpond_actors::engine)), and is known from group to group as
//! long as nobody else has written: whoever has the turn reads the store's generation, which each commit raises. A group asks the
//! server for the turn, then for all that its operations look for and is not here, and then writes all that they have changed, a
//! statement a table, with the commit behind it. However many its operations are, each of these is one way there and one back.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use millpond_actors::engine::{Caller, Operates, Store};
use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::storage::batch::{self, Batch};
use millpond_actors::storage::{
    self, Bell, Compacted, Identity, Moment, Operation, Outcome, Session, Standing, Tables, Turn,
};

use super::connection::{Connection, Step};
use super::error;
use super::ground::Ground;
use super::group::Begun;
use super::param::Reading;
use super::presence::Presence;
use super::turn;

/// How often it is tried when somebody has to know what has become of a commit: for as long as a call may take, mostly.
const TRIES: usize = 120;

/// One process's way of writing. Dropped without [`leave`](Session::leave) it is a process that was killed.
pub(super) struct PostgresSession {
    pub(super) ground: Arc<Ground>,
    pub(super) line: Connection,
    pub(super) presence: Presence,
    pub(super) identity: Identity,
    pub(super) store: Store,
    pub(super) process: u64,
    /// The shortest lease this process ever asked for: while it beats faster, none of its own can have ended.
    pub(super) least_ttl_ms: u64,
    pub(super) has_turn: bool,
    /// A transaction is open on the server.
    pub(super) begun: bool,
    /// Who writes and when, while a group is open.
    pub(super) open: Option<Caller>,
    /// What the store's was when what is here was the last that was known.
    pub(super) generation: Option<u64>,
    /// Of the last event that is on disk.
    pub(super) position: u64,
    /// The last group that was committed, as far as it knows.
    pub(super) last_group: u64,
    pub(super) watched: bool,
    /// There may be others.
    pub(super) others: bool,
    /// Another group is to be expected as soon as one is committed.
    pub(super) expects_more: bool,
    /// The start of the next group, which was sent behind the commit of the last one.
    pub(super) ahead: Option<Begun>,
    /// What is done is done only to find out what will be looked for.
    pub(super) foresees: bool,
    /// Something was missing meanwhile.
    pub(super) missed: bool,
    /// What has become of the operations that were foreseen and not applied yet.
    pub(super) foreseen: VecDeque<Result<Outcome>>,
    pub(super) broken: bool,
    pub(super) left: bool,
    /// The process that a commit failed of, until it is known what became of that.
    pub(super) doubted: Option<u64>,
    /// How long to wait before the server is tried again.
    pub(super) pause: Duration,
}

impl Operates for PostgresSession {
    fn operate<T>(&mut self, mut run: impl FnMut(&mut Store, &Caller) -> Result<T>) -> Result<T> {
        let caller = self.open.clone().ok_or_else(|| refused("no transaction is open"))?;
        if self.foresees {
            // Whoever only foresees goes on as if all was right: what follows looks for more then, and all of it is undone.
            let outcome = run(&mut self.store, &caller);
            self.missed |= self.store.was_missing();
            return outcome;
        }
        loop {
            self.store.savepoint();
            let outcome = run(&mut self.store, &caller);
            let missed = self.store.was_missing();
            self.store.end_savepoint(!missed);
            if !missed {
                return outcome;
            }
            self.fetch()?;
        }
    }

    fn foreseen(&mut self) -> Option<Result<Outcome>> {
        self.foreseen.pop_front()
    }

    fn asks_for(&mut self, ttl_ms: u64) {
        self.least_ttl_ms = self.least_ttl_ms.min(ttl_ms);
    }

    fn apply_batch(&mut self, batch: &Batch) -> Result<batch::Applied> {
        if self.foresees {
            // Whatever the first of them comes to, the others will be looked at too.
            self.store.savepoint();
            batch.parts.iter().for_each(|part| drop(self.apply(part)));
            self.store.end_savepoint(false);
        }
        batch::apply(self, batch)
    }
}

impl Session for PostgresSession {
    fn process(&self) -> u64 {
        self.process
    }

    fn presence(&self) -> Option<Weak<dyn storage::Presence>> {
        Some(self.presence.lender())
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
        // It was passed on with the commit; that it is asked for anew already may stay so.
        if self.ahead.is_none() {
            self.undo();
        }
        self.has_turn = false;
    }

    fn expect_more(&mut self, more: bool) {
        self.expects_more = more;
        if !more && self.ahead.take().is_some() {
            self.line.tell(Step::rollback());
        }
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
        self.foreseen.clear();
        self.foresees = true;
        // Each look may lead to another one. Whatever goes wrong does so again when it is meant.
        for _ in 0..limits::LOOKS {
            self.missed = false;
            self.store.savepoint();
            let outcomes: VecDeque<_> = operations.iter().map(|operation| self.apply(operation)).collect();
            // If nothing was missing, it is done, and only has to be told.
            self.store.end_savepoint(!self.missed);
            if !self.missed {
                self.foreseen = outcomes;
                break;
            }
            if self.fetch().is_err() {
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
        // Where the start was sent ahead, somebody in this process may have begun to watch since; nobody else can have come.
        Ok(self.watched || self.presence.watches())
    }

    fn savepoint(&mut self) -> Result<()> {
        self.open.as_ref().ok_or_else(|| refused("no transaction is open"))?;
        self.store.savepoint();
        Ok(())
    }

    fn end_savepoint(&mut self, keep: bool) -> Result<()> {
        self.open.as_ref().ok_or_else(|| refused("no transaction is open"))?;
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
                (self.last_group, self.doubted) = (group, None);
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
            return Err(refused("the process was taken for dead, and cannot be asked"));
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

pub(super) fn refused(detail: &str) -> Error {
    Error::Storage { detail: detail.to_owned() }
}
