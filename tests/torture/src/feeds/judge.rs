//! What must be true of what was published, what came to whom, and what is there in the end.

use std::collections::{BTreeMap, HashMap};

use super::KEEP;
use super::child::{Of, batch};
use super::evidence::{Came, Evidence, Follower};
use crate::report::kinds;

kinds! {
    /// A promise that was broken.
    pub enum Broken {
        /// What was acknowledged is not there, or was removed although it should have been kept (C1, C4, LG1).
        Lost,
        /// Two were told different things of one sequence, or of one message, or it is nobody's (C1, LG1).
        Other,
        /// What came to one subscriber is not in a row, or not what he was told to expect (C2, C3, LG3).
        Gap,
        /// More was missed than retention had removed (C3).
        Lagged,
        /// Who had just subscribed got old messages, or not all new ones (C3).
        Start,
        /// A message came before it was published (C1).
        Early,
        /// The cursor went back, or was moved by one who was not the consumer (C2).
        Cursor,
        /// A message was acknowledged that came to no consumer (C2).
        Unread,
        /// Somebody did not come to the end.
        Deaf,
        /// Publishers were held up by a subscriber that was stopped (C3).
        Slow,
        /// A child got an error, or ended by itself.
        Failed,
    }
}

/// What was broken, in words.
pub type Violation = (Broken, String);

/// What is known of a message in its place.
#[derive(Default)]
struct Places {
    numbers: HashMap<(Of, u64), u64>,
    places: HashMap<(Of, u64), u64>,
}

impl Places {
    /// Somebody says that this message stands there; `false` if others know it better.
    fn learn(&mut self, of: Of, sequence: u64, number: u64) -> bool {
        *self.numbers.entry((of, sequence)).or_insert(number) == number
            && *self.places.entry((of, number)).or_insert(sequence) == sequence
    }
}

/// Holds all of it against all of it.
pub(super) fn judge(evidence: &Evidence) -> Vec<Violation> {
    let mut violations = Vec::new();
    places(evidence, &mut violations);
    lost(evidence, &mut violations);
    for follower in &evidence.followers {
        in_a_row(evidence, follower, &mut violations);
    }
    starts(evidence, &mut violations);
    cursor(evidence, &mut violations);
    let behind = evidence.behind(&evidence.last);
    if behind > 0 {
        violations.push((Broken::Deaf, format!("somebody is {behind} behind the end")));
    }
    violations
}

/// Each message has one place, each place one message, whoever tells of it; and each publisher's follow one another.
fn places(evidence: &Evidence, violations: &mut Vec<Violation>) {
    let mut places = Places::default();
    let begun: HashMap<u64, u64> = evidence
        .publishes
        .iter()
        .flat_map(|publish| publish.numbers().into_iter().map(|number| (number, publish.begun)))
        .collect();
    for publish in &evidence.publishes {
        let both = [(Of::Channel, Some(publish.first)), (Of::Log, publish.logged)];
        for (of, first) in both.into_iter().filter_map(|(of, first)| Some((of, first?))) {
            let mut told = (first..).zip(publish.numbers());
            if !told.all(|(sequence, number)| places.learn(of, sequence, number)) {
                violations.push((Broken::Other, format!("{of:?}: {publish:?}")));
            }
        }
    }
    let publishers = super::PUBLISHERS * super::LANES;
    for follower in &evidence.followers {
        for came in &follower.came {
            let Came::Messages { from, numbers, at } = came else { continue };
            for (sequence, number) in (*from..).zip(numbers) {
                // Also one of which nobody has heard that it was published; but somebody must have begun to.
                let known = evidence.begun.get(&(number % publishers)).copied().unwrap_or(0);
                if number / publishers >= known || !places.learn(follower.of, sequence, *number) {
                    let words = format!("{:?}: {number} came as {sequence}", follower.of);
                    violations.push((Broken::Other, words));
                }
                if begun.get(number).is_some_and(|begun| at < begun) {
                    violations.push((Broken::Early, format!("{number} came at {at}")));
                }
            }
        }
    }
    for (of, kept) in &evidence.kept {
        for (sequence, number) in kept {
            if !places.learn(*of, *sequence, *number) {
                violations.push((Broken::Other, format!("{of:?}: {number} is there as {sequence}")));
            }
        }
    }
}

/// What is kept is in a row up to the end, as much as retention says, and what was acknowledged is there if it is not older.
fn lost(evidence: &Evidence, violations: &mut Vec<Violation>) {
    for (of, kept) in &evidence.kept {
        let last = evidence.last.get(of).copied().unwrap_or(0);
        let first = kept.first().map_or(last + 1, |(first, _)| *first);
        let wanted = match of {
            Of::Channel => last.min(KEEP),
            Of::Log => last,
        };
        let in_a_row = kept.iter().map(|(sequence, _)| *sequence).eq(first..last + 1);
        if !in_a_row || (kept.len() as u64) < wanted {
            let words = format!("{of:?}: {} are kept from {first} to {last}, not {wanted}", kept.len());
            violations.push((Broken::Lost, words));
        }
        let told = evidence.publishes.iter().filter_map(|publish| {
            let first = if *of == Of::Channel { Some(publish.first) } else { publish.logged };
            Some((first? + batch(publish.own) - 1, publish))
        });
        for (end, publish) in told.filter(|(end, _)| *end > last) {
            violations.push((Broken::Lost, format!("{of:?}: {publish:?}, and {end} of {last}")));
        }
    }
}

/// Each message comes once, in order, without a gap but for those that were removed.
fn in_a_row(evidence: &Evidence, follower: &Follower, violations: &mut Vec<Violation>) {
    let mut next = follower.next;
    let last = evidence.last.get(&follower.of).copied().unwrap_or(0);
    for came in &follower.came {
        match came {
            Came::Messages { from, numbers, .. } => {
                if *from != next {
                    let words = format!("{from} came where {next} should have: {:?}", follower.token);
                    violations.push((Broken::Gap, words));
                }
                next = from + numbers.len() as u64;
            }
            Came::Missed(count) => {
                next += count;
                // What was removed has as much behind it as is kept.
                let may_be = follower.of == Of::Channel && *count > 0 && next + KEEP <= last + 1;
                if !may_be {
                    violations.push((Broken::Lagged, format!("{count} missed before {next} of {last}")));
                }
            }
            Came::Acked { .. } => {}
        }
    }
}

/// Who subscribes gets what is published after that, and nothing that was acknowledged before he asked.
fn starts(evidence: &Evidence, violations: &mut Vec<Violation>) {
    for follower in evidence.followers.iter().filter(|follower| follower.token.is_none()) {
        for publish in &evidence.publishes {
            let first = if follower.of == Of::Channel { Some(publish.first) } else { publish.logged };
            let Some(first) = first else { continue };
            let missed =
                follower.of == Of::Channel && publish.begun > follower.acked && first < follower.next;
            // A log's append is acknowledged somewhat later.
            let is_old = follower.of == Of::Channel
                && publish.acked < follower.begun
                && first + batch(publish.own) > follower.next;
            if missed || is_old {
                let words = format!("from {} on since {}: {publish:?}", follower.next, follower.acked);
                violations.push((Broken::Start, words));
            }
        }
    }
}

/// The last message that had come to any consumer, by the stamps at which that was said. It is acknowledged only after
/// that. One whose lease ended before he began may begin where a later one is: tokens are no order for this.
fn came_to_consumers(evidence: &Evidence) -> Vec<(u64, u64)> {
    let consumers = evidence.followers.iter().filter(|follower| follower.token.is_some());
    let mut came: Vec<(u64, u64)> = consumers
        .flat_map(|turn| &turn.came)
        .filter_map(|came| match came {
            Came::Messages { from, numbers, at } => Some((*at, from + numbers.len() as u64 - 1)),
            Came::Missed(_) | Came::Acked { .. } => None,
        })
        .collect();
    came.sort_unstable();
    let mut last = 0;
    for (_, came) in &mut came {
        last = last.max(*came);
        *came = last;
    }
    came
}

/// The last that had come until a stamp.
fn came_until(came: &[(u64, u64)], stamp: u64) -> Option<u64> {
    let count = came.partition_point(|(at, _)| *at <= stamp);
    came.get(count.checked_sub(1)?).map(|(_, last)| *last)
}

/// The cursor goes on only, moved by whoever consumes, and behind what came to some consumer.
fn cursor(evidence: &Evidence, violations: &mut Vec<Violation>) {
    let mut turns: BTreeMap<u64, &Follower> = BTreeMap::new();
    for follower in &evidence.followers {
        let Some(token) = follower.token else { continue };
        if turns.insert(token, follower).is_some() {
            violations.push((Broken::Cursor, format!("token {token} was given twice")));
        }
    }
    let all: Vec<(u64, &Follower)> = turns.into_iter().collect();
    // It begins with the oldest message that is kept then.
    let first = all.first().map_or(0, |(_, first)| first.next.saturating_sub(1));
    let mut cursor = first;
    let came = came_to_consumers(evidence);
    for (at, (token, turn)) in all.iter().enumerate() {
        let next_began = all.get(at + 1).map(|(_, next)| next.acked);
        if turn.next <= cursor {
            violations
                .push((Broken::Cursor, format!("token {token} begins with {}, not {cursor}", turn.next)));
        }
        let read = came_until(&came, turn.acked).unwrap_or(first);
        if turn.next > read.max(first) + 1 {
            let words = format!("token {token} begins with {}, and only {read} came", turn.next);
            violations.push((Broken::Unread, words));
        }
        let mut next = turn.next;
        for came in &turn.came {
            match came {
                Came::Messages { from, numbers, .. } => next = from + numbers.len() as u64,
                Came::Missed(count) => next += count,
                Came::Acked { sequence, begun, well: true } => {
                    if *sequence >= next {
                        violations.push((Broken::Unread, format!("token {token}: {sequence} before {next}")));
                    }
                    if next_began.is_some_and(|began| *begun > began) {
                        violations.push((Broken::Cursor, format!("token {token} was over: {came:?}")));
                    }
                    cursor = cursor.max(*sequence);
                }
                Came::Acked { well: false, .. } => {}
            }
        }
    }
    if evidence.cursor < cursor {
        let words = format!("it is at {}, and {cursor} was acknowledged", evidence.cursor);
        violations.push((Broken::Cursor, words));
    }
}
