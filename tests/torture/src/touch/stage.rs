//! A store that is in use, and what its user was told.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use millpond::{Error, Event, Expected, Store};
use uuid::Uuid;

use crate::Result;
use crate::crew::Crew;
use crate::random::Random;
use crate::recording::{folder, until_closed};
use crate::within::within;

/// No call takes this long.
const DEADLINE: Duration = Duration::from_secs(20);

/// How long a call may take: whoever cannot write says so after this time.
const CALL: Duration = Duration::from_millis(300);

/// An event that was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Acked {
    pub(super) number: u64,
    /// Version and position.
    pub(super) place: (u64, u64),
}

/// A store in use.
#[derive(Debug)]
pub(super) struct Stage {
    folder: tempfile::TempDir,
    pub(super) file: PathBuf,
    store: Option<Store>,
    crew: Crew,
    next: u64,
    pub(super) acked: Vec<Acked>,
}

/// What came of reading everything: what was found by number, and the first error.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) events: HashMap<u64, (u64, u64)>,
    pub(super) error: Option<Error>,
}

fn id(number: u64) -> Uuid {
    Uuid::from_u128(u128::from(number) | 7 << 76)
}

impl Stage {
    /// A store that was used, closed, copied, and is used again; the copy is [`Stage::old`]. How much, chance decides.
    pub(super) fn new(program: &Path, random: &mut Random) -> Result<Stage> {
        let folder = folder()?;
        let file = folder.path().join("touch.db");
        let crew = Crew::new(program, 1);
        let mut stage = Stage { folder, file, store: None, crew, next: 0, acked: Vec::new() };
        stage.open()?;
        stage.append(6 + random.below(30))?;
        stage.close()?;
        fs::copy(&stage.file, stage.old())?;
        stage.open()?;
        stage.append(6 + random.below(30))?;
        Ok(stage)
    }

    /// A copy of the store, half as old as it.
    pub(super) fn old(&self) -> PathBuf {
        self.at("old.db")
    }

    /// A path in its folder.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file beside the store.
    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        self.at(&format!("touch.db{suffix}"))
    }

    fn open(&mut self) -> Result<()> {
        let builder = Store::builder().readers(1).call_timeout(CALL);
        self.store = Some(within(DEADLINE, builder.open(&self.file)).ok_or("open hangs")??);
        Ok(())
    }

    fn store(&self) -> Result<&Store> {
        Ok(self.store.as_ref().ok_or("the store is not open")?)
    }

    /// Appends so many events, one by one; the errors of those that were refused.
    pub(super) fn append(&mut self, count: u64) -> Result<Vec<Error>> {
        let mut errors = Vec::new();
        for _ in 0..count {
            self.next += 1;
            let number = self.next;
            let event = Event::new("Touched", &serde_json::json!({ "number": number }))?.id(id(number));
            let events = self.store()?.events();
            let append = events.append(format!("touch-{}", number % 3), Expected::Any, [event]);
            match within(DEADLINE, append).ok_or("an append hangs")? {
                Ok(done) => self.acked.push(Acked { number, place: (done.version, done.position) }),
                Err(error) => errors.push(error),
            }
        }
        Ok(errors)
    }

    /// Everything that the open store has.
    pub(super) fn read(&self) -> Result<Found> {
        within(DEADLINE, read(self.store()?)).ok_or_else(|| "reading hangs".into())
    }

    /// Ends it in order.
    pub(super) fn close(&mut self) -> Result<()> {
        if let Some(store) = self.store.take() {
            within(DEADLINE, store.close()).ok_or("close hangs")??;
        }
        Ok(())
    }

    /// Ends it as if it were killed.
    pub(super) fn kill(&mut self) -> Result<()> {
        drop(self.store.take());
        until_closed(&self.file)
    }

    /// Opens a store anew, and reads everything.
    pub(super) fn look(file: &Path) -> Result<Found> {
        let opened = within(DEADLINE, Store::builder().readers(1).open(file)).ok_or("open hangs")?;
        let store = match opened {
            Ok(store) => store,
            Err(error) => return Ok(Found { error: Some(error), ..Found::default() }),
        };
        let found = within(DEADLINE, read(&store)).ok_or("reading hangs")?;
        within(DEADLINE, store.close()).ok_or("close hangs")??;
        Ok(found)
    }

    /// Another process does something to files.
    pub(super) fn run(program: &str, arguments: &[&Path]) -> Result<()> {
        let output = Command::new(program).args(arguments).output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)).into())
    }

    /// Another process that has SQLite of its own runs statements, and keeps its connection.
    pub(super) fn sql(&mut self, sql: &str) -> Result<()> {
        let arguments = [super::CHILD.to_owned(), self.file.display().to_string(), sql.to_owned()];
        self.crew.start(0, &arguments, &[])?;
        match self.crew.hear(DEADLINE) {
            Some((_, Some(line))) if line == "done" => Ok(()),
            other => Err(format!("{sql}: {other:?}").into()),
        }
    }

    /// That process ends, if there is one, and what it held is free.
    pub(super) fn let_go(&mut self) -> Result<()> {
        if self.crew.tell(0, "end").is_ok() {
            let end = self.crew.hear(DEADLINE);
            self.crew.kill(0)?;
            if !matches!(end, Some((_, None))) {
                return Err(format!("the other program does not end: {end:?}").into());
            }
        }
        Ok(())
    }
}

async fn read(store: &Store) -> Found {
    let (mut found, mut events) = (Found::default(), store.events().read_all());
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                let number =
                    event.decode::<serde_json::Value>().ok().and_then(|value| value.get("number")?.as_u64());
                found.events.insert(number.unwrap_or(0), (event.version(), event.position()));
            }
            Err(error) => drop(found.error.get_or_insert(error)),
        }
    }
    found
}
