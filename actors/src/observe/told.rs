//! Instruments that tell what happens to the recorder of the program. One that is not there is not told: then each of these is a
//! look at a pointer.
//!
//! A handle is made once, when a store is opened, and kept: nothing is looked up or hashed later. A recorder is the user's code,
//! and may panic; what it is told of has been committed by then, and its callers are to be told so.

use std::sync::atomic::{AtomicI64, Ordering};

use super::metric::{ALL, Kind};
use crate::thread;

/// Whether anything is told at all.
pub(super) const IS_TOLD: bool = true;

/// Tells the recorder something. Whatever it does with it goes no further.
fn tell(telling: impl FnOnce()) {
    let _ = thread::contain(|| "the recorder of metrics".into(), telling);
}

/// Says what all metrics mean.
pub(super) fn describe() {
    for metric in ALL {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.about),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.about),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.about),
        }
    }
}

/// Something that is counted.
#[derive(Debug)]
pub(super) struct Counter(metrics::Counter);

impl Default for Counter {
    fn default() -> Counter {
        Counter(metrics::Counter::noop())
    }
}

impl Counter {
    pub(super) fn new(name: &'static str) -> Counter {
        Counter(metrics::counter!(name))
    }

    pub(super) fn labelled(name: &'static str, label: &'static str, value: &'static str) -> Counter {
        Counter(metrics::counter!(name, label => value))
    }

    pub(super) fn add(&self, count: u64) {
        if count > 0 {
            tell(|| self.0.increment(count));
        }
    }
}

/// Something that goes up and down. Several stores of a process add to one gauge, and what one has added goes with it.
#[derive(Debug)]
pub(super) struct Level {
    gauge: metrics::Gauge,
    added: AtomicI64,
}

impl Default for Level {
    fn default() -> Level {
        Level { gauge: metrics::Gauge::noop(), added: AtomicI64::new(0) }
    }
}

impl Level {
    pub(super) fn new(name: &'static str) -> Level {
        Level { gauge: metrics::gauge!(name), added: AtomicI64::new(0) }
    }

    /// For this store it is so much.
    pub(super) fn set(&self, level: u64) {
        let level = level.cast_signed();
        let before = self.added.swap(level, Ordering::Relaxed);
        if before != level {
            tell(|| self.gauge.increment((level - before) as f64));
        }
    }

    pub(super) fn up(&self) {
        self.added.fetch_add(1, Ordering::Relaxed);
        tell(|| self.gauge.increment(1.0));
    }

    pub(super) fn down(&self, count: u64) {
        self.added.fetch_sub(count.cast_signed(), Ordering::Relaxed);
        tell(|| self.gauge.decrement(count as f64));
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Something that has a size, or takes time.
#[derive(Debug)]
pub(super) struct Spread(metrics::Histogram);

impl Default for Spread {
    fn default() -> Spread {
        Spread(metrics::Histogram::noop())
    }
}

impl Spread {
    pub(super) fn new(name: &'static str) -> Spread {
        Spread(metrics::histogram!(name))
    }

    pub(super) fn size(&self, size: u64) {
        tell(|| self.0.record(size as f64));
    }

    pub(super) fn time(&self, micros: u64) {
        tell(|| self.0.record(micros as f64 / 1_000_000.0));
    }
}
