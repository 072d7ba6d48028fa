//! Keys of subjects: what is sealed with the key of whom it is about becomes unreadable everywhere at once, in copies and
//! backups too, when that key is destroyed. The name stays, so that nobody makes a new key for it unawares.

use std::fmt;

use zeroize::Zeroize;

use crate::name::Name;

/// Length of a key in bytes.
pub const KEY_BYTES: usize = 32;

/// A key. It is never shown, and written over in memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; KEY_BYTES]);

impl Secret {
    /// Of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; KEY_BYTES]) -> Secret {
        Secret(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Find a subject's key, or make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Make {
    /// The subject.
    pub subject: Name,
    /// Its key if it has none.
    pub key: Secret,
}

/// Destroy a subject's key, for ever. Comes back as whether it had one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shred {
    /// The subject.
    pub subject: Name,
}

/// How the key of a subject stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It has this key.
    Kept(Secret),
    /// Its key was destroyed.
    Shredded,
}
