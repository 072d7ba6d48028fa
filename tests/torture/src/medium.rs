//! What is on a disk when the power fails: everything that was synced, and of the rest whatever chance has left.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::random::Random;
use crate::vfs::{Entry, File};

/// A piece that a disk writes whole or not at all.
const SECTOR: usize = 512;

/// What is left of the writes that had not been synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// Nothing.
    Nothing,
    /// Everything.
    Everything,
    /// The newer half of each file's: the disk has written them backwards.
    Newest,
    /// Each by chance.
    Some,
    /// Of each, every sector by chance; one or another is full of zeros.
    Torn,
    /// Everything, but of the last write every sector by chance.
    LastTorn,
    /// The length of the files, and zeros where something was written.
    Lengths,
}

impl Pattern {
    /// All of them.
    pub const ALL: [Pattern; 7] = [
        Pattern::Nothing,
        Pattern::Everything,
        Pattern::Newest,
        Pattern::Some,
        Pattern::Torn,
        Pattern::LastTorn,
        Pattern::Lengths,
    ];
}

/// The files after a power cut.
pub type Image = BTreeMap<File, Vec<u8>>;

/// A file that is, or was, on the disk.
#[derive(Clone, Debug, Default)]
struct Content {
    synced: Vec<u8>,
    /// What was done to it since then.
    waiting: Vec<Change>,
    /// Its first sync also syncs the folder, so that it is found again.
    is_new: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Arc<[u8]>),
    Length(usize),
}

/// The disk. It starts with the empty file that Millpond makes before SQLite sees it, and syncs.
#[derive(Clone, Debug)]
pub struct Medium {
    contents: Vec<Content>,
    /// What the names lead to, for the programs that run.
    seen: BTreeMap<File, usize>,
    /// What they lead to after a power cut.
    synced: BTreeMap<File, usize>,
    /// Names that came or went since then.
    waiting: Vec<(File, Option<usize>)>,
}

impl Default for Medium {
    fn default() -> Medium {
        let names = BTreeMap::from([(File::Main, 0)]);
        let (contents, waiting) = (vec![Content::default()], Vec::new());
        Medium { contents, seen: names.clone(), synced: names, waiting }
    }
}

impl Medium {
    /// Does what the journal says was done.
    pub fn play(&mut self, entry: &Entry) {
        match entry {
            Entry::Create(file) => {
                self.waiting.push((*file, Some(self.contents.len())));
                self.seen.insert(*file, self.contents.len());
                self.contents.push(Content { is_new: true, ..Content::default() });
            }
            Entry::Write { file, at, bytes } => {
                self.change(*file, Change::Write(*at as usize, Arc::clone(bytes)));
            }
            Entry::Truncate { file, length } => self.change(*file, Change::Length(*length as usize)),
            Entry::Sync(file) => {
                let Some(content) = self.content(*file) else { return };
                let waiting = std::mem::take(&mut content.waiting);
                waiting.iter().for_each(|change| change.apply(&mut content.synced));
                if std::mem::take(&mut content.is_new) {
                    self.sync_folder();
                }
            }
            Entry::Dropped(file) => {
                if let Some(content) = self.content(*file) {
                    // Pages are dropped; the length of a file is no page, and is written with the next sync.
                    content.waiting.retain(|change| matches!(change, Change::Length(_)));
                }
            }
            Entry::Delete { file, synced } => {
                self.seen.remove(file);
                self.waiting.push((*file, None));
                if *synced {
                    self.sync_folder();
                }
            }
            Entry::Mark(_) => {}
        }
    }

    /// What is on disk, or on the way there. Before SQLite has made a file, there is nothing in it.
    #[must_use]
    pub fn read(&self, file: File) -> Vec<u8> {
        let Some(content) = self.seen.get(&file).and_then(|at| self.contents.get(*at)) else {
            return Vec::new();
        };
        let mut bytes = content.synced.clone();
        content.waiting.iter().for_each(|change| change.apply(&mut bytes));
        bytes
    }

    fn content(&mut self, file: File) -> Option<&mut Content> {
        self.contents.get_mut(*self.seen.get(&file)?)
    }

    fn change(&mut self, file: File, change: Change) {
        if let Some(content) = self.content(file) {
            content.waiting.push(change);
        }
    }

    fn sync_folder(&mut self) {
        for (file, to) in self.waiting.drain(..) {
            rename(&mut self.synced, file, to);
        }
    }

    /// What is left if the power fails now.
    #[must_use]
    pub fn cut(&self, pattern: Pattern, random: &mut Random) -> Image {
        // Names are written in their order, if not all of them.
        let names = match pattern {
            Pattern::Nothing | Pattern::Newest => 0,
            Pattern::Everything | Pattern::LastTorn | Pattern::Lengths => self.waiting.len(),
            Pattern::Some | Pattern::Torn => random.below(self.waiting.len() as u64 + 1) as usize,
        };
        let mut left = self.synced.clone();
        for (file, to) in self.waiting.iter().take(names) {
            rename(&mut left, *file, *to);
        }
        left.into_iter()
            .filter_map(|(file, at)| Some((file, self.contents.get(at)?.cut(pattern, random))))
            .collect()
    }
}

fn rename(names: &mut BTreeMap<File, usize>, file: File, to: Option<usize>) {
    match to {
        Some(to) => names.insert(file, to),
        None => names.remove(&file),
    };
}

impl Content {
    fn cut(&self, pattern: Pattern, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        let count = self.waiting.len();
        for (number, change) in self.waiting.iter().enumerate() {
            match pattern {
                Pattern::Nothing => {}
                Pattern::Everything => change.apply(&mut bytes),
                Pattern::Newest if number * 2 < count => {}
                Pattern::Newest => change.apply(&mut bytes),
                Pattern::Some if random.below(2) == 0 => {}
                Pattern::Some => change.apply(&mut bytes),
                Pattern::LastTorn if number + 1 < count => change.apply(&mut bytes),
                Pattern::Torn | Pattern::LastTorn => change.tear(&mut bytes, random),
                Pattern::Lengths => change.stretch(&mut bytes),
            }
        }
        bytes
    }
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Change::Write(at, bytes) => overwrite(to, *at, bytes),
            Change::Length(length) => to.resize(*length, 0),
        }
    }

    /// The file becomes as long as it should, and nothing else happens.
    fn stretch(&self, to: &mut Vec<u8>) {
        match self {
            Change::Write(at, bytes) => to.resize(to.len().max(at + bytes.len()), 0),
            Change::Length(_) => self.apply(to),
        }
    }

    /// Sector by sector: written, lost, or seldom full of zeros.
    fn tear(&self, to: &mut Vec<u8>, random: &mut Random) {
        let Change::Write(at, bytes) = self else {
            if random.below(2) == 0 {
                self.apply(to);
            }
            return;
        };
        let (mut at, mut rest) = (*at, bytes.as_ref());
        while !rest.is_empty() {
            let (sector, behind) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
            match random.below(16) {
                0..=9 => overwrite(to, at, sector),
                10 => overwrite(to, at, &vec![0; sector.len()]),
                _ => {}
            }
            (at, rest) = (at + sector.len(), behind);
        }
    }
}

fn overwrite(to: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if to.len() < end {
        to.resize(end, 0);
    }
    if let Some(place) = to.get_mut(at..end) {
        place.copy_from_slice(bytes);
    }
}
