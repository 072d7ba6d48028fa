//! What stands where in a JSON text. It is found without the text being taken apart: whatever is not on the way is passed over.
//!
//! Of two members of one name the last one counts, as for everybody who reads JSON here. A text that is no JSON has no fields.

use std::fmt;
use std::marker::PhantomData;

use millpond_actors::storage::Data;
use millpond_actors::storage::filter::{Fields, Found, Number, Path, Scalar, Segment};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::codec::{Raw, read_json};

/// What databases find out about payloads with.
pub(crate) fn fields() -> Fields {
    Fields::new(find)
}

fn find(data: &Data, path: &Path) -> Found {
    let Data::Json(text) = data else { return Found::Missing };
    let (first, rest) = match path.segments().split_first() {
        None => return read_json(text, PhantomData::<&Raw>).map_or(Found::Missing, |raw| leaf(raw.get())),
        Some(steps) => steps,
    };
    let mut at = read_json(text, Step(first)).flatten();
    for segment in rest {
        at = at.and_then(|raw| read_json(raw.get(), Step(segment)).flatten());
    }
    at.map_or(Found::Missing, |raw| leaf(raw.get()))
}

/// A part of a JSON text as what it is compared as.
fn leaf(raw: &str) -> Found {
    scalar(raw).map_or(Found::Other, Found::Scalar)
}

/// A JSON text as a scalar, if it is one that is compared.
pub(super) fn scalar(raw: &str) -> Option<Scalar> {
    match raw.as_bytes().first()? {
        b'"' => read_json(raw, PhantomData::<String>).map(|text| Scalar::Text(text.into())),
        b't' | b'f' => read_json(raw, PhantomData::<bool>).map(Scalar::Bool),
        b'n' => read_json(raw, PhantomData::<()>).map(|()| Scalar::Null),
        b'{' | b'[' => None,
        _ => Number::parse(raw).map(Scalar::Number),
    }
}

/// One step into a value: what is there, if there is anything.
struct Step<'s>(&'s Segment);

impl<'de> DeserializeSeed<'de> for Step<'_> {
    type Value = Option<&'de Raw>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// There is no step into what has no parts.
macro_rules! no_parts {
    ($($method:ident($($argument:ty)?);)+) => {
        $( fn $method<E>(self, $(_: $argument)?) -> Result<Self::Value, E> { Ok(None) } )+
    };
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Option<&'de Raw>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    no_parts! {
        visit_unit(); visit_bool(bool); visit_i64(i64); visit_u64(u64); visit_f64(f64); visit_str(&str);
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_it) = members.next_key_seed(IsKey(self.0))? {
            if is_it {
                found = Some(members.next_value()?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        if let Segment::Index(index) = self.0 {
            for _ in 0..*index {
                if elements.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(None);
                }
            }
            found = elements.next_element()?;
        }
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}

/// Whether the name of a member is the one that is looked for.
struct IsKey<'s>(&'s Segment);

impl<'de> DeserializeSeed<'de> for IsKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(matches!(self.0, Segment::Key(key) if **key == *name))
    }
}

/// The members of a JSON object in their order, each with its text; `None` if it is none.
pub(super) fn members(json: &str) -> Option<Vec<(String, &str)>> {
    read_json(json, Members)
}

/// The elements of a JSON array, each as its text; `None` if it is none.
pub(super) fn elements(json: &str) -> Option<Vec<&str>> {
    let all = read_json(json, PhantomData::<Vec<&Raw>>)?;
    Some(all.into_iter().map(Raw::get).collect())
}

struct Members;

impl<'de> DeserializeSeed<'de> for Members {
    type Value = Vec<(String, &'de str)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some((name, raw)) = members.next_entry::<String, &Raw>()? {
            all.push((name, raw.get()));
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Json;
    use proptest::prelude::*;

    fn at(json: &str, path: &str) -> Found {
        fields().find(&Data::Json(json.to_owned()), &Path::parse(path).unwrap())
    }

    fn text(text: &str) -> Found {
        Found::Scalar(Scalar::Text(text.into()))
    }

    #[test]
    fn what_stands_at_a_path_is_found() {
        let json = r#" {"a": {"b.c": [null, {"d": "x\u00e4\n"}, true]}, "n": -1.50e1, "": 0, "a.b": 2, "0": "key"} "#;
        assert_eq!(at(json, "a.\"b.c\"[1].d"), text("xä\n"));
        assert_eq!(at(json, "a.\"b.c\"[0]"), Found::Scalar(Scalar::Null));
        assert_eq!(at(json, "a.\"b.c\"[2]"), Found::Scalar(Scalar::Bool(true)));
        assert_eq!(at(json, "n"), Found::Scalar(Scalar::Number(Number::parse("-15").unwrap())));
        assert_eq!((at(json, "\"0\""), at(json, "[0]")), (text("key"), Found::Missing));
        for other in ["a", "a.\"b.c\"", "a.\"b.c\"[1]", "."] {
            assert_eq!(at(json, other), Found::Other, "{other}");
        }
        for missing in ["b", "a.b", "a.\"b.c\"[3]", "a.\"b.c\".d", "n.x", "n[0]", "a.\"b.c\"[0].x", "A"] {
            assert_eq!(at(json, missing), Found::Missing, "{missing}");
        }
        assert_eq!(at("7", "."), Found::Scalar(Scalar::Number(Number::parse("7.0").unwrap())));
        assert_eq!(
            (at("7", "a"), at("\"a\"", "a"), at("[7]", "[0].a")),
            (Found::Missing, Found::Missing, Found::Missing)
        );
    }

    #[test]
    fn what_is_odd_is_answered_always_alike() {
        assert_eq!(at(r#"{"a":{"b":1},"a":2}"#, "a.b"), Found::Missing, "the last of two counts");
        assert_eq!(at(r#"{"a":2,"a":{"b":null}}"#, "a.b"), Found::Scalar(Scalar::Null));
        assert_eq!(
            (at(r#"{"n":1e1000000001}"#, "n"), at(r#"{"s":"\ud800"}"#, "s")),
            (Found::Other, Found::Other)
        );
        for broken in ["", "{\"a\":1", "{\"a\":1} 2", "{\"a\":1,}", "a", "{\"a\":01}"] {
            assert_eq!(at(broken, "a"), Found::Missing, "{broken}");
        }
        let path = Path::parse("a").unwrap();
        assert_eq!(fields().find(&Data::Bincode(b"{\"a\":1}".to_vec()), &path), Found::Missing);
        let deep = format!("{{\"deep\":{}{},\"a\":1}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!((at(&deep, "deep"), at(&deep, "a")), (Found::Other, at("{\"a\":1}", "a")));
    }

    fn json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<u64>().prop_map(Json::from),
            any::<f64>().prop_map(Json::from),
            "[ab\"\\\\\n\u{e4}]{0,3}".prop_map(Json::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            let members = prop::collection::vec(("[ab.]{0,1}", inner.clone()), 0..4);
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Json::from),
                members.prop_map(|members| members.into_iter().collect::<Json>()),
            ]
        })
    }

    proptest! {
        #[test]
        fn g6_a_field_is_what_serde_json_finds_there(
            value in json(),
            steps in prop::collection::vec(prop_oneof![
                "[ab.]{0,1}".prop_map(|key| Segment::Key(key.into())),
                (0..3_u32).prop_map(Segment::Index),
            ], 0..4),
        ) {
            let mut right = Some(&value);
            for step in &steps {
                right = right.and_then(|at| match step {
                    Segment::Key(key) => at.as_object()?.get(&**key),
                    Segment::Index(index) => at.as_array()?.get(*index as usize),
                });
            }
            let right = match right {
                None => Found::Missing,
                Some(Json::Array(_) | Json::Object(_)) => Found::Other,
                Some(Json::Null) => Found::Scalar(Scalar::Null),
                Some(Json::Bool(it)) => Found::Scalar(Scalar::Bool(*it)),
                Some(Json::String(it)) => text(it),
                Some(Json::Number(it)) => {
                    let number = it.as_f64().filter(|_| it.is_f64()).map_or(it.to_string(), |it| format!("{it:e}"));
                    Found::Scalar(Scalar::Number(Number::parse(&number).unwrap()))
                }
            };
            let found = fields().find(&Data::Json(value.to_string()), &Path::new(steps).unwrap());
            prop_assert_eq!(found, right);
        }
    }
}
