//! Where a write comes from: what caused it, on whose behalf, for which tenant. Kept beside events and jobs.

use uuid::Uuid;

/// Where an event or a job comes from. Everything in it is optional, and most writes have none of it: so it is kept as
/// `Option<Box<Origin>>`, where nothing costs a word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// What belongs together has one: everything that one thing has led to, however far.
    pub correlation: Option<Uuid>,
    /// What has led to it directly: the id of an event or of a command.
    pub causation: Option<Uuid>,
    /// On whose behalf.
    pub actor: Option<String>,
    /// For which tenant; events can be picked out by it.
    pub tenant: Option<String>,
}

impl Origin {
    /// As it is kept.
    #[must_use]
    pub fn kept(self) -> Option<Box<Origin>> {
        (self != Origin::default()).then(|| Box::new(self))
    }

    /// The origin of what follows from something with this id and this origin. The correlation of what has none is its
    /// own id, so that the first of a chain needs none.
    #[must_use]
    pub fn following(id: Uuid, origin: Option<&Origin>) -> Origin {
        let Origin { correlation, actor, tenant, .. } = origin.cloned().unwrap_or_default();
        Origin { correlation: correlation.or(Some(id)), causation: Some(id), actor, tenant }
    }
}
