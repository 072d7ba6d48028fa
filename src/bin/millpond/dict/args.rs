//! What can be written behind `dict`.

use std::time::Duration;

use clap::Subcommand;
use millpond::Where;

use super::handle::Key;
use crate::input::parse_where;
use crate::time::parse_duration;

#[derive(Debug, Subcommand)]
pub(crate) enum DictCommand {
    /// What is under a key; exit code 1 if there is nothing
    Get {
        name: String,
        key: String,
        #[command(flatten)]
        seal: Key,
    },
    /// Put a value under a key
    Set(Set),
    /// Remove what is under a key
    Delete {
        name: String,
        key: String,
        #[command(flatten)]
        seal: Key,
    },
    /// Add to a whole number, which is 0 if there is none
    Increment {
        name: String,
        key: String,
        /// How much
        #[arg(default_value_t = 1, allow_negative_numbers = true)]
        by: i64,
    },
    /// The entries of a dict, by key; or the dicts of the store
    List(List),
    /// Index fields of the values of a dict, for --where; what is indexed already stays
    ///
    /// A field is a path into the value: customer.address.city, items[0].sku, "a.b".c with a key in double quotes that holds other
    /// signs, and . for the value itself.
    Index {
        name: String,
        #[arg(required = true, value_name = "PATH")]
        fields: Vec<String>,
    },
    /// Remove indexes of a dict
    Unindex {
        name: String,
        #[arg(required = true, value_name = "PATH")]
        fields: Vec<String>,
    },
    /// The indexes of a dict
    Indexes { name: String },
    /// What is put into a dict and removed, as it happens, until Ctrl-C
    Watch {
        name: String,
        /// Only what is under keys that begin so
        #[arg(long, value_name = "P", default_value = "")]
        prefix: String,
        #[command(flatten)]
        seal: Key,
    },
}

impl DictCommand {
    /// As a person calls it, for messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            DictCommand::Get { .. } => "dict get",
            DictCommand::Set(_) => "dict set",
            DictCommand::Delete { .. } => "dict delete",
            DictCommand::Increment { .. } => "dict increment",
            DictCommand::List(_) => "dict list",
            DictCommand::Index { .. } => "dict index",
            DictCommand::Unindex { .. } => "dict unindex",
            DictCommand::Indexes { .. } => "dict indexes",
            DictCommand::Watch { .. } => "dict watch",
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Set {
    pub(crate) name: String,
    pub(crate) key: String,
    /// JSON, or - to read it from standard input
    #[arg(allow_negative_numbers = true)]
    pub(crate) data: String,
    /// It is there for so long, such as 30m; for ever unless given
    #[arg(long, value_name = "D", value_parser = parse_duration)]
    pub(crate) ttl: Option<Duration>,
    /// Only if there is nothing under the key
    #[arg(long)]
    pub(crate) absent: bool,
    /// Only if there is something under the key
    #[arg(long, conflicts_with = "absent")]
    pub(crate) present: bool,
    /// Only if what is under the key has this version
    #[arg(long, value_name = "N", conflicts_with_all = ["absent", "present"])]
    pub(crate) version: Option<u64>,
    #[command(flatten)]
    pub(crate) seal: Key,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// All dicts unless given
    pub(crate) name: Option<String>,
    /// Only those whose keys begin so
    #[arg(long, value_name = "P", default_value = "", requires = "name")]
    pub(crate) prefix: String,
    /// Only those behind this key, in the order in which they come
    #[arg(long, value_name = "K", requires = "name")]
    pub(crate) after: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", requires = "name")]
    pub(crate) limit: Option<u64>,
    /// The last key first
    #[arg(long, requires = "name")]
    pub(crate) backward: bool,
    /// Only those whose values are so: age >= 30 and city = "Delft", or {"field": "age", "at_least": 30}
    #[arg(long = "where", value_name = "FILTER", requires = "name", value_parser = parse_where)]
    pub(crate) filter: Option<Where>,
    /// Say how they would be found, instead: by which index, and what is left to be looked at
    #[arg(long, requires = "filter")]
    pub(crate) explain: bool,
    #[command(flatten)]
    pub(crate) seal: Key,
}
