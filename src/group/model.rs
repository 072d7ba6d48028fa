//! The hands of several consumers, driven at random over one channel: whatever comes in between, messages of a key are in
//! order and in one hand at a time, none is left out, and none comes again that was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millpond_actors::limits::GROUP_PARTS;
use millpond_actors::name::Name;
use millpond_actors::storage::Data;
use millpond_actors::storage::feed::Message as Record;
use millpond_actors::storage::lock::Fence;
use millpond_actors::storage::subscription::{Acknowledged, Span};

use super::hand::{Hand, Handed, Read};
use super::part::part_of;

const MEMBERS: usize = 3;
const KEYS: u64 = 6;

/// A small generator (Knuth's constants).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// The store, and those who consume from it.
struct World {
    random: Random,
    messages: Vec<Record>,
    acknowledged: BTreeSet<u64>,
    /// Whose each part is, and under which token.
    owners: [Option<(usize, u64)>; GROUP_PARTS],
    hands: Vec<Hand>,
    /// Where what comes just now is, for each.
    live: Vec<u64>,
    /// A page that is under way to each.
    pages: Vec<Option<Read>>,
    /// What each has been handed.
    out: Vec<Vec<Handed>>,
    tokens: u64,
    /// By key, what was acknowledged last.
    last: BTreeMap<String, u64>,
}

fn key(n: u64) -> Option<String> {
    // Without a key, now and then.
    (!n.is_multiple_of(7)).then(|| format!("key-{}", n % KEYS))
}

impl World {
    fn new(seed: u64) -> World {
        World {
            random: Random(seed),
            messages: Vec::new(),
            acknowledged: BTreeSet::new(),
            owners: [None; GROUP_PARTS],
            hands: (0..MEMBERS).map(|_| Hand::default()).collect(),
            live: vec![1; MEMBERS],
            pages: (0..MEMBERS).map(|_| None).collect(),
            out: vec![Vec::new(); MEMBERS],
            tokens: 0,
            last: BTreeMap::new(),
        }
    }

    fn publish(&mut self) {
        let n = self.random.below(1_000) as u64;
        let (sequence, data) = (self.messages.len() as u64 + 1, Data::Json(n.to_string()));
        self.messages.push(Record { sequence, recorded_at: 0, data, schema: 1, key: key(n), at: None });
    }

    fn cursor(&self) -> u64 {
        (1..).take_while(|sequence| self.acknowledged.contains(sequence)).last().unwrap_or(0)
    }

    fn known(&self) -> Acknowledged {
        let one = |sequence: &u64| Span { first: *sequence, last: *sequence };
        Acknowledged { cursor: self.cursor(), beyond: self.acknowledged.iter().map(one).collect() }
    }

    /// Takes a part that nobody has, or gives one up.
    fn rebalance(&mut self, member: usize) {
        let part = part_of(key(self.random.below(50) as u64).as_deref(), self.random.below(50) as u64);
        match self.owners[part] {
            None => {
                self.tokens += 1;
                self.owners[part] = Some((member, self.tokens));
                let fence = Fence { lock: 1, name: Name::new("part").unwrap(), token: self.tokens };
                let (cursor, head) = (self.cursor(), self.messages.len() as u64);
                self.hands[member].add(part, fence, cursor, head);
            }
            Some((owner, _)) if owner == member => {
                if self.hands[member].leave(part) {
                    self.hands[member].remove(part);
                    self.owners[part] = None;
                } else if self.random.below(2) == 0 {
                    self.hands[member].keep(part);
                }
            }
            // He dies, as far as the store knows, or is stopped: what he has been handed is stale.
            Some(_) if self.random.below(8) == 0 => self.owners[part] = None,
            Some(_) => {}
        }
    }

    fn begin_read(&mut self, member: usize) {
        let Some(from) = self.hands[member].behind(self.live[member]) else { return };
        if self.pages[member].is_some() {
            return;
        }
        let number = Some(self.hands[member].begin_read());
        let messages = self.messages.iter().filter(|record| record.sequence >= from).take(20);
        let messages: Vec<_> = messages.map(|record| (record.sequence, Ok(record.clone()))).collect();
        let to = messages.last().map_or(from - 1, |(sequence, _)| *sequence);
        let acknowledged = self.known();
        self.pages[member] = Some(Read { number, from, to, messages, acknowledged, removed: false });
    }

    fn come(&mut self, member: usize) {
        let Some(record) = self.messages.get(usize::try_from(self.live[member]).unwrap() - 1) else { return };
        let sequence = record.sequence;
        let (messages, acknowledged) =
            (vec![(sequence, Ok(record.clone()))], Acknowledged { cursor: 0, beyond: Vec::new() });
        let (number, from, to) = (None, sequence, sequence);
        self.live[member] += 1;
        self.hands[member].take(Read { number, from, to, messages, acknowledged, removed: false });
    }

    /// Whether the store takes an acknowledgement of this.
    fn holds(&self, member: usize, handed: &Handed) -> bool {
        self.owners[handed.part] == Some((member, handed.fence.token))
    }

    fn hand_out(&mut self, member: usize) {
        let Some(handed) = self.hands[member].hand_out() else { return };
        let record = Arc::clone(handed.entry.as_ref().unwrap());
        if self.holds(member, &handed) {
            assert!(!self.acknowledged.contains(&handed.sequence), "{} comes again", handed.sequence);
            if let Some(key) = &record.key {
                let last = self.last.get(key).copied().unwrap_or(0);
                let skipped = self.messages.iter().find(|other| {
                    other.key.as_ref() == Some(key) && (last + 1..record.sequence).contains(&other.sequence)
                });
                assert_eq!(skipped, None, "before {}", record.sequence);
                let others =
                    (0..MEMBERS).flat_map(|other| self.out[other].iter().map(move |out| (other, out)));
                let same = others.filter(|(_, out)| out.entry.as_ref().unwrap().key.as_ref() == Some(key));
                let at_once = same.filter(|(other, out)| self.holds(*other, out)).count();
                assert_eq!(at_once, 0, "two of {key} at once");
            }
        }
        self.out[member].push(handed);
    }

    fn settle(&mut self, member: usize) {
        if self.out[member].is_empty() {
            return;
        }
        let at = self.random.below(self.out[member].len());
        let handed = self.out[member].swap_remove(at);
        if self.random.below(4) == 0 {
            self.hands[member].give_back(&handed);
        } else if self.holds(member, &handed) {
            assert!(self.acknowledged.insert(handed.sequence), "{} was done already", handed.sequence);
            if let Some(key) = handed.entry.as_ref().unwrap().key.clone() {
                self.last.insert(key, handed.sequence);
            }
            self.hands[member].done(&handed);
        } else {
            self.hands[member].robbed(&handed);
        }
    }

    fn step(&mut self) {
        let member = self.random.below(MEMBERS);
        match self.random.below(12) {
            0 | 1 => self.publish(),
            2 | 3 => self.rebalance(member),
            4 => self.begin_read(member),
            5 => {
                if let Some(page) = self.pages[member].take() {
                    self.hands[member].take(page);
                }
            }
            6 => self.come(member),
            7 | 8 => self.hand_out(member),
            _ => self.settle(member),
        }
    }

    /// One of them alone does what is left.
    fn finish(&mut self) {
        self.hands = (0..MEMBERS).map(|_| Hand::default()).collect();
        (self.owners, self.live[0], self.pages[0]) = ([None; GROUP_PARTS], 1, None);
        self.out = vec![Vec::new(); MEMBERS];
        for part in 0..GROUP_PARTS {
            self.tokens += 1;
            self.owners[part] = Some((0, self.tokens));
            let fence = Fence { lock: 1, name: Name::new("part").unwrap(), token: self.tokens };
            let (cursor, head) = (self.cursor(), self.messages.len() as u64);
            self.hands[0].add(part, fence, cursor, head);
        }
        for _ in 0..100_000 {
            if self.acknowledged.len() == self.messages.len() {
                return;
            }
            self.begin_read(0);
            if let Some(page) = self.pages[0].take() {
                self.hands[0].take(page);
            }
            self.come(0);
            self.hand_out(0);
            self.settle(0);
        }
        panic!("{} of {} are done", self.acknowledged.len(), self.messages.len());
    }
}

#[test]
fn c2_whatever_comes_in_between_no_message_is_left_out_repeated_or_out_of_order() {
    for seed in 0..200 {
        let mut world = World::new(seed);
        for _ in 0..3_000 {
            world.step();
        }
        world.finish();
        assert_eq!(world.cursor(), world.messages.len() as u64, "seed {seed}");
    }
}
