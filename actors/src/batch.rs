//! Batches: writes of any primitives in one operation, all or none.
//!
//! Whoever writes something has something to do once it is known what came of it: remember a row, wake who waits, let go of
//! what was held. A [`Part`] is both, so that what can be written alone can be written in a batch.

use std::fmt;

use crate::error::Result;
use crate::gate::Passage;
use crate::storage::batch::{Applied, Batch};
use crate::storage::{Apply, Operation, Outcome};
use crate::writer::{Terms, Writer};

/// Called with what came of a part; `None` if it did not take effect, or nobody knows.
type After = Box<dyn FnOnce(Option<&Outcome>) + Send>;

/// A write, and what is to be done here once it is known what came of it.
pub struct Part {
    operation: Operation,
    after: After,
}

impl Part {
    /// `after` is called with the outcome once it is committed, and with `None` if it does not take effect or nobody knows;
    /// mostly from the commit thread, so it must be quick and must not wait.
    pub fn new<O: Apply>(operation: O, after: impl FnOnce(Option<O::Outcome>) + Send + 'static) -> Part {
        let after = |outcome: Option<&Outcome>| after(outcome.cloned().and_then(O::from_outcome));
        Part { operation: operation.into_operation(), after: Box::new(after) }
    }

    /// A write that needs nothing to be done.
    pub fn plain(operation: impl Apply) -> Part {
        Part { operation: operation.into_operation(), after: Box::new(|_| {}) }
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("operation", &self.operation).finish_non_exhaustive()
    }
}

/// Writes parts in their order, all or none, if they can be begun until `deadline_ms`. What is to be done about them is done
/// before `then` is called.
pub(crate) fn write(
    writer: &Writer,
    terms: Terms,
    parts: Vec<Part>,
    passage: Option<Passage>,
    then: impl FnOnce(Result<Applied>) + Send + 'static,
) {
    let (parts, afters): (Vec<Operation>, Vec<After>) =
        parts.into_iter().map(|part| (part.operation, part.after)).unzip();
    writer.apply_on(terms, Batch { parts }, passage, move |applied| {
        let outcomes = match &applied {
            Ok(Applied::Done(outcomes)) => outcomes.as_slice(),
            Ok(Applied::Refused { .. }) | Err(_) => &[],
        };
        let mut outcomes = outcomes.iter();
        for after in afters {
            after(outcomes.next());
        }
        then(applied);
    });
}
