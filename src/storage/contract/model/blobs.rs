//! What may happen to blobs, and that whoever sees one can read all of it.
//!
//! A content has a seed, of which its bytes follow, and which is the first of them. So what is read tells by itself what it must be,
//! whatever was written meanwhile.

use millpond_actors::storage::blob::{
    Begin, Begun, Blob, Bytes, Finish, Query, Remove, Stored, Sweep, Write,
};
use millpond_actors::storage::dict::Expected;
use millpond_actors::storage::{Operation, Outcome};
use proptest::prelude::*;

use super::super::stage::*;
use super::Pair;
use crate::digest::Digest;

const BLOBS: [&str; 2] = ["b", "c"];
const KEYS: [&str; 4] = ["a", "a1", "b", "ä"];
/// Bytes of a chunk.
const CHUNK: u32 = 3;

/// One operation on blobs. What was begun is counted from the last.
#[derive(Clone, Debug)]
pub(super) enum BlobStep {
    Begin { at: (usize, usize), expected: Expected },
    Write { back: usize, skip: u64 },
    Finish { at: (usize, usize), back: Option<usize>, rest: usize, lie: bool, expected: Expected },
    Remove { at: (usize, usize), expected: Expected },
    Sweep { back: Option<usize>, chunks: u32 },
}

pub(super) fn blob_steps() -> impl Strategy<Value = BlobStep> {
    let at = || (0..BLOBS.len(), 0..KEYS.len());
    let expected = || {
        prop_oneof![
            6 => Just(Expected::Any),
            1 => Just(Expected::Absent),
            1 => Just(Expected::Present),
            1 => (1..9_u64).prop_map(Expected::Version),
        ]
    };
    let skip = prop_oneof![9 => Just(0_u64), 1 => Just(1)];
    let finish =
        (at(), prop::option::weighted(0.7, 0..3_usize), 0..5_usize, prop::bool::weighted(0.1), expected());
    prop_oneof![
        4 => (at(), expected()).prop_map(|(at, expected)| BlobStep::Begin { at, expected }),
        12 => (0..3_usize, skip).prop_map(|(back, skip)| BlobStep::Write { back, skip }),
        5 => finish.prop_map(|(at, back, rest, lie, expected)| BlobStep::Finish { at, back, rest, lie, expected }),
        2 => (at(), expected()).prop_map(|(at, expected)| BlobStep::Remove { at, expected }),
        2 => (prop::option::of(0..3_usize), 0..4_u32).prop_map(|(back, chunks)| BlobStep::Sweep { back, chunks }),
    ]
}

/// What was begun, and blobs that somebody has looked at, who may go on to read them.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Each with how many chunks it has.
    begun: Vec<(u64, u64)>,
    /// Each with its seed.
    seen: Vec<(usize, Blob, u8)>,
}

fn seed(content: u64) -> u8 {
    (content % 251) as u8
}

/// The bytes of a part of a content.
fn bytes(seed: u8, sequence: u64, length: usize) -> Bytes {
    Bytes((0..length).map(|at| seed ^ (sequence as u8).wrapping_mul(7) ^ (at as u8) << 6).collect())
}

/// SHA-256 of so many whole chunks and a rest.
fn sum(seed: u8, chunks: u64, rest: usize) -> [u8; 32] {
    let mut digest = Digest::new();
    (0..chunks).for_each(|sequence| digest.add(&bytes(seed, sequence, CHUNK as usize).0));
    digest.add(&bytes(seed, chunks, rest).0);
    digest.end()
}

impl Known {
    fn back(&self, back: usize) -> Option<(u64, u64)> {
        self.begun.iter().rev().nth(back).copied()
    }

    /// Remembers what was begun, and how far it has come.
    pub(super) fn learn(&mut self, operation: &Operation, outcome: &Outcome) {
        match (operation, outcome) {
            (_, Outcome::BlobBegin(Begun::Done { content })) => self.begun.push((*content, 0)),
            (Operation::BlobWrite(write), Outcome::BlobWrite(Stored::Done)) => {
                let begun = self.begun.iter_mut().find(|(content, _)| *content == write.content);
                begun.unwrap().1 += 1;
            }
            _ => {}
        }
    }

    /// A step as an operation.
    pub(super) fn operation(&self, step: &BlobStep) -> Option<Operation> {
        let place = |at: &(usize, usize)| (name(BLOBS[at.0]), Box::from(KEYS[at.1]));
        Some(match step {
            BlobStep::Begin { at, expected } => {
                let (blobs, key) = place(at);
                Operation::BlobBegin(Begin { blobs, key, expected: *expected })
            }
            BlobStep::Write { back, skip } => {
                let (content, chunks) = self.back(*back)?;
                let sequence = chunks + skip;
                let data = bytes(seed(content), sequence, CHUNK as usize);
                Operation::BlobWrite(Write { content, sequence, data })
            }
            BlobStep::Finish { at, back, rest, lie, expected } => {
                let (blobs, key) = place(at);
                let (content, chunks) = match back {
                    Some(back) => self.back(*back).map(|(content, chunks)| (Some(content), chunks))?,
                    None => (None, 0),
                };
                let seed = content.map_or(*rest as u8, seed);
                let size = chunks * u64::from(CHUNK) + *rest as u64 + u64::from(*lie);
                Operation::BlobFinish(Finish {
                    blobs,
                    key,
                    content,
                    rest: bytes(seed, chunks, *rest),
                    chunk: CHUNK,
                    size,
                    sha256: sum(seed, chunks, *rest),
                    metadata: size.is_multiple_of(2).then(|| format!("[{size}]")),
                    expected: *expected,
                })
            }
            BlobStep::Remove { at, expected } => {
                let (blobs, key) = place(at);
                Operation::BlobRemove(Remove { blobs, key, expected: *expected })
            }
            BlobStep::Sweep { back, chunks } => {
                let given_up = back.and_then(|back| self.back(back)).map(|(content, _)| content);
                Operation::BlobSweep(Sweep { given_up: given_up.into_iter().collect(), chunks: *chunks })
            }
        })
    }
}

/// What of a blob has been read is what was written.
fn check(blob: &Blob, seed: u8, from: u64, found: Vec<millpond_actors::error::Result<Bytes>>) {
    for (sequence, chunk) in (from..).zip(found) {
        let length = blob.length_of(sequence) as usize;
        assert_eq!(chunk, Ok(bytes(seed, sequence, length)), "chunk {sequence} of {blob:?}");
    }
}

/// All of them, on both sides: what is seen is whole, and what was seen before is whole or gone.
pub(super) fn compare(pair: &mut Pair) {
    pair.compare(|view| view.blobs_heads(None, 9));
    for (at, blobs) in BLOBS.into_iter().enumerate() {
        pair.compare(|view| view.blobs_head(&name(blobs)));
        for (prefix, after, limit) in [("", None, 99), ("a", None, 1), ("a", Some("a"), 2)] {
            let after = after.map(Box::from);
            let query = Query { blobs: name(blobs), prefix: prefix.into(), after, limit };
            pair.compare(|view| view.blob_page(&query));
        }
        for key in KEYS {
            let found = pair.compare(|view| view.blob(&name(blobs), key, 0, 99));
            let Some((blob, chunks)) = found else { continue };
            assert_eq!(chunks.len() as u64, blob.chunks(), "all of {blob:?} is there");
            let first = chunks.first().map(|chunk| chunk.as_ref().unwrap().0[0]);
            let seed = first.unwrap_or_default();
            let (whole, rest) = (blob.size / u64::from(CHUNK), (blob.size % u64::from(CHUNK)) as usize);
            assert_eq!(blob.sha256, sum(seed, whole, rest), "what was written is {blob:?}");
            check(&blob, seed, 0, chunks);
            let seen = (at, blob, seed);
            if !pair.known.blobs.seen.contains(&seen) {
                pair.known.blobs.seen.push(seen);
            }
        }
    }
    for (at, blob, seed) in pair.known.blobs.seen.clone() {
        for (from, limit) in [(0, 99), (1, 2)] {
            let found = pair.compare(|view| view.blob_chunks(&name(BLOBS[at]), &blob, from, limit));
            check(&blob, seed, from, found.unwrap_or_default());
        }
    }
}
