//! Dumps: a store as text, made while it is in use, and back.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use millpond_actors::clock::Moment;
use millpond_actors::error::Result;
use millpond_actors::storage::{Session, View};

use super::Store;
use crate::dump::{self, Dump, Dumped, Load, Loaded, Plan};
use crate::location::Location;

impl Store {
    /// Writes all that is in the store as lines of JSON, as it is at one moment, while it and other processes go on. It is for people,
    /// for other programs, for another database, and for a store that has to be put together anew; to have a store twice, a
    /// [backup](Store::backup) is faster.
    pub async fn dump<W: Write + Send + 'static>(&self, to: W, dump: Dump) -> Result<Dumped> {
        self.runtime.read_aside(DUMP, self.dumping(to, dump)).await
    }

    /// The same for a thread that waits.
    pub(crate) fn dump_blocking<W: Write + Send + 'static>(&self, to: W, dump: Dump) -> Result<Dumped> {
        self.runtime.read_aside_blocking(DUMP, self.dumping(to, dump))
    }

    fn dumping<W: Write + Send + 'static>(
        &self,
        mut to: W,
        dump: Dump,
    ) -> impl FnOnce(&mut dyn View) -> Result<Dumped> + Send + 'static {
        let clock = self.runtime.seams().clock.clone();
        move |view| {
            let mut frozen = view.frozen()?;
            dump::write(&mut *frozen, clock.now(), &mut to, dump)
        }
    }

    /// Puts what was dumped into this store.
    pub async fn load<R: Read + Send + 'static>(&self, from: R, load: Load) -> Result<Loaded> {
        let plan = self.runtime.read_aside(LOAD, self.planning(from, load)).await?;
        self.runtime.write_aside(LOAD, loading(plan)).await
    }

    /// The same for a thread that waits.
    pub(crate) fn load_blocking<R: Read + Send + 'static>(&self, from: R, load: Load) -> Result<Loaded> {
        let plan = self.runtime.read_aside_blocking(LOAD, self.planning(from, load))?;
        self.runtime.write_aside_blocking(LOAD, loading(plan))
    }

    fn planning<R: Read + Send + 'static>(
        &self,
        from: R,
        load: Load,
    ) -> impl FnOnce(&mut dyn View) -> Result<Plan> + Send + 'static {
        let folder = self.folder();
        move |_| dump::plan(from, folder.as_deref(), load)
    }

    /// Where the store's file is, if it has one.
    fn folder(&self) -> Option<PathBuf> {
        let Location::File(path) = &self.location else { return None };
        path.parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .or(Some(Path::new(".")))
            .map(Path::to_owned)
    }
}

fn loading(plan: Plan) -> impl FnOnce(&mut dyn Session, Moment) -> Result<Loaded> + Send + 'static {
    move |session, now| dump::load(session, now, plan)
}

const DUMP: &str = "millpond-dump";
const LOAD: &str = "millpond-load";
