//! `demo`: a tour. A bank of three processes in one file, or on one server; one of them is killed at its work; then it is looked
//! whether everything that was promised is there.

mod audit;
mod bank;
mod crew;
mod paper;
mod report;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millpond::blocking::Store;
use signal_hook::consts::{SIGINT, SIGTERM};

use self::audit::{Known, audit};
use self::crew::{Crew, Held, Paper};
use self::report::Report;
pub(crate) use self::worker::work;
use crate::args::{Demo, DemoWorker};
use crate::failure::{Done, Failure, code};
use crate::is_address;
use crate::show::Show;
use crate::time::Stopwatch;

const PROCESSES: u64 = 3;
const ACCOUNTS: u32 = 300;
const TELLERS: u32 = 8;

/// How long one waits at a time, before looking whether it is time for something else.
const TICK: Duration = Duration::from_millis(20);

/// How long the tour waits for somebody to hold the lock.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn tour(demo: &Demo, store: &Path, show: &mut Show) -> Done<u8> {
    let ground = Ground::make(demo.keep, store)?;
    let path = ground.store();
    let mut guide = Guide { show, watch: Stopwatch::start() };
    match &ground {
        Ground::Folder(_) => guide.say(&format!("A bank in one file: {}", path.display()))?,
        Ground::Schema(_, schema) => {
            guide.say(&format!("A bank in a schema of its own on the server: {schema}"))?;
            guide.say(
                "(It stays there; who knows SQL can look at it, and remove it with DROP SCHEMA ... CASCADE.)",
            )?;
        }
    }
    guide.say(&format!(
        "{PROCESSES} processes write to it. In each, {TELLERS} tellers pay in, pay out and transfer between"
    ))?;
    guide.say(&format!(
        "{ACCOUNTS} accounts, which are aggregates; a bookkeeper writes the ledger, which only the holder of"
    ))?;
    guide.say("the lock \"ledger\" may, and announces it on a channel to which everybody listens; and a clerk takes")?;
    guide.say(
        "statements, which are jobs of a queue, and writes them to a log. An answer means: it is on disk.",
    )?;
    guide.say("")?;
    let worked = let_them_work(&path, demo, &mut guide)?;
    let report = judge(&path, &worked)?;
    let stays = demo.keep && matches!(ground, Ground::Folder(_));
    report.print(guide.show, stays.then_some(&path))?;
    Ok(if report.holds() { code::DONE } else { code::FAILED })
}

/// Tells what happens as it happens, to people.
struct Guide<'a> {
    show: &'a mut Show,
    watch: Stopwatch,
}

impl Guide<'_> {
    fn say(&mut self, line: &str) -> Done<()> {
        if !self.show.is_json() {
            self.show.line(line)?;
            self.show.flush()?;
        }
        Ok(())
    }

    fn say_now(&mut self, line: &str) -> Done<()> {
        let now = self.watch.elapsed().as_secs_f64();
        self.say(&format!("{now:>5.1} s  {line}"))
    }
}

/// What the processes leave behind.
struct Worked {
    crew: Crew,
    kills: u64,
    taken_over: Option<Duration>,
    seconds: f64,
}

fn let_them_work(path: &Path, demo: &Demo, guide: &mut Guide<'_>) -> Done<Worked> {
    let scene = Scene::set(guide.watch)?;
    let whole = Duration::from_secs(demo.seconds);
    let mut crew = Crew::new(path, guide.watch);
    for seed in 0..PROCESSES {
        crew.start(&job(seed))?;
    }
    guide.say_now(&format!("{PROCESSES} processes are at work"))?;
    // Half of the time passes undisturbed.
    scene.pass(&crew, whole / 2)?;
    let (mut kills, mut taken_over) = (0, None);
    if let Some(victim) = scene.next(&crew, whole / 2 + PATIENCE, |held| held.begun)? {
        kills = 1;
        taken_over = kill(&mut crew, &scene, victim, guide)?;
        let pid = crew.start(&job(PROCESSES))?;
        guide.say_now(&format!("process {pid} takes the place of the dead"))?;
    }
    scene.pass(&crew, whole)?;
    crew.stop()?;
    let seconds = guide.watch.elapsed().as_secs_f64();
    guide.say_now("all have stopped; now everything is read back")?;
    Ok(Worked { crew, kills, taken_over, seconds })
}

/// Kills the holder of the lock, and sees who holds it next: how long after the kill.
fn kill(crew: &mut Crew, scene: &Scene, victim: Held, guide: &mut Guide<'_>) -> Done<Option<Duration>> {
    let killed_at = scene.watch.elapsed();
    crew.kill(victim.pid)?;
    let Held { pid, token, .. } = victim;
    guide.say_now(&format!("kill -9 for process {pid}, which holds the lock with token {token}"))?;
    // What was on its way when the kill came was not said by the heir.
    let is_heir = |held: &Held| held.pid != pid && held.token > token;
    let Some(heir) = scene.next(crew, killed_at + PATIENCE, is_heir)? else { return Ok(None) };
    let time = heir.at.saturating_sub(killed_at);
    let (pid, token, after) = (heir.pid, heir.token, time.as_secs_f64() * 1_000.0);
    guide.say_now(&format!("process {pid} holds it with token {token}, {after:.1} ms after the kill"))?;
    Ok(Some(time))
}

fn job(number: u64) -> DemoWorker {
    let seed = number.wrapping_mul(1_000).wrapping_add(u64::from(std::process::id()) << 32);
    DemoWorker { accounts: ACCOUNTS, tellers: TELLERS, seed }
}

/// Opens the file anew and compares it with what was said.
fn judge(path: &Path, worked: &Worked) -> Done<Report> {
    let said = worked.crew.said.iter();
    let known = Known {
        promises: said.clone().flat_map(|said| said.promises.iter().cloned()).collect(),
        failures: said.clone().flat_map(|said| said.failures.iter().cloned()).collect(),
        taken_over: worked.taken_over,
        kills: worked.kills,
        paper: said.clone().fold(Paper::default(), |mut all, said| {
            all.extend(&said.paper);
            all
        }),
        heard: said.clone().map(|said| said.heard.clone()).collect(),
        tellers: u64::from(TELLERS),
    };
    let store = Store::open(path)?;
    let findings = audit(&store, &known);
    let _ = store.close();
    Ok(Report {
        promises: known.promises.len() as u64 + known.paper.answers(),
        operations: said.clone().map(|said| said.operations).sum(),
        commits: said.map(|said| said.commits).sum(),
        seconds: worked.seconds,
        kills: worked.kills,
        findings: findings?,
    })
}

/// The time of the tour, and the signal that may end it early.
struct Scene {
    watch: Stopwatch,
    stopped: Arc<AtomicBool>,
}

impl Scene {
    fn set(watch: Stopwatch) -> Done<Scene> {
        let stopped = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stopped))
                .map_err(|error| Failure::Failed(format!("cannot listen for signals: {error}")))?;
        }
        Ok(Scene { watch, stopped })
    }

    /// Lets the time pass; who holds the lock meanwhile is of no interest.
    fn pass(&self, crew: &Crew, until: Duration) -> Done<()> {
        self.next(crew, until, |_| false).map(drop)
    }

    /// The next word about the lock that is wanted, if it comes until then.
    fn next(&self, crew: &Crew, until: Duration, wanted: impl Fn(&Held) -> bool) -> Done<Option<Held>> {
        loop {
            if self.stopped.load(Ordering::Relaxed) {
                return Err(Failure::Failed("stopped by a signal".into()));
            }
            let left = self.watch.left_of(until);
            if left.is_zero() {
                return Ok(None);
            }
            match crew.held.recv_timeout(left.min(TICK)) {
                Ok(held) if wanted(&held) => return Ok(Some(held)),
                _ => {}
            }
        }
    }
}

/// Where the tour takes place.
enum Ground {
    Folder(Folder),
    /// A URL, and the schema in it.
    Schema(PathBuf, String),
}

impl Ground {
    fn make(keep: bool, store: &Path) -> Done<Ground> {
        let Some(url) = store.to_str().filter(|_| is_address(store)) else {
            return Folder::make(keep).map(Ground::Folder);
        };
        let schema = format!("demo_{}", std::process::id());
        // The last one counts.
        let sign = if url.contains('?') { '&' } else { '?' };
        Ok(Ground::Schema(PathBuf::from(format!("{url}{sign}schema={schema}")), schema))
    }

    fn store(&self) -> PathBuf {
        match self {
            Ground::Folder(folder) => folder.path.join("bank.db"),
            Ground::Schema(url, _) => url.clone(),
        }
    }
}

/// The tour's folder, gone afterwards unless it is to be kept.
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    fn make(keep: bool) -> Done<Folder> {
        let path = std::env::temp_dir().join(format!("millpond-demo-{}", std::process::id()));
        // Not `create_dir_all`: a folder that is there already belongs to somebody else.
        std::fs::create_dir(&path)
            .map_err(|error| Failure::Failed(format!("cannot make \"{}\": {error}", path.display())))?;
        Ok(Folder { path, keep })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            // A temporary folder that cannot be removed is not worth a word.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
