//! Erasing: what was said is gone, places and ids stay, and whoever rested on it is overtaken.

use millpond_actors::error::Expected::{self, Any};
use millpond_actors::limits;
use millpond_actors::storage::Data;
use millpond_actors::storage::erase::{Erase, Erased, Step};
use millpond_actors::storage::snapshot::{Save, Saved};
use millpond_actors::storage::stream::{Appended, Filter, Head, Imported, Query};
use uuid::Uuid;

use super::stage::*;

const MARK: u128 = 900;

fn begin(stream: &str, expected: Expected, close: bool) -> Erase {
    let step = Step::Begin { expected, id: Uuid::from_u128(MARK), close };
    Erase { stream: target(stream), step }
}

fn with_erased(query: Query) -> Query {
    Query { filter: Filter { erased: true, ..Filter::default() }, ..query }
}

fn done(stream: Option<u64>, version: u64, erased: u64) -> Erased {
    Erased::Done { stream, version, erased, next: None }
}

pub(super) fn an_erased_stream_keeps_its_places(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s-1", &[1, 2]);
    a.append("t-1", &[3]);
    a.append("s-1", &[4]);
    let id = stage.view().stream(&name("s-1")).unwrap().unwrap().id;
    assert_eq!(a.run(begin("s-1", Any, false)), done(Some(id), 4, 3));
    assert_eq!(stage.view().stream(&name("s-1")), Ok(Some(Head { id, version: 4, erased: 4 })));
    assert_eq!(stage.numbers(&all()), [3]);
    for query in [of_stream("s-1"), of_category("s"), backward(of_stream("s-1"))] {
        assert_eq!(stage.numbers(&query), []);
    }
    assert_eq!(stage.numbers(&with_erased(all())), [1, 2, 3, 4, MARK]);
    for event in stage.read(&with_erased(of_stream("s-1"))) {
        assert!(event.is_erased());
        assert_eq!((&*event.event_type, event.data, event.schema), ("", Data::Json(String::new()), 0));
        assert_eq!((event.at, event.metadata, event.origin), (None, None, None));
    }
    assert_eq!(stage.view().head(), Ok(5));
    a.append("s-1", &[6]);
    assert_eq!((stage.version("s-1"), stage.numbers(&of_stream("s-1"))), (5, vec![6]));
    assert_eq!(stage.numbers_paged(&all(), 1), [3, 6]);
    assert_eq!(stage.numbers_paged(&backward(all()), 1), [6, 3]);
}

pub(super) fn a1_who_rested_on_what_is_erased_is_overtaken(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1, 2]);
    assert_eq!(a.run(begin("s", Expected::Version(1), false)), Erased::Conflict { actual: 2 });
    assert_eq!(a.run(begin("s", Expected::NoStream, true)), Erased::Conflict { actual: 2 });
    assert_eq!(stage.numbers(&of_stream("s")), [1, 2], "a refusal erases nothing");
    assert!(matches!(a.run(begin("s", Expected::Version(2), false)), Erased::Done { erased: 2, .. }));
    assert_eq!(a.run(append("s", Expected::Version(2), &[3])), Appended::Conflict { actual: 3 });
}

pub(super) fn what_is_erased_again_stays_as_it_is(stage: &Stage<'_>) {
    let mut a = stage.join();
    assert_eq!(a.run(begin("s", Any, false)), done(None, 0, 0), "absent");
    a.append("s", &[1]);
    let first = a.run(begin("s", Any, false));
    let Erased::Done { stream, version: 2, erased: 1, next: None } = first else { panic!("{first:?}") };
    assert_eq!(a.run(begin("s", Any, false)), done(stream, 2, 0));
    assert_eq!(stage.view().head(), Ok(2));
}

pub(super) fn a_closed_stream_takes_nothing_any_more(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1]);
    assert!(matches!(a.run(begin("s", Any, true)), Erased::Done { version: 2, erased: 1, .. }));
    for expected in [Any, Expected::NoStream, Expected::Exists, Expected::Version(2), Expected::Version(9)] {
        assert_eq!(a.run(append("s", expected, &[2])), Appended::Closed, "{expected}");
        assert!(matches!(a.run(begin("s", expected, false)), Erased::Done { version: 2, erased: 0, .. }));
    }
    let other = ("t", event(5));
    let import = [other, ("s", event(6))].map(|(stream, event)| (name(stream), event));
    let import = millpond_actors::storage::stream::Import { events: import.into() };
    assert_eq!(a.run(import), Imported::Closed { index: 1 });
    assert_eq!((stage.version("t"), stage.version("s")), (0, 2), "all or none");
    // One that never was can be closed too.
    let Erased::Done { version: 1, erased: 0, .. } = a.run(Erase {
        stream: target("u"),
        step: Step::Begin { expected: Expected::NoStream, id: Uuid::from_u128(MARK + 1), close: true },
    }) else {
        panic!()
    };
    assert_eq!(a.run(append("u", Any, &[7])), Appended::Closed);
}

pub(super) fn ids_of_erased_events_stay_taken(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1, 2]);
    a.run(begin("s", Any, false));
    assert_eq!(a.run(append("t", Any, &[2])), duplicate(2));
    assert_eq!(repeated(a.run(append("s", Any, &[1, 2]))), (2, 2), "they had been appended");
    assert!(stage.view().event(&Uuid::from_u128(1)).unwrap().is_some_and(|event| event.is_erased()));
}

pub(super) fn a_snapshot_of_what_is_erased_is_not_kept(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1, 2]);
    let stream = stage.view().stream(&name("s")).unwrap().unwrap().id;
    let save = |version| Save { stream, version, schema: 1, data: Data::Json("[]".into()) };
    assert_eq!(a.run(save(2)), Saved::Kept);
    a.run(begin("s", Any, false));
    assert_eq!(stage.view().snapshot(&name("s")), Ok(None));
    for version in [2, 3] {
        assert_eq!(a.run(save(version)), Saved::Outdated, "one that comes late");
    }
    a.append("s", &[3]);
    assert_eq!(a.run(save(4)), Saved::Kept);
}

pub(super) fn many_events_are_erased_in_portions(stage: &Stage<'_>) {
    let mut a = stage.join();
    let most = u128::from(limits::ERASED_AT_ONCE);
    for from in 0..3 {
        a.append("s", &(from * most + 1_000..from * most + 1_000 + most).collect::<Vec<_>>());
    }
    let per = u64::from(limits::ERASED_AT_ONCE);
    let first = a.run(begin("s", Any, false));
    let Erased::Done { erased, next: Some(from), .. } = first else { panic!("{first:?}") };
    assert_eq!((erased, from), (per, per + 1));
    assert_eq!(
        stage.view().stream(&name("s")).unwrap().unwrap().erased,
        3 * per + 1,
        "all of them count as erased"
    );
    let second = a.run(Erase { stream: target("s"), step: Step::GoOn { from } });
    assert!(matches!(second, Erased::Done { next: Some(next), .. } if next == 2 * per + 1), "{second:?}");
    // Who asks again from the beginning does what is left.
    assert!(
        matches!(a.run(begin("s", Any, false)), Erased::Done { erased, next: None, .. } if erased == per)
    );
    assert_eq!(stage.view().events(&of_stream("s")).unwrap().events, []);
}
