//! Where the machine has the programs of a PostgreSQL server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Where Debian has a folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// What has to lie in the same folder.
const PROGRAMS: [&str; 3] = ["initdb", "pg_ctl", "postgres"];

/// The folder that has them all, if there is one.
pub(crate) fn folder() -> Option<PathBuf> {
    let mut folders = on_path().into_iter().chain(of_debian()).chain(as_configured());
    folders.find(|folder| PROGRAMS.iter().all(|program| folder.join(program).is_file()))
}

/// Where the path leads; a link there leads further.
fn on_path() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let servers = env::split_paths(&path).filter_map(|folder| fs::canonicalize(folder.join("postgres")).ok());
    servers.filter_map(|server| server.parent().map(Path::to_owned)).collect()
}

/// The newest version first.
fn of_debian() -> Vec<PathBuf> {
    let versions = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut versions: Vec<(Vec<u32>, PathBuf)> = versions
        .map(|version| (numbers(&version.file_name().to_string_lossy()), version.path().join("bin")))
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, folder)| folder).collect()
}

/// A version is compared as the numbers it is made of: 15 is newer than 9.6.
fn numbers(version: &str) -> Vec<u32> {
    version.split('.').filter_map(|number| number.parse().ok()).collect()
}

/// What the machine says when it is asked.
fn as_configured() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim_end()))
}
