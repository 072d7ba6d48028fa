//! A connection to a PostgreSQL server past Millpond: for what is done to the server, or beside a store on it.

use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

use crate::Result;

/// One connection.
#[derive(Debug)]
pub struct Direct {
    client: Client,
    runtime: Runtime,
}

impl Direct {
    /// Connects to what a URL names.
    ///
    /// # Errors
    /// What the server said.
    pub fn open(url: &str) -> Result<Direct> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (client, connection) = runtime.block_on(tokio_postgres::connect(url, NoTls))?;
        // How it ends, the client is told as well.
        runtime.spawn(async { drop(connection.await) });
        Ok(Direct { client, runtime })
    }

    /// Runs statements.
    ///
    /// # Errors
    /// What the server said.
    pub fn run(&self, sql: &str) -> Result<()> {
        Ok(self.runtime.block_on(self.client.batch_execute(sql))?)
    }

    /// Runs a query; how many rows it has.
    ///
    /// # Errors
    /// What the server said.
    pub fn rows(&self, sql: &str) -> Result<usize> {
        Ok(self.runtime.block_on(self.client.query(sql, &[]))?.len())
    }
}
