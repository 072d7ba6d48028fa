//! What a projection does with an event: the user's part.

use std::error::Error as StdError;
use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::batch::Batch;
use crate::reading::Recorded;

/// Why an event could not be projected: any error.
pub type Failure = Box<dyn StdError + Send + Sync>;

/// What a projection makes of the events. A closure `FnMut(&Recorded, &mut Rows) -> Result<(), Failure>` is one.
///
/// What it has to write it adds to its [`Rows`], and that is committed together with the checkpoint: **exactly once**, whatever
/// dies in between. It may be called several times for one event, when a commit did not come about; what it adds then is what
/// counts. So it must not do anything else that matters, and what it keeps in itself is a cache that may be ahead of what was
/// committed. For the world outside there are [jobs](crate::Queue), which it may push.
///
/// # Examples
/// A report in a table, which can be rebuilt while it is read:
/// ```
/// use millpond::{Failure, Project, Recorded, Rows, Sql, Store};
///
/// struct Sales;
///
/// impl Project for Sales {
///     fn begin(&mut self, rows: &mut Rows<'_>) -> Result<(), Failure> {
///         let table = format!("CREATE TABLE sales_{} (day TEXT PRIMARY KEY, cents INTEGER) STRICT", rows.generation());
///         rows.sql(Sql::new(table))?;
///         Ok(())
///     }
///
///     fn apply(&mut self, event: &Recorded, rows: &mut Rows<'_>) -> Result<(), Failure> {
///         let (day, cents): (String, i64) = event.decode()?;
///         let add = format!(
///             "INSERT INTO sales_{} VALUES (?1, ?2) ON CONFLICT (day) DO UPDATE SET cents = cents + ?2",
///             rows.generation(),
///         );
///         rows.sql(Sql::new(add).bind(day).bind(cents))?;
///         Ok(())
///     }
///
///     fn beside(&self) -> bool {
///         true
///     }
///
///     fn switch(&mut self, rows: &mut Rows<'_>) -> Result<(), Failure> {
///         let generation = rows.generation();
///         rows.sql(Sql::new("DROP VIEW IF EXISTS sales"))?;
///         rows.sql(Sql::new(format!("CREATE VIEW sales AS SELECT * FROM sales_{generation}")))?;
///         for older in 1..generation {
///             rows.sql(Sql::new(format!("DROP TABLE IF EXISTS sales_{older}")))?;
///         }
///         Ok(())
///     }
/// }
/// # futures_executor::block_on(async {
/// # use millpond::{Event, Expected};
/// # let folder = tempfile::tempdir().unwrap();
/// let store = Store::open(folder.path().join("shop.db")).await?;
/// # store.events().append("order-1", Expected::Any, [Event::new("Paid", &("Monday", 700))?]).await?;
/// let projector = store.projection("sales").projector(store.events().read_category("order").event_type("Paid"));
/// assert_eq!(projector.drain().run(Sales).await?.handled, 1);
/// let monday = Sql::new("SELECT * FROM sales WHERE day = 'Monday' AND cents = 700").rows(1);
/// store.sql(monday).await?;
/// # store.close().await
/// # }).unwrap();
/// ```
pub trait Project {
    /// Makes of an event what is to be written.
    ///
    /// # Errors
    /// Anything: nothing of this event is written then, and it is [tried again](crate::Projector::attempts). A panic is the same.
    fn apply(&mut self, event: &Recorded, rows: &mut Rows<'_>) -> Result<(), Failure>;

    /// A generation begins, before its first event: makes what it is kept in, and empties it if it is there already. Does
    /// nothing unless it is implemented.
    ///
    /// # Errors
    /// As [`apply`](Project::apply).
    fn begin(&mut self, rows: &mut Rows<'_>) -> Result<(), Failure> {
        let _ = rows;
        Ok(())
    }

    /// Whether two generations can be there beside each other, the older one to be read while the newer is made: what is
    /// written must go by [`Rows::generation`] then. If not, which is the default, a rebuild is a reset.
    fn beside(&self) -> bool {
        false
    }

    /// This generation is the one that is read from now on, and all older ones can go. Called in the commit in which that
    /// becomes so: for the first generation and after a reset right behind [`begin`](Project::begin), and when a rebuild has
    /// come as far as the one that is read. Does nothing unless it is implemented.
    ///
    /// # Errors
    /// As [`apply`](Project::apply).
    fn switch(&mut self, rows: &mut Rows<'_>) -> Result<(), Failure> {
        let _ = rows;
        Ok(())
    }
}

impl<F: FnMut(&Recorded, &mut Rows<'_>) -> Result<(), Failure>> Project for F {
    fn apply(&mut self, event: &Recorded, rows: &mut Rows<'_>) -> Result<(), Failure> {
        self(event, rows)
    }
}

/// What a projection adds to be written: a [`Batch`], which is committed with the checkpoint. With SQL it keeps tables of its
/// own, with jobs and messages it tells others, with events it keeps a stream of its own; on a store in memory too, but for SQL.
pub struct Rows<'a> {
    pub(super) batch: &'a mut Batch,
    pub(super) generation: u64,
}

impl Rows<'_> {
    /// Which generation it is that is being made: 1, and one more with each reset and each rebuild.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

impl Deref for Rows<'_> {
    type Target = Batch;

    fn deref(&self) -> &Batch {
        self.batch
    }
}

impl DerefMut for Rows<'_> {
    fn deref_mut(&mut self) -> &mut Batch {
        self.batch
    }
}

impl fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("generation", &self.generation).finish_non_exhaustive()
    }
}
