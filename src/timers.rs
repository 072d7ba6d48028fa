//! Timers: what is to be done at a time, under a key by which it is moved and taken back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::name::{Name, check, part};
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::queue::Job as Record;

use crate::batch::{Batch, Slot};
use crate::job::{Job, Push};
use crate::queue::Queue;

/// Timers with values of type `T`, one a key. A handle: cheap to clone, no I/O to make one.
///
/// A reminder, an offer that runs out, a session that ends: what is set when something begins, moved when it goes on, and taken
/// back when it is over. It is on disk, so it comes whatever has died meanwhile.
///
/// - **One timer a key**: to set it again moves it, to another time and to another value. (A [delayed](Push::delay) job of a
///   [queue](Queue) is for what happens anyway: pushed under the same key it stays as it is, and nobody takes it back by that.)
/// - **Never early**, and by the clock that it was set by: a [delay](Timers::set) by the boot clock, a [time](Timers::set_at) by
///   the wall clock, as those of a [`Push`]. Somebody who waits for it has it within some milliseconds of its time.
/// - **At least once**: a timer that has come is a [`Job`], with a lease, to be [done](Job::done) or
///   [tried again](Job::retry). Dropped, or with a process that dies, it comes to the next.
/// - **Moved or taken back while it is worked on**, it is that too: what somebody had in hand is gone, and whatever he says of
///   it is [`Error::StaleClaim`](crate::Error::StaleClaim). So if he ends it in a [batch](Job::done_in) either his batch takes
///   effect or the timer was taken back before, and never both. One that is to come again is ended first and set then, in one
///   batch, as below.
/// - **They are a queue**, [`timers/NAME`](Timers::queue), which brings the rest: [workers](Queue::worker),
///   [pages](Queue::page), [dead letters](Queue::revive), `millpond queue show timers/NAME`.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// # futures_executor::block_on(async {
/// let store = millpond::Store::memory().await?;
/// let reminders = store.timers::<String>("reminders");
/// let day = Duration::from_secs(86_400);
/// reminders.set("ada", 7 * day, &"Dear Ada".to_owned()).await?;
/// reminders.set("bob", 7 * day, &"Dear Bob".to_owned()).await?;
/// assert!(reminders.set("ada", Duration::from_millis(5), &"Dearest Ada".to_owned()).await?, "it is moved");
/// assert!(reminders.cancel("bob").await?, "he has answered");
///
/// let timer = reminders.due().await?;
/// assert_eq!((timer.key(), timer.as_str()), (Some("ada"), "Dearest Ada"));
///
/// // Done, and set anew: both or neither.
/// let mut batch = store.batch();
/// let again = (*timer).clone();
/// timer.done_in(&mut batch)?;
/// batch.set_timer(&reminders, "ada", 7 * day, &again)?;
/// batch.commit().await?;
/// assert!(reminders.get("ada").await?.is_some_and(|timer| timer.due.is_some()));
/// # store.close().await
/// # }).unwrap();
/// ```
pub struct Timers<T> {
    queue: Queue<T>,
}

impl<T> Timers<T> {
    pub(crate) fn new(runtime: Arc<Runtime>, name: &str) -> Timers<T> {
        let name = Name::new(name).and_then(|name| Name::new(format!("timers/{}", part(name.as_str()))));
        Timers { queue: Queue::named(runtime, name) }
    }

    /// The queue that they are: each timer is a job of it, whose key is the timer's. In its name `/` is `%2F`, and `%` is `%25`.
    #[must_use]
    pub fn queue(&self) -> &Queue<T> {
        &self.queue
    }

    /// Sets the time to live of claims made through this handle, as [`Queue::lease`] does.
    #[must_use]
    pub fn lease(self, lease: Duration) -> Timers<T> {
        Timers { queue: self.queue.lease(lease) }
    }

    /// Takes a timer back, also one that has come and is not done. Whether there was one.
    ///
    /// # Errors
    /// A bad name or key; what the database said. Nothing is changed then.
    pub async fn cancel(&self, key: impl AsRef<str>) -> Result<bool> {
        let mut batch = self.batch();
        let cancelled = batch.cancel_timer(self, key)?;
        Ok(batch.commit().await?.get(cancelled).copied().unwrap_or_default())
    }

    /// The same for a thread that waits.
    pub(crate) fn cancel_blocking(&self, key: &str) -> Result<bool> {
        let mut batch = self.batch();
        let cancelled = batch.cancel_timer(self, key)?;
        Ok(batch.commit_blocking()?.get(cancelled).copied().unwrap_or_default())
    }

    /// The timer of a key, if it is set, or has come and is not done: when it is [due](Record::due), and what is known of it.
    /// Its value is [decoded](Queue::decode) by the [queue](Timers::queue).
    ///
    /// # Errors
    /// A bad name; [`Error::Corrupt`](crate::Error::Corrupt) if it is damaged; what the database said.
    pub async fn get(&self, key: impl AsRef<str>) -> Result<Option<Record>> {
        let (name, key) = (self.queue.checked()?.clone(), key.as_ref().to_owned());
        self.queue.runtime.read(move |view| view.job_of_key(&name, &key)).await
    }

    /// The same for a thread that waits.
    pub(crate) fn get_blocking(&self, key: &str) -> Result<Option<Record>> {
        let (name, key) = (self.queue.checked()?.clone(), key.to_owned());
        self.queue.runtime.read_blocking(move |view| view.job_of_key(&name, &key))
    }

    fn batch(&self) -> Batch {
        Batch::new(Arc::clone(&self.queue.runtime))
    }
}

impl<T: Serialize> Timers<T> {
    /// Sets the timer of a key, or moves it: not before so long has passed, as [`Push::delay`] counts it; at most 365 days.
    /// Whether it was moved. `Ok` means: on disk.
    ///
    /// Cancel-safe: if the future is dropped, it is set or all is as it was; which of them is not known.
    ///
    /// # Errors
    /// A bad name, key or delay; [`Error::Encode`](crate::Error::Encode), [`Error::TooLarge`](crate::Error::TooLarge) beyond
    /// 4 MiB; what the database said. Nothing is changed then.
    pub async fn set(&self, key: impl AsRef<str>, delay: Duration, value: &T) -> Result<bool> {
        self.place(key.as_ref(), Push::new().delay(delay), value).await
    }

    /// The same for a certain time: not before the wall clock shows this, in milliseconds since 1970, as [`Push::at`].
    ///
    /// # Errors
    /// As [`set`](Timers::set).
    pub async fn set_at(&self, key: impl AsRef<str>, ms_since_1970: i64, value: &T) -> Result<bool> {
        self.place(key.as_ref(), Push::new().at(ms_since_1970), value).await
    }

    async fn place(&self, key: &str, push: Push, value: &T) -> Result<bool> {
        let mut batch = self.batch();
        let moved = batch.place_timer(self, key, push, value)?;
        Ok(batch.commit().await?.get(moved).copied().unwrap_or_default())
    }

    /// The same for a thread that waits.
    pub(crate) fn place_blocking(&self, key: &str, push: Push, value: &T) -> Result<bool> {
        let mut batch = self.batch();
        let moved = batch.place_timer(self, key, push, value)?;
        Ok(batch.commit_blocking()?.get(moved).copied().unwrap_or_default())
    }
}

impl<T: DeserializeOwned> Timers<T> {
    /// Claims a timer whose time has come, and waits for one without limit. Which one it is says its [key](Job::key).
    ///
    /// Of several the one that was set first comes first. Cancel-safe as [`Queue::pop`].
    ///
    /// # Errors
    /// As [`Queue::pop`].
    pub async fn due(&self) -> Result<Job<T>> {
        self.queue.pop().await
    }

    /// Claims a timer if the time of one has come.
    ///
    /// # Errors
    /// As [`Queue::pop`].
    pub async fn try_due(&self) -> Result<Option<Job<T>>> {
        self.queue.try_pop().await
    }

    /// Claims a timer whose time has come, and waits for one, but not longer than `time`.
    ///
    /// # Errors
    /// As [`Queue::pop`].
    pub async fn due_within(&self, time: Duration) -> Result<Option<Job<T>>> {
        self.queue.pop_within(time).await
    }
}

impl Batch {
    /// Adds that a timer is set or moved, as [`Timers::set`] does it. Whether it was moved.
    ///
    /// A timer that has come and is worked on is moved too. So [end](Job::done_in) it before that if it is to come again.
    ///
    /// # Errors
    /// A bad name, key or delay; [`Error::Encode`](crate::Error::Encode); [`Error::TooLarge`](crate::Error::TooLarge);
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for timers of another store. Nothing is added then.
    pub fn set_timer<T: Serialize>(
        &mut self,
        timers: &Timers<T>,
        key: impl AsRef<str>,
        delay: Duration,
        value: &T,
    ) -> Result<Slot<bool>> {
        self.place_timer(timers, key.as_ref(), Push::new().delay(delay), value)
    }

    /// Adds that a timer is set or moved to a certain time, as [`Timers::set_at`] does it. Whether it was moved.
    ///
    /// # Errors
    /// As [`set_timer`](Batch::set_timer).
    pub fn set_timer_at<T: Serialize>(
        &mut self,
        timers: &Timers<T>,
        key: impl AsRef<str>,
        ms_since_1970: i64,
        value: &T,
    ) -> Result<Slot<bool>> {
        self.place_timer(timers, key.as_ref(), Push::new().at(ms_since_1970), value)
    }

    /// Adds that a timer is taken back, as [`Timers::cancel`] does it. Whether there was one.
    ///
    /// # Errors
    /// As [`set_timer`](Batch::set_timer).
    pub fn cancel_timer<T>(&mut self, timers: &Timers<T>, key: impl AsRef<str>) -> Result<Slot<bool>> {
        check("key of a timer", key.as_ref(), limits::NAME_BYTES)?;
        self.remove_of_key(&timers.queue, key.as_ref())
    }

    /// Another one takes the place of the one that is there: both, or neither is added.
    fn place_timer<T: Serialize>(
        &mut self,
        timers: &Timers<T>,
        key: &str,
        push: Push,
        value: &T,
    ) -> Result<Slot<bool>> {
        let mark = self.mark();
        let moved = self.cancel_timer(timers, key)?;
        match self.push_with(&timers.queue, value, push.key(key)) {
            Ok(_) => Ok(moved),
            Err(error) => {
                self.back_to(mark);
                Err(error)
            }
        }
    }
}

impl<T> Clone for Timers<T> {
    fn clone(&self) -> Timers<T> {
        Timers { queue: self.queue.clone() }
    }
}

impl<T> fmt::Debug for Timers<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timers").field(&self.queue).finish()
    }
}
