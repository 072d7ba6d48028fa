//! Where events and jobs come from: what caused them, on whose behalf, for which tenant.

use uuid::Uuid;

use millpond_actors::error::Result;
use millpond_actors::storage::Origin as Kept;
use millpond_actors::{limits, name};

/// Where an event or a job comes from. Everything in it is optional.
///
/// Made from an event it is the origin of what follows from that: caused by the event, of the same correlation, on behalf of
/// the same actor, for the same tenant. The correlation of an event that has none is its own id, so a chain needs no
/// beginning. Made from a job it is the job's own: what is done for a job is caused by the event that led to it.
///
/// An aggregate hands it on by itself: the events of a command have the command's origin
/// ([`Execute::origin`](crate::Execute::origin)), and the jobs that are pushed with them
/// ([`Decision::push`](crate::Decision::push)) are caused by the last of these events.
///
/// # Examples
/// ```
/// use millpond::{Event, Expected, Origin, Push, Store};
/// # futures_executor::block_on(async {
/// let store = Store::memory().await?;
/// let events = store.events();
/// let placed = Event::new("Placed", &3)?.origin(Origin::new().actor("ada").tenant("acme"));
/// events.append("order-17", Expected::NoStream, [placed]).await?;
/// let placed = events.read_all().tenant("acme").next().await.expect("one event")?;
///
/// let mail = store.queue::<String>("mail");
/// mail.push_with(&"Dear Ada".to_owned(), Push::new().origin(&placed)).await?;
/// let job = mail.pop().await?;
/// assert_eq!((job.causation(), job.correlation()), (Some(placed.id()), Some(placed.id())));
/// assert_eq!((job.actor(), job.tenant()), (Some("ada"), Some("acme")));
/// # job.done().await?;
/// # store.close().await
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin(Kept);

impl Origin {
    /// Nothing is said.
    #[must_use]
    pub fn new() -> Origin {
        Origin::default()
    }

    /// What it belongs to: all that one thing has led to has the same.
    #[must_use]
    pub fn correlation(mut self, id: Uuid) -> Origin {
        self.0.correlation = Some(id);
        self
    }

    /// What has led to it directly: the id of an event or of a command.
    #[must_use]
    pub fn causation(mut self, id: Uuid) -> Origin {
        self.0.causation = Some(id);
        self
    }

    /// On whose behalf: 1 to 512 bytes, as a name.
    #[must_use]
    pub fn actor(mut self, actor: impl Into<String>) -> Origin {
        self.0.actor = Some(actor.into());
        self
    }

    /// For which tenant: 1 to 512 bytes, as a name. [`EventStream::tenant`](crate::EventStream::tenant) reads what one has.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Origin {
        self.0.tenant = Some(tenant.into());
        self
    }

    pub(crate) fn of(kept: Kept) -> Origin {
        Origin(kept)
    }

    /// As it is kept, if it can be.
    pub(crate) fn kept(self) -> Result<Option<Box<Kept>>> {
        self.check()?;
        Ok(self.0.kept())
    }

    /// Whether it can be kept.
    pub(crate) fn check(&self) -> Result<()> {
        let Origin(kept) = self;
        let given = [("actor", &kept.actor), ("tenant", &kept.tenant)];
        given.into_iter().try_for_each(|(what, given)| {
            given.as_ref().map_or(Ok(()), |given| name::check(what, given, limits::NAME_BYTES))
        })
    }
}
