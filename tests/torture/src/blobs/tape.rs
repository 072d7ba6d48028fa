//! Bytes that look random, come from a seed, and are on no disk: as many as are wanted, a piece at a time.

use crate::random::Random;

/// The bytes of a seed, from the first on.
#[derive(Debug)]
pub(super) struct Tape {
    random: Random,
    left: u64,
}

impl Tape {
    /// So many bytes. Pieces of a length that 8 divides follow one another without a gap.
    pub(super) fn new(seed: u64, bytes: u64) -> Tape {
        Tape { random: Random::new(seed), left: bytes }
    }

    /// The next ones, as many as there is room for and are left.
    pub(super) fn next<'p>(&mut self, piece: &'p mut [u8]) -> &'p [u8] {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(piece.len());
        self.left -= length as u64;
        let (piece, _) = piece.split_at_mut(length);
        for word in piece.chunks_mut(8) {
            let random = self.random.below(u64::MAX).to_le_bytes();
            word.iter_mut().zip(random).for_each(|(byte, random)| *byte = random);
        }
        piece
    }
}
