//! The processes that share a store: registration, beats, and who is dead.

use std::collections::{BTreeSet, HashMap};

use millpond_actors::error::{Error, Occupant, ProcessName, Result};
use millpond_actors::storage::{Identity, Moment, Process, Pulse, Standing, Turn};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::backlog::claimed_by;
use super::error::database;
use super::lease;
use super::migrate::SCHEMA;
use super::session::{Counters, SqliteSession};
use super::sync::{SLOTS, Sidecar, SidecarId};

/// A process whose slot is locked in a sidecar that we cannot see is buried when it was silent for a day. If it
/// lives after all, it registers anew; what it held is void by then or had a time to live beyond all reason.
const SILENCE_MS: u64 = 86_400_000;

/// How often, at most, a session looks whether its sidecar is still in its place.
const SIDECAR_CHECK_MS: u64 = 50;

/// What a session knows about itself.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) id: u64,
    pub(super) slot: u32,
    /// The least time to live that this session asked for, while it may hold or wait for something.
    least_ttl: Option<u64>,
    /// This transaction found that it neither holds nor waits for anything.
    idle: bool,
    sidecar_checked: u64,
    /// When our row was last written, as far as it is on disk.
    beat_at: u64,
}

impl Own {
    /// Before registration: a slot that no row has.
    pub(super) fn nobody() -> Own {
        Own { id: 0, slot: SLOTS, least_ttl: None, idle: false, sidecar_checked: 0, beat_at: 0 }
    }

    /// The sidecar was found in its place.
    pub(super) fn looked_at_sidecar(&mut self, now: Moment) {
        self.sidecar_checked = now.boot_ms;
    }

    /// A ticket was taken with this time to live.
    pub(super) fn asked(&mut self, ttl_ms: u64) {
        self.idle = false;
        self.least_ttl = Some(self.least_ttl.map_or(ttl_ms, |least| least.min(ttl_ms)));
    }

    /// Whether this process may hold or wait for something.
    pub(super) fn may_hold(&self) -> bool {
        self.least_ttl.is_some()
    }

    pub(super) fn beat_at(&self) -> u64 {
        self.beat_at
    }

    /// The transaction is on disk: what it found out counts. `beat` says when it happened, if it wrote our row.
    pub(super) fn committed(&mut self, beat: Option<u64>) {
        self.beat_at = beat.unwrap_or(self.beat_at);
        if std::mem::take(&mut self.idle) {
            self.least_ttl = None;
        }
    }

    /// The transaction was undone, and with it what it found out.
    pub(super) fn undone(&mut self) {
        self.idle = false;
    }
}

/// Another process's row, as far as its life depends on it.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: u64,
    slot: u32,
    boot: String,
    sidecar: Vec<u8>,
    pub(super) last_beat: u64,
}

impl Peer {
    /// From a row that begins with id, slot, boot, sidecar and last_beat.
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Peer> {
        Ok(Peer {
            id: row.get(0)?,
            slot: row.get(1)?,
            boot: row.get(2)?,
            sidecar: row.get(3)?,
            last_beat: row.get(4)?,
        })
    }

    /// Whether it is certainly dead. A process of another sidecar may live; nobody can tell.
    pub(super) fn is_known_dead(&self, boot: Option<&str>, sidecar: Option<&Sidecar>) -> Result<bool> {
        if boot.is_some_and(|boot| boot != self.boot) {
            return Ok(true);
        }
        match sidecar {
            Some(sidecar) if self.is_of(&sidecar.id) => Ok(!sidecar.slot_is_taken(self.slot)?),
            _ => Ok(false),
        }
    }

    /// Whether it lives only through the programs to which it has lent its presence: it runs no more, and writes nothing.
    pub(super) fn only_lent(&self, sidecar: Option<&Sidecar>) -> Result<bool> {
        match sidecar {
            Some(sidecar) if self.is_of(&sidecar.id) => {
                Ok(sidecar.slot_is_taken(self.slot)? && !sidecar.runs(self.slot)?)
            }
            _ => Ok(false),
        }
    }

    fn is_of(&self, sidecar: &SidecarId) -> bool {
        self.sidecar == sidecar
    }
}

const PEER: &str = "SELECT id, slot, boot, sidecar, last_beat FROM process WHERE id = ?1";

/// The row of a process, if it has one.
pub(super) fn find(connection: &Connection, id: u64) -> Result<Option<Peer>> {
    let mut statement = connection.prepare_cached(PEER).map_err(database)?;
    statement.query_row([id], Peer::from_row).optional().map_err(database)
}

impl SqliteSession {
    /// At the start of a transaction: registers if nobody knows us, and frees what expired while we were silent.
    /// `row` is our last beat and sidecar, if our row is there.
    pub(super) fn settle_in(&mut self, row: Option<(u64, Vec<u8>)>) -> Result<Standing> {
        let slot_is_ours = self.keep_sidecar()?;
        let Some((last_beat, sidecar)) = row.filter(|_| slot_is_ours) else {
            self.bury(self.own.id)?;
            self.register()?;
            return Ok(Standing::Lapsed);
        };
        if sidecar != self.sidecar.id {
            self.written.other = true;
            self.tell_sidecar()?;
        }
        let silent = self.now.boot_ms.saturating_sub(last_beat);
        if self.own.least_ttl.is_none_or(|least| silent < least) {
            return Ok(Standing::Good);
        }
        self.expire_own(last_beat)?;
        self.own.idle = !self.holds_or_waits()?;
        Ok(Standing::Lapsed)
    }

    /// Looks now and then whether the sidecar is still in its place; `false` if our slot in it was lost.
    fn keep_sidecar(&mut self) -> Result<bool> {
        let due = self.own.sidecar_checked.saturating_add(SIDECAR_CHECK_MS);
        if self.now.boot_ms < due {
            return Ok(true);
        }
        self.own.sidecar_checked = self.now.boot_ms;
        if self.sidecar.is_current() { Ok(true) } else { self.renew_sidecar() }
    }

    const TELL_SIDECAR: &str = "UPDATE process SET sidecar = ?2 WHERE id = ?1";

    fn tell_sidecar(&self) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::TELL_SIDECAR).map_err(database)?;
        statement.execute(params![self.own.id, &self.sidecar.id[..]]).map_err(database)?;
        Ok(())
    }

    const REGISTER: &str = "INSERT INTO process (slot, id, pid, host, program, boot, sidecar, schema, syncs,
        joined_wall_ms, last_beat, last_group, position, token, recorded_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0, 0, 0)";

    /// Buries the dead, takes the first free slot, and writes our row under a new id. What the dead held and
    /// others wait for is passed on.
    fn register(&mut self) -> Result<()> {
        let (dead, occupied) = self.sort_peers()?;
        for id in &dead {
            self.bury(*id)?;
        }
        let before = self.own.slot;
        let slot = self.claim_first_free(&occupied)?;
        if before != slot && before < SLOTS {
            self.presence.leave(before);
            self.sidecar.leave_run(before);
        }
        self.sidecar.claim_run(slot)?;
        self.counters.process = next(self.counters.process, "the process id")?;
        self.processes_changed = true;
        self.own.slot = slot;
        self.own.id = self.counters.process;
        let (identity, now) = (&self.identity, self.now);
        let mut statement = self.connection.prepare_cached(Self::REGISTER).map_err(database)?;
        statement
            .execute(params![
                slot,
                self.own.id,
                identity.pid,
                identity.host,
                identity.program,
                identity.boot,
                &self.sidecar.id[..],
                SCHEMA,
                self.options.syncs(),
                now.wall_ms,
                now.boot_ms,
                self.known_group,
            ])
            .map_err(database)?;
        drop(statement);
        dead.iter().try_for_each(|id| self.pass_on_of_the_buried(*id))
    }

    /// The first slot that no row has and whose byte we can lock.
    fn claim_first_free(&self, occupied: &BTreeSet<u32>) -> Result<u32> {
        for slot in (0..SLOTS).filter(|slot| !occupied.contains(slot)) {
            if self.presence.claim(slot)? {
                return Ok(slot);
            }
        }
        Err(Error::Overloaded { what: "the list of processes that share the store", limit: SLOTS.into() })
    }

    pub(super) const PEERS: &str = "SELECT id, slot, boot, sidecar, last_beat FROM process";

    /// The ids of the dead, and the slots of the others.
    fn sort_peers(&self) -> Result<(Vec<u64>, BTreeSet<u32>)> {
        let (mut dead, mut occupied) = (Vec::new(), BTreeSet::new());
        let mut statement = self.connection.prepare_cached(Self::PEERS).map_err(database)?;
        let mut rows = statement.query([]).map_err(database)?;
        while let Some(row) = rows.next().map_err(database)? {
            let peer = Peer::from_row(row).map_err(database)?;
            let forgotten =
                !peer.is_of(&self.sidecar.id) && self.now.boot_ms.saturating_sub(peer.last_beat) > SILENCE_MS;
            if forgotten || peer.is_known_dead(Some(&self.identity.boot), Some(&self.sidecar))? {
                dead.push(peer.id);
            } else {
                occupied.insert(peer.slot);
            }
        }
        Ok((dead, occupied))
    }

    const BURY: &str = "DELETE FROM process WHERE id = ?1";

    /// Removes a process's row; what it held is void from now on.
    pub(super) fn bury(&mut self, id: u64) -> Result<()> {
        self.processes_changed = true;
        let mut statement = self.connection.prepare_cached(Self::BURY).map_err(database)?;
        statement.execute([id]).map_err(database)?;
        Ok(())
    }

    /// Gives up what this process holds and waits for, and its row.
    pub(super) fn give_everything_up(&mut self) -> Result<()> {
        self.release_own()?;
        self.bury(self.own.id)
    }

    const BEAT: &str = "UPDATE process SET last_beat = ?3, last_group = ?4, position = ?5, token = ?6,
        recorded_at = ?7 WHERE slot = ?1 AND id = ?2";

    /// Says in our row that we live, which group this is, and where the counters stand.
    pub(super) fn beat(&self, group: u64) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::BEAT).map_err(database)?;
        let Counters { position, token, recorded_at, .. } = self.counters;
        let (slot, id, beat) = (self.own.slot, self.own.id, self.now.boot_ms);
        let values = params![slot, id, beat, group, position, token, recorded_at];
        match statement.execute(values).map_err(database)? {
            1 => Ok(()),
            _ => Err(Error::Storage { detail: "this process's row is missing".into() }),
        }
    }

    const LAST_GROUP: &str = "SELECT last_group FROM process WHERE slot = ?1 AND id = ?2";

    /// The group in our row.
    pub(super) fn read_last_group(&self) -> Result<u64> {
        let mut statement = self.connection.prepare_cached(Self::LAST_GROUP).map_err(database)?;
        statement.query_row(params![self.own.slot, self.own.id], |row| row.get(0)).map_err(database)
    }
}

/// The turn that another description has, with its process's name.
pub(super) fn turn_holder(connection: &Connection, sidecar: &Sidecar) -> Result<Option<Turn>> {
    let holder = sidecar.turn_holder()?;
    Ok(holder.map(|(slot, number)| Turn { occupant: occupant(connection, slot), number }))
}

const OCCUPANT: &str = "SELECT id, pid, host, program FROM process WHERE slot = ?1";

/// Who has a slot.
pub(super) fn occupant(connection: &Connection, slot: u32) -> Occupant {
    if slot == SLOTS {
        return Occupant::Newcomer;
    }
    let named = connection.prepare_cached(OCCUPANT).and_then(|mut statement| {
        statement.query_row([slot], |row| {
            let (id, pid, host, program) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            Ok(Occupant::Process(ProcessName { id, pid, host, program }))
        })
    });
    // Without a row it was buried while it was stopped, or its name cannot be read.
    named.unwrap_or(Occupant::Unknown)
}

/// The number after `last`; the file's numbers end at 2^63-1.
pub(super) fn next(last: u64, what: &'static str) -> Result<u64> {
    advance(last, 1, what)
}

/// The number `by` after `last`.
pub(super) fn advance(last: u64, by: usize, what: &'static str) -> Result<u64> {
    let after = last.checked_add(by as u64).filter(|after| i64::try_from(*after).is_ok());
    after.ok_or(Error::Exhausted { what })
}

const ALL_SYNC: &str = "SELECT NOT EXISTS (SELECT 1 FROM process WHERE NOT syncs)";

/// Whether what a connection sees is on disk. A commit that was synced is seen only then, and brings all before it to
/// disk. The row of a process that does not sync goes in a commit that does: its own last one, or that of whoever
/// buries it. So it is missing only where nothing of it is in doubt.
pub(super) fn all_sync(connection: &Connection) -> Result<bool> {
    let mut statement = connection.prepare_cached(ALL_SYNC).map_err(database)?;
    statement.query_row([], |row| row.get(0)).map_err(database)
}

const LIST: &str = "SELECT id, slot, boot, sidecar, last_beat, pid, host, program, joined_wall_ms
    FROM process ORDER BY id";

/// The processes registered, each with whether it is known to be dead, and what it holds.
pub(super) fn list(
    connection: &Connection,
    boot: Option<&str>,
    sidecar: Option<&Sidecar>,
    now: Moment,
) -> Result<Vec<Process>> {
    let mut statement = connection.prepare_cached(LIST).map_err(database)?;
    let mut rows = statement.query([]).map_err(database)?;
    let mut held: HashMap<u64, u64> = HashMap::new();
    lease::held(connection, now)?.iter().for_each(|(_, process)| *held.entry(*process).or_default() += 1);
    let (waiting, claimed) = (lease::waiting(connection)?, claimed_by(connection)?);
    let mut processes = Vec::new();
    while let Some(row) = rows.next().map_err(database)? {
        let peer = Peer::from_row(row).map_err(database)?;
        let alive = !peer.is_known_dead(boot, sidecar)?;
        // What the dead have is void.
        let of = |counts: &HashMap<u64, u64>| counts.get(&peer.id).copied().filter(|_| alive).unwrap_or(0);
        processes.push(Process {
            id: peer.id,
            joined_wall_ms: row.get(8).map_err(database)?,
            silent_ms: now.boot_ms.saturating_sub(peer.last_beat),
            alive,
            lent: alive && peer.only_lent(sidecar)?,
            holds: of(&held),
            waits: of(&waiting),
            jobs: of(&claimed),
            identity: identity(row, peer.boot).map_err(database)?,
        });
    }
    Ok(processes)
}

const PULSE: &str = "SELECT id, slot, boot, sidecar, last_beat, last_group,
    (SELECT process FROM store WHERE id = 1) FROM process ORDER BY id";

/// Who lives, how much the others have committed, and whether some of them have another sidecar than this one. It is what
/// whoever waits does all the time: one statement, and one question a process.
pub(super) fn pulse(
    connection: &Connection,
    boot: Option<&str>,
    sidecar: Option<&Sidecar>,
    own: u64,
) -> Result<(Pulse, bool)> {
    let mut statement = connection.prepare_cached(PULSE).map_err(database)?;
    let mut rows = statement.query([]).map_err(database)?;
    let (mut pulse, mut strangers) = (Pulse::default(), false);
    while let Some(row) = rows.next().map_err(database)? {
        let peer = Peer::from_row(row).map_err(database)?;
        pulse.joined = row.get(6).map_err(database)?;
        if peer.id == own {
            pulse.living.push(own);
            continue;
        }
        let groups: u64 = row.get(5).map_err(database)?;
        pulse.groups = pulse.groups.saturating_add(groups);
        strangers |= !sidecar.is_some_and(|sidecar| peer.is_of(&sidecar.id));
        if !peer.is_known_dead(boot, sidecar)? {
            pulse.living.push(peer.id);
        }
    }
    Ok((pulse, strangers))
}

fn identity(row: &Row<'_>, boot: String) -> rusqlite::Result<Identity> {
    Ok(Identity { pid: row.get(5)?, host: row.get(6)?, program: row.get(7)?, boot })
}
