//! The thread of what nobody waits for: connections that are only listened to, and what has a time of its own.

use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use futures_util::future::poll_fn;
use millpond_actors::clock::Seams;
use millpond_actors::error::Result;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio_postgres::{AsyncMessage, Client};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::lost;

/// It ends with the last of those who have it.
#[derive(Debug)]
pub(super) struct Wire {
    handle: tokio::runtime::Handle,
    _end: oneshot::Sender<()>,
}

impl Wire {
    /// Starts it.
    pub(super) fn start() -> Result<Arc<Wire>> {
        let runtime = runtime()?;
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

    /// Has something done on it, and waits for that. It is no executor, and may be called within one: whoever calls this is blocked.
    pub(super) fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (done, answer) = sync_channel(1);
        self.send(async move { drop(done.send(work.await)) });
        answer.recv().ok()
    }
}

/// What drives connections, on the thread that has it.
pub(super) fn runtime() -> Result<Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| lost("getting ready for connections", &error))
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
    tls: MakeRustlsConnect,
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
