//! What the life of a projector asks for, whoever has written it: a projection, or a process manager.

use std::collections::VecDeque;
use std::future::Future;

use uuid::Uuid;

use millpond_actors::error::Result;

use super::process::Timeout;
use super::project::{Failure, Project};
use crate::batch::Batch;
use crate::queue::Queue;
use crate::reading::Recorded;

/// Whoever makes something of events. As a [`Project`], and what else there is to be done around it.
pub(super) trait Handler {
    type Project: Project;

    fn project(&mut self) -> &mut Self::Project;

    /// Reads what has to be known before the first so many of these events are projected.
    fn prepare(&mut self, events: &VecDeque<Recorded>, most: usize) -> impl Future<Output = Result<()>>;

    /// What was projected since the last commit has not come about.
    fn forget(&mut self);

    /// Where timeouts come from, if there are any.
    fn timeouts(&self) -> Option<Queue<Timeout>>;

    /// Reads what has to be known, and has a timeout dealt with.
    fn time_out(
        &mut self,
        timeout: &Timeout,
        id: Uuid,
        batch: &mut Batch,
    ) -> impl Future<Output = Result<(), Failure>>;
}

/// A projection, which needs nothing else.
pub(super) struct Plain<P>(pub(super) P);

impl<P: Project> Handler for Plain<P> {
    type Project = P;

    fn project(&mut self) -> &mut P {
        &mut self.0
    }

    async fn prepare(&mut self, _: &VecDeque<Recorded>, _: usize) -> Result<()> {
        Ok(())
    }

    fn forget(&mut self) {}

    fn timeouts(&self) -> Option<Queue<Timeout>> {
        None
    }

    async fn time_out(&mut self, _: &Timeout, _: Uuid, _: &mut Batch) -> Result<(), Failure> {
        Ok(())
    }
}
