//! Writers in several processes that append to the same store on a server, and subscribers that follow meanwhile: does everybody get
//! everything, once, and in one order?
//!
//! Promises: LG2, G16; rows W1, W4, W7, W9 and W14 of what others get wrong there. All the while a transaction that writes is open in
//! another database of the same server: it keeps nobody from anything.

pub mod child;

mod judge;
mod mutant;

use std::path::Path;
use std::time::Duration;

use futures_executor::block_on;
use millpond::Store;
use millpond_postgres_server::{Server, Settings as Care};
use serde::Serialize;

pub use self::mutant::Mutant;

use self::child::{CATEGORY, Role, Said};
use self::judge::{Evidence, judge};
use crate::crew::{Crew, Heard};
use crate::direct::Direct;
use crate::report::{Broken, Violations};
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "postgres-feed-child";

/// Processes that follow; the second of them comes when half of it is there.
const SUBSCRIBERS: usize = 2;

/// How long a child may say nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// What comes twice comes within this time behind the last.
const REST: Duration = Duration::from_millis(400);

/// How many and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything comes from.
    pub seed: u64,
    /// Processes that append.
    pub writers: u64,
    /// Events of each.
    pub events: u64,
    /// How the evidence is spoilt.
    pub mutant: Option<Mutant>,
    /// Whether it is judged how long events take to come.
    pub timed: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, writers: 8, events: 2_400, mutant: None, timed: true }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// There is no server to be had.
    pub skipped: bool,
    /// Events that were acknowledged, and appends.
    pub events: u64,
    /// Appends that were acknowledged.
    pub appends: u64,
    /// Those of them into streams that all share, and how many events that were.
    pub shared: u64,
    /// Events in those.
    pub shared_events: u64,
    /// Events that came to all who follow, together.
    pub came: u64,
    /// How long an event took to come to one who was there, from its being acknowledged, in milliseconds: the longest.
    pub longest_delay_ms: u64,
    /// Events a second.
    pub per_second: u64,
    /// How long it took.
    pub seconds: u64,
    /// What was broken.
    #[serde(flatten)]
    pub violations: Violations,
}

/// Runs it with children of `program`, which calls [`child::live`].
///
/// # Errors
/// What kept the test itself from being carried out; what the store did wrong is in the report.
pub fn run(program: &Path, settings: &Settings) -> Result<Report> {
    Ok(carry_out(program, settings)?.map_or_else(
        || Report { skipped: true, ..Report::default() },
        |(mut evidence, mut report)| {
            if let Some(mutant) = settings.mutant {
                let _ = mutant.spoil(&mut evidence);
            }
            report.violations.extend(judge(&evidence, settings.timed));
            report
        },
    ))
}

/// The mutants that are complained of as what they break, on the evidence of one run; `None` if there is no server.
///
/// # Errors
/// As [`run`].
pub fn noticed(program: &Path, settings: &Settings) -> Result<Option<Vec<Mutant>>> {
    Ok(carry_out(program, settings)?.map(|(evidence, _)| {
        let judge = |evidence: &Evidence| judge(evidence, true);
        crate::report::noticed(Mutant::ALL, &evidence, Mutant::spoil, judge, Mutant::breaks)
    }))
}

fn carry_out(program: &Path, settings: &Settings) -> Result<Option<(Evidence, Report)>> {
    let start = clock::now();
    let Some(server) = Server::start(Care { durable: true, extra: Vec::new() }) else { return Ok(None) };
    let url = format!("{}?schema=feed", server.url());
    // The store is there before anybody comes.
    block_on(async { Store::open(url.as_str()).await?.close().await })?;
    Direct::open(&server.url())?.run("CREATE DATABASE elsewhere")?;
    let elsewhere = Direct::open(&server.url().replace("/postgres", "/elsewhere"))?;
    elsewhere.run("BEGIN; CREATE TABLE open (n int); INSERT INTO open VALUES (1); SELECT txid_current()")?;
    let mut feed = Feed {
        crew: Crew::new(program, settings.writers as usize + SUBSCRIBERS),
        settings,
        url: &url,
        done: 0,
        evidence: Evidence::default(),
        report: Report::default(),
    };
    let begun = clock::now();
    feed.write_and_follow()?;
    let took = begun.elapsed();
    // It was open all the while.
    elsewhere.run("INSERT INTO open VALUES (2); COMMIT")?;
    let Feed { crew, mut evidence, mut report, .. } = feed;
    drop(crew);
    look(&url, &mut evidence)?;
    report.appends = evidence.appends.len() as u64;
    report.events = evidence.appends.iter().map(|append| append.count).sum();
    let shared = evidence.appends.iter().filter(|append| append.stream.starts_with(CATEGORY));
    (report.shared, report.shared_events) =
        shared.fold((0, 0), |(appends, events), append| (appends + 1, events + append.count));
    report.came = evidence.lanes.iter().map(|lane| lane.came.len() as u64).sum();
    report.longest_delay_ms = evidence.longest_delay_us() / 1_000;
    report.per_second = (report.events as f64 / took.as_secs_f64()) as u64;
    report.seconds = start.elapsed().as_secs();
    Ok(Some((evidence, report)))
}

/// The run.
struct Feed<'a> {
    crew: Crew,
    settings: &'a Settings,
    url: &'a str,
    /// Writers that have come to their end.
    done: u64,
    evidence: Evidence,
    report: Report,
}

impl Feed<'_> {
    fn write_and_follow(&mut self) -> Result<()> {
        let writers = self.settings.writers;
        self.start(writers, Role::Subscriber)?;
        self.hear_until(|feed| feed.evidence.lanes.len() == 2)?;
        (0..writers).try_for_each(|who| self.start(who, Role::Writer))?;
        let half = writers * self.settings.events / 2;
        self.hear_until(|feed| feed.evidence.appended() >= half)?;
        self.start(writers + 1, Role::Subscriber)?;
        self.hear_until(|feed| feed.done == writers)?;
        self.hear_until(|feed| feed.evidence.all_has_come())?;
        let end = clock::now() + REST;
        while let Some(heard) = self.crew.hear(end.saturating_duration_since(clock::now())) {
            self.take_in(heard)?;
        }
        Ok(())
    }

    fn start(&mut self, who: u64, role: Role) -> Result<()> {
        let Settings { seed, events, .. } = self.settings;
        let words = [CHILD, self.url, &who.to_string(), role.name(), &seed.to_string(), &events.to_string()];
        self.crew.start(who as usize, &words.map(str::to_owned), &[])
    }

    /// Until it is so, or nobody says anything any more, or something is wrong.
    fn hear_until(&mut self, so: impl Fn(&Self) -> bool) -> Result<()> {
        while !so(self) && self.report.violations.is_empty() {
            match self.crew.hear(PATIENCE) {
                Some(heard) => self.take_in(heard)?,
                None => {
                    let words = format!("{:?} have come to those who follow", self.evidence.come());
                    self.report.violations.push((Broken::Unanswered, words));
                }
            }
        }
        Ok(())
    }

    fn take_in(&mut self, (who, line): Heard) -> Result<()> {
        let Some(line) = line else {
            self.report.violations.push((Broken::Failed, format!("process {who} ended by itself")));
            return Ok(());
        };
        match serde_json::from_str(&line)? {
            Said::Failed(words) => {
                self.report.violations.push((Broken::Failed, format!("process {who}: {words}")));
            }
            Said::Done => self.done += 1,
            said => self.evidence.take_in(said),
        }
        Ok(())
    }
}

/// What is there in the end, for one who opens the store anew.
fn look(url: &str, evidence: &mut Evidence) -> Result<()> {
    block_on(async {
        let store = Store::open(url).await?;
        let mut events = store.events().read_all();
        while let Some(event) = events.next().await {
            evidence.found.push(child::came(&event?)?);
        }
        evidence.head = store.events().head().await?;
        Ok(store.close().await?)
    })
}
