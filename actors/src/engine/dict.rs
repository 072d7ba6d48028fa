//! Dicts in tables: entries by dict and key.

use super::counter::Counter;
use super::store::{Caller, Store};
use crate::error::Result;
use crate::limits;
use crate::name::{self, Name};
use crate::storage::change::{Changed, Primitive};
use crate::storage::dict::{
    Clear, Cleared, Entry, Head, Increment, Incremented, Kept, Life, Page, Query, Remove, Removed, Seal, Set,
    Written, behind, number, unfiltered,
};
use crate::storage::filter::{Matcher, Path};
use crate::storage::record::{self, Base, Onto, Put, Refusal};
use crate::storage::{Data, Moment, partition};

/// A dict that was used.
#[derive(Clone, Debug)]
pub struct Dict {
    /// Its name.
    pub name: Name,
    /// So many changes it has had.
    pub version: u64,
    /// If its values are sealed.
    pub seal: Option<Box<[u8]>>,
}

impl Dict {
    fn kept(&self) -> Option<Kept> {
        let used = (self.version > 0).then_some(Kept::Plain);
        self.seal.clone().map(Kept::Sealed).or(used)
    }
}

/// A value of a dict.
#[derive(Clone, Debug)]
pub struct Value {
    /// The dict's when it was written.
    pub version: u64,
    /// What it is.
    pub data: Data,
    /// And of which schema.
    pub schema: u32,
    /// Until when it is there.
    pub life: Option<Life>,
}

/// Dict and key.
pub type Key = (u64, Box<str>);

impl Value {
    fn is_there(&self, now: Moment, boot: &str) -> bool {
        !self.life.is_some_and(|life| life.is_over(now, partition::number(boot)))
    }

    fn shown(&self, key: &str) -> Entry {
        let Value { version, data, schema, life } = self.clone();
        Entry { key: key.to_owned(), version, data, schema, ends_at: life.map(|life| life.wall_ms) }
    }
}

/// What is written.
impl Store {
    /// Puts a value under a key.
    pub fn dict_set(&mut self, me: &Caller, set: &Set) -> Written {
        if self.is_sealed(&set.dict).unwrap_or(false) != set.data.is_sealed() {
            return Written::Otherwise;
        }
        let found = self.dict_id(&set.dict).and_then(|id| self.dict_value(me, id, &set.key));
        let actual = found.as_ref().map(|value| value.version);
        if !set.expected.is_met(actual) {
            return Written::Conflict { actual };
        }
        let life = set.life_ms.map(|ms| Life::of(ms, me.now, partition::number(&me.boot)));
        let (dict, version) = self.dict_changed(&set.dict);
        let value = Value { version, data: set.data.clone(), schema: set.schema, life };
        self.put_value((dict, set.key.clone()), value);
        self.dict_sweep(me);
        Written::Done { dict, version, replaced: actual.is_some() }
    }

    /// Removes an entry.
    pub fn dict_remove(&mut self, me: &Caller, remove: &Remove) -> Removed {
        if self.is_sealed(&remove.dict).is_some_and(|sealed| sealed != remove.sealed) {
            return Removed::Otherwise;
        }
        let id = self.dict_id(&remove.dict);
        let found = id.and_then(|id| self.dict_value(me, id, &remove.key));
        let actual = found.as_ref().map(|value| value.version);
        if !remove.expected.is_met(actual) {
            return Removed::Conflict { actual };
        }
        let dict = match (id, &found) {
            (Some(id), Some(_)) => {
                self.drop_value(&(id, remove.key.clone()));
                Some(self.dict_changed(&remove.dict))
            }
            (Some(id), None) => self.dicts.get(&id).map(|dict| (id, dict.version)),
            (None, _) => None,
        };
        Removed::Done { dict, entry: found.map(|value| value.shown(&remove.key)) }
    }

    /// Adds to a number.
    pub fn dict_increment(&mut self, me: &Caller, increment: &Increment) -> Incremented {
        if self.is_sealed(&increment.dict) == Some(true) {
            return Incremented::Otherwise;
        }
        let found = self.dict_id(&increment.dict).and_then(|id| self.dict_value(me, id, &increment.key));
        let before = match &found {
            None => 0,
            Some(value) => match number(&value.data) {
                Some(number) => number,
                None => return Incremented::NoNumber,
            },
        };
        let Some(value) = before.checked_add(increment.by) else {
            return Incremented::Overflow { value: before };
        };
        let (dict, version) = self.dict_changed(&increment.dict);
        let (schema, life) = found.map_or((1, None), |value| (value.schema, value.life));
        let put = Value { version, data: Data::Json(value.to_string()), schema, life };
        self.put_value((dict, increment.key.clone()), put);
        self.dict_sweep(me);
        Incremented::Done { dict, version, value }
    }

    /// Removes entries, so many at most.
    pub fn dict_clear(&mut self, me: &Caller, clear: &Clear) -> Cleared {
        let nothing = Cleared { dict: None, removed: Vec::new(), more: false, otherwise: false };
        let Some(id) = self.dict_id(&clear.dict) else { return nothing };
        if self.is_sealed(&clear.dict) != Some(clear.sealed) {
            return Cleared { otherwise: true, ..nothing };
        }
        let all = self.values.range((id, clear.prefix.clone())..(id + 1, Box::from("")));
        let all = all.take_while(|((_, key), _)| key.starts_with(&*clear.prefix));
        let mut found: Vec<(Key, bool)> = all
            .take(clear.limit as usize + 1)
            .map(|(key, value)| (key.clone(), value.is_there(me.now, &me.boot)))
            .collect();
        let more = found.len() > clear.limit as usize;
        found.truncate(clear.limit as usize);
        found.iter().for_each(|(key, _)| self.drop_value(key));
        // Those whose time is over go with them, without a word.
        let removed: Vec<Box<str>> =
            found.into_iter().filter(|(_, there)| *there).map(|((_, key), _)| key).collect();
        let dict = match removed.len() {
            0 => self.dicts.get(&id).map(|dict| (id, dict.version)),
            _ => Some(self.dict_changed(&clear.dict)),
        };
        Cleared { dict, removed, more, otherwise: false }
    }

    /// Puts a dict back, without its entries. One that is not there, or gives way, gets its seal and its indexes, which are complete
    /// as long as nothing is in it.
    pub fn dict_load(
        &mut self,
        onto: Onto,
        name: &Name,
        version: u64,
        (seal, indexes): (Option<&[u8]>, &[Path]),
    ) -> Result<Put> {
        let before = self.dict_id(name).and_then(|id| Some((id, self.dicts.get(&id)?.clone())));
        let shift = before.as_ref().map_or(0, |(_, dict)| dict.version);
        match (&before, onto) {
            (Some(_), Onto::Nothing) => return Ok(Put::Refused(Refusal::Exists)),
            (Some((_, dict)), Onto::Append) if dict.seal.as_deref() != seal => {
                return Ok(Put::Refused(Refusal::OtherSeal));
            }
            _ => {}
        }
        let version = record::behind(shift, version, "the version of a dict")?;
        let id = self.dict_or_new(name);
        if onto == Onto::Replace {
            let own = self.values.range((id, Box::from(""))..(id + 1, Box::from("")));
            let keys: Vec<Key> = own.map(|(key, _)| key.clone()).collect();
            keys.iter().for_each(|key| self.drop_value(key));
            self.drop_indexes(id);
        }
        self.dicts.put(id, Dict { name: name.clone(), version, seal: seal.map(Box::from) });
        if before.is_none() || onto == Onto::Replace {
            self.have_indexes(id, indexes);
        }
        Ok(Put::Placed(Base { shift: shift.cast_signed(), ..Base::NONE }))
    }

    /// Puts an entry back, in place of what is under its key.
    pub fn entry_load(&mut self, dict: &Name, entry: &Entry) -> Put {
        let Some(id) = self.dict_id(dict) else { return Put::Refused(Refusal::Orphan) };
        let Entry { key, version, data, schema, ends_at } = entry;
        let life = ends_at.map(Life::by_wall);
        let value = Value { version: *version, data: data.clone(), schema: *schema, life };
        let key: Box<str> = key.as_str().into();
        self.put_value((id, key.clone()), value);
        let (primitive, sequence) = (Primitive::Dict, Some(*version));
        Put::Written(Some(Changed { primitive, row: id, sequence, key: Some(key) }))
    }

    pub(super) fn dict_id(&self, name: &Name) -> Option<u64> {
        self.dict_names.get(name).copied()
    }

    /// A value that is there, as the transaction sees it.
    fn dict_value(&self, me: &Caller, dict: u64, key: &str) -> Option<Value> {
        let value = self.values.get(&(dict, key.into()))?;
        value.is_there(me.now, &me.boot).then(|| value.clone())
    }

    /// One change more of a dict, which comes into being with the first: its row, and its version since then.
    fn dict_changed(&mut self, name: &Name) -> (u64, u64) {
        let id = self.dict_or_new(name);
        let before = self.dicts.get(&id);
        let version = before.map_or(0, |dict| dict.version) + 1;
        let seal = before.and_then(|dict| dict.seal.clone());
        self.dicts.put(id, Dict { name: name.clone(), version, seal });
        (id, version)
    }

    /// The row of a dict; of one that has had no change yet if there was none.
    pub fn dict_or_new(&mut self, name: &Name) -> u64 {
        self.dict_id(name).unwrap_or_else(|| {
            let id = self.next(Counter::Dict);
            self.dict_names.put(name.clone(), id);
            self.dicts.put(id, Dict { name: name.clone(), version: 0, seal: None });
            id
        })
    }

    /// Whether a dict keeps its values sealed; `None` if there is none.
    pub fn is_sealed(&self, name: &Name) -> Option<bool> {
        self.dict_id(name).and_then(|id| self.dicts.get(&id)).map(|dict| dict.seal.is_some())
    }

    /// Has a dict that was never used keep its values sealed.
    pub fn dict_seal(&mut self, seal: &Seal) -> Option<Kept> {
        let indexed = self.dict_id(&seal.dict).is_some_and(|id| self.is_indexed(id)).then_some(Kept::Plain);
        let kept = self.dict_id(&seal.dict).and_then(|id| self.dicts.get(&id)?.kept()).or(indexed);
        if kept.is_none() {
            let id = self.dict_or_new(&seal.dict);
            self.dicts.put(id, Dict { name: seal.dict.clone(), version: 0, seal: Some(seal.seal.clone()) });
        }
        kept
    }

    fn put_value(&mut self, key: Key, value: Value) {
        self.drop_value(&key);
        if let Some(life) = value.life {
            self.ends.put((life.wall_ms, key.clone()), ());
        }
        self.keep_in_indexes(&key, &value.data, true);
        self.values.put(key, value);
    }

    fn drop_value(&mut self, key: &Key) {
        let Some(Value { life, data, .. }) = self.values.get(key).cloned() else { return };
        if let Some(life) = life {
            self.ends.remove(&(life.wall_ms, key.clone()));
        }
        self.keep_in_indexes(key, &data, false);
        self.values.remove(key);
    }

    /// Removes some of those whose time is over.
    fn dict_sweep(&mut self, me: &Caller) {
        let may_be_over = self.ends.range(..(me.now.wall_ms.saturating_add(1), (0, Box::from(""))));
        let keys: Vec<Key> =
            may_be_over.take(limits::ENTRIES_SWEPT as usize).map(|((_, key), ())| key.clone()).collect();
        for key in keys {
            if self.values.get(&key).is_some_and(|value| !value.is_there(me.now, &me.boot)) {
                self.drop_value(&key);
            }
        }
    }
}

/// What is read.
impl Store {
    /// One entry.
    pub fn dict_entry(&self, name: &Name, key: &str, now: Moment) -> Option<Entry> {
        let id = *self.dict_names.get(name)?;
        let value = self.values.get(&(id, key.into()))?;
        value.is_there(now, &self.boot).then(|| value.shown(key))
    }

    /// One page of a dict.
    pub fn dict_page(&self, query: &Query, now: Moment) -> Result<Page> {
        let Some(id) = self.dict_names.get(&query.dict) else { return Ok(Page::default()) };
        if query.filter.is_some() && self.dicts.get(id).is_some_and(|dict| dict.seal.is_some()) {
            return Err(unfiltered(&query.dict));
        }
        let after = query.after.as_deref();
        let from = after.filter(|after| !query.backward && *after > &*query.prefix).unwrap_or(&query.prefix);
        let own = self.values.range((*id, Box::from(from))..=(*id, behind(&query.prefix).into()));
        let own = own
            .filter(|((_, key), value)| key.starts_with(&*query.prefix) && value.is_there(now, &self.boot));
        let own = own.map(|((_, key), value)| (&**key, value));
        let matcher = query.filter.as_ref().map(|filter| Matcher::new(filter, self.fields));
        let wanted = |value: &Value| matcher.as_ref().is_none_or(|matcher| matcher.matches(&value.data));
        if query.backward {
            let own = own.rev().filter(|(key, _)| after.is_none_or(|after| *key < after));
            Ok(take(query.limit, own, wanted))
        } else {
            Ok(take(query.limit, own.filter(|(key, _)| after.is_none_or(|after| *key > after)), wanted))
        }
    }

    /// How a dict keeps its values.
    pub fn dict_kept(&self, name: &Name) -> Option<Kept> {
        let id = *self.dict_names.get(name)?;
        let indexed = self.is_indexed(id).then_some(Kept::Plain);
        self.dicts.get(&id)?.kept().or(indexed)
    }

    /// Row and version of a dict.
    pub fn dict_stamp(&self, name: &Name) -> Option<(u64, u64)> {
        let id = *self.dict_names.get(name)?;
        self.dicts.get(&id).map(|dict| (id, dict.version))
    }

    /// How a dict stands, but for its entries.
    pub fn dict_row(&self, name: &Name) -> Option<Head> {
        let id = *self.dict_names.get(name)?;
        let dict = self.dicts.get(&id)?;
        let sealed = dict.seal.is_some();
        Some(Head { id, name: dict.name.to_string(), version: dict.version, count: 0, sealed })
    }

    /// How a dict stands.
    pub fn dict_head(&self, name: &Name, now: Moment) -> Option<Head> {
        let head = self.dict_row(name)?;
        let own = self.values.range((head.id, Box::from(""))..(head.id + 1, Box::from("")));
        let count = own.filter(|(_, value)| value.is_there(now, &self.boot)).count() as u64;
        Some(Head { count, ..head })
    }

    /// Dicts by name, but for their entries.
    pub fn dict_rows(&self, after: Option<&str>, limit: u32) -> Vec<Head> {
        let names = self.dict_names.range(name::behind(after));
        names.filter_map(|(name, _)| self.dict_row(name)).take(limit as usize).collect()
    }

    /// Dicts by name.
    pub fn dict_list(&self, after: Option<&str>, limit: u32, now: Moment) -> Vec<Head> {
        let names = self.dict_names.range(name::behind(after));
        names.filter_map(|(name, _)| self.dict_head(name, now)).take(limit as usize).collect()
    }
}

/// Takes rows until the page is full, by count or by size.
fn take<'a>(
    limit: u32,
    mut rows: impl Iterator<Item = (&'a str, &'a Value)>,
    wanted: impl Fn(&Value) -> bool,
) -> Page {
    let (mut page, mut bytes, mut others) = (Page::default(), 0, 0);
    while page.entries.len() < limit as usize && bytes < limits::PAGE_BYTES {
        let Some((key, value)) = rows.next() else { return page };
        if !wanted(value) {
            others += 1;
            if others < limits::OTHERS_PER_PAGE {
                continue;
            }
            page.last = Some(key.to_owned());
            break;
        }
        bytes += value.data.bytes().len();
        page.last = Some(key.to_owned());
        page.entries.push(Ok(value.shown(key)));
    }
    page.more = limit > 0;
    page
}
