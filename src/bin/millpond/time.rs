//! tmp
#![allow(clippy::disallowed_methods)]
pub(crate) fn now() -> std::time::Instant {
    std::time::Instant::now()
}
pub(crate) fn pause(d: std::time::Duration) {
    std::thread::sleep(d)
}
pub(crate) fn event_id() -> uuid::Uuid {
    uuid::Uuid::now_v7()
}
