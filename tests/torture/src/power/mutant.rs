//! What is done wrong on purpose, and must be noticed.

use crate::cuts::Spoil;
use crate::look::Seen;
use crate::medium::Image;
use crate::recording::Recording;
use crate::report::Broken;
use crate::vfs::{Entry, File};

/// A mistake of the store, of the disk or of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The store does not sync its commits: opened with [`Durability::ProcessCrash`](millpond::Durability).
    Unsynced,
    /// Callers are answered before the commit is written.
    Early,
    /// The disk says that it has synced, and has not.
    Liar,
    /// A byte of an event is another one.
    Flipped,
    /// The first page is another's.
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

    /// Spoils a journal, behind the making of the store.
    pub(super) fn spoil_journal(self, recording: &mut Recording) {
        let (from, journal) = (recording.born, &mut recording.journal);
        match self {
            Mutant::Liar => {
                let mut at = 0;
                journal.retain(|entry| {
                    at += 1;
                    at <= from || !matches!(entry, Entry::Sync(_))
                });
            }
            Mutant::Early => {
                // The words that follow a sync of the log come before the first write that it brought to disk.
                let (mut synced, mut written) = (from, None);
                for at in from..journal.len() {
                    match (journal.get(at), written) {
                        (Some(Entry::Sync(File::Log)), _) => {
                            written = Some(synced);
                            synced = at + 1;
                        }
                        (Some(Entry::Mark(_)), Some(before)) => {
                            let mark = journal.remove(at);
                            journal.insert(before, mark);
                            (synced, written) = (synced + 1, Some(before + 1));
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    /// What spoils the files.
    pub(super) fn image(self) -> Option<Spoil<Image>> {
        match self {
            Mutant::Headless => Some(|image| {
                change_main(image, |main| main.iter_mut().take(8_192).for_each(|byte| *byte = 1))
            }),
            Mutant::Flipped => Some(|image| {
                change_main(image, |main| {
                    let found = main.windows(6).rposition(|bytes| bytes == b"\"who\":");
                    if let Some(byte) = found.and_then(|at| main.get_mut(at + 1)) {
                        *byte = b'W';
                    }
                });
            }),
            _ => None,
        }
    }

    /// What spoils that which was seen.
    pub(super) fn seen(self) -> Option<Spoil<Seen>> {
        match self {
            Mutant::Hole => Some(|seen| {
                if seen.found.len() > 2 {
                    seen.found.remove(seen.found.len() / 2);
                }
            }),
            Mutant::Swapped => Some(|seen| {
                if seen.found.len() > 2 {
                    seen.found.swap(0, 1);
                }
            }),
            _ => None,
        }
    }
}

fn change_main(image: &mut Image, change: fn(&mut Vec<u8>)) {
    image.entry(File::Main).and_modify(change);
}
