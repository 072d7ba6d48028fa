//! What is in the store, as it becomes so: each commit is judged by its operations and by what readers see behind it.

use std::collections::BTreeMap;

use millpond::Expected;
use millpond_actors::name::Name;
use millpond_actors::storage::lock::Left;
use millpond_actors::storage::stream::{Append, Appended, Filter, Query, Scope};
use millpond_actors::storage::{Moment, Operation, Outcome, View};
use serde_json::Value;

use super::judge::{Broken, Violation};
use super::line::Locks;
use crate::Result;

/// The locks there are.
pub(super) const LOCKS: [&str; 3] = ["anchor", "bridge", "crane"];

/// An event that readers see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) stream: String,
    pub(super) version: u64,
    pub(super) event_type: String,
    pub(super) n: u64,
    pub(super) cents: u64,
}

/// All of it.
pub(super) struct Truth {
    view: Box<dyn View>,
    locks: Vec<Name>,
    /// By position, from 1.
    rows: Vec<Row>,
    /// The places of a stream's rows, by version from 1.
    streams: BTreeMap<String, Vec<usize>>,
    /// The place of an event by its number.
    numbers: BTreeMap<u64, usize>,
    pub(super) line: Locks,
    pub(super) commits: u64,
}

impl std::fmt::Debug for Truth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Truth").field("events", &self.rows.len()).finish_non_exhaustive()
    }
}

/// A group of one process.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) process: u64,
    /// When it began.
    pub(super) began: Moment,
    pub(super) operations: &'a [(Operation, Outcome)],
    /// The process leaves with it.
    pub(super) leaves: bool,
}

impl Truth {
    /// Nothing is there.
    pub(super) fn new(view: Box<dyn View>) -> Result<Truth> {
        let locks = LOCKS.iter().map(|name| Name::new(*name)).collect::<millpond::Result<_>>()?;
        let (rows, streams, numbers) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Ok(Truth { view, locks, rows, streams, numbers, line: Locks::default(), commits: 0 })
    }

    /// An event by its number.
    pub(super) fn event(&self, n: u64) -> Option<(u64, &Row)> {
        let place = *self.numbers.get(&n)?;
        Some((place as u64 + 1, self.rows.get(place)?))
    }

    /// The event at a position.
    pub(super) fn event_at(&self, position: u64) -> Option<&Row> {
        self.rows.get(usize::try_from(position).ok()?.checked_sub(1)?)
    }

    /// A stream's version.
    pub(super) fn version(&self, stream: &str) -> u64 {
        self.streams.get(stream).map_or(0, |places| places.len() as u64)
    }

    /// A stream's events, oldest first.
    pub(super) fn stream(&self, stream: &str) -> impl Iterator<Item = &Row> {
        let places = self.streams.get(stream).map_or(&[][..], Vec::as_slice);
        places.iter().filter_map(|place| self.rows.get(*place))
    }

    /// The position of the last event.
    pub(super) fn head(&self) -> u64 {
        self.rows.len() as u64
    }

    /// A group is in the store. What is wrong with it.
    pub(super) fn commit(&mut self, group: &Group<'_>) -> Vec<Violation> {
        let (mut said, mut ahead) = (Vec::new(), BTreeMap::new());
        self.commits += 1;
        for (operation, outcome) in group.operations {
            said.extend(self.operation(group, operation, outcome, &mut ahead));
        }
        if group.leaves {
            self.line.gone(group.process, group.began.boot_ms);
        }
        // Leases are judged by the beats before this one: it is this commit that prolongs them.
        for name in self.locks.clone() {
            match self.view.lock(&name, group.began) {
                Ok(Some(line)) => said.extend(self.line.shown(&line, group.began.boot_ms)),
                Ok(None) => {}
                Err(error) => said.push((Broken::Failed, format!("a look behind a commit: {error}"))),
            }
        }
        self.line.beat(group.process, group.began.boot_ms);
        said.extend(self.read());
        let short = ahead.iter().filter(|(stream, version)| self.version(stream) < **version);
        said.extend(short.map(|(stream, version)| {
            (
                Broken::Lost,
                format!("{stream} was to have version {version}, and has {}", self.version(stream)),
            )
        }));
        said
    }

    fn operation(
        &mut self,
        group: &Group<'_>,
        operation: &Operation,
        outcome: &Outcome,
        ahead: &mut BTreeMap<String, u64>,
    ) -> Vec<Violation> {
        let (me, now_ms) = (group.process, group.began.boot_ms);
        let mut said = Vec::new();
        match (operation, outcome) {
            (Operation::LockAcquire(acquire), Outcome::LockAcquire(acquired)) => {
                said.extend(self.line.acquired(me, acquire, acquired, now_ms));
            }
            (Operation::LockLeave(leave), Outcome::LockLeave(left)) => {
                said.extend(self.line.left(leave.lock, leave.ticket, left, now_ms));
                let Left { next, .. } = left;
                said.extend(next.iter().filter_map(|grant| self.line.granted(grant, None, now_ms)));
            }
            (Operation::LockSettle(_), Outcome::LockSettle(settled)) => {
                let holders = settled.holders.iter();
                said.extend(holders.filter_map(|grant| self.line.found(grant, now_ms)));
            }
            (Operation::LockBreak(_), Outcome::LockBreak(broken)) => {
                for grant in &broken.taken {
                    said.extend(self.line.found(grant, now_ms));
                    self.line.take_away(grant.lock, now_ms);
                }
                said.extend(broken.next.iter().filter_map(|grant| self.line.granted(grant, None, now_ms)));
            }
            (Operation::LockRenew(renew), Outcome::LockRenew(renewed))
                if renewed.held != self.line.holds(renew.lock, renew.ticket, now_ms, me) =>
            {
                said.push((Broken::Refused, format!("{renew:?} at {now_ms}: {renewed:?}")));
            }
            (Operation::StreamAppend(append), Outcome::StreamAppend(appended)) => {
                said.extend(self.append(group, append, appended, ahead));
            }
            _ => {}
        }
        said
    }

    fn append(
        &self,
        group: &Group<'_>,
        append: &Append,
        appended: &Appended,
        ahead: &mut BTreeMap<String, u64>,
    ) -> Option<Violation> {
        let fence = append.fence.as_ref();
        let now_ms = group.began.boot_ms;
        let stands = fence.is_none_or(|fence| self.line.stands(fence, now_ms, group.process));
        match (stands, appended) {
            (true, Appended::Fenced) => {
                return Some((Broken::Refused, format!("{fence:?} stands, and was refused")));
            }
            (false, Appended::Fenced) => return None,
            (false, _) => {
                return Some((Broken::Landed, format!("{fence:?} does not stand, and led to {appended:?}")));
            }
            (true, _) => {}
        }
        let stream = append.stream.name.to_string();
        let version = *ahead.entry(stream.clone()).or_insert_with(|| self.version(&stream));
        let known =
            append.events.first().is_some_and(|event| self.numbers.contains_key(&number(&event.data)));
        let honest = match *appended {
            Appended::Done { repeated: true, .. } => known && append.known_ids,
            Appended::Done { version: last, .. } => {
                let count = append.events.len() as u64;
                let dense = last == version + count;
                ahead.insert(stream, last);
                dense && is_as(append.expected, version) && !known
            }
            Appended::Conflict { actual } => actual == version && !is_as(append.expected, version),
            Appended::Duplicate { .. } | Appended::Fenced | Appended::Closed => false,
        };
        let words = || format!("{:?} at version {version} led to {appended:?}", append.expected);
        (!honest).then(|| (Broken::Version, words()))
    }

    /// Reads what is new.
    fn read(&mut self) -> Vec<Violation> {
        let mut said = Vec::new();
        loop {
            let from = self.head() + 1;
            let query = Query {
                scope: Scope::All,
                backward: false,
                from,
                to: u64::MAX >> 1,
                filter: Filter::default(),
                limit: 1_000,
            };
            let page = match self.view.events(&query) {
                Ok(page) => page,
                Err(error) => {
                    said.push((Broken::Failed, format!("a look behind a commit: {error}")));
                    return said;
                }
            };
            for recorded in page.events.into_iter().flatten() {
                let place = self.rows.len();
                let places = self.streams.entry(recorded.stream.to_string()).or_default();
                places.push(place);
                if recorded.position != place as u64 + 1 || recorded.version != places.len() as u64 {
                    said.push((Broken::Version, format!("a hole before {recorded:?}")));
                }
                let (n, cents) = (number(&recorded.data), member(&recorded.data, "cents"));
                if let Some(before) = self.numbers.insert(n, place) {
                    said.push((Broken::Twice, format!("{n} is at {} and at {}", before + 1, place + 1)));
                }
                let (stream, version) = (recorded.stream.to_string(), recorded.version);
                self.rows.push(Row { stream, version, event_type: recorded.event_type, n, cents });
            }
            if !page.more {
                return said;
            }
        }
    }
}

/// The number that each event has.
fn number(data: &millpond_actors::storage::Data) -> u64 {
    member(data, "n")
}

fn member(data: &millpond_actors::storage::Data, name: &str) -> u64 {
    let value: Option<Value> = serde_json::from_slice(data.bytes()).ok();
    value.as_ref().and_then(|value| value.get(name)?.as_u64()).unwrap_or_default()
}

fn is_as(expected: Expected, version: u64) -> bool {
    match expected {
        Expected::Any => true,
        Expected::NoStream => version == 0,
        Expected::Exists => version > 0,
        Expected::Version(wanted) => version == wanted,
    }
}
