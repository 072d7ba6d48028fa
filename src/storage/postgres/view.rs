//! The connection that reads: what anybody may see of a store, each time as it is at one moment.

use std::path::Path;
use std::sync::Arc;

use millpond_actors::engine::Store;
use millpond_actors::error::{Error, Result};
use millpond_actors::failpoint::{Point, reach};
use millpond_actors::name::Name;
use millpond_actors::storage::change::Change;
use millpond_actors::storage::filter::plan::{self, Standing as Way};
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
use uuid::Uuid;

use super::connection::{Connection, Step};
use super::count;
use super::ground::Ground;
use super::param::{Param, Reading, signed};
use super::settings;
use super::transaction::{BEGIN, Transaction};
use super::turn;

/// How often a read is begun again whose connection was lost: what loses it each time would do so for ever.
const LOSSES: usize = 8;

/// A reader.
pub(super) struct PostgresView {
    ground: Arc<Ground>,
    line: Connection,
    /// All calls see the moment of the first.
    frozen: bool,
}

impl PostgresView {
    pub(super) fn open(ground: Arc<Ground>) -> Result<PostgresView> {
        reach(Point::OpenView)?;
        let line = ground.connect_patiently()?;
        Ok(PostgresView { ground, line, frozen: false })
    }

    /// Looks at one moment, on a connection that stands: anew if that was lost meanwhile, unless what was seen on it cannot be seen again.
    fn see<T>(&mut self, look: impl Fn(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut losses = 0;
        loop {
            if self.line.is_closed() && !self.frozen {
                self.line = self.ground.connect_patiently()?;
            }
            let transaction = Transaction::on(&self.line, &self.ground, self.frozen);
            let seen = look(&transaction);
            if !self.frozen {
                transaction.end();
            }
            losses += 1;
            if seen.is_ok() || !self.line.is_closed() || self.frozen || losses > LOSSES {
                return seen;
            }
        }
    }

    fn read<T>(&mut self, run: impl Fn(&Store) -> Result<T>) -> Result<T> {
        self.see(|transaction| transaction.read(&run))
    }
}

impl View for PostgresView {
    fn events(&mut self, query: &Query) -> Result<Page> {
        self.read(|store| Ok(store.page(query)))
    }

    fn event(&mut self, id: &Uuid) -> Result<Option<Recorded>> {
        self.read(|store| Ok(store.event_of(id)))
    }

    fn stream(&mut self, name: &Name) -> Result<Option<Head>> {
        self.read(|store| Ok(store.stream_head(name)))
    }

    fn head(&mut self) -> Result<u64> {
        self.read(|store| Ok(store.head()))
    }

    fn snapshot(&mut self, stream: &Name) -> Result<Option<Kept>> {
        self.read(|store| Ok(store.snapshot(stream)))
    }

    fn subject(&mut self, name: &Name) -> Result<Option<KeyState>> {
        self.read(|store| Ok(store.subject(name)))
    }

    fn dict_entry(&mut self, dict: &Name, key: &str, now: Moment) -> Result<Option<dicts::Entry>> {
        self.read(|store| Ok(store.dict_entry(dict, key, now)))
    }

    fn dict_page(&mut self, query: &dicts::Query, now: Moment) -> Result<dicts::Page> {
        self.read(|store| store.dict_page(query, now))
    }

    fn dict_kept(&mut self, dict: &Name) -> Result<Option<dicts::Kept>> {
        self.read(|store| Ok(store.dict_kept(dict)))
    }

    fn dict_indexes(&mut self, dict: &Name) -> Result<Vec<dicts::Index>> {
        self.see(|transaction| {
            let mut indexes = transaction.read(|store| Ok(store.indexes_declared(dict)))?;
            for index in &mut indexes {
                index.rows = count::of(&transaction.ask(count::INDEXED, count::indexed(dict, &index.path))?)?;
            }
            Ok(indexes)
        })
    }

    fn dict_ways(&mut self, query: &dicts::Query) -> Result<Vec<Way>> {
        let Some(filter) = query.filter.as_deref() else { return Ok(Vec::new()) };
        self.see(|transaction| {
            let complete = transaction.read(|store| store.indexes_complete(query))?;
            let Some(complete) = complete else { return Ok(Vec::new()) };
            plan::choose(filter, &complete, &mut |path, spans| {
                spans.iter().try_fold(0, |sum, span| {
                    let (sql, params) = count::span(&query.dict, path, span);
                    Ok(sum + count::of(&transaction.ask(&sql, params)?)?)
                })
            })
        })
    }

    fn dict_stamp(&mut self, name: &Name) -> Result<Option<(u64, u64)>> {
        self.read(|store| Ok(store.dict_stamp(name)))
    }

    fn dict(&mut self, name: &Name, now: Moment) -> Result<Option<dicts::Head>> {
        self.see(|transaction| {
            let head = transaction.read(|store| Ok(store.dict_row(name)))?;
            head.map(|head| count::entries(transaction, head, now)).transpose()
        })
    }

    fn dicts(&mut self, after: Option<&str>, limit: u32, now: Moment) -> Result<Vec<dicts::Head>> {
        self.see(|transaction| {
            let heads = transaction.read(|store| Ok(store.dict_rows(after, limit)))?;
            heads.into_iter().map(|head| count::entries(transaction, head, now)).collect()
        })
    }

    fn list_page(&mut self, query: &lists::Query) -> Result<lists::Page> {
        self.read(|store| shelf::page(store, query))
    }

    fn list(&mut self, name: &Name) -> Result<Option<lists::Head>> {
        self.read(|store| Ok(store.list_head(name)))
    }

    fn lists(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<lists::Head>> {
        self.read(|store| Ok(store.list_list(after, limit)))
    }

    fn blob(
        &mut self,
        blobs: &Name,
        key: &str,
        from: u64,
        chunks: u32,
    ) -> Result<Option<(blobs::Blob, blobs::Chunks)>> {
        self.read(|store| Ok(store.blob(blobs, key, from, chunks)))
    }

    fn blob_chunks(
        &mut self,
        blobs: &Name,
        blob: &blobs::Blob,
        from: u64,
        chunks: u32,
    ) -> Result<Option<blobs::Chunks>> {
        self.read(|store| Ok(store.blob_chunks(blobs, blob, from, chunks)))
    }

    fn blob_page(&mut self, query: &blobs::Query) -> Result<blobs::Page> {
        self.read(|store| Ok(store.blob_page(query)))
    }

    fn blobs_head(&mut self, name: &Name) -> Result<Option<blobs::Head>> {
        self.read(|store| Ok(store.blobs_head(name)))
    }

    fn blobs_heads(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<blobs::Head>> {
        self.read(|store| Ok(store.blobs_heads(after, limit)))
    }

    fn feed_page(&mut self, query: &feeds::Query) -> Result<feeds::Page> {
        self.read(|store| Ok(store.feed_page(query)))
    }

    fn feed(&mut self, kind: feeds::Kind, name: &Name) -> Result<Option<feeds::Head>> {
        self.read(|store| Ok(store.feed_head(kind, name)))
    }

    fn feeds(&mut self, kind: feeds::Kind, after: Option<&str>, limit: u32) -> Result<Vec<feeds::Head>> {
        self.read(|store| Ok(store.feed_list(kind, after, limit)))
    }

    fn subscriptions(&mut self, kind: feeds::Kind, name: &Name) -> Result<Vec<Standing>> {
        self.read(|store| Ok(store.subscription_list(kind, name)))
    }

    fn acknowledged(
        &mut self,
        kind: feeds::Kind,
        feed: &Name,
        subscription: &Name,
        within: Span,
    ) -> Result<Option<Acknowledged>> {
        self.read(|store| Ok(store.acknowledged(kind, feed, subscription, within)))
    }

    fn projection(&mut self, name: &Name) -> Result<Vec<Generation>> {
        self.read(|store| Ok(store.projection(name)))
    }

    fn projections(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<Generation>> {
        self.read(|store| Ok(store.projection_list(after, limit)))
    }

    fn lock(&mut self, name: &Name, now: Moment) -> Result<Option<Line>> {
        self.read(|store| Ok(store.line(name, now)))
    }

    fn locks(&mut self, after: Option<&str>, limit: u32, now: Moment) -> Result<Vec<Line>> {
        self.read(|store| Ok(store.lines(after, limit, now)))
    }

    fn changes(&mut self, after: u64, limit: u32) -> Result<Vec<Change>> {
        self.read(|store| Ok(store.changes(after, limit)))
    }

    fn queue(&mut self, name: &Name) -> Result<Option<Numbers>> {
        self.see(|transaction| {
            let numbers = transaction.read(|store| Ok(store.queue_row(name)))?;
            numbers.map(|numbers| count::jobs(transaction, numbers)).transpose()
        })
    }

    fn queues(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<Numbers>> {
        self.see(|transaction| {
            let all = transaction.read(|store| Ok(store.queue_rows(after, limit)))?;
            all.into_iter().map(|numbers| count::jobs(transaction, numbers)).collect()
        })
    }

    fn queue_outlook(&mut self, name: &Name, now: Moment) -> Result<Option<Outlook>> {
        self.read(|store| Ok(store.queue_outlook(name, now)))
    }

    fn schedules(&mut self, queue: &Name) -> Result<Vec<Result<Schedule>>> {
        self.read(|store| Ok(store.schedule_list(queue)))
    }

    fn jobs(&mut self, query: &queue::Query) -> Result<queue::Page> {
        self.read(|store| Ok(store.job_page(query)))
    }

    fn job_of_key(&mut self, queue: &Name, key: &str) -> Result<Option<queue::Job>> {
        self.read(|store| Ok(store.job_of_key(queue, key)))
    }

    fn backup(&mut self, _: &Path) -> Result<u64> {
        let what = "a backup of a store on a server".into();
        let reason =
            "pg_dump and the server's own backups are for that; `millpond dump` and `millpond copy` work too"
                .into();
        Err(Error::Unsupported { what, reason })
    }

    fn frozen(&mut self) -> Result<Box<dyn View>> {
        let line = self.ground.connect_patiently()?;
        // The moment is that of the first statement.
        line.script(&format!("{BEGIN}; {}; SELECT 1 FROM @store", settings::gazing()))?;
        Ok(Box::new(PostgresView { ground: Arc::clone(&self.ground), line, frozen: true }))
    }

    /// The server looks after its own pages.
    fn check(&mut self, _: &mut dyn FnMut(Error) -> bool) -> Result<()> {
        Ok(())
    }

    fn imprint(&mut self) -> Result<Imprint> {
        let imprint = self.read(|store| Ok(store.imprint()))?;
        Ok(Imprint { store: self.ground.place.uuid, schema: super::migrate::SCHEMA, ..imprint })
    }

    fn marked_streams(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<Marked>> {
        self.read(|store| Ok(store.marked_streams(after, limit)))
    }

    fn subjects(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<(String, Result<KeyState>)>> {
        self.read(|store| Ok(store.subject_list(after, limit)))
    }

    fn processes(&mut self, now: Moment) -> Result<Vec<Process>> {
        self.read(|store| Ok(store.process_list(now)))
    }

    fn summary(&mut self, now: Moment) -> Result<Summary> {
        let schema = self.ground.address.schema().to_owned();
        self.see(|transaction| {
            let (processes, held) =
                transaction.read(|store| Ok((store.process_list(now), store.held(now))))?;
            let tickets_waiting = processes.iter().map(|process| process.waits).sum();
            Ok(Summary { locks_held: held, tickets_waiting, ..count::summary(transaction, &schema)? })
        })
    }

    fn turn_holder(&mut self) -> Result<Option<Turn>> {
        let oid = self.ground.place.oid;
        self.see(|transaction| turn::holder(transaction.line(), oid))
    }

    /// One statement for what others have written, and one for who lives.
    fn pulse(&mut self, own: u64) -> Result<Pulse> {
        let oid = self.ground.place.oid;
        let answers = self.see(|transaction| {
            let pulse = Step::new(count::PULSE, vec![Param::Int(signed(own))]);
            transaction.ask_all([pulse, Step::new(turn::registered(oid), Vec::new())])
        })?;
        let [found, living] = answers.as_slice() else { return Ok(Pulse::default()) };
        let Some(row) = found.first() else { return Ok(Pulse::default()) };
        let mut row = Reading::of(row);
        let (groups, joined) = (row.number()?, row.number()?);
        Ok(Pulse { groups, living: turn::read_living(living)?.into_iter().collect(), joined })
    }
}
