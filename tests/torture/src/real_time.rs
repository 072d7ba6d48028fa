//! Numbers that must grow with time: whatever was answered before something else was asked for has the smaller one.
//!
//! Each operation has a range of numbers that it may have: a write has the one it was given, a read any between what it
//! saw and what it did not see. They have one order that agrees with the clock if, and only if, going through time and
//! giving each the smallest number it may have never leads above its range.

/// An operation in time and in number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// When it was asked for.
    pub called: u64,
    /// When it was answered; `None` if nobody knows.
    pub returned: Option<u64>,
    /// The smallest number that it can have.
    pub least: u64,
    /// The largest number that it can have.
    pub most: u64,
}

impl Span {
    /// One that has this number.
    #[must_use]
    pub fn at(called: u64, returned: Option<u64>, number: u64) -> Span {
        Span { called, returned, least: number, most: number }
    }
}

/// Those of `spans` that came after a larger number had been answered; with that number. `strictly`: no two have the
/// same number.
#[must_use]
pub fn late(spans: &[Span], strictly: bool) -> Vec<(usize, u64)> {
    // At one and the same moment calls come first: what returns then was not before them.
    let calls = spans.iter().enumerate().map(|(at, span)| (span.called, false, at));
    let returns = spans.iter().enumerate().filter_map(|(at, span)| Some((span.returned?, true, at)));
    let mut moments: Vec<(u64, bool, usize)> = calls.chain(returns).collect();
    moments.sort_unstable();
    let mut least: Vec<u64> = spans.iter().map(|span| span.least).collect();
    let (mut known, mut late) = (None, Vec::new());
    for (_, returns, at) in moments {
        let (Some(least), Some(span)) = (least.get_mut(at), spans.get(at)) else { continue };
        if returns {
            known = known.max(Some(*least));
        } else if let Some(known) = known {
            *least = (*least).max(known + u64::from(strictly));
            if *least > span.most {
                late.push((at, known));
            }
        }
    }
    late
}
