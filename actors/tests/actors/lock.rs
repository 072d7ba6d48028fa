//! Locks: in line, in order, not longer than wanted, and given back when nobody takes them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use millpond_actors::error::Result;
use millpond_actors::lock::{Abandoned, Acquire, LockActor, Loss, Place, Shape, Wait};
use millpond_actors::storage::Backend;
use millpond_actors::storage::lock::{self as stored, Acquired, Line};

use crate::world::{Begun, Foreigner, World, begun, name, soon, until};

pub(crate) const TTL: Duration = Duration::from_secs(60);

/// What a handle of the public face does, in short.
impl World {
    pub(crate) fn acquire(
        &self,
        lock: &str,
        wait: Wait,
    ) -> impl Future<Output = Result<Option<Place>>> + Send + use<> {
        self.acquire_part(lock, Shape::EXCLUSIVE, wait)
    }

    /// A part of a lock that is shared.
    pub(crate) fn acquire_part(
        &self,
        lock: &str,
        shape: Shape,
        wait: Wait,
    ) -> impl Future<Output = Result<Option<Place>>> + Send + use<> {
        let (runtime, name) = (Arc::clone(&self.runtime), name(lock));
        async move {
            let build = |reply, passage| Acquire { shape, ttl: TTL, wait, reply, passage };
            runtime.ask::<LockActor, _, _>(&name, build).await
        }
    }

    pub(crate) async fn hold(&self, lock: &str) -> Place {
        soon(self.acquire(lock, Wait::Forever)).await.unwrap().expect("it waits until it is granted")
    }

    pub(crate) async fn try_hold(&self, lock: &str) -> Option<Place> {
        soon(self.acquire(lock, Wait::No)).await.unwrap()
    }

    /// A caller in line, with its ticket in the database.
    pub(crate) async fn in_line(
        &self,
        lock: &str,
    ) -> Begun<impl Future<Output = Result<Option<Place>>> + Send + use<>> {
        self.part_in_line(lock, Shape::EXCLUSIVE).await
    }

    pub(crate) async fn part_in_line(
        &self,
        lock: &str,
        shape: Shape,
    ) -> Begun<impl Future<Output = Result<Option<Place>>> + Send + use<>> {
        let before = self.waiting(lock);
        let waiter = begun(self.acquire_part(lock, shape, Wait::Forever));
        until(async || self.waiting(lock) == before + 1).await;
        // The actor knows it, too.
        self.arrived().await;
        waiter
    }

    pub(crate) async fn release(&self, held: Place) -> Result<()> {
        let writer = self.runtime.writer();
        let left = self.runtime.enter_and(|reply, passage| held.leave(writer, reply, passage));
        soon(left).await.map(drop)
    }

    /// A caller goes away as the handle's future does when it is dropped.
    pub(crate) fn abandon<F: Future>(&self, lock: &str, waiter: Begun<F>) {
        drop(waiter);
        self.runtime.tell::<LockActor, _>(&name(lock), Abandoned);
    }

    /// Resolves when what is held is lost.
    pub(crate) fn loss(&self, held: &Place) -> impl Future<Output = Result<()>> + Send + use<> {
        let (runtime, fence, ticket) = (Arc::clone(&self.runtime), held.fence(), held.ticket());
        async move {
            let build = |reply, _| Loss { lock: fence.lock, ticket, reply };
            runtime.watch::<LockActor, _, _>(&fence.name, build).await
        }
    }

    /// Until the lock's actor has looked how it stands, and no look is under way any more. It answers whoever asks after
    /// a ticket that holds nothing as soon as it has looked.
    pub(crate) async fn has_looked(&self, lock: &str) {
        let row = self.line(lock).unwrap().lock;
        for _ in 0..10 {
            let ask = |reply, _| Loss { lock: row, ticket: 0, reply };
            soon(self.runtime.watch::<LockActor, _, _>(&name(lock), ask)).await.unwrap();
            self.arrived().await;
        }
    }

    /// Until the lookout has seen all that there is to be seen: by it, whoever waits for another process is told. Who was
    /// needed for that is given back to stay, so that nothing more is news.
    pub(crate) async fn lookout_has_seen_all(&self) -> (Foreigner, Place) {
        let mut foreigner = self.foreigner();
        let probe = foreigner.take("probe", TTL);
        let waiter = self.in_line("probe").await;
        foreigner.write(stored::Leave { lock: probe.lock, ticket: probe.ticket });
        let held = soon(waiter).await.unwrap().unwrap();
        self.arrived().await;
        (foreigner, held)
    }

    pub(crate) fn line(&self, lock: &str) -> Option<Line> {
        use millpond_actors::clock::Clock;
        self.memory.view().unwrap().lock(&name(lock), self.clock.now()).unwrap()
    }

    pub(crate) fn waiting(&self, lock: &str) -> u64 {
        self.line(lock).map_or(0, |line| line.waiting)
    }

    /// The ticket that holds the lock, if any does.
    pub(crate) fn holder(&self, lock: &str) -> Option<u64> {
        let line = self.line(lock)?;
        let holder = line.holder()?;
        (!holder.void).then_some(holder.grant.ticket)
    }
}

impl Foreigner {
    /// Takes a lock that is free.
    pub(crate) fn take(&mut self, lock: &str, ttl: Duration) -> stored::Grant {
        match self.ask_for(lock, ttl) {
            Acquired::Granted(grant) => grant,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn ask_for(&mut self, lock: &str, ttl: Duration) -> Acquired {
        let lock = millpond_actors::storage::Target { name: name(lock), id: None };
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap();
        self.write(stored::Acquire { lock, capacity: 1, weight: 1, ttl_ms, wait: true })
    }
}

#[tokio::test]
async fn l1_a_lock_has_one_holder_and_its_token_grows() {
    let world = World::new();
    let first = world.hold("x").await;
    assert!(world.try_hold("x").await.is_none());
    assert_eq!(world.waiting("x"), 0, "who does not wait leaves no ticket");
    let other = world.hold("y").await;
    assert!(other.fence().token > first.fence().token, "over all locks");
    let token = first.fence().token;
    world.release(first).await.unwrap();
    let second = world.try_hold("x").await.unwrap();
    assert!(second.fence().token > token);
    world.release(second).await.unwrap();
    assert_eq!(world.holder("x"), None);
}

#[tokio::test]
async fn l5_whoever_came_first_is_served_first() {
    let world = World::new();
    let mut holder = world.hold("x").await;
    let mut waiters = Vec::new();
    for _ in 0..20 {
        waiters.push(world.in_line("x").await);
    }
    let mut waiters = waiters.into_iter();
    while let Some(next) = waiters.next() {
        let token = holder.fence().token;
        world.release(holder).await.unwrap();
        holder = soon(next).await.unwrap().unwrap();
        assert!(holder.fence().token > token);
        let answered = waiters.as_mut_slice().iter_mut().filter_map(|one| one.is_answered().then_some(()));
        assert_eq!(answered.count(), 0, "nobody is served out of order");
    }
    world.release(holder).await.unwrap();
    assert_eq!((world.holder("x"), world.waiting("x")), (None, 0));
}

#[tokio::test]
async fn l5_the_line_goes_over_all_processes() {
    let here = World::new();
    let there = here.another();
    let mut holder = here.hold("x").await;
    let mut waiters = Vec::new();
    for number in 0..10 {
        let process = if number % 2 == 0 { &there } else { &here };
        waiters.push((process, process.in_line("x").await));
    }
    let mut holders_process = &here;
    for (process, waiter) in waiters {
        holders_process.release(holder).await.unwrap();
        holder = soon(waiter).await.unwrap().unwrap();
        holders_process = process;
    }
    holders_process.release(holder).await.unwrap();
    assert_eq!((here.holder("x"), here.waiting("x")), (None, 0));
}

#[tokio::test]
async fn l6_whoever_waits_no_longer_is_told_and_leaves_the_line() {
    let world = World::new();
    let held = world.hold("x").await;
    let patience = Wait::For(Duration::from_millis(20));
    let waiters: Vec<_> = (0..5).map(|_| begun(world.acquire("x", patience))).collect();
    for waiter in waiters {
        assert!(matches!(soon(waiter).await, Ok(None)));
    }
    until(async || world.waiting("x") == 0).await;
    world.release(held).await.unwrap();
    assert!(world.try_hold("x").await.is_some());
}

#[tokio::test]
async fn l6_whoever_is_granted_in_time_is_not_thrown_out_later() {
    let world = World::new();
    let held = world.hold("x").await;
    let patience = Wait::For(Duration::from_millis(60));
    let waiter = begun(world.acquire("x", patience));
    until(async || world.waiting("x") == 1).await;
    world.release(held).await.unwrap();
    let granted = soon(waiter).await.unwrap().expect("in time");
    // Past the deadline, by another one that was armed later.
    assert!(matches!(soon(world.acquire("x", Wait::For(Duration::from_millis(80)))).await, Ok(None)));
    assert_eq!(world.holder("x"), Some(granted.ticket()));
}

#[tokio::test]
async fn l6_a_caller_that_goes_away_gives_up_its_place() {
    let world = World::new();
    let held = world.hold("x").await;
    let gone = world.in_line("x").await;
    let patient = world.in_line("x").await;
    world.abandon("x", gone);
    until(async || world.waiting("x") == 1).await;
    world.release(held).await.unwrap();
    soon(patient).await.unwrap().unwrap();
}

#[tokio::test]
async fn l6_a_caller_that_goes_away_before_its_ticket_is_committed_leaves_nothing() {
    let world = World::new();
    let held = world.hold("x").await;
    for wait in [Wait::Forever, Wait::No].into_iter().cycle().take(6) {
        let gate = world.memory.faults().hold_commits();
        let gone = begun(world.acquire("x", wait));
        gate.wait_until_held();
        world.abandon("x", gone);
        drop(gate);
        world.arrived().await;
    }
    world.release(held).await.unwrap();
    until(async || world.holder("x").is_none() && world.waiting("x") == 0).await;
    assert!(world.try_hold("x").await.is_some());
}

#[tokio::test]
async fn l6_a_first_caller_that_goes_away_before_its_grant_gives_it_back() {
    let world = World::new();
    let gate = world.memory.faults().hold_commits();
    let gone = begun(world.acquire("x", Wait::Forever));
    gate.wait_until_held();
    world.abandon("x", gone);
    world.arrived().await;
    drop(gate);
    until(async || world.line("x").is_some() && world.holder("x").is_none()).await;
    assert!(world.try_hold("x").await.is_some());
}

#[tokio::test]
async fn l6_a_grant_that_its_caller_did_not_look_at_any_more_is_given_back() {
    let world = World::new();
    let held = world.hold("x").await;
    let racing = world.in_line("x").await;
    world.release(held).await.unwrap();
    // The grant has been sent, but nobody has looked at it when the caller goes away.
    until(async || world.holder("x").is_some()).await;
    world.arrived().await;
    world.abandon("x", racing);
    until(async || world.holder("x").is_none()).await;
    assert!(world.try_hold("x").await.is_some());
}

#[tokio::test]
async fn l6_a_grant_that_was_taken_is_not_given_back_by_anothers_going() {
    let world = World::new();
    let held = world.hold("x").await;
    for _ in 0..3 {
        let gone = world.in_line("x").await;
        world.abandon("x", gone);
        until(async || world.waiting("x") == 0).await;
    }
    world.arrived().await;
    assert_eq!(world.holder("x"), Some(held.ticket()));
    world.release(held).await.unwrap();
}

#[tokio::test]
async fn l6_a_storm_of_comers_and_goers_leaves_the_lock_free() {
    let world = World::new();
    for round in 0..30 {
        let mut all: Vec<_> = (0..20).map(|_| Some(begun(world.acquire("x", Wait::Forever)))).collect();
        // Every third one stays; the others go away at different moments of their way.
        for (number, waiter) in all.iter_mut().enumerate() {
            if number % 3 != round % 3 {
                world.abandon("x", waiter.take().unwrap());
            }
            if number % 4 == 0 {
                world.runtime.actors().await;
            }
        }
        for stayed in all.into_iter().flatten() {
            let held = soon(stayed).await.unwrap().unwrap();
            world.release(held).await.unwrap();
        }
    }
    until(async || world.holder("x").is_none() && world.waiting("x") == 0).await;
}
