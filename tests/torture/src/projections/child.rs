//! A process that projects, or reacts, until it is killed.

use std::path::Path;

use futures_executor::block_on;
use millpond::{Attempt, Failure, Project, Recorded, Rows, Sql, Store};

use crate::Result;
use crate::crew::say;

/// What there are events of.
pub(super) const CATEGORY: &str = "item";
/// What is projected, into tables.
pub(super) const PROJECTION: &str = "tally";
/// What is reacted to, by a line.
pub(super) const REACTION: &str = "closings";
/// The type of what is reacted to.
pub(super) const CLOSED: &str = "Closed";

/// Numbers of which order is a part are kept below this.
pub(super) const MODULUS: u64 = 1_000_000_007;

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It projects.
    Projects,
    /// It reacts.
    Reacts,
}

impl Role {
    /// As an argument.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Projects => "projects",
            Role::Reacts => "reacts",
        }
    }

    /// Out of an argument.
    #[must_use]
    pub fn named(name: &str) -> Option<Role> {
        [Role::Projects, Role::Reacts].into_iter().find(|role| role.name() == name)
    }
}

/// Projects or reacts until it is killed.
///
/// # Errors
/// If the store cannot be opened, or nobody listens.
pub fn live(file: &Path, role: Role) -> Result<()> {
    if let Err(error) = block_on(work(file, role)) {
        say(&format!("! {error}"))?;
    }
    // There to be killed.
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

async fn work(file: &Path, role: Role) -> Result<()> {
    let store = Store::open(file).await?;
    let items = store.events().read_category(CATEGORY);
    match role {
        Role::Projects => {
            store.projection(PROJECTION).projector(items).run(Tally).await?;
        }
        Role::Reacts => {
            let reactor = store.projection(REACTION).reactor(items.event_type(CLOSED)).streams(8);
            let tell = async |event: Attempt| {
                say(&format!("{} {}", event.stream(), event.position())).map_err(|error| error.to_string())
            };
            reactor.run(tell).await?;
        }
    }
    Err("it ended by itself".into())
}

/// How many events each stream has, and a number that tells their order.
struct Tally;

impl Project for Tally {
    fn begin(&mut self, rows: &mut Rows<'_>) -> std::result::Result<(), Failure> {
        let table = format!(
            "CREATE TABLE tally_{} (stream TEXT PRIMARY KEY, count INTEGER NOT NULL, told INTEGER NOT NULL) STRICT",
            rows.generation()
        );
        rows.sql(Sql::new(table))?;
        Ok(())
    }

    fn apply(&mut self, event: &Recorded, rows: &mut Rows<'_>) -> std::result::Result<(), Failure> {
        let add = format!(
            "INSERT INTO tally_{} VALUES (?1, 1, ?2) ON CONFLICT (stream)
            DO UPDATE SET count = count + 1, told = (told * 31 + ?2) % {MODULUS}",
            rows.generation()
        );
        rows.sql(Sql::new(add).bind(event.stream()).bind(event.position()))?;
        Ok(())
    }

    fn beside(&self) -> bool {
        true
    }

    fn switch(&mut self, rows: &mut Rows<'_>) -> std::result::Result<(), Failure> {
        let generation = rows.generation();
        rows.sql(Sql::new("DROP VIEW IF EXISTS tally"))?;
        rows.sql(Sql::new(format!("CREATE VIEW tally AS SELECT * FROM tally_{generation}")))?;
        for older in 1..generation {
            rows.sql(Sql::new(format!("DROP TABLE IF EXISTS tally_{older}")))?;
        }
        Ok(())
    }
}
