//! How what runs until it is told to stop is told so: a worker, a projector.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::watch;

use millpond_actors::runtime::Runtime;

/// How a [worker](crate::Worker) or a [projector](crate::Projector) is stopped. Cheap to clone, and may be used from any
/// thread, before or while it runs.
#[derive(Clone)]
pub struct Stopper {
    runtime: Arc<Runtime>,
    stage: watch::Sender<Stage>,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Working,
    /// Nothing new is begun.
    Ending,
    /// What still runs is given back.
    Over,
}

impl Stopper {
    pub(crate) fn new(runtime: &Arc<Runtime>) -> Stopper {
        Stopper { runtime: Arc::clone(runtime), stage: watch::Sender::new(Stage::Working) }
    }

    /// Nothing new is begun from now on, and `run` returns when what runs has come to its end. The handlers of a worker have
    /// `grace` for it; the jobs of those that have not ended by then are given back, visible for others at once, and these
    /// attempts do not count.
    ///
    /// It returns at once. Called again it can only shorten the grace that is left.
    pub fn stop(&self, grace: Duration) {
        if grace.is_zero() {
            return self.reach(Stage::Over);
        }
        self.reach(Stage::Ending);
        let stopper = self.stage.clone();
        self.runtime.later(grace, move || advance(&stopper, Stage::Over));
    }

    pub(crate) fn reach(&self, stage: Stage) {
        advance(&self.stage, stage);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stage.borrow() > Stage::Working
    }

    /// Comes as soon as this stage is reached.
    pub(crate) async fn reached(&self, stage: Stage) {
        // It cannot fail: the sender is here.
        let _ = self.stage.subscribe().wait_for(|now| *now >= stage).await;
    }

    /// What comes of something, unless this stage is reached before.
    pub(crate) async fn unless<F: Future>(&self, stage: Stage, what: F) -> Option<F::Output> {
        match select(pin!(what), pin!(self.reached(stage))).await {
            Either::Left((output, _)) => Some(output),
            Either::Right(_) => None,
        }
    }
}

/// A stage is never gone back from.
fn advance(now: &watch::Sender<Stage>, stage: Stage) {
    now.send_if_modified(|now| std::mem::replace(now, stage.max(*now)) < stage);
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopper").field("stage", &*self.stage.borrow()).finish_non_exhaustive()
    }
}
