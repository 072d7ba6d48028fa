//! Where a store lies on a server: a URL, of which some parts are ours.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millpond_actors::error::{Error, Result};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The schema, if none is named.
const SCHEMA: &str = "millpond";

/// The port, if none is named.
pub(super) const PORT: u16 = 5432;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// A server, a database, and a schema of it.
#[derive(Clone)]
pub(super) struct Address {
    config: Config,
    schema: String,
    /// Around a pooler, for what needs a connection of its own.
    direct: Option<Config>,
    /// Whoever answers knows a statement again by its name, whichever of his connections it comes to.
    prepares: bool,
    /// Whom to trust, beside those whom the system trusts.
    root: Option<PathBuf>,
}

impl Address {
    /// Out of a URL.
    pub(super) fn parse(url: &str) -> Result<Address> {
        let (before, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut schema, mut direct, mut root, mut rest) = (SCHEMA.to_owned(), None, None, Vec::new());
        let (mut names_ssl, mut prepares) = (false, None);
        for part in query.split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("schema", name)) => schema = checked(name)?,
                Some(("direct", place)) => direct = Some(host_and_port(place)?),
                Some(("prepared", "yes")) => prepares = Some(true),
                Some(("prepared", "no")) => prepares = Some(false),
                Some(("prepared", _)) => return Err(refused("prepared= is yes or no")),
                Some(("sslrootcert", path)) => root = Some(PathBuf::from(path)),
                Some(("sslmode", "verify-full" | "verify-ca")) => {
                    names_ssl = true;
                    rest.push("sslmode=require");
                }
                Some(("sslmode", _)) => {
                    names_ssl = true;
                    rest.push(part);
                }
                _ => rest.push(part),
            }
        }
        let url = if rest.is_empty() { before.to_owned() } else { format!("{before}?{}", rest.join("&")) };
        let mut config: Config =
            url.parse().map_err(|error: tokio_postgres::Error| refused(&reason(&error)))?;
        if config.get_hosts().is_empty() {
            return Err(refused("it names no host"));
        }
        if config.get_password().is_none()
            && let Some(password) = std::env::var_os("PGPASSWORD")
        {
            config.password(password.as_encoded_bytes());
        }
        if config.get_application_name().is_none() {
            config.application_name("millpond");
        }
        let direct = direct.map(|place| around(&config, place));
        // Behind a pooler a name is known only if the pooler sees to that, which not all of them do.
        let prepares = prepares.unwrap_or(direct.is_none());
        let mut address = Address { config, schema, direct, prepares, root };
        for config in [&mut address.config].into_iter().chain(&mut address.direct) {
            // The pooler may be here, and the server elsewhere.
            if !names_ssl && config.get_hosts().iter().all(is_here) {
                config.ssl_mode(SslMode::Disable);
            }
            // Whoever is cut off is told within seconds, also if the other side has vanished without a word.
            config.connect_timeout(CONNECT).keepalives(true).keepalives_idle(Duration::from_secs(10));
            config.keepalives_interval(Duration::from_secs(3)).keepalives_retries(3);
            config.tcp_user_timeout(Duration::from_secs(20));
        }
        Ok(address)
    }

    /// For connections of which each statement, or transaction, stands for itself.
    pub(super) fn config(&self) -> Config {
        self.config.clone()
    }

    /// For those that are something as long as they last.
    pub(super) fn direct(&self) -> Config {
        self.direct.clone().unwrap_or_else(|| self.config())
    }

    /// Whether statements may be named.
    pub(super) fn prepares(&self) -> bool {
        self.prepares
    }

    pub(super) fn user(&self) -> &str {
        self.config.get_user().unwrap_or_default()
    }

    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// What stands before the name of a table.
    pub(super) fn prefix(&self) -> String {
        format!("\"{}\".", self.schema)
    }

    /// Certificates are always checked, whatever the mode: against those whom the system trusts, and `sslrootcert`.
    pub(super) fn tls(&self) -> Result<MakeRustlsConnect> {
        let mut roots = rustls::RootCertStore::empty();
        let configs = [&self.config].into_iter().chain(&self.direct);
        if configs.map(Config::get_ssl_mode).any(|mode| mode != SslMode::Disable) {
            let _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if let Some(path) = &self.root {
                let read = CertificateDer::pem_file_iter(path)
                    .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
                let certificates = read
                    .map_err(|error| refused(&format!("the certificates in {}: {error}", path.display())))?;
                let _ = roots.add_parsable_certificates(certificates);
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| refused(&format!("its TLS: {error}")))?;
        Ok(MakeRustlsConnect::new(builder.with_root_certificates(roots).with_no_client_auth()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self
            .config
            .get_hosts()
            .iter()
            .enumerate()
            .map(|(at, host)| {
                let ports = self.config.get_ports();
                let port = ports.get(at).or(ports.first()).copied().unwrap_or(PORT);
                match host {
                    Host::Tcp(name) => format!("{name}:{port}"),
                    Host::Unix(path) => path.display().to_string(),
                }
            })
            .collect();
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or_default();
        write!(f, "postgres://{}/{database}?schema={}", hosts.join(","), self.schema)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The same server, user and database, past a pooler.
fn around(pooled: &Config, (host, port): (String, u16)) -> Config {
    let mut config = Config::new();
    config
        .host(host)
        .port(port)
        .ssl_mode(pooled.get_ssl_mode())
        .channel_binding(pooled.get_channel_binding());
    if let Some(name) = pooled.get_application_name() {
        config.application_name(name);
    }
    if let Some(user) = pooled.get_user() {
        config.user(user);
    }
    if let Some(password) = pooled.get_password() {
        config.password(password);
    }
    if let Some(database) = pooled.get_dbname() {
        config.dbname(database);
    }
    config
}

/// A connection that does not leave the machine.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
    }
}

/// A name that needs no quotes, so that people can write it.
fn checked(name: &str) -> Result<String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if begins && name.len() <= 63 && name.chars().all(is_plain) && !name.starts_with("pg_") {
        return Ok(name.to_owned());
    }
    Err(refused(
        "a schema is named with lower-case letters, digits and underscores, at most 63, and does not begin with \"pg_\"",
    ))
}

fn host_and_port(place: &str) -> Result<(String, u16)> {
    let split = place.rsplit_once(':').and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
    split.filter(|(host, _)| !host.is_empty()).ok_or_else(|| refused("direct= is HOST:PORT"))
}

fn reason(error: &tokio_postgres::Error) -> String {
    let inner = std::error::Error::source(error).map(ToString::to_string);
    inner.unwrap_or_else(|| error.to_string())
}

fn refused(reason: &str) -> Error {
    Error::InvalidPath { path: "postgres://...".into(), reason: reason.to_owned() }
}
