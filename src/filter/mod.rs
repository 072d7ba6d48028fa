//! Filters: what a value has to be like, said in Rust, as JSON, or as a person writes it.
//!
//! - `mod` as it is said in Rust;
//! - `json` as it goes over a wire;
//! - `text` as a person writes it;
//! - `fields` what stands where in a value.

mod fields;
mod json;
mod text;

use std::fmt;
use std::ops::Not;
use std::str::FromStr;
use std::sync::Arc;

use millpond_actors::error::{Error, Result};
use millpond_actors::storage::filter::{Filter, Number, Path, Scalar, Test, refused};

pub(crate) use self::fields::fields;

/// What a value has to be like, as JSON: for the [entries](crate::Entries::matching) of a dict, the records of a
/// [log](crate::History::matching), the content of [events](crate::EventStream::matching). It is made by [`field`], or read: from
/// [JSON](Where::from_json), or from what a person writes, by [`FromStr`].
///
/// **A path** leads to one place in a value: `customer.address.city`, `items[0].sku`; a key that holds anything but letters, digits
/// and a few signs stands in double quotes: `"a.b".c`; the value itself is `.`. It is data: nothing in it is ever a part of a
/// statement. A number in brackets is an element of an array, and nothing else is; no path leads into all of them.
///
/// **What is compared** are `null`, truth values, numbers and texts.
/// - Two of different types are never equal, and neither comes before the other.
/// - Numbers are what their text says, exactly: `1`, `1.0` and `1e0` are equal, 9007199254740992 and 9007199254740993 are not.
/// - Texts are compared byte by byte; `false` comes before `true`.
/// - What is missing is not `null`; it is equal to nothing. So is an array, and an object; they [exist](Field::exists), no more.
///
/// A comparison is true or false: of what is missing it is false. "Not" turns that round, so `!=` is true of what is missing, and of
/// every value of another type.
///
/// **What is found** is the same with an [index](crate::Dict::index) as without one.
///
/// # Examples
/// ```
/// use millpond::{Where, field};
/// let said = field("age").at_least(30).and(!field("city").one_of(["Delft", "Leiden"]));
/// let written: Where = r#"age >= 30 and not city in ("Delft", "Leiden")"#.parse()?;
/// let sent = r#"{"and": [{"field": "age", "at_least": 30.0},
///                        {"not": {"field": "city", "one_of": ["Delft", "Leiden"]}}]}"#;
/// assert_eq!(said, written);
/// assert_eq!(said, Where::from_json(sent)?);
/// assert_eq!(Where::from_json(&said.to_json()?)?, said);
/// assert_eq!(said.to_string(), r#"age >= 30 and not city in ("Delft", "Leiden")"#);
/// # Ok::<(), millpond::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use = "it is given to what reads"]
pub struct Where(Result<Filter>);

/// A place in a value, of which something is said; see [`Where`] for how it is written. One that is no path is the error of
/// whatever the filter is given to.
///
/// # Examples
/// ```
/// # futures_executor::block_on(async {
/// use millpond::field;
/// let people = millpond::Store::memory().await?.dict::<millpond::Json>("people");
/// for (key, city, age) in [("ada", "Delft", 36), ("bob", "Leiden", 50), ("eve", "Delft", 17)] {
///     people.set(key, &[("city", millpond::Json::from(city)), ("age", age.into())].into_iter().collect()).await?;
/// }
/// let grown = field("age").at_least(18).and(field("city").equal("Delft"));
/// assert_eq!(people.count_where("", grown).await?, 1);
/// # Ok::<(), millpond::Error>(())
/// # }).unwrap();
/// ```
pub fn field(path: impl AsRef<str>) -> Field {
    Field(Path::parse(path.as_ref()))
}

/// A place in a value; made by [`field`].
#[derive(Clone, Debug)]
#[must_use = "say what has to be so of it"]
pub struct Field(Result<Path>);

/// What a field is compared with: `null` (by `Literal::null()`), a truth value, a number or a text, into which what it is in Rust
/// turns by itself. A float is the number that is written for it, the shortest one that is read as that float again, as it is in a
/// value that holds the float; one that is infinite or no number is the error of whatever the filter is given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal(Result<Scalar>);

impl Literal {
    /// `null`.
    #[must_use]
    pub fn null() -> Literal {
        Literal(Ok(Scalar::Null))
    }

    fn number(text: &str) -> Literal {
        let number = Number::parse(text).map(Scalar::Number);
        Literal(number.ok_or_else(|| refused(format!("to compare with {text}"), "it is no number in JSON")))
    }
}

/// Numbers as Rust writes them are what they are.
macro_rules! numbers {
    ($($number:ty)+) => { $(
        impl From<$number> for Literal {
            fn from(number: $number) -> Literal {
                Literal::number(&number.to_string())
            }
        }
    )+ };
}
numbers! { i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize f32 f64 }

impl From<bool> for Literal {
    fn from(value: bool) -> Literal {
        Literal(Ok(Scalar::Bool(value)))
    }
}

impl From<&str> for Literal {
    fn from(text: &str) -> Literal {
        Literal(Ok(Scalar::Text(text.into())))
    }
}

impl From<&String> for Literal {
    fn from(text: &String) -> Literal {
        Literal::from(text.as_str())
    }
}

impl From<String> for Literal {
    fn from(text: String) -> Literal {
        Literal(Ok(Scalar::Text(text.into())))
    }
}

impl Field {
    fn is(self, value: Literal, test: fn(Scalar) -> Test) -> Where {
        self.passes(value.0.map(test))
    }

    fn passes(self, test: Result<Test>) -> Where {
        Where(self.0.and_then(|path| Ok(Filter::Is(path, test?)))).checked()
    }

    /// It is this.
    pub fn equal(self, value: impl Into<Literal>) -> Where {
        self.is(value.into(), Test::Equal)
    }

    /// It is not this; also if it is missing, or of another type.
    pub fn not_equal(self, value: impl Into<Literal>) -> Where {
        !self.equal(value)
    }

    /// It comes before this.
    pub fn less(self, value: impl Into<Literal>) -> Where {
        self.is(value.into(), Test::Less)
    }

    /// It is this or comes before it.
    pub fn at_most(self, value: impl Into<Literal>) -> Where {
        self.is(value.into(), Test::AtMost)
    }

    /// It comes behind this.
    pub fn more(self, value: impl Into<Literal>) -> Where {
        self.is(value.into(), Test::More)
    }

    /// It is this or comes behind it.
    pub fn at_least(self, value: impl Into<Literal>) -> Where {
        self.is(value.into(), Test::AtLeast)
    }

    /// It is one of these, at most 1,000; of none it never is.
    pub fn one_of(self, values: impl IntoIterator<Item = impl Into<Literal>>) -> Where {
        let values = values.into_iter().map(|value| value.into().0).collect::<Result<Vec<_>>>();
        self.passes(values.map(Test::OneOf))
    }

    /// It is a text that begins so.
    pub fn begins_with(self, prefix: impl AsRef<str>) -> Where {
        self.passes(Ok(Test::BeginsWith(prefix.as_ref().into())))
    }

    /// There is something, also `null`, an array or an object.
    pub fn exists(self) -> Where {
        self.passes(Ok(Test::Exists))
    }
}

impl Where {
    /// Both this and that.
    pub fn and(self, other: Where) -> Where {
        let both = |a: Filter, b: Filter| match a {
            Filter::All(mut parts) => {
                parts.push(b);
                Filter::All(parts)
            }
            a => Filter::All(vec![a, b]),
        };
        Where(self.0.and_then(|a| Ok(both(a, other.0?)))).checked()
    }

    /// This or that, or both.
    pub fn or(self, other: Where) -> Where {
        let one = |a: Filter, b: Filter| match a {
            Filter::Any(mut parts) => {
                parts.push(b);
                Filter::Any(parts)
            }
            a => Filter::Any(vec![a, b]),
        };
        Where(self.0.and_then(|a| Ok(one(a, other.0?)))).checked()
    }

    /// From its form as JSON: an object each of
    /// - `{"field": PATH, TEST: VALUE}`, where the test is one of `equal`, `not_equal`, `less`, `at_most`, `more`, `at_least` (with a
    ///   scalar), `one_of` (with an array of them), `begins_with` (with a text), `exists` (with `true`, or `false` for the contrary),
    ///   and the path a text or an array of keys and numbers: `"items[0].sku"`, `["items", 0, "sku"]`;
    /// - `{"and": [...]}`, `{"or": [...]}`, `{"not": {...}}`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`], which names what is unknown and where; [`Error::TooLarge`].
    pub fn from_json(json: &str) -> Result<Where> {
        let filter = json::parse(json)?;
        filter.check().map(|()| Where(Ok(filter)))
    }

    /// Its form as JSON, on one line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn to_json(&self) -> Result<String> {
        self.0.as_ref().map(json::written).map_err(Error::clone)
    }

    fn checked(self) -> Where {
        Where(self.0.and_then(|filter| filter.check().map(|()| filter)))
    }

    /// As a stream that has been begun takes it, and what is wrong with it.
    pub(crate) fn split(self) -> (Option<Arc<Filter>>, Result<()>) {
        match self.filter() {
            Ok(filter) => (Some(filter), Ok(())),
            Err(error) => (None, Err(error)),
        }
    }

    /// As reading takes it.
    pub(crate) fn filter(self) -> Result<Arc<Filter>> {
        self.0.map(Arc::new)
    }
}

impl Not for Where {
    type Output = Where;

    /// Whatever is not so.
    fn not(self) -> Where {
        let turned = |filter| match filter {
            Filter::Not(inner) => *inner,
            other => Filter::Not(Box::new(other)),
        };
        Where(self.0.map(turned)).checked()
    }
}

impl FromStr for Where {
    type Err = Error;

    /// From what a person writes: `age >= 30 and (city = "Delft" or city begins with "L")`. Compared is with `=`, `!=`, `<`, `<=`,
    /// `>`, `>=`, `in (..., ...)`, `begins with "..."` and `exists`, with JSON to the right; joined is with `and`, `or` and `not`, of
    /// which `not` binds closest and `or` least.
    fn from_str(text: &str) -> Result<Where> {
        let filter = text::parse(text)?;
        filter.check().map(|()| Where(Ok(filter)))
    }
}

impl fmt::Display for Where {
    /// As a person writes it; of one that is none, what is wrong with it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(filter) => write!(f, "{filter}"),
            Err(error) => write!(f, "{error}"),
        }
    }
}

impl fmt::Debug for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Where({self})")
    }
}
