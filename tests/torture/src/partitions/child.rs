//! A process that reacts in its share of the partitions, comes and goes, until it is killed.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use futures_executor::block_on;
use millpond::{Attempt, Event, Expected, Store};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::crew::say;
use crate::random::Random;

/// What there are events of, beside others that are of no interest.
pub(super) const CATEGORY: &str = "item";
/// What is reacted to them by.
pub(super) const REACTION: &str = "labels";
/// How many partitions it has.
pub(super) const PARTITIONS: u32 = 8;
/// The stream of the notes.
pub(super) const NOTES: &str = "notes";

/// What one reacts to before he leaves and joins again, at least and at most.
const TURN: (u64, u64) = (60, 400);

/// How long one who is stopped has his partitions.
const LEASE: Duration = Duration::from_millis(600);

/// Longer than any handler takes.
const GRACE: Duration = Duration::from_secs(60);

/// That somebody has reacted to an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) stream: String,
    pub(super) version: u64,
    pub(super) position: u64,
    pub(super) token: u64,
    /// Who he was.
    pub(super) who: u64,
}

/// Reacts until it is killed. Nobody else is `who`.
///
/// # Errors
/// If the store cannot be opened, or nobody listens.
pub fn live(file: &Path, who: u64) -> Result<()> {
    if let Err(error) = block_on(work(file, who)) {
        say(&format!("{error}"))?;
    }
    // There to be killed.
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

async fn work(file: &Path, who: u64) -> Result<()> {
    let store = Store::open(file).await?;
    let (events, mut random) = (store.events(), Random::new(who));
    loop {
        let projection = store.projection(REACTION).ttl(LEASE);
        let reactor = projection.reactor(events.read_category(CATEGORY)).partitions(PARTITIONS);
        let reactor = reactor.streams(6).attempts(1_000_000);
        let (stopper, left) = (reactor.stopper(), Mutex::new(TURN.0 + random.below(TURN.1 - TURN.0)));
        let note = async |event: Attempt| {
            let note = Note {
                stream: event.stream().to_owned(),
                version: event.version(),
                position: event.position(),
                token: event.token(),
                who,
            };
            let noted = Event::new("Labelled", &note).map_err(|error| error.to_string())?;
            events.append(NOTES, Expected::Any, [noted]).await.map_err(|error| error.to_string())?;
            let mut left = left.lock().map_err(|error| error.to_string())?;
            *left = left.saturating_sub(1);
            if *left == 0 {
                stopper.stop(GRACE);
            }
            Ok::<(), String>(())
        };
        reactor.run(note).await?;
    }
}
