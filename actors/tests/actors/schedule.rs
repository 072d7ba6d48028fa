//! Schedules: who keeps the time finds what is due, whoever has said it, and nobody is awake for it but him.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use millpond_actors::error::{Error, Result};
use millpond_actors::queue::{Abandoned, Keep, QueueActor, Write};
use millpond_actors::storage::queue::{How, NewJob, Start};
use millpond_actors::storage::schedule::{Missed, Placed, Plan, Set};
use millpond_actors::storage::{Backend, Data, Target};

use crate::queue::foreign_push;
use crate::world::{Begun, World, begun, broken, name, soon, until};

/// A schedule that is due so many milliseconds after the clock's beginning, and then each second.
fn set(due_ms: i64) -> Set {
    let data = Data::Json("7".to_owned());
    let job = NewJob {
        data,
        schema: 1,
        priority: 0,
        start: Start::Now,
        key: None,
        max_attempts: None,
        origin: None,
        dead: None,
    };
    let plan = Plan { cron: "* * * * * *".into(), zone: "UTC".into(), missed: Missed::Once, job };
    let queue = Target { name: name("q"), id: None };
    Set { queue, name: name("s"), plan: Box::new(plan), due: Some(1_700_000_000_000 + due_ms) }
}

impl World {
    /// Somebody for whom the time is kept, and who is known to the actor.
    async fn keeping(&self) -> Begun<impl Future<Output = Result<()>> + Send + use<>> {
        let runtime = Arc::clone(&self.runtime);
        let keep = async move {
            runtime.watch::<QueueActor, _, _>(&name("q"), |reply, passage| Keep { reply, passage }).await
        };
        let keeping = begun(keep);
        self.arrived().await;
        keeping
    }

    async fn schedule(&self, set: Set) -> Placed {
        let build = |reply, passage| Write::Schedule(set, reply, passage);
        soon(self.runtime.ask::<QueueActor, _, _>(&name("q"), build)).await.unwrap()
    }

    fn pushed(&self) -> u64 {
        self.memory.view().unwrap().queue(&name("q")).unwrap().map_or(0, |numbers| numbers.pushed)
    }
}

#[tokio::test]
async fn q5_whoever_keeps_the_time_pushes_what_is_due() {
    let world = World::new();
    // The lookout's first round has everybody look, whatever there is. It is over when it has found this.
    let mut foreigner = world.foreigner();
    let first = world.popping().await;
    foreign_push(&mut foreigner);
    let first = soon(first).await.unwrap().unwrap();
    world.finish(first, How::Done).await.unwrap();

    let mut keeping = world.keeping().await;
    assert_eq!(world.schedule(set(30)).await, Placed::New);
    world.arrived().await;
    assert_eq!(world.pushed(), 1, "it is not due yet");
    world.clock.advance(Duration::from_millis(30));
    until(async || world.pushed() == 2).await;
    // The next second.
    world.clock.advance(Duration::from_secs(1));
    until(async || world.pushed() == 3).await;
    assert!(!keeping.is_answered());
}

#[tokio::test]
async fn q5_a_schedule_of_another_process_is_kept_here() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    let _keeping = world.keeping().await;
    foreigner.write(set(0));
    until(async || world.pushed() == 1).await;
}

#[tokio::test]
async fn g13_what_is_due_and_could_not_be_pushed_is_pushed_later() {
    let world = World::new();
    let _keeping = world.keeping().await;
    world.schedule(set(20)).await;
    world.memory.faults().fail_commit(broken(), false);
    world.clock.advance(Duration::from_millis(20));
    until(async || world.pushed() == 1).await;
}

#[tokio::test]
async fn d8_nobody_keeps_the_time_once_nobody_wants_it() {
    let world = World::new();
    let keeping = world.keeping().await;
    world.schedule(set(1_000_000)).await;
    drop(keeping);
    world.runtime.tell::<QueueActor, _>(&name("q"), Abandoned);
    world.arrived().await;
    world.clock.advance(Duration::from_secs(2_000));
    for _ in 0..20 {
        // Each of these would have it look, if it did.
        assert_eq!(world.schedule(set(1_000_000)).await, Placed::Same);
    }
    assert_eq!(world.pushed(), 0);
    let _keeping = world.keeping().await;
    until(async || world.pushed() == 1).await;
}

#[tokio::test]
async fn c8_closing_ends_whoever_keeps_the_time() {
    let world = World::new();
    let keeping = world.keeping().await;
    soon(world.runtime.close()).await.unwrap();
    assert_eq!(soon(keeping).await, Err(Error::Closed));
}
