//! Timeouts of process managers that are set again and taken back, also where they are dealt with; and dead letters that cannot
//! be projected for good.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use millpond::{
    Error, Event, Expected, Failure, JobState, ProcessManager, Projection, Projector, Queue, Recorded,
    Result, Steps, Store, Timeout,
};
use serde::{Deserialize, Serialize};

use crate::backends::{event, until, wait};
use crate::peer::file;
use crate::projections::{logged, positions, progress, start, stop};

each_backend! {
    a3_a_timeout_that_sets_itself_again_comes_again
    a3_a_timeout_that_takes_itself_back_changes_nothing
    a3_a_timeout_that_was_taken_back_does_not_come
    a3_a_timeout_that_is_taken_back_while_it_is_dealt_with_does_not_come_about
    w6_a_revived_letter_whose_process_cannot_be_read_is_dead_again
    w6_what_is_no_timeout_holds_up_no_other
}

const LONG: Duration = Duration::from_secs(3_600);
const SOON: Duration = Duration::from_millis(1);

/// Does what the events say: `Tick`, `Far`, `Stop`, `Move`, `Fail`.
#[derive(Clone)]
struct Clockwork {
    commands: Queue<String>,
    store: Store,
    /// What is done in the first timeouts, beside counting them.
    odd: Arc<AtomicU64>,
}

const NOTHING: u64 = 0;
const TAKES_ITSELF_BACK: u64 = 1;
const IS_REMOVED_BY_ANOTHER: u64 = 2;

#[derive(Clone, Default, Serialize, Deserialize)]
struct Ticks {
    ticks: u64,
}

impl ProcessManager for Clockwork {
    type State = Ticks;

    fn correlate(&self, event: &Recorded) -> Result<Option<String>, Failure> {
        Ok(event.stream().strip_prefix("clock-").map(str::to_owned))
    }

    fn handle(&mut self, _: &mut Ticks, event: &Recorded, steps: &mut Steps<'_>) -> Result<(), Failure> {
        match event.event_type() {
            "Tick" => steps.timeout("tick/%", SOON)?,
            "Far" => steps.timeout("tick/%", LONG)?,
            "Stop" => steps.cancel("tick/%")?,
            "Move" => {
                steps.cancel("tick/%")?;
                steps.timeout("tick/%", 2 * LONG)?;
            }
            "Fail" => return Err("no luck".into()),
            other => {
                steps.push(&self.commands, &other.to_owned())?;
            }
        }
        Ok(())
    }

    fn timeout(
        &mut self,
        state: &mut Ticks,
        timeout: &Timeout,
        steps: &mut Steps<'_>,
    ) -> Result<(), Failure> {
        state.ticks += 1;
        match self.odd.swap(NOTHING, Ordering::SeqCst) {
            TAKES_ITSELF_BACK => {
                steps.cancel(&timeout.name)?;
                steps.push(&self.commands, &format!("last {}", state.ticks))?;
                return Ok(());
            }
            IS_REMOVED_BY_ANOTHER => {
                let timeouts = self.store.blocking().queue::<Timeout>("timeouts/clocks");
                assert_eq!(timeouts.purge(JobState::Claimed)?, 1);
            }
            _ => {}
        }
        steps.push(&self.commands, &format!("tick {}", state.ticks))?;
        if state.ticks < 4 {
            steps.timeout(&timeout.name, SOON)?;
        }
        Ok(())
    }
}

fn clockwork(store: &Store, odd: u64) -> Clockwork {
    let (commands, store) = (store.queue("commands"), store.clone());
    Clockwork { commands, store, odd: Arc::new(AtomicU64::new(odd)) }
}

fn clocks(store: &Store) -> (Projection, Projector) {
    let projection = store.projection("clocks");
    let projector = projection.projector(store.events().read_category("clock"));
    (projection, projector)
}

async fn tell(store: &Store, kind: &'static str) -> Result<u64> {
    let event = Event::new(kind, &())?;
    Ok(store.events().append("clock-1/2", Expected::Any, [event]).await?.position)
}

/// The next command that is sent.
async fn command(store: &Store) -> Result<String> {
    let command = store.queue::<String>("commands").pop().await?;
    let said = command.clone();
    command.done().await?;
    Ok(said)
}

/// When the timeout comes that is set.
async fn due(store: &Store) -> Result<Option<i64>> {
    let mut jobs = store.queue::<Timeout>("timeouts/clocks").page(None, 0, 9).await?.jobs;
    assert!(jobs.len() < 2, "{jobs:?}");
    Ok(jobs.pop().transpose()?.and_then(|job| job.due))
}

async fn left(store: &Store) -> Result<u64> {
    let numbers = store.queue::<Timeout>("timeouts/clocks").numbers().await?.unwrap();
    Ok(numbers.ready + numbers.delayed + numbers.claimed + numbers.dead)
}

async fn a3_a_timeout_that_sets_itself_again_comes_again(store: Store) -> Result<()> {
    let (_, projector) = clocks(&store);
    let stopper = projector.stopper();
    let running = tokio::spawn(projector.manage(clockwork(&store, NOTHING)));
    tell(&store, "Tick").await?;
    for n in 1..=4 {
        let command = tokio::time::timeout(Duration::from_secs(20), command(&store));
        assert_eq!(command.await.expect("it comes again")?, format!("tick {n}"));
    }
    stopper.stop(LONG);
    running.await.unwrap()?;
    assert_eq!(left(&store).await?, 0);
    Ok(())
}

async fn a3_a_timeout_that_takes_itself_back_changes_nothing(store: Store) -> Result<()> {
    let (projection, projector) = clocks(&store);
    let stopper = projector.stopper();
    let running = tokio::spawn(projector.manage(clockwork(&store, TAKES_ITSELF_BACK)));
    tell(&store, "Tick").await?;
    assert_eq!(command(&store).await?, "last 1");
    projection.wait_for(tell(&store, "Far").await?).await?;
    assert!(due(&store).await?.is_some(), "it can be set as before");
    stopper.stop(LONG);
    running.await.unwrap()?;
    Ok(())
}

async fn a3_a_timeout_that_was_taken_back_does_not_come(store: Store) -> Result<()> {
    let drain = async || {
        let (_, projector) = clocks(&store);
        projector.drain().manage(clockwork(&store, NOTHING)).await
    };
    let mut seen = Vec::new();
    // Nothing to take back; set; set already; moved; taken back; set anew.
    for kind in ["Stop", "Far", "Far", "Move", "Stop", "Far"] {
        tell(&store, kind).await?;
        drain().await?;
        seen.push(due(&store).await?);
    }
    assert_eq!((seen[0], seen[4]), (None, None));
    assert!(seen[1].is_some() && seen[1] == seen[2], "one that is set already stays as it is");
    assert!(seen[3] > seen[2].map(|due| due + 3_000_000), "{seen:?}");
    assert!(seen[5] < seen[3] && seen[5] >= seen[1], "{seen:?}");
    // Also one that has come, and somebody has in hand.
    tell(&store, "Stop").await?;
    tell(&store, "Tick").await?;
    drain().await?;
    let job = store.queue::<Timeout>("timeouts/clocks").pop().await?;
    tell(&store, "Stop").await?;
    drain().await?;
    assert!(matches!(job.done().await, Err(Error::StaleClaim { .. })));
    assert_eq!(left(&store).await?, 0);
    Ok(())
}

async fn a3_a_timeout_that_is_taken_back_while_it_is_dealt_with_does_not_come_about(
    store: Store,
) -> Result<()> {
    let (projection, projector) = clocks(&store);
    let stopper = projector.stopper();
    let clockwork = clockwork(&store, IS_REMOVED_BY_ANOTHER);
    let running = tokio::spawn(projector.manage(clockwork.clone()));
    tell(&store, "Tick").await?;
    until(async || Ok(clockwork.odd.load(Ordering::SeqCst) == NOTHING)).await?;
    projection.wait_for(tell(&store, "told").await?).await?;
    assert_eq!(command(&store).await?, "told", "it goes on, and of the timeout there is no trace");
    // What its only event has left.
    assert_eq!((store.events().version("clocks-1/2").await?, left(&store).await?), (1, 0));
    stopper.stop(LONG);
    running.await.unwrap()?;
    Ok(())
}

async fn w6_a_revived_letter_whose_process_cannot_be_read_is_dead_again(store: Store) -> Result<()> {
    let (projection, projector) = clocks(&store);
    tell(&store, "Fail").await?;
    projector.attempts(1).dead_letters().drain().manage(clockwork(&store, NOTHING)).await?;
    let letters = projection.dead_letters();
    assert_eq!(letters.numbers().await?.unwrap().dead, 1);
    // What nobody can read as the state of the process.
    let odd = Event::new("Moved", &"not a state")?;
    store.events().append("clocks-1/2", Expected::NoStream, [odd]).await?;
    let (_, projector) = clocks(&store);
    let stopper = projector.stopper();
    let running = tokio::spawn(projector.dead_letters().manage(clockwork(&store, NOTHING)));
    letters.revive(1).await?;
    until(async || Ok(running.is_finished() || letters.numbers().await?.unwrap().dead == 1)).await?;
    stopper.stop(LONG);
    running.await.unwrap()?;
    let letter = letters.page(Some(JobState::Dead), 0, 9).await?.jobs.remove(0)?;
    assert!(letter.reason.as_deref().is_some_and(|reason| reason.contains("clocks-1/2")), "{letter:?}");
    Ok(())
}

async fn w6_what_is_no_timeout_holds_up_no_other(store: Store) -> Result<()> {
    let timeouts = store.queue::<String>("timeouts/clocks");
    timeouts.push(&"by hand".to_owned()).await?;
    let (projection, projector) = clocks(&store);
    let stopper = projector.stopper();
    let running = tokio::spawn(projector.manage(clockwork(&store, TAKES_ITSELF_BACK)));
    tell(&store, "Tick").await?;
    let told = tell(&store, "told").await?;
    let tried = async || Ok::<_, Error>(timeouts.page(None, 0, 1).await?.jobs.remove(0)?.reason.is_some());
    until(async || Ok(running.is_finished() || tried().await?)).await?;
    if !running.is_finished() {
        projection.wait_for(told).await?;
    }
    stopper.stop(LONG);
    running.await.unwrap()?;
    assert_eq!(
        timeouts.page(None, 0, 1).await?.jobs.remove(0)?.sequence,
        1,
        "it is tried again, as every such job"
    );
    Ok(())
}

#[test]
fn w6_a_revived_letter_whose_event_is_damaged_is_dead_again() {
    let (_folder, file) = file();
    let store = wait(Store::open(file.clone())).unwrap();
    wait(async {
        let (log, projection) = (store.log::<u64>("seen"), store.projection("all"));
        store.events().append("c-1", Expected::Any, (0..5).map(event).collect::<Vec<_>>()).await?;
        let fails = |event: &Recorded, _: &mut millpond::Rows<'_>| -> Result<(), Failure> {
            if event.position() == 3 { Err("no luck".into()) } else { Ok(()) }
        };
        let all = || projection.projector(store.events().read_all());
        all().attempts(1).dead_letters().drain().run(fails).await?;
        let letters = projection.dead_letters();
        let harm = |data: &str| {
            let vandal = rusqlite::Connection::open(&file).unwrap();
            vandal.execute("UPDATE event SET data = ?1 WHERE position = 3", [data]).unwrap();
        };
        harm("{\"n\":9}");
        let running = start(all().dead_letters(), positions(&log));
        letters.revive(1).await?;
        until(async || Ok(running.0.is_finished() || letters.numbers().await?.unwrap().dead == 1)).await?;
        let letter = letters.page(Some(JobState::Dead), 0, 9).await?.jobs.remove(0)?;
        assert!(letter.reason.as_deref().is_some_and(|reason| reason.contains("damaged")), "{letter:?}");
        // The others go on, and so does it once it is mended.
        store.events().append("c-1", Expected::Any, [event(5)]).await?;
        projection.caught_up().await?;
        harm("{\"n\":2}");
        letters.revive(1).await?;
        until(async || Ok(running.0.is_finished() || progress(&projection).await?.handled == 6)).await?;
        stop(running).await?;
        assert_eq!(logged(&log).await?, [6, 3]);
        store.close().await
    })
    .unwrap();
}
