//! Was each claim the right one? It takes the job of the lowest priority number, and of equals the first.
//!
//! Tokens follow the order of the commits, so a job whose next claim has a larger token was not claimed at a smaller one; and
//! if it had been there to be claimed before that one was asked for, it should have been claimed instead, unless it stands
//! behind it. Since when a job was there at the latest is told by stamps: since the acknowledgement of its push or of its
//! last retry, and since the end of its delay. Where an attempt is missing, whose worker died before he could tell, nothing
//! is known.

use std::collections::BTreeMap;

use super::evidence::{Claim, Evidence, How};

/// Delays are counted in whole milliseconds, each by the clock of its own process.
const MARGIN_US: u64 = 3_000;

/// What a claim goes by: the priority, then the place.
type Rank = (i64, u64);

/// A job that was there to be claimed, from one stamp at the latest until one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offer {
    since: u64,
    rank: Rank,
    /// Where its claim stands among all.
    taken: usize,
}

/// Claims before which another job stood, with that job's place; at most so many.
pub(super) fn overtaken(evidence: &Evidence, most: usize) -> Vec<(Claim, u64)> {
    let claims: Vec<&Claim> = evidence.claims.values().collect();
    let mut offers = offers(evidence, &claims);
    offers.sort_unstable_by_key(|offer| offer.since);
    let mut asked: Vec<(u64, usize)> = (0..).zip(&claims).map(|(at, claim)| (claim.asked, at)).collect();
    asked.sort_unstable();
    let mut waiting = Least::new(claims.len());
    let mut offers = offers.into_iter().peekable();
    let mut wrong = Vec::new();
    for (stamp, at) in asked {
        while let Some(offer) = offers.next_if(|offer| offer.since < stamp) {
            waiting.put(offer.taken, offer.rank);
        }
        let Some(claim) = claims.get(at) else { continue };
        let rank = (evidence.spec(claim.number).priority, claim.sequence);
        // Those that were claimed later.
        if let Some(better) = waiting.least_behind(at).filter(|better| *better < rank)
            && wrong.len() < most
        {
            wrong.push((**claim, better.1));
        }
    }
    wrong
}

/// When each claimed job had been there before its claim, as far as that is known.
fn offers(evidence: &Evidence, claims: &[&Claim]) -> Vec<Offer> {
    let pushed = evidence.pushed();
    let mut last: BTreeMap<u64, &Claim> = BTreeMap::new();
    let mut offers = Vec::new();
    for (taken, claim) in claims.iter().enumerate() {
        let spec = evidence.spec(claim.number);
        let before = last.insert(claim.sequence, claim);
        let since = match before {
            None if claim.attempt == 1 => pushed.get(&claim.sequence).map(|push| (push.acked, spec.delay_ms)),
            Some(before) if claim.attempt == before.attempt + 1 => before.well().and_then(|end| {
                let How::Retry(delay_ms) = end.how else { return None };
                Some((end.acked, delay_ms))
            }),
            _ => None,
        };
        if let Some((acked, delay_ms)) = since {
            let delay_us = if delay_ms > 0 { delay_ms * 1_000 + MARGIN_US } else { 0 };
            offers.push(Offer { since: acked + delay_us, rank: (spec.priority, claim.sequence), taken });
        }
    }
    offers
}

/// The least rank among those behind a place: a tree over the places, each node of which knows the least below it.
struct Least {
    size: usize,
    nodes: Vec<Option<Rank>>,
}

impl Least {
    fn new(places: usize) -> Least {
        let size = places.max(1).next_power_of_two();
        Least { size, nodes: vec![None; 2 * size] }
    }

    fn put(&mut self, place: usize, rank: Rank) {
        let mut at = self.size + place;
        while at > 0 {
            if let Some(node) = self.nodes.get_mut(at) {
                *node = Some(node.map_or(rank, |least| least.min(rank)));
            }
            at /= 2;
        }
    }

    fn least_behind(&self, place: usize) -> Option<Rank> {
        let (mut from, mut to) = (self.size + place + 1, 2 * self.size);
        let mut least: Option<Rank> = None;
        let mut take = |at: usize| {
            least = least.into_iter().chain(self.nodes.get(at).copied().flatten()).min();
        };
        while from < to {
            if from % 2 == 1 {
                take(from);
                from += 1;
            }
            if to % 2 == 1 {
                to -= 1;
                take(to);
            }
            (from, to) = (from / 2, to / 2);
        }
        least
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn the_least_behind_a_place_is_what_a_look_through_all_finds() {
        let mut random = Random::new(5);
        for places in [1, 2, 7, 64, 100] {
            let (mut tree, mut plain) = (Least::new(places), vec![None; places]);
            for _ in 0..300 {
                let (place, rank) = (random.below(places as u64) as usize, (0, random.below(50)));
                tree.put(place, rank);
                for least in plain.iter_mut().skip(place).take(1) {
                    *least = Some((*least).unwrap_or(rank).min(rank));
                }
                let from = random.below(places as u64) as usize;
                assert_eq!(tree.least_behind(from), plain.iter().skip(from + 1).flatten().min().copied());
            }
        }
    }
}
