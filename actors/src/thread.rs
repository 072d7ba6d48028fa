//! Our own threads: which they are, and that a panic on one of them stays where it happened.

use std::any::Any;
use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use crate::error::{Error, Result};

thread_local! {
    static OURS: Cell<bool> = const { Cell::new(false) };
}

/// Marks the current thread as one that must not wait for the store.
pub fn mark_as_ours() {
    OURS.with(|ours| ours.set(true));
}

/// Whether the current thread is one of the store's own: waiting on it would wait for itself.
#[must_use]
pub fn is_ours() -> bool {
    OURS.with(Cell::get)
}

/// Runs code that may panic; a panic becomes an error that says whose it was.
///
/// The code must leave behind nothing that a panic half way through makes unusable, or its caller must throw
/// that away.
///
/// # Errors
/// [`Error::Panicked`].
pub fn contain<T>(what: impl FnOnce() -> String, code: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|panic| {
        let error = Error::Panicked { what: what(), message: message(&*panic) };
        discard(panic);
        error
    })
}

/// Wakes callers: their executors are not ours, and may panic.
pub fn wake(waiting: Vec<Waker>) {
    for waker in waiting {
        let _ = contain(|| "the executor of a caller".into(), || waker.wake());
    }
}

/// Drops what is the user's: its `Drop` may panic, and that interests nobody.
pub fn discard<T>(theirs: T) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(theirs))) {
        // What a panic carries may panic in its turn, and so on: here it ends.
        std::mem::forget(panic);
    }
}

/// A value of the user's on a thread of ours. Wherever it is dropped, a panic in that goes no further: others wait for
/// that thread, and may be about to be told that their writes are on disk.
#[derive(Debug)]
pub struct Theirs<T>(Option<T>);

impl<T> Theirs<T> {
    /// It is the user's.
    pub fn new(value: T) -> Theirs<T> {
        Theirs(Some(value))
    }

    /// Hands it over to whoever has to do with it from now on.
    pub fn into_inner(mut self) -> T {
        self.0.take().unwrap_or_else(|| unreachable!("only this empties it, and it is gone after that"))
    }
}

impl<T> Deref for Theirs<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().unwrap_or_else(|| unreachable!("only `into_inner` empties it"))
    }
}

impl<T> DerefMut for Theirs<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().unwrap_or_else(|| unreachable!("only `into_inner` empties it"))
    }
}

impl<T> Drop for Theirs<T> {
    fn drop(&mut self) {
        if let Some(theirs) = self.0.take() {
            discard(theirs);
        }
    }
}

/// What a panic said, if it said it in words.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g10_a_panic_is_an_error_whatever_it_carries() {
        let whose = || "decide of \"x\"".to_owned();
        let said = contain(whose, || panic!("no {}", 7));
        assert_eq!(said, Err::<(), _>(Error::Panicked { what: whose(), message: "no 7".into() }));
        let mute = contain(whose, || std::panic::panic_any(7_u8));
        assert_eq!(mute, Err::<(), _>(Error::Panicked { what: whose(), message: "no message".into() }));
        assert_eq!(contain(whose, || 7), Ok(7));
    }

    /// Panics when it is dropped.
    struct Fragile;

    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    #[test]
    fn g10_a_panic_that_panics_again_goes_no_further() {
        let said = contain(|| "decide of \"x\"".into(), || std::panic::panic_any(Fragile));
        let message = "no message".to_owned();
        assert_eq!(said, Err::<(), _>(Error::Panicked { what: "decide of \"x\"".into(), message }));
    }

    #[test]
    fn g10_what_is_the_users_may_panic_when_it_is_dropped() {
        drop(Theirs::new(Fragile));
        drop(Theirs::new(vec![Fragile]));
        let mut kept = Theirs::new(7);
        *kept += 1;
        assert_eq!((*kept, kept.into_inner()), (8, 8));
    }
}
