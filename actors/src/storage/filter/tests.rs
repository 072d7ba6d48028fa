//! What is equal and what comes before what; paths as they are written; plans that leave nothing out.

use proptest::prelude::*;

use super::plan::{MOST, Standing, choose};
use super::*;

fn number(text: &str) -> Number {
    Number::parse(text).unwrap_or_else(|| panic!("{text}"))
}

fn key(text: &str) -> Key {
    Scalar::Number(number(text)).key()
}

#[test]
fn g6_numbers_are_what_their_text_says_however_it_is_written() {
    let same = [
        &["0", "-0", "0.0", "0e9", "-0.00e-3", "0e99999999999999999999"][..],
        &["1", "1.0", "1e0", "10e-1", "0.1e1", "1.000", "1E+0", "0.001e3"],
        &["-2.5", "-25e-1", "-0.25E1"],
        &["18446744073709551616", "1.8446744073709551616e19"],
        &["1e23", "100000000000000000000000"],
        &["1e999999999", "10e999999998"],
    ];
    for group in same {
        for text in group {
            assert_eq!(key(text), key(group[0]), "{text}");
        }
    }
    // Two floats could not tell these apart.
    let apart = [
        ("18446744073709551616", "18446744073709551617"),
        ("9007199254740992", "9007199254740993"),
        ("0.1", "0.1000000000000000055511151231257827"),
        ("1e400", "1e401"),
        ("1e-400", "0"),
    ];
    for (a, b) in apart {
        assert_ne!(key(a), key(b), "{a} and {b}");
    }
    for text in [
        "", "-", "+1", "01", "1.", ".5", "1e", "1e+", "0x1", "1_0", "NaN", "Infinity", " 1", "1 ", "--1",
        "1e1.5",
    ] {
        assert_eq!(Number::parse(text), None, "{text}");
    }
    for beyond in ["1e1000000000", "1e-1000000002", "1e99999999999999999999"] {
        assert_eq!(Number::parse(beyond), None, "{beyond}");
    }
}

#[test]
fn g6_keys_are_in_the_order_of_what_they_are_keys_of() {
    let numbers = [
        "-1e30",
        "-18446744073709551616",
        "-100",
        "-99.5",
        "-12",
        "-11",
        "-1.2",
        "-1.1",
        "-1",
        "-0.12",
        "-0.1",
        "-1e-9",
        "0",
        "1e-400",
        "0.1",
        "0.12",
        "0.2",
        "1",
        "1.1",
        "1.2",
        "2",
        "9",
        "10",
        "11",
        "99.5",
        "100",
        "9007199254740992",
        "9007199254740993",
        "9007199254740993.5",
        "1e30",
        "1e308",
        "1e999999",
    ];
    let texts =
        ["", "\u{1}", "a", "a\u{0}", "aa", "b", "ä", "\u{10ffff}"].map(|text| Scalar::Text(text.into()));
    let mut scalars = vec![Scalar::Null, Scalar::Bool(false), Scalar::Bool(true)];
    scalars.extend(numbers.map(|text| Scalar::Number(number(text))));
    scalars.extend(texts);
    let keys: Vec<Key> = scalars.iter().map(Scalar::key).collect();
    for (at, pair) in keys.windows(2).enumerate() {
        assert!(pair[0] < pair[1], "{} comes before {}", scalars[at], scalars[at + 1]);
        assert!(pair[0].clone().cut() <= pair[1].clone().cut());
    }
}

/// A decimal number as sign, digits and exponent, small enough for the other way of comparing.
fn decimal() -> impl Strategy<Value = (i128, i32)> {
    (prop_oneof![-12_i128..12, -10_000_i128..10_000, any::<i64>().prop_map(i128::from)], -6_i32..6)
}

proptest! {
    #[test]
    fn g6_numbers_are_compared_exactly(a in decimal(), b in decimal()) {
        let whole = |(digits, exponent): (i128, i32)| digits * 10_i128.pow((exponent + 6).unsigned_abs());
        let text = |(digits, exponent): (i128, i32)| format!("{digits}e{exponent}");
        prop_assert_eq!(key(&text(a)).cmp(&key(&text(b))), whole(a).cmp(&whole(b)));
    }

    #[test]
    fn g6_floats_are_compared_as_they_are_written(a in any::<f64>(), b in any::<f64>()) {
        prop_assume!(a.is_finite() && b.is_finite());
        prop_assert_eq!(key(&a.to_string()).cmp(&key(&b.to_string())), a.partial_cmp(&b).unwrap());
        prop_assert_eq!(key(&format!("{a:e}")), key(&a.to_string()));
    }

    #[test]
    fn a_number_is_written_so_that_it_is_read_again(a in decimal(), more in -40_i32..40) {
        let number = number(&format!("{}e{}", a.0, a.1 + more));
        prop_assert_eq!(Number::parse(&number.to_string()), Some(number));
    }

    #[test]
    fn texts_are_compared_by_their_bytes(a in ".{0,8}", b in ".{0,8}") {
        let key = |text: &str| Scalar::Text(text.into()).key();
        prop_assert_eq!(key(&a).cmp(&key(&b)), a.as_bytes().cmp(b.as_bytes()));
        prop_assert_eq!(key(&a).begins_with(&Key::of_prefix(&b)), a.starts_with(&*b));
    }

    #[test]
    fn d6_a_path_is_written_so_that_it_is_read_again(steps in prop::collection::vec(step(), 0..6)) {
        let path = Path::new(steps).unwrap();
        prop_assert_eq!(Path::parse(&path.to_string()), Ok(path));
    }

    #[test]
    fn d6_whatever_is_written_as_a_path_is_one_or_is_refused(text in "[.\\[\\]\"\\\\a0 '=;-]{0,12}") {
        if let Ok(path) = Path::parse(&text) {
            prop_assert_eq!(Path::parse(&path.to_string()), Ok(path));
        }
    }

    #[test]
    fn g6_a_plan_leaves_nothing_out(filter in filter(), values in prop::collection::vec(scalar(), 1..9)) {
        let path = Path::parse("a").unwrap();
        let matching = |found: &Scalar| {
            let found = found.clone();
            Matcher::new(&filter, Fields::default()).holds_of(&found)
        };
        let ways = choose(&filter, &[path], &mut |_, _| Ok(1)).unwrap();
        for value in &values {
            for standing in &ways {
                let Standing::Used(way) = standing else { panic!("{standing:?}") };
                let key = value.key().cut();
                let led = way.spans.iter().filter(|span| span.low <= key && key <= span.high).count();
                prop_assert!(led <= 1, "an entry is led to once");
                prop_assert!(led == 1 || !matching(value), "{} has {} and not in {:?}", filter, value, way);
            }
        }
    }
}

fn step() -> impl Strategy<Value = Segment> {
    prop_oneof![
        "[a-z\"\\\\. \\[\\]='\u{e4}]{0,4}".prop_map(|key| Segment::Key(key.into())),
        any::<u32>().prop_map(Segment::Index),
    ]
}

fn scalar() -> impl Strategy<Value = Scalar> {
    let long = "x".repeat(limits::INDEXED_BYTES + 3);
    prop_oneof![
        Just(Scalar::Null),
        any::<bool>().prop_map(Scalar::Bool),
        (-3..3_i32, 0..2_u8).prop_map(|(n, half)| Scalar::Number(number(&format!("{n}.{}", half * 5)))),
        "[ab]{0,2}".prop_map(|text| Scalar::Text(text.into())),
        "[ab]{0,1}".prop_map(move |end| Scalar::Text(format!("{long}{end}").into())),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    let test = prop_oneof![
        Just(Test::Exists),
        scalar().prop_map(Test::Equal),
        scalar().prop_map(Test::Less),
        scalar().prop_map(Test::AtMost),
        scalar().prop_map(Test::More),
        scalar().prop_map(Test::AtLeast),
        prop::collection::vec(scalar(), 0..4).prop_map(Test::OneOf),
        "[abx]{0,2}".prop_map(|text| Test::BeginsWith(text.into())),
    ];
    let leaf = test.prop_map(|test| Filter::Is(Path::parse("a").unwrap(), test));
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::All),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::Any),
            inner.prop_map(|part| Filter::Not(Box::new(part))),
        ]
    })
}

#[test]
fn d6_a_path_says_where_it_goes() {
    let key = |key: &str| Segment::Key(key.into());
    let of = |text: &str| Path::parse(text).unwrap().segments().to_vec();
    assert_eq!(of("."), []);
    assert_eq!(of("customer.address.city"), [key("customer"), key("address"), key("city")]);
    assert_eq!(of("items[0].sku"), [key("items"), Segment::Index(0), key("sku")]);
    assert_eq!(of("[2][10]"), [Segment::Index(2), Segment::Index(10)]);
    assert_eq!(of("\"a.b\".\"c \\\" \\\\\""), [key("a.b"), key("c \" \\")]);
    assert_eq!(of("0"), [key("0")], "the element of an array is asked for in brackets");
    assert_eq!(of("\"\".x"), [key(""), key("x")]);
    for wrong in [
        "",
        " a",
        "a ",
        "a.",
        ".a",
        "a..b",
        "a[",
        "a[]",
        "a[x]",
        "a[-1]",
        "a[01]",
        "a[4294967296]",
        "a[0]b",
        "a.[0]",
        "\"a",
        "\"a\\n\"",
        "a\"b\"",
        "a]",
        "..",
        "x'",
        "a;b",
        "a)",
    ] {
        let error = Path::parse(wrong).unwrap_err().to_string();
        assert!(error.contains("at character"), "{wrong}: {error}");
    }
    assert!(matches!(Path::parse(&"a.".repeat(40)), Err(Error::InvalidArgument { .. })));
    assert!(matches!(Path::parse(&["a"; 33].join(".")), Err(Error::TooLarge { .. })));
    assert!(matches!(Path::parse(&"a".repeat(513)), Err(Error::TooLarge { .. })));
}

#[test]
fn what_is_too_much_for_a_filter_is_refused() {
    let is = |test| Filter::Is(Path::parse("a").unwrap(), test);
    let text = |bytes: usize| Scalar::Text("x".repeat(bytes).into());
    let deep = (0..40).fold(is(Test::Exists), |inner, _| Filter::Not(Box::new(inner)));
    let large = [
        deep,
        Filter::Any(vec![is(Test::Exists); 256]),
        is(Test::OneOf(vec![Scalar::Null; 1_001])),
        is(Test::Equal(text((64 << 10) + 1))),
    ];
    for filter in large {
        assert!(matches!(filter.check(), Err(Error::TooLarge { .. })));
    }
    assert_eq!(Filter::Any(vec![is(Test::Exists); 255]).check(), Ok(()));
    assert_eq!(is(Test::Equal(text(64 << 10))).check(), Ok(()));
}

#[test]
fn the_way_with_the_fewest_entries_is_gone() {
    let [city, age, name] = ["city", "age", "name"].map(|path| Path::parse(path).unwrap());
    let usable = [city.clone(), age.clone(), name.clone()];
    let is = |path: &Path, test| Filter::Is(path.clone(), test);
    let (old, older, delft) =
        (Scalar::Number(number("30")), Scalar::Number(number("40")), Scalar::Text("Delft".into()));
    let filter = Filter::All(vec![
        is(&city, Test::Equal(delft.clone())),
        Filter::All(vec![is(&age, Test::AtLeast(old.clone())), is(&age, Test::Less(older))]),
        Filter::Any(vec![is(&name, Test::Equal(delft))]),
    ]);
    let stand = |cities: u64, ages: u64| {
        let mut count = |path: &Path, _: &[plan::Span]| Ok(if *path == city { cities } else { ages });
        let ways = choose(&filter, &usable, &mut count).unwrap();
        ways.into_iter()
            .map(|standing| match standing {
                Standing::Used(way) => format!("used {}", way.path),
                Standing::Another(way) => format!("another {}", way.path),
                Standing::Wide(way) => format!("wide {}", way.path),
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(stand(9, 8), ["another city", "used age"]);
    assert_eq!(stand(8, 9), ["used city", "another age"]);
    assert_eq!(stand(MOST + 1, MOST + 1), ["used city", "wide age"]);
    assert_eq!(stand(MOST + 1, MOST), ["another city", "used age"]);
}

#[test]
fn a_filter_is_written_as_a_person_does() {
    let is = |path: &str, test| Filter::Is(Path::parse(path).unwrap(), test);
    let text = |text: &str| Scalar::Text(text.into());
    let filter = Filter::All(vec![
        is("age", Test::AtLeast(Scalar::Number(number("30.0")))),
        Filter::Any(vec![
            is("city", Test::OneOf(vec![text("Delft"), text("a \"b\"\n")])),
            Filter::Not(Box::new(is("\"a.b\"", Test::Equal(Scalar::Null)))),
        ]),
        Filter::Not(Box::new(is("x[0]", Test::Exists))),
        is("name", Test::BeginsWith("A".into())),
    ]);
    let written = "age >= 30 and (city in (\"Delft\", \"a \\\"b\\\"\\n\") or \"a.b\" != null) and not x[0] exists \
                   and name begins with \"A\"";
    assert_eq!(filter.to_string(), written);
}
