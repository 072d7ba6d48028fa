//! `millpond bench`: ours and the bare floor in one run, with the ratio.
//!
//! - `floor` is the floor: bare rusqlite, the same rows, indexes and settings, one thread that takes requests
//!   from a channel, executes prepared statements, commits them together and answers after the commit;
//! - `sides` has both sides of each comparison, [`drive`] has callers call, and measures;
//! - `jobs` and `channels` have the sides of queues and channels, and what has no floor of theirs;
//! - `projections` has a projection that catches up beside the same scan, and how soon it is as far as what is appended;
//! - `reads` has all events read and an aggregate loaded, beside `scan`, a bare scan of the same rows;
//! - `lists` has what a long list costs against a short one;
//! - `figures` is how such figures look;
//! - `locks` has what happens between processes and between those who wait, without a floor but with a bar: how fast a
//!   killed holder's lock is taken over, how fairly processes share the turn, how fast one wakes, how the lock is handed
//!   on; `crew` and `worker` are its processes;
//! - `compare` has ours and the floor run in turn, and shows their row;
//! - `postgres` has both sides on a server, where `--store` is the URL of one;
//! - this file says what is run against what.
//!
//! Rounds of the two alternate, and a row's ratio is the median of its rounds' ratios: what else the machine
//! does at the time then hits both.

mod channels;
mod compare;
mod crew;
mod drive;
mod figures;
mod floor;
mod jobs;
mod lists;
mod locks;
#[cfg(feature = "postgres")]
mod postgres;
mod projections;
mod reads;
mod scan;
mod sides;
mod worker;

use std::path::{Path, PathBuf};

use clap::Args;

use self::compare::{Comparison, Folder};
use self::figures::Figures;
pub(crate) use self::worker::work;
use crate::failure::Done;
#[cfg(not(feature = "postgres"))]
use crate::failure::code;
use crate::is_address;
use crate::show::Show;

/// What `bench` is asked for.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// append (also with threads that wait, and on ONE aggregate), lock, push (also with threads that wait), work (push,
    /// claim and done) and publish, if none is named; takeover (of a killed holder's lock), greedy (processes that all want
    /// to write), wake (of another process), handoff (to who waits), pop and receive (how soon what was pushed or published
    /// is there), backlog (claims before many jobs), drain (empty jobs), subscribers (very many of one channel), read (all
    /// events), load (an aggregate of many events) and catch-up (a projection that does nothing with many events, and how
    /// soon it has come as far as what is appended), all beside a bare scan, and list (a long one against a short one)
    #[arg(value_enum)]
    workloads: Vec<Workload>,
    /// How many callers, processes or waiters at once, one run each
    #[arg(long, value_delimiter = ',', value_name = "N,N")]
    callers: Option<Vec<usize>>,
    /// Seconds of one run; of one side, 1 unless given; greedy 10, wake 30 of waiting, handoff 2
    #[arg(long, value_name = "N")]
    seconds: Option<f64>,
    /// Runs of each side, alternating, 5 unless given; takeover 50, wake 300
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Where to put the files; the file system counts. If --store is the URL of a PostgreSQL database, append is run there and in
    /// schemas of its own, and there are no files
    #[arg(long, value_name = "PATH")]
    folder: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Workload {
    Append,
    Lock,
    Push,
    Work,
    Publish,
    Takeover,
    Greedy,
    Wake,
    Handoff,
    Pop,
    Receive,
    Backlog,
    Drain,
    Subscribers,
    Read,
    Load,
    CatchUp,
    List,
}

impl BenchArgs {
    fn callers_or(&self, usual: &[usize]) -> Vec<usize> {
        self.callers.clone().unwrap_or_else(|| usual.to_vec())
    }

    fn seconds_or(&self, usual: f64) -> f64 {
        self.seconds.unwrap_or(usual)
    }

    fn rounds_or(&self, usual: usize) -> usize {
        self.rounds.unwrap_or(usual).max(1)
    }
}

const APPEND: [Comparison; 3] = [
    Comparison { name: "append", ours: sides::append, floor: sides::floor_append, most_callers: usize::MAX },
    // A thread a caller: more than some dozens measure the machine's scheduler.
    Comparison {
        name: "append_blocking",
        ours: sides::append_blocking,
        floor: sides::floor_append_blocking,
        most_callers: 64,
    },
    // Many callers of ONE aggregate, against as many callers of as many streams of the floor.
    Comparison {
        name: "append_one_aggregate",
        ours: sides::one_aggregate,
        floor: sides::floor_append,
        most_callers: 1_024,
    },
];

/// A cycle of the floor is two of its commits: one takes, one releases.
const LOCK: [Comparison; 1] =
    [Comparison { name: "lock", ours: sides::lock, floor: sides::floor_lock, most_callers: usize::MAX }];

const PUSH: [Comparison; 2] = [
    Comparison { name: "push", ours: jobs::push, floor: jobs::floor_push, most_callers: usize::MAX },
    Comparison {
        name: "push_blocking",
        ours: jobs::push_blocking,
        floor: jobs::floor_push_blocking,
        most_callers: 64,
    },
];

/// A cycle of the floor is three of its commits: push, claim, done.
const WORK: [Comparison; 1] =
    [Comparison { name: "work", ours: jobs::work, floor: jobs::floor_work, most_callers: 1_024 }];

const PUBLISH: [Comparison; 1] = [Comparison {
    name: "publish",
    ours: channels::publish,
    floor: channels::floor_publish,
    most_callers: usize::MAX,
}];

/// Runs what was asked for and shows a row as soon as it is known. Of a store only that it lies on a server is of interest.
pub(crate) fn run(args: &BenchArgs, store: &Path, show: &mut Show) -> Done<u8> {
    if is_address(store) {
        return run_on_server(args, store, show);
    }
    let folder = Folder::within(args.folder.as_deref().unwrap_or(&std::env::temp_dir()))?;
    let named = |workload| args.workloads.contains(&workload);
    let all: [(Workload, &[Comparison]); 5] = [
        (Workload::Append, &APPEND),
        (Workload::Lock, &LOCK),
        (Workload::Push, &PUSH),
        (Workload::Work, &WORK),
        (Workload::Publish, &PUBLISH),
    ];
    let wanted = all.into_iter().filter(|(workload, _)| args.workloads.is_empty() || named(*workload));
    compare::run(wanted.flat_map(|(_, comparisons)| comparisons), &folder, args, show)?;
    let file = |name: &str| folder.0.join(format!("{name}.db"));
    if named(Workload::Takeover) {
        print(&locks::takeover(&file("takeover"), args.rounds_or(50))?, show)?;
    }
    if named(Workload::Greedy) {
        for processes in args.callers_or(&[2, 4, 8]) {
            let file = file(&format!("greedy-{processes}"));
            print(&locks::greedy(&file, processes, args.seconds_or(10.0))?, show)?;
        }
    }
    if named(Workload::Wake) {
        print(&locks::wake(&file("wake"), args.rounds_or(300))?, show)?;
        print(&locks::idle(&file("idle"), args.seconds_or(30.0))?, show)?;
    }
    if named(Workload::Handoff) {
        let mut flat = None;
        for waiters in args.callers_or(&[2, 100, 1_000, 10_000]) {
            let file = file(&format!("handoff-{waiters}"));
            print(&locks::handoff(&file, waiters, args.seconds_or(2.0), &mut flat)?, show)?;
        }
    }
    if named(Workload::Pop) {
        print(&jobs::wake(&folder.0, args.rounds_or(500))?, show)?;
    }
    if named(Workload::Receive) {
        print(&channels::wake(&folder.0, args.rounds_or(500))?, show)?;
    }
    if named(Workload::Backlog) {
        for jobs in args.callers_or(&[100_000, 1_000_000]) {
            print(&jobs::backlog(&folder.0, jobs as u64, args.rounds_or(500))?, show)?;
        }
    }
    if named(Workload::Drain) {
        for workers in args.callers_or(&[64]) {
            print(&jobs::drain(&file("drain"), workers, 20_000)?, show)?;
        }
    }
    if named(Workload::Subscribers) {
        for subscribers in args.callers_or(&[100, 1_000, 10_000]) {
            let file = file(&format!("subscribers-{subscribers}"));
            print(&channels::subscribers(&file, subscribers, args.rounds_or(20))?, show)?;
        }
    }
    if named(Workload::Read) {
        for events in args.callers_or(&[100_000]) {
            print(&reads::read_all(&file("read"), events as u64, args.rounds_or(5))?, show)?;
        }
    }
    if named(Workload::Load) {
        for events in args.callers_or(&[10_000]) {
            let figures = reads::load(&file("load"), events as u64, args.rounds_or(5))?;
            figures.iter().try_for_each(|figures| print(figures, show))?;
        }
    }
    if named(Workload::CatchUp) {
        for events in args.callers_or(&[100_000]) {
            let file = file(&format!("catch-up-{events}"));
            print(&projections::catch_up(&file, events as u64, args.rounds_or(5))?, show)?;
        }
        print(&projections::wake(&folder.0, args.rounds_or(500))?, show)?;
    }
    if named(Workload::List) {
        for items in args.callers_or(&[1_000_000]) {
            let figures = lists::sizes(&folder.0, items as u64, args.rounds_or(2_000))?;
            figures.iter().try_for_each(|figures| print(figures, show))?;
        }
        print(&lists::one_place(&file("one-place"), 100_000)?, show)?;
    }
    Ok(0)
}

#[cfg(feature = "postgres")]
fn run_on_server(args: &BenchArgs, store: &Path, show: &mut Show) -> Done<u8> {
    postgres::run(args, &store.to_string_lossy(), show)
}

/// The library says why it is not to be.
#[cfg(not(feature = "postgres"))]
fn run_on_server(_: &BenchArgs, store: &Path, _: &mut Show) -> Done<u8> {
    Ok(millpond::blocking::Store::open(store).and_then(|store| store.close()).map(|()| code::DONE)?)
}

fn print(figures: &Figures, show: &mut Show) -> Done<()> {
    if show.is_json() {
        show.json(figures)?;
    } else {
        show.line(&figures.in_words())?;
    }
    Ok(show.flush()?)
}
