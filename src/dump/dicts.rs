//! Dicts in a dump: each with its entries by key. What is over is not there.

use std::borrow::Cow;

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::name::{self, Name};
use millpond_actors::storage::dict::{Entry, Kept, Progress, Query};
use millpond_actors::storage::filter::Path;
use millpond_actors::storage::record::Record;
use serde::{Deserialize, Serialize};

use super::lines::check_size;
use super::payload::{Payload, bytes_of, text_of};
use super::subjects::ByName;
use super::{Order, Section, Sink, Source, go_on, words};
use crate::codec::{from_line, to_json};

pub(super) struct Dicts;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct DictLine<'a> {
    kind: Cow<'a, str>,
    name: Cow<'a, str>,
    version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seal: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    indexes: Vec<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct EntryLine<'a> {
    kind: Cow<'a, str>,
    dict: Cow<'a, str>,
    key: Cow<'a, str>,
    version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_at: Option<i64>,
    schema: u32,
    #[serde(borrow)]
    data: Payload<'a>,
}

impl Section for Dicts {
    fn word(&self) -> &'static str {
        "dict"
    }

    fn read(&self, source: &mut Source<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let mut after: Option<String> = None;
        loop {
            let page = source.view.dicts(after.as_deref(), limits::PAGE_ROWS, source.now)?;
            let Some(last) = page.last() else { return Ok(()) };
            go_on("dict", &mut after, &last.name)?;
            for head in page {
                if source.wanted.wants(self.word(), &head.name) {
                    let (name, version) = (Name::new(&head.name)?, head.version);
                    let seal = match source.view.dict_kept(&name)? {
                        Some(Kept::Sealed(seal)) => Some(seal),
                        Some(Kept::Plain) | None => None,
                    };
                    let all = source.view.dict_indexes(&name)?.into_iter();
                    // One that leaves is as good as gone.
                    let stay = all.filter(|index| index.progress != Progress::Leaving);
                    let indexes = stay.map(|index| index.path).collect();
                    sink(Ok(Record::Dict { name: name.clone(), version, seal, indexes }))?;
                    read_entries(source, &name, sink)?;
                }
            }
        }
    }

    fn parse(&self, kind: &str, line: &str) -> Result<Record, String> {
        match kind {
            "dict" => {
                let DictLine { name, version, seal, indexes, .. } = from_line(line)?;
                let seal = seal.map(|seal| bytes_of(&seal)).transpose()?.map(Box::from);
                let parsed = indexes.iter().map(|path| Path::parse(path).map_err(words));
                let indexes: Vec<Path> = parsed.collect::<Result<_, _>>()?;
                let sorted = indexes.iter().map(Path::to_string).collect::<Vec<_>>();
                if !sorted.is_sorted_by(|a, b| a < b) || sorted.len() > limits::INDEXES_PER_DICT {
                    return Err("its indexes are not in their order, or too many".to_owned());
                }
                if seal.is_some() && !indexes.is_empty() {
                    return Err("what is sealed has no indexes".to_owned());
                }
                Ok(Record::Dict { name: Name::new(name).map_err(words)?, version, seal, indexes })
            }
            "dict.entry" => {
                let EntryLine { dict, key, version, ends_at, schema, data, .. } = from_line(line)?;
                let data = data.data()?;
                check_size("the value of a dict in bytes", data.bytes().len(), limits::ENTRY_BYTES)?;
                name::check("key of a dict", &key, limits::NAME_BYTES).map_err(words)?;
                let entry = Box::new(Entry { key: key.into_owned(), version, data, schema, ends_at });
                Ok(Record::Entry { dict: Name::new(dict).map_err(words)?, entry })
            }
            _ => Err(format!("there is no kind \"{}\"", kind.escape_debug())),
        }
    }

    fn order(&self) -> Box<dyn Order> {
        Box::new(Keys::default())
    }
}

fn read_entries(source: &mut Source<'_>, dict: &Name, sink: &mut Sink<'_>) -> Result<()> {
    let (prefix, after, limit) = (Box::from(""), None, limits::PAGE_ROWS);
    let mut query = Query { dict: dict.clone(), prefix, after, backward: false, limit, filter: None };
    let mut reached = None;
    loop {
        let page = source.view.dict_page(&query, source.now)?;
        for entry in page.entries {
            let record = |entry| Record::Entry { dict: dict.clone(), entry: Box::new(entry) };
            sink(entry.map(record))?;
        }
        match page.last.filter(|_| page.more) {
            Some(last) => {
                go_on("entry of dict", &mut reached, &last)?;
                query.after = Some(last.into());
            }
            None => return Ok(()),
        }
    }
}

/// The line of a dict or an entry.
pub(super) fn line(record: &Record) -> Result<String> {
    match record {
        Record::Dict { name, version, seal, indexes } => {
            let line = DictLine {
                kind: "dict".into(),
                name: name.as_str().into(),
                version: *version,
                seal: seal.as_deref().map(|seal| text_of(seal).into()),
                indexes: indexes.iter().map(Path::to_string).collect(),
            };
            to_json("a dict", &line)
        }
        Record::Entry { dict, entry } => {
            let Entry { key, version, data, schema, ends_at } = &**entry;
            let line = EntryLine {
                kind: "dict.entry".into(),
                dict: dict.as_str().into(),
                key: key.into(),
                version: *version,
                ends_at: *ends_at,
                schema: *schema,
                data: Payload::of(data),
            };
            to_json("an entry of a dict", &line)
        }
        _ => Ok(String::new()),
    }
}

/// Dicts by name; in each, entries by key.
#[derive(Default)]
struct Keys {
    dicts: ByName,
    /// Name and version of the last, whether it is sealed, and the last key in it.
    now: Option<(Name, u64, bool, Option<String>)>,
}

impl Order for Keys {
    fn next(&mut self, record: &Record) -> Result<(), String> {
        match record {
            Record::Dict { name, version, seal, .. } => {
                self.dicts.step(name)?;
                if *version >= limits::LAST_SEQUENCE {
                    return Err(format!("no dict has had {version} changes"));
                }
                self.now = Some((name.clone(), *version, seal.is_some(), None));
                Ok(())
            }
            Record::Entry { dict, entry } => {
                let Some((_, version, sealed, last)) = self.now.as_mut().filter(|(name, ..)| name == dict)
                else {
                    return Err(format!("it is of dict \"{dict}\", which does not come before it"));
                };
                if entry.version == 0 || entry.version > *version {
                    return Err(format!("dict \"{dict}\" has had {version} changes, not {}", entry.version));
                }
                if entry.data.is_sealed() != *sealed {
                    return Err(format!("dict \"{dict}\" keeps its values otherwise"));
                }
                match last.replace(entry.key.clone()) {
                    Some(before) if before >= entry.key => {
                        Err(format!("key \"{}\" comes behind key \"{before}\"", entry.key))
                    }
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), String> {
        Ok(())
    }
}
