//! Callers who share one thread and lose their patience: each is asked again and again how far it is, in an order by
//! chance, and some are dropped before they have come to their end.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::clock;
use crate::random::Random;

/// One that does something and tells nobody how it went; whatever it has to say it says itself.
pub type Caller<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A caller, and how often it is asked before it is dropped; `None` is as often as it takes.
pub struct Patient<'a> {
    /// The caller.
    pub caller: Caller<'a>,
    /// Its patience.
    pub looks: Option<u64>,
}

impl std::fmt::Debug for Patient<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Patient").field("looks", &self.looks).finish_non_exhaustive()
    }
}

/// A patience by chance: two of three callers have one, and it may be anything from nothing to plenty.
pub fn patience(random: &mut Random) -> Option<u64> {
    (random.below(3) > 0).then(|| {
        let magnitude = random.below(14);
        random.below(1 << magnitude)
    })
}

/// How they ended.
#[derive(Default)]
pub struct Ended<'a> {
    /// Came to their end.
    pub done: u64,
    /// Lost their patience.
    pub dropped: u64,
    /// Were not answered in all that time, and are still waiting.
    pub unanswered: Vec<Caller<'a>>,
}

impl std::fmt::Debug for Ended<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unanswered = self.unanswered.len();
        write!(f, "{} done, {} dropped, {unanswered} unanswered", self.done, self.dropped)
    }
}

/// Asks them until the last one has ended, but not longer than `time`. They need not be woken, but whoever
/// wakes one wakes `waker`. `lose` is what happens to those who lose their patience, at that very moment.
pub fn drive<'a>(
    callers: impl IntoIterator<Item = Patient<'a>>,
    random: &mut Random,
    time: Duration,
    waker: &Waker,
    mut lose: impl FnMut(Caller<'a>),
) -> Ended<'a> {
    let (start, mut context) = (clock::now(), Context::from_waker(waker));
    let mut inside: Vec<Patient<'a>> = callers.into_iter().collect();
    let mut ended = Ended::default();
    while !inside.is_empty() && start.elapsed() < time {
        let at = random.below(inside.len() as u64) as usize;
        let Some(patient) = inside.get_mut(at) else { break };
        if patient.looks == Some(0) {
            lose(inside.swap_remove(at).caller);
            ended.dropped += 1;
            continue;
        }
        patient.looks = patient.looks.map(|looks| looks - 1);
        if patient.caller.as_mut().poll(&mut context) == Poll::Ready(()) {
            inside.swap_remove(at);
            ended.done += 1;
        }
        // The store has threads of its own, and the machine few cores.
        std::thread::yield_now();
    }
    ended.unanswered = inside.into_iter().map(|patient| patient.caller).collect();
    ended
}

/// Asks until it is so; `false` if it is not so in all that time.
///
/// # Errors
/// What `so` said.
pub fn until(time: Duration, mut so: impl FnMut() -> crate::Result<bool>) -> crate::Result<bool> {
    let start = clock::now();
    while !so()? {
        if start.elapsed() >= time {
            return Ok(false);
        }
        std::thread::yield_now();
    }
    Ok(true)
}
