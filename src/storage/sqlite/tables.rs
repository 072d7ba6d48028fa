//! Every operation, and the method that does it: what a session has to be able to do inside a transaction.

use millpond_actors::error::Result;
use millpond_actors::storage::list::shelf;
use millpond_actors::storage::{
    self, Operation, Outcome, Tables, batch, blob, change, dict, erase, feed, list, lock, projection, queue,
    record, schedule, snapshot, sql, stream, subject, subscription,
};

use super::list::Shelf;
use super::session::SqliteSession;

impl Tables for SqliteSession {
    /// An operation that is not known to write events alone has the process's row written.
    fn apply(&mut self, operation: &Operation) -> Result<Outcome> {
        self.written.other |= !matches!(operation, Operation::StreamAppend(_));
        self.done_ahead(operation).unwrap_or_else(|| storage::dispatch(self, operation))
    }

    fn lock_acquire(&mut self, operation: &lock::Acquire) -> Result<lock::Acquired> {
        self.acquire(operation)
    }

    fn lock_leave(&mut self, operation: &lock::Leave) -> Result<lock::Left> {
        self.leave_line(operation)
    }

    fn lock_settle(&mut self, operation: &lock::Settle) -> Result<lock::Settled> {
        self.settle(operation)
    }

    fn lock_renew(&mut self, operation: &lock::Renew) -> Result<lock::Renewed> {
        self.renew(operation)
    }

    fn lock_recall(&mut self, operation: &lock::Recall) -> Result<lock::Recalled> {
        self.recall(operation)
    }

    fn lock_break(&mut self, operation: &lock::Break) -> Result<lock::Broken> {
        self.break_lock(operation)
    }

    fn stream_append(&mut self, operation: &stream::Append) -> Result<stream::Appended> {
        self.append(operation)
    }

    fn stream_check(&mut self, operation: &stream::Check) -> Result<stream::Checked> {
        self.check_stream(operation)
    }

    fn stream_import(&mut self, operation: &stream::Import) -> Result<stream::Imported> {
        self.import(operation)
    }

    fn stream_erase(&mut self, operation: &erase::Erase) -> Result<erase::Erased> {
        self.erase(operation)
    }

    fn snapshot_save(&mut self, operation: &snapshot::Save) -> Result<snapshot::Saved> {
        self.leaving_nothing(|session| session.save_snapshot(operation))
    }

    fn list_insert(&mut self, operation: &list::Insert) -> Result<list::Inserted> {
        shelf::insert(&mut Shelf(&self.connection), operation)
    }

    fn list_take(&mut self, operation: &list::Take) -> Result<list::Taken> {
        shelf::take(&mut Shelf(&self.connection), operation)
    }

    fn list_remove(&mut self, operation: &list::Remove) -> Result<list::Removed> {
        shelf::remove(&mut Shelf(&self.connection), operation)
    }

    fn list_replace(&mut self, operation: &list::Replace) -> Result<list::Replaced> {
        shelf::replace(&mut Shelf(&self.connection), operation)
    }

    fn list_move(&mut self, operation: &list::Move) -> Result<list::Moved> {
        shelf::relocate(&mut Shelf(&self.connection), operation)
    }

    fn list_trim(&mut self, operation: &list::Trim) -> Result<list::Trimmed> {
        shelf::trim(&mut Shelf(&self.connection), operation)
    }

    fn dict_set(&mut self, operation: &dict::Set) -> Result<dict::Written> {
        self.set_entry(operation)
    }

    fn dict_remove(&mut self, operation: &dict::Remove) -> Result<dict::Removed> {
        self.remove_entry(operation)
    }

    fn dict_increment(&mut self, operation: &dict::Increment) -> Result<dict::Incremented> {
        self.increment_entry(operation)
    }

    fn dict_clear(&mut self, operation: &dict::Clear) -> Result<dict::Cleared> {
        self.clear_entries(operation)
    }

    fn blob_begin(&mut self, operation: &blob::Begin) -> Result<blob::Begun> {
        self.begin_content(operation)
    }

    fn blob_write(&mut self, operation: &blob::Write) -> Result<blob::Stored> {
        self.write_chunk(operation)
    }

    fn blob_finish(&mut self, operation: &blob::Finish) -> Result<blob::Finished> {
        self.finish_blob(operation)
    }

    fn blob_remove(&mut self, operation: &blob::Remove) -> Result<blob::Removed> {
        self.remove_blob(operation)
    }

    fn blob_sweep(&mut self, operation: &blob::Sweep) -> Result<blob::Swept> {
        self.sweep_blobs(operation)
    }

    fn dict_seal(&mut self, operation: &dict::Seal) -> Result<Option<dict::Kept>> {
        self.seal_dict(operation)
    }

    fn dict_index(&mut self, operation: &dict::MakeIndex) -> Result<dict::Indexed> {
        self.make_index(operation)
    }

    fn dict_unindex(&mut self, operation: &dict::DropIndex) -> Result<dict::Unindexed> {
        self.drop_index(operation)
    }

    fn record_load(&mut self, operation: &record::Load) -> Result<record::Loaded> {
        self.load_records(operation)
    }

    fn subject_key(&mut self, operation: &subject::Make) -> Result<subject::KeyState> {
        self.leaving_nothing(|session| session.make_key(operation))
    }

    fn subject_shred(&mut self, operation: &subject::Shred) -> Result<bool> {
        self.leaving_nothing(|session| session.shred(operation))
    }

    fn change_record(&mut self, operation: &change::Record) -> Result<change::Written> {
        // The last event alone does not tell any more which group came last.
        self.written.other = true;
        self.write_changes(operation)
    }

    fn feed_append(&mut self, operation: &feed::Append) -> Result<feed::Appended> {
        self.append_messages(operation)
    }

    fn feed_retain(&mut self, operation: &feed::Retain) -> Result<feed::Trimmed> {
        self.retain(operation)
    }

    fn feed_trim(&mut self, operation: &feed::Trim) -> Result<feed::Trimmed> {
        self.trim(operation)
    }

    fn queue_push(&mut self, operation: &queue::Push) -> Result<queue::Pushed> {
        self.push(operation)
    }

    fn queue_claim(&mut self, operation: &queue::Claim) -> Result<queue::Claimed> {
        self.claim(operation)
    }

    fn queue_finish(&mut self, operation: &queue::Finish) -> Result<queue::Finished> {
        self.finish_job(operation)
    }

    fn queue_recall(&mut self, operation: &queue::Recall) -> Result<queue::Recalled> {
        self.recall_claims(operation)
    }

    fn queue_revive(&mut self, operation: &queue::Revive) -> Result<queue::Revived> {
        self.revive(operation)
    }

    fn queue_purge(&mut self, operation: &queue::Purge) -> Result<queue::Purged> {
        self.purge(operation)
    }

    fn queue_configure(&mut self, operation: &queue::Configure) -> Result<queue::Configured> {
        self.configure(operation)
    }

    fn schedule_set(&mut self, operation: &schedule::Set) -> Result<schedule::Placed> {
        self.set_schedule(operation)
    }

    fn schedule_remove(&mut self, operation: &schedule::Remove) -> Result<bool> {
        self.remove_schedule(operation)
    }

    fn schedule_fire(&mut self, operation: &schedule::Fire) -> Result<schedule::Fired> {
        self.fire(operation)
    }

    fn subscription_begin(&mut self, operation: &subscription::Subscribe) -> Result<u64> {
        self.begin_subscription(operation)
    }

    fn subscription_move(&mut self, operation: &subscription::Move) -> Result<subscription::Moved> {
        self.move_cursor(operation)
    }

    fn subscription_acknowledge(
        &mut self,
        operation: &subscription::Acknowledge,
    ) -> Result<subscription::Moved> {
        self.acknowledge(operation)
    }

    fn subscription_pass_over(&mut self, operation: &subscription::PassOver) -> Result<u64> {
        self.pass_over(operation)
    }

    fn subscription_end(&mut self, operation: &subscription::Unsubscribe) -> Result<bool> {
        self.end_subscription(operation)
    }

    fn projection_begin(&mut self, operation: &projection::Begin) -> Result<Vec<projection::Standing>> {
        self.begin_projection(operation)
    }

    fn projection_advance(&mut self, operation: &projection::Advance) -> Result<projection::Advanced> {
        self.advance(operation)
    }

    fn projection_promote(&mut self, operation: &projection::Promote) -> Result<projection::Advanced> {
        self.promote(operation)
    }

    fn projection_want(&mut self, operation: &projection::Want) -> Result<bool> {
        self.want(operation)
    }

    fn sql_run(&mut self, operation: &sql::Run) -> Result<sql::Ran> {
        let run = |session: &mut SqliteSession| session.run_sql(operation);
        batch::whole(self, run, |ran| matches!(ran, sql::Ran::Done { .. }))
    }

    fn lock_check(&mut self, operation: &batch::Check) -> Result<bool> {
        self.fence_holds(&operation.fence)
    }

    fn batch_apply(&mut self, operation: &batch::Batch) -> Result<batch::Applied> {
        batch::apply(self, operation)
    }
}
