//! Schedules: what is pushed to a queue again and again, at the times of a cron expression.

use serde::Serialize;

use millpond_actors::calendar;
use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::queue::{Abandoned, Keep, QueueActor, Write};
use millpond_actors::storage::Target;
use millpond_actors::storage::schedule::{Missed, Placed, Plan, Remove, Schedule, Set};

use crate::job::Push;
use crate::queue::Queue;

/// At which times a job is pushed. Made from a cron expression.
///
/// Five fields - minute, hour, day of the month, month, day of the week - or six, with the second before them. `*`, lists
/// (`1,15`), ranges (`MON-FRI`), steps (`*/10`), and `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
///
/// - **Time zone**: UTC unless [said](Every::zone).
/// - **When the clocks go forward**, a job for a fixed time that is left out comes at the first minute behind the gap, on the
///   same day. One for every so many minutes or hours just goes on.
/// - **When the clocks go back**, a job for a fixed time comes once, at the first of both. One for every so many minutes or
///   hours comes in both.
/// - **When no process kept the time**, the job is pushed once for all that was missed, as soon as one does; unless
///   [said](Every::missed) otherwise. So it is when the clock is set forward. When it is set back, times that were done for
///   do not come again.
///
/// # Examples
/// ```
/// use millpond::{Every, Missed};
/// let weekdays = Every::cron("30 8 * * MON-FRI").zone("Europe/Amsterdam").missed(Missed::Skip);
/// # let _ = weekdays;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it is given to `recurring`"]
pub struct Every {
    cron: String,
    zone: String,
    missed: Missed,
}

impl Every {
    /// At the times of this expression. What is none is refused when it is used.
    pub fn cron(expression: impl Into<String>) -> Every {
        Every { cron: expression.into(), zone: "UTC".into(), missed: Missed::Once }
    }

    /// In this time zone, by its IANA name: `Europe/Amsterdam`. The machine must know it.
    pub fn zone(self, zone: impl Into<String>) -> Every {
        Every { zone: zone.into(), ..self }
    }

    /// What becomes of times at which no process kept the time. With [`Missed::Skip`] what is late by more than a minute
    /// is left out.
    pub fn missed(self, missed: Missed) -> Every {
        Every { missed, ..self }
    }
}

impl From<&str> for Every {
    fn from(expression: &str) -> Every {
        Every::cron(expression)
    }
}

impl<T> Queue<T> {
    /// Removes a schedule. Whether it was there. What it has pushed stays.
    ///
    /// # Errors
    /// A bad name; what the database said. Nothing is changed then.
    pub async fn unschedule(&self, name: impl AsRef<str>) -> Result<bool> {
        self.runtime.write(self.removal(name.as_ref())?).await
    }

    /// The same for a thread that waits.
    pub(crate) fn unschedule_blocking(&self, name: &str) -> Result<bool> {
        self.runtime.write_blocking(self.removal(name)?)
    }

    fn removal(&self, name: &str) -> Result<Remove> {
        Ok(Remove { queue: self.target()?, name: Name::new(name)? })
    }

    /// The schedules of this queue, by name. A damaged one is an error in its place.
    ///
    /// # Errors
    /// A bad name; what the database said.
    pub async fn schedules(&self) -> Result<Vec<Result<Schedule>>> {
        let name = self.target()?.name;
        self.runtime.read(move |view| view.schedules(&name)).await
    }

    /// The same for a thread that waits.
    pub(crate) fn schedules_blocking(&self) -> Result<Vec<Result<Schedule>>> {
        let name = self.target()?.name;
        self.runtime.read_blocking(move |view| view.schedules(&name))
    }

    /// Keeps the time of this queue's schedules, and pushes what is due, for as long as it is awaited; for a process that
    /// does not work on the queue itself. A [worker](Queue::worker) does it already, and whoever waits in
    /// [`pop`](Queue::pop) does.
    ///
    /// # Errors
    /// A bad name; [`Error::Closed`], which ends it in the end; what the database said.
    pub async fn keep_schedules(&self) -> Result<()> {
        let name = self.target()?.name;
        let _leaving = Leaving { queue: self, name: &name };
        self.runtime.watch::<QueueActor, _, _>(&name, |reply, passage| Keep { reply, passage }).await
    }

    /// The same for a thread that waits.
    pub(crate) fn keep_schedules_blocking(&self) -> Result<()> {
        let name = self.target()?.name;
        self.runtime.watch_blocking::<QueueActor, _, _>(&name, |reply, passage| Keep { reply, passage })
    }

    fn target(&self) -> Result<Target> {
        Ok(Target { name: self.checked()?.clone(), id: None })
    }
}

impl<T: Serialize> Queue<T> {
    /// Has a job pushed again and again, at the times of a cron expression, under a name of its own. What of `push` is said
    /// about the job holds for each of them; with a [key](Push::key), nothing is pushed while the one before is not done.
    ///
    /// - **Each time comes once**, over all processes and crashes: the job is pushed in the commit that does the time.
    /// - **Somebody has to be there**: a process in which a [worker](Queue::worker) runs, somebody waits in
    ///   [`pop`](Queue::pop), or [`keep_schedules`](Queue::keep_schedules) is awaited. A job begins within a moment of its
    ///   time and never before.
    /// - **A program says it whenever it starts**: what is there already stays as it is, also when its next time is. A name
    ///   is changed by saying it anew. If its times stay the same, what is due stays due.
    ///
    /// The answer is whether anything was changed.
    ///
    /// # Errors
    /// A bad name; [`Error::InvalidArgument`] for what is no cron expression, for one that never comes, for a time zone
    /// that this machine does not know, and for a `push` with a time of its own; as [`push_with`](Queue::push_with), and
    /// [`Error::TooLarge`] beyond 64 KiB of data; [`Error::Overloaded`] beyond 1,000 schedules of a queue. Nothing is
    /// changed then.
    ///
    /// # Examples
    /// ```
    /// # futures_executor::block_on(async {
    /// use millpond::{Every, Push};
    /// let store = millpond::Store::memory().await?;
    /// let reports = store.queue::<String>("reports");
    /// reports.recurring("nightly", "0 3 * * *", &"all".to_owned(), Push::new()).await?;
    /// let mornings = Every::cron("30 8 * * MON-FRI").zone("Europe/Amsterdam");
    /// reports.recurring("morning", mornings, &"sales".to_owned(), Push::new().key("sales")).await?;
    /// assert_eq!(reports.schedules().await?.len(), 2);
    /// assert!(reports.unschedule("nightly").await?);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    pub async fn recurring(
        &self,
        name: impl AsRef<str>,
        every: impl Into<Every>,
        job: &T,
        push: Push,
    ) -> Result<bool> {
        let set = self.plan(name.as_ref(), every.into(), job, push)?;
        placed(self.write(|reply, passage| Write::Schedule(set, reply, passage)).await?)
    }

    /// The same for a thread that waits.
    pub(crate) fn recurring_blocking(&self, name: &str, every: Every, job: &T, push: Push) -> Result<bool> {
        let set = self.plan(name, every, job, push)?;
        placed(self.write_blocking(|reply, passage| Write::Schedule(set, reply, passage))?)
    }

    fn plan(&self, name: &str, every: Every, job: &T, push: Push) -> Result<Set> {
        let (queue, name) = (self.target()?, Name::new(name)?);
        if !push.starts_at_once() {
            let what = format!("schedule \"{name}\"");
            return Err(Error::InvalidArgument {
                what,
                reason: "its times are those of its cron expression".into(),
            });
        }
        let Every { cron, zone, missed } = every;
        limits::check_size("a cron expression, in bytes,", cron.len(), limits::NAME_BYTES)?;
        let now_ms = self.runtime.seams().clock.now().wall_ms;
        let Some(due) = calendar::next(&cron, &zone, now_ms)? else {
            let what = format!("the cron expression \"{cron}\"");
            return Err(Error::InvalidArgument { what, reason: "its time never comes".into() });
        };
        let job = self.encoded(job, push)?;
        limits::check_size(
            "the data of a schedule, in bytes,",
            job.data.bytes().len(),
            limits::SCHEDULE_BYTES,
        )?;
        let plan = Plan { cron: cron.into(), zone: zone.into(), missed, job };
        Ok(Set { queue, name, plan: Box::new(plan), due: Some(due) })
    }
}

/// Whether anything was written.
fn placed(placed: Placed) -> Result<bool> {
    match placed {
        Placed::Full => {
            Err(Error::Overloaded { what: "a queue's schedules", limit: limits::SCHEDULES as u64 })
        }
        placed => Ok(placed != Placed::Same),
    }
}

/// Tells the actor when somebody goes away for whom it kept the time.
struct Leaving<'a, T> {
    queue: &'a Queue<T>,
    name: &'a Name,
}

impl<T> Drop for Leaving<'_, T> {
    fn drop(&mut self) {
        self.queue.runtime.tell::<QueueActor, _>(self.name, Abandoned);
    }
}
