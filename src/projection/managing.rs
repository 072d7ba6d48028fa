//! A process manager as a projection: the states of its processes, read before they are needed and written with what they lead
//! to.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use millpond_actors::error::{Expected, Result};
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::View;
use millpond_actors::storage::stream::{self, Filter, Query, Scope};
use millpond_actors::thread::contain;

use super::handler::Handler;
use super::process::{ProcessManager, Steps, Timeout};
use super::project::{Failure, Project, Rows};
use crate::batch::Batch;
use crate::codec;
use crate::events::Event;
use crate::origin::Origin;
use crate::queue::Queue;
use crate::reading::Recorded;

/// The type of the events that hold a state.
const MOVED: &str = "Moved";

/// A process as it is known here.
#[derive(Clone)]
struct Known<S> {
    /// The version of its stream.
    version: u64,
    state: S,
    /// The state as it is stored; empty before its first event.
    stored: String,
}

/// Whoever runs a process manager.
pub(super) struct Managing<P: ProcessManager> {
    process: P,
    runtime: Arc<Runtime>,
    name: Name,
    timeouts: Queue<Timeout>,
    known: HashMap<String, Known<P::State>>,
}

impl<P: ProcessManager> Managing<P> {
    pub(super) fn new(
        process: P,
        runtime: &Arc<Runtime>,
        name: &Name,
        timeouts: Queue<Timeout>,
    ) -> Managing<P> {
        let (runtime, name) = (Arc::clone(runtime), name.clone());
        Managing { process, runtime, name, timeouts, known: HashMap::new() }
    }

    fn stream(&self, correlation: &str) -> Result<Name> {
        Name::new(format!("{}-{correlation}", self.name))
    }

    /// Reads the states of those that are not known.
    async fn learn(&mut self, correlations: Vec<String>) -> Result<()> {
        if self.known.len() > limits::STATES_KEPT {
            self.known.clear();
        }
        // Several events of a stretch may be of one process.
        let mut missing = HashMap::new();
        for correlation in correlations {
            // A name that cannot be is that event's failure, and is found again when it is applied.
            if let (false, Ok(stream)) = (self.known.contains_key(&correlation), self.stream(&correlation)) {
                missing.insert(correlation, stream);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let read = move |view: &mut dyn View| {
            let last = |(correlation, stream)| Ok((correlation, last(view, stream)?));
            missing.into_iter().map(last).collect::<Result<Vec<_>>>()
        };
        for (correlation, last) in self.runtime.read(read).await? {
            let known = match last.map(Recorded::of) {
                Some(event) => {
                    let (state, stored) = (event.decode()?, event.json().unwrap_or_default().to_owned());
                    Known { version: event.version(), state, stored }
                }
                None => Known { version: 0, state: P::State::default(), stored: String::new() },
            };
            self.known.insert(correlation, known);
        }
        Ok(())
    }

    /// Moves one process on, by what `handle` does with it.
    fn advance(
        &mut self,
        (correlation, cause, origin): (String, Uuid, Origin),
        batch: &mut Batch,
        handle: impl FnOnce(&mut P, &mut P::State, &mut Steps<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let stream = self.stream(&correlation)?;
        let known = self.known.get(&correlation).ok_or("its state was not read")?.clone();
        let (mut state, version) = (known.state, known.version);
        let timeouts = &self.timeouts;
        let mut steps = Steps { batch: &mut *batch, timeouts, correlation: &correlation, cause, ids: 0 };
        handle(&mut self.process, &mut state, &mut steps)?;
        let stored = codec::to_json(&format_args!("the state of \"{stream}\""), &state)?;
        if stored == known.stored {
            return Ok(());
        }
        let event = Event::of(MOVED.into(), stored.clone());
        let expected = if version == 0 { Expected::NoStream } else { Expected::Version(version) };
        batch.append(stream.as_str(), expected, [event.origin(origin)])?;
        self.known.insert(correlation, Known { version: version + 1, state, stored });
        Ok(())
    }
}

/// The last event of a stream.
fn last(view: &mut dyn View, stream: Name) -> Result<Option<stream::Recorded>> {
    let (filter, to) = (Filter::default(), limits::LAST_SEQUENCE);
    let query = Query { scope: Scope::Stream(stream), backward: true, from: 1, to, filter, limit: 1 };
    view.events(&query)?.events.into_iter().next().transpose()
}

impl<P: ProcessManager> Project for Managing<P> {
    fn apply(&mut self, event: &Recorded, rows: &mut Rows<'_>) -> Result<(), Failure> {
        let Some(correlation) = self.process.correlate(event)? else { return Ok(()) };
        let about = (correlation, event.id(), Origin::from(event));
        self.advance(about, rows, |process, state, steps| process.handle(state, event, steps))
    }
}

impl<P: ProcessManager> Handler for Managing<P> {
    type Project = Managing<P>;

    fn project(&mut self) -> &mut Managing<P> {
        self
    }

    async fn prepare(&mut self, events: &VecDeque<Recorded>, most: usize) -> Result<()> {
        let mut correlations = Vec::new();
        for event in events.iter().take(most) {
            // What fails here fails again when the event is applied, and is its failure.
            let correlated =
                contain(|| "`correlate`".into(), || self.process.correlate(event).ok().flatten());
            correlations.extend(correlated.ok().flatten());
        }
        self.learn(correlations).await
    }

    fn forget(&mut self) {
        self.known.clear();
    }

    fn timeouts(&self) -> Option<Queue<Timeout>> {
        Some(self.timeouts.clone())
    }

    async fn time_out(&mut self, timeout: &Timeout, id: Uuid, batch: &mut Batch) -> Result<(), Failure> {
        self.learn(vec![timeout.correlation.clone()]).await?;
        let about = (timeout.correlation.clone(), id, Origin::new().causation(id));
        let projection = self.name.clone();
        let act =
            || self.advance(about, batch, |process, state, steps| process.timeout(state, timeout, steps));
        contain(|| format!("`timeout` of projection \"{projection}\""), act).map_err(Failure::from)?
    }
}
