//! Reading in memory: each call looks at the committed side, under the one lock, so that it sees one moment.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::{Shared, Sides};
use crate::engine::Store;
use crate::error::{Error, Result};
use crate::name::Name;
use crate::storage::change::Change;
use crate::storage::list::shelf;
use crate::storage::lock::Line;
use crate::storage::projection::Standing;
use crate::storage::queue::{self, Numbers, Outlook};
use crate::storage::schedule::Schedule;
use crate::storage::snapshot::Kept;
use crate::storage::stream::{Head, Page, Query, Recorded};
use crate::storage::subject::KeyState;
use crate::storage::{
    Moment, Process, Pulse, Summary, Turn, View, blob, dict, feed, filter, list, record, subscription,
};

/// A reader.
#[derive(Debug)]
pub(super) struct MemoryView(pub(super) Arc<Shared>);

impl View for MemoryView {
    fn events(&mut self, query: &Query) -> Result<Page> {
        Ok(self.0.store().committed.page(query))
    }

    fn event(&mut self, id: &Uuid) -> Result<Option<Recorded>> {
        self.0.faults.on_find()?;
        Ok(self.0.store().committed.event_of(id))
    }

    fn stream(&mut self, name: &Name) -> Result<Option<Head>> {
        Ok(self.0.store().committed.stream_head(name))
    }

    fn head(&mut self) -> Result<u64> {
        Ok(self.0.store().committed.head())
    }

    fn snapshot(&mut self, stream: &Name) -> Result<Option<Kept>> {
        Ok(self.0.store().committed.snapshot(stream))
    }

    fn subject(&mut self, name: &Name) -> Result<Option<KeyState>> {
        Ok(self.0.store().committed.subject(name))
    }

    fn list_page(&mut self, query: &list::Query) -> Result<list::Page> {
        shelf::page(&self.0.store().committed, query)
    }

    fn list(&mut self, name: &Name) -> Result<Option<list::Head>> {
        Ok(self.0.store().committed.list_head(name))
    }

    fn lists(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<list::Head>> {
        Ok(self.0.store().committed.list_list(after, limit))
    }

    fn dict_entry(&mut self, dict: &Name, key: &str, now: Moment) -> Result<Option<dict::Entry>> {
        Ok(self.0.store().committed.dict_entry(dict, key, now))
    }

    fn dict_page(&mut self, query: &dict::Query, now: Moment) -> Result<dict::Page> {
        self.0.store().committed.dict_page(query, now)
    }

    fn dict_kept(&mut self, dict: &Name) -> Result<Option<dict::Kept>> {
        Ok(self.0.store().committed.dict_kept(dict))
    }

    fn dict_indexes(&mut self, dict: &Name) -> Result<Vec<dict::Index>> {
        Ok(self.0.store().committed.dict_indexes(dict))
    }

    fn dict_ways(&mut self, query: &dict::Query) -> Result<Vec<filter::plan::Standing>> {
        self.0.store().committed.dict_ways(query)
    }

    fn dict_stamp(&mut self, name: &Name) -> Result<Option<(u64, u64)>> {
        Ok(self.0.store().committed.dict_stamp(name))
    }

    fn dict(&mut self, name: &Name, now: Moment) -> Result<Option<dict::Head>> {
        Ok(self.0.store().committed.dict_head(name, now))
    }

    fn dicts(&mut self, after: Option<&str>, limit: u32, now: Moment) -> Result<Vec<dict::Head>> {
        Ok(self.0.store().committed.dict_list(after, limit, now))
    }

    fn blob(
        &mut self,
        blobs: &Name,
        key: &str,
        from: u64,
        chunks: u32,
    ) -> Result<Option<(blob::Blob, blob::Chunks)>> {
        Ok(self.0.store().committed.blob(blobs, key, from, chunks))
    }

    fn blob_chunks(
        &mut self,
        blobs: &Name,
        blob: &blob::Blob,
        from: u64,
        chunks: u32,
    ) -> Result<Option<blob::Chunks>> {
        Ok(self.0.store().committed.blob_chunks(blobs, blob, from, chunks))
    }

    fn blob_page(&mut self, query: &blob::Query) -> Result<blob::Page> {
        Ok(self.0.store().committed.blob_page(query))
    }

    fn blobs_head(&mut self, name: &Name) -> Result<Option<blob::Head>> {
        Ok(self.0.store().committed.blobs_head(name))
    }

    fn blobs_heads(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<blob::Head>> {
        Ok(self.0.store().committed.blobs_heads(after, limit))
    }

    fn feed_page(&mut self, query: &feed::Query) -> Result<feed::Page> {
        Ok(self.0.store().committed.feed_page(query))
    }

    fn feed(&mut self, kind: feed::Kind, name: &Name) -> Result<Option<feed::Head>> {
        Ok(self.0.store().committed.feed_head(kind, name))
    }

    fn feeds(&mut self, kind: feed::Kind, after: Option<&str>, limit: u32) -> Result<Vec<feed::Head>> {
        Ok(self.0.store().committed.feed_list(kind, after, limit))
    }

    fn subscriptions(&mut self, kind: feed::Kind, name: &Name) -> Result<Vec<subscription::Standing>> {
        Ok(self.0.store().committed.subscription_list(kind, name))
    }

    fn acknowledged(
        &mut self,
        kind: feed::Kind,
        feed: &Name,
        subscription: &Name,
        within: subscription::Span,
    ) -> Result<Option<subscription::Acknowledged>> {
        Ok(self.0.store().committed.acknowledged(kind, feed, subscription, within))
    }

    fn projection(&mut self, name: &Name) -> Result<Vec<Standing>> {
        Ok(self.0.store().committed.projection(name))
    }

    fn projections(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<Standing>> {
        Ok(self.0.store().committed.projection_list(after, limit))
    }

    fn lock(&mut self, name: &Name, now: Moment) -> Result<Option<Line>> {
        Ok(self.0.store().committed.line(name, now))
    }

    fn locks(&mut self, after: Option<&str>, limit: u32, now: Moment) -> Result<Vec<Line>> {
        Ok(self.0.store().committed.lines(after, limit, now))
    }

    fn changes(&mut self, after: u64, limit: u32) -> Result<Vec<Change>> {
        Ok(self.0.store().committed.changes(after, limit))
    }

    fn queue(&mut self, name: &Name) -> Result<Option<Numbers>> {
        Ok(self.0.store().committed.queue_numbers(name))
    }

    fn queues(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<Numbers>> {
        Ok(self.0.store().committed.queues_numbers(after, limit))
    }

    fn queue_outlook(&mut self, name: &Name, now: Moment) -> Result<Option<Outlook>> {
        Ok(self.0.store().committed.queue_outlook(name, now))
    }

    fn schedules(&mut self, queue: &Name) -> Result<Vec<Result<Schedule>>> {
        Ok(self.0.store().committed.schedule_list(queue))
    }

    fn jobs(&mut self, query: &queue::Query) -> Result<queue::Page> {
        Ok(self.0.store().committed.job_page(query))
    }

    fn job_of_key(&mut self, queue: &Name, key: &str) -> Result<Option<queue::Job>> {
        Ok(self.0.store().committed.job_of_key(queue, key))
    }

    fn backup(&mut self, _: &Path) -> Result<u64> {
        let (what, reason) = ("a backup of a store in memory".into(), "there is no file to be copied".into());
        Err(Error::Unsupported { what, reason })
    }

    fn frozen(&mut self) -> Result<Box<dyn View>> {
        let committed = self.0.store().committed.clone();
        let store = Sides { committed, working: Store::default() };
        Ok(Box::new(MemoryView(Arc::new(Shared { store: store.into(), ..Shared::default() }))))
    }

    /// There is nothing beside the records.
    fn check(&mut self, _: &mut dyn FnMut(Error) -> bool) -> Result<()> {
        Ok(())
    }

    fn imprint(&mut self) -> Result<record::Imprint> {
        Ok(self.0.store().committed.imprint())
    }

    fn marked_streams(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<record::Marked>> {
        Ok(self.0.store().committed.marked_streams(after, limit))
    }

    fn subjects(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<(String, Result<KeyState>)>> {
        Ok(self.0.store().committed.subject_list(after, limit))
    }

    fn processes(&mut self, now: Moment) -> Result<Vec<Process>> {
        Ok(self.0.store().committed.process_list(now))
    }

    fn summary(&mut self, now: Moment) -> Result<Summary> {
        Ok(self.0.store().committed.summary(now))
    }

    fn turn_holder(&mut self) -> Result<Option<Turn>> {
        Ok(self.0.turn.holder())
    }

    fn pulse(&mut self, own: u64) -> Result<Pulse> {
        Ok(self.0.store().committed.pulse(own))
    }
}
