//! A store's life on a disk that keeps a journal.

use std::path::Path;

use futures_executor::block_on;
use millpond::{Durability, Store};

use super::{Mutant, Settings};
use crate::Result;
use crate::kill::Found;
use crate::look::look;
use crate::random::Random;
use crate::vfs::{Disk, Entry};
use crate::workload::{Told, Word, Workload};

/// Pages in the log at which it is moved into the main file: a few groups.
const CHECKPOINT_PAGES: u32 = 24;

/// What happened, and what was said.
#[derive(Debug)]
pub(super) struct Recording {
    /// Calls to the files, and marks with the number of words that had been said.
    pub(super) journal: Vec<Entry>,
    pub(super) words: Vec<Word>,
    /// What there was at the end, in the order of the commits.
    pub(super) found: Vec<Found>,
    /// The sidecar, which no power cut changes: it carries nothing that matters.
    pub(super) sidecar: Vec<u8>,
    /// Operations and groups.
    pub(super) operations: (u64, u64),
}

impl Recording {
    /// Events that were acknowledged.
    pub(super) fn acked(&self) -> u64 {
        self.words.iter().filter(|word| matches!(word, Word::Acked(_))).count() as u64
    }
}

/// Makes a store, uses it, closes it, and looks at what is in it.
pub(super) fn record(settings: &Settings, seed: u64) -> Result<Recording> {
    let folder = folder()?;
    let file = folder.path().join("power.db");
    let disk = Disk::watch(&file)?;
    let told = Told::new(disk.clone());
    let mut born = 0;
    let operations = live(settings, seed, &file, &told, || born = disk.recorded())?;
    let mut journal = disk.take_journal();
    disk.forget();
    let sidecar = std::fs::read(folder.path().join("power.db-sync"))?;
    if let Some(mutant) = settings.mutant {
        mutant.spoil_journal(&mut journal, born);
    }
    let seen = look(&file, false);
    let words = told.so_far();
    let failed = words.iter().find(|word| !matches!(word, Word::Acked(_) | Word::Granted(_)));
    match (seen.violations.first(), seen.accuse(&words).first(), failed) {
        (None, None, None) => Ok(Recording { journal, words, found: seen.found, sidecar, operations }),
        found => Err(format!("without any power cut: {found:?}").into()),
    }
}

/// In memory, if there is such a place: nothing that is written here has to last.
pub(crate) fn folder() -> Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    Ok(made?)
}

fn live(
    settings: &Settings,
    seed: u64,
    file: &Path,
    told: &Told,
    born: impl FnOnce(),
) -> Result<(u64, u64)> {
    let durability = match settings.mutant {
        Some(Mutant::Unsynced) => Durability::ProcessCrash,
        _ => Durability::PowerLoss,
    };
    let builder = || {
        let builder = Store::builder().readers(1).checkpoint_pages(CHECKPOINT_PAGES).durability(durability);
        block_on(builder.open(file))
    };
    let (mut random, mut workload) = (Random::new(seed), Workload::new(told, seed));
    let mut operations = (0, 0);
    let mut store = builder()?;
    born();
    for _ in 0..settings.rounds {
        workload.round(&store);
        match random.below(12) {
            // Another connection moves the log, in a way in which Millpond's own does not.
            0 => foreign_checkpoint(file, random.below(3))?,
            1 => {
                count(&store, &mut operations);
                block_on(store.close())?;
                store = builder()?;
            }
            _ => {}
        }
    }
    count(&store, &mut operations);
    block_on(store.close())?;
    Ok(operations)
}

fn count(store: &Store, operations: &mut (u64, u64)) {
    let figures = store.health().figures;
    operations.0 += figures.operations;
    operations.1 += figures.groups;
}

fn foreign_checkpoint(file: &Path, mode: u64) -> Result<()> {
    let mode = ["FULL", "RESTART", "TRUNCATE"].get(mode as usize).copied().unwrap_or("PASSIVE");
    let connection = rusqlite::Connection::open(file)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    // As durable as the store itself; whether it came to its end does not matter.
    connection.execute_batch("PRAGMA synchronous = FULL")?;
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))?;
    Ok(())
}
