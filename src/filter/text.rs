//! Filters as a person writes them: `age >= 30 and city = "Delft"`.

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::storage::filter::{Filter, Path, Scalar, Test, refused};

use super::fields::scalar;

/// A filter out of a text.
pub(super) fn parse(text: &str) -> Result<Filter> {
    limits::check_size("a filter as text, in bytes,", text.len(), limits::FILTER_BYTES * 2)?;
    let mut reader = Reader { whole: text, rest: text };
    let filter = reader.any(0)?;
    reader.space();
    if reader.rest.is_empty() { Ok(filter) } else { Err(reader.wrong("`and`, `or` or the end was expected")) }
}

/// A text, and what of it has not been read.
struct Reader<'a> {
    whole: &'a str,
    rest: &'a str,
}

type Compare = fn(Scalar) -> Test;

/// The tests that compare with one value, the longer ones first.
const COMPARISONS: [(&str, Compare); 6] = [
    ("<=", Test::AtMost),
    (">=", Test::AtLeast),
    ("!=", Test::Equal),
    ("=", Test::Equal),
    ("<", Test::Less),
    (">", Test::More),
];

impl<'a> Reader<'a> {
    /// One of several.
    fn any(&mut self, depth: usize) -> Result<Filter> {
        let mut parts = vec![self.all(depth)?];
        while self.word("or") {
            parts.push(self.all(depth)?);
        }
        Ok(one_or(parts, Filter::Any))
    }

    /// All of several.
    fn all(&mut self, depth: usize) -> Result<Filter> {
        let mut parts = vec![self.not(depth)?];
        while self.word("and") {
            parts.push(self.not(depth)?);
        }
        Ok(one_or(parts, Filter::All))
    }

    fn not(&mut self, depth: usize) -> Result<Filter> {
        limits::check_size("the depth of a filter", depth, limits::FILTER_DEPTH)?;
        if self.word("not") {
            return Ok(match self.not(depth + 1)? {
                Filter::Not(inner) => *inner,
                other => Filter::Not(Box::new(other)),
            });
        }
        if self.sign("(") {
            let inner = self.any(depth + 1)?;
            return if self.sign(")") { Ok(inner) } else { Err(self.wrong("`)` was expected")) };
        }
        self.one()
    }

    /// What is said of one field.
    fn one(&mut self) -> Result<Filter> {
        self.space();
        if self.rest.is_empty() {
            return Err(self.wrong("a path was expected"));
        }
        let (path, rest) = Path::begin(self.rest)?;
        self.rest = rest;
        for (sign, test) in COMPARISONS {
            if self.sign(sign) {
                let is = Filter::Is(path, test(self.literal()?));
                return Ok(if sign == "!=" { Filter::Not(Box::new(is)) } else { is });
            }
        }
        if self.word("exists") {
            return Ok(Filter::Is(path, Test::Exists));
        }
        if self.word("in") {
            return Ok(Filter::Is(path, Test::OneOf(self.list()?)));
        }
        if self.word("begins") && self.word("with") {
            return match self.literal()? {
                Scalar::Text(prefix) => Ok(Filter::Is(path, Test::BeginsWith(prefix))),
                _ => Err(self.wrong("`begins with` takes a text in double quotes")),
            };
        }
        let tests =
            "`=`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `begins with` or `exists` was expected behind a path";
        Err(self.wrong(tests))
    }

    fn list(&mut self) -> Result<Vec<Scalar>> {
        let mut values = Vec::new();
        if !self.sign("(") {
            return Err(self.wrong("`in` takes values in parentheses"));
        }
        while !self.sign(")") {
            if !values.is_empty() && !self.sign(",") {
                return Err(self.wrong("`,` or `)` was expected"));
            }
            values.push(self.literal()?);
        }
        Ok(values)
    }

    /// A scalar as JSON.
    fn literal(&mut self) -> Result<Scalar> {
        self.space();
        let end = match self.rest.strip_prefix('"') {
            Some(inside) => text_end(inside).map(|end| end + 1),
            None => self
                .rest
                .find(|c: char| c.is_whitespace() || "(),=<>!\"".contains(c))
                .or(Some(self.rest.len())),
        };
        let (json, rest) = end.and_then(|end| self.rest.split_at_checked(end)).unwrap_or((self.rest, ""));
        let value = scalar(json).ok_or_else(|| {
            self.wrong("a number, a text in double quotes, true, false or null was expected")
        })?;
        self.rest = rest;
        Ok(value)
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn sign(&mut self, sign: &str) -> bool {
        self.space();
        let behind = self.rest.strip_prefix(sign);
        self.rest = behind.unwrap_or(self.rest);
        behind.is_some()
    }

    /// A word of ours, which ends where no key would go on.
    fn word(&mut self, word: &str) -> bool {
        self.space();
        let ends = |rest: &&str| rest.chars().next().is_none_or(|c| c.is_whitespace() || "()\"".contains(c));
        let behind = self.rest.strip_prefix(word).filter(ends);
        self.rest = behind.unwrap_or(self.rest);
        behind.is_some()
    }

    fn wrong(&self, reason: &str) -> Error {
        const SHOWN: usize = 200;
        let read = self.whole.len() - self.rest.len();
        let at = self.whole.get(..read).map_or(0, |read| read.chars().count()) + 1;
        let shown: String = self.whole.chars().take(SHOWN).collect();
        refused(format!("the filter `{}`", shown.escape_debug()), format!("at character {at}, {reason}"))
    }
}

fn one_or(mut parts: Vec<Filter>, all: fn(Vec<Filter>) -> Filter) -> Filter {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            all(parts)
        }
    }
}

/// How long a text in quotes is, its closing quote included.
fn text_end(inside: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in inside.char_indices() {
        match character {
            '"' if !escaped => return Some(at + 1),
            _ => escaped = character == '\\' && !escaped,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::{Where, json};
    use super::*;
    use proptest::prelude::*;

    fn said(text: &str) -> String {
        parse(text).map_or_else(|error| error.to_string(), |filter| filter.to_string())
    }

    #[test]
    fn what_a_person_writes_is_read() {
        let same = [
            ("age>=30 and city=\"Delft\"", "age >= 30 and city = \"Delft\""),
            ("a = 1 or b = 2 and not c = 3", "a = 1 or (b = 2 and c != 3)"),
            ("(a = 1 or b = 2) and (c exists)", "(a = 1 or b = 2) and c exists"),
            ("not (a = 1 and b = 2)", "not (a = 1 and b = 2)"),
            ("not not a exists", "a exists"),
            ("not (not(a exists))", "a exists"),
            (". > 1.50", ". > 1.5"),
            ("\"and\" = null and \"a b\".c[0] != true", "and = null and \"a b\".c[0] != true"),
            ("name begins with \"A \\\" \\u00e4\" ", "name begins with \"A \\\" ä\""),
            ("x in (1,\"a,)\" , null) or x in ()", "x in (1, \"a,)\", null) or x in ()"),
            ("or = 1", "or = 1"),
        ];
        for (text, right) in same {
            assert_eq!(said(text), right, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let wrong = [
            ("", "at character 1, a path was expected"),
            ("a", "behind a path"),
            ("a =", "at character 4, a number"),
            ("a = b", "at character 5, a number"),
            ("a = 'b'", "at character 5, a number"),
            ("a = 01", "a number"),
            ("a = \"b", "a number"),
            ("a = 1 b = 2", "at character 7, `and`, `or` or the end was expected"),
            ("(a = 1", "`)` was expected"),
            ("a in 1", "in parentheses"),
            ("a in (1 2)", "`,` or `)`"),
            ("a begins with 1", "takes a text"),
            ("a like 1", "behind a path"),
            ("a = 1; DROP TABLE dict", "at character 5, a number"),
            ("a = 1 -- x", "or the end was expected"),
        ];
        for (text, right) in wrong {
            assert!(said(text).contains(right), "{text}: {}", said(text));
        }
        let deep = "not (".repeat(5_000);
        assert!(matches!(parse(&deep), Err(Error::TooLarge { .. })));
        assert!(matches!(json::parse(&"{\"not\":".repeat(5_000)), Err(Error::InvalidArgument { .. })));
        let deep =
            format!("{}{{\"field\":\"a\",\"exists\":true}}{}", "{\"and\":[".repeat(50), "]}".repeat(50));
        assert!(matches!(json::parse(&deep), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn the_json_form_is_closed() {
        let read =
            |json: &str| Where::from_json(json).map_or_else(|error| error.to_string(), |it| it.to_string());
        let same = [
            (r#"{"field":"a","equal":1.0}"#, "a = 1"),
            (r#" {"at_least": 18446744073709551617, "field": "a"} "#, "a >= 18446744073709551617"),
            (r#"{"field":["a.b",0,"c"],"one_of":[null,true,"x"]}"#, "\"a.b\"[0].c in (null, true, \"x\")"),
            (r#"{"field":"a","exists":false}"#, "not a exists"),
            (r#"{"not":{"field":"a","not_equal":"x"}}"#, "a = \"x\""),
            (r#"{"field":[],"begins_with":""}"#, ". begins with \"\""),
        ];
        for (json, right) in same {
            assert_eq!(read(json), right, "{json}");
        }
        let wrong = [
            ("", "an object was expected"),
            ("[]", "an object was expected"),
            ("{}", "it has to be"),
            (r#"{"xor":[]}"#, "\"xor\" is unknown"),
            (r#"{"and":[]}"#, "there is nothing in it"),
            (r#"{"and":{}}"#, "an array of filters"),
            (r#"{"and":[1]}"#, "an object was expected"),
            (r#"{"and":[],"or":[]}"#, "it has to be"),
            (r#"{"field":"a"}"#, "there has to be one of equal, not_equal"),
            (r#"{"field":"a","equal":1,"less":2}"#, "there has to be one of"),
            (r#"{"field":"a","field":"b","equal":1}"#, "there has to be one of"),
            (r#"{"field":"a","like":"%"}"#, "\"like\" is no test"),
            (r#"{"field":"a","equal":[1]}"#, "null, true, false, a number or a text"),
            (r#"{"field":"a","one_of":1}"#, "an array of values"),
            (r#"{"field":"a","begins_with":1}"#, "a text was expected"),
            (r#"{"field":"a","exists":1}"#, "true or false"),
            (r#"{"field":"a b","equal":1}"#, "the path \\\"a b\\\""),
            (r#"{"field":7,"equal":1}"#, "the path has to be"),
            (r#"{"field":["a",-1],"equal":1}"#, "the path has to be"),
            (r#"{"field":"a","equal":1} x"#, "an object was expected"),
        ];
        for (json, right) in wrong {
            assert!(read(json).contains(&right.replace('\\', "")), "{json}: {}", read(json));
        }
    }

    fn scalars() -> impl Strategy<Value = Scalar> {
        let number = |text: String| scalar(&text).unwrap();
        prop_oneof![
            Just(Scalar::Null),
            any::<bool>().prop_map(Scalar::Bool),
            any::<i64>().prop_map(move |it| number(it.to_string())),
            (any::<i32>(), -30..30_i32).prop_map(move |(a, e)| number(format!("{a}e{e}"))),
            "\\PC{0,4}|[\"\\\\\n\u{1}\u{7f}\u{85}]{0,3}".prop_map(|text| Scalar::Text(text.into())),
        ]
    }

    fn filters() -> impl Strategy<Value = Filter> {
        let path =
            "[ab]|\"[a .\\[\u{e4}]{0,2}\"|a\\[[0-9]\\]|\\.".prop_map(|text| Path::parse(&text).unwrap());
        let test = prop_oneof![
            Just(Test::Exists),
            scalars().prop_map(Test::Equal),
            scalars().prop_map(Test::Less),
            scalars().prop_map(Test::AtLeast),
            prop::collection::vec(scalars(), 0..3).prop_map(Test::OneOf),
            "[a\"\\\\]{0,2}".prop_map(|text| Test::BeginsWith(text.into())),
        ];
        let leaf = (path, test).prop_map(|(path, test)| Filter::Is(path, test));
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::All),
                prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::Any),
                inner.prop_map(|part| match part {
                    Filter::Not(inner) => *inner,
                    other => Filter::Not(Box::new(other)),
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_filter_is_written_so_that_it_is_read_again(filter in filters()) {
            prop_assert_eq!(&parse(&filter.to_string())?, &filter);
            prop_assert_eq!(&json::parse(&json::written(&filter))?, &filter);
        }

        #[test]
        fn d6_whatever_is_written_is_a_filter_or_is_refused(text in "[ab.=<>()\"'\\[\\]0-9 ;-]{0,20}", json in "[{}\\[\\]\":,a0 ]{0,20}") {
            if let Ok(filter) = parse(&text) {
                prop_assert_eq!(parse(&filter.to_string())?, filter);
            }
            let _ = json::parse(&json);
        }
    }
}
