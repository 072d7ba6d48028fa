//! Inputs from a corpus, changed at random from a seed; what each costs; what was found.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use peak_alloc::PeakAlloc;
use torture::random::Random;
use torture::{Result, clock};

use crate::Target;

/// An input that takes longer hangs.
const HANG: Duration = Duration::from_secs(1);

/// Memory that an input may need, in bytes: as much as the largest snapshot, and something for the rest.
const MEMORY: usize = 65 << 20;

/// Longest input, in bytes.
const LONGEST: usize = 4_096;

/// How long and from where.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is fed.
    pub target: Target,
    /// Where chance comes from.
    pub seed: u64,
    /// Inputs.
    pub runs: u64,
    /// An end in time as well, whichever comes first.
    pub seconds: Option<u64>,
    /// Whether a slow input is a violation; not in a test, which asserts nothing about the clock.
    pub timed: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// Inputs, and of them those of the corpus.
    pub runs: (u64, u64),
    /// Inputs that took longer than a second.
    pub hangs: u64,
    /// The longest, in microseconds.
    pub longest_us: u128,
    /// The most memory that one needed, in bytes.
    pub memory: usize,
    /// How long it took.
    pub seconds: u64,
    /// What was found, with the input.
    pub violations: Vec<String>,
}

impl Report {
    /// One line of figures.
    #[must_use]
    pub fn json(&self, settings: &Settings) -> serde_json::Value {
        serde_json::json!({
            "name": "fuzz", "target": settings.target.name(), "seed": settings.seed, "runs": self.runs.0,
            "corpus": self.runs.1, "hangs": self.hangs, "longest_us": self.longest_us,
            "memory_bytes": self.memory, "seconds": self.seconds, "violations": self.violations,
        })
    }
}

/// The inputs that are kept for a target, by the names of their files.
///
/// # Errors
/// If they cannot be read.
pub fn corpus(target: Target) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name());
    let mut inputs = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        inputs.push((path.clone(), std::fs::read(path)?));
    }
    inputs.sort();
    Ok(inputs)
}

/// Feeds the corpus, and then what chance makes of it, until something is found.
///
/// # Errors
/// If the corpus cannot be read, or memory is not measured in this program.
pub fn run(settings: &Settings, corpus: &[Vec<u8>]) -> Result<Report> {
    if PeakAlloc.peak_usage() == 0 {
        return Err("this program does not measure its memory".into());
    }
    let start = clock::now();
    let in_time = || settings.seconds.is_none_or(|limit| start.elapsed().as_secs() < limit);
    let (mut random, mut report) = (Random::new(settings.seed), Report::default());
    for input in corpus {
        feed(settings, input, &mut report);
        report.runs.1 += 1;
    }
    while report.runs.0 < settings.runs && in_time() && report.violations.is_empty() {
        let input = draw(corpus, &mut random);
        feed(settings, &input, &mut report);
    }
    crate::store::close();
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

fn feed(settings: &Settings, input: &[u8], report: &mut Report) {
    PeakAlloc.reset_peak_usage();
    let (before, began) = (PeakAlloc.current_usage(), clock::now());
    let end = catch_unwind(AssertUnwindSafe(|| settings.target.run(input)));
    let took = began.elapsed();
    // What a panic says of its backtrace is not the target's memory; that it panicked is found anyway.
    let memory = if end.is_ok() { PeakAlloc.peak_usage().saturating_sub(before) } else { 0 };
    report.runs.0 += 1;
    report.longest_us = report.longest_us.max(took.as_micros());
    report.memory = report.memory.max(memory);
    report.hangs += u64::from(took > HANG);
    let mut found = |what: String| report.violations.push(format!("{what}, by {}", hex(input)));
    if let Err(panic) = end {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        found(format!("panic: {}", words.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?")));
    }
    if memory > MEMORY {
        found(format!("{memory} bytes of memory"));
    }
    if settings.timed && took > HANG {
        found(format!("it took {took:?}"));
    }
}

fn hex(input: &[u8]) -> String {
    input.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An input of the corpus, or a new one, with a few changes.
fn draw(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let any = |random: &mut Random| {
        corpus.get(random.below(corpus.len() as u64) as usize).cloned().unwrap_or_default()
    };
    let mut input = match random.below(8) {
        0 => (0..random.below(512)).map(|_| random.below(256) as u8).collect(),
        _ => any(random),
    };
    for _ in 0..=random.below(6) {
        let at = random.below(input.len() as u64 + 1) as usize;
        let to = (at + random.below(17) as usize).min(input.len());
        match random.below(7) {
            0 => input.insert(at, random.below(256) as u8),
            1 => drop(input.drain(at..to)),
            2 => {
                let again = input.get(at..to).map(<[u8]>::to_vec).unwrap_or_default();
                input.splice(at..at, again);
            }
            3 => {
                let other = any(random);
                let from = random.below(other.len() as u64 + 1) as usize;
                input.truncate(at);
                input.extend(other.into_iter().skip(from));
            }
            4 => {
                let odd: &[u8] = match random.below(4) {
                    0 => &[0xff; 9],
                    1 => &[0; 8],
                    2 => b"[[[[[[[[",
                    _ => "\u{202e}\"\\\n".as_bytes(),
                };
                input.splice(at..at, odd.iter().copied());
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    input.truncate(LONGEST);
    input
}

/// The target that is not: it does what its first byte says, so that it is seen that the driver notices.
#[allow(clippy::panic, reason = "that is what it is for")]
pub(crate) fn misbehave(bytes: &[u8]) {
    match bytes.first() {
        Some(b'p') => panic!("as it was told"),
        Some(b'm') => drop(std::hint::black_box(vec![1_u8; MEMORY + 1])),
        Some(b's') => clock::pause(HANG.as_micros() as u64 + 1_000),
        _ => {}
    }
}
