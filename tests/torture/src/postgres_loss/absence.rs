//! A server that is away for longer than a call may take: what callers are told, and when; and that nothing has to be opened anew when
//! it is back.

use std::future::Future;
use std::time::Duration;

use futures_executor::block_on;
use millpond::{Error, Event, Expected, Occupant, Store};
use millpond_postgres_server::Server;

use crate::clock;
use crate::report::{Broken, Violation};
use crate::within::within;

/// What a call may take here; and what it may take longer than that, on a machine that has much to do.
const CALL: Duration = Duration::from_millis(600);
const MORE: Duration = Duration::from_secs(5);

/// Nobody is to wait for longer than this.
const HANG: Duration = Duration::from_secs(60);

/// What was told to whoever wrote and whoever read, and how long each had waited, in milliseconds.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Absence {
    /// How long a write waited.
    pub write_ms: u64,
    /// What it was told.
    pub write: String,
    /// How long a read waited.
    pub read_ms: u64,
    /// What it was told.
    pub read: String,
    /// How long the first write took when the server was back.
    pub back_ms: u64,
}

/// Takes the server away from a store of its own.
pub(super) fn go(server: &mut Server) -> crate::Result<(Absence, Vec<Violation>)> {
    let url = format!("{}?schema=absence", server.url());
    let store = block_on(Store::builder().call_timeout(CALL).open(url.as_str()))?;
    let append = |number: u64| {
        let events = store.events();
        async move { events.append("away-1", Expected::Any, [Event::new("Called", &number)?]).await }
    };
    block_on(append(1))?;
    server.kill();
    let (write_ms, write) = timed(append(2));
    let (read_ms, read) = timed(store.events().head());
    server.come_back();
    let (back_ms, back) = timed(append(3));
    let head = block_on(store.events().head())?;
    let mut violations = Vec::new();
    for (what, took, answer) in
        [("write", write_ms, write.as_ref().err()), ("read", read_ms, read.as_ref().err())]
    {
        let is_told = matches!(answer, Some(Some(Error::Busy { process: Occupant::Away { .. }, .. })));
        // Whoever reads waits from when the server was first missed, be it by others.
        let least = if what == "write" { CALL / 2 } else { Duration::ZERO };
        let in_time = (least..=CALL + MORE).contains(&Duration::from_millis(took));
        if !is_told || !in_time {
            let words = format!("without a server, a {what} was told after {took} ms: {answer:?}");
            violations.push((Broken::Unanswered, words));
        }
    }
    if back.is_err() || head != 2 {
        violations.push((Broken::Wedged, format!("when the server was back: {back:?}, at {head}")));
    }
    block_on(store.close())?;
    let shown =
        |error: Option<Option<Error>>| error.flatten().map_or_else(String::new, |error| error.to_string());
    let (write, read) = (shown(write.err()), shown(read.err()));
    Ok((Absence { write_ms, write, read_ms, read, back_ms }, violations))
}

/// How long it took, and what came of it: no error if it never came to an end.
fn timed<T>(call: impl Future<Output = Result<T, Error>>) -> (u64, Result<T, Option<Error>>) {
    let begun = clock::now();
    let answer = within(HANG, call).map_or(Err(None), |answer| answer.map_err(Some));
    (begun.elapsed().as_millis() as u64, answer)
}
