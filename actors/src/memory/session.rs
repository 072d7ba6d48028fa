//! A session in memory: one process's turn, transaction and standing.

use std::sync::{Arc, MutexGuard, Weak};
use std::time::Duration;

use super::faults::OnApply;
use super::{Shared, Sides};
use crate::engine::{Caller, Operates, Store};
use crate::error::{Error, Occupant, Result};
use crate::storage::{Bell, Compacted, Identity, Moment, Presence, Session, Standing, Turn, batch};

/// One process of the store. Dropped without leaving, it is dead at once.
#[derive(Debug)]
pub(super) struct MemorySession {
    shared: Arc<Shared>,
    process: u64,
    /// Under which it takes turns: its first process id. It may be registered anew, under another.
    seat: u64,
    identity: Identity,
    /// Who writes and when, while a transaction is open.
    open: Option<Caller>,
    /// The shortest lease this process ever asked for: while it beats faster, none of its own can have ended.
    pub(super) least_ttl_ms: u64,
    /// Whether it has yet to commit for the first time; until then it buries the dead.
    newcomer: bool,
    /// The last group that was committed, as far as it knows.
    last_group: u64,
    /// Whether a failed commit left it unusable until it is reopened.
    broken: bool,
    /// Whether it has left the store.
    left: bool,
}

impl MemorySession {
    /// Registers the process, as a small transaction of its own that disturbs no other: nobody else can know a
    /// row that is not there yet.
    pub(super) fn join(shared: Arc<Shared>, identity: &Identity, now: &dyn Fn() -> Moment) -> MemorySession {
        let mut store = shared.store();
        let now = now();
        let process = store.working.last_process + 1;
        store.both(|store| {
            store.last_process = process;
            store.boot.clone_from(&identity.boot);
            store.living.add(process);
            store.register_at_once(process, identity, now);
        });
        drop(store);
        shared.belfry.alarm();
        MemorySession {
            shared,
            process,
            seat: process,
            identity: identity.clone(),
            open: None,
            least_ttl_ms: u64::MAX,
            newcomer: true,
            last_group: 0,
            broken: false,
            left: false,
        }
    }

    fn caller(&self, now: Moment) -> Caller {
        Caller { process: self.process, boot: Arc::from(self.identity.boot.as_str()), now }
    }

    /// What must be so before a transaction can be opened.
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
        if !self.shared.turn.is_of(self.seat) {
            let process = self.turn_holder().map_or(Occupant::Unknown, |turn| turn.occupant);
            return Err(Error::Busy { process, held_for: Duration::ZERO });
        }
        Ok(())
    }

    /// The tables and who writes to them, if a transaction is open.
    pub(super) fn transaction(&self) -> Result<(MutexGuard<'_, Sides>, &Caller)> {
        let caller = self.open.as_ref().ok_or_else(|| storage("no transaction is open"))?;
        Ok((self.shared.store(), caller))
    }
}

impl Operates for MemorySession {
    /// Once: everything is here. And the fault that was asked for, if any.
    fn operate<T>(&mut self, mut run: impl FnMut(&mut Store, &Caller) -> Result<T>) -> Result<T> {
        let fault = self.shared.faults.on_apply();
        #[allow(clippy::panic, reason = "asked for by a test")]
        if matches!(fault, Some(OnApply::Panic)) {
            panic!("a panic was asked for");
        }
        let (mut store, caller) = self.transaction()?;
        let outcome = run(&mut store.working, caller);
        drop(store);
        match fault {
            Some(OnApply::Fail(error)) => Err(error),
            Some(OnApply::FailAndRollBack(error)) => {
                self.rollback();
                Err(error)
            }
            _ => outcome,
        }
    }

    fn asks_for(&mut self, ttl_ms: u64) {
        self.least_ttl_ms = self.least_ttl_ms.min(ttl_ms);
    }

    fn apply_batch(&mut self, batch: &batch::Batch) -> Result<batch::Applied> {
        batch::apply(self, batch)
    }
}

impl Session for MemorySession {
    fn presence(&self) -> Option<Weak<dyn Presence>> {
        None
    }

    fn process(&self) -> u64 {
        self.process
    }

    fn take_turn(&mut self, wait: bool) -> Result<bool> {
        let occupant = Occupant::Process(self.identity.named(self.process));
        Ok(self.shared.turn.take(self.seat, occupant, wait))
    }

    fn leave_turn(&mut self) {
        self.shared.turn.leave(self.seat);
    }

    fn turn_holder(&self) -> Option<Turn> {
        self.shared.turn.holder().filter(|_| !self.shared.turn.is_of(self.seat))
    }

    fn begin(&mut self, now: Moment) -> Result<Standing> {
        self.check_ready()?;
        self.shared.faults.on_begin()?;
        let shared = Arc::clone(&self.shared);
        let mut store = shared.store();
        let mut standing = Standing::Good;
        if store.working.processes.get(&self.process).is_none() {
            let (old, new) = (self.process, store.working.last_process + 1);
            store.both(|store| {
                store.last_process = new;
                store.living.remove(old);
                store.living.add(new);
            });
            store.working.register(new, &self.identity, now, self.last_group);
            self.process = new;
            standing = Standing::Lapsed;
        }
        let me = self.caller(now);
        if store.working.stand(&me, self.least_ttl_ms) == Standing::Lapsed {
            standing = Standing::Lapsed;
        }
        if self.newcomer {
            store.working.bury_the_dead(&me);
        }
        drop(store);
        self.open = Some(me);
        Ok(standing)
    }

    fn is_watched(&mut self) -> Result<bool> {
        Ok(self.shared.belfry.is_watched())
    }

    fn savepoint(&mut self) -> Result<()> {
        self.transaction().map(|(mut store, _)| store.working.savepoint())
    }

    fn end_savepoint(&mut self, keep: bool) -> Result<()> {
        self.transaction().map(|(mut store, _)| store.working.end_savepoint(keep))
    }

    fn commit(&mut self, group: u64) -> Result<()> {
        let Some(me) = self.open.clone() else { return Err(storage("no transaction is open")) };
        let fault = self.shared.faults.on_commit();
        let mut store = self.shared.store();
        if fault.as_ref().is_none_or(|(_, applied)| *applied) {
            store.working.beat(&me, group);
            store.commit();
            self.newcomer = false;
        } else {
            store.working.rollback();
        }
        drop(store);
        self.open = None;
        self.broken = fault.is_some();
        match fault {
            Some((error, _)) => Err(error),
            None => {
                self.last_group = group;
                Ok(())
            }
        }
    }

    fn position(&self) -> u64 {
        self.shared.store().committed.head()
    }

    fn rollback(&mut self) {
        if self.open.take().is_some() {
            self.shared.store().working.rollback();
        }
    }

    fn in_transaction(&self) -> bool {
        self.open.is_some()
    }

    fn reopen(&mut self) -> Result<()> {
        self.rollback();
        self.shared.faults.on_reopen()?;
        self.broken = false;
        Ok(())
    }

    fn last_group(&mut self) -> Result<u64> {
        let (store, me) = self.transaction()?;
        Ok(store.working.processes.get(&me.process).map_or(0, |row| row.last_group))
    }

    fn ring(&self) {
        self.shared.belfry.ring(self.process);
    }

    fn bell(&self) -> Box<dyn Bell> {
        self.shared.belfry.bell(self.process)
    }

    fn compact(&mut self) -> Result<Compacted> {
        let (what, reason) =
            ("giving back what is free in a store in memory".into(), "there is no file".into());
        Err(Error::Unsupported { what, reason })
    }

    fn leave(&mut self, now: Moment) -> Result<()> {
        self.rollback();
        self.check_ready()?;
        let me = self.caller(now);
        let mut store = self.shared.store();
        // A group like any other at its start: what had expired is passed on before the rest is given up.
        store.working.stand(&me, self.least_ttl_ms);
        store.both(|store| store.living.remove(me.process));
        store.working.leave(&me);
        store.commit();
        drop(store);
        self.left = true;
        self.shared.belfry.alarm();
        Ok(())
    }
}

impl Drop for MemorySession {
    fn drop(&mut self) {
        self.rollback();
        self.shared.store().both(|store| store.living.remove(self.process));
        self.shared.turn.leave(self.seat);
        if !self.left {
            self.shared.belfry.alarm();
        }
    }
}

fn storage(detail: &str) -> Error {
    Error::Storage { detail: detail.to_owned() }
}
