//! Processes in tables: who registered, who lives, and what happens to what the dead leave behind.

use super::store::{Caller, Store};
use crate::storage::queue::{DIED, LEFT};
use crate::storage::{Identity, Moment, Process, Pulse, Standing};

/// A registered process.
#[derive(Clone, Debug)]
pub struct Row {
    /// Who it says it is.
    pub identity: Identity,
    /// When it came.
    pub joined_wall_ms: i64,
    /// The begin of the last group that it committed, by the boot clock.
    pub beat: u64,
    /// That group.
    pub last_group: u64,
    /// Whether another process found a lease of it void and cleared it away. It is told when it begins again.
    pub robbed: bool,
}

impl Row {
    fn new(identity: &Identity, now: Moment) -> Row {
        Row {
            identity: identity.clone(),
            joined_wall_ms: now.wall_ms,
            beat: now.boot_ms,
            last_group: 0,
            robbed: false,
        }
    }
}

/// The processes as one side of the store shows them: enough to judge who lives.
#[derive(Clone, Copy, Debug)]
pub struct Census<'a> {
    store: &'a Store,
    boot: &'a str,
}

impl<'a> Census<'a> {
    /// The row of a process that lives: registered, not known to be dead, and of this boot.
    pub fn living(&self, process: u64) -> Option<&'a Row> {
        let row = self.store.processes.get(&process);
        row.filter(|row| self.store.living.has(process) && row.identity.boot == self.boot)
    }

    /// Who a process said it is, if it is still registered.
    pub fn identity(&self, process: u64) -> Option<Identity> {
        self.store.processes.get(&process).map(|row| row.identity.clone())
    }
}

impl Store {
    /// The processes as the transaction sees them.
    pub fn census<'a>(&'a self, me: &'a Caller) -> Census<'a> {
        Census { store: self, boot: &me.boot }
    }

    /// The processes as readers see them.
    pub fn reader_census(&self) -> Census<'_> {
        Census { store: self, boot: &self.boot }
    }

    /// Writes the row of a process that joins, past whatever transaction is open.
    pub fn register_at_once(&mut self, process: u64, identity: &Identity, now: Moment) {
        self.processes.put_at_once(process, Row::new(identity, now));
    }

    /// Registers a process within the transaction.
    pub fn register(&mut self, process: u64, identity: &Identity, now: Moment, last_group: u64) {
        self.processes.put(process, Row { last_group, ..Row::new(identity, now) });
    }

    /// How a registered process stands that begins a group, after its own affairs have been put in order.
    pub fn stand(&mut self, me: &Caller, least_ttl_ms: u64) -> Standing {
        let Some(Row { beat, robbed, .. }) = self.processes.get(&me.process).cloned() else {
            return Standing::Lapsed;
        };
        if robbed {
            self.mark_robbed(me.process, false);
        }
        let silent = me.now.boot_ms.saturating_sub(beat) >= least_ttl_ms;
        // Both, whatever the first one says.
        let expired = silent && self.free_expired(me) | self.give_up_expired(me);
        if expired || robbed { Standing::Lapsed } else { Standing::Good }
    }

    /// Buries whoever is dead.
    pub fn bury_the_dead(&mut self, me: &Caller) {
        let census = self.census(me);
        let dead: Vec<u64> =
            self.processes.iter().map(|(id, _)| *id).filter(|id| census.living(*id).is_none()).collect();
        for process in dead {
            self.bury(me, process);
        }
    }

    /// Removes a process's row, so that whatever it held is void, and passes on what others wait for.
    pub fn bury(&mut self, me: &Caller, process: u64) {
        self.processes.remove(&process);
        self.give_up_of(me, process, DIED);
        for lock in self.locks_used_by(process) {
            if self.is_waited_for(lock) {
                self.settle(me, lock);
            }
        }
    }

    /// Removes a process's row and everything that it held and waited for: it leaves in order.
    pub fn leave(&mut self, me: &Caller) {
        self.processes.remove(&me.process);
        let moved = self.locks_used_by(me.process);
        self.drop_tickets_of(me.process);
        self.give_up_of(me, me.process, LEFT);
        for lock in moved {
            self.settle(me, lock);
        }
    }

    /// Writes the caller's beat and group.
    pub fn beat(&mut self, me: &Caller, group: u64) {
        if let Some(row) = self.processes.get(&me.process) {
            let row = Row { beat: me.now.boot_ms, last_group: group, ..row.clone() };
            self.processes.put(me.process, row);
        }
    }

    /// Sets or clears the mark that a lease was cleared away by another.
    pub fn mark_robbed(&mut self, process: u64, robbed: bool) {
        if let Some(row) = self.processes.get(&process) {
            let row = Row { robbed, ..row.clone() };
            self.processes.put(process, row);
        }
    }

    /// The registered processes, for a reader.
    pub fn process_list(&self, now: Moment) -> Vec<Process> {
        let census = self.reader_census();
        let shown = |(id, row): (&u64, &Row)| Process {
            id: *id,
            identity: row.identity.clone(),
            joined_wall_ms: row.joined_wall_ms,
            silent_ms: now.boot_ms.saturating_sub(row.beat),
            alive: census.living(*id).is_some(),
            lent: false,
            holds: self.leases_of(*id, now),
            waits: census.living(*id).map_or(0, |_| self.tickets_of(*id)),
            jobs: census.living(*id).map_or(0, |_| self.claims_of(*id)),
        };
        self.processes.iter().map(shown).collect()
    }

    /// What changes whenever somebody writes, comes or goes.
    pub fn pulse(&self, own: u64) -> Pulse {
        let others = self.processes.iter().filter(|(id, _)| **id != own);
        let groups = others.map(|(_, row)| row.last_group).sum();
        Pulse { groups, living: self.living.all().into_iter().collect(), joined: self.last_process }
    }
}
