//! A dict as it was asked for: plain, or sealed with the key that was given.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use millpond::blocking::{Dict, DictChanges, Entries, SealedDict, Store};
use millpond::{Entry, Put, SealKey};
use zeroize::Zeroizing;

use crate::failure::{Done, Failure};
use crate::input::Json;

/// Where the key of `--sealed` is.
const VARIABLE: &str = "MILLPOND_KEY";

/// It is not read further than this: no key is longer.
const KEY_BYTES: u64 = 64 << 10;

/// What a dict is sealed with, if it is.
#[derive(Debug, clap::Args)]
pub(crate) struct Key {
    /// The dict is sealed, with the key in this file: a passphrase, or 32 bytes as 64 hexadecimal digits
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The dict is sealed, with the key in $MILLPOND_KEY
    #[arg(long, conflicts_with = "key_file")]
    sealed: bool,
}

impl Key {
    /// The key, if one was asked for.
    fn read(&self) -> Done<Option<SealKey>> {
        if let Some(path) = &self.key_file {
            let mut text = Zeroizing::new(String::new());
            let read = File::open(path).and_then(|file| file.take(KEY_BYTES).read_to_string(&mut text));
            read.map_err(|error| {
                Failure::Failed(format!("cannot read the key in \"{}\": {error}", path.display()))
            })?;
            return Ok(Some(key_of(text.trim_end_matches(['\r', '\n']))));
        }
        if !self.sealed {
            return Ok(None);
        }
        match std::env::var(VARIABLE) {
            Ok(text) => Ok(Some(key_of(&Zeroizing::new(text)))),
            Err(_) => Err(Failure::Usage(format!(
                "--sealed takes the key from ${VARIABLE}, which is not set or no text"
            ))),
        }
    }
}

/// 64 hexadecimal digits are 32 bytes; all else is a passphrase.
fn key_of(text: &str) -> SealKey {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Option<Zeroizing<Vec<u8>>> =
        text.as_bytes().iter().map(digit).collect::<Option<Vec<u8>>>().map(Zeroizing::new);
    match digits {
        Some(digits) if digits.len() == bytes.len() * 2 => {
            for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
                *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
            }
            SealKey::bytes(*bytes)
        }
        _ => SealKey::passphrase(text),
    }
}

/// What is done with a dict, whichever it is.
pub(super) enum Handle {
    Plain(Dict<Json>),
    Sealed(SealedDict<Json>),
}

impl Handle {
    pub(super) fn new(store: &Store, name: &str, key: &Key) -> Done<Handle> {
        Ok(match key.read()? {
            Some(key) => Handle::Sealed(store.sealed_dict(name, key)),
            None => Handle::Plain(store.dict(name)),
        })
    }

    pub(super) fn get(&self, key: &str) -> millpond::Result<Option<Entry<Json>>> {
        match self {
            Handle::Plain(dict) => dict.get(key),
            Handle::Sealed(dict) => dict.get(key),
        }
    }

    pub(super) fn set_with(&self, key: &str, value: &Json, put: Put) -> millpond::Result<u64> {
        match self {
            Handle::Plain(dict) => dict.set_with(key, value, put),
            Handle::Sealed(dict) => dict.set_with(key, value, put),
        }
    }

    pub(super) fn delete(&self, key: &str) -> millpond::Result<bool> {
        match self {
            Handle::Plain(dict) => dict.delete(key),
            Handle::Sealed(dict) => dict.delete(key),
        }
    }

    pub(super) fn entries(&self, prefix: &str) -> millpond::Result<Entries<Json>> {
        match self {
            Handle::Plain(dict) => Ok(dict.entries(prefix)),
            Handle::Sealed(dict) => dict.entries(prefix),
        }
    }

    pub(super) fn watch(&self, prefix: &str) -> millpond::Result<DictChanges<Json>> {
        match self {
            Handle::Plain(dict) => dict.watch(prefix),
            Handle::Sealed(dict) => dict.watch(prefix),
        }
    }
}
