//! Letting whoever was just answered run, on the processor of the thread that answered.
//!
//! The system may put him there though others are idle (a virtual machine whose processors share no cache does), and then he waits
//! until this thread sleeps, for some 25 us: what is left to be done here is nothing that anybody waits for. On a machine that is busy
//! it is not he who runs when this thread yields, but whoever else wants to, for milliseconds; then it is not tried for a while.

use crate::clock::Clock;

/// Whoever was answered has done what he does by then.
const SOON_US: u64 = 300;

/// So many times nobody is let go first after it has taken longer.
const REFUSALS: u32 = 1_000;

/// How it has gone lately.
#[derive(Debug, Default)]
pub(super) struct MakingWay {
    refusals: u32,
}

impl MakingWay {
    /// Lets others run first, if that is over soon, as far as can be told.
    pub(super) fn make_way(&mut self, clock: &dyn Clock) {
        if self.refusals > 0 {
            self.refusals -= 1;
            return;
        }
        let began_us = clock.monotonic_us();
        std::thread::yield_now();
        if clock.monotonic_us().saturating_sub(began_us) > SOON_US {
            self.refusals = REFUSALS;
        }
    }
}
