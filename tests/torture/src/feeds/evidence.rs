//! What publishers, followers and consumers have said, and what was found in the end.

use std::collections::BTreeMap;

use super::child::{Of, Said, batch, number};

/// A publish that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Publish {
    pub(super) publisher: u64,
    /// Its first message among the publisher's own; the others follow.
    pub(super) own: u64,
    /// Where that stands in the channel, and in the log.
    pub(super) first: u64,
    pub(super) logged: Option<u64>,
    pub(super) begun: u64,
    pub(super) acked: u64,
}

impl Publish {
    /// Its messages, in their order.
    pub(super) fn numbers(&self) -> Vec<u64> {
        (self.own..self.own + batch(self.own)).map(|own| number(self.publisher, own)).collect()
    }
}

/// What came to one who follows.
#[derive(Clone, Debug)]
pub(super) enum Came {
    /// These, from this sequence on; the last was there at this stamp.
    Messages { from: u64, numbers: Vec<u64>, at: u64 },
    /// So many were missed.
    Missed(u64),
    /// He has acknowledged up to here, beginning at this stamp; whether he still was allowed to.
    Acked { sequence: u64, begun: u64, well: bool },
}

/// One who follows, or the turn of a consumer.
#[derive(Clone, Debug)]
pub(super) struct Follower {
    pub(super) of: Of,
    /// Of a consumer.
    pub(super) token: Option<u64>,
    /// What came first.
    pub(super) next: u64,
    pub(super) begun: u64,
    pub(super) acked: u64,
    pub(super) came: Vec<Came>,
}

impl Follower {
    /// Where he is: behind what has come.
    pub(super) fn reached(&self) -> u64 {
        self.came.iter().fold(self.next, |next, came| match came {
            Came::Messages { from, numbers, .. } => from + numbers.len() as u64,
            Came::Missed(count) => next + count,
            Came::Acked { .. } => next,
        })
    }
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    pub(super) publishes: Vec<Publish>,
    /// For each publisher the first of his own that he has not begun with.
    pub(super) begun: BTreeMap<u64, u64>,
    /// All that there ever were, in the order in which they began.
    pub(super) followers: Vec<Follower>,
    /// Which of them each lane is now.
    now: BTreeMap<u64, usize>,
    /// What was kept in the channel and in the log: sequence and number.
    pub(super) kept: BTreeMap<Of, Vec<(u64, u64)>>,
    /// The last sequence of each.
    pub(super) last: BTreeMap<Of, u64>,
    /// The cursor of the durable subscription.
    pub(super) cursor: u64,
    /// When somebody was stopped who only reads.
    pub(super) stops: Vec<(u64, u64)>,
}

impl Evidence {
    /// Takes in what was said.
    pub(super) fn take_in(&mut self, said: &Said) {
        match *said {
            Said::Publishing(publisher, own) => {
                self.begun.insert(publisher, own + batch(own));
            }
            Said::Published { lane: publisher, own, first, logged, begun, acked } => {
                self.publishes.push(Publish { publisher, own, first, logged, begun, acked });
            }
            Said::Following { lane, of, next, begun, acked } => {
                self.begin(lane, Follower { of, token: None, next, begun, acked, came: Vec::new() });
            }
            Said::Consuming { lane, token, cursor, acked } => {
                let (of, token, next, begun) = (Of::Channel, Some(token), cursor + 1, acked);
                self.begin(lane, Follower { of, token, next, begun, acked, came: Vec::new() });
            }
            Said::Got { lane, from, ref numbers, at } => {
                self.add(lane, Came::Messages { from, numbers: numbers.clone(), at });
            }
            Said::Missed { lane, count } => self.add(lane, Came::Missed(count)),
            Said::Acked { lane, sequence, begun, well, .. } => {
                self.add(lane, Came::Acked { sequence, begun, well });
            }
            Said::Open | Said::Failed(_) => {}
        }
    }

    fn begin(&mut self, lane: u64, follower: Follower) {
        self.now.insert(lane, self.followers.len());
        self.followers.push(follower);
    }

    fn add(&mut self, lane: u64, came: Came) {
        let now = self.now.get(&lane).copied();
        if let Some(follower) = now.and_then(|now| self.followers.get_mut(now)) {
            follower.came.push(came);
        }
    }

    /// One who follows now, and to whom something came.
    pub(super) fn current(&mut self) -> Option<&mut Follower> {
        let is_it = |now: &&usize| {
            self.followers.get(**now).is_some_and(|it| it.token.is_none() && !it.came.is_empty())
        };
        let now = self.now.values().find(is_it).copied()?;
        self.followers.get_mut(now)
    }

    /// The lane follows no more.
    pub(super) fn end(&mut self, lane: u64) {
        self.now.remove(&lane);
    }

    /// The least far of those who follow now, consumers aside, has come so far behind the end of what he follows.
    pub(super) fn behind(&self, last: &BTreeMap<Of, u64>) -> u64 {
        let now = self.now.values().filter_map(|now| self.followers.get(*now));
        let behind = now.filter(|follower| follower.token.is_none()).map(|follower| {
            (last.get(&follower.of).copied().unwrap_or(0) + 1).saturating_sub(follower.reached())
        });
        behind.max().unwrap_or(0)
    }
}
