//! How an aggregate is loaded: from its last snapshot if that can be used, and the events behind it.

use std::sync::atomic::Ordering;

use super::model::{Model, guard};
use crate::error::{Error, Result};
use crate::limits;
use crate::name::Name;
use crate::observe::{Found, kind, target};
use crate::storage::stream::{Filter, Query, Recorded, Scope};
use crate::storage::{Data, View};
use crate::thread::Theirs;
use crate::writer::Stats;

/// An aggregate in memory.
pub(super) struct Loaded<M> {
    pub(super) state: Theirs<M>,
    pub(super) version: u64,
    /// The stream's row, once it exists.
    pub(super) id: Option<u64>,
}

/// Up to where events count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Up to this version, which must exist.
    Version(u64),
    /// Those that had been recorded by this time, in milliseconds since 1970.
    Time(i64),
}

/// The state of an aggregate as it was. No actor is asked, and nothing is kept of it.
///
/// # Errors
/// [`Error::InvalidArgument`] for a version that does not exist; if an event cannot be read, decoded or applied.
pub fn replay<M: Model>(view: &mut dyn View, name: &Name, until: Until, stats: &Stats) -> Result<Theirs<M>> {
    let version = match until {
        Until::Version(version) => version,
        Until::Time(ms) => last_by(view, name, ms)?,
    };
    let loaded = load::<M>(view, name, None, version, stats)?;
    if let Until::Version(version) = until
        && loaded.version < version
    {
        let reason = format!("its version is {}", loaded.version);
        return Err(Error::InvalidArgument { what: format!("version {version} of \"{name}\""), reason });
    }
    Ok(loaded.state)
}

/// The version of the last event that had been recorded by a time; 0 if there was none.
fn last_by(view: &mut dyn View, name: &Name, ms: i64) -> Result<u64> {
    let filter = Filter { until: Some(ms.saturating_add(1)), ..Filter::default() };
    let (scope, to) = (Scope::Stream(name.clone()), limits::LAST_SEQUENCE);
    let page = view.events(&Query { scope, backward: true, from: 1, to, filter, limit: 1 })?;
    page.events.into_iter().next().map_or(Ok(0), |last| last.map(|last| last.version))
}

/// Loads an aggregate up to a version, or goes on with what is known of it.
pub(super) fn load<M: Model>(
    view: &mut dyn View,
    name: &Name,
    known: Option<Loaded<M>>,
    to: u64,
    stats: &Stats,
) -> Result<Loaded<M>> {
    let Some(head) = view.stream(name)? else {
        return Ok(Loaded { state: fresh(name)?, version: 0, id: None });
    };
    let is_fresh = known.is_none();
    let known = known.map(|known| (known.state, known.version));
    let begun = known.or_else(|| thaw::<M>(view, name, head.version.min(to), stats));
    // Of what was erased nothing is left, and an aggregate starts anew behind it.
    let anew = || fresh(name).map(|state| (state, head.erased.min(to)));
    let (mut state, mut version) = begun.map_or_else(anew, Ok)?;
    let first = version;
    let reader = guard("the upcasts", name, M::reader)?;
    each_event(view, name, (version + 1, to), |recorded| {
        if recorded.version != version + 1 {
            let detail = format!("version {} follows version {version}", recorded.version);
            return Err(Error::Corrupt { kind: "stream", name: name.to_string(), sequence: version, detail });
        }
        let event = Theirs::new(guard("decoding an event", name, || M::decode(reader, &recorded))??);
        guard("evolve", name, || state.evolve(&event))?;
        version = recorded.version;
        Ok(true)
    })?;
    if is_fresh {
        stats.meter.replayed(version - first);
    }
    Ok(Loaded { state, version, id: Some(head.id) })
}

/// Hands over the events of a stream between two versions, inclusive, as long as `each` wants more.
pub(super) fn each_event(
    view: &mut dyn View,
    name: &Name,
    (mut from, to): (u64, u64),
    mut each: impl FnMut(Recorded) -> Result<bool>,
) -> Result<()> {
    loop {
        let scope = Scope::Stream(name.clone());
        let (filter, limit) = (Filter::default(), limits::PAGE_ROWS);
        let page = view.events(&Query { scope, backward: false, from, to, filter, limit })?;
        for recorded in page.events {
            if !each(recorded?)? {
                return Ok(());
            }
        }
        match page.last {
            Some(seen) if page.more => from = seen + 1,
            _ => return Ok(()),
        }
    }
}

fn fresh<M: Model>(name: &Name) -> Result<Theirs<M>> {
    guard("the fresh state", name, M::fresh).map(Theirs::new)
}

/// The kept snapshot, if it can be used and is not beyond this version. Whatever is wrong with it costs a replay and nothing
/// else.
fn thaw<M: Model>(view: &mut dyn View, name: &Name, to: u64, stats: &Stats) -> Option<(Theirs<M>, u64)> {
    let policy = M::snapshots()?;
    // Of what is wrong only the kind is told: the words of a decoder may tell of the state.
    let (found, why) = match view.snapshot(name) {
        Ok(None) => {
            stats.meter.snapshot(Found::None);
            return None;
        }
        Ok(Some(kept)) if kept.schema != policy.schema => (Found::OtherSchema, "its schema is another one"),
        // For a state of the past this is as it should be, and for one of now it cannot be.
        Ok(Some(kept)) if kept.version > to => return None,
        Ok(Some(kept)) => match guard("thawing a snapshot", name, || M::thaw(&kept.data)).flatten() {
            Ok(state) => {
                stats.snapshots_used.fetch_add(1, Ordering::Relaxed);
                stats.meter.snapshot(Found::Used);
                return Some((Theirs::new(state), kept.version));
            }
            Err(error) => (Found::Unreadable, kind(&error)),
        },
        Err(error) => (Found::Unreadable, kind(&error)),
    };
    stats.snapshots_unusable.fetch_add(1, Ordering::Relaxed);
    stats.meter.snapshot(found);
    tracing::warn!(target: target::ACTOR, stream = %name, why, "a snapshot cannot be used, all events are replayed");
    None
}

/// The state as bytes, for a snapshot.
pub(super) fn freeze<M: Model>(name: &Name, state: &M) -> Result<Data> {
    let data = guard("freezing a snapshot", name, || state.freeze())??;
    limits::check_size("the snapshot in bytes", data.bytes().len(), limits::SNAPSHOT_BYTES)?;
    Ok(data)
}
