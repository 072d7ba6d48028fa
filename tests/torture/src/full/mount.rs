//! A real small disk: a tmpfs in a mount namespace of a child, filled up but for a few bytes by a file of ours.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::Command;

use futures_executor::block_on;
use millpond::Store;
use serde::{Deserialize, Serialize};

use super::round::{Ran, Round, judge};
use super::{CHILD, Settings};
use crate::Result;
use crate::look::look;
use crate::report::{Broken, Violation};
use crate::vfs::Disk;
use crate::workload::Told;

/// Bytes that are left on it; with 0 it is full before the store is opened again.
pub(super) const LEFT: [u64; 6] = [1 << 20, 200 << 10, 24 << 10, 8 << 10, 4 << 10, 0];

/// What a child says at its end.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    acked: u64,
    refused: u64,
    violations: Vec<String>,
}

/// Runs a child with a disk of its own; the reason if such a disk cannot be had here.
///
/// # Errors
/// If the child ends otherwise than it should.
pub(super) fn run(program: &Path, seed: u64, left: u64) -> Result<std::result::Result<Ran, String>> {
    let folder = tempfile::tempdir()?;
    // A mount of its own process alone, which goes with it. Without the file that fills it up it has room for whatever
    // comes then, log and all.
    let script = "mount -t tmpfs -o size=32m none \"$1\" && exec \"$0\" \"$2\" \"$1\" \"$3\" \"$4\"";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(program)
        .arg(folder.path())
        .args([CHILD.to_owned(), seed.to_string(), left.to_string()])
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return Ok(Err(format!("there is no unshare here: {error}"))),
    };
    let (said, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if complaint.contains("not permitted") || complaint.contains("permission denied") {
        return Ok(Err(format!("mounts are not permitted here: {}", complaint.trim())));
    }
    let said: Said =
        serde_json::from_str(said.trim()).map_err(|error| format!("{error}: {said} {complaint}"))?;
    let named = |words| -> Violation { (Broken::Failed, format!("{left} bytes were left: {words}")) };
    let violations = said.violations.into_iter().map(named).collect();
    Ok(Ok(Ran { acked: said.acked, refused: said.refused, unknown: 0, violations }))
}

/// The child: uses a store in `folder` until the disk is full, and after there is room again.
///
/// # Errors
/// What kept it from doing so.
pub fn live(folder: &Path, seed: u64, left: u64) -> Result<()> {
    let settings = Settings::default();
    let (file, ballast) = (folder.join("full.db"), folder.join("ballast"));
    let disk = Disk::watch(&file)?;
    disk.record(false);
    let told = Told::new(disk);
    let open = || block_on(Store::builder().readers(1).open(&file));
    let mut store = open()?;
    let mut violations = Vec::new();
    {
        let mut round = Round::new(&settings, seed, 0, &store, &told);
        round.settle_in();
        if left == 0 {
            violations.extend(round.end()?.violations);
            fill_up(&ballast, left)?;
            // It may be that nothing can be opened any more; but nothing is lost by trying.
            if let Ok(opened) = open() {
                block_on(opened.close())?;
            }
            std::fs::remove_file(&ballast)?;
            store = open()?;
        }
    }
    fill_up(&ballast, left.max(4 << 10))?;
    let pad = (left / 8).min(30_000).try_into()?;
    let mut round = Round::new(&settings, seed, pad, &store, &told).after(1_000_000);
    if !round.fill() {
        violations.push((Broken::Failed, "the disk was never full".into()));
    }
    round.endure()?;
    std::fs::remove_file(&ballast)?;
    round.recover()?;
    let mut ran = round.end()?;
    judge(&settings, &told, look(&file, true), &mut ran);
    violations.append(&mut ran.violations);
    let violations = violations.iter().map(|(broken, words)| format!("{broken:?}: {words}")).collect();
    println!("{}", serde_json::to_string(&Said { acked: ran.acked, refused: ran.refused, violations })?);
    Ok(())
}

/// Leaves so many bytes.
fn fill_up(ballast: &Path, left: u64) -> Result<()> {
    let mut file: File = OpenOptions::new().create(true).append(true).open(ballast)?;
    let page = [0; 4_096];
    let written = loop {
        match file.write_all(&page) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => break file.metadata()?.len(),
            Err(error) => return Err(error.into()),
        }
    };
    Ok(file.set_len(written.saturating_sub(left))?)
}
