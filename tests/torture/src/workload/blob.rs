//! Blobs that are put, some of them in pieces, some at once.
//!
//! Each has a key of its own, and nothing is removed; so their versions are in a row as the sequences of a feed are, and what must be
//! true of a feed must be true of them. One that was given up half way takes no version, and is not there.

use std::pin::Pin;

use millpond::{Blob, Blobs, Error, Store, Upload, blocking};

use super::part::Part;
use super::told::Told;
use super::{Deed, Mutant, Primitive, Reading, feed};
use crate::Result;
use crate::callers::Caller;
use crate::look::{Found, Seen};
use crate::random::Random;
use crate::report::{Broken, Violation};

/// Some blobs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Films;

/// One in so many is larger than a piece, by so much that it has three.
const LARGE: u64 = 8;
const LARGE_BYTES: usize = 300_000;

fn key(part: &Part) -> String {
    format!("{}/{}/{}", part.who, part.number, part.part)
}

/// What a blob holds: the part as a line, and nothing of interest behind it.
fn bytes(part: &Part) -> Vec<u8> {
    // It is made of numbers and a text.
    let mut bytes = serde_json::to_vec(part).unwrap_or_default();
    bytes.push(b'\n');
    if part.number.is_multiple_of(LARGE) {
        bytes.resize(LARGE_BYTES, b'x');
    }
    bytes
}

/// The part of a blob that is whole.
fn part(blob: &Blob, bytes: &[u8]) -> millpond::Result<Part> {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let part: std::result::Result<Part, _> = serde_json::from_slice(line);
    let odd = |reason: String| Error::Decode { what: format!("blob {}", blob.key()), reason };
    let part = part.map_err(|error| odd(error.to_string()))?;
    if self::bytes(&part) == bytes { Ok(part) } else { Err(odd("it is not whole".to_owned())) }
}

async fn read(blobs: &Blobs, blob: &Blob) -> millpond::Result<Part> {
    let bytes = blobs.get(blob.key()).await?.unwrap_or_default();
    part(blob, &bytes)
}

impl Primitive for Films {
    fn name(&self) -> &'static str {
        "blob"
    }

    fn streams(&self) -> &'static [&'static str] {
        &[]
    }

    /// What is there already is a conflict.
    fn is_idempotent(&self, _: u64) -> bool {
        false
    }

    fn ask<'s>(&self, deed: Deed, random: &mut Random, store: &'s Store, told: &'s Told) -> Caller<'s> {
        let name = feed::draw(random);
        Box::pin(async move {
            let (parts, blobs) = (Part::all(deed), store.blobs(&name));
            let put = async {
                let mut batch = store.batch();
                let mut last = None;
                for part in &parts {
                    let mut writer = blobs.write_with(key(part), Upload::new().absent());
                    writer.write(&bytes(part)).await?;
                    last = Some(writer.finish_in(&mut batch).await?);
                }
                let written = batch.commit().await?;
                Ok(last.and_then(|last| written.get(last)).map(|blob| (blob.version(), blob.version())))
            };
            told.answer(feed::facts(&Films, &name, &parts), &put.await);
        })
    }

    fn read<'s>(&self, store: &'s Store, _: &'s [Found]) -> Pin<Box<dyn Future<Output = Vec<Reading>> + 's>> {
        Box::pin(async move {
            let mut readings = Vec::new();
            for name in feed::names() {
                let (stream, blobs) = (feed::stream(&Films, &name), store.blobs(&name));
                let (mut entries, mut found) = (blobs.entries(""), Vec::new());
                while let Some(blob) = entries.next().await {
                    let whole = match blob {
                        Ok(blob) => read(&blobs, &blob).await.map(|part| (blob.version(), part)),
                        Err(error) => Err(error),
                    };
                    match whole {
                        Ok(whole) => found.push(whole),
                        Err(error) => readings.push((format!("a blob of {stream}"), Err(error))),
                    }
                }
                found.sort_by_key(|(version, _)| *version);
                let shown = found.into_iter().map(|(version, part)| {
                    let what = format!("blob {} of {stream}", key(&part));
                    (what, Ok(Some(part.found(&stream, version))))
                });
                readings.extend(shown);
                let heads = store.inspect().blobs(None, 99).await;
                let version =
                    heads.map(|heads| heads.iter().find(|head| head.name == name).map(|head| head.version));
                let stands = version.map(|version| Some(feed::extent(&stream, 1, version.unwrap_or(0))));
                readings.push((format!("extent of {stream}"), stands));
            }
            readings
        })
    }

    fn stays(&self) -> bool {
        true
    }

    fn check(&self, seen: &Seen) -> Vec<Violation> {
        feed::check(self, seen)
    }

    /// Nothing tells which keys there should be, if a tree has lost some.
    fn check_harmed(&self, _: &Seen) -> Vec<Violation> {
        Vec::new()
    }

    fn find<'s>(&self, seen: &'s Seen, fact: &super::Fact) -> Option<&'s Found> {
        seen.find_rest(fact)
    }

    fn use_again(&self, store: &blocking::Store, seen: &mut Seen) -> Result<()> {
        feed::use_again(&Films, seen, |name, part| {
            store.blobs(name).put(key(part), bytes(part)).map(|blob| blob.version())
        })
    }

    fn mutants(&self) -> &'static [Mutant] {
        &[
            Mutant {
                name: "blob-lost",
                breaks: Broken::Lost,
                spoil: |words, seen| feed::lose(&Films, words, seen),
            },
            Mutant {
                name: "blob-hole",
                breaks: Broken::Hole,
                spoil: |words, seen| feed::leave_out(&Films, words, seen),
            },
            Mutant {
                name: "blob-torn",
                breaks: Broken::Torn,
                spoil: |words, seen| feed::tear(&Films, words, seen),
            },
        ]
    }
}
