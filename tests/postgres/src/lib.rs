//! A PostgreSQL server of one's own, for tests: made from the machine's programs, in a folder of its own, and gone with the
//! process that started it, however that ends.
//!
//! | file | what it is |
//! | --- | --- |
//! | `settings` | how careful a server is with what it has committed |
//! | `programs` | where the machine has the programs |
//! | `keeper` | the shell (`keeper.sh`) that does what has to be done, and outlives its program to take everything away |
//! | `server` | a server: started, killed, come back |
//! | `proxy` | what stands between a server and its clients, and loses connections |
//! | `pooler` | what stands between a server and its clients (`pooler.sh`), and has them share a few connections |
//! | `connection` `cut` | one connection through a proxy; the moment at which one is lost |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "it is a part of tests, which should fail if something is wrong with it"
)]

mod connection;
mod cut;
mod keeper;
mod pooler;
mod programs;
mod proxy;
mod server;
mod settings;

use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

pub use self::cut::Cut;
pub use self::pooler::Pooler;
pub use self::proxy::Proxy;
pub use self::server::Server;
pub use self::settings::Settings;

/// The one server that all tests of a process share: started when the first of them asks for it, with the settings that cost
/// least. `None` if the machine has none, which is said.
///
/// # Panics
/// If it does not start; if the machine has none and `MILLPOND_DEMAND_POSTGRES` is set.
pub fn shared() -> Option<&'static Server> {
    static SHARED: OnceLock<Option<Server>> = OnceLock::new();
    SHARED.get_or_init(|| Server::start(Settings::default())).as_ref()
}

/// The one pooler before it that all tests of a process share, with connections for many of them at once. `None` if the machine has
/// none, which is said.
///
/// # Panics
/// As [`shared`].
pub fn pooled() -> Option<&'static Pooler> {
    static POOLED: OnceLock<Option<Pooler>> = OnceLock::new();
    POOLED.get_or_init(|| shared().and_then(|server| Pooler::start(server, 100))).as_ref()
}

/// Where clients find what listens at this port.
fn url(port: u16) -> String {
    format!("postgres://millpond@127.0.0.1:{port}/postgres")
}

/// The same with a schema that nobody else was given.
fn fresh(port: u16) -> String {
    static GIVEN: AtomicU64 = AtomicU64::new(0);
    let number = GIVEN.fetch_add(1, Ordering::Relaxed);
    format!("{}?schema=t_{}_{number}", url(port), process::id())
}
