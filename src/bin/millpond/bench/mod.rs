//! `millpond bench`: ours and the bare floor in one run, with the ratio.
//!
//! - [`floor`] is the floor: bare rusqlite, the same rows, indexes and settings, one thread that takes requests
//!   from a channel, executes prepared statements, commits them together and answers after the commit;
//! - [`drive`] has callers call, and measures;
//! - this file says what is run against what, and prints it.
//!
//! Rounds of the two alternate, and a row's ratio is the median of its rounds' ratios: what else the machine
//! does at the time then hits both.

mod drive;
mod floor;

use std::io::Write;
use std::path::Path;

use clap::Args;
use millpond::blocking::Store as BlockingStore;
use millpond::{Aggregate, Decision, Event, Expected, Store};
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::drive::{Measured, block_on, drive, drive_threads};
use self::floor::Floor;

/// What `bench` is asked for.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// What to measure: append (with its blocking form, and on one aggregate), lock; all if none is named
    #[arg(value_enum)]
    workloads: Vec<Workload>,
    /// How many callers at once, one run each
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 1_024, 10_000])]
    callers: Vec<usize>,
    /// Seconds of one run of one side
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// Runs of each side, alternating
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Where to put the files; the file system counts
    #[arg(long)]
    folder: Option<std::path::PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Workload {
    Append,
    Lock,
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
    rounds: usize,
    durability: &'static str,
}

/// One side of a comparison: runs for a while with so many callers on a fresh file.
type Side = fn(&Path, usize, f64) -> millpond::Result<Measured>;

/// What is compared, with the numbers of callers that make sense for it.
struct Comparison {
    name: &'static str,
    ours: Side,
    floor: Side,
    most_callers: usize,
}

const APPEND: [Comparison; 3] = [
    Comparison { name: "append", ours: append, floor: floor_append, most_callers: usize::MAX },
    // A thread a caller: more than some hundreds measure the machine's scheduler.
    Comparison {
        name: "append_blocking",
        ours: append_blocking,
        floor: floor_append_blocking,
        most_callers: 64,
    },
    // Many callers of ONE aggregate, against as many callers of as many streams of the floor.
    Comparison {
        name: "append_one_aggregate",
        ours: one_aggregate,
        floor: floor_append,
        most_callers: 1_024,
    },
];

const LOCK: [Comparison; 1] =
    [Comparison { name: "lock", ours: lock, floor: floor_lock, most_callers: usize::MAX }];

/// Runs what was asked for and prints a row as soon as it is known.
pub(crate) fn run(
    args: &BenchArgs,
    as_json: bool,
    out: &mut dyn Write,
) -> Result<(), Box<dyn std::error::Error>> {
    let folder = match &args.folder {
        Some(folder) => tempfile_in(folder)?,
        None => tempfile_in(&std::env::temp_dir())?,
    };
    if !as_json {
        writeln!(
            out,
            "{:<22}{:>8}{:>12}{:>12}{:>8}{:>22}{:>22}",
            "workload", "callers", "ours/s", "floor/s", "ratio", "p50/p99 us", "floor p50/p99 us"
        )?;
    }
    let wants = |workload| args.workloads.is_empty() || args.workloads.contains(&workload);
    let chosen = APPEND
        .iter()
        .filter(|_| wants(Workload::Append))
        .chain(LOCK.iter().filter(|_| wants(Workload::Lock)));
    for comparison in chosen {
        for callers in
            args.callers.iter().copied().filter(|callers| (1..=comparison.most_callers).contains(callers))
        {
            let row = compare(comparison, folder.path(), callers, args)?;
            if as_json {
                writeln!(out, "{}", serde_json::to_string(&row)?)?;
            } else {
                let ours = format!("{} / {}", row.p50_us, row.p99_us);
                let floor = format!("{} / {}", row.floor_p50_us, row.floor_p99_us);
                let Row { workload, ours_per_s, floor_per_s, ratio, .. } = row;
                writeln!(
                    out,
                    "{workload:<22}{callers:>8}{ours_per_s:>12}{floor_per_s:>12}{ratio:>8.2}{ours:>22}{floor:>22}"
                )?;
            }
            out.flush()?;
        }
    }
    Ok(())
}

/// A folder of our own, removed at the end.
fn tempfile_in(parent: &Path) -> std::io::Result<Folder> {
    let path = parent.join(format!("millpond-bench-{}", std::process::id()));
    std::fs::create_dir_all(&path)?;
    Ok(Folder(path))
}

struct Folder(std::path::PathBuf);

impl Folder {
    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays in the temporary folder, where it does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn compare(
    comparison: &Comparison,
    folder: &Path,
    callers: usize,
    args: &BenchArgs,
) -> millpond::Result<Row> {
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for round in 0..args.rounds.max(1) {
        let file = |side: &str| folder.join(format!("{}-{callers}-{round}-{side}.db", comparison.name));
        floor.push((comparison.floor)(&file("floor"), callers, args.seconds)?);
        ours.push((comparison.ours)(&file("ours"), callers, args.seconds)?);
        for side in ["floor", "ours"] {
            for suffix in ["", "-wal", "-shm", "-sync"] {
                let _ = std::fs::remove_file(format!("{}{suffix}", file(side).display()));
            }
        }
    }
    let each = |of: fn(&Measured) -> f64, runs: &[Measured]| median(runs.iter().map(of).collect());
    let ratios =
        |of: fn(&Measured) -> f64| median(ours.iter().zip(&floor).map(|(a, b)| of(a) / of(b)).collect());
    let rate: fn(&Measured) -> f64 = |run| run.per_second;
    let (p50, p99): (fn(&Measured) -> f64, fn(&Measured) -> f64) = (|run| run.p50_us, |run| run.p99_us);
    let whole = |figure: f64| figure.round() as u64;
    Ok(Row {
        workload: comparison.name,
        callers,
        ours_per_s: whole(each(rate, &ours)),
        floor_per_s: whole(each(rate, &floor)),
        ratio: (ratios(rate) * 1_000.0).round() / 1_000.0,
        p50_us: whole(each(p50, &ours)),
        p99_us: whole(each(p99, &ours)),
        floor_p50_us: whole(each(p50, &floor)),
        floor_p99_us: whole(each(p99, &floor)),
        p99_ratio: (ratios(p99) * 1_000.0).round() / 1_000.0,
        rounds: args.rounds.max(1),
        durability: "full",
    })
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The event that every append carries: 136 bytes of JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Placed {
    order: u64,
    customer: String,
    sku: String,
    quantity: u32,
    cents: u64,
    note: String,
}

fn placed(order: u64) -> Placed {
    Placed {
        order,
        customer: "customer-0017".into(),
        sku: "sku-4711-blue".into(),
        quantity: 3,
        cents: 129_900 + order % 100,
        note: "please leave it at the back door, ring".into(),
    }
}

const METADATA: &str = "{\"user\":\"u-123\"}";

fn event(order: u64) -> millpond::Result<Event> {
    Ok(Event::new("Placed", &placed(order))?.metadata(METADATA))
}

fn append(file: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    block_on(async {
        let store = Store::open(file).await?;
        let events = store.events();
        let callers = (0..callers).map(|caller| {
            let (events, stream) = (events.clone(), format!("order-{caller}"));
            let mut version = 0;
            async move || {
                let appended = events.append(&stream, Expected::Version(version), [event(version)?]).await?;
                version = appended.version;
                Ok(())
            }
        });
        let measured = drive(callers.collect(), seconds).await?;
        store.close().await?;
        Ok(measured)
    })
}

fn floor_append(file: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    block_on(async {
        let floor = Floor::open(file)?;
        let callers = (0..callers).map(|caller| {
            let mut stream = floor.stream(format!("order-{caller}"));
            async move || stream.append(&placed(stream.version())).await
        });
        drive(callers.collect(), seconds).await
    })
}

fn append_blocking(file: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    let store = BlockingStore::open(file)?;
    let events = store.events();
    let callers = (0..callers).map(|caller| {
        let (events, stream) = (events.clone(), format!("order-{caller}"));
        let mut version = 0;
        move || {
            version = events.append(&stream, Expected::Version(version), [event(version)?])?.version;
            Ok(())
        }
    });
    let measured = drive_threads(callers.collect(), seconds)?;
    store.close()?;
    Ok(measured)
}

fn floor_append_blocking(file: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    let floor = Floor::open(file)?;
    let callers = (0..callers).map(|caller| {
        let mut stream = floor.stream(format!("order-{caller}"));
        move || stream.append_blocking(&placed(stream.version()))
    });
    drive_threads(callers.collect(), seconds)
}

/// An aggregate whose every command leads to one event of the same size as the floor's.
#[derive(Debug, Default)]
struct Orders {
    placed: u64,
}

#[derive(Debug, Serialize, Deserialize)]
enum OrderEvent {
    Placed(Placed),
}

impl Aggregate for Orders {
    const KIND: &'static str = "orders";
    type Command = ();
    type Event = OrderEvent;
    type Rejection = std::convert::Infallible;

    fn decide(&self, (): &()) -> Result<Decision<Orders>, Self::Rejection> {
        Ok([OrderEvent::Placed(placed(self.placed))].into())
    }

    fn evolve(&mut self, _: &OrderEvent) {
        self.placed += 1;
    }
}

fn one_aggregate(file: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    block_on(async {
        let store = Store::open(file).await?;
        let orders = store.aggregate::<Orders>("all");
        let callers = (0..callers).map(|_| {
            let orders = orders.clone();
            async move || match orders.execute(()).await {
                Ok(_) => Ok(()),
                Err(millpond::CommandError::Failed(error)) => Err(error),
                Err(_) => unreachable!("no command is rejected"),
            }
        });
        let measured = drive(callers.collect(), seconds).await?;
        store.close().await?;
        Ok(measured)
    })
}

fn lock(file: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    block_on(async {
        let store = Store::open(file).await?;
        let callers = (0..callers).map(|caller| {
            let lock = store.lock(format!("lock-{caller}"));
            async move || lock.acquire().await?.release().await
        });
        let measured = drive(callers.collect(), seconds).await?;
        store.close().await?;
        Ok(measured)
    })
}

/// Two commits of the floor: one takes, one releases.
fn floor_lock(file: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    block_on(async {
        let floor = Floor::open(file)?;
        let callers = (0..callers).map(|caller| {
            let mut lock = floor.lock(format!("lock-{caller}"));
            async move || lock.cycle().await
        });
        drive(callers.collect(), seconds).await
    })
}

/// The machine and settings that figures belong to.
pub(crate) fn machine() -> serde_json::Value {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    json!({ "cpus": cpus, "durability": "full", "sqlite": rusqlite::version() })
}
