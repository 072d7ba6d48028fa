//! Workers on threads, on every executor, and on a store that is busy.

use std::sync::{Barrier, Mutex};
use std::time::Duration;

use millpond::blocking;
use millpond::{Error, JobState, Push, Result, Store, Task};
use tokio::sync::oneshot;

use crate::backends::wait;
use crate::peer::{Peer, file};
use crate::workers::{push, records};

each_backend! {
    both_faces_of_a_worker
    q1_a_worker_whose_threads_are_stuck_gives_their_jobs_back
}

async fn both_faces_of_a_worker(store: Store) -> Result<()> {
    let queue = store.blocking().queue::<u64>("q");
    let thread = move || {
        for job in 0..6 {
            queue.push_with(&job, Push::new().max_attempts(1))?;
        }
        let (together, pushed) = (Barrier::new(3), queue.clone());
        let worker = queue.worker().concurrency(3).rate(100, Duration::from_millis(1)).drain();
        let tally = worker.run(move |job: Task<u64>| {
            if job.is_stopping() || *job >= 6 {
                return Ok(());
            }
            // Each has a thread of its own.
            together.wait();
            assert!(*job != 5, "five");
            if *job == 4 {
                Err("four".into())
            } else {
                pushed.push(&(*job + 6)).map(drop).map_err(|e| e.to_string())
            }
        })?;
        assert_eq!((tally.done, tally.dead), (8, 2));
        let page = queue.page(Some(JobState::Dead), 0, 10)?;
        let reasons: Vec<_> = page.jobs.into_iter().map(|job| job.unwrap().reason.unwrap()).collect();
        assert_eq!(
            reasons.iter().map(|reason| &**reason).collect::<Vec<_>>(),
            ["four", "its handler panicked: five"]
        );
        let refused = queue.worker().concurrency(0).run(|_: Task<u64>| ());
        assert!(matches!(refused, Err(Error::InvalidArgument { .. })));
        Ok::<_, Error>(())
    };
    tokio::task::spawn_blocking(thread).await.unwrap()
}

async fn q1_a_worker_whose_threads_are_stuck_gives_their_jobs_back(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("q");
    queue.push(&7).await?;
    let worker = store.blocking().queue::<u64>("q").worker();
    let (stopper, (begun, has_begun)) = (worker.stopper(), oneshot::channel());
    let (begun, (free, stuck)) = (Mutex::new(Some(begun)), std::sync::mpsc::channel::<()>());
    let stuck = Mutex::new(stuck);
    let running = tokio::task::spawn_blocking(move || {
        worker.run(move |_: Task<u64>| {
            begun.lock().unwrap().take().unwrap().send(()).unwrap();
            stuck.lock().unwrap().recv().ok();
        })
    });
    has_begun.await.unwrap();
    stopper.stop(Duration::ZERO);
    assert_eq!(running.await.unwrap()?.released, 1, "it does not wait for what cannot be broken off");
    assert_eq!(records(&queue).await?, [(0, None)]);
    drop(free);
    Ok(())
}

#[test]
fn g8_a_worker_waits_for_a_store_that_is_busy() {
    let (_folder, file) = file();
    let mut peer = Peer::start(&file);
    let open = blocking::Store::builder().call_timeout(Duration::from_millis(200)).open(&file);
    let store = open.unwrap();
    let queue = store.queue::<u64>("q");
    queue.push(&7).unwrap();
    assert_eq!(peer.ask("keep 0"), "kept");
    let worker = queue.worker().drain();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| worker.run(|_: Task<u64>| ()));
        // What the worker asked for first is over by the time that two such calls are.
        for _ in 0..2 {
            assert!(matches!(queue.try_pop(), Err(Error::Busy { .. })));
        }
        assert!(!running.is_finished());
        peer.killed();
        assert_eq!(running.join().unwrap().unwrap().done, 1);
    });
}

#[test]
fn a_worker_runs_on_any_executor() {
    async fn scenario() -> Result<()> {
        let store = Store::memory().await?;
        let queue = store.queue::<u64>("q");
        push(&queue, 0..10).await?;
        let worker = queue.worker().concurrency(3).rate(5, Duration::from_millis(1)).drain();
        assert_eq!(worker.run(async |_: Task<u64>| ()).await?.done, 10);
        store.close().await
    }
    futures_executor::block_on(scenario()).unwrap();
    smol::block_on(smol::spawn(scenario())).unwrap();
    wait(async { tokio::spawn(scenario()).await.unwrap() }).unwrap();
}
