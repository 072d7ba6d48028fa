//! Processes; and what is small: changes, and the keys of subjects.

use millpond_actors::engine::process::Row as Process;
use millpond_actors::name::Name;
use millpond_actors::storage::Identity;
use millpond_actors::storage::change::{Changed, Primitive};
use millpond_actors::storage::subject::{KEY_BYTES, KeyState, Secret};

use super::error::odd;
use super::param::{Param, Reading, signed};
use super::shape::{Plan, Shape};

pub(super) static PROCESSES: Shape<u64, Process> = Shape {
    select:
        "SELECT p.id, p.pid, p.host, p.program, p.boot, p.joined_wall_ms, p.last_beat, p.last_group, p.robbed
        FROM @process p WHERE true",
    keys: &["p.id"],
    table: |store| &mut store.processes,
    parts: |id| vec![Param::number(*id)],
    take: |store, row| {
        let mut row = Reading::of(row);
        let (id, pid) = (row.number()?, row.small()?);
        let identity = Identity { pid, host: row.next()?, program: row.next()?, boot: row.next()? };
        let (joined_wall_ms, beat, last_group, robbed) =
            (row.next()?, row.number()?, row.number()?, row.flag()?);
        store.processes.fetched(id, Process { identity, joined_wall_ms, beat, last_group, robbed });
        Ok(id)
    },
    most: usize::MAX,
};

pub(super) static PROCESS_PLAN: Plan<u64, Process> = Plan {
    name: "process",
    columns: &["id", "pid", "host", "program", "boot", "joined_wall_ms", "last_beat", "last_group", "robbed"],
    keys: 1,
    table: |store| &store.processes,
    parts: |id| vec![Param::number(*id)],
    write: |_, id, process, columns| {
        let Identity { pid, host, program, boot } = &process.identity;
        columns
            .number(*id)
            .int((*pid).into())
            .text(host)
            .text(program)
            .text(boot)
            .int(process.joined_wall_ms);
        columns.number(process.beat).number(process.last_group).flag(process.robbed);
    },
    appended: false,
};

pub(super) static CHANGES: Shape<u64, Changed> = Shape {
    select: "SELECT c.number, c.primitive, c.row, c.sequence, c.key FROM @change c WHERE true",
    keys: &["c.number"],
    table: |store| &mut store.changes,
    parts: |number| vec![Param::number(*number)],
    take: |store, row| {
        let mut row = Reading::of(row);
        let (number, kind) = (row.number()?, row.next::<i64>()?);
        let primitive = Primitive::ALL.into_iter().find(|primitive| *primitive as i64 == kind);
        let primitive = primitive.ok_or_else(|| odd("a change is of nothing that there is"))?;
        let (row_id, sequence, key) = (row.number()?, row.maybe()?, row.next::<Option<&str>>()?);
        store.changes.fetched(number, Changed { primitive, row: row_id, sequence, key: key.map(Into::into) });
        Ok(number)
    },
    most: usize::MAX,
};

pub(super) static CHANGE_PLAN: Plan<u64, Changed> = Plan {
    name: "change",
    columns: &["number", "primitive", "row", "sequence", "key"],
    keys: 1,
    table: |store| &store.changes,
    parts: |number| vec![Param::number(*number)],
    write: |_, number, changed, columns| {
        columns.number(*number).int(changed.primitive as i64).number(changed.row);
        columns.maybe(changed.sequence.map(signed)).maybe_text(changed.key.as_deref());
    },
    appended: false,
};

pub(super) static SUBJECTS: Shape<Name, KeyState> = Shape {
    select: "SELECT s.name, s.key FROM @subject s WHERE true",
    keys: &["s.name"],
    table: |store| &mut store.subjects,
    parts: |name| vec![Param::text(name.as_str())],
    take: |store, row| {
        let mut row = Reading::of(row);
        let (name, key) = (Name::unchecked(row.next()?), row.next::<Option<&[u8]>>()?);
        let state = match key.map(<[u8; KEY_BYTES]>::try_from) {
            None => KeyState::Shredded,
            Some(Ok(key)) => KeyState::Kept(Secret::new(key)),
            Some(Err(_)) => return Err(odd("the key of a subject has not the length of one")),
        };
        store.subjects.fetched(name.clone(), state);
        Ok(name)
    },
    most: usize::MAX,
};

pub(super) static SUBJECT_PLAN: Plan<Name, KeyState> = Plan {
    name: "subject",
    columns: &["name", "key"],
    keys: 1,
    table: |store| &store.subjects,
    parts: |name| vec![Param::text(name.as_str())],
    write: |_, name, state, columns| {
        let key = match state {
            KeyState::Kept(secret) => Some(secret.bytes().as_slice().into()),
            KeyState::Shredded => None,
        };
        columns.text(name.as_str()).maybe_bytes(key);
    },
    appended: false,
};
