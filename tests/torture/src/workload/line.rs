//! A word as a child says it to its parent: text, without what only the child's process can hold.

use millpond::Error;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::named;
use super::told::{Fact, Word};

/// A word on its way. What a reader was shown does not travel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Line {
    /// As [`Word::Acked`].
    Acked(Told),
    /// As [`Word::Refused`].
    Refused(Told, String),
    /// As [`Word::Unknown`].
    Unknown(Told, String),
    /// As [`Word::Settled`].
    Settled(Told, bool),
    /// As [`Word::Granted`].
    Granted(u64),
    /// As [`Word::Failed`].
    Failed(String),
}

/// As [`Fact`]: whose, id, stream, content, place.
type Told = (String, u128, String, String, Option<(u64, u64)>);

impl Line {
    /// What is said of a word.
    #[must_use]
    pub fn of(word: &Word) -> Option<Line> {
        let told = |fact: &Fact| {
            let Fact { of, id, stream, content, place } = fact.clone();
            (of.to_owned(), id.as_u128(), stream, content, place)
        };
        Some(match word {
            Word::Acked(fact) => Line::Acked(told(fact)),
            Word::Refused(fact, error) => Line::Refused(told(fact), error.to_string()),
            Word::Unknown(fact, error) => Line::Unknown(told(fact), error.to_string()),
            Word::Settled(fact, there) => Line::Settled(told(fact), *there),
            Word::Granted(token) => Line::Granted(*token),
            Word::Failed(error) => Line::Failed(error.to_string()),
            Word::Saw(_) => return None,
        })
    }

    /// What was heard; `None` if it is about a primitive that nobody knows.
    #[must_use]
    pub fn word(self) -> Option<Word> {
        let fact = |(of, id, stream, content, place): Told| -> Option<Fact> {
            Some(Fact { of: named(&of)?.name(), id: Uuid::from_u128(id), stream, content, place })
        };
        let error = |detail| Error::Storage { detail };
        Some(match self {
            Line::Acked(told) => Word::Acked(fact(told)?),
            Line::Refused(told, words) => Word::Refused(fact(told)?, error(words)),
            Line::Unknown(told, words) => Word::Unknown(fact(told)?, error(words)),
            Line::Settled(told, there) => Word::Settled(fact(told)?, there),
            Line::Granted(token) => Word::Granted(token),
            Line::Failed(words) => Word::Failed(error(words)),
        })
    }
}
