//! What a sealed dict is sealed with: how its key is made, what it is known by, and values sealed and opened with it.
//!
//! The seal is in the dict's row, in the clear: a version byte, 0 for a key of 32 bytes or 1 for Argon2id and its cost (memory in KiB,
//! passes, lanes; 4 bytes each, the lowest first), 16 random bytes of salt, an empty text sealed with the key, and a checksum of all
//! that. A value is what XChaCha20-Poly1305 makes of its JSON, behind 24 random bytes. Beside each of them is authenticated what it is
//! for, the salt, the dict and the key of the entry: so nothing can be put in another's place, be it of another dict or another store.

use std::fmt;

use millpond_actors::clock::Rng;
use millpond_actors::error::{Error, Result};
use millpond_actors::name::Name;
use millpond_actors::storage::checksum::{self, Kind};
use millpond_actors::storage::dict::Kept;
use millpond_actors::storage::subject::{KEY_BYTES, Secret};
use millpond_actors::storage::{Data, View};
use zeroize::Zeroizing;

use crate::sealed::{Cost, decrypt, derive, encrypt};

/// How the seal is written.
const VERSION: u8 = 1;
/// A key of 32 bytes, and one out of a passphrase.
const BYTES: u8 = 0;
const PASSPHRASE: u8 = 1;
const SALT_BYTES: usize = 16;
/// Behind version and origin, the three numbers of the cost and the salt.
const KNOWN_BY: usize = 2 + 3 * 4 + SALT_BYTES;
/// The checksum behind it.
const CRC_BYTES: usize = 4;

/// 19 MiB and two passes, as OWASP has it for Argon2id: some thirty milliseconds, once a handle.
const COST: Cost = Cost { memory_kib: 19 * 1_024, passes: 2, lanes: 1 };
/// More than this is no cost of ours, but damage: nobody is to take a gigabyte for it.
const COST_MAX: Cost = Cost { memory_kib: 1 << 20, passes: 64, lanes: 64 };

/// What a sealed text is for.
const KNOWN: u8 = 1;
const VALUE: u8 = 2;

/// The key of a [`SealedDict`](crate::SealedDict): a passphrase, or 32 bytes. It is never shown, and written over in memory when it is
/// dropped.
///
/// # Examples
/// ```
/// use millpond::SealKey;
/// let key = SealKey::passphrase("correct horse battery staple");
/// assert_eq!(format!("{key:?}"), "SealKey(..)");
/// let key = SealKey::bytes([7; 32]);
/// ```
#[derive(Clone)]
pub struct SealKey(Origin);

#[derive(Clone)]
enum Origin {
    Passphrase(Zeroizing<String>),
    Bytes(Secret),
}

impl SealKey {
    /// Made of a passphrase, by Argon2id. Its length is all that keeps others from trying them all. An empty one is the error of the
    /// first call.
    pub fn passphrase(passphrase: impl Into<String>) -> SealKey {
        SealKey(Origin::Passphrase(Zeroizing::new(passphrase.into())))
    }

    /// These bytes, which have to be random ones: from a key store, or from the machine.
    #[must_use]
    pub fn bytes(bytes: [u8; KEY_BYTES]) -> SealKey {
        SealKey(Origin::Bytes(Secret::new(bytes)))
    }

    fn origin(&self) -> u8 {
        match &self.0 {
            Origin::Passphrase(_) => PASSPHRASE,
            Origin::Bytes(_) => BYTES,
        }
    }

    /// The key itself; `None` for a cost that there cannot be.
    fn secret(&self, salt: &[u8], cost: Cost) -> Option<Secret> {
        match &self.0 {
            Origin::Passphrase(text) => derive(text.as_bytes(), salt, cost),
            Origin::Bytes(secret) => Some(secret.clone()),
        }
    }

    /// # Errors
    /// [`Error::InvalidArgument`] for an empty passphrase.
    pub(super) fn check(&self, dict: &Name) -> Result<()> {
        match &self.0 {
            Origin::Passphrase(text) if text.is_empty() => {
                let what = format!("the key of sealed dict \"{dict}\"");
                Err(Error::InvalidArgument { what, reason: "the passphrase is empty".to_owned() })
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

/// What the values of a dict are sealed and opened with.
pub(super) struct Vault {
    dict: Name,
    salt: [u8; SALT_BYTES],
    secret: Secret,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(..)")
    }
}

impl Vault {
    /// A new seal for a dict. For a passphrase it takes its time.
    ///
    /// # Errors
    /// A bad key; if the machine has no random bytes to give.
    pub(super) fn make(dict: &Name, key: &SealKey, rng: &dyn Rng) -> Result<(Vault, Box<[u8]>)> {
        key.check(dict)?;
        let mut salt = [0; SALT_BYTES];
        rng.fill(&mut salt)?;
        let cost =
            if key.origin() == PASSPHRASE { COST } else { Cost { memory_kib: 0, passes: 0, lanes: 0 } };
        let secret = key.secret(&salt, cost).ok_or_else(|| damaged(dict, "its cost"))?;
        let vault = Vault { dict: dict.clone(), salt, secret };
        let known_by = encrypt(&vault.secret, rng, &vault.header(KNOWN, ""), Vec::new())?.unwrap_or_default();
        let mut seal = vec![VERSION, key.origin()];
        for number in [cost.memory_kib, cost.passes, cost.lanes] {
            seal.extend(number.to_le_bytes());
        }
        seal.extend(salt);
        seal.extend(known_by);
        seal.extend(crc(dict, &seal).to_le_bytes());
        Ok((vault, seal.into()))
    }

    /// Opens a dict by the seal that it has. For a passphrase it takes its time.
    ///
    /// # Errors
    /// [`Error::WrongKey`]; a bad key; [`Error::Corrupt`] if the seal is damaged; [`Error::Unsupported`] if it is a newer one.
    pub(super) fn open_by(dict: &Name, key: &SealKey, seal: &[u8]) -> Result<Vault> {
        key.check(dict)?;
        let wrong = |reason: &str| Error::WrongKey { dict: dict.to_string(), reason: reason.to_owned() };
        let (seal, stored) = seal.split_last_chunk::<CRC_BYTES>().ok_or_else(|| damaged(dict, "cut off"))?;
        if crc(dict, seal) != u32::from_le_bytes(*stored) {
            return Err(damaged(dict, "its checksum is another one"));
        }
        let (head, known_by) =
            seal.split_first_chunk::<KNOWN_BY>().ok_or_else(|| damaged(dict, "cut off"))?;
        let [version, origin, numbers @ ..] = head;
        if *version != VERSION {
            let what = format!("the seal of dict \"{dict}\"");
            return Err(Error::Unsupported { what, reason: "a newer millpond has made it".to_owned() });
        }
        match (*origin, key.origin()) {
            (BYTES, PASSPHRASE) => return Err(wrong("it takes 32 bytes, and no passphrase")),
            (PASSPHRASE, BYTES) => return Err(wrong("it takes a passphrase, and no bytes")),
            _ => {}
        }
        let (cost, salt) = numbers.split_at(3 * 4);
        let mut cost =
            cost.chunks_exact(4).map(|chunk| u32::from_le_bytes(chunk.try_into().unwrap_or_default()));
        let mut next = || cost.next().unwrap_or_default();
        let cost = Cost { memory_kib: next(), passes: next(), lanes: next() };
        let salt: [u8; SALT_BYTES] = salt.try_into().map_err(|_| damaged(dict, "cut off"))?;
        if cost.memory_kib > COST_MAX.memory_kib
            || cost.passes > COST_MAX.passes
            || cost.lanes > COST_MAX.lanes
        {
            return Err(damaged(dict, "its cost is beyond all bounds"));
        }
        let secret = key.secret(&salt, cost).ok_or_else(|| damaged(dict, "its cost is none"))?;
        let vault = Vault { dict: dict.clone(), salt, secret };
        let known = decrypt(&vault.secret, &vault.header(KNOWN, ""), known_by);
        known.map(|_| vault).ok_or_else(|| wrong("what it is known by does not open"))
    }

    /// A value as it is kept.
    pub(super) fn seal(&self, key: &str, json: String, rng: &dyn Rng) -> Result<Data> {
        let sealed = encrypt(&self.secret, rng, &self.header(VALUE, key), json.into_bytes())?;
        let what = || format!("the value of \"{key}\" of dict \"{}\"", self.dict);
        let too_long = || Error::Encode { what: what(), reason: "it is too long to be encrypted".to_owned() };
        sealed.map(Data::Sealed).ok_or_else(too_long)
    }

    /// The JSON of a value.
    pub(super) fn open(&self, key: &str, version: u64, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        decrypt(&self.secret, &self.header(VALUE, key), sealed).ok_or_else(|| {
            let detail =
                format!("key \"{key}\": what is sealed was changed, or belongs under another key or dict");
            Error::Corrupt { kind: "entry of dict", name: self.dict.to_string(), sequence: version, detail }
        })
    }

    /// What is authenticated beside a text.
    fn header(&self, purpose: u8, key: &str) -> Vec<u8> {
        let dict = self.dict.as_str();
        let length = (dict.len() as u32).to_le_bytes();
        [&[VERSION, purpose], &self.salt[..], &length, dict.as_bytes(), key.as_bytes()].concat()
    }
}

fn crc(dict: &Name, seal: &[u8]) -> u32 {
    checksum::record(Kind::Seal, dict.as_str(), 0, "", VERSION, 0, seal)
}

fn damaged(dict: &Name, detail: &str) -> Error {
    Error::Corrupt { kind: "seal of dict", name: dict.to_string(), sequence: 0, detail: detail.to_owned() }
}

/// Whether a dict keeps its values as a handle takes it to.
///
/// # Errors
/// [`Error::UsedOtherwise`]; what the database said.
pub(super) fn check(view: &mut dyn View, dict: &Name, sealed: bool) -> Result<()> {
    match view.dict_kept(dict)? {
        Some(kept) if matches!(kept, Kept::Sealed(_)) != sealed => Err(otherwise(dict, sealed)),
        _ => Ok(()),
    }
}

/// A dict that was taken for a sealed one, or for a plain one, is the other.
pub(super) fn otherwise(dict: &Name, sealed: bool) -> Error {
    let (plain, sealed) =
        if sealed { ("a sealed dict", "a plain one") } else { ("a plain dict", "a sealed one") };
    Error::UsedOtherwise { name: dict.to_string(), wanted: plain.to_owned(), found: sealed.to_owned() }
}
