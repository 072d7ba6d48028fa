//! Keys of subjects: made once, destroyed for ever.

use millpond_actors::storage::subject::{KeyState, Make, Secret, Shred};

use super::stage::*;

fn make(subject: &str, key: u8) -> Make {
    Make { subject: name(subject), key: Secret::new([key; 32]) }
}

fn shred(subject: &str) -> Shred {
    Shred { subject: name(subject) }
}

fn kept(key: u8) -> KeyState {
    KeyState::Kept(Secret::new([key; 32]))
}

pub(super) fn a_key_is_made_once(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    assert_eq!(stage.view().subject(&name("s")), Ok(None));
    assert_eq!(a.run(make("s", 1)), kept(1));
    assert_eq!(b.run(make("s", 2)), kept(1));
    assert_eq!(a.run(make("t", 3)), kept(3));
    assert_eq!(stage.view().subject(&name("s")), Ok(Some(kept(1))));
    drop((a, b));
    assert_eq!(stage.view().subject(&name("t")), Ok(Some(kept(3))), "it outlives who has made it");
}

pub(super) fn a_destroyed_key_never_comes_back(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    a.run(make("s", 1));
    a.run(make("t", 2));
    assert!(b.run(shred("s")));
    assert_eq!(stage.view().subject(&name("s")), Ok(Some(KeyState::Shredded)));
    assert_eq!(a.run(make("s", 3)), KeyState::Shredded);
    assert!(!a.run(shred("s")), "there is none any more");
    assert_eq!(stage.view().subject(&name("t")), Ok(Some(kept(2))));
    assert!(!a.run(shred("never-sealed")), "nor was there one");
    assert_eq!(a.run(make("never-sealed", 4)), KeyState::Shredded);
}

pub(super) fn a_key_is_undone_with_its_transaction(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.run(make("s", 1));
    a.begin();
    a.apply(make("t", 2));
    a.apply(shred("s"));
    a.rollback();
    assert_eq!(stage.view().subject(&name("t")), Ok(None));
    assert_eq!(stage.view().subject(&name("s")), Ok(Some(kept(1))));
    a.begin();
    a.session.savepoint().unwrap();
    a.apply(shred("s"));
    a.session.end_savepoint(false).unwrap();
    assert_eq!(a.apply(make("s", 2)), kept(1));
    a.commit();
}
