//! Locks, their lines, and who uses them.

use millpond_actors::engine::Store;
use millpond_actors::engine::lock::{Held, Lock, Ticket};
use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::lock::Grant;
use tokio_postgres::Row;

use super::error::odd;
use super::param::{Param, Reading};
use super::shape::{Plan, Shape};

const LOCK: &str = "SELECT l.id, l.name, l.capacity, l.waiting, l.holders FROM @lock l WHERE true";

pub(super) static LOCKS: Shape<u64, Lock> = Shape {
    select: LOCK,
    keys: &["l.id"],
    table: |store| &mut store.locks,
    parts: |id| vec![Param::number(*id)],
    take: |store, row| take_lock(store, row).map(|(id, _)| id),
    most: usize::MAX,
};

pub(super) static LOCK_NAMES: Shape<Name, u64> = Shape {
    select: LOCK,
    keys: &["l.name"],
    table: |store| &mut store.lock_names,
    parts: |name| vec![Param::text(name.as_str())],
    take: |store, row| take_lock(store, row).map(|(_, name)| name),
    most: usize::MAX,
};

pub(super) static LOCK_PLAN: Plan<u64, Lock> = Plan {
    name: "lock",
    columns: &["id", "name", "capacity", "waiting", "holders"],
    keys: 1,
    table: |store| &store.locks,
    parts: |id| vec![Param::number(*id)],
    write: |_, id, lock, columns| {
        columns.number(*id).text(lock.name.as_str()).int(lock.capacity.into()).number(lock.waiting);
        columns.owned_text(shown(&lock.holders));
    },
    appended: false,
};

/// Those who hold a lock, as a text: six numbers each.
fn shown(holders: &[Held]) -> String {
    let each = holders.iter().map(|Held { grant, weight, granted, ttl_ms }| {
        let Grant { ticket, token, process, .. } = grant;
        format!("{ticket} {token} {process} {weight} {granted} {ttl_ms}")
    });
    each.collect::<Vec<_>>().join(", ")
}

fn holders(lock: u64, text: &str) -> Result<Vec<Held>> {
    let held = |text: &str| {
        let mut numbers = text.split_ascii_whitespace().map(|number| number.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        let (ticket, token, process) = (next()?, next()?, next()?);
        let (weight, granted, ttl_ms) = (u32::try_from(next()?).ok()?, next()?, next()?);
        Some(Held { grant: Grant { lock, ticket, token, process }, weight, granted, ttl_ms })
    };
    let each = text.split(',').filter(|part| !part.is_empty());
    each.map(|part| held(part).ok_or_else(|| odd("the holders of a lock are not numbers"))).collect()
}

fn take_lock(store: &mut Store, row: &Row) -> Result<(u64, Name)> {
    let mut row = Reading::of(row);
    let (id, name) = (row.number()?, Name::unchecked(row.next()?));
    let (capacity, waiting) = (row.small()?, row.number()?);
    let lock = Lock { name: name.clone(), capacity, waiting, holders: holders(id, row.next()?)? };
    store.locks.fetched(id, lock);
    store.lock_names.fetched(name.clone(), id);
    Ok((id, name))
}

pub(super) static TICKETS: Shape<(u64, u64), Ticket> = Shape {
    select: "SELECT t.lock, t.ticket, t.process, t.ttl, t.weight FROM @ticket t WHERE true",
    keys: &["t.lock", "t.ticket"],
    table: |store| &mut store.tickets,
    parts: |(lock, ticket)| vec![Param::number(*lock), Param::number(*ticket)],
    take: |store, row| {
        let mut row = Reading::of(row);
        let key = (row.number()?, row.number()?);
        let ticket = Ticket { process: row.number()?, ttl_ms: row.number()?, weight: row.small()? };
        store.tickets.fetched(key, ticket);
        Ok(key)
    },
    most: usize::MAX,
};

pub(super) static TICKET_PLAN: Plan<(u64, u64), Ticket> = Plan {
    name: "ticket",
    columns: &["lock", "ticket", "process", "ttl", "weight"],
    keys: 2,
    table: |store| &store.tickets,
    parts: |(lock, ticket)| vec![Param::number(*lock), Param::number(*ticket)],
    write: |_, (lock, number), ticket, columns| {
        columns
            .number(*lock)
            .number(*number)
            .number(ticket.process)
            .number(ticket.ttl_ms)
            .int(ticket.weight.into());
    },
    appended: false,
};

pub(super) static USES: Shape<(u64, u64, u64), ()> = Shape {
    select: "SELECT u.process, u.lock, u.ticket FROM @lock_use u WHERE true",
    keys: &["u.process", "u.lock", "u.ticket"],
    table: |store| &mut store.uses,
    parts: |(process, lock, ticket)| {
        vec![Param::number(*process), Param::number(*lock), Param::number(*ticket)]
    },
    take: |store, row| {
        let mut row = Reading::of(row);
        let key = (row.number()?, row.number()?, row.number()?);
        store.uses.fetched(key, ());
        Ok(key)
    },
    most: usize::MAX,
};

pub(super) static USE_PLAN: Plan<(u64, u64, u64), ()> = Plan {
    name: "lock_use",
    columns: &["process", "lock", "ticket"],
    keys: 3,
    table: |store| &store.uses,
    parts: |(process, lock, ticket)| {
        vec![Param::number(*process), Param::number(*lock), Param::number(*ticket)]
    },
    write: |_, (process, lock, ticket), (), columns| {
        columns.number(*process).number(*lock).number(*ticket);
    },
    appended: false,
};
