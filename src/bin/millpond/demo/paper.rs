//! What was said of the queue, the log and the channel, against what is in the file.

use std::collections::{HashMap, HashSet};

use millpond::blocking::Store;

use super::audit::Finding;
use super::bank::{CLOSINGS, STATEMENTS, Statement};
use super::crew::Paper;
use crate::failure::Done;
use crate::show::{count, grouped};

/// Jobs that are read at once.
const PAGE: u32 = 1_000;

/// Reads them back and judges them. With each kill at most one clerk was in the middle of a statement.
pub(super) fn audit(store: &Store, paper: &Paper, heard: &[Vec<u64>], kills: u64) -> Done<Vec<Finding>> {
    Ok(vec![
        jobs(paper, &waiting(store)?, kills),
        statements(store, paper, kills)?,
        closings(store, paper, heard)?,
    ])
}

/// The jobs that are left.
fn waiting(store: &Store) -> Done<HashSet<u64>> {
    let (queue, mut left, mut from) = (store.queue::<Statement>(STATEMENTS), HashSet::new(), Some(0));
    while let Some(first) = from {
        let page = queue.page(None, first, PAGE)?;
        for job in page.jobs {
            left.insert(job?.sequence);
        }
        from = page.next;
    }
    Ok(left)
}

/// A kill may come between the end of a job and the word of it.
fn jobs(paper: &Paper, waiting: &HashSet<u64>, kills: u64) -> Finding {
    let done: HashSet<u64> = paper.done.iter().copied().collect();
    let again = done.intersection(waiting).count() + paper.done.len() - done.len();
    let gone = paper.pushed.iter().filter(|job| !done.contains(job) && !waiting.contains(job)).count() as u64;
    let (pushed, waiting) = (paper.pushed.len() as u64, waiting.len() as u64);
    Finding {
        what: "no job is lost, none is done twice",
        figure: format!(
            "{}: {} done, {} wait",
            count(pushed, "job", "jobs"),
            grouped(done.len() as u64),
            grouped(waiting)
        ),
        holds: again == 0 && gone <= kills && !done.is_empty(),
    }
}

/// A kill may come between a statement and the end of its job.
fn statements(store: &Store, paper: &Paper, kills: u64) -> Done<Finding> {
    let (mut times, mut last, mut gaps) = (HashMap::new(), 0, 0);
    for entry in store.log::<Statement>(STATEMENTS).range(..) {
        let entry = entry?;
        gaps += u64::from(entry.sequence() != last + 1);
        last = entry.sequence();
        *times.entry((entry.account.clone(), entry.version)).or_insert(0_u64) += 1;
    }
    let again: u64 = times.values().map(|times| times - 1).sum();
    let all_there = paper.written.iter().all(|entry| *entry <= last);
    Ok(Finding {
        what: "every statement is in the log, in one order",
        figure: format!("{}, {again} again after the kill", count(last, "entry", "entries")),
        holds: gaps == 0 && all_there && again <= kills && times.len() >= paper.done.len() && last > 0,
    })
}

/// Everybody hears all that comes while he listens.
fn closings(store: &Store, paper: &Paper, heard: &[Vec<u64>]) -> Done<Finding> {
    let published = store.channel::<serde_json::Value>(CLOSINGS).extent()?.last;
    let all_there = paper.published.iter().all(|sequence| *sequence <= published);
    let whole = |heard: &Vec<u64>| heard.windows(2).all(|pair| matches!(pair, [one, two] if *two == one + 1));
    let times: u64 = heard.iter().map(|heard| heard.len() as u64).sum();
    Ok(Finding {
        what: "whoever listens misses nothing, hears nothing twice",
        figure: format!("{} published, heard {} times", grouped(published), grouped(times)),
        holds: all_there && heard.iter().all(whole) && times > 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(pushed: &[u64], done: &[u64], waiting: &[u64]) -> bool {
        let paper = Paper { pushed: pushed.into(), done: done.into(), ..Paper::default() };
        jobs(&paper, &waiting.iter().copied().collect(), 1).holds
    }

    #[test]
    fn jobs_that_are_lost_or_done_twice_are_told() {
        assert!(holds(&[1, 2, 3], &[1, 2], &[3]));
        assert!(holds(&[1, 2, 3], &[1, 2], &[]), "the kill");
        assert!(!holds(&[1, 2, 3], &[1], &[]), "two are lost");
        assert!(!holds(&[1, 2], &[1, 2], &[2]), "it comes again");
        assert!(!holds(&[1, 2], &[1, 2, 2], &[]), "done twice");
    }
}
