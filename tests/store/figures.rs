//! Metrics as a test reads them: what was told to a recorder of its own since it looked last.

use std::collections::BTreeMap;

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

/// Where what is told can be read.
pub(crate) struct Figures {
    snapshotter: Snapshotter,
}

/// What was told, by name: how much was added to it. Of what has a size or takes time, how often it was said, and under
/// `name sum` what it comes to. A label is written behind the name: `name{value}`.
pub(crate) type Told = BTreeMap<String, f64>;

impl Figures {
    /// Has `make` make something that tells, which it does to this recorder and to nobody else's.
    pub(crate) fn of<T>(make: impl FnOnce() -> T) -> (Figures, T) {
        let recorder = DebuggingRecorder::new();
        let made = metrics::with_local_recorder(&recorder, make);
        (Figures { snapshotter: recorder.snapshotter() }, made)
    }

    /// All that is known by name, also what nothing was added to.
    pub(crate) fn all(&self) -> Told {
        let mut told = Told::new();
        for (key, _, _, value) in self.snapshotter.snapshot().into_vec() {
            let labels: String = key.key().labels().map(|label| format!("{{{}}}", label.value())).collect();
            let name = format!("{}{labels}", key.key().name());
            match value {
                DebugValue::Counter(count) => told.insert(name, count as f64),
                DebugValue::Gauge(added) => told.insert(name, added.0),
                DebugValue::Histogram(values) => {
                    told.insert(format!("{name} sum"), values.iter().map(|value| value.0).sum());
                    told.insert(name, values.len() as f64)
                }
            };
        }
        told
    }

    /// What was told since it was looked last, of these.
    pub(crate) fn since<const N: usize>(&self, names: [&str; N]) -> [f64; N] {
        let told = self.all();
        names.map(|name| *told.get(name).unwrap_or_else(|| panic!("nobody tells of {name}")))
    }
}
