//! Dumps, once all has happened: of both databases they are the same, and so is what comes of loading them; and nothing is found wrong with either.

use millpond_actors::storage::Moment;

use super::super::dumps::{dumped, load, records};
use super::{Pair, fresh_memory};
use crate::check::check;
use crate::dump::{Dump, Load};

impl Pair {
    /// Whatever has happened, nothing is wrong with either.
    fn check(&mut self) {
        let now = self.now;
        self.both(|side| {
            let mut wrong = Vec::new();
            side.view.check(&mut |error| {
                wrong.push(error);
                true
            })?;
            assert_eq!(wrong, []);
            let report = check(&mut *side.view, now)?;
            assert_eq!(report.findings, []);
            Ok::<_, millpond_actors::error::Error>(())
        })
        .unwrap();
    }
}

/// Compares the dumps, loads them into stores that are empty and into those that they are of, and compares again.
pub(super) fn compare(pair: &mut Pair) {
    let now = pair.now;
    pair.check();
    let lines = pair.both(|side| records(&mut *side.view, now));
    let text = dumped(&mut *pair.tried.view, now, Dump::new().with_keys());
    let memory = fresh_memory();
    load(&*memory.backend, now, &text, Load::new()).unwrap();
    // What was loaded goes by the wall clock, which may have been set.
    let early = Moment { boot_ms: 0, wall_ms: i64::MIN };
    assert_eq!(records(&mut *memory.backend.view().unwrap(), early), lines, "into memory and back");
    let mut lines = lines;
    for how in [Load::new(), Load::new().append(), Load::new().replace()] {
        let loaded = pair.both(|side| load(&*side.fresh.backend, now, &text, how.clone()));
        let after = pair.both(|side| records(&mut *side.view, now));
        assert!(loaded.is_ok() || after == lines, "what is refused leaves no trace");
        lines = after;
        pair.check();
    }
}
