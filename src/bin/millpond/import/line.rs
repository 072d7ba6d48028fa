//! One line of an import: what it says, and which id its event has.

use std::borrow::Cow;
use std::collections::HashMap;

use millpond::{Event, Origin};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::time::check_moment;

/// The namespace of ids that are made from lines. It must never change: a rerun finds its events by them.
const NAMESPACE: Uuid = Uuid::from_u128(0x6d69_6c6c_706f_5e6d_a96d_706f_7274_0001);

/// A line. Content and metadata stay text: the order of keys and the way numbers are written survive.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    time: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "verbatim")]
    data: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "verbatim")]
    metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    schema: Option<u32>,
    #[serde(borrow, default)]
    correlation: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    causation: Option<Cow<'a, str>>,
    #[serde(default)]
    actor: Option<String>,
    #[serde(default)]
    tenant: Option<String>,
}

/// A `null` that is written there is content like any other.
fn verbatim<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// How often each line without an id was seen in this file, by the id of its first occurrence.
#[derive(Debug, Default)]
pub(super) struct Seen(HashMap<Uuid, u32>);

impl Seen {
    /// The id of an event whose line has none: made from its stream, its line, and how many equal lines came
    /// before it in the file. The same file gives the same ids; a line that was mended is another event.
    fn id(&mut self, stream: &str, line: &str) -> Uuid {
        // No name holds a NUL, so the two parts cannot run into each other.
        let first = Uuid::new_v5(&NAMESPACE, format!("{stream}\0{line}").as_bytes());
        let before = self.0.entry(first).or_insert(0);
        let id = match *before {
            0 => first,
            before => Uuid::new_v5(&first, &before.to_be_bytes()),
        };
        *before = before.saturating_add(1);
        id
    }
}

/// The stream, the id and the event of a line, or what is wrong with it.
pub(super) fn parse(text: &str, prefix: &str, seen: &mut Seen) -> Result<(String, Uuid, Event), String> {
    let line: Line<'_> = serde_json::from_str(text).map_err(|error| explain(&error))?;
    let stream = format!("{prefix}{}", line.stream);
    let data = line.data.map_or("null", RawValue::get);
    let mut event = Event::from_json(line.r#type.into_owned(), data).map_err(|error| error.to_string())?;
    if let Some(time) = line.time {
        event = event.at(check_moment(&time)?);
    }
    if let Some(metadata) = line.metadata {
        event = event.metadata(metadata.get().to_owned());
    }
    if let Some(schema) = line.schema {
        event = event.schema(schema);
    }
    event = event.origin(origin(line.correlation, line.causation, line.actor, line.tenant)?);
    event.check(&stream).map_err(|error| error.to_string())?;
    let id = match line.id {
        Some(id) => uuid(&id)?,
        None => seen.id(&stream, text),
    };
    Ok((stream, id, event.id(id)))
}

fn uuid(text: &str) -> Result<Uuid, String> {
    Uuid::try_parse(text).map_err(|error| format!("\"{text}\" is not an id: {error}"))
}

fn origin(
    correlation: Option<Cow<'_, str>>,
    causation: Option<Cow<'_, str>>,
    actor: Option<String>,
    tenant: Option<String>,
) -> Result<Origin, String> {
    let mut origin = Origin::new();
    if let Some(id) = correlation {
        origin = origin.correlation(uuid(&id)?);
    }
    if let Some(id) = causation {
        origin = origin.causation(uuid(&id)?);
    }
    if let Some(actor) = actor {
        origin = origin.actor(actor);
    }
    if let Some(tenant) = tenant {
        origin = origin.tenant(tenant);
    }
    Ok(origin)
}

/// In one line of text, `line 1` means nothing; the column does.
fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(what) => format!("{what} (column {})", error.column()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id_of(text: &str, seen: &mut Seen) -> Uuid {
        parse(text, "", seen).expect("a good line").1
    }

    #[test]
    fn the_same_line_has_the_same_id_in_every_run() {
        let line = r#"{"stream":"permit-1","type":"Opened"}"#;
        let id = id_of(line, &mut Seen::default());
        assert_eq!(id, id_of(line, &mut Seen::default()));
        // Fixed for ever: files that were imported by an earlier version are found again.
        assert_eq!(id.to_string(), "4ceb4229-42e1-5e89-9784-c700b549009a");
    }

    #[test]
    fn equal_lines_of_one_file_are_different_events() {
        let (mut seen, line) = (Seen::default(), r#"{"stream":"permit-1","type":"Opened"}"#);
        let ids: Vec<Uuid> = (0..4).map(|_| id_of(line, &mut seen)).collect();
        let different: std::collections::HashSet<_> = ids.iter().collect();
        assert_eq!(different.len(), 4);
        let (mut again, other) = (Seen::default(), r#"{"stream":"permit-2","type":"Opened"}"#);
        // What stands between them changes nothing.
        assert_eq!(id_of(line, &mut again), ids[0]);
        id_of(other, &mut again);
        assert_eq!(id_of(line, &mut again), ids[1]);
    }

    #[test]
    fn the_prefix_belongs_to_the_stream() {
        let line = r#"{"stream":"1","type":"Opened"}"#;
        let (stream, id, _) = parse(line, "permit-", &mut Seen::default()).expect("a good line");
        assert_eq!(stream, "permit-1");
        assert_ne!(id, id_of(line, &mut Seen::default()));
    }

    #[test]
    fn bad_lines_say_what_is_wrong() {
        let bad = [
            ("", "EOF"),
            ("nonsense", "expected"),
            (r#"{"stream":"a","type":"T"} {}"#, "trailing"),
            (r#"{"type":"T"}"#, "missing field `stream`"),
            (r#"{"stream":"a","type":"T","kind":1}"#, "unknown field `kind`"),
            (r#"{"stream":"a","type":"T","type":"U"}"#, "duplicate field `type`"),
            (r#"{"stream":"","type":"T"}"#, "it is empty"),
            (r#"{"stream":"a\u0000b","type":"T"}"#, "U+0000"),
            (r#"{"stream":"a","type":"T","time":"2026-01-01"}"#, "not a date and time with an offset"),
            (r#"{"stream":"a","type":"T","id":"7"}"#, "is not an id"),
            (r#"{"stream":"a","type":"T","schema":-1}"#, "invalid value"),
            (r#"{"stream":"a","type":"T","causation":"7"}"#, "is not an id"),
            (r#"{"stream":"a","type":"T","tenant":""}"#, "it is empty"),
        ];
        for (text, why) in bad {
            let said = parse(text, "", &mut Seen::default()).expect_err(text);
            assert!(said.contains(why), "{text}: {said}");
            assert!(!said.contains("line 1"), "{said}");
        }
    }

    #[test]
    fn a_null_that_is_written_is_kept() {
        let line: Line<'_> =
            serde_json::from_str(r#"{"stream":"a","type":"T","data":null,"metadata":null}"#).expect("a line");
        assert_eq!(line.metadata.map(RawValue::get), Some("null"));
        assert_eq!(line.data.map(RawValue::get), Some("null"));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(text in "\\PC*") {
            let _ = parse(&text, "", &mut Seen::default());
        }

        #[test]
        fn half_good_lines_never_panic(
            stream in "\\PC{0,8}", time in "[0-9T:Z+.-]{0,25}", data in "[\\[\\]{}\",:0-9a\\\\ue+-]{0,12}", id in "[0-9a-f-]{0,40}"
        ) {
            let text = format!(r#"{{"stream":"{stream}","type":"T","time":"{time}","data":{data},"id":"{id}"}}"#);
            let _ = parse(&text, "", &mut Seen::default());
        }

        #[test]
        fn every_good_line_is_taken(stream in "[a-z]{1,8}-[0-9]{1,4}", number in any::<f64>()) {
            let data = serde_json::json!({"b": number, "a": [stream.clone()]});
            let line = serde_json::json!({"stream": stream, "type": "T", "data": data});
            prop_assert!(parse(&line.to_string(), "", &mut Seen::default()).is_ok());
        }
    }
}
