//! `queue work`: a command runs for each job, so many at a time.
//!
//! One thread does it all: it polls for the next job while a worker is free, and everything that may happen meanwhile - a
//! job, a signal, a command's end - rings the same bell. Commands have process groups of their own, so that a Ctrl-C at
//! the keyboard is ours alone, and they are told to end only when their time is over.

use std::future::Future;
use std::io::Write as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::pin::Pin;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use millpond::blocking::Store;
use millpond::{Error, Job, Queue};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use signal_hook::consts::{SIGCHLD, SIGUSR1, SIGUSR2};

use super::args::Work;
use crate::failure::{Done, Failure, code, complain};
use crate::input::Json;
use crate::lock::not_run;
use crate::signals::Ear;
use crate::time::{Stopwatch, wait_for};

/// How long a command that was told to end may take before it is killed.
const MERCY: Duration = Duration::from_secs(5);

pub(crate) fn work(store: &Store, work: &Work) -> Done<u8> {
    let (sender, happened) = crossbeam_channel::unbounded();
    let hearer = sender.clone();
    let ear = Ear::open(move |origin| hearer.send(Happened::Signal(origin.signal)).is_ok())
        .map_err(|error| Failure::Failed(format!("cannot listen for signals: {error}")))?;
    let bell = Waker::from(Arc::new(Bell(sender)));
    let crew = Crew { store, work, running: Vec::new(), stage: Stage::Working, code: code::DONE };
    let code = crew.run(&bell, &happened);
    ear.close();
    Ok(code)
}

/// What is waited for.
enum Happened {
    /// A signal for us, or the word that a command may have ended.
    Signal(i32),
    /// There may be a job.
    Job,
}

/// How far the end has come.
#[derive(Clone, Copy)]
enum Stage {
    Working,
    /// No more jobs; those that run have a time of grace.
    Ending(Stopwatch),
    /// Those that still run were told to end.
    Told(Stopwatch),
}

/// A command and its job.
struct Running {
    child: Child,
    job: Job<Json>,
}

struct Crew<'a> {
    store: &'a Store,
    work: &'a Work,
    running: Vec<Running>,
    stage: Stage,
    /// What it all comes to.
    code: u8,
}

type Next<'a> = Pin<Box<dyn Future<Output = millpond::Result<Option<Job<Json>>>> + 'a>>;

fn next_job(queue: &Queue<Json>, drain: bool) -> Next<'_> {
    Box::pin(async move { if drain { queue.try_pop().await } else { queue.pop().await.map(Some) } })
}

impl Crew<'_> {
    fn run(mut self, bell: &Waker, happened: &Receiver<Happened>) -> u8 {
        let queue = self.store.asynchronous().queue::<Json>(&self.work.name);
        let queue = self.work.lease.map_or(queue.clone(), |lease| queue.lease(lease));
        let (mut next, mut drained): (Option<Next<'_>>, bool) = (None, false);
        // What schedules push is pushed also while all workers are busy.
        let mut keeping = Some(Box::pin(queue.keep_schedules()));
        loop {
            if let Some(keep) = &mut keeping
                && keep.as_mut().poll(&mut Context::from_waker(bell)).is_ready()
            {
                keeping = None;
            }
            // Whoever ends may have pushed something, or given it back.
            drained &= !self.reap();
            while self.wants_more() && !drained {
                let pop = next.get_or_insert_with(|| next_job(&queue, self.work.drain));
                let Poll::Ready(found) = pop.as_mut().poll(&mut Context::from_waker(bell)) else { break };
                next = None;
                match found {
                    Ok(Some(job)) => self.start(job),
                    Ok(None) => drained = true,
                    // The store tries it again, or puts it among the dead letters.
                    Err(error @ Error::Decode { .. }) => complain("queue work", &error.to_string()),
                    Err(error) => self.fail(&error.to_string(), code::FAILED),
                }
            }
            if !self.is_working() {
                // A job that is given to it in this moment is given back.
                next = None;
            }
            if self.running.is_empty() && (drained || !self.is_working()) {
                return self.code;
            }
            match self.wait(happened) {
                Some(Happened::Signal(signal)) => self.hear(signal),
                Some(Happened::Job) => {}
                None => self.press(),
            }
        }
    }

    fn is_working(&self) -> bool {
        matches!(self.stage, Stage::Working)
    }

    fn wants_more(&self) -> bool {
        self.is_working() && self.running.len() < usize::from(self.work.workers)
    }

    /// The next thing that happens; `None` when the time of a stage is over.
    fn wait(&self, happened: &Receiver<Happened>) -> Option<Happened> {
        let left = match self.stage {
            Stage::Working => return happened.recv().ok(),
            Stage::Ending(since) => since.left_of(self.work.grace),
            Stage::Told(since) => since.left_of(MERCY),
        };
        happened.recv_timeout(left).ok()
    }

    fn hear(&mut self, signal: i32) {
        match (signal, self.stage) {
            (SIGCHLD, _) => {}
            (SIGUSR1 | SIGUSR2, _) => {
                if let Ok(signal) = Signal::try_from(signal) {
                    self.send(signal);
                }
            }
            (_, Stage::Working) => self.stage = Stage::Ending(Stopwatch::start()),
            (_, Stage::Ending(_)) => self.press(),
            // They have been told.
            (_, Stage::Told(_)) => {}
        }
    }

    /// Makes those end that still run.
    fn press(&mut self) {
        let signal = if matches!(self.stage, Stage::Told(_)) { Signal::SIGKILL } else { Signal::SIGTERM };
        self.send(signal);
        self.stage = Stage::Told(Stopwatch::start());
    }

    /// None of them has been waited for yet, so their ids are still their own.
    fn send(&self, signal: Signal) {
        for running in &self.running {
            if let Ok(pid) = i32::try_from(running.child.id()) {
                // It may have ended in this moment; then there is nobody to tell.
                let _ = killpg(Pid::from_raw(pid), signal);
            }
        }
    }

    /// No more jobs, and the end is not a good one.
    fn fail(&mut self, why: &str, code: u8) {
        complain("queue work", why);
        self.code = code;
        if self.is_working() {
            self.stage = Stage::Ending(Stopwatch::start());
        }
    }

    fn start(&mut self, job: Job<Json>) {
        match self.spawn(&job) {
            Ok(mut child) => {
                feed(&mut child, &job);
                self.running.push(Running { child, job });
            }
            Err((why, code)) => {
                // It is no fault of the job's. If it cannot be given back, it is when this process ends.
                let _ = wait_for(job.release());
                self.fail(&why, code);
            }
        }
    }

    fn spawn(&self, job: &Job<Json>) -> Result<Child, (String, u8)> {
        let Some((program, arguments)) = self.work.command.split_first() else {
            return Err(("there is no command".to_owned(), code::USAGE));
        };
        // The command inherits it. If this process alone is killed, its jobs are kept until their commands end.
        let presence = self.store.lend_presence().map_err(|error| (error.to_string(), code::FAILED))?;
        let spawned = Command::new(program)
            .args(arguments)
            .env("MILLPOND_QUEUE_NAME", job.queue())
            .env("MILLPOND_JOB_SEQUENCE", job.sequence().to_string())
            .env("MILLPOND_JOB_ATTEMPT", job.attempt().to_string())
            .env("MILLPOND_JOB_TOKEN", job.token().to_string())
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn();
        drop(presence);
        spawned.map_err(|error| not_run(program, &error))
    }

    /// Says what became of the jobs whose commands have ended. Whether there were any.
    fn reap(&mut self) -> bool {
        let before = self.running.len();
        for mut running in std::mem::take(&mut self.running) {
            match running.child.try_wait() {
                Ok(None) => self.running.push(running),
                Ok(Some(status)) => self.finish(running.job, status),
                // Dropped, its job is an attempt that came to nothing.
                Err(error) => self.fail(&error.to_string(), code::FAILED),
            }
        }
        self.running.len() < before
    }

    fn finish(&mut self, job: Job<Json>, status: ExitStatus) {
        let (sequence, attempt) = (job.sequence(), job.attempt());
        let most = self.work.max_attempts.unwrap_or(u32::MAX).min(job.max_attempts());
        let named = format!("job {sequence}, attempt {attempt} of {most}");
        let reason = reason(status);
        let (said, becomes) = if status.success() {
            (wait_for(job.done()), None)
        } else if matches!(self.stage, Stage::Told(_)) {
            (wait_for(job.release()), Some("it is handed back"))
        } else if attempt >= most {
            (wait_for(job.bury(&reason)), Some("it is a dead letter now"))
        } else {
            (wait_for(job.retry(&reason)), Some("it will be tried again"))
        };
        match (said, becomes) {
            (Ok(()), None) => {}
            (Ok(()), Some(becomes)) => complain("queue work", &format!("{named}: {reason}; {becomes}")),
            // This process was stopped for longer than the lease. Somebody else does it.
            (Err(error @ Error::StaleClaim { .. }), _) => {
                complain("queue work", &format!("{named}: {reason}, too late: {error}"));
            }
            (Err(error), _) => self.fail(&format!("{named}: {reason}: {error}"), code::FAILED),
        }
    }
}

/// Gives a command its job, from a thread of its own: it may take its time to read, or not read at all.
fn feed(child: &mut Child, job: &Job<Json>) {
    let (Some(mut input), mut text) = (child.stdin.take(), job.get().to_owned()) else { return };
    text.push('\n');
    let write = move || {
        // A command that does not care for all of its job is as good as any.
        let _ = input.write_all(text.as_bytes());
    };
    // Without a thread it has no input, and says itself what it thinks of that.
    let _ = std::thread::Builder::new().name("input".into()).spawn(write);
}

/// How a command has ended, in words.
fn reason(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Rings when there may be a job.
struct Bell(Sender<Happened>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // Nobody listens any more once the last command has ended.
        let _ = self.0.send(Happened::Job);
    }
}
