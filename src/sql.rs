//! A user's own SQL, on tables of his own in the same file, in the same commit as everything else.

use std::sync::Arc;

use millpond_actors::batch::Part;
use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::storage::sql::{Ran, Run, Statement, Value};

use crate::batch::{Batch, Slot};

/// A statement of SQL on tables of your own, which are in the store's file beside Millpond's: a read model that is never
/// behind its events, a table of stock that a job and its order change together.
///
/// It is run by [`Store::sql`](crate::Store::sql), or in a [`Batch`] together with events, jobs and messages. `Ok` means: on
/// disk.
///
/// - **All or none**: if one statement fails, or is about another number of rows than it [has to](Sql::rows), nothing of its
///   batch is written. Its failure is nobody else's.
/// - **What may be run**: `SELECT`, `INSERT`, `UPDATE`, `DELETE`, with all that belongs to them, and `CREATE`, `ALTER` and
///   `DROP` of tables, indexes, views and triggers. Each text is one statement, with its values as [parameters](Sql::bind).
/// - **What may not**: anything about Millpond's own tables, by whatever detour; `PRAGMA`, `ATTACH`, `ANALYZE`, `VACUUM`;
///   transactions, which are Millpond's; temporary and virtual tables; functions that reach beyond the database. Also what
///   rolls back more than itself (`OR ROLLBACK`): that is refused when it happens.
/// - **Names**: give your tables a prefix of your own (`shop_stock`). What begins with `millpond_` is kept for later versions
///   of Millpond, and so are `dict`, `list`, `blob`, `blobs`, `projection`, `checkpoint` and `subject`; what begins with
///   `sqlite_` or `pragma_` is SQLite's.
/// - **Reading is not part of it**: what a statement returns is counted and thrown away. Open the file with `rusqlite` or
///   `sqlite3`, for reading only, as in the example; that disturbs nobody.
/// - **Foreign keys** are not enforced; `CHECK`, `UNIQUE` and triggers are.
/// - At most 1,000 statements at once, of 64 KiB and 32,766 parameters each. A statement that takes more than 10 million steps
///   of SQLite's machine (about half a second; a row that is looked at takes five to ten) is refused, because all others wait
///   for it. Large changes are made in parts.
///
/// A store in memory has no SQL: there it is [`Error::Unsupported`].
///
/// # Examples
/// ```
/// use millpond::{Error, Event, Expected, Sql, Store};
/// # futures_executor::block_on(async {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("shop.db");
/// let store = Store::open(&path).await?;
/// store.sql(Sql::new("CREATE TABLE IF NOT EXISTS shop_stock (sku TEXT PRIMARY KEY, left INTEGER NOT NULL) STRICT")).await?;
/// store.sql(Sql::new("INSERT INTO shop_stock VALUES (?1, ?2)").bind("lamp").bind(3)).await?;
///
/// let order = |number: u32, lamps: i64| {
///     let mut batch = store.batch();
///     let placed = Event::new("Placed", &serde_json::json!({ "lamps": lamps }))?;
///     batch.append(format!("order-{number}"), Expected::NoStream, [placed])?;
///     let take = "UPDATE shop_stock SET left = left - ?1 WHERE sku = ?2 AND left >= ?1";
///     batch.sql(Sql::new(take).bind(lamps).bind("lamp").rows(1))?;
///     Ok::<_, Error>(batch)
/// };
/// order(1, 2)?.commit().await?;
/// let sold_out = order(2, 2)?.commit().await.unwrap_err();
/// assert!(matches!(sold_out, Error::WrongRows { expected: 1, actual: 0, .. }));
/// assert_eq!(store.events().version("order-2").await?, 0, "neither the lamps nor the order");
///
/// let reader = rusqlite::Connection::open_with_flags(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
/// let left: i64 = reader.query_row("SELECT left FROM shop_stock WHERE sku = 'lamp'", [], |row| row.get(0)).unwrap();
/// assert_eq!(left, 1);
/// # store.close().await
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is run before it is given to a store or a batch that is committed"]
pub struct Sql {
    statement: Statement,
    /// What is wrong with a value, for the first call.
    wrong: Option<Error>,
}

impl Sql {
    /// One statement. Its parameters are `?1`, `?2` and so on, or `?`.
    pub fn new(sql: impl Into<String>) -> Sql {
        let statement = Statement { sql: sql.into(), params: Vec::new(), expected: None };
        Sql { statement, wrong: None }
    }

    /// The value of the next parameter: a number, text, bytes, a `bool` (1 or 0), an `Option` of them, or a
    /// [`SqlValue`](crate::SqlValue). A number above 2^63 - 1, where SQLite's numbers end, is an error of the first call.
    pub fn bind<V>(mut self, value: V) -> Sql
    where
        V: TryInto<Value>,
        Error: From<V::Error>,
    {
        match value.try_into() {
            Ok(value) => self.statement.params.push(value),
            Err(error) => self.wrong = self.wrong.or(Some(error.into())),
        }
        self
    }

    /// It has to change exactly so many rows, or to find so many if it only reads; otherwise it is [`Error::WrongRows`], and
    /// nothing of its batch is written. Rows that triggers change do not count.
    pub fn rows(mut self, rows: u64) -> Sql {
        self.statement.expected = Some(rows);
        self
    }

    /// As the storage takes it, with every limit checked.
    fn check(self) -> Result<Statement> {
        let Sql { statement, wrong } = self;
        wrong.map_or(Ok(()), Err)?;
        limits::check_size("the SQL in bytes", statement.sql.len(), limits::SQL_BYTES)?;
        limits::check_size("the SQL in parameters", statement.params.len(), limits::SQL_PARAMETERS)?;
        if statement.sql.contains('\0') {
            // SQLite would see what is before it, and nobody what is behind it.
            let reason = "it contains a NUL character".to_owned();
            return Err(Error::SqlRefused { statement: statement.shown(), reason });
        }
        Ok(statement)
    }
}

impl From<Sql> for Vec<Sql> {
    fn from(one: Sql) -> Vec<Sql> {
        vec![one]
    }
}

impl Batch {
    /// Adds one statement, or several that are run in their order. What comes back says of each how many rows it has changed, or
    /// has found if it only reads.
    ///
    /// # Errors
    /// No statement at all; a value that is no value of SQLite's; [`Error::TooLarge`]. Nothing is added then.
    ///
    /// What [`commit`](Batch::commit) says of it: [`Error::SqlRefused`], [`Error::WrongRows`], and [`Error::Unsupported`] on a
    /// store in memory.
    pub fn sql(&mut self, statements: impl Into<Vec<Sql>>) -> Result<Slot<Vec<u64>>> {
        let statements: Vec<Sql> = statements.into();
        if statements.is_empty() {
            let reason = "it is empty: there is no statement in it".to_owned();
            return Err(Error::InvalidArgument { what: "a list of SQL".into(), reason });
        }
        limits::check_size("the SQL in statements", statements.len(), limits::SQL_STATEMENTS)?;
        let statements = statements.into_iter().map(Sql::check).collect::<Result<Vec<Statement>>>()?;
        let bytes = statements.iter().map(Statement::bytes).fold(0, usize::saturating_add);
        let shown: Vec<String> = statements.iter().map(Statement::shown).collect();
        let runtime = Arc::clone(self.runtime());
        self.add::<Run, _>(&runtime, (Part::plain(Run { statements }), bytes), |ran| rows(ran, shown))
    }
}

/// What an outcome of the database means to whoever wrote the statements.
fn rows(ran: Ran, mut statements: Vec<String>) -> Result<Vec<u64>> {
    let mut shown = |index: usize| statements.get_mut(index).map(std::mem::take).unwrap_or_default();
    match ran {
        Ran::Done { rows } => Ok(rows),
        Ran::Unexpected { statement, expected, actual } => {
            Err(Error::WrongRows { statement: shown(statement), expected, actual })
        }
        Ran::Refused { statement, reason } => Err(Error::SqlRefused { statement: shown(statement), reason }),
        Ran::Unsupported => Err(Error::Unsupported {
            what: "SQL of your own".into(),
            reason: "this store has no SQL; one in a SQLite file has".into(),
        }),
    }
}
