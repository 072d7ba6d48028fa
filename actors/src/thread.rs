//! Our own threads: which they are, and that a panic on one of them stays where it happened.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

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
    catch_unwind(AssertUnwindSafe(code))
        .map_err(|panic| Error::Panicked { what: what(), message: message(&*panic) })
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
}
