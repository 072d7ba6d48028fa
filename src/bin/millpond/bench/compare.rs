//! Comparisons: ours and the floor in turn, on whatever ground, and what comes of them as one row.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::BenchArgs;
use super::drive::Measured;
use crate::failure::Done;
use crate::show::{Show, grouped};

/// One side of a comparison: runs for a while with so many callers where there is nothing yet.
pub(super) type Side = fn(&Path, usize, f64) -> millpond::Result<Measured>;

/// What is compared, with the largest number of callers that makes sense for it.
pub(super) struct Comparison {
    pub(super) name: &'static str,
    pub(super) ours: Side,
    pub(super) floor: Side,
    pub(super) most_callers: usize,
}

/// What both sides of a comparison stand on.
pub(super) trait Ground {
    /// A place where there is nothing yet, for one run of a side.
    fn place(&self, run: &str) -> PathBuf;

    /// Takes away what a run has left there.
    fn clear(&self, place: &Path) -> millpond::Result<()>;

    /// What a commit survives, in words.
    fn durability(&self) -> &str;
}

/// One line of the result.
#[derive(Debug, Serialize)]
struct Row {
    workload: &'static str,
    callers: usize,
    ours_per_s: u64,
    floor_per_s: u64,
    ratio: f64,
    p50_us: u64,
    p99_us: u64,
    floor_p50_us: u64,
    floor_p99_us: u64,
    p99_ratio: f64,
    durability: String,
}

/// Runs comparisons and shows a row as soon as it is known.
pub(super) fn run<'a>(
    comparisons: impl IntoIterator<Item = &'a Comparison>,
    ground: &dyn Ground,
    args: &BenchArgs,
    show: &mut Show,
) -> Done<()> {
    for (number, comparison) in comparisons.into_iter().enumerate() {
        if number == 0 && !show.is_json() {
            show.line(&cells([
                "workload",
                "callers",
                "ours/s",
                "floor/s",
                "ratio",
                "p50/p99 us",
                "floor p50/p99 us",
            ]))?;
        }
        let callers = args.callers_or(&[1, 64, 1_024, 10_000]);
        for callers in callers.into_iter().filter(|callers| (1..=comparison.most_callers).contains(callers)) {
            let row = compare(comparison, ground, callers, args)?;
            if show.is_json() {
                show.json(&row)?;
            } else {
                show.line(&in_cells(&row))?;
            }
            show.flush()?;
        }
    }
    Ok(())
}

fn cells(texts: [&str; 7]) -> String {
    let [workload, callers, ours, floor, ratio, latency, floor_latency] = texts;
    format!("{workload:<22}{callers:>8}{ours:>11}{floor:>11}{ratio:>8}{latency:>20}{floor_latency:>20}")
}

fn in_cells(row: &Row) -> String {
    let latency = |p50, p99| format!("{} / {}", grouped(p50), grouped(p99));
    cells([
        row.workload,
        &grouped(row.callers as u64),
        &grouped(row.ours_per_s),
        &grouped(row.floor_per_s),
        &format!("{:.2}", row.ratio),
        &latency(row.p50_us, row.p99_us),
        &latency(row.floor_p50_us, row.floor_p99_us),
    ])
}

fn compare(
    comparison: &Comparison,
    ground: &dyn Ground,
    callers: usize,
    args: &BenchArgs,
) -> millpond::Result<Row> {
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    // In half a second a store is still so small that many streams lie where one does.
    let seconds = args.seconds_or(1.0);
    for round in 0..args.rounds_or(5) {
        let place = |side| ground.place(&format!("{}-{callers}-{round}-{side}", comparison.name));
        let places = [place("floor"), place("ours")];
        let [floors, own] = &places;
        floor.push((comparison.floor)(floors, callers, seconds)?);
        ours.push((comparison.ours)(own, callers, seconds)?);
        places.iter().try_for_each(|place| ground.clear(place))?;
    }
    let middle =
        |of: fn(&Measured) -> f64, runs: &[Measured]| median(runs.iter().map(of).collect()).round() as u64;
    let ratio = |of: fn(&Measured) -> f64| {
        let ratios = ours.iter().zip(&floor).map(|(ours, floor)| of(ours) / of(floor)).collect();
        (median(ratios) * 1_000.0).round() / 1_000.0
    };
    Ok(Row {
        workload: comparison.name,
        callers,
        ours_per_s: middle(|run| run.per_second, &ours),
        floor_per_s: middle(|run| run.per_second, &floor),
        ratio: ratio(|run| run.per_second),
        p50_us: middle(|run| run.p50_us, &ours),
        p99_us: middle(|run| run.p99_us, &ours),
        floor_p50_us: middle(|run| run.p50_us, &floor),
        floor_p99_us: middle(|run| run.p99_us, &floor),
        p99_ratio: ratio(|run| run.p99_us),
        durability: ground.durability().to_owned(),
    })
}

pub(super) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A folder of our own, removed at the end.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn within(parent: &Path) -> std::io::Result<Folder> {
        let path = parent.join(format!("millpond-bench-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Folder(path))
    }
}

impl Ground for Folder {
    fn place(&self, run: &str) -> PathBuf {
        self.0.join(format!("{run}.db"))
    }

    fn clear(&self, place: &Path) -> millpond::Result<()> {
        for suffix in ["", "-wal", "-shm", "-sync"] {
            let _ = fs::remove_file(format!("{}{suffix}", place.display()));
        }
        Ok(())
    }

    fn durability(&self) -> &str {
        "full"
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays in the temporary folder, where it does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}
