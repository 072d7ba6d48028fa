//! `events diff`: what has become different in a stream between two of its versions.
//!
//! What a stream says at a version is known without knowing what its events mean: each field has the value that the
//! last event gave it. Objects are looked into, field by field; all else is a value, and is compared as it was written,
//! apart from white space: `1.0` is not `1.00`.

use std::collections::BTreeMap;

use millpond::Recorded;
use millpond::blocking::Store;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{ROWS, existing};
use crate::args::Diff;
use crate::failure::{Done, Failure, Unshown};
use crate::input::{Json, compacted};
use crate::show::{Listing, Show};

/// A path that is longer is not looked into: what is there is a value, even if it is an object. It bounds how deep one
/// looks, and that a short field at the end of a long path takes no more memory than this.
const PATH_BYTES: usize = 256;

pub(crate) fn diff(store: &Store, diff: &Diff, show: &mut Show) -> Done<u8> {
    let Diff { stream, before, after } = diff;
    if before > after {
        return Err(Failure::Failed(format!(
            "version {before} is behind version {after}: the earlier comes first"
        )));
    }
    let last = existing(store, stream)?;
    if *after > last {
        return Err(Failure::Failed(format!(
            "stream \"{stream}\" is at version {last}: it has no version {after}"
        )));
    }
    let mut unshown = Unshown::new("events diff");
    let mut fold = Fold { before: *before, fields: BTreeMap::new(), touched: BTreeMap::new() };
    if before < after {
        for event in store.events().read_stream(stream).to(*after) {
            if let Some(event) = unshown.sound(event)? {
                fold.take(&event)?;
            }
        }
    }
    print(&fold, show)?;
    Ok(unshown.code())
}

/// What a stream says, and what of it was set behind the earlier version.
struct Fold {
    /// The earlier version.
    before: u64,
    /// The values that there are, by their paths.
    fields: BTreeMap<String, Json>,
    /// Those that were set or replaced since.
    touched: BTreeMap<String, Touched>,
}

struct Touched {
    /// What was there at the earlier version.
    before: Option<Json>,
    /// Who touched it last.
    version: u64,
    event_type: String,
}

impl Fold {
    fn take(&mut self, event: &Recorded) -> Done<()> {
        let content = event.json().and_then(|json| serde_json::from_str::<&RawValue>(json).ok());
        let Some(content) = content else {
            let why = format!("the event at version {} is not JSON and cannot be compared", event.version());
            return Err(Failure::Failed(why));
        };
        match fields_of(content) {
            Some(fields) => {
                for (name, value) in fields {
                    self.set(shown(&name), value, event)?;
                }
            }
            None => self.put(format!("({})", event.event_type()), Some(compacted(content)?), event),
        }
        Ok(())
    }

    /// What is at this path is this now, and what was there gives way: a value to fields, and fields to a value.
    fn set(&mut self, path: String, value: &RawValue, by: &Recorded) -> Done<()> {
        let fields = if path.len() <= PATH_BYTES { fields_of(value) } else { None };
        let below = format!("{path}.");
        match fields {
            Some(fields) if !fields.is_empty() => {
                self.put(path, None, by);
                for (name, value) in fields {
                    self.set(format!("{below}{}", shown(&name)), value, by)?;
                }
            }
            no_fields => {
                let was = self.fields.range(below.clone()..).map(|(path, _)| path);
                let was: Vec<String> = was.take_while(|path| path.starts_with(&below)).cloned().collect();
                // An object without fields says nothing about those that are known.
                if no_fields.is_none() || was.is_empty() {
                    was.into_iter().for_each(|path| self.put(path, None, by));
                    self.put(path, Some(compacted(value)?), by);
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, path: String, value: Option<Json>, by: &Recorded) {
        let there_is = value.is_some();
        let was = match value {
            Some(value) => self.fields.insert(path.clone(), value),
            None => self.fields.remove(&path),
        };
        if by.version() > self.before && (there_is || was.is_some()) {
            let touched = self.touched.entry(path);
            let touched = touched.or_insert(Touched { before: was, version: 0, event_type: String::new() });
            touched.version = by.version();
            by.event_type().clone_into(&mut touched.event_type);
        }
    }

    /// What is different, in the order of the paths.
    fn differences(&self) -> impl Iterator<Item = Difference<'_>> {
        let all = self.touched.iter().map(|(path, touched)| Difference {
            path,
            before: touched.before.as_deref(),
            after: self.fields.get(path).map(|value| &**value),
            version: touched.version,
            r#type: &touched.event_type,
        });
        all.filter(|found| found.before.map(RawValue::get) != found.after.map(RawValue::get))
    }
}

/// The fields of an object; `None` for any other value, and for an object whose names are not all text.
fn fields_of(value: &RawValue) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// A name as it stands in a path: in quotes if it could be taken for something else.
fn shown(name: &str) -> String {
    if name.is_empty() || name.starts_with('(') || name.contains(['.', '"']) {
        return serde_json::Value::from(name).to_string();
    }
    name.to_owned()
}

#[derive(Serialize)]
struct Difference<'a> {
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<&'a RawValue>,
    /// There is none if it gave way to another kind of value at another path.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a RawValue>,
    version: u64,
    r#type: &'a str,
}

fn print(fold: &Fold, show: &mut Show) -> Done<()> {
    if show.is_json() {
        return fold.differences().try_for_each(|found| Ok(show.json(&found)?));
    }
    let mut listing = Listing::new(&["path", "before", "after", "version", "type"]);
    let mut found = fold.differences().peekable();
    while found.peek().is_some() {
        let rows = found.by_ref().take(ROWS).map(|found| row(&found, show)).collect();
        show.rows(&mut listing, rows)?;
    }
    Ok(())
}

fn row(found: &Difference<'_>, show: &Show) -> Vec<String> {
    let cell = |value: Option<&RawValue>| show.quarter(value.map_or("", RawValue::get));
    let (before, after) = (cell(found.before), cell(found.after));
    vec![show.quarter(found.path), before, after, found.version.to_string(), found.r#type.to_owned()]
}
