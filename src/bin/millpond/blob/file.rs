//! A file that is there only when all of it is.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::unwritten;
use crate::failure::Done;

/// A file that is being written under another name, beside its own. Dropped unfinished, it is removed.
pub(super) struct Unfinished<'a> {
    path: &'a Path,
    other: PathBuf,
    file: File,
}

impl Unfinished<'_> {
    /// Nothing is at its own name yet that was not there before.
    pub(super) fn create(path: &Path) -> Done<Unfinished<'_>> {
        let mut other = path.as_os_str().to_owned();
        other.push(format!(".{}.part", std::process::id()));
        let other = PathBuf::from(other);
        let file = File::create_new(&other).map_err(|error| unwritten(&other, &error))?;
        Ok(Unfinished { path, other, file })
    }

    /// Writes what comes next.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Done<()> {
        self.file.write_all(bytes).map_err(|error| unwritten(&self.other, &error))
    }

    /// It is whole, and gets its name, in place of what has that.
    pub(super) fn finish(self) -> Done<()> {
        let done = self.file.sync_all().and_then(|()| fs::rename(&self.other, self.path));
        done.map_err(|error| unwritten(self.path, &error))
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // If it was finished there is none any more.
        let _ = fs::remove_file(&self.other);
    }
}
