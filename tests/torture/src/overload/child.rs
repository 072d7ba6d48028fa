//! The process that is overloaded: its memory is its own, so that it can be measured.

use std::path::Path;
use std::task::Waker;
use std::time::Duration;

use futures_executor::block_on;
use millpond::{Error, Store};

use super::{CALLERS, INSIDE, Mutant, PAD, Report};
use crate::callers::{Patient, drive};
use crate::look::look;
use crate::random::Random;
use crate::report::{Broken, Violation};
use crate::sidecar::Turn;
use crate::vfs::Disk;
use crate::workload::told::{deny, forget};
use crate::workload::{Told, Word, Workload};
use crate::{Result, clock};

/// What a call may take.
const TIMEOUT: Duration = Duration::from_millis(300);

/// No wave takes this long; it only turns a hang into a violation.
const PATIENCE: Duration = Duration::from_secs(60);

/// Appends of one caller before and after, whose times are compared.
const SINGLES: usize = 9;

/// Most waves until everybody has been served.
const RETURNS: u64 = 50;

/// Opens a store in `file`, offers it much more than it can take, and says how that went.
///
/// # Errors
/// What kept it from doing so.
pub fn live(file: &Path, seed: u64, waves: u64, mutant: Option<Mutant>) -> Result<()> {
    let disk = Disk::watch(file)?;
    disk.record(false);
    let told = Told::new(disk.clone());
    let inside = if mutant == Some(Mutant::Ungated) { 1 << 20 } else { INSIDE };
    let store = block_on(Store::builder().requests(inside).call_timeout(TIMEOUT).open(file))?;
    let mut load = Load {
        store: &store,
        told: &told,
        workload: Workload::new(&told, seed).padded(PAD),
        random: Random::new(seed),
        report: Report::default(),
        violations: Vec::new(),
    };
    load.report.before_us = load.singles();
    load.report.base_kib = peak_kib()?;
    // Nobody writes from here on.
    let turn = Turn::of(file)?;
    if mutant != Some(Mutant::Idle) {
        turn.take()?;
    }
    for _ in 0..waves {
        load.wave(true);
    }
    load.wave(false);
    load.report.peak_kib = peak_kib()?;
    if mutant != Some(Mutant::Stuck) {
        turn.leave()?;
    }
    load.serve_all(if mutant == Some(Mutant::Stuck) { 1 } else { RETURNS });
    load.report.after_us = load.singles();
    let Load { mut report, mut violations, .. } = load;
    drop(turn);
    block_on(store.close())?;
    disk.forget();
    violations.extend(judge(file, told.so_far(), mutant, &mut report));
    println!("{}", serde_json::to_string(&(report, violations))?);
    Ok(())
}

struct Load<'a> {
    store: &'a Store,
    told: &'a Told,
    workload: Workload<'a>,
    random: Random,
    report: Report,
    violations: Vec<Violation>,
}

impl Load<'_> {
    /// Ten times as many callers as are let in. With `gone` they go away soon after they have asked.
    fn wave(&mut self, gone: bool) {
        let callers = self.workload.appends(self.store, CALLERS);
        let random = &mut self.random;
        let patient = |caller| Patient { caller, looks: gone.then(|| 1 + random.below(4)) };
        let patients: Vec<Patient<'_>> = callers.into_iter().map(patient).collect();
        let ended = drive(patients, &mut self.random, PATIENCE, Waker::noop(), drop);
        self.report.callers += CALLERS;
        self.report.cancelled += ended.dropped;
        if !ended.unanswered.is_empty() {
            self.violations.push((Broken::Unanswered, format!("{ended:?}")));
        }
        self.report.most_inside = self.report.most_inside.max(self.store.health().calls as u64);
    }

    /// Everybody comes again until a whole wave was served.
    fn serve_all(&mut self, most: u64) {
        for _ in 0..most {
            let before = self.told.so_far().len();
            self.wave(false);
            if self.told.so_far().iter().skip(before).all(|word| matches!(word, Word::Acked(_))) {
                return;
            }
            self.report.returns += 1;
        }
        let last = self.told.so_far().pop();
        self.violations.push((Broken::Wedged, format!("after {most} waves without a load: {last:?}")));
    }

    /// The middle of what an append of a single caller takes, in microseconds.
    fn singles(&mut self) -> u64 {
        let mut took = Vec::new();
        for _ in 0..SINGLES {
            let start = clock::now();
            self.workload.group(self.store, 1);
            took.push(start.elapsed().as_micros() as u64);
            if let Some(word) = self.told.so_far().last().filter(|word| !matches!(word, Word::Acked(_))) {
                self.violations.push((Broken::Wedged, format!("a single caller without a load: {word:?}")));
                break;
            }
        }
        took.sort_unstable();
        took.get(took.len() / 2).copied().unwrap_or(0)
    }
}

fn judge(file: &Path, mut words: Vec<Word>, mutant: Option<Mutant>, report: &mut Report) -> Vec<Violation> {
    for word in &words {
        match word {
            Word::Acked(_) => report.acked += 1,
            Word::Refused(_, Error::Overloaded { .. }) => report.overloaded += 1,
            Word::Refused(_, Error::Busy { .. }) => report.busy += 1,
            _ => {}
        }
    }
    let other = |word: &&Word| match word {
        Word::Refused(_, error) => !matches!(error, Error::Overloaded { .. } | Error::Busy { .. }),
        Word::Unknown(..) | Word::Failed(_) => true,
        Word::Acked(_) | Word::Settled(..) | Word::Granted(_) | Word::Saw(_) => false,
    };
    let failed = words.iter().filter(other).map(|word| (Broken::Failed, format!("{word:?}")));
    let mut violations: Vec<Violation> = failed.collect();
    if report.overloaded == 0 {
        violations.push((Broken::Hidden, "nobody heard that it is overloaded".into()));
    }
    match mutant {
        Some(Mutant::Sure) => deny(&mut words, &Error::Closed),
        Some(Mutant::Forgetful) => forget(&mut words, usize::MAX),
        Some(Mutant::Ungated | Mutant::Idle | Mutant::Stuck) | None => {}
    }
    let mut seen = look(file, true);
    violations.append(&mut seen.violations);
    violations.extend(seen.accuse(&words));
    violations
}

/// The most memory that this process ever had at once.
fn peak_kib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.split_whitespace().next().ok_or("no number")?.parse()?)
}
