//! The same instruments where nobody is told: they hold nothing and do nothing.

/// Whether anything is told at all.
pub(super) const IS_TOLD: bool = false;

/// Says what all metrics mean.
pub(super) fn describe() {}

/// Something that is counted.
#[derive(Debug, Default)]
pub(super) struct Counter;

impl Counter {
    pub(super) fn new(_: &'static str) -> Counter {
        Counter
    }

    pub(super) fn labelled(_: &'static str, _: &'static str, _: &'static str) -> Counter {
        Counter
    }

    pub(super) fn add(&self, _: u64) {}
}

/// Something that goes up and down.
#[derive(Debug, Default)]
pub(super) struct Level;

impl Level {
    pub(super) fn new(_: &'static str) -> Level {
        Level
    }

    pub(super) fn set(&self, _: u64) {}

    pub(super) fn up(&self) {}

    pub(super) fn down(&self, _: u64) {}
}

/// Something that has a size, or takes time.
#[derive(Debug, Default)]
pub(super) struct Spread;

impl Spread {
    pub(super) fn new(_: &'static str) -> Spread {
        Spread
    }

    pub(super) fn size(&self, _: u64) {}

    pub(super) fn time(&self, _: u64) {}
}
