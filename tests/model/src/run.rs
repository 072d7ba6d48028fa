//! Explores the model to its end and tells what was found.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stateright::{Checker, HasDiscoveries, Model};

use crate::mutant::Mutant;
use crate::promises;
use crate::state::Bounds;
use crate::symmetry::representative;
use crate::world::World;

/// What `cargo test` explores: every rule can break in it.
pub const SMALL: Bounds = Bounds { ttl: 2, take_up: 1, numbers: 3, restarts: 0, mutant: Mutant::None };

/// What the program explores unless told otherwise.
pub const FULL: Bounds = Bounds { ttl: 3, take_up: 1, numbers: 5, restarts: 1, mutant: Mutant::None };

/// What an exploration found.
#[derive(Clone, Debug)]
pub struct Report {
    /// How far it went.
    pub bounds: Bounds,
    /// Different states.
    pub states: usize,
    /// Ways from state to state.
    pub steps: usize,
    /// Steps of the longest way gone.
    pub depth: usize,
    /// Every property, and whether it was broken.
    pub properties: Vec<(&'static str, bool)>,
    /// How a promise was broken, step by step.
    pub counterexamples: Vec<(&'static str, String)>,
}

impl Report {
    /// The names of what was broken.
    #[must_use]
    pub fn broken(&self) -> Vec<&'static str> {
        self.properties.iter().filter(|(_, broken)| *broken).map(|(name, _)| *name).collect()
    }

    /// One line.
    #[must_use]
    pub fn json(&self) -> Value {
        let Bounds { ttl, take_up, numbers, restarts, mutant } = self.bounds;
        let properties: serde_json::Map<String, Value> =
            self.properties.iter().map(|(name, broken)| ((*name).to_owned(), json!(!broken))).collect();
        json!({
            "program": "model", "ttl": ttl, "take_up": take_up, "numbers": numbers, "restarts": restarts,
            "mutant": format!("{mutant:?}"), "states": self.states, "steps": self.steps, "depth": self.depth,
            "properties": properties, "broken": self.broken(),
        })
    }
}

/// Explores everything within the world's bounds. With `only`, no further than that promise's first breach.
#[must_use]
pub fn explore(world: World, only: Option<&'static str>, threads: usize) -> Report {
    let bounds = world.bounds;
    let builder = world.checker().threads(threads);
    match only {
        // Breadth first, because the shortest way to a breach is the one to read.
        Some(name) => {
            let enough = HasDiscoveries::AllOf(BTreeSet::from([name]));
            report(bounds, &builder.finish_when(enough).spawn_bfs().join())
        }
        None => report(bounds, &builder.symmetry_fn(representative).spawn_dfs().join()),
    }
}

fn report(bounds: Bounds, checker: &impl Checker<World>) -> Report {
    let found = checker.discoveries();
    let all = promises::all();
    let properties: Vec<_> = all
        .iter()
        .map(|property| (property.name, promises::is_broken(property, found.contains_key(property.name))))
        .collect();
    let counterexamples = properties
        .iter()
        .filter(|(_, broken)| *broken)
        .filter_map(|(name, _)| found.get(name).map(|path| (*name, format!("{path}"))))
        .collect();
    let (states, steps, depth) = (checker.unique_state_count(), checker.state_count(), checker.max_depth());
    Report { bounds, states, steps, depth, properties, counterexamples }
}
