//! What was read of a dict, for as long as nobody changes it.
//!
//! Whoever asks looks first, on his own thread, which version the dict has: one row, a few microseconds. If that is the version of what
//! is kept here, whatever process wrote it, what is kept is what is there. So nobody is ever given what was replaced before he asked,
//! nobody has to be told of changes, and a write costs nothing for who remembers what. An actor would have to look just the same, and
//! the way to it and back takes longer than to read the entry. A store that is far is looked at by a reader's thread, which is the one
//! that looks here as well.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::View;

use super::Dict;
use super::entry::Record;

/// Row and version of a dict; `None` if it was never used.
type Stamp = Option<(u64, u64)>;

/// How much a [`Dict`](crate::Dict) that [remembers](crate::Dict::cached) what was read has been spared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheFigures {
    /// So many times what was asked for was remembered.
    pub hits: u64,
    /// So many times it was not, or not any more.
    pub misses: u64,
    /// So many keys are remembered now, with or without a value.
    pub keys: usize,
    /// So many bytes their values have.
    pub bytes: usize,
}

/// What was read of one dict.
#[derive(Default)]
pub(super) struct Cache {
    hits: AtomicU64,
    misses: AtomicU64,
    kept: Mutex<Kept>,
}

struct Kept {
    view: Option<Box<dyn View>>,
    stamp: Stamp,
    /// Also that there is nothing under a key.
    entries: LruCache<Box<str>, Option<Record>>,
    bytes: usize,
}

impl Default for Kept {
    fn default() -> Kept {
        let entries = LruCache::new(const { NonZero::new(limits::CACHED_KEYS).unwrap() });
        Kept { view: None, stamp: None, entries, bytes: 0 }
    }
}

impl Kept {
    /// What is kept is of this version, or nothing is kept.
    fn is_of(&mut self, stamp: Stamp) {
        if self.stamp != stamp {
            self.entries.clear();
            (self.stamp, self.bytes) = (stamp, 0);
        }
    }

    fn put(&mut self, key: &str, found: Option<Record>) {
        self.bytes += bytes_of(found.as_ref());
        // Whatever has to go for it: what was there before, or what was not asked for the longest.
        let gone = self.entries.push(key.into(), found);
        self.bytes -= gone.map_or(0, |(_, gone)| bytes_of(gone.as_ref()));
        while self.bytes > limits::CACHED_BYTES
            && let Some((_, gone)) = self.entries.pop_lru()
        {
            self.bytes -= bytes_of(gone.as_ref());
        }
    }
}

fn bytes_of(found: Option<&Record>) -> usize {
    found.map_or(0, |record| record.data.bytes().len())
}

impl Cache {
    /// What is under a key, if that is remembered and still so, and can be found out at once.
    fn glance(&self, runtime: &Runtime, name: &Name, key: &str) -> Result<Option<Option<Record>>> {
        let mut kept = self.kept();
        let stamp = runtime.glance(&mut kept.view, |view| view.dict_stamp(name))?;
        Ok(stamp.and_then(|stamp| self.find(&mut kept, stamp, key)))
    }

    /// What is under a key in this version, if that is remembered.
    fn find(&self, kept: &mut Kept, stamp: Stamp, key: &str) -> Option<Option<Record>> {
        kept.is_of(stamp);
        let found = kept.entries.get(key).cloned();
        self.hits.fetch_add(found.is_some().into(), Ordering::Relaxed);
        found
    }

    /// Remembers what was read of a version. What has an end of its own is not remembered: it may be over before anybody writes.
    fn keep(&self, stamp: Stamp, key: &str, found: Option<&Record>) {
        let mut kept = self.kept();
        if kept.stamp == stamp && found.is_none_or(|record| record.ends_at.is_none()) {
            kept.put(key, found.cloned());
        }
    }

    /// What is under a key, remembered or by this look, which is remembered. The version is read first, so that what is read is never of
    /// an older one.
    fn find_or_look(
        &self,
        view: &mut dyn View,
        (name, key): (&Name, &str),
        look: impl FnOnce(&mut dyn View) -> Result<Option<Record>>,
    ) -> Result<Option<Record>> {
        let stamp = view.dict_stamp(name)?;
        if let Some(found) = self.find(&mut self.kept(), stamp, key) {
            return Ok(found);
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let found = look(view)?;
        self.keep(stamp, key, found.as_ref());
        Ok(found)
    }

    fn figures(&self) -> CacheFigures {
        let kept = self.kept();
        let count = |counted: &AtomicU64| counted.load(Ordering::Relaxed);
        CacheFigures {
            hits: count(&self.hits),
            misses: count(&self.misses),
            keys: kept.entries.len(),
            bytes: kept.bytes,
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Dict<T> {
    /// The same dict through a handle that remembers what it has read, as do its clones: up to 10,000 keys and 16 MiB, for as long as
    /// nobody changes anything in the dict, in whatever process. Nothing that was replaced is ever read from it: each time the dict's
    /// version is looked up, on the caller's own thread, which takes some microseconds; what is remembered needs no reader's thread,
    /// and that is most of what a read costs. For what is read often and seldom written, such as settings. On a PostgreSQL server the
    /// version is a way there and back like any other read, so only large values are worth remembering.
    ///
    /// Entries with a [time to live](crate::Put::ttl) are not remembered.
    ///
    /// # Examples
    /// ```
    /// # futures_executor::block_on(async {
    /// let store = millpond::Store::memory().await?;
    /// let settings = store.dict::<String>("settings").cached();
    /// settings.set("colour", &"green".to_owned()).await?;
    /// for _ in 0..10 {
    ///     assert_eq!(settings.get("colour").await?.as_deref().map(String::as_str), Some("green"));
    /// }
    /// let figures = settings.cache_figures().expect("it has a cache");
    /// assert_eq!((figures.hits, figures.misses, figures.keys), (9, 1, 1));
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn cached(self) -> Dict<T> {
        Dict { cache: Some(Arc::default()), ..self }
    }

    /// What the cache was good for so far; `None` if this handle has [none](Dict::cached).
    #[must_use]
    pub fn cache_figures(&self) -> Option<CacheFigures> {
        self.cache.as_ref().map(|cache| cache.figures())
    }

    /// What is under a key.
    pub(super) async fn find(&self, key: &str) -> Result<Option<Record>> {
        match self.find_at_once(key)? {
            Some(found) => Ok(found),
            None => self.runtime.read(self.find_or_look(key)?).await,
        }
    }

    /// The same for a thread that waits.
    pub(super) fn find_blocking(&self, key: &str) -> Result<Option<Record>> {
        match self.find_at_once(key)? {
            Some(found) => Ok(found),
            None => self.runtime.read_blocking(self.find_or_look(key)?),
        }
    }

    fn find_at_once(&self, key: &str) -> Result<Option<Option<Record>>> {
        let Some(cache) = &self.cache else { return Ok(None) };
        cache.glance(&self.runtime, &self.name()?, key)
    }

    fn find_or_look(
        &self,
        key: &str,
    ) -> Result<impl FnOnce(&mut dyn View) -> Result<Option<Record>> + Send + 'static> {
        let (look, name, key, cache) = (self.look_up(key)?, self.name()?, key.to_owned(), self.cache.clone());
        Ok(move |view: &mut dyn View| match cache {
            Some(cache) => cache.find_or_look(view, (&name, &key), look),
            None => look(view),
        })
    }
}

#[cfg(test)]
mod tests {
    use millpond_actors::storage::Data;

    use super::*;

    fn record(bytes: usize) -> Record {
        let data = Data::Json("1".repeat(bytes));
        Record { key: "k".into(), version: 1, data, schema: 1, ends_at: None }
    }

    #[test]
    fn no_more_is_kept_than_fits() {
        let mut kept = Kept::default();
        for key in 0..limits::CACHED_KEYS + 10 {
            kept.put(&key.to_string(), Some(record(3)));
        }
        assert_eq!((kept.entries.len(), kept.bytes), (limits::CACHED_KEYS, 3 * limits::CACHED_KEYS));
        kept.put("large", Some(record(limits::CACHED_BYTES - 30)));
        assert!(kept.bytes <= limits::CACHED_BYTES && kept.entries.contains("large"));
        kept.put("large", Some(record(7)));
        assert_eq!(kept.bytes, 7 + (kept.entries.len() - 1) * 3, "it stands in its own place");
        kept.put("none", None);
        kept.put("too large", Some(record(limits::CACHED_BYTES + 1)));
        assert_eq!((kept.entries.len(), kept.bytes), (0, 0));
        kept.put("k", Some(record(5)));
        kept.is_of(Some((1, 2)));
        assert_eq!((kept.entries.len(), kept.bytes), (0, 0));
    }
}
