//! Which index leads to the values that a filter may want. Whatever it leads to is held against the whole filter, so a plan
//! decides how much is looked at, and never what is found.

use super::{Filter, Key, Path, Test};
use crate::error::Result;
use crate::limits;

/// Keys of an index between two, inclusive, as the index keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub low: Key,
    /// The last.
    pub high: Key,
}

impl Span {
    /// Whether it is one key and no more, whose entries are in the order of theirs.
    #[must_use]
    pub fn is_point(&self) -> bool {
        self.low == self.high
    }

    fn point(key: Key) -> Span {
        let key = key.cut();
        Span { low: key.clone(), high: key }
    }
}

/// The way that an index leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// Of what it is.
    pub path: Path,
    /// Where in it, in order, and none of them twice.
    pub spans: Vec<Span>,
    /// Which parts of the filter say so.
    pub parts: Vec<Filter>,
    /// So many entries it leads to at most; if there are more than are counted, one more than those.
    pub rows: u64,
}

impl Way {
    /// Whether it leads to single values.
    #[must_use]
    pub fn is_by_points(&self) -> bool {
        self.spans.iter().all(Span::is_point)
    }
}

/// What is counted of an index, and read of it at once where it does not lead by single values: the keys are put in order for
/// each page, so more would cost more than it saves.
pub const MOST: u64 = limits::OTHERS_PER_PAGE as u64;

/// How an index stands to a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It leads to what the filter wants.
    Used(Way),
    /// It could, but another one leads to less.
    Another(Way),
    /// It could, but to so much that looking at everything is no more work.
    Wide(Way),
}

/// All ways that indexes lead for a filter, and which of them is gone: the one with the fewest entries. `count` tells how many
/// entries the index of a path has in such spans, up to [`MOST`] and one.
///
/// # Errors
/// As `count`.
pub fn choose(
    filter: &Filter,
    usable: &[Path],
    count: &mut dyn FnMut(&Path, &[Span]) -> Result<u64>,
) -> Result<Vec<Standing>> {
    let mut ways = Vec::new();
    for way in usable.iter().filter_map(|path| way(filter, path)) {
        let rows = count(&way.path, &way.spans)?;
        ways.push(Way { rows, ..way });
    }
    let is_usable = |way: &Way| way.is_by_points() || way.rows <= MOST;
    let best =
        ways.iter().filter(|way| is_usable(way)).min_by_key(|way| way.rows).map(|way| way.path.clone());
    let stand = |way: Way| match &best {
        Some(best) if *best == way.path => Standing::Used(way),
        _ if is_usable(&way) => Standing::Another(way),
        _ => Standing::Wide(way),
    };
    Ok(ways.into_iter().map(stand).collect())
}

/// The way that is gone; that of [`choose`], without counting where there is no choice.
///
/// # Errors
/// As `count`.
pub fn pick(
    filter: &Filter,
    usable: &[Path],
    count: &mut dyn FnMut(&Path, &[Span]) -> Result<u64>,
) -> Result<Option<Way>> {
    let mut ways: Vec<Way> = usable.iter().filter_map(|path| way(filter, path)).collect();
    if ways.len() <= 1 && ways.iter().all(Way::is_by_points) {
        return Ok(ways.pop());
    }
    let used = |standing| if let Standing::Used(way) = standing { Some(way) } else { None };
    Ok(choose(filter, usable, count)?.into_iter().find_map(used))
}

/// The way of one index, if the filter says anything about its path that always has to be so.
fn way(filter: &Filter, indexed: &Path) -> Option<Way> {
    let (mut spans, mut parts): (Option<Vec<Span>>, _) = (None, Vec::new());
    for part in filter.parts() {
        let Filter::Is(path, test) = part else { continue };
        let Some(of_test) = (path == indexed).then(|| spans_of(test)).flatten() else { continue };
        parts.push(part.clone());
        spans = Some(match spans {
            None => of_test,
            Some(before) => both(&before, &of_test),
        });
    }
    Some(Way { path: indexed.clone(), spans: spans?, parts, rows: 0 })
}

/// Where in an index everything is that passes a test.
fn spans_of(test: &Test) -> Option<Vec<Span>> {
    let one = |low: Key, high: Key| Some(vec![Span { low: low.cut(), high: high.cut() }]);
    match test {
        // What an index has no row of may still be there: an array, an object.
        Test::Exists => None,
        Test::Equal(value) => Some(vec![Span::point(value.key())]),
        Test::OneOf(values) => {
            let mut spans: Vec<Span> = values.iter().map(|value| Span::point(value.key())).collect();
            spans.sort_by(|a, b| a.low.cmp(&b.low));
            spans.dedup();
            Some(spans)
        }
        Test::Less(value) | Test::AtMost(value) => one(value.key().first_like(), value.key()),
        Test::More(value) | Test::AtLeast(value) => one(value.key(), value.key().behind_like()),
        Test::BeginsWith(prefix) => {
            let low = Key::of_prefix(prefix).cut();
            Some(vec![Span { high: low.clone().behind(), low }])
        }
    }
}

/// What is in a span of either side.
fn both(some: &[Span], others: &[Span]) -> Vec<Span> {
    let pairs = some.iter().flat_map(|a| others.iter().map(move |b| (a, b)));
    let cut = |(a, b): (&Span, &Span)| Span {
        low: a.low.clone().max(b.low.clone()),
        high: a.high.clone().min(b.high.clone()),
    };
    pairs.map(cut).filter(|span| span.low <= span.high).collect()
}
