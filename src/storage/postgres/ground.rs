//! What everything that has to do with one store on a server rests on.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use millpond_actors::clock::{Clock as _, SystemClock};
use millpond_actors::error::{Error, Result};
use millpond_actors::storage::filter::Fields;

use super::address::Address;
use super::clock::ServerClock;
use super::connection::Connection;
use super::error::is_away;
use super::migrate::{self, Place};
use super::param::Reading;
use super::wire::Wire;
use crate::location::Durability;

/// A store on a server.
pub(super) struct Ground {
    pub(super) wire: Arc<Wire>,
    pub(super) address: Address,
    pub(super) place: Place,
    pub(super) fields: Fields,
    pub(super) clock: Arc<ServerClock>,
    /// What is committed is to survive the loss of power.
    pub(super) careful: bool,
    /// The boot of whoever joined here.
    pub(super) boot: OnceLock<String>,
    /// How long a call may take.
    patience: Duration,
    /// Since when the server has been away, in microseconds of a clock that only goes forward; 0 if it is there.
    away_us: AtomicU64,
}

/// How long to wait before the server is tried again, at first and at last.
const PAUSES: RangeInclusive<Duration> = Duration::from_millis(4)..=Duration::from_millis(250);

/// How long to wait before it is tried once more: twice as long as the last time.
pub(super) fn longer(pause: Duration) -> Duration {
    (pause * 2).clamp(*PAUSES.start(), *PAUSES.end())
}

impl Ground {
    /// Finds the store, or makes it.
    pub(super) fn find(
        url: &str,
        durability: Durability,
        read_only: bool,
        fields: Fields,
        patience: Duration,
    ) -> Result<Ground> {
        let address = Address::parse(url)?;
        let wire = Wire::start()?;
        let line = Connection::open(&address)?;
        let careful = durability != Durability::ProcessCrash;
        if careful {
            check_care(&line)?;
        }
        let place = migrate::migrate(&line, address.schema(), !read_only)?;
        let clock = Arc::new(ServerClock::new());
        let (boot, away_us) = (OnceLock::new(), 0.into());
        let ground = Ground { wire, address, place, fields, clock, careful, boot, patience, away_us };
        ground.look_at_clock(&line)?;
        Ok(ground)
    }

    /// A connection for statements.
    pub(super) fn connect(&self) -> Result<Connection> {
        Connection::open(&self.address)
    }

    /// The same for one who waits for it: if the server is away, for as long as a call may take, from when it was first missed.
    pub(super) fn connect_patiently(&self) -> Result<Connection> {
        let mut pause = Duration::ZERO;
        loop {
            match self.connect() {
                Err(error) if is_away(&error) && self.missed_for() < self.patience => {}
                connected => {
                    if connected.is_ok() {
                        self.away_us.store(0, Ordering::Relaxed);
                    }
                    return connected;
                }
            }
            pause = longer(pause);
            self.pause(pause);
        }
    }

    /// How long the server has been away, which it is now.
    fn missed_for(&self) -> Duration {
        let now = self.clock.monotonic_us();
        let since = self.away_us.compare_exchange(0, now.max(1), Ordering::Relaxed, Ordering::Relaxed);
        Duration::from_micros(since.map_or_else(|since| now.saturating_sub(since), |_| 0))
    }

    /// Lets so much time pass, on the thread that calls.
    pub(super) fn pause(&self, time: Duration) {
        self.wire.run(async move { tokio::time::sleep(time).await });
    }

    fn look_at_clock(&self, line: &Connection) -> Result<()> {
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        // The first time it is asked, the statement is prepared: what counts is how it stood when the answer came.
        for _ in 0..2 {
            if let Some(row) = line.ask(sql, Vec::new())?.first() {
                self.clock.heard(Reading::of(row).next()?, SystemClock.boot_ms());
            }
        }
        Ok(())
    }
}

/// What a commit survives is the server's to say, and ours to ask for.
fn check_care(line: &Connection) -> Result<()> {
    let sql = "SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')";
    let rows = line.ask(sql, Vec::new())?;
    let Some(row) = rows.first() else {
        return Err(super::error::odd("the server does not tell its settings"));
    };
    let mut row = Reading::of(row);
    let (fsync, pages, commit): (&str, &str, &str) = (row.next()?, row.next()?, row.next()?);
    if fsync != "on" || pages != "on" {
        let what = "a store that survives a loss of power".to_owned();
        let reason = format!(
            "the server runs with fsync={fsync} and full_page_writes={pages}; a store that survives the end of processes only can be opened (Durability::ProcessCrash)"
        );
        return Err(Error::Unsupported { what, reason });
    }
    if commit == "off" {
        let what = "a store that survives a loss of power".to_owned();
        let reason = "synchronous_commit is off for this user or database".to_owned();
        return Err(Error::Unsupported { what, reason });
    }
    Ok(())
}

impl fmt::Debug for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("address", &self.address).finish_non_exhaustive()
    }
}
