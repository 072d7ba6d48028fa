//! The one place that asks for the time and lets it pass: kills happen in real time.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// Now.
#[allow(clippy::disallowed_methods, reason = "this is the seam of the torture programs")]
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Now, by the clock of the runtime that this thread is in: one that is paused stands while anybody has something to do.
#[must_use]
pub fn simulated() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// Microseconds of the machine's monotonic clock: the same one for all processes, so their stamps can be compared.
///
/// # Errors
/// If the machine has no such clock.
pub fn stamp() -> crate::Result<u64> {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(time.tv_sec().unsigned_abs() * 1_000_000 + time.tv_nsec().unsigned_abs() / 1_000)
}

/// Milliseconds since 1970 by the wall clock.
///
/// # Errors
/// If the machine has no such clock.
pub fn wall_ms() -> crate::Result<i64> {
    let time = clock_gettime(ClockId::CLOCK_REALTIME)?;
    Ok(time.tv_sec() * 1_000 + time.tv_nsec() / 1_000_000)
}

/// Lets so many microseconds pass.
#[allow(clippy::disallowed_methods, reason = "this is the seam of the torture programs")]
pub fn pause(micros: u64) {
    std::thread::sleep(Duration::from_micros(micros));
}
