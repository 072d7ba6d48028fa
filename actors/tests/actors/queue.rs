//! Queues: served in order, woken by whatever brings a job, and nothing lost whoever goes away.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use millpond_actors::clock::{Rng, SystemRng};
use millpond_actors::error::{Error, Result};
use millpond_actors::queue::{Abandoned, Held, Pop, QueueActor, Wait, Write};
use millpond_actors::storage::queue::{
    Claim, Configure, Finish, Finished, How, NewJob, Numbers, Place, Push, Receipt, Start, State, What,
};
use millpond_actors::storage::{Backend, Data, Target};

use crate::world::{
    Begun, Foreigner, World, all, assert_not_applied, begun, broken, event, name, soon, until,
};

pub(crate) const LEASE: Duration = Duration::from_secs(30);

pub(crate) fn job(start: Start) -> NewJob {
    let data = Data::Json("7".to_owned());
    NewJob { data, schema: 1, priority: 0, start, key: None, max_attempts: None, origin: None, dead: None }
}

fn target() -> Target {
    Target { name: name("q"), id: None }
}

/// What a handle of the public face does, in short.
impl World {
    pub(crate) fn pop(&self, wait: Wait) -> impl Future<Output = Result<Option<Held>>> + Send + use<> {
        let runtime = Arc::clone(&self.runtime);
        async move {
            let build = |reply, passage| Pop { most: 1, ttl: LEASE, wait, reply, passage };
            let mut held = runtime.ask::<QueueActor, _, _>(&name("q"), build).await?;
            Ok(held.pop().map(Held::taken))
        }
    }

    pub(crate) async fn push(&self, start: Start) -> Place {
        let jobs = vec![job(start)];
        let build = |reply, passage| Write::Push(jobs, reply, passage);
        soon(self.runtime.ask::<QueueActor, _, _>(&name("q"), build)).await.unwrap()[0]
    }

    pub(crate) async fn finish(&self, held: Held, how: How) -> Result<Finished> {
        soon(self.runtime.enter_and(|reply, passage| held.finish(how, reply, passage))).await
    }

    /// A caller who waits, and is known to the actor.
    pub(crate) async fn popping(&self) -> Begun<impl Future<Output = Result<Option<Held>>> + Send + use<>> {
        let pop = begun(self.pop(Wait::Forever));
        self.arrived().await;
        pop
    }

    fn numbers(&self) -> Numbers {
        self.memory.view().unwrap().queue(&name("q")).unwrap().unwrap()
    }

    /// Ready, claimed, and the attempts of the first job.
    pub(crate) fn stands(&self) -> (u64, u64, Option<u32>) {
        let query =
            millpond_actors::storage::queue::Query { queue: name("q"), state: None, from: 0, limit: 1 };
        let page = self.memory.view().unwrap().jobs(&query).unwrap();
        let Numbers { ready, claimed, .. } = self.numbers();
        (ready, claimed, page.jobs.first().map(|job| job.as_ref().unwrap().attempts))
    }
}

pub(crate) fn sequence(held: &Result<Option<Held>>) -> u64 {
    held.as_ref().unwrap().as_ref().expect("a job").job().sequence
}

pub(crate) fn foreign_push(foreigner: &mut Foreigner) {
    foreigner.write(Push { queue: target(), jobs: vec![job(Start::Now)] });
}

#[tokio::test]
async fn q3_whoever_came_first_is_served_first() {
    let world = World::new();
    let mut waiting = Vec::new();
    for _ in 0..5 {
        waiting.push(world.popping().await);
    }
    for pushed in 1..=5 {
        assert_eq!(world.push(Start::Now).await, Place { sequence: pushed, existed: false });
        let held = soon(waiting.remove(0)).await;
        assert_eq!(sequence(&held), pushed);
        assert!(waiting.iter_mut().all(|pop| !pop.is_answered()));
        world.finish(held.unwrap().unwrap(), How::Done).await.unwrap();
    }
}

#[tokio::test]
async fn q3_one_push_serves_as_many_as_it_brings() {
    let world = World::new();
    let mut waiting = Vec::new();
    for _ in 0..4 {
        waiting.push(world.popping().await);
    }
    let jobs = vec![job(Start::Now); 3];
    let build = |reply, passage| Write::Push(jobs, reply, passage);
    soon(world.runtime.ask::<QueueActor, _, _>(&name("q"), build)).await.unwrap();
    let mut last = waiting.pop().unwrap();
    let held = all(waiting).await;
    assert_eq!(held.iter().map(sequence).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(!last.is_answered());
    drop(held);
    assert_eq!(sequence(&soon(last).await), 1, "what is dropped is visible again at once");
}

#[tokio::test]
async fn q3_what_is_pushed_for_who_waits_is_claimed_in_the_same_commit() {
    const ROUNDS: u64 = 400;
    let world = World::new();
    let mut together = 0;
    for _ in 0..ROUNDS {
        let pop = world.popping().await;
        let before = world.committed().0;
        world.push(Start::Now).await;
        let held = soon(pop).await.unwrap().unwrap();
        together += u64::from(world.committed().0 - before == 1);
        world.finish(held, How::Done).await.unwrap();
        // A thread that is awake may begin with a push before the claim is in the line: it is mostly so, and not always.
        if together == 5 {
            return;
        }
    }
    panic!("in {together} of {ROUNDS} rounds");
}

#[tokio::test]
async fn drawer_q6_who_waits_is_served_by_the_push_and_not_by_a_poll() {
    let world = World::without_lookout();
    let mut waiting = VecDeque::new();
    for _ in 0..10 {
        waiting.push_back(world.popping().await);
    }
    for pushed in 1..=50 {
        world.push(Start::Now).await;
        let held = soon(waiting.pop_front().unwrap()).await;
        assert_eq!(sequence(&held), pushed, "in the order of coming");
        assert!(waiting.iter_mut().all(|pop| !pop.is_answered()));
        waiting.push_back(world.popping().await);
        world.finish(held.unwrap().unwrap(), How::Done).await.unwrap();
    }
}

#[tokio::test]
async fn drawer_q6_a_purge_is_not_undone_by_anothers_failure() {
    let world = World::new();
    let taken = event(SystemRng.uuid());
    let gate = world.memory.faults().hold_commits();
    let first = begun(world.append_event("s", taken.clone()));
    gate.wait_until_held();
    // One group, the last operation of which takes the others down with it.
    let (queue, jobs) = (name("q"), vec![job(Start::Now); 5]);
    let push = |reply, passage| Write::Push(jobs, reply, passage);
    let pushed = begun(world.runtime.ask::<QueueActor, _, _>(&queue, push));
    world.arrived().await;
    let purge = |reply, passage| Write::Purge(What::All(State::Ready), reply, passage);
    let purged = begun(world.runtime.ask::<QueueActor, _, _>(&queue, purge));
    world.arrived().await;
    let fails = begun(world.append_event("t", taken));
    world.arrived().await;
    gate.open();
    soon(first).await.unwrap();
    assert_not_applied(&soon(fails).await);
    assert_eq!(soon(pushed).await.unwrap().len(), 5);
    let removed = soon(purged).await.unwrap();
    assert_eq!((removed.removed, removed.more), (5, false));
    assert_eq!(world.runtime.figures()[2], 1, "it was one group, and done again");
    assert_eq!(world.stands(), (0, 0, None));
}

#[tokio::test]
async fn trying_never_waits_and_waiting_within_a_time_ends() {
    let world = World::new();
    assert!(soon(world.pop(Wait::No)).await.unwrap().is_none(), "never used");
    world.push(Start::After(1_000_000)).await;
    assert!(soon(world.pop(Wait::No)).await.unwrap().is_none());
    // The clock of the deadline stands still; the timer's does not.
    assert!(soon(world.pop(Wait::For(Duration::from_millis(20)))).await.unwrap().is_none());
    until(async || world.runtime.inside() == 0).await;
    world.push(Start::Now).await;
    assert_eq!(sequence(&soon(world.pop(Wait::For(LEASE))).await), 2);
}

#[tokio::test]
async fn q4_a_dropped_job_counts_and_one_that_nobody_took_does_not() {
    let world = World::new();
    world.push(Start::Now).await;
    let held = soon(world.pop(Wait::Forever)).await;
    drop(held);
    until(async || world.stands() == (1, 0, Some(1))).await;
    let gate = world.memory.faults().hold_commits();
    let pop = begun(world.pop(Wait::Forever));
    tokio::task::spawn_blocking(move || {
        gate.wait_until_held();
        // Its caller goes away while the claim is being committed.
        drop(pop);
        gate.open();
    })
    .await
    .unwrap();
    until(async || world.stands() == (1, 0, Some(1))).await;
    assert_eq!(soon(world.pop(Wait::No)).await.unwrap().unwrap().job().attempts, 2);
}

#[tokio::test]
async fn q1_a_pop_that_was_dropped_eats_no_later_job() {
    let world = World::new();
    let first = world.popping().await;
    let second = world.popping().await;
    drop(first);
    world.runtime.tell::<QueueActor, _>(&name("q"), Abandoned);
    world.push(Start::Now).await;
    assert_eq!(sequence(&soon(second).await), 1);
    // The test has dropped it.
    until(async || world.numbers().claimed == 0).await;
}

#[tokio::test]
async fn q1_of_many_pops_that_are_dropped_at_any_moment_none_loses_a_job() {
    let world = World::new();
    const JOBS: u64 = 60;
    for round in 0..JOBS {
        world.push(Start::Now).await;
        let mut pop = begun(world.pop(Wait::Forever));
        for _ in 0..round % 7 {
            tokio::task::yield_now().await;
            if pop.is_answered() {
                break;
            }
        }
        drop(pop);
    }
    until(async || world.numbers().ready == JOBS).await;
}

#[tokio::test]
async fn q5_a_waiter_is_woken_when_a_jobs_time_comes() {
    let world = World::new();
    // The lookout's first round has everybody look, whatever there is. It is over when it has found this; after it
    // there is no news from elsewhere any more, and the foreigner stays where he is.
    let mut foreigner = world.foreigner();
    let first = world.popping().await;
    foreign_push(&mut foreigner);
    let first = soon(first).await.unwrap().unwrap();
    world.finish(first, How::Done).await.unwrap();

    let mut waiting = world.popping().await;
    world.push(Start::After(30)).await;
    world.arrived().await;
    assert!(!waiting.is_answered());
    world.clock.advance(Duration::from_millis(30));
    assert_eq!(sequence(&soon(waiting).await), 2);
}

#[tokio::test]
async fn d8_a_push_of_another_process_wakes_who_waits() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    for sequence_of in 1..=3 {
        let waiting = world.popping().await;
        foreign_push(&mut foreigner);
        let held = soon(waiting).await;
        assert_eq!(sequence(&held), sequence_of);
        world.finish(held.unwrap().unwrap(), How::Done).await.unwrap();
    }
}

#[tokio::test]
async fn d8_a_push_that_nobody_rings_for_is_found() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    let waiting = world.popping().await;
    foreigner.begin();
    foreigner.apply(Push { queue: target(), jobs: vec![job(Start::Now)] });
    foreigner.commit_quietly();
    assert_eq!(sequence(&soon(waiting).await), 1);
}

#[tokio::test]
async fn q4_the_death_of_another_process_wakes_who_waits() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    foreign_push(&mut foreigner);
    let claimed = foreigner.write(Claim { queue: target(), most: 1, ttl_ms: 1_000_000 });
    assert_eq!(claimed.jobs.len(), 1);
    let mut waiting = world.popping().await;
    assert!(!waiting.is_answered());
    drop(foreigner);
    let held = soon(waiting).await.unwrap().unwrap();
    assert_eq!(held.job().attempts, 2);
}

#[tokio::test]
async fn q4_a_stopped_process_loses_its_jobs_to_who_waits() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    foreign_push(&mut foreigner);
    let claimed = foreigner.write(Claim { queue: target(), most: 1, ttl_ms: 40 });
    let (receipt, _): (Receipt, _) = claimed.jobs[0].clone();
    let waiting = world.popping().await;
    world.clock.advance(Duration::from_millis(40));
    let held = soon(waiting).await.unwrap().unwrap();
    assert_eq!(held.job().sequence, receipt.sequence);
    assert_eq!(foreigner.write(Finish { receipt, how: How::Done }), Finished::Stale);
    assert_eq!(world.finish(held, How::Done).await, Ok(Finished::Done));
}

#[tokio::test]
async fn q2_a_claim_that_was_lost_is_stale() {
    let world = World::new();
    world.push(Start::Now).await;
    let held = soon(world.pop(Wait::Forever)).await.unwrap().unwrap();
    // Somebody takes this process for dead.
    world.memory.bury(world.runtime.process(), millpond_actors::clock::Clock::now(&*world.clock));
    let ended = world.finish(held, How::Done).await;
    assert_eq!(ended, Err(Error::StaleClaim { queue: "q".into(), sequence: 1 }));
    assert_eq!(soon(world.pop(Wait::No)).await.unwrap().unwrap().job().attempts, 2);
}

#[tokio::test]
async fn q4_a_process_that_runs_keeps_its_jobs() {
    let world = World::new();
    world.push(Start::Now).await;
    let build =
        |reply, passage| Pop { most: 1, ttl: Duration::from_millis(60), wait: Wait::No, reply, passage };
    let held =
        soon(world.runtime.ask::<QueueActor, _, _>(&name("q"), build)).await.unwrap().remove(0).taken();
    // Its row is written at least every 20 ms, so that it can be silent for no longer.
    let groups = world.committed().0;
    until(async || world.committed().0 > groups + 3).await;
    assert_eq!(world.finish(held, How::Done).await, Ok(Finished::Done));
}

#[tokio::test]
async fn g13_a_claim_by_a_commit_of_unknown_fate_is_given_back() {
    let world = World::new();
    world.push(Start::Now).await;
    world.push(Start::Now).await;
    let kept = soon(world.pop(Wait::Forever)).await.unwrap().unwrap();
    world.memory.faults().fail_commit(broken(), true);
    world.memory.faults().fail_reopen(1, broken());
    let unknown = soon(world.pop(Wait::Forever)).await;
    assert!(matches!(unknown, Err(Error::CommitUnknown { .. })), "{unknown:?}");
    assert_eq!(world.numbers().claimed, 2, "it was applied, and nobody knows");
    until(async || world.numbers().claimed == 1).await;
    let again = soon(world.pop(Wait::No)).await.unwrap().unwrap();
    assert_eq!((again.job().sequence, again.job().attempts), (2, 1), "it did not count");
    assert_eq!(world.finish(kept, How::Done).await, Ok(Finished::Done), "what is held by somebody was not");
}

#[tokio::test]
async fn g13_a_job_whose_end_could_not_be_written_is_tried_again() {
    let world = World::new();
    world.push(Start::Now).await;
    let held = soon(world.pop(Wait::Forever)).await.unwrap().unwrap();
    world.memory.faults().fail_commit(broken(), false);
    assert_not_applied(&world.finish(held, How::Done).await);
    // Its worker was told that nothing was written, so it must not be done later.
    let again = soon(world.pop(Wait::Forever)).await.unwrap().unwrap();
    assert_eq!((again.job().sequence, again.job().attempts), (1, 2));
}

#[tokio::test]
async fn drawer_c8_closing_ends_all_who_wait() {
    let world = World::new();
    world.push(Start::Now).await;
    let held = soon(world.pop(Wait::Forever)).await.unwrap().unwrap();
    let waiting = [world.popping().await, world.popping().await];
    let runtime = Arc::clone(&world.runtime);
    let blocking = tokio::task::spawn_blocking(move || {
        let build = |reply, passage| Pop { most: 1, ttl: LEASE, wait: Wait::Forever, reply, passage };
        runtime.call::<QueueActor, _, _>(&name("q"), build).map(drop)
    });
    world.arrived().await;
    soon(world.runtime.close()).await.unwrap();
    for answer in all(waiting).await {
        assert!(matches!(answer, Err(Error::Closed)), "{answer:?}");
    }
    assert_eq!(soon(blocking).await.unwrap(), Err(Error::Closed));
    assert_eq!(world.numbers().ready, 1, "what it worked on was given up");
    assert!(matches!(world.finish(held, How::Done).await, Err(Error::Closed)));
}

#[tokio::test]
async fn a_pause_is_ended_by_whoever_ends_it() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    let pause =
        |paused| Configure { queue: target(), paused: Some(paused), max_attempts: None, keep_done_ms: None };
    for own in [true, false] {
        foreigner.write(pause(true));
        world.push(Start::Now).await;
        let mut waiting = world.popping().await;
        world.arrived().await;
        assert!(!waiting.is_answered());
        if own {
            let build = |reply, passage| Write::Configure(pause(false), reply, passage);
            soon(world.runtime.ask::<QueueActor, _, _>(&name("q"), build)).await.unwrap();
        } else {
            foreigner.write(pause(false));
        }
        let held = soon(waiting).await.unwrap().unwrap();
        world.finish(held, How::Done).await.unwrap();
    }
}

#[tokio::test]
async fn g9_who_waits_takes_no_place_of_those_who_come() {
    let world = World::with(|settings| settings.requests = 2);
    let mut waiting = Vec::new();
    for _ in 0..10 {
        waiting.push(world.popping().await);
    }
    until(async || world.runtime.inside() == 0).await;
    world.push(Start::Now).await;
    assert_eq!(sequence(&soon(waiting.remove(0)).await), 1);
}

#[tokio::test]
async fn d8_nobody_is_awake_while_nobody_waits() {
    let world = World::new();
    world.push(Start::Now).await;
    let held = soon(world.pop(Wait::Forever)).await.unwrap().unwrap();
    world.finish(held, How::Done).await.unwrap();
    until(async || world.runtime.inside() == 0).await;
    let before = world.committed();
    world.arrived().await;
    assert_eq!(world.committed(), before, "no beat is written for what is not held");
}
