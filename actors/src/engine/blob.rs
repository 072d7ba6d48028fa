//! Blobs in tables: what is under each key, the chunks of all contents, and the contents that no blob has.

use std::sync::Arc;

use super::counter::Counter;
use super::store::{Caller, Store};
use crate::error::{Error, Result};
use crate::limits;
use crate::name::{self, Name};
use crate::storage::blob::{
    Begin, Begun, Blob, Bytes, Chunks, Finish, Finished, Head, Page, Query, Remove, Removed, Stored, Sweep,
    Swept, Write, is_whole,
};
use crate::storage::change::{Changed, Primitive};
use crate::storage::record::{self, Base, Onto, Put, Refusal};

/// Blobs of one name.
#[derive(Clone, Debug)]
pub struct Blobs {
    /// Their name.
    pub name: Name,
    /// So many changes they have had.
    pub version: u64,
    /// So many there are.
    pub count: u64,
    /// Of all of them.
    pub bytes: u64,
}

/// Whose blobs, and the key.
pub type Key = (u64, Box<str>);

/// A content that no blob has.
#[derive(Clone, Copy, Debug)]
pub struct Loose {
    /// Who writes it; nobody if it is to be swept.
    pub process: Option<u64>,
    /// The first chunk that is left of it.
    pub first: u64,
    /// The next one.
    pub chunks: u64,
}

/// What is written.
impl Store {
    /// Begins a content.
    pub fn blob_begin(&mut self, me: &Caller, begin: &Begin) -> Begun {
        let actual = self.blob_at(&begin.blobs, &begin.key).map(|(_, blob)| blob.version);
        if !begin.expected.is_met(actual) {
            return Begun::Conflict { actual };
        }
        self.give_up_contents(me);
        self.sweep_contents(limits::CHUNKS_SWEPT);
        let content = self.next_number();
        self.contents.put(content, Loose { process: Some(me.process), first: 0, chunks: 0 });
        Begun::Done { content }
    }

    /// Writes the next chunk of a content.
    pub fn blob_write(&mut self, write: &Write) -> Stored {
        let loose = self.contents.get(&write.content).copied();
        let Some(loose) = loose.filter(|it| it.process.is_some() && it.chunks == write.sequence) else {
            return Stored::Gone;
        };
        self.chunks.put((write.content, write.sequence), Arc::new(write.data.clone()));
        self.contents.put(write.content, Loose { chunks: loose.chunks + 1, ..loose });
        self.sweep_contents(limits::CHUNKS_SWEPT);
        Stored::Done
    }

    /// Puts a content under its key.
    pub fn blob_finish(&mut self, me: &Caller, finish: &Finish) -> Finished {
        let before = self.blob_at(&finish.blobs, &finish.key);
        let actual = before.as_ref().map(|(_, blob)| blob.version);
        if !finish.expected.is_met(actual) {
            return Finished::Conflict { actual };
        }
        let chunks = match finish.content {
            Some(content) => {
                self.contents.get(&content).filter(|it| it.process.is_some()).map(|it| it.chunks)
            }
            None => Some(0),
        };
        let Some(chunks) = chunks.filter(|chunks| is_whole(finish, *chunks)) else { return Finished::Gone };
        let content = finish.content.unwrap_or_else(|| self.next_number());
        self.contents.remove(&content);
        if !finish.rest.0.is_empty() {
            self.chunks.put((content, chunks), Arc::new(finish.rest.clone()));
        }
        let waste = before.as_ref().is_some_and(|(_, blob)| self.let_go(blob));
        let id = self.blobs_or_new(&finish.blobs);
        let size_before = before.as_ref().map(|(_, blob)| blob.size);
        let version = self.blobs_changed(id, &finish.blobs, (size_before, Some(finish.size)));
        let created_at = me.now.wall_ms;
        let blob = Blob {
            key: finish.key.to_string(),
            version,
            content,
            chunk: finish.chunk,
            size: finish.size,
            sha256: finish.sha256,
            metadata: finish.metadata.clone(),
            created_at,
        };
        self.blobs.put((id, finish.key.clone()), blob);
        Finished::Done { blobs: id, version, created_at, replaced: before.is_some(), waste }
    }

    /// Removes a blob.
    pub fn blob_remove(&mut self, remove: &Remove) -> Removed {
        let found = self.blob_at(&remove.blobs, &remove.key);
        let actual = found.as_ref().map(|(_, blob)| blob.version);
        if !remove.expected.is_met(actual) {
            return Removed::Conflict { actual };
        }
        let Some((id, blob)) = found else { return Removed::Done { was: None, waste: false } };
        self.blobs.remove(&(id, remove.key.clone()));
        let waste = self.let_go(&blob);
        let version = self.blobs_changed(id, &remove.blobs, (Some(blob.size), None));
        Removed::Done { was: Some((id, version)), waste }
    }

    /// Sweeps.
    pub fn blob_sweep(&mut self, me: &Caller, sweep: &Sweep) -> Swept {
        for content in &sweep.given_up {
            if let Some(loose) = self.contents.get(content).copied() {
                self.contents.put(*content, Loose { process: None, ..loose });
            }
        }
        self.give_up_contents(me);
        self.sweep_contents(sweep.chunks)
    }

    /// The row of blobs, which come into being.
    fn blobs_or_new(&mut self, name: &Name) -> u64 {
        self.blob_names.get(name).copied().unwrap_or_else(|| {
            let id = self.next(Counter::Blobs);
            self.blob_names.put(name.clone(), id);
            id
        })
    }

    /// The blob under a key and whose it is, as the transaction sees it.
    fn blob_at(&self, name: &Name, key: &str) -> Option<(u64, Blob)> {
        let id = self.blob_names.get(name).copied()?;
        self.blobs.get(&(id, key.into())).map(|blob| (id, blob.clone()))
    }

    /// One change more, by which a size goes and another one comes; the version since then.
    fn blobs_changed(&mut self, id: u64, name: &Name, (goes, comes): (Option<u64>, Option<u64>)) -> u64 {
        let (version, count, bytes) =
            self.blob_rows.get(&id).map_or((0, 0, 0), |row| (row.version, row.count, row.bytes));
        let version = version + 1;
        let count = (count + u64::from(comes.is_some())).saturating_sub(u64::from(goes.is_some()));
        let bytes = (bytes + comes.unwrap_or(0)).saturating_sub(goes.unwrap_or(0));
        self.blob_rows.put(id, Blobs { name: name.clone(), version, count, bytes });
        version
    }

    /// The content of a blob is nobody's any more: a small one goes at once. Whether something is left to be swept.
    fn let_go(&mut self, blob: &Blob) -> bool {
        let chunks = blob.chunks();
        if chunks <= u64::from(limits::CHUNKS_SWEPT) {
            self.drop_chunks(blob.content, 0, chunks);
            return false;
        }
        self.contents.put(blob.content, Loose { process: None, first: 0, chunks });
        true
    }

    /// What the dead were writing is nobody's any more.
    fn give_up_contents(&mut self, me: &Caller) {
        let census = self.census(me);
        let is_void = |loose: &Loose| loose.process.is_some_and(|process| census.living(process).is_none());
        let void = self.contents.iter().filter(|(_, loose)| is_void(loose));
        let void: Vec<(u64, Loose)> = void.map(|(content, loose)| (*content, *loose)).collect();
        for (content, loose) in void {
            self.contents.put(content, Loose { process: None, ..loose });
        }
    }

    /// Removes up to so many chunks that are nobody's, of the oldest content first.
    fn sweep_contents(&mut self, limit: u32) -> Swept {
        let (mut left, mut swept) = (u64::from(limit), 0);
        loop {
            let next = self.contents.iter().find(|(_, loose)| loose.process.is_none());
            let Some((content, loose)) = next.map(|(content, loose)| (*content, *loose)) else {
                return Swept { chunks: swept, more: false };
            };
            if left == 0 {
                return Swept { chunks: swept, more: true };
            }
            let to = loose.chunks.min(loose.first + left);
            self.drop_chunks(content, loose.first, to);
            if to == loose.chunks {
                self.contents.remove(&content);
            } else {
                self.contents.put(content, Loose { first: to, ..loose });
            }
            swept += to - loose.first;
            // One without chunks is worth one too, so that many of them do not keep others waiting.
            left -= (to - loose.first).max(1);
        }
    }

    fn drop_chunks(&mut self, content: u64, from: u64, to: u64) {
        (from..to).for_each(|sequence| self.chunks.remove(&(content, sequence)));
    }
}

/// What is loaded.
impl Store {
    /// Puts blobs of a name back, without any of them.
    pub fn blobs_load(&mut self, onto: Onto, name: &Name, version: u64) -> Result<Put> {
        let found = self.blob_names.get(name).and_then(|id| self.blob_rows.get(id)).cloned();
        if found.is_some() && onto == Onto::Nothing {
            return Ok(Put::Refused(Refusal::Exists));
        }
        let (before, mut count, mut bytes) =
            found.map_or((0, 0, 0), |row| (row.version, row.count, row.bytes));
        let version = record::behind(before, version, "the version of blobs")?;
        let id = self.blobs_or_new(name);
        if onto == Onto::Replace {
            let own = self.blobs.range((id, Box::from(""))..(id + 1, Box::from("")));
            let own: Vec<(Key, u64, u64)> =
                own.map(|(key, blob)| (key.clone(), blob.content, blob.chunks())).collect();
            for (key, content, chunks) in own {
                self.blobs.remove(&key);
                self.drop_chunks(content, 0, chunks);
            }
            (count, bytes) = (0, 0);
        }
        self.blob_rows.put(id, Blobs { name: name.clone(), version, count, bytes });
        Ok(Put::Placed(Base { shift: before.cast_signed(), ..Base::NONE }))
    }

    /// Puts a blob back, without its chunks, in place of what is under its key, of which nothing is left to be swept.
    pub fn blob_load(&mut self, name: &Name, blob: &Blob) -> Put {
        let row = self.blob_names.get(name).and_then(|id| Some((*id, self.blob_rows.get(id)?.clone())));
        let Some((id, row)) = row else { return Put::Refused(Refusal::Orphan) };
        let before = self.blob_at(name, &blob.key).map(|(_, before)| before);
        if let Some(before) = &before {
            self.drop_chunks(before.content, 0, before.chunks());
        }
        let count = row.count + u64::from(before.is_none());
        let bytes = row.bytes + blob.size - before.map_or(0, |before| before.size);
        self.blob_rows.put(id, Blobs { count, bytes, ..row });
        let (content, key) = (self.next_number(), Box::<str>::from(&*blob.key));
        self.blobs.put((id, key.clone()), Blob { content, ..blob.clone() });
        let (primitive, sequence) = (Primitive::Blob, Some(blob.version));
        Put::Written(Some(Changed { primitive, row: id, sequence, key: Some(key) }))
    }

    /// Puts a chunk of a blob back.
    pub fn chunk_load(&mut self, name: &Name, key: &str, sequence: u64, data: &Bytes) -> Put {
        let Some((_, blob)) = self.blob_at(name, key) else { return Put::Refused(Refusal::Orphan) };
        self.chunks.put((blob.content, sequence), Arc::new(data.clone()));
        Put::Written(None)
    }
}

/// What is read.
impl Store {
    /// A blob and up to so many of its chunks.
    pub fn blob(&self, name: &Name, key: &str, from: u64, chunks: u32) -> Option<(Blob, Chunks)> {
        let id = self.blob_names.get(name)?;
        let blob = self.blobs.get(&(*id, key.into()))?.clone();
        let found = self.blob_chunks(name, &blob, from / u64::from(blob.chunk).max(1), chunks)?;
        Some((blob, found))
    }

    /// Up to so many chunks of a blob, unless they were swept.
    pub fn blob_chunks(&self, name: &Name, blob: &Blob, from: u64, chunks: u32) -> Option<Chunks> {
        let wanted = (from..blob.chunks()).take(chunks as usize);
        let mut found = Vec::new();
        for sequence in wanted {
            match self.chunks.get(&(blob.content, sequence)) {
                Some(chunk) => found.push(Ok(Bytes::clone(chunk))),
                None if self.is_current(name, blob) => {
                    found.push(Err(missing(name, &blob.key, sequence)));
                }
                None if found.is_empty() => return None,
                None => break,
            }
        }
        Some(found)
    }

    fn is_current(&self, name: &Name, blob: &Blob) -> bool {
        let id = self.blob_names.get(name);
        let current = id.and_then(|id| self.blobs.get(&(*id, blob.key.as_str().into())));
        current.is_some_and(|current| current.content == blob.content)
    }

    /// One page of blobs.
    pub fn blob_page(&self, query: &Query) -> Page {
        let Some(id) = self.blob_names.get(&query.blobs) else { return Page::default() };
        let after = query.after.as_deref().filter(|after| *after >= &*query.prefix);
        let from = after.unwrap_or(&query.prefix);
        let own = self.blobs.range((*id, Box::from(from))..(*id + 1, Box::from("")));
        let own = own.skip_while(|((_, key), _)| Some(&**key) == after);
        let own = own.take_while(|((_, key), _)| key.starts_with(&*query.prefix));
        let (mut page, mut bytes, mut own) = (Page::default(), 0, own);
        while page.blobs.len() < query.limit as usize && bytes < limits::PAGE_BYTES {
            let Some(((_, key), blob)) = own.next() else { return page };
            bytes += blob.metadata.as_ref().map_or(0, String::len);
            page.last = Some(key.to_string());
            page.blobs.push(Ok(blob.clone()));
        }
        page.more = query.limit > 0;
        page
    }

    /// How blobs stand.
    pub fn blobs_head(&self, name: &Name) -> Option<Head> {
        let id = *self.blob_names.get(name)?;
        let Blobs { version, count, bytes, .. } = self.blob_rows.get(&id)?;
        Some(Head { id, name: name.to_string(), version: *version, count: *count, bytes: *bytes })
    }

    /// Up to so many names behind one.
    pub fn blobs_heads(&self, after: Option<&str>, limit: u32) -> Vec<Head> {
        let later = self.blob_names.range(name::behind(after));
        later.take(limit as usize).filter_map(|(name, _)| self.blobs_head(name)).collect()
    }

    /// How many blobs there are, their bytes, and the contents that no blob has.
    pub fn blob_totals(&self) -> (u64, u64, u64) {
        let all = self.blob_rows.iter();
        let (count, bytes) = all.fold((0, 0), |(count, bytes), (_, it)| (count + it.count, bytes + it.bytes));
        (count, bytes, self.contents.len() as u64)
    }
}

fn missing(name: &Name, key: &str, sequence: u64) -> Error {
    let detail = format!("key \"{key}\": a chunk is missing");
    Error::Corrupt { kind: "chunk of blobs", name: name.to_string(), sequence, detail }
}
