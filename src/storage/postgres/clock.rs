//! The server's clock, which all processes of a store on a server go by, whatever their own machines show.

use std::sync::atomic::{AtomicI64, Ordering};

use millpond_actors::clock::{Clock, Moment, SystemClock};

/// Shows what the server's clock shows, as far as that is known: each time it is heard of, how far this machine's boot clock is from
/// it is known anew.
#[derive(Debug)]
pub(super) struct ServerClock {
    /// What has to be added to the boot clock.
    ahead_ms: AtomicI64,
}

impl ServerClock {
    pub(super) fn new() -> ServerClock {
        ServerClock { ahead_ms: AtomicI64::new(0) }
    }

    /// The server's clock has shown this when ours showed that.
    pub(super) fn heard(&self, server_ms: i64, boot_ms: u64) {
        self.ahead_ms.store(server_ms.saturating_sub(boot_ms.cast_signed()), Ordering::Relaxed);
    }
}

impl Clock for ServerClock {
    fn now(&self) -> Moment {
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        let now = SystemClock.boot_ms().saturating_add_signed(ahead);
        Moment { boot_ms: now, wall_ms: now.cast_signed() }
    }

    fn monotonic_us(&self) -> u64 {
        SystemClock.monotonic_us()
    }
}
