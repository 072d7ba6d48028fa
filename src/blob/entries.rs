//! The blobs of a name, by key, read page by page while they are looked at.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::View;
use millpond_actors::storage::blob::Query;

use super::head::{Blob, Record};
use crate::paging::{Leaf, Paged, Pages};

/// A query by pages.
#[derive(Clone, Debug)]
struct Walk(Query);

impl Paged for Walk {
    type Record = Record;
    type Place = String;

    fn read(&self, most: u32, view: &mut dyn View) -> Result<Leaf<Record, String>> {
        let page = view.blob_page(&Query { limit: most, ..self.0.clone() })?;
        Ok(Leaf { records: page.blobs, last: page.last, more: page.more })
    }

    fn page_rows(&self) -> u32 {
        self.0.limit
    }

    fn move_behind(&mut self, last: String) -> bool {
        self.0.after = Some(last.into());
        false
    }
}

/// What is known of the blobs of a name, in the order of their keys, read from the store page by page while they are looked at; see
/// [`Blobs::entries`](crate::Blobs::entries). A consumer that stops reading stops the reading; one that is slow holds two pages at
/// most.
///
/// Each page is a snapshot of its moment. A blob whose row is damaged is an error in its place, and the stream goes on behind it; after
/// any other error it has ended.
///
/// The methods that choose what to read have to be called before the first is asked for.
#[derive(Debug)]
#[must_use = "nothing is read until blobs are asked for"]
pub struct BlobEntries(Pages<Walk>);

impl BlobEntries {
    pub(super) fn new(runtime: &Arc<Runtime>, name: Result<Name>, prefix: &str) -> BlobEntries {
        let query = name
            .map(|blobs| Walk(Query { blobs, prefix: prefix.into(), after: None, limit: limits::PAGE_ROWS }));
        BlobEntries(Pages::new(runtime, query))
    }

    /// Only those behind this key.
    pub fn after(self, key: impl AsRef<str>) -> BlobEntries {
        BlobEntries(self.0.change(|walk| walk.0.after = Some(key.as_ref().into())))
    }

    /// At most so many.
    pub fn limit(self, limit: u64) -> BlobEntries {
        BlobEntries(self.0.limit(limit))
    }

    /// The next one; `None` at the end.
    ///
    /// Cancel-safe: a dropped future loses none.
    pub async fn next(&mut self) -> Option<Result<Blob>> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// The next one for a thread that waits.
    pub(crate) fn next_blocking(&mut self) -> Option<Result<Blob>> {
        self.0.next_blocking().map(|found| found.map(Blob::of))
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Blob>>> {
        self.0.poll_next(context).map(|found| found.map(|found| found.map(Blob::of)))
    }
}

impl Stream for BlobEntries {
    type Item = Result<Blob>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(context)
    }
}
