//! Values to bytes and back: the only file that names serde_json or bincode.
//!
//! What a value is, is shown in an error and only there, so it is put into words only then.

use std::borrow::Cow;
use std::fmt::Display;

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::storage::Data;
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, VariantAccess, Visitor,
};
use serde::ser::{Impossible, Serialize, Serializer};
pub use serde_json::Value as Json;
/// A part of a JSON text, as it stands there.
pub(crate) use serde_json::value::RawValue as Raw;

/// A value as JSON text.
pub(crate) fn to_json(what: &(impl Display + ?Sized), value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::Encode { what: what.to_string(), reason: error.to_string() })
}

/// Whether a text is one JSON value, and nothing else.
pub(crate) fn check_json(what: &(impl Display + ?Sized), text: &str) -> Result<()> {
    let checked = serde_json::from_str::<serde::de::IgnoredAny>(text);
    checked.map(drop).map_err(|error| Error::Encode { what: what.to_string(), reason: error.to_string() })
}

/// A value out of a payload of either format.
pub(crate) fn from_data<T: DeserializeOwned>(what: &(impl Display + ?Sized), data: &Data) -> Result<T> {
    let decoded = match data {
        Data::Json(text) => serde_json::from_str(text).map_err(|error| error.to_string()),
        Data::Bincode(bytes) => from_bincode(bytes),
        Data::Sealed(_) => Err("it is sealed".to_owned()),
    };
    decoded.map_err(|reason| Error::Decode { what: what.to_string(), reason })
}

/// A value out of JSON text that is not known to be text.
pub(crate) fn from_slice<T: DeserializeOwned>(what: &(impl Display + ?Sized), json: &[u8]) -> Result<T> {
    serde_json::from_slice(json)
        .map_err(|error| Error::Decode { what: what.to_string(), reason: error.to_string() })
}

/// Reads JSON text with whatever knows what to look for in it; `None` if it is not one JSON value, and nothing else.
pub(crate) fn read_json<'a, S: DeserializeSeed<'a>>(text: &'a str, seed: S) -> Option<S::Value> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut json).ok()?;
    json.end().ok().map(|()| value)
}

/// A JSON text as a part of another one, as it is, if that other one stays a line by it.
pub(crate) fn raw(text: &str) -> Option<&Raw> {
    let in_a_line = !text.contains(['\n', '\r']) && text.trim_ascii() == text;
    serde_json::from_str(text).ok().filter(|_| in_a_line)
}

/// What a line of JSON says, or what is wrong with it and in which column.
pub(crate) fn from_line<'l, T: Deserialize<'l>>(line: &'l str) -> std::result::Result<T, String> {
    serde_json::from_str(line).map_err(|error| {
        let text = error.to_string();
        // In one line of text, `line 1` means nothing.
        match text.strip_suffix(&format!(" at line {} column {}", error.line(), error.column())) {
            Some(what) => format!("{what} (column {})", error.column()),
            None => text,
        }
    })
}

/// A value as bincode, for what can always be rebuilt.
pub(crate) fn to_bincode(what: &(impl Display + ?Sized), value: &impl Serialize) -> Result<Data> {
    bincode::serde::encode_to_vec(value, bincode::config::standard())
        .map(Data::Bincode)
        .map_err(|error| Error::Encode { what: what.to_string(), reason: error.to_string() })
}

/// Bincode allocates what a length field says, so it is only given bytes of ours, behind a checksum, and a limit.
fn from_bincode<T: DeserializeOwned>(bytes: &[u8]) -> std::result::Result<T, String> {
    let config = bincode::config::standard().with_limit::<{ limits::SNAPSHOT_BYTES }>();
    let (value, read) =
        bincode::serde::decode_from_slice(bytes, config).map_err(|error| error.to_string())?;
    if read == bytes.len() { Ok(value) } else { Err(format!("{} bytes are left over", bytes.len() - read)) }
}

/// An event, which is an enum, as the name of its variant and that variant's content as JSON text.
///
/// `Deposited { cents: 5 }` is `("Deposited", {"cents":5})`; a variant without content has the content `null`.
pub(crate) fn split_event(event: &impl Serialize) -> Result<(Cow<'static, str>, String)> {
    let what = "an event";
    let variant = event.serialize(VariantName);
    let variant = variant.map_err(|error| Error::Encode { what: what.into(), reason: error.0 })?;
    let whole = to_json(what, event)?;
    // serde_json writes `{"Variant":content}`, or `"Variant"` if there is no content.
    let content = match whole.strip_prefix('{') {
        Some(rest) => {
            let name = to_json(what, &variant)?;
            rest.get(name.len() + 1..rest.len() - 1).unwrap_or("null").to_owned()
        }
        None => "null".to_owned(),
    };
    Ok((Cow::Borrowed(variant), content))
}

/// What a stored payload is read with, for tests that feed it what nobody has stored.
#[cfg(feature = "testing")]
pub mod decode {
    use millpond_actors::error::Result;
    use millpond_actors::storage::Data;
    use serde::de::DeserializeOwned;

    /// A value out of a payload of either format: the content of an event, or a snapshot.
    ///
    /// # Errors
    /// [`Error::Decode`](crate::Error::Decode).
    pub fn value<T: DeserializeOwned>(data: &Data) -> Result<T> {
        super::from_data("what was fed", data)
    }

    /// An event of an aggregate out of its type and content.
    ///
    /// # Errors
    /// [`Error::Decode`](crate::Error::Decode).
    pub fn event<E: DeserializeOwned>(event_type: &str, data: &Data) -> Result<E> {
        super::join_event("what was fed", event_type, data)
    }
}

/// The other way.
pub(crate) fn join_event<E: DeserializeOwned>(
    what: &(impl Display + ?Sized),
    event_type: &str,
    data: &Data,
) -> Result<E> {
    let Data::Json(content) = data else {
        let reason = "its format is not JSON".to_owned();
        return Err(Error::Decode { what: what.to_string(), reason });
    };
    E::deserialize(Joined { event_type, content })
        .map_err(|error| Error::Decode { what: what.to_string(), reason: error.to_string() })
}

/// An event as serde_json would read `{"type":content}`, without that being put together: loading an aggregate is mostly this.
struct Joined<'a> {
    event_type: &'a str,
    content: &'a str,
}

type Content<'a> = serde_json::Deserializer<serde_json::de::StrRead<'a>>;

impl<'a> Joined<'a> {
    /// Reads the content, all of it.
    fn content<T>(
        self,
        read: impl FnOnce(&mut Content<'a>) -> serde_json::Result<T>,
    ) -> serde_json::Result<T> {
        let mut content = serde_json::Deserializer::from_str(self.content);
        let value = read(&mut content)?;
        content.end().map(|()| value)
    }
}

impl<'de> Deserializer<'de> for Joined<'de> {
    type Error = serde_json::Error;

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> serde_json::Result<V::Value> {
        visitor.visit_enum(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> serde_json::Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    /// What is no enum in serde's eyes, though it wrote one: rare, so it may cost what it costs.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> serde_json::Result<V::Value> {
        let whole = format!("{{{}:{}}}", serde_json::to_string(self.event_type)?, self.content);
        let mut whole = serde_json::Deserializer::from_reader(whole.as_bytes());
        let value = whole.deserialize_any(visitor)?;
        whole.end().map(|()| value)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'a> EnumAccess<'a> for Joined<'a> {
    type Error = serde_json::Error;
    type Variant = Joined<'a>;

    fn variant_seed<S: DeserializeSeed<'a>>(self, seed: S) -> serde_json::Result<(S::Value, Joined<'a>)> {
        let name: StrDeserializer<'_, serde_json::Error> = self.event_type.into_deserializer();
        seed.deserialize(name).map(|variant| (variant, self))
    }
}

impl<'a> VariantAccess<'a> for Joined<'a> {
    type Error = serde_json::Error;

    fn unit_variant(self) -> serde_json::Result<()> {
        self.content(|content| <()>::deserialize(content))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'a>>(self, seed: S) -> serde_json::Result<S::Value> {
        self.content(|content| seed.deserialize(content))
    }

    fn tuple_variant<V: Visitor<'a>>(self, fields: usize, visitor: V) -> serde_json::Result<V::Value> {
        self.content(|content| content.deserialize_tuple(fields, visitor))
    }

    fn struct_variant<V: Visitor<'a>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> serde_json::Result<V::Value> {
        self.content(|content| content.deserialize_struct("", fields, visitor))
    }
}

/// A serializer that only finds out the variant of an enum.
struct VariantName;

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotAnEnum(String);

impl serde::ser::Error for NotAnEnum {
    fn custom<T: std::fmt::Display>(message: T) -> NotAnEnum {
        NotAnEnum(message.to_string())
    }
}

type Never = Impossible<&'static str, NotAnEnum>;
type Found = std::result::Result<&'static str, NotAnEnum>;

fn not_an_enum<T>() -> std::result::Result<T, NotAnEnum> {
    Err(NotAnEnum("an event must be an enum, serialized as serde does by default".to_owned()))
}

macro_rules! refuse {
    ($($method:ident($($argument:ty),*);)+) => {
        $( fn $method(self, $(_: $argument),*) -> Found { not_an_enum() } )+
    };
}

impl Serializer for VariantName {
    type Ok = &'static str;
    type Error = NotAnEnum;
    type SerializeSeq = Never;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Variant;
    type SerializeMap = Never;
    type SerializeStruct = Never;
    type SerializeStructVariant = Variant;

    refuse! {
        serialize_bool(bool); serialize_i8(i8); serialize_i16(i16); serialize_i32(i32); serialize_i64(i64);
        serialize_u8(u8); serialize_u16(u16); serialize_u32(u32); serialize_u64(u64);
        serialize_f32(f32); serialize_f64(f64); serialize_char(char); serialize_str(&str); serialize_bytes(&[u8]);
        serialize_none(); serialize_unit(); serialize_unit_struct(&'static str);
    }

    fn serialize_some<T: ?Sized + Serialize>(self, _: &T) -> Found {
        not_an_enum()
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, _: &'static str, value: &T) -> Found {
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Found {
        Ok(variant)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: &T,
    ) -> Found {
        Ok(variant)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> std::result::Result<Variant, NotAnEnum> {
        Ok(Variant(variant))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> std::result::Result<Variant, NotAnEnum> {
        Ok(Variant(variant))
    }

    fn serialize_seq(self, _: Option<usize>) -> std::result::Result<Never, NotAnEnum> {
        not_an_enum()
    }

    fn serialize_tuple(self, _: usize) -> std::result::Result<Never, NotAnEnum> {
        not_an_enum()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> std::result::Result<Never, NotAnEnum> {
        not_an_enum()
    }

    fn serialize_map(self, _: Option<usize>) -> std::result::Result<Never, NotAnEnum> {
        not_an_enum()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> std::result::Result<Never, NotAnEnum> {
        not_an_enum()
    }
}

/// A variant with fields, whose name is all that is wanted.
struct Variant(&'static str);

impl serde::ser::SerializeTupleVariant for Variant {
    type Ok = &'static str;
    type Error = NotAnEnum;

    fn serialize_field<T: ?Sized + Serialize>(&mut self, _: &T) -> std::result::Result<(), NotAnEnum> {
        Ok(())
    }

    fn end(self) -> Found {
        Ok(self.0)
    }
}

impl serde::ser::SerializeStructVariant for Variant {
    type Ok = &'static str;
    type Error = NotAnEnum;

    fn serialize_field<T: ?Sized + Serialize>(
        &mut self,
        _: &'static str,
        _: &T,
    ) -> std::result::Result<(), NotAnEnum> {
        Ok(())
    }

    fn end(self) -> Found {
        Ok(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Event {
        Closed,
        Noted(String),
        Moved(i64, i64),
        #[serde(rename = "de\"posited")]
        Deposited {
            cents: u64,
        },
    }

    #[test]
    fn an_event_is_its_variants_name_and_content() {
        let cases = [
            (Event::Closed, "Closed", "null"),
            (Event::Noted("a}b".into()), "Noted", "\"a}b\""),
            (Event::Moved(1, -1), "Moved", "[1,-1]"),
            (Event::Deposited { cents: 5 }, "de\"posited", "{\"cents\":5}"),
        ];
        for (event, name, content) in cases {
            let split = split_event(&event).unwrap();
            assert_eq!(split, (Cow::Borrowed(name), content.to_owned()));
            assert_eq!(join_event::<Event>("it", &split.0, &Data::Json(split.1)).unwrap(), event);
        }
    }

    #[test]
    fn an_event_is_read_as_serde_json_would_read_it() {
        #[derive(Debug, PartialEq, Deserialize)]
        #[serde(untagged)]
        enum Untagged {
            Closed { closed: () },
            Other(std::collections::BTreeMap<String, Json>),
        }
        #[derive(Debug, PartialEq, Deserialize)]
        struct Wrapped(Event);
        let contents = [
            "null",
            "\"a\"",
            "[1,-1]",
            "[1]",
            "{\"cents\":5}",
            "{}",
            "[5]",
            "{\"cents\":5,\"more\":1}",
            "7 ",
            " [1, 2] ",
        ];
        for event_type in ["Closed", "Noted", "Moved", "de\"posited", "Unknown", "closed"] {
            for content in contents {
                let whole = format!("{{{}:{content}}}", serde_json::to_string(event_type).unwrap());
                let data = Data::Json(content.to_owned());
                let right = serde_json::from_str::<Event>(&whole).ok();
                assert_eq!(join_event::<Event>("it", event_type, &data).ok(), right, "{whole}");
                let wrapped = join_event::<Wrapped>("it", event_type, &data).ok();
                assert_eq!(wrapped, right.map(Wrapped), "{whole}");
                let right = serde_json::from_str::<Untagged>(&whole).ok();
                assert_eq!(join_event::<Untagged>("it", event_type, &data).ok(), right, "{whole}");
            }
        }
        for broken in ["", "5 6", "{\"cents\":5}}", "{\"cents\":5"] {
            let data = Data::Json(broken.to_owned());
            assert!(join_event::<Event>("it", "de\"posited", &data).is_err(), "{broken}");
        }
    }

    #[test]
    fn what_is_not_an_enum_is_not_an_event() {
        #[derive(Serialize)]
        struct Deposited {
            cents: u64,
        }
        assert!(matches!(split_event(&Deposited { cents: 5 }), Err(Error::Encode { .. })));
        assert!(matches!(split_event(&"text"), Err(Error::Encode { .. })));
    }

    #[test]
    fn a6_an_unknown_event_type_is_an_error_that_names_it() {
        let error = join_event::<Event>("event 7", "Renamed", &Data::Json("null".into())).unwrap_err();
        assert!(matches!(&error, Error::Decode { reason, .. } if reason.contains("Renamed")), "{error}");
    }

    #[test]
    fn bincode_that_claims_more_than_it_is_comes_back_as_an_error() {
        let bomb = Data::Bincode(vec![0xFD, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F]);
        assert!(matches!(from_data::<Vec<u64>>("it", &bomb), Err(Error::Decode { .. })));
        let Data::Bincode(mut bytes) = to_bincode("it", &7_u64).unwrap() else { panic!() };
        assert_eq!(from_data::<u64>("it", &Data::Bincode(bytes.clone())), Ok(7));
        bytes.push(0);
        assert!(matches!(from_data::<u64>("it", &Data::Bincode(bytes)), Err(Error::Decode { .. })));
    }
}
