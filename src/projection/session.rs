//! One who has the lock of a projection, and what he can do by that.

use std::sync::Arc;

use millpond_actors::batch::Part;
use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::name::{Name, part};
use millpond_actors::projection::Ear;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::partition::Partition;
use millpond_actors::storage::projection::{
    Advance, Advanced, Begin, Failure, Promote, Seen, Standing, Wanted,
};
use millpond_actors::storage::stream::Query;
use millpond_actors::storage::{Apply, Outcome};

use super::Projection;
use super::letters::DeadLetter;
use crate::batch::{Batch, Refused};
use crate::job::check_attempts;
use crate::lock::{Lock, LockGuard};
use crate::patience::{passes, pause};
use crate::queue::Queue;
use crate::stopper::{Stage, Stopper};

/// How a session has ended, if not by an error.
pub(super) enum End {
    /// There is nothing more to do.
    Over,
    /// The lock was lost.
    Lost,
}

/// Why it does not go on as before.
pub(super) enum Halt {
    /// The projection does not stand as it was read any more.
    Stale,
    /// The lock was lost.
    Lost,
    /// The store cannot be written to or read.
    Error(Error),
}

/// What came of a commit.
pub(super) enum Came {
    /// All of it was committed, and so it stands now.
    Committed(Standing),
    /// Something that the user has added was refused.
    Refused(String),
}

/// How somebody projects or reacts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// So many events at once, at most.
    pub(super) batch: usize,
    /// So often an event is tried before it is parked.
    pub(super) attempts: u32,
    /// It is not parked then, but is a dead letter.
    pub(super) dead_letters: bool,
    /// He ends when there is nothing more.
    pub(super) drains: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { batch: limits::PAGE_ROWS as usize, attempts: 5, dead_letters: false, drains: false }
    }
}

impl Settings {
    /// Whether all of them are usable.
    pub(super) fn check(&self) -> Result<()> {
        if !(1..=limits::BATCH_WRITES).contains(&self.batch) {
            let reason = format!("it must lie between 1 and {}", limits::BATCH_WRITES);
            let what = format!("a batch of {} events", self.batch);
            return Err(Error::InvalidArgument { what, reason });
        }
        check_attempts(self.attempts)
    }

    /// Whether an event that has failed so often is a dead letter.
    pub(super) fn goes_past(&self, attempts: u32) -> bool {
        self.dead_letters && attempts >= self.attempts
    }
}

/// The name of the lock of whoever has a projection, and of the queue of its dead letters.
pub(crate) fn lock_name(name: &Name) -> String {
    format!("projection/{}", part(name.as_str()))
}

/// The name of the lock of all who share the partitions of a projection.
pub(crate) fn members_name(name: &Name) -> String {
    format!("{}/members", lock_name(name))
}

/// The name of the lock of whoever has a partition.
pub(super) fn partition_lock(name: &Name, partition: Partition) -> String {
    let name = lock_name(name);
    if partition.is_whole() { name } else { format!("{name}/{:02}", partition.index) }
}

/// The lock of a projection, as often as it is lost on the way or something fails that may pass.
pub(super) struct Turns<'a> {
    lock: Lock,
    stopper: &'a Stopper,
    failures: Failures<'a>,
}

/// Failures in a row that may pass.
pub(super) struct Failures<'a> {
    runtime: Arc<Runtime>,
    stopper: &'a Stopper,
    count: u32,
}

impl<'a> Failures<'a> {
    pub(super) fn new(runtime: &Arc<Runtime>, stopper: &'a Stopper) -> Failures<'a> {
        Failures { runtime: Arc::clone(runtime), stopper, count: 0 }
    }

    /// Waits a while after what may pass, the longer the more there were.
    pub(super) async fn passes(&mut self, error: Error) -> Result<()> {
        if !passes(&error) {
            return Err(error);
        }
        self.count += 1;
        let _ = self.stopper.unless(Stage::Ending, self.runtime.timer(pause(self.count))).await;
        Ok(())
    }
}

impl<'a> Turns<'a> {
    pub(super) fn new(lock: Lock, stopper: &'a Stopper) -> Turns<'a> {
        Turns { failures: Failures::new(&lock.runtime, stopper), lock, stopper }
    }

    /// Waits for the next one; `None` if it is told to stop.
    pub(super) async fn next(&mut self) -> Result<Option<LockGuard>> {
        loop {
            match self.stopper.unless(Stage::Ending, self.lock.acquire()).await.transpose() {
                Err(error) => self.failures.passes(error).await?,
                acquired => return acquired,
            }
        }
    }

    /// Whether there is to be another one, after this one has ended so.
    pub(super) async fn goes_on(&mut self, guard: LockGuard, ended: Result<End>) -> Result<bool> {
        let _ = guard.release().await;
        match ended {
            Ok(End::Over) => Ok(false),
            Ok(End::Lost) => {
                self.failures.count = 0;
                Ok(true)
            }
            Err(error) => self.failures.passes(error).await.map(|()| true),
        }
    }
}

/// How a projection stands, which is made in so many partitions if the store does not know it; `told` tells of that.
pub(super) async fn begin(
    projection: &Projection,
    name: &Name,
    of: u32,
    told: impl FnOnce() + Send + 'static,
) -> Result<Vec<Standing>> {
    let (runtime, start) = (&projection.runtime, projection.start);
    let position = runtime.read(move |view| start.position(view)).await?;
    let mut batch = Batch::new(Arc::clone(runtime));
    let part = Part::new(Begin { name: name.clone(), position, partitions: of }, |_| told());
    let stands = batch.add::<Begin, Vec<Standing>>(runtime, (part, 0), Ok)?;
    let all = batch.commit().await?.get(stands).cloned().unwrap_or_default();
    match all.first().map(|standing| standing.partition.of) {
        Some(found) if found != of => {
            let (name, wanted, found) = (name.to_string(), divided(of), divided(found));
            Err(Error::UsedOtherwise { name, wanted, found })
        }
        _ => Ok(all),
    }
}

fn divided(partitions: u32) -> String {
    match partitions {
        1 => "a projection in one piece".to_owned(),
        _ => format!("a projection in {partitions} partitions"),
    }
}

/// One who has the lock of a projection.
pub(super) struct Session<'a> {
    projection: &'a Projection,
    pub(super) name: &'a Name,
    pub(super) partition: Partition,
    pub(super) query: &'a Query,
    pub(super) guard: &'a LockGuard,
    pub(super) settings: Settings,
    pub(super) ear: Ear,
    pub(super) letters: Queue<DeadLetter>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        projection: &'a Projection,
        (name, partition, query): (&'a Name, Partition, &'a Query),
        guard: &'a LockGuard,
        settings: Settings,
    ) -> Session<'a> {
        let ear = projection.runtime.projections().hear(name, Some(partition.index));
        Session {
            projection,
            name,
            partition,
            query,
            guard,
            settings,
            ear,
            letters: projection.dead_letters(),
        }
    }

    pub(super) fn runtime(&self) -> &'a Arc<Runtime> {
        &self.projection.runtime
    }

    /// How it stands. A projection in one piece is made if the store does not know it; one in partitions has begun before, and has
    /// nothing if it was removed since.
    pub(super) async fn begin(&self) -> Result<Vec<Standing>> {
        if !self.partition.is_whole() {
            return self.stands().await;
        }
        begin(self.projection, self.name, 1, self.ear.voice()).await
    }

    /// Of all generations, what is this partition's.
    fn own(&self, mut all: Vec<Standing>) -> Vec<Standing> {
        all.retain(|standing| standing.partition == self.partition);
        all
    }

    /// How it stands; nothing if it was removed.
    pub(super) async fn stands(&self) -> Result<Vec<Standing>> {
        let name = self.name.clone();
        let all = self.runtime().read(move |view| view.projection(&name)).await?;
        Ok(self.own(all))
    }

    /// Generations that cannot be beside each other: what was to be a rebuild is a reset.
    pub(super) async fn reset_instead(&self, stands: &[Standing]) -> Result<Vec<Standing>> {
        let position = stands.last().map_or(0, |newer| newer.position);
        self.projection.want(Wanted::Reset(position)).await?;
        self.stands().await
    }

    /// Whoever begins to follow has to be told once how far the events have come.
    pub(super) async fn look_how_far(&self) -> Result<()> {
        let head = self.runtime().read(|view| view.head()).await?;
        self.runtime().follow().reaches(head);
        Ok(())
    }

    /// Commits a batch, and with it that the checkpoint is there.
    pub(super) async fn advance(
        &self,
        standing: &Standing,
        batch: Batch,
        (to, handled): (u64, u64),
        failure: Option<Failure>,
    ) -> Result<Came, Halt> {
        // If it has not begun after a failure, that is what has failed.
        let begun = standing.begun || failure.is_none();
        let advance = Advance { seen: self.seen(standing), to, handled, begun, failure: failure.clone() };
        let refused = self.write(batch, advance).await?;
        let handled = standing.handled + handled;
        let stands = || Standing { position: to, handled, begun, failure, ..standing.clone() };
        Ok(refused.map_or_else(|| Came::Committed(stands()), Came::Refused))
    }

    /// Commits a batch, and with it that this generation is the one that is read.
    pub(super) async fn promote(&self, standing: &Standing, batch: Batch) -> Result<Came, Halt> {
        let refused = self.write(batch, Promote { seen: self.seen(standing) }).await?;
        Ok(refused.map_or_else(|| Came::Committed(standing.clone()), Came::Refused))
    }

    /// Commits a batch under a condition, which is looked at before anything else. Why something else of it was refused.
    async fn write<O>(&self, mut batch: Batch, condition: O) -> Result<Option<String>, Halt>
    where
        O: Apply<Outcome = Advanced>,
    {
        let voice = self.ear.voice();
        let part = Part::new(condition, |_| voice());
        batch.first::<O>(self.runtime(), part, |_| Ok(())).map_err(Halt::Error)?;
        match batch.commit_unless_refused().await {
            Ok(Ok(_)) => Ok(None),
            Ok(Err(Refused {
                outcome: Outcome::ProjectionAdvance(it) | Outcome::ProjectionPromote(it),
                ..
            })) => Err(if it == Advanced::Fenced { Halt::Lost } else { Halt::Stale }),
            // It is somebody else's by now, and comes again.
            Ok(Err(Refused { outcome: Outcome::QueueFinish(_), .. })) => Err(Halt::Stale),
            Ok(Err(Refused { error, .. })) | Err(error @ Error::SqlRefused { .. }) => {
                Ok(Some(error.to_string()))
            }
            Err(error) => Err(Halt::Error(error)),
        }
    }

    fn seen(&self, standing: &Standing) -> Seen {
        let Standing { generation, revision, position, .. } = *standing;
        let (name, partition, fence) = (self.name.clone(), self.partition.index, self.guard.fence());
        Seen { name, generation, partition, revision, position, fence }
    }
}
