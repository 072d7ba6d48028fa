//! Indexes of dicts in tables. They are made and kept up as in a database, and counted; but reading goes through all of a dict and
//! looks at each value, so that what an index says can be held against what is so.

use super::dict;
use super::store::Store;
use super::table::{Rows, Table};
use crate::limits;
use crate::name::Name;
use crate::storage::Data;
use crate::storage::dict::{
    DropIndex, Index, Indexed, Kept, MakeIndex, Progress, Query, Unindexed, unfiltered,
};
use crate::storage::filter::plan::{self, MOST, Span, Standing};
use crate::storage::filter::{self, Path};

/// An index, by dict and path.
pub type Key = (u64, Path);

/// What it has of an entry: the key of what stands at the path, and that of the entry.
pub type Row = (u64, Path, filter::Key, Box<str>);

/// What is written.
impl Store {
    /// Indexes some entries.
    pub fn dict_index(&mut self, index: &MakeIndex) -> Indexed {
        if self.is_sealed(&index.dict) == Some(true) {
            return Indexed::Sealed;
        }
        let there = self.dict_id(&index.dict).map_or(0, |dict| self.paths(dict).len());
        let is_new = |path: &&Path| {
            self.dict_id(&index.dict).is_none_or(|dict| self.indexes.get(&(dict, (*path).clone())).is_none())
        };
        if there + index.paths.iter().filter(is_new).count() > limits::INDEXES_PER_DICT {
            return Indexed::TooMany { there: there as u64 };
        }
        let dict = self.dict_or_new(&index.dict);
        let (mut left, mut more) = (index.limit as usize, false);
        for path in &index.paths {
            let key = (dict, path.clone());
            if self.indexes.get(&key) == Some(&Progress::Leaving) {
                left -= self.drop_rows(&key, left);
            }
            let progress = self.indexes.get(&key).cloned().unwrap_or(Progress::Building(None));
            let progress = match progress {
                Progress::Building(after) => self.build(&key, after, &mut left),
                other => other,
            };
            more |= progress != Progress::Complete;
            self.indexes.put(key, progress);
        }
        Indexed::Done { more }
    }

    /// Indexes entries behind a key, as many as are left.
    fn build(&mut self, (dict, path): &Key, after: Option<Box<str>>, left: &mut usize) -> Progress {
        let (mut reached, mut bytes) = (after.clone(), 0);
        let behind =
            self.values.range((*dict, after.clone().unwrap_or_default())..(*dict + 1, Box::from("")));
        let behind = behind.map(|((_, key), value)| (key, &value.data));
        let behind = behind.filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after));
        let mut rows = Vec::new();
        for (key, data) in behind {
            if *left == 0 || bytes >= limits::PAGE_BYTES {
                rows.into_iter().for_each(|row| self.indexed.put(row, ()));
                return Progress::Building(reached);
            }
            *left -= 1;
            bytes += data.bytes().len();
            reached = Some(key.clone());
            rows.extend(self.fields.key(data, path).map(|found| (*dict, path.clone(), found, key.clone())));
        }
        rows.into_iter().for_each(|row| self.indexed.put(row, ()));
        Progress::Complete
    }

    /// Removes some rows of indexes, and those that have none left.
    pub fn dict_unindex(&mut self, index: &DropIndex) -> Unindexed {
        let mut done = Unindexed { removed: 0, more: false };
        let Some(dict) = self.dict_id(&index.dict) else { return done };
        let mut left = index.limit as usize;
        for path in &index.paths {
            let key = (dict, path.clone());
            match self.indexes.get(&key) {
                None => continue,
                Some(Progress::Leaving) => {}
                Some(_) => done.removed += 1,
            }
            self.indexes.put(key.clone(), Progress::Leaving);
            left -= self.drop_rows(&key, left);
            done.more |= self.indexes.get(&key).is_some();
        }
        done
    }

    /// Removes as many rows of an index that leaves, and the index if none is left. How many they were.
    fn drop_rows(&mut self, (dict, path): &Key, most: usize) -> usize {
        let own = rows_of(&self.indexed, *dict, path);
        let mut own: Vec<Row> = own.take(most + 1).cloned().collect();
        if own.len() <= most {
            self.indexes.remove(&(*dict, path.clone()));
        }
        own.truncate(most);
        own.iter().for_each(|row| self.indexed.remove(row));
        own.len()
    }

    /// All of them go, of a dict in which nothing is.
    pub fn drop_indexes(&mut self, dict: u64) {
        for path in self.paths(dict) {
            self.drop_rows(&(dict, path), usize::MAX - 1);
        }
    }

    /// A dict in which nothing is has these.
    pub fn have_indexes(&mut self, dict: u64, paths: &[Path]) {
        paths.iter().for_each(|path| self.indexes.put((dict, path.clone()), Progress::Complete));
    }

    /// An entry comes, or goes.
    pub fn keep_in_indexes(&mut self, (dict, key): &dict::Key, data: &Data, comes: bool) {
        for path in self.paths(*dict) {
            let is_kept = self.indexes.get(&(*dict, path.clone())) != Some(&Progress::Leaving);
            let Some(found) = self.fields.key(data, &path).filter(|_| is_kept) else { continue };
            let row = (*dict, path, found, key.clone());
            if comes {
                self.indexed.put(row, ());
            } else {
                self.indexed.remove(&row);
            }
        }
    }

    /// Whether a dict has an index.
    pub fn is_indexed(&self, dict: u64) -> bool {
        self.indexes_of(dict).next().is_some()
    }

    fn paths(&self, dict: u64) -> Vec<Path> {
        self.indexes_of(dict).map(|((_, path), _)| path.clone()).collect()
    }

    fn indexes_of(&self, dict: u64) -> Rows<'_, Key, Progress> {
        self.indexes.range((dict, Path::default())..(dict + 1, Path::default()))
    }
}

fn rows_of<'a>(rows: &'a Table<Row, ()>, dict: u64, path: &Path) -> impl Iterator<Item = &'a Row> {
    let edge = |key| (dict, path.clone(), key, Box::from(""));
    rows.range(edge(filter::Key::FIRST)..edge(filter::Key::last())).map(|(row, ())| row)
}

/// What is read.
impl Store {
    /// The indexes of a dict, but for their rows.
    pub fn indexes_declared(&self, name: &Name) -> Vec<Index> {
        let Some(dict) = self.dict_names.get(name) else { return Vec::new() };
        let declared = |((_, path), progress): (&Key, &Progress)| Index {
            path: path.clone(),
            progress: progress.clone(),
            rows: 0,
        };
        let mut own: Vec<Index> = self.indexes_of(*dict).map(declared).collect();
        own.sort_by_key(|index| index.path.to_string());
        own
    }

    /// The indexes of a dict.
    pub fn dict_indexes(&self, name: &Name) -> Vec<Index> {
        let Some(dict) = self.dict_names.get(name) else { return Vec::new() };
        let rows = |index: &Index| rows_of(&self.indexed, *dict, &index.path).count() as u64;
        self.indexes_declared(name).into_iter().map(|index| Index { rows: rows(&index), ..index }).collect()
    }

    /// The indexes of a dict that are complete, if it is one that can be filtered and there is a filter.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::error::Error::Unsupported) if its values are sealed.
    pub fn indexes_complete(&self, query: &Query) -> crate::error::Result<Option<Vec<Path>>> {
        if query.filter.is_none() || self.dict_names.get(&query.dict).is_none() {
            return Ok(None);
        }
        if matches!(self.dict_kept(&query.dict), Some(Kept::Sealed(_))) {
            return Err(unfiltered(&query.dict));
        }
        let complete = self.indexes_declared(&query.dict).into_iter();
        let complete = complete.filter(|index| index.progress == Progress::Complete);
        Ok(Some(complete.map(|index| index.path).collect()))
    }

    /// How the indexes of a dict stand to a filter.
    pub fn dict_ways(&self, query: &Query) -> crate::error::Result<Vec<Standing>> {
        let (Some(complete), Some(filter), Some(dict)) =
            (self.indexes_complete(query)?, &query.filter, self.dict_names.get(&query.dict))
        else {
            return Ok(Vec::new());
        };
        let mut count = |path: &Path, spans: &[Span]| {
            let within = |row: &&Row| spans.iter().any(|span| span.low <= row.2 && row.2 <= span.high);
            let own = rows_of(&self.indexed, *dict, path).filter(within);
            Ok(own.take(MOST as usize + 1).count() as u64)
        };
        plan::choose(filter, &complete, &mut count)
    }
}
