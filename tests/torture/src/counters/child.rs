//! A process that counts one number up, from the line it is told on, and says when it is done.

use std::path::Path;

use millpond::blocking::Store;

use super::{DICT, KEY};
use crate::Result;
use crate::crew::say;

/// Counts up so many times, every other time by reading and replacing. `careless`: by reading and writing.
///
/// # Errors
/// If something went wrong that should not.
pub fn live(file: &Path, times: u64, careless: bool) -> Result<()> {
    let store = Store::open(file)?;
    let dict = store.dict::<i64>(DICT);
    say("open")?;
    if std::io::stdin().read_line(&mut String::new())? == 0 {
        return Ok(());
    }
    for time in 0..times {
        if careless {
            let found = dict.get(KEY)?.map_or(0, |entry| *entry);
            dict.set(KEY, &(found + 1))?;
        } else if time % 2 == 0 {
            dict.increment(KEY, 1)?;
        } else {
            dict.update(KEY, |found| Some(found.unwrap_or(0) + 1))?;
        }
    }
    say("done")?;
    store.close()?;
    Ok(())
}
