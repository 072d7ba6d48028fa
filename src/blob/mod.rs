//! Blobs: large values by key, written and read in pieces.
//!
//! - `mod` blobs as their users have them;
//! - `head` what is known of one beside its bytes, and what is said about it when it is written;
//! - `writer` writing one, and its end, alone or in a batch;
//! - `reader` reading one;
//! - `entries` all of them, by key, read page by page;
//! - `batch` what else a batch does with them.
//!
//! What is promised of them, by the ids that tests carry:
//!
//! - **B1** what is not finished is seen by nobody, and what is seen is all that was written;
//! - **B2** what is expected of a key is looked at in the commit that finishes or removes;
//! - **B3** what was replaced, removed or given up is swept, a portion a commit, and its room is used again;
//! - **B4** what a dead process was writing was never there, and is swept;
//! - **B5** no byte is given out that is not the one that was written there: a chunk has its checksum, the whole its SHA-256;
//! - **B6** a blob is finished and removed in a batch with whatever else is in it, or not at all;
//! - **B7** whoever reads goes on with the blob that he began with, or is told that it is gone;
//! - **B8** writing and reading take as much memory as a few chunks have, however large the blob is; what a dump, a load or a
//!   check takes does not grow with it either.

mod batch;
mod entries;
mod head;
mod reader;
mod writer;

use std::ops::{Range, RangeBounds};
use std::sync::Arc;

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::name::{self, Name};
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::View;
use millpond_actors::storage::blob::{Head, Remove, Removed, Sweep};
use millpond_actors::storage::dict::Expected;

pub use self::entries::BlobEntries;
pub use self::head::{Blob, Upload};
use self::head::{Place, Record};
pub use self::reader::BlobReader;
pub use self::writer::BlobWriter;
use crate::batch::{Batch, Slot, Written};
use crate::inspect::Inspector;

/// Blobs of a name: large values by key, up to 1 TiB each. A handle: cheap to clone, no I/O to make one.
///
/// - **All or nothing**: nobody sees a blob before all of it is on disk; what was not finished, because its writer was dropped or its
///   process died, was never there.
/// - **In pieces**: [`write`](Blobs::write) and [`read`](Blobs::read) hold a few pieces of 128 KiB, however large the blob is.
/// - **Checked**: each piece has a checksum and the whole a SHA-256, which are compared before what was read is taken for good.
/// - **A version** for each, which no other of the same name ever has: what was looked at can be replaced
///   [only if it is still that](Upload::version).
/// - **Whoever reads** goes on with the blob that he began with when it is replaced or removed, or is told that it is
///   [gone](Error::BlobGone).
/// - **What is not needed any more** is swept in the background, and its room in the file used again.
/// - **Keys** are texts of 1 to 512 bytes, in the order of their bytes.
///
/// # Examples
/// ```
/// use millpond::{Store, Upload};
/// # futures_executor::block_on(async {
/// let store = Store::memory().await?;
/// let films = store.blobs("films");
///
/// // In pieces, wherever they come from.
/// let mut film = films.write_with("pond.mp4", Upload::new().metadata("a pond, an hour long"));
/// for _ in 0..1_000 {
///     film.write(&[7; 1_000]).await?;
/// }
/// let blob = film.finish().await?;
/// assert_eq!(blob.size(), 1_000_000);
///
/// let mut film = films.read("pond.mp4").await?.expect("it is there");
/// let mut bytes = 0;
/// while let Some(piece) = film.next().await {
///     bytes += piece?.len();
/// }
/// assert_eq!(bytes, 1_000_000);
/// let middle = films.read_range("pond.mp4", 500_000..500_010).await?;
/// assert_eq!(middle.expect("it is there").next().await.expect("ten bytes")?, [7; 10]);
///
/// // What is small can be had in one piece.
/// films.put("title", b"The pond").await?;
/// assert_eq!(films.get("title").await?.as_deref(), Some(&b"The pond"[..]));
/// assert!(films.delete("pond.mp4").await?);
/// assert_eq!(films.count().await?, 1);
/// # store.close().await
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Blobs {
    runtime: Arc<Runtime>,
    name: Result<Name>,
}

impl std::fmt::Debug for Blobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blobs").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Blobs {
    pub(crate) fn new(runtime: Arc<Runtime>, name: &str) -> Blobs {
        Blobs { runtime, name: Name::new(name) }
    }

    /// Begins to write a blob. Nothing is done before its bytes come, so a bad name or key is the error of the first call.
    pub fn write(&self, key: impl AsRef<str>) -> BlobWriter {
        self.write_with(key, Upload::new())
    }

    /// The same, with something said about it.
    pub fn write_with(&self, key: impl AsRef<str>, upload: Upload) -> BlobWriter {
        BlobWriter::new(&self.runtime, self.place(key.as_ref()), upload)
    }

    /// Writes a blob that is in memory already, in place of what is there.
    ///
    /// # Errors
    /// As [`BlobWriter::write`] and [`BlobWriter::finish`]. What is there stays as it is then.
    pub async fn put(&self, key: impl AsRef<str>, bytes: impl AsRef<[u8]>) -> Result<Blob> {
        self.put_with(key, bytes, Upload::new()).await
    }

    /// The same, with something said about it.
    ///
    /// # Errors
    /// As [`put`](Blobs::put); [`Error::BlobConflict`] if what is there is not as expected.
    pub async fn put_with(
        &self,
        key: impl AsRef<str>,
        bytes: impl AsRef<[u8]>,
        upload: Upload,
    ) -> Result<Blob> {
        let mut writer = self.write_with(key, upload);
        writer.write(bytes.as_ref()).await?;
        writer.finish().await
    }

    /// What is known of a blob; `None` if there is none.
    ///
    /// # Errors
    /// A bad name or key; [`Error::Corrupt`] if that is damaged; what the database said.
    pub async fn head(&self, key: impl AsRef<str>) -> Result<Option<Blob>> {
        self.runtime.read(self.look_up(key.as_ref())?).await
    }

    /// The same for a thread that waits.
    pub(crate) fn head_blocking(&self, key: &str) -> Result<Option<Blob>> {
        self.runtime.read_blocking(self.look_up(key)?)
    }

    /// Begins to read a blob; `None` if there is none.
    ///
    /// # Errors
    /// As [`head`](Blobs::head).
    pub async fn read(&self, key: impl AsRef<str>) -> Result<Option<BlobReader>> {
        self.open(key.as_ref(), None).await
    }

    /// Begins to read some bytes of a blob, the first of which is byte 0; those that it does not have are left out. What is read is
    /// checked piece by piece, but not by the SHA-256, which is that of the whole.
    ///
    /// # Errors
    /// As [`head`](Blobs::head).
    pub async fn read_range(
        &self,
        key: impl AsRef<str>,
        bytes: impl RangeBounds<u64>,
    ) -> Result<Option<BlobReader>> {
        self.open(key.as_ref(), Some(reader::bytes(bytes))).await
    }

    async fn open(&self, key: &str, bytes: Option<Range<u64>>) -> Result<Option<BlobReader>> {
        let place = self.place(key)?;
        let found = self.runtime.read(reader::opening(&place, bytes.as_ref())).await?;
        Ok(found.map(|found| BlobReader::new(&self.runtime, place, found, bytes)))
    }

    /// Begins to read some bytes, for a thread that waits.
    pub(crate) fn read_range_blocking(
        &self,
        key: &str,
        wanted: impl RangeBounds<u64>,
    ) -> Result<Option<BlobReader>> {
        self.open_blocking(key, Some(reader::bytes(wanted)))
    }

    /// Begins to read, for a thread that waits.
    pub(crate) fn open_blocking(&self, key: &str, bytes: Option<Range<u64>>) -> Result<Option<BlobReader>> {
        let place = self.place(key)?;
        let found = self.runtime.read_blocking(reader::opening(&place, bytes.as_ref()))?;
        Ok(found.map(|found| BlobReader::new(&self.runtime, place, found, bytes)))
    }

    /// All bytes of a blob that is not large; `None` if there is none. What is replaced while it is read is read anew.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond 16 MiB; [`Error::Corrupt`] if it is damaged; as [`head`](Blobs::head).
    pub async fn get(&self, key: impl AsRef<str>) -> Result<Option<Vec<u8>>> {
        let key = key.as_ref();
        loop {
            let Some(mut reader) = self.open(key, None).await? else { return Ok(None) };
            let mut bytes = room(&reader)?;
            loop {
                match reader.next().await {
                    None => return Ok(Some(bytes)),
                    Some(Ok(piece)) => bytes.extend_from_slice(&piece),
                    Some(Err(Error::BlobGone { .. })) => break,
                    Some(Err(error)) => return Err(error),
                }
            }
        }
    }

    /// The same for a thread that waits.
    pub(crate) fn get_blocking(&self, key: &str) -> Result<Option<Vec<u8>>> {
        loop {
            let Some(mut reader) = self.open_blocking(key, None)? else { return Ok(None) };
            let mut bytes = room(&reader)?;
            loop {
                match reader.next_blocking() {
                    None => return Ok(Some(bytes)),
                    Some(Ok(piece)) => bytes.extend_from_slice(&piece),
                    Some(Err(Error::BlobGone { .. })) => break,
                    Some(Err(error)) => return Err(error),
                }
            }
        }
    }

    /// Whether there is a blob.
    ///
    /// # Errors
    /// As [`head`](Blobs::head).
    pub async fn contains(&self, key: impl AsRef<str>) -> Result<bool> {
        Ok(self.head(key).await?.is_some())
    }

    /// What is known of all blobs whose keys begin so, by key; of all at all for an empty prefix. Nothing is read before the first is
    /// asked for.
    pub fn entries(&self, prefix: impl AsRef<str>) -> BlobEntries {
        BlobEntries::new(&self.runtime, self.name.clone(), prefix.as_ref())
    }

    /// How many there are.
    ///
    /// # Errors
    /// A bad name; what the database said.
    pub async fn count(&self) -> Result<u64> {
        Ok(self.runtime.read(self.stands()?).await?.map_or(0, |head| head.count))
    }

    /// How many bytes all of them have.
    ///
    /// # Errors
    /// As [`count`](Blobs::count).
    pub async fn total_bytes(&self) -> Result<u64> {
        Ok(self.runtime.read(self.stands()?).await?.map_or(0, |head| head.bytes))
    }

    /// How they stand, for a thread that waits.
    pub(crate) fn stands_blocking(&self) -> Result<Option<Head>> {
        self.runtime.read_blocking(self.stands()?)
    }

    /// Removes a blob. Whether there was one. Its bytes are swept in the background.
    ///
    /// # Errors
    /// A bad name or key; [`Error::Corrupt`] if what is known of it is damaged; [`Error::Busy`]; what the database said. Nothing is
    /// changed then.
    pub async fn delete(&self, key: impl AsRef<str>) -> Result<bool> {
        let removed = self.runtime.write(self.removal(key.as_ref(), Expected::Any)?).await?;
        Ok(self.removed(&removed))
    }

    /// The same for a thread that waits.
    pub(crate) fn delete_blocking(&self, key: &str) -> Result<bool> {
        let removed = self.runtime.write_blocking(self.removal(key, Expected::Any)?)?;
        Ok(self.removed(&removed))
    }

    /// Removes every blob whose key begins so; all at all for an empty prefix. How many there were. It goes by 100 a commit, from the
    /// first key on, so others may see a part of it, and one that is put before the place it has come to stays.
    ///
    /// # Errors
    /// As [`delete`](Blobs::delete). Some may have been removed then.
    pub async fn clear(&self, prefix: impl AsRef<str>) -> Result<u64> {
        let (mut entries, mut all) = (self.entries(prefix), 0);
        loop {
            let mut clearing = Clearing::new(self);
            while !clearing.is_full() {
                let Some(blob) = entries.next().await else { break };
                clearing.add(&blob?)?;
            }
            if clearing.slots.is_empty() {
                return Ok(all);
            }
            let (batch, slots) = clearing.parts();
            all += removed_of(&batch.commit().await?, &slots);
        }
    }

    /// The same for a thread that waits.
    pub(crate) fn clear_blocking(&self, prefix: &str) -> Result<u64> {
        let (mut entries, mut all) = (self.entries(prefix), 0);
        loop {
            let mut clearing = Clearing::new(self);
            while !clearing.is_full() {
                let Some(blob) = entries.next_blocking() else { break };
                clearing.add(&blob?)?;
            }
            if clearing.slots.is_empty() {
                return Ok(all);
            }
            let (batch, slots) = clearing.parts();
            all += removed_of(&batch.commit_blocking()?, &slots);
        }
    }

    /// Sweeps all that is nobody's in the whole store now, and waits for it: the bytes of blobs that were replaced or removed, and of
    /// those that were never finished. It goes on by itself in the process that has made it so, and with each blob that is written;
    /// this is for programs that end at once, or want to know. The bytes swept are free in the file, which does not become shorter. How
    /// many pieces of 128 KiB there were.
    ///
    /// # Errors
    /// [`Error::Busy`]; what the database said. Some may have been swept then.
    pub async fn sweep(&self) -> Result<u64> {
        let mut all = 0;
        loop {
            let swept = self.runtime.write(portion()).await?;
            all += swept.chunks;
            if !swept.more {
                return Ok(all);
            }
        }
    }

    /// The same for a thread that waits.
    pub(crate) fn sweep_blocking(&self) -> Result<u64> {
        let mut all = 0;
        loop {
            let swept = self.runtime.write_blocking(portion())?;
            all += swept.chunks;
            if !swept.more {
                return Ok(all);
            }
        }
    }

    /// The name, and a key, if both are usable.
    fn place(&self, key: &str) -> Result<Place> {
        name::check("key of a blob", key, limits::NAME_BYTES)?;
        Ok(Place { blobs: self.name.clone()?, key: key.into() })
    }

    fn look_up(
        &self,
        key: &str,
    ) -> Result<impl FnOnce(&mut dyn View) -> Result<Option<Blob>> + Send + 'static + use<>> {
        let Place { blobs, key } = self.place(key)?;
        Ok(move |view: &mut dyn View| {
            let found: Option<(Record, _)> = view.blob(&blobs, &key, 0, 0)?;
            Ok(found.map(|(record, _)| Blob::of(record)))
        })
    }

    fn stands(&self) -> Result<impl FnOnce(&mut dyn View) -> Result<Option<Head>> + Send + 'static + use<>> {
        let name = self.name.clone()?;
        Ok(move |view: &mut dyn View| view.blobs_head(&name))
    }

    fn removal(&self, key: &str, expected: Expected) -> Result<Remove> {
        let Place { blobs, key } = self.place(key)?;
        Ok(Remove { blobs, key, expected })
    }

    /// Whether there was one; nothing was expected of it.
    fn removed(&self, removed: &Removed) -> bool {
        if matches!(removed, Removed::Done { waste: true, .. }) {
            writer::sweep(&self.runtime);
        }
        was_there(removed)
    }
}

/// Some blobs that are removed in one commit.
struct Clearing<'a> {
    blobs: &'a Blobs,
    batch: Batch,
    slots: Vec<Slot<bool>>,
}

impl Clearing<'_> {
    fn new(blobs: &Blobs) -> Clearing<'_> {
        Clearing { blobs, batch: Batch::new(Arc::clone(&blobs.runtime)), slots: Vec::new() }
    }

    fn is_full(&self) -> bool {
        self.slots.len() == limits::BLOBS_REMOVED_AT_ONCE
    }

    fn add(&mut self, blob: &Blob) -> Result<()> {
        self.slots.push(self.batch.delete_blob(self.blobs, blob.key())?);
        Ok(())
    }

    fn parts(self) -> (Batch, Vec<Slot<bool>>) {
        (self.batch, self.slots)
    }
}

/// How many of them were there still.
fn removed_of(written: &Written, slots: &[Slot<bool>]) -> u64 {
    slots.iter().filter(|slot| written.get(**slot) == Some(&true)).count() as u64
}

/// Whether there was a blob.
fn was_there(removed: &Removed) -> bool {
    matches!(removed, Removed::Done { was: Some(_), .. })
}

fn portion() -> Sweep {
    Sweep { given_up: Vec::new(), chunks: limits::CHUNKS_SWEPT_AT_ONCE }
}

/// Room for all of a blob that is read in one piece.
fn room(reader: &BlobReader) -> Result<Vec<u8>> {
    let (size, limit) = (reader.blob().size(), limits::BLOB_WHOLE_BYTES);
    match usize::try_from(size) {
        Ok(room) if size <= limit => Ok(Vec::with_capacity(room)),
        _ => Err(Error::TooLarge { what: "the blob that is read in one piece, in bytes,", size, limit }),
    }
}

impl Inspector {
    /// Up to `limit` names under which there ever were blobs, in order, those behind `after`.
    ///
    /// # Errors
    /// What the database said.
    pub async fn blobs(&self, after: Option<&str>, limit: u32) -> Result<Vec<Head>> {
        self.runtime.read(heads(after, limit)).await
    }
}

/// What looks for names of blobs.
pub(crate) fn heads(
    after: Option<&str>,
    limit: u32,
) -> impl FnOnce(&mut dyn View) -> Result<Vec<Head>> + Send + 'static + use<> {
    let after = after.map(str::to_owned);
    move |view| view.blobs_heads(after.as_deref(), limit)
}
