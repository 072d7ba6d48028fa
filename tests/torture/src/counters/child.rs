//! A process that counts one number up, from the line it is told on, and says when it is done.

use std::path::Path;

use millpond::blocking::{Dict, Store};

use super::{DICT, KEY, UPDATES};
use crate::Result;
use crate::crew::say;

/// Counts up so many times with so many threads, some of them by reading and replacing. `careless`: by reading and writing.
///
/// # Errors
/// If something went wrong that should not.
pub fn live(file: &Path, times: u64, lanes: u64, careless: bool) -> Result<()> {
    let store = Store::open(file)?;
    let dict = store.dict::<i64>(DICT);
    say("open")?;
    if std::io::stdin().read_line(&mut String::new())? == 0 {
        return Ok(());
    }
    std::thread::scope(|threads| {
        let lanes = (0..lanes).map(|lane| {
            let own = times / lanes + u64::from(lane < times % lanes);
            let dict = dict.clone();
            threads.spawn(move || count(&dict, own, careless))
        });
        let lanes: Vec<_> = lanes.collect();
        lanes.into_iter().try_for_each(|lane| lane.join().map_err(|_| "a lane panicked")?.map_err(Into::into))
    })
    .and_then(|()| say("done"))?;
    store.close()?;
    Ok(())
}

fn count(dict: &Dict<i64>, times: u64, careless: bool) -> millpond::Result<()> {
    for time in 0..times {
        if careless {
            let found = dict.get(KEY)?.map_or(0, |entry| *entry);
            dict.set(KEY, &(found + 1))?;
        } else if time % UPDATES == UPDATES - 1 {
            dict.update(KEY, |found| Some(found.unwrap_or(0) + 1))?;
        } else {
            dict.increment(KEY, 1)?;
        }
    }
    Ok(())
}
