//! The entries of a dict, read page by page: all of them in the order of their keys, or those that an index leads to.

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::storage::dict::{Entry, Page, Query, behind, unfiltered};
use millpond_actors::storage::filter::plan::{self, Way};
use millpond_actors::storage::filter::{Fields, Filter, Matcher, Path};
use rusqlite::{Connection, params};

use super::dict::{Clocks, Dict, Found, dict, entries, find, read};
use super::dict_index::{self, Declared};
use super::error::{corrupt, database};

/// One bound each: by a second one the rows would be walked that lie between the two.
const FROM: &str = entries!("WHERE dict = ?1 AND key >= ?2 ORDER BY key");
const BEFORE: &str = entries!("WHERE dict = ?1 AND key < ?2 ORDER BY key DESC");

/// Reads one page, within one snapshot.
pub(super) fn page(connection: &Connection, query: &Query, clocks: Clocks, fields: Fields) -> Result<Page> {
    let Some(dict) = dict(connection, &query.dict)? else { return Ok(Page::default()) };
    if query.filter.is_some() && dict.sealed {
        return Err(unfiltered(&query.dict));
    }
    let matcher = query.filter.as_ref().map(|filter| Matcher::new(filter, fields));
    let reading = Reading { query, clocks, matcher, page: Page::default(), bytes: 0, others: 0 };
    if let Some(filter) = query.filter.as_ref().filter(|_| dict.indexed > 0)
        && let Some((index, way)) = way(connection, &dict, filter)?
    {
        return reading.by_index(connection, &dict, &Led { index, way, fields });
    }
    reading.by_key(connection, &dict)
}

/// The index that a page is read by, if there is one that leads to few enough.
fn way(connection: &Connection, dict: &Dict, filter: &Filter) -> Result<Option<(u64, Way)>> {
    let indexes = dict_index::complete(connection, dict.id)?;
    let paths: Vec<Path> = indexes.iter().map(|index| index.path.clone()).collect();
    let mut count = |path: &Path, spans: &[plan::Span]| dict_index::count(connection, &indexes, path, spans);
    let Some(way) = plan::pick(filter, &paths, &mut count)? else { return Ok(None) };
    let is_it = |index: &&Declared| index.path == way.path;
    Ok(indexes.iter().find(is_it).map(|index| index.id).map(|index| (index, way)))
}

/// What leads to entries.
struct Led {
    index: u64,
    way: Way,
    fields: Fields,
}

/// A row of an index: what stands at the path, cut off, and the key of the entry.
type Place = (Vec<u8>, String);

/// A page that is being read.
struct Reading<'q> {
    query: &'q Query,
    clocks: Clocks,
    matcher: Option<Matcher>,
    page: Page,
    bytes: usize,
    others: u32,
}

impl Reading<'_> {
    /// The key at which it begins, inclusive, or that it begins before, if it goes backward.
    fn begins(&self) -> String {
        let Query { prefix, after, backward, .. } = self.query;
        let end = behind(prefix);
        match after.as_deref() {
            Some(after) if *backward && *after < *end => after.to_owned(),
            _ if *backward => end,
            // The next text behind it.
            Some(after) if *after >= **prefix => format!("{after}\0"),
            _ => (**prefix).to_owned(),
        }
    }

    fn is_full(&self) -> bool {
        self.page.entries.len() >= self.query.limit as usize
            || self.bytes >= limits::PAGE_BYTES
            || self.others >= limits::OTHERS_PER_PAGE
    }

    /// The page, which ended before there were no more.
    fn full(mut self) -> Page {
        self.page.more = self.query.limit > 0;
        self.page
    }

    /// Takes an entry in if it is there and wanted. One that is damaged is told of, whatever is wanted.
    fn take(&mut self, key: String, found: Result<Found>) {
        let entry = match found {
            Ok(found) if !found.is_there(self.clocks) => return,
            Ok(found) => Ok(found.entry),
            Err(error) => Err(error),
        };
        let is_wanted =
            |entry: &Entry| self.matcher.as_ref().is_none_or(|matcher| matcher.matches(&entry.data));
        if entry.as_ref().is_ok_and(|entry| !is_wanted(entry)) {
            self.others += 1;
            // Nobody is told of it, unless the page ends here.
            if self.others >= limits::OTHERS_PER_PAGE {
                self.page.last = Some(key);
            }
            return;
        }
        self.bytes += entry.as_ref().map_or(0, |entry| entry.data.bytes().len());
        self.page.last = Some(key);
        self.page.entries.push(entry);
    }

    /// All entries, in order.
    fn by_key(mut self, connection: &Connection, dict: &Dict) -> Result<Page> {
        let sql = if self.query.backward { BEFORE } else { FROM };
        let mut statement = connection.prepare_cached(sql).map_err(database)?;
        let mut rows = statement.query(params![dict.id, self.begins()]).map_err(database)?;
        while !self.is_full() {
            let Some(row) = rows.next().map_err(database)? else { return Ok(self.page) };
            // One that is damaged may be no text any more, and yet is in the order of its bytes.
            let bytes = row.get_ref(0).map_err(database)?.as_bytes().unwrap_or_default();
            let key = String::from_utf8_lossy(bytes).into_owned();
            if !key.starts_with(&*self.query.prefix) {
                return Ok(self.page);
            }
            self.take(key, read(row, &self.query.dict));
        }
        Ok(self.full())
    }

    /// The entries that an index leads to, in the order of their keys.
    fn by_index(mut self, connection: &Connection, dict: &Dict, led: &Led) -> Result<Page> {
        let mut from = self.begins();
        while !self.is_full() {
            let (places, more) = self.places(connection, led, &from)?;
            for (value, key) in places {
                if self.is_full() {
                    return Ok(self.full());
                }
                from = if self.query.backward { key.clone() } else { format!("{key}\0") };
                let found =
                    self.checked(find(connection, &self.query.dict, dict.id, &key), led, &value, &key);
                self.take(key, found);
            }
            if !more && !self.is_full() {
                return Ok(self.page);
            }
        }
        Ok(self.full())
    }

    /// Some places of an index from a key on, in the order of the keys; whether there may be more behind them.
    fn places(&self, connection: &Connection, led: &Led, from: &str) -> Result<(Vec<Place>, bool)> {
        let (backward, by_points) = (self.query.backward, led.way.is_by_points());
        let sql = match (by_points, backward) {
            (true, false) => AT_POINT,
            (true, true) => AT_POINT_BACK,
            (false, _) => WITHIN,
        };
        // What is within a span is in the order of what it leads to, so all of it is put in order; a plan sees to it that it is
        // not too much.
        let most = if by_points { self.query.limit.clamp(1, limits::PAGE_ROWS) } else { u32::MAX };
        let (low, high) = if backward {
            (&*self.query.prefix, from.to_owned())
        } else {
            (from, behind(&self.query.prefix))
        };
        let (mut places, mut more): (Vec<Place>, _) = (Vec::new(), false);
        let mut statement = connection.prepare_cached(sql).map_err(database)?;
        for span in &led.way.spans {
            let values = params![led.index, span.low.bytes(), span.high.bytes(), low, high, most];
            let rows = statement.query_map(values, |row| Ok((row.get(0)?, row.get(1)?))).map_err(database)?;
            let before = places.len();
            for row in rows {
                places.push(row.map_err(database)?);
            }
            more |= places.len() - before >= most as usize;
        }
        places.sort_by(|(_, a), (_, b)| if backward { b.cmp(a) } else { a.cmp(b) });
        more |= places.len() > most as usize;
        places.truncate(most as usize);
        Ok((places, more))
    }

    /// What an index leads to has to be what it says.
    fn checked(&self, found: Result<Option<Found>>, led: &Led, value: &[u8], key: &str) -> Result<Found> {
        let lies = || {
            let detail = format!("the index of {} leads to \"{key}\", where something else is", led.way.path);
            corrupt("index of dict", self.query.dict.as_str(), 0, detail)
        };
        let found = found?.ok_or_else(lies)?;
        let stands = led.fields.key(&found.entry.data, &led.way.path);
        if stands.is_some_and(|stands| stands.bytes() == value) { Ok(found) } else { Err(lies()) }
    }
}

const AT_POINT: &str = "SELECT value, key FROM dict_indexed
    WHERE dict_index = ?1 AND value = ?2 AND value = ?3 AND key >= ?4 AND key < ?5 ORDER BY key LIMIT ?6";
const AT_POINT_BACK: &str = "SELECT value, key FROM dict_indexed
    WHERE dict_index = ?1 AND value = ?2 AND value = ?3 AND key >= ?4 AND key < ?5 ORDER BY key DESC LIMIT ?6";
const WITHIN: &str = "SELECT value, key FROM dict_indexed
    WHERE dict_index = ?1 AND value BETWEEN ?2 AND ?3 AND key >= ?4 AND key < ?5 LIMIT ?6";
