//! Connections to the server: statements sent one behind the other without waiting in between, and the thread that drives them.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use futures_util::future::{join_all, poll_fn};
use millpond_actors::clock::Seams;
use millpond_actors::error::{Error, Result};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Row, Statement};

use super::address::Address;
use super::error::{connecting, database, ends_connection, lost};
use super::param::Param;

/// The thread that all connections of a store live on. It ends with the last of those who have it.
#[derive(Debug)]
pub(super) struct Wire {
    handle: tokio::runtime::Handle,
    _end: oneshot::Sender<()>,
}

impl Wire {
    /// Starts it.
    pub(super) fn start() -> Result<Arc<Wire>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| lost("starting the connections' thread", &error))?;
        let (end, ended) = oneshot::channel::<()>();
        let handle = runtime.handle().clone();
        let drive = move || {
            let _ = runtime.block_on(ended);
            runtime.shutdown_background();
        };
        Seams::default().spawner.spawn("millpond-wire", Box::new(drive))?;
        Ok(Arc::new(Wire { handle, _end: end }))
    }

    /// Has something done on it, and does not wait for it.
    pub(super) fn send(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(work);
    }

    /// Waits, on the thread that calls, for something that the wire drives. It is no executor: whoever calls this is blocked.
    pub(super) fn wait<T>(work: impl Future<Output = T>) -> T {
        futures_executor::block_on(work)
    }

    /// Waits for something that has to be begun on the wire.
    pub(super) fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (done, answer) = oneshot::channel();
        self.send(async move { drop(done.send(work.await)) });
        Wire::wait(answer).ok()
    }
}

/// What is heard on a connection beside answers.
pub(super) type OnNotice = Box<dyn FnMut(Notice) + Send>;

/// Something that was not asked for.
pub(super) enum Notice {
    /// Somebody notifies a channel.
    Rung(String),
    /// The connection has ended.
    Ended,
}

/// Makes a connection, which is driven on the thread that this runs on.
pub(super) async fn connect(
    config: tokio_postgres::Config,
    tls: tokio_postgres_rustls::MakeRustlsConnect,
    on_notice: OnNotice,
) -> std::result::Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(tls).await?;
    drive(connection, on_notice);
    Ok(client)
}

/// Drives a connection until it ends.
pub(super) fn drive<S, T>(mut connection: tokio_postgres::Connection<S, T>, mut on_notice: OnNotice)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(rung) = message {
                on_notice(Notice::Rung(rung.payload().to_owned()));
            }
        }
        on_notice(Notice::Ended);
    });
}

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

    /// What a transaction that writes ends with: the one thing of which it may be unknown whether it was done, and so the one that
    /// has to be seen on the wire.
    pub(super) fn commit() -> Step<'a> {
        Step { plain: true, ..Step::new("COMMIT", Vec::new()) }
    }
}

/// A connection, which remembers the statements that it has seen.
pub(super) struct Connection {
    client: Client,
    /// The thread it lives on.
    _wire: Arc<Wire>,
    /// What `@` stands for.
    schema: String,
    /// Statements are sent once and then known by a name.
    prepares: bool,
    statements: Mutex<HashMap<String, Statement>>,
    /// How often the server was waited for.
    trips: std::sync::atomic::AtomicU64,
    /// Somebody has been told of its end.
    ended: AtomicBool,
}

impl Connection {
    /// Connects.
    pub(super) fn open(wire: &Arc<Wire>, address: &Address) -> Result<Connection> {
        let connected = wire.run(connect(address.config(), address.tls()?, Box::new(|_| {})));
        let client = connected.ok_or(Error::Closed)?;
        let client = client.map_err(|error| connecting(address, &error))?;
        let (_wire, schema, prepares) = (Arc::clone(wire), address.prefix(), address.prepares());
        let (statements, ended) = (Mutex::default(), false.into());
        Ok(Connection { client, _wire, schema, prepares, statements, trips: 0.into(), ended })
    }

    /// Whether it has come to its end. Who is told of that is told before the thread that drives it has seen all of it.
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
        let answer = Wire::wait(self.client.batch_execute(&sql.replace('@', &self.schema)));
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
        self.look_at(Wire::wait(self.send_all(steps)).into_iter().collect())
    }

    async fn send_all(
        &self,
        steps: &[Step<'_>],
    ) -> Vec<std::result::Result<Vec<Row>, tokio_postgres::Error>> {
        join_all(steps.iter().map(|step| self.query(step))).await
    }

    /// One that is not known is sent with the types of its parameters, so that nothing has to be asked before.
    async fn query(&self, step: &Step<'_>) -> std::result::Result<Vec<Row>, tokio_postgres::Error> {
        if step.plain {
            return self.client.batch_execute(&step.sql).await.map(|()| Vec::new());
        }
        let params = step.params.iter().map(|param| param as &(dyn ToSql + Sync));
        match self.known(&step.sql) {
            Some(statement) => self.client.query(&statement, &params.collect::<Vec<_>>()).await,
            None => {
                let typed: Vec<_> = params.zip(step.params.iter().map(Param::of)).collect();
                self.client.query_typed(&step.sql.replace('@', &self.schema), &typed).await
            }
        }
    }

    /// Sends a statement whose answer nobody waits for.
    pub(super) fn tell(&self, step: Step<'_>) {
        if self.prepare(std::slice::from_ref(&step)).is_err() {
            return;
        }
        let mut sent: Pin<Box<_>> = Box::pin(self.query(&step));
        // The first poll sends it; an answer that nobody wants is dropped when it comes.
        let _ = Wire::wait(poll_fn(|context| Poll::Ready(sent.as_mut().poll(context).is_ready())));
    }

    fn known(&self, sql: &str) -> Option<Statement> {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned()
    }

    /// Has the server know the statements that it does not: in one way there and back.
    fn prepare(&self, steps: &[Step<'_>]) -> std::result::Result<(), tokio_postgres::Error> {
        if !self.prepares {
            return Ok(());
        }
        let prepared = steps.iter().filter(|step| !step.plain).map(|step| step.sql.as_str());
        let mut unknown: Vec<&str> = prepared.filter(|sql| self.known(sql).is_none()).collect();
        unknown.sort_unstable();
        unknown.dedup();
        if unknown.is_empty() {
            return Ok(());
        }
        self.trip();
        let prepared = unknown
            .iter()
            .map(|sql| async move { (*sql, self.client.prepare(&sql.replace('@', &self.schema)).await) });
        for (sql, statement) in Wire::wait(join_all(prepared)) {
            self.statements.lock().unwrap_or_else(PoisonError::into_inner).insert(sql.to_owned(), statement?);
        }
        Ok(())
    }
}
