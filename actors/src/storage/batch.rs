//! Batches: operations that take effect together or not at all, whatever primitives they belong to.
//!
//! A batch is one operation of a group. Its parts are applied in their order, each seeing what those before it have done; the
//! first that is refused undoes them all, and is named.

use super::lock::Fence;
use super::{
    Operation, Outcome, Session, blob, dict, erase, feed, list, projection, queue, record, sql, stream,
    subject, subscription,
};
use crate::error::Result;

/// Apply operations, all or none.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The operations, in order.
    pub parts: Vec<Operation>,
}

/// What became of [`Batch`].
#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    /// All of them took effect: their outcomes, in order.
    Done(Vec<Outcome>),
    /// One was refused, so none of them has left a trace.
    Refused {
        /// Which.
        part: usize,
        /// Why.
        outcome: Box<Outcome>,
    },
}

/// Go on only if a lock is held: a condition of a [`Batch`], which writes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The lock, and the token that must be the current one of a live lease.
    pub fence: Fence,
}

impl Outcome {
    /// Whether the operation was refused, and has written nothing.
    ///
    /// What was done before, by the ids or the key of it, was not refused; nor was what found nothing to do.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Outcome::StreamAppend(appended) => !matches!(appended, stream::Appended::Done { .. }),
            Outcome::StreamCheck(checked) => *checked != stream::Checked::Stands,
            Outcome::StreamErase(erased) => matches!(erased, erase::Erased::Conflict { .. }),
            Outcome::StreamImport(imported) => !matches!(imported, stream::Imported::Done { .. }),
            Outcome::FeedAppend(appended) => *appended == feed::Appended::Fenced,
            Outcome::QueueFinish(finished) => *finished == queue::Finished::Stale,
            Outcome::SubscriptionMove(moved) | Outcome::SubscriptionAcknowledge(moved) => {
                *moved == subscription::Moved::Fenced
            }
            Outcome::ProjectionAdvance(advanced) | Outcome::ProjectionPromote(advanced) => {
                *advanced != projection::Advanced::Done
            }
            Outcome::DictSet(written) => !matches!(written, dict::Written::Done { .. }),
            Outcome::DictRemove(removed) => !matches!(removed, dict::Removed::Done { .. }),
            Outcome::DictIncrement(incremented) => !matches!(incremented, dict::Incremented::Done { .. }),
            Outcome::ListInsert(inserted) => !matches!(inserted, list::Inserted::Done { .. }),
            Outcome::ListRemove(removed) => !matches!(removed, list::Removed::Done { .. }),
            Outcome::ListReplace(replaced) => !matches!(replaced, list::Replaced::Done { .. }),
            Outcome::ListMove(moved) => !matches!(moved, list::Moved::Done { .. }),
            Outcome::BlobBegin(begun) => !matches!(begun, blob::Begun::Done { .. }),
            Outcome::BlobWrite(stored) => *stored == blob::Stored::Gone,
            Outcome::BlobFinish(finished) => !matches!(finished, blob::Finished::Done { .. }),
            Outcome::BlobRemove(removed) => !matches!(removed, blob::Removed::Done { .. }),
            Outcome::DictSeal(before) => before.is_some(),
            Outcome::DictIndex(indexed) => !matches!(indexed, dict::Indexed::Done { .. }),
            Outcome::SubjectKey(stands) => *stands == subject::KeyState::Shredded,
            Outcome::LockCheck(held) => !held,
            Outcome::LockRenew(renewed) => !renewed.held,
            Outcome::RecordLoad(loaded) => matches!(loaded, record::Loaded::Refused { .. }),
            Outcome::SqlRun(ran) => !matches!(ran, sql::Ran::Done { .. }),
            Outcome::Batch(applied) => matches!(applied, Applied::Refused { .. }),
            // Each by its name, so that whoever adds an operation has to say which it is.
            Outcome::LockAcquire(_)
            | Outcome::LockLeave(_)
            | Outcome::LockSettle(_)
            | Outcome::LockRecall(_)
            | Outcome::LockBreak(_)
            | Outcome::SnapshotSave(_)
            | Outcome::SubjectShred(_)
            | Outcome::ChangeRecord(_)
            | Outcome::DictClear(_)
            | Outcome::ListTake(_)
            | Outcome::ListTrim(_)
            | Outcome::BlobSweep(_)
            | Outcome::DictUnindex(_)
            | Outcome::FeedRetain(_)
            | Outcome::FeedTrim(_)
            | Outcome::QueuePush(_)
            | Outcome::QueueClaim(_)
            | Outcome::QueueRecall(_)
            | Outcome::QueueRevive(_)
            | Outcome::QueuePurge(_)
            | Outcome::QueueConfigure(_)
            | Outcome::ScheduleSet(_)
            | Outcome::ScheduleRemove(_)
            | Outcome::ScheduleFire(_)
            | Outcome::ProjectionBegin(_)
            | Outcome::ProjectionWant(_)
            | Outcome::SubscriptionBegin(_)
            | Outcome::SubscriptionPassOver(_)
            | Outcome::SubscriptionEnd(_) => false,
        }
    }
}

/// Applies a batch within a session's transaction.
///
/// # Errors
/// What went wrong in the database. What the batch had written is undone then, if the transaction is still there.
pub fn apply(session: &mut impl Session, batch: &Batch) -> Result<Applied> {
    whole(session, |session| apply_parts(session, batch), |applied| matches!(applied, Applied::Done(_)))
}

/// Does something within a session's transaction that may find out only when it has written that it is refused: under a
/// savepoint of its own, which is undone unless what came of it is to be kept.
///
/// # Errors
/// What went wrong in the database. What was written is undone then, if the transaction is still there.
pub fn whole<S: Session, T>(
    session: &mut S,
    act: impl FnOnce(&mut S) -> Result<T>,
    keep: impl FnOnce(&T) -> bool,
) -> Result<T> {
    session.savepoint()?;
    let done = act(session);
    let keep = done.as_ref().is_ok_and(keep);
    let ended = session.end_savepoint(keep);
    // Why it failed says more than that it could not be undone, which whoever rolls back finds out.
    let done = done?;
    ended.map(|()| done)
}

fn apply_parts(session: &mut impl Session, batch: &Batch) -> Result<Applied> {
    let mut outcomes = Vec::with_capacity(batch.parts.len());
    for (part, operation) in batch.parts.iter().enumerate() {
        let outcome = session.apply(operation)?;
        if outcome.is_refusal() {
            return Ok(Applied::Refused { part, outcome: Box::new(outcome) });
        }
        outcomes.push(outcome);
    }
    Ok(Applied::Done(outcomes))
}
