//! What is done wrong on purpose, and must be noticed.

use crate::kill::Broken;
use crate::medium::Image;
use crate::vfs::{Entry, File};

/// A mistake of the store, of the disk or of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The store does not sync its commits: opened with [`Durability::ProcessCrash`](millpond::Durability).
    Unsynced,
    /// Callers are answered before the commit is synced.
    Early,
    /// The disk says that it has synced, and has not.
    Liar,
    /// A byte of an event is another one.
    Flipped,
    /// The first page is empty.
    Headless,
    /// An event in the middle is not seen.
    Hole,
    /// The order of two events is not that of their commits.
    Swapped,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 7] = [
        Mutant::Unsynced,
        Mutant::Early,
        Mutant::Liar,
        Mutant::Flipped,
        Mutant::Headless,
        Mutant::Hole,
        Mutant::Swapped,
    ];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> &'static [Broken] {
        match self {
            Mutant::Unsynced | Mutant::Early => &[Broken::Lost],
            Mutant::Liar => &[Broken::Lost, Broken::Corrupt],
            Mutant::Flipped => &[Broken::Corrupt],
            Mutant::Headless => &[Broken::Wedged],
            Mutant::Hole | Mutant::Swapped => &[Broken::Hole],
        }
    }

    /// Spoils a journal.
    pub(super) fn spoil_journal(self, journal: &mut Vec<Entry>, from: usize) {
        match self {
            Mutant::Liar => {
                let mut at = 0;
                journal.retain(|entry| {
                    at += 1;
                    at <= from || !matches!(entry, Entry::Sync(_))
                });
            }
            Mutant::Early => {
                // The words that follow a sync of the log come before it.
                let mut synced = None;
                for at in from..journal.len() {
                    match (journal.get(at), synced) {
                        (Some(Entry::Sync(File::Log)), _) => synced = Some(at),
                        (Some(Entry::Mark(_)), Some(before)) => {
                            let mark = journal.remove(at);
                            journal.insert(before, mark);
                            synced = Some(before + 1);
                        }
                        (Some(Entry::Mark(_)), None) => {}
                        _ => synced = None,
                    }
                }
            }
            _ => {}
        }
    }

    /// Spoils the files.
    pub(super) fn spoil_image(self, image: &mut Image) {
        let Some(main) = image.get_mut(&File::Main) else { return };
        match self {
            Mutant::Headless => main.iter_mut().take(8_192).for_each(|byte| *byte = 0),
            Mutant::Flipped => {
                let found = main.windows(6).rposition(|bytes| bytes == b"\"who\":");
                if let Some(byte) = found.and_then(|at| main.get_mut(at + 1)) {
                    *byte = b'W';
                }
            }
            _ => {}
        }
    }
}
