//! A NATS server of one's own, in a folder of its own, that can be killed and come back.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Once;
use std::time::Duration;

use async_nats::jetstream::stream::{Config, Stream};
use async_nats::jetstream::{self, Context};

/// Where it says so, these tests must run: it is an error if there is no server.
const DEMAND: &str = "MILLPOND_DEMAND_NATS";

pub(crate) struct Server {
    program: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    /// What it says is not read any more, but it could not go on if nobody could.
    running: (Child, BufReader<ChildStderr>),
}

impl Server {
    /// `None` if there is none to be had, which is said.
    pub(crate) fn start() -> Option<Server> {
        let Some(program) = program() else {
            assert!(std::env::var_os(DEMAND).is_none(), "{DEMAND} is set, and there is no nats-server");
            static SAID: Once = Once::new();
            // Past what the test harness keeps to itself.
            SAID.call_once(|| drop(writeln!(std::io::stderr(), "skipped: relays: there is no nats-server")));
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let (running, port) = run(&program, folder.path(), None);
        Some(Server { program, folder, port, running })
    }

    /// It has no time to say goodbye.
    pub(crate) fn kill(&mut self) {
        self.running.0.kill().unwrap();
        self.running.0.wait().unwrap();
    }

    /// With the same files, at the same port.
    pub(crate) fn come_back(&mut self) {
        self.running = run(&self.program, self.folder.path(), Some(self.port)).0;
    }

    pub(crate) async fn connect(&self) -> Context {
        let options = async_nats::ConnectOptions::new()
            .retry_on_initial_connect()
            .reconnect_delay_callback(|_| Duration::from_millis(20));
        let client = options.connect(format!("127.0.0.1:{}", self.port)).await.unwrap();
        client.flush().await.unwrap();
        jetstream::context::ContextBuilder::new().timeout(Duration::from_secs(2)).build(client)
    }

    /// A stream of JetStream for everything below this prefix.
    pub(crate) async fn stream(&self, context: &Context, prefix: &str) -> Stream {
        let config = Config {
            name: prefix.replace('.', "_"),
            subjects: vec![format!("{prefix}.>")],
            duplicate_window: Duration::from_secs(3_600),
            ..Config::default()
        };
        context.create_stream(config).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.running.0.kill();
        let _ = self.running.0.wait();
    }
}

/// Debian has it where the path of users does not lead.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("nats-server")).find(|program| program.is_file())
}

/// Runs it until it is ready; at a port that is free, if none is given.
fn run(program: &Path, folder: &Path, port: Option<u16>) -> ((Child, BufReader<ChildStderr>), u16) {
    let port = port.map_or("-1".to_owned(), |port| port.to_string());
    let mut child = Command::new(program)
        .args(["--jetstream", "--addr", "127.0.0.1", "--port", &port, "--store_dir"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let (mut line, mut all, mut port) = (String::new(), String::new(), None);
    while !line.contains("Server is ready") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it has ended: {all}");
        if let Some((_, address)) = line.split_once("Listening for client connections on ") {
            port = address.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        }
        all.push_str(&line);
    }
    ((child, said), port.expect("it says where it listens"))
}
