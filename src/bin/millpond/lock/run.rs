//! `lock run`: a command that runs while a lock is held.

use std::ffi::OsStr;
use std::future::Future;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use millpond::blocking::Store;
use millpond::{Error, LockGuard};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGCHLD, SIGINT, SIGQUIT};
use signal_hook::low_level::siginfo::{Cause, Origin};

use crate::args::LockRun;
use crate::failure::{Done, Failure, code, complain};
use crate::signals::Ear;
use crate::time::{Stopwatch, wait_for};

/// As a shell ends when there is no such command, or when it may not be run.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;

pub(crate) fn run(store: &Store, run: &LockRun) -> Done<u8> {
    // Signals still end this process while it waits: that gives its place in the line up at once.
    let Some(guard) = acquire(store, run)? else {
        let why = match run.wait {
            Some(wait) if wait > Duration::ZERO => format!("was not to be had within {wait:?}"),
            _ => "is held by somebody else".to_owned(),
        };
        complain("lock run", &format!("lock \"{}\" {why}", run.name));
        return Ok(code::NOT_ACQUIRED);
    };
    let ended = run_guarded(store, run, &guard);
    match wait_for(guard.release()) {
        Ok(()) => ended,
        Err(Error::Lost { lock, .. }) => {
            // If it was noticed while the command ran, that has been said.
            if !matches!(ended, Ok(code::LEASE_LOST)) {
                complain("lock run", &format!("lock \"{lock}\" was lost while the command ran"));
            }
            Ok(code::LEASE_LOST)
        }
        Err(error) => {
            // The command is done; the lock is free as soon as this process has ended.
            complain("lock run", &format!("the lock is not given back before this process ends: {error}"));
            ended
        }
    }
}

/// By the async face, because a guard's loss can be waited for there together with other things.
fn acquire(store: &Store, run: &LockRun) -> Done<Option<LockGuard>> {
    let (store, name) = (store.asynchronous(), &run.name);
    let time = run.wait.unwrap_or(Duration::MAX);
    let guard = wait_for(async {
        if let Some(permits) = run.permits {
            let semaphore = store.semaphore(name, permits);
            let semaphore = run.ttl.map_or(semaphore.clone(), |ttl| semaphore.ttl(ttl));
            return if time.is_zero() {
                semaphore.try_acquire().await
            } else {
                semaphore.acquire_within(time).await
            };
        }
        if run.read || run.write {
            let lock = store.rw_lock(name);
            let lock = run.ttl.map_or(lock.clone(), |ttl| lock.ttl(ttl));
            return match (run.read, time.is_zero()) {
                (true, true) => lock.try_read().await,
                (true, false) => lock.read_within(time).await,
                (false, true) => lock.try_write().await,
                (false, false) => lock.write_within(time).await,
            };
        }
        let lock = store.lock(name);
        let lock = run.ttl.map_or(lock.clone(), |ttl| lock.ttl(ttl));
        if time.is_zero() { lock.try_acquire().await } else { lock.acquire_within(time).await }
    });
    Ok(guard?)
}

/// What the wrapper waits for.
enum Happened {
    /// A signal for us: one to pass on, or the word that the child may have ended.
    Signal(Origin),
    /// The guard has something to say.
    Guard,
}

fn run_guarded(store: &Store, run: &LockRun, guard: &LockGuard) -> Done<u8> {
    let (sender, happened) = crossbeam_channel::unbounded();
    let hearer = sender.clone();
    let ear = Ear::open(move |origin| hearer.send(Happened::Signal(origin)).is_ok())
        .map_err(|error| Failure::Failed(format!("cannot listen for signals: {error}")))?;
    // The command inherits it. If this process alone is killed, it goes on under a lock that is still held.
    let presence = store.lend_presence()?;
    let spawned = spawn(run, guard);
    drop(presence);
    let code = match spawned {
        Ok(child) => watch(child, run.grace, guard, &sender, &happened),
        Err((why, code)) => {
            complain("lock run", &why);
            Ok(code)
        }
    };
    ear.close();
    code
}

fn spawn(run: &LockRun, guard: &LockGuard) -> Result<Child, (String, u8)> {
    let Some((program, arguments)) = run.command.split_first() else {
        return Err(("there is no command".to_owned(), code::USAGE));
    };
    let spawned = Command::new(program)
        .args(arguments)
        .env("MILLPOND_LOCK_NAME", guard.name())
        .env("MILLPOND_LOCK_TOKEN", guard.token().to_string())
        .spawn();
    spawned.map_err(|error| not_run(program, &error))
}

/// Why a command cannot be run, and the code that a shell would end with.
pub(crate) fn not_run(program: &OsStr, error: &std::io::Error) -> (String, u8) {
    let code = if error.kind() == std::io::ErrorKind::NotFound { NOT_FOUND } else { NOT_RUNNABLE };
    (format!("cannot run \"{}\": {error}", program.to_string_lossy()), code)
}

/// Waits for the child's end, passes signals on to it, and stops it if the lock is lost.
fn watch(
    mut child: Child,
    grace: Duration,
    guard: &LockGuard,
    sender: &Sender<Happened>,
    happened: &Receiver<Happened>,
) -> Done<u8> {
    let waker = Waker::from(Arc::new(Bell(sender.clone())));
    let mut lost = pin!(guard.lost());
    let mut since_lost: Option<Stopwatch> = None;
    loop {
        if let Some(status) = child.try_wait().map_err(|error| Failure::Failed(error.to_string()))? {
            let code = if since_lost.is_some() { code::LEASE_LOST } else { code_of(status) };
            return Ok(code);
        }
        if since_lost.is_none() && lost.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Ready(()) {
            complain("lock run", &format!("lock \"{}\" was lost; the command is told to end", guard.name()));
            send(&child, Signal::SIGTERM);
            since_lost = Some(Stopwatch::start());
        }
        match next(happened, since_lost.map(|watch| watch.left_of(grace))) {
            Some(Happened::Signal(origin)) => pass_on(&child, &origin),
            Some(Happened::Guard) => {}
            None => send(&child, Signal::SIGKILL),
        }
    }
}

/// The next thing that happens; `None` when the time of grace is over. `left` of it, if it has begun.
fn next(happened: &Receiver<Happened>, left: Option<Duration>) -> Option<Happened> {
    match left {
        None => happened.recv().ok(),
        // The SIGKILL is sent now and, should it be needed, once a second.
        Some(Duration::ZERO) => happened.recv_timeout(Duration::from_secs(1)).ok(),
        Some(left) => happened.recv_timeout(left).ok(),
    }
}

fn pass_on(child: &Child, origin: &Origin) {
    // What comes from the keyboard comes from the kernel and has reached the child as well; a Ctrl-C twice would
    // mean "now, at once" to many.
    let from_keyboard = matches!(origin.signal, SIGINT | SIGQUIT) && matches!(origin.cause, Cause::Kernel);
    if origin.signal != SIGCHLD
        && !from_keyboard
        && let Ok(signal) = Signal::try_from(origin.signal)
    {
        send(child, signal);
    }
}

/// The child has not been waited for yet, so its id is still its own.
fn send(child: &Child, signal: Signal) {
    if let Ok(pid) = i32::try_from(child.id()) {
        // It may have ended in this moment; then there is nobody to tell.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(code::FAILED)
}

/// Rings when the guard's future wants to be looked at again.
struct Bell(Sender<Happened>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // Nobody listens any more once the child has ended.
        let _ = self.0.send(Happened::Guard);
    }
}
