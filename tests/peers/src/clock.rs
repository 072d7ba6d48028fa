//! Time and waiting: the one place here that looks at the clock.

#![allow(clippy::disallowed_methods, reason = "what is measured here is real time")]

use std::time::{Duration, Instant};

/// Measures how long something takes.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins now.
    #[must_use]
    pub fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// Since then.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// How long after the other it was started.
    #[must_use]
    pub fn since(self, earlier: Stopwatch) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }
}

/// Lets time pass.
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Between two pushes, where it is measured how soon they arrive: whoever waits has gone to sleep by then.
pub const BETWEEN: Duration = Duration::from_millis(5);
