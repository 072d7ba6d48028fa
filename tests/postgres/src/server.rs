//! A PostgreSQL server in a folder of its own, that can be killed and come back.

use std::env;
use std::io::{Write, stderr};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Once;

use crate::keeper::Keeper;
use crate::settings::Settings;
use crate::{fresh, programs, url};

/// Where it says so, tests must have a server: it is an error if there is none.
pub(crate) const DEMAND: &str = "MILLPOND_DEMAND_POSTGRES";

/// How often a start is tried. Between the moment at which a port is found to be free and the one at which the server has it,
/// somebody else may take it.
const TRIES: usize = 5;

/// A server, until it is dropped or its process ends.
pub struct Server {
    keeper: Keeper,
    port: u16,
}

impl Server {
    /// A server that nobody else has. `None` if the machine has none, which is said.
    ///
    /// # Panics
    /// If it does not start; if the machine has none and `MILLPOND_DEMAND_POSTGRES` is set.
    pub fn start(settings: Settings) -> Option<Server> {
        let Some(programs) = programs::folder() else {
            assert!(env::var_os(DEMAND).is_none(), "{DEMAND} is set, and there is no PostgreSQL");
            say_that_there_is_none();
            return None;
        };
        let mut server = Server { keeper: Keeper::new(&programs, &settings.configuration()), port: 0 };
        server.run(free_port);
        Some(server)
    }

    /// Where clients find it: `postgres://millpond@127.0.0.1:PORT/postgres`.
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// The same with the name of a schema that nobody else was given, `?schema=NAME`. The schema is not made.
    pub fn fresh(&self) -> String {
        fresh(self.port)
    }

    /// The port at which it listens, which it keeps when it comes back.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it has its files: `data` is PostgreSQL's own folder, `log` is what it says.
    pub fn folder(&self) -> &Path {
        self.keeper.folder()
    }

    /// Kills it with SIGKILL, and returns when none of its processes is left: what has not been committed by then never is.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&mut self) {
        self.must("kill");
    }

    /// Stops it as `pg_ctl stop -m immediate` does, with SIGQUIT: its clients are told, and what it has in memory is not written.
    ///
    /// # Panics
    /// If it does not run.
    pub fn stop_immediate(&mut self) {
        self.must("stop");
    }

    /// Starts it again after its end, with the same files and at the same port, and returns when it accepts connections.
    ///
    /// # Panics
    /// If it does not start.
    pub fn come_back(&mut self) {
        let port = self.port;
        self.run(|| port);
    }

    /// Has it started at a port, which is asked for anew each time.
    fn run(&mut self, mut port: impl FnMut() -> u16) {
        let started = (0..TRIES).any(|_| {
            self.port = port();
            self.keeper.tell(&format!("start {}", self.port))
        });
        assert!(started, "PostgreSQL does not start: {}", self.keeper.log());
    }

    fn must(&mut self, order: &str) {
        assert!(self.keeper.tell(order), "PostgreSQL cannot be told to {order}: {}", self.keeper.log());
    }
}

/// A port that nobody had a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Once a process, past what the test harness keeps to itself.
fn say_that_there_is_none() {
    static SAID: Once = Once::new();
    let words = "skipped: PostgreSQL: there is no server to be had (Debian: postgresql)";
    SAID.call_once(|| drop(writeln!(stderr(), "{words}")));
}
