//! Benches on a PostgreSQL server: ours at a URL, in turn with bare tokio-postgres in the same database.
//!
//! - `floor` is the floor there: one connection, set-based statements, all of a group sent at once;
//! - this file has the server and the schemas of a bench, which are dropped when a round is over, and both sides of each comparison.

mod floor;

use std::path::{Path, PathBuf};

use clap::ValueEnum as _;
use tokio::runtime::Runtime;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, NoTls};

use self::floor::Floor;
use super::compare::{self, Comparison, Ground};
use super::drive::{Measured, block_on, drive, failed};
use super::sides::{self, placed};
use super::{BenchArgs, Workload};
use crate::failure::{Done, Failure, code};
use crate::show::Show;

const APPEND: [Comparison; 1] =
    [Comparison { name: "append", ours: sides::append, floor: floor_append, most_callers: usize::MAX }];

/// Runs what was asked for on the server that the URL leads to; what is there of it is run if nothing was named.
pub(super) fn run(args: &BenchArgs, url: &str, show: &mut Show) -> Done<u8> {
    if let Some(other) = args.workloads.iter().find(|workload| **workload != Workload::Append) {
        let name = other.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
        return Err(Failure::Failed(format!("{name} on PostgreSQL is not there; append is")));
    }
    let server = Server::reach(url)?;
    compare::run(&APPEND, &server, args, show)?;
    Ok(code::DONE)
}

fn floor_append(place: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    let floor = Floor::open(&text_of(place))?;
    block_on(async {
        let callers = (0..callers).map(|caller| {
            let mut stream = floor.stream(format!("order-{caller}"));
            async move || stream.append(&placed(stream.version())).await
        });
        drive(callers.collect(), seconds).await
    })
}

/// A place is a URL here.
fn text_of(place: &Path) -> String {
    place.to_string_lossy().into_owned()
}

/// A database on a server. Each run has a schema of its own there.
struct Server {
    url: String,
    durability: String,
}

impl Server {
    fn reach(url: &str) -> millpond::Result<Server> {
        let line = Line::open(url)?;
        let setting = |name| {
            line.wait(async |client| {
                client.query_one("SELECT current_setting($1)", &[&name]).await?.try_get(0)
            })
        };
        let (fsync, commit): (String, String) = (setting("fsync")?, setting("synchronous_commit")?);
        let durability = format!("fsync={fsync}, synchronous_commit={commit}");
        Ok(Server { url: url.to_owned(), durability })
    }
}

impl Ground for Server {
    /// What is in a schema is gone when the next run begins, so the runs of a side may share its name.
    fn place(&self, run: &str) -> PathBuf {
        let side = run.rsplit('-').next().unwrap_or_default();
        let (before, query) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let rest: String =
            parts(query).filter(|(name, _)| *name != "schema").map(|(_, part)| format!("&{part}")).collect();
        format!("{before}?schema=bench_{}_{side}{rest}", std::process::id()).into()
    }

    fn clear(&self, place: &Path) -> millpond::Result<()> {
        let line = Line::open(&text_of(place))?;
        let drop = format!("DROP SCHEMA IF EXISTS {} CASCADE", line.schema);
        line.wait(async |client| client.batch_execute(&drop).await)
    }

    fn durability(&self) -> &str {
        &self.durability
    }
}

impl Drop for Server {
    /// If something has failed there may be something left.
    fn drop(&mut self) {
        for side in ["-floor", "-ours"] {
            let _ = self.clear(&self.place(side));
        }
    }
}

/// The parts of a query, each with its name.
fn parts(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| (part.split('=').next().unwrap_or(part), part))
}

/// A bare connection, and what drives it while somebody waits for it.
struct Line {
    runtime: Runtime,
    client: Client,
    /// The schema that the URL names.
    schema: String,
}

impl Line {
    fn open(url: &str) -> millpond::Result<Line> {
        let (config, schema) = config(url)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed(&error))?;
        let client = runtime.block_on(async {
            let (client, connection) = config.connect(NoTls).await?;
            tokio::spawn(connection);
            Ok(client)
        });
        let client = client.map_err(|error| said(&error))?;
        Ok(Line { runtime, client, schema })
    }

    fn wait<T>(
        &self,
        ask: impl AsyncFnOnce(&Client) -> Result<T, tokio_postgres::Error>,
    ) -> millpond::Result<T> {
        self.runtime.block_on(ask(&self.client)).map_err(|error| said(&error))
    }
}

/// What a URL says to tokio-postgres, and the schema, which is ours alone to understand.
fn config(url: &str) -> millpond::Result<(Config, String)> {
    let (before, query) = url.split_once('?').unwrap_or((url, ""));
    let schema =
        parts(query).find_map(|(name, part)| part.strip_prefix("schema=").filter(|_| name == "schema"));
    let ours = ["schema", "direct", "sslrootcert"];
    let rest: Vec<&str> =
        parts(query).filter(|(name, _)| !ours.contains(name)).map(|(_, part)| part).collect();
    let mut config: Config = format!("{before}?{}", rest.join("&")).parse().map_err(|error| said(&error))?;
    if config.get_password().is_none()
        && let Some(password) = std::env::var_os("PGPASSWORD")
    {
        config.password(password.as_encoded_bytes());
    }
    // Both sides have to be carried in the same way, and the floor knows no other.
    let names_mode = parts(query).any(|(name, _)| name == "sslmode");
    let is_plain = match names_mode {
        true => config.get_ssl_mode() == SslMode::Disable,
        false => config.get_hosts().iter().all(is_here),
    };
    if !is_plain {
        return Err(failed(
            &"over TLS it is not there: the server is to be on this machine, or sslmode=disable",
        ));
    }
    Ok((config, schema.unwrap_or_default().to_owned()))
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
    }
}

/// What the server has to say of an error is behind it.
fn said(error: &tokio_postgres::Error) -> millpond::Error {
    match std::error::Error::source(error) {
        Some(why) => failed(&format!("{error}: {why}")),
        None => failed(error),
    }
}
