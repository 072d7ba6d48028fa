//! Where an event or a job comes from, as four columns: correlation, causation, actor, tenant. Mostly all are NULL.

use millpond_actors::storage::Origin;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Result, Row};
use uuid::Uuid;

/// The four columns.
pub(super) fn origin_columns(origin: Option<&Origin>) -> [ToSqlOutput<'_>; 4] {
    let Some(Origin { correlation, causation, actor, tenant }) = origin else {
        return [const { ToSqlOutput::Owned(Value::Null) }; 4];
    };
    let id = |id: &'_ Option<Uuid>| match id {
        Some(id) => ToSqlOutput::Owned(Value::Blob(id.as_bytes().to_vec())),
        None => ToSqlOutput::Owned(Value::Null),
    };
    [id(correlation), id(causation), text(actor.as_deref()), text(tenant.as_deref())]
}

fn text(text: Option<&str>) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(text.map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes())))
}

/// The origin out of four columns from this one on.
pub(super) fn origin_from(row: &Row<'_>, first: usize) -> Result<Option<Box<Origin>>> {
    let id = |index| row.get::<_, Option<[u8; 16]>>(index).map(|id| id.map(Uuid::from_bytes));
    let (correlation, causation) = (id(first)?, id(first + 1)?);
    Ok(Origin { correlation, causation, actor: row.get(first + 2)?, tenant: row.get(first + 3)? }.kept())
}
