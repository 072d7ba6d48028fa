//! Dicts whose values only whoever has their key can read.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use serde::de::DeserializeOwned;

use millpond_actors::error::Result;
use millpond_actors::reply::Reply;
use millpond_actors::storage::dict::{Kept, Seal};

use super::seal::{self, Vault};
use super::{Dict, DictChanges, Entries, Entry, Put, SealKey};

/// A dict of values of one type that are encrypted before they leave the caller, and decrypted when they are back with him: neither the
/// file, nor its log, a backup or another process that has no key ever sees one. A handle: cheap to clone, no I/O to make one.
///
/// - **The key** is a passphrase, or 32 bytes; see [`SealKey`]. It stays in this process's memory, in the handle and its clones, and is
///   in no error, trace or file. The first use fixes it: another one is [`Error::WrongKey`](crate::Error::WrongKey) at the first call.
///   Whoever loses it has lost the values.
/// - **What can be seen** without it: the dict's name, the keys, how many there are, about how long each value is, and when it ends.
/// - **Nothing can be put in another's place**: a value belongs to its store, its dict and its key, and one that was changed or moved is
///   [`Error::Corrupt`](crate::Error::Corrupt). An older value of the same key can be put back by whoever writes to the file past
///   Millpond; so can the whole file.
/// - **For ever**: a dict that is sealed cannot be used as a plain one, nor the other way round
///   ([`Error::UsedOtherwise`](crate::Error::UsedOtherwise)).
///
/// What rests on looking into values there is not: counting up, [filters](crate::Where) and indexes. All else is as with a [`Dict`].
///
/// # Examples
/// ```
/// use millpond::{Error, SealKey, Store};
/// # futures_executor::block_on(async {
/// let store = Store::memory().await?;
/// let secrets = store.sealed_dict::<String>("secrets", SealKey::passphrase("correct horse battery staple"));
/// secrets.set("mail", &"hunter2".to_owned()).await?;
/// assert_eq!(secrets.get("mail").await?.as_deref().map(String::as_str), Some("hunter2"));
///
/// let guessed = store.sealed_dict::<String>("secrets", SealKey::passphrase("password"));
/// assert!(matches!(guessed.get("mail").await, Err(Error::WrongKey { .. })));
/// assert!(matches!(store.dict::<String>("secrets").get("mail").await, Err(Error::UsedOtherwise { .. })));
/// # store.close().await
/// # }).unwrap();
/// ```
pub struct SealedDict<T> {
    dict: Dict<T>,
    key: SealKey,
    /// Once it was opened, for all clones.
    vault: Arc<OnceLock<Arc<Vault>>>,
}

impl<T> Clone for SealedDict<T> {
    fn clone(&self) -> SealedDict<T> {
        SealedDict { dict: self.dict.clone(), key: self.key.clone(), vault: Arc::clone(&self.vault) }
    }
}

impl<T> fmt::Debug for SealedDict<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedDict").field("name", &self.dict.name).finish_non_exhaustive()
    }
}

/// What a dict is opened with, and the seal that has to be written down for it, if it is new.
type Made = (Vault, Option<Box<[u8]>>);

/// What is to be done with a seal.
enum Step {
    /// It is opened by this one.
    Open(Box<[u8]>),
    /// There is none yet.
    Make,
}

impl<T> SealedDict<T> {
    pub(crate) fn new(dict: Dict<T>, key: SealKey) -> SealedDict<T> {
        SealedDict { dict, key, vault: Arc::default() }
    }

    /// The dict, opened; `None` if it was never used, and is only looked at.
    async fn opened(&self, use_it: bool) -> Result<Option<Dict<T>>> {
        if let Some(vault) = self.vault.get() {
            return Ok(Some(self.dict.sealed_with(Arc::clone(vault))));
        }
        let (name, runtime) = (self.dict.name()?, &self.dict.runtime);
        self.key.check(&name)?;
        loop {
            let asked = name.clone();
            let step = match self.step(runtime.read(move |view| view.dict_kept(&asked)).await?)? {
                Step::Make if !use_it => return Ok(None),
                step => step,
            };
            // It is made to take its time, so that is a thread's of its own.
            let ((reply, answer), work) = (Reply::future(), self.work(step)?);
            runtime.seams().spawner.spawn("millpond-seal", Box::new(move || reply.answer(work())))?;
            let (vault, seal) = answer.await?;
            if let Some(seal) = seal
                && runtime.write(Seal { dict: name.clone(), seal }).await?.is_some()
            {
                // Somebody else was faster, and it is his key that counts.
                continue;
            }
            return Ok(Some(self.keep(vault)));
        }
    }

    /// The same for a thread that waits.
    fn opened_blocking(&self, use_it: bool) -> Result<Option<Dict<T>>> {
        if let Some(vault) = self.vault.get() {
            return Ok(Some(self.dict.sealed_with(Arc::clone(vault))));
        }
        let (name, runtime) = (self.dict.name()?, &self.dict.runtime);
        self.key.check(&name)?;
        loop {
            let asked = name.clone();
            let step = match self.step(runtime.read_blocking(move |view| view.dict_kept(&asked))?)? {
                Step::Make if !use_it => return Ok(None),
                step => step,
            };
            let (vault, seal) = self.work(step)?()?;
            if let Some(seal) = seal
                && runtime.write_blocking(Seal { dict: name.clone(), seal })?.is_some()
            {
                continue;
            }
            return Ok(Some(self.keep(vault)));
        }
    }

    fn step(&self, kept: Option<Kept>) -> Result<Step> {
        match kept {
            None => Ok(Step::Make),
            Some(Kept::Sealed(seal)) => Ok(Step::Open(seal)),
            Some(Kept::Plain) => Err(seal::otherwise(&self.dict.name()?, true)),
        }
    }

    /// What takes its time, and the seal that has to be written down for it.
    fn work(&self, step: Step) -> Result<impl FnOnce() -> Result<Made> + Send + 'static + use<T>> {
        let (name, key) = (self.dict.name()?, self.key.clone());
        let rng = Arc::clone(&self.dict.runtime.seams().rng);
        Ok(move || match step {
            Step::Open(seal) => Ok((Vault::open_by(&name, &key, &seal)?, None)),
            Step::Make => Vault::make(&name, &key, &*rng).map(|(vault, seal)| (vault, Some(seal))),
        })
    }

    fn keep(&self, vault: Vault) -> Dict<T> {
        self.dict.sealed_with(Arc::clone(self.vault.get_or_init(|| Arc::new(vault))))
    }

    /// The dict, opened for being used; sealed now if it was never used.
    async fn used(&self) -> Result<Dict<T>> {
        Ok(self.opened(true).await?.unwrap_or_else(|| self.dict.clone()))
    }

    fn used_blocking(&self) -> Result<Dict<T>> {
        Ok(self.opened_blocking(true)?.unwrap_or_else(|| self.dict.clone()))
    }

    /// As [`Dict::contains`].
    ///
    /// # Errors
    /// As there; what opening the dict has said: [`Error::WrongKey`](crate::Error::WrongKey),
    /// [`Error::UsedOtherwise`](crate::Error::UsedOtherwise), [`Error::Corrupt`](crate::Error::Corrupt) if its seal is damaged.
    pub async fn contains(&self, key: impl AsRef<str>) -> Result<bool> {
        match self.opened(false).await? {
            Some(dict) => dict.contains(key).await,
            None => Ok(false),
        }
    }

    /// The same for a thread that waits.
    pub(crate) fn contains_blocking(&self, key: &str) -> Result<bool> {
        self.opened_blocking(false)?.map_or(Ok(false), |dict| dict.contains_blocking(key))
    }

    /// As [`Dict::count`].
    ///
    /// # Errors
    /// As [`contains`](SealedDict::contains).
    pub async fn count(&self) -> Result<u64> {
        match self.opened(false).await? {
            Some(dict) => dict.count().await,
            None => Ok(0),
        }
    }

    /// The same for a thread that waits.
    pub(crate) fn count_blocking(&self) -> Result<u64> {
        self.opened_blocking(false)?.map_or(Ok(0), |dict| dict.count_blocking())
    }

    /// As [`Dict::delete`].
    ///
    /// # Errors
    /// As there and [`contains`](SealedDict::contains).
    pub async fn delete(&self, key: impl AsRef<str>) -> Result<bool> {
        match self.opened(false).await? {
            Some(dict) => dict.delete(key).await,
            None => Ok(false),
        }
    }

    /// The same for a thread that waits.
    pub(crate) fn delete_blocking(&self, key: &str) -> Result<bool> {
        self.opened_blocking(false)?.map_or(Ok(false), |dict| dict.delete_blocking(key))
    }

    /// As [`Dict::clear`].
    ///
    /// # Errors
    /// As there and [`contains`](SealedDict::contains).
    pub async fn clear(&self, prefix: impl AsRef<str>) -> Result<u64> {
        match self.opened(false).await? {
            Some(dict) => dict.clear(prefix).await,
            None => Ok(0),
        }
    }

    /// The same for a thread that waits.
    pub(crate) fn clear_blocking(&self, prefix: &str) -> Result<u64> {
        self.opened_blocking(false)?.map_or(Ok(0), |dict| dict.clear_blocking(prefix))
    }

    /// As [`Dict::watch`]. A dict that was never used is sealed by it.
    ///
    /// # Errors
    /// As there and [`contains`](SealedDict::contains).
    pub async fn watch(&self, prefix: impl AsRef<str>) -> Result<DictChanges<T>> {
        self.used().await?.watch(prefix).await
    }

    /// The same for a thread that waits.
    pub(crate) fn watch_blocking(&self, prefix: &str) -> Result<DictChanges<T>> {
        self.used_blocking()?.watch_blocking(prefix)
    }
}

impl<T: Serialize> SealedDict<T> {
    /// As [`Dict::set`]. A dict that was never used is sealed by it, for ever.
    ///
    /// # Errors
    /// As there and [`contains`](SealedDict::contains).
    pub async fn set(&self, key: impl AsRef<str>, value: &T) -> Result<u64> {
        self.used().await?.set(key, value).await
    }

    /// As [`Dict::set_with`].
    ///
    /// # Errors
    /// As there and [`contains`](SealedDict::contains).
    pub async fn set_with(&self, key: impl AsRef<str>, value: &T, put: Put) -> Result<u64> {
        self.used().await?.set_with(key, value, put).await
    }

    /// The same for a thread that waits.
    pub(crate) fn set_blocking(&self, key: &str, value: &T, put: Put) -> Result<u64> {
        self.used_blocking()?.set_blocking(key, value, put)
    }
}

impl<T: DeserializeOwned> SealedDict<T> {
    /// As [`Dict::get`].
    ///
    /// # Errors
    /// As there and [`contains`](SealedDict::contains).
    pub async fn get(&self, key: impl AsRef<str>) -> Result<Option<Entry<T>>> {
        match self.opened(false).await? {
            Some(dict) => dict.get(key).await,
            None => Ok(None),
        }
    }

    /// The same for a thread that waits.
    pub(crate) fn get_blocking(&self, key: &str) -> Result<Option<Entry<T>>> {
        self.opened_blocking(false)?.map_or(Ok(None), |dict| dict.get_blocking(key))
    }

    /// As [`Dict::pop`].
    ///
    /// # Errors
    /// As there and [`contains`](SealedDict::contains).
    pub async fn pop(&self, key: impl AsRef<str>) -> Result<Option<Entry<T>>> {
        match self.opened(false).await? {
            Some(dict) => dict.pop(key).await,
            None => Ok(None),
        }
    }

    /// The same for a thread that waits.
    pub(crate) fn pop_blocking(&self, key: &str) -> Result<Option<Entry<T>>> {
        self.opened_blocking(false)?.map_or(Ok(None), |dict| dict.pop_blocking(key))
    }

    /// As [`Dict::entries`], once the dict was opened. It takes no [filter](Entries::matching).
    ///
    /// # Errors
    /// What opening it has said, as [`contains`](SealedDict::contains).
    pub async fn entries(&self, prefix: impl AsRef<str>) -> Result<Entries<T>> {
        Ok(self.opened(false).await?.unwrap_or_else(|| self.dict.clone()).entries(prefix))
    }

    /// The same for a thread that waits.
    pub(crate) fn entries_blocking(&self, prefix: &str) -> Result<Entries<T>> {
        Ok(self.opened_blocking(false)?.unwrap_or_else(|| self.dict.clone()).entries(prefix))
    }
}

impl<T: Serialize + DeserializeOwned> SealedDict<T> {
    /// As [`Dict::update`].
    ///
    /// # Errors
    /// As there and [`contains`](SealedDict::contains).
    pub async fn update(
        &self,
        key: impl AsRef<str>,
        change: impl FnMut(Option<T>) -> Option<T>,
    ) -> Result<Option<u64>> {
        self.used().await?.update(key, change).await
    }

    /// The same for a thread that waits.
    pub(crate) fn update_blocking(
        &self,
        key: &str,
        change: impl FnMut(Option<T>) -> Option<T>,
    ) -> Result<Option<u64>> {
        self.used_blocking()?.update_blocking(key, change)
    }
}
