//! A user's own SQL: what is looked at before a statement runs, and how long it may run.
//!
//! Each statement is prepared anew. One that was kept would be prepared again by SQLite itself whenever the schema has
//! changed, when nobody looks at it.

use std::collections::HashSet;
use std::ffi::c_int;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::storage::Session;
use millpond_actors::storage::sql::{Ran, Run, Statement, Value};
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode};

use super::error::database;
use super::migrate;
use super::session::SqliteSession;

/// After so many steps of its machine SQLite asks whether a statement goes on.
const ROUND: u32 = 100_000;

/// Names that later schemas are going to use.
const RESERVED: [&str; 1] = ["checkpoint"];

/// Beginnings of names: of those for later schemas, and of what SQLite shows its settings as. A table of such a name would stand
/// before that, where Millpond looks for it.
const PREFIXES: [&str; 2] = ["millpond_", "pragma_"];

/// What no statement of a user's may name, in lower case.
#[derive(Debug)]
struct Forbidden {
    /// Tables and indexes of Millpond's own.
    own: HashSet<String>,
    /// Tables that are none: they show the insides of the file.
    insides: HashSet<String>,
    /// Functions that reach beyond the database.
    functions: HashSet<String>,
}

/// Without what SQLite has made for itself.
const NAMES: &str = "SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite^_%' ESCAPE '^'";
const MODULES: &str = "SELECT name FROM pragma_module_list";
/// Those that SQLite itself keeps out of views and triggers (`SQLITE_DIRECTONLY`).
const FUNCTIONS: &str = "SELECT name FROM pragma_function_list WHERE flags & 0x80000";

/// All of it is read from a new store and from SQLite, so that nobody has to remember to add what comes later.
fn forbidden() -> Result<&'static Forbidden> {
    static FORBIDDEN: OnceLock<Forbidden> = OnceLock::new();
    if let Some(known) = FORBIDDEN.get() {
        return Ok(known);
    }
    let new = migrate::in_memory()?;
    let set =
        |sql| names(&new, sql).map(|names| names.iter().map(|name| name.to_ascii_lowercase()).collect());
    let forbidden = Forbidden { own: set(NAMES)?, insides: set(MODULES)?, functions: set(FUNCTIONS)? };
    Ok(FORBIDDEN.get_or_init(|| forbidden))
}

fn names(connection: &Connection, sql: &str) -> Result<Vec<String>> {
    let mut statement = connection.prepare(sql).map_err(database)?;
    let names = statement.query_map([], |row| row.get(0)).map_err(database)?;
    names.collect::<rusqlite::Result<_>>().map_err(database)
}

impl Forbidden {
    /// Why this may not be touched, if it is Millpond's own.
    fn own(&self, name: &str) -> Option<String> {
        let own = self.own.contains(&name.to_ascii_lowercase());
        own.then(|| format!("\"{name}\" is Millpond's own"))
    }

    fn is_reserved(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let reserved = RESERVED.contains(&name.as_str()) || self.insides.contains(&name);
        (reserved || PREFIXES.iter().any(|prefix| name.starts_with(prefix))) && !self.own.contains(&name)
    }
}

/// What the hooks of a connection do while a statement of a user's is prepared and runs; else they do nothing.
///
/// They are set once, when the connection is opened: whenever SQLite is given an authorizer it prepares all statements
/// again, and so ours too.
#[derive(Debug, Default)]
pub(super) struct Scrutiny {
    /// The statement that is being prepared.
    look: Mutex<Option<Look>>,
    /// Rounds that the statement which runs has left, 0 if none runs.
    rounds: AtomicU32,
}

/// What has been seen of a statement.
#[derive(Debug)]
struct Look {
    forbidden: &'static Forbidden,
    /// It changes the schema.
    alters: bool,
    /// What it makes that is not looked into before it is used.
    makes: Option<Made>,
    /// Why it may not run.
    refused: Option<String>,
}

#[derive(Debug)]
enum Made {
    View(String),
    TriggerOn(String),
}

impl Scrutiny {
    /// Sets the hooks.
    pub(super) fn begin(self: &Arc<Scrutiny>, connection: &mut Connection) -> Result<()> {
        let (looks, counts) = (Arc::clone(self), Arc::clone(self));
        let authorize = move |context: AuthContext<'_>| looks.authorize(&context);
        connection.authorizer(Some(authorize)).map_err(database)?;
        let is_over = move || counts.is_over();
        connection.progress_handler(ROUND as c_int, Some(is_over)).map_err(database)
    }

    fn look(&self) -> MutexGuard<'_, Option<Look>> {
        self.look.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn authorize(&self, context: &AuthContext<'_>) -> Authorization {
        let mut look = self.look();
        let Some(look) = look.as_mut() else { return Authorization::Allow };
        let Some(reason) = look.refusal(context) else { return Authorization::Allow };
        // What came first says the most.
        look.refused.get_or_insert(reason);
        Authorization::Deny
    }

    fn is_over(&self) -> bool {
        let left = self.rounds.load(Ordering::Relaxed);
        if left > 1 {
            // Nobody else counts: the thread that is asked is the one that runs the statement.
            self.rounds.store(left - 1, Ordering::Relaxed);
        }
        left == 1
    }

    /// Prepares a statement under scrutiny, which ends with that, however it ends; and what has been seen of it.
    fn prepare<'c>(&self, connection: &'c Connection, sql: &str) -> Result<(Prepared<'c>, Look)> {
        let forbidden = forbidden()?;
        let _open = Open(self);
        *self.look() = Some(Look { forbidden, alters: false, makes: None, refused: None });
        let prepared = connection.prepare(sql);
        let look = self.look().take();
        look.map(|look| (prepared, look)).ok_or_else(|| Error::Storage { detail: "nobody looked".into() })
    }

    /// As long as this is there, what runs has so many steps and no more.
    fn count(&self) -> Open<'_> {
        self.rounds.store(limits::SQL_STEPS / ROUND, Ordering::Relaxed);
        Open(self)
    }
}

type Prepared<'c> = rusqlite::Result<rusqlite::Statement<'c>>;

/// Once it is dropped the hooks do nothing any more.
struct Open<'a>(&'a Scrutiny);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        *self.0.look() = None;
        self.0.rounds.store(0, Ordering::Relaxed);
    }
}

impl Look {
    /// Why a statement may not do this; `None` if it may.
    fn refusal(&mut self, context: &AuthContext<'_>) -> Option<String> {
        use AuthAction as Act;
        let mut database = context.database_name;
        // A table or view, and an index or trigger of it.
        let (table, part) = match context.action {
            Act::Select | Act::Recursive => return None,
            Act::Function { function_name } => {
                let refused = self.forbidden.functions.contains(&function_name.to_ascii_lowercase());
                return refused.then(|| format!("the function {function_name} is not for use here"));
            }
            Act::Read { table_name, .. }
            | Act::Insert { table_name }
            | Act::Update { table_name, .. }
            | Act::Delete { table_name } => (table_name, None),
            Act::CreateTable { table_name }
            | Act::DropTable { table_name }
            | Act::DropView { view_name: table_name } => {
                self.alters = true;
                (table_name, None)
            }
            Act::AlterTable { database_name, table_name } => {
                self.alters = true;
                // Where others have theirs, this one may have a column.
                database = Some(database_name);
                (table_name, None)
            }
            Act::CreateIndex { index_name: part, table_name }
            | Act::DropIndex { index_name: part, table_name }
            | Act::DropTrigger { trigger_name: part, table_name } => {
                self.alters = true;
                (table_name, Some(part))
            }
            Act::CreateView { view_name } => {
                self.alters = true;
                self.makes = Some(Made::View(view_name.to_owned()));
                (view_name, None)
            }
            Act::CreateTrigger { trigger_name, table_name } => {
                self.alters = true;
                self.makes = Some(Made::TriggerOn(table_name.to_owned()));
                (table_name, Some(trigger_name))
            }
            // That is also how an index is filled when it is made.
            Act::Reindex { index_name } => (index_name, None),
            other => return Some(never(&other).to_owned()),
        };
        let in_main = database.is_none_or(|name| name == "main");
        part.and_then(|part| self.forbidden.own(part)).or_else(|| self.refusal_of(table, in_main))
    }

    fn refusal_of(&self, table: &str, in_main: bool) -> Option<String> {
        let name = table.to_ascii_lowercase();
        let may = match name.as_str() {
            // Only SQLite itself writes there, which it sees to.
            "sqlite_master" | "sqlite_schema" => in_main,
            // There it keeps books on what is made, renamed and dropped.
            "sqlite_temp_master" | "sqlite_sequence" | "sqlite_stat1" | "sqlite_stat4" => self.alters,
            name if name.starts_with("sqlite_") || name.starts_with("pragma_") => false,
            name => in_main && !self.forbidden.insides.contains(name),
        };
        let refused =
            || if in_main { format!("\"{table}\" is not for use here") } else { TEMPORARY.to_owned() };
        self.forbidden.own(table).or_else(|| (!may).then(refused))
    }
}

const TEMPORARY: &str = "what is temporary would be there for others too";

/// Why what nobody may do is refused.
fn never(action: &AuthAction<'_>) -> &'static str {
    use AuthAction as Act;
    match action {
        Act::Pragma { .. } => "PRAGMA is not for use here",
        Act::Transaction { .. } | Act::Savepoint { .. } => {
            "it is in a transaction already, which is Millpond's own"
        }
        Act::Attach { .. } | Act::Detach { .. } => "other files are not for use here",
        Act::Analyze { .. } => "ANALYZE would change how Millpond's own queries are run",
        Act::CreateVtable { .. } | Act::DropVtable { .. } => {
            "virtual tables are neither made nor dropped here"
        }
        Act::Unknown { .. } => "SQLite says of it what this program does not know",
        _ => TEMPORARY,
    }
}

/// Why a statement was not run.
enum Failure {
    /// It is the statement's own doing.
    Refused(String),
    /// It is the database's.
    Storage(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Storage(error)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        match error {
            rusqlite::Error::SqliteFailure(code, ref text) => match code.code {
                ErrorCode::OperationInterrupted => {
                    refused(format!("it takes more than {} steps", limits::SQL_STEPS))
                }
                ErrorCode::Unknown
                | ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::ParameterOutOfRange
                | ErrorCode::AuthorizationForStatementDenied => {
                    refused(text.clone().unwrap_or_else(|| code.to_string()))
                }
                _ => Failure::Storage(database(error)),
            },
            rusqlite::Error::SqlInputError { msg, .. } => refused(msg),
            rusqlite::Error::MultipleStatement => refused("it is more than one statement"),
            other => refused(other.to_string()),
        }
    }
}

fn refused(reason: impl Into<String>) -> Failure {
    Failure::Refused(reason.into())
}

impl SqliteSession {
    /// Runs statements until one is refused. The caller undoes them then.
    pub(super) fn run_sql(&mut self, run: &Run) -> Result<Ran> {
        let mut rows = Vec::with_capacity(run.statements.len());
        for (index, statement) in run.statements.iter().enumerate() {
            let actual = match self.run_statement(statement) {
                Ok(actual) => actual,
                Err(Failure::Refused(reason)) if self.in_transaction() => {
                    return Ok(Ran::Refused { statement: index, reason });
                }
                // What others have written in this group has gone too. They are served again, without this one.
                Err(Failure::Refused(reason)) => {
                    let reason = format!("{reason}, and with it the whole transaction was rolled back");
                    return Err(Error::SqlRefused { statement: statement.shown(), reason });
                }
                Err(Failure::Storage(error)) => return Err(error),
            };
            match statement.expected {
                Some(expected) if expected != actual => {
                    return Ok(Ran::Unexpected { statement: index, expected, actual });
                }
                _ => rows.push(actual),
            }
        }
        Ok(Ran::Done { rows })
    }

    /// How many rows it has changed, or has found if it only reads.
    fn run_statement(&self, statement: &Statement) -> Result<u64, Failure> {
        let (prepared, look) = self.scrutiny.prepare(&self.connection, &statement.sql)?;
        if let Some(reason) = look.refused {
            return Err(refused(reason));
        }
        let mut prepared = prepared?;
        if prepared.expanded_sql().is_none() {
            return Err(refused("it is empty"));
        }
        let (bound, wanted) = (statement.params.len(), prepared.parameter_count());
        if bound != wanted {
            return Err(refused(format!("it has {wanted} parameters, and {bound} values were bound")));
        }
        for (index, value) in (1..).zip(&statement.params) {
            prepared.raw_bind_parameter(index, as_bound(value))?;
        }
        let (only_reads, changes_before) = (prepared.readonly(), self.connection.total_changes());
        let found = self.step_through(prepared)?;
        if look.alters {
            self.look_at_schema(look.makes)?;
        }
        let nothing_changed = self.connection.total_changes() == changes_before;
        Ok(match (only_reads, nothing_changed) {
            (true, _) => found,
            // SQLite still tells what the last statement has changed that could change rows.
            (false, true) => 0,
            (false, false) => self.connection.changes(),
        })
    }

    /// Runs it to its end; how many rows came.
    fn step_through(&self, mut prepared: rusqlite::Statement<'_>) -> rusqlite::Result<u64> {
        let _open = self.scrutiny.count();
        let (mut rows, mut found) = (prepared.raw_query(), 0);
        while rows.next()?.is_some() {
            found += 1;
        }
        Ok(found)
    }

    /// After a change of the schema: no name in it is one that Millpond keeps for itself (the new name of a table is not told
    /// before), and what was made will not do when it is used what may not be done.
    fn look_at_schema(&self, makes: Option<Made>) -> Result<(), Failure> {
        let (forbidden, names) = (forbidden()?, names(&self.connection, NAMES)?);
        if let Some(name) = names.iter().find(|name| forbidden.is_reserved(name)) {
            return Err(refused(format!("the name \"{name}\" is kept for Millpond and SQLite")));
        }
        for sql in makes.map_or_else(|| Ok(Vec::new()), |made| self.uses(&made))? {
            if let (_, Look { refused: Some(reason), .. }) = self.scrutiny.prepare(&self.connection, &sql)? {
                return Err(refused(reason));
            }
        }
        Ok(())
    }

    const ALL_SET: &str = r#"SELECT ifnull(group_concat(format('"%w" = NULL', name)), '')
        FROM pragma_table_xinfo(?1) WHERE hidden = 0"#;

    /// Statements that use a view, or every trigger of a table. They are prepared and never run.
    fn uses(&self, made: &Made) -> rusqlite::Result<Vec<String>> {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        match made {
            Made::View(view) => Ok(vec![format!("SELECT * FROM {}", quoted(view))]),
            Made::TriggerOn(table) => {
                let set: String = self.connection.query_row(Self::ALL_SET, [table], |row| row.get(0))?;
                let table = quoted(table);
                Ok(vec![
                    format!("INSERT INTO {table} DEFAULT VALUES"),
                    format!("UPDATE {table} SET {set}"),
                    format!("DELETE FROM {table}"),
                ])
            }
        }
    }
}

fn as_bound(value: &Value) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match value {
        Value::Null => ValueRef::Null,
        Value::Integer(number) => ValueRef::Integer(*number),
        Value::Real(number) => ValueRef::Real(*number),
        Value::Text(text) => ValueRef::Text(text.as_bytes()),
        Value::Blob(bytes) => ValueRef::Blob(bytes),
    })
}
