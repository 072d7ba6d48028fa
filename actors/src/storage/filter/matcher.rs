//! Whether a value is as a filter wants it. Only keys are compared here, as in an index.

use super::{Fields, Filter, Found, Key, Path, Test};
use crate::storage::Data;

/// A filter, made ready to be held against many values.
#[derive(Clone, Debug)]
pub struct Matcher {
    fields: Fields,
    /// Each of them once, however often the filter asks for it.
    paths: Vec<Path>,
    wanted: Wanted,
}

/// The same as the filter, with what is compared by the number of its path.
#[derive(Clone, Debug)]
enum Wanted {
    All(Vec<Wanted>),
    Any(Vec<Wanted>),
    Not(Box<Wanted>),
    Exists(usize),
    /// Between two, of which it may be or not be the one itself.
    Within(usize, Key, fn(&Key, &Key) -> bool),
    /// In order.
    OneOf(usize, Vec<Key>),
}

/// What stands at a path, as it is compared.
enum Seen {
    Missing,
    Other,
    Key(Key),
}

impl Matcher {
    /// Holds what these find out against a filter.
    #[must_use]
    pub fn new(filter: &Filter, fields: Fields) -> Matcher {
        let mut paths = Vec::new();
        let wanted = Wanted::of(filter, &mut paths);
        Matcher { fields, paths, wanted }
    }

    /// Whether a payload is as it is wanted.
    #[must_use]
    pub fn matches(&self, data: &Data) -> bool {
        // What is not asked for is not looked for: most values are decided by the first comparison.
        let mut seen: Vec<Option<Seen>> = self.paths.iter().map(|_| None).collect();
        self.holds(&self.wanted, data, &mut seen)
    }

    fn holds(&self, wanted: &Wanted, data: &Data, seen: &mut [Option<Seen>]) -> bool {
        match wanted {
            Wanted::All(parts) => parts.iter().all(|part| self.holds(part, data, seen)),
            Wanted::Any(parts) => parts.iter().any(|part| self.holds(part, data, seen)),
            Wanted::Not(part) => !self.holds(part, data, seen),
            Wanted::Exists(path) => !matches!(self.look(*path, data, seen), None | Some(Seen::Missing)),
            Wanted::Within(path, bound, is_so) => {
                matches!(self.look(*path, data, seen), Some(Seen::Key(key)) if key.is_like(bound) && is_so(key, bound))
            }
            Wanted::OneOf(path, keys) => {
                matches!(self.look(*path, data, seen), Some(Seen::Key(key)) if keys.binary_search(key).is_ok())
            }
        }
    }

    /// Whether it is so of a value that has this at each path.
    #[cfg(test)]
    pub(super) fn holds_of(&self, found: &super::Scalar) -> bool {
        let mut seen: Vec<Option<Seen>> = self.paths.iter().map(|_| Some(Seen::Key(found.key()))).collect();
        self.holds(&self.wanted, &Data::Bincode(Vec::new()), &mut seen)
    }

    fn look<'s>(&self, path: usize, data: &Data, seen: &'s mut [Option<Seen>]) -> Option<&'s Seen> {
        let (path, seen) = (self.paths.get(path)?, seen.get_mut(path)?);
        Some(seen.get_or_insert_with(|| match self.fields.find(data, path) {
            Found::Missing => Seen::Missing,
            Found::Other => Seen::Other,
            Found::Scalar(scalar) => Seen::Key(scalar.key()),
        }))
    }
}

impl Wanted {
    fn of(filter: &Filter, paths: &mut Vec<Path>) -> Wanted {
        let mut all = |parts: &[Filter]| parts.iter().map(|part| Wanted::of(part, paths)).collect();
        match filter {
            Filter::All(parts) => Wanted::All(all(parts)),
            Filter::Any(parts) => Wanted::Any(all(parts)),
            Filter::Not(part) => Wanted::Not(Box::new(Wanted::of(part, paths))),
            Filter::Is(path, test) => {
                let known = paths.iter().position(|known| known == path);
                let path = known.unwrap_or_else(|| {
                    paths.push(path.clone());
                    paths.len() - 1
                });
                Wanted::test(path, test)
            }
        }
    }

    fn test(path: usize, test: &Test) -> Wanted {
        match test {
            Test::Exists => Wanted::Exists(path),
            Test::Equal(value) => Wanted::Within(path, value.key(), |key, bound| key == bound),
            Test::Less(value) => Wanted::Within(path, value.key(), |key, bound| key < bound),
            Test::AtMost(value) => Wanted::Within(path, value.key(), |key, bound| key <= bound),
            Test::More(value) => Wanted::Within(path, value.key(), |key, bound| key > bound),
            Test::AtLeast(value) => Wanted::Within(path, value.key(), |key, bound| key >= bound),
            Test::BeginsWith(prefix) => Wanted::Within(path, Key::of_prefix(prefix), Key::begins_with),
            Test::OneOf(values) => {
                let mut keys: Vec<Key> = values.iter().map(super::Scalar::key).collect();
                keys.sort();
                Wanted::OneOf(path, keys)
            }
        }
    }
}
