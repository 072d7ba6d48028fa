//! What can be written on the command line, and nothing about what it does.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use millpond::{Expected, Where};
use uuid::Uuid;

use crate::bench::BenchArgs;
use crate::blob::args::BlobCommand;
use crate::copy::CopyArgs;
use crate::dict::args::DictCommand;
use crate::dump::{DumpArgs, LoadArgs};
use crate::feed::args::{ChannelCommand, LogCommand};
use crate::input::parse_where;
use crate::list::args::ListCommand;
use crate::projection::args::ProjectionCommand;
use crate::queue::args::QueueCommand;
use crate::time::{check_moment, parse_duration};

/// Durable actors in one file: locks, queues, logs, channels, streams of events and what is made of them.
#[derive(Debug, Parser)]
#[command(name = "millpond", version, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 75 lock not acquired or no job in time, \
                        76 lock or job lost; `lock run` ends with its command's."
)]
pub(crate) struct Args {
    /// The store's file, or the URL of a PostgreSQL database: postgres://USER@HOST/DATABASE?schema=NAME
    #[arg(
        long,
        global = true,
        env = "MILLPOND_STORE",
        default_value = "./millpond.db",
        value_name = "PATH|URL",
        hide_env_values = true
    )]
    pub(crate) store: PathBuf,
    /// One JSON object a line instead of tables
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Only look at the store: nothing is written, neither to it nor beside it
    #[arg(long, global = true)]
    pub(crate) read_only: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A tour in a few seconds: processes, accounts, a lock, a kill -9, and what became of the promises
    Demo(Demo),
    #[command(hide = true)]
    DemoWorker(DemoWorker),
    /// What is in the store, and who uses it
    Status,
    /// Streams of events
    #[command(subcommand)]
    Events(EventsCommand),
    /// Blobs: large values by key
    #[command(subcommand)]
    Blob(BlobCommand),
    /// Dicts: values by key
    #[command(subcommand)]
    Dict(DictCommand),
    /// Lists: items in an order of their own
    #[command(subcommand)]
    List(ListCommand),
    /// Logs: records in order
    #[command(subcommand)]
    Log(LogCommand),
    /// Channels: messages for whoever subscribes
    #[command(subcommand)]
    Channel(ChannelCommand),
    /// Queues: jobs that are tried until they are done
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Projections: what is made of the events, by the processes that run them
    #[command(subcommand)]
    Projection(ProjectionCommand),
    /// Named locks, semaphores, and locks for readers and writers
    #[command(subcommand)]
    Lock(LockCommand),
    /// Copy the store to a new file, as it is at this moment, while others use it; the copy is checked
    Backup {
        #[arg(value_name = "FILE")]
        to: PathBuf,
    },
    /// All that is in the store, as lines of JSON, as it is at this moment, while others use it
    Dump(DumpArgs),
    /// Put back what was dumped, all of it or nothing
    Load(LoadArgs),
    /// Copy all of a store into another one, or into a dump, or a dump into a store, and verify it; begun anew, it goes on
    ///
    /// FROM and TO say which stores: --store is not looked at, and --read-only is said of FROM. A dump is what ends in .jsonl, or - for
    /// standard input and output; everything else is a store. TO has to be empty, or the beginning of this copy. A dump has the keys of
    /// subjects in it, and is as secret as the store; until it is whole its name ends in .part. To standard output it is written anew each
    /// time, and nothing else is said.
    Copy(CopyArgs),
    /// Look all of the store over and say what is wrong; exit code 1 if anything is
    Check,
    /// Give the room that is free in the file back; others wait meanwhile
    Compact,
    /// How fast this machine is, beside the bare floor: rusqlite alone doing the same; or a PostgreSQL server, beside tokio-postgres
    /// alone
    Bench(BenchArgs),
    #[command(hide = true)]
    BenchWorker(BenchWorker),
}

impl Command {
    /// As a person calls it, for messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Command::Demo(_) => "demo",
            Command::DemoWorker(_) => "demo-worker",
            Command::Status => "status",
            Command::Events(EventsCommand::Append(_)) => "events append",
            Command::Events(EventsCommand::Read(_)) => "events read",
            Command::Events(EventsCommand::All(_)) => "events all",
            Command::Events(EventsCommand::Import(_)) => "events import",
            Command::Events(EventsCommand::Export(_)) => "events export",
            Command::Events(EventsCommand::Diff(_)) => "events diff",
            Command::Events(EventsCommand::Verify(_)) => "events verify",
            Command::Events(EventsCommand::Delete(_)) => "events delete",
            Command::Events(EventsCommand::Shred { .. }) => "events shred",
            Command::Blob(blob) => blob.name(),
            Command::Dict(dict) => dict.name(),
            Command::List(list) => list.name(),
            Command::Log(log) => log.name(),
            Command::Channel(channel) => channel.name(),
            Command::Queue(queue) => queue.name(),
            Command::Projection(projection) => projection.name(),
            Command::Lock(LockCommand::Run(_)) => "lock run",
            Command::Lock(LockCommand::List) => "lock list",
            Command::Lock(LockCommand::Show { .. }) => "lock show",
            Command::Lock(LockCommand::Break { .. }) => "lock break",
            Command::Backup { .. } => "backup",
            Command::Dump(_) => "dump",
            Command::Load(_) => "load",
            Command::Copy(_) => "copy",
            Command::Check => "check",
            Command::Compact => "compact",
            Command::Bench(_) => "bench",
            Command::BenchWorker(_) => "bench-worker",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum EventsCommand {
    /// Append an event to a stream
    Append(Append),
    /// The events of one stream, in order
    Read(Read),
    /// The events of all streams, in order
    All(All),
    /// Add the events of a file, leaving out those that are there already
    Import(Import),
    /// All events as lines of JSON, as `import` takes them
    Export(Export),
    /// What has become different in a stream between two of its versions
    ///
    /// Each field has the value that the last event gave it. Objects are looked into, field by field: a path is
    /// `customer.address.city`. Content that is no object is at the path `(TYPE)`, the event's type.
    Diff(Diff),
    /// Read all events and say what is wrong; exit code 1 if anything is
    Verify(Verify),
    /// Erase all that a stream holds, for good; its versions and positions stay taken
    Delete(Delete),
    /// Destroy the key of a subject, for good: nothing that was sealed with it can be read any more
    Shred { subject: String },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Append {
    /// `category-id`, such as permit-10011
    pub(crate) stream: String,
    /// What happened, such as Opened
    #[arg(value_name = "TYPE")]
    pub(crate) event_type: String,
    /// JSON, or - to read it from standard input
    #[arg(default_value = "null", allow_negative_numbers = true)]
    pub(crate) data: String,
    /// What the stream must look like: any, none, exists, or its version
    #[arg(long, value_name = "any|none|exists|N", default_value = "any", value_parser = parse_expected)]
    pub(crate) expect: Expected,
    /// The event's id, which makes the append repeatable
    #[arg(long, value_name = "UUID", value_parser = parse_uuid)]
    pub(crate) id: Option<Uuid>,
    /// When it happened, if not now: a date and time with an offset
    #[arg(long, value_name = "TIME", value_parser = check_moment)]
    pub(crate) at: Option<String>,
    /// The version of the shape of its data
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) schema: u32,
    /// On whose behalf
    #[arg(long, value_name = "WHO")]
    pub(crate) actor: Option<String>,
    /// For which tenant
    #[arg(long, value_name = "T")]
    pub(crate) tenant: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Read {
    pub(crate) stream: String,
    /// From this version on
    #[arg(long, value_name = "N")]
    pub(crate) from: Option<u64>,
    /// Up to this version
    #[arg(long, value_name = "N")]
    pub(crate) to: Option<u64>,
    /// At most so many events
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Newest first
    #[arg(long)]
    pub(crate) backward: bool,
    /// Only events whose data is so: cents >= 100 and reason != null, or {"field": "cents", "at_least": 100}
    #[arg(long = "where", value_name = "FILTER", value_parser = parse_where)]
    pub(crate) filter: Option<Where>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct All {
    /// From behind this position on
    #[arg(long, value_name = "POS", default_value_t = 0, hide_default_value = true)]
    pub(crate) after: u64,
    /// Only streams of this category
    #[arg(long, value_name = "C")]
    pub(crate) category: Option<String>,
    /// Only events of this type; several times for several types
    #[arg(long = "type", value_name = "T")]
    pub(crate) types: Vec<String>,
    /// Only events of this tenant
    #[arg(long, value_name = "T")]
    pub(crate) tenant: Option<String>,
    /// At most so many events
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Wait for more, until Ctrl-C
    #[arg(long)]
    pub(crate) follow: bool,
    /// Only events whose data is so: cents >= 100 and reason != null, or {"field": "cents", "at_least": 100}
    #[arg(long = "where", value_name = "FILTER", value_parser = parse_where)]
    pub(crate) filter: Option<Where>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// The file, or - for standard input
    pub(crate) file: PathBuf,
    /// jsonl unless the file is called .csv
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,
    /// CSV: the column with the stream's name
    #[arg(long, value_name = "C", default_value = "stream")]
    pub(crate) stream_column: String,
    /// CSV: the column with the event's type
    #[arg(long, value_name = "C", default_value = "type")]
    pub(crate) type_column: String,
    /// CSV: the column with the time, `time` if there is one
    #[arg(long, value_name = "C")]
    pub(crate) time_column: Option<String>,
    /// Put before every stream's name
    #[arg(long, value_name = "P", default_value = "", hide_default_value = true)]
    pub(crate) prefix: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Jsonl,
    Csv,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// Only streams of this category
    #[arg(long, value_name = "C")]
    pub(crate) category: Option<String>,
    /// From behind this position on
    #[arg(long, value_name = "POS", default_value_t = 0, hide_default_value = true)]
    pub(crate) after: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Diff {
    pub(crate) stream: String,
    /// The earlier version; 0 is before the first event
    #[arg(value_name = "V1")]
    pub(crate) before: u64,
    /// The later version
    #[arg(value_name = "V2")]
    pub(crate) after: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// Only the events of this stream
    pub(crate) stream: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    pub(crate) stream: String,
    /// What the stream must look like: any, none, exists, or its version
    #[arg(long, value_name = "any|none|exists|N", default_value = "exists", value_parser = parse_expected)]
    pub(crate) expect: Expected,
    /// And let nobody append to it any more
    #[arg(long)]
    pub(crate) close: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LockCommand {
    /// Run a command while holding a lock
    Run(LockRun),
    /// The locks that are held or waited for
    List,
    /// How one lock stands
    Show { name: String },
    /// Take a lock away from all who hold it, for the next in line; what they still write under it is refused
    Break { name: String },
}

#[derive(Debug, clap::Args)]
pub(crate) struct LockRun {
    pub(crate) name: String,
    /// Take a permit of a semaphore of so many, instead of a lock
    #[arg(long, value_name = "N", conflicts_with_all = ["read", "write"])]
    pub(crate) permits: Option<u32>,
    /// Take a lock for readers and writers, as a reader: together with others
    #[arg(long, conflicts_with = "write")]
    pub(crate) read: bool,
    /// Take a lock for readers and writers, as a writer: alone
    #[arg(long)]
    pub(crate) write: bool,
    /// How long to wait for it: 500ms, 30s, 5m; 0 only tries; without limit unless given
    #[arg(long, value_name = "D", value_parser = parse_duration)]
    pub(crate) wait: Option<Duration>,
    /// How long the lock is kept once nobody prolongs it; 60s unless given
    ///
    /// While this program runs, it prolongs its lease by itself, and when it ends, the lock is free at once. The time
    /// to live counts when it is stopped, and when it alone is killed (SIGKILL) and the command goes on: then the lock
    /// stays held until the command ends or the time to live does, whichever is first. 10ms to 365 days.
    #[arg(long, value_name = "D", value_parser = parse_duration)]
    pub(crate) ttl: Option<Duration>,
    /// How long the command may take to end when its lock is lost
    ///
    /// It is told so by SIGTERM, and killed when this time is over.
    #[arg(long, value_name = "D", default_value = "10s", value_parser = parse_duration)]
    pub(crate) grace: Duration,
    /// The command; it finds MILLPOND_LOCK_NAME and MILLPOND_LOCK_TOKEN in its environment
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Keep the folder, to look at the store afterwards. In a database (`--store postgres://...`) it has a schema of its own, which
    /// stays
    #[arg(long)]
    pub(crate) keep: bool,
    /// How long the processes work
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoWorker {
    #[arg(long)]
    pub(crate) accounts: u32,
    #[arg(long)]
    pub(crate) tellers: u32,
    #[arg(long)]
    pub(crate) seed: u64,
}

#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct BenchWorker {
    pub(crate) role: BenchRole,
    #[arg(long, default_value_t = 0.0)]
    pub(crate) seconds: f64,
    #[arg(long, default_value_t = 0)]
    pub(crate) waiters: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchRole {
    Hold,
    Wait,
    Greedy,
    Handoff,
    Subscribers,
}

impl BenchRole {
    pub(crate) fn name(self) -> &'static str {
        match self {
            BenchRole::Hold => "hold",
            BenchRole::Wait => "wait",
            BenchRole::Greedy => "greedy",
            BenchRole::Handoff => "handoff",
            BenchRole::Subscribers => "subscribers",
        }
    }
}

fn parse_expected(text: &str) -> Result<Expected, String> {
    match text {
        "any" => Ok(Expected::Any),
        "none" => Ok(Expected::NoStream),
        "exists" => Ok(Expected::Exists),
        version => {
            version.parse().map(Expected::Version).map_err(|_| "not any, none, exists or a version".into())
        }
    }
}

fn parse_uuid(text: &str) -> Result<Uuid, String> {
    Uuid::try_parse(text).map_err(|error| error.to_string())
}
