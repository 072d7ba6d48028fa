//! The ends of a list: what is put there, taken there, and waited for.

use std::borrow::Borrow;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use millpond_actors::error::{Error, Result};
use millpond_actors::list::{Abandoned, ListActor, Pop, Popped, Wait, Write};
use millpond_actors::name::Name;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::list::{At, End};

use super::List;
use crate::codec;

impl<T: Serialize> List<T> {
    /// Puts an item behind all others. How many there are then. `Ok` means: on disk.
    ///
    /// Cancel-safe: if the future is dropped, it is put or not; which of them is not known.
    ///
    /// # Errors
    /// A bad name; [`Error::Encode`]; [`Error::TooLarge`] beyond 4 MiB; [`Error::Busy`]; what the database said. Nothing is changed
    /// then.
    pub async fn push_back(&self, value: &T) -> Result<u64> {
        self.push_all(End::Back, [value]).await
    }

    /// Puts an item in front of all others. How many there are then.
    ///
    /// # Errors
    /// As [`push_back`](List::push_back).
    pub async fn push_front(&self, value: &T) -> Result<u64> {
        self.push_all(End::Front, [value]).await
    }

    /// Puts items at an end in one commit, all or none, at most 10,000 and 64 MiB; in their order, also at the front: the first of them
    /// is the first of the list then. How many there are in it.
    ///
    /// # Errors
    /// As [`push_back`](List::push_back).
    pub async fn push_all<V: Borrow<T>>(&self, end: End, values: impl IntoIterator<Item = V>) -> Result<u64> {
        let (insert, means) = self.inserting(At::End(end), values)?;
        if insert.items.is_empty() {
            return self.count().await;
        }
        let (_, count) = means(self.put(&insert.list.clone(), |r, p| Write::Insert(insert, r, p)).await?)?;
        Ok(count)
    }

    /// The same for a thread that waits.
    pub(crate) fn push_all_blocking<V: Borrow<T>>(
        &self,
        end: End,
        values: impl IntoIterator<Item = V>,
    ) -> Result<u64> {
        let (insert, means) = self.inserting(At::End(end), values)?;
        if insert.items.is_empty() {
            return self.count_blocking();
        }
        let (_, count) = means(self.put_blocking(&insert.list.clone(), |r, p| Write::Insert(insert, r, p))?)?;
        Ok(count)
    }
}

impl<T: DeserializeOwned> List<T> {
    /// Takes the first item, and waits for one without limit.
    ///
    /// Cancel-safe: if the future is dropped, nothing is taken; an item that is given to it at the same moment goes back to the end
    /// from which it came, in a commit of its own. (Of several that go back at once any may be the outermost.)
    ///
    /// # Errors
    /// A bad name; [`Error::Corrupt`] if it is damaged, and then it stays; [`Error::Busy`] and [`Error::CommitUnknown`] if the store
    /// could not be written to, [`Error::Overloaded`] if too many wait; what the database said. [`Error::Decode`] if it is no `T`: it
    /// goes back too.
    pub async fn pop_front(&self) -> Result<T> {
        self.pop_waiting(End::Front).await
    }

    /// Takes the last item, and waits for one without limit.
    ///
    /// # Errors
    /// As [`pop_front`](List::pop_front).
    pub async fn pop_back(&self) -> Result<T> {
        self.pop_waiting(End::Back).await
    }

    /// Takes the first item if there is one.
    ///
    /// # Errors
    /// As [`pop_front`](List::pop_front).
    pub async fn try_pop_front(&self) -> Result<Option<T>> {
        self.pop(End::Front, Wait::No).await
    }

    /// Takes the last item if there is one.
    ///
    /// # Errors
    /// As [`pop_front`](List::pop_front).
    pub async fn try_pop_back(&self) -> Result<Option<T>> {
        self.pop(End::Back, Wait::No).await
    }

    /// Takes the first item, and waits for one, but not longer than `time`.
    ///
    /// # Errors
    /// As [`pop_front`](List::pop_front).
    pub async fn pop_front_within(&self, time: Duration) -> Result<Option<T>> {
        self.pop(End::Front, Wait::For(time)).await
    }

    /// Takes the last item, and waits for one, but not longer than `time`.
    ///
    /// # Errors
    /// As [`pop_front`](List::pop_front).
    pub async fn pop_back_within(&self, time: Duration) -> Result<Option<T>> {
        self.pop(End::Back, Wait::For(time)).await
    }

    async fn pop_waiting(&self, end: End) -> Result<T> {
        self.pop(end, Wait::Forever).await?.ok_or_else(|| self.unanswered())
    }

    async fn pop(&self, end: End, wait: Wait) -> Result<Option<T>> {
        let name = self.name()?;
        let mut leaving = Leaving { runtime: &self.runtime, name: &name, waits: true };
        let popped = self.runtime.enter_and(|reply, passage| {
            self.runtime.tell::<ListActor, _>(&name, Pop { end, wait, reply, passage });
        });
        let popped = popped.await;
        // After an error it may wait all the same.
        leaving.waits = popped.is_err();
        popped?.map(|popped| kept(&name, popped)).transpose()
    }

    /// The same for a thread that waits.
    pub(crate) fn pop_blocking(&self, end: End, wait: Wait) -> Result<Option<T>> {
        let name = self.name()?;
        let popped = self.runtime.enter_and_wait(|reply, passage| {
            self.runtime.tell::<ListActor, _>(&name, Pop { end, wait, reply, passage });
        })?;
        popped.map(|popped| kept(&name, popped)).transpose()
    }

    /// The error of one who waits without limit and was answered with nothing.
    pub(crate) fn unanswered(&self) -> Error {
        Error::ActorFailed { what: format!("list {:?}", self.name) }
    }
}

/// The value of an item that was taken. What is no `T` goes back: others may know it.
fn kept<T: DeserializeOwned>(name: &Name, popped: Popped) -> Result<T> {
    let value = codec::from_data(&format_args!("an item of list \"{name}\""), popped.data())?;
    popped.keep();
    Ok(value)
}

/// Tells the actor when a caller goes away while it waits.
struct Leaving<'a> {
    runtime: &'a Runtime,
    name: &'a Name,
    waits: bool,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if self.waits {
            self.runtime.tell::<ListActor, _>(self.name, Abandoned);
        }
    }
}
