//! Records in a row. Versions of a stream, positions of a store and sequences of a feed are dense, so whoever reads them one
//! after the other sees what a damaged tree leaves out, gives twice, or gives in another order: a checksum of each record cannot.

use millpond_actors::error::Result;

/// A walk over places that should follow one another.
pub(super) struct Walk {
    backward: bool,
    /// Where it goes to, inclusive.
    goal: u64,
    /// The next place; the first of a walk backward may be behind it.
    next: u64,
    begun: bool,
    /// The furthest place so far. It never goes back: a reader that was led back by a damaged tree would never come to an
    /// end.
    reached: u64,
    /// Types or categories are picked out: nobody knows what comes next.
    picks: bool,
}

impl Walk {
    /// The walk over a range, both ends inclusive, where there are records up to `last` at least. `picks` says that some
    /// are left out.
    pub(super) fn new(backward: bool, (from, to): (u64, u64), last: u64, picks: bool) -> Walk {
        let (first, last) = (from.max(1), to.min(last));
        let (next, goal) = if backward { (last, first) } else { (first, last) };
        let reached = if backward { to } else { from };
        Walk { backward, goal, next, begun: false, reached, picks }
    }

    /// Goes on to a place; the one that should have come, if that is another.
    pub(super) fn step(&mut self, place: u64) -> Option<u64> {
        let ahead = self.backward && !self.begun && place > self.next;
        let missed = (place != self.next && !ahead && !self.picks).then_some(self.next);
        self.begun = true;
        self.reached = if self.backward { self.reached.min(place) } else { self.reached.max(place) };
        self.next = if self.backward { place.saturating_sub(1) } else { place.saturating_add(1) };
        missed
    }

    /// The furthest place so far: the next page begins behind it. Where no place could be read it is where this one began.
    pub(super) fn reached(&self) -> u64 {
        self.reached
    }

    /// There are no more; the place that should have come, if it has not gone far enough.
    pub(super) fn end(&self) -> Option<u64> {
        let short = if self.backward { self.next >= self.goal } else { self.next <= self.goal };
        (short && !self.picks && self.next > 0).then_some(self.next)
    }
}

/// The first place of a dense range whose record has this time or a later one; one more than the last if there is none.
/// Times never go back from one record to the next, so it takes as many looks as their number has digits. `look` finds the
/// first record at a place or behind it: where records are missing the next one speaks for them.
pub(super) fn first_at(
    (first, last): (u64, u64),
    time: i64,
    mut look: impl FnMut(u64) -> Result<Option<(u64, i64)>>,
) -> Result<u64> {
    let (mut low, mut high) = (first, last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match look(middle)? {
            Some((place, recorded_at)) if recorded_at < time => low = high.min(middle.max(place) + 1),
            _ => high = middle,
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is missed on the way over these places.
    fn missed(backward: bool, range: (u64, u64), last: u64, places: &[u64]) -> Vec<u64> {
        let mut walk = Walk::new(backward, range, last, false);
        let mut missed: Vec<u64> = places.iter().filter_map(|place| walk.step(*place)).collect();
        missed.extend(walk.end());
        missed
    }

    #[test]
    fn a_walk_never_goes_back() {
        for (backward, places, right) in
            [(false, [7, 3, 6], [7, 7, 7]), (true, [17, 30, 18], [17, 17, 17]), (false, [0, 4, 6], [5, 5, 6])]
        {
            let mut walk = Walk::new(backward, (5, 20), 20, false);
            let reached = places.map(|place| {
                walk.step(place);
                walk.reached()
            });
            assert_eq!(reached, right);
        }
    }

    #[test]
    fn g14_what_is_missing_twice_or_elsewhere_is_seen() {
        const ALL: (u64, u64) = (1, u64::MAX);
        type Row = (bool, (u64, u64), u64, &'static [u64], &'static [u64]);
        let rows: [Row; 16] = [
            (false, ALL, 3, &[1, 2, 3], &[]),
            (false, ALL, 2, &[1, 2, 3], &[]),
            (false, (0, 9), 0, &[], &[]),
            (false, (4, 9), 3, &[], &[]),
            (false, (2, 2), 3, &[2], &[]),
            (true, ALL, 3, &[3, 2, 1], &[]),
            (true, ALL, 2, &[3, 2, 1], &[]),
            (true, (2, 3), 9, &[3, 2], &[]),
            (true, (5, 9), 3, &[], &[]),
            (true, (0, 9), 0, &[], &[]),
            (false, ALL, 3, &[1, 3], &[2]),
            (false, ALL, 3, &[1, 2], &[3]),
            (false, ALL, 4, &[1, 2, 2, 3, 4], &[3]),
            (false, ALL, 4, &[3, 4, 1, 2], &[1, 5, 3]),
            (true, ALL, 3, &[2, 1], &[3]),
            (true, ALL, 3, &[3, 2], &[1]),
        ];
        for (backward, range, last, places, right) in rows {
            assert_eq!(
                missed(backward, range, last, places),
                right,
                "{backward} {range:?} {last} {places:?}"
            );
        }
    }
}
