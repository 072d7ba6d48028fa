//! The processes of both sides, side by side.

use millpond_actors::storage::{Moment, Process};

use super::{Pair, Side};

impl Pair {
    /// A process that needs not say that it lives may be silent a little longer.
    pub(super) fn compare_processes(&mut self, now: Moment) {
        let silent = |side: &mut Side| -> Vec<u64> {
            side.view.processes(now).unwrap().iter().map(|process| process.silent_ms).collect()
        };
        let (right, tried) = (silent(&mut self.right), silent(&mut self.tried));
        assert!(tried.iter().zip(&right).all(|(tried, right)| *tried <= right + 250), "{tried:?}, {right:?}");
        self.compare(|view| {
            let shown = view.processes(now)?.into_iter().map(|process| Process { silent_ms: 0, ..process });
            Ok(shown.collect::<Vec<_>>())
        });
    }
}
