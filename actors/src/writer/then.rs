//! What becomes of an outcome: who is told it, and what he needs for that.
//!
//! Whoever asks puts what he will need into memory that his own thread has had last, and the commit thread reads it line by
//! line from there. With 10,000 locks an eighth of its time was spent on waiting for these lines, one after the other. So it looks
//! at some requests at once before it answers them: none of the looks needs the one before, and the processor waits for many at a
//! time.

use std::marker::PhantomData;

use crate::error::{Error, Result};
use crate::storage::{Apply, Outcome};

/// Who is told the outcome of a write.
pub(super) trait Then: Send {
    /// Tells him.
    fn tell(self: Box<Self>, outcome: Result<Outcome>);

    /// Looks at what will be needed for that.
    fn look(&self);
}

/// What is needed when an outcome is told.
pub trait Need: Send + 'static {
    /// Reads something of the memory that will be read then, as far as it can be read without doing anything, and does nothing with it.
    fn look(&self);
}

/// Nothing that would be worth a look.
impl Need for () {
    fn look(&self) {}
}

/// A closure that is told what its own operation comes to.
pub(super) struct Telling<O, N, F> {
    need: N,
    then: F,
    operation: PhantomData<fn(O)>,
}

impl<O, N, F> Telling<O, N, F>
where
    O: Apply,
    N: Need,
    F: FnOnce(N, Result<O::Outcome>) + Send + 'static,
{
    pub(super) fn new(need: N, then: F) -> Box<Telling<O, N, F>> {
        Box::new(Telling { need, then, operation: PhantomData })
    }
}

impl<O, N, F> Then for Telling<O, N, F>
where
    O: Apply,
    N: Need,
    F: FnOnce(N, Result<O::Outcome>) + Send + 'static,
{
    fn tell(self: Box<Self>, outcome: Result<Outcome>) {
        let Telling { need, then, .. } = *self;
        let other = || Error::Storage { detail: "an answer to another operation".into() };
        then(need, outcome.and_then(|outcome| O::from_outcome(outcome).ok_or_else(other)));
    }

    fn look(&self) {
        self.need.look();
    }
}

/// In the tests of the writer the operation's own type does not matter.
#[cfg(test)]
impl<F: FnOnce(Result<Outcome>) + Send> Then for F {
    fn tell(self: Box<Self>, outcome: Result<Outcome>) {
        self(outcome);
    }

    fn look(&self) {}
}
