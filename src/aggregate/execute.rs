//! What is said about a command.

use uuid::Uuid;

use millpond_actors::aggregate::About;
use millpond_actors::error::Result;

use crate::origin::Origin;

/// What is said about a command beside itself.
///
/// # Examples
/// ```
/// # use millpond::{Aggregate, Decision, Execute, Origin, Store};
/// # #[derive(Clone, Default)]
/// # struct Order;
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # enum Happened { Placed }
/// # impl Aggregate for Order {
/// #     const KIND: &'static str = "order";
/// #     type Command = ();
/// #     type Event = Happened;
/// #     type Rejection = std::convert::Infallible;
/// #     fn decide(&self, _: &()) -> Result<Decision<Order>, std::convert::Infallible> { Ok([Happened::Placed].into()) }
/// #     fn evolve(&mut self, _: &Happened) {}
/// # }
/// # futures_executor::block_on(async {
/// # let order = Store::memory().await.unwrap().aggregate::<Order>("17");
/// # let request = uuid::Uuid::from_u128(7);
/// let how = Execute::new().id(request).origin(Origin::new().actor("ada").tenant("acme"));
/// let first = order.execute_with((), how.clone()).await.unwrap();
/// let again = order.execute_with((), how).await.unwrap();
/// assert_eq!((first.repeated, again.repeated), (false, true));
/// assert_eq!((first.version, again.version), (1, 1));
/// # });
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "it is given to `execute_with`"]
pub struct Execute {
    id: Option<Uuid>,
    origin: Origin,
}

impl Execute {
    /// Nothing special.
    pub fn new() -> Execute {
        Execute::default()
    }

    /// Gives the command an id, which makes it repeatable: in one aggregate it takes effect once, however often it is sent,
    /// by whatever process, now or in years. Who sends it again is answered what it had led to, with
    /// [`repeated`](crate::Committed::repeated) set, and it is not decided again. A command that was rejected, or led to no
    /// event, has left no trace, and is decided anew. With an id a decision that has effects must also have an event.
    pub fn id(self, id: Uuid) -> Execute {
        Execute { id: Some(id), ..self }
    }

    /// Where the command comes from: the event or the job that it is sent for, on whose behalf, for which tenant. Its events
    /// have the same; they are caused by the command if that has an id, and else by what caused the command.
    pub fn origin(self, origin: impl Into<Origin>) -> Execute {
        Execute { origin: origin.into(), ..self }
    }

    pub(super) fn about(self) -> Result<About> {
        Ok(About { id: self.id, origin: self.origin.kept()? })
    }
}
