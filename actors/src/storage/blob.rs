//! Blobs in the database: large values by key, whose bytes lie in chunks.
//!
//! What is written is a *content*, which has a number of its own and is seen by nobody. [`Finish`] puts it under a key, in one
//! operation, and what was there before goes. A content that no blob has any more, or whose writer has died, is swept: a few
//! chunks at a time, so that nobody waits for all of it.

use super::dict::Expected;
use crate::name::Name;

/// Bytes of a blob.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// Begin a content that may be larger than a chunk. What is expected is looked at again when it is finished; here it saves those
/// who come in vain from writing all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// The blobs under one of whose keys it is to be.
    pub blobs: Name,
    /// That key.
    pub key: Box<str>,
    /// What must be so of what is there.
    pub expected: Expected,
}

/// What became of [`Begin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It can be written.
    Done {
        /// Its number, of the store's counter.
        content: u64,
    },
    /// What is there is not as expected.
    Conflict {
        /// The version of what is there.
        actual: Option<u64>,
    },
}

/// Write the next chunk of a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The content.
    pub content: u64,
    /// Which chunk: the first is 0.
    pub sequence: u64,
    /// The chunk.
    pub data: Bytes,
}

/// What became of [`Write`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is there.
    Done,
    /// The content is not being written any more, or this is not its next chunk.
    Gone,
}

/// Put a content under a key, in place of what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finish {
    /// The blobs; they come into being with their first.
    pub blobs: Name,
    /// The key.
    pub key: Box<str>,
    /// The content, if it was begun; else the rest is all of it.
    pub content: Option<u64>,
    /// What comes behind the chunks that were written: no more than one of them has.
    pub rest: Bytes,
    /// Bytes of a chunk; of all but the last.
    pub chunk: u32,
    /// Bytes in all.
    pub size: u64,
    /// SHA-256 of all of it.
    pub sha256: [u8; 32],
    /// JSON.
    pub metadata: Option<String>,
    /// What must be so before.
    pub expected: Expected,
}

/// What became of [`Finish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// It is there.
    Done {
        /// The row of the blobs.
        blobs: u64,
        /// The version that it has.
        version: u64,
        /// When it was finished, in milliseconds since 1970.
        created_at: i64,
        /// Whether there was one before.
        replaced: bool,
        /// Whether there is something to be swept now.
        waste: bool,
    },
    /// What is there is not as expected.
    Conflict {
        /// The version of what is there.
        actual: Option<u64>,
    },
    /// The content is not being written any more, or not all of it was.
    Gone,
}

/// Remove a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remove {
    /// The blobs.
    pub blobs: Name,
    /// The key.
    pub key: Box<str>,
    /// What must be so before.
    pub expected: Expected,
}

/// What became of [`Remove`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// There is none any more.
    Done {
        /// The row of the blobs and the version that they have since then, if there was a blob.
        was: Option<(u64, u64)>,
        /// Whether there is something to be swept now.
        waste: bool,
    },
    /// What is there is not as expected.
    Conflict {
        /// The version of what is there.
        actual: Option<u64>,
    },
}

/// Give up contents that are being written, and remove chunks that belong to no blob and to nobody who writes, so many at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// The contents that are given up. One that is not being written any more stays as it is.
    pub given_up: Vec<u64>,
    /// How many at most.
    pub chunks: u32,
}

/// What became of [`Sweep`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// So many were removed.
    pub chunks: u64,
    /// Whether there is more to be swept.
    pub more: bool,
}

/// A blob, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Its key.
    pub key: String,
    /// Its version: that of the blobs when it was put there.
    pub version: u64,
    /// The content that it has.
    pub content: u64,
    /// Bytes of a chunk; of all but the last.
    pub chunk: u32,
    /// Bytes in all.
    pub size: u64,
    /// SHA-256 of all of it.
    pub sha256: [u8; 32],
    /// JSON.
    pub metadata: Option<String>,
    /// When it was finished, in milliseconds since 1970.
    pub created_at: i64,
}

impl Blob {
    /// How many chunks it has.
    #[must_use]
    pub fn chunks(&self) -> u64 {
        self.size.div_ceil(u64::from(self.chunk).max(1))
    }

    /// How many bytes a chunk of it must have.
    #[must_use]
    pub fn length_of(&self, sequence: u64) -> u64 {
        let chunk = u64::from(self.chunk);
        self.size.saturating_sub(sequence.saturating_mul(chunk)).min(chunk)
    }
}

/// Chunks in a row: a damaged one is an [`Error::Corrupt`](crate::error::Error::Corrupt) in its place.
pub type Chunks = Vec<crate::error::Result<Bytes>>;

/// Which blobs to read, without their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Of which blobs.
    pub blobs: Name,
    /// Those whose keys begin so.
    pub prefix: Box<str>,
    /// Those behind this key.
    pub after: Option<Box<str>>,
    /// At most so many; a page may end earlier for its size.
    pub limit: u32,
}

/// One page of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// In the order of their keys, byte by byte; a damaged one is an [`Error::Corrupt`](crate::error::Error::Corrupt) in its
    /// place.
    pub blobs: Vec<crate::error::Result<Blob>>,
    /// The key of the last row looked at, if any.
    pub last: Option<String>,
    /// Whether there may be more behind it.
    pub more: bool,
}

/// How blobs of one name stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Their row.
    pub id: u64,
    /// Their name.
    pub name: String,
    /// So many changes they have had.
    pub version: u64,
    /// So many there are.
    pub count: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// Whether what was written of a content, so many chunks, and the rest are all of it.
#[must_use]
pub fn is_whole(finish: &Finish, chunks: u64) -> bool {
    let (chunk, rest) = (u64::from(finish.chunk), finish.rest.0.len() as u64);
    let all = chunks.checked_mul(chunk).and_then(|written| written.checked_add(rest));
    rest <= chunk && all == Some(finish.size)
}
