//! A blob that is far larger than the memory: does it go in and out with little of it, and is nothing of it left when its writer is
//! killed half way?
//!
//! Promises: B1, B3, B4, B5, B8. One process writes it, out of a seed, and another one reads it and compares each byte. Then some begin
//! to write another one in its place and are killed: the first is still there, and after a sweep no piece of the others is. It is
//! removed, and what is written then takes no more room than there was. The sizes of processes are read from the system.

pub mod child;
mod tape;

use std::path::Path;

use millpond::blocking::Store;
use rusqlite::{Connection, OpenFlags};
use serde::Serialize;

use self::child::{KEY, NAME};
use crate::crew::{Crew, PATIENCE};
use crate::random::Random;
use crate::report::{self, Violations, kinds};
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "blobs-child";

/// So much memory a process may take, whatever the size of the blob, in KiB.
pub const PEAK_KIB: u64 = 64 << 10;

/// What a file may have beside the bytes that were ever kept in it at a time: pages are not quite full.
const SLACK: u64 = 16 << 20;

/// How the evidence is spoilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A process took much memory.
    Greedy,
    /// What was read is not what was written.
    Wrong,
    /// A blob is there whose writer was killed.
    Half,
    /// A piece is left that is nobody's.
    Left,
    /// The file has grown though there was room in it.
    Grown,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 5] = [Mutant::Greedy, Mutant::Wrong, Mutant::Half, Mutant::Left, Mutant::Grown];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Greedy => Broken::Large,
            Mutant::Wrong => Broken::Failed,
            Mutant::Half => Broken::Torn,
            Mutant::Left => Broken::Leaked,
            Mutant::Grown => Broken::Grown,
        }
    }

    fn spoil(self, evidence: &mut Evidence) {
        match self {
            Mutant::Greedy => evidence.peaks.push(("mutant".to_owned(), PEAK_KIB + 1)),
            Mutant::Wrong => evidence.failed.push("read: it is another one from byte 7 on".to_owned()),
            Mutant::Half => evidence.versions.push(2),
            Mutant::Left => evidence.chunks.push((1, 0)),
            Mutant::Grown => evidence.lengths.push((evidence.bound + 1, evidence.bound)),
        }
    }
}

kinds! {
    /// A promise that was broken.
    pub enum Broken {
        /// A process took more memory than it may (B8).
        Large,
        /// Something of a blob is there whose writer was killed (B1, B4).
        Torn,
        /// Pieces are left that are nobody's (B3, B4).
        Leaked,
        /// The file has grown though there was room in it (B3).
        Grown,
        /// A process got an error, or read what was not written (B5).
        Failed,
    }
}

/// How large and how often.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the bytes come from.
    pub seed: u64,
    /// Its size, in MiB.
    pub mib: u64,
    /// How many writers are killed.
    pub kills: u64,
    /// How the evidence is spoilt.
    pub mutant: Option<Mutant>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, mib: 4 << 10, kills: 2, mutant: None }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Its size.
    pub bytes: u64,
    /// How fast it was written and read, in MiB a second, and swept.
    pub written_mib_s: u64,
    /// See there.
    pub read_mib_s: u64,
    /// See there.
    pub swept_mib_s: u64,
    /// The most memory that a writer, a reader and a sweeper took, in KiB.
    pub writer_kib: u64,
    /// See there.
    pub reader_kib: u64,
    /// See there.
    pub sweeper_kib: u64,
    /// Writers killed.
    pub kills: u64,
    /// Pieces that they had written.
    pub killed_chunks: u64,
    /// The file at its largest.
    pub file_bytes: u64,
    /// How long it took.
    pub seconds: u64,
    /// What was broken.
    #[serde(flatten)]
    pub violations: Violations<Broken>,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
struct Evidence {
    /// Who took how much memory, in KiB.
    peaks: Vec<(String, u64)>,
    /// Who got an error.
    failed: Vec<String>,
    /// The version of the blob after each kill.
    versions: Vec<u64>,
    /// Pieces in the file and those that blobs have, after each sweep.
    chunks: Vec<(u64, u64)>,
    /// The file's length, and how long it may be.
    lengths: Vec<(u64, u64)>,
    /// How long it may be at the end.
    bound: u64,
}

impl Evidence {
    fn judge(&self) -> Vec<(Broken, String)> {
        let mut broken = Vec::new();
        let large = self.peaks.iter().filter(|(_, kib)| *kib > PEAK_KIB);
        broken.extend(large.map(|(who, kib)| (Broken::Large, format!("{who} took {kib} KiB"))));
        broken.extend(self.failed.iter().map(|why| (Broken::Failed, why.clone())));
        let torn = self.versions.iter().filter(|version| **version != 1);
        broken.extend(torn.map(|version| (Broken::Torn, format!("after a kill it has version {version}"))));
        let left = self.chunks.iter().filter(|(found, had)| found != had);
        broken.extend(left.map(|(found, had)| {
            (Broken::Leaked, format!("{found} pieces are in the file, and blobs have {had}"))
        }));
        let grown = self.lengths.iter().filter(|(length, bound)| length > bound);
        broken.extend(
            grown.map(|(length, bound)| (Broken::Grown, format!("the file has {length} bytes of {bound}"))),
        );
        broken
    }
}

/// Runs it with children of `program`, which calls [`child::live`].
///
/// # Errors
/// What kept the test itself from being carried out; what the store did wrong is in the report.
pub fn run(program: &Path, settings: &Settings) -> Result<Report> {
    let (start, mut report) = (clock::now(), Report::default());
    let mut evidence = gather(program, settings, &mut report)?;
    if let Some(mutant) = settings.mutant {
        mutant.spoil(&mut evidence);
    }
    report.violations.extend(evidence.judge());
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

/// Which mutants are complained of, of one run.
///
/// # Errors
/// As [`run`].
pub fn noticed(program: &Path, settings: &Settings) -> Result<Vec<Mutant>> {
    let evidence = gather(program, settings, &mut Report::default())?;
    let spoil = |mutant: Mutant, evidence: &mut Evidence| {
        mutant.spoil(evidence);
        Some(())
    };
    Ok(report::noticed(Mutant::ALL, &evidence, spoil, Evidence::judge, Mutant::breaks))
}

/// One store, and who works on it.
struct Stage<'a> {
    crew: Crew,
    file: &'a Path,
    bytes: u64,
    evidence: Evidence,
}

fn gather(program: &Path, settings: &Settings, report: &mut Report) -> Result<Evidence> {
    // Not in memory: it is far too large for that.
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("store.db");
    let (bytes, seed) = (settings.mib << 20, settings.seed);
    let (crew, evidence) = (Crew::new(program, 1), Evidence::default());
    let mut stage = Stage { crew, file: &file, bytes, evidence };
    report.bytes = bytes;
    (report.written_mib_s, report.writer_kib) = stage.child("write", seed)?;
    (report.read_mib_s, report.reader_kib) = stage.child("read", seed)?;
    let mut random = Random::new(seed);
    let mut most = 0;
    for kill in 1..=settings.kills {
        // Somewhere in the middle.
        let at = bytes / 10 * (3 + random.below(5));
        stage.kill(seed + kill, at)?;
        most = most.max(at);
        report.kills += 1;
        let (found, had) = stage.chunks()?;
        report.killed_chunks += found.saturating_sub(had);
        stage.evidence.versions.push(stage.version()?);
        let (_, kib) = stage.child("sweep", seed)?;
        report.sweeper_kib = report.sweeper_kib.max(kib);
        let chunks = stage.chunks()?;
        stage.evidence.chunks.push(chunks);
    }
    stage.child("read", seed)?;
    // Whoever was killed had written a little more than he had said.
    let bound = bytes + most + (bytes + most) / 20 + SLACK;
    stage.evidence.bound = bound;
    let length = file.metadata()?.len();
    stage.evidence.lengths.push((length, bound));
    let (speed, kib) = stage.child("delete", seed)?;
    (report.swept_mib_s, report.sweeper_kib) = (speed, report.sweeper_kib.max(kib));
    let chunks = stage.chunks()?;
    stage.evidence.chunks.push(chunks);
    stage.child("write", seed + 1_000)?;
    stage.child("read", seed + 1_000)?;
    report.file_bytes = file.metadata()?.len();
    stage.evidence.lengths.push((report.file_bytes, length.max(bytes) + SLACK));
    Ok(stage.evidence)
}

impl Stage<'_> {
    fn start(&mut self, role: &str, seed: u64) -> Result<()> {
        let file = self.file.display().to_string();
        let arguments = [CHILD.to_owned(), file, role.to_owned(), seed.to_string(), self.bytes.to_string()];
        self.crew.start(0, &arguments, &[])
    }

    /// One that lives to its end: how fast it was, in MiB a second, and how much memory it took, in KiB.
    fn child(&mut self, role: &str, seed: u64) -> Result<(u64, u64)> {
        self.start(role, seed)?;
        let mut last = None;
        loop {
            match self.crew.hear(20 * PATIENCE).ok_or("a child says nothing")?.1 {
                Some(line) if line.starts_with("at ") => {}
                Some(line) => last = Some(line),
                None => break,
            }
        }
        self.crew.kill(0)?;
        let line = last.unwrap_or_else(|| "died".to_owned());
        let words: Vec<&str> = line.split(' ').collect();
        let ["done", micros, kib] = words.as_slice() else {
            self.evidence.failed.push(format!("{role}: {line}"));
            return Ok((0, 0));
        };
        let kib = kib.parse()?;
        self.evidence.peaks.push((role.to_owned(), kib));
        let micros = micros.parse::<u64>()?.max(1);
        Ok((((self.bytes >> 20) * 1_000_000) / micros, kib))
    }

    /// One that writes and is killed when it has come so far.
    fn kill(&mut self, seed: u64, at: u64) -> Result<()> {
        self.start("write", seed)?;
        loop {
            let line = self.crew.hear(20 * PATIENCE).ok_or("a child says nothing")?.1;
            let line = line.ok_or("a child died by itself")?;
            let written: u64 = line.strip_prefix("at ").ok_or_else(|| line.clone())?.parse()?;
            if written >= at {
                break;
            }
        }
        self.crew.end(0).map(drop)
    }

    /// The version of the blob, 0 if there is none.
    fn version(&self) -> Result<u64> {
        let store = Store::open(self.file)?;
        let blobs = store.blobs(NAME);
        let version = blobs.head(KEY)?.map_or(0, |blob| blob.version());
        let count = blobs.count()?;
        store.close()?;
        Ok(if count == 1 { version } else { 0 })
    }

    /// How many pieces are in the file, and how many of them blobs have.
    fn chunks(&self) -> Result<(u64, u64)> {
        const FOUND: &str = "SELECT count(*) FROM blob_chunk";
        const HAD: &str = "SELECT ifnull(sum((size + chunk - 1) / chunk), 0) FROM blob";
        let file = Connection::open_with_flags(self.file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let number = |sql| file.query_row(sql, [], |row| row.get::<_, i64>(0));
        Ok((number(FOUND)?.unsigned_abs(), number(HAD)?.unsigned_abs()))
    }
}
