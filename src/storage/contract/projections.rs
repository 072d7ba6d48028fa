//! Projections: checkpoints that move by compare-and-set, generations, and what is wanted.

use millpond_actors::error::Expected;
use millpond_actors::storage::Apply;
use millpond_actors::storage::batch::{Applied, Batch};
use millpond_actors::storage::lock::Fence;
use millpond_actors::storage::partition::Partition;
use millpond_actors::storage::projection::{
    Advance, Advanced, Begin, Failure, Promote, Seen, Standing, Want, Wanted,
};

use super::stage::*;

fn begin(projection: &str, position: u64) -> Begin {
    Begin { name: name(projection), position, partitions: 1 }
}

fn want(projection: &str, wanted: Wanted) -> Want {
    Want { name: name(projection), wanted }
}

/// As it stands now, in the eyes of who has this lock.
fn seen(standing: &Standing, fence: &Fence) -> Seen {
    let Standing { generation, partition, revision, position, .. } = *standing;
    let (name, partition, fence) = (name(&standing.name), partition.index, fence.clone());
    Seen { name, generation, partition, revision, position, fence }
}

fn advance(standing: &Standing, fence: &Fence, to: u64) -> Advance {
    Advance { seen: seen(standing, fence), to, handled: to - standing.position, begun: true, failure: None }
}

fn stands(stage: &Stage<'_>, projection: &str) -> Vec<Standing> {
    stage.view().projection(&name(projection)).unwrap()
}

/// Generation and position of each.
fn places(stage: &Stage<'_>, projection: &str) -> Vec<(u64, u64)> {
    stands(stage, projection).iter().map(|it| (it.generation, it.position)).collect()
}

/// A projection that has begun here, and the lock of whoever projects.
fn begun(player: &mut Player<'_, '_>, projection: &str) -> (Standing, Fence) {
    let all = player.run(begin(projection, 0));
    (all[0].clone(), lock_of(player))
}

fn lock_of(player: &mut Player<'_, '_>) -> Fence {
    let grant = player.hold("projector", 1_000_000);
    fence("projector", grant)
}

pub(super) fn a7_a_projection_begins_once(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    assert_eq!(stands(stage, "sales"), []);
    let all = a.run(begin("sales", 7));
    let revision = all[0].revision;
    let new = Standing {
        name: "sales".into(),
        generation: 1,
        partition: Partition::WHOLE,
        revision,
        position: 7,
        handled: 0,
        begun: false,
        paused: false,
        failure: None,
    };
    assert_eq!(all, [new]);
    assert_eq!(b.run(begin("sales", 0)), all, "it stands where it stood");
    assert_eq!(stands(stage, "sales"), all);
    assert!(b.run(begin("Sales", 0))[0].revision > revision, "names are compared byte by byte");
}

pub(super) fn a7_a_checkpoint_moves_by_compare_and_set(stage: &Stage<'_>) {
    let mut a = stage.join();
    let (first, fence) = begun(&mut a, "sales");
    let move_on = Advance { handled: 3, ..advance(&first, &fence, 10) };
    assert_eq!(a.run(move_on.clone()), Advanced::Done);
    assert_eq!(a.run(move_on), Advanced::Stale, "it is there already, and what came of it too");
    let now = stands(stage, "sales").remove(0);
    assert_eq!((now.position, now.handled, now.begun), (10, 3, true));
    assert_eq!(
        a.run(Advance { to: 9, handled: 0, ..advance(&now, &fence, 10) }),
        Advanced::Stale,
        "never back"
    );
    assert_eq!(a.run(advance(&now, &fence, 12)), Advanced::Done);
    assert_eq!(places(stage, "sales"), [(1, 12)]);
    assert_eq!(stands(stage, "sales")[0].handled, 5);
    let nobody = Seen { name: name("nobody"), ..seen(&now, &fence) };
    assert_eq!(a.run(Advance { seen: nobody, ..advance(&now, &fence, 12) }), Advanced::Stale);
}

pub(super) fn a7_a_stale_token_moves_no_checkpoint(stage: &Stage<'_>) {
    let mut a = stage.join();
    let (first, fence) = begun(&mut a, "sales");
    let stale = Fence { token: fence.token - 1, ..fence.clone() };
    assert_eq!(a.run(advance(&first, &stale, 10)), Advanced::Fenced);
    assert_eq!(a.run(Promote { seen: seen(&first, &stale) }), Advanced::Fenced);
    assert_eq!(places(stage, "sales"), [(1, 0)]);
    drop(a);
    let mut b = stage.join();
    let newer = lock_of(&mut b);
    assert_eq!(b.run(advance(&first, &fence, 10)), Advanced::Fenced, "its holder is dead");
    assert_eq!(b.run(advance(&first, &newer, 10)), Advanced::Done);
}

pub(super) fn a7_effects_and_checkpoint_are_one_transaction(stage: &Stage<'_>) {
    let mut a = stage.join();
    let (first, fence) = begun(&mut a, "sales");
    let effect = |number| append("report-1", Expected::Any, &[number]);
    let both = |standing: &Standing, number| Batch {
        parts: vec![effect(number).into_operation(), advance(standing, &fence, 5).into_operation()],
    };
    assert!(matches!(a.run(both(&first, 1)), Applied::Done(_)));
    let again = a.run(both(&first, 2));
    assert!(matches!(again, Applied::Refused { part: 1, .. }), "{again:?}");
    assert_eq!((stage.version("report-1"), places(stage, "sales")), (1, vec![(1, 5)]));
    a.begin();
    let now = stands(stage, "sales").remove(0);
    a.apply(advance(&now, &fence, 9));
    a.rollback();
    assert_eq!(places(stage, "sales"), [(1, 5)]);
}

pub(super) fn a7_what_is_wanted_stops_whoever_has_not_seen_it(stage: &Stage<'_>) {
    let (mut a, mut other) = (stage.join(), stage.join());
    let (first, fence) = begun(&mut a, "sales");
    assert!(other.run(want("sales", Wanted::Pause)));
    assert_eq!(a.run(advance(&first, &fence, 10)), Advanced::Stale, "it has not read that it is to pause");
    let paused = stands(stage, "sales").remove(0);
    assert!(paused.paused && paused.revision > first.revision);
    assert_eq!(a.run(advance(&paused, &fence, 10)), Advanced::Done, "what it does then is its own affair");
    assert!(other.run(want("sales", Wanted::Resume)));
    let resumed = stands(stage, "sales").remove(0);
    assert!(!resumed.paused && resumed.revision > paused.revision);
    assert_eq!(resumed.position, 10);
    for wanted in [Wanted::Pause, Wanted::Resume, Wanted::Reset(0), Wanted::Rebuild(0), Wanted::Remove] {
        assert!(!other.run(want("never-begun", wanted)), "{wanted:?}");
    }
}

pub(super) fn a7_a_reset_begins_a_generation_in_place_of_all(stage: &Stage<'_>) {
    let mut a = stage.join();
    let (first, fence) = begun(&mut a, "sales");
    a.run(advance(&first, &fence, 10));
    a.run(want("sales", Wanted::Rebuild(0)));
    assert!(a.run(want("sales", Wanted::Reset(4))));
    assert_eq!(places(stage, "sales"), [(3, 4)]);
    let now = stands(stage, "sales").remove(0);
    assert!(!now.begun && now.handled == 0);
    assert_eq!(a.run(advance(&first, &fence, 11)), Advanced::Stale, "that generation is gone");
    assert_eq!(a.run(begin("sales", 0)), [now]);
}

pub(super) fn a7_a_rebuild_is_made_beside_and_takes_over_when_it_has_come_as_far(stage: &Stage<'_>) {
    let mut a = stage.join();
    let (first, fence) = begun(&mut a, "sales");
    a.run(advance(&first, &fence, 10));
    a.run(want("sales", Wanted::Pause));
    assert!(a.run(want("sales", Wanted::Rebuild(0))));
    assert_eq!(places(stage, "sales"), [(1, 10), (2, 0)]);
    let [live, new] = stands(stage, "sales").try_into().unwrap();
    assert!(new.paused, "it is the projection that pauses");
    assert_eq!(live.revision, new.revision);
    assert_eq!(a.run(advance(&new, &fence, 9)), Advanced::Done);
    let [live, new] = stands(stage, "sales").try_into().unwrap();
    assert_eq!(a.run(Promote { seen: seen(&new, &fence) }), Advanced::Stale, "it has not come as far");
    assert_eq!(a.run(Promote { seen: seen(&live, &fence) }), Advanced::Stale, "it is not the newer");
    assert_eq!(a.run(advance(&new, &fence, 10)), Advanced::Done);
    let new = stands(stage, "sales").remove(1);
    assert_eq!(a.run(Promote { seen: seen(&new, &fence) }), Advanced::Done);
    assert_eq!(places(stage, "sales"), [(2, 10)]);
    assert_eq!(a.run(advance(&live, &fence, 11)), Advanced::Stale);
    assert_eq!(a.run(Promote { seen: seen(&new, &fence) }), Advanced::Stale, "there is no older one");
}

pub(super) fn a_rebuild_that_is_wanted_again_begins_again(stage: &Stage<'_>) {
    let mut a = stage.join();
    let (first, fence) = begun(&mut a, "sales");
    a.run(advance(&first, &fence, 10));
    a.run(want("sales", Wanted::Rebuild(0)));
    let new = stands(stage, "sales").remove(1);
    a.run(advance(&new, &fence, 5));
    a.run(want("sales", Wanted::Rebuild(2)));
    assert_eq!(places(stage, "sales"), [(1, 10), (3, 2)]);
}

pub(super) fn a_failure_is_kept_until_it_gets_on(stage: &Stage<'_>) {
    let mut a = stage.join();
    let (first, fence) = begun(&mut a, "sales");
    let failure = Failure { reason: "no such customer".into(), attempts: 3, parked: true };
    let fails = Advance { failure: Some(failure.clone()), begun: false, ..advance(&first, &fence, 0) };
    assert_eq!(a.run(fails.clone()), Advanced::Done);
    let now = stands(stage, "sales").remove(0);
    assert_eq!(now.failure, Some(failure));
    assert!(now.is_parked() && !now.begun);
    a.run(advance(&now, &fence, 4));
    assert_eq!(stands(stage, "sales")[0].failure, None);
    let now = stands(stage, "sales").remove(0);
    a.run(Advance { seen: seen(&now, &fence), to: 4, ..fails });
    assert!(stands(stage, "sales")[0].begun, "once is for ever");
    a.run(want("sales", Wanted::Resume));
    assert_eq!(stands(stage, "sales")[0].failure, None, "it is tried again");
}

pub(super) fn a_projection_that_is_removed_is_forgotten(stage: &Stage<'_>) {
    let mut a = stage.join();
    let (first, fence) = begun(&mut a, "sales");
    a.run(begin("sales-2", 0));
    assert!(a.run(want("sales", Wanted::Remove)));
    assert!(!a.run(want("sales", Wanted::Remove)));
    assert_eq!(stands(stage, "sales"), []);
    assert_eq!(a.run(advance(&first, &fence, 1)), Advanced::Stale);
    let again = a.run(begin("sales", 0)).remove(0);
    assert!(again.revision > first.revision);
    assert_eq!(a.run(advance(&first, &fence, 1)), Advanced::Stale, "it is another one, of the same name");
    assert_eq!(places(stage, "sales-2"), [(1, 0)]);
}

pub(super) fn projections_are_listed_by_name_with_all_generations(stage: &Stage<'_>) {
    let mut a = stage.join();
    for projection in ["b", "a", "c", "d"] {
        a.run(begin(projection, 0));
    }
    a.run(want("b", Wanted::Rebuild(0)));
    let listed = |after, limit| {
        let all = stage.view().projections(after, limit).unwrap();
        all.into_iter().map(|it| format!("{}{}", it.name, it.generation)).collect::<Vec<_>>()
    };
    assert_eq!(listed(None, 100), ["a1", "b1", "b2", "c1", "d1"]);
    assert_eq!(listed(None, 2), ["a1", "b1", "b2"], "a name counts once");
    assert_eq!(listed(Some("b"), 1), ["c1"]);
    assert_eq!(listed(Some("bb"), 9), ["c1", "d1"]);
    assert_eq!(listed(Some("d"), 9), Vec::<String>::new());
}

/// A projection in so many partitions that has begun here, and the lock of whoever has any of them.
fn divided(player: &mut Player<'_, '_>, projection: &str, partitions: u32) -> (Vec<Standing>, Fence) {
    let all = player.run(Begin { partitions, ..begin(projection, 2) });
    (all, lock_of(player))
}

pub(super) fn a7_partitions_begin_together_and_move_each_by_itself(stage: &Stage<'_>) {
    let mut a = stage.join();
    let (all, fence) = divided(&mut a, "mails", 3);
    let found: Vec<_> = all.iter().map(|it| (it.generation, it.partition, it.position)).collect();
    let expected: Vec<_> = Partition::each(3).map(|partition| (1, partition, 2)).collect();
    assert_eq!(found, expected);
    assert!(all.iter().all(|it| it.revision == all[0].revision), "one revision for all");
    assert_eq!(a.run(begin("mails", 9)), all, "how many there are is settled");
    let (second, third) = (&all[1], &all[2]);
    assert_eq!(a.run(advance(second, &fence, 7)), Advanced::Done);
    assert_eq!(a.run(advance(second, &fence, 8)), Advanced::Stale);
    assert_eq!(a.run(advance(third, &fence, 5)), Advanced::Done, "what another one does is no matter");
    let positions =
        |stage: &Stage<'_>| -> Vec<u64> { stands(stage, "mails").iter().map(|it| it.position).collect() };
    assert_eq!(positions(stage), [2, 7, 5]);
    let nobody = Seen { partition: 3, ..seen(&all[0], &fence) };
    assert_eq!(a.run(Advance { seen: nobody, ..advance(&all[0], &fence, 9) }), Advanced::Stale);
}

pub(super) fn a7_what_is_wanted_is_wanted_of_all_partitions(stage: &Stage<'_>) {
    let (mut a, mut other) = (stage.join(), stage.join());
    let (all, fence) = divided(&mut a, "mails", 2);
    assert!(other.run(want("mails", Wanted::Pause)));
    assert!(all.iter().all(|it| a.run(advance(it, &fence, 9)) == Advanced::Stale));
    let paused = stands(stage, "mails");
    assert!(paused.iter().all(|it| it.paused && it.revision == paused[0].revision));
    a.run(advance(&paused[1], &fence, 9));
    let places = |stage: &Stage<'_>| -> Vec<_> {
        stands(stage, "mails")
            .iter()
            .map(|it| (it.generation, it.partition.index, it.position, it.paused))
            .collect()
    };
    assert_eq!(places(stage), [(1, 0, 2, true), (1, 1, 9, true)]);
    assert!(other.run(want("mails", Wanted::Reset(4))));
    assert_eq!(places(stage), [(2, 0, 4, true), (2, 1, 4, true)]);
    assert!(other.run(want("mails", Wanted::Resume)));
    assert!(other.run(want("mails", Wanted::Rebuild(1))), "there is nothing that they could be beside of");
    assert_eq!(places(stage), [(3, 0, 1, false), (3, 1, 1, false)]);
    let now = stands(stage, "mails");
    assert_eq!(a.run(Promote { seen: seen(&now[1], &fence) }), Advanced::Stale, "there is no older one");
    assert!(other.run(want("mails", Wanted::Remove)));
    assert_eq!(stands(stage, "mails"), []);
}
