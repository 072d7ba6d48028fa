//! Names: checked once, here, and cheap to clone ever after.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Bound;

use smol_str::SmolStr;

use crate::error::{Error, Result};
use crate::limits;

/// The name of a lock, a stream, an aggregate: 1 to 512 bytes of UTF-8, compared byte by byte.
///
/// `A` and `a` differ, and so do a composed and a decomposed `é`: nothing is folded or normalised. Quotes,
/// percent signs, slashes and emoji are ordinary characters. Refused are names that a person could not tell
/// apart or that would garble a terminal: empty or blank ones, control characters, and the invisible or
/// direction-changing characters of Unicode.
///
/// To clone one is cheap, and costs the short ones not even a shared counter that threads would take from one another.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(SmolStr);

impl Name {
    /// Checks `text` and makes it a name.
    ///
    /// # Errors
    /// [`Error::InvalidName`], with the reason.
    pub fn new(text: impl AsRef<str>) -> Result<Name> {
        let text = text.as_ref();
        check("name", text, limits::NAME_BYTES)?;
        Ok(Name(SmolStr::new(text)))
    }

    /// What is before all names, and is none.
    pub(crate) fn least() -> Name {
        Name(SmolStr::default())
    }

    /// What is to be compared with names, be it one or not; or has been checked already.
    #[must_use]
    pub fn unchecked(text: &str) -> Name {
        Name(SmolStr::new(text))
    }

    /// The name as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first `-`, or the whole name if it has none: the category of a stream.
    #[must_use]
    pub fn category(&self) -> &str {
        category(&self.0)
    }
}

/// All names behind a text, which may be none; all there are if there is no text.
pub(crate) fn behind(text: Option<&str>) -> (Bound<Name>, Bound<Name>) {
    (text.map_or(Bound::Unbounded, |text| Bound::Excluded(Name::unchecked(text))), Bound::Unbounded)
}

/// The category of a stream of this name; see [`Name::category`].
#[must_use]
pub fn category(stream: &str) -> &str {
    stream.split_once('-').map_or(stream, |(category, _)| category)
}

/// A name as a part of a longer one, whose parts have slashes between them: a slash in it does not end it.
#[must_use]
pub fn part(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}

/// Checks a text that will be stored as a name of some sort; `what` says which sort in the error.
///
/// # Errors
/// [`Error::InvalidName`], with the reason.
pub fn check(what: &'static str, text: &str, limit: usize) -> Result<()> {
    let reason = if text.is_empty() {
        "it is empty".to_owned()
    } else if text.len() > limit {
        format!("it is {} bytes long, the limit is {limit}", text.len())
    } else if text.trim().is_empty() {
        "it is blank".to_owned()
    } else if let Some(bad) = text.chars().find(|c| c.is_control() || invisible(*c)) {
        format!("it contains the character U+{:04X}, which cannot be seen", u32::from(bad))
    } else {
        return Ok(());
    };
    let shown = text.chars().take(40).collect::<String>().escape_debug().to_string();
    Err(Error::InvalidName { what, name: shown, reason })
}

/// Zero-width characters, direction marks and overrides, and the byte order mark.
fn invisible(c: char) -> bool {
    matches!(u32::from(c), 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x2069 | 0xFEFF)
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_but_odd_names_are_kept_byte_for_byte() {
        for odd in
            ["x'); DROP TABLE q;--", "%", "_", "*", "../../etc/passwd", "C:\\con", "sqlite_x", "😀", " a "]
        {
            assert_eq!(Name::new(odd).map(|name| name.to_string()), Ok(odd.to_owned()));
        }
    }

    #[test]
    fn names_that_cannot_be_told_apart_are_refused() {
        let long = "x".repeat(limits::NAME_BYTES + 1);
        for bad in ["", "  ", "a\0b", "\n", "a\u{202E}b", "a\u{200B}", "\u{FEFF}a", &long] {
            assert!(matches!(Name::new(bad), Err(Error::InvalidName { .. })), "{bad:?}");
        }
    }

    #[test]
    fn a_category_ends_at_the_first_dash() {
        let category = |text: &str| Name::new(text).map(|name| name.category().to_owned());
        assert_eq!(category("permit-10-11"), Ok("permit".into()));
        assert_eq!(category("permit"), Ok("permit".into()));
        assert_eq!(category("-x"), Ok(String::new()));
    }
}
