//! The thread that takes groups from the line and commits them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::committer::Committer;
use super::intake::Intake;
use super::outbox::Outbox;
use crate::clock::Clock;
use crate::gate::Gate;
use crate::limits;

/// How long to leave a database alone that another program has locked, before trying again.
const BUSY_PAUSE: Duration = Duration::from_millis(1);

/// Runs until the line is closed and empty; then leaves the store.
pub(super) fn run(
    committer: &Mutex<Committer>,
    intake: &Intake,
    outbox: &Outbox,
    gate: &Gate,
    clock: &dyn Clock,
    tell: impl Fn(),
) {
    crate::thread::mark_as_ours();
    let mut batch = Vec::new();
    let mut likely = 0;
    loop {
        let asked = intake.wait();
        let mut committer: MutexGuard<'_, Committer> =
            committer.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.writes || asked.beat {
            if !begin(&mut committer, intake, clock) {
                drop(committer);
                intake.pause(BUSY_PAUSE);
                if asked.closed {
                    // Whoever has locked the store for so long keeps it: what waits is answered at its deadline.
                    intake.expire(clock.now().boot_ms);
                }
                continue;
            }
            gather(&mut committer, intake, gate, clock, &mut batch, likely);
            let group = committer.finish();
            // Who came while it was committed is not among those who are answered now.
            let waiting = intake.len();
            likely = group.0.len() + waiting;
            outbox.put(group);
            if waiting == 0 {
                // Nothing better to do: the callers know a thread hop earlier.
                outbox.deliver();
            } else {
                tell();
            }
            committer.pass_on();
        }
        if asked.checkpoint || committer.checkpoint_due() {
            committer.checkpoint();
        }
        if asked.closed && !asked.writes {
            committer.leave();
            // The arbiter may be gone already.
            return outbox.deliver();
        }
    }
}

/// Has the turn and an open transaction, or `false`: another program has locked the database.
fn begin(committer: &mut Committer, intake: &Intake, clock: &dyn Clock) -> bool {
    if committer.begin(false) {
        return true;
    }
    // What waits in the line stays there meanwhile, to be answered at its deadline with this as the reason.
    intake.stuck(committer.turn_holder(), clock.now().boot_ms);
    committer.begin(true)
}

/// Applies writes as they come, until the group is full or nobody is on the way any more.
///
/// Waiting for requests that are known to be coming costs less than committing without them: at 8 callers 0.84
/// of the floor instead of 0.79 (hotpath). And callers who were answered a moment ago are likely to come back: until
/// the group holds as many as were answered and as had waited meanwhile, it stays open a moment longer. Without that,
/// 64 callers fall apart into groups of 40 and 24, which write more pages together than one of 64.
fn gather(
    committer: &mut Committer,
    intake: &Intake,
    gate: &Gate,
    clock: &dyn Clock,
    batch: &mut Vec<super::intake::Write>,
    likely: usize,
) {
    let cap = (gate.inside() / 2).clamp(limits::GROUP_FLOOR, limits::GROUP_OPERATIONS);
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let mut waiting_since = None;
    while committer.group_size() < cap {
        intake.take(cap - committer.group_size(), batch);
        if !batch.is_empty() {
            batch.drain(..).for_each(|write| committer.take(write));
            waiting_since = None;
            continue;
        }
        let now = clock.monotonic_us();
        let since = *waiting_since.get_or_insert(now);
        let patience = if gate.underway() > 0 {
            limits::LINGER
        } else if committer.group_size() < likely.min(cap) {
            limits::RETURN
        } else {
            break;
        };
        if now.saturating_sub(since) >= micros(patience) {
            break;
        }
        std::thread::yield_now();
    }
}
