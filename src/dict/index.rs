//! Which fields of a dict's values are indexed, and which index a filter uses.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::storage::View;
use millpond_actors::storage::dict::{DropIndex, Index, Indexed, MakeIndex, Progress, Query, unfiltered};
use millpond_actors::storage::filter::plan::{MOST, Standing, Way};
use millpond_actors::storage::filter::{Filter, Path};

use super::Dict;
use crate::filter::Where;

/// An index of a [`Dict`], as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DictIndex {
    /// Of which field: its path, as [`Where`] has it.
    pub field: String,
    /// Whether everything is in it, so that it is used. One that is not is being made or removed, or whoever did that has died:
    /// [`Dict::index`] and [`Dict::unindex`] go on where it was left.
    pub complete: bool,
    /// Whether it is being removed.
    pub leaving: bool,
    /// So many entries are in it: those that have a value there that is compared. What is over may be among them.
    pub entries: u64,
}

/// How entries are found that a filter wants; see [`Dict::explain`]. For people it is some lines.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explained {
    /// The field whose index leads to them; `None` if all entries are looked at.
    pub index: Option<String>,
    /// The parts of the filter that the index answers.
    pub answered: Vec<String>,
    /// The parts that are looked at in each value.
    pub left: Vec<String>,
    /// So many entries are looked at; at most if [`or_more`](Explained::or_more) is not set.
    pub entries: u64,
    /// There are more than that, which were not counted.
    pub or_more: bool,
    /// The other indexes, each with the reason why it is not used.
    pub unused: Vec<(String, String)>,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = match (self.entries, self.or_more) {
            (count, true) => format!("{count} entries and more"),
            (1, false) => "1 entry".to_owned(),
            (count, false) => format!("{count} entries"),
        };
        match &self.index {
            Some(index) => {
                writeln!(f, "the index of {index} leads to {count}, by {}", self.answered.join(" and "))?;
            }
            None => writeln!(f, "no index is used: all there is is looked at, {count}")?,
        }
        if !self.left.is_empty() {
            writeln!(f, "in each of them is looked at {}", self.left.join(" and "))?;
        }
        for (index, reason) in &self.unused {
            writeln!(f, "the index of {index} is not used: {reason}")?;
        }
        Ok(())
    }
}

impl<T> Dict<T> {
    /// Indexes fields of the values, for [filters](Where) in whatever process, until they are [unindexed](Dict::unindex); at most 16
    /// of a dict. Every write keeps them up from now on, in its own commit. What is there already is indexed by 1,000 entries a
    /// commit; an index is used once that is done, which is when this returns. A field that is indexed already stays as it is.
    ///
    /// An index leads to entries for `=`, `in`, `<`, `<=`, `>`, `>=` and `begins with` on its field, where they always have to be so:
    /// alone, or joined by "and". It costs a row more for each value that has such a field. An entry that was damaged when it was
    /// indexed is in no index.
    ///
    /// Cancel-safe: what has been done stays, and is gone on with by the next call, whoever makes it.
    ///
    /// # Errors
    /// A bad name or path; [`Error::TooLarge`] if there would be too many; [`Error::Corrupt`] if one that is there is damaged;
    /// [`Error::Busy`]; what the database said.
    ///
    /// # Examples
    /// ```
    /// use millpond::{Json, Store, field};
    /// # futures_executor::block_on(async {
    /// let orders = Store::memory().await?.dict::<Json>("orders");
    /// orders.index(["customer.city", "cents"]).await?;
    /// let delft = [("city", "Delft")].into_iter().collect::<Json>();
    /// orders.set("1", &[("customer", delft), ("cents", 500.into())].into_iter().collect()).await?;
    ///
    /// let small = field("customer.city").equal("Delft").and(field("cents").less(1_000));
    /// let explained = orders.explain(small.clone()).await?;
    /// assert_eq!(explained.index.as_deref(), Some("cents"));
    /// assert_eq!(orders.count_where("", small).await?, 1);
    /// # Ok::<(), millpond::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn index(&self, fields: impl IntoIterator<Item = impl AsRef<str>>) -> Result<()> {
        let make = self.making(&paths(fields)?)?;
        while more(self.runtime.write(make.clone()).await?, &make)? {}
        Ok(())
    }

    /// The same for a thread that waits.
    pub(crate) fn index_blocking(&self, fields: impl IntoIterator<Item = impl AsRef<str>>) -> Result<()> {
        let make = self.making(&paths(fields)?)?;
        while more(self.runtime.write_blocking(make.clone())?, &make)? {}
        Ok(())
    }

    /// Removes indexes, by 1,000 entries a commit; from the first of them on they are not used any more. How many there were.
    ///
    /// Cancel-safe: as [`index`](Dict::index).
    ///
    /// # Errors
    /// A bad name or path; [`Error::Busy`]; what the database said.
    pub async fn unindex(&self, fields: impl IntoIterator<Item = impl AsRef<str>>) -> Result<u64> {
        let (drop, mut all) = (self.dropping(&paths(fields)?)?, 0);
        loop {
            let done = self.runtime.write(drop.clone()).await?;
            all += done.removed;
            if !done.more {
                return Ok(all);
            }
        }
    }

    /// The same for a thread that waits.
    pub(crate) fn unindex_blocking(&self, fields: impl IntoIterator<Item = impl AsRef<str>>) -> Result<u64> {
        let (drop, mut all) = (self.dropping(&paths(fields)?)?, 0);
        loop {
            let done = self.runtime.write_blocking(drop.clone())?;
            all += done.removed;
            if !done.more {
                return Ok(all);
            }
        }
    }

    /// The indexes there are, by field. What is in them is counted for it.
    ///
    /// # Errors
    /// A bad name; [`Error::Corrupt`] if one is damaged; what the database said.
    pub async fn indexes(&self) -> Result<Vec<DictIndex>> {
        let name = self.name()?;
        Ok(self.runtime.read(move |view| view.dict_indexes(&name)).await?.into_iter().map(shown).collect())
    }

    /// The same for a thread that waits.
    pub(crate) fn indexes_blocking(&self) -> Result<Vec<DictIndex>> {
        let name = self.name()?;
        let all = self.runtime.read_blocking(move |view| view.dict_indexes(&name))?;
        Ok(all.into_iter().map(shown).collect())
    }

    /// How many entries there are whose keys begin so and whose values are so. They are read for it, page by page, and not decoded.
    ///
    /// # Errors
    /// A bad name or filter; [`Error::Corrupt`] if an entry is damaged, which may be one of them; what the database said.
    pub async fn count_where(&self, prefix: impl AsRef<str>, filter: Where) -> Result<u64> {
        let (mut query, mut all) = (self.wanted(prefix.as_ref(), filter)?, 0);
        loop {
            let (count, behind) = self.runtime.read(self.counting(query.clone())).await?;
            all += count;
            let Some(last) = behind else { return Ok(all) };
            query.after = Some(last.into());
        }
    }

    /// The same for a thread that waits.
    pub(crate) fn count_where_blocking(&self, prefix: &str, filter: Where) -> Result<u64> {
        let (mut query, mut all) = (self.wanted(prefix, filter)?, 0);
        loop {
            let (count, behind) = self.runtime.read_blocking(self.counting(query.clone()))?;
            all += count;
            let Some(last) = behind else { return Ok(all) };
            query.after = Some(last.into());
        }
    }

    /// How entries would be found that a filter wants: by which index, and what is left to be looked at. A store in memory finds the
    /// same, and always looks at everything.
    ///
    /// # Errors
    /// A bad name or filter; what the database said.
    pub async fn explain(&self, filter: Where) -> Result<Explained> {
        self.runtime.read(self.explaining(filter)?).await
    }

    /// The same for a thread that waits.
    pub(crate) fn explain_blocking(&self, filter: Where) -> Result<Explained> {
        self.runtime.read_blocking(self.explaining(filter)?)
    }

    fn making(&self, paths: &BTreeSet<Path>) -> Result<MakeIndex> {
        let paths = paths.iter().cloned().collect();
        Ok(MakeIndex { dict: self.name()?, paths, limit: limits::INDEXED_AT_ONCE })
    }

    fn dropping(&self, paths: &BTreeSet<Path>) -> Result<DropIndex> {
        let paths = paths.iter().cloned().collect();
        Ok(DropIndex { dict: self.name()?, paths, limit: limits::INDEXED_AT_ONCE })
    }

    fn wanted(&self, prefix: &str, filter: Where) -> Result<Query> {
        let (dict, filter, limit) = (self.name()?, Some(filter.filter()?), limits::PAGE_ROWS);
        Ok(Query { dict, prefix: prefix.into(), after: None, backward: false, filter, limit })
    }

    /// Counts the entries of a page, and says behind which key there may be more.
    fn counting(
        &self,
        query: Query,
    ) -> impl FnOnce(&mut dyn View) -> Result<(u64, Option<String>)> + Send + 'static + use<T> {
        let clock = Arc::clone(&self.runtime.seams().clock);
        move |view| {
            let page = view.dict_page(&query, clock.now())?;
            let count = page.entries.len() as u64;
            page.entries.into_iter().try_for_each(|entry| entry.map(drop))?;
            Ok((count, page.last.filter(|_| page.more)))
        }
    }

    fn explaining(
        &self,
        filter: Where,
    ) -> Result<impl FnOnce(&mut dyn View) -> Result<Explained> + Send + 'static + use<T>> {
        let (query, clock) = (self.wanted("", filter)?, Arc::clone(&self.runtime.seams().clock));
        Ok(move |view: &mut dyn View| {
            let (ways, indexes) = (view.dict_ways(&query)?, view.dict_indexes(&query.dict)?);
            let count = || Ok(view.dict(&query.dict, clock.now())?.map_or(0, |head| head.count));
            let parts: Vec<&Filter> = query.filter.as_ref().map_or(Vec::new(), |filter| filter.parts());
            explained(&parts, ways, indexes, count)
        })
    }
}

/// Paths, each once.
fn paths(fields: impl IntoIterator<Item = impl AsRef<str>>) -> Result<BTreeSet<Path>> {
    fields.into_iter().map(|field| Path::parse(field.as_ref())).collect()
}

/// Whether there is more to be indexed.
fn more(indexed: Indexed, make: &MakeIndex) -> Result<bool> {
    match indexed {
        Indexed::Done { more } => Ok(more),
        Indexed::Sealed => Err(unfiltered(&make.dict)),
        Indexed::TooMany { there } => {
            let (size, limit) = (there + make.paths.len() as u64, limits::INDEXES_PER_DICT as u64);
            Err(Error::TooLarge { what: "the indexes of a dict, with those that are there,", size, limit })
        }
    }
}

fn shown(index: Index) -> DictIndex {
    let Index { path, progress, rows } = index;
    let (complete, leaving) = (progress == Progress::Complete, progress == Progress::Leaving);
    DictIndex { field: path.to_string(), complete, leaving, entries: rows }
}

/// What is to be said of how the indexes stand to a filter.
fn explained(
    parts: &[&Filter],
    ways: Vec<Standing>,
    indexes: Vec<Index>,
    count: impl FnOnce() -> Result<u64>,
) -> Result<Explained> {
    let (mut used, mut unused, mut known): (Option<Way>, _, BTreeSet<Path>) =
        (None, Vec::new(), BTreeSet::new());
    for standing in ways {
        let (way, reason) = match standing {
            Standing::Used(way) => {
                known.insert(way.path.clone());
                used = Some(way);
                continue;
            }
            Standing::Another(way) => (way, "another one leads to fewer entries"),
            Standing::Wide(way) => (way, "it leads to so many that to look at everything is no more work"),
        };
        unused.push((way.path.to_string(), format!("{reason} ({})", counted(way.rows))));
        known.insert(way.path);
    }
    for Index { path, progress, .. } in indexes.into_iter().filter(|index| !known.contains(&index.path)) {
        let reason = match progress {
            Progress::Building(_) => "it is not complete yet",
            Progress::Leaving => "it is being removed",
            Progress::Complete => "nothing that it can answer always has to be so",
        };
        unused.push((path.to_string(), reason.to_owned()));
    }
    let is_left = |part: &&&Filter| used.as_ref().is_none_or(|way| !way.parts.contains(part));
    let left = parts.iter().filter(is_left).map(ToString::to_string).collect();
    let (index, answered, entries) = match used {
        Some(way) => {
            let answered = way.parts.iter().map(Filter::to_string).collect();
            (Some(way.path.to_string()), answered, way.rows)
        }
        None => (None, Vec::new(), count()?),
    };
    let or_more = index.is_some() && entries > MOST;
    Ok(Explained { index, answered, left, entries: if or_more { MOST } else { entries }, or_more, unused })
}

fn counted(rows: u64) -> String {
    if rows > MOST { format!("more than {MOST}") } else { rows.to_string() }
}
