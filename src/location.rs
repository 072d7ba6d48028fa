//! Where a store is, and what its writes survive: parsing only, nothing is opened.

use std::path::{Path, PathBuf};

use millpond_actors::error::{Error, Result};

/// Where a store is kept.
///
/// Made from a path, or from text that is a path. An address such as `postgres://...` is understood and refused
/// by this version. Memory is never meant by a text; it has its own constructor,
/// [`Store::memory`](crate::Store::memory).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// In memory, for this process and as long as it runs.
    Memory,
    /// In an SQLite file.
    File(PathBuf),
}

/// What an `Ok` survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process and the loss of power, if the disk keeps what it was told to (`synchronous=FULL`).
    #[default]
    PowerLoss,
    /// The end of the process only: a loss of power may cost the last writes, never one in the middle
    /// (`synchronous=NORMAL`).
    ProcessCrash,
}

impl Location {
    fn parse(text: &str) -> Result<Location> {
        let path = || text.chars().take(200).collect::<String>();
        let refuse = |reason: &str| Err(Error::InvalidPath { path: path(), reason: reason.to_owned() });
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.contains('\0') {
            return refuse("it contains a NUL character");
        }
        if text == ":memory:" {
            return refuse("a store in memory is opened by Store::memory()");
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            let reason = "this version keeps stores in SQLite files only".to_owned();
            return Err(Error::Unsupported { what: "a store on PostgreSQL".into(), reason });
        }
        Ok(Location::File(PathBuf::from(text)))
    }
}

impl TryFrom<&str> for Location {
    type Error = Error;

    fn try_from(text: &str) -> Result<Location> {
        Location::parse(text)
    }
}

impl TryFrom<String> for Location {
    type Error = Error;

    fn try_from(text: String) -> Result<Location> {
        Location::parse(&text)
    }
}

impl TryFrom<&String> for Location {
    type Error = Error;

    fn try_from(text: &String) -> Result<Location> {
        Location::parse(text)
    }
}

impl TryFrom<&Path> for Location {
    type Error = Error;

    /// A path that is not UTF-8 is fine; only texts are looked at for addresses.
    fn try_from(path: &Path) -> Result<Location> {
        path.to_str().map_or_else(|| Ok(Location::File(path.to_owned())), Location::parse)
    }
}

impl TryFrom<PathBuf> for Location {
    type Error = Error;

    fn try_from(path: PathBuf) -> Result<Location> {
        Location::try_from(path.as_path())
    }
}

impl TryFrom<&PathBuf> for Location {
    type Error = Error;

    fn try_from(path: &PathBuf) -> Result<Location> {
        Location::try_from(path.as_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_never_meant_by_a_text() {
        for bad in ["", ":memory:", "a\0b"] {
            assert!(matches!(Location::try_from(bad), Err(Error::InvalidPath { .. })), "{bad:?}");
        }
        assert!(matches!(Location::try_from("postgres://h/d"), Err(Error::Unsupported { .. })));
        // `file:` is an address to SQLite and a path to us; it is made absolute before SQLite sees it.
        for path in ["shop.db", "file:x?mode=memory", "../x y.db"] {
            assert_eq!(Location::try_from(path), Ok(Location::File(path.into())));
        }
    }
}
