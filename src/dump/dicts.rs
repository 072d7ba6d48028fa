//! Dicts in a dump: each with its entries by key. What is over is not there.

use std::borrow::Cow;

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::name::{self, Name};
use millpond_actors::storage::dict::{Entry, Query};
use millpond_actors::storage::record::Record;
use serde::{Deserialize, Serialize};

use super::lines::check_size;
use super::payload::Payload;
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
                    sink(Ok(Record::Dict { name: name.clone(), version }))?;
                    read_entries(source, &name, sink)?;
                }
            }
        }
    }

    fn parse(&self, kind: &str, line: &str) -> Result<Record, String> {
        match kind {
            "dict" => {
                let DictLine { name, version, .. } = from_line(line)?;
                Ok(Record::Dict { name: Name::new(name).map_err(words)?, version })
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
    let mut query = Query { dict: dict.clone(), prefix, after, backward: false, limit };
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
        Record::Dict { name, version } => {
            let line = DictLine { kind: "dict".into(), name: name.as_str().into(), version: *version };
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
    now: Option<(Name, u64, Option<String>)>,
}

impl Order for Keys {
    fn next(&mut self, record: &Record) -> Result<(), String> {
        match record {
            Record::Dict { name, version } => {
                self.dicts.step(name)?;
                if *version >= limits::LAST_SEQUENCE {
                    return Err(format!("no dict has had {version} changes"));
                }
                self.now = Some((name.clone(), *version, None));
                Ok(())
            }
            Record::Entry { dict, entry } => {
                let Some((_, version, last)) = self.now.as_mut().filter(|(name, ..)| name == dict) else {
                    return Err(format!("it is of dict \"{dict}\", which does not come before it"));
                };
                if entry.version == 0 || entry.version > *version {
                    return Err(format!("dict \"{dict}\" has had {version} changes, not {}", entry.version));
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
