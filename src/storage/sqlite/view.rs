//! The read-only connection: what anybody may see of a store.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use millpond_actors::error::{Error, Occupant, Result};
use millpond_actors::failpoint::{Point, reach};
use millpond_actors::name::Name;
use millpond_actors::storage::change::Change;
use millpond_actors::storage::filter::plan::Standing as Way;
use millpond_actors::storage::list::shelf;
use millpond_actors::storage::lock::Line;
use millpond_actors::storage::projection::Standing as Generation;
use millpond_actors::storage::queue::{self, Numbers, Outlook};
use millpond_actors::storage::record::{Imprint, Marked};
use millpond_actors::storage::schedule::Schedule;
use millpond_actors::storage::snapshot::Kept;
use millpond_actors::storage::stream::{Head, Page, Query, Recorded};
use millpond_actors::storage::subject::KeyState;
use millpond_actors::storage::subscription::{Acknowledged, Span, Standing};
use millpond_actors::storage::{
    Moment, Process, Pulse, Summary, Turn, View, blob as blobs, dict as dicts, feed as feeds, list as lists,
};
use rusqlite::{Connection, Transaction};
use uuid::Uuid;

use super::error::{busy_with, database};
use super::events::Names;
use super::lease::Judge;
use super::migrate::SCHEMA;
use super::place::{Place, Stillness};
use super::sync::Sidecar;
use super::{
    Options, backlog, backup, blob, change, check, dict, dict_index, dict_page, dict_seal, events, feed,
    frozen, lease, list, messages, open, process, projection, record, schedule, snapshot, subject,
    subscription,
};

/// A reader. Whatever it answers from several statements it reads in one transaction, so from one snapshot.
pub(super) struct SqliteView {
    connection: Connection,
    place: Arc<Place>,
    boot: Arc<OnceLock<String>>,
    options: Options,
    sidecar: Option<Sidecar>,
    names: Names,
    /// How the file stood, if it is read as one that nobody changes.
    still: Option<Stillness>,
}

impl SqliteView {
    pub(super) fn open(
        place: Arc<Place>,
        boot: Arc<OnceLock<String>>,
        options: Options,
    ) -> Result<SqliteView> {
        reach(Point::OpenView)?;
        // Whatever lies there now would be read with the log of the file that was opened.
        place.check_same()?;
        let still = if options.read_only { place.stillness()? } else { None };
        let connection = open::looker(&place, still.is_some())?;
        place.check_same()?;
        let (sidecar, names) = (Sidecar::look(&place), Names::new());
        Ok(SqliteView { connection, sidecar, place, boot, options, names, still })
    }

    /// Somebody may have come who writes: then it is read through the log from now on.
    fn keep_still(&mut self) -> Result<()> {
        if self.still.is_none_or(|still| self.place.is_still(&still)) {
            return Ok(());
        }
        *self = SqliteView::open(Arc::clone(&self.place), Arc::clone(&self.boot), self.options)?;
        Ok(())
    }

    /// What took long was read from one file, and not from what somebody was making of it.
    fn was_still(&self) -> Result<()> {
        if self.still.is_none_or(|still| self.place.is_still(&still)) {
            return Ok(());
        }
        Err(busy_with(Occupant::Unknown, Duration::ZERO))
    }

    /// Looks at the sidecar that lies there now. Whether it is another one than before.
    fn keep_sidecar(&mut self) -> bool {
        let stale = self.sidecar.as_ref().is_none_or(|sidecar| !sidecar.is_current());
        if stale {
            self.sidecar = Sidecar::look(&self.place);
        }
        stale && self.sidecar.is_some()
    }

    fn look_for_life(&self, own: u64) -> Result<(Pulse, bool)> {
        process::pulse(&self.connection, self.boot.get().map(String::as_str), self.sidecar.as_ref(), own)
    }

    fn judge(&self, now: Moment) -> Judge<'_> {
        Judge {
            connection: &self.connection,
            boot: self.boot.get().map(String::as_str),
            sidecar: self.sidecar.as_ref(),
            own: None,
            now,
        }
    }

    fn clocks(&self, now: Moment) -> dict::Clocks {
        dict::Clocks::new(now, self.boot.get().map(String::as_str))
    }

    fn one_snapshot(&self) -> Result<Transaction<'_>> {
        self.connection.unchecked_transaction().map_err(database)
    }

    fn process_list(&self, now: Moment) -> Result<Vec<Process>> {
        let boot = self.boot.get().map(String::as_str);
        process::list(&self.connection, boot, self.sidecar.as_ref(), now)
    }

    fn number(&self, sql: &'static str) -> Result<u64> {
        let mut statement = self.connection.prepare_cached(sql).map_err(database)?;
        statement.query_row([], |row| row.get(0)).map_err(database)
    }

    const CATEGORIES: &str = "SELECT c.name, count(*) FROM stream s JOIN category c ON c.id = s.category
        GROUP BY c.id ORDER BY c.name LIMIT 100";

    fn categories(&self) -> Result<Vec<(String, u64)>> {
        let mut statement = self.connection.prepare_cached(Self::CATEGORIES).map_err(database)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(database)?;
        rows.collect::<rusqlite::Result<_>>().map_err(database)
    }

    /// The length of a file, without opening it.
    fn length(&self, suffix: &str) -> u64 {
        std::fs::metadata(self.place.beside(suffix)).map_or(0, |found| found.len())
    }
}

const STREAMS: &str = "SELECT count(*) FROM stream";
const SNAPSHOTS: &str = "SELECT count(*) FROM snapshot";
const LOGS: &str = "SELECT count(*) FROM feed WHERE kind = 1";
const CHANNELS: &str = "SELECT count(*) FROM feed WHERE kind = 2";
const DICTS: &str = "SELECT count(*) FROM dict";
const LISTS: &str = "SELECT count(*) FROM list";
const LOCKS: &str = "SELECT count(*) FROM lock";

impl View for SqliteView {
    fn events(&mut self, query: &Query) -> Result<Page> {
        events::page(&self.connection, &mut self.names, query, self.options.fields)
    }

    fn event(&mut self, id: &Uuid) -> Result<Option<Recorded>> {
        events::by_id(&self.connection, &mut self.names, id)
    }

    fn stream(&mut self, name: &Name) -> Result<Option<Head>> {
        events::head(&self.connection, name)
    }

    fn head(&mut self) -> Result<u64> {
        events::last(&self.connection)
    }

    fn snapshot(&mut self, stream: &Name) -> Result<Option<Kept>> {
        snapshot::load(&self.connection, stream)
    }

    fn subject(&mut self, name: &Name) -> Result<Option<KeyState>> {
        subject::find(&self.connection, name)
    }

    fn list_page(&mut self, query: &lists::Query) -> Result<lists::Page> {
        let _snapshot = self.one_snapshot()?;
        shelf::page(&list::Shelf(&self.connection), query)
    }

    fn list(&mut self, name: &Name) -> Result<Option<lists::Head>> {
        list::head(&self.connection, name)
    }

    fn lists(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<lists::Head>> {
        list::list(&self.connection, after, limit)
    }

    fn dict_entry(&mut self, dict: &Name, key: &str, now: Moment) -> Result<Option<dicts::Entry>> {
        let _snapshot = self.one_snapshot()?;
        dict::entry(&self.connection, dict, key, self.clocks(now))
    }

    fn dict_page(&mut self, query: &dicts::Query, now: Moment) -> Result<dicts::Page> {
        let _snapshot = self.one_snapshot()?;
        dict_page::page(&self.connection, query, self.clocks(now), self.options.fields)
    }

    fn dict_kept(&mut self, dict: &Name) -> Result<Option<dicts::Kept>> {
        let _snapshot = self.one_snapshot()?;
        dict_seal::kept(&self.connection, dict)
    }

    fn dict_indexes(&mut self, dict: &Name) -> Result<Vec<dicts::Index>> {
        let _snapshot = self.one_snapshot()?;
        dict_index::list(&self.connection, dict)
    }

    fn dict_ways(&mut self, query: &dicts::Query) -> Result<Vec<Way>> {
        let _snapshot = self.one_snapshot()?;
        dict_index::ways(&self.connection, query)
    }

    fn dict_stamp(&mut self, name: &Name) -> Result<Option<(u64, u64)>> {
        dict::stamp(&self.connection, name)
    }

    fn dict(&mut self, name: &Name, now: Moment) -> Result<Option<dicts::Head>> {
        let _snapshot = self.one_snapshot()?;
        dict::head(&self.connection, name, self.clocks(now))
    }

    fn dicts(&mut self, after: Option<&str>, limit: u32, now: Moment) -> Result<Vec<dicts::Head>> {
        let _snapshot = self.one_snapshot()?;
        dict::list(&self.connection, after, limit, self.clocks(now))
    }

    fn blob(
        &mut self,
        blobs: &Name,
        key: &str,
        from: u64,
        chunks: u32,
    ) -> Result<Option<(blobs::Blob, blobs::Chunks)>> {
        let _snapshot = self.one_snapshot()?;
        blob::open(&self.connection, blobs, key, from, chunks)
    }

    fn blob_chunks(
        &mut self,
        blobs: &Name,
        blob: &blobs::Blob,
        from: u64,
        chunks: u32,
    ) -> Result<Option<blobs::Chunks>> {
        let _snapshot = self.one_snapshot()?;
        blob::chunks(&self.connection, blobs, blob, from, chunks)
    }

    fn blob_page(&mut self, query: &blobs::Query) -> Result<blobs::Page> {
        let _snapshot = self.one_snapshot()?;
        blob::page(&self.connection, query)
    }

    fn blobs_head(&mut self, name: &Name) -> Result<Option<blobs::Head>> {
        blob::head(&self.connection, name)
    }

    fn blobs_heads(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<blobs::Head>> {
        blob::heads(&self.connection, after, limit)
    }

    fn feed_page(&mut self, query: &feeds::Query) -> Result<feeds::Page> {
        let _snapshot = self.one_snapshot()?;
        messages::page(&self.connection, query, self.options.fields)
    }

    fn feed(&mut self, kind: feeds::Kind, name: &Name) -> Result<Option<feeds::Head>> {
        let _snapshot = self.one_snapshot()?;
        feed::head(&self.connection, kind, name)
    }

    fn feeds(&mut self, kind: feeds::Kind, after: Option<&str>, limit: u32) -> Result<Vec<feeds::Head>> {
        feed::list(&self.connection, kind, after, limit)
    }

    fn subscriptions(&mut self, kind: feeds::Kind, name: &Name) -> Result<Vec<Standing>> {
        let _snapshot = self.one_snapshot()?;
        subscription::list(&self.connection, kind, name)
    }

    fn acknowledged(
        &mut self,
        kind: feeds::Kind,
        feed: &Name,
        subscription: &Name,
        within: Span,
    ) -> Result<Option<Acknowledged>> {
        let _snapshot = self.one_snapshot()?;
        subscription::acknowledged(&self.connection, (kind, feed), subscription, within)
    }

    fn projection(&mut self, name: &Name) -> Result<Vec<Generation>> {
        projection::find(&self.connection, name)
    }

    fn projections(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<Generation>> {
        projection::list(&self.connection, after, limit)
    }

    fn lock(&mut self, name: &Name, now: Moment) -> Result<Option<Line>> {
        self.keep_sidecar();
        let _snapshot = self.one_snapshot()?;
        lease::line(&self.judge(now), name)
    }

    fn locks(&mut self, after: Option<&str>, limit: u32, now: Moment) -> Result<Vec<Line>> {
        self.keep_sidecar();
        let _snapshot = self.one_snapshot()?;
        lease::lines(&self.judge(now), after, limit)
    }

    fn changes(&mut self, after: u64, limit: u32) -> Result<Vec<Change>> {
        change::after(&self.connection, after, limit)
    }

    fn queue(&mut self, name: &Name) -> Result<Option<Numbers>> {
        backlog::numbers(&self.connection, name)
    }

    fn queues(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<Numbers>> {
        backlog::all_numbers(&self.connection, after, limit)
    }

    fn queue_outlook(&mut self, name: &Name, now: Moment) -> Result<Option<Outlook>> {
        self.keep_sidecar();
        let _snapshot = self.one_snapshot()?;
        backlog::outlook(&self.judge(now), name)
    }

    fn schedules(&mut self, queue: &Name) -> Result<Vec<Result<Schedule>>> {
        let _snapshot = self.one_snapshot()?;
        schedule::list(&self.connection, queue)
    }

    fn jobs(&mut self, query: &queue::Query) -> Result<queue::Page> {
        let _snapshot = self.one_snapshot()?;
        backlog::page(&self.connection, query)
    }

    fn job_of_key(&mut self, queue: &Name, key: &str) -> Result<Option<queue::Job>> {
        let _snapshot = self.one_snapshot()?;
        backlog::of_key(&self.connection, queue, key)
    }

    fn refresh(&mut self) -> Result<()> {
        self.keep_still()
    }

    fn backup(&mut self, to: &Path) -> Result<u64> {
        backup::backup(&self.place, to)
    }

    fn frozen(&mut self) -> Result<Box<dyn View>> {
        self.keep_still()?;
        let frozen = frozen::frozen(&self.place, &self.boot, (self.options, self.still.is_some()))?;
        self.was_still().map(|()| -> Box<dyn View> { Box::new(frozen) })
    }

    fn check(&mut self, found: &mut dyn FnMut(Error) -> bool) -> Result<()> {
        self.keep_still()?;
        check::check(&self.connection, found)?;
        self.was_still()
    }

    fn imprint(&mut self) -> Result<Imprint> {
        let _snapshot = self.one_snapshot()?;
        record::imprint(&self.connection)
    }

    fn marked_streams(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<Marked>> {
        record::marked(&self.connection, after, limit)
    }

    fn subjects(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<(String, Result<KeyState>)>> {
        let _snapshot = self.one_snapshot()?;
        record::subjects(&self.connection, after, limit)
    }

    fn processes(&mut self, now: Moment) -> Result<Vec<Process>> {
        self.keep_sidecar();
        let _snapshot = self.one_snapshot()?;
        self.process_list(now)
    }

    fn summary(&mut self, now: Moment) -> Result<Summary> {
        self.keep_sidecar();
        let _snapshot = self.one_snapshot()?;
        let processes = self.process_list(now)?;
        let living: HashSet<u64> =
            processes.iter().filter(|process| process.alive).map(|process| process.id).collect();
        // A lock that several share is one lock.
        let held: HashSet<u64> = lease::held(&self.connection, now)?
            .into_iter()
            .filter_map(|(lock, process)| living.contains(&process).then_some(lock))
            .collect();
        let locks_held = held.len() as u64;
        let head = events::last(&self.connection)?;
        let (blobs, blob_bytes, blob_contents) = blob::totals(&self.connection)?;
        let (queues, jobs, jobs_dead) = backlog::totals(&self.connection)?;
        Ok(Summary {
            streams: self.number(STREAMS)?,
            // Positions are dense from 1 on and events are never removed: counting them all would say the same.
            events: head,
            head,
            categories: self.categories()?,
            snapshots: self.number(SNAPSHOTS)?,
            logs: self.number(LOGS)?,
            channels: self.number(CHANNELS)?,
            dicts: self.number(DICTS)?,
            lists: self.number(LISTS)?,
            blobs,
            blob_bytes,
            blob_contents,
            locks: self.number(LOCKS)?,
            locks_held,
            tickets_waiting: processes.iter().map(|process| process.waits).sum(),
            queues,
            jobs,
            jobs_dead,
            file_bytes: self.length(""),
            log_bytes: self.length("-wal"),
            schema: SCHEMA,
        })
    }

    fn turn_holder(&mut self) -> Result<Option<Turn>> {
        self.keep_sidecar();
        match &self.sidecar {
            Some(sidecar) => process::turn_holder(&self.connection, sidecar),
            None => Ok(None),
        }
    }

    fn pulse(&mut self, own: u64) -> Result<Pulse> {
        self.keep_still()?;
        let (pulse, strangers) = self.look_for_life(own)?;
        // Asking for the path takes as long as all the rest of a look, and who takes a new sidecar says so in its row.
        if strangers && self.keep_sidecar() {
            return self.look_for_life(own).map(|(pulse, _)| pulse);
        }
        Ok(pulse)
    }
}
