//! Looking a whole store over: what is wrong with it, and where.

use std::fmt;

use millpond_actors::clock::Moment;
use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::storage::View;

use crate::dump::{self, Wanted};

/// What was found when a store was looked over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// What is wrong, [`limits::FINDINGS`](millpond_actors::limits::FINDINGS) at most.
    pub findings: Vec<Finding>,
    /// Whether there is more that is wrong.
    pub more: bool,
    /// Records that were read and are what they were when they were written.
    pub records: u64,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether to go on.
    fn add(&mut self, error: &Error) -> bool {
        self.more = self.findings.len() >= limits::FINDINGS;
        if !self.more {
            self.findings.push(Finding::of(error));
        }
        !self.more
    }
}

/// Something that is wrong in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Of what kind it is: "event", "entry of dict", "database", ...
    pub kind: String,
    /// Its name, or the name of what it is in; "?" if that is not known.
    pub name: String,
    /// Its number in that: a version, a sequence; 0 if it has none. Of an event whose stream is not known, its position.
    pub sequence: u64,
    /// What is wrong with it.
    pub detail: String,
}

impl Finding {
    fn of(error: &Error) -> Finding {
        match error {
            Error::Corrupt { kind, name, sequence, detail } => {
                let (kind, name, detail) = ((*kind).to_owned(), name.clone(), detail.clone());
                Finding { kind, name, sequence: *sequence, detail }
            }
            other => {
                let (kind, name) = ("database".to_owned(), "main".to_owned());
                Finding { kind, name, sequence: 0, detail: other.to_string() }
            }
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { kind, name, sequence, detail } = self;
        match sequence {
            0 => write!(f, "{kind} \"{name}\": {detail}"),
            sequence => write!(f, "{kind} \"{name}\" at {sequence}: {detail}"),
        }
    }
}

/// Looks over all that a view shows.
pub(crate) fn check(view: &mut dyn View, now: Moment) -> Result<Report> {
    let mut report = Report::default();
    view.check(&mut |error| report.add(&error))?;
    // Only to end it: what has ended it is no finding.
    let enough = Error::Closed;
    let read = dump::every_record(view, now, &Wanted::default(), &mut |record| match record {
        Ok(_) => {
            report.records += 1;
            Ok(())
        }
        // Others go on meanwhile.
        Err(Error::BlobGone { .. }) => Ok(()),
        Err(error) if report.add(&error) => Ok(()),
        Err(_) => Err(enough.clone()),
    });
    match read {
        Err(error) if error != enough => Err(error),
        _ => Ok(report),
    }
}
