//! Four publishers, and subscribers of all kinds in other processes: one is killed every second, and now and then one is
//! stopped. What came to whom, and what became of it?
//!
//! Promises: C1 to C4, LG1 to LG3. A channel of which only the newest messages are kept, and a log; who follows them live, as
//! fast as he can or slowly, and who consumes them durably, one at a time. Each says what he published, what came and what
//! he acknowledged. Held against each other: each message has one place, and each place one message; what came to one is in
//! a row, but for those that are said to have been missed, and these were removed; who has subscribed gets what is
//! published after that; the cursor never goes back and only the consumer moves it; in the end all have come to the end.
//! Publishers are as fast while a subscriber stands still (if that is asked for).

pub mod child;
mod evidence;
mod judge;
mod mutant;

use std::path::Path;
use std::time::Duration;

use millpond::blocking::Store;
use serde::Serialize;

use self::child::{Of, Said};
use self::evidence::{Came, Evidence};
pub use self::judge::{Broken, Violation};
pub use self::mutant::Mutant;
use crate::crew::Crew;
use crate::random::Random;
use crate::report::{self, Violations};
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "feeds-child";

/// Threads in each process.
pub const LANES: u64 = 2;

/// Processes that publish: the first ones.
const PUBLISHERS: u64 = 2;

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Publisher,
    /// Follows the channel and the log.
    Follower,
    /// Follows the channel, slowly and as fast as it can.
    Slow,
    Consumer,
}

/// All processes.
const ROLES: [Role; 6] =
    [Role::Publisher, Role::Publisher, Role::Follower, Role::Slow, Role::Consumer, Role::Consumer];

impl Role {
    fn of(process: usize) -> Role {
        ROLES.get(process).copied().unwrap_or(Role::Follower)
    }
}

const CHANNEL: &str = "news";
const LOG: &str = "audit";
const READER: &str = "reader";

/// Messages that are kept of the channel.
const KEEP: u64 = 1_000;

/// How long a stopped consumer remains it.
const LEASE: Duration = Duration::from_millis(600);

/// How long one is stopped.
const STOP: Duration = Duration::from_millis(900);

/// One turn in so many has a process that is stopped before another is killed.
const STOPS: u64 = 2;

/// All who follow have come to the end within this time.
const DRAIN: Duration = Duration::from_secs(120);

/// With a subscriber that stands still, of 100 publishes 99 take no longer than so many times what they take otherwise,
/// and this, in microseconds.
const SLOWER: u64 = 3;
const SLOWER_US: u64 = 20_000;

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything comes from.
    pub seed: u64,
    /// Messages to be published.
    pub messages: u64,
    /// Milliseconds between kills.
    pub every_ms: u64,
    /// How the evidence is spoilt.
    pub mutant: Option<Mutant>,
    /// Whether slow publishers are a violation; not in a test, which asserts nothing about the clock.
    pub timed: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, messages: 100_000, every_ms: 1_000, mutant: None, timed: true }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Messages in the channel, and records in the log, that there ever were.
    pub messages: u64,
    /// As `messages`.
    pub records: u64,
    /// Subscriptions, and turns of consumers.
    pub followers: u64,
    /// As `followers`.
    pub consumers: u64,
    /// Messages and records that came to somebody.
    pub came: u64,
    /// Messages that somebody was told to have missed.
    pub missed: u64,
    /// Acknowledgements, and those that were refused.
    pub acked: u64,
    /// As `acked`.
    pub fenced: u64,
    /// Processes killed.
    pub kills: u64,
    /// Processes stopped.
    pub stops: u64,
    /// Of 100 publishes 99 took so many microseconds at most: while no subscriber stood still, and while one did.
    pub publish_p99_us: u64,
    /// As `publish_p99_us`.
    pub publish_p99_stopped_us: u64,
    /// How long it took.
    pub seconds: u64,
    /// What was broken.
    #[serde(flatten)]
    pub violations: Violations<Broken>,
}

/// Runs it with children of `program`, which calls [`child::live`].
///
/// # Errors
/// What kept the test itself from being carried out; what the store did wrong is in the report.
pub fn run(program: &Path, settings: &Settings) -> Result<Report> {
    let start = clock::now();
    let (mut evidence, mut report) = gather(program, settings)?;
    if let Some(mutant) = settings.mutant {
        let spoilt = mutant.spoil(&mut evidence);
        spoilt.ok_or_else(|| format!("there is nothing to be spoilt by {mutant:?}"))?;
    }
    report.violations.extend(judge::judge(&evidence));
    figures(&evidence, &mut report);
    let limit = SLOWER * report.publish_p99_us + SLOWER_US;
    if settings.timed && report.publish_p99_stopped_us > limit {
        let words = format!("{} us, and otherwise {}", report.publish_p99_stopped_us, report.publish_p99_us);
        report.violations.push((Broken::Slow, words));
    }
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

/// Runs it once, and spoils what came of it in each way: the mutants that are noticed. A small run may have nothing to be
/// spoilt by some of them.
///
/// # Errors
/// As [`run`].
pub fn noticed(program: &Path, settings: &Settings) -> Result<Vec<Mutant>> {
    let (evidence, _) = gather(program, settings)?;
    Ok(report::noticed(Mutant::ALL, &evidence, Mutant::spoil, judge::judge, Mutant::breaks))
}

/// What publishers, followers and consumers say, and what is there in the end.
fn gather(program: &Path, settings: &Settings) -> Result<(Evidence, Report)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("feeds.db");
    let lanes = PUBLISHERS * LANES;
    let mut feeds = Feeds {
        crew: Crew::new(program, ROLES.len()),
        file: &file,
        most: settings.messages.div_ceil(lanes),
        random: Random::new(settings.seed),
        evidence: Evidence::default(),
        report: Report::default(),
    };
    for process in 0..ROLES.len() {
        feeds.start(process)?;
    }
    while feeds.is_publishing() && feeds.report.violations.is_empty() {
        let mut left = Duration::from_millis(settings.every_ms);
        if feeds.random.below(STOPS) == 0 {
            feeds.stop()?;
            left = left.saturating_sub(STOP);
        }
        feeds.listen(left)?;
        let victim = feeds.random.below(ROLES.len() as u64) as usize;
        feeds.kill(victim)?;
        feeds.start(victim)?;
    }
    feeds.drain()?;
    for process in 0..ROLES.len() {
        feeds.end(process)?;
    }
    let Feeds { mut evidence, report, .. } = feeds;
    look(&file, &mut evidence)?;
    Ok((evidence, report))
}

/// The run.
struct Feeds<'a> {
    crew: Crew,
    file: &'a Path,
    /// Messages of each publisher.
    most: u64,
    random: Random,
    evidence: Evidence,
    report: Report,
}

impl Feeds<'_> {
    fn start(&mut self, process: usize) -> Result<()> {
        let lanes = process as u64 * LANES..(process as u64 + 1) * LANES;
        // Whether they were published or not, they are not published again.
        let next = |lane| self.evidence.begun.get(&lane).copied().unwrap_or(0).to_string();
        let first: Vec<String> = lanes.map(next).collect();
        let file = self.file.to_str().ok_or("the folder's name is not a text")?.to_owned();
        let arguments = [CHILD.to_owned(), file, process.to_string(), first.join(","), self.most.to_string()];
        self.crew.start(process, &arguments, &[])
    }

    fn is_publishing(&self) -> bool {
        let next = |lane| self.evidence.begun.get(&lane).copied().unwrap_or(0);
        (0..PUBLISHERS * LANES).any(|lane| next(lane) < self.most)
    }

    fn listen(&mut self, time: Duration) -> Result<()> {
        let end = clock::now() + time;
        while let Some(heard) = self.crew.hear(end.saturating_duration_since(clock::now())) {
            self.take_in(heard)?;
        }
        Ok(())
    }

    fn take_in(&mut self, (process, line): (usize, Option<String>)) -> Result<()> {
        let Some(line) = line else {
            self.report.violations.push((Broken::Failed, format!("process {process} ended by itself")));
            return Ok(());
        };
        let said: Said = serde_json::from_str(&line)?;
        if let Said::Failed(words) = &said {
            self.report.violations.push((Broken::Failed, format!("process {process}: {words}")));
        }
        self.evidence.take_in(&said);
        Ok(())
    }

    fn kill(&mut self, process: usize) -> Result<()> {
        self.report.kills += 1;
        self.end(process)?;
        (process as u64 * LANES..(process as u64 + 1) * LANES).for_each(|lane| self.evidence.end(lane));
        Ok(())
    }

    /// Kills it, and hears it out: what it said before it died is in the pipe, and counts.
    fn end(&mut self, process: usize) -> Result<()> {
        self.crew.end(process)?.into_iter().try_for_each(|heard| self.take_in(heard))
    }

    /// Stops one who follows or consumes, for longer than a consumer's lease, while the others go on.
    fn stop(&mut self) -> Result<()> {
        let process = PUBLISHERS as usize + self.random.below(ROLES.len() as u64 - PUBLISHERS) as usize;
        let begun = clock::stamp()?;
        self.crew.stop(process)?;
        self.report.stops += 1;
        self.listen(STOP)?;
        // A consumer may have been stopped in the middle of a commit.
        if Role::of(process) != Role::Consumer {
            self.evidence.stops.push((begun, clock::stamp()?));
        }
        self.crew.go_on(process)
    }

    /// Until those who follow have come to the end.
    fn drain(&mut self) -> Result<()> {
        let (store, begun) = (Store::open(self.file)?, clock::now());
        loop {
            self.listen(Duration::from_millis(100))?;
            let channel = store.channel::<u64>(CHANNEL).extent()?.last;
            let log = store.log::<u64>(LOG).extent()?.last;
            let last = [(Of::Channel, channel), (Of::Log, log)].into();
            if self.all_are_published() && self.evidence.behind(&last) == 0 || begun.elapsed() > DRAIN {
                return Ok(store.close()?);
            }
        }
    }

    /// Each publisher has said what became of the last that he had begun with.
    fn all_are_published(&self) -> bool {
        let last = |lane| self.evidence.publishes.iter().rev().find(|publish| publish.publisher == lane);
        (0..PUBLISHERS * LANES).all(|lane| {
            let begun = self.evidence.begun.get(&lane).copied().unwrap_or(0);
            last(lane).is_some_and(|last| last.own + child::batch(last.own) == begun)
        })
    }
}

/// What is there in the end.
fn look(file: &Path, evidence: &mut Evidence) -> Result<()> {
    let store = Store::open(file)?;
    let (channel, log) = (store.channel::<u64>(CHANNEL), store.log::<u64>(LOG));
    let found = |message: millpond::Result<millpond::Message<u64>>| {
        message.map(|message| (message.sequence(), *message))
    };
    let news = channel.history().map(found).collect::<millpond::Result<Vec<_>>>()?;
    let audit = log.range(..).map(found).collect::<millpond::Result<Vec<_>>>()?;
    evidence.kept = [(Of::Channel, news), (Of::Log, audit)].into();
    evidence.last = [(Of::Channel, channel.extent()?.last), (Of::Log, log.extent()?.last)].into();
    evidence.cursor = channel.durable(READER).cursor()?.unwrap_or(0);
    Ok(store.close()?)
}

fn figures(evidence: &Evidence, report: &mut Report) {
    report.messages = evidence.last.get(&Of::Channel).copied().unwrap_or(0);
    report.records = evidence.last.get(&Of::Log).copied().unwrap_or(0);
    report.consumers = evidence.followers.iter().filter(|follower| follower.token.is_some()).count() as u64;
    report.followers = evidence.followers.len() as u64 - report.consumers;
    for came in evidence.followers.iter().flat_map(|follower| &follower.came) {
        match came {
            Came::Messages { numbers, .. } => report.came += numbers.len() as u64,
            Came::Missed(count) => report.missed += count,
            Came::Acked { well, .. } => *(if *well { &mut report.acked } else { &mut report.fenced }) += 1,
        }
    }
    let is_in = |at: u64| evidence.stops.iter().any(|(begun, end)| (*begun..*end).contains(&at));
    let (in_stops, others): (Vec<_>, Vec<_>) =
        evidence.publishes.iter().partition(|publish| is_in(publish.begun));
    let p99 = |publishes: Vec<&evidence::Publish>| {
        let took = publishes.into_iter().map(|publish| publish.acked.saturating_sub(publish.begun));
        let mut took: Vec<u64> = took.collect();
        took.sort_unstable();
        took.get(took.len() * 99 / 100).copied().unwrap_or(0)
    };
    (report.publish_p99_us, report.publish_p99_stopped_us) = (p99(others), p99(in_stops));
}
