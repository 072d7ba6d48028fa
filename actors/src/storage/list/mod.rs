//! Lists in the database: items in an order of their own, which are put, read and taken anywhere in it.
//!
//! Each change of a list takes the next of its versions, and what is put has that as its number for as long as it is there: so no
//! item ever has the version of another one, and what was read by its index is known again. Their order is a tree of these numbers
//! ([`order`](super::order)).
//!
//! What an operation does to a list is the same on every database, and said once, in [`shelf`]; a database keeps rows.

pub mod shelf;

use super::Data;
use crate::name::Name;

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where index 0 is.
    Front,
    /// The other one.
    Back,
}

/// Where something is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// At an end.
    End(End),
    /// In front of the item with this index, which counts from the back if it is negative; the count itself is the back.
    Index(i64),
}

impl At {
    /// As an index of a list with so many items; `None` if it has no such place.
    #[must_use]
    pub fn within(self, count: u64) -> Option<u64> {
        match self {
            At::End(End::Front) => Some(0),
            At::End(End::Back) => Some(count),
            At::Index(index) => offset(index, count).filter(|index| *index <= count),
        }
    }
}

/// The index of an item, counted from the back if it is negative, as it counts from the front; `None` if there is no such item.
#[must_use]
pub fn within(index: i64, count: u64) -> Option<u64> {
    offset(index, count).filter(|index| *index < count)
}

/// Where a range begins or ends that reaches at most from the front to the back.
#[must_use]
pub fn clamped(index: i64, count: u64) -> u64 {
    offset(index, count).unwrap_or(0).min(count)
}

fn offset(index: i64, count: u64) -> Option<u64> {
    if index < 0 { count.checked_sub(index.unsigned_abs()) } else { Some(index.unsigned_abs()) }
}

/// A value that is to be put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewItem {
    /// The value.
    pub data: Data,
    /// Its schema.
    pub schema: u32,
}

/// Put items, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Insert {
    /// The list; it comes into being with its first item.
    pub list: Name,
    /// Where.
    pub at: At,
    /// At least one.
    pub items: Vec<NewItem>,
}

/// What became of [`Insert`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// They are there.
    Done {
        /// The list's row.
        list: u64,
        /// The index of the first.
        index: u64,
        /// The version of the last, and so the list's.
        version: u64,
        /// So many items there are now.
        count: u64,
    },
    /// There is no such place.
    Missing {
        /// So many items there are.
        count: u64,
    },
}

/// Take items from an end, the outermost first, so many at most. One that is damaged ends it: it stays where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    /// The list.
    pub list: Name,
    /// From where.
    pub end: End,
    /// How many at most.
    pub most: u32,
}

/// What became of [`Take`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The list's row, if it has one, and the version that it has now.
    pub list: Option<(u64, u64)>,
    /// What was taken.
    pub items: Vec<Item>,
    /// So many there are still.
    pub left: u64,
}

/// Remove one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remove {
    /// The list.
    pub list: Name,
    /// Its index.
    pub index: i64,
    /// The version that it must have.
    pub expected: Option<u64>,
}

/// What became of [`Remove`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Done {
        /// The list's row.
        list: u64,
        /// The version that the list has since then.
        version: u64,
        /// Its index, counted from the front.
        index: u64,
        /// What it was.
        item: Item,
    },
    /// There is no such item.
    Missing {
        /// So many there are.
        count: u64,
    },
    /// It is another one.
    Conflict {
        /// Its version.
        actual: u64,
    },
}

/// Put a value in the place of an item. What stood there is not looked at but for its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replace {
    /// The list.
    pub list: Name,
    /// The index.
    pub index: i64,
    /// The value.
    pub item: NewItem,
    /// The version that what is there must have.
    pub expected: Option<u64>,
}

/// What became of [`Replace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// It is there.
    Done {
        /// The list's row.
        list: u64,
        /// The version that it has.
        version: u64,
    },
    /// There is no such item.
    Missing {
        /// So many there are.
        count: u64,
    },
    /// It is another one.
    Conflict {
        /// Its version.
        actual: u64,
    },
}

/// Move one item to another place, of its list or of another one. In its list it keeps its version, and its new place is counted
/// without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The list.
    pub list: Name,
    /// Its index.
    pub index: i64,
    /// Which list it goes to.
    pub to: Name,
    /// Where there.
    pub at: At,
    /// The version that it must have.
    pub expected: Option<u64>,
}

/// What became of [`Move`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It is there.
    Done {
        /// The rows of both lists, and their versions since then.
        lists: [(u64, u64); 2],
        /// Its index now.
        index: u64,
        /// The item; `None` if it is the one it was, in its own list.
        item: Option<Item>,
    },
    /// There is no such item, or no such place.
    Missing {
        /// In which list.
        list: Name,
        /// Which index.
        index: i64,
        /// So many items it has, without the one that is moved.
        count: u64,
    },
    /// It is another one.
    Conflict {
        /// Its version.
        actual: u64,
    },
}

/// Remove all but those between two indexes, so many at once at most; those at the back go first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trim {
    /// The list.
    pub list: Name,
    /// The first that is kept.
    pub from: i64,
    /// The first behind those that are kept; the end of the list if `None`.
    pub to: Option<i64>,
    /// How many are removed at most.
    pub limit: u32,
}

/// What became of [`Trim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trimmed {
    /// The list's row, if it has one, and the version that it has since then.
    pub list: Option<(u64, u64)>,
    /// So many were removed.
    pub removed: u64,
    /// Between which indexes what is kept stands now; the second is behind it.
    pub kept: (u64, u64),
    /// Whether more is to be removed.
    pub more: bool,
}

/// An item of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its version: that of the list when it was put there.
    pub version: u64,
    /// Its value.
    pub data: Data,
    /// The schema of the value.
    pub schema: u32,
}

/// Which items to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The list.
    pub list: Name,
    /// From this index on.
    pub from: i64,
    /// At most so many; a page may end earlier for its size.
    pub limit: u32,
}

/// One page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The index of the first item, counted from the front.
    pub first: u64,
    /// The items in their order; a damaged one is an [`Error::Corrupt`](crate::error::Error::Corrupt) in its place.
    pub items: Vec<crate::error::Result<Item>>,
    /// So many there are in all.
    pub count: u64,
}

/// How a list stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its row.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// So many changes it has had.
    pub version: u64,
    /// So many items there are.
    pub count: u64,
}

impl Trim {
    /// How many are to be removed now of a list with so many items, at the front and at the back, and what comes of it.
    #[must_use]
    pub fn step(&self, count: u64) -> ([u64; 2], Trimmed) {
        let from = clamped(self.from, count);
        let to = self.to.map_or(count, |to| clamped(to, count)).max(from);
        let limit = u64::from(self.limit);
        let back = (count - to).min(limit);
        let front = from.min(limit - back);
        let removed = front + back;
        let (kept, more) = ((from - front, to - front), removed < from + (count - to));
        ([front, back], Trimmed { list: None, removed, kept, more })
    }

    /// What is left to do, if anything is: what is put meanwhile counts as if it had been there.
    #[must_use]
    pub fn next(self, trimmed: &Trimmed) -> Option<Trim> {
        let (from, to) = (trimmed.kept.0.cast_signed(), trimmed.kept.1.cast_signed());
        // The last so many are the last so many.
        let from = if self.to.is_none() && self.from < 0 { self.from } else { from };
        trimmed.more.then(|| Trim { from, to: self.to.map(|_| to), ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_counts_from_either_end() {
        let places = [(0, Some(0)), (2, Some(2)), (3, None), (-1, Some(2)), (-3, Some(0)), (-4, None)];
        for (index, expected) in places {
            assert_eq!(within(index, 3), expected, "{index}");
        }
        assert_eq!(At::Index(3).within(3), Some(3));
        assert_eq!(At::Index(4).within(3), None);
        assert_eq!(At::Index(i64::MIN).within(3), None);
        assert_eq!((clamped(-9, 3), clamped(9, 3), clamped(-1, 3)), (0, 3, 2));
        assert_eq!(within(-1, 0), None);
    }

    #[test]
    fn what_is_trimmed_goes_at_the_back_first() {
        let name = Name::new("x").unwrap();
        let trim = |from, to, limit| Trim { list: name.clone(), from, to, limit };
        let steps = |trim: Trim, mut count| {
            let (mut next, mut steps) = (Some(trim), Vec::new());
            while let Some(trim) = next {
                let (step, trimmed) = trim.step(count);
                steps.push(step);
                count -= trimmed.removed;
                next = trim.next(&trimmed);
            }
            steps
        };
        assert_eq!(steps(trim(2, Some(5), 100), 10), [[2, 5]]);
        assert_eq!(steps(trim(2, Some(5), 4), 10), [[0, 4], [2, 1]]);
        assert_eq!(steps(trim(2, Some(-5), 3), 10), [[0, 3], [1, 2], [1, 0]]);
        assert_eq!(steps(trim(-3, None, 100), 10), [[7, 0]]);
        assert_eq!(steps(trim(-3, Some(-1), 5), 10), [[4, 1], [3, 0]]);
        assert_eq!(steps(trim(0, Some(0), 6), 10), [[0, 6], [0, 4]]);
        assert_eq!(steps(trim(8, Some(2), 100), 10), [[8, 2]], "nothing is kept");
        assert_eq!(steps(trim(0, None, 100), 10), [[0, 0]]);
    }
}
