//! Watching a dict: what is put there and removed, whichever process does it.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use serde::de::DeserializeOwned;

use millpond_actors::change::Watching;
use millpond_actors::clock::Clock;
use millpond_actors::error::{Error, Result};
use millpond_actors::name::Name;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::View;
use millpond_actors::storage::change::{Change, Primitive};

use super::entry::{Entry, Record};
use super::seal::Vault;
use crate::change::page;
use crate::watching::{Watch, Watched};

/// Something has changed under a key of a [`Dict`](crate::Dict).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DictChange<T> {
    /// Under which.
    pub key: String,
    /// The version that the dict had with it.
    pub version: u64,
    /// What is there by now, which may be what a later change has put there; `None` if there is nothing.
    pub entry: Option<Entry<T>>,
}

/// What changes in a [`Dict`](crate::Dict), in the order of the commits of all processes; see [`Dict::watch`](crate::Dict::watch).
///
/// It has no end but that of the store. Whoever reads slowly holds one page; of the store's changes the last 10,000 are kept, and
/// who is further behind is told by [`Error::Lagged`] how many are gone, which may have been this dict's, and reads on. A value that
/// cannot be decoded is an error in its place.
#[must_use = "nothing is read until changes are asked for"]
pub struct DictChanges<T> {
    name: Name,
    vault: Option<Arc<Vault>>,
    watch: Watch<Prefixed>,
    values: PhantomData<fn() -> T>,
}

/// The changes under the keys that begin so.
struct Prefixed {
    name: Name,
    prefix: Box<str>,
    clock: Arc<dyn Clock>,
    /// The number of the last change that was read.
    after: u64,
}

impl Watched for Prefixed {
    type Item = (Change, Option<Record>);

    fn read(&mut self, view: &mut dyn View, ready: &mut VecDeque<Result<Self::Item>>) -> Result<bool> {
        let (changes, more) = page(view, self.after)?;
        for (missed, change) in changes {
            if missed > 0 {
                let name = self.name.to_string();
                ready.push_back(Err(Error::Lagged { kind: "watch of dict", name, missed }));
            }
            self.after = change.number;
            let is_ours = change.primitive == Primitive::Dict && change.name == self.name.as_str();
            let key = change.key.clone().filter(|key| is_ours && key.starts_with(&*self.prefix));
            if let Some(key) = key {
                let entry = view.dict_entry(&self.name, &key, self.clock.now());
                ready.push_back(entry.map(|entry| (change, entry)));
            }
        }
        Ok(more)
    }
}

impl<T> DictChanges<T> {
    pub(super) fn new(
        runtime: &Arc<Runtime>,
        (watching, after): (Watching, u64),
        (name, vault): (Name, Option<Arc<Vault>>),
        prefix: &str,
    ) -> DictChanges<T> {
        let clock = Arc::clone(&runtime.seams().clock);
        let watched = Prefixed { name: name.clone(), prefix: prefix.into(), clock, after };
        DictChanges { name, vault, watch: Watch::new(runtime, watching, watched), values: PhantomData }
    }
}

impl<T: DeserializeOwned> DictChanges<T> {
    /// The next change; `None` once the store is closed.
    ///
    /// Cancel-safe: a dropped future loses no change.
    pub async fn next(&mut self) -> Option<Result<DictChange<T>>> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// The next change for a thread that waits.
    pub(crate) fn next_blocking(&mut self) -> Option<Result<DictChange<T>>> {
        let found = self.watch.next_blocking()?;
        Some(self.decode(found))
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<DictChange<T>>>> {
        self.watch.poll_next(context).map(|found| found.map(|found| self.decode(found)))
    }

    fn decode(&self, found: Result<(Change, Option<Record>)>) -> Result<DictChange<T>> {
        let (change, entry) = found?;
        let entry = entry.map(|record| Entry::of(&self.name, self.vault.as_deref(), record)).transpose()?;
        let (key, version) = (change.key.unwrap_or_default(), change.sequence.unwrap_or_default());
        Ok(DictChange { key, version, entry })
    }
}

impl<T: DeserializeOwned> Stream for DictChanges<T> {
    type Item = Result<DictChange<T>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(context)
    }
}

impl<T> fmt::Debug for DictChanges<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DictChanges").field("name", &self.name).finish_non_exhaustive()
    }
}
