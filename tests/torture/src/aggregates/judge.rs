//! What must be true of what callers were told and what was found.

use std::collections::{BTreeMap, BTreeSet};

use super::account::{Happened, Id, What};
use super::evidence::{Answer, Evidence, Found, Told};
use super::replay::Replay;
use super::spec::{Deed, Expected};
use crate::real_time::{Span, late};
use crate::report::kinds;

kinds! {
    /// A promise that was broken.
    pub enum Broken {
        /// Somebody was told of an event that is not there, or elsewhere, or another (G1).
        Lost,
        /// Versions or positions are not dense (A1).
        Hole,
        /// A command has its events twice, or another answer when it is given again (G4, A3).
        Twice,
        /// There are events of a command that was refused, or panicked, or that nobody gave; or somebody was told what
        /// cannot be (A5).
        Lie,
        /// Of one command, or of one batch, some is there and some is not, or something has come in between (A3, G2).
        Torn,
        /// A decision, a refusal or a look rests on a state that was not the account's, or not any more when it was asked
        /// for (A1, A4, G5).
        Stale,
        /// What a caller was told of first stands behind what he was told of later (G5).
        Order,
        /// Jobs or messages are there without what led to them, or the other way round (A3).
        Effect,
        /// The state is another than its events make it, whatever there was of snapshots (A2).
        State,
        /// Money has come from nowhere, or gone (G2, A3).
        Sum,
        /// A command has come to no end for its caller (A4, G10).
        Unanswered,
        /// A child got an error, or ended by itself.
        Failed,
    }
}

/// What was broken, in words.
pub type Violation = (Broken, String);

/// What was heard of a deed, and what was found of it.
#[derive(Default)]
struct Case<'a> {
    /// What was told of its first command and of its second.
    told: [Option<&'a Told>; 2],
    /// Its process was killed meanwhile.
    unknown: bool,
    found: Vec<&'a Found>,
    jobs: u64,
    messages: u64,
}

impl Case<'_> {
    fn answer(&self, step: u64) -> Option<&Answer> {
        self.told.get(step as usize).copied().flatten().map(|told| &told.answer)
    }

    /// Whether this event is there.
    fn has(&self, expected: &Expected) -> bool {
        self.found.iter().any(|found| matches(found, expected))
    }
}

/// Whether an event is the expected one, wherever it stands and whatever it leaves.
fn matches(found: &Found, expected: &Expected) -> bool {
    let entry = found.event.entry();
    let comes = matches!(found.event, Happened::Deposited(_));
    found.account == expected.account
        && (entry.part, entry.cents, comes) == (expected.part, expected.cents, expected.comes)
}

/// Holds all of it against all of it.
pub(super) fn judge(evidence: &Evidence) -> Vec<Violation> {
    let mut violations = Vec::new();
    let replay = Replay::of(evidence, &mut violations);
    let cases = cases(evidence);
    for (id, case) in &cases {
        came(evidence.deed(*id), *id, case, &mut violations);
        effects(evidence.deed(*id), *id, case, &mut violations);
    }
    for told in &evidence.told {
        words(evidence.deed(told.id), told, &replay, &mut violations);
    }
    again(evidence, &mut violations);
    order(evidence, &mut violations);
    in_time(evidence, &mut violations);
    unanswered(evidence, &cases, &mut violations);
    for (how, account, state) in &evidence.states {
        if replay.last(*account) != Some(state) {
            let words = format!("{how}: {state:?} of account {account} is {:?}", replay.last(*account));
            violations.push((Broken::State, words));
        }
    }
    sum(evidence, &cases, &mut violations);
    violations
}

fn cases(evidence: &Evidence) -> BTreeMap<Id, Case<'_>> {
    let mut cases: BTreeMap<Id, Case<'_>> = BTreeMap::new();
    for told in &evidence.told {
        let told_of = cases.entry(told.id).or_default().told.get_mut(told.step as usize);
        told_of.into_iter().for_each(|place| *place = Some(told));
    }
    evidence.unknown.iter().for_each(|id| cases.entry(*id).or_default().unknown = true);
    for (id, found) in evidence.events_by_deed() {
        cases.entry(id).or_default().found = found;
    }
    evidence.jobs.iter().for_each(|id| cases.entry(*id).or_default().jobs += 1);
    evidence.messages.iter().for_each(|id| cases.entry(*id).or_default().messages += 1);
    cases
}

/// Of a deed its own events are there, each once; of each command all of them, together, or none: none if it was refused.
fn came(deed: Deed, id: Id, case: &Case<'_>, violations: &mut Vec<Violation>) {
    let expected = deed.expected();
    let mut seen = BTreeSet::new();
    for found in &case.found {
        match expected.iter().position(|expected| matches(found, expected)) {
            Some(index) if !seen.insert(index) => {
                violations.push((Broken::Twice, format!("{found:?} of {deed:?}")));
            }
            Some(_) => {}
            None => violations.push((Broken::Lie, format!("{found:?} is not of {deed:?}"))),
        }
    }
    for step in [0, 1] {
        let due: Vec<&Expected> = expected.iter().filter(|expected| expected.step == step).collect();
        let is_due = |found: &&&Found| due.iter().any(|expected| matches(found, expected));
        let there: Vec<&Found> = case.found.iter().filter(is_due).copied().collect();
        if there.is_empty() {
            // What he was told of is looked for by its place.
            continue;
        }
        let may_be = match case.answer(step) {
            Some(Answer::Done(_)) => true,
            None => case.unknown,
            Some(_) => false,
        };
        if !may_be {
            let answer = case.answer(step);
            violations.push((Broken::Lie, format!("{deed:?} {id:?} is there, after {answer:?}: {there:?}")));
        }
        let in_a_row = |pair: &[&Found]| match pair {
            [one, next] if one.account == next.account => next.version == one.version + 1,
            _ => true,
        };
        if there.len() < due.len() || !there.windows(2).all(in_a_row) {
            violations.push((Broken::Torn, format!("{deed:?} {id:?} is in part or apart: {there:?}")));
        }
        if step == 1 && there.len() == case.found.len() {
            violations.push((Broken::Torn, format!("the second half of {deed:?} {id:?}: {there:?}")));
        }
    }
}

/// Somebody is written to for each deed that asks for it, once; and for no other.
fn effects(deed: Deed, id: Id, case: &Case<'_>, violations: &mut Vec<Violation>) {
    let due = match case.answer(0) {
        _ if !deed.is_written_about() => 0,
        Some(Answer::Done(_)) => 1,
        // One without events is there if its job is.
        None if case.unknown && deed.expected().is_empty() => case.jobs.min(1),
        None if case.unknown => u64::from(!case.found.is_empty()),
        _ => 0,
    };
    if (case.jobs, case.messages) != (due, due) {
        let words = format!("{} jobs and {} messages, not {due}: {deed:?} {id:?}", case.jobs, case.messages);
        violations.push((Broken::Effect, words));
    }
}

/// What somebody was told is so.
fn words(deed: Deed, told: &Told, replay: &Replay<'_>, violations: &mut Vec<Violation>) {
    let count = told.placed().iter().map(|placed| placed.events.len()).sum::<usize>();
    let due = deed.expected().iter().filter(|expected| expected.step == told.step).count();
    if matches!(told.answer, Answer::Done(_)) && count != due {
        violations.push((Broken::Lie, format!("{told:?} of {deed:?} tells of {count} events")));
    }
    let fell = matches!(told.answer, Answer::Fell);
    if fell != deed.falls() {
        violations.push((Broken::Lie, format!("{told:?} of {deed:?}")));
    }
    for placed in told.placed() {
        let before = placed.version.saturating_sub(placed.events.len() as u64);
        let mut last = None;
        for (version, event) in (before + 1..).zip(&placed.events) {
            last = replay.event(placed.account, version);
            if last.is_none_or(|found| found.event != *event) {
                violations.push((Broken::Lost, format!("{event:?} of {told:?}: there is {last:?}")));
            }
        }
        if last.map(|found| found.position) != placed.position {
            violations.push((Broken::Lost, format!("the place of {told:?}: there is {last:?}")));
        }
        if replay.at(placed.account, placed.version).is_none() {
            violations.push((Broken::Lost, format!("there is no such version: {told:?}")));
        }
    }
    if let Answer::Rejected(account, seen) | Answer::Saw(account, seen) = &told.answer
        && replay.at(*account, seen.version) != Some(seen)
    {
        let stood = replay.at(*account, seen.version);
        violations.push((Broken::Stale, format!("{told:?}: it stood so: {stood:?}")));
    }
    if let Answer::Rejected(_, seen) = &told.answer {
        let asked = match deed {
            Deed::One(_, What::Withdraw { cents }) => cents,
            Deed::Pair { cents, .. } | Deed::Batch { cents, .. } => cents,
            _ => 0,
        };
        if asked <= seen.cents {
            violations.push((Broken::Lie, format!("{told:?}: that was enough for {asked}")));
        }
    }
}

/// A command that is given again has the answer of the first time; and what was never given before has not been done before.
fn again(evidence: &Evidence, violations: &mut Vec<Violation>) {
    let first: BTreeMap<(Id, u64), &Told> =
        evidence.told.iter().map(|told| ((told.id, told.step), told)).collect();
    for told in &evidence.again {
        let first = first.get(&(told.id, told.step));
        if !told.repeated || first.is_none_or(|first| first.answer != told.answer) {
            violations.push((Broken::Twice, format!("{told:?} after {first:?}")));
        }
    }
    let early = evidence.told.iter().filter(|told| told.repeated && !evidence.begun.contains(&told.id));
    violations.extend(early.map(|told| (Broken::Lie, format!("it was given for the first time: {told:?}"))));
}

/// What a task is told of comes behind what it was told of before.
fn order(evidence: &Evidence, violations: &mut Vec<Violation>) {
    let mut last: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    for told in &evidence.told {
        for placed in told.placed() {
            let before = last.entry((told.id.0, placed.account)).or_default();
            let begins = placed.version.saturating_sub(placed.events.len() as u64);
            if begins < *before {
                violations.push((Broken::Order, format!("{told:?} after version {before}")));
            }
            *before = placed.version;
        }
    }
}

/// What is asked for when somebody has been told of an event rests on that, whoever asks, in whatever process.
fn in_time(evidence: &Evidence, violations: &mut Vec<Violation>) {
    let mut accounts: BTreeMap<u64, Vec<(Span, &Told)>> = BTreeMap::new();
    // What was carried out before was so before it was asked for.
    for told in evidence.told.iter().filter(|told| !told.repeated) {
        let seen = match &told.answer {
            Answer::Rejected(account, seen) | Answer::Saw(account, seen) => Some((*account, seen.version)),
            Answer::Done(_) | Answer::Fell => None,
        };
        let placed = told.placed().iter().map(|placed| (placed.account, placed.version));
        for (account, version) in placed.chain(seen) {
            let span = Span::at(told.called, Some(told.returned), version);
            accounts.entry(account).or_default().push((span, told));
        }
    }
    for (account, spans) in accounts {
        let (spans, told): (Vec<Span>, Vec<&Told>) = spans.into_iter().unzip();
        for (at, known) in late(&spans, false) {
            let words = format!("{:?} when version {known} of account {account} was known", told.get(at));
            violations.push((Broken::Stale, words));
        }
    }
}

/// Each command has come to its end, but for those whose process did.
fn unanswered(evidence: &Evidence, cases: &BTreeMap<Id, Case<'_>>, violations: &mut Vec<Violation>) {
    for id in (0..evidence.next.len() as u64).flat_map(|who| (0..evidence.end).map(move |own| (who, own))) {
        let case = cases.get(&id);
        let is_half = |case: &Case<'_>| {
            let goes_on = matches!(evidence.deed(id), Deed::Pair { .. })
                && matches!(case.answer(0), Some(Answer::Done(_)));
            case.answer(0).is_none() || goes_on && case.answer(1).is_none()
        };
        if case.is_none_or(|case| !case.unknown && is_half(case)) {
            violations.push((Broken::Unanswered, format!("{id:?}: {:?}", evidence.deed(id))));
        }
    }
    for (id, case) in cases {
        if case.told.iter().all(Option::is_none) && !case.unknown {
            let words = format!("nobody has given {id:?}: {:?}", case.found);
            violations.push((Broken::Lie, words));
        }
    }
}

/// There is as much money as has come from outside and has not gone; and what is on its way, of transfers that died half way.
fn sum(evidence: &Evidence, cases: &BTreeMap<Id, Case<'_>>, violations: &mut Vec<Violation>) {
    let mut due: i128 = 0;
    for (id, case) in cases {
        for expected in evidence.deed(*id).expected() {
            let counts = match case.answer(expected.step) {
                Some(Answer::Done(_)) => true,
                None => case.unknown && case.has(&expected),
                Some(_) => false,
            };
            let cents = i128::from(expected.cents);
            due += if !counts {
                0
            } else if expected.comes {
                cents
            } else {
                -cents
            };
        }
    }
    let mut sums: BTreeMap<&str, i128> = BTreeMap::new();
    for (how, _, state) in &evidence.states {
        *sums.entry(how).or_default() += i128::from(state.cents);
    }
    for (how, cents) in sums.into_iter().filter(|(_, cents)| *cents != due) {
        violations.push((Broken::Sum, format!("{how}: {cents} cents are there, and not {due}")));
    }
}
