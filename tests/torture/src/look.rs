//! What is in a store after something has happened to it: opened by itself, read in every way, written to.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use futures_executor::block_on;
use millpond::Error;
use millpond::blocking::Store;
use uuid::Uuid;

use crate::Result;
use crate::report::{Broken, Violation};
use crate::workload::{ALL, Fact, Primitive, Word, is_erasable, named};

/// Something that was found in a store: an event, or what a primitive has read otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its place in the store.
    pub position: u64,
    /// Its stream.
    pub stream: String,
    /// Its place in it.
    pub version: u64,
    /// Its id.
    pub id: Uuid,
    /// Its type.
    pub event_type: String,
    /// Its content.
    pub content: String,
    /// How it stands, if that changes: of a job, of a cursor.
    pub state: String,
}

impl Found {
    /// The same, however it stands.
    #[must_use]
    pub fn whatever_its_state(&self) -> Found {
        Found { state: String::new(), ..self.clone() }
    }

    /// Of an event: whether what it said was erased.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        self.event_type.is_empty()
    }

    /// Whether this event is as it was, or was erased since.
    #[must_use]
    pub fn is_still(&self, was: &Found) -> bool {
        let place = |found: &Found| (found.position, found.version, found.id);
        let erased = || self.is_erased() && is_erasable(&self.stream);
        self == was || place(self) == place(was) && self.stream == was.stream && erased()
    }
}

impl From<&millpond::Recorded> for Found {
    fn from(event: &millpond::Recorded) -> Found {
        Found {
            position: event.position(),
            stream: event.stream().to_owned(),
            version: event.version(),
            id: event.id(),
            event_type: event.event_type().to_owned(),
            content: event.json().unwrap_or_default().to_owned(),
            state: String::new(),
        }
    }
}

/// Everything that was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// All events, in order.
    pub found: Vec<Found>,
    /// What else there is of each primitive.
    pub rest: BTreeMap<&'static str, Vec<Found>>,
    /// What is wrong whatever was acknowledged.
    pub violations: Vec<Violation>,
    /// A token that was granted now, if the store was written to.
    pub token: Option<u64>,
    by_id: HashMap<Uuid, usize>,
    /// By the content, for events whose ids nobody knows.
    by_content: HashMap<(String, String), usize>,
    /// What else there is, by primitive and id.
    rest_by_id: HashMap<(&'static str, Uuid), usize>,
}

/// Opens the store in `file` and looks at it; `write` says whether to try that too.
#[must_use]
pub fn look(file: &Path, write: bool) -> Seen {
    let mut seen = Seen::default();
    if let Err(error) = seen.look(file, write) {
        seen.violations.push(blame(error.as_ref()));
    }
    if let Err(words) = check_file(file) {
        seen.violations.push((Broken::Corrupt, words.to_string()));
    }
    seen
}

/// A damaged record is one thing, a store that cannot be used another.
fn blame(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Violation {
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

    /// Reads everything there is: the events in the order of positions, also erased ones; by stream once more what is shown
    /// of them; and what else there is.
    ///
    /// # Errors
    /// What the store said: everything must be readable.
    pub fn read(store: &Store) -> Result<Seen> {
        let mut found = Vec::new();
        for event in store.events().read_all().with_deleted() {
            found.push(Found::from(&event?));
        }
        let mut seen = Seen::of(found);
        let mut by_stream: BTreeMap<&str, (Vec<Uuid>, u64)> = BTreeMap::new();
        for found in &seen.found {
            let (shown, count) = by_stream.entry(&found.stream).or_default();
            shown.extend(Some(found.id).filter(|_| !found.is_erased()));
            *count += 1;
        }
        for (stream, (shown, count)) in by_stream {
            let read = store.events().read_stream(stream).map(|event| Ok(event?.id()));
            if read.collect::<Result<Vec<_>>>()? != shown || store.events().version(stream)? != count {
                let words = format!("{stream} read by itself is another than in the whole");
                seen.violations.push((Broken::Hole, words));
            }
        }
        let shown = store.events().read_all().map(|event| Ok(event?.id())).collect::<Result<Vec<_>>>()?;
        if !seen.found.iter().filter(|found| !found.is_erased()).map(|found| found.id).eq(shown) {
            seen.violations.push((Broken::Shown, "what is shown is not all but what was erased".to_owned()));
        }
        let head = store.events().head()?;
        if head != seen.found.len() as u64 {
            let words = format!("the head is {head} of {} events", seen.found.len());
            seen.violations.push((Broken::Hole, words));
        }
        let asynchronous = store.asynchronous();
        for primitive in ALL {
            for (what, read) in block_on(primitive.read(&asynchronous, &seen.found)) {
                match read? {
                    Some(found) => seen.rest.entry(primitive.name()).or_default().push(found),
                    None => seen.violations.push((Broken::Lost, format!("there is no {what}"))),
                }
            }
        }
        seen.index();
        Ok(seen)
    }

    /// Finds what is in it again after that has been changed.
    pub fn index(&mut self) {
        self.by_id.clear();
        self.by_content.clear();
        self.rest_by_id.clear();
        for (primitive, found) in &self.rest {
            let with_id = (0..).zip(found).filter(|(_, found)| !found.id.is_nil());
            self.rest_by_id.extend(with_id.map(|(at, found)| ((*primitive, found.id), at)));
        }
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
        let looked = self.read_and_write(&store, file, write);
        store.close()?;
        looked
    }

    fn read_and_write(&mut self, store: &Store, file: &Path, write: bool) -> Result<()> {
        *self = Seen::read(store)?;
        for primitive in ALL {
            self.rest.entry(primitive.name()).or_default().extend(primitive.rows(file)?);
        }
        self.index();
        let unsound = self.check();
        self.violations.extend(unsound);
        if write {
            ALL.iter().try_for_each(|primitive| primitive.use_again(store, self))?;
        }
        Ok(())
    }

    /// What must be true of any store, whatever was acknowledged.
    #[must_use]
    pub fn check(&self) -> Vec<Violation> {
        let is_foreign = |found: &&Found| !ALL.iter().any(|primitive| owns(*primitive, found));
        let foreign = self.found.iter().filter(is_foreign);
        let mut violations: Vec<Violation> =
            foreign.map(|found| (Broken::Lost, format!("nobody's: {found:?}"))).collect();
        violations.extend(ALL.iter().flat_map(|primitive| primitive.check(self)));
        violations
    }

    /// The events of a primitive, in order.
    pub fn events_of(&self, primitive: &'static dyn Primitive) -> impl Iterator<Item = &Found> {
        self.found.iter().filter(move |found| owns(primitive, found))
    }

    /// An event.
    #[must_use]
    pub fn find(&self, fact: &Fact) -> Option<&Found> {
        let at = if fact.id.is_nil() {
            self.by_content.get(&(fact.stream.clone(), fact.content.clone()))
        } else {
            self.by_id.get(&fact.id)
        };
        self.found.get(*at?)
    }

    /// What its primitive has read of it otherwise.
    #[must_use]
    pub fn find_rest(&self, fact: &Fact) -> Option<&Found> {
        let at = self.rest_by_id.get(&(fact.of, fact.id))?;
        self.rest.get(fact.of)?.get(*at)
    }

    /// The first event that another one does not begin with, which may have been erased there since.
    #[must_use]
    pub fn apart<'s>(&'s self, whole: &Seen) -> Option<&'s Found> {
        let mut all = (0..).zip(&self.found);
        let is_apart =
            |(at, found): &(usize, &Found)| !whole.found.get(*at).is_some_and(|it| it.is_still(found));
        all.find(is_apart).map(|(_, found)| found)
    }

    /// What is not in another one that must have all that stays, as it is here.
    #[must_use]
    pub fn beyond<'s>(&'s self, whole: &Seen) -> Option<&'s Found> {
        let stays = ALL.iter().filter(|primitive| primitive.stays()).map(|primitive| primitive.name());
        let all = stays.flat_map(|name| self.rest.get(name).into_iter().flatten().map(move |it| (name, it)));
        let mut with_id = all.filter(|(_, found)| !found.id.is_nil());
        let is_beyond = |(name, found): &(&'static str, &Found)| {
            let there =
                whole.rest_by_id.get(&(*name, found.id)).and_then(|at| whole.rest.get(name)?.get(*at));
            there.map(Found::whatever_its_state) != Some(found.whatever_its_state())
        };
        with_id.find(is_beyond).map(|(_, found)| found)
    }

    /// Where something is, as its primitive knows.
    #[must_use]
    pub fn place(&self, fact: &Fact) -> Option<&Found> {
        named(fact.of)?.find(self, fact)
    }

    /// Whether it is there.
    #[must_use]
    pub fn has(&self, fact: &Fact) -> bool {
        self.place(fact).is_some()
    }

    /// What the store had told its callers, and is not so.
    #[must_use]
    pub fn accuse(&self, words: &[Word]) -> Vec<Violation> {
        let of_nothing = words.iter().filter(|word| word.fact().is_none());
        let judged = ALL.iter().flat_map(|primitive| primitive.judge(self, words));
        of_nothing.filter_map(|word| self.belie(word)).chain(judged).collect()
    }

    /// What is wrong with one word, by itself.
    #[must_use]
    pub fn belie(&self, word: &Word) -> Option<Violation> {
        match word {
            Word::Acked(fact) => match self.place(fact) {
                None => Some((Broken::Lost, format!("gone: {fact:?}"))),
                Some(found) => {
                    let moved = fact.place.is_some_and(|place| place != (found.version, found.position));
                    let erased = is_erasable(&found.stream) && found.is_erased();
                    let same = found.stream == fact.stream && (found.content == fact.content || erased);
                    (moved || !same).then(|| (Broken::Lost, format!("another: {fact:?} is {found:?}")))
                }
            },
            Word::Refused(fact, error) if self.has(fact) => {
                Some((Broken::Lie, format!("{fact:?} is there, though: {error}")))
            }
            Word::Settled(fact, there) if self.has(fact) != *there => {
                Some((Broken::Unsettled, format!("{fact:?} was there: {there}")))
            }
            Word::Saw(shown) => shown
                .iter()
                .find(|shown| {
                    !self.found.get(shown.position as usize - 1).is_some_and(|it| it.is_still(shown))
                })
                .map(|shown| (Broken::Lost, format!("was read, and is gone or another: {shown:?}"))),
            Word::Granted(token) => self
                .token
                .filter(|now| now <= token)
                .map(|now| (Broken::Overlap, format!("token {now} was granted after {token}"))),
            Word::Refused(..) | Word::Settled(..) | Word::Unknown(..) | Word::Failed(_) => None,
        }
    }
}

fn owns(primitive: &dyn Primitive, found: &Found) -> bool {
    primitive.streams().iter().any(|beginning| found.stream.starts_with(beginning))
}

/// SQLite's own opinion of the file.
fn check_file(file: &Path) -> Result<()> {
    let connection = rusqlite::Connection::open(file)?;
    let said: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if said == "ok" { Ok(()) } else { Err(said.into()) }
}
