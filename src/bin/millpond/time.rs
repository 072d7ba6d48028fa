//! Time and waiting. The library has its own seams for both; a program at the edge may look at the clock, here.

#![allow(clippy::disallowed_methods, reason = "the one place of the command line that waits and measures")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// Measures how long something takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// What is left of `whole`.
    pub(crate) fn left_of(self, whole: Duration) -> Duration {
        whole.saturating_sub(self.elapsed())
    }
}

/// Microseconds of the machine's monotonic clock, which is the same for all processes.
pub(crate) fn stamp_us() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_nsec.unsigned_abs() / 1_000
}

/// Lets time pass.
pub(crate) fn pause(duration: Duration) {
    thread::sleep(duration);
}

/// Lets this thread wait for a future.
pub(crate) fn wait_for<F: Future>(future: F) -> F::Output {
    struct Parked(Thread);
    impl Wake for Parked {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Parked(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// A duration as a person writes it: `500ms`, `30s`, `5m`, `2h`, `1h 30m`, and `0`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    if text.trim() == "0" {
        return Ok(Duration::ZERO);
    }
    let examples = "write 500ms, 30s, 5m or 2h";
    let parsed: SignedDuration = text.parse().map_err(|_| format!("not a duration; {examples}"))?;
    Duration::try_from(parsed).map_err(|_| format!("a duration cannot be negative; {examples}"))
}

/// A moment with its offset, as `time` in a file or `--at` must give it. It is kept as it was written.
pub(crate) fn check_moment(text: &str) -> Result<String, String> {
    let parsed = text.parse::<Timestamp>();
    parsed.map(|_| text.to_owned()).map_err(|_| {
        format!("\"{text}\" is not a date and time with an offset, such as 2011-10-11T13:45:40+02:00")
    })
}

/// A moment with its offset, in milliseconds since 1970.
pub(crate) fn parse_moment(text: &str) -> Result<i64, String> {
    check_moment(text)?;
    text.parse::<Timestamp>().map(Timestamp::as_millisecond).map_err(|error| error.to_string())
}

/// Milliseconds since 1970 as RFC 3339.
pub(crate) fn rfc3339(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds)
        .map_or_else(|_| milliseconds.to_string(), |at| format!("{at:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, milliseconds) in
            [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("2h", 7_200_000), ("0", 0), ("1.5s", 1_500)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for bad in ["", "30", "-5s", "5 apples", "1y"] {
            assert!(parse_duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_moment_needs_an_offset() {
        for good in ["2011-10-11T13:45:40.276000+02:00", "2026-01-01T00:00:00Z"] {
            assert_eq!(check_moment(good), Ok(good.to_owned()));
        }
        for bad in ["", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "now"] {
            assert!(check_moment(bad).is_err(), "{bad:?}");
        }
    }
}
