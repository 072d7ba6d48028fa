//! Those who use the store meanwhile, and what they were told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_executor::block_on;
use millpond::{Error, Event, Expected, Push, Store, WriteOutcome};
use uuid::Uuid;

use super::judge::Evidence;
use crate::clock;
use crate::within::within;

/// Callers at once.
pub(super) const LANES: u64 = 16;

/// Nobody is to wait for longer than this, whatever happens.
const HANG: Duration = Duration::from_secs(60);

/// How often an unknown write is asked for again until it is known.
const AGAIN: usize = 60;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// An event with an id, into a stream that all share.
    Append,
    /// A job with a key.
    Push,
    /// One more in the lane's own entry of a dict.
    Increment,
    /// An item into a list.
    Item,
}

const DEEDS: [Deed; 4] = [Deed::Append, Deed::Push, Deed::Increment, Deed::Item];

/// What a caller was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is there: at this place, or with this number.
    Done(u64),
    /// Nothing was written.
    Refused(String),
    /// It is not known. With an id it was asked for again: whether it had been there, if that was told.
    Unknown { words: String, there: Option<bool> },
    /// Nothing, for longer than anybody is to wait.
    None,
}

/// A call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) lane: u64,
    pub(super) number: u64,
    pub(super) deed: Deed,
    pub(super) answer: Answer,
    pub(super) begun: u64,
    pub(super) ended: u64,
}

impl Call {
    /// What is written has this in it.
    pub(super) fn mark(&self) -> String {
        mark(self.lane, self.number)
    }

    pub(super) fn id(&self) -> Uuid {
        id(self.lane, self.number)
    }
}

fn mark(lane: u64, number: u64) -> String {
    format!("{lane}-{number}")
}

fn id(lane: u64, number: u64) -> Uuid {
    Uuid::from_u128(u128::from(lane + 1) << 64 | u128::from(number))
}

/// What all of them have said.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<Evidence>);

impl Heard {
    fn lock(&self) -> MutexGuard<'_, Evidence> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the first call had gone well that began then or later.
    pub(super) fn first_since(&self, since: u64) -> Option<u64> {
        let heard = self.lock();
        let late = heard.calls.iter().rev().take_while(|call| call.ended >= since);
        late.filter(|call| call.begun >= since && matches!(call.answer, Answer::Done(_)))
            .map(|call| call.ended)
            .min()
    }

    /// What was done last.
    pub(super) fn harmed(&self, harm: String) {
        self.lock().harm = harm;
    }

    /// The lock was had by somebody else. That is wrong if it is held.
    fn count_robbed(&self) {
        let mut heard = self.lock();
        if heard.holds {
            let harm = heard.harm.clone();
            *heard.robbed.entry(harm).or_default() += 1;
        }
    }

    /// Adds what was heard to what was found.
    pub(super) fn give(self, evidence: &mut Evidence) {
        let heard = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        (evidence.calls, evidence.followed) = (heard.calls, heard.followed);
        (evidence.reads, evidence.follow_errors, evidence.visits) =
            (heard.reads, heard.follow_errors, heard.visits);
        evidence.robbed = heard.robbed;
    }
}

/// Calls, one after the other, until it is over.
pub(super) fn call(store: &Store, lane: u64, heard: &Heard, ends: &AtomicBool) {
    for number in 0.. {
        if ends.load(Ordering::SeqCst) {
            return;
        }
        let Some(deed) = DEEDS.get((number % DEEDS.len() as u64) as usize).copied() else { return };
        let begun = clock::stamp().unwrap_or_default();
        let answer = ask(store, lane, number, deed);
        let ended = clock::stamp().unwrap_or_default();
        let is_over = answer == Answer::None;
        heard.lock().calls.push(Call { lane, number, deed, answer, begun, ended });
        if is_over {
            return;
        }
    }
}

fn ask(store: &Store, lane: u64, number: u64, deed: Deed) -> Answer {
    match once(store, lane, number, deed) {
        None => Answer::None,
        Some(Ok((place, _))) => Answer::Done(place),
        Some(Err(error)) if error.outcome() == WriteOutcome::NotApplied => Answer::Refused(error.to_string()),
        Some(Err(error)) => {
            let words = error.to_string();
            if !matches!(deed, Deed::Append | Deed::Push) {
                return Answer::Unknown { words, there: None };
            }
            let mut again = (0..AGAIN).map_while(|_| once(store, lane, number, deed));
            let there = again.find_map(Result::ok).map(|(_, there)| there);
            Answer::Unknown { words, there }
        }
    }
}

/// Where it is, and whether it had been there; `None` if there is no answer.
fn once(store: &Store, lane: u64, number: u64, deed: Deed) -> Option<Result<(u64, bool), Error>> {
    let mark = mark(lane, number);
    let asked = async {
        match deed {
            Deed::Append => {
                let event = Event::new("Called", &mark)?.id(id(lane, number));
                let stream = format!("loss-{}", number % 3);
                let appended = store.events().append(stream, Expected::Any, [event]).await?;
                Ok((appended.position, appended.repeated))
            }
            Deed::Push => {
                let place =
                    store.queue::<String>("loss").push_with(&mark, Push::new().key(mark.as_str())).await?;
                Ok((place.sequence, place.existed))
            }
            Deed::Increment => {
                let sum = store.dict::<i64>("loss").increment(format!("lane-{lane}"), 1).await?;
                Ok((sum.unsigned_abs(), false))
            }
            Deed::Item => store.list::<String>("loss").push_back(&mark).await.map(|length| (length, false)),
        }
    };
    within(HANG, asked)
}

/// Reads, until it is over.
pub(super) fn read(store: &Store, _: u64, heard: &Heard, ends: &AtomicBool) {
    while !ends.load(Ordering::SeqCst) {
        let begun = clock::stamp().unwrap_or_default();
        let read = within(HANG, store.events().head());
        let took = clock::stamp().unwrap_or_default().saturating_sub(begun);
        let mut heard = heard.lock();
        let (all, failed, longest) = &mut heard.reads;
        (*all, *longest) = (*all + 1, took.max(*longest));
        *failed += u64::from(!matches!(read, Some(Ok(_))));
        drop(heard);
        clock::pause(2_000);
    }
}

/// Follows all events from the first on, until it is over and there are no more.
pub(super) fn follow(store: &Store, heard: &Heard, ends: &AtomicBool) {
    let Ok(mut following) = store.events().read_all().follow() else { return };
    loop {
        let next = within(Duration::from_secs(2), following.next());
        match next {
            Some(Some(Ok(event))) => heard.lock().followed.push(event.position()),
            Some(Some(Err(_))) => {
                heard.lock().follow_errors += 1;
                clock::pause(1_000);
            }
            Some(None) => return,
            None if ends.load(Ordering::SeqCst) => return,
            None => {}
        }
    }
}

/// Holds a lock for as long as it may, and takes it again when it has lost it.
pub(super) fn hold(store: &Store, _: u64, heard: &Heard, ends: &AtomicBool) {
    let moment = Duration::from_millis(100);
    while !ends.load(Ordering::SeqCst) {
        let Some(Ok(guard)) = within(HANG, store.lock("held").acquire()) else { continue };
        heard.lock().holds = true;
        while !ends.load(Ordering::SeqCst) && within(moment, guard.lost()).is_none() {}
        heard.lock().holds = false;
        let _ = within(HANG, guard.release());
    }
}

/// Another process that comes, writes and goes, again and again, and takes the lock if it can. What it is told while the server is
/// away is its own affair.
pub(super) fn visit(url: &str, heard: &Heard, ends: &AtomicBool) {
    while !ends.load(Ordering::SeqCst) {
        let visit = async {
            let store = Store::builder().call_timeout(Duration::from_secs(1)).open(url).await?;
            store.dict::<i64>("visits").increment("n", 1).await?;
            if let Some(guard) = store.lock("held").try_acquire().await? {
                heard.count_robbed();
                guard.release().await?;
            }
            store.close().await
        };
        if block_on(visit).is_ok() {
            heard.lock().visits += 1;
        }
        clock::pause(20_000);
    }
}
