//! A process of a bench: holds a lock, waits for one, or writes as fast as it can. It ends with its standard input.

use std::cell::{Cell, RefCell};
use std::io::{self, BufRead as _, Write as _};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use millpond::blocking::Store;
use millpond::{Event, Expected};

use super::drive::block_on;
use crate::args::{BenchRole, BenchWorker};
use crate::failure::{Done, Failure, code};
use crate::time::{Stopwatch, stamp_us};

/// The lock that all benches of locks are about.
pub(super) const LOCK: &str = "bench";

/// Nobody would wait for this time to live.
const LONG: Duration = Duration::from_secs(600);

/// How often it is looked whether all wait that should.
const TICK: Duration = Duration::from_millis(5);

pub(crate) fn work(path: &Path, args: &BenchWorker) -> Done<u8> {
    match args.role {
        BenchRole::Hold => hold(path),
        BenchRole::Wait => wait(path),
        BenchRole::Greedy => greedy(path, args.seconds),
        BenchRole::Handoff => handoff(path, args.waiters, args.seconds),
        BenchRole::Subscribers => subscribers(path, args.waiters, args.seconds as u64),
    }?;
    Ok(code::DONE)
}

fn say(line: &str) -> Done<()> {
    let mut output = io::stdout().lock();
    output.write_all(format!("{line}\n").as_bytes())?;
    Ok(output.flush()?)
}

/// Takes the lock and keeps it.
fn hold(path: &Path) -> Done<()> {
    let store = Store::open(path)?;
    let guard = store.lock(LOCK).ttl(LONG).acquire()?;
    say("held")?;
    io::stdin().lock().lines().for_each(drop);
    guard.release()?;
    Ok(store.close()?)
}

/// For each line: waits for the lock, says when it came, and gives it back.
fn wait(path: &Path) -> Done<()> {
    let store = Store::open(path)?;
    let lock = store.lock(LOCK);
    say("ready")?;
    for _ in io::stdin().lock().lines() {
        let guard = lock.acquire()?;
        let got = stamp_us();
        guard.release()?;
        say(&format!("got {got}"))?;
    }
    Ok(store.close()?)
}

/// One append after the other; how many, and the longest in microseconds.
fn greedy(path: &Path, seconds: f64) -> Done<()> {
    let store = Store::open(path)?;
    let (events, stream) = (store.events(), format!("greedy-{}", std::process::id()));
    let append = || events.append(&stream, Expected::Any, [Event::new("Placed", &super::sides::placed(1))?]);
    append()?;
    say("ready")?;
    let mut go = String::new();
    io::stdin().lock().read_line(&mut go)?;
    let (began, mut count, mut longest) = (Stopwatch::start(), 0_u64, Duration::ZERO);
    while began.elapsed().as_secs_f64() < seconds {
        let one = Stopwatch::start();
        append()?;
        longest = longest.max(one.elapsed());
        count += 1;
    }
    say(&format!("did {count} {}", longest.as_micros()))?;
    Ok(store.close()?)
}

/// So many wait for one lock, and whoever had it waits again: from release to the next guard, half of the hand-offs and
/// 99 of 100 in nanoseconds, how many, and how much memory all waiters together take.
fn handoff(path: &Path, waiters: u64, seconds: f64) -> Done<()> {
    let (p50, p99, count, bytes) = block_on(async {
        let store = millpond::Store::open(path).await?;
        let lock = store.lock(LOCK);
        let guard = lock.acquire().await?;
        let before = resident();
        let released: Rc<Cell<Option<Stopwatch>>> = Rc::default();
        let stop = Rc::new(Cell::new(false));
        let nanos = Rc::new(RefCell::new(Vec::<u64>::new()));
        let tasks: Vec<tokio::task::JoinHandle<millpond::Result<()>>> = (0..waiters)
            .map(|_| {
                let (lock, released) = (lock.clone(), Rc::clone(&released));
                let (stop, nanos) = (Rc::clone(&stop), Rc::clone(&nanos));
                tokio::task::spawn_local(async move {
                    while !stop.get() {
                        let guard = lock.acquire().await?;
                        if let Some(since) = released.replace(Some(Stopwatch::start())) {
                            let took = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
                            nanos.borrow_mut().push(took);
                        }
                        guard.release().await?;
                    }
                    Ok(())
                })
            })
            .collect();
        while store.inspect().locks(None, 1).await?.first().is_none_or(|line| line.waiting < waiters) {
            tokio::time::sleep(TICK).await;
        }
        let bytes = resident().saturating_sub(before);
        guard.release().await?;
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        stop.set(true);
        let mut nanos = std::mem::take(&mut *nanos.borrow_mut());
        // The others would only go on passing the lock from hand to hand.
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        nanos.sort_unstable();
        let at = |part: usize| nanos.get(nanos.len().saturating_sub(1) * part / 100).copied().unwrap_or(0);
        Ok((at(50), at(99), nanos.len(), bytes))
    })?;
    say(&format!("handed {p50} {p99} {count} {bytes}"))
}

/// So many listen to one channel, on which so many messages are published.
fn subscribers(path: &Path, subscribers: u64, rounds: u64) -> Done<()> {
    let [per_second, last_p50, bytes] = super::channels::listen(path, subscribers, rounds)?;
    say(&format!("fanned {per_second} {last_p50} {bytes}"))
}

/// Memory of this process that is really there, in bytes; 0 where the system does not tell.
pub(super) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) * 1_024
}

/// The processor time of a process in nanoseconds; all its threads together.
pub(super) fn processor_time(pid: u32) -> Done<u64> {
    let of_thread = |path: &Path| {
        let text = std::fs::read_to_string(path.join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    let failed = |_| Failure::Failed("the system does not tell the processor time of a process".into());
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_err(failed)?;
    Ok(threads.flatten().filter_map(|thread| of_thread(&thread.path())).sum())
}
