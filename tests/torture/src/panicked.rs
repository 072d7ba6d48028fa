//! How often anything in this process has panicked, also where the store catches it.

use std::panic::{set_hook, take_hook};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

static COUNT: AtomicU64 = AtomicU64::new(0);

/// The number so far. Counting begins with the first call.
pub fn so_far() -> u64 {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            COUNT.fetch_add(1, Ordering::SeqCst);
            before(panic);
        }));
    });
    COUNT.load(Ordering::SeqCst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_that_is_caught_is_counted() {
        let before = so_far();
        let caught = std::panic::catch_unwind(|| panic!("on purpose"));
        assert!(caught.is_err() && so_far() > before);
    }
}
