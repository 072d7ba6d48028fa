//! Stores on a PostgreSQL server, which processes of many machines may share.
//!
//! Files in reading order: where it lies (`address`), the connections (`wire`, `carrier`, `connection`, `param`, `error`), the schema
//! (`migrate`), how tables of the [engine](millpond_actors::engine) lie in those of the server (`shape`, `tables`, and a file a
//! primitive), whose turn it is and who lives (`settings`, `turn`, `presence`, `clock`), and who writes and reads (`ground`, `session`,
//! `group`, `view`, `transaction`, `count`).

mod address;
mod blob;
mod carrier;
mod clock;
mod connection;
mod count;
mod dict;
mod error;
mod feed;
mod ground;
mod group;
mod list;
mod lock;
mod migrate;
mod param;
mod presence;
mod process;
mod projection;
mod queue;
mod session;
mod settings;
mod shape;
mod socket;
mod stream;
mod tables;
mod transaction;
mod turn;
mod view;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use millpond_actors::clock::Clock;
use millpond_actors::error::Result;
use millpond_actors::storage::filter::Fields;
use millpond_actors::storage::{Backend, Identity, Moment, Onlooker, Session, View};

use self::ground::Ground;
use self::session::PostgresSession;
use self::view::PostgresView;
use crate::location::Durability;

/// A store on a server.
#[derive(Debug)]
pub(crate) struct Postgres {
    ground: Arc<Ground>,
    read_only: bool,
}

impl Postgres {
    /// Opens the store at a URL, and makes one if there is none. While the server is away, whoever reads waits for it with
    /// patience.
    ///
    /// # Errors
    /// [`Error::InvalidPath`](millpond_actors::error::Error::InvalidPath),
    /// [`Error::SchemaTooNew`](millpond_actors::error::Error::SchemaTooNew) or
    /// [`Error::Unsupported`](millpond_actors::error::Error::Unsupported) for what cannot be a store; else what the server said.
    pub(crate) fn open(
        url: &str,
        durability: Durability,
        read_only: bool,
        fields: Fields,
        patience: Duration,
    ) -> Result<Postgres> {
        let ground = Arc::new(Ground::find(url, durability, read_only, fields, patience)?);
        Ok(Postgres { ground, read_only })
    }

    /// Where a URL leads, and as whom, without its secrets: two that lead to the same are the same store. Another role has other rights.
    ///
    /// # Errors
    /// [`Error::InvalidPath`](millpond_actors::error::Error::InvalidPath).
    pub(crate) fn place(url: &str) -> Result<String> {
        address::Address::parse(url).map(|address| format!("{} as {}", address, address.user()))
    }
}

impl Backend for Postgres {
    fn join(&self, identity: &Identity, now: &dyn Fn() -> Moment) -> Result<Box<dyn Session>> {
        if self.read_only {
            let position = self.view()?.head()?;
            return Ok(Box::new(Onlooker::new("it was opened for reading only", position)));
        }
        let _ = self.ground.boot.set(identity.boot.clone());
        Ok(Box::new(PostgresSession::join(Arc::clone(&self.ground), identity, now)?))
    }

    fn view(&self) -> Result<Box<dyn View>> {
        Ok(Box::new(PostgresView::open(Arc::clone(&self.ground))?))
    }

    fn is_far(&self) -> bool {
        true
    }

    fn clock(&self) -> Option<Arc<dyn Clock>> {
        let clock: Arc<dyn Clock> = Arc::<clock::ServerClock>::clone(&self.ground.clock);
        Some(clock)
    }
}
