//! `dump` and `load`: the store as lines of JSON, to a file or standard output, and back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::ProgressBar;
use millpond::blocking::Store;
use millpond::{Dump, Dumped, Load, Loaded};
use serde_json::json;

use crate::failure::{Done, Failure, code};
use crate::progress;
use crate::show::{Show, bytes, count, grouped};
use crate::time::Stopwatch;

#[derive(Debug, clap::Args)]
pub(crate) struct DumpArgs {
    /// A new file, or - for standard output
    #[arg(value_name = "FILE", default_value = "-")]
    to: PathBuf,
    /// Only this: a kind (subject, stream, log, channel, queue, dict, blob, projection), or what has this name, in which * stands
    /// for any characters; may be said again
    #[arg(long, value_name = "KIND[/NAME]")]
    only: Vec<String>,
    /// The keys of subjects too: the dump is then as secret as the store
    #[arg(long)]
    with_keys: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LoadArgs {
    /// A dump, or - for standard input
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// In place of what has its names, which is refused otherwise; streams only get what is missing at their ends
    #[arg(long, conflicts_with = "append")]
    replace: bool,
    /// Behind what has its names
    #[arg(long)]
    append: bool,
    /// Only this, as for `dump`
    #[arg(long, value_name = "KIND[/NAME]")]
    only: Vec<String>,
}

pub(crate) fn dump(store: &Store, args: DumpArgs, show: &mut Show) -> Done<u8> {
    let DumpArgs { to, only, with_keys } = args;
    let plan = only.into_iter().fold(Dump::new(), Dump::only);
    let plan = if with_keys { plan.with_keys() } else { plan };
    if to == Path::new("-") {
        return print(store, plan);
    }
    let watch = Stopwatch::start();
    let dumped = to_file(store, &to, plan)?;
    let (records, seconds) = (dumped.records(), watch.elapsed().as_secs_f64());
    if show.is_json() {
        let Dumped { counts, bytes, .. } = &dumped;
        show.json(
            &json!({"dump": to.display().to_string(), "records": counts, "bytes": bytes, "seconds": seconds}),
        )?;
    } else {
        let (records, size) = (count(records, "record", "records"), bytes(dumped.bytes));
        show.line(&format!("\"{}\" holds {records} in {size}, made in {seconds:.2} s", to.display()))?;
    }
    Ok(code::DONE)
}

/// All of the store, with the keys of subjects.
pub(crate) fn to_output(store: &Store) -> Done<u8> {
    print(store, Dump::new().with_keys())
}

fn print(store: &Store, plan: Dump) -> Done<u8> {
    let unread = Arc::new(AtomicBool::new(false));
    match store.dump(Output(Arc::clone(&unread)), plan) {
        Ok(_) => Ok(code::DONE),
        // Whoever reads it has seen enough.
        Err(_) if unread.load(Ordering::Relaxed) => Err(Failure::Unread),
        Err(error) => Err(error.into()),
    }
}

/// Half a dump is not left behind.
fn to_file(store: &Store, to: &Path, plan: Dump) -> Done<Dumped> {
    let failed = |error: &io::Error| Failure::Failed(format!("cannot write \"{}\": {error}", to.display()));
    let file =
        OpenOptions::new().write(true).create_new(true).open(to).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Failure::Failed(format!(
                "there is something at \"{}\" already; a dump is a new file",
                to.display()
            )),
            _ => failed(&error),
        })?;
    let dumped =
        file.try_clone().map_err(|error| failed(&error)).and_then(|file| Ok(store.dump(file, plan)?));
    let dumped = dumped.and_then(|dumped| file.sync_all().map(|()| dumped).map_err(|error| failed(&error)));
    if dumped.is_err() {
        let _ = fs::remove_file(to);
    }
    dumped
}

/// Standard output, and whether anybody still reads it.
struct Output(Arc<AtomicBool>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stdout().lock().write(bytes).inspect_err(|error| {
            self.0.fetch_or(error.kind() == io::ErrorKind::BrokenPipe, Ordering::Relaxed);
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().lock().flush()
    }
}

/// A dump that is to be loaded, open, with its progress.
pub(crate) struct Opened {
    input: Box<dyn Read + Send>,
    progress: ProgressBar,
    plan: Load,
}

/// Opens the file: a wrong name must not leave an empty store behind.
pub(crate) fn open(args: LoadArgs) -> Done<Opened> {
    let LoadArgs { from, replace, append, only } = args;
    let plan = only.into_iter().fold(Load::new(), Load::only);
    let plan = match (replace, append) {
        (true, _) => plan.replace(),
        (false, true) => plan.append(),
        (false, false) => plan,
    };
    let (input, progress) = input(&from)?;
    Ok(Opened { input, progress, plan })
}

/// A dump to be read, with its progress.
pub(crate) fn input(from: &Path) -> Done<(Box<dyn Read + Send>, ProgressBar)> {
    if from == Path::new("-") {
        let progress = progress::of_bytes(None);
        return Ok((Box::new(progress.wrap_read(io::stdin())), progress));
    }
    let refuse = |why: String| Failure::Failed(format!("cannot read \"{}\": {why}", from.display()));
    let file = File::open(from).map_err(|error| refuse(error.to_string()))?;
    let found = file.metadata().map_err(|error| refuse(error.to_string()))?;
    if found.is_dir() {
        return Err(refuse("it is a directory".into()));
    }
    let progress = progress::of_bytes(found.is_file().then_some(found.len()));
    Ok((Box::new(progress.wrap_read(file)), progress))
}

pub(crate) fn load(store: &Store, opened: Opened, show: &mut Show) -> Done<u8> {
    let Opened { input, progress, plan } = opened;
    let watch = Stopwatch::start();
    let loaded = store.load(input, plan);
    progress.finish_and_clear();
    let Loaded { written, known, left_out, .. } = loaded?;
    let seconds = watch.elapsed().as_secs_f64();
    if show.is_json() {
        show.json(&json!({"written": written, "known": known, "left_out": left_out, "seconds": seconds}))?;
        return Ok(code::DONE);
    }
    let written = count(written, "record", "records");
    let left_out = if left_out == 0 { String::new() } else { format!(", {} left out", grouped(left_out)) };
    let known = grouped(known);
    show.line(&format!("{written} loaded, {known} already there{left_out}, in {seconds:.2} s"))?;
    Ok(code::DONE)
}
