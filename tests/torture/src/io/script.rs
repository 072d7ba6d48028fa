//! One run: a store is made and used while a call fails, then the disk is well again, and the store is judged.

use std::path::Path;

use futures_executor::block_on;
use millpond::{Error, Store, WriterFigures, WriterState};

use super::{Mutant, Settings};
use crate::Result;
use crate::look::look;
use crate::random::Random;
use crate::recording::folder;
use crate::report::{Broken, Violation};
use crate::vfs::{Call, Disk, Fault};
use crate::workload::told::{Counts, deny, forget};
use crate::workload::{Told, Word, Workload};

/// Pages in the log at which it is moved into the main file: every other commit.
const CHECKPOINT_PAGES: u32 = 12;

/// What came of a run.
#[derive(Debug, Default)]
pub(super) struct Ran {
    pub(super) fired: u64,
    pub(super) words: Vec<Word>,
    pub(super) unopened: bool,
    pub(super) poisoned: bool,
    /// The writer's, of the handle that met the fault.
    pub(super) figures: WriterFigures,
    pub(super) violations: Vec<Violation>,
}

/// A disk, and what was told about what is on it.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
    pub(crate) disk: std::sync::Arc<Disk>,
    pub(crate) told: Told,
}

impl Stage {
    pub(crate) fn new() -> Result<Stage> {
        let folder = folder()?;
        let disk = Disk::watch(&folder.path().join("io.db"))?;
        disk.record(false);
        let told = Told::new(disk.clone());
        Ok(Stage { folder, disk, told })
    }

    pub(crate) fn open(&self) -> millpond::Result<Store> {
        let builder = Store::builder().readers(1).checkpoint_pages(CHECKPOINT_PAGES);
        block_on(builder.open(self.folder.path().join("io.db")))
    }

    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("io.db")
    }
}

/// A store is made and used while `fault` waits for its call.
pub(super) fn run(settings: &Settings, fault: Fault) -> Result<Ran> {
    let stage = Stage::new()?;
    stage.disk.fail(fault);
    let Ok(store) = stage.open() else {
        return Ok(Ran { unopened: true, ..finish(settings, &stage, None)? });
    };
    // What failed while it was opened was its affair: it is open.
    let before = stage.disk.fired();
    let mut workload = Workload::new(&stage.told, settings.seed);
    let mut random = Random::new(settings.seed);
    for _ in 0..settings.rounds {
        workload.group(&store, 1 + random.below(3) * random.below(3));
        workload.each(&store);
    }
    let mut ran = finish(settings, &stage, Some(store))?;
    let figures = match settings.mutant {
        Some(Mutant::Silent) => WriterFigures::default(),
        _ => ran.figures,
    };
    let Counts { refused, unknown, settled, .. } = Counts::of(&ran.words);
    let said = refused + unknown + settled > 0;
    let told = figures.redone + figures.failed_commits + figures.failed_checkpoints > 0
        || (said && settings.mutant != Some(Mutant::Silent));
    if matches!(fault.call, Call::Write | Call::Sync) && ran.fired > before && !told {
        ran.violations.push((Broken::Hidden, format!("nobody was told: {figures:?}")));
    }
    Ok(ran)
}

/// The disk gets well; the store is used again, closed, and looked at.
pub(super) fn finish(settings: &Settings, stage: &Stage, store: Option<Store>) -> Result<Ran> {
    let mut ran = Ran { fired: stage.disk.fired(), ..Ran::default() };
    if settings.mutant != Some(Mutant::Sick) {
        stage.disk.heal();
    }
    if let Some(store) = store {
        ran.poisoned = matches!(store.health().writer, WriterState::Poisoned { .. });
        if !ran.poisoned {
            use_again(&store, stage, &mut ran)?;
        }
        block_on(store.close())?;
        // Only now is all done that was begun: a log is moved after the answers.
        ran.figures = store.health().figures;
    }
    // Opened anew, whatever was said through the old handle.
    match stage.open() {
        Ok(store) => {
            use_again(&store, stage, &mut ran)?;
            block_on(store.close())?;
        }
        Err(error) => ran.violations.push((Broken::Wedged, format!("opened again: {error}"))),
    }
    stage.disk.forget();
    judge(settings, stage, &stage.file(), &mut ran);
    Ok(ran)
}

/// Whatever had failed, it is over: a write succeeds, and after it nothing is unknown.
fn use_again(store: &Store, stage: &Stage, ran: &mut Ran) -> Result<()> {
    // Numbers that no deed had before.
    let mut workload = Workload::new(&stage.told, 0).after(stage.told.so_far().len() as u64 + 1_000_000);
    workload.group(store, 1);
    match stage.told.so_far().last() {
        Some(Word::Acked(_)) => workload.settle(store),
        last => {
            ran.violations.push((Broken::Wedged, format!("the disk is well again: {last:?}")));
            Ok(())
        }
    }
}

fn judge(settings: &Settings, stage: &Stage, file: &Path, ran: &mut Ran) {
    let mut seen = look(file, true);
    ran.violations.append(&mut seen.violations);
    let mut words = stage.told.so_far();
    ran.words.clone_from(&words);
    spoil(settings.mutant, &mut words);
    ran.violations.extend(seen.accuse(&words));
    ran.violations.extend(words.iter().filter_map(late));
}

/// Nobody else writes: whoever hears that the store is busy has waited for something that had got stuck.
fn late(word: &Word) -> Option<Violation> {
    match word {
        Word::Refused(_, error) | Word::Failed(error) if matches!(error, Error::Busy { .. }) => {
            Some((Broken::Wedged, format!("at the deadline: {error}")))
        }
        _ => None,
    }
}

fn spoil(mutant: Option<Mutant>, words: &mut [Word]) {
    match mutant {
        Some(Mutant::Sure) => deny(words, &Error::Closed),
        Some(Mutant::Forgetful) => forget(words, 1),
        Some(Mutant::Fickle) => {
            for word in words {
                if let Word::Settled(_, there) = word {
                    *there = !*there;
                }
            }
        }
        Some(Mutant::Sick | Mutant::Silent | Mutant::Apart) | None => {}
    }
}
