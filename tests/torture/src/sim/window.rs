//! The readers of a simulated process.

use std::path::Path;

use millpond::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::lock::Line;
use millpond_actors::storage::snapshot::Kept;
use millpond_actors::storage::stream::{Head, Page, Query, Recorded};
use millpond_actors::storage::{
    Moment, Process, Pulse, Summary, Turn, View, change, dict, feed, filter, projection, queue, schedule,
    subject, subscription,
};
use uuid::Uuid;

use super::storage::{Shore, broken};

/// A reader, which fails sometimes.
pub(super) struct Window {
    pub(super) view: Box<dyn View>,
    pub(super) shore: Shore,
}

impl Window {
    fn clear(&self, of: u64) -> Result<()> {
        let mut state = self.shore.ground.state();
        if state.chance(of) {
            state.failed(self.shore.life);
            return Err(broken());
        }
        Ok(())
    }
}

impl View for Window {
    fn events(&mut self, query: &Query) -> Result<Page> {
        self.clear(800)?;
        self.view.events(query).map(|page| self.spoilt(page))
    }

    fn event(&mut self, id: &Uuid) -> Result<Option<Recorded>> {
        self.clear(800)?;
        self.view.event(id)
    }

    fn stream(&mut self, name: &Name) -> Result<Option<Head>> {
        self.clear(800)?;
        self.view.stream(name)
    }

    fn head(&mut self) -> Result<u64> {
        self.view.head()
    }

    fn snapshot(&mut self, stream: &Name) -> Result<Option<Kept>> {
        self.clear(50)?;
        self.view.snapshot(stream)
    }

    fn projection(&mut self, name: &Name) -> Result<Vec<projection::Standing>> {
        self.clear(800)?;
        self.view.projection(name)
    }

    fn projections(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<projection::Standing>> {
        self.clear(800)?;
        self.view.projections(after, limit)
    }

    fn subject(&mut self, name: &Name) -> Result<Option<subject::KeyState>> {
        self.clear(800)?;
        self.view.subject(name)
    }

    fn dict_entry(&mut self, dict: &Name, key: &str, now: Moment) -> Result<Option<dict::Entry>> {
        self.clear(800)?;
        self.view.dict_entry(dict, key, now)
    }

    fn dict_page(&mut self, query: &dict::Query, now: Moment) -> Result<dict::Page> {
        self.clear(800)?;
        self.view.dict_page(query, now)
    }

    fn dict_kept(&mut self, dict: &Name) -> Result<Option<dict::Kept>> {
        self.clear(800)?;
        self.view.dict_kept(dict)
    }

    fn dict_indexes(&mut self, dict: &Name) -> Result<Vec<dict::Index>> {
        self.clear(800)?;
        self.view.dict_indexes(dict)
    }

    fn dict_ways(&mut self, query: &dict::Query) -> Result<Vec<filter::plan::Standing>> {
        self.clear(800)?;
        self.view.dict_ways(query)
    }

    fn dict(&mut self, name: &Name, now: Moment) -> Result<Option<dict::Head>> {
        self.clear(800)?;
        self.view.dict(name, now)
    }

    fn dicts(&mut self, after: Option<&str>, limit: u32, now: Moment) -> Result<Vec<dict::Head>> {
        self.clear(800)?;
        self.view.dicts(after, limit, now)
    }

    fn feed_page(&mut self, query: &feed::Query) -> Result<feed::Page> {
        self.clear(800)?;
        self.view.feed_page(query)
    }

    fn feed(&mut self, kind: feed::Kind, name: &Name) -> Result<Option<feed::Head>> {
        self.clear(800)?;
        self.view.feed(kind, name)
    }

    fn feeds(&mut self, kind: feed::Kind, after: Option<&str>, limit: u32) -> Result<Vec<feed::Head>> {
        self.view.feeds(kind, after, limit)
    }

    fn subscriptions(&mut self, kind: feed::Kind, name: &Name) -> Result<Vec<subscription::Standing>> {
        self.view.subscriptions(kind, name)
    }

    fn acknowledged(
        &mut self,
        kind: feed::Kind,
        feed: &Name,
        subscription: &Name,
        within: subscription::Span,
    ) -> Result<Option<subscription::Acknowledged>> {
        self.clear(800)?;
        self.view.acknowledged(kind, feed, subscription, within)
    }

    fn lock(&mut self, name: &Name, now: Moment) -> Result<Option<Line>> {
        self.clear(300)?;
        self.view.lock(name, now)
    }

    fn locks(&mut self, after: Option<&str>, limit: u32, now: Moment) -> Result<Vec<Line>> {
        self.view.locks(after, limit, now)
    }

    fn changes(&mut self, after: u64, limit: u32) -> Result<Vec<change::Change>> {
        self.view.changes(after, limit)
    }

    fn queue(&mut self, name: &Name) -> Result<Option<queue::Numbers>> {
        self.view.queue(name)
    }

    fn queues(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<queue::Numbers>> {
        self.view.queues(after, limit)
    }

    fn queue_outlook(&mut self, name: &Name, now: Moment) -> Result<Option<queue::Outlook>> {
        self.clear(300)?;
        self.view.queue_outlook(name, now)
    }

    fn schedules(&mut self, queue: &Name) -> Result<Vec<Result<schedule::Schedule>>> {
        self.view.schedules(queue)
    }

    fn jobs(&mut self, query: &queue::Query) -> Result<queue::Page> {
        self.view.jobs(query)
    }

    fn job_of_key(&mut self, queue: &Name, key: &str) -> Result<Option<queue::Job>> {
        self.view.job_of_key(queue, key)
    }

    fn backup(&mut self, to: &Path) -> Result<u64> {
        self.view.backup(to)
    }

    fn processes(&mut self, now: Moment) -> Result<Vec<Process>> {
        self.view.processes(now)
    }

    fn summary(&mut self, now: Moment) -> Result<Summary> {
        self.view.summary(now)
    }

    fn turn_holder(&mut self) -> Result<Option<Turn>> {
        self.view.turn_holder()
    }

    fn pulse(&mut self, own: u64) -> Result<Pulse> {
        self.clear(300)?;
        self.view.pulse(own).map(|pulse| if self.is_deaf() { Pulse::default() } else { pulse })
    }
}
