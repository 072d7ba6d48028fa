//! What is in a store after something has happened to it: opened by itself, read in every way, written to.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use millpond::blocking::Store;
use millpond::{Error, Event, Expected};
use uuid::Uuid;

use crate::Result;
use crate::kill::child::TALLIES;
use crate::kill::oracle::{check_sound, collect};
use crate::kill::{Acked, Broken, Found, Violation};
use crate::workload::{Tally, Word};

/// Everything that was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// All events, in order.
    pub found: Vec<Found>,
    /// What is wrong whatever was acknowledged.
    pub violations: Vec<Violation>,
    /// A token that was granted now, if the store was written to.
    pub token: Option<u64>,
    by_id: HashMap<Uuid, usize>,
    /// By the content, for events whose ids nobody knows.
    by_content: HashMap<(String, String), usize>,
}

/// Opens the store in `file` and looks at it; `write` says whether to try that too.
#[must_use]
pub fn look(file: &Path, write: bool) -> Seen {
    let mut seen = Seen::default();
    if let Err(error) = seen.look(file, write) {
        seen.violations.push(named(error.as_ref()));
    }
    if let Err(words) = check_file(file) {
        seen.violations.push((Broken::Corrupt, words.to_string()));
    }
    seen.index();
    seen
}

/// A damaged record is one thing, a store that cannot be used another.
fn named(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Violation {
    let corrupt = matches!(error.downcast_ref::<Error>(), Some(Error::Corrupt { .. }));
    (if corrupt { Broken::Corrupt } else { Broken::Wedged }, error.to_string())
}

impl Seen {
    /// What was seen through somebody else's handle.
    #[must_use]
    pub fn of(found: Vec<Found>) -> Seen {
        let mut seen = Seen { found, ..Seen::default() };
        seen.index();
        seen
    }

    fn index(&mut self) {
        for (at, found) in self.found.iter().enumerate() {
            self.by_id.insert(found.id, at);
            self.by_content.insert((found.stream.clone(), found.content.clone()), at);
        }
    }

    fn look(&mut self, file: &Path, write: bool) -> Result<()> {
        let store = match Store::builder().readers(1).open(file) {
            Ok(store) => store,
            Err(error) => {
                self.violations.push((Broken::Wedged, error.to_string()));
                return Ok(());
            }
        };
        let looked = self.read(&store).and_then(|()| if write { self.write(&store) } else { Ok(()) });
        store.close()?;
        looked
    }

    fn read(&mut self, store: &Store) -> Result<()> {
        let (found, violations) = collect(store)?;
        self.violations.extend(violations);
        self.violations.extend(check_sound(&found));
        let mut tallies: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for found in &found {
            if let Some(id) = found.stream.strip_prefix(TALLIES) {
                tallies.entry(id).or_default().push(found.content.clone());
            }
        }
        for (id, contents) in tallies {
            // From a snapshot, if there is one.
            let (state, replayed) = (store.aggregate::<Tally>(id).state()?, Tally::of(contents));
            if state != replayed {
                self.violations
                    .push((Broken::Corrupt, format!("tally {id}: {state:?}, by replay {replayed:?}")));
            }
        }
        self.found = found;
        Ok(())
    }

    /// It takes an event and grants the lock.
    fn write(&mut self, store: &Store) -> Result<()> {
        let event = Event::from_json("After", r#"{"after":true}"#)?;
        let done = store.events().append("after", Expected::Any, [event])?;
        if done.position != self.found.len() as u64 + 1 {
            self.violations.push((Broken::Hole, format!("the next position is {}", done.position)));
        }
        let guard = store.lock("till").acquire()?;
        self.token = Some(guard.token());
        guard.release()?;
        Ok(())
    }

    fn find(&self, event: &Acked) -> Option<&Found> {
        let at = if event.id.is_nil() {
            self.by_content.get(&(event.stream.clone(), event.content.clone()))
        } else {
            self.by_id.get(&event.id)
        };
        self.found.get(*at?)
    }

    /// Whether an event is there.
    #[must_use]
    pub fn has(&self, event: &Acked) -> bool {
        self.find(event).is_some()
    }

    /// What the store had told its callers, and is not so.
    #[must_use]
    pub fn accuse(&self, words: &[Word]) -> Vec<Violation> {
        words.iter().filter_map(|word| self.belie(word)).collect()
    }

    fn belie(&self, word: &Word) -> Option<Violation> {
        match word {
            Word::Acked(event) => match self.find(event) {
                None => Some((Broken::Lost, format!("gone: {event:?}"))),
                Some(found) => {
                    let moved = event.place.is_some_and(|place| place != (found.version, found.position));
                    let same = found.stream == event.stream && found.content == event.content;
                    (moved || !same).then(|| (Broken::Lost, format!("another: {event:?} is {found:?}")))
                }
            },
            Word::Refused(event, error) if self.has(event) => {
                Some((Broken::Lie, format!("{event:?} is there, though: {error}")))
            }
            Word::Settled(event, there) if self.has(event) != *there => {
                Some((Broken::Unsettled, format!("{event:?} was there: {there}")))
            }
            Word::Saw(shown) => shown
                .iter()
                .find(|shown| self.found.get(shown.position as usize - 1) != Some(shown))
                .map(|shown| (Broken::Lost, format!("was read, and is gone or another: {shown:?}"))),
            Word::Granted(token) => self
                .token
                .filter(|now| now <= token)
                .map(|now| (Broken::Overlap, format!("token {now} was granted after {token}"))),
            Word::Refused(..) | Word::Settled(..) | Word::Unknown(..) | Word::Failed(_) => None,
        }
    }
}

/// SQLite's own opinion of the file.
fn check_file(file: &Path) -> Result<()> {
    let connection = rusqlite::Connection::open(file)?;
    let said: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if said == "ok" { Ok(()) } else { Err(said.into()) }
}
