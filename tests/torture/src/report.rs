//! What programs complain of: promises that were broken, by their kind and in words.

use std::collections::BTreeMap;

/// A promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Broken {
    /// An acknowledged event is missing, elsewhere, or not what it was (G1).
    Lost,
    /// Versions or positions are not dense, or two ways of reading differ (G2, A1).
    Hole,
    /// An event is there twice (G4).
    Twice,
    /// More held a lock at once than may, or a token went back (L1, L2, L3).
    Overlap,
    /// A call is there in part (G2).
    Torn,
    /// The file, or a record in it, is damaged (G14).
    Corrupt,
    /// The store cannot be opened or written (G7).
    Wedged,
    /// What was said not to have been applied is there (G3).
    Lie,
    /// What was unknown was settled, and is another now (G3).
    Unsettled,
    /// Of one group some failed and others did not (G6).
    Apart,
    /// A write failed, and neither an answer nor a figure tells of it (G13).
    Hidden,
    /// No one order of the commits explains what was read (G5).
    Order,
    /// Something is held, waited for or alive that belongs to nobody any more (L6, R1, G11).
    Leaked,
    /// A caller was not answered (G3, G10).
    Unanswered,
    /// A child got an error, or the file is damaged (G7).
    Failed,
}

/// What was broken, in words.
pub type Violation = (Broken, String);

/// Some of them in words: two of each kind.
pub(crate) fn samples<B: Copy + Ord + std::fmt::Debug>(violations: &[(B, String)]) -> Vec<String> {
    let mut counts: BTreeMap<B, u64> = BTreeMap::new();
    let mut samples = Vec::new();
    for (broken, words) in violations {
        let count = counts.entry(*broken).or_insert(0);
        *count += 1;
        if *count <= 2 {
            samples.push(format!("{broken:?}: {words}"));
        }
    }
    samples
}
