//! Filters against a model that knows nothing of encodings, plans or pages: random values, random filters, with an index and without.

use millpond::{Dict, Error, Literal, Result, Store, Where, field};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::backends::wait;
use crate::filters::{Text, keys, raw};

each_backend! {
    g6_what_is_found_is_the_same_with_an_index_as_without
}

/// A value, as the model has it: numbers are halves, so that nothing has to be known about how they are written.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Null,
    Bool(bool),
    Halves(i64),
    Text(String),
    Array(Vec<Value>),
    Object(Vec<(&'static str, Value)>),
}

impl Value {
    /// As JSON; `way` says how numbers are written.
    fn json(&self, way: u8) -> String {
        let all = |parts: Vec<String>| parts.join(",");
        match self {
            Value::Null => "null".to_owned(),
            Value::Bool(it) => it.to_string(),
            Value::Halves(it) => match (it % 2, way % 4) {
                (0, 0) => (it / 2).to_string(),
                (0, 1) => format!("{}.0", it / 2),
                (_, 2) => format!("{}e-1", i128::from(*it) * 5),
                _ => format!("{}E-2", i128::from(*it) * 50),
            },
            Value::Text(it) => serde_json::to_string(it).unwrap(),
            Value::Array(parts) => format!("[{}]", all(parts.iter().map(|part| part.json(way)).collect())),
            Value::Object(parts) => {
                let part = |(key, part): &(&str, Value)| format!("\"{key}\": {}", part.json(way));
                format!("{{{}}}", all(parts.iter().map(part).collect()))
            }
        }
    }

    fn literal(&self) -> Literal {
        match self {
            Value::Bool(it) => Literal::from(*it),
            Value::Halves(it) if it % 2 == 0 => Literal::from(it / 2),
            Value::Halves(it) => Literal::from(*it as f64 / 2.0),
            Value::Text(it) => Literal::from(it),
            _ => Literal::null(),
        }
    }

    /// How it stands to another, if it does.
    fn order(&self, other: &Value) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Value::Null, Value::Null) => Some(std::cmp::Ordering::Equal),
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Value::Halves(a), Value::Halves(b)) => Some(a.cmp(b)),
            (Value::Text(a), Value::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
            _ => None,
        }
    }

    fn at(&self, path: &str) -> Option<&Value> {
        match (path, self) {
            (".", it) => Some(it),
            ("a", Value::Object(parts)) => parts.iter().find(|(key, _)| *key == "a").map(|(_, value)| value),
            ("a.b", it) => match it.at("a")? {
                Value::Object(parts) => parts.iter().find(|(key, _)| *key == "b").map(|(_, value)| value),
                _ => None,
            },
            ("a[1]", it) => match it.at("a")? {
                Value::Array(parts) => parts.get(1),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A filter, and what the model takes it for.
#[derive(Clone, Debug)]
enum Wanted {
    Is(&'static str, u8, Value),
    In(&'static str, Vec<Value>),
    Begins(&'static str, String),
    Exists(&'static str),
    And(Box<Wanted>, Box<Wanted>),
    Or(Box<Wanted>, Box<Wanted>),
    Not(Box<Wanted>),
}

impl Wanted {
    fn said(&self) -> Where {
        match self {
            Wanted::Is(path, test, value) => {
                let (field, value) = (field(path), value.literal());
                match test {
                    0 => field.equal(value),
                    1 => field.not_equal(value),
                    2 => field.less(value),
                    3 => field.at_most(value),
                    4 => field.more(value),
                    _ => field.at_least(value),
                }
            }
            Wanted::In(path, values) => field(path).one_of(values.iter().map(Value::literal)),
            Wanted::Begins(path, prefix) => field(path).begins_with(prefix),
            Wanted::Exists(path) => field(path).exists(),
            Wanted::And(a, b) => a.said().and(b.said()),
            Wanted::Or(a, b) => a.said().or(b.said()),
            Wanted::Not(a) => !a.said(),
        }
    }

    fn holds(&self, value: &Value) -> bool {
        match self {
            Wanted::Is(path, 1, other) => !Wanted::Is(path, 0, other.clone()).holds(value),
            Wanted::Is(path, test, other) => {
                let order = value.at(path).and_then(|found| found.order(other));
                order.is_some_and(|order| match test {
                    0 => order.is_eq(),
                    2 => order.is_lt(),
                    3 => order.is_le(),
                    4 => order.is_gt(),
                    _ => order.is_ge(),
                })
            }
            Wanted::In(path, values) => values.iter().any(|it| Wanted::Is(path, 0, it.clone()).holds(value)),
            Wanted::Begins(path, prefix) => {
                matches!(value.at(path), Some(Value::Text(text)) if text.starts_with(prefix))
            }
            Wanted::Exists(path) => value.at(path).is_some(),
            Wanted::And(a, b) => a.holds(value) && b.holds(value),
            Wanted::Or(a, b) => a.holds(value) || b.holds(value),
            Wanted::Not(a) => !a.holds(value),
        }
    }
}

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        2 => any::<bool>().prop_map(Value::Bool),
        4 => (-4..5_i64).prop_map(Value::Halves),
        1 => prop_oneof![Just(i64::MAX - 1), Just(1_i64 << 54), Just((1_i64 << 54) + 2)].prop_map(Value::Halves),
        4 => "[ab]{0,2}|[\u{e4}\u{1}\"']".prop_map(Value::Text),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let scalar = || scalars().boxed();
    let a = prop_oneof![
        4 => scalar(),
        1 => prop::collection::vec(scalar(), 0..3).prop_map(Value::Array),
        1 => scalar().prop_map(|b| Value::Object(vec![("b", b)])),
    ];
    prop_oneof![1 => scalar(), 4 => a.prop_map(|a| Value::Object(vec![("a", a)])), 1 => Just(Value::Object(vec![]))]
}

fn filters() -> impl Strategy<Value = Wanted> {
    let path = || prop::sample::select(vec!["a", "a", ".", "a.b", "a[1]"]);
    let leaf = prop_oneof![
        6 => (path(), 0..6_u8, scalars()).prop_map(|(path, test, value)| Wanted::Is(path, test, value)),
        2 => (path(), prop::collection::vec(scalars(), 0..4)).prop_map(|(path, values)| Wanted::In(path, values)),
        1 => (path(), "[ab]{0,1}").prop_map(|(path, prefix)| Wanted::Begins(path, prefix)),
        1 => path().prop_map(Wanted::Exists),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        let two = (inner.clone().prop_map(Box::new), inner.clone().prop_map(Box::new));
        prop_oneof![
            3 => two.clone().prop_map(|(a, b)| Wanted::And(a, b)),
            1 => two.prop_map(|(a, b)| Wanted::Or(a, b)),
            1 => inner.prop_map(|a| Wanted::Not(Box::new(a))),
        ]
    })
}

async fn g6_what_is_found_is_the_same_with_an_index_as_without(store: Store) -> Result<()> {
    let run = move || {
        let values = prop::collection::vec((values(), any::<u8>(), any::<bool>()), 1..20);
        let cases = (values, prop::collection::vec(filters(), 1..8));
        let mut runner =
            TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
        let round = std::cell::Cell::new(0);
        runner.run(&cases, |(values, filters)| {
            round.set(round.get() + 1);
            let dicts: [Dict<Text>; 2] =
                ["plain", "indexed"].map(|name| store.dict(format!("{name} {}", round.get())));
            wait(async {
                for (at, (value, way, early)) in values.iter().enumerate() {
                    if at == values.len() / 2 {
                        dicts[1].index([".", "a", "a.b", "a[1]"]).await?;
                    }
                    for dict in &dicts {
                        if *early {
                            dict.set(format!("k{at:02}"), &raw("{\"a\": 1}")).await?;
                        }
                        dict.set(format!("k{at:02}"), &raw(&value.json(*way))).await?;
                    }
                }
                for wanted in &filters {
                    let held = |(_, (value, ..)): &(usize, &(Value, u8, bool))| wanted.holds(value);
                    let right: Vec<String> =
                        values.iter().enumerate().filter(held).map(|(at, _)| format!("k{at:02}")).collect();
                    for dict in &dicts {
                        let said = wanted.said();
                        let found = keys(dict.entries("").matching(said.clone())).await?;
                        assert_eq!(found, right, "{said} of {dict:?}");
                        assert_eq!(dict.count_where("", said).await?, right.len() as u64);
                    }
                }
                Ok::<_, Error>(())
            })
            .unwrap();
            Ok(())
        })
    };
    tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    Ok(())
}
