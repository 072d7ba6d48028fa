//! A server answers, keeps what was committed when it is killed, and is gone with its process; a proxy loses what it is told to.
//!
//! Where there is no PostgreSQL these tests say so and do nothing, unless `MILLPOND_DEMAND_POSTGRES` is set. Nothing here sleeps.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that is wrong should fail"
)]

mod client;
mod endings;
mod proxies;
mod servers;
