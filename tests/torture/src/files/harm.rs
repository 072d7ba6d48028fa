//! The files of a store, and what is done to them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::random::Random;

/// The pages of a store, in bytes.
pub(super) const PAGE: usize = 8_192;

/// A frame of the log: a header before each page.
const FRAME: usize = PAGE + 24;

/// The log's own header.
const LOG_HEADER: usize = 32;

/// A file of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum File {
    /// The database.
    Main,
    /// The write-ahead log.
    Log,
    /// The log's index, which is made anew by whoever is the first to open the store.
    Index,
    /// The sidecar.
    Sidecar,
}

impl File {
    /// All of them.
    pub(super) const ALL: [File; 4] = [File::Main, File::Log, File::Index, File::Sidecar];

    /// Its path beside the store's.
    #[must_use]
    pub(super) fn beside(self, store: &Path) -> PathBuf {
        let mut name = store.as_os_str().to_owned();
        name.push(match self {
            File::Main => "",
            File::Log => "-wal",
            File::Index => "-shm",
            File::Sidecar => "-sync",
        });
        name.into()
    }

    /// Where its pages begin, and how long each is.
    fn pages(self) -> (usize, usize) {
        match self {
            File::Main => (0, PAGE),
            File::Log => (LOG_HEADER, FRAME),
            File::Index => (0, 32_768),
            File::Sidecar => (0, 32),
        }
    }
}

/// What is in the files of a store that nobody has open.
pub(super) type Files = BTreeMap<File, Vec<u8>>;

/// Reads those that there are.
///
/// # Errors
/// What the system said.
pub(super) fn read(store: &Path) -> Result<Files> {
    let mut files = Files::new();
    for file in File::ALL {
        match fs::read(file.beside(store)) {
            Ok(bytes) => drop(files.insert(file, bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(files)
}

/// Writes them.
///
/// # Errors
/// What the system said.
pub(super) fn write(store: &Path, files: &Files) -> Result<()> {
    files.iter().try_for_each(|(file, bytes)| Ok(fs::write(file.beside(store), bytes)?))
}

/// What is done to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Harm {
    /// Bits are the other way round.
    Flips(File, Vec<usize>),
    /// It ends after so many bytes.
    Truncated(File, usize),
    /// A page is all zeros.
    Zeroed(File, usize),
    /// Two pages are in each other's place.
    Swapped(File, usize, usize),
    /// It holds something else, so many bytes, from this seed.
    Garbage(File, usize, u64),
    /// A directory is in its place.
    Directory(File),
    /// It is gone.
    Missing(File),
}

impl Harm {
    /// The file that it is done to.
    #[must_use]
    pub(super) fn file(&self) -> File {
        match *self {
            Harm::Flips(file, _)
            | Harm::Truncated(file, _)
            | Harm::Zeroed(file, _)
            | Harm::Swapped(file, ..)
            | Harm::Garbage(file, ..)
            | Harm::Directory(file)
            | Harm::Missing(file) => file,
        }
    }

    /// Its name, for figures.
    #[must_use]
    pub(super) fn name(&self) -> &'static str {
        match self {
            Harm::Flips(..) => "flips",
            Harm::Truncated(..) => "truncated",
            Harm::Zeroed(..) => "zeroed",
            Harm::Swapped(..) => "swapped",
            Harm::Garbage(..) => "garbage",
            Harm::Directory(_) => "directory",
            Harm::Missing(_) => "missing",
        }
    }

    /// One bit of a file by chance.
    #[must_use]
    pub(super) fn flip(file: File, files: &Files, random: &mut Random) -> Harm {
        let bits = files.get(&file).map_or(0, Vec::len) as u64 * 8;
        Harm::Flips(file, vec![random.below(bits) as usize])
    }

    /// Everything that is done to a file but flips: each page goes, or the file ends there or in the middle of it.
    #[must_use]
    pub(super) fn all(file: File, files: &Files, random: &mut Random) -> Vec<Harm> {
        let length = files.get(&file).map_or(0, Vec::len);
        let (start, size) = file.pages();
        let pages = length.saturating_sub(start).div_ceil(size);
        let mut harms = vec![Harm::Directory(file), Harm::Missing(file)];
        harms.extend([1, 15, 31, 99, 100, size - 1].map(|length| Harm::Truncated(file, length)));
        for page in 0..pages {
            let at = start + page * size;
            harms.push(Harm::Truncated(file, at));
            harms.push(Harm::Truncated(file, at + 1 + random.below(size as u64 - 1) as usize));
            harms.push(Harm::Zeroed(file, page));
            let other = random.below(pages as u64) as usize;
            if other != page {
                harms.push(Harm::Swapped(file, page, other));
            }
        }
        for length in [1, 4_096, length, length + 3 * PAGE] {
            harms.push(Harm::Garbage(file, length, random.below(u64::MAX)));
        }
        // No file, and one of no bytes without a log, are how a store begins.
        let begins = |harm: &Harm| match harm {
            Harm::Truncated(File::Main, 0) | Harm::Missing(File::Main) => {
                files.get(&File::Log).is_none_or(Vec::is_empty)
            }
            Harm::Truncated(_, at) => *at >= length,
            _ => false,
        };
        harms.retain(|harm| !begins(harm));
        harms
    }

    /// Does it, to files that are still to be written.
    pub(super) fn apply(&self, files: &mut Files) {
        let file = self.file();
        let (start, size) = file.pages();
        let content = files.entry(file).or_default();
        let page = |page: usize| start + page * size..start + (page + 1) * size;
        match *self {
            Harm::Flips(_, ref bits) => {
                for bit in bits {
                    if let Some(byte) = content.get_mut(bit / 8) {
                        *byte ^= 1 << (bit % 8);
                    }
                }
            }
            Harm::Truncated(_, length) => content.truncate(length),
            Harm::Zeroed(_, at) => {
                let end = page(at).end.min(content.len());
                content.get_mut(page(at).start..end).unwrap_or_default().fill(0);
            }
            Harm::Swapped(_, a, b) => {
                for (a, b) in page(a).zip(page(b)) {
                    if a.max(b) < content.len() {
                        content.swap(a, b);
                    }
                }
            }
            Harm::Garbage(_, length, seed) => {
                let mut random = Random::new(seed);
                *content = (0..length).map(|_| random.below(256) as u8).collect();
            }
            Harm::Directory(_) | Harm::Missing(_) => drop(files.remove(&file)),
        }
    }

    /// What can only be done where the files are.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn finish(&self, store: &Path) -> Result<()> {
        match self {
            Harm::Directory(file) => Ok(fs::create_dir(file.beside(store))?),
            _ => Ok(()),
        }
    }
}
