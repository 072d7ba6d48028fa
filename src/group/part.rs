//! The part of a channel that a message belongs to.

use millpond_actors::limits::GROUP_PARTS;
use millpond_actors::storage::partition;

/// The part that a message belongs to. Messages of one key always belong to one part; those without a key are dealt out in
/// turn.
pub(super) fn part_of(key: Option<&str>, sequence: u64) -> usize {
    let number = key.map_or(sequence, partition::number);
    usize::try_from(number % GROUP_PARTS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c2_a_key_is_always_of_the_same_part() {
        // These belong to the file: if one of them changes, processes of two versions hand one key to two consumers.
        let found = ["", "a", "order-17", "order-18"].map(|key| part_of(Some(key), 5));
        assert_eq!(found, ["", "a", "order-17", "order-18"].map(|key| part_of(Some(key), 6)));
        assert_eq!(found, [6, 27, 31, 18]);
        let mut used = [0; GROUP_PARTS];
        (0..3_200).for_each(|n| used[part_of(Some(&format!("order-{n}")), 1)] += 1);
        assert!(used.iter().all(|count| (50..200).contains(count)), "{used:?}");
        assert_eq!((part_of(None, 31), part_of(None, 32), part_of(None, 33)), (31, 0, 1));
    }
}
