//! What carries a connection for statements: the thread that waits for an answer drives it, so that none has to be handed from one
//! thread to another.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use futures_util::future::poll_fn;
use millpond_actors::error::Result;
use tokio::runtime::Runtime;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::Address;
use super::error::connecting;
use super::wire::runtime;

/// What a connection with or without TLS is made of.
type Encrypted = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// The half of a connection that carries: it goes on only while somebody waits for it.
pub(super) struct Carrier {
    motor: Motor,
    road: Road,
}

impl Carrier {
    /// Connects.
    pub(super) fn open(address: &Address) -> Result<(Client, Carrier)> {
        let (motor, config, tls) = (Motor(Some(runtime()?)), address.config(), address.tls()?);
        let connected = motor.wait(config.connect(tls));
        let (client, connection) = connected.map_err(|error| connecting(address, &error))?;
        Ok((client, Carrier { motor, road: Road(Some(connection)) }))
    }

    /// Sends what nobody waits for.
    pub(super) fn send(&mut self) {
        self.road.send();
    }

    /// Waits, on the thread that calls.
    pub(super) fn wait<T>(&mut self, work: impl Future<Output = T>) -> T {
        let (Carrier { motor, road }, mut work) = (self, pin!(work));
        motor.wait(poll_fn(|context| {
            // The first poll is what sends it.
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            road.go_on(context);
            work.as_mut().poll(context)
        }))
    }
}

/// What tells the thread that waits of what has come. It may be dropped on an executor's thread too, where another would be waited for.
struct Motor(Option<Runtime>);

impl Motor {
    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        match &self.0 {
            Some(runtime) => runtime.block_on(work),
            // It is being dropped.
            None => futures_executor::block_on(work),
        }
    }
}

impl Drop for Motor {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

/// What is sent and has come, until it has come to its end.
struct Road(Option<tokio_postgres::Connection<Socket, Encrypted>>);

impl Road {
    /// Sends what is to be sent, as far as that goes, and hands out the answers that have come.
    fn go_on(&mut self, context: &mut Context<'_>) {
        while let Some(connection) = &mut self.0 {
            match connection.poll_message(context) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(_))) => {}
                // Whoever waits for an answer hears of it by this being dropped.
                Poll::Ready(_) => self.0 = None,
            }
        }
    }

    /// The same for what nobody waits for.
    fn send(&mut self) {
        self.go_on(&mut Context::from_waker(Waker::noop()));
    }
}

impl Drop for Road {
    /// The client is gone, so what is left to be sent is the goodbye.
    fn drop(&mut self) {
        self.send();
    }
}
