//! Changes that are written down for those who watch.

use millpond_actors::limits;
use millpond_actors::storage::change::{Change, Changed, Primitive, Record, Written};
use millpond_actors::storage::feed;
use millpond_actors::storage::stream::Appended;

use super::blobs;
use super::queues;
use super::stage::*;

fn record(changes: &[(u64, u64)]) -> Record {
    let of = |(row, sequence): &(u64, u64)| Changed {
        primitive: Primitive::Stream,
        row: *row,
        sequence: Some(*sequence),
        key: None,
    };
    Record { changes: changes.iter().map(of).collect() }
}

/// A stream, by its row.
fn stream(a: &mut Player<'_, '_>, name: &str) -> u64 {
    match a.append(name, &[u128::from(a.group) + 1]) {
        Appended::Done { stream, .. } => stream,
        other => panic!("{other:?}"),
    }
}

/// Number, name and sequence of the changes after a number.
fn after(stage: &Stage<'_>, number: u64, limit: u32) -> Vec<(u64, String, Option<u64>)> {
    let changes = stage.view().changes(number, limit).unwrap();
    changes.into_iter().map(|Change { number, name, sequence, .. }| (number, name, sequence)).collect()
}

pub(super) fn changes_are_numbered_as_they_are_written(stage: &Stage<'_>) {
    let mut a = stage.join();
    let (s, t) = (stream(&mut a, "s"), stream(&mut a, "t"));
    assert_eq!(a.run(record(&[])), Written { last: 0 });
    assert_eq!(a.run(record(&[(s, 1), (t, 1)])), Written { last: 2 });
    let mut b = stage.join();
    assert_eq!(b.run(record(&[(s, 2)])), Written { last: 3 });
    assert_eq!(b.run(record(&[])), Written { last: 3 });
    let all: Vec<_> =
        [(1, "s", 1), (2, "t", 1), (3, "s", 2)].map(|(n, name, at)| (n, name.to_owned(), Some(at))).into();
    assert_eq!(after(stage, 0, 9), all);
    assert_eq!(after(stage, 1, 9), all[1..]);
    assert_eq!(after(stage, 0, 2), all[..2]);
    assert_eq!(after(stage, 3, 9), []);
}

pub(super) fn every_primitive_has_its_name(stage: &Stage<'_>) {
    let mut a = stage.join();
    let s = stream(&mut a, "same");
    let lock = a.hold("same", 1_000).lock;
    // Rows of other tables have the same ids.
    let mut made = |kind, name| match a.run(append_to(kind, name, &[1])) {
        feed::Appended::Done { feed, .. } => feed,
        other => panic!("{other:?}"),
    };
    let (log, channel) = (made(feed::Kind::Log, "log"), made(feed::Kind::Channel, "channel"));
    let queue = a.run(queues::push("queue", vec![queues::new_job(1)])).queue;
    let blobs = blobs::put(&mut a, "key");
    let rows = [
        (Primitive::Queue, queue, "queue"),
        (Primitive::Lock, lock, "same"),
        (Primitive::Stream, s, "same"),
        (Primitive::Log, log, "log"),
        (Primitive::Channel, channel, "channel"),
        (Primitive::Blob, blobs, "b"),
    ];
    let changed = |(primitive, row, _)| Changed { primitive, row, sequence: None, key: None };
    a.run(Record { changes: rows.map(changed).into() });
    let changes = stage.view().changes(0, 9).unwrap();
    let found: Vec<_> = changes.iter().map(|change| (change.primitive, &*change.name)).collect();
    assert_eq!(found, rows.map(|(primitive, _, name)| (primitive, name)));
}

pub(super) fn g2_what_is_undone_has_not_changed(stage: &Stage<'_>) {
    let mut a = stage.join();
    let s = stream(&mut a, "s");
    a.begin();
    a.apply(record(&[(s, 1)]));
    assert_eq!(after(stage, 0, 9), []);
    a.rollback();
    a.begin();
    a.session.savepoint().unwrap();
    a.apply(record(&[(s, 2)]));
    a.session.end_savepoint(false).unwrap();
    a.commit();
    assert_eq!(a.run(record(&[(s, 3)])), Written { last: 1 });
    assert_eq!(after(stage, 0, 9), [(1, "s".to_owned(), Some(3))]);
}

pub(super) fn g9_only_the_last_changes_are_kept(stage: &Stage<'_>) {
    let mut a = stage.join();
    let s = stream(&mut a, "s");
    let half = limits::CHANGES / 2;
    for _ in 0..3 {
        a.run(record(&vec![(s, 1); half as usize]));
    }
    let first = |found: &[(u64, String, Option<u64>)]| found.first().map(|(number, ..)| *number);
    assert_eq!(first(&after(stage, 0, 1)), Some(half + 1));
    assert_eq!(after(stage, 0, u32::MAX).len() as u64, limits::CHANGES);
    // A group that alone is more than that.
    a.run(record(&vec![(s, 1); limits::CHANGES as usize + 1]));
    assert_eq!(first(&after(stage, 0, 1)), Some(3 * half + 2));
    assert_eq!(a.run(record(&[])), Written { last: 5 * half + 1 });
}

pub(super) fn whoever_watches_is_known_to_all(stage: &Stage<'_>) {
    let (mut a, mut b, mut c) = (stage.join(), stage.join(), stage.join());
    let mut watched = || [&mut a, &mut b, &mut c].map(|player| player.session.is_watched().unwrap());
    assert_eq!(watched(), [false; 3]);
    let (first, second) = (a.session.bell(), b.session.bell());
    first.watching(true).unwrap();
    second.watching(true).unwrap();
    let mut watched = || [&mut a, &mut b, &mut c].map(|player| player.session.is_watched().unwrap());
    assert_eq!(watched(), [true; 3]);
    first.watching(false).unwrap();
    assert_eq!(watched(), [true; 3]);
    // Who dies watches no more.
    drop((b, second));
    assert_eq!([&mut a, &mut c].map(|player| player.session.is_watched().unwrap()), [false; 2]);
}
