//! Operations that are done as soon as they are foreseen: locks that nobody else wants, taken and freed.
//!
//! With very many locks a group has thousands of them, and to look each one's statement up in the connection's cache was 6 to 8 % of
//! the commit thread's time. So those that a group begins with are done with statements at hand. From the first on that is anything
//! else, or has to look who holds the lock, operations are done when they are applied.

use std::collections::VecDeque;

use millpond_actors::error::{Error, Result};
use millpond_actors::storage::lock::{Acquired, Grant, Left, Was};
use millpond_actors::storage::{Operation, Outcome};
use rusqlite::{CachedStatement, Connection};

use super::error::database;
use super::lock::{FREE_QUICKLY, TAKE_FREE, free_quickly, quickly, take_free};
use super::session::SqliteSession;

/// What has been done ahead and not been applied.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Each operation's ticket.
    done: VecDeque<u64>,
    /// The error of the operation behind those.
    failed: Option<Error>,
}

impl SqliteSession {
    /// Does of these operations, which come next, as many as are quickly done.
    pub(super) fn do_ahead(&mut self, operations: &[&Operation]) {
        self.ahead = Ahead::default();
        self.ahead.failed = self.do_quick(operations).err();
    }

    fn do_quick(&mut self, operations: &[&Operation]) -> Result<()> {
        let (mut take, mut free) = (None, None);
        for operation in operations {
            let ticket = match operation {
                Operation::LockAcquire(wanted) => {
                    let Some(lock) = quickly(wanted) else { break };
                    let take = at_hand(&mut take, &self.connection, TAKE_FREE)?;
                    let numbers = (&mut self.counters, &mut self.own, self.now);
                    take_free(take, numbers, lock, wanted.ttl_ms)?.map(|grant| grant.ticket)
                }
                Operation::LockLeave(leaving) => {
                    let free = at_hand(&mut free, &self.connection, FREE_QUICKLY)?;
                    free_quickly(free, self.own.id, leaving)?.then_some(leaving.ticket)
                }
                _ => break,
            };
            let Some(ticket) = ticket else { break };
            self.ahead.done.push_back(ticket);
        }
        Ok(())
    }

    /// What has become of the next operation, if it was done ahead.
    pub(super) fn done_ahead(&mut self, operation: &Operation) -> Option<Result<Outcome>> {
        let Some(ticket) = self.ahead.done.pop_front() else { return self.ahead.failed.take().map(Err) };
        match operation {
            Operation::LockAcquire(wanted) => {
                let (lock, process) = (quickly(wanted)?, self.own.id);
                let grant = Grant { lock, ticket, token: ticket, process };
                Some(Ok(Outcome::LockAcquire(Acquired::Granted(grant))))
            }
            _ => Some(Ok(Outcome::LockLeave(Left { was: Was::Holding, next: Vec::new() }))),
        }
    }
}

/// A statement, looked up when it is needed first.
fn at_hand<'h, 'c>(
    statement: &'h mut Option<CachedStatement<'c>>,
    connection: &'c Connection,
    sql: &str,
) -> Result<&'h mut CachedStatement<'c>> {
    match statement {
        Some(statement) => Ok(statement),
        none => Ok(none.insert(connection.prepare_cached(sql).map_err(database)?)),
    }
}
