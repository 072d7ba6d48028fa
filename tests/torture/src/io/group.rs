//! A group that is too large for the cache: SQLite writes to the log while its operations are applied, and that fails.

use millpond::WriteOutcome;

use super::script::{Ran, Stage, finish};
use super::{Mutant, Settings};
use crate::Result;
use crate::kill::{Broken, Violation};
use crate::vfs::Fault;
use crate::workload::{Word, Workload};

/// While it lives, SQLite holds no more pages in memory than it must.
pub(super) struct SmallCache {
    connection: rusqlite::Connection,
    before: i64,
}

impl SmallCache {
    pub(super) fn new() -> Result<SmallCache> {
        let connection = rusqlite::Connection::open_in_memory()?;
        let before = connection.query_row("PRAGMA soft_heap_limit", [], |row| row.get(0))?;
        // It holds for the whole process.
        connection.query_row("PRAGMA soft_heap_limit = 1", [], |_| Ok(()))?;
        Ok(SmallCache { connection, before })
    }
}

impl Drop for SmallCache {
    fn drop(&mut self) {
        // The limit of a process that ends; others only become slower by it.
        let restore = format!("PRAGMA soft_heap_limit = {}", self.before);
        let _ = self.connection.query_row(&restore, [], |_| Ok(()));
    }
}

/// Callers append at once while `fault` waits for its call; whether it struck before the commit.
pub(super) fn run(settings: &Settings, callers: u64, fault: Fault) -> Result<(Ran, bool)> {
    let stage = Stage::new()?;
    let store = stage.open()?;
    let mut workload = Workload::new(&stage.told, settings.seed);
    workload.group(&store, callers);
    let before = stage.told.so_far().len();
    stage.disk.fail(fault);
    workload.group(&store, callers);
    let figures = store.health().figures;
    let mut words = stage.told.so_far();
    let mut ran = finish(settings, &stage, Some(store))?;
    let mut answers = words.split_off(before);
    if settings.mutant == Some(Mutant::Apart) {
        set_apart(&mut answers);
    }
    ran.violations.extend(alike(&answers));
    Ok((ran, figures.redone > 0))
}

/// What was answered, in the order of the callers: those who were committed in another group may have fared otherwise,
/// but groups are made in the order in which they asked. So all who failed stand side by side and heard the same.
fn alike(answers: &[Word]) -> Option<Violation> {
    let failed = |word: &Word| match word {
        Word::Refused(_, error) | Word::Unknown(_, error) => Some(error.outcome()),
        _ => None,
    };
    let outcomes: Vec<Option<WriteOutcome>> = answers.iter().map(failed).collect();
    // Runs of the same outcome.
    let mut runs = outcomes.clone();
    runs.dedup();
    let worst = runs.iter().filter(|outcome| outcome.is_some()).count();
    let apart = worst > 2 || runs.iter().filter(|outcome| outcome.is_none()).count() > 2;
    apart.then(|| (Broken::Apart, format!("{outcomes:?}")))
}

/// One in the middle of those who failed hears the opposite.
fn set_apart(answers: &mut [Word]) {
    let failed: Vec<usize> = (0..)
        .zip(answers.iter())
        .filter(|(_, word)| matches!(word, Word::Refused(..) | Word::Unknown(..)))
        .map(|(at, _)| at)
        .collect();
    for at in failed.into_iter().skip(1).step_by(2) {
        if let Some(word) = answers.get_mut(at)
            && let Word::Refused(event, _) | Word::Unknown(event, _) = word.clone()
        {
            *word = Word::Acked(event);
        }
    }
}
