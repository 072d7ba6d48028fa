//! Reading: streams, categories and the whole store, forward, backward, page by page.

use millpond_actors::error::Expected::Any;
use millpond_actors::storage::partition::Partition;
use millpond_actors::storage::stream::{Filter, NewEvent, Page, Query};
use millpond_actors::storage::{Data, Origin};
use uuid::Uuid;

use super::stage::*;

/// Two categories, three streams, interleaved: 1 and 4 in `a-1`, 2 and 5 in `b-1`, 3 and 6 in `a-2`, and so on.
fn interleaved(stage: &Stage<'_>, events: u128) {
    let mut a = stage.join();
    for number in 1..=events {
        let stream = ["a-2", "a-1", "b-1"][(number % 3) as usize];
        a.append(stream, &[number]);
    }
}

pub(super) fn read_returns_exactly_appended_events_in_order(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[3, 1]);
    a.append("s", &[2]);
    assert_eq!(stage.numbers(&of_stream("s")), [3, 1, 2]);
}

pub(super) fn from_version_to_version_and_limit_are_honored(stage: &Stage<'_>) {
    stage.join().append("s", &[1, 2, 3, 4, 5]);
    let read = |from, to, limit| stage.numbers(&Query { from, to, limit, ..of_stream("s") });
    assert_eq!(read(3, u64::MAX, 10), [3, 4, 5]);
    assert_eq!(read(0, 2, 10), [1, 2]);
    assert_eq!(read(2, 2, 10), [2]);
    assert_eq!(read(2, 4, 2), [2, 3]);
    assert_eq!(read(1, u64::MAX, 2), [1, 2]);
    assert_eq!(read(6, u64::MAX, 2), []);
    assert_eq!(read(4, 2, 2), [], "an empty range is no error");
}

pub(super) fn backward_direction_is_honored(stage: &Stage<'_>) {
    stage.join().append("s", &[1, 2, 3]);
    assert_eq!(stage.numbers(&backward(of_stream("s"))), [3, 2, 1]);
    assert_eq!(stage.numbers(&Query { limit: 2, ..backward(of_stream("s")) }), [3, 2]);
    assert_eq!(stage.numbers(&Query { from: 2, ..backward(of_stream("s")) }), [3, 2]);
    assert_eq!(stage.numbers(&Query { to: 2, ..backward(of_stream("s")) }), [2, 1]);
}

pub(super) fn envelopes_carry_correct_stream_version_sequence(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1, 2]);
    a.append("t", &[9]);
    a.append("s", &[3, 4]);
    let versions = |query| stage.read(&query).iter().map(|event| event.version).collect::<Vec<_>>();
    assert_eq!(versions(of_stream("s")), [1, 2, 3, 4]);
    assert_eq!(versions(all()), [1, 2, 1, 3, 4]);
    assert_eq!(stage.version("s"), 4);
}

pub(super) fn absent_streams_are_empty(stage: &Stage<'_>) {
    stage.join().append("s", &[1]);
    assert_eq!(stage.view().stream(&name("t")), Ok(None));
    assert_eq!(stage.view().events(&of_stream("t")), Ok(Page::default()));
    assert_eq!(stage.view().events(&of_category("t")), Ok(Page::default()));
}

pub(super) fn stream_isolation(stage: &Stage<'_>) {
    interleaved(stage, 7);
    assert_eq!(stage.numbers(&of_stream("a-1")), [1, 4, 7]);
    assert_eq!(stage.numbers(&of_stream("b-1")), [2, 5]);
    assert_eq!(stage.numbers(&of_stream("a-2")), [3, 6]);
}

pub(super) fn everything_about_an_event_survives_the_round_trip(stage: &Stage<'_>) {
    let full = NewEvent {
        schema: 7,
        at: Some("2024-02-30T25:61:00+05:00 or so".into()),
        metadata: Some("{ \"b\":1,  \"a\":[1e400] }".into()),
        origin: odd_origin(210).kept(),
        data: Data::Json("{\"z\" : 1.0, \"a\":12345678901234567890}".into()),
        ..typed(1, "It's \"odd\" 😀")
    };
    let bytes = NewEvent { data: Data::Bincode(vec![0, 255, 0]), ..event(2) };
    stage.join().run(append_events("s-1", Any, vec![full.clone(), bytes.clone()]));
    let read = stage.read(&all());
    assert_eq!(read, stage.read(&of_stream("s-1")));
    for ((recorded, given), number) in read.iter().zip([full, bytes]).zip(1..) {
        assert_eq!((recorded.position, recorded.version, recorded.stream.as_str()), (number, number, "s-1"));
        assert_eq!((recorded.id, &*recorded.event_type), (given.id, &*given.event_type));
        assert_eq!((&recorded.data, recorded.schema), (&given.data, given.schema));
        assert_eq!(recorded.at, given.at, "verbatim");
        assert_eq!(recorded.metadata.as_deref(), given.metadata.as_deref(), "verbatim");
        assert_eq!(recorded.recorded_at, stage.now().wall_ms);
    }
}

pub(super) fn payloads_of_every_size_are_kept(stage: &Stage<'_>) {
    let large = "x".repeat(1 << 20);
    let payloads = [
        Data::Json(String::new()),
        Data::Bincode(Vec::new()),
        Data::Json(format!("\"{large}\"")),
        Data::Bincode(vec![7; 1 << 20]),
    ];
    let events = (1..).zip(&payloads).map(|(number, data)| NewEvent { data: data.clone(), ..event(number) });
    stage.join().run(append_events("s", Any, events.collect()));
    let read: Vec<Data> = stage.read(&of_stream("s")).into_iter().map(|event| event.data).collect();
    assert!(read == payloads, "a payload changed");
}

pub(super) fn a_page_ends_early_for_its_size(stage: &Stage<'_>) {
    let large = |number| NewEvent { data: Data::Bincode(vec![7; 1 << 20]), ..event(number) };
    stage.join().run(append_events("s", Any, (1..=12).map(large).collect()));
    for query in [all(), of_stream("s"), backward(of_category("s"))] {
        let page = stage.view().events(&query).unwrap();
        assert!(page.more && (1..12).contains(&page.events.len()), "{} events", page.events.len());
        assert_eq!(stage.numbers_paged(&query, 1_000).len(), 12);
    }
}

pub(super) fn full_read_returns_all_events_in_position_order(stage: &Stage<'_>) {
    interleaved(stage, 7);
    let positions: Vec<u64> = stage.read(&all()).iter().map(|event| event.position).collect();
    assert_eq!(positions, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(stage.numbers(&all()), [1, 2, 3, 4, 5, 6, 7]);
}

pub(super) fn exclusive_resumption_from_position(stage: &Stage<'_>) {
    interleaved(stage, 5);
    let first = stage.view().events(&Query { limit: 2, ..all() }).unwrap();
    assert_eq!((first.events.len(), first.last, first.more), (2, Some(2), true), "limit is honored");
    assert_eq!(stage.numbers(&Query { from: 3, ..all() }), [3, 4, 5]);
}

pub(super) fn current_position_is_that_of_the_last_event(stage: &Stage<'_>) {
    assert_eq!(stage.view().head(), Ok(0), "none when empty");
    interleaved(stage, 5);
    assert_eq!(stage.view().head(), Ok(5));
}

fn of_type(event_type: &str) -> Filter {
    Filter { types: vec![event_type.into()], ..Filter::default() }
}

pub(super) fn type_filter_is_honored(stage: &Stage<'_>) {
    let types = ["A", "B", "A", "a", "A"];
    let events = (1..).zip(types).map(|(number, event_type)| typed(number, event_type));
    stage.join().run(append_events("s-1", Any, events.collect()));
    for query in [all(), of_stream("s-1"), of_category("s")] {
        let only = |event_type: &str| Query { filter: of_type(event_type), ..query.clone() };
        assert_eq!(stage.numbers(&only("A")), [1, 3, 5]);
        assert_eq!(stage.numbers(&backward(only("A"))), [5, 3, 1]);
        assert_eq!(stage.view().events(&only("C")).unwrap().events, [], "no match");
        assert!(!stage.view().events(&only("C")).unwrap().more);
    }
}

pub(super) fn type_filter_composes_with_position_and_limit(stage: &Stage<'_>) {
    let rare = |number: u128| if number.is_multiple_of(7) { typed(number, "Rare") } else { event(number) };
    stage.join().run(append_events("s-1", Any, (1..=50).map(rare).collect()));
    for query in [all(), of_stream("s-1"), of_category("s")] {
        let query = Query { filter: of_type("Rare"), ..query };
        assert_eq!(stage.numbers(&Query { limit: 2, ..query.clone() }), [7, 14], "counted after filtering");
        assert_eq!(stage.numbers(&Query { from: 8, limit: 2, ..query.clone() }), [14, 21]);
        for limit in [1, 2, 3, 7, 8] {
            assert_eq!(stage.numbers_paged(&query, limit), [7, 14, 21, 28, 35, 42, 49]);
            assert_eq!(stage.numbers_paged(&backward(query.clone()), limit), [49, 42, 35, 28, 21, 14, 7]);
        }
    }
}

fn filtered(query: Query, change: impl FnOnce(&mut Filter)) -> Query {
    let mut filter = Filter::default();
    change(&mut filter);
    Query { filter, ..query }
}

pub(super) fn several_types_are_one_filter(stage: &Stage<'_>) {
    let types = ["A", "B", "C", "A", "B", "'); DROP TABLE event; --"];
    let events = (1..).zip(types).map(|(number, event_type)| typed(number, event_type));
    stage.join().run(append_events("s-1", Any, events.collect()));
    for query in [all(), of_stream("s-1"), of_category("s")] {
        let of = |types: &[&str]| {
            filtered(query.clone(), |filter| filter.types = types.iter().map(ToString::to_string).collect())
        };
        assert_eq!(stage.numbers(&of(&["A", "C"])), [1, 3, 4]);
        assert_eq!(stage.numbers(&of(&["C", "X", types[5]])), [3, 6]);
        assert_eq!(stage.numbers(&of(&["X", "Y"])), []);
        assert_eq!(stage.numbers_paged(&backward(of(&["B", "C", "A"])), 2), [5, 4, 3, 2, 1]);
    }
}

pub(super) fn a_partition_has_its_streams_and_all_of_each(stage: &Stage<'_>) {
    let mut a = stage.join();
    for number in 1..=60_u128 {
        let stream = format!("{}-{}", ["s", "t"][number as usize % 2], number % 13);
        a.run(append_events(&stream, Any, vec![typed(number, if number % 5 == 0 { "Fifth" } else { "A" })]));
    }
    for query in [
        all(),
        of_category("s"),
        Query { from: 20, to: 50, ..all() },
        filtered(all(), |it| it.types = vec!["A".into()]),
    ] {
        let (every, mut found) = (stage.numbers(&query), Vec::new());
        for partition in Partition::each(4) {
            let own = Query { filter: Filter { partition, ..query.filter.clone() }, ..query.clone() };
            let numbers = stage.numbers(&own);
            let page = stage.view().events(&own).unwrap();
            let streams = page.events.iter().map(|event| event.as_ref().unwrap().stream.to_string());
            assert!(streams.clone().all(|stream| partition.holds(&stream)));
            assert!(numbers.len() < every.len(), "somebody else has something too");
            assert_eq!(stage.numbers_paged(&own, 2), numbers);
            assert_eq!(
                stage.numbers_paged(&backward(own), 3),
                numbers.iter().rev().copied().collect::<Vec<_>>()
            );
            found.extend(numbers);
        }
        found.sort_unstable();
        assert_eq!(found, every, "each is somebody's");
    }
}

pub(super) fn tenant_filter_is_honored(stage: &Stage<'_>) {
    let mut a = stage.join();
    for number in 1..=12_u128 {
        let tenant = (number % 3 > 0).then(|| format!("t'{}", number % 3));
        let origin = Origin { tenant, ..Origin::default() }.kept();
        let event = NewEvent { origin, ..typed(number, if number < 7 { "Early" } else { "Late" }) };
        a.run(append_events(if number % 2 == 0 { "a-1" } else { "b-1" }, Any, vec![event]));
    }
    let of = |query, tenant: &str| filtered(query, |filter| filter.tenant = Some(tenant.into()));
    assert_eq!(stage.numbers(&of(all(), "t'1")), [1, 4, 7, 10]);
    assert_eq!(stage.numbers(&of(of_category("a"), "t'1")), [4, 10]);
    assert_eq!(stage.numbers(&of(of_stream("b-1"), "t'2")), [5, 11]);
    assert_eq!(stage.numbers(&of(all(), "t")), []);
    assert_eq!(stage.numbers_paged(&backward(of(all(), "t'2")), 1), [11, 8, 5, 2]);
    let late = filtered(all(), |filter| {
        (filter.tenant, filter.types) = (Some("t'1".into()), vec!["Late".into()]);
    });
    assert_eq!(stage.numbers(&Query { limit: 1, from: 2, ..late.clone() }), [7], "counted after filtering");
    assert_eq!(stage.numbers(&late), [7, 10]);
}

pub(super) fn time_filter_is_honored(stage: &Stage<'_>) {
    let mut a = stage.join();
    let mut times = Vec::new();
    for number in 1..=9_u128 {
        a.run(append(if number % 2 == 0 { "a-1" } else { "a-2" }, Any, &[number]));
        times.push(stage.read(&all()).last().unwrap().recorded_at);
        if number % 3 == 0 {
            stage.pass(1_000);
        }
    }
    let between = |query: &Query, since, until| {
        filtered(query.clone(), |filter| (filter.since, filter.until) = (since, until))
    };
    for query in [all(), of_category("a"), of_stream("a-1"), of_stream("a-2")] {
        let whole: Vec<_> = stage.numbers(&query);
        for since in [None, Some(times[0]), Some(times[0] + 1), Some(times[3]), Some(times[8] + 1)] {
            for until in [None, Some(times[0]), Some(times[3]), Some(times[8]), Some(i64::MAX)] {
                let at = |number: &u128| times[*number as usize - 1];
                let wanted = |number: &u128| {
                    since.is_none_or(|since| at(number) >= since)
                        && until.is_none_or(|until| at(number) < until)
                };
                let right: Vec<u128> = whole.iter().copied().filter(wanted).collect();
                assert_eq!(stage.numbers(&between(&query, since, until)), right, "{since:?} {until:?}");
                assert_eq!(stage.numbers_paged(&between(&query, since, until), 2), right);
            }
        }
    }
}

pub(super) fn an_event_is_found_by_its_id(stage: &Stage<'_>) {
    let mut a = stage.join();
    assert_eq!(stage.view().event(&Uuid::from_u128(2)), Ok(None), "not_exists_before_append");
    a.append("s", &[1]);
    a.append("t", &[2, 3]);
    let found = stage.view().event(&Uuid::from_u128(2)).unwrap().unwrap();
    assert_eq!(Some(&found), stage.read(&of_stream("t")).first(), "exists_after_append");
    assert_eq!(stage.view().event(&Uuid::from_u128(4)), Ok(None), "unknown_uuid_returns_false");
}

pub(super) fn only_the_named_category_is_returned_by_position(stage: &Stage<'_>) {
    interleaved(stage, 7);
    assert_eq!(stage.numbers(&of_category("a")), [1, 3, 4, 6, 7]);
    assert_eq!(stage.numbers(&of_category("b")), [2, 5]);
    assert_eq!(stage.numbers(&of_category("a-1")), [], "a stream's name is no category");
    assert_eq!(stage.numbers(&Query { from: 3, limit: 2, ..of_category("a") }), [3, 4], "inclusive");
    assert_eq!(stage.numbers(&Query { from: 2, to: 6, ..of_category("a") }), [3, 4, 6]);
}

pub(super) fn pages_join_without_gap_or_repetition(stage: &Stage<'_>) {
    interleaved(stage, 30);
    for query in [all(), of_category("a"), of_stream("a-1")] {
        let whole = stage.numbers(&query);
        let mut reversed = whole.clone();
        reversed.reverse();
        for limit in 1..=12 {
            assert_eq!(stage.numbers_paged(&query, limit), whole);
            assert_eq!(stage.numbers_paged(&backward(query.clone()), limit), reversed);
        }
    }
}

pub(super) fn a_page_says_where_it_ended(stage: &Stage<'_>) {
    interleaved(stage, 6);
    let page = |limit, query: Query| stage.view().events(&Query { limit, ..query }).unwrap();
    assert_eq!(page(1, of_stream("b-1")).last, Some(1), "a version");
    assert_eq!(page(1, of_category("b")).last, Some(2), "a position");
    assert_eq!(page(2, backward(all())).last, Some(5));
    assert!(page(5, all()).more);
    assert!(!page(7, all()).more, "it was not full");
    assert_eq!(page(6, all()).last, Some(6), "exactly full");
    assert_eq!(stage.view().events(&Query { from: 7, ..all() }), Ok(Page::default()));
}

pub(super) fn g5_views_never_see_what_is_not_committed(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1]);
    let mut view = stage.view();
    a.begin();
    a.apply(append("s", Any, &[2]));
    a.apply(append("t", Any, &[3]));
    a.apply(acquire("l", 100));
    assert_eq!(view.head(), Ok(1));
    assert_eq!(view.stream(&name("s")).unwrap().unwrap().version, 1);
    assert_eq!(view.stream(&name("t")), Ok(None));
    assert_eq!(view.events(&all()).unwrap().events.len(), 1);
    assert_eq!(view.lock(&name("l"), stage.now()), Ok(None));
    a.commit();
    assert_eq!(view.head(), Ok(3), "the same view sees it afterwards");
    assert_eq!(view.events(&all()).unwrap().events.len(), 3);
    assert!(view.lock(&name("l"), stage.now()).unwrap().is_some());
}
