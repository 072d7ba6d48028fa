//! What can be written behind `projection`.

use clap::Subcommand;
use millpond::From;

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectionCommand {
    /// The projections of the store: how far each has come, who runs it, and what fails
    List,
    /// How many events one is behind: the number alone
    Lag { name: String },
    /// Have one stop where it is, in whatever process
    Pause { name: String },
    /// Have one go on, also from an event that it is parked at
    Resume { name: String },
    /// Have one made anew beside what is read, which it replaces when it has come as far
    ///
    /// If the program cannot have two of it beside each other, it is a reset as soon as the program comes to it.
    Rebuild(Again),
    /// Have one begin again, in the place of what is read
    Reset(Again),
    /// The events that one has gone past without having projected them, and why
    Dead { name: String },
    /// Have such events projected once more
    Revive {
        name: String,
        /// The letter's number; all of them unless given
        letter: Option<u64>,
    },
    /// Have the store forget one; what it has written stays
    Remove { name: String },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Again {
    pub(crate) name: String,
    /// Where it begins: with the first event, with what comes from now on, or behind this position
    #[arg(long, value_name = "start|now|POSITION", default_value = "start", value_parser = parse_from)]
    pub(crate) from: From,
}

impl ProjectionCommand {
    /// As a person calls it, for messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            ProjectionCommand::List => "projection list",
            ProjectionCommand::Lag { .. } => "projection lag",
            ProjectionCommand::Pause { .. } => "projection pause",
            ProjectionCommand::Resume { .. } => "projection resume",
            ProjectionCommand::Rebuild(_) => "projection rebuild",
            ProjectionCommand::Reset(_) => "projection reset",
            ProjectionCommand::Dead { .. } => "projection dead",
            ProjectionCommand::Revive { .. } => "projection revive",
            ProjectionCommand::Remove { .. } => "projection remove",
        }
    }
}

fn parse_from(text: &str) -> Result<From, String> {
    match text {
        "start" => Ok(From::Start),
        "now" => Ok(From::Now),
        position => position.parse().map(From::After).map_err(|_| "not start, now or a position".into()),
    }
}
