//! Where in a value one looks: `customer.address.city`, `items[0].sku`, `"a.b".c`; the value itself is `.`.

use std::fmt;

use super::refused;
use crate::error::Result;
use crate::limits;

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment {
    /// What an object has under this key. An array has no keys.
    Key(Box<str>),
    /// The element of an array, counted from 0. An object has none.
    Index(u32),
}

/// Where in a value one looks. No step leads into all elements of an array: each is one key or one element.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(Box<[Segment]>);

impl Path {
    /// Of these steps; of none it is the value itself.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::error::Error::InvalidArgument) if there are too many of them or it is too long.
    pub fn new(segments: Vec<Segment>) -> Result<Path> {
        let path = Path(segments.into());
        let (steps, bytes) = (path.0.len(), path.to_string().len());
        limits::check_size("a path into a value, in steps,", steps, limits::PATH_SEGMENTS)?;
        limits::check_size("a path into a value, in bytes,", bytes, limits::NAME_BYTES)?;
        Ok(path)
    }

    /// As it is written.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::error::Error::InvalidArgument), which says at which character.
    pub fn parse(text: &str) -> Result<Path> {
        match Path::begin(text)? {
            (path, "") => Ok(path),
            (_, rest) => Err(wrong(text, rest, "a dot or `[` was expected")),
        }
    }

    /// The path that a text begins with, and what is behind it.
    ///
    /// # Errors
    /// As [`parse`](Path::parse).
    pub fn begin(text: &str) -> Result<(Path, &str)> {
        if let Some(rest) = text.strip_prefix('.') {
            return match rest.chars().next() {
                Some(next) if is_bare(next) || next == '"' => {
                    Err(wrong(text, text, "a path begins with a key; `.` alone is the value itself"))
                }
                _ => Ok((Path(Box::default()), rest)),
            };
        }
        let (mut segments, mut rest) = (Vec::new(), text);
        loop {
            let (segment, behind) = match rest.strip_prefix('[') {
                Some(inside) => index(text, inside)?,
                None => key(text, rest)?,
            };
            segments.push(segment);
            rest = match behind.strip_prefix('.') {
                Some(more) => more,
                None if behind.starts_with('[') => behind,
                None => return Ok((Path::new(segments)?, behind)),
            };
            if behind.len() > rest.len() && rest.starts_with('[') {
                return Err(wrong(text, rest, "a key was expected behind the dot"));
            }
        }
    }

    /// The steps.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }
}

/// What need not be put in quotes.
fn is_bare(character: char) -> bool {
    character.is_alphanumeric() || "_-$@:/+#%*&~".contains(character)
}

/// `0]` as a step, and what is behind it.
fn index<'a>(whole: &str, inside: &'a str) -> Result<(Segment, &'a str)> {
    let split = inside.split_once(']').filter(|(number, _)| {
        let plain = number.bytes().all(|byte| byte.is_ascii_digit());
        plain && (number.len() == 1 || !number.starts_with('0'))
    });
    let number = split.and_then(|(number, rest)| Some((Segment::Index(number.parse().ok()?), rest)));
    number.ok_or_else(|| wrong(whole, inside, "the number of an element and `]` were expected"))
}

/// A key as a step, and what is behind it.
fn key<'a>(whole: &str, rest: &'a str) -> Result<(Segment, &'a str)> {
    if let Some(inside) = rest.strip_prefix('"') {
        return match unquote(inside) {
            Some((key, behind)) => Ok((Segment::Key(key.into()), behind)),
            None => Err(wrong(whole, rest, "the quotes are not closed")),
        };
    }
    let end = rest.find(|character| !is_bare(character)).unwrap_or(rest.len());
    let (key, behind) = rest.split_at(end);
    if key.is_empty() {
        let reason = "a key was expected; one that holds anything but letters, digits, `_` or `-` stands in double quotes";
        return Err(wrong(whole, rest, reason));
    }
    Ok((Segment::Key(key.into()), behind))
}

/// What stands before the closing quote, and what is behind that. A backslash makes a quote or a backslash of what follows.
fn unquote(inside: &str) -> Option<(String, &str)> {
    let (mut text, mut characters) = (String::new(), inside.chars());
    loop {
        match characters.next()? {
            '"' => return Some((text, characters.as_str())),
            '\\' => text.push(characters.next().filter(|next| "\"\\".contains(*next))?),
            other => text.push(other),
        }
    }
}

fn wrong(whole: &str, rest: &str, reason: &str) -> crate::error::Error {
    let at = whole.get(..whole.len() - rest.len()).map_or(0, |before| before.chars().count()) + 1;
    let shown: String = whole.chars().take(limits::NAME_BYTES).collect();
    refused(format!("the path \"{}\"", shown.escape_debug()), format!("at character {at}, {reason}"))
}

impl fmt::Display for Path {
    /// The one way in which it is written down: two paths that lead to the same place are the same text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(".");
        }
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) => {
                    f.write_str(if at > 0 { "." } else { "" })?;
                    // As the first word of a filter, `not` is none of its paths.
                    if !key.is_empty() && key.chars().all(is_bare) && (at > 0 || **key != *"not") {
                        f.write_str(key)?;
                    } else {
                        write!(f, "\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""))?;
                    }
                }
            }
        }
        Ok(())
    }
}
