//! NATS JetStream as a sink.

use async_nats::HeaderMap;
use async_nats::connection::State;
use async_nats::header::HeaderValue;
use async_nats::jetstream::Context;

use millpond_actors::error::Result;

use super::Sink;
use super::subject::Prefix;
use crate::projection::{Attempt, Failure};
use crate::reading::Recorded;

/// A stream of NATS JetStream that events are brought to, by a [`Reactor::relay`](crate::Reactor::relay). Only with feature
/// `nats`.
///
/// - **Subject**: `prefix.category.stream`, so that readers choose by `shop.events.order.>`. `prefix` is given, the rest are
///   names of this store: `order-17` goes to `shop.events.order.order-17`. Where a name has a `.`, `*`, `>`, `%` or white space,
///   each byte of that is `%` and two digits, as in a URL (`a.b` is `a%2Eb`), and a category that is empty is `%`. So the
///   last token always tells the stream.
/// - **Payload**: the content, as JSON text, byte for byte as it was appended. What is [sealed](crate::Sealed) stays so.
/// - **Headers**: `Nats-Msg-Id` is the id of the event; `millpond-stream`, `-version`, `-position`, `-type`, `-schema`,
///   `-recorded-at` (milliseconds since 1970), and, where they are known, `-correlation`, `-causation`, `-actor` and `-tenant`.
///   Some clients cut spaces off the ends of headers.
///
/// An event is delivered when JetStream has acknowledged it. What that is worth the server says: by default it syncs its files
/// every two minutes (`sync_interval`), so the loss of its power may cost what was acknowledged before; replicas help against that.
///
/// An event that comes again has the same `Nats-Msg-Id`, and JetStream keeps it once within its *duplicate window*, two minutes
/// unless the stream is configured otherwise. Fix it longer than an outage may last. Whoever reads for longer than that, or
/// behind a [reset](crate::Projection::reset), goes by `millpond-version`: within a stream what is not larger than the last is
/// a duplicate.
///
/// The stream must exist, and want these subjects; none is made here. While the client is not connected nothing is given to it,
/// so that nothing old waits in it and arrives late. An event that is larger than the server's `max_payload` (1 MiB unless
/// configured) is never delivered: the relay is [parked](crate::Progress::is_parked) at it, or it is a dead letter.
///
/// `async-nats` 0.51 is needed beside Millpond, to connect with, and a tokio runtime with I/O and time: the relay has to run on
/// it too. Millpond asks for no TLS provider: who wants TLS adds a feature of `async-nats`, `ring` or `aws-lc-rs`; it is by rustls.
///
/// # Examples
/// ```no_run
/// use std::time::Duration;
/// use async_nats::jetstream;
/// use millpond::{NatsSink, Store};
///
/// #[tokio::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
///     let client = async_nats::connect("localhost:4222").await?;
///     let context = jetstream::new(client);
///     let wanted = jetstream::stream::Config {
///         name: "shop".into(),
///         subjects: vec!["shop.events.>".into()],
///         duplicate_window: Duration::from_secs(24 * 3600),
///         ..Default::default()
///     };
///     context.get_or_create_stream(wanted).await?;
///
///     let store = Store::open("shop.db").await?;
///     store
///         .projection("to-nats")
///         .reactor(store.events().read_all())
///         .streams(64)
///         .attempts(1_000_000) // it waits for the server, however long
///         .breaker(10, Duration::from_secs(5))
///         .relay(NatsSink::new(context, "shop.events")?)
///         .await?;
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct NatsSink {
    context: Context,
    prefix: Prefix,
}

impl NatsSink {
    /// A sink whose subjects begin with `prefix`: words with dots between them, at most 256 bytes. How long an acknowledgement is
    /// waited for is the context's affair, 5 s unless set, and at most as long as the reactor's
    /// [timeout](crate::Reactor::timeout).
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if no subject can begin with `prefix`.
    pub fn new(context: Context, prefix: impl Into<String>) -> Result<NatsSink> {
        Ok(NatsSink { context, prefix: Prefix::new(prefix.into())? })
    }
}

impl Sink for NatsSink {
    async fn deliver(&self, event: &Attempt) -> Result<(), Failure> {
        if self.context.client().connection_state() != State::Connected {
            return Err("NATS is not connected".into());
        }
        let content = event.json().ok_or("its content is not JSON")?.to_owned();
        let (subject, headers) = (self.prefix.subject(event.stream()), headers(event)?);
        // What the client has to say is told in words: its types are no part of our errors.
        let failed = |error: &dyn std::fmt::Display| Failure::from(format!("NATS JetStream: {error}"));
        let sent = self.context.publish_with_headers(subject, headers, content.into()).await;
        // One that it has already is acknowledged as well.
        sent.map_err(|error| failed(&error))?.await.map_err(|error| failed(&error))?;
        Ok(())
    }
}

fn headers(event: &Recorded) -> Result<HeaderMap, Failure> {
    let text = |given: Option<&str>| given.map(str::to_owned);
    let number = |given: u64| Some(given.to_string());
    let known = [
        ("Nats-Msg-Id", Some(event.id().to_string())),
        ("millpond-stream", text(Some(event.stream()))),
        ("millpond-version", number(event.version())),
        ("millpond-position", number(event.position())),
        ("millpond-type", text(Some(event.event_type()))),
        ("millpond-schema", number(event.schema().into())),
        ("millpond-recorded-at", Some(event.recorded_at_ms().to_string())),
        ("millpond-correlation", event.correlation().map(|id| id.to_string())),
        ("millpond-causation", event.causation().map(|id| id.to_string())),
        ("millpond-actor", text(event.actor())),
        ("millpond-tenant", text(event.tenant())),
    ];
    let mut headers = HeaderMap::new();
    for (name, value) in known {
        if let Some(value) = value {
            headers.insert(name, value.parse::<HeaderValue>()?);
        }
    }
    Ok(headers)
}
