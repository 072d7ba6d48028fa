//! `millpond`, the command line. It uses what any other program can use: the blocking face of the crate.
//!
//! Each command group is a file; what they share is how things are shown (`show`), how a command fails
//! (`failure`) and how time passes ([`time`]).

mod args;
mod backup;
mod bench;
mod blob;
mod care;
mod copy;
mod demo;
mod dict;
mod dump;
mod events;
mod failure;
mod feed;
mod import;
mod input;
mod list;
mod lock;
mod pages;
mod progress;
mod projection;
mod queue;
mod show;
mod signals;
mod status;
mod time;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use millpond::blocking::Store;
use tracing_subscriber::filter::LevelFilter;

use crate::args::{Args, Command, EventsCommand, LockCommand};
use crate::blob::args::BlobCommand;
use crate::dict::args::DictCommand;
use crate::failure::{Done, Failure};
use crate::feed::args::{ChannelCommand, LogCommand};
use crate::list::args::ListCommand;
use crate::queue::args::QueueCommand;
use crate::show::Show;

fn main() -> ExitCode {
    let args = Args::parse();
    let command = args.command.name();
    let done = start_log().and_then(|()| run(args));
    ExitCode::from(done.unwrap_or_else(|failure| failure.report(command)))
}

/// The library's log goes to stderr, and only if it was asked for: `MILLPOND_LOG=info`.
fn start_log() -> Done<()> {
    let level = match std::env::var("MILLPOND_LOG") {
        Err(_) => LevelFilter::OFF,
        Ok(level) => level.parse().map_err(|_| {
            let levels = "off, error, warn, info, debug, trace";
            Failure::Usage(format!("MILLPOND_LOG is \"{level}\", which is not one of {levels}"))
        })?,
    };
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).init();
    Ok(())
}

fn run(args: Args) -> Done<u8> {
    let mut show = Show::new(args.json);
    let store = Door { path: &args.store, read_only: args.read_only };
    let code = match args.command {
        Command::Demo(demo) => demo::tour(&demo, &args.store, &mut show),
        Command::DemoWorker(worker) => demo::work(&args.store, &worker),
        Command::Bench(bench) => bench::run(&bench, &args.store, &mut show),
        Command::BenchWorker(worker) => bench::work(&args.store, &worker),
        Command::Status => store.read(|store| status::status(store, &mut show)),
        Command::Events(EventsCommand::Append(append)) => {
            store.write(|store| events::append(store, append, &mut show))
        }
        Command::Events(EventsCommand::Read(read)) => {
            store.read(|store| events::read(store, &read, &mut show))
        }
        Command::Events(EventsCommand::All(all)) => store.read(|store| events::all(store, &all, &mut show)),
        Command::Events(EventsCommand::Export(export)) => {
            store.read(|store| events::export(store, &export, &mut show))
        }
        Command::Events(EventsCommand::Diff(diff)) => {
            store.read(|store| events::diff(store, &diff, &mut show))
        }
        Command::Events(EventsCommand::Verify(verify)) => {
            store.read(|store| events::verify(store, &verify, &mut show))
        }
        Command::Events(EventsCommand::Delete(delete)) => {
            store.read(|store| events::delete(store, &delete, &mut show))
        }
        Command::Events(EventsCommand::Shred { subject }) => {
            store.read(|store| events::shred(store, &subject, &mut show))
        }
        Command::Events(EventsCommand::Import(import)) => {
            // First the file: a wrong name must not leave an empty store behind.
            let source = import::open(&import)?;
            store.write(|store| import::import(store, source, &import.prefix, &mut show))
        }
        Command::Blob(BlobCommand::Put(put)) => {
            let source = blob::open(&put)?;
            store.write(|store| blob::put(store, put, source, &mut show))
        }
        Command::Blob(BlobCommand::Get(get)) => store.read(|store| blob::get(store, &get, &mut show)),
        Command::Blob(BlobCommand::List { name, prefix }) => {
            store.read(|store| blob::list(store, name.as_deref(), &prefix, &mut show))
        }
        Command::Blob(BlobCommand::Show { name, key }) => {
            store.read(|store| blob::show(store, &name, &key, &mut show))
        }
        Command::Blob(BlobCommand::Delete { name, key }) => {
            store.read(|store| blob::delete(store, &name, &key, &mut show))
        }
        Command::Dict(DictCommand::Get { name, key, seal }) => {
            store.read(|store| dict::get(store, (&name, &key), &seal, &mut show))
        }
        Command::Dict(DictCommand::Set(set)) => store.write(|store| dict::set(store, set, &mut show)),
        Command::Dict(DictCommand::Delete { name, key, seal }) => {
            store.read(|store| dict::delete(store, (&name, &key), &seal, &mut show))
        }
        Command::Dict(DictCommand::Increment { name, key, by }) => {
            store.write(|store| dict::increment(store, (&name, &key, by), &mut show))
        }
        Command::Dict(DictCommand::Index { name, fields }) => {
            store.write(|store| dict::index::make(store, &name, &fields, &mut show))
        }
        Command::Dict(DictCommand::Unindex { name, fields }) => {
            store.read(|store| dict::index::remove(store, &name, &fields, &mut show))
        }
        Command::Dict(DictCommand::Indexes { name }) => {
            store.read(|store| dict::index::list(store, &name, &mut show))
        }
        Command::Dict(DictCommand::Watch { name, prefix, seal }) => {
            store.write(|store| dict::watch(store, (&name, &prefix), &seal, &mut show))
        }
        Command::Dict(DictCommand::List(list)) => store.read(|store| dict::list(store, &list, &mut show)),
        Command::List(ListCommand::Push(push)) => store.write(|store| list::push(store, push, &mut show)),
        Command::List(ListCommand::Pop(pop)) => store.write(|store| list::pop(store, &pop, &mut show)),
        Command::List(ListCommand::Get { name, index }) => {
            store.read(|store| list::get(store, (&name, index), &mut show))
        }
        Command::List(ListCommand::Range(range)) => store.read(|store| list::range(store, &range, &mut show)),
        Command::List(ListCommand::Insert { name, index, data }) => {
            store.write(|store| list::insert(store, (&name, index), data, &mut show))
        }
        Command::List(ListCommand::Set { name, index, data, version }) => {
            store.read(|store| list::set(store, (&name, index, version), data, &mut show))
        }
        Command::List(ListCommand::Delete { name, index, version }) => {
            store.read(|store| list::delete(store, (&name, index, version), &mut show))
        }
        Command::List(ListCommand::Move { name, index, to }) => {
            store.read(|store| list::move_item(store, (&name, index, to), &mut show))
        }
        Command::List(ListCommand::Trim { name, from, to }) => {
            store.read(|store| list::trim(store, (&name, from, to), &mut show))
        }
        Command::List(ListCommand::List) => store.read(|store| list::all(store, &mut show)),
        Command::Log(LogCommand::Append(send)) => store.write(|store| feed::append(store, send, &mut show)),
        Command::Log(LogCommand::Range(range)) => store.read(|store| feed::range(store, &range, &mut show)),
        Command::Log(LogCommand::Tail(tail)) => store.read(|store| feed::tail(store, &tail, &mut show)),
        Command::Log(LogCommand::List) => store.read(|store| feed::list_logs(store, &mut show)),
        Command::Channel(ChannelCommand::Publish(send)) => {
            store.write(|store| feed::publish(store, send, &mut show))
        }
        Command::Channel(ChannelCommand::Subscribe(subscribe)) => {
            store.read(|store| feed::subscribe(store, &subscribe, &mut show))
        }
        Command::Channel(ChannelCommand::List) => store.read(|store| feed::list_channels(store, &mut show)),
        Command::Queue(QueueCommand::Push(push)) => store.write(|store| queue::push(store, push, &mut show)),
        Command::Queue(QueueCommand::Pop(pop)) => store.write(|store| queue::pop(store, &pop, &mut show)),
        Command::Queue(QueueCommand::Work(work)) => store.write(|store| queue::work(store, &work)),
        Command::Queue(QueueCommand::Every(every)) => {
            store.write(|store| queue::every(store, every, &mut show))
        }
        Command::Queue(QueueCommand::Schedules { name }) => {
            store.read(|store| queue::schedules(store, &name, &mut show))
        }
        Command::Queue(QueueCommand::Unschedule { name, schedule }) => {
            store.read(|store| queue::unschedule(store, &name, &schedule, &mut show))
        }
        Command::Queue(QueueCommand::List) => store.read(|store| queue::list(store, &mut show)),
        Command::Queue(QueueCommand::Show { name }) => {
            store.read(|store| queue::show(store, &name, &mut show))
        }
        Command::Queue(QueueCommand::Dead { name }) => {
            store.read(|store| queue::dead(store, &name, &mut show))
        }
        // They write, and yet there is nothing for them in a store that does not exist.
        Command::Queue(QueueCommand::Revive { name, id }) => {
            store.read(|store| queue::revive(store, &name, id, &mut show))
        }
        Command::Queue(QueueCommand::Purge { name, state }) => {
            store.read(|store| queue::purge(store, &name, state, &mut show))
        }
        Command::Backup { to } => store.read(|store| backup::backup(store, &to, &mut show)),
        Command::Dump(dump) => store.read(|store| dump::dump(store, dump, &mut show)),
        Command::Load(load) => {
            let dump = dump::open(load)?;
            store.write(|store| dump::load(store, dump, &mut show))
        }
        Command::Copy(args) => copy::copy(&args, store.read_only, &mut show),
        Command::Check => store.look(|store| care::check(store, &mut show)),
        Command::Compact => store.read(|store| care::compact(store, &mut show)),
        Command::Projection(command) => store.read(|store| projection::run(store, &command, &mut show)),
        Command::Lock(LockCommand::Run(run)) => store.write(|store| lock::run(store, &run)),
        Command::Lock(LockCommand::List) => store.read(|store| lock::list(store, &mut show)),
        Command::Lock(LockCommand::Break { name }) => {
            store.write(|store| lock::break_lock(store, &name, &mut show))
        }
        Command::Lock(LockCommand::Show { name }) => store.read(|store| lock::show(store, &name, &mut show)),
    }?;
    match show.flush().map_err(Failure::from) {
        // Whoever reads our output has seen enough, and how it ended is as true as before.
        Ok(()) | Err(Failure::Unread) => Ok(code),
        Err(failure) => Err(failure),
    }
}

/// The way into the store.
#[derive(Clone, Copy)]
struct Door<'a> {
    path: &'a Path,
    /// Only to look.
    read_only: bool,
}

impl Door<'_> {
    /// Opens the store, which is made if there is none, and closes it in order whatever comes of `command`.
    fn write(&self, command: impl FnOnce(&Store) -> Done<u8>) -> Done<u8> {
        let mut builder = Store::builder();
        if self.read_only {
            builder = builder.read_only();
        }
        let store = builder.open(self.path)?;
        let done = command(&store);
        // What was acknowledged is on disk; a close that fails only leaves more to do for the next who opens.
        let _ = store.close();
        done
    }

    /// The same for commands that only read: looking for a store must not make one.
    fn read(&self, command: impl FnOnce(&Store) -> Done<u8>) -> Done<u8> {
        let missing = match std::fs::metadata(self.path) {
            Ok(found) => found.is_file() && found.len() == 0,
            Err(error) => error.kind() == std::io::ErrorKind::NotFound && !is_address(self.path),
        };
        if missing {
            let path = self.path.display();
            let makes = "`events append`, `events import`, `log append`, `channel publish`, `dict set`, `dict index`, `list push`, `blob put`, `queue push`, `queue every`, `load`, `copy` and `lock run` make one";
            return Err(Failure::Failed(format!("there is no store at \"{path}\" ({makes})")));
        }
        self.write(command)
    }
}

impl Door<'_> {
    /// The same for commands that need no more than to look, whatever else was said: they write nothing, and nobody knows of them.
    fn look(&self, command: impl FnOnce(&Store) -> Done<u8>) -> Done<u8> {
        Door { read_only: true, ..*self }.read(command)
    }
}

/// An address is not looked for among the files; the library says what it thinks of it.
pub(crate) fn is_address(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.contains("://"))
}
