//! A pooler before a server, PgBouncer, in transaction mode: whatever a client does outside a transaction may be done on any of a few
//! connections, which others use too.

use std::io::{BufRead, BufReader, Lines, Write, stderr};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command};
use std::sync::Once;
use std::{env, thread};

use crate::keeper::unprivileged;
use crate::server::{DEMAND, Server, free_port};
use crate::{fresh, url};

/// Where programs of the system are that need not be on the path.
const SYSTEM: &str = "/usr/sbin";

/// How often a start is tried: the port may be taken by somebody else before the pooler has it.
const TRIES: usize = 5;

/// What it says when clients may come.
const READY: &str = "process up";

/// A pooler, until it is dropped or its process ends.
pub struct Pooler {
    shell: Child,
    port: u16,
    server: u16,
}

impl Pooler {
    /// A pooler before this server, with so many connections to it for each role. `None` if the machine has none, which is said.
    ///
    /// # Panics
    /// If it does not start; if the machine has none and `MILLPOND_DEMAND_POSTGRES` is set.
    pub fn start(server: &Server, connections: usize) -> Option<Pooler> {
        let Some(program) = program() else {
            assert!(env::var_os(DEMAND).is_none(), "{DEMAND} is set, and there is no PgBouncer");
            say_that_there_is_none();
            return None;
        };
        let mut said = String::new();
        for _ in 0..TRIES {
            let (port, server) = (free_port(), server.port());
            let mut shell = unprivileged(&mut Command::new("/bin/sh"))
                .args(["-c", include_str!("pooler.sh"), "pooler"])
                .arg(&program)
                .args([configuration(port, server, connections), "\"millpond\" \"\"".to_owned()])
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(shell.stdout.take().unwrap()).lines();
            if is_ready(&mut lines, &mut said) {
                // It would wait for somebody to read what it says.
                thread::Builder::new().name("pooler".to_owned()).spawn(move || lines.for_each(drop)).unwrap();
                return Some(Pooler { shell, port, server });
            }
            let _ = shell.wait();
        }
        panic!("PgBouncer does not start: {said}");
    }

    /// Where clients find it, with the server's own address as `direct=`, and a schema that nobody else was given.
    pub fn fresh(&self) -> String {
        format!("{}&direct=127.0.0.1:{}", fresh(self.port), self.server)
    }

    /// Where clients find it who take it for a server.
    pub fn url(&self) -> String {
        url(self.port)
    }
}

impl Drop for Pooler {
    /// Returns when nothing is left.
    fn drop(&mut self) {
        // Waiting closes its standard input first.
        let _ = self.shell.wait();
    }
}

fn configuration(port: u16, server: u16, connections: usize) -> String {
    format!(
        "[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
pool_mode = transaction
default_pool_size = {connections}"
    )
}

fn is_ready(lines: &mut Lines<BufReader<ChildStdout>>, said: &mut String) -> bool {
    lines.map_while(Result::ok).any(|line| {
        said.push_str(&line);
        said.push('\n');
        line.contains(READY)
    })
}

fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([PathBuf::from(SYSTEM)]);
    folders.map(|folder| folder.join("pgbouncer")).find(|program| program.is_file())
}

/// Once a process, past what the test harness keeps to itself.
fn say_that_there_is_none() {
    static SAID: Once = Once::new();
    let words = "skipped: PgBouncer: there is no pooler to be had (Debian: pgbouncer)";
    SAID.call_once(|| drop(writeln!(stderr(), "{words}")));
}
