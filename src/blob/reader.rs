//! Reading a blob, chunk by chunk, each checked before it is given out.

use std::fmt;
use std::ops::{Bound, Range, RangeBounds};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::View;
use millpond_actors::storage::blob::{Bytes, Chunks};

use super::head::{Blob, Place, Record};
use crate::digest::Digest;
use crate::paging::{Leaf, Paged, Pages};

/// Chunks of a blob, from one to another.
#[derive(Clone)]
struct Walk {
    place: Place,
    record: Arc<Record>,
    next: u64,
    end: u64,
}

impl Walk {
    /// A page of chunks that were read.
    fn leaf(&self, chunks: Chunks) -> Leaf<Bytes> {
        let behind = self.next + chunks.len() as u64;
        Leaf { records: chunks, last: behind.checked_sub(1), more: behind < self.end }
    }
}

impl Paged for Walk {
    type Record = Bytes;
    type Place = u64;

    fn read(&self, most: u32, view: &mut dyn View) -> Result<Leaf<Bytes>> {
        let most = u64::from(most).min(self.end.saturating_sub(self.next));
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let found = view.blob_chunks(&self.place.blobs, &self.record, self.next, most)?;
        let (blobs, key) = self.place.told();
        found.map(|chunks| self.leaf(chunks)).ok_or(Error::BlobGone { blobs, key })
    }

    fn page_rows(&self) -> u32 {
        limits::BLOB_CHUNKS_PER_PAGE
    }

    fn move_behind(&mut self, last: u64) -> bool {
        self.next = last + 1;
        self.next >= self.end
    }
}

/// The bytes of a blob, in pieces of 128 KiB at most, read while they are looked at; see [`Blobs::read`](crate::Blobs::read).
///
/// A consumer that stops reading stops the reading; one that is slow holds two pages of 8 pieces at most. Each piece was compared with
/// its checksum before it is given out, and the whole with its SHA-256: if that is another one, an [`Error::Corrupt`] comes in place
/// of the end. What is read is the blob that was there when it began: if that is replaced or removed meanwhile, the reading goes on
/// as long as its bytes are there, and ends with [`Error::BlobGone`] when they have been swept. After an error it has ended.
#[must_use = "nothing is read until bytes are asked for"]
pub struct BlobReader {
    blob: Blob,
    place: Place,
    pages: Pages<Walk>,
    /// Of what has come, if all of it is read.
    digest: Option<Digest>,
    /// Which bytes are wanted.
    wanted: Range<u64>,
    /// At which byte the next chunk begins.
    at: u64,
    ended: bool,
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobReader").field("blob", &self.blob).field("at", &self.at).finish_non_exhaustive()
    }
}

/// The bytes between two bounds.
pub(super) fn bytes(wanted: impl RangeBounds<u64>) -> Range<u64> {
    let start = match wanted.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match wanted.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

/// What looks for a blob and its first chunks that are wanted.
pub(super) fn opening(
    place: &Place,
    wanted: Option<&Range<u64>>,
) -> impl FnOnce(&mut dyn View) -> Result<Option<(Record, Chunks)>> + Send + 'static + use<> {
    let (place, from) = (place.clone(), wanted.map_or(0, |wanted| wanted.start));
    move |view| view.blob(&place.blobs, &place.key, from, limits::BLOB_CHUNKS_PER_PAGE)
}

impl BlobReader {
    /// Of a blob that was looked for.
    pub(super) fn new(
        runtime: &Arc<Runtime>,
        place: Place,
        (record, mut chunks): (Record, Chunks),
        wanted: Option<Range<u64>>,
    ) -> BlobReader {
        let digest = wanted.is_none().then(Digest::new);
        let wanted = wanted.unwrap_or(0..u64::MAX);
        let start = wanted.start.min(record.size);
        let wanted = start..wanted.end.clamp(start, record.size);
        let chunk = u64::from(record.chunk).max(1);
        let next = wanted.start / chunk;
        let end = if wanted.is_empty() { next } else { wanted.end.div_ceil(chunk) };
        let walk = Walk { place: place.clone(), record: Arc::new(record.clone()), next, end };
        chunks.truncate(usize::try_from(end - next).unwrap_or(usize::MAX));
        let leaf = walk.leaf(chunks);
        let pages = Pages::new(runtime, Ok(walk)).begun(leaf);
        BlobReader { blob: Blob::of(record), place, pages, digest, wanted, at: next * chunk, ended: false }
    }

    /// What is known of it beside its bytes.
    #[must_use]
    pub fn blob(&self) -> &Blob {
        &self.blob
    }

    /// The next piece; `None` at the end.
    ///
    /// Cancel-safe: a dropped future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>>> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// The next piece for a thread that waits.
    pub(crate) fn next_blocking(&mut self) -> Option<Result<Vec<u8>>> {
        if self.ended {
            return None;
        }
        let found = self.pages.next_blocking();
        self.take(found)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.pages.poll_next(context).map(|found| self.take(found))
    }

    /// What is given out of a chunk, or of the end.
    fn take(&mut self, found: Option<Result<Bytes>>) -> Option<Result<Vec<u8>>> {
        match found {
            Some(Ok(Bytes(chunk))) => {
                if let Some(digest) = &mut self.digest {
                    digest.add(&chunk);
                }
                let from = self.at;
                self.at += chunk.len() as u64;
                Some(Ok(cut(chunk, from, &self.wanted)))
            }
            Some(Err(error)) => {
                self.ended = true;
                Some(Err(error))
            }
            None => {
                self.ended = true;
                let found = self.digest.take()?.end();
                (found != *self.blob.sha256()).then(|| Err(self.wrong()))
            }
        }
    }

    fn wrong(&self) -> Error {
        let (name, key) = self.place.told();
        let detail = format!("key \"{key}\": its bytes have another SHA-256 than those that were written");
        Error::Corrupt { kind: "blob", name, sequence: 0, detail }
    }
}

/// What of a chunk that begins at a byte is wanted.
fn cut(mut chunk: Vec<u8>, from: u64, wanted: &Range<u64>) -> Vec<u8> {
    let within = |byte: u64| usize::try_from(byte.saturating_sub(from)).unwrap_or(usize::MAX);
    chunk.truncate(within(wanted.end));
    if wanted.start > from {
        chunk.drain(..within(wanted.start).min(chunk.len()));
    }
    chunk
}

impl Stream for BlobReader {
    type Item = Result<Vec<u8>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millpond_actors::error::Error;
    use millpond_actors::memory::Memory;
    use millpond_actors::runtime::{Runtime, Settings};
    use millpond_actors::storage::Identity;
    use millpond_actors::storage::blob::{Bytes, Finish};
    use millpond_actors::storage::dict::Expected;

    use super::super::Blobs;
    use crate::digest::Digest;

    /// A blob that says it has this SHA-256.
    fn with_sum(sha256: [u8; 32]) -> Blobs {
        let identity = Identity { pid: 1, host: "here".into(), program: "test".into(), boot: "boot".into() };
        let runtime = Runtime::start(Arc::new(Memory::new()), identity, Settings::default()).unwrap();
        let blobs = Blobs::new(Arc::new(runtime), "films");
        let place = blobs.place("k").unwrap();
        let finish = Finish {
            blobs: place.blobs,
            key: place.key,
            content: None,
            rest: Bytes(b"abc".to_vec()),
            chunk: 4,
            size: 3,
            sha256,
            metadata: None,
            expected: Expected::Any,
        };
        blobs.runtime.write_blocking(finish).unwrap();
        blobs
    }

    #[test]
    fn b5_an_error_comes_in_place_of_the_end_if_the_whole_is_another_one() {
        let mut digest = Digest::new();
        digest.add(b"abc");
        assert_eq!(with_sum(digest.end()).get_blocking("k").unwrap().unwrap(), b"abc");
        let wrong = with_sum([7; 32]);
        let mut reader = wrong.open_blocking("k", None).unwrap().unwrap();
        assert_eq!(reader.next_blocking(), Some(Ok(b"abc".to_vec())));
        let found = reader.next_blocking();
        assert!(matches!(found, Some(Err(Error::Corrupt { kind: "blob", .. }))), "{found:?}");
        assert_eq!(reader.next_blocking(), None);
        assert!(matches!(wrong.get_blocking("k"), Err(Error::Corrupt { .. })));
        let mut part = wrong.read_range_blocking("k", ..).unwrap().unwrap();
        assert_eq!(part.next_blocking(), Some(Ok(b"abc".to_vec())));
        assert_eq!(part.next_blocking(), None, "of a range nobody knows the sum");
    }
}
