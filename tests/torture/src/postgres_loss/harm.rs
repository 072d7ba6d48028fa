//! What is done to the server, and to what leads there.

use std::time::Duration;

use millpond_postgres_server::{Cut, Proxy, Server};

use super::callers::Heard;
use crate::direct::Direct;
use crate::random::Random;
use crate::{Result, clock};

/// Whoever has not gone on after this time never will.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What a writer sends to commit: a query of its own, so that a proxy can tell it.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// The longest time for which the server is away, in microseconds.
const AWAY_US: u64 = 400_000;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Harm {
    /// The server ends the connection that writes.
    Terminate,
    /// It ends all connections of the store.
    TerminateAll,
    /// It is stopped as if its machine were switched off, and comes back.
    Restart,
    /// It is killed, and comes back.
    Kill,
    /// A connection is lost before the server has got the COMMIT.
    Unheard,
    /// A connection is lost after that, and the answer with it.
    Unanswered,
    /// All connections are lost.
    Lose,
    /// All connections are lost, and no new one is to be had for a while.
    Refuse,
}

impl Harm {
    pub(super) const ALL: [Harm; 8] = [
        Harm::Terminate,
        Harm::TerminateAll,
        Harm::Restart,
        Harm::Kill,
        Harm::Unheard,
        Harm::Unanswered,
        Harm::Lose,
        Harm::Refuse,
    ];

    pub(super) fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// What is harmed, and what those say who use it.
pub(super) struct Grounds<'a> {
    pub(super) server: &'a mut Server,
    pub(super) proxy: &'a Proxy,
    pub(super) heard: &'a Heard,
}

impl Grounds<'_> {
    /// Until the callers are at work.
    pub(super) fn wait_for_calls(&self) -> Result<()> {
        self.wait_for_call(clock::stamp()?).map(drop)
    }

    /// Does a harm: how many microseconds it took from the server's being there (again) until a call that began then had gone
    /// well.
    pub(super) fn harm(&mut self, harm: Harm, random: &mut Random) -> Result<u64> {
        self.heard.harmed(harm.name());
        match harm {
            Harm::Terminate => self.terminate("a.application_name ~ '^millpond [0-9]+$'", random)?,
            Harm::TerminateAll => self.terminate("a.application_name LIKE 'millpond%'", random)?,
            Harm::Restart => self.server.stop_immediate(),
            Harm::Kill => self.server.kill(),
            Harm::Unheard => self.cut(Cut::Unheard)?,
            Harm::Unanswered => self.cut(Cut::Unanswered)?,
            Harm::Lose => drop(self.proxy.lose_all()),
            Harm::Refuse => {
                self.proxy.refuse();
                self.proxy.lose_all();
            }
        }
        match harm {
            Harm::Restart | Harm::Kill => {
                clock::pause(random.below(AWAY_US));
                self.server.come_back();
            }
            Harm::Refuse => {
                clock::pause(random.below(AWAY_US));
                self.proxy.admit();
            }
            _ => {}
        }
        self.wait_for_call(clock::stamp()?)
    }

    /// Several times in a row, so that some come while a group is being committed.
    fn terminate(&self, which: &str, random: &mut Random) -> Result<()> {
        let line = Direct::open(&self.server.url())?;
        for _ in 0..=random.below(3) {
            clock::pause(random.below(5_000));
            line.rows(&format!("SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a WHERE {which}"))?;
        }
        Ok(())
    }

    fn cut(&self, cut: Cut) -> Result<()> {
        let (before, begun) = (self.proxy.cuts(), clock::now());
        self.proxy.cut(COMMIT, cut);
        while self.proxy.cuts() == before {
            if begun.elapsed() > PATIENCE {
                return Err("nobody commits in a way that the proxy could tell".into());
            }
            clock::pause(200);
        }
        Ok(())
    }

    fn wait_for_call(&self, since: u64) -> Result<u64> {
        loop {
            let passed = clock::stamp()?.saturating_sub(since);
            if let Some(ended) = self.heard.first_since(since) {
                return Ok(ended - since);
            }
            if passed > PATIENCE.as_micros() as u64 {
                return Ok(passed);
            }
            clock::pause(500);
        }
    }
}
