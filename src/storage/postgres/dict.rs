//! Dicts, their entries, and their indexes.

use millpond_actors::engine::Store;
use millpond_actors::engine::dict::{Dict, Value};
use millpond_actors::engine::{dict, dict_index};
use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::checksum::{self, Kind};
use millpond_actors::storage::dict::{Life, Progress};
use millpond_actors::storage::filter::{self, Path};
use tokio_postgres::Row;

use super::error::odd;
use super::param::{Blob, Param, Reading, signed};
use super::shape::{Plan, Shape};
use super::stream::check;

const DICT: &str = "SELECT d.id, d.name, d.version, d.seal FROM @dict d WHERE true";

pub(super) static DICTS: Shape<u64, Dict> = Shape {
    select: DICT,
    keys: &["d.id"],
    table: |store| &mut store.dicts,
    parts: |id| vec![Param::number(*id)],
    take: |store, row| take_dict(store, row).map(|(id, _)| id),
    most: usize::MAX,
};

pub(super) static DICT_NAMES: Shape<Name, u64> = Shape {
    select: DICT,
    keys: &["d.name"],
    table: |store| &mut store.dict_names,
    parts: |name| vec![Param::text(name.as_str())],
    take: |store, row| take_dict(store, row).map(|(_, name)| name),
    most: usize::MAX,
};

pub(super) static DICT_PLAN: Plan<u64, Dict> = Plan {
    name: "dict",
    columns: &["id", "name", "version", "seal"],
    keys: 1,
    table: |store| &store.dicts,
    parts: |id| vec![Param::number(*id)],
    write: |_, id, dict, columns| {
        columns.number(*id).text(dict.name.as_str()).number(dict.version);
        columns.maybe_bytes(dict.seal.as_deref().map(Into::into));
    },
    appended: false,
};

fn take_dict(store: &mut Store, row: &Row) -> Result<(u64, Name)> {
    let mut row = Reading::of(row);
    let (id, name, version) = (row.number()?, Name::unchecked(row.next()?), row.number()?);
    let seal = row.next::<Option<Vec<u8>>>()?.map(Vec::into_boxed_slice);
    store.dicts.fetched(id, Dict { name: name.clone(), version, seal });
    store.dict_names.fetched(name.clone(), id);
    Ok((id, name))
}

/// The columns of an entry, in the order in which they are read.
macro_rules! entries {
    ($where:literal) => {
        concat!(
            "SELECT e.dict, e.key, e.version, e.ends_at, e.ends_boot, e.boot, e.schema, e.format, e.crc, e.data, e.bytes
            FROM @dict_entry e WHERE ",
            $where
        )
    };
}

pub(super) static VALUES: Shape<dict::Key, Value> = Shape {
    select: entries!("true"),
    keys: &["e.dict", "e.key"],
    table: |store| &mut store.values,
    parts: |(dict, key)| vec![Param::number(*dict), Param::text(key)],
    take: |store, row| take_entry(store, row).map(|(_, key)| key),
    most: 1_024,
};

pub(super) static ENDS: Shape<(i64, dict::Key), ()> = Shape {
    select: entries!("e.ends_at IS NOT NULL"),
    keys: &["e.ends_at", "e.dict", "e.key"],
    table: |store| &mut store.ends,
    parts: |(wall_ms, (dict, key))| vec![Param::Int(*wall_ms), Param::number(*dict), Param::text(key)],
    take: |store, row| take_entry(store, row).map(|(ends, key)| (ends.unwrap_or_default(), key)),
    most: 1_024,
};

pub(super) static VALUE_PLAN: Plan<dict::Key, Value> = Plan {
    name: "dict_entry",
    columns: &[
        "dict",
        "key",
        "version",
        "ends_at",
        "ends_boot",
        "boot",
        "schema",
        "format",
        "crc",
        "data",
        "bytes",
    ],
    keys: 2,
    table: |store| &store.values,
    parts: |(dict, key)| vec![Param::number(*dict), Param::text(key)],
    write: |_, (dict, key), value, columns| {
        columns.number(*dict).text(key).number(value.version);
        columns.maybe(value.life.map(|life| life.wall_ms)).maybe(value.life.map(|life| signed(life.boot_ms)));
        columns.maybe(value.life.map(|life| life.boot.cast_signed()));
        columns.int(value.schema.into()).int(value.data.format().into());
        columns.int(checksum_of(*dict, key, value).into()).data(&value.data);
    },
    appended: false,
};

fn checksum_of(dict: u64, key: &str, value: &Value) -> u32 {
    let Value { version, data, schema, .. } = value;
    checksum::record(Kind::Entry, &dict.to_string(), *version, key, data.format(), *schema, data.bytes())
}

fn take_entry(store: &mut Store, row: &Row) -> Result<(Option<i64>, dict::Key)> {
    let mut row = Reading::of(row);
    let (id, key): (u64, &str) = (row.number()?, row.next()?);
    let (version, wall_ms) = (row.number()?, row.next::<Option<i64>>()?);
    let (boot_ms, boot) = (row.maybe()?.unwrap_or_default(), row.next::<Option<i64>>()?);
    let (schema, format, crc) = (row.small()?, row.small()?, row.small()?);
    let boot = boot.unwrap_or_default().cast_unsigned();
    let life = wall_ms.map(|wall_ms| Life { wall_ms, boot_ms, boot });
    let value = Value { version, data: row.data(format)?, schema, life };
    check("dict", id, version, checksum_of(id, key, &value), crc)?;
    let key: dict::Key = (id, key.into());
    if let Some(wall_ms) = wall_ms {
        store.ends.fetched((wall_ms, key.clone()), ());
    }
    store.values.fetched(key.clone(), value);
    Ok((wall_ms, key))
}

/// A dict has few indexes: whoever looks for one gets all.
pub(super) static INDEXES: Shape<dict_index::Key, Progress> = Shape {
    select: "SELECT i.dict, i.path, i.state, i.reached FROM @dict_index i WHERE true",
    keys: &["i.dict"],
    table: |store| &mut store.indexes,
    parts: |(dict, _)| vec![Param::number(*dict)],
    take: |store, row| {
        let mut row = Reading::of(row);
        let key = (row.number()?, path(row.next()?)?);
        let (state, reached): (u32, Option<&str>) = (row.small()?, row.next()?);
        let progress = match state {
            1 => Progress::Building(reached.map(Into::into)),
            2 => Progress::Complete,
            _ => Progress::Leaving,
        };
        store.indexes.fetched(key.clone(), progress);
        Ok(key)
    },
    most: usize::MAX,
};

pub(super) static INDEX_PLAN: Plan<dict_index::Key, Progress> = Plan {
    name: "dict_index",
    columns: &["dict", "path", "state", "reached"],
    keys: 2,
    table: |store| &store.indexes,
    parts: |(dict, path)| vec![Param::number(*dict), Param::text(&path.to_string())],
    write: |_, (dict, path), progress, columns| {
        let (state, reached) = match progress {
            Progress::Building(reached) => (1, reached.as_deref()),
            Progress::Complete => (2, None),
            Progress::Leaving => (3, None),
        };
        columns.number(*dict).owned_text(path.to_string()).int(state).maybe_text(reached);
    },
    appended: false,
};

fn path(text: &str) -> Result<Path> {
    Path::parse(text).map_err(|error| odd(&error.to_string()))
}

pub(super) static INDEXED: Shape<dict_index::Row, ()> = Shape {
    select: "SELECT x.dict, x.path, x.value, x.key FROM @dict_indexed x WHERE true",
    keys: &["x.dict", "x.path", "x.value", "x.key"],
    table: |store| &mut store.indexed,
    parts: parts_of,
    take: |store, row| {
        let mut row = Reading::of(row);
        let (dict, path) = (row.number()?, path(row.next()?)?);
        let key: dict_index::Row = (dict, path, filter::Key::kept(row.next()?), row.next::<&str>()?.into());
        store.indexed.fetched(key.clone(), ());
        Ok(key)
    },
    most: usize::MAX,
};

pub(super) static INDEXED_PLAN: Plan<dict_index::Row, ()> = Plan {
    name: "dict_indexed",
    columns: &["dict", "path", "value", "key"],
    keys: 4,
    table: |store| &store.indexed,
    parts: parts_of,
    write: |_, (dict, path, value, key), (), columns| {
        columns.number(*dict).owned_text(path.to_string()).bytes(value.bytes()).text(key);
    },
    appended: false,
};

fn parts_of((dict, path, value, key): &dict_index::Row) -> Vec<Param<'static>> {
    let value = Param::Bytes(Blob(value.bytes().to_vec().into()));
    vec![Param::number(*dict), Param::text(&path.to_string()), value, Param::text(key)]
}
