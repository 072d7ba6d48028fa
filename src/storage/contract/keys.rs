//! Keys of jobs: what they keep out, and the living job of one, which is found and removed by it.

use millpond_actors::storage::queue::{
    Configure, Finished, How, NewJob, Place, Purged, Pushed, Revived, Scope, Start, State, What, Which,
};

use super::jobs::*;
use super::queues::*;
use super::stage::*;

pub(super) fn q6_a_key_keeps_others_out_until_its_job_is_done(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let mut push = |number| b.run(push("q", vec![keyed(number, "k", Scope::Live)])).places[0];
    let out = Place { sequence: 1, existed: true };
    assert_eq!(push(1), Place { sequence: 1, existed: false });
    assert_eq!(push(2), out, "while it waits");
    let (receipt, _) = a.claim_one("q", LONG);
    assert_eq!(push(3), out, "while it is worked on");
    a.finish(receipt, retry(50));
    assert_eq!(push(4), out, "while it is delayed");
    stage.pass(50);
    let (receipt, _) = a.claim_one("q", LONG);
    assert_eq!(a.finish(receipt, How::Done), Finished::Done);
    assert_eq!(push(5), Place { sequence: 2, existed: false }, "what was kept out took no number");
}

pub(super) fn q6_a_key_is_of_one_queue_and_one_job_of_a_push(stage: &Stage<'_>) {
    let mut a = stage.join();
    let all = |scope| vec![keyed(1, "k", scope), new_job(2), keyed(3, "k", scope), keyed(4, "K", scope)];
    let places = |pushed: Pushed| -> Vec<(u64, bool)> {
        pushed.places.iter().map(|place| (place.sequence, place.existed)).collect()
    };
    let whole = [(1, false), (2, false), (1, true), (3, false)];
    for queue in ["q", "r"] {
        assert_eq!(places(a.run(push(queue, all(Scope::Live)))), whole);
    }
}

pub(super) fn q6_what_is_kept_may_keep_others_out_too(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.run(Configure { keep_done_ms: Some(1_000), ..change("q") });
    for (number, how) in [(1, How::Done), (2, bury("no use"))] {
        let key = format!("k{number}");
        a.push("q", vec![keyed(number, &key, Scope::Live)]);
        let (receipt, _) = a.claim_one("q", LONG);
        a.finish(receipt, how);
        let again = |scope| push("q", vec![keyed(9, &key, scope)]);
        assert!(a.run(again(Scope::Kept)).places[0].existed, "{key}");
        assert!(!a.run(again(Scope::Live)).places[0].existed, "{key}");
        assert_eq!(a.claim_numbers("q"), [9]);
    }
}

pub(super) fn q6_a_dead_letter_is_not_revived_beside_its_successor(stage: &Stage<'_>) {
    let mut a = stage.join();
    for _ in 0..2 {
        a.push("q", vec![keyed(1, "k", Scope::Live)]);
        let (receipt, _) = a.claim_one("q", LONG);
        a.finish(receipt, bury("no use"));
    }
    let both = Revived { queue: FIRST, revived: 1, kept_out: 1, next: None };
    assert_eq!(a.run(revive("q", Which::From(0))), both, "one of the two");
    assert_eq!(stage.counts("q"), [1, 0, 0, 1, 0]);
    assert_eq!(
        a.run(revive("q", Which::One(2))),
        Revived { queue: FIRST, revived: 0, kept_out: 1, next: None }
    );
}

pub(super) fn q6_the_living_job_of_a_key_is_found_and_removed(stage: &Stage<'_>) {
    let mut a = stage.join();
    let of_key =
        |key: &str| stage.view().job_of_key(&name("q"), key).unwrap().map(|job| (job.sequence, job.state));
    let purge = |key: &str| purge("q", What::Key(key.into()));
    let (none, one) = (Purged { queue: FIRST, ..Purged::default() }, |one| Purged {
        queue: FIRST,
        removed: 1,
        one: Some(one),
        more: false,
    });
    assert_eq!((a.run(purge("k")), of_key("k")), (Purged::default(), None), "there is no queue yet");
    let delayed = NewJob { start: Start::After(9), ..keyed(3, "ä'\"", Scope::Kept) };
    a.push("q", vec![keyed(1, "k", Scope::Live), keyed(2, "k2", Scope::Live), delayed, new_job(4)]);
    a.push("r", vec![keyed(5, "k", Scope::Live)]);
    assert_eq!(of_key("k"), Some((1, State::Ready)));
    assert_eq!(of_key("ä'\""), Some((3, State::Delayed)));
    assert_eq!((of_key(""), of_key("K")), (None, None));
    // What is dead stays, and what is worked on does not.
    let (first, _) = a.claim_one("q", LONG);
    assert_eq!(of_key("k"), Some((1, State::Claimed)));
    a.finish(first, bury("no use"));
    assert_eq!((a.run(purge("k")), of_key("k")), (none, None));
    a.push("q", vec![keyed(6, "k", Scope::Live)]);
    assert_eq!(a.claim_one("q", LONG).0.sequence, 2);
    let (claimed, _) = a.claim("q", 2, LONG).pop().unwrap();
    assert_eq!(of_key("k"), Some((claimed.sequence, State::Claimed)));
    assert_eq!((a.run(purge("k")), a.run(purge("k"))), (one(5), none));
    assert_eq!(a.finish(claimed, How::Done), Finished::Stale);
    assert_eq!(a.run(purge("ä'\"")), one(3));
    assert_eq!(stage.jobs("q", None).iter().map(|job| job.sequence).collect::<Vec<_>>(), [1, 2, 4]);
    assert_eq!(stage.jobs("r", None).len(), 1, "another queue's is another one");
    assert_eq!(stage.outlook("q"), (false, Some(LONG)));
}
