//! Every operation, and the part of the store that does it.

use super::store::{Caller, Store};
use crate::error::Result;
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
    Operation, Outcome, Tables, batch, blob, dict, dispatch, feed, list, projection, record, schedule, sql,
    subscription,
};

/// A session whose operations are done to the tables of a [`Store`].
pub trait Operates {
    /// Does something within the transaction, again and again if it must, each time from where it began.
    ///
    /// # Errors
    /// Those of `run`; that there is no transaction; what was wrong with fetching.
    fn operate<T>(&mut self, run: impl FnMut(&mut Store, &Caller) -> Result<T>) -> Result<T>;

    /// A lease of so many milliseconds is asked for.
    fn asks_for(&mut self, ttl_ms: u64);

    /// Applies operations, all or none: [`batch::apply`].
    ///
    /// # Errors
    /// What went wrong.
    fn apply_batch(&mut self, batch: &batch::Batch) -> Result<batch::Applied>;

    /// What has become of the next operation, if that was done already when it was foreseen.
    fn foreseen(&mut self) -> Option<Result<Outcome>> {
        None
    }

    /// Runs SQL of the user's own, where there is any. There is none in plain maps.
    ///
    /// # Errors
    /// What the database said.
    fn run_sql(&mut self, _: &sql::Run) -> Result<sql::Ran> {
        Ok(sql::Ran::Unsupported)
    }
}

impl<S: Operates> Tables for S {
    fn apply(&mut self, operation: &Operation) -> Result<Outcome> {
        match self.foreseen() {
            Some(outcome) => outcome,
            None => dispatch(self, operation),
        }
    }

    fn lock_acquire(&mut self, operation: &Acquire) -> Result<Acquired> {
        self.asks_for(operation.ttl_ms);
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
        self.operate(|store, _| shelf::insert(store, operation))
    }

    fn list_take(&mut self, operation: &list::Take) -> Result<list::Taken> {
        self.operate(|store, _| shelf::take(store, operation))
    }

    fn list_remove(&mut self, operation: &list::Remove) -> Result<list::Removed> {
        self.operate(|store, _| shelf::remove(store, operation))
    }

    fn list_replace(&mut self, operation: &list::Replace) -> Result<list::Replaced> {
        self.operate(|store, _| shelf::replace(store, operation))
    }

    fn list_move(&mut self, operation: &list::Move) -> Result<list::Moved> {
        self.operate(|store, _| shelf::relocate(store, operation))
    }

    fn list_trim(&mut self, operation: &list::Trim) -> Result<list::Trimmed> {
        self.operate(|store, _| shelf::trim(store, operation))
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
        self.operate(|store, _| Ok(store.change_record(operation)))
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
        self.asks_for(operation.ttl_ms);
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

    fn sql_run(&mut self, operation: &sql::Run) -> Result<sql::Ran> {
        self.run_sql(operation)
    }

    fn lock_check(&mut self, operation: &batch::Check) -> Result<bool> {
        self.operate(|store, me| Ok(store.fence_stands(me, &operation.fence)))
    }

    fn batch_apply(&mut self, operation: &batch::Batch) -> Result<batch::Applied> {
        self.apply_batch(operation)
    }
}
