//! Filters as JSON: read with their numbers as they are written, and written.

use std::fmt::Write;

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::storage::filter::{Filter, Path, Scalar, Segment, Test, refused};

use super::fields::{elements, members, scalar};

/// The tests, as they are named.
const TESTS: [&str; 9] =
    ["equal", "not_equal", "less", "at_most", "more", "at_least", "one_of", "begins_with", "exists"];

/// A filter out of JSON text.
pub(super) fn parse(json: &str) -> Result<Filter> {
    // Twice as much as its values may be, so that it is not looked through first.
    limits::check_size("a filter as JSON, in bytes,", json.len(), limits::FILTER_BYTES * 2)?;
    filter(json.trim(), 0)
}

fn filter(json: &str, depth: usize) -> Result<Filter> {
    limits::check_size("the depth of a filter", depth, limits::FILTER_DEPTH)?;
    let members = members(json).ok_or_else(|| wrong(json, "an object was expected"))?;
    let named = |name: &str| members.iter().find(|(member, _)| member == name).map(|(_, value)| *value);
    if let Some(path) = named("field") {
        return one(json, path, &members);
    }
    let [(name, value)] = &members[..] else {
        let reason = "it has to be {\"field\": PATH, TEST: VALUE}, {\"and\": [...]}, {\"or\": [...]} or {\"not\": {...}}";
        return Err(wrong(json, reason));
    };
    let parts = || {
        let parts = elements(value).ok_or_else(|| wrong(value, "an array of filters was expected"))?;
        if parts.is_empty() {
            return Err(wrong(json, "there is nothing in it"));
        }
        parts.into_iter().map(|part| filter(part, depth + 1)).collect::<Result<Vec<_>>>()
    };
    match name.as_str() {
        "and" => parts().map(Filter::All),
        "or" => parts().map(Filter::Any),
        "not" => filter(value, depth + 1).map(not),
        unknown => Err(wrong(
            json,
            &format!("\"{}\" is unknown; `field`, `and`, `or` and `not` are not", unknown.escape_debug()),
        )),
    }
}

/// What is said of one field.
fn one(json: &str, path_json: &str, members: &[(String, &str)]) -> Result<Filter> {
    let path = path(path_json)?;
    let others: Vec<_> = members.iter().filter(|(name, _)| name != "field").collect();
    let ([(name, value)], true) = (&others[..], members.len() == 2) else {
        return Err(wrong(json, &format!("beside `field` there has to be one of {}", TESTS.join(", "))));
    };
    let literal = |json: &str| {
        scalar(json).ok_or_else(|| wrong(json, "null, true, false, a number or a text was expected"))
    };
    let is = |test| Filter::Is(path.clone(), test);
    Ok(match name.as_str() {
        "equal" => is(Test::Equal(literal(value)?)),
        "not_equal" => not(is(Test::Equal(literal(value)?))),
        "less" => is(Test::Less(literal(value)?)),
        "at_most" => is(Test::AtMost(literal(value)?)),
        "more" => is(Test::More(literal(value)?)),
        "at_least" => is(Test::AtLeast(literal(value)?)),
        "one_of" => {
            let values = elements(value).ok_or_else(|| wrong(value, "an array of values was expected"))?;
            is(Test::OneOf(values.into_iter().map(literal).collect::<Result<_>>()?))
        }
        "begins_with" => match literal(value)? {
            Scalar::Text(prefix) => is(Test::BeginsWith(prefix)),
            _ => return Err(wrong(value, "a text was expected")),
        },
        "exists" => match literal(value)? {
            Scalar::Bool(true) => is(Test::Exists),
            Scalar::Bool(false) => not(is(Test::Exists)),
            _ => return Err(wrong(value, "true or false was expected")),
        },
        unknown => {
            let unknown = unknown.escape_debug();
            return Err(wrong(json, &format!("\"{unknown}\" is no test; there are {}", TESTS.join(", "))));
        }
    })
}

/// A path as text, or as an array of keys and numbers.
fn path(json: &str) -> Result<Path> {
    if let Some(Scalar::Text(text)) = scalar(json) {
        return Path::parse(&text);
    }
    let reason = "the path has to be a text, or an array of keys and numbers of elements";
    let steps = elements(json).ok_or_else(|| wrong(json, reason))?;
    let step = |json: &str| match scalar(json) {
        Some(Scalar::Text(key)) => Ok(Segment::Key(key)),
        _ => json.parse().map(Segment::Index).map_err(|_| wrong(json, reason)),
    };
    Path::new(steps.into_iter().map(step).collect::<Result<_>>()?)
}

fn not(filter: Filter) -> Filter {
    match filter {
        Filter::Not(inner) => *inner,
        other => Filter::Not(Box::new(other)),
    }
}

/// What is wrong, and with which part of the text.
fn wrong(json: &str, reason: &str) -> Error {
    const SHOWN: usize = 60;
    let (mut shown, is_long) = (json.chars().take(SHOWN).collect::<String>(), json.chars().count() > SHOWN);
    if is_long {
        shown.push_str("...");
    }
    refused(format!("the filter `{}`", shown.escape_debug()), reason)
}

/// A filter as JSON text.
pub(super) fn written(filter: &Filter) -> String {
    let mut json = String::new();
    write_filter(&mut json, filter);
    json
}

fn write_filter(json: &mut String, filter: &Filter) {
    let list = |json: &mut String, name: &str, parts: &[Filter]| {
        json.push_str(name);
        for (at, part) in parts.iter().enumerate() {
            json.push_str(if at > 0 { "," } else { "" });
            write_filter(json, part);
        }
        json.push_str("]}");
    };
    match filter {
        Filter::All(parts) => list(json, "{\"and\":[", parts),
        Filter::Any(parts) => list(json, "{\"or\":[", parts),
        Filter::Not(part) => {
            json.push_str("{\"not\":");
            write_filter(json, part);
            json.push('}');
        }
        Filter::Is(path, test) => {
            let text = |text: &str| Scalar::Text(text.into());
            let (name, value) = match test {
                Test::Exists => ("exists", "true".to_owned()),
                Test::Equal(value) => ("equal", value.to_string()),
                Test::Less(value) => ("less", value.to_string()),
                Test::AtMost(value) => ("at_most", value.to_string()),
                Test::More(value) => ("more", value.to_string()),
                Test::AtLeast(value) => ("at_least", value.to_string()),
                Test::OneOf(values) => {
                    let values: Vec<String> = values.iter().map(Scalar::to_string).collect();
                    ("one_of", format!("[{}]", values.join(",")))
                }
                Test::BeginsWith(prefix) => ("begins_with", text(prefix).to_string()),
            };
            // A text takes whatever is written to it.
            let _ = write!(json, "{{\"field\":{},\"{name}\":{value}}}", text(&path.to_string()));
        }
    }
}
