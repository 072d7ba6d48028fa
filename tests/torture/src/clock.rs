//! The one place that asks for the time: kills happen in real time.

use std::time::Instant;

/// Now.
#[allow(clippy::disallowed_methods, reason = "this is the seam of the torture programs")]
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}
