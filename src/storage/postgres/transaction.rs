//! A transaction that reads: whatever is looked for in it is seen as it is at one moment, in however many steps.

use std::cell::Cell;

use millpond_actors::engine::Store;
use millpond_actors::error::Result;
use tokio_postgres::Row;

use super::connection::{Connection, Step};
use super::ground::Ground;
use super::param::Param;
use super::{settings, tables};

/// How one begins that sees one moment and writes nothing.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// So many rows of a range are fetched at first: a page, mostly.
const FIRST: usize = 256;

/// One, which begins with the first thing that has to be asked.
pub(super) struct Transaction<'a> {
    ground: &'a Ground,
    line: &'a Connection,
    begun: Cell<bool>,
}

impl<'a> Transaction<'a> {
    /// On a connection, where one is under way already or not.
    pub(super) fn on(line: &'a Connection, ground: &'a Ground, begun: bool) -> Transaction<'a> {
        Transaction { ground, line, begun: begun.into() }
    }

    /// Reads what is to be read, again and again until all that is looked for has been fetched.
    pub(super) fn read<T>(&self, run: impl Fn(&Store) -> Result<T>) -> Result<T> {
        let mut store = Store::elsewhere(self.ground.fields, FIRST);
        self.boot().clone_into(&mut store.boot);
        loop {
            let read = run(&store);
            if !store.was_missing() {
                return read;
            }
            tables::fetch(&mut store, self.line, self.ground.place.oid, self.beginning())?;
        }
    }

    /// Asks one thing.
    pub(super) fn ask(&self, sql: &str, params: Vec<Param<'_>>) -> Result<Vec<Row>> {
        self.ask_all([Step::new(sql, params)]).map(|mut answers| answers.pop().unwrap_or_default())
    }

    /// Asks several things at once.
    pub(super) fn ask_all<'s>(&self, asked: impl IntoIterator<Item = Step<'s>>) -> Result<Vec<Vec<Row>>> {
        let mut steps = self.beginning();
        let ahead = steps.len();
        steps.extend(asked);
        Ok(self.line.all(&steps)?.split_off(ahead))
    }

    /// Of the machine that reads, if that is known.
    pub(super) fn boot(&self) -> &str {
        self.ground.boot.get().map_or("", String::as_str)
    }

    /// Asks something of the server that is the same in every transaction.
    pub(super) fn line(&self) -> &Connection {
        self.line
    }

    /// Ends it, if it has begun. Nobody waits for that.
    pub(super) fn end(self) {
        if self.begun.get() {
            self.line.tell(Step::new("COMMIT", Vec::new()));
        }
    }

    fn beginning<'s>(&self) -> Vec<Step<'s>> {
        if self.begun.replace(true) {
            return Vec::new();
        }
        vec![Step::new(BEGIN, Vec::new()), Step::new(settings::reading(), Vec::new())]
    }
}
