//! The end of the tour: the promises, each with what was found, and a few figures.

use std::path::PathBuf;

use serde_json::json;

use super::audit::Finding;
use crate::failure::Done;
use crate::show::{Show, grouped};

/// What came of it.
pub(super) struct Report {
    pub(super) promises: u64,
    pub(super) operations: u64,
    pub(super) commits: u64,
    pub(super) seconds: f64,
    pub(super) kills: u64,
    pub(super) findings: Vec<Finding>,
}

impl Report {
    pub(super) fn holds(&self) -> bool {
        self.findings.iter().all(|finding| finding.holds)
    }

    /// Answers a second.
    fn rate(&self) -> u64 {
        (self.promises as f64 / self.seconds).round().max(0.0) as u64
    }

    pub(super) fn print(&self, show: &mut Show, kept: Option<&PathBuf>) -> Done<()> {
        if show.is_json() {
            show.json(&self.as_json(kept))?;
            return Ok(());
        }
        show.line("")?;
        let row = |finding: &Finding| {
            let verdict = if finding.holds { "ok" } else { "FAILED" };
            vec![verdict.to_owned(), finding.what.to_owned(), finding.figure.clone()]
        };
        show.table(&["", "promise", "found"], self.findings.iter().map(row).collect())?;
        show.line("")?;
        let (answers, rate) = (grouped(self.promises), grouped(self.rate()));
        show.line(&format!("{answers} answers in {:.1} s: {rate} a second.", self.seconds))?;
        if self.commits > 0 {
            let shared = self.operations as f64 / self.commits as f64;
            show.line(&format!(
                "{} commits to disk, each shared by {shared:.1} operations.",
                grouped(self.commits)
            ))?;
        }
        if let Some(path) = kept {
            show.line(&format!("Look at it: millpond --store {} status", path.display()))?;
        }
        Ok(())
    }

    fn as_json(&self, kept: Option<&PathBuf>) -> serde_json::Value {
        let finding = |finding: &Finding| json!({"invariant": finding.what, "ok": finding.holds, "figure": finding.figure});
        json!({
            "ok": self.holds(),
            "acknowledged": self.promises,
            "per_second": self.rate(),
            "operations": self.operations,
            "commits": self.commits,
            "seconds": self.seconds,
            "kills": self.kills,
            "store": kept,
            "invariants": self.findings.iter().map(finding).collect::<Vec<_>>(),
        })
    }
}
