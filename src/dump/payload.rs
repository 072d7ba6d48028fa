//! Payloads as a part of a line: what was stored comes back byte for byte.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use millpond_actors::storage::{Data, Origin};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::codec::{Raw, raw};

/// A payload: `{"json": ...}` as it is; or, what is no JSON or more than a line of it, as a text; or Bincode, or what is sealed, in Base64.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Payload<'a> {
    Json(#[serde(borrow)] &'a Raw),
    Text(#[serde(borrow)] Cow<'a, str>),
    Bincode(Cow<'a, str>),
    Sealed(Cow<'a, str>),
}

impl<'a> Payload<'a> {
    pub(super) fn of(data: &'a Data) -> Payload<'a> {
        match data {
            Data::Json(text) => raw(text).map_or(Payload::Text(text.into()), Payload::Json),
            Data::Bincode(bytes) => Payload::Bincode(BASE64.encode(bytes).into()),
            Data::Sealed(bytes) => Payload::Sealed(BASE64.encode(bytes).into()),
        }
    }

    pub(super) fn data(self) -> Result<Data, String> {
        Ok(match self {
            Payload::Json(raw) => Data::Json(raw.get().to_owned()),
            Payload::Text(text) => Data::Json(text.into_owned()),
            Payload::Bincode(text) => Data::Bincode(bytes_of(&text)?),
            Payload::Sealed(text) => Data::Sealed(bytes_of(&text)?),
        })
    }
}

/// Bytes out of their text.
pub(super) fn bytes_of(text: &str) -> Result<Vec<u8>, String> {
    BASE64.decode(text).map_err(|error| format!("its data: {error}"))
}

/// And the text of bytes.
pub(super) fn text_of(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Where an event or a job comes from.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    causation: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
}

impl From {
    pub(super) fn of(origin: Option<&Origin>) -> Option<From> {
        let Origin { correlation, causation, actor, tenant } = origin?.clone();
        Some(From { correlation, causation, actor, tenant })
    }

    pub(super) fn origin(from: Option<From>) -> Result<Option<Box<Origin>>, String> {
        let From { correlation, causation, actor, tenant } = from.unwrap_or_default();
        for (what, given) in [("actor", &actor), ("tenant", &tenant)] {
            let limit = millpond_actors::limits::NAME_BYTES;
            let checked =
                given.as_ref().map_or(Ok(()), |given| millpond_actors::name::check(what, given, limit));
            checked.map_err(super::words)?;
        }
        Ok(Origin { correlation, causation, actor, tenant }.kept())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{from_line, to_json};

    #[test]
    fn whatever_was_stored_comes_back_byte_for_byte() {
        let deep = format!("{}1{}", "[".repeat(3_000), "]".repeat(3_000));
        let texts =
            ["{\"a\": 1.50, \"a\":1e999}", "{\n}", " 1", "", "no JSON", "\u{feff}1", "\"\u{2028}\"", &deep];
        let data = texts.map(|text| Data::Json(text.to_owned())).into_iter();
        for data in data.chain([Data::Bincode(vec![0, 255, 10]), Data::Bincode(Vec::new())]) {
            let line = to_json("it", &Payload::of(&data)).unwrap();
            assert!(!line.contains('\n'), "{line}");
            let back: Payload<'_> = from_line(&line).unwrap();
            assert_eq!(back.data(), Ok(data));
        }
        assert!(from_line::<Payload<'_>>("{\"bincode\":\"?\"}").unwrap().data().is_err());
    }
}
