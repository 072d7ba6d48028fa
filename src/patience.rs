//! What failed and may pass: whether it is tried again, and when.

use std::time::Duration;

use millpond_actors::error::Error;
use millpond_actors::limits;

/// Whether it is worth to try again what failed so. A claim of unknown fate is given back by the store.
pub(crate) fn passes(error: &Error) -> bool {
    error.is_retryable() || matches!(error, Error::CommitUnknown { .. })
}

/// How long to wait after so many failures.
pub(crate) fn pause(failures: u32) -> Duration {
    limits::TRY_AGAIN.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(limits::WORKER_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g9_what_may_pass_is_tried_again_more_and_more_seldom() {
        let pauses = [1, 2, 3, 6, 7, u32::MAX].map(|failures| pause(failures).as_millis());
        assert_eq!(pauses, [250, 500, 1_000, 8_000, 8_000, 8_000]);
        assert!(passes(&Error::CommitUnknown { detail: "x".into() }));
        assert!(!passes(&Error::Closed));
    }
}
