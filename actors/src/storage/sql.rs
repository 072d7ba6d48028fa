//! A user's own SQL, as data: statements on tables of the user's, in the same commit as everything else.
//!
//! A database that has no SQL says so ([`Ran::Unsupported`]) and does nothing. One that has lets no statement near what is
//! Millpond's own, near transactions or settings, or near other files.

use crate::error::{Error, Result};

/// Run statements, in order, all or none.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The statements.
    pub statements: Vec<Statement>,
}

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// Its text, which is exactly one statement.
    pub sql: String,
    /// The values of its parameters, from the first on.
    pub params: Vec<Value>,
    /// So many rows it has to change, or to find if it only reads.
    pub expected: Option<u64>,
}

/// A value of a statement's parameter, in one of the five kinds that SQLite knows.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `NULL`.
    Null,
    /// A whole number.
    Integer(i64),
    /// A floating-point number. What is no number (NaN) becomes `NULL`, as everywhere in SQLite.
    Real(f64),
    /// Text. It may hold any character, NUL too.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// What became of [`Run`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ran {
    /// All of them were run.
    Done {
        /// How many rows each has changed, or has found if it only reads.
        rows: Vec<u64>,
    },
    /// One of them changed or found another number of rows than it had to, so none has left a trace.
    Unexpected {
        /// Which, from 0 on.
        statement: usize,
        /// So many rows were expected.
        expected: u64,
        /// So many there were.
        actual: u64,
    },
    /// One of them may not be run, or cannot be, so none has left a trace.
    Refused {
        /// Which, from 0 on.
        statement: usize,
        /// Why.
        reason: String,
    },
    /// This database has no SQL.
    Unsupported,
}

/// So much of a statement is shown in an error, in characters.
const SHOWN: usize = 120;

impl Statement {
    /// Its text in one line, shortened, with nothing in it that garbles a terminal; never its values. For an error.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut characters =
            self.sql.split_whitespace().flat_map(|word| [" ", word]).skip(1).flat_map(str::chars);
        let mut shown = String::new();
        for c in characters.by_ref().take(SHOWN) {
            match c {
                // Escaped they would only be harder to read.
                '\'' | '"' | '\\' => shown.push(c),
                _ => shown.extend(c.escape_debug()),
            }
        }
        if characters.next().is_some() {
            shown.push_str("...");
        }
        shown
    }

    /// Bytes that it brings.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.params.iter().map(Value::bytes).fold(self.sql.len(), usize::saturating_add)
    }
}

/// Values that every one of SQLite's kinds holds.
macro_rules! value_of {
    ($($given:ty: $kind:ident($value:ident => $kept:expr);)+) => { $(
        impl From<$given> for Value {
            fn from($value: $given) -> Value {
                Value::$kind($kept)
            }
        }
    )+ };
}

value_of! {
    bool: Integer(value => value.into());
    i8: Integer(value => value.into());
    i16: Integer(value => value.into());
    i32: Integer(value => value.into());
    i64: Integer(value => value);
    u8: Integer(value => value.into());
    u16: Integer(value => value.into());
    u32: Integer(value => value.into());
    f32: Real(value => value.into());
    f64: Real(value => value);
    &str: Text(value => value.to_owned());
    String: Text(value => value);
    &String: Text(value => value.clone());
    &[u8]: Blob(value => value.to_vec());
    Vec<u8>: Blob(value => value);
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(bytes: &[u8; N]) -> Value {
        Value::Blob(bytes.to_vec())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

/// Numbers of which SQLite does not have all.
macro_rules! perhaps_value_of {
    ($($given:ty)+) => { $(
        impl TryFrom<$given> for Value {
            type Error = Error;

            fn try_from(value: $given) -> Result<Value> {
                let reason = "it is above 2^63 - 1, where the numbers of SQLite end";
                let what = || format!("the number {value} as a value of SQL");
                let too_large = |_| Error::InvalidArgument { what: what(), reason: reason.into() };
                i64::try_from(value).map(Value::Integer).map_err(too_large)
            }
        }
    )+ };
}

perhaps_value_of! { u64 usize }

impl Value {
    fn bytes(&self) -> usize {
        match self {
            Value::Null => 0,
            Value::Integer(_) | Value::Real(_) => 8,
            Value::Text(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(sql: &str) -> String {
        Statement { sql: sql.into(), params: vec![Value::Text("secret".into())], expected: None }.shown()
    }

    #[test]
    fn a_statement_is_shown_in_one_line_shortened_and_harmless() {
        assert_eq!(shown(" SELECT\n\t1 "), "SELECT 1");
        assert_eq!(shown("SELECT '\u{1b}[2J\u{202e}', \"\\\""), "SELECT '\\u{1b}[2J\\u{202e}', \"\\\"");
        let long = format!("SELECT '{}'", "ä".repeat(1_000));
        assert_eq!(shown(&long), format!("SELECT '{}...", "ä".repeat(112)));
        let exact = format!("SELECT '{}'", "x".repeat(111));
        assert_eq!(shown(&exact), exact);
        assert_eq!(shown(""), "");
    }
}
