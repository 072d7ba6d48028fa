//! The calendar: when a cron expression falls next, in a time zone.
//!
//! The one place that knows of cron and of time zones. It asks no clock. What the days on which clocks are put forward or
//! back mean, is said by its tests.

use std::str::FromStr as _;

use croner::Cron;
use croner::errors::CronError;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::error::{Error, Result};

/// The first time after this one, both in milliseconds since 1970; `None` if there is none.
///
/// # Errors
/// [`Error::InvalidArgument`] for what is no cron expression, and for a zone that this machine does not know.
pub fn next(cron: &str, zone: &str, after: i64) -> Result<Option<i64>> {
    let refused = |what: &str, reason: String| Error::InvalidArgument { what: format!("the {what}"), reason };
    let parsed = Cron::from_str(cron).map_err(|error| {
        refused(&format!("cron expression \"{}\"", cron.escape_debug()), error.to_string())
    })?;
    let named = || format!("time zone \"{}\"", zone.escape_debug());
    let zone = TimeZone::get(zone).map_err(|error| refused(&named(), error.to_string()))?;
    let Ok(after) = Timestamp::from_millisecond(after) else { return Ok(None) };
    match parsed.find_next_occurrence(&after.to_zoned(zone), false) {
        Ok(next) => Ok(Some(next.timestamp().as_millisecond())),
        Err(CronError::TimeSearchLimitExceeded | CronError::InvalidDate | CronError::InvalidTime) => Ok(None),
        Err(error) => {
            Err(refused(&format!("cron expression \"{}\"", cron.escape_debug()), error.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next times after a moment, as Amsterdam's clocks show them.
    fn times(cron: &str, after: &str, count: usize) -> Vec<String> {
        let mut at = after.parse::<Timestamp>().unwrap().as_millisecond();
        let zone = TimeZone::get("Europe/Amsterdam").unwrap();
        let mut found = Vec::new();
        for _ in 0..count {
            at = next(cron, "Europe/Amsterdam", at).unwrap().unwrap();
            let shown = Timestamp::from_millisecond(at).unwrap().to_zoned(zone.clone());
            found.push(shown.strftime("%d %H:%M%:z").to_string());
        }
        found
    }

    #[test]
    fn q5_a_time_that_the_clocks_leave_out_is_the_first_one_behind_it() {
        // On 29 March 2026 the clocks go from 02:00 to 03:00.
        let night = "2026-03-28T12:00:00Z";
        assert_eq!(times("30 2 * * *", night, 2), ["29 03:00+02:00", "30 02:30+02:00"]);
        assert_eq!(times("30 * * * *", "2026-03-29T00:00:00Z", 2), ["29 01:30+01:00", "29 03:30+02:00"]);
    }

    #[test]
    fn q5_a_time_that_the_clocks_show_twice_comes_once_and_each_hour_comes() {
        // On 25 October 2026 the clocks go from 03:00 back to 02:00.
        let night = "2026-10-24T12:00:00Z";
        assert_eq!(times("30 2 * * *", night, 2), ["25 02:30+02:00", "26 02:30+01:00"]);
        let hours = times("30 * * * *", "2026-10-24T23:59:00Z", 3);
        assert_eq!(hours, ["25 02:30+02:00", "25 02:30+01:00", "25 03:30+01:00"]);
    }

    #[test]
    fn q5_a_time_is_always_a_later_one() {
        let midnight = 1_767_225_600_000; // 2026-01-01
        assert_eq!(next("0 0 * * *", "UTC", midnight), Ok(Some(midnight + 86_400_000)));
        assert_eq!(next("0 0 * * *", "UTC", midnight - 1), Ok(Some(midnight)));
        assert_eq!(next("*/5 * * * * *", "UTC", midnight + 1), Ok(Some(midnight + 5_000)));
        assert_eq!(next("0 0 31 2 *", "UTC", midnight), Ok(None), "it never comes");
        assert_eq!(next("* * * * *", "UTC", i64::MAX), Ok(None));
    }

    #[test]
    fn q7_what_is_no_time_is_refused() {
        for (cron, zone) in
            [("", "UTC"), ("now", "UTC"), ("61 * * * *", "UTC"), ("* * * * *", "Nowhere/At_all")]
        {
            assert!(matches!(next(cron, zone, 0), Err(Error::InvalidArgument { .. })), "{cron} {zone}");
        }
    }
}
