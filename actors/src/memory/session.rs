//! A session in memory: one process's turn, transaction and standing.

use std::sync::{Arc, MutexGuard, Weak};
use std::time::Duration;

use super::Shared;
use super::faults::OnApply;
use super::list::Working;
use super::store::{Caller, Store};
use crate::error::{Error, Occupant, Result};
use crate::storage::change::{Record, Written};
use crate::storage::erase;
use crate::storage::list::shelf;
use crate::storage::lock::{
    Acquire, Acquired, Break, Broken, Leave, Left, Recall, Recalled, Renew, Renewed, Settle, Settled,
};
use crate::storage::queue::{
    Claim, Claimed, Configure, Configured, Finish, Finished, Purge, Purged, Push, Pushed,
    Recall as RecallClaims, Recalled as RecalledClaims, Revive, Revived,
};
use crate::storage::snapshot::{Save, Saved};
use crate::storage::stream::{Append, Appended, Check, Checked, Import, Imported};
use crate::storage::subject;
use crate::storage::{
    Bell, Compacted, Identity, Moment, Presence, Session, Standing, Tables, Turn, batch, blob, dict, feed,
    list, projection, record, schedule, sql, subscription,
};

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
    least_ttl_ms: u64,
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
        store.last_process += 1;
        let process = store.last_process;
        store.boot.clone_from(&identity.boot);
        store.living.insert(process);
        store.register_at_once(process, identity, now);
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
    fn transaction(&self) -> Result<(MutexGuard<'_, Store>, &Caller)> {
        let caller = self.open.as_ref().ok_or_else(|| storage("no transaction is open"))?;
        Ok((self.shared.store(), caller))
    }

    /// Runs one operation within the transaction, and the fault that was asked for, if any.
    fn operate<T>(&mut self, run: impl FnOnce(&mut Store, &Caller) -> Result<T>) -> Result<T> {
        let fault = self.shared.faults.on_apply();
        #[allow(clippy::panic, reason = "asked for by a test")]
        if matches!(fault, Some(OnApply::Panic)) {
            panic!("a panic was asked for");
        }
        let (mut store, caller) = self.transaction()?;
        let outcome = run(&mut store, caller);
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
        if store.processes.get(&self.process).is_none() {
            self.process = store.register_anew(self.process, &self.identity, now, self.last_group);
            standing = Standing::Lapsed;
        }
        let me = self.caller(now);
        if store.stand(&me, self.least_ttl_ms) == Standing::Lapsed {
            standing = Standing::Lapsed;
        }
        if self.newcomer {
            store.bury_the_dead(&me);
        }
        drop(store);
        self.open = Some(me);
        Ok(standing)
    }

    fn is_watched(&mut self) -> Result<bool> {
        Ok(self.shared.belfry.is_watched())
    }

    fn savepoint(&mut self) -> Result<()> {
        self.transaction().map(|(mut store, _)| store.savepoint())
    }

    fn end_savepoint(&mut self, keep: bool) -> Result<()> {
        self.transaction().map(|(mut store, _)| store.end_savepoint(keep))
    }

    fn commit(&mut self, group: u64) -> Result<()> {
        let Some(me) = self.open.clone() else { return Err(storage("no transaction is open")) };
        let fault = self.shared.faults.on_commit();
        let mut store = self.shared.store();
        if fault.as_ref().is_none_or(|(_, applied)| *applied) {
            store.beat(&me, group);
            store.commit();
            self.newcomer = false;
        } else {
            store.rollback();
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
        self.shared.store().head()
    }

    fn rollback(&mut self) {
        if self.open.take().is_some() {
            self.shared.store().rollback();
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
        Ok(store.processes.get(&me.process).map_or(0, |row| row.last_group))
    }

    fn ring(&self) {
        self.shared.belfry.ring(self.process);
    }

    fn bell(&self) -> Box<dyn Bell> {
        self.shared.belfry.bell(self.process)
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
            ("giving back what is free in a store in memory".into(), "there is no file".into());
        Err(Error::Unsupported { what, reason })
    }

    fn leave(&mut self, now: Moment) -> Result<()> {
        self.rollback();
        self.check_ready()?;
        let me = self.caller(now);
        let mut store = self.shared.store();
        // A group like any other at its start: what had expired is passed on before the rest is given up.
        store.stand(&me, self.least_ttl_ms);
        store.leave(&me);
        store.commit();
        drop(store);
        self.left = true;
        self.shared.belfry.alarm();
        Ok(())
    }
}

impl Tables for MemorySession {
    fn lock_acquire(&mut self, operation: &Acquire) -> Result<Acquired> {
        self.least_ttl_ms = self.least_ttl_ms.min(operation.ttl_ms);
        self.operate(|store, me| Ok(store.lock_acquire(me, operation)))
    }

    fn lock_leave(&mut self, operation: &Leave) -> Result<Left> {
        self.operate(|store, me| Ok(store.lock_leave(me, operation)))
    }

    fn lock_settle(&mut self, operation: &Settle) -> Result<Settled> {
        self.operate(|store, me| Ok(store.lock_settle(me, operation)))
    }

    fn lock_renew(&mut self, operation: &Renew) -> Result<Renewed> {
        self.operate(|store, me| Ok(store.lock_renew(me, operation)))
    }

    fn lock_recall(&mut self, operation: &Recall) -> Result<Recalled> {
        self.operate(|store, me| Ok(store.lock_recall(me, operation)))
    }

    fn lock_break(&mut self, operation: &Break) -> Result<Broken> {
        self.operate(|store, me| Ok(store.lock_break(me, operation)))
    }

    fn stream_append(&mut self, operation: &Append) -> Result<Appended> {
        self.operate(|store, me| store.stream_append(me, operation))
    }

    fn stream_check(&mut self, operation: &Check) -> Result<Checked> {
        self.operate(|store, _| Ok(store.stream_check(operation)))
    }

    fn stream_erase(&mut self, operation: &erase::Erase) -> Result<erase::Erased> {
        self.operate(|store, me| store.stream_erase(me, operation))
    }

    fn stream_import(&mut self, operation: &Import) -> Result<Imported> {
        self.operate(|store, me| store.stream_import(me, operation))
    }

    fn snapshot_save(&mut self, operation: &Save) -> Result<Saved> {
        self.operate(|store, _| Ok(store.snapshot_save(operation)))
    }

    fn list_insert(&mut self, operation: &list::Insert) -> Result<list::Inserted> {
        self.operate(|store, _| shelf::insert(&mut Working(store), operation))
    }

    fn list_take(&mut self, operation: &list::Take) -> Result<list::Taken> {
        self.operate(|store, _| shelf::take(&mut Working(store), operation))
    }

    fn list_remove(&mut self, operation: &list::Remove) -> Result<list::Removed> {
        self.operate(|store, _| shelf::remove(&mut Working(store), operation))
    }

    fn list_replace(&mut self, operation: &list::Replace) -> Result<list::Replaced> {
        self.operate(|store, _| shelf::replace(&mut Working(store), operation))
    }

    fn list_move(&mut self, operation: &list::Move) -> Result<list::Moved> {
        self.operate(|store, _| shelf::relocate(&mut Working(store), operation))
    }

    fn list_trim(&mut self, operation: &list::Trim) -> Result<list::Trimmed> {
        self.operate(|store, _| shelf::trim(&mut Working(store), operation))
    }

    fn dict_set(&mut self, operation: &dict::Set) -> Result<dict::Written> {
        self.operate(|store, me| Ok(store.dict_set(me, operation)))
    }

    fn dict_remove(&mut self, operation: &dict::Remove) -> Result<dict::Removed> {
        self.operate(|store, me| Ok(store.dict_remove(me, operation)))
    }

    fn dict_increment(&mut self, operation: &dict::Increment) -> Result<dict::Incremented> {
        self.operate(|store, me| Ok(store.dict_increment(me, operation)))
    }

    fn dict_clear(&mut self, operation: &dict::Clear) -> Result<dict::Cleared> {
        self.operate(|store, me| Ok(store.dict_clear(me, operation)))
    }

    fn blob_begin(&mut self, operation: &blob::Begin) -> Result<blob::Begun> {
        self.operate(|store, me| Ok(store.blob_begin(me, operation)))
    }

    fn blob_write(&mut self, operation: &blob::Write) -> Result<blob::Stored> {
        self.operate(|store, _| Ok(store.blob_write(operation)))
    }

    fn blob_finish(&mut self, operation: &blob::Finish) -> Result<blob::Finished> {
        self.operate(|store, me| Ok(store.blob_finish(me, operation)))
    }

    fn blob_remove(&mut self, operation: &blob::Remove) -> Result<blob::Removed> {
        self.operate(|store, _| Ok(store.blob_remove(operation)))
    }

    fn blob_sweep(&mut self, operation: &blob::Sweep) -> Result<blob::Swept> {
        self.operate(|store, me| Ok(store.blob_sweep(me, operation)))
    }

    fn dict_seal(&mut self, operation: &dict::Seal) -> Result<Option<dict::Kept>> {
        self.operate(|store, _| Ok(store.dict_seal(operation)))
    }

    fn dict_index(&mut self, operation: &dict::MakeIndex) -> Result<dict::Indexed> {
        self.operate(|store, _| Ok(store.dict_index(operation)))
    }

    fn dict_unindex(&mut self, operation: &dict::DropIndex) -> Result<dict::Unindexed> {
        self.operate(|store, _| Ok(store.dict_unindex(operation)))
    }

    fn record_load(&mut self, operation: &record::Load) -> Result<record::Loaded> {
        self.operate(|store, me| store.record_load(me, operation))
    }

    fn subject_key(&mut self, operation: &subject::Make) -> Result<subject::KeyState> {
        self.operate(|store, _| Ok(store.subject_key(operation)))
    }

    fn subject_shred(&mut self, operation: &subject::Shred) -> Result<bool> {
        self.operate(|store, _| Ok(store.subject_shred(operation)))
    }

    fn change_record(&mut self, operation: &Record) -> Result<Written> {
        self.transaction().map(|(mut store, _)| store.change_record(operation))
    }

    fn feed_append(&mut self, operation: &feed::Append) -> Result<feed::Appended> {
        self.operate(|store, me| store.feed_append(me, operation))
    }

    fn feed_retain(&mut self, operation: &feed::Retain) -> Result<feed::Trimmed> {
        self.operate(|store, me| Ok(store.feed_retain(me, operation)))
    }

    fn feed_trim(&mut self, operation: &feed::Trim) -> Result<feed::Trimmed> {
        self.operate(|store, me| Ok(store.feed_trim(me, operation)))
    }

    fn queue_push(&mut self, operation: &Push) -> Result<Pushed> {
        self.operate(|store, me| store.queue_push(me, operation))
    }

    fn queue_claim(&mut self, operation: &Claim) -> Result<Claimed> {
        self.least_ttl_ms = self.least_ttl_ms.min(operation.ttl_ms);
        self.operate(|store, me| Ok(store.queue_claim(me, operation)))
    }

    fn queue_finish(&mut self, operation: &Finish) -> Result<Finished> {
        self.operate(|store, me| Ok(store.queue_finish(me, operation)))
    }

    fn queue_recall(&mut self, operation: &RecallClaims) -> Result<RecalledClaims> {
        self.operate(|store, me| Ok(store.queue_recall(me, operation)))
    }

    fn queue_revive(&mut self, operation: &Revive) -> Result<Revived> {
        self.operate(|store, _| Ok(store.queue_revive(operation)))
    }

    fn queue_purge(&mut self, operation: &Purge) -> Result<Purged> {
        self.operate(|store, _| Ok(store.queue_purge(operation)))
    }

    fn queue_configure(&mut self, operation: &Configure) -> Result<Configured> {
        self.operate(|store, me| Ok(store.queue_configure(me, operation)))
    }

    fn schedule_set(&mut self, operation: &schedule::Set) -> Result<schedule::Placed> {
        self.operate(|store, me| Ok(store.schedule_set(me, operation)))
    }

    fn schedule_remove(&mut self, operation: &schedule::Remove) -> Result<bool> {
        self.operate(|store, _| Ok(store.schedule_remove(operation)))
    }

    fn schedule_fire(&mut self, operation: &schedule::Fire) -> Result<schedule::Fired> {
        self.operate(|store, me| store.schedule_fire(me, operation))
    }

    fn subscription_begin(&mut self, operation: &subscription::Subscribe) -> Result<u64> {
        self.operate(|store, _| Ok(store.subscription_begin(operation)))
    }

    fn subscription_move(&mut self, operation: &subscription::Move) -> Result<subscription::Moved> {
        self.operate(|store, me| Ok(store.subscription_move(me, operation)))
    }

    fn subscription_acknowledge(
        &mut self,
        operation: &subscription::Acknowledge,
    ) -> Result<subscription::Moved> {
        self.operate(|store, me| Ok(store.subscription_acknowledge(me, operation)))
    }

    fn subscription_pass_over(&mut self, operation: &subscription::PassOver) -> Result<u64> {
        self.operate(|store, _| Ok(store.subscription_pass_over(operation)))
    }

    fn subscription_end(&mut self, operation: &subscription::Unsubscribe) -> Result<bool> {
        self.operate(|store, _| Ok(store.subscription_end(operation)))
    }

    fn projection_begin(&mut self, operation: &projection::Begin) -> Result<Vec<projection::Standing>> {
        self.operate(|store, _| Ok(store.projection_begin(operation)))
    }

    fn projection_advance(&mut self, operation: &projection::Advance) -> Result<projection::Advanced> {
        self.operate(|store, me| Ok(store.projection_advance(me, operation)))
    }

    fn projection_promote(&mut self, operation: &projection::Promote) -> Result<projection::Advanced> {
        self.operate(|store, me| Ok(store.projection_promote(me, operation)))
    }

    fn projection_want(&mut self, operation: &projection::Want) -> Result<bool> {
        self.operate(|store, _| Ok(store.projection_want(operation)))
    }

    /// There is no SQL in plain maps.
    fn sql_run(&mut self, _: &sql::Run) -> Result<sql::Ran> {
        self.operate(|_, _| Ok(sql::Ran::Unsupported))
    }

    fn lock_check(&mut self, operation: &batch::Check) -> Result<bool> {
        self.operate(|store, me| Ok(store.fence_stands(me, &operation.fence)))
    }

    fn batch_apply(&mut self, operation: &batch::Batch) -> Result<batch::Applied> {
        batch::apply(self, operation)
    }
}

impl Drop for MemorySession {
    fn drop(&mut self) {
        self.rollback();
        self.shared.store().living.remove(&self.process);
        self.shared.turn.leave(self.seat);
        if !self.left {
            self.shared.belfry.alarm();
        }
    }
}

fn storage(detail: &str) -> Error {
    Error::Storage { detail: detail.to_owned() }
}
