//! Writing a blob: a few chunks are on their way to the disk while the next is gathered, and nobody sees them before the end.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use millpond_actors::batch::Part;
use millpond_actors::blob::{Begin, BlobActor, Content, Waste, name};
use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::blob::{Begin as Beginning, Bytes, Finish, Finished, Stored, Write};

use super::head::{Blob, Place, Record, Upload, words};
use crate::batch::{Batch, Slot};
use crate::digest::Digest;

/// A chunk on its way.
type Flight = Pin<Box<dyn Future<Output = Result<Stored>> + Send>>;

/// A blob that is being written; see [`Blobs::write`](crate::Blobs::write).
///
/// Nobody sees anything of it before it is [finished](BlobWriter::finish). Dropped before that, or if its process dies, it was never
/// there, and what was written of it is swept. At most 16 chunks of 128 KiB are on their way to the disk; whoever writes faster waits.
#[must_use = "nothing of it is to be seen before it is finished"]
pub struct BlobWriter {
    runtime: Arc<Runtime>,
    place: Result<Place>,
    upload: Option<Upload>,
    digest: Digest,
    /// Bytes behind the last chunk, a chunk at most.
    gathered: Vec<u8>,
    /// Bytes in all.
    size: u64,
    /// Once there is more than a chunk.
    content: Option<Content>,
    chunks: u64,
    flights: VecDeque<Flight>,
    /// Why nothing more can be written.
    broken: Option<Error>,
}

impl fmt::Debug for BlobWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobWriter")
            .field("place", &self.place)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl BlobWriter {
    pub(super) fn new(runtime: &Arc<Runtime>, place: Result<Place>, upload: Upload) -> BlobWriter {
        BlobWriter {
            runtime: Arc::clone(runtime),
            place,
            upload: Some(upload),
            digest: Digest::new(),
            gathered: Vec::new(),
            size: 0,
            content: None,
            chunks: 0,
            flights: VecDeque::new(),
            broken: None,
        }
    }

    /// How many bytes were written so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Writes what comes next, all of it. `Ok` does not mean that it is on disk: that is what [`finish`](BlobWriter::finish) says.
    ///
    /// If the future is dropped before it has ended, nobody knows how much of it was taken: then nothing more can be written, and the
    /// blob cannot be finished.
    ///
    /// # Errors
    /// A bad name, key or metadata; [`Error::BlobConflict`] if what is there is not as expected by now; [`Error::BlobLost`];
    /// [`Error::TooLarge`] beyond 1 TiB; [`Error::Busy`]; what the database said. Nothing more can be written then.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.check()?;
        self.broken = Some(self.lost("a call that wrote it was dropped before its end"));
        let done = self.take(bytes).await;
        self.broken = done.as_ref().err().cloned();
        done
    }

    async fn take(&mut self, mut bytes: &[u8]) -> Result<()> {
        let size = self.size.saturating_add(bytes.len() as u64);
        if size > limits::BLOB_BYTES {
            return Err(Error::TooLarge { what: "the blob, in bytes,", size, limit: limits::BLOB_BYTES });
        }
        // A full chunk waits for what comes behind it: a blob that is no larger is one write.
        while !bytes.is_empty() {
            if self.gathered.len() == limits::BLOB_CHUNK {
                self.send().await?;
            }
            let room = limits::BLOB_CHUNK - self.gathered.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.gathered.extend_from_slice(now);
            self.size += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    /// Sends the chunk that was gathered on its way, when there is room on it.
    async fn send(&mut self) -> Result<()> {
        while self.flights.len() >= limits::BLOB_CHUNKS_AHEAD {
            self.land().await?;
        }
        let content = match &self.content {
            Some(content) => content.number(),
            None => self.begin().await?,
        };
        let data = std::mem::replace(&mut self.gathered, Vec::with_capacity(limits::BLOB_CHUNK));
        self.digest.add(&data);
        let (sequence, data) = (self.chunks, Bytes(data));
        let flight = self.runtime.begin_write(Write { content, sequence, data }).await?;
        self.chunks += 1;
        self.flights.push_back(Box::pin(flight));
        Ok(())
    }

    async fn begin(&mut self) -> Result<u64> {
        let (place, (_, expected)) =
            (self.place.clone()?, self.upload.clone().unwrap_or_default().checked()?);
        let operation = Beginning { blobs: place.blobs.clone(), key: place.key.clone(), expected };
        let post = self.runtime.post().clone();
        let begun = self
            .runtime
            .ask::<BlobActor, Begin, _>(&name()?, |reply, passage| Begin { operation, post, reply, passage })
            .await?;
        let content = begun.map_err(|actual| {
            let ((blobs, key), expected) = (place.told(), words(expected));
            Error::BlobConflict { blobs, key, expected, actual }
        })?;
        Ok(self.content.insert(content).number())
    }

    /// Waits for the chunk that was sent first.
    async fn land(&mut self) -> Result<()> {
        let Some(flight) = self.flights.front_mut() else { return Ok(()) };
        let stored = flight.await;
        self.flights.pop_front();
        match stored? {
            Stored::Done => Ok(()),
            Stored::Gone => Err(self.lost(GONE)),
        }
    }

    /// Puts what was written under its key, in one commit, in place of what is there. `Ok` means: all of it is on disk, and whoever
    /// reads after that sees it.
    ///
    /// Cancel-safe: if the future is dropped, it is there or it never was; which of them is not known.
    ///
    /// # Errors
    /// [`Error::BlobConflict`] if what is there is not as expected; as [`write`](BlobWriter::write). What is there stays as it is
    /// then.
    pub async fn finish(mut self) -> Result<Blob> {
        let (finish, content, means) = self.ending()?;
        // It is sent behind the chunks without waiting for them, so that it shares their commit.
        let finishing = self.runtime.begin_write(finish).await?;
        let mut landed = Ok(());
        while !self.flights.is_empty() {
            landed = landed.and(self.land().await);
        }
        let finished = finishing.await;
        landed?;
        let finished = finished?;
        self.settle(&finished, content);
        means(finished)
    }

    /// Adds to a batch that what was written is put under its key, as [`finish`](BlobWriter::finish) does it: with all else in the
    /// batch, or not at all. If the batch is dropped it was never there.
    ///
    /// # Errors
    /// As [`write`](BlobWriter::write); [`Error::InvalidArgument`] for a batch of another store; [`Error::TooLarge`] if there is no
    /// room in it. Nothing is added then.
    pub async fn finish_in(mut self, batch: &mut Batch) -> Result<Slot<Blob>> {
        let (finish, content, means) = self.ending()?;
        while !self.flights.is_empty() {
            self.land().await?;
        }
        let (bytes, runtime) = (finish.rest.0.len(), Arc::clone(&self.runtime));
        let part = Part::new(finish, move |finished: Option<Finished>| {
            if let Some(finished) = finished {
                self.settle(&finished, content);
            }
        });
        batch.add::<Finish, _>(&runtime, (part, bytes), means)
    }

    /// The end of it, its content, and what comes of it.
    #[allow(clippy::type_complexity, reason = "it is taken apart at once")]
    fn ending(
        &mut self,
    ) -> Result<(Finish, Option<Content>, impl FnOnce(Finished) -> Result<Blob> + Send + 'static + use<>)>
    {
        self.check()?;
        let place = self.place.clone()?;
        let (metadata, expected) = self.upload.take().unwrap_or_default().checked()?;
        let rest = std::mem::take(&mut self.gathered);
        self.digest.add(&rest);
        let sha256 = std::mem::replace(&mut self.digest, Digest::new()).end();
        let content = self.content.take();
        let finish = Finish {
            blobs: place.blobs.clone(),
            key: place.key.clone(),
            content: content.as_ref().map(Content::number),
            rest: Bytes(rest),
            chunk: limits::BLOB_CHUNK as u32,
            size: self.size,
            sha256,
            metadata: metadata.clone(),
            expected,
        };
        let size = self.size;
        let means = move |finished| {
            let (blobs, key) = place.told();
            match finished {
                Finished::Done { version, created_at, .. } => Ok(Blob::of(Record {
                    key,
                    version,
                    content: 0,
                    chunk: limits::BLOB_CHUNK as u32,
                    size,
                    sha256,
                    metadata,
                    created_at,
                })),
                Finished::Conflict { actual } => {
                    Err(Error::BlobConflict { blobs, key, expected: words(expected), actual })
                }
                Finished::Gone => Err(Error::BlobLost { blobs, key, reason: GONE.to_owned() }),
            }
        };
        Ok((finish, content, means))
    }

    /// What was finished is not given up any more; what it has replaced is swept.
    fn settle(&self, finished: &Finished, content: Option<Content>) {
        if let Finished::Done { waste, .. } = finished {
            content.into_iter().for_each(Content::finished);
            if *waste {
                sweep(&self.runtime);
            }
        }
    }

    /// Whether anything can be written.
    fn check(&self) -> Result<()> {
        self.place.as_ref().map_err(Error::clone)?;
        self.upload.as_ref().map_or(Ok(()), Upload::check)?;
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// It is given up for this reason.
    pub(crate) fn lost(&self, reason: &str) -> Error {
        match &self.place {
            Ok(place) => {
                let (blobs, key) = place.told();
                Error::BlobLost { blobs, key, reason: reason.to_owned() }
            }
            Err(error) => error.clone(),
        }
    }
}

const GONE: &str = "its process was taken for dead, or a part of it could not be written";

/// Has what is nobody's be swept, beside what else is done.
pub(super) fn sweep(runtime: &Runtime) {
    if let Ok(name) = name() {
        runtime.tell::<BlobActor, Waste>(&name, Waste);
    }
}
