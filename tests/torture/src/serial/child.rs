//! A child of the serial test: some threads that write to several lists at once and read them, until it is killed.

use std::path::Path;

use futures_executor::block_on;
use millpond::blocking::Store;

use super::deed::{Next, Said, Shown};
use crate::Result;
use crate::clock::stamp;
use crate::crew::say;
use crate::random::Random;
use crate::recording::CHECKPOINT_PAGES;

/// Opens the store and works. `first` is the number of the first write of each thread.
///
/// # Errors
/// If the store cannot be opened.
pub fn live(role: u64, file: &Path, lanes: u64, first: u64, seed: u64) -> Result<()> {
    // Often, so that kills meet a log that is being moved.
    let builder = millpond::Store::builder().checkpoint_pages(CHECKPOINT_PAGES);
    let store = block_on(builder.open(file))?.blocking();
    tell(&Said::Open)?;
    std::thread::scope(|scope| {
        for lane in 0..lanes {
            let (store, who) = (&store, role * lanes + lane);
            let mut random = Random::new(seed.wrapping_mul(1_000).wrapping_add(lane));
            scope.spawn(move || {
                let end = (first..).try_for_each(|number| act(store, who, number, &mut random));
                if let Err(error) = end {
                    // Nobody hears it if the parent is gone.
                    let _ = tell(&Said::Failed(error.to_string()));
                }
            });
        }
    });
    Ok(())
}

fn tell(said: &Said) -> Result<()> {
    say(&serde_json::to_string(said)?)
}

fn act(store: &Store, who: u64, number: u64, random: &mut Random) -> Result<()> {
    match Next::draw(who, number, random) {
        Next::Write(write) => {
            tell(&Said::Writes { who, number, at: stamp()?, write: write.clone() })?;
            write.perform(store)?;
            tell(&Said::Wrote { who, number, at: stamp()? })
        }
        Next::Read(scope) => {
            let called = stamp()?;
            let shown = Shown::read(store, &scope)?;
            tell(&Said::Read { called, returned: stamp()?, scope, shown })
        }
    }
}
