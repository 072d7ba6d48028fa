//! A connection whose socket can be lent: a program that inherits it keeps the server's session, and all that it holds, until it ends.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use millpond_actors::error::Result;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::config::Host;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, NoTls};

use super::address::{Address, PORT};
use super::error::{connecting, lost, not_there};
use super::wire::{OnNotice, connect, drive};

/// Connects, and keeps a hand on the socket. Where there are several servers to choose from, the choice is the driver's, and the
/// socket too.
pub(super) async fn open(address: &Address, on_notice: OnNotice) -> Result<(Client, Option<OwnedFd>)> {
    let (config, mut tls) = (address.direct(), address.tls()?);
    let driver = |error: tokio_postgres::Error| connecting(address, &error);
    let system = |error: io::Error| not_there(&format!("connecting to {address}: {error}"));
    let port = config.get_ports().first().copied().unwrap_or(PORT);
    let patience = config.get_connect_timeout().copied().unwrap_or_default();
    let connecting = async {
        match config.get_hosts() {
            [Host::Tcp(name)] => {
                let stream = TcpStream::connect((name.as_str(), port)).await.map_err(system)?;
                let socket = kept(&stream, &config).map_err(system)?;
                let tls = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls, name);
                let tls = tls.map_err(|error| lost("connecting", &error))?;
                let (client, connection) = config.connect_raw(stream, tls).await.map_err(driver)?;
                drive(connection, on_notice);
                Ok((client, Some(socket)))
            }
            [Host::Unix(folder)] => {
                let path = Path::new(folder).join(format!(".s.PGSQL.{port}"));
                let stream = UnixStream::connect(path).await.map_err(system)?;
                let socket = stream.as_fd().try_clone_to_owned().map_err(system)?;
                let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(driver)?;
                drive(connection, on_notice);
                Ok((client, Some(socket)))
            }
            _ => Ok((connect(config.clone(), tls, on_notice).await.map_err(driver)?, None)),
        }
    };
    let late = |_| not_there(&format!("connecting to {address}: no answer within {patience:?}"));
    tokio::time::timeout(patience, connecting).await.map_err(late)?
}

/// The socket, set up as the driver would have: to find out soon that nobody is there any more.
fn kept(stream: &TcpStream, config: &Config) -> io::Result<OwnedFd> {
    stream.set_nodelay(true)?;
    let mut keepalive = TcpKeepalive::new().with_time(config.get_keepalives_idle());
    if let Some(interval) = config.get_keepalives_interval() {
        keepalive = keepalive.with_interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        keepalive = keepalive.with_retries(retries);
    }
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive)?;
    // Also if it is we who have said something last.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(config.get_tcp_user_timeout().copied())?;
    stream.as_fd().try_clone_to_owned()
}
