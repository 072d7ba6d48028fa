//! The runtime: closed in order, never waiting for itself, and nothing left of it.

use std::sync::{Arc, Mutex};

use millpond_actors::error::{Error, Result};
use millpond_actors::lock::{Acquire, LockActor, Wait};
use millpond_actors::runtime::{Runtime, Settings};
use millpond_actors::storage::View;

use crate::ledger::Command;
use crate::lock::TTL;
use crate::world::{World, all, append_blocking, begun, done, name, soon};

fn room_for_four(settings: &mut Settings) {
    settings.requests = 4;
}

#[tokio::test]
async fn g11_close_answers_what_was_accepted_first() {
    let world = World::new();
    let gate = world.memory.faults().hold_commits();
    let first = begun(world.append("s"));
    gate.wait_until_held();
    let accepted: Vec<_> = (0..10).map(|_| begun(world.append("s"))).collect();
    let command = begun(world.execute("ledger", Command::Count));
    world.arrived().await;
    let mut closing = begun(world.runtime.close());
    assert!(!closing.is_answered());
    gate.open();
    soon(first).await.unwrap();
    all(accepted).await.into_iter().for_each(done);
    soon(command).await.unwrap();
    assert_eq!(soon(closing).await, Ok(()));
    assert_eq!(world.head(), 12);
    assert!(world.memory_has_nobody());
}

#[tokio::test]
async fn g11_close_answers_what_waits_in_an_actor() {
    let world = World::new();
    let gate = world.memory.faults().hold_commits();
    let flying = begun(world.execute("ledger", Command::Count));
    gate.wait_until_held();
    // These are decided when the first one has landed, and reach the writer only then.
    let gathered: Vec<_> = (0..5).map(|_| begun(world.execute("ledger", Command::Count))).collect();
    world.arrived().await;
    let closing = begun(world.runtime.close());
    world.arrived().await;
    gate.open();
    soon(flying).await.unwrap();
    all(gathered).await.into_iter().for_each(done);
    soon(closing).await.unwrap();
    assert_eq!(world.version("ledger"), 6);
}

impl World {
    /// Whether every process has left the store in order.
    fn memory_has_nobody(&self) -> bool {
        use millpond_actors::clock::Clock;
        use millpond_actors::storage::Backend;
        self.memory.view().unwrap().processes(self.clock.now()).unwrap().is_empty()
    }
}

#[tokio::test]
async fn g11_a_closed_store_says_so() {
    let world = World::new();
    soon(world.append("s")).await.unwrap();
    soon(world.runtime.close()).await.unwrap();
    assert!(world.runtime.is_closed());
    assert_eq!(soon(world.append("s")).await, Err(Error::Closed));
    assert_eq!(soon(world.append_blocking("s")).await.unwrap(), Err(Error::Closed));
    assert_eq!(soon(world.runtime.read(|view| view.head())).await, Err(Error::Closed));
    assert!(matches!(soon(world.acquire("x", Wait::Forever)).await, Err(Error::Closed)));
    assert_eq!(soon(world.runtime.close()).await, Ok(()), "closing twice is the same as once");
    assert_eq!(world.runtime.close_blocking(), Ok(()));
    assert_eq!(soon(world.runtime.actors()).await, 0);
    assert_eq!(world.head(), 1);
}

#[tokio::test]
async fn g11_whoever_waits_for_a_lock_is_told_that_the_store_is_closed() {
    let world = World::new();
    let held = world.hold("x").await;
    let loss = begun(world.loss(&held));
    let waiter = world.in_line("x").await;
    let runtime = Arc::clone(&world.runtime);
    let thread = tokio::task::spawn_blocking(move || {
        runtime.call::<LockActor, _, _>(&name("x"), |reply, passage| Acquire {
            shape: millpond_actors::lock::Shape::EXCLUSIVE,
            ttl: TTL,
            wait: Wait::Forever,
            reply,
            passage,
        })
    });
    crate::world::until(async || world.waiting("x") == 2).await;
    world.arrived().await;
    soon(world.runtime.close()).await.unwrap();
    assert!(matches!(soon(waiter).await, Err(Error::Closed)));
    assert!(matches!(soon(thread).await.unwrap(), Err(Error::Closed)));
    // What was held is held no more: the actor may just have seen it, or be gone already.
    assert!(matches!(soon(loss).await, Ok(()) | Err(Error::Closed)));
    assert_eq!((world.holder("x"), world.waiting("x")), (None, 0));
}

#[tokio::test]
async fn g11_waiters_on_every_arbiter_are_told() {
    let world = World::with(|settings| settings.arbiters = 3);
    let (mut held, mut waiters) = (Vec::new(), Vec::new());
    for lock in ["a", "b", "c", "d", "e", "f"] {
        held.push(world.hold(lock).await);
        waiters.push(world.in_line(lock).await);
    }
    soon(world.runtime.close()).await.unwrap();
    for waiter in all(waiters).await {
        assert!(matches!(waiter, Err(Error::Closed)));
    }
}

#[tokio::test]
async fn g11_whoever_waits_for_room_is_told_that_the_store_is_closed() {
    let world = World::with(room_for_four);
    let gate = world.memory.faults().hold_commits();
    let inside: Vec<_> = (0..4).map(|_| begun(world.append("s"))).collect();
    gate.wait_until_held();
    let beyond = begun(world.append("s"));
    let thread = world.append_blocking("s");
    world.arrived().await;
    let closing = begun(world.runtime.close());
    assert_eq!(soon(beyond).await, Err(Error::Closed));
    assert!(matches!(soon(thread).await.unwrap(), Err(Error::Closed)));
    gate.open();
    all(inside).await.into_iter().for_each(done);
    soon(closing).await.unwrap();
}

#[tokio::test]
async fn g11_a_storm_of_callers_is_answered_whenever_it_is_closed() {
    for round in 0..20 {
        let world = World::new();
        let closed = Arc::clone(&world.runtime);
        let callers: Vec<_> = (0..60).map(|_| tokio::spawn(world.append("s"))).collect();
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        let closing = tokio::spawn(async move { closed.close().await });
        let mut applied = 0;
        for caller in callers {
            match soon(caller).await.unwrap() {
                Ok(_) => applied += 1,
                Err(error) => assert_eq!(error, Error::Closed),
            }
        }
        soon(closing).await.unwrap().unwrap();
        assert_eq!(world.head(), applied);
    }
}

/// What a blocking call answers, whatever it would have given.
fn refused<T>(answer: Result<T>) -> Option<Error> {
    answer.err()
}

/// Every way in that waits, tried where waiting would never end.
fn all_blocking_calls(runtime: &Runtime) -> Vec<Option<Error>> {
    vec![
        refused(append_blocking(runtime, "s")),
        refused(runtime.read_blocking(|view: &mut dyn View| view.head())),
        refused(runtime.write_blocking(millpond_actors::storage::lock::Settle { lock: 1 })),
        refused(runtime.actors_blocking()),
        refused(runtime.close_blocking()),
    ]
}

#[tokio::test]
async fn g11_a_thread_of_the_stores_own_never_waits_for_itself() {
    let world = World::with(|settings| settings.arbiters = 2);
    let (decided, say) = (Arc::new(Mutex::new(Vec::new())), Arc::downgrade(&world.runtime));
    let heard = Arc::clone(&decided);
    let run = Command::Run(Arc::new(move || {
        let runtime = say.upgrade().expect("it runs");
        heard.lock().unwrap().extend(all_blocking_calls(&runtime));
    }));
    // On both arbiters, whichever name is served by which.
    for ledger in ["a", "b", "c", "d"] {
        soon(world.execute(ledger, run.clone())).await.unwrap();
    }
    let runtime = Arc::downgrade(&world.runtime);
    let read = world.runtime.read(move |_| Ok(all_blocking_calls(&runtime.upgrade().expect("it runs"))));
    let mut said: Vec<_> = soon(read).await.unwrap();
    said.append(&mut decided.lock().unwrap());
    assert_eq!(said.len(), 25);
    assert!(said.iter().all(|error| *error == Some(Error::WouldDeadlock)), "{said:?}");
}

#[tokio::test]
async fn g11_a_store_that_was_dropped_is_as_one_whose_process_died() {
    let world = World::new();
    let there = world.another();
    let held = world.hold("x").await;
    let waiter = there.in_line("x").await;
    let World { runtime, .. } = world;
    drop((runtime, held));
    soon(waiter).await.unwrap().unwrap();
}

/// The threads of ours that run in this process.
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("millpond") || name.starts_with("actix")).collect()
}

/// Until no thread of ours is left. A thread that has ended takes a moment to disappear.
fn assert_no_thread_is_left() {
    let mut looks = 0;
    while !threads().is_empty() {
        looks += 1;
        assert!(looks < 50_000, "these are left: {:?}", threads());
        std::thread::yield_now();
    }
}

/// In a process of its own, because the threads of other tests would be counted too.
#[tokio::test]
#[ignore = "run by g11_no_thread_is_left, in a process of its own"]
async fn in_a_process_of_its_own() {
    for arbiters in [1, 3] {
        let start = || World::with(if arbiters == 1 { |_| () } else { |settings| settings.arbiters = 3 });
        let world = start();
        soon(world.append("s")).await.unwrap();
        let _held = world.hold("x").await;
        let waiter = world.in_line("x").await;
        assert!(threads().len() >= 3 + arbiters, "they are counted: {:?}", threads());
        soon(world.runtime.close()).await.unwrap();
        soon(waiter).await.unwrap_err();
        assert_no_thread_is_left();

        let dropped = start();
        soon(dropped.append("s")).await.unwrap();
        drop(dropped);
        assert_no_thread_is_left();
    }
}

#[test]
fn g11_no_thread_is_left() {
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "runtime::in_a_process_of_its_own", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

/// A machine on which this process can be taken for its own fork.
#[derive(Debug)]
struct Forking(std::sync::atomic::AtomicU32);

impl millpond_actors::clock::Spawner for Forking {
    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) -> Result<std::thread::JoinHandle<()>> {
        millpond_actors::clock::SystemSpawner.spawn(name, body)
    }

    fn process_id(&self) -> u32 {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

#[tokio::test]
async fn g15_a_fork_is_told_that_the_store_is_not_its_own() {
    use std::sync::atomic::Ordering;
    static MACHINE: std::sync::OnceLock<Arc<Forking>> = std::sync::OnceLock::new();
    let machine = Arc::clone(MACHINE.get_or_init(|| Arc::new(Forking(7.into()))));
    let world = World::with(|settings| settings.seams.spawner = MACHINE.get().unwrap().clone());
    let held = world.hold("x").await;
    machine.0.store(8, Ordering::SeqCst);
    assert_eq!(soon(world.append("s")).await, Err(Error::Forked));
    assert_eq!(soon(world.append_blocking("s")).await.unwrap(), Err(Error::Forked));
    assert_eq!(soon(world.runtime.read(|view| view.head())).await, Err(Error::Forked));
    assert_eq!(world.runtime.read_ahead(|view| view.head()).map(drop), Err(Error::Forked));
    assert_eq!(soon(world.runtime.close()).await, Err(Error::Forked), "nor is it the fork's to close");
    machine.0.store(7, Ordering::SeqCst);
    world.release(held).await.unwrap();
    soon(world.append("s")).await.unwrap();
}
