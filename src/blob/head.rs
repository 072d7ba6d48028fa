//! What is known of a blob beside its bytes, and what is said about it when it is written.

use serde::Serialize;
use serde::de::DeserializeOwned;

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::storage::Data;
pub(super) use millpond_actors::storage::blob::Blob as Record;
use millpond_actors::storage::dict::Expected;

use crate::{codec, digest};

/// What is known of a blob beside its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    key: String,
    version: u64,
    size: u64,
    sha256: [u8; 32],
    metadata: Option<String>,
    created_at: i64,
}

impl Blob {
    pub(super) fn of(record: Record) -> Blob {
        let Record { key, version, size, sha256, metadata, created_at, .. } = record;
        Blob { key, version, size, sha256, metadata, created_at }
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its version: larger than that of all blobs that were put under this name before.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many bytes it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// SHA-256 of all its bytes.
    #[must_use]
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// The same as people write it: 64 hexadecimal digits.
    #[must_use]
    pub fn sha256_hex(&self) -> String {
        digest::hex(&self.sha256)
    }

    /// When it was finished, in milliseconds since 1970, as the wall clock showed it.
    #[must_use]
    pub fn created_at_ms(&self) -> i64 {
        self.created_at
    }

    /// What was [said](Upload::metadata) about it.
    ///
    /// # Errors
    /// [`Error::Decode`] if that is no `T`.
    pub fn metadata<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let what = format_args!("the metadata of blob \"{}\"", self.key);
        let metadata = self.metadata.as_ref().map(|json| Data::Json(json.clone()));
        metadata.map(|data| codec::from_data(&what, &data)).transpose()
    }
}

/// What is said about a blob that is written.
///
/// # Examples
/// ```
/// use millpond::{Error, Store, Upload};
/// # futures_executor::block_on(async {
/// let photos = Store::memory().await?.blobs("photos");
/// let once = Upload::new().metadata(&serde_json::json!({"type": "image/png"})).absent();
/// let blob = photos.put_with("pond.png", b"...", once.clone()).await?;
/// assert_eq!(blob.metadata::<serde_json::Value>()?.expect("it was said")["type"], "image/png");
/// let again = photos.put_with("pond.png", b"???", once).await;
/// assert!(matches!(again, Err(Error::BlobConflict { actual: Some(1), .. })));
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it is given to `put_with` or `write_with`"]
pub struct Upload {
    metadata: Option<Result<String>>,
    expected: Expected,
}

impl Upload {
    /// Nothing special: in place of whatever is there, and nothing is said about it.
    pub fn new() -> Upload {
        Upload::default()
    }

    /// Something that is kept with it, as JSON: 64 KiB at most. What cannot be encoded is the error of the first call.
    pub fn metadata<T: Serialize + ?Sized>(self, metadata: &T) -> Upload {
        let json = codec::to_json("the metadata of a blob", &metadata).and_then(|json| {
            limits::check_size("the metadata of a blob, in bytes,", json.len(), limits::METADATA_BYTES)?;
            Ok(json)
        });
        Upload { metadata: Some(json), ..self }
    }

    /// Only if there is nothing under the key when it is finished.
    pub fn absent(self) -> Upload {
        Upload { expected: Expected::Absent, ..self }
    }

    /// Only if there is something under the key when it is finished.
    pub fn present(self) -> Upload {
        Upload { expected: Expected::Present, ..self }
    }

    /// Only if what is under the key when it is finished has this [version](Blob::version).
    pub fn version(self, version: u64) -> Upload {
        Upload { expected: Expected::Version(version), ..self }
    }

    /// Whether the metadata are usable.
    pub(super) fn check(&self) -> Result<()> {
        self.metadata.as_ref().map_or(Ok(()), |json| json.as_ref().map(drop).map_err(Error::clone))
    }

    /// The metadata as they are kept, and what is expected, if that is usable.
    pub(super) fn checked(self) -> Result<(Option<String>, Expected)> {
        Ok((self.metadata.transpose()?, self.expected))
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

/// Where a blob is: the name of its blobs, and its key.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) blobs: Name,
    pub(super) key: Box<str>,
}

impl Place {
    /// Its name and key, for errors.
    pub(super) fn told(&self) -> (String, String) {
        (self.blobs.to_string(), self.key.to_string())
    }
}
