//! What came of all runs: a table for people and JSON for programs, medians in both.

use std::collections::BTreeMap;

use peers::{Measured, Outcome};
use serde::Serialize;

/// Which runs belong together: a workload, and a side with its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) workload: String,
    pub(crate) settings: String,
}

/// All runs so far.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// Workloads in the order of their first run.
    workloads: Vec<String>,
    /// Settings by the side's number.
    settings: BTreeMap<usize, String>,
    /// By workload and side: a run a round; `None` where the side has nothing of the kind.
    measured: BTreeMap<(usize, usize), Vec<Option<Measured>>>,
}

/// One workload on one side, over all rounds.
#[derive(Debug, Serialize)]
struct Line<'a> {
    workload: &'a str,
    settings: &'a str,
    rounds: usize,
    per_second: Option<f64>,
    least_per_second: Option<f64>,
    most_per_second: Option<f64>,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
    retries: Option<f64>,
}

/// The middle one of the figures of the rounds; half way between two where there is none.
fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_unstable_by(f64::total_cmp);
    let (half, count) = (figures.len() / 2, figures.len());
    let upper = *figures.get(half)?;
    if count.is_multiple_of(2) { Some((figures.get(half - 1)? + upper) / 2.0) } else { Some(upper) }
}

impl Runs {
    pub(crate) fn add(&mut self, Row { workload, settings }: Row, side: usize, run: Option<Measured>) {
        let at = self.workloads.iter().position(|known| *known == workload).unwrap_or_else(|| {
            self.workloads.push(workload);
            self.workloads.len() - 1
        });
        self.settings.insert(side, settings);
        self.measured.entry((at, side)).or_default().push(run);
    }

    /// A side that cannot be run here, and why.
    pub(crate) fn absent(&mut self, side: usize, reason: String) {
        self.settings.insert(side, reason);
    }

    /// Whether nothing was run.
    pub(crate) fn is_empty(&self) -> bool {
        self.measured.is_empty()
    }

    fn line(&self, workload: usize, side: usize) -> Option<Line<'_>> {
        let runs: Vec<Measured> = self.measured.get(&(workload, side))?.iter().copied().flatten().collect();
        let figures = |of: fn(&Measured) -> Option<f64>| runs.iter().filter_map(of).collect::<Vec<_>>();
        let rates = figures(|run| run.per_second);
        Some(Line {
            workload: self.workloads.get(workload)?,
            settings: self.settings.get(&side)?,
            rounds: runs.len(),
            per_second: median(rates.clone()),
            least_per_second: rates.iter().copied().min_by(f64::total_cmp),
            most_per_second: rates.iter().copied().max_by(f64::total_cmp),
            p50_us: median(figures(|run| run.p50_us)),
            p99_us: median(figures(|run| run.p99_us)),
            retries: median(figures(|run| run.retries)),
        })
    }

    /// A row a workload, a column a side, in Markdown; each peer also as a multiple of what the first column has: 2 × is
    /// twice as many a second, or half as long.
    pub(crate) fn table(&self) -> String {
        let row = |first: &str, cells: Vec<String>| format!("| {first} | {} |", cells.join(" | "));
        let mut rows = vec![
            row("workload", self.settings.values().cloned().collect()),
            row("---", self.settings.keys().map(|_| "---".to_owned()).collect()),
        ];
        for (at, workload) in self.workloads.iter().enumerate() {
            let first = self.line(at, 0);
            let of = |side: &usize| match self.line(at, *side) {
                Some(line) => {
                    cell(&line, first.as_ref().filter(|_| *side > 0)).unwrap_or_else(|| "-".to_owned())
                }
                None => "not run".to_owned(),
            };
            rows.push(row(workload, self.settings.keys().map(of).collect()));
        }
        rows.join("\n")
    }

    /// A line for each workload and side.
    pub(crate) fn json(&self) -> Outcome<String> {
        let mut text = String::new();
        for at in 0..self.workloads.len() {
            for line in self.settings.keys().filter_map(|side| self.line(at, *side)) {
                text += &serde_json::to_string(&line)?;
                text.push('\n');
            }
        }
        Ok(text)
    }
}

/// What one side came to, beside the first.
fn cell(line: &Line<'_>, first: Option<&Line<'_>>) -> Option<String> {
    let (shown, ratio) = match line.per_second {
        Some(rate) => {
            let p50 = line.p50_us.map_or_else(String::new, |us| format!(", p50 {}", time(us)));
            let again = line.retries.filter(|retries| *retries > 0.0);
            let again = again.map_or_else(String::new, |retries| format!(", {retries:.1} retries each"));
            (
                format!("{}/s{p50}{again}", number(rate)),
                first.and_then(|first| Some(rate / first.per_second?)),
            )
        }
        None => {
            let (p50, p99) = (line.p50_us?, line.p99_us?);
            let ratio = first.and_then(|first| Some(first.p50_us? / p50));
            (format!("p50 {}, p99 {}", time(p50), time(p99)), ratio)
        }
    };
    Some(ratio.map_or_else(|| shown.clone(), |ratio| format!("{shown} ({} ×)", multiple(ratio))))
}

/// With two digits that say something, as long as there are four at most.
fn multiple(ratio: f64) -> String {
    let digits = if ratio < 0.01 {
        4
    } else if ratio < 0.1 {
        3
    } else {
        2
    };
    format!("{ratio:.digits$}")
}

/// With a comma between thousands.
fn number(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn time(us: f64) -> String {
    if us < 1_000.0 {
        format!("{us:.0} us")
    } else if us < 1_000_000.0 {
        format!("{:.1} ms", us / 1_000.0)
    } else {
        format!("{:.1} s", us / 1_000_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_medians_and_what_is_not_there() {
        let mut runs = Runs::default();
        let row = |settings: &str| Row { workload: "push".into(), settings: settings.into() };
        for (a, b) in [(1_000.0, 500.0), (3_000.0, 100.0), (2_000.0, 1_000.0)] {
            let rate = |rate| Some(Measured { per_second: Some(rate), ..Measured::default() });
            runs.add(row("a"), 0, rate(a));
            runs.add(row("b"), 1, rate(b).map(|run| Measured { retries: Some(3.0), ..run }));
            runs.add(row("c"), 2, None);
        }
        runs.absent(3, "d".into());
        let shown = "| workload | a | b | c | d |\n| --- | --- | --- | --- | --- |\n\
                     | push | 2,000/s | 500/s, 3.0 retries each (0.25 ×) | - | not run |";
        assert_eq!(runs.table(), shown);
        assert_eq!(runs.json().unwrap().lines().count(), 3);
        assert_eq!((median(vec![]), median(vec![3.0, 1.0])), (None, Some(2.0)));
        assert_eq!(
            (number(1_234_567.4), time(999.6), time(1_500.0), time(2_340_000.0)),
            ("1,234,567".into(), "1000 us".into(), "1.5 ms".into(), "2.3 s".into())
        );
        assert_eq!([2.0, 0.052, 0.000_81].map(multiple), ["2.00", "0.052", "0.0008"]);
    }
}
