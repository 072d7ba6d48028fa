//! Patterns of names.

use std::fmt;
use std::sync::Arc;

use crate::error::Result;
use crate::limits;
use crate::name;

/// A pattern of names: each `*` stands for any characters, also for none; everything else for itself.
///
/// `orders.*` matches `orders.eu` and `orders.`, and not `orders`; `*` matches everything.
///
/// # Examples
/// ```
/// use millpond_actors::pattern::Pattern;
///
/// let pattern = Pattern::new("orders.*.new")?;
/// assert!(pattern.matches("orders.eu.new") && !pattern.matches("orders.eu.old"));
/// # Ok::<(), millpond_actors::error::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// Checks `text` and makes it a pattern.
    ///
    /// # Errors
    /// [`Error::InvalidName`](crate::error::Error::InvalidName): no name could match it.
    pub fn new(text: impl AsRef<str>) -> Result<Pattern> {
        let text = text.as_ref();
        name::check("pattern", text, limits::NAME_BYTES)?;
        Ok(Pattern(Arc::from(text)))
    }

    /// What every name of this pattern begins with; it may be empty.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.0.split_once('*').map_or(&*self.0, |(prefix, _)| prefix)
    }

    /// Whether a name is of this pattern.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else { return name == &*self.0 };
        let Some(mut left) = name.strip_prefix(first) else { return false };
        let mut parts: Vec<&str> = rest.split('*').collect();
        let last = parts.pop().unwrap_or_default();
        for part in parts {
            // The first place where it fits leaves the most for those behind.
            let Some(at) = left.find(part) else { return false };
            left = left.get(at + part.len()..).unwrap_or_default();
        }
        left.ends_with(last)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By trying everything.
    fn plainly(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => (0..=name.len()).any(|at| plainly(rest, &name[at..])),
            (Some((a, pattern)), Some((b, name))) => a == b && plainly(pattern, name),
            _ => false,
        }
    }

    fn words(letters: &[&str], longest: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut last = all.clone();
        for _ in 0..longest {
            last = last
                .iter()
                .flat_map(|word| letters.iter().map(move |letter| format!("{word}{letter}")))
                .collect();
            all.extend(last.clone());
        }
        all
    }

    #[test]
    fn a_pattern_matches_what_it_matches_by_trying_everything() {
        for pattern in words(&["a", "b", "*"], 5).iter().filter(|pattern| !pattern.is_empty()) {
            let made = Pattern::new(pattern).unwrap();
            for name in words(&["a", "b"], 5) {
                assert_eq!(
                    made.matches(&name),
                    plainly(pattern.as_bytes(), name.as_bytes()),
                    "{pattern} {name}"
                );
            }
        }
    }
}
