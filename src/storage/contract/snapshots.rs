//! Snapshots: the latest is kept, whatever comes late is not.

use millpond_actors::storage::Data;
use millpond_actors::storage::snapshot::{Kept, Save, Saved};

use super::stage::*;

fn save(stream: u64, version: u64, text: &str) -> Save {
    Save { stream, version, schema: 1, data: Data::Json(text.into()) }
}

fn stream(stage: &Stage<'_>, text: &str) -> u64 {
    stage.view().stream(&name(text)).unwrap().unwrap().id
}

pub(super) fn a_snapshot_is_kept_as_it_was_given(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1, 2]);
    let id = stream(stage, "s");
    assert_eq!(stage.view().snapshot(&name("s")), Ok(None), "missing");
    assert_eq!(stage.view().snapshot(&name("never")), Ok(None));
    let data = Data::Bincode(vec![0, 1, 255]);
    assert_eq!(a.run(Save { stream: id, version: 2, schema: 9, data: data.clone() }), Saved::Kept);
    assert_eq!(stage.view().snapshot(&name("s")), Ok(Some(Kept { version: 2, schema: 9, data })));
}

pub(super) fn a_later_snapshot_replaces_an_earlier_one(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1, 2, 3]);
    let id = stream(stage, "s");
    for (version, text) in [(1, "one"), (3, "three"), (3, "three again")] {
        assert_eq!(a.run(save(id, version, text)), Saved::Kept);
        let kept = stage.view().snapshot(&name("s")).unwrap().unwrap();
        assert_eq!((kept.version, kept.data), (version, Data::Json(text.into())));
    }
    assert_eq!(stage.view().summary(stage.now()).unwrap().snapshots, 1);
}

pub(super) fn an_earlier_snapshot_is_outdated(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1, 2, 3]);
    let id = stream(stage, "s");
    a.run(save(id, 2, "two"));
    assert_eq!(stage.join().run(save(id, 1, "one")), Saved::Outdated);
    assert_eq!(stage.view().snapshot(&name("s")).unwrap().unwrap().version, 2);
}

/// It is of no use to anybody, and would cost a replay of everything until the stream has come so far.
pub(super) fn a2_a_snapshot_ahead_of_its_stream_keeps_no_other_out(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1, 2, 3]);
    let id = stream(stage, "s");
    a.run(save(id, 4, "four"));
    assert_eq!(stage.join().run(save(id, 2, "two")), Saved::Kept);
    assert_eq!(stage.view().snapshot(&name("s")).unwrap().unwrap().data, Data::Json("two".into()));
    assert_eq!(a.run(save(id, 1, "one")), Saved::Outdated);
}

pub(super) fn a_snapshot_of_no_stream_is_outdated(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1]);
    assert_eq!(a.run(save(stream(stage, "s") + 7, 1, "x")), Saved::Outdated);
    assert_eq!(stage.view().summary(stage.now()).unwrap().snapshots, 0);
}

pub(super) fn snapshots_of_two_streams_are_independent(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1]);
    a.append("t", &[2]);
    a.run(save(stream(stage, "s"), 1, "s"));
    a.run(save(stream(stage, "t"), 1, "t"));
    for text in ["s", "t"] {
        assert_eq!(stage.view().snapshot(&name(text)).unwrap().unwrap().data, Data::Json(text.into()));
    }
}

pub(super) fn g2_a_snapshot_rolled_back_leaves_the_former(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1, 2]);
    let id = stream(stage, "s");
    a.run(save(id, 1, "one"));
    a.begin();
    assert_eq!(a.apply(save(id, 2, "two")), Saved::Kept);
    a.rollback();
    assert_eq!(stage.view().snapshot(&name("s")).unwrap().unwrap().data, Data::Json("one".into()));
}
