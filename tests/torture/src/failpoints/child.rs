//! The process in which something happens at a failpoint: it uses a store, and says each word that it hears.

use std::cell::OnceCell;
use std::path::Path;

use futures_executor::block_on;
use futures_util::FutureExt as _;
use millpond::{Store, failpoint};

use super::How;
use crate::Result;
use crate::crew::say;
use crate::random::Random;
use crate::vfs::{Call, Disk, Fault, File, Harm};
use crate::workload::{Line, Told, Word, Workload};

/// Pages in the log at which it is moved into the main file: every few groups.
const CHECKPOINT_PAGES: u32 = 12;

/// Rounds of callers before it is looked whether all is well again; more, if the point has not been reached by then.
const ROUNDS: std::ops::Range<u64> = 12..400;

/// What makes a commit fail, of which it must then be found out whether it was one.
const FAILS: Fault =
    Fault { call: Call::Sync, file: Some(File::Log), nth: 5, for_good: false, again: 0, harm: Harm::Dropped };

/// Makes a store in `file`, uses it while something happens at the point, so many times after so many passes of it, and
/// goes on.
///
/// # Errors
/// If something goes wrong that should not.
pub fn live(file: &Path, seed: u64, point: &str, how: How, (passed, times): (u64, u64)) -> Result<()> {
    quiet();
    let point = failpoint::Point::ALL.iter().find(|it| it.name() == point).ok_or("no such point")?;
    let disk = Disk::watch(file)?;
    disk.record(false);
    let told = Told::new(disk.clone());
    let open = || block_on(Store::builder().readers(1).checkpoint_pages(CHECKPOINT_PAGES).open(file));
    if !failpoint::arm(*point, how.name(), passed, times) {
        return Err("it cannot be armed".into());
    }
    let store = open().or_else(|error| {
        // It strikes once: nothing is left in the way of the next.
        say(&format!("unopened {error}")).and_then(|()| Ok(open()?))
    })?;
    if *point == failpoint::Point::WithinSettle {
        disk.fail(FAILS);
    }
    let (mut workload, mut random) = (Workload::new(&told, seed), Random::new(seed));
    let mut said = 0;
    let mut rounds = 0;
    let watched = store.lock("watched");
    let (guard, mut lost) = (OnceCell::new(), None);
    while rounds < ROUNDS.start || (failpoint::fired() == 0 && rounds < ROUNDS.end) {
        rounds += 1;
        if rounds == ROUNDS.start && failpoint::fired() == 0 {
            // Somebody wants to know what other processes do.
            let _ = block_on(watched.acquire()).map(|held| guard.set(held));
            lost = guard.get().map(|guard| Box::pin(guard.lost()));
        }
        let _ = lost.as_mut().map(|lost| lost.now_or_never());
        if random.below(2) == 0 {
            workload.round(&store)
        } else {
            workload.some(&store, 1)
        }
        workload.settle(&store)?;
        said = say_all(&told, said)?;
    }
    // The next call of every sort works, whatever fell over.
    for _ in 0..3 {
        workload.group(&store, 2);
        workload.each(&store);
        workload.round(&store);
    }
    workload.settle(&store)?;
    let anew = told
        .so_far()
        .into_iter()
        .skip(said)
        .find(|word| matches!(word, Word::Refused(..) | Word::Unknown(..) | Word::Failed(_)));
    say_all(&told, said)?;
    if let Some(word) = anew {
        say(&format!("wedged {word:?}"))?;
    }
    block_on(store.close())?;
    say(&format!("fired {}", failpoint::fired()))
}

/// Says the words behind the first `said`; how many there are now.
fn say_all(told: &Told, said: usize) -> Result<usize> {
    let words = told.so_far();
    for line in words.iter().skip(said).filter_map(Line::of) {
        say(&serde_json::to_string(&line)?)?;
    }
    Ok(words.len())
}

/// The panics of a failpoint are not worth a word each.
fn quiet() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload_as_str().is_some_and(|words| words.starts_with("failpoint")) {
            before(info);
        }
    }));
}
