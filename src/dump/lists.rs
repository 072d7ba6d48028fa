//! Lists in a dump: each with its items in their order.

use std::borrow::Cow;
use std::collections::HashSet;

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::storage::list::{Item, Query};
use millpond_actors::storage::record::Record;
use serde::{Deserialize, Serialize};

use super::lines::check_size;
use super::payload::Payload;
use super::subjects::ByName;
use super::{Order, Section, Sink, Source, go_on, words};
use crate::codec::{from_line, to_json};

pub(super) struct Lists;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ListLine<'a> {
    kind: Cow<'a, str>,
    name: Cow<'a, str>,
    version: u64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ItemLine<'a> {
    kind: Cow<'a, str>,
    list: Cow<'a, str>,
    version: u64,
    schema: u32,
    #[serde(borrow)]
    data: Payload<'a>,
}

impl Section for Lists {
    fn word(&self) -> &'static str {
        "list"
    }

    fn read(&self, source: &mut Source<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let mut after: Option<String> = None;
        loop {
            let page = source.view.lists(after.as_deref(), limits::PAGE_ROWS)?;
            let Some(last) = page.last() else { return Ok(()) };
            go_on("list", &mut after, &last.name)?;
            for head in page {
                if source.wanted.wants(self.word(), &head.name) {
                    let (name, version) = (Name::new(&head.name)?, head.version);
                    sink(Ok(Record::List { name: name.clone(), version }))?;
                    read_items(source, &name, sink)?;
                }
            }
        }
    }

    fn parse(&self, kind: &str, line: &str) -> Result<Record, String> {
        match kind {
            "list" => {
                let ListLine { name, version, .. } = from_line(line)?;
                Ok(Record::List { name: Name::new(name).map_err(words)?, version })
            }
            "list.item" => {
                let ItemLine { list, version, schema, data, .. } = from_line(line)?;
                let data = data.data()?;
                check_size("the item of a list in bytes", data.bytes().len(), limits::ITEM_BYTES)?;
                let item = Box::new(Item { version, data, schema });
                Ok(Record::Item { list: Name::new(list).map_err(words)?, item })
            }
            _ => Err(format!("there is no kind \"{}\"", kind.escape_debug())),
        }
    }

    fn order(&self) -> Box<dyn Order> {
        Box::new(Versions::default())
    }
}

fn read_items(source: &mut Source<'_>, list: &Name, sink: &mut Sink<'_>) -> Result<()> {
    let mut from = 0;
    loop {
        let query = Query { list: list.clone(), from, limit: limits::PAGE_ROWS };
        let page = match source.view.list_page(&query) {
            Ok(page) => page,
            // Behind a node that is damaged nobody knows what comes next.
            Err(error) => return sink(Err(error)),
        };
        if page.items.is_empty() {
            return Ok(());
        }
        from += page.items.len() as i64;
        for item in page.items {
            sink(item.map(|item| Record::Item { list: list.clone(), item: Box::new(item) }))?;
        }
    }
}

/// The line of a list or an item.
pub(super) fn line(record: &Record) -> Result<String> {
    match record {
        Record::List { name, version } => {
            let line = ListLine { kind: "list".into(), name: name.as_str().into(), version: *version };
            to_json("a list", &line)
        }
        Record::Item { list, item } => {
            let Item { version, data, schema } = &**item;
            let line = ItemLine {
                kind: "list.item".into(),
                list: list.as_str().into(),
                version: *version,
                schema: *schema,
                data: Payload::of(data),
            };
            to_json("an item of a list", &line)
        }
        _ => Ok(String::new()),
    }
}

/// Lists by name; in each, items in whatever order of their versions, each of which is there once.
#[derive(Default)]
struct Versions {
    lists: ByName,
    now: Option<(Name, u64, HashSet<u64>)>,
}

impl Order for Versions {
    fn next(&mut self, record: &Record) -> Result<(), String> {
        match record {
            Record::List { name, version } => {
                self.lists.step(name)?;
                if *version >= limits::LAST_SEQUENCE {
                    return Err(format!("no list has had {version} changes"));
                }
                self.now = Some((name.clone(), *version, HashSet::new()));
                Ok(())
            }
            Record::Item { list, item } => {
                let Some((_, version, seen)) = self.now.as_mut().filter(|(name, ..)| name == list) else {
                    return Err(format!("it is of list \"{list}\", which does not come before it"));
                };
                if item.version == 0 || item.version > *version {
                    return Err(format!("list \"{list}\" has had {version} changes, not {}", item.version));
                }
                if !seen.insert(item.version) {
                    return Err(format!("two items of list \"{list}\" have version {}", item.version));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), String> {
        Ok(())
    }
}
