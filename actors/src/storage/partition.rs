//! Partitions: what is divided among several who share the work, by a name whose order must stay.

/// One of so many partitions that something is divided into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Which, from 0 on.
    pub index: u32,
    /// Of how many, at least one.
    pub of: u32,
}

impl Partition {
    /// All of it.
    pub const WHOLE: Partition = Partition { index: 0, of: 1 };

    /// Each of so many.
    pub fn each(of: u32) -> impl Iterator<Item = Partition> {
        (0..of).map(move |index| Partition { index, of })
    }

    /// Whether there are others.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.of <= 1
    }

    /// Whether what has this name belongs to it. A name always belongs to the same one.
    #[must_use]
    pub fn holds(self, name: &str) -> bool {
        self.is_whole() || number(name) % u64::from(self.of) == u64::from(self.index)
    }
}

impl Default for Partition {
    fn default() -> Partition {
        Partition::WHOLE
    }
}

/// What decides to which partition a name belongs: FNV-1a, mixed. It belongs to the file: it must never change.
#[must_use]
pub fn number(name: &str) -> u64 {
    let byte = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    mix(name.bytes().fold(0xcbf2_9ce4_8422_2325, byte))
}

/// Spreads a number over all its bits (the finalizer of MurmurHash3).
#[must_use]
pub fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let number = (number ^ (number >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    number ^ (number >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_belongs_to_one_partition_and_always_to_the_same() {
        for of in 1..=40 {
            for name in (0..100).map(|n| format!("order-{n}")) {
                assert_eq!(Partition::each(of).filter(|it| it.holds(&name)).count(), 1, "{name} of {of}");
            }
        }
        // These belong to the file: if one of them changes, an event is read by two of two versions, or by none.
        let index = |name: &str| Partition::each(8).position(|it| it.holds(name)).unwrap();
        assert_eq!(["", "a", "order-17", "order-18"].map(index), [6, 3, 7, 2]);
    }

    #[test]
    fn they_are_about_as_large_as_each_other() {
        for partition in Partition::each(8) {
            let held = (0..8_000).filter(|n| partition.holds(&format!("order-{n}"))).count();
            assert!((850..1_150).contains(&held), "{partition:?}: {held}");
        }
    }
}
