//! Holding what is there against what is copied, record by record, in the order of a dump.

use std::collections::BTreeMap;

use millpond_actors::error::{Error, Result};
use millpond_actors::storage::checksum;
use millpond_actors::storage::record::Record;

use super::records::Records;
use super::{CopyStep, Copying, TOLD_EVERY, words};
use crate::dump;

/// What it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Against {
    /// The beginning of what is copied.
    Beginning,
    /// All of it.
    Whole,
}

/// What comes from one side is held against what is read of the other.
pub(super) struct Comparing {
    records: Records,
    against: Against,
    seen: Seen,
    step: CopyStep,
    copying: Copying,
}

/// What is the same on both sides.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) counts: BTreeMap<String, u64>,
    pub(super) checksum: u32,
    pub(super) records: u64,
}

impl Seen {
    pub(super) fn add(&mut self, kind: &str, line: &str) {
        match self.counts.get_mut(kind) {
            Some(count) => *count += 1,
            None => drop(self.counts.insert(kind.to_owned(), 1)),
        }
        self.checksum = checksum::append(checksum::append(self.checksum, line.as_bytes()), b"\n");
        self.records += 1;
    }
}

impl Comparing {
    pub(super) fn new(records: Records, against: Against, (step, copying): (CopyStep, Copying)) -> Comparing {
        Comparing { records, against, seen: Seen::default(), step, copying }
    }

    /// The next record that is there.
    pub(super) fn next(&mut self, theirs: &Record) -> Result<()> {
        let line = dump::line(theirs)?;
        let Some(ours) = self.records.peek()? else {
            return Err(self.differs(words::of(theirs), "is there, and is not in what is copied".into()));
        };
        let is_begun = || self.against == Against::Beginning && is_begun(theirs, &ours.record);
        if ours.line != line && !is_begun() {
            let (ours, theirs) = (words::of(&ours.record), words::of(theirs));
            return Err(if ours == theirs {
                self.differs(ours, "is another one there".into())
            } else {
                self.differs(ours, format!("is not there: {theirs} stands in its place"))
            });
        }
        self.same()
    }

    /// The next line of a dump that is there. Whether it is the one that should be.
    pub(super) fn is_next(&mut self, line: &str) -> Result<bool> {
        let is_it = self.records.peek()?.is_some_and(|ours| ours.line == line);
        if is_it {
            self.same()?;
        }
        Ok(is_it)
    }

    fn same(&mut self) -> Result<()> {
        if let Some(item) = self.records.next()? {
            self.seen.add(dump::label(&item.record).0, &item.line);
            if self.seen.records.is_multiple_of(TOLD_EVERY) {
                self.copying.tell(self.step, self.seen.records);
            }
        }
        Ok(())
    }

    /// Nothing more is there: what is copied goes on behind what was seen.
    pub(super) fn rest(self) -> (Records, Seen) {
        (self.records, self.seen)
    }

    /// Nothing more is there, and nothing more should be.
    pub(super) fn end(mut self) -> Result<(BTreeMap<String, u64>, u32)> {
        if let Some(ours) = self.records.peek()? {
            let ours = words::of(&ours.record);
            return Err(self.differs(ours, "is not there".into()));
        }
        Ok((self.seen.counts, self.seen.checksum))
    }

    /// The next one should be, and is not.
    pub(super) fn missing(&mut self, there: String) -> Error {
        match self.records.peek() {
            Ok(Some(ours)) => {
                let ours = words::of(&ours.record);
                self.differs(ours, there)
            }
            Ok(None) => self.differs("the last record".into(), "is not the last one there".into()),
            Err(error) => error,
        }
    }

    fn differs(&self, record: String, reason: String) -> Error {
        match self.against {
            Against::Beginning => Error::NotTheCopy { record, reason },
            Against::Whole => Error::CopyDiffers { record, reason },
        }
    }
}

/// Whether a feed that is there is one that is copied, of which the last messages are missing. A feed has as many as it says, so while it
/// is copied it says less.
fn is_begun(theirs: &Record, ours: &Record) -> bool {
    match (theirs, ours) {
        (
            Record::Feed { kind, name, first, last, recorded_at, retention },
            Record::Feed { kind: k, name: n, first: f, last: l, recorded_at: r, retention: t },
        ) => (kind, name, first, retention) == (k, n, f, t) && last < l && recorded_at <= r,
        _ => false,
    }
}
