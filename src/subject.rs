//! Whom data is about: a key a subject, and its destruction.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use millpond_actors::clock::Rng;
use millpond_actors::error::{Error, Result};
use millpond_actors::name::Name;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::subject::{KEY_BYTES, KeyState, Make, Secret, Shred};

use crate::sealed::Sealed;

/// Whom data is about: a person, a customer. What is [sealed](Sealed) with the subject's key becomes unreadable wherever it is,
/// at once and for ever, when the subject is [shredded](Subject::shred): in events that must stay, in projections, exports and
/// copies. A handle: cheap to clone, no I/O to make one.
///
/// A name that is no secret: the number of a person, not her address. It stays when the key goes.
///
/// The key is in the store from which the handle is, in the clear; whoever has that file can read what is sealed, until it is
/// shredded. A copy of the file, a backup say, has the key as long as the copy is kept. So where copies of the data live longer
/// than a person may wait, **keep the keys in a store of their own**, of which few copies are kept: a sealed value does not care
/// in which store it lies.
///
/// # Examples
/// ```
/// use millpond::{Event, Expected, Sealed, Store};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Registered { name: Sealed<String>, year: u16 }
///
/// # futures_executor::block_on(async {
/// let store = Store::memory().await?;
/// let key = store.subject("person-7").key().await?;
/// let registered = Registered { name: key.seal(&"Ada Lovelace".to_owned())?, year: 1843 };
/// store.events().append("person-7", Expected::NoStream, [Event::new("Registered", &registered)?]).await?;
///
/// let event = store.events().read_stream("person-7").next().await.expect("one event")?;
/// let registered: Registered = event.decode()?;
/// assert_eq!(store.unseal(&registered.name).await?.as_deref(), Some("Ada Lovelace"));
///
/// store.subject("person-7").shred().await?;
/// assert_eq!((store.unseal(&registered.name).await?, registered.year), (None, 1843));
/// # store.close().await
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Subject {
    runtime: Arc<Runtime>,
    name: Result<Name>,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Subject {
    pub(crate) fn new(runtime: Arc<Runtime>, name: &str) -> Subject {
        Subject { runtime, name: Name::new(name) }
    }

    /// Its key, which is made if it has none. `Ok` means: the key is on disk, before anything is sealed with it.
    ///
    /// # Errors
    /// [`Error::Shredded`]; a bad name; [`Error::Corrupt`] if the key is damaged; [`Error::Busy`]; what the database said.
    pub async fn key(&self) -> Result<SubjectKey> {
        let name = self.name.clone()?;
        let stands = match read(&self.runtime, &name).await? {
            Some(stands) => stands,
            None => self.runtime.write(self.make(&name)?).await?,
        };
        self.key_of(name, stands)
    }

    /// The same for a thread that waits.
    pub(crate) fn key_blocking(&self) -> Result<SubjectKey> {
        let name = self.name.clone()?;
        let stands = match read_blocking(&self.runtime, &name)? {
            Some(stands) => stands,
            None => self.runtime.write_blocking(self.make(&name)?)?,
        };
        self.key_of(name, stands)
    }

    fn make(&self, name: &Name) -> Result<Make> {
        let mut bytes = [0; KEY_BYTES];
        self.runtime.seams().rng.fill(&mut bytes)?;
        Ok(Make { subject: name.clone(), key: Secret::new(bytes) })
    }

    fn key_of(&self, subject: Name, stands: KeyState) -> Result<SubjectKey> {
        match stands {
            KeyState::Kept(key) => {
                Ok(SubjectKey { subject, key, rng: Arc::clone(&self.runtime.seams().rng) })
            }
            KeyState::Shredded => Err(Error::Shredded { subject: subject.to_string() }),
        }
    }

    /// Destroys its key, for ever: nothing that was sealed with it can be read any more, and nothing can be sealed for this
    /// subject again, whether it had a key or not. Whether it had one; asked again, `false`.
    ///
    /// `Ok` means: on disk. The bytes of the key are written over in the file, once the log has been moved into it: at the latest
    /// when the last process closes the store. [Keys](SubjectKey) that somebody holds in memory still work there, so
    /// processes should not keep them for long. Values that were opened are the program's own to forget.
    ///
    /// # Errors
    /// A bad name; [`Error::Busy`]; what the database said.
    pub async fn shred(&self) -> Result<bool> {
        self.runtime.write(Shred { subject: self.name.clone()? }).await
    }

    /// The same for a thread that waits.
    pub(crate) fn shred_blocking(&self) -> Result<bool> {
        self.runtime.write_blocking(Shred { subject: self.name.clone()? })
    }
}

/// The key of a subject. It is not shown by `Debug`, cannot be written down, and is overwritten in memory when it is dropped.
#[derive(Clone)]
pub struct SubjectKey {
    subject: Name,
    key: Secret,
    rng: Arc<dyn Rng>,
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubjectKey").field("subject", &self.subject).finish_non_exhaustive()
    }
}

impl SubjectKey {
    /// Whose it is.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.subject.as_str()
    }

    /// Encrypts a value. The same value twice gives two that have nothing in common.
    ///
    /// # Errors
    /// [`Error::Encode`]; [`Error::Storage`] if the machine has no random bytes to give.
    pub fn seal<T: Serialize>(&self, value: &T) -> Result<Sealed<T>> {
        Sealed::seal(&self.subject, &self.key, &*self.rng, value)
    }

    /// Opens what was sealed with this key, without a look at the store: for many values of one subject.
    ///
    /// # Errors
    /// [`Error::SealBroken`] if it is damaged or another's; [`Error::Decode`] if what was sealed is no `T`.
    pub fn open<T: DeserializeOwned>(&self, sealed: &Sealed<T>) -> Result<T> {
        sealed.open(&self.key)
    }
}

/// Opens a sealed value with the key that is looked up; see [`Store::unseal`](crate::Store::unseal).
pub(crate) async fn unseal<T: DeserializeOwned>(
    runtime: &Arc<Runtime>,
    sealed: &Sealed<T>,
) -> Result<Option<T>> {
    opened(sealed, read(runtime, sealed.subject_name()).await?)
}

/// The same for a thread that waits.
pub(crate) fn unseal_blocking<T: DeserializeOwned>(
    runtime: &Arc<Runtime>,
    sealed: &Sealed<T>,
) -> Result<Option<T>> {
    opened(sealed, read_blocking(runtime, sealed.subject_name())?)
}

async fn read(runtime: &Arc<Runtime>, subject: &Name) -> Result<Option<KeyState>> {
    let subject = subject.clone();
    runtime.read(move |view| view.subject(&subject)).await
}

fn read_blocking(runtime: &Arc<Runtime>, subject: &Name) -> Result<Option<KeyState>> {
    let subject = subject.clone();
    runtime.read_blocking(move |view| view.subject(&subject))
}

fn opened<T: DeserializeOwned>(sealed: &Sealed<T>, stands: Option<KeyState>) -> Result<Option<T>> {
    match stands {
        Some(KeyState::Kept(key)) => sealed.open(&key).map(Some),
        Some(KeyState::Shredded) => Ok(None),
        None => {
            Err(sealed.refused("this store has no key of that subject; it was sealed with another store's"))
        }
    }
}
