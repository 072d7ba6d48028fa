//! Reactors that share the partitions of a projection: nothing lost, the order of each stream, whoever has which.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millpond::{Attempt, Error, Expected, Reacted, Reactor, Result, Stopper, Store};
use proptest::prelude::RngExt as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use tokio::task::JoinHandle;

use crate::backends::{event, until};

each_backend! {
    c2_each_event_comes_to_one_of_them_in_the_order_of_its_stream
    c2_partitions_change_hands_and_nothing_is_lost_or_out_of_order
    c2_whoever_comes_gets_a_share_and_whoever_goes_leaves_his
    c2_a_partition_goes_to_another_when_its_handlers_have_ended
    a_stream_that_fails_holds_up_its_partition_alone
    handlers_are_counted_over_all_partitions
    whoever_loses_his_membership_joins_again
    all_of_it_is_drained_by_one_and_by_several
    w16_whoever_is_stopped_without_grace_drops_what_runs
}

pub(crate) const LONG: Duration = Duration::from_secs(3_600);

pub(crate) fn reactor(store: &Store, partitions: u32) -> Reactor {
    store.projection("mails").reactor(store.events().read_all()).partitions(partitions)
}

/// One event more of each of so many streams.
pub(crate) async fn append(store: &Store, streams: u64, n: u64) -> Result<()> {
    for stream in 0..streams {
        store.events().append(format!("c-{stream}"), Expected::Any, [event(n)]).await?;
    }
    Ok(())
}

/// What all reactors have been given, and what is wrong with it.
#[derive(Default)]
pub(crate) struct Seen {
    /// Of each stream: the last version, and whether a handler runs.
    pub(crate) streams: HashMap<String, (u64, bool)>,
    /// Events by reactor.
    pub(crate) counts: HashMap<u64, u64>,
    tokens: HashMap<String, u64>,
    complaints: Vec<String>,
}

impl Seen {
    fn begins(&mut self, who: u64, event: &Attempt) {
        *self.counts.entry(who).or_default() += 1;
        let (stream, version) = (event.stream(), event.version());
        let token = self.tokens.entry(stream.to_owned()).or_default();
        if event.token() < *token {
            self.complaints.push(format!("{stream} {version} came under {}, behind {token}", event.token()));
        }
        *token = event.token();
        let (last, runs) = self.streams.entry(stream.to_owned()).or_default();
        if std::mem::replace(runs, true) {
            self.complaints.push(format!("{stream} {version} came while another one of it ran"));
        }
        // What was done may come again.
        if version > *last + 1 {
            self.complaints.push(format!("{stream} {version} came behind {last}"));
        }
        *last = version.max(*last);
    }

    fn ends(&mut self, stream: &str) {
        if let Some((_, runs)) = self.streams.get_mut(stream) {
            *runs = false;
        }
    }

    fn all(&self) -> u64 {
        self.streams.values().map(|(last, _)| last).sum()
    }
}

pub(crate) type Running = (JoinHandle<Result<Reacted>>, Stopper);

pub(crate) fn start(reactor: Reactor, who: u64, seen: &Arc<Mutex<Seen>>) -> Running {
    let (stopper, seen) = (reactor.stopper(), Arc::clone(seen));
    let handler = async move |event: Attempt| {
        seen.lock().unwrap().begins(who, &event);
        for _ in 0..event.position() % 5 {
            tokio::task::yield_now().await;
        }
        seen.lock().unwrap().ends(event.stream());
    };
    (tokio::spawn(reactor.run(handler)), stopper)
}

pub(crate) async fn stop((running, stopper): Running) -> Result<Reacted> {
    stopper.stop(LONG);
    running.await.unwrap()
}

async fn c2_each_event_comes_to_one_of_them_in_the_order_of_its_stream(store: Store) -> Result<()> {
    let seen = Arc::default();
    for n in 0..10 {
        append(&store, 12, n).await?;
    }
    let all: Vec<_> = (0..3).map(|who| start(reactor(&store, 8).streams(4), who, &seen)).collect();
    for n in 10..20 {
        append(&store, 12, n).await?;
    }
    let projection = store.projection("mails");
    projection.caught_up().await?;
    let progress = projection.progress().await?.expect("it has begun");
    assert_eq!((progress.partitions, progress.handled, progress.lag()), (8, 240, 0));
    let mut done = 0;
    for running in all {
        done += stop(running).await?.done;
    }
    let seen = seen.lock().unwrap();
    assert_eq!((seen.complaints.as_slice(), seen.all()), ([].as_slice(), 240));
    assert!(done >= 240, "{done}");
    Ok(())
}

/// Reactors come and go, gracefully and not, while events are appended.
async fn c2_partitions_change_hands_and_nothing_is_lost_or_out_of_order(store: Store) -> Result<()> {
    let (seen, mut random) =
        (Arc::<Mutex<Seen>>::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (mut running, mut appended): (Vec<Running>, u64) = (Vec::new(), 0);
    for who in 0..40 {
        append(&store, 9, who).await?;
        appended += 9;
        match random.random_range(0..4_u32) {
            0 if !running.is_empty() => {
                let index = random.random_range(0..running.len());
                stop(running.swap_remove(index)).await?;
            }
            // What it ran has not ended, as far as anybody knows.
            1 if !running.is_empty() => {
                let index = random.random_range(0..running.len());
                let (dropped, _) = running.swap_remove(index);
                dropped.abort();
                assert!(dropped.await.is_err());
            }
            _ => running.push(start(reactor(&store, 6).streams(1 + who as u32 % 3), who, &seen)),
        }
        for _ in 0..random.random_range(0..50_u32) {
            tokio::task::yield_now().await;
        }
    }
    running.push(start(reactor(&store, 6), 99, &seen));
    store.projection("mails").caught_up().await?;
    for one in running {
        stop(one).await?;
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.all(), appended);
    let complaints: Vec<_> = seen.complaints.iter().filter(|it| !it.contains("ran")).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    Ok(())
}

/// How many partitions are held by whom, by the number of his partitions.
pub(crate) async fn shares(store: &Store, of: u32) -> Result<Vec<u64>> {
    let mut held = Vec::new();
    for index in 0..of {
        if let Some(line) = store.inspect().lock(format!("projection/mails/{index:02}")).await? {
            held.extend(line.holders.iter().map(|holder| holder.grant.token));
        }
    }
    Ok(held)
}

async fn c2_whoever_comes_gets_a_share_and_whoever_goes_leaves_his(store: Store) -> Result<()> {
    append(&store, 64, 0).await?;
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let first = start(reactor(&store, 6), 1, &seen);
    until(async || Ok(shares(&store, 6).await?.len() == 6)).await?;
    let alone: HashSet<u64> = shares(&store, 6).await?.into_iter().collect();
    let second = start(reactor(&store, 6), 2, &seen);
    // Three of them change hands, and only three.
    until(async || {
        let now = shares(&store, 6).await?;
        Ok(now.len() == 6 && now.iter().filter(|token| !alone.contains(token)).count() == 3)
    })
    .await?;
    store.projection("mails").caught_up().await?;
    seen.lock().unwrap().counts.clear();
    append(&store, 64, 1).await?;
    store.projection("mails").caught_up().await?;
    {
        let counts = &seen.lock().unwrap().counts;
        assert_eq!(counts.values().sum::<u64>(), 64);
        assert!(counts.len() == 2 && counts.values().all(|count| *count >= 16), "{counts:?}");
    }
    let members = store.inspect().projector("mails").await?.expect("it runs");
    assert_eq!((members.name.as_str(), members.holders.len()), ("projection/mails/members", 2));
    stop(first).await?;
    append(&store, 64, 2).await?;
    store.projection("mails").caught_up().await?;
    assert_eq!(shares(&store, 6).await?.len(), 6, "all are the other's");
    stop(second).await?;
    assert!(shares(&store, 6).await?.is_empty());
    Ok(())
}

async fn c2_a_partition_goes_to_another_when_its_handlers_have_ended(store: Store) -> Result<()> {
    append(&store, 20, 0).await?;
    let (begun, go_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (tell, wait) = (Arc::clone(&begun), Arc::clone(&go_on));
    let first = reactor(&store, 2).streams(20);
    let stopper = first.stopper();
    let first = tokio::spawn(first.run(async move |_: Attempt| {
        tell.fetch_add(1, Ordering::SeqCst);
        while !wait.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
    }));
    until(async || Ok(begun.load(Ordering::SeqCst) == 20)).await?;
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let second = start(reactor(&store, 2), 2, &seen);
    // It waits in line for the partition that is to be its own.
    crate::backends::waiting(&store, 1).await?;
    // One more of each stream: of those of that partition, the first begins none any more.
    append(&store, 20, 1).await?;
    assert_eq!(seen.lock().unwrap().all(), 0);
    go_on.store(true, Ordering::SeqCst);
    store.projection("mails").caught_up().await?;
    {
        let seen = seen.lock().unwrap();
        let got = seen.streams.len();
        assert!(got > 0 && got < 20 && seen.counts[&2] == got as u64, "the second of each stream: {got}");
        assert_eq!(begun.load(Ordering::SeqCst), 40 - got);
    }
    stopper.stop(LONG);
    first.await.unwrap()?;
    stop(second).await?;
    Ok(())
}

async fn a_stream_that_fails_holds_up_its_partition_alone(store: Store) -> Result<()> {
    append(&store, 30, 0).await?;
    let (mended, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (is_mended, counted) = (Arc::clone(&mended), Arc::clone(&count));
    let reactor = reactor(&store, 5).attempts(1);
    let stopper = reactor.stopper();
    let running = tokio::spawn(reactor.run(async move |event: Attempt| {
        if event.stream() == "c-0" && !is_mended.load(Ordering::SeqCst) {
            return Err("no such customer");
        }
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }));
    let projection = store.projection("mails");
    let error = projection.caught_up().await.unwrap_err();
    assert!(error.to_string().contains("event 1 (Counted of stream \"c-0\"): no such customer"), "{error}");
    append(&store, 30, 1).await?;
    // All but that stream's two.
    until(async || Ok(count.load(Ordering::SeqCst) == 58)).await?;
    let progress = projection.progress().await?.expect("it has begun");
    assert!(progress.is_parked() && progress.position == 0, "{progress:?}");
    mended.store(true, Ordering::SeqCst);
    projection.resume().await?;
    projection.caught_up().await?;
    stopper.stop(LONG);
    assert_eq!(running.await.unwrap()?.done, 60);
    Ok(())
}

async fn handlers_are_counted_over_all_partitions(store: Store) -> Result<()> {
    append(&store, 40, 0).await?;
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let reacted = reactor(&store, 8).streams(3).drain().run(async |_: Attempt| {
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        now.fetch_sub(1, Ordering::SeqCst);
    });
    assert_eq!(reacted.await?.done, 40);
    assert_eq!(most.load(Ordering::SeqCst), 3);
    Ok(())
}

async fn whoever_loses_his_membership_joins_again(store: Store) -> Result<()> {
    append(&store, 10, 0).await?;
    let seen = Arc::default();
    let running = start(reactor(&store, 3), 1, &seen);
    store.projection("mails").caught_up().await?;
    let member = async || {
        let line = store.inspect().lock("projection/mails/members").await?;
        Ok::<_, Error>(line.and_then(|line| line.holders.first().map(|holder| holder.grant.token)))
    };
    let before = member().await?;
    assert!(store.lock("projection/mails/members").break_lock().await?);
    until(async || Ok(member().await?.is_some_and(|token| Some(token) > before))).await?;
    // And one of his partitions.
    until(async || Ok(shares(&store, 3).await?.len() == 3)).await?;
    assert!(store.lock("projection/mails/01").break_lock().await?);
    append(&store, 10, 1).await?;
    store.projection("mails").caught_up().await?;
    stop(running).await?;
    let seen = seen.lock().unwrap();
    assert_eq!((seen.complaints.as_slice(), seen.all()), ([].as_slice(), 20));
    Ok(())
}

async fn all_of_it_is_drained_by_one_and_by_several(store: Store) -> Result<()> {
    append(&store, 30, 0).await?;
    let seen: Arc<Mutex<Seen>> = Arc::default();
    assert_eq!(start(reactor(&store, 4).drain(), 0, &seen).0.await.unwrap()?.done, 30);
    append(&store, 30, 1).await?;
    let several: Vec<_> = (1..7).map(|who| start(reactor(&store, 4).drain(), who, &seen)).collect();
    for (running, _) in several {
        running.await.unwrap()?;
    }
    assert_eq!(seen.lock().unwrap().all(), 60);
    append(&store, 30, 2).await?;
    let failing = reactor(&store, 4).drain().attempts(1);
    let error = failing.run(async |event: Attempt| if event.stream() == "c-3" { Err("no") } else { Ok(()) });
    let ended = error.await;
    assert!(matches!(ended, Err(Error::Parked { .. })), "{ended:?}");
    let left = store.projection("mails").progress().await?.expect("it has begun").handled;
    assert!((75..90).contains(&left), "the other partitions were drained all the same: {left}");
    Ok(())
}

async fn w16_whoever_is_stopped_without_grace_drops_what_runs(store: Store) -> Result<()> {
    append(&store, 20, 0).await?;
    let begun = Arc::new(AtomicUsize::new(0));
    let tell = Arc::clone(&begun);
    let stuck = reactor(&store, 4).streams(5);
    let stopper = stuck.stopper();
    let running = tokio::spawn(stuck.run(async move |_: Attempt| {
        tell.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<()>().await;
    }));
    until(async || Ok(begun.load(Ordering::SeqCst) == 5)).await?;
    stopper.stop(LONG);
    stopper.stop(Duration::ZERO);
    assert_eq!(running.await.unwrap()?, Reacted::default());
    assert!(shares(&store, 4).await?.is_empty());
    // All of them come again.
    let seen = Arc::default();
    assert_eq!(start(reactor(&store, 4).drain(), 1, &seen).0.await.unwrap()?.done, 20);
    Ok(())
}
