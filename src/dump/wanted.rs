//! What of a store is wanted: all of it, or some kinds, or some names.

use millpond_actors::error::{Error, Result};
use millpond_actors::pattern::Pattern;

use super::SECTIONS;

/// What is wanted. Nothing in it means all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted(Vec<Only>);

#[derive(Clone, Debug)]
struct Only {
    word: &'static str,
    names: Option<Pattern>,
}

impl Wanted {
    /// Out of `dict`, `dict/prices`, `stream/order-*`.
    pub(crate) fn parse(only: &[String]) -> Result<Wanted> {
        let parse = |text: &String| {
            let (word, names) =
                text.split_once('/').map_or((&**text, None), |(word, names)| (word, Some(names)));
            let section = SECTIONS.iter().find(|section| section.word() == word);
            let section = section.ok_or_else(|| {
                let all = SECTIONS.map(|section| section.word()).join(", ");
                let reason = format!("there is no such kind; the kinds are {all}");
                Error::InvalidArgument { what: format!("only \"{}\"", text.escape_debug()), reason }
            })?;
            Ok(Only { word: section.word(), names: names.map(Pattern::new).transpose()? })
        };
        only.iter().map(parse).collect::<Result<_>>().map(Wanted)
    }

    /// Whether anything of that kind is.
    pub(crate) fn wants_any(&self, word: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|only| only.word == word)
    }

    /// Whether what has this name is.
    pub(crate) fn wants(&self, word: &str, name: &str) -> bool {
        let is_it = |only: &Only| {
            only.word == word && only.names.as_ref().is_none_or(|pattern| pattern.matches(name))
        };
        self.0.is_empty() || self.0.iter().any(is_it)
    }
}
