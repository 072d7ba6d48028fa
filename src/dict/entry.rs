//! What is kept under a key of a dict, and what is said about it when it is put there.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use serde::de::DeserializeOwned;

use millpond_actors::clock::millis;
use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::storage::Data;
pub(super) use millpond_actors::storage::dict::Entry as Record;
use millpond_actors::storage::dict::Expected;

use super::seal::{Vault, otherwise};
use crate::codec;
use crate::job::whole_millis;

/// A value of a [`Dict`](crate::Dict), with its key. It is the value, by [`Deref`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<T> {
    key: String,
    version: u64,
    ends_at: Option<i64>,
    value: T,
}

impl<T: DeserializeOwned> Entry<T> {
    /// The entry of a dict, of which a sealed one is opened with what it is sealed with.
    pub(super) fn of(dict: &Name, vault: Option<&Vault>, record: Record) -> Result<Entry<T>> {
        let Record { key, version, data, ends_at, .. } = record;
        let what = format_args!("the value of \"{key}\" of dict \"{dict}\"");
        let value = match (vault, &data) {
            (Some(vault), Data::Sealed(sealed)) => {
                codec::from_slice(&what, &vault.open(&key, version, sealed)?)?
            }
            (vault, data) if vault.is_some() != data.is_sealed() => {
                return Err(otherwise(dict, vault.is_some()));
            }
            (_, data) => codec::from_data(&what, data)?,
        };
        Ok(Entry { key, version, ends_at, value })
    }
}

impl<T> Entry<T> {
    /// Its key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its version: larger than that of all values that were put into the dict before.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Until when it is there, in milliseconds since 1970, as the wall clock was expected to show it; `None` if for ever.
    #[must_use]
    pub fn ends_at_ms(&self) -> Option<i64> {
        self.ends_at
    }

    /// The value.
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T> Deref for Entry<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Entry<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

/// What is said about a value that is put into a [`Dict`](crate::Dict).
///
/// # Examples
/// A session that ends by itself, and is begun once:
/// ```
/// use std::time::Duration;
/// use millpond::{Error, Put};
/// # futures_executor::block_on(async {
/// let sessions = millpond::Store::memory().await?.dict::<String>("sessions");
/// let once = Put::new().ttl(Duration::from_secs(1_800)).absent();
/// sessions.set_with("7f3a", &"Ada".to_owned(), once.clone()).await?;
/// let again = sessions.set_with("7f3a", &"Bob".to_owned(), once).await;
/// assert!(matches!(again, Err(Error::EntryConflict { actual: Some(1), .. })));
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it is given to `set_with`"]
pub struct Put {
    ttl: Option<Duration>,
    expected: Expected,
}

impl Put {
    /// Nothing special: in place of whatever is there, and for ever.
    pub fn new() -> Put {
        Put::default()
    }

    /// It is there for so long: 1 ms to 365 days, in whole milliseconds, rounded up. It is counted by the boot clock, so that
    /// nobody who sets the wall clock makes it longer or shorter; after another boot of the machine it goes by the wall clock.
    pub fn ttl(self, ttl: Duration) -> Put {
        Put { ttl: Some(ttl), ..self }
    }

    /// Only if there is nothing under the key.
    pub fn absent(self) -> Put {
        self.expected(Expected::Absent)
    }

    /// Only if there is something under the key.
    pub fn present(self) -> Put {
        self.expected(Expected::Present)
    }

    /// Only if what is under the key has this [version](Entry::version).
    pub fn version(self, version: u64) -> Put {
        self.expected(Expected::Version(version))
    }

    pub(super) fn expected(self, expected: Expected) -> Put {
        Put { expected, ..self }
    }

    /// For how many milliseconds it is there, and what is expected, if that is usable.
    pub(super) fn checked(self) -> Result<(Option<u64>, Expected)> {
        let (min, max) = (Duration::from_millis(1), limits::DURATION_MAX);
        let life = self.ttl.map(|given| {
            let usable = !given.is_zero() && given <= max;
            let what = "time to live of a value";
            usable.then(|| whole_millis(given)).ok_or(Error::InvalidDuration { what, given, min, max })
        });
        Ok((life.transpose()?.map(|ms| ms.min(millis(max))), self.expected))
    }
}

/// What was expected, in words.
pub(super) fn words(expected: Expected) -> String {
    match expected {
        Expected::Any => "anything".to_owned(),
        Expected::Absent => "nothing".to_owned(),
        Expected::Present => "something".to_owned(),
        Expected::Version(version) => format!("version {version}"),
    }
}
