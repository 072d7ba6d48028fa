//! A wall clock of its own for a child: libfaketime, preloaded, and a file that says how far off the clock is.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;

/// Where distributions put it.
const FOLDERS: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu/faketime",
    "/usr/lib/aarch64-linux-gnu/faketime",
    "/usr/lib64/faketime",
    "/usr/lib/faketime",
    "/usr/local/lib/faketime",
    "/opt/homebrew/lib/faketime",
];

/// How the clock may be off, as libfaketime reads it.
pub const OFFSETS: [&str; 6] = ["+0", "+3600", "-3600", "+1y", "-1y", "+61"];

/// The library, if it is installed.
#[must_use]
pub fn library() -> Option<PathBuf> {
    let file = |folder: &&str| Path::new(folder).join("libfaketimeMT.so.1");
    FOLDERS.iter().map(file).find(|path| path.is_file())
}

/// A child's clock.
#[derive(Clone, Debug)]
pub struct Fake {
    file: PathBuf,
}

impl Fake {
    /// A clock that is off by `offset`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn new(file: PathBuf, offset: &str) -> Result<Fake> {
        let fake = Fake { file };
        fake.jump(offset)?;
        Ok(fake)
    }

    /// From now on it is off by `offset`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn jump(&self, offset: &str) -> Result<()> {
        // It is read at any time: it must never be there in part.
        let whole = self.file.with_extension("new");
        fs::write(&whole, format!("{offset}\n"))?;
        Ok(fs::rename(whole, &self.file)?)
    }

    /// What the child's environment must contain. With `all`, every clock jumps, not only the one on the wall.
    ///
    /// # Errors
    /// If a path is not a text.
    pub fn environment(&self, library: &Path, all: bool) -> Result<Vec<(String, String)>> {
        let text = |path: &Path| path.to_str().map(str::to_owned).ok_or("a path is not a text");
        Ok(vec![
            ("LD_PRELOAD".into(), text(library)?),
            ("FAKETIME_TIMESTAMP_FILE".into(), text(&self.file)?),
            ("FAKETIME_NO_CACHE".into(), "1".into()),
            // A wall clock can be set, the others cannot.
            ("FAKETIME_DONT_FAKE_MONOTONIC".into(), if all { "0" } else { "1" }.into()),
        ])
    }
}
