//! A store's life on a disk that keeps a journal, and on which a sync may fail.

use std::path::Path;

use futures_executor::block_on;
use millpond::{Durability, Store};

use crate::look::{Seen, look};
use crate::random::Random;
use crate::vfs::{Disk, Entry, Fault};
use crate::workload::{Told, Word, Workload};
use crate::{Result, clock};

/// Pages in the log at which it is moved into the main file: a few groups.
pub const CHECKPOINT_PAGES: u32 = 24;

/// How a store is used.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    /// Where everything comes from.
    pub seed: u64,
    /// Rounds of callers.
    pub rounds: u64,
    /// What its commits survive.
    pub durability: Durability,
    /// What fails meanwhile.
    pub fault: Option<Fault>,
    /// The process ends, as if it were killed, in the round in which something fails; the next one finds a disk that
    /// works.
    pub dies: bool,
    /// Readers in each round.
    pub readers: u64,
    /// The next process is told that everything it can read is on disk.
    pub boasts: bool,
}

/// What happened, and what was said.
#[derive(Debug)]
pub struct Recording {
    /// Calls to the files, and marks with the number of words that had been said.
    pub journal: Vec<Entry>,
    /// How many of them it took to make the store.
    pub born: usize,
    /// What callers were told.
    pub words: Vec<Word>,
    /// What there was at the end.
    pub seen: Seen,
    /// The sidecar, which no power cut changes: it carries nothing that matters.
    pub sidecar: Vec<u8>,
    /// Operations and groups.
    pub operations: (u64, u64),
    /// Calls that failed.
    pub fired: u64,
}

impl Recording {
    /// Words of a sort.
    #[must_use]
    pub fn count(&self, which: impl Fn(&Word) -> bool) -> u64 {
        self.words.iter().filter(|word| which(word)).count() as u64
    }

    /// Makes a store, uses it, closes it, and looks at what is in it.
    ///
    /// # Errors
    /// If something is wrong already without any power cut.
    pub fn of(life: &Life) -> Result<Recording> {
        let folder = folder()?;
        let file = folder.path().join("power.db");
        let disk = Disk::watch(&file)?;
        let told = Told::new(disk.clone());
        if life.boasts {
            disk.boast();
        }
        if let Some(fault) = life.fault {
            disk.fail(fault);
        }
        let mut born = 0;
        let operations = live(life, &file, &disk, &told, || born = disk.recorded());
        let fired = disk.heal();
        let journal = disk.take_journal();
        disk.forget();
        let operations = operations?;
        let sidecar = std::fs::read(folder.path().join("power.db-sync"))?;
        let seen = look(&file, false);
        let words = told.so_far();
        let said_no = |word: &&Word| !matches!(word, Word::Acked(_) | Word::Saw(_) | Word::Granted(_));
        let failed = words.iter().find(|word| life.fault.is_none() && said_no(word));
        match (seen.violations.first(), seen.accuse(&words).first(), failed) {
            (None, None, None) => Ok(Recording { journal, born, words, seen, sidecar, operations, fired }),
            found => Err(format!("{life:?}, without any power cut: {found:?}").into()),
        }
    }
}

/// In memory, if there is such a place: nothing that is written here has to last.
///
/// # Errors
/// If there is no room for a folder.
pub fn folder() -> Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    Ok(made?)
}

fn live(life: &Life, file: &Path, disk: &Disk, told: &Told, born: impl FnOnce()) -> Result<(u64, u64)> {
    let open = || {
        let builder = || Store::builder().readers(1).checkpoint_pages(CHECKPOINT_PAGES);
        let open = || block_on(builder().durability(life.durability).open(file));
        let again = |error| {
            if life.dies {
                disk.heal();
            }
            // What failed once must not keep the store closed.
            if life.fault.is_some() { open() } else { Err(error) }
        };
        open().or_else(again)
    };
    let (mut random, mut workload) =
        (Random::new(life.seed), Workload::new(told, life.seed).read_by(life.readers));
    let mut operations = (0, 0);
    let mut store = open()?;
    let mut dead = disk.fired() > 0;
    born();
    for _ in 0..life.rounds {
        workload.round(&store);
        workload.settle(&store)?;
        if life.dies && disk.fired() > 0 && !std::mem::replace(&mut dead, true) {
            drop(store);
            until_closed(file)?;
            disk.heal();
            store = open()?;
            workload.settle(&store)?;
        }
        match random.below(12) {
            // Another connection moves the log, in a way in which Millpond's own does not.
            0 => foreign_checkpoint(file, random.below(3)).or_else(|error| match life.fault {
                Some(_) => Ok(()),
                None => Err(error),
            })?,
            1 => {
                count(&store, &mut operations);
                block_on(store.close())?;
                store = open()?;
            }
            _ => {}
        }
    }
    count(&store, &mut operations);
    block_on(store.close())?;
    Ok(operations)
}

/// A store that is dropped ends without anybody waiting for it; at its end it has no file open any more.
pub(crate) fn until_closed(file: &Path) -> Result<()> {
    let (name, began) = (file.to_str().ok_or("no name")?, clock::now());
    let is_open = |entry: std::fs::DirEntry| {
        std::fs::read_link(entry.path()).is_ok_and(|to| to.to_str().is_some_and(|to| to.starts_with(name)))
    };
    while std::fs::read_dir("/proc/self/fd")?.flatten().any(is_open) {
        if began.elapsed() > std::time::Duration::from_secs(30) {
            return Err("a store that was dropped does not end".into());
        }
        std::thread::yield_now();
    }
    Ok(())
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
