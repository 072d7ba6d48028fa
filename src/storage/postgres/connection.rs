//! Connections for statements, which are sent one behind the other without waiting in between.

use std::collections::HashMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use futures_util::future::{BoxFuture, MaybeDone, join_all, maybe_done, poll_fn};
use millpond_actors::error::Result;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::address::Address;
use super::carrier::Carrier;
use super::error::{database, ends_connection};
use super::param::Param;

/// A statement with its parameters.
pub(super) struct Step<'a> {
    pub(super) sql: String,
    pub(super) params: Vec<Param<'a>>,
    /// It goes as it is, and is not prepared.
    plain: bool,
}

impl<'a> Step<'a> {
    pub(super) fn new(sql: impl Into<String>, params: Vec<Param<'a>>) -> Step<'a> {
        Step { sql: sql.into(), params, plain: false }
    }

    /// Undoes what was begun.
    pub(super) fn rollback() -> Step<'a> {
        Step { plain: true, ..Step::new("ROLLBACK", Vec::new()) }
    }

    /// What a transaction that writes ends with: the one thing of which it may be unknown whether it was done, and so the one that
    /// has to be seen on the wire.
    pub(super) fn commit() -> Step<'a> {
        Step { plain: true, ..Step::new("COMMIT", Vec::new()) }
    }
}

/// What the server has answered to a statement.
type Answer = std::result::Result<Vec<Row>, tokio_postgres::Error>;

/// Statements whose answers are waited for later.
pub(super) struct Ahead(MaybeDone<BoxFuture<'static, Vec<Answer>>>);

/// A connection, which remembers the statements that it has seen.
pub(super) struct Connection {
    client: Arc<Client>,
    /// Dropped behind the client.
    carrier: Mutex<Carrier>,
    /// What `@` stands for.
    schema: String,
    /// Statements are sent once and then known by a name.
    prepares: bool,
    statements: Mutex<HashMap<String, Statement>>,
    /// How often the server was waited for.
    trips: AtomicU64,
    /// The server has said that it ends it.
    ended: AtomicBool,
}

impl Connection {
    /// Connects.
    pub(super) fn open(address: &Address) -> Result<Connection> {
        let (client, carrier) = Carrier::open(address)?;
        let (schema, prepares) = (address.prefix(), address.prepares());
        let (statements, ended) = (Mutex::default(), false.into());
        let (carrier, trips) = (carrier.into(), 0.into());
        let client = Arc::new(client);
        Ok(Connection { client, carrier, schema, prepares, statements, trips, ended })
    }

    /// Whether it has come to its end, as far as that was seen. A server that ends it says so before it does.
    pub(super) fn is_closed(&self) -> bool {
        self.ended.load(Ordering::Relaxed) || self.client.is_closed()
    }

    /// Looks whether this error is its end.
    fn look_at<T>(
        &self,
        answer: std::result::Result<T, tokio_postgres::Error>,
    ) -> std::result::Result<T, tokio_postgres::Error> {
        answer.inspect_err(|error| {
            if ends_connection(error) {
                self.ended.store(true, Ordering::Relaxed);
            }
        })
    }

    /// How often the server was waited for.
    #[cfg(test)]
    pub(super) fn trips(&self) -> u64 {
        self.trips.load(Ordering::Relaxed)
    }

    fn trip(&self) {
        self.trips.fetch_add(1, Ordering::Relaxed);
    }

    /// Runs statements without parameters, one behind the other, until one fails.
    pub(super) fn script(&self, sql: &str) -> Result<()> {
        self.trip();
        let answer = self.wait(self.client.batch_execute(&sql.replace('@', &self.schema)));
        self.look_at(answer).map_err(|error| database(&error))
    }

    /// Runs one statement.
    pub(super) fn ask(&self, sql: &str, params: Vec<Param<'_>>) -> Result<Vec<Row>> {
        let mut rows = self.all(&[Step::new(sql, params)])?;
        Ok(rows.pop().unwrap_or_default())
    }

    /// Sends all statements, and then waits for what they have come to: one way there and one back, however many they are. The
    /// first that failed is the error.
    pub(super) fn all(&self, steps: &[Step<'_>]) -> Result<Vec<Vec<Row>>> {
        self.try_all(steps).map_err(|error| database(&error))
    }

    /// The same, with what the server said.
    pub(super) fn try_all(
        &self,
        steps: &[Step<'_>],
    ) -> std::result::Result<Vec<Vec<Row>>, tokio_postgres::Error> {
        self.look_at(self.prepare(steps))?;
        self.trip();
        self.look_at(self.wait(self.send_all(steps)).into_iter().collect())
    }

    /// The same, and sends others behind them, whose answers are not waited for yet.
    pub(super) fn try_all_ahead_of(
        &self,
        steps: &[Step<'_>],
        next: Vec<Step<'static>>,
    ) -> std::result::Result<Ahead, tokio_postgres::Error> {
        self.look_at(self.prepare(steps).and_then(|()| self.prepare(&next)))?;
        self.trip();
        let mut next = self.send_later(next);
        let (mut sent, mut is_sent) = (pin!(self.send_all(steps)), false);
        let answers = self.wait(poll_fn(|context| {
            let answers = sent.as_mut().poll(context);
            // The first poll sends them.
            if !std::mem::replace(&mut is_sent, true) {
                let _ = Pin::new(&mut next.0).poll(context);
            }
            answers
        }));
        self.look_at(answers.into_iter().collect::<std::result::Result<Vec<_>, _>>()).map(|_| next)
    }

    /// What the server has answered to statements that were sent ahead.
    pub(super) fn answers(&self, Ahead(mut sent): Ahead) -> Result<Vec<Vec<Row>>> {
        self.wait(&mut sent);
        let answers = Pin::new(&mut sent).take_output().unwrap_or_default();
        self.look_at(answers.into_iter().collect()).map_err(|error| database(&error))
    }

    async fn send_all(&self, steps: &[Step<'_>]) -> Vec<Answer> {
        let send = |step| send(&self.client, self.known(step), &self.schema, step);
        join_all(steps.iter().map(send)).await
    }

    /// They are sent when this is polled for the first time.
    fn send_later(&self, steps: Vec<Step<'static>>) -> Ahead {
        let (client, schema) = (Arc::clone(&self.client), self.schema.clone());
        let known: Vec<_> = steps.iter().map(|step| self.known(step)).collect();
        let sent = async move {
            let send = |(step, known)| send(&client, known, &schema, step);
            join_all(steps.iter().zip(known).map(send)).await
        };
        Ahead(maybe_done(Box::pin(sent)))
    }

    /// Sends a statement whose answer nobody waits for.
    pub(super) fn tell(&self, step: Step<'_>) {
        if self.prepare(std::slice::from_ref(&step)).is_err() {
            return;
        }
        // The first poll hands it over; an answer that nobody wants is dropped when it comes.
        let sent = send(&self.client, self.known(&step), &self.schema, &step);
        let _ = pin!(sent).poll(&mut Context::from_waker(Waker::noop()));
        self.carrier().send();
    }

    fn carrier(&self) -> MutexGuard<'_, Carrier> {
        self.carrier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for answers.
    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.carrier().wait(work)
    }

    fn known(&self, step: &Step<'_>) -> Option<Statement> {
        if step.plain {
            return None;
        }
        self.statements.lock().unwrap_or_else(PoisonError::into_inner).get(&step.sql).cloned()
    }

    /// Has the server know the statements that it does not: in one way there and back.
    fn prepare(&self, steps: &[Step<'_>]) -> std::result::Result<(), tokio_postgres::Error> {
        if !self.prepares {
            return Ok(());
        }
        let unknown = steps.iter().filter(|step| !step.plain && self.known(step).is_none());
        let mut unknown: Vec<&str> = unknown.map(|step| step.sql.as_str()).collect();
        unknown.sort_unstable();
        unknown.dedup();
        if unknown.is_empty() {
            return Ok(());
        }
        self.trip();
        let prepared = unknown
            .iter()
            .map(|sql| async move { (*sql, self.client.prepare(&sql.replace('@', &self.schema)).await) });
        for (sql, statement) in self.wait(join_all(prepared)) {
            self.statements.lock().unwrap_or_else(PoisonError::into_inner).insert(sql.to_owned(), statement?);
        }
        Ok(())
    }
}

/// Sends a statement when it is polled for the first time. One that is not known is sent with the types of its parameters, so that
/// nothing has to be asked before.
async fn send(client: &Client, known: Option<Statement>, schema: &str, step: &Step<'_>) -> Answer {
    if step.plain {
        return client.batch_execute(&step.sql).await.map(|()| Vec::new());
    }
    let params = step.params.iter().map(|param| param as &(dyn ToSql + Sync));
    match known {
        Some(statement) => client.query(&statement, &params.collect::<Vec<_>>()).await,
        None => {
            let typed: Vec<_> = params.zip(step.params.iter().map(Param::of)).collect();
            client.query_typed(&step.sql.replace('@', schema), &typed).await
        }
    }
}
