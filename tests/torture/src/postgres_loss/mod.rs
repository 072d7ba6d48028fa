//! A store whose server is taken from it, again and again and in every way, while it is used: is every call answered, and every
//! answer true? And does the store go on by itself?
//!
//! Promises: G16, with G1, G3, G4 and G7 behind it; a loss of the connection during COMMIT is settled or unknown, never a lie.
//! Meanwhile another process comes and goes, which buries whoever it takes for dead.

mod absence;
mod callers;
mod harm;
mod judge;
mod look;
mod mutant;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_executor::block_on;
use millpond::Store;
use millpond_postgres_server::{Proxy, Server, Settings as Care};
use serde::Serialize;

pub use self::absence::Absence;
pub use self::mutant::Mutant;

use self::callers::{Heard, LANES};
use self::harm::{Grounds, Harm};
use self::judge::{Evidence, judge};
use crate::random::Random;
use crate::report::{Broken, Violations};
use crate::{Result, clock};

/// A call may take so long, and is then to be answered.
const CALL: Duration = Duration::from_secs(20);

/// So many different words of what went wrong are shown.
const REFUSALS: usize = 6;

/// How many and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything comes from.
    pub seed: u64,
    /// How often each harm is done.
    pub times: u64,
    /// How the evidence is spoilt.
    pub mutant: Option<Mutant>,
    /// Whether it is judged how long the store takes to go on.
    pub timed: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, times: 100, mutant: None, timed: true }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// There is no server to be had.
    pub skipped: bool,
    /// How often each harm was done.
    pub harms: BTreeMap<String, u64>,
    /// Calls that wrote, and what they were told.
    pub calls: u64,
    /// They went well.
    pub acked: u64,
    /// Nothing was written.
    pub refused: u64,
    /// It was not known.
    pub unknown: u64,
    /// So many of those were found to be there when they were asked again with the same id.
    pub unknown_there: u64,
    /// What those were told whose calls did not go well: the first few.
    pub refusals: Vec<String>,
    /// The longest time from the server's being there to the end of the first call that began after that, by harm.
    pub longest_interruption_ms: BTreeMap<String, u64>,
    /// The longest call.
    pub longest_call_ms: u64,
    /// Reads, those of them that failed, and the longest.
    pub reads: u64,
    /// Reads that failed.
    pub reads_failed: u64,
    /// The longest read.
    pub longest_read_ms: u64,
    /// What came to one who follows.
    pub followed: u64,
    /// Errors that came to him in between.
    pub follow_errors: u64,
    /// Times that another process came and went.
    pub visits: u64,
    /// Times that it got a lock whose holder did not know yet that he was taken for dead, by the harm before.
    pub robbed: BTreeMap<String, u64>,
    /// Of the store's own count: commits that failed.
    pub failed_commits: u64,
    /// A server that was away for longer than a call may take.
    pub absence: Absence,
    /// How long the harms took, each with what it took to get over it, in milliseconds.
    pub spent_ms: BTreeMap<String, u64>,
    /// How long it took.
    pub seconds: u64,
    /// What was broken.
    #[serde(flatten)]
    pub violations: Violations,
}

/// Runs it.
///
/// # Errors
/// What kept the test itself from being carried out; what the store did wrong is in the report.
pub fn run(settings: &Settings) -> Result<Report> {
    Ok(carry_out(settings)?.map_or_else(
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
pub fn noticed(settings: &Settings) -> Result<Option<Vec<Mutant>>> {
    Ok(carry_out(settings)?.map(|(evidence, _)| {
        let judge = |evidence: &Evidence| judge(evidence, true);
        crate::report::noticed(Mutant::ALL, &evidence, Mutant::spoil, judge, Mutant::breaks)
    }))
}

fn carry_out(settings: &Settings) -> Result<Option<(Evidence, Report)>> {
    let start = clock::now();
    // Whoever comes back after a crash makes sure of all of his files; one by one that takes seconds.
    let extra = vec![("recovery_init_sync_method".to_owned(), "syncfs".to_owned())];
    let Some(mut server) = Server::start(Care { durable: true, extra }) else { return Ok(None) };
    let proxy = Proxy::start(&server);
    let (url, direct) = (format!("{}?schema=loss", proxy.url()), format!("{}?schema=loss", server.url()));
    let store = block_on(Store::builder().call_timeout(CALL).open(url.as_str()))?;
    let (heard, ends) = (Heard::default(), AtomicBool::new(false));
    let mut report = Report::default();
    let mut evidence = Evidence::default();
    let outcome = std::thread::scope(|scope| {
        let spawn = |work: fn(&Store, u64, &Heard, &AtomicBool), lane| {
            let (store, heard, ends) = (&store, &heard, &ends);
            scope.spawn(move || work(store, lane, heard, ends))
        };
        (0..LANES).for_each(|lane| drop(spawn(callers::call, lane)));
        [callers::read, callers::hold].into_iter().for_each(|work| drop(spawn(work, 0)));
        let (heard, ends) = (&heard, &ends);
        let follower = store.clone();
        scope.spawn(move || callers::follow(&follower, heard, ends));
        scope.spawn(|| callers::visit(&direct, heard, ends));
        let mut grounds = Grounds { server: &mut server, proxy: &proxy, heard };
        let harmed = harm_all(settings, &mut grounds, &mut evidence, &mut report);
        ends.store(true, Ordering::SeqCst);
        harmed
    });
    outcome?;
    report.failed_commits = store.health().figures.failed_commits;
    let closed = clock::now();
    if let Err(error) = block_on(store.close()) {
        report.violations.push((Broken::Wedged, format!("closing: {error}")));
    }
    drop(proxy);
    if closed.elapsed() > CALL {
        report.violations.push((Broken::Wedged, format!("closing took {:?}", closed.elapsed())));
    }
    evidence.found = look::look(&direct)?;
    let (absence, violations) = absence::go(&mut server)?;
    report.absence = absence;
    report.violations.extend(violations);
    heard.give(&mut evidence);
    figures(&evidence, &mut report);
    report.seconds = start.elapsed().as_secs();
    Ok(Some((evidence, report)))
}

/// Does each harm as often as it is to be done, in an order that the seed has.
fn harm_all(
    settings: &Settings,
    grounds: &mut Grounds<'_>,
    evidence: &mut Evidence,
    report: &mut Report,
) -> Result<()> {
    let mut random = Random::new(settings.seed);
    let mut left: Vec<Harm> =
        Harm::ALL.into_iter().flat_map(|harm| (0..settings.times).map(move |_| harm)).collect();
    grounds.wait_for_calls()?;
    while !left.is_empty() {
        let harm = left.swap_remove(random.below(left.len() as u64) as usize);
        clock::pause(random.below(20_000));
        let begun = clock::now();
        let interrupted_us = grounds.harm(harm, &mut random)?;
        *report.spent_ms.entry(harm.name()).or_default() += begun.elapsed().as_millis() as u64;
        *report.harms.entry(harm.name()).or_default() += 1;
        let longest = report.longest_interruption_ms.entry(harm.name()).or_default();
        *longest = (*longest).max(interrupted_us / 1_000);
        evidence.interruptions_us.push((harm.name(), interrupted_us));
        if interrupted_us >= harm::PATIENCE.as_micros() as u64 {
            report.violations.push((Broken::Wedged, format!("the store does not go on after {harm:?}")));
            break;
        }
    }
    Ok(())
}

fn figures(evidence: &Evidence, report: &mut Report) {
    use callers::Answer;
    report.calls = evidence.calls.len() as u64;
    for call in &evidence.calls {
        match &call.answer {
            Answer::Done(_) => report.acked += 1,
            Answer::Refused(_) => report.refused += 1,
            Answer::Unknown { there, .. } => {
                report.unknown += 1;
                report.unknown_there += u64::from(*there == Some(true));
            }
            Answer::None => {}
        }
        if let Answer::Refused(words) | Answer::Unknown { words, .. } = &call.answer
            && report.refusals.len() < REFUSALS
            && !report.refusals.contains(words)
        {
            report.refusals.push(words.clone());
        }
        report.longest_call_ms = report.longest_call_ms.max(call.ended.saturating_sub(call.begun) / 1_000);
    }
    report.followed = evidence.followed.len() as u64;
    (report.reads, report.reads_failed) = (evidence.reads.0, evidence.reads.1);
    report.longest_read_ms = evidence.reads.2 / 1_000;
    (report.follow_errors, report.visits) = (evidence.follow_errors, evidence.visits);
    report.robbed = evidence.robbed.clone();
}
