//! Subjects in a dump: those whose keys were destroyed, so that nobody makes new ones unawares; and the keys of the others, if they
//! are asked for.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::storage::record::Record;
use millpond_actors::storage::subject::{KEY_BYTES, KeyState, Secret};
use serde::{Deserialize, Serialize};

use super::{Order, Section, Sink, Source, go_on, words};
use crate::codec::{from_line, to_json};

pub(super) struct Subjects;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    kind: Cow<'a, str>,
    name: Cow<'a, str>,
    /// In Base64; none if it was destroyed.
    key: Option<Cow<'a, str>>,
}

impl Section for Subjects {
    fn word(&self) -> &'static str {
        "subject"
    }

    fn read(&self, source: &mut Source<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let mut after: Option<String> = None;
        loop {
            let page = source.view.subjects(after.as_deref(), limits::PAGE_ROWS)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            go_on("key of subject", &mut after, last)?;
            for (name, state) in page {
                if !source.wanted.wants(self.word(), &name) {
                    continue;
                }
                match state {
                    Ok(KeyState::Kept(_)) if !source.keys => {}
                    found => {
                        sink(found.and_then(|state| Ok(Record::Subject { name: Name::new(&name)?, state })))?
                    }
                }
            }
        }
    }

    fn parse(&self, _: &str, line: &str) -> Result<Record, String> {
        let Line { name, key, .. } = from_line(line)?;
        let state = match key {
            None => KeyState::Shredded,
            Some(key) => {
                let bytes =
                    BASE64.decode(&*key).ok().and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes).ok());
                let bytes = bytes.filter(|bytes| *bytes != [0; KEY_BYTES]);
                KeyState::Kept(Secret::new(bytes.ok_or("its key is no key")?))
            }
        };
        Ok(Record::Subject { name: Name::new(name).map_err(words)?, state })
    }

    fn order(&self) -> Box<dyn Order> {
        Box::new(ByName::default())
    }
}

/// The line of a subject.
pub(super) fn line(record: &Record) -> Result<String> {
    let Record::Subject { name, state } = record else { return Ok(String::new()) };
    let key = match state {
        KeyState::Kept(key) => Some(BASE64.encode(key.bytes()).into()),
        KeyState::Shredded => None,
    };
    to_json("a subject", &Line { kind: "subject".into(), name: name.as_str().into(), key })
}

/// Names that follow one another, each once.
#[derive(Default)]
pub(super) struct ByName {
    last: Option<Name>,
}

impl ByName {
    pub(super) fn step(&mut self, name: &Name) -> Result<(), String> {
        match self.last.replace(name.clone()) {
            Some(before) if before == *name => Err(format!("\"{name}\" comes twice")),
            Some(before) if before > *name => Err(format!("\"{name}\" comes behind \"{before}\"")),
            _ => Ok(()),
        }
    }
}

impl Order for ByName {
    fn next(&mut self, record: &Record) -> Result<(), String> {
        match record {
            Record::Subject { name, .. } | Record::Projection { name, .. } => self.step(name),
            _ => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), String> {
        Ok(())
    }
}
