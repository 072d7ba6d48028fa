//! What can be written behind `list`.

use std::time::Duration;

use clap::Subcommand;

use crate::time::parse_duration;

#[derive(Debug, Subcommand)]
pub(crate) enum ListCommand {
    /// Put an item behind all others
    Push(Push),
    /// Take the first item, and wait for one
    Pop(Pop),
    /// The item with an index; exit code 1 if there is none
    Get {
        name: String,
        /// Counted from the back if it is negative
        #[arg(allow_negative_numbers = true)]
        index: i64,
    },
    /// The items between two indexes
    Range(Range),
    /// Put an item in front of the one with an index
    Insert {
        name: String,
        /// Counted from the back if it is negative
        #[arg(allow_negative_numbers = true)]
        index: i64,
        /// JSON, or - to read it from standard input
        #[arg(allow_negative_numbers = true)]
        data: String,
    },
    /// Put a value in the place of an item
    Set {
        name: String,
        /// Counted from the back if it is negative
        #[arg(allow_negative_numbers = true)]
        index: i64,
        /// JSON, or - to read it from standard input
        #[arg(allow_negative_numbers = true)]
        data: String,
        /// Only if what is there has this version
        #[arg(long, value_name = "N")]
        version: Option<u64>,
    },
    /// Remove the item with an index
    Delete {
        name: String,
        /// Counted from the back if it is negative
        #[arg(allow_negative_numbers = true)]
        index: i64,
        /// Only if it has this version
        #[arg(long, value_name = "N")]
        version: Option<u64>,
    },
    /// Move an item to another place, which is counted without it
    Move {
        name: String,
        #[arg(allow_negative_numbers = true)]
        index: i64,
        #[arg(allow_negative_numbers = true)]
        to: i64,
    },
    /// Remove all items but those between two indexes
    Trim {
        name: String,
        /// The first that is kept; -100 keeps the last 100
        #[arg(allow_negative_numbers = true)]
        from: i64,
        /// The first behind those that are kept; the end of the list unless given
        #[arg(allow_negative_numbers = true)]
        to: Option<i64>,
    },
    /// The lists of the store
    List,
}

impl ListCommand {
    /// As a person calls it, for messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            ListCommand::Push(_) => "list push",
            ListCommand::Pop(_) => "list pop",
            ListCommand::Get { .. } => "list get",
            ListCommand::Range(_) => "list range",
            ListCommand::Insert { .. } => "list insert",
            ListCommand::Set { .. } => "list set",
            ListCommand::Delete { .. } => "list delete",
            ListCommand::Move { .. } => "list move",
            ListCommand::Trim { .. } => "list trim",
            ListCommand::List => "list list",
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Push {
    pub(crate) name: String,
    /// JSON, or - to read it from standard input
    #[arg(default_value = "-", allow_negative_numbers = true)]
    pub(crate) data: String,
    /// In front of all others instead
    #[arg(long)]
    pub(crate) front: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Pop {
    pub(crate) name: String,
    /// The last item instead
    #[arg(long)]
    pub(crate) back: bool,
    /// How long to wait for an item: 500ms, 30s, 5m; 0 only looks; without limit unless given
    #[arg(long, value_name = "D", value_parser = parse_duration)]
    pub(crate) wait: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Range {
    pub(crate) name: String,
    /// The first; counted from the back if it is negative
    #[arg(default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) from: i64,
    /// The first behind them; the end of the list unless given
    #[arg(allow_negative_numbers = true)]
    pub(crate) to: Option<i64>,
    /// At most so many
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}
