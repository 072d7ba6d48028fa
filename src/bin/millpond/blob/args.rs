//! What can be written behind `blob`.

use std::path::PathBuf;

use clap::Subcommand;

use crate::input::{Json, parse_json};

#[derive(Debug, Subcommand)]
pub(crate) enum BlobCommand {
    /// Write a blob out of a file, in place of what is there
    Put(Put),
    /// Write a blob to a file, or to standard output
    Get(Get),
    /// What is known of the blobs of a name, by key; or all names
    List {
        /// All names unless given
        name: Option<String>,
        /// Only blobs whose keys begin so
        #[arg(default_value = "")]
        prefix: String,
    },
    /// What is known of a blob; exit code 1 if there is none
    Show { name: String, key: String },
    /// Remove a blob, and sweep its bytes
    Delete { name: String, key: String },
}

impl BlobCommand {
    /// As a person calls it, for messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            BlobCommand::Put(_) => "blob put",
            BlobCommand::Get(_) => "blob get",
            BlobCommand::List { .. } => "blob list",
            BlobCommand::Show { .. } => "blob show",
            BlobCommand::Delete { .. } => "blob delete",
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Put {
    pub(crate) name: String,
    pub(crate) key: String,
    /// The file, or - for standard input
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
    /// JSON that is kept with it
    #[arg(long, value_name = "JSON", value_parser = parse_json)]
    pub(crate) metadata: Option<Json>,
    /// Only if there is nothing under the key when it is finished
    #[arg(long)]
    pub(crate) absent: bool,
    /// Only if what is under the key has this version when it is finished
    #[arg(long, value_name = "N", conflicts_with = "absent")]
    pub(crate) version: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    pub(crate) name: String,
    pub(crate) key: String,
    /// The file, which is there only when all of it is; or - for standard output
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
    /// Only bytes A to B, both among them, counted from 0; A- is all from A on
    #[arg(long, value_name = "A-B", value_parser = parse_range)]
    pub(crate) range: Option<(u64, Option<u64>)>,
}

/// The first byte and the last.
fn parse_range(text: &str) -> Result<(u64, Option<u64>), String> {
    let why = || "write A-B, such as 0-99 or 100-".to_owned();
    let (first, last) = text.split_once('-').ok_or_else(why)?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| why());
    let first = number(first)?;
    let last = if last.is_empty() { None } else { Some(number(last)?) };
    if last.is_some_and(|last| last < first) {
        return Err(format!("byte {first} comes behind the last one; {}", why()));
    }
    Ok((first, last))
}
