//! Where a store is, and what its writes survive: parsing only, nothing is opened.

use std::fmt;
use std::path::{Path, PathBuf};

use millpond_actors::error::{Error, Result};

/// Where a store is kept.
///
/// Made from a path, from text that is a path, or from a URL of a PostgreSQL database, `postgres://user@host/database`, for
/// programs that are built with the feature `postgres`. Memory is never meant by a text; it has its own constructor,
/// [`Store::memory`](crate::Store::memory).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// In memory, for this process and as long as it runs.
    Memory,
    /// In an SQLite file.
    File(PathBuf),
    /// In a PostgreSQL database.
    Postgres(Url),
}

/// Where a PostgreSQL database is. It may have a password in it, which is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(String);

impl Url {
    /// As it was given, with all that is in it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Url(url) = self;
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
        let at = before.rfind('@').map_or(0, |at| at + 1);
        write!(f, "{scheme}://{}", before.get(at..).unwrap_or_default())?;
        let schema = query.split('&').find(|part| part.starts_with("schema="));
        schema.map_or(Ok(()), |schema| write!(f, "?{schema}"))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
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
            return Ok(Location::Postgres(Url(text.to_owned())));
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
    fn a_password_is_not_shown() {
        let url = "postgres://me:secret@one,two:5433/shop?sslmode=require&schema=a&password=secret";
        let Ok(location) = Location::try_from(url) else { panic!("it is one") };
        assert_eq!(format!("{location:?}"), "Postgres(postgres://one,two:5433/shop?schema=a)");
        assert!(matches!(location, Location::Postgres(found) if found.reveal() == url));
    }

    #[test]
    fn memory_is_never_meant_by_a_text() {
        for bad in ["", ":memory:", "a\0b"] {
            assert!(matches!(Location::try_from(bad), Err(Error::InvalidPath { .. })), "{bad:?}");
        }
        assert!(matches!(Location::try_from("postgres://h/d"), Ok(Location::Postgres(_))));
        // `file:` is an address to SQLite and a path to us; it is made absolute before SQLite sees it.
        for path in ["shop.db", "file:x?mode=memory", "../x y.db"] {
            assert_eq!(Location::try_from(path), Ok(Location::File(path.into())));
        }
    }
}
