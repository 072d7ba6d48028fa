//! Blobs, for threads that wait: a writer is a [`std::io::Write`], and a reader a [`std::io::Read`].

use std::io;
use std::ops::RangeBounds;
use std::pin::pin;

use millpond_actors::error::{Error, Result};
use millpond_actors::reply::wait_until;
use millpond_actors::storage::blob::Head;
use millpond_actors::thread::is_ours;

use super::{Batch, Inspector};
use crate::batch::Slot;
use crate::blob::{Blob, Upload, heads};

/// Large values by key; see [`crate::Blobs`].
///
/// # Examples
/// ```
/// use std::io::{Read, Write};
/// use millpond::blocking::Store;
/// let store = Store::memory()?;
/// let films = store.blobs("films");
/// let mut film = films.write("pond.mp4");
/// write!(film, "a pond, ").and_then(|()| write!(film, "an hour long")).map_err(|error| error.to_string()).unwrap();
/// assert_eq!(film.finish()?.size(), 20);
///
/// let mut text = String::new();
/// films.read("pond.mp4")?.expect("it is there").read_to_string(&mut text).unwrap();
/// assert_eq!(text, "a pond, an hour long");
///
/// // From whatever can be read: a file, a socket.
/// films.put_from("copy", &mut films.read_range("pond.mp4", 2..6)?.expect("it is there"))?;
/// assert_eq!(films.get("copy")?.as_deref(), Some(&b"pond"[..]));
/// store.close()?;
/// # Ok::<(), millpond::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Blobs {
    pub(super) blobs: crate::Blobs,
}

impl Blobs {
    /// See [`crate::Blobs::write`].
    pub fn write(&self, key: impl AsRef<str>) -> BlobWriter {
        BlobWriter { writer: self.blobs.write(key) }
    }

    /// See [`crate::Blobs::write_with`].
    pub fn write_with(&self, key: impl AsRef<str>, upload: Upload) -> BlobWriter {
        BlobWriter { writer: self.blobs.write_with(key, upload) }
    }

    /// See [`crate::Blobs::put`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn put(&self, key: impl AsRef<str>, bytes: impl AsRef<[u8]>) -> Result<Blob> {
        self.put_with(key, bytes, Upload::new())
    }

    /// See [`crate::Blobs::put_with`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn put_with(&self, key: impl AsRef<str>, bytes: impl AsRef<[u8]>, upload: Upload) -> Result<Blob> {
        wait_for(self.blobs.put_with(key, bytes, upload))
    }

    /// Writes a blob of all that can be read there, in place of what is under the key.
    ///
    /// # Errors
    /// As [`put_from_with`](Blobs::put_from_with).
    pub fn put_from(&self, key: impl AsRef<str>, source: &mut impl io::Read) -> Result<Blob> {
        self.put_from_with(key, source, Upload::new())
    }

    /// The same, with something said about it.
    ///
    /// # Errors
    /// [`Error::BlobLost`] with what the source said, if it cannot be read; as [`put_with`](Blobs::put_with). What is there stays as
    /// it is then.
    pub fn put_from_with(
        &self,
        key: impl AsRef<str>,
        source: &mut impl io::Read,
        upload: Upload,
    ) -> Result<Blob> {
        let mut writer = self.write_with(key, upload);
        let mut piece = vec![0; PIECE];
        loop {
            match source.read(&mut piece) {
                Ok(0) => return writer.finish(),
                Ok(read) => writer.write(piece.get(..read).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(writer.writer.lost(&format!("its source cannot be read: {error}"))),
            }
        }
    }

    /// See [`crate::Blobs::head`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn head(&self, key: impl AsRef<str>) -> Result<Option<Blob>> {
        self.blobs.head_blocking(key.as_ref())
    }

    /// See [`crate::Blobs::read`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn read(&self, key: impl AsRef<str>) -> Result<Option<BlobReader>> {
        Ok(self.blobs.open_blocking(key.as_ref(), None)?.map(BlobReader::of))
    }

    /// See [`crate::Blobs::read_range`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn read_range(
        &self,
        key: impl AsRef<str>,
        bytes: impl RangeBounds<u64>,
    ) -> Result<Option<BlobReader>> {
        Ok(self.blobs.read_range_blocking(key.as_ref(), bytes)?.map(BlobReader::of))
    }

    /// See [`crate::Blobs::get`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn get(&self, key: impl AsRef<str>) -> Result<Option<Vec<u8>>> {
        self.blobs.get_blocking(key.as_ref())
    }

    /// See [`crate::Blobs::contains`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn contains(&self, key: impl AsRef<str>) -> Result<bool> {
        Ok(self.head(key)?.is_some())
    }

    /// See [`crate::Blobs::entries`].
    pub fn entries(&self, prefix: impl AsRef<str>) -> BlobEntries {
        BlobEntries { entries: self.blobs.entries(prefix) }
    }

    /// See [`crate::Blobs::count`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn count(&self) -> Result<u64> {
        Ok(self.blobs.stands_blocking()?.map_or(0, |head| head.count))
    }

    /// See [`crate::Blobs::total_bytes`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn total_bytes(&self) -> Result<u64> {
        Ok(self.blobs.stands_blocking()?.map_or(0, |head| head.bytes))
    }

    /// See [`crate::Blobs::delete`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn delete(&self, key: impl AsRef<str>) -> Result<bool> {
        self.blobs.delete_blocking(key.as_ref())
    }

    /// See [`crate::Blobs::clear`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn clear(&self, prefix: impl AsRef<str>) -> Result<u64> {
        self.blobs.clear_blocking(prefix.as_ref())
    }

    /// See [`crate::Blobs::sweep`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn sweep(&self) -> Result<u64> {
        self.blobs.sweep_blocking()
    }
}

/// So much of a source is read at once.
const PIECE: usize = 64 << 10;

/// Lets this thread wait for a future of the store's.
fn wait_for<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    if is_ours() {
        return Err(Error::WouldDeadlock);
    }
    let mut future = pin!(future);
    wait_until(|context| future.as_mut().poll(context))
}

/// A blob that is being written; see [`crate::BlobWriter`]. It is a [`std::io::Write`], of which `flush` does nothing: only
/// [`finish`](BlobWriter::finish) makes anything of it.
#[derive(Debug)]
#[must_use = "nothing of it is to be seen before it is finished"]
pub struct BlobWriter {
    writer: crate::BlobWriter,
}

impl BlobWriter {
    /// See [`crate::BlobWriter::size`].
    #[must_use]
    pub fn size(&self) -> u64 {
        self.writer.size()
    }

    /// See [`crate::BlobWriter::write`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        wait_for(self.writer.write(bytes))
    }

    /// See [`crate::BlobWriter::finish`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn finish(self) -> Result<Blob> {
        wait_for(self.writer.finish())
    }

    /// See [`crate::BlobWriter::finish_in`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn finish_in(self, batch: &mut Batch) -> Result<Slot<Blob>> {
        wait_for(self.writer.finish_in(&mut batch.batch))
    }
}

impl io::Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        BlobWriter::write(self, bytes).map(|()| bytes.len()).map_err(io::Error::other)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The bytes of a blob, as an iterator of pieces and as a [`std::io::Read`]; see [`crate::BlobReader`].
#[derive(Debug)]
#[must_use = "nothing is read until bytes are asked for"]
pub struct BlobReader {
    reader: crate::BlobReader,
    /// What of the last piece was not read yet, for `io::Read`.
    piece: io::Cursor<Vec<u8>>,
}

impl BlobReader {
    fn of(reader: crate::BlobReader) -> BlobReader {
        BlobReader { reader, piece: io::Cursor::default() }
    }

    /// See [`crate::BlobReader::blob`].
    #[must_use]
    pub fn blob(&self) -> &Blob {
        self.reader.blob()
    }
}

impl Iterator for BlobReader {
    type Item = Result<Vec<u8>>;

    /// The next piece, or what is left of one that was begun by `read`.
    fn next(&mut self) -> Option<Result<Vec<u8>>> {
        let piece = std::mem::take(&mut self.piece);
        let read = usize::try_from(piece.position()).unwrap_or(usize::MAX);
        match piece.into_inner().get(read..) {
            Some(left) if !left.is_empty() => Some(Ok(left.to_vec())),
            _ => self.reader.next_blocking(),
        }
    }
}

impl io::Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.piece.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match self.reader.next_blocking() {
                Some(piece) => self.piece = io::Cursor::new(piece.map_err(io::Error::other)?),
                None => return Ok(0),
            }
        }
    }
}

/// What is known of the blobs of a name, as an iterator; see [`crate::BlobEntries`].
#[derive(Debug)]
#[must_use = "nothing is read until blobs are asked for"]
pub struct BlobEntries {
    entries: crate::BlobEntries,
}

impl BlobEntries {
    /// See [`crate::BlobEntries::after`].
    pub fn after(self, key: impl AsRef<str>) -> BlobEntries {
        BlobEntries { entries: self.entries.after(key) }
    }

    /// See [`crate::BlobEntries::limit`].
    pub fn limit(self, limit: u64) -> BlobEntries {
        BlobEntries { entries: self.entries.limit(limit) }
    }
}

impl Iterator for BlobEntries {
    type Item = Result<Blob>;

    fn next(&mut self) -> Option<Result<Blob>> {
        self.entries.next_blocking()
    }
}

impl Inspector {
    /// See [`crate::Inspector::blobs`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn blobs(&self, after: Option<&str>, limit: u32) -> Result<Vec<Head>> {
        self.inspector.runtime.read_blocking(heads(after, limit))
    }
}
