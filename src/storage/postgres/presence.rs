//! How others see that a process lives, and how it hears that they have written: a connection of its own, whose session holds an
//! advisory lock and listens. It ends with the process, at once if its system tells the server, and else when the server has
//! waited for an answer for a few seconds.

use std::fmt;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use millpond_actors::error::{Error, Result};
use millpond_actors::observe::target;
use millpond_actors::storage::{self, Bell};
use tokio_postgres::Client;

use super::address::Address;
use super::error::{database, not_there};
use super::ground::longer;
use super::socket;
use super::wire::{Notice, Wire};

/// How long whoever leaves waits for the server to have heard it.
const GOODBYE: Duration = Duration::from_secs(2);

/// What the server is to do about a peer that does not answer: it is gone after some ten seconds.
const PATIENCE: &str =
    "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3";

/// How long whoever begins to wait is kept from it at most, for the others to hear it.
const MOMENT: Duration = Duration::from_millis(50);

type OnRing = Box<dyn Fn() + Send + Sync>;

/// A process, as the others see it.
pub(super) struct Presence(Arc<Shared>);

struct Shared {
    wire: Arc<Wire>,
    address: Address,
    oid: i32,
    /// 0 as long as it has none.
    process: AtomicU64,
    client: Mutex<Option<Arc<Client>>>,
    /// What can be lent.
    socket: Mutex<Option<OwnedFd>>,
    /// Another one is being made.
    making: AtomicBool,
    on_ring: Mutex<Option<OnRing>>,
    waiting: AtomicBool,
    watching: AtomicBool,
    /// It has ended, and is not to be made again.
    left: AtomicBool,
}

impl Presence {
    /// Makes the connection.
    pub(super) fn open(wire: &Arc<Wire>, address: &Address, oid: i32) -> Result<Presence> {
        let shared = Arc::new(Shared {
            wire: Arc::clone(wire),
            address: address.clone(),
            oid,
            process: AtomicU64::new(0),
            client: Mutex::default(),
            socket: Mutex::default(),
            making: AtomicBool::new(false),
            on_ring: Mutex::default(),
            waiting: AtomicBool::new(false),
            watching: AtomicBool::new(false),
            left: AtomicBool::new(false),
        });
        shared.wire.run(Arc::clone(&shared).begin()).ok_or(Error::Closed)??;
        Ok(Presence(shared))
    }

    /// From now on it is this process. `false`: somebody else is that already, who has not written so yet. He is not waited for: whoever
    /// asks has the turn, for which that one waits.
    pub(super) fn claim(&self, process: u64) -> Result<bool> {
        let shared = Arc::clone(&self.0);
        let before = shared.process.swap(process, Ordering::SeqCst);
        let claim = async move {
            let client = shared.standing()?;
            let (oid, schema) = (shared.oid, shared.address.prefix());
            if before > 0 {
                let give_up = format!(
                    "SELECT pg_advisory_unlock({oid}, {before}); DELETE FROM {schema}listener WHERE process = {before}"
                );
                client.batch_execute(&give_up).await.map_err(|error| database(&error))?;
            }
            let take = format!("SELECT 1 WHERE pg_try_advisory_lock({oid}, {process})");
            let taken = client.query(&take, &[]).await.map_err(|error| database(&error))?;
            if taken.is_empty() {
                shared.process.store(0, Ordering::SeqCst);
            }
            Ok(!taken.is_empty())
        };
        self.0.wire.run(claim).ok_or(Error::Closed)?
    }

    /// Whether somebody in this process watches for changes.
    pub(super) fn watches(&self) -> bool {
        self.0.watching.load(Ordering::SeqCst)
    }

    /// What can be lent of it, for as long as it is there.
    pub(super) fn lender(&self) -> Weak<dyn storage::Presence> {
        let lender: Weak<Shared> = Arc::downgrade(&self.0);
        lender
    }

    /// Its bell.
    pub(super) fn bell(&self) -> Box<dyn Bell> {
        Box::new(PostgresBell(Arc::clone(&self.0)))
    }
}

impl Drop for Presence {
    /// Others may see at once that it has gone.
    fn drop(&mut self) {
        self.0.left.store(true, Ordering::SeqCst);
        *self.0.on_ring.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.socket().take();
        let Some(client) = self.0.client().take() else { return };
        let (schema, process) = (self.0.address.prefix(), self.0.process.load(Ordering::SeqCst));
        let goodbye = async move {
            let sql = format!(
                "SELECT pg_advisory_unlock_all(); DELETE FROM {schema}listener WHERE process = {process}"
            );
            let _ = tokio::time::timeout(GOODBYE, client.batch_execute(&sql)).await;
        };
        self.0.wire.run(goodbye);
    }
}

impl Shared {
    fn client(&self) -> MutexGuard<'_, Option<Arc<Client>>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn socket(&self) -> MutexGuard<'_, Option<OwnedFd>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, if it stands. It is being made again if it does not.
    fn standing(&self) -> Result<Arc<Client>> {
        let client = self.client().clone().filter(|client| !client.is_closed());
        client
            .ok_or_else(|| not_there("the connection that shows that this process lives is being made again"))
    }

    /// Connects, is the process if it is one already, and listens.
    async fn begin(self: Arc<Shared>) -> Result<()> {
        // One that is half made has the process's lock, perhaps.
        drop(self.client().take());
        let (hears, sees) = (Arc::downgrade(&self), Arc::downgrade(&self));
        let on_notice = Box::new(move |notice| match notice {
            Notice::Rung(by) => {
                if let Some(shared) = hears.upgrade().filter(|shared| shared.process_text() != by) {
                    shared.ring();
                }
            }
            Notice::Ended => keep_up(sees.clone()),
        });
        let (client, socket) = socket::open(&self.address, on_notice).await?;
        let (oid, process) = (self.oid, self.process.load(Ordering::SeqCst));
        let mut sql = format!("{PATIENCE}; LISTEN millpond_{}", oid.cast_unsigned());
        if process > 0 {
            // Whoever has it is this process too, in a session that the server has not seen the end of yet.
            sql += &format!("; SELECT pg_advisory_lock({oid}, {process})");
        }
        client.batch_execute(&sql).await.map_err(|error| database(&error))?;
        *self.client() = Some(Arc::new(client));
        *self.socket() = socket;
        if self.waiting.load(Ordering::SeqCst) || self.watching.load(Ordering::SeqCst) {
            Arc::clone(&self).tell().await?;
        }
        Ok(())
    }

    fn process_text(&self) -> String {
        self.process.load(Ordering::SeqCst).to_string()
    }

    fn ring(&self) {
        let on_ring = self.on_ring.lock().unwrap_or_else(PoisonError::into_inner);
        on_ring.iter().for_each(|on_ring| on_ring());
    }

    /// Has the others told that somebody waits or watches here. That nobody does any more need not have been heard by anybody.
    fn say(&self, somebody: bool, tell: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
        if somebody {
            return self.wire.run(tell).ok_or(Error::Closed)?;
        }
        self.wire.send(async { drop(tell.await) });
        Ok(())
    }

    /// Says whether somebody waits or watches here.
    async fn tell(self: Arc<Shared>) -> Result<()> {
        let client = self.standing()?;
        let (process, schema) = (self.process.load(Ordering::SeqCst), self.address.prefix());
        let (waiting, watching) = (self.waiting.load(Ordering::SeqCst), self.watching.load(Ordering::SeqCst));
        // Whoever misses it looks all the same, from time to time; so it need not be on disk.
        let sql = format!(
            "BEGIN; SET LOCAL synchronous_commit = off;
            INSERT INTO {schema}listener VALUES ({process}, {waiting}, {watching})
            ON CONFLICT (process) DO UPDATE SET waiting = excluded.waiting, watching = excluded.watching; COMMIT"
        );
        client.batch_execute(&sql).await.map_err(|error| database(&error))
    }
}

/// The connection has ended: makes it again, for as long as there is somebody who wants it. As long as it is away the others take this
/// process for dead.
fn keep_up(shared: Weak<Shared>) {
    let wanted =
        |shared: &Weak<Shared>| shared.upgrade().filter(|shared| !shared.left.load(Ordering::SeqCst));
    let Some(now) = wanted(&shared) else { return };
    // Whoever waits looks for himself, and others may have been told that this process is dead.
    now.ring();
    if now.making.swap(true, Ordering::SeqCst) {
        return;
    }
    let wire = Arc::clone(&now.wire);
    drop(now);
    wire.send(async move {
        let mut pause = Duration::ZERO;
        while let Some(again) = wanted(&shared) {
            match Arc::clone(&again).begin().await {
                // Its end was nobody's concern as long as it was being made.
                Ok(()) if again.standing().is_ok() => return again.making.store(false, Ordering::SeqCst),
                Ok(()) => {}
                Err(error) => tracing::debug!(target: target::WATCH, %error, "the others cannot be told that this process lives"),
            }
            pause = longer(pause);
            tokio::time::sleep(pause).await;
        }
    });
}

impl storage::Presence for Shared {
    fn lend(&self) -> Result<OwnedFd> {
        let socket = self.socket();
        let reason = "it has a connection that cannot be inherited";
        let none =
            || Error::Unsupported { what: "lending this store's presence".into(), reason: reason.into() };
        let lent = rustix::io::dup(socket.as_ref().ok_or_else(none)?);
        lent.map_err(|error| Error::Storage { detail: format!("duplicating a socket: {error}") })
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").field("process", &self.process).finish_non_exhaustive()
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").field("process", &self.0.process).finish_non_exhaustive()
    }
}

struct PostgresBell(Arc<Shared>);

impl Bell for PostgresBell {
    fn listen(&self, on_ring: Box<dyn Fn() + Send + Sync>) -> Result<()> {
        *self.0.on_ring.lock().unwrap_or_else(PoisonError::into_inner) = Some(on_ring);
        Ok(())
    }

    /// Whoever waits looks after that, so it should have been said: but he is not kept from looking for long.
    fn waiting(&self, somebody: bool) -> Result<()> {
        self.0.waiting.store(somebody, Ordering::SeqCst);
        let shared = Arc::clone(&self.0);
        let tell = async { tokio::time::timeout(MOMENT, shared.tell()).await.unwrap_or(Ok(())) };
        self.0.say(somebody, tell)
    }

    fn watching(&self, somebody: bool) -> Result<()> {
        self.0.watching.store(somebody, Ordering::SeqCst);
        self.0.say(somebody, Arc::clone(&self.0).tell())
    }
}
