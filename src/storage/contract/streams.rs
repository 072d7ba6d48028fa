//! Appending: expectations, ids, positions.

use millpond_actors::error::Expected::{Any, Exists, NoStream, Version};
use millpond_actors::storage::stream::{Append, Appended, Import, Imported};

use super::stage::*;

pub(super) fn no_stream_append_to_fresh_stream_succeeds(stage: &Stage<'_>) {
    assert_eq!(done(stage.join().run(append("s", NoStream, &[1]))), (1, 1));
    assert_eq!(done(stage.join().run(append("t", Version(0), &[2]))), (1, 2), "version 0 is the same");
}

pub(super) fn no_stream_append_to_existing_stream_conflicts(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1, 2]);
    assert_eq!(a.run(append("s", NoStream, &[3])), Appended::Conflict { actual: 2 });
    assert_eq!(a.run(append("s", Version(0), &[3])), Appended::Conflict { actual: 2 });
    assert_eq!(stage.numbers(&of_stream("s")), [1, 2]);
}

pub(super) fn any_append_to_fresh_and_to_existing_stream_succeeds(stage: &Stage<'_>) {
    let mut a = stage.join();
    assert_eq!(done(a.run(append("s", Any, &[1]))), (1, 1));
    assert_eq!(done(a.run(append("s", Any, &[2]))), (2, 2));
}

pub(super) fn any_never_conflicts(stage: &Stage<'_>) {
    let mut players = [stage.join(), stage.join(), stage.join()];
    for round in 0..10_u64 {
        for (seat, player) in (1..).zip(&mut players) {
            let number = round * 3 + seat;
            assert_eq!(done(player.append("s", &[u128::from(number)])), (number, number));
        }
    }
}

pub(super) fn stream_exists_append_to_absent_stream_raises(stage: &Stage<'_>) {
    assert_eq!(stage.join().run(append("s", Exists, &[1])), Appended::Conflict { actual: 0 });
    assert_eq!(stage.view().stream(&name("s")), Ok(None));
    assert_eq!(stage.view().head(), Ok(0));
}

pub(super) fn stream_exists_append_to_existing_stream_succeeds(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1]);
    assert_eq!(done(a.run(append("s", Exists, &[2]))), (2, 2));
}

pub(super) fn exact_append_matching_version_succeeds(stage: &Stage<'_>) {
    let mut a = stage.join();
    assert_eq!(done(a.run(append("s", Version(0), &[1]))), (1, 1));
    assert_eq!(done(a.run(append("s", Version(1), &[2, 3]))), (3, 3));
    assert_eq!(done(a.run(append("s", Version(3), &[4]))), (4, 4));
}

pub(super) fn a1_exact_append_mismatched_version_conflicts(stage: &Stage<'_>) {
    let mut a = stage.join();
    assert_eq!(a.run(append("s", Version(1), &[1])), Appended::Conflict { actual: 0 });
    a.append("s", &[1, 2]);
    for wrong in [0, 1, 3, u64::from(u32::MAX)] {
        assert_eq!(a.run(append("s", Version(wrong), &[3])), Appended::Conflict { actual: 2 });
    }
    assert_eq!(stage.numbers(&all()), [1, 2]);
}

pub(super) fn a1_of_many_exact_appends_one_wins(stage: &Stage<'_>) {
    let (mut a, mut b, mut c) = (stage.join(), stage.join(), stage.join());
    a.append("s", &[1]);
    assert_eq!(done(b.run(append("s", Version(1), &[2]))), (2, 2));
    assert_eq!(a.run(append("s", Version(1), &[3])), Appended::Conflict { actual: 2 });
    assert_eq!(c.run(append("s", Version(1), &[4])), Appended::Conflict { actual: 2 });
    assert_eq!(stage.numbers(&of_stream("s")), [1, 2]);
}

pub(super) fn duplicate_event_id_raises_and_batch_is_atomic(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1]);
    assert_eq!(a.append("s", &[2, 1]), duplicate(1));
    assert_eq!(stage.version("s"), 1);
    assert_eq!(done(a.append("s", &[2])), (2, 2), "the other id was not used up, nor a position");
}

pub(super) fn empty_batch_raises(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.begin();
    let empty = millpond_actors::storage::Operation::StreamAppend(append("s", Any, &[]));
    assert!(millpond_actors::storage::Tables::apply(&mut *a.session, &empty).is_err());
    a.rollback();
    assert_eq!(stage.view().stream(&name("s")), Ok(None));
}

pub(super) fn append_result_position_is_strictly_increasing(stage: &Stage<'_>) {
    let mut a = stage.join();
    let positions = [("s", 1), ("t", 2), ("s", 3)].map(|(stream, id)| done(a.append(stream, &[id])).1);
    assert_eq!(positions, [1, 2, 3]);
    assert_eq!(stage.view().head(), Ok(3));
}

pub(super) fn append_result_names_the_stream(stage: &Stage<'_>) {
    let mut a = stage.join();
    let Appended::Done { stream: s, .. } = a.append("s", &[1]) else { panic!() };
    let Appended::Done { stream: t, .. } = a.append("t", &[2]) else { panic!() };
    let heads = ["s", "t"].map(|stream| stage.view().stream(&name(stream)).unwrap().unwrap().id);
    assert_eq!(heads, [s, t]);
    assert_ne!(s, t);
    let mut by_id = append("s", Version(1), &[3]);
    by_id.stream.id = Some(s);
    assert_eq!(done(a.run(by_id)), (2, 3), "a remembered row serves as well as the name");
}

pub(super) fn g4_a_repeated_append_is_recognised(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    a.append("t", &[10]);
    assert_eq!(done(a.run(append("s", Version(0), &[1, 2]))), (2, 3));
    assert_eq!(
        repeated(a.run(append("s", Version(0), &[1, 2]))),
        (2, 3),
        "ids are looked at before versions"
    );
    b.append("s", &[3]);
    assert_eq!(repeated(b.run(append("s", NoStream, &[1, 2]))), (2, 3), "by another process, later");
    assert_eq!(repeated(b.append("s", &[2])), (2, 3), "a part of it");
    assert_eq!(repeated(b.append("s", &[2, 3])), (3, 4), "the end of one and the start of the next");
    assert_eq!(stage.numbers(&all()), [10, 1, 2, 3]);
}

pub(super) fn g4_a_repetition_within_one_group_is_recognised(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.begin();
    assert_eq!(done(a.apply(append("s", Version(0), &[1, 2]))), (2, 2));
    assert_eq!(repeated(a.apply(append("s", Version(0), &[1, 2]))), (2, 2));
    a.commit();
    assert_eq!(stage.numbers(&all()), [1, 2]);
}

pub(super) fn ids_that_are_no_repetition_are_duplicates(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1, 2, 3]);
    assert_eq!(a.append("s", &[2, 1]), duplicate(2), "another order");
    assert_eq!(a.append("s", &[1, 3]), duplicate(1), "one left out");
    assert_eq!(a.append("s", &[3, 4]), duplicate(3), "partly new");
    assert_eq!(a.append("s", &[4, 2, 1]), duplicate(2), "the first that is taken");
    assert_eq!(a.append("t", &[1, 2, 3]), duplicate(1), "another stream");
    assert_eq!(a.run(append("s", Version(9), &[3, 4])), duplicate(3), "before the version is looked at");
    assert_eq!(stage.numbers(&all()), [1, 2, 3]);
}

pub(super) fn one_id_twice_in_an_append_is_a_duplicate(stage: &Stage<'_>) {
    let mut a = stage.join();
    assert_eq!(a.append("s", &[1, 2, 1]), duplicate(1));
    assert_eq!(stage.view().head(), Ok(0));
    a.append("s", &[1]);
    assert_eq!(a.append("s", &[1, 1]), duplicate(1), "though both are stored");
    // Taken is what is stored or was named before, and the first such id counts.
    assert_eq!(a.append("s", &[1, 5, 5]), duplicate(1));
    assert_eq!(a.append("s", &[5, 5, 1]), duplicate(5));
    assert_eq!(a.append("s", &[5, 1, 5]), duplicate(1));
}

pub(super) fn ids_made_here_are_appended_without_being_looked_up(stage: &Stage<'_>) {
    let mut a = stage.join();
    let made_here = |numbers: &[u128]| Append { known_ids: false, ..append("s", Any, numbers) };
    assert_eq!(done(a.run(made_here(&[1, 2]))), (2, 2));
    assert_eq!(done(a.run(made_here(&[3]))), (3, 3));
    assert_eq!(repeated(a.append("s", &[1, 2, 3])), (3, 3), "but can be found later");
    // Those of a command with an id follow from it. Of two processes that carry it out one is too late, for its version.
    let carried_out = || Append { expected: Version(3), ..made_here(&[4]) };
    assert_eq!(done(a.run(carried_out())), (4, 4));
    assert_eq!(stage.join().run(carried_out()), Appended::Conflict { actual: 4 });
}

pub(super) fn g2_appends_of_one_group_follow_one_another(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.begin();
    assert_eq!(done(a.apply(append("s", Version(0), &[1, 2]))), (2, 2));
    assert_eq!(done(a.apply(append("t", NoStream, &[3]))), (1, 3));
    assert_eq!(a.apply(append("s", Version(1), &[4])), Appended::Conflict { actual: 2 });
    assert_eq!(done(a.apply(append("s", Version(2), &[5]))), (3, 4));
    a.commit();
    assert_eq!(stage.numbers(&all()), [1, 2, 3, 5]);
    assert_eq!(stage.numbers(&of_stream("s")), [1, 2, 5]);
}

pub(super) fn g2_positions_are_dense_over_several_processes(stage: &Stage<'_>) {
    let mut players = [stage.join(), stage.join(), stage.join()];
    for round in 0..20_u64 {
        let player = &mut players[(round % 3) as usize];
        let stream = format!("s-{}", round % 4);
        player.append(&stream, &[u128::from(round) * 2 + 1, u128::from(round) * 2 + 2]);
    }
    let positions: Vec<u64> = stage.read(&all()).iter().map(|event| event.position).collect();
    assert_eq!(positions, (1..=40).collect::<Vec<u64>>());
    assert_eq!(stage.numbers(&all()), (1..=40).collect::<Vec<u128>>(), "in commit order");
}

pub(super) fn g12_recorded_at_never_goes_back(stage: &Stage<'_>) {
    let mut a = stage.join();
    stage.set_wall(5_000);
    a.append("s", &[1]);
    stage.set_wall(3_000);
    a.append("t", &[2]);
    stage.set_wall(5_001);
    stage.join().append("s", &[3]);
    let recorded: Vec<i64> = stage.read(&all()).iter().map(|event| event.recorded_at).collect();
    assert_eq!(recorded, [5_000, 5_000, 5_001]);
}

pub(super) fn names_are_compared_byte_by_byte(stage: &Stage<'_>) {
    let odd = [
        "x'); DROP TABLE event;--",
        "%",
        "_",
        "a",
        "A",
        "\"q\"",
        "😀",
        "e\u{301}",
        "é",
        " a ",
        "a-😀",
        "null",
    ];
    let mut a = stage.join();
    for (number, stream) in (1..).zip(odd) {
        assert_eq!(done(a.append(stream, &[number])).0, 1, "{stream}");
    }
    for (number, stream) in (1..).zip(odd) {
        assert_eq!(stage.numbers(&of_stream(stream)), [number], "{stream}");
        assert_eq!(stage.read(&of_stream(stream))[0].stream.as_str(), stream);
    }
    assert_eq!(stage.numbers(&of_category("a")), [4, 11], "neither A nor the blanks");
    assert_eq!(stage.numbers(&of_category("%")), [2]);
}

fn import(events: &[(&str, u128)]) -> Import {
    let events = events.iter().map(|(stream, id)| (name(stream), event(*id))).collect();
    Import { events }
}

pub(super) fn g4_an_import_adds_what_is_new(stage: &Stage<'_>) {
    let mut a = stage.join();
    let first = [("s", 1), ("t", 2), ("s", 3)];
    let (s, t) = (1, 2);
    assert_eq!(a.run(import(&first)), Imported::Done { added: 3, known: 0, streams: vec![(s, 2), (t, 1)] });
    assert_eq!(a.run(import(&first)), Imported::Done { added: 0, known: 3, streams: vec![] });
    let mended = [("s", 1), ("t", 2), ("t", 4), ("s", 3), ("s", 5), ("s", 5)];
    assert_eq!(a.run(import(&mended)), Imported::Done { added: 2, known: 4, streams: vec![(s, 3), (t, 2)] });
    assert_eq!(stage.numbers(&of_stream("s")), [1, 3, 5]);
    assert_eq!(stage.numbers(&of_stream("t")), [2, 4]);
    assert_eq!(stage.view().head(), Ok(5));
}

pub(super) fn g2_an_import_with_a_taken_id_adds_nothing(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1]);
    let taken = a.run(import(&[("s", 1), ("s", 2), ("t", 1)]));
    assert_eq!(taken, Imported::Duplicate { index: 2, id: uuid::Uuid::from_u128(1) });
    let twice = a.run(import(&[("s", 2), ("t", 2)]));
    assert_eq!(twice, Imported::Duplicate { index: 1, id: uuid::Uuid::from_u128(2) });
    assert_eq!(stage.view().head(), Ok(1));
}
