//! `copy`: a store into another one, or into a dump, or out of one; begun anew, it goes on.

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use millpond::blocking::Store;
use millpond::{Copied, CopyStep, Copying};
use serde_json::json;

use crate::dump;
use crate::failure::{Done, Failure, code};
use crate::progress;
use crate::show::{Show, count, grouped};
use crate::time::Stopwatch;
use crate::{Door, is_address};

#[derive(Debug, clap::Args)]
pub(crate) struct CopyArgs {
    /// A store, or a dump: what ends in .jsonl, or - for standard input
    #[arg(value_name = "FROM")]
    from: PathBuf,
    /// A store, which is made if there is none, or a dump: what ends in .jsonl, or - for standard output
    #[arg(value_name = "TO")]
    to: PathBuf,
}

/// Whether a name is that of a dump, and not of a store.
fn is_dump(name: &Path) -> bool {
    !is_address(name) && (name == Path::new("-") || name.extension().is_some_and(|ending| ending == "jsonl"))
}

pub(crate) fn copy(args: &CopyArgs, read_only: bool, show: &mut Show) -> Done<u8> {
    let (from, to) = (&*args.from, &*args.to);
    let watch = Stopwatch::start();
    let copied = match (is_dump(from), is_dump(to)) {
        (true, true) => {
            let why =
                "one of the two has to be a store; a dump ends in .jsonl, or is -, a store does neither";
            return Err(Failure::Usage(why.into()));
        }
        (false, true) if to == Path::new("-") => {
            return Door { path: from, read_only }.read(dump::to_output);
        }
        (false, true) => with(from, read_only, |store| told(|copying| store.copy_to_dump(to, copying)))?,
        (true, false) => {
            // First the dump: a wrong name must not leave an empty store behind.
            let (input, bar) = dump::input(from)?;
            let store = Store::open(to)?;
            let copied = told(|copying| store.copy_from_dump(input, copying));
            bar.finish_and_clear();
            let _ = store.close();
            copied?
        }
        (false, false) => with(from, read_only, |store| {
            let there = Store::open(to)?;
            let copied = told(|copying| store.copy_to(&there, copying));
            let _ = there.close();
            copied
        })?,
    };
    tell((from, to), &copied, watch.elapsed().as_secs_f64(), show)
}

/// What is done with the store that is copied.
fn with(from: &Path, read_only: bool, copy: impl FnOnce(&Store) -> Done<Copied>) -> Done<Copied> {
    let mut copied = None;
    Door { path: from, read_only }.read(|store| {
        copied = Some(copy(store)?);
        Ok(code::DONE)
    })?;
    copied.ok_or_else(|| Failure::Failed("nothing was copied".into()))
}

/// Shows how far it has come while it is made.
fn told(copy: impl FnOnce(Copying) -> millpond::Result<Copied>) -> Done<Copied> {
    let bar = progress::of_records();
    let shown: ProgressBar = bar.clone();
    let copying = Copying::new().progress(move |far| {
        shown.set_message(match far.step {
            CopyStep::Compare => "there already",
            CopyStep::Write => "written",
            _ => "verified",
        });
        shown.set_position(far.records);
    });
    let copied = copy(copying);
    bar.finish_and_clear();
    Ok(copied?)
}

fn tell((from, to): (&Path, &Path), copied: &Copied, seconds: f64, show: &mut Show) -> Done<u8> {
    let Copied { counts, written, known, checksum, position, .. } = copied;
    let checksum = format!("{checksum:08x}");
    if show.is_json() {
        show.json(&json!({
            "from": from.display().to_string(),
            "to": to.display().to_string(),
            "written": written,
            "known": known,
            "records": counts,
            "position": position,
            "checksum": checksum,
            "seconds": seconds,
        }))?;
        return Ok(code::DONE);
    }
    let (written, known) = (count(*written, "record", "records"), grouped(*known));
    show.line(&format!("{written} copied, {known} already there, in {seconds:.2} s"))?;
    let all = count(copied.records(), "record", "records");
    show.line(&format!("both have {all}, the same ones: checksum {checksum}, last position {position}"))?;
    Ok(code::DONE)
}
