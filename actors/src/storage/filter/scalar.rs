//! What may stand in a value, and the one encoding that knows what is equal and what comes before what.
//!
//! A number is what its text says, digit by digit: it is never turned into a float, so nothing is equal by rounding, and it does
//! not matter whether it was written as a whole number, with a point or with an exponent.

use std::fmt;

use crate::limits;

/// A value that has no parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// `null`. It is not the same as that there is nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(Box<str>),
}

/// A decimal number, exactly: 0.`digits` times ten to the power of `exponent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    negative: bool,
    /// The first and the last are not 0; none at all for the number 0.
    digits: Box<str>,
    exponent: i32,
}

impl Number {
    /// As JSON writes it; `None` if it is no number, or larger or smaller than any that is compared
    /// ([`limits::NUMBER_EXPONENT`]).
    #[must_use]
    pub fn parse(text: &str) -> Option<Number> {
        let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent_of(exponent)?),
            None => (rest, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (mantissa, ""),
        };
        let digit = |byte: u8| byte.is_ascii_digit();
        let plain = !whole.is_empty() && whole.bytes().chain(fraction.bytes()).all(digit);
        if !plain || (whole.len() > 1 && whole.starts_with('0')) {
            return None;
        }
        let digits = format!("{whole}{fraction}");
        let behind_zeros = digits.trim_start_matches('0');
        let zeros = digits.len() - behind_zeros.len();
        let digits = behind_zeros.trim_end_matches('0');
        if digits.is_empty() {
            return Some(Number { negative: false, digits: Box::default(), exponent: 0 });
        }
        let exponent = i64::try_from(whole.len()).ok()? - i64::try_from(zeros).ok()? + exponent;
        let bounded =
            i32::try_from(exponent).ok().filter(|exponent| exponent.abs() <= limits::NUMBER_EXPONENT);
        Some(Number { negative, digits: digits.into(), exponent: bounded? })
    }

    fn put(&self, key: &mut Vec<u8>) {
        let Number { negative, digits, exponent } = self;
        if digits.is_empty() {
            key.push(1);
            return;
        }
        // The sign bit is turned round, so that the bytes are in the order of the numbers.
        let exponent = (exponent.cast_unsigned() ^ (1 << 31)).to_be_bytes();
        let size = exponent.into_iter().chain(digits.bytes());
        if *negative {
            key.push(0);
            key.extend(size.map(|byte| !byte));
            // Of two negative numbers the one with more digits is the smaller one.
            key.push(u8::MAX);
        } else {
            key.push(2);
            key.extend(size);
        }
    }
}

/// An exponent as JSON writes it. One that is beyond all bounds stays beyond them.
fn exponent_of(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Leading zeros do not make it larger.
    let size: i64 = match digits.trim_start_matches('0') {
        "" => 0,
        significant => significant.parse().unwrap_or(BEYOND).min(BEYOND),
    };
    Some(if text.starts_with('-') { -size } else { size })
}

/// An exponent that no digits bring back to one that is compared, and that can be added to.
const BEYOND: i64 = i64::MAX / 4;

impl fmt::Display for Number {
    /// The one way in which it is written down, as JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Number { negative, digits, exponent } = self;
        let sign = if *negative { "-" } else { "" };
        let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        let exponent = i64::from(*exponent);
        match digits.split_at_checked(usize::try_from(exponent).unwrap_or(0)) {
            _ if count == 0 => f.write_str("0"),
            Some((whole, fraction)) if exponent > 0 && !fraction.is_empty() => {
                write!(f, "{sign}{whole}.{fraction}")
            }
            _ if exponent >= count && exponent <= PLAIN => {
                write!(f, "{sign}{digits}{}", "0".repeat(usize::try_from(exponent - count).unwrap_or(0)))
            }
            _ if exponent <= 0 && exponent > -PLAIN => {
                write!(f, "{sign}0.{}{digits}", "0".repeat(usize::try_from(-exponent).unwrap_or(0)))
            }
            _ => {
                let (first, rest) = digits.split_at(1);
                let point = if rest.is_empty() { "" } else { "." };
                write!(f, "{sign}{first}{point}{rest}e{}", exponent - 1)
            }
        }
    }
}

/// Numbers with more digits before the point, or zeros behind it, are written with an exponent.
const PLAIN: i64 = 21;

impl Scalar {
    /// What it is compared by.
    #[must_use]
    pub fn key(&self) -> Key {
        let mut key = Vec::with_capacity(self.len() + 8);
        match self {
            Scalar::Null => key.push(Key::NULL),
            Scalar::Bool(value) => key.extend([Key::BOOL, u8::from(*value)]),
            Scalar::Number(number) => {
                key.push(Key::NUMBER);
                number.put(&mut key);
            }
            Scalar::Text(text) => {
                key.push(Key::TEXT);
                key.extend(text.bytes());
            }
        }
        Key(key)
    }

    /// About how many bytes it has.
    pub(super) fn len(&self) -> usize {
        match self {
            Scalar::Null | Scalar::Bool(_) => 1,
            Scalar::Number(number) => number.digits.len(),
            Scalar::Text(text) => text.len(),
        }
    }
}

/// A scalar as bytes, which are equal if and only if the scalars are, and in whose order scalars of one type are. The first byte
/// is the type. It is in the file, so what is here never changes its meaning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

impl Key {
    const NULL: u8 = 1;
    const BOOL: u8 = 2;
    const NUMBER: u8 = 3;
    const TEXT: u8 = 4;

    /// Before all keys.
    pub const FIRST: Key = Key(Vec::new());

    /// Behind all keys.
    #[must_use]
    pub fn last() -> Key {
        Key(vec![u8::MAX])
    }

    /// As it was kept.
    #[must_use]
    pub fn kept(bytes: Vec<u8>) -> Key {
        Key(bytes)
    }

    /// That of all texts that begin so, as its beginning.
    pub(super) fn of_prefix(prefix: &str) -> Key {
        Scalar::Text(prefix.into()).key()
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What an index keeps of it. Two that are equal stay equal, and none comes to lie on the other side of another.
    #[must_use]
    pub fn cut(mut self) -> Key {
        self.0.truncate(limits::INDEXED_BYTES);
        self
    }

    /// Whether it is of the same type as another.
    pub(super) fn is_like(&self, other: &Key) -> bool {
        self.0.first() == other.0.first()
    }

    pub(super) fn begins_with(&self, prefix: &Key) -> bool {
        self.0.starts_with(&prefix.0)
    }

    /// Before all keys of its type.
    pub(super) fn first_like(&self) -> Key {
        Key(self.0.iter().take(1).copied().collect())
    }

    /// Behind all keys of its type.
    pub(super) fn behind_like(&self) -> Key {
        Key(self.0.iter().take(1).map(|byte| byte + 1).collect())
    }

    /// Behind all keys that begin with it: no text holds this byte.
    pub(super) fn behind(mut self) -> Key {
        self.0.push(u8::MAX);
        self
    }
}

/// A text in quotes, as JSON writes it.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for character in self.0.chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                control if control.is_control() && (control as u32) < 0x10000 => {
                    write!(f, "\\u{:04x}", control as u32)?;
                }
                other => write!(f, "{other}")?,
            }
        }
        f.write_str("\"")
    }
}

impl fmt::Display for Scalar {
    /// As JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Null => f.write_str("null"),
            Scalar::Bool(value) => write!(f, "{value}"),
            Scalar::Number(number) => write!(f, "{number}"),
            Scalar::Text(text) => write!(f, "{}", Quoted(text)),
        }
    }
}
