//! A child process of these tests, and how one speaks with it: a line in is a command, a line out that begins with `@` is
//! its answer.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// In the environment of a child: the file of the store.
pub(crate) const FILE: &str = "MILLPOND_TEST_FILE";

/// A new file for several processes, and the folder that it is in.
pub(crate) fn file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shared.db");
    (folder, file)
}

/// A child process.
pub(crate) struct Peer {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peer {
    pub(crate) fn start(file: &Path) -> Peer {
        Peer::spawn(Command::new(std::env::current_exe().unwrap()), file)
    }

    /// In namespaces of its own, by these options of unshare(1).
    pub(crate) fn start_within(namespaces: &[&str], file: &Path) -> Peer {
        let mut unshare = Command::new("unshare");
        unshare.args(namespaces).arg(std::env::current_exe().unwrap());
        Peer::spawn(unshare, file)
    }

    fn spawn(mut program: Command, file: &Path) -> Peer {
        let mut child = program
            .args(["--exact", "processes::as_a_child", "--nocapture", "--test-threads=1"])
            .env(FILE, file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let to = child.stdin.take().unwrap();
        let from = BufReader::new(child.stdout.take().unwrap());
        let mut peer = Peer { child, to, from };
        assert_eq!(peer.hear(), "open");
        peer
    }

    /// Tells it something without waiting for the answer.
    pub(crate) fn tell(&mut self, command: &str) {
        writeln!(self.to, "{command}").unwrap();
    }

    /// Its next answer.
    pub(crate) fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.from.read_line(&mut line).unwrap() > 0, "the child ended");
            // The test harness of the child writes lines of its own, and the start of one.
            if let Some((_, answer)) = line.trim_end().split_once('@') {
                return answer.to_owned();
            }
        }
    }

    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.tell(command);
        self.hear()
    }

    pub(crate) fn number(&mut self, command: &str) -> u64 {
        let answer = self.ask(command);
        answer.parse().unwrap_or_else(|_| panic!("{command}: {answer}"))
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// It comes to its end by itself.
    pub(crate) fn ended(mut self) {
        assert!(self.child.wait().unwrap().success());
    }

    pub(crate) fn killed(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a process has the writers' turn.
pub(crate) fn turn_is_taken(file: &Path) -> bool {
    let (sidecar, mut turn) = sidecar_and_turn(file, 0);
    fcntl(&sidecar, FcntlArg::F_OFD_GETLK(&mut turn)).unwrap();
    turn.l_type != nix::libc::F_UNLCK as nix::libc::c_short
}

/// Keeps the writers' turn until this process ends, as if it had been stopped in the middle of a commit of the process
/// of this slot.
pub(crate) fn keep_turn(file: &Path, slot: i64) {
    let (sidecar, turn) = sidecar_and_turn(file, slot);
    fcntl(&sidecar, FcntlArg::F_OFD_SETLKW(&turn)).unwrap();
    std::mem::forget(sidecar);
}

/// The bytes are those of `src/storage/sqlite/sync.rs`.
fn sidecar_and_turn(file: &Path, slot: i64) -> (std::fs::File, nix::libc::flock) {
    let mut sidecar = file.as_os_str().to_owned();
    sidecar.push("-sync");
    let sidecar = std::fs::OpenOptions::new().read(true).write(true).open(sidecar).unwrap();
    let turn = nix::libc::flock {
        l_type: nix::libc::F_WRLCK as nix::libc::c_short,
        l_whence: nix::libc::SEEK_SET as nix::libc::c_short,
        l_start: 16_384,
        l_len: slot + 1,
        l_pid: 0,
    };
    (sidecar, turn)
}
