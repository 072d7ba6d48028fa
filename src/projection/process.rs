//! Long-running processes: what reacts to events with commands, waits, and makes good what went wrong.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::name::{Name, check, part};
use millpond_actors::runtime::Runtime;

use super::managing::Managing;
use super::project::Failure;
use super::{Projected, Projector};
use crate::batch::Batch;
use crate::job::Push;
use crate::queue::Queue;
use crate::reading::Recorded;

/// A process manager: for each process that it correlates events to, it keeps a state, and decides what is to be done next. It is
/// run by [`Projector::manage`].
///
/// What it adds to its [`Steps`] is committed together with the state and the checkpoint, **exactly once**: commands for others as
/// jobs, timeouts, messages, events. It may be called several times for one event, when a commit did not come about; so it must
/// do nothing else that matters.
///
/// The state of a process is kept as the last event of a stream, `NAME-CORRELATION` for the projection NAME, which thereby tells
/// its history too.
///
/// # Examples
/// A transfer that is undone if it takes too long:
/// ```
/// use std::time::Duration;
/// use millpond::{Event, Expected, Failure, ProcessManager, Queue, Recorded, Steps, Store, Timeout};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Default, Serialize, Deserialize)]
/// struct Transfer { paid: bool, undone: bool }
///
/// struct Transfers { commands: Queue<String> }
///
/// impl ProcessManager for Transfers {
///     type State = Transfer;
///
///     fn correlate(&self, event: &Recorded) -> Result<Option<String>, Failure> {
///         Ok(event.stream().strip_prefix("transfer-").map(str::to_owned))
///     }
///
///     fn handle(&mut self, state: &mut Transfer, event: &Recorded, steps: &mut Steps<'_>) -> Result<(), Failure> {
///         match event.event_type() {
///             "Begun" => {
///                 let transfer = steps.correlation();
///                 steps.push(&self.commands, &format!("withdraw for {transfer}"))?;
///                 steps.timeout("paid", Duration::from_millis(5))?;
///             }
///             "Paid" => state.paid = true,
///             _ => {}
///         }
///         Ok(())
///     }
///
///     fn timeout(&mut self, state: &mut Transfer, timeout: &Timeout, steps: &mut Steps<'_>) -> Result<(), Failure> {
///         if !state.paid {
///             state.undone = true;
///             steps.push(&self.commands, &format!("undo {}", timeout.correlation))?;
///         }
///         Ok(())
///     }
/// }
/// # futures_executor::block_on(async {
/// let store = Store::memory().await?;
/// let commands = store.queue::<String>("commands");
/// let begun = Event::new("Begun", &serde_json::json!({ "cents": 500 }))?;
/// store.events().append("transfer-7", Expected::NoStream, [begun]).await?;
/// let transfers = store.projection("transfers");
/// let projector = transfers.projector(store.events().read_category("transfer"));
/// let (stopper, process) = (projector.stopper(), Transfers { commands: commands.clone() });
/// let running = projector.manage(process);
/// let undone = async {
///     for expected in ["withdraw for 7", "undo 7"] {
///         let command = commands.pop().await?;
///         assert_eq!(*command, expected);
///         command.done().await?;
///     }
///     stopper.stop(Duration::from_secs(1));
///     Ok::<_, millpond::Error>(())
/// };
/// let (ran, undone) = futures_util::future::join(running, undone).await;
/// ran.and(undone)?;
/// # store.close().await
/// # }).unwrap();
/// ```
pub trait ProcessManager {
    /// What is kept of one process; the default one before its first event.
    type State: Serialize + DeserializeOwned + Clone + Default;

    /// Which process an event belongs to, by a name that goes into a stream's; `None` if it is of no interest.
    ///
    /// # Errors
    /// Anything: the event has [failed](crate::Progress::failure) then, and is tried again.
    fn correlate(&self, event: &Recorded) -> std::result::Result<Option<String>, Failure>;

    /// Moves a process on, and adds what is to be done. A process whose state serializes as before has not moved, and nothing is
    /// written for it.
    ///
    /// # Errors
    /// As [`correlate`](ProcessManager::correlate).
    fn handle(
        &mut self,
        state: &mut Self::State,
        event: &Recorded,
        steps: &mut Steps<'_>,
    ) -> std::result::Result<(), Failure>;

    /// A [timeout](Steps::timeout) has come, and is over: set here once more, under the same name, it comes again. Whether it still
    /// matters the state tells, unless whatever makes it pointless [takes it back](Steps::cancel). Does nothing unless it is
    /// implemented.
    ///
    /// # Errors
    /// Anything: it comes again then, as a job that is [tried again](crate::Job::retry).
    fn timeout(
        &mut self,
        state: &mut Self::State,
        timeout: &Timeout,
        steps: &mut Steps<'_>,
    ) -> std::result::Result<(), Failure> {
        let _ = (state, timeout, steps);
        Ok(())
    }
}

/// A timeout of a process that has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Timeout {
    /// The process.
    pub correlation: String,
    /// Which of its timeouts.
    pub name: String,
}

/// What a process adds to be done: a [`Batch`], which is committed with its state and the checkpoint.
pub struct Steps<'a> {
    pub(super) batch: &'a mut Batch,
    pub(super) timeouts: &'a Queue<Timeout>,
    pub(super) correlation: &'a str,
    /// What led to them: an event, or a timeout.
    pub(super) cause: Uuid,
    pub(super) ids: u32,
}

impl<'a> Steps<'a> {
    /// The process.
    #[must_use]
    pub fn correlation(&self) -> &'a str {
        self.correlation
    }

    /// An id for a command: another one each time it is asked for, and the same ones when the event comes again. An aggregate that
    /// is given a command under it ([`Execute::id`](crate::Execute::id)) takes it once, however often it is sent.
    pub fn next_id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::new_v5(&self.cause, format!("{} {}", self.correlation, self.ids).as_bytes())
    }

    /// Has [`ProcessManager::timeout`] called after this time, at most 365 days, never before; also if the program is started anew
    /// meanwhile. One that is set already under this name stays as it is: [taken back](Steps::cancel) before, it is set anew.
    ///
    /// # Errors
    /// A name, together with the process's, above 500 bytes; a time above 365 days; the batch is full.
    pub fn timeout(&mut self, name: impl Into<String>, after: Duration) -> Result<()> {
        let timeout = Timeout { correlation: self.correlation.to_owned(), name: name.into() };
        let push = Push::new().delay(after).key(self.key(&timeout.name));
        self.batch.push_with(self.timeouts, &timeout, push).map(drop)
    }

    /// Takes a timeout of this process back: what was set under this name and has not been dealt with does not come any more. If
    /// there is none, and for the one that is being dealt with, nothing happens.
    ///
    /// # Errors
    /// A name, together with the process's, above 500 bytes; the batch is full.
    pub fn cancel(&mut self, name: impl AsRef<str>) -> Result<()> {
        let key = self.key(name.as_ref());
        check("key of a job", &key, limits::NAME_BYTES)?;
        self.batch.remove_of_key(self.timeouts, &key).map(drop)
    }

    fn key(&self, timeout: &str) -> String {
        format!("{}/{}", part(timeout), self.correlation)
    }
}

impl Deref for Steps<'_> {
    type Target = Batch;

    fn deref(&self) -> &Batch {
        self.batch
    }
}

impl DerefMut for Steps<'_> {
    fn deref_mut(&mut self) -> &mut Batch {
        self.batch
    }
}

impl fmt::Debug for Steps<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steps").field("correlation", &self.correlation).finish_non_exhaustive()
    }
}

impl Projector {
    /// Runs a process manager over the events, as [`run`](Projector::run) runs a projection: one at a time, in order, exactly once.
    /// A projector that [drains](Projector::drain) does not wait for timeouts. Behind a [reset](crate::Projection::reset) it sends
    /// once more what it had sent, under the same [ids](Steps::next_id), and from the states that the processes have.
    ///
    /// # Errors
    /// As [`run`](Projector::run).
    pub async fn manage(self, process: impl ProcessManager) -> Result<Projected> {
        let managing = |runtime: &Arc<Runtime>, name: &Name| {
            let timeouts = format!("timeouts/{}", part(name.as_str()));
            Managing::new(process, runtime, name, Queue::new(Arc::clone(runtime), &timeouts))
        };
        self.drive(managing).await
    }
}
