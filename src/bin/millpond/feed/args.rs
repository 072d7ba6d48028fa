//! What can be written behind `log` and `channel`.

use clap::Subcommand;
use millpond::{From, Where};

use crate::input::parse_where;
use crate::time::{check_moment, parse_moment};

#[derive(Debug, Subcommand)]
pub(crate) enum ChannelCommand {
    /// Publish a message
    Publish(Send),
    /// The messages of a channel as they come, until Ctrl-C
    Subscribe(Subscribe),
    /// The channels of the store
    List,
}

impl ChannelCommand {
    /// As a person calls it, for messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            ChannelCommand::Publish(_) => "channel publish",
            ChannelCommand::Subscribe(_) => "channel subscribe",
            ChannelCommand::List => "channel list",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Append a record
    Append(Send),
    /// The records of a log, oldest first
    Range(Range),
    /// The last records of a log, and those that come
    Tail(Tail),
    /// The logs of the store
    List,
}

impl LogCommand {
    /// As a person calls it, for messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            LogCommand::Append(_) => "log append",
            LogCommand::Range(_) => "log range",
            LogCommand::Tail(_) => "log tail",
            LogCommand::List => "log list",
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Send {
    pub(crate) name: String,
    /// JSON, or - to read it from standard input
    #[arg(default_value = "null", allow_negative_numbers = true)]
    pub(crate) data: String,
    /// What it is about
    #[arg(long, value_name = "K")]
    pub(crate) key: Option<String>,
    /// When it happened, if not now: a date and time with an offset
    #[arg(long, value_name = "TIME", value_parser = check_moment)]
    pub(crate) at: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Subscribe {
    /// A channel, or a pattern of channels: * stands for any characters
    pub(crate) name: String,
    /// Where to begin: now, start, or behind this sequence; with --durable or --group only the first time, and start unless given
    #[arg(long, value_name = "now|start|SEQ", value_parser = parse_from)]
    pub(crate) from: Option<From>,
    /// Consume this durable subscription: each message is acknowledged when it was printed
    #[arg(long, value_name = "ID")]
    pub(crate) durable: Option<String>,
    /// Consume with others, who share this group: each message goes to one of them, and those of a key in order
    #[arg(long, value_name = "ID", conflicts_with = "durable")]
    pub(crate) group: Option<String>,
    /// End after so many messages
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Range {
    pub(crate) name: String,
    /// Only what was recorded at this time or later: a date and time with an offset
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub(crate) since: Option<i64>,
    /// Only what was recorded before this time
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub(crate) until: Option<i64>,
    /// At most so many records
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Newest first
    #[arg(long)]
    pub(crate) backward: bool,
    /// Only records whose data is so: user = "ada" and tokens > 100, or {"field": "user", "equal": "ada"}
    #[arg(long = "where", value_name = "FILTER", value_parser = parse_where)]
    pub(crate) filter: Option<Where>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Tail {
    pub(crate) name: String,
    /// So many of the last records
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub(crate) lines: u64,
    /// Wait for more, until Ctrl-C
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only records whose data is so: user = "ada" and tokens > 100, or {"field": "user", "equal": "ada"}
    #[arg(long = "where", value_name = "FILTER", value_parser = parse_where)]
    pub(crate) filter: Option<Where>,
}

fn parse_from(text: &str) -> Result<From, String> {
    match text {
        "now" => Ok(From::Now),
        "start" => Ok(From::Start),
        sequence => sequence.parse().map(From::After).map_err(|_| "not now, start or a sequence".into()),
    }
}
