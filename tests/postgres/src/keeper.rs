//! The shell that keeps a server: it is told what to do, and when nobody is left to tell it, it takes everything away.
//!
//! The orders come through a pipe whose only writer is this process: children do not inherit it. So it ends with this process
//! and no later, also if that is killed.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::{env, fs};

use nix::unistd::{Uid, User};

/// Has a shell run in a world of its own, as somebody who is not root, and be talked to.
pub(crate) fn unprivileged(shell: &mut Command) -> &mut Command {
    // Nothing that is set for the clients of other servers is meant for this one.
    shell.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default());
    // If it is not told where on earth it is, it takes a second to find out.
    shell.env("TMPDIR", env::temp_dir()).env("LC_ALL", "C").env("TZ", "UTC");
    // What ends this process, from the keyboard or with its group, must not end the shell as well.
    shell.current_dir("/").process_group(0);
    // Its standard error is ours: who reads that to its end has waited for everything to be taken away.
    shell.stdin(Stdio::piped()).stdout(Stdio::piped());
    if Uid::effective().is_root() {
        let mut users = USERS.iter().filter_map(|name| User::from_name(name).ok().flatten());
        let user = users.next().expect("somebody who is not root");
        shell.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    shell
}

/// What the shell does.
const SCRIPT: &str = include_str!("keeper.sh");

/// Who a server runs as if this process runs as root, which PostgreSQL refuses to do: the first of them that there is.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// The shell, and with it the folder of a server, until it is dropped.
pub(crate) struct Keeper {
    shell: Child,
    answers: BufReader<ChildStdout>,
    folder: PathBuf,
}

impl Keeper {
    /// Makes the folder of a server that can be started.
    pub(crate) fn new(programs: &Path, configuration: &str) -> Keeper {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SCRIPT, "keeper"]).arg(programs).arg(configuration);
        let mut shell = unprivileged(&mut shell).spawn().unwrap();
        let answers = BufReader::new(shell.stdout.take().unwrap());
        let mut keeper = Keeper { shell, answers, folder: PathBuf::new() };
        let answer = keeper.hear();
        let (status, folder) = answer.split_once(' ').unwrap();
        keeper.folder = folder.into();
        assert!(status == "0", "no folder could be made for PostgreSQL: {}", keeper.log());
        keeper
    }

    /// Has it do something, and returns when that is done, or has failed.
    pub(crate) fn tell(&mut self, order: &str) -> bool {
        writeln!(self.shell.stdin.as_mut().unwrap(), "{order}").unwrap();
        self.hear() == "0"
    }

    /// The next line that it says.
    fn hear(&mut self) -> String {
        let mut line = String::new();
        assert!(self.answers.read_line(&mut line).unwrap() > 0, "who keeps PostgreSQL has ended");
        line.trim_end().to_owned()
    }

    /// What was said by the server and while it was started and stopped.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Where the server has its files.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Keeper {
    /// Returns when nothing is left.
    fn drop(&mut self) {
        // Waiting closes its standard input first.
        let _ = self.shell.wait();
    }
}
