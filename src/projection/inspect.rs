//! All projections of a store, and who runs which.

use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::View;
use millpond_actors::storage::lock::Line;

use super::{Progress, lock_name, members_name};
use crate::inspect::Inspector;

impl Inspector {
    /// Up to `limit` projections that have begun, by name, those behind `after`.
    ///
    /// # Errors
    /// What the database said.
    pub async fn projections(&self, after: Option<&str>, limit: u32) -> Result<Vec<Progress>> {
        self.runtime.read(projections(after, limit)).await
    }

    /// The lock of whoever runs a projection: its holder does, and others wait in line to take over; or of one in
    /// [partitions](crate::Reactor::partitions) all holders do. `None` if nobody ever has.
    ///
    /// # Errors
    /// A bad name; what the database said.
    pub async fn projector(&self, projection: impl AsRef<str>) -> Result<Option<Line>> {
        let name = Name::new(projection.as_ref())?;
        match self.lock(members_name(&name)).await? {
            Some(members) if !members.holders.is_empty() => Ok(Some(members)),
            _ => self.lock(lock_name(&name)).await,
        }
    }
}

/// What looks for projections.
pub(crate) fn projections(
    after: Option<&str>,
    limit: u32,
) -> impl FnOnce(&mut dyn View) -> Result<Vec<Progress>> + Send + 'static {
    let after = after.map(str::to_owned);
    move |view| {
        let generations = view.projections(after.as_deref(), limit)?;
        // Read behind the checkpoints, none of which is ahead of it.
        let head = view.head()?;
        let of_each = generations.chunk_by(|one, next| one.name == next.name);
        Ok(of_each.filter_map(|generations| Progress::of(generations, head)).collect())
    }
}
