//! The schema on the server, made and brought up to date step by step.

use millpond_actors::error::{Error, Result};
use uuid::Uuid;

use super::connection::Connection;
use super::param::{Param, Reading};

/// The steps, the first of which makes everything. A step that was published is never changed.
const STEPS: [&str; 1] = [include_str!("migrations/0001_initial.sql")];

/// The version that this program knows.
pub(super) const SCHEMA: u32 = STEPS.len() as u32;

/// How many counters there are.
const COUNTERS: usize = millpond_actors::engine::counter::Counter::ALL.len();

/// What a store on a server is known by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The number of the schema, by which its advisory locks are told from those of others.
    pub(super) oid: i32,
    pub(super) uuid: Uuid,
}

/// Makes what is not there yet, if that is wanted, and brings up to date what is older. Several may do so at once.
pub(super) fn migrate(connection: &Connection, schema: &str, may_write: bool) -> Result<Place> {
    check_server(connection)?;
    if let Some(place) = look(connection, schema).map_err(|error| unseen(schema, error))? {
        return Ok(place);
    }
    if !may_write {
        let reason = format!("there is no store in its schema \"{schema}\"");
        return Err(Error::InvalidPath { path: "postgres://...".into(), reason });
    }
    // Whoever comes second waits here, and finds everything made.
    let lock = format!("BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('millpond {schema}', 0))");
    connection.script(&lock)?;
    let made = look(connection, schema).and_then(|found| match found {
        Some(place) => Ok(place),
        None => make(connection, schema),
    });
    connection.script(if made.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    made.map_err(|error| match error {
        Error::ReadOnly { detail } => {
            let reason =
                format!("there is no store in its schema \"{schema}\", and none can be made: {detail}");
            Error::InvalidPath { path: "postgres://...".into(), reason }
        }
        other => other,
    })
}

/// Whoever may not even look is told that, and not that he may not write.
fn unseen(schema: &str, error: Error) -> Error {
    match error {
        Error::ReadOnly { detail } => {
            let reason = format!("its schema \"{schema}\" cannot be read: {detail}");
            Error::InvalidPath { path: "postgres://...".into(), reason }
        }
        other => other,
    }
}

fn make(connection: &Connection, schema: &str) -> Result<Place> {
    let exists =
        connection.ask("SELECT 1 FROM pg_namespace WHERE nspname = $1", vec![Param::text(schema)])?;
    if exists.is_empty() {
        connection.script(&format!("CREATE SCHEMA \"{schema}\""))?;
    }
    for step in STEPS {
        connection.script(step)?;
    }
    let first = format!(
        "INSERT INTO @store (id, schema, uuid, created, generation, process, counters)
        VALUES (1, {SCHEMA}, gen_random_uuid(), (extract(epoch FROM clock_timestamp()) * 1000)::bigint, 0, 0,
            array_fill(0::bigint, ARRAY[{COUNTERS}]))"
    );
    connection.script(&first)?;
    look(connection, schema)?
        .ok_or_else(|| Error::Storage { detail: "the schema that was made is not there".into() })
}

/// The store in a schema, if there is one.
fn look(connection: &Connection, schema: &str) -> Result<Option<Place>> {
    let found = connection.ask(
        "SELECT n.oid::bigint, to_regclass(format('%I.store', n.nspname)) IS NOT NULL,
            EXISTS (SELECT 1 FROM pg_class c WHERE c.relnamespace = n.oid)
            FROM pg_namespace n WHERE n.nspname = $1",
        vec![Param::text(schema)],
    )?;
    let Some(row) = found.first() else { return Ok(None) };
    let mut row = Reading::of(row);
    let (oid, is_made, is_used): (i64, bool, bool) = (row.next()?, row.next()?, row.next()?);
    if !is_made {
        let reason = format!("its schema \"{schema}\" holds tables of something else");
        return if is_used {
            Err(Error::InvalidPath { path: "postgres://...".into(), reason })
        } else {
            Ok(None)
        };
    }
    let rows = connection.ask("SELECT schema, uuid FROM @store", Vec::new())?;
    let Some(row) = rows.first() else { return Ok(None) };
    let mut row = Reading::of(row);
    let (found, uuid) = (row.small()?, row.next()?);
    if found > SCHEMA {
        return Err(Error::SchemaTooNew {
            path: format!("postgres://...?schema={schema}"),
            found,
            supported: SCHEMA,
        });
    }
    // The oid of a schema is below 2^32; the locks take it as it is.
    #[allow(clippy::cast_possible_truncation, reason = "all of its 32 bits are kept")]
    let oid = oid as i32;
    Ok(Some(Place { oid, uuid }))
}

/// Texts are compared by their bytes, and are those of UTF-8.
fn check_server(connection: &Connection) -> Result<()> {
    let rows = connection.ask(
        "SELECT current_setting('server_encoding'), current_setting('server_version_num')::bigint",
        Vec::new(),
    )?;
    let Some(row) = rows.first() else { return Ok(()) };
    let mut row = Reading::of(row);
    let (encoding, version): (&str, i64) = (row.next()?, row.next()?);
    let refuse = |reason: String| Err(Error::Unsupported { what: "a store on this server".into(), reason });
    if encoding != "UTF8" {
        return refuse(format!("the database's encoding is {encoding}, and has to be UTF8"));
    }
    if version < 130_000 {
        return refuse(format!("PostgreSQL 13 or later is needed, this is {}", version / 10_000));
    }
    Ok(())
}
