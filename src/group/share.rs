//! Who of a group has which part: a rule that gives every member the same answer, from the list of members alone.

use millpond_actors::limits::GROUP_PARTS;

/// The part that a message belongs to. Messages of one key always belong to one part; those without a key are dealt out in
/// turn.
pub(super) fn part_of(key: Option<&str>, sequence: u64) -> usize {
    let number = key.map_or(sequence, |key| mix(hash(key)));
    usize::try_from(number % GROUP_PARTS as u64).unwrap_or(0)
}

/// FNV-1a. It belongs to the file, as the number of parts does: it must never change.
fn hash(key: &str) -> u64 {
    key.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Spreads a number over all its bits (the finalizer of MurmurHash3).
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let number = (number ^ (number >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    number ^ (number >> 33)
}

/// Which parts one of the members has, as long as these are the members. Everybody has as many as the others, or one more.
///
/// Each part goes to the member who likes it best among those who may still have one (rendezvous hashing with a bound), so
/// that few parts change hands when somebody comes or goes.
pub(super) fn parts_of(members: &[u64], member: u64) -> [bool; GROUP_PARTS] {
    let mut own = [false; GROUP_PARTS];
    let count = members.len().max(1);
    let (each, mut more) = (GROUP_PARTS / count, GROUP_PARTS % count);
    let mut given: Vec<(u64, usize)> = members.iter().map(|member| (*member, 0)).collect();
    for (part, is_own) in (0_u64..).zip(&mut own) {
        let liking = |member: u64| (mix(member ^ mix(part + 1)), member);
        let may_have = |given: usize| given < each || (given == each && more > 0);
        let candidates = given.iter_mut().filter(|(_, given)| may_have(*given));
        let Some((best, given)) = candidates.max_by_key(|(member, _)| liking(*member)) else { continue };
        more -= usize::from(*given == each);
        *given += 1;
        *is_own = *best == member;
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(members: &[u64]) -> Vec<u64> {
        let shares: Vec<_> = members.iter().map(|member| (*member, parts_of(members, *member))).collect();
        let owner = |part: usize| {
            let owners: Vec<u64> =
                shares.iter().filter(|(_, share)| share[part]).map(|(member, _)| *member).collect();
            assert_eq!(owners.len(), 1, "part {part} of {members:?}");
            owners[0]
        };
        (0..GROUP_PARTS).map(owner).collect()
    }

    #[test]
    fn c2_every_part_has_one_owner_and_everybody_has_his_share() {
        for count in 1..=40_u64 {
            let members: Vec<u64> = (0..count).map(|n| n * 7 + 3).collect();
            let owners = owners(&members);
            let counts = members.iter().map(|member| owners.iter().filter(|owner| *owner == member).count());
            let (least, most) = counts.fold((usize::MAX, 0), |(least, most), n| (least.min(n), most.max(n)));
            assert!(most - least <= 1, "{count}: {least} to {most}");
        }
        assert_eq!(parts_of(&[], 7), [false; GROUP_PARTS]);
        assert_eq!(parts_of(&[1, 2], 7), [false; GROUP_PARTS], "whoever is no member has nothing");
    }

    #[test]
    fn few_parts_change_hands_when_somebody_comes_or_goes() {
        for count in 1..=8_u64 {
            let members: Vec<u64> = (0..count).map(|n| n * 13 + 5).collect();
            let more: Vec<u64> = members.iter().copied().chain([1_000]).collect();
            let (before, after) = (owners(&members), owners(&more));
            let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
            let fair = GROUP_PARTS / more.len();
            assert!(moved <= 2 * fair + 2, "{count}: {moved} moved, {fair} would be the least");
        }
    }

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
