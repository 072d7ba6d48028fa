//! However a server's owner ends, nothing of it is left.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, io};

use millpond_postgres_server::{Server, Settings, shared};

/// In the environment of a child: that it is one.
const CHILD: &str = "MILLPOND_POSTGRES_CHILD";

#[test]
fn a_server_that_is_dropped_leaves_nothing_behind() {
    let Some(server) = Server::start(Settings::default()) else { return };
    let (folder, port) = (server.folder().to_owned(), server.port());
    assert!(folder.is_dir());
    drop(server);
    assert_gone(&folder, port);
}

#[test]
fn a_process_that_ends_leaves_nothing_behind() {
    let Some(mut owner) = Owner::start() else { return };
    drop(owner.process.stdin.take());
    owner.assert_nothing_is_left();
}

#[test]
fn a_process_that_is_killed_leaves_nothing_behind() {
    let Some(mut owner) = Owner::start() else { return };
    owner.process.kill().unwrap();
    owner.assert_nothing_is_left();
}

/// The child process: has a server until its standard input ends.
#[test]
fn as_a_child() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    let server = shared().unwrap();
    // Has our standard input as well, so it outlives us if we are killed, and must not keep the server.
    let mut cat = Command::new("cat").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    println!("@{} {}", server.port(), server.folder().display());
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
    cat.wait().unwrap();
}

/// A process of its own that has a server.
struct Owner {
    process: Child,
    port: u16,
    folder: PathBuf,
}

impl Owner {
    fn start() -> Option<Owner> {
        // Whether there is any.
        shared()?;
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "endings::as_a_child", "--nocapture", "--test-threads=1"])
            .env(CHILD, "yes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
        // The test harness writes lines of its own, and the start of one.
        let words = lines.find_map(|line| Some(line.split_once('@')?.1.to_owned())).unwrap();
        let (port, folder) = words.split_once(' ').unwrap();
        let (port, folder) = (port.parse().unwrap(), PathBuf::from(folder));
        assert!(folder.is_dir() && TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(Owner { process, port, folder })
    }

    /// Once it has ended.
    fn assert_nothing_is_left(&mut self) {
        // Who keeps the server has this pipe as well: where it ends, everything has been done.
        let mut said = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_gone(&self.folder, self.port);
        self.process.wait().unwrap();
        assert_eq!(said, "");
    }
}

fn assert_gone(folder: &Path, port: u16) {
    assert!(!folder.exists(), "{}", folder.display());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "somebody listens at {port}");
}
