//! Who watches over the yardstick itself: that lines are kept, and that feeds only grow.

use std::collections::HashMap;

use millpond_actors::storage::feed;
use millpond_actors::storage::lock::{Grant, Leave, Line};

use super::events::LOCKS;

/// A ticket that waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Waiting {
    pub(super) player: usize,
    pub(super) place: Leave,
    pub(super) weight: u32,
}

impl Waiting {
    pub(super) fn is_of(&self, grant: &Grant) -> bool {
        (self.place.lock, self.place.ticket) == (grant.lock, grant.ticket)
    }
}

/// Who watches over the line with nothing but what tickets were taken, whose and how large: no more of a lock is held
/// than there is, whoever holds it must not have passed a living ticket, nobody waits who fits, and tokens must grow.
#[derive(Debug, Default)]
pub(super) struct Auditor {
    /// Processes that have died or left.
    pub(super) dead: Vec<u64>,
    last: [Last; LOCKS.len()],
    /// First and last message of each feed.
    feeds: HashMap<(feed::Kind, String), (u64, u64)>,
}

/// What was seen of a lock before.
#[derive(Debug, Default)]
struct Last {
    /// The largest ticket and token of a holder.
    largest: (u64, u64),
    /// All tickets that held it.
    holders: Vec<u64>,
}

impl Auditor {
    pub(super) fn audit(&mut self, waiting: &mut Vec<Waiting>, lines: &[Option<Line>]) {
        for (last, line) in self.last.iter_mut().zip(lines) {
            let Some(line) = line else { continue };
            assert!(line.used() <= u64::from(line.capacity), "more is held than there is");
            for holder in &line.holders {
                let (ticket, token) = (holder.grant.ticket, holder.grant.token);
                if !last.holders.contains(&ticket) {
                    let (before, after) = (last.largest, (ticket, token));
                    assert!(ticket > before.0 && token > before.1, "{after:?} after {before:?}");
                    last.largest = after;
                }
                waiting.retain(|waiting| !waiting.is_of(&holder.grant));
                assert!(holder.void || !self.dead.contains(&holder.grant.process), "the dead hold nothing");
            }
            last.holders = line.holders.iter().map(|holder| holder.grant.ticket).collect();
            let newest = last.holders.iter().max().copied().unwrap_or(0);
            let first = waiting.iter().filter(|waiting| waiting.place.lock == line.lock);
            let Some(first) = first.min_by_key(|waiting| waiting.place.ticket) else { continue };
            assert!(first.place.ticket > newest, "ticket {newest} passed another");
            let fits = line.used() + u64::from(first.weight) <= u64::from(line.capacity);
            assert!(!fits || line.holders.iter().any(|holder| holder.void), "it fits, and waits");
        }
    }

    /// A feed only grows, and only its head goes.
    pub(super) fn audit_feed(&mut self, kind: feed::Kind, head: &feed::Head) {
        let feed::Head { first, last, .. } = *head;
        let before = self.feeds.insert((kind, head.name.clone()), (first, last)).unwrap_or((1, 0));
        assert!(first >= before.0 && last >= before.1, "{head:?} after {before:?}");
        assert!(first <= last + 1, "{head:?}");
    }
}
