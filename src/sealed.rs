//! Values that are encrypted for a subject, and what dicts are sealed with: the only file that names a cipher.

use std::fmt;
use std::marker::PhantomData;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use millpond_actors::clock::Rng;
use millpond_actors::error::{Error, Result};
use millpond_actors::name::Name;
use millpond_actors::storage::subject::{KEY_BYTES, Secret};
use zeroize::Zeroizing;

use crate::codec;

/// How it is sealed: XChaCha20-Poly1305, the nonce before the text.
const FORMAT: u8 = 1;
/// So long that it can be drawn at random each time (draft-irtf-cfrg-xchacha, section 2.1).
const NONCE_BYTES: usize = 24;

/// A value of type `T` that is encrypted with the key of the [subject](crate::Subject) it is about.
///
/// It is what a field of an event, of a state or of a job is declared as, so that what is personal is neither in the store nor
/// in a snapshot, a projection or an export in the clear. It is made by [`SubjectKey::seal`](crate::SubjectKey::seal), and opened
/// by [`Store::unseal`](crate::Store::unseal) or with the key.
///
/// What can be seen of it: whose it is, and about how long it is. Whoever writes to the store past Millpond can put one sealed
/// value in the place of another one of the same subject; a changed byte, or another subject's, is found out.
///
/// As JSON it is `{"subject": "person-7", "sealed": "AR1x..."}`, the text in base64url. `sealed` is a version byte, 24 random bytes,
/// and what XChaCha20-Poly1305 makes of the value as JSON, with the version byte and the subject's name authenticated beside it.
pub struct Sealed<T> {
    subject: Name,
    bytes: Vec<u8>,
    value: PhantomData<fn() -> T>,
}

impl<T> Sealed<T> {
    /// Whose it is.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.subject.as_str()
    }

    pub(crate) fn subject_name(&self) -> &Name {
        &self.subject
    }

    pub(crate) fn refused(&self, reason: &str) -> Error {
        Error::SealBroken { subject: self.subject.to_string(), reason: reason.to_owned() }
    }

    /// What is authenticated beside the value.
    fn header(subject: &Name) -> Vec<u8> {
        [&[FORMAT], subject.as_str().as_bytes()].concat()
    }
}

impl<T: Serialize> Sealed<T> {
    pub(crate) fn seal(subject: &Name, key: &Secret, rng: &dyn Rng, value: &T) -> Result<Sealed<T>> {
        let mut text = codec::to_json(&Described(subject), value)?.into_bytes();
        let mut nonce = [0; NONCE_BYTES];
        rng.fill(&mut nonce)?;
        let cipher = XChaCha20Poly1305::new(key.bytes().into());
        let sealed = cipher.encrypt_in_place(&XNonce::from(nonce), &Self::header(subject), &mut text);
        sealed.map_err(|_| {
            let reason = "it is too long to be encrypted".to_owned();
            Error::Encode { what: Described(subject).to_string(), reason }
        })?;
        let bytes = [&[FORMAT][..], &nonce, &text].concat();
        Ok(Sealed { subject: subject.clone(), bytes, value: PhantomData })
    }
}

impl<T: DeserializeOwned> Sealed<T> {
    pub(crate) fn open(&self, key: &Secret) -> Result<T> {
        let Some((&FORMAT, rest)) = self.bytes.split_first() else {
            return Err(self.refused("it is damaged, or was sealed by a newer Millpond"));
        };
        let Some((nonce, text)) = rest.split_first_chunk::<NONCE_BYTES>() else {
            return Err(self.refused("it is cut off"));
        };
        let mut text = text.to_vec();
        let cipher = XChaCha20Poly1305::new(key.bytes().into());
        let opened = cipher.decrypt_in_place(&XNonce::from(*nonce), &Self::header(&self.subject), &mut text);
        opened.map_err(|_| self.refused("it is damaged, or was sealed with another key"))?;
        codec::from_slice(&Described(&self.subject), &text)
    }
}

/// A text encrypted with a key, a random nonce before it, and `header` authenticated beside it; `None` if it is too long.
pub(crate) fn encrypt(
    key: &Secret,
    rng: &dyn Rng,
    header: &[u8],
    mut text: Vec<u8>,
) -> Result<Option<Vec<u8>>> {
    let mut nonce = [0; NONCE_BYTES];
    rng.fill(&mut nonce)?;
    let cipher = XChaCha20Poly1305::new(key.bytes().into());
    let sealed = cipher.encrypt_in_place(&XNonce::from(nonce), header, &mut text);
    Ok(sealed.ok().map(|()| [&nonce[..], &text].concat()))
}

/// What was [encrypted](encrypt), if it was with this key and this header, and nobody has changed it since.
pub(crate) fn decrypt(key: &Secret, header: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let mut text = Zeroizing::new(text.to_vec());
    let cipher = XChaCha20Poly1305::new(key.bytes().into());
    cipher.decrypt_in_place(&XNonce::from(*nonce), header, &mut *text).ok()?;
    Some(text)
}

/// What it costs to make a key of a passphrase, and so to try one out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
}

/// A key out of a passphrase, by Argon2id (RFC 9106); `None` for a cost that there cannot be.
pub(crate) fn derive(passphrase: &[u8], salt: &[u8], cost: Cost) -> Option<Secret> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(KEY_BYTES)).ok()?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, salt, &mut *key)
        .ok()?;
    Some(Secret::new(*key))
}

/// What is sealed, in the words of an error.
struct Described<'a>(&'a Name);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value for subject \"{}\"", self.0)
    }
}

/// As it is written down.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Sealed", deny_unknown_fields)]
struct Written {
    subject: String,
    sealed: String,
}

impl<T> Serialize for Sealed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (subject, sealed) = (self.subject.to_string(), BASE64.encode(&self.bytes));
        Written { subject, sealed }.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Sealed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Sealed<T>, D::Error> {
        let Written { subject, sealed } = Written::deserialize(deserializer)?;
        let subject = Name::new(&subject).map_err(D::Error::custom)?;
        let bytes = BASE64.decode(&sealed).map_err(D::Error::custom)?;
        Ok(Sealed { subject, bytes, value: PhantomData })
    }
}

impl<T> Clone for Sealed<T> {
    fn clone(&self) -> Sealed<T> {
        Sealed { subject: self.subject.clone(), bytes: self.bytes.clone(), value: PhantomData }
    }
}

/// The same sealed value; the same value sealed twice is not.
impl<T> PartialEq for Sealed<T> {
    fn eq(&self, other: &Sealed<T>) -> bool {
        (&self.subject, &self.bytes) == (&other.subject, &other.bytes)
    }
}

impl<T> Eq for Sealed<T> {}

impl<T> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("subject", &self.subject).finish_non_exhaustive()
    }
}
