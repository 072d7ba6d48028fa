//! A process that does one thing with one large blob, and says how much memory it took at most.

use std::path::Path;

use millpond::blocking::{Blobs, Store};

use super::tape::Tape;
use crate::crew::say;
use crate::{Result, clock};

/// The blobs, and the key of the large one.
pub(super) const NAME: &str = "films";
/// See there.
pub(super) const KEY: &str = "film";

/// Bytes that are written at once.
const PIECE: usize = 64 << 10;

/// How often something is said about it.
const WORDS: u64 = 32;

/// Does it: `write`, `read` or `sweep`. Says `at BYTES` meanwhile, and at the end `done MICROS PEAK_KIB`, or `failed WHY`.
///
/// # Errors
/// If nobody listens any more.
pub fn live(file: &Path, role: &str, seed: u64, bytes: u64) -> Result<()> {
    match act(file, role, seed, bytes) {
        Ok(micros) => say(&format!("done {micros} {}", peak()?)),
        Err(error) => say(&format!("failed {error}")),
    }
}

fn act(file: &Path, role: &str, seed: u64, bytes: u64) -> Result<u64> {
    let store = Store::open(file)?;
    let (blobs, start) = (store.blobs(NAME), clock::stamp()?);
    match role {
        "write" => write(&blobs, seed, bytes)?,
        "read" => read(&blobs, seed, bytes)?,
        "sweep" => drop(blobs.sweep()?),
        "delete" => {
            if !blobs.delete(KEY)? {
                return Err("there was none".into());
            }
            blobs.sweep()?;
        }
        other => return Err(format!("there is no role {other}").into()),
    }
    let micros = clock::stamp()?.saturating_sub(start);
    store.close()?;
    Ok(micros)
}

fn write(blobs: &Blobs, seed: u64, bytes: u64) -> Result<()> {
    let (mut tape, mut piece, mut writer) = (Tape::new(seed, bytes), vec![0; PIECE], blobs.write(KEY));
    let every = (bytes / PIECE as u64 / WORDS).max(1);
    for number in 1_u64.. {
        let next = tape.next(&mut piece);
        if next.is_empty() {
            break;
        }
        writer.write(next)?;
        if number % every == 0 {
            say(&format!("at {}", writer.size()))?;
        }
    }
    let blob = writer.finish()?;
    if blob.size() == bytes { Ok(()) } else { Err(format!("it has {} bytes", blob.size()).into()) }
}

/// What is read must be what was written, to the last byte.
fn read(blobs: &Blobs, seed: u64, bytes: u64) -> Result<()> {
    let (mut tape, mut piece, mut at) = (Tape::new(seed, bytes), vec![0; 128 << 10], 0);
    for found in blobs.read(KEY)?.ok_or("there is none")? {
        let found = found?;
        let room = piece.get_mut(..found.len()).ok_or("a piece is too large")?;
        if tape.next(room) != found {
            return Err(format!("it is another one from byte {at} on").into());
        }
        at += found.len() as u64;
    }
    if at == bytes { Ok(()) } else { Err(format!("it ends after {at} bytes").into()) }
}

/// The most memory that this process ever had, in KiB.
fn peak() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
