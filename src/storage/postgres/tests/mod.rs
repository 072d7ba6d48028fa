//! What is a server's own, beside what the contract's suite holds against every database.

mod ahead;
mod grants;
mod moment;
mod opening;
mod pooler;
mod security;
mod trips;

use std::sync::Arc;
use std::time::Duration;

use millpond_actors::storage::{Identity, Moment};

use super::ground::Ground;
use super::session::PostgresSession;
use crate::filter::fields;
use crate::location::Durability;

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(30);

const NOW: Moment = Moment { boot_ms: 1_000_000, wall_ms: 1_700_000_000_000 };

/// A fresh schema, as the URL of a store that is not there yet. `None` if there is no server to be had, which is said.
fn fresh() -> Option<String> {
    millpond_postgres_server::shared().map(millpond_postgres_server::Server::fresh)
}

fn ground(url: &str) -> Arc<Ground> {
    Arc::new(Ground::find(url, Durability::ProcessCrash, false, fields(), PATIENCE).unwrap())
}

fn join(ground: &Arc<Ground>) -> PostgresSession {
    let identity = Identity { pid: 1, host: "host".into(), program: "program".into(), boot: "boot".into() };
    PostgresSession::join(Arc::clone(ground), &identity, &|| NOW).unwrap()
}
