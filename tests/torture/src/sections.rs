//! Time under a lock as several processes tell it, and what must be true of it: one at a time, in the order of tickets.

use crate::report::kinds;

/// One holder's time under the lock. Stamps are microseconds of the machine's monotonic clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The process.
    pub who: usize,
    /// The guard's token.
    pub token: u64,
    /// The place in the line, as the store showed it; unknown if the holder was killed before it looked.
    pub ticket: Option<u64>,
    /// When it knew that it had the lock.
    pub enter: u64,
    /// Until when it certainly believed that it had it: just before it gave the lock back, or before it was killed.
    pub end: Option<u64>,
}

kinds! {
    /// A promise of locks that was broken.
    pub enum Broken {
        /// Two were inside at once (L1).
        Overlap,
        /// A later ticket was granted before an earlier one of a living waiter (L5).
        Order,
        /// A token was not larger than that of an earlier grant (L2).
        Token,
        /// A write landed under a token that was not the current one any more (L3).
        Landed,
        /// A lease ended before its time (L4, G12).
        Early,
        /// The lock was not passed on in time (L4, L5, L6).
        Late,
        /// A child got an error, or something was not as it should be.
        Failed,
    }
}

/// What was broken, in words.
pub type Violation = (Broken, String);

/// At most one is inside at any time. A section without an end is taken to be a moment.
#[must_use]
pub fn overlaps(sections: &[Section]) -> Vec<Violation> {
    let mut by_time: Vec<&Section> = sections.iter().collect();
    by_time.sort_by_key(|section| section.enter);
    let mut inside: Option<&Section> = None;
    let mut violations = Vec::new();
    for section in by_time {
        if let Some(before) = inside.filter(|before| before.end.is_some_and(|end| section.enter < end)) {
            violations.push((Broken::Overlap, format!("{section:?} enters while {before:?} is inside")));
        }
        if inside
            .is_none_or(|before| before.end.unwrap_or(before.enter) <= section.end.unwrap_or(section.enter))
        {
            inside = Some(section);
        }
    }
    violations
}

/// Tokens are grant order; time and tickets must both agree with it.
#[must_use]
pub fn order(sections: &[Section]) -> Vec<Violation> {
    let mut by_token: Vec<&Section> = sections.iter().collect();
    by_token.sort_by_key(|section| section.token);
    let mut violations = Vec::new();
    let (mut before, mut highest): (Option<&Section>, Option<&Section>) = (None, None);
    for section in by_token {
        if let Some(before) = before
            && (before.token >= section.token || before.enter > section.enter)
        {
            violations.push((Broken::Token, format!("{before:?}, then {section:?}")));
        }
        if let Some(ticket) = section.ticket {
            if let Some(highest) = highest.filter(|highest| highest.ticket >= Some(ticket)) {
                violations.push((Broken::Order, format!("{highest:?} came before {section:?}")));
            } else {
                highest = Some(section);
            }
        }
        before = Some(section);
    }
    violations
}
