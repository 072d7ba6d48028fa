//! The bell of a simulated process, whose rings get lost.

use std::sync::Arc;

use millpond::Result;
use millpond_actors::storage::Bell;

use super::ground::{Ground, Ring};
use super::mutant::Mutant;

/// A bell whose rings come late or not at all.
pub(super) struct Rope {
    pub(super) bell: Option<Box<dyn Bell>>,
    pub(super) ground: Ground,
}

impl Bell for Rope {
    fn listen(&self, on_ring: Box<dyn Fn() + Send + Sync>) -> Result<()> {
        let (ground, ring) = (self.ground.clone(), Ring(Arc::from(on_ring)));
        let listen = move || {
            let mut state = ground.state();
            if state.mutant == Some(Mutant::Deaf) || state.chance(5) {
                state.figures.lost_rings += 1;
            } else if state.chance(5) {
                let at_ms = state.now_ms + 1 + state.random.below(300);
                state.rings.push((at_ms, ring.clone()));
            } else {
                drop(state);
                (ring.0)();
            }
        };
        self.bell.as_ref().map_or(Ok(()), |bell| bell.listen(Box::new(listen)))
    }

    fn waiting(&self, somebody: bool) -> Result<()> {
        self.bell.as_ref().map_or(Ok(()), |bell| bell.waiting(somebody))
    }
}
