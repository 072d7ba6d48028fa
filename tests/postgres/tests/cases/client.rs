//! A client of a server, and the runtime that it needs.

use std::time::Duration;

use tokio_postgres::{Client, Error, NoTls};

/// No case takes this long; it only turns a hang into a failure.
const GUARD: Duration = Duration::from_secs(120);

/// Runs a case, but not for ever.
pub(crate) fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(GUARD, case).await.expect("it hangs") });
}

/// A client of whoever listens there.
pub(crate) async fn connect(url: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // How it ends, the client is told as well.
    tokio::spawn(async { drop(connection.await) });
    Ok(client)
}

/// The one number that this is answered with.
pub(crate) async fn number(client: &Client, query: &str) -> i32 {
    client.query_one(query, &[]).await.unwrap().get(0)
}
