//! Bytes that nobody meant, for what reads bytes: no panic, no hang, no memory that the bytes only claim to need.
//!
//! `cargo run --release -p fuzz -- TARGET [--seed N] [--seconds N] [--runs N]` prints one line of JSON with figures, and
//! exits with 1 if something was found. A target is a plain function of bytes; the driver here changes the inputs in
//! `corpus/` at random, from a seed, and needs nothing but a stable compiler, so that its short form and the corpus are
//! ordinary tests. It does not learn from what the inputs reach; `guided/` has libFuzzer do that to the same functions.
//!
//! | file | what is fed |
//! | --- | --- |
//! | `import` | lines of `millpond events import` |
//! | `codec` | what was stored: events, snapshots, and the checksum of a record |
//! | `store` | operations on two stores, one in memory and one in a file, which must do the same |
//! | `dump` | lines of a dump, which are loaded and dumped again |
//! | `driver` | inputs, limits and figures |

mod codec;
mod driver;
mod dump;
mod import;
mod store;
#[allow(dead_code, reason = "the importer needs one function of it")]
#[path = "../../../src/bin/millpond/time.rs"]
mod time;

pub use self::driver::{Report, Settings, corpus, run};

/// What is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Lines of an import.
    Import,
    /// What was stored.
    Codec,
    /// Operations on two stores.
    Store,
    /// Lines of a dump.
    Dump,
    /// Nothing: it panics, takes its time and its memory when it is told to. For whoever watches the driver.
    Bad,
}

impl Target {
    /// Those that are meant to be fed.
    pub const ALL: [Target; 4] = [Target::Import, Target::Codec, Target::Store, Target::Dump];

    /// By its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Target> {
        Target::ALL.into_iter().find(|target| target.name() == name)
    }

    /// Its name, which is also the name of its corpus.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Target::Import => "import",
            Target::Codec => "codec",
            Target::Store => "store",
            Target::Dump => "dump",
            Target::Bad => "bad",
        }
    }

    /// Feeds it. It panics if something is wrong.
    pub fn run(self, bytes: &[u8]) {
        match self {
            Target::Import => import::feed(bytes),
            Target::Codec => codec::feed(bytes),
            Target::Store => store::feed(bytes),
            Target::Dump => dump::feed(bytes),
            Target::Bad => driver::misbehave(bytes),
        }
    }
}
