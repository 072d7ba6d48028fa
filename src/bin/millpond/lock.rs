//! `lock run`, `list` and `show`.

use std::future::Future;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use millpond::blocking::Store;
use millpond::{Error, LockGuard, LockLine};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::iterator::{Handle, SignalsInfo};
use signal_hook::low_level::siginfo::{Cause, Origin};

use crate::args::LockRun;
use crate::failure::{Done, Failure, code, complain};
use crate::show::{Show, count, span};
use crate::time::{Stopwatch, wait_for};

/// How long a command may take to end after it was told that its lock is lost.
const GRACE: Duration = Duration::from_secs(10);

/// Locks that are asked for at once.
const PAGE: u32 = 1_000;

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
    let ended = run_guarded(run, &guard);
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
    let mut lock = store.asynchronous().lock(&run.name);
    if let Some(ttl) = run.ttl {
        lock = lock.ttl(ttl);
    }
    let guard = wait_for(async {
        match run.wait {
            None => lock.acquire().await.map(Some),
            Some(Duration::ZERO) => lock.try_acquire().await,
            Some(wait) => lock.acquire_within(wait).await,
        }
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

fn run_guarded(run: &LockRun, guard: &LockGuard) -> Done<u8> {
    let (sender, happened) = crossbeam_channel::unbounded();
    let ear = Ear::open(sender.clone())
        .map_err(|error| Failure::Failed(format!("cannot listen for signals: {error}")))?;
    let code = match spawn(run, guard) {
        Ok(child) => watch(child, guard, &sender, &happened),
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
    spawned.map_err(|error| {
        let code = if error.kind() == std::io::ErrorKind::NotFound { NOT_FOUND } else { NOT_RUNNABLE };
        (format!("cannot run \"{}\": {error}", program.to_string_lossy()), code)
    })
}

/// Waits for the child's end, passes signals on to it, and stops it if the lock is lost.
fn watch(
    mut child: Child,
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
        match next(happened, since_lost) {
            Some(Happened::Signal(origin)) => pass_on(&child, &origin),
            Some(Happened::Guard) => {}
            None => send(&child, Signal::SIGKILL),
        }
    }
}

/// The next thing that happens; `None` when the time of grace is over.
fn next(happened: &Receiver<Happened>, since_lost: Option<Stopwatch>) -> Option<Happened> {
    match since_lost {
        None => happened.recv().ok(),
        Some(watch) if watch.left_of(GRACE).is_zero() => {
            // The SIGKILL is sent now and, should it be needed, once a second.
            happened.recv_timeout(Duration::from_secs(1)).ok()
        }
        Some(watch) => happened.recv_timeout(watch.left_of(GRACE)).ok(),
    }
}

fn pass_on(child: &Child, origin: &Origin) {
    // A Ctrl-C comes from the kernel and has reached the child as well; twice would mean "now, at once" to many.
    let from_keyboard = origin.signal == SIGINT && matches!(origin.cause, Cause::Kernel);
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

/// A thread that hears signals.
struct Ear {
    handle: Handle,
    thread: JoinHandle<()>,
}

impl Ear {
    fn open(sender: Sender<Happened>) -> std::io::Result<Ear> {
        let mut signals = SignalsInfo::<WithOrigin>::new([SIGTERM, SIGINT, SIGHUP, SIGCHLD])?;
        let handle = signals.handle();
        let hear = move || {
            for origin in signals.forever() {
                if sender.send(Happened::Signal(origin)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("signals".into()).spawn(hear)?;
        Ok(Ear { handle, thread })
    }

    fn close(self) {
        self.handle.close();
        // It cannot have panicked; and if it had, the command's end counts.
        let _ = self.thread.join();
    }
}

/// All locks that are held or waited for, page by page.
fn lines(store: &Store) -> Done<Vec<LockLine>> {
    let mut lines: Vec<LockLine> = Vec::new();
    loop {
        let after = lines.last().map(|line| line.name.clone());
        let page = store.inspect().locks(after.as_deref(), PAGE)?;
        let whole = page.len() < PAGE as usize;
        lines.extend(page);
        if whole {
            return Ok(lines);
        }
    }
}

pub(crate) fn list(store: &Store, show: &mut Show) -> Done<u8> {
    let lines = lines(store)?;
    if show.is_json() {
        for line in &lines {
            show.json(&as_json(line))?;
        }
    } else if lines.is_empty() {
        show.line("no lock is held")?;
    } else {
        let row = |line: &LockLine| {
            let held = line.holder().map_or_else(String::new, |holder| span(holder.held_ms));
            vec![line.name.clone(), holder(line), held, line.waiting.to_string()]
        };
        show.table(&["lock", "holder", "held for", "waiting"], lines.iter().map(row).collect())?;
    }
    Ok(code::DONE)
}

pub(crate) fn show(store: &Store, name: &str, show: &mut Show) -> Done<u8> {
    let found = lines(store)?.into_iter().find(|line| line.name == name);
    match (&found, show.is_json()) {
        (Some(line), true) => show.json(&as_json(line))?,
        (None, true) => show.json(&json!({"name": name, "holder": null, "waiting": 0}))?,
        (None, false) => show.line(&format!("lock \"{name}\" is free"))?,
        (Some(line), false) => print(line, show)?,
    }
    Ok(code::DONE)
}

fn print(line: &LockLine, show: &mut Show) -> Done<()> {
    show.line(&format!("lock     {}", line.name))?;
    show.line(&format!("holder   {}", holder(line)))?;
    if let Some(holder) = line.holder() {
        show.line(&format!("token    {}", holder.grant.token))?;
        show.line(&format!("held     for {}", span(holder.held_ms)))?;
        if !holder.void {
            let lease = format!("ends in {} unless its process is heard of", span(holder.remaining_ms));
            show.line(&format!("lease    {lease}"))?;
        }
    }
    show.line(&format!("waiting  {}", count(line.waiting, "ticket", "tickets")))?;
    Ok(())
}

/// The holder in a few words.
fn holder(line: &LockLine) -> String {
    let Some(holder) = line.holder() else { return "nobody".to_owned() };
    let void = if holder.void { ", its lease has ended" } else { "" };
    match &holder.identity {
        Some(identity) => format!(
            "{} (pid {} on {}, process {}{void})",
            identity.program, identity.pid, identity.host, holder.grant.process
        ),
        None => format!("process {}, which is gone", holder.grant.process),
    }
}

fn as_json(line: &LockLine) -> serde_json::Value {
    let holder = line.holder().map(|holder| {
        let identity = holder.identity.as_ref();
        json!({
            "token": holder.grant.token,
            "process": holder.grant.process,
            "pid": identity.map(|identity| identity.pid),
            "program": identity.map(|identity| identity.program.as_str()),
            "host": identity.map(|identity| identity.host.as_str()),
            "held_ms": holder.held_ms,
            "remaining_ms": holder.remaining_ms,
            "void": holder.void,
        })
    });
    json!({"name": line.name, "holder": holder, "waiting": line.waiting})
}
