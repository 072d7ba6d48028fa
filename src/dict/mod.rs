//! Dicts: values by key, which are read, replaced, counted up and removed.
//!
//! - `mod` a dict as its users have it;
//! - `entry` what is kept under a key, and what is said about it when it is put there;
//! - `entries` all of it, by key, read page by page;
//! - `index` which fields of the values are indexed, and which index a filter uses;
//! - `sealed` a dict whose values only whoever has its key can read, `seal` what they are sealed with;
//! - `cache` what was read of it, for as long as nobody changes it;
//! - `watch` what changes in it;
//! - `batch` what a batch does with dicts.

mod batch;
mod cache;
mod entries;
mod entry;
mod index;
mod seal;
mod sealed;
mod watch;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::name::{self, Name};
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::dict::{
    Clear, Cleared, Expected, Head, Increment, Incremented, Remove, Removed, Set, Written,
};
use millpond_actors::storage::{Data, View};

use self::cache::Cache;
pub use self::cache::CacheFigures;
pub use self::entries::Entries;
pub use self::entry::{Entry, Put};
pub use self::index::{DictIndex, Explained};
pub use self::seal::SealKey;
use self::seal::Vault;
pub use self::sealed::SealedDict;
pub use self::watch::{DictChange, DictChanges};
use crate::codec;
use crate::inspect::Inspector;
use crate::watching;

/// A dict of values of one type, by key. A handle: cheap to clone, no I/O to make one.
///
/// - **`Ok` means on disk**, and whoever reads after that, in whatever process, sees it or something later.
/// - **A version** for each value, which no other value of the dict ever has, also if one is removed and put again: what was read
///   can be replaced [only if it is still that](Put::version).
/// - **[`update`](Dict::update) and [`increment`](Dict::increment) lose nothing**, however many do it at once.
/// - **A [time to live](Put::ttl)** is exact: when it is over the value is not there, for whoever reads, lists, counts or expects
///   something. Its row goes with a later write.
/// - **[Filters](crate::Where)** pick entries [out](Entries::matching) by what is in their values, by an [index](Dict::index) or without.
/// - **Keys** are texts of 1 to 512 bytes, in the order of their bytes.
///
/// Values are kept as JSON, which `sqlite3` can read too.
///
/// # Examples
/// ```
/// use millpond::{Put, Store};
/// # futures_executor::block_on(async {
/// let store = Store::memory().await?;
/// let prices = store.dict::<u64>("prices");
/// prices.set("lamp", &700).await?;
/// assert_eq!(prices.get("lamp").await?.as_deref(), Some(&700));
///
/// // Whoever has read it replaces what he has read, or is told that it is another one by now.
/// let lamp = prices.get("lamp").await?.expect("it is there");
/// prices.set_with("lamp", &(*lamp + 100), Put::new().version(lamp.version())).await?;
/// prices.update("lamp", |price| price.map(|price| price * 2)).await?;
/// assert_eq!(prices.increment("sold", 3).await?, 3);
///
/// let mut all = prices.entries("");
/// while let Some(entry) = all.next().await {
///     let entry = entry?;
///     println!("{}: {}", entry.key(), *entry);
/// }
/// assert_eq!(prices.pop("lamp").await?.as_deref(), Some(&1600));
/// assert_eq!(prices.count().await?, 1);
/// # store.close().await
/// # }).unwrap();
/// ```
pub struct Dict<T> {
    runtime: Arc<Runtime>,
    name: Result<Name>,
    /// What its values are sealed with; those of most dicts are not.
    vault: Option<Arc<Vault>>,
    cache: Option<Arc<Cache>>,
    values: PhantomData<fn(T) -> T>,
}

impl<T> Clone for Dict<T> {
    fn clone(&self) -> Dict<T> {
        let Dict { runtime, name, vault, cache, .. } = self;
        let (runtime, name) = (Arc::clone(runtime), name.clone());
        Dict { runtime, name, vault: vault.clone(), cache: cache.clone(), values: PhantomData }
    }
}

impl<T> fmt::Debug for Dict<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dict").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<T> Dict<T> {
    pub(crate) fn new(runtime: Arc<Runtime>, name: &str) -> Dict<T> {
        Dict { runtime, name: Name::new(name), vault: None, cache: None, values: PhantomData }
    }

    /// The same dict, taken for a sealed one.
    fn sealed_with(&self, vault: Arc<Vault>) -> Dict<T> {
        Dict { vault: Some(vault), ..self.clone() }
    }

    fn is_sealed(&self) -> bool {
        self.vault.is_some()
    }

    /// Whether there is something under a key, whatever it is.
    ///
    /// # Errors
    /// As [`get`](Dict::get), but for what cannot be decoded.
    pub async fn contains(&self, key: impl AsRef<str>) -> Result<bool> {
        Ok(self.find(key.as_ref()).await?.is_some())
    }

    /// The same for a thread that waits.
    pub(crate) fn contains_blocking(&self, key: &str) -> Result<bool> {
        Ok(self.find_blocking(key)?.is_some())
    }

    /// How many there are. They are counted for it.
    ///
    /// # Errors
    /// A bad name; what the database said.
    pub async fn count(&self) -> Result<u64> {
        self.counted(self.runtime.read(self.head()?).await?)
    }

    /// The same for a thread that waits.
    pub(crate) fn count_blocking(&self) -> Result<u64> {
        self.counted(self.runtime.read_blocking(self.head()?)?)
    }

    /// Removes what is under a key. Whether there was something.
    ///
    /// # Errors
    /// A bad name or key; [`Error::Busy`]; what the database said. Nothing is changed then.
    pub async fn delete(&self, key: impl AsRef<str>) -> Result<bool> {
        Ok(self.removed(self.runtime.write(self.removal(key.as_ref(), Expected::Any)?).await?)?.is_some())
    }

    /// The same for a thread that waits.
    pub(crate) fn delete_blocking(&self, key: &str) -> Result<bool> {
        Ok(self.removed(self.runtime.write_blocking(self.removal(key, Expected::Any)?)?)?.is_some())
    }

    /// Adds to a whole number of 64 bits, which is 0 if there is none. The sum. Its [time to live](Put::ttl) stays as it is.
    ///
    /// # Errors
    /// [`Error::NoNumber`] if there is something else under the key, or the sum would not be one; as [`delete`](Dict::delete).
    pub async fn increment(&self, key: impl AsRef<str>, by: i64) -> Result<i64> {
        let (increment, means) = self.addition(key.as_ref(), by)?;
        means(self.runtime.write(increment).await?)
    }

    /// The same for a thread that waits.
    pub(crate) fn increment_blocking(&self, key: &str, by: i64) -> Result<i64> {
        let (increment, means) = self.addition(key, by)?;
        means(self.runtime.write_blocking(increment)?)
    }

    /// Removes everything whose key begins so; everything at all for an empty prefix. How many there were: what was over does
    /// not count. It goes by 1,000 a commit, so others may see a part of it.
    ///
    /// # Errors
    /// A bad name; [`Error::Busy`]; what the database said. Some may have been removed then.
    pub async fn clear(&self, prefix: impl AsRef<str>) -> Result<u64> {
        let (clear, mut all) = (self.clearing(prefix.as_ref())?, 0);
        loop {
            let Cleared { removed, more, otherwise, .. } = self.runtime.write(clear.clone()).await?;
            self.kept_so(otherwise)?;
            all += removed.len() as u64;
            if !more {
                return Ok(all);
            }
        }
    }

    /// The same for a thread that waits.
    pub(crate) fn clear_blocking(&self, prefix: &str) -> Result<u64> {
        let (clear, mut all) = (self.clearing(prefix)?, 0);
        loop {
            let Cleared { removed, more, otherwise, .. } = self.runtime.write_blocking(clear.clone())?;
            self.kept_so(otherwise)?;
            all += removed.len() as u64;
            if !more {
                return Ok(all);
            }
        }
    }

    /// Watches what changes under the keys that begin so, under all for an empty prefix, in whatever process, from now on. What
    /// is put or removed behind that comes, in the order of the commits; so whoever reads the [entries](Dict::entries) then has
    /// all of it. That the time of a value is over nobody writes, and so it is not told.
    ///
    /// Nothing is written down for it while nobody watches.
    ///
    /// # Errors
    /// A bad name; [`Error::Busy`]; what the database said.
    ///
    /// # Examples
    /// ```
    /// # futures_executor::block_on(async {
    /// let store = millpond::Store::memory().await?;
    /// let flags = store.dict::<bool>("flags");
    /// let mut changes = flags.watch("mail-").await?;
    /// flags.set("mail-new", &true).await?;
    /// let change = changes.next().await.expect("the store is open")?;
    /// assert_eq!((change.key.as_str(), change.entry.as_deref()), ("mail-new", Some(&true)));
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    pub async fn watch(&self, prefix: impl AsRef<str>) -> Result<DictChanges<T>> {
        let (name, vault) = (self.name()?, self.vault.clone());
        let begun = watching::begin(&self.runtime).await?;
        self.runtime.read(self.kept()?).await?;
        Ok(DictChanges::new(&self.runtime, begun, (name, vault), prefix.as_ref()))
    }

    /// The same for a thread that waits.
    pub(crate) fn watch_blocking(&self, prefix: &str) -> Result<DictChanges<T>> {
        let (name, vault) = (self.name()?, self.vault.clone());
        let begun = watching::begin_blocking(&self.runtime)?;
        self.runtime.read_blocking(self.kept()?)?;
        Ok(DictChanges::new(&self.runtime, begun, (name, vault), prefix))
    }

    fn name(&self) -> Result<Name> {
        self.name.clone()
    }

    /// The name, and a key, if both are usable.
    fn place(&self, key: &str) -> Result<(Name, Box<str>)> {
        name::check("key of a dict", key, limits::NAME_BYTES)?;
        Ok((self.name()?, key.into()))
    }

    fn look_up(
        &self,
        key: &str,
    ) -> Result<impl FnOnce(&mut dyn View) -> Result<Option<entry::Record>> + Send + 'static> {
        let ((name, key), clock) = (self.place(key)?, Arc::clone(&self.runtime.seams().clock));
        let sealed = self.is_sealed();
        Ok(move |view: &mut dyn View| {
            let found = view.dict_entry(&name, &key, clock.now())?;
            // What is there shows by itself how it is kept.
            if found.as_ref().is_none_or(|found| found.data.is_sealed() != sealed) {
                seal::check(view, &name, sealed)?;
            }
            Ok(found)
        })
    }

    fn head(&self) -> Result<impl FnOnce(&mut dyn View) -> Result<Option<Head>> + Send + 'static> {
        let (name, clock) = (self.name()?, Arc::clone(&self.runtime.seams().clock));
        Ok(move |view: &mut dyn View| view.dict(&name, clock.now()))
    }

    fn removal(&self, key: &str, expected: Expected) -> Result<Remove> {
        let ((dict, key), sealed) = (self.place(key)?, self.is_sealed());
        Ok(Remove { dict, key, sealed, expected })
    }

    fn removed(&self, done: Removed) -> Result<Option<entry::Record>> {
        removed(self.name.as_ref().map_err(Error::clone)?, self.is_sealed(), done)
    }

    fn counted(&self, head: Option<Head>) -> Result<u64> {
        let Some(head) = head else { return Ok(0) };
        self.kept_so(head.sealed != self.is_sealed())?;
        Ok(head.count)
    }

    /// That there is none, unless somebody was faster.
    fn gone(&self, removed: Removed) -> Result<Option<Option<u64>>> {
        let overtaken = matches!(removed, Removed::Conflict { .. });
        self.removed(removed)?;
        Ok((!overtaken).then_some(None))
    }

    /// An error if the dict keeps its values otherwise than this handle takes it to.
    fn kept_so(&self, otherwise: bool) -> Result<()> {
        if otherwise { Err(seal::otherwise(&self.name()?, self.is_sealed())) } else { Ok(()) }
    }

    /// Looks whether the dict keeps its values as this handle takes it to.
    fn kept(&self) -> Result<impl FnOnce(&mut dyn View) -> Result<()> + Send + 'static + use<T>> {
        let (name, sealed) = (self.name()?, self.is_sealed());
        Ok(move |view: &mut dyn View| seal::check(view, &name, sealed))
    }

    fn addition(
        &self,
        key: &str,
        by: i64,
    ) -> Result<(Increment, impl FnOnce(Incremented) -> Result<i64> + Send + 'static + use<T>)> {
        let (dict, key) = self.place(key)?;
        let otherwise = seal::otherwise(&dict, false);
        let (told, increment) = ((dict.to_string(), key.to_string()), Increment { dict, key, by });
        let refused = move |reason| {
            let (dict, key) = told;
            Err(Error::NoNumber { dict, key, reason })
        };
        let means = move |incremented| match incremented {
            Incremented::Done { value, .. } => Ok(value),
            Incremented::Otherwise => Err(otherwise),
            Incremented::NoNumber => refused("it is no whole number of 64 bits".to_owned()),
            Incremented::Overflow { value } => {
                refused(format!("it is {value}, and {by} more is beyond 64 bits"))
            }
        };
        Ok((increment, means))
    }

    fn clearing(&self, prefix: &str) -> Result<Clear> {
        let (sealed, limit) = (self.is_sealed(), limits::REMOVED_AT_ONCE as u32);
        Ok(Clear { dict: self.name()?, prefix: prefix.into(), sealed, limit })
    }
}

impl<T: Serialize> Dict<T> {
    /// Puts a value under a key, in place of what is there. The version that it has now.
    ///
    /// # Errors
    /// A bad name or key; [`Error::Encode`]; [`Error::TooLarge`] beyond 4 MiB; [`Error::Busy`]; what the database said. Nothing
    /// is changed then.
    pub async fn set(&self, key: impl AsRef<str>, value: &T) -> Result<u64> {
        self.set_with(key, value, Put::new()).await
    }

    /// Puts a value under a key, as it is said. The version that it has now.
    ///
    /// # Errors
    /// [`Error::EntryConflict`] if what is there is not as expected; a bad time to live; as [`set`](Dict::set).
    pub async fn set_with(&self, key: impl AsRef<str>, value: &T, put: Put) -> Result<u64> {
        let (set, means) = self.setting(key.as_ref(), value, put)?;
        means(self.runtime.write(set).await?)
    }

    /// The same for a thread that waits.
    pub(crate) fn set_blocking(&self, key: &str, value: &T, put: Put) -> Result<u64> {
        let (set, means) = self.setting(key, value, put)?;
        means(self.runtime.write_blocking(set)?)
    }

    fn setting(
        &self,
        key: &str,
        value: &T,
        put: Put,
    ) -> Result<(Set, impl FnOnce(Written) -> Result<u64> + Send + 'static + use<T>)> {
        let (dict, key) = self.place(key)?;
        let json = codec::to_json(&format_args!("the value of \"{key}\" of dict \"{dict}\""), value)?;
        limits::check_size("the value of a dict, in bytes,", json.len(), limits::ENTRY_BYTES)?;
        let (life_ms, expected) = put.checked()?;
        let data = match &self.vault {
            Some(vault) => vault.seal(&key, json, &*self.runtime.seams().rng)?,
            None => Data::Json(json),
        };
        let (told, otherwise) =
            ((dict.to_string(), key.to_string()), seal::otherwise(&dict, self.is_sealed()));
        let set = Set { dict, key, data, schema: 1, life_ms, expected };
        let means = move |written| match written {
            Written::Done { version, .. } => Ok(version),
            Written::Otherwise => Err(otherwise),
            Written::Conflict { actual } => {
                let ((dict, key), expected) = (told, entry::words(expected));
                Err(Error::EntryConflict { dict, key, expected, actual })
            }
        };
        Ok((set, means))
    }
}

impl<T: DeserializeOwned> Dict<T> {
    /// What is under a key.
    ///
    /// # Errors
    /// A bad name or key; [`Error::Decode`] if it is no `T`; [`Error::Corrupt`] if it is damaged; what the database said.
    pub async fn get(&self, key: impl AsRef<str>) -> Result<Option<Entry<T>>> {
        self.decoded(self.find(key.as_ref()).await?)
    }

    /// The same for a thread that waits.
    pub(crate) fn get_blocking(&self, key: &str) -> Result<Option<Entry<T>>> {
        self.decoded(self.find_blocking(key)?)
    }

    /// Removes what is under a key, and gives it: to one of those who ask at once.
    ///
    /// # Errors
    /// As [`delete`](Dict::delete); [`Error::Decode`] if it is no `T`: it is removed all the same.
    pub async fn pop(&self, key: impl AsRef<str>) -> Result<Option<Entry<T>>> {
        self.decoded(self.removed(self.runtime.write(self.removal(key.as_ref(), Expected::Any)?).await?)?)
    }

    /// The same for a thread that waits.
    pub(crate) fn pop_blocking(&self, key: &str) -> Result<Option<Entry<T>>> {
        self.decoded(self.removed(self.runtime.write_blocking(self.removal(key, Expected::Any)?)?)?)
    }

    /// All entries whose keys begin so, by key; all at all for an empty prefix. Nothing is read before the first is asked for.
    pub fn entries(&self, prefix: impl AsRef<str>) -> Entries<T> {
        Entries::new(&self.runtime, self.name(), self.vault.clone(), prefix.as_ref())
    }

    fn decoded(&self, found: Option<entry::Record>) -> Result<Option<Entry<T>>> {
        let name = self.name.as_ref().map_err(Error::clone)?;
        found.map(|record| Entry::of(name, self.vault.as_deref(), record)).transpose()
    }
}

impl<T: Serialize + DeserializeOwned> Dict<T> {
    /// Reads what is under a key, has `change` say what is to be there instead (`None`: nothing), and writes that if nobody has
    /// written meanwhile; else it reads again and asks again. So nothing that others write is lost, and `change` may be called
    /// several times; from the fifth on other processes wait with their writes meanwhile, 25 ms at most. The version that the value
    /// has now; `None` if there is none. What had a time to live has none any more.
    ///
    /// Cancel-safe: if the future is dropped, it is written or not; which of them is not known.
    ///
    /// # Errors
    /// As [`get`](Dict::get) and [`set`](Dict::set).
    pub async fn update(
        &self,
        key: impl AsRef<str>,
        mut change: impl FnMut(Option<T>) -> Option<T>,
    ) -> Result<Option<u64>> {
        let (key, mut overtaken) = (key.as_ref(), 0_u32);
        loop {
            let (found, expected) = seen(self.get(key).await?);
            let done = match change(found) {
                Some(value) => {
                    let (set, means) = self.setting(key, &value, Put::new().expected(expected))?;
                    unless_overtaken(means(self.runtime.write_after(overtaken, set).await?).map(Some))?
                }
                None => {
                    let remove = self.removal(key, expected)?;
                    self.gone(self.runtime.write_after(overtaken, remove).await?)?
                }
            };
            if let Some(done) = done {
                return Ok(done);
            }
            overtaken = overtaken.saturating_add(1);
        }
    }

    /// The same for a thread that waits.
    pub(crate) fn update_blocking(
        &self,
        key: &str,
        mut change: impl FnMut(Option<T>) -> Option<T>,
    ) -> Result<Option<u64>> {
        let mut overtaken = 0_u32;
        loop {
            let (found, expected) = seen(self.get_blocking(key)?);
            let done = match change(found) {
                Some(value) => {
                    let (set, means) = self.setting(key, &value, Put::new().expected(expected))?;
                    unless_overtaken(means(self.runtime.write_blocking_after(overtaken, set)?).map(Some))?
                }
                None => {
                    let remove = self.removal(key, expected)?;
                    self.gone(self.runtime.write_blocking_after(overtaken, remove)?)?
                }
            };
            if let Some(done) = done {
                return Ok(done);
            }
            overtaken = overtaken.saturating_add(1);
        }
    }
}

/// What was removed; nothing was expected of it.
fn removed(dict: &Name, sealed: bool, removed: Removed) -> Result<Option<entry::Record>> {
    match removed {
        Removed::Done { entry, .. } => Ok(entry),
        Removed::Conflict { .. } => Ok(None),
        Removed::Otherwise => Err(seal::otherwise(dict, sealed)),
    }
}

/// A value that was read, and that it must still be that.
fn seen<T>(found: Option<Entry<T>>) -> (Option<T>, Expected) {
    let expected = found.as_ref().map_or(Expected::Absent, |entry| Expected::Version(entry.version()));
    (found.map(Entry::into_value), expected)
}

/// What came of a write; nothing if somebody was faster.
fn unless_overtaken<D>(done: Result<D>) -> Result<Option<D>> {
    match done {
        Err(Error::EntryConflict { .. }) => Ok(None),
        done => done.map(Some),
    }
}

impl Inspector {
    /// Up to `limit` dicts that were ever used, by name, those behind `after`.
    ///
    /// # Errors
    /// What the database said.
    pub async fn dicts(&self, after: Option<&str>, limit: u32) -> Result<Vec<Head>> {
        self.runtime.read(heads(&self.runtime, after, limit)).await
    }
}

/// What looks for dicts.
pub(crate) fn heads(
    runtime: &Runtime,
    after: Option<&str>,
    limit: u32,
) -> impl FnOnce(&mut dyn View) -> Result<Vec<Head>> + Send + 'static {
    let (after, clock) = (after.map(str::to_owned), Arc::clone(&runtime.seams().clock));
    move |view| view.dicts(after.as_deref(), limit, clock.now())
}
