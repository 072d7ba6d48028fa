//! A group that is too large for the cache: SQLite writes to the log while its operations are applied, and that fails.

use std::collections::BTreeMap;

use super::script::{Ran, Stage, finish};
use super::{Mutant, Settings};
use crate::Result;
use crate::report::{Broken, Violation};
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
    let before = (stage.told.so_far().len(), store.health().figures.operations);
    stage.disk.fail(fault);
    workload.group(&store, callers);
    let figures = store.health().figures;
    let mut words = stage.told.so_far();
    let mut ran = finish(settings, &stage, Some(store))?;
    let mut answers = words.split_off(before.0);
    if settings.mutant == Some(Mutant::Apart) {
        set_apart(&mut answers);
    }
    ran.violations.extend(alike(&answers, figures.operations - before.1));
    Ok((ran, figures.redone > 0))
}

/// Whoever asked at once need not have been committed at once, so some may have fared otherwise than others. But the
/// store tells how many operations there were in the groups that it has committed: as many callers have heard that all is
/// well, or a group was torn apart. And of one call's events none fares otherwise than the others.
fn alike(answers: &[Word], committed: u64) -> Option<Violation> {
    let mut calls: BTreeMap<u128, (u64, u64)> = BTreeMap::new();
    for word in answers {
        let (event, good) = match word {
            Word::Acked(event) => (event, true),
            Word::Refused(event, _) | Word::Unknown(event, _) => (event, false),
            Word::Settled(..) | Word::Saw(_) | Word::Granted(_) | Word::Failed(_) => continue,
        };
        // The lowest two bytes of an id tell which part of a call it is.
        let (acked, failed) = calls.entry(event.id.as_u128() >> 16).or_default();
        *(if good { acked } else { failed }) += 1;
    }
    let torn = calls.values().any(|(acked, failed)| *acked > 0 && *failed > 0);
    let acked = calls.values().filter(|(acked, _)| *acked > 0).count() as u64;
    let words =
        || format!("{acked} of {} callers were acknowledged, {committed} operations committed", calls.len());
    (torn || acked != committed).then(|| (Broken::Apart, words()))
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
