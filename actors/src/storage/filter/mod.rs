//! Filters: what a value has to be like, as data.
//!
//! - `path` where in a value one looks;
//! - `scalar` what may stand there, and the one encoding that knows what is equal and what comes before what;
//! - `matcher` whether a value is as a filter wants it;
//! - `plan` which index leads to the values that may be.
//!
//! A comparison is true or false, and nothing else: it is false of what is not there, of an array, of an object, and of a value
//! of another type. `not` turns it round, so "not equal" is true of all of these.

mod matcher;
mod path;
pub mod plan;
mod scalar;

#[cfg(test)]
mod tests;

use std::fmt;

pub use self::matcher::Matcher;
pub use self::path::{Path, Segment};
pub use self::scalar::{Key, Number, Scalar};
use super::Data;
use crate::error::{Error, Result};
use crate::limits;

/// What a value has to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All of these.
    All(Vec<Filter>),
    /// One of these at least.
    Any(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// What stands at a path is so.
    Is(Path, Test),
}

/// What has to be so of one place in a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// There is something, `null` and arrays and objects included.
    Exists,
    /// It is this.
    Equal(Scalar),
    /// It is of the type of this and comes before it: numbers by size, texts by their bytes, `false` before `true`.
    Less(Scalar),
    /// The same, or it is this.
    AtMost(Scalar),
    /// It is of the type of this and comes behind it.
    More(Scalar),
    /// The same, or it is this.
    AtLeast(Scalar),
    /// It is one of these.
    OneOf(Vec<Scalar>),
    /// It is a text that begins so.
    BeginsWith(Box<str>),
}

impl Test {
    /// What it compares with.
    fn literals(&self) -> &[Scalar] {
        match self {
            Test::Exists | Test::BeginsWith(_) => &[],
            Test::OneOf(all) => all,
            Test::Equal(one) | Test::Less(one) | Test::AtMost(one) | Test::More(one) | Test::AtLeast(one) => {
                std::slice::from_ref(one)
            }
        }
    }

    fn bytes(&self) -> usize {
        let prefix = if let Test::BeginsWith(prefix) = self { prefix.len() } else { 0 };
        self.literals().iter().map(Scalar::len).sum::<usize>() + prefix
    }
}

/// What a filter amounts to, for its limits.
#[derive(Default)]
struct Size {
    tests: usize,
    values: usize,
    bytes: usize,
}

impl Filter {
    /// Whether it is within the limits of what is looked at for each value.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn check(&self) -> Result<()> {
        let mut size = Size::default();
        self.measure(0, &mut size)?;
        limits::check_size("the comparisons of a filter", size.tests, limits::FILTER_TESTS)?;
        limits::check_size("the values that a filter compares with", size.values, limits::FILTER_VALUES)?;
        limits::check_size("what a filter compares with, in bytes,", size.bytes, limits::FILTER_BYTES)
    }

    fn measure(&self, depth: usize, size: &mut Size) -> Result<()> {
        limits::check_size("the depth of a filter", depth, limits::FILTER_DEPTH)?;
        match self {
            Filter::All(parts) | Filter::Any(parts) => {
                size.tests += 1;
                parts.iter().try_for_each(|part| part.measure(depth + 1, size))
            }
            Filter::Not(part) => part.measure(depth + 1, size),
            Filter::Is(_, test) => {
                size.tests += 1;
                size.values += test.literals().len();
                size.bytes += test.bytes();
                Ok(())
            }
        }
    }

    /// What all has to be so, if it says that of several things: its parts, however it is nested.
    #[must_use]
    pub fn parts(&self) -> Vec<&Filter> {
        match self {
            Filter::All(parts) => parts.iter().flat_map(Filter::parts).collect(),
            other => vec![other],
        }
    }
}

impl fmt::Display for Test {
    /// As it is written behind the path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Test::Exists => f.write_str("exists"),
            Test::Equal(value) => write!(f, "= {value}"),
            Test::Less(value) => write!(f, "< {value}"),
            Test::AtMost(value) => write!(f, "<= {value}"),
            Test::More(value) => write!(f, "> {value}"),
            Test::AtLeast(value) => write!(f, ">= {value}"),
            Test::OneOf(values) => {
                f.write_str("in (")?;
                for (at, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if at > 0 { ", " } else { "" })?;
                }
                f.write_str(")")
            }
            Test::BeginsWith(prefix) => write!(f, "begins with {}", scalar::Quoted(prefix)),
        }
    }
}

impl fmt::Display for Filter {
    /// As a person writes it: `age >= 30 and city = "Delft"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |f: &mut fmt::Formatter<'_>, parts: &[Filter], word: &str, none: &str| {
            if parts.is_empty() {
                return f.write_str(none);
            }
            for (at, part) in parts.iter().enumerate() {
                let plain = matches!(part, Filter::Is(..) | Filter::Not(_)) || parts.len() == 1;
                let (open, close) = if plain { ("", "") } else { ("(", ")") };
                write!(f, "{}{open}{part}{close}", if at > 0 { word } else { "" })?;
            }
            Ok(())
        };
        match self {
            // There is always the value itself, and so is what follows true and false.
            Filter::All(parts) => join(f, parts, " and ", ". exists"),
            Filter::Any(parts) => join(f, parts, " or ", "not . exists"),
            Filter::Not(part) => match &**part {
                Filter::Is(path, Test::Equal(value)) => write!(f, "{path} != {value}"),
                Filter::Is(..) => write!(f, "not {part}"),
                _ => write!(f, "not ({part})"),
            },
            Filter::Is(path, test) => write!(f, "{path} {test}"),
        }
    }
}

/// What stands at a path of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Missing,
    /// Something that is compared with nothing: an array, an object, a number beyond all bounds.
    Other,
    /// A scalar.
    Scalar(Scalar),
}

/// What finds out what stands at a path of a payload. The waist knows no format, so whoever opens a database brings it along;
/// every database of a store has the same one.
#[derive(Clone, Copy)]
pub struct Fields(fn(&Data, &Path) -> Found);

impl Fields {
    /// By this function, which has to say the same of the same bytes always.
    #[must_use]
    pub fn new(find: fn(&Data, &Path) -> Found) -> Fields {
        Fields(find)
    }

    /// What stands there.
    #[must_use]
    pub fn find(self, data: &Data, path: &Path) -> Found {
        (self.0)(data, path)
    }

    /// What an index has of a payload at a path; `None` if nothing.
    #[must_use]
    pub fn key(self, data: &Data, path: &Path) -> Option<Key> {
        match self.find(data, path) {
            Found::Scalar(scalar) => Some(scalar.key().cut()),
            Found::Missing | Found::Other => None,
        }
    }
}

impl Default for Fields {
    /// Of somebody who reads no format: there is nothing anywhere.
    fn default() -> Fields {
        Fields(|_, _| Found::Missing)
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fields")
    }
}

/// What is wrong with a filter or a path, as an error.
pub fn refused(what: impl Into<String>, reason: impl Into<String>) -> Error {
    Error::InvalidArgument { what: what.into(), reason: reason.into() }
}
