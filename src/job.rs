//! Jobs: what is said about one that is pushed, and one that is being worked on.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use millpond_actors::clock::millis;
use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::name;
use millpond_actors::queue::Held;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::queue::{Finish, Finished, How, Job as Record, Key, NewJob, Scope, Start};
use millpond_actors::storage::{Data, Origin as Kept};

use crate::batch::Batch;
use crate::origin::Origin;

/// What is said about a job that is pushed.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use millpond::Push;
/// # futures_executor::block_on(async {
/// let mail = millpond::Store::memory().await?.queue::<String>("mail");
/// let letter = Push::new().priority(-5).delay(Duration::from_secs(60)).key("order-17").max_attempts(3);
/// let first = mail.push_with(&"Dear Ada".to_owned(), letter.clone()).await?;
/// let again = mail.push_with(&"Dear Ada".to_owned(), letter).await?;
/// assert_eq!((again.sequence, again.existed), (first.sequence, true));
/// # Ok::<(), millpond::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is given to `push_with`"]
pub struct Push {
    priority: i64,
    start: Start,
    key: Option<Key>,
    max_attempts: Option<u32>,
    schema: u32,
    origin: Origin,
}

impl Default for Push {
    fn default() -> Push {
        let (start, origin) = (Start::Now, Origin::new());
        Push { priority: 0, start, key: None, max_attempts: None, schema: 1, origin }
    }
}

impl Push {
    /// Nothing special: priority 0, at once, no key, as many attempts as the queue says.
    pub fn new() -> Push {
        Push::default()
    }

    /// The **lower** number is claimed first; of equals the one that was pushed first. 0 unless set.
    pub fn priority(self, priority: i64) -> Push {
        Push { priority, ..self }
    }

    /// Not before so long has passed, at most 365 days. It is counted by the boot clock, so that nobody who sets the wall
    /// clock makes it early or late; after another boot of the machine it goes by the wall clock. In whole milliseconds,
    /// rounded up.
    pub fn delay(self, delay: Duration) -> Push {
        Push { start: Start::After(whole_millis(delay)), ..self }
    }

    /// Not before the wall clock shows this, in milliseconds since 1970. If the clock is set past it, the job becomes
    /// visible then, and is run once.
    pub fn at(self, ms_since_1970: i64) -> Push {
        Push { start: Start::At(ms_since_1970), ..self }
    }

    /// At most one job of this key at a time: while there is one that is neither done nor dead, nothing is pushed, and the
    /// answer names that one. 1 to 512 bytes, as names are.
    pub fn key(self, key: impl Into<String>) -> Push {
        let text = key.into().into_boxed_str();
        Push { key: Some(Key { text, scope: Scope::Live }), ..self }
    }

    /// As [`key`](Push::key), but those that are dead, or done and kept, keep it out too: as long as anything is known of
    /// the job, it is not done again.
    pub fn key_once(self, key: impl Into<String>) -> Push {
        let text = key.into().into_boxed_str();
        Push { key: Some(Key { text, scope: Scope::Kept }), ..self }
    }

    /// How often it is tried before it goes to the dead letters: 1 to 1,000,000. As the queue says unless set, which is 20
    /// unless configured.
    pub fn max_attempts(self, attempts: u32) -> Push {
        Push { max_attempts: Some(attempts), ..self }
    }

    /// The version of the shape of what is pushed; 1 unless set. It is kept beside the job, for people and other programs.
    pub fn schema(self, schema: u32) -> Push {
        Push { schema, ..self }
    }

    /// Where it comes from: what caused it, on whose behalf, for which tenant. Nothing unless set; a push of a
    /// [decision](crate::Decision::push) comes from the events that were decided on with it.
    pub fn origin(self, origin: impl Into<Origin>) -> Push {
        Push { origin: origin.into(), ..self }
    }

    /// Whether nothing was said about when it begins.
    pub(crate) fn starts_at_once(&self) -> bool {
        self.start == Start::Now
    }

    /// As a job, if everything is usable.
    pub(crate) fn job(self, data: Data) -> Result<NewJob> {
        let Push { priority, start, key, max_attempts, schema, origin } = self;
        if let Start::After(ms) = start
            && ms > millis(limits::DURATION_MAX)
        {
            let (what, given) = ("delay", Duration::from_millis(ms));
            return Err(Error::InvalidDuration {
                what,
                given,
                min: Duration::ZERO,
                max: limits::DURATION_MAX,
            });
        }
        if let Some(key) = &key {
            name::check("key of a job", &key.text, limits::NAME_BYTES)?;
        }
        max_attempts.map_or(Ok(()), check_attempts)?;
        limits::check_size("the data of a job, in bytes,", data.bytes().len(), limits::JOB_BYTES)?;
        let origin = origin.kept()?;
        Ok(NewJob { data, schema, priority, start, key, max_attempts, origin, dead: None })
    }
}

/// Whether a job can be tried so often.
pub(crate) fn check_attempts(attempts: u32) -> Result<()> {
    if (1..=limits::ATTEMPTS_CAP).contains(&attempts) {
        return Ok(());
    }
    let reason = format!("it must lie between 1 and {}", limits::ATTEMPTS_CAP);
    Err(Error::InvalidArgument { what: format!("{attempts} attempts"), reason })
}

/// Never less than was asked for.
pub(crate) fn whole_millis(time: Duration) -> u64 {
    millis(time).saturating_add(u64::from(!time.subsec_nanos().is_multiple_of(1_000_000)))
}

/// A job that is being worked on. It is what was pushed, by [`Deref`].
///
/// Say what came of it: [`done`](Job::done), [`retry`](Job::retry), [`bury`](Job::bury), [`release`](Job::release).
/// Dropped without a word it is an attempt that came to nothing: the job is visible again at once, or, after its last
/// attempt, among the dead letters.
///
/// Its lease hangs on this process, not on this value: it lasts as long as the process runs, however long the work takes,
/// and ends at once when the process dies, or when it was stopped for longer than the [lease](crate::Queue::lease). Then
/// the job is somebody else's, and whatever is said here about it is [`Error::StaleClaim`] and changes nothing.
#[must_use = "dropped without a word it is an attempt that came to nothing"]
pub struct Job<T> {
    runtime: Arc<Runtime>,
    held: Held,
    value: T,
}

impl<T> Job<T> {
    pub(crate) fn new(runtime: Arc<Runtime>, held: Held, value: T) -> Job<T> {
        Job { runtime, held, value }
    }

    /// Its number in the queue.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.record().sequence
    }

    /// Which attempt this is, from 1 on.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.record().attempts
    }

    /// How many there are at most.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.record().max_attempts
    }

    /// Its priority.
    #[must_use]
    pub fn priority(&self) -> i64 {
        self.record().priority
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.record().key.as_deref()
    }

    /// Why the attempt before came to nothing.
    #[must_use]
    pub fn last_reason(&self) -> Option<&str> {
        self.record().reason.as_deref()
    }

    /// What it belongs to; see [`Origin`].
    #[must_use]
    pub fn correlation(&self) -> Option<Uuid> {
        self.origin()?.correlation
    }

    /// What has led to it directly: an event or a command.
    #[must_use]
    pub fn causation(&self) -> Option<Uuid> {
        self.origin()?.causation
    }

    /// On whose behalf it was pushed.
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        self.origin()?.actor.as_deref()
    }

    /// For which tenant.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.origin()?.tenant.as_deref()
    }

    fn origin(&self) -> Option<&Kept> {
        self.record().origin.as_deref()
    }

    /// Everything that is known of it.
    #[must_use]
    pub fn record(&self) -> &Record {
        self.held.job()
    }

    /// The queue's name.
    #[must_use]
    pub fn queue(&self) -> &str {
        self.held.queue().as_str()
    }

    /// The token of this claim: larger than every token that any lock or queue of this store gave before. Whatever the
    /// work writes to outside can refuse a smaller one than it has seen.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.held.token()
    }

    /// How long the lease lasts, by this process's own clock, if the process wrote nothing from now on. A courtesy and no
    /// safety; the safety is that a stale claim is refused.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.held.remaining()
    }

    /// The job is done, on disk, and never run again.
    ///
    /// # Errors
    /// [`Error::StaleClaim`] if it was not ours any more. After any other error it is tried again as soon as the store can
    /// be written to.
    pub async fn done(self) -> Result<()> {
        self.finish(How::Done).await
    }

    /// The job is done if the batch is committed, and with everything else in it. If the batch is not, this attempt came to
    /// nothing, as if the job had been dropped: it is visible again at once.
    ///
    /// So what the job does to this store takes effect once, however often it is run: a claim that is not the current one any
    /// more is [`Error::StaleClaim`] for the whole batch.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a batch of another store, [`Error::TooLarge`] if it is full. The job is dropped then.
    ///
    /// # Examples
    /// ```
    /// # futures_executor::block_on(async {
    /// let store = millpond::Store::memory().await?;
    /// let (orders, bills) = (store.queue::<u32>("orders"), store.log::<String>("bills"));
    /// orders.push(&17).await?;
    /// let order = orders.pop().await?;
    /// let mut batch = store.batch();
    /// batch.log(&bills, &format!("a bill for order {}", *order))?;
    /// order.done_in(&mut batch)?;
    /// batch.commit().await?;
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    pub fn done_in(self, batch: &mut Batch) -> Result<()> {
        let means = self.done_means();
        batch.add::<Finish, _>(&self.runtime, (self.held.done_part(), 0), means).map(drop)
    }

    /// The same, before everything else in the batch, be it added already: for that the job is done, and another one may have
    /// its key.
    pub(crate) fn done_before(self, batch: &mut Batch) -> Result<()> {
        let means = self.done_means();
        batch.condition::<Finish>(&self.runtime, self.held.done_part(), means)
    }

    fn done_means(&self) -> impl FnOnce(Finished) -> Result<()> + Send + 'static + use<T> {
        let (queue, sequence) = (self.queue().to_owned(), self.sequence());
        move |finished| match finished {
            Finished::Stale => Err(Error::StaleClaim { queue, sequence }),
            _ => Ok(()),
        }
    }

    /// The attempt came to nothing, and the job is tried again after a while: one second after the first attempt, twice as
    /// long after each other, an hour at most, and of that by chance between a half and the whole.
    ///
    /// # Errors
    /// As [`done`](Job::done).
    pub async fn retry(self, reason: impl AsRef<str>) -> Result<()> {
        let how = how::retry(&self.runtime, self.attempt(), reason.as_ref());
        self.finish(how).await
    }

    /// The attempt came to nothing, and the job is visible again after so long: at most 365 days.
    ///
    /// # Errors
    /// As [`done`](Job::done).
    pub async fn retry_in(self, delay: Duration) -> Result<()> {
        self.finish(how::retry_in(delay, how::AGAIN)).await
    }

    /// The job goes to the dead letters, whatever attempts it has left. Of the reason 4,096 bytes are kept.
    ///
    /// # Errors
    /// As [`done`](Job::done).
    pub async fn bury(self, reason: impl AsRef<str>) -> Result<()> {
        self.finish(how::bury(reason.as_ref())).await
    }

    /// The job is given back as if it had never been taken: visible at once, and the attempt does not count.
    ///
    /// # Errors
    /// As [`done`](Job::done).
    pub async fn release(self) -> Result<()> {
        self.finish(How::GiveBack).await
    }

    /// The same, for one whom nobody waits for.
    pub(crate) fn give_back(self) {
        self.held.finish_unasked(How::GiveBack);
    }

    /// As [`retry`](Job::retry) for a thread that waits, which says it in [`how`].
    pub(crate) fn retry_blocking(self, reason: &str) -> Result<()> {
        let how = how::retry(&self.runtime, self.attempt(), reason);
        self.finish_blocking(how)
    }

    async fn finish(self, how: How) -> Result<()> {
        let Job { runtime, held, .. } = self;
        runtime.enter_and(|reply, passage| held.finish(how, reply, passage)).await.map(drop)
    }

    /// The same for a thread that waits.
    pub(crate) fn finish_blocking(self, how: How) -> Result<()> {
        let Job { runtime, held, .. } = self;
        runtime.enter_and_wait(|reply, passage| held.finish(how, reply, passage)).map(drop)
    }
}

/// How a job ends, in the words of both faces.
pub(crate) mod how {
    use super::{Duration, How, Runtime, backoff, cut, millis, whole_millis};

    /// What is kept as the reason where none was given.
    pub(crate) const AGAIN: &str = "it is to be tried again";

    /// After a while that grows with the attempts.
    pub(crate) fn retry(runtime: &Runtime, attempts: u32, reason: &str) -> How {
        let random = runtime.seams().rng.uuid().as_u128() as u32;
        How::Retry { delay_ms: millis(backoff(attempts, random)), reason: cut(reason) }
    }

    pub(crate) fn retry_in(delay: Duration, reason: &str) -> How {
        How::Retry { delay_ms: whole_millis(delay), reason: cut(reason) }
    }

    pub(crate) fn bury(reason: &str) -> How {
        How::Bury { reason: cut(reason) }
    }
}

/// How long a job waits after so many attempts.
fn backoff(attempts: u32, random: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(31);
    let whole = limits::RETRY_FIRST.saturating_mul(1 << doublings).min(limits::RETRY_MOST);
    // Between a half and the whole, so that jobs that failed together do not come back together.
    whole / 2 + (whole / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// As much of a reason as is kept.
pub(crate) fn cut(reason: &str) -> Box<str> {
    let end = reason.floor_char_boundary(limits::REASON_BYTES);
    reason.get(..end).unwrap_or_default().into()
}

impl<T> From<&Job<T>> for Origin {
    fn from(job: &Job<T>) -> Origin {
        Origin::of(job.origin().cloned().unwrap_or_default())
    }
}

impl<T> Deref for Job<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("queue", &self.queue())
            .field("sequence", &self.sequence())
            .field("value", &self.value)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q5_what_comes_to_nothing_waits_twice_as_long_each_time() {
        let most = |attempts| backoff(attempts, u32::MAX).as_secs();
        assert_eq!([1, 2, 3, 10, 12, 13, 99].map(most), [1, 2, 4, 512, 2_048, 3_600, 3_600]);
        for attempts in [1, 5, 50] {
            let (least, whole) = (backoff(attempts, 0), backoff(attempts, u32::MAX));
            assert_eq!(least * 2, whole);
            let middle = backoff(attempts, u32::MAX / 2);
            assert!(least < middle && middle < whole);
        }
    }

    #[test]
    fn a_delay_is_never_less_than_asked_for() {
        let nanos = Duration::from_nanos;
        assert_eq!([0, 1, 999_999, 1_000_000, 1_000_001].map(nanos).map(whole_millis), [0, 1, 1, 1, 2]);
        assert_eq!(whole_millis(Duration::MAX), u64::MAX);
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(&*cut("why"), "why");
        let long = "ä".repeat(limits::REASON_BYTES);
        assert_eq!(cut(&format!("x{long}")).len(), limits::REASON_BYTES - 1);
    }
}
