//! The power fails after each call of a recording: every image of the files, made and looked at by several threads.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::Result;
use crate::look::{Seen, look};
use crate::medium::{Image, Medium, Pattern};
use crate::random::Random;
use crate::recording::{Recording, folder};
use crate::report::{Broken, Violation, Violations};
use crate::vfs::Entry;

/// Of so many images that are opened, one is written to.
const WRITTEN: u64 = 8;

/// A way to spoil what is found; nothing is spoilt unless a mutant is tried.
pub type Spoil<T> = fn(&mut T);

/// Where and how the power fails.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which recording it is, for whoever wants to see it again.
    pub name: String,
    /// Where chance comes from.
    pub seed: u64,
    /// Threads that look at images.
    pub lanes: u64,
    /// Of so many calls to a file one is looked at.
    pub every: u64,
    /// The first entry of the journal that is looked at.
    pub from: usize,
    /// Every image must be a beginning of what there was at the end: nothing had failed.
    pub beginning: bool,
    /// Spoils the files.
    pub image: Option<Spoil<Image>>,
    /// Spoils what was seen in them.
    pub seen: Option<Spoil<Seen>>,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Figures {
    /// Calls to a file after which the power failed.
    pub calls: u64,
    /// Images that were looked at.
    pub images: u64,
    /// Of them, those that no other was equal to: these were opened.
    pub opened: u64,
    /// Of them, those that were written to.
    pub written: u64,
    /// What was broken.
    #[serde(flatten)]
    pub violations: Violations,
}

impl Figures {
    /// Together with others.
    pub fn add(&mut self, other: Figures) {
        self.calls += other.calls;
        self.images += other.images;
        self.opened += other.opened;
        self.written += other.written;
        self.violations.extend(other.violations);
    }
}

/// Looks at all images of a recording, or at the first `most`, as long as there is time.
///
/// # Errors
/// What kept the images from being made.
pub fn look_at_all(
    recording: &Recording,
    settings: &Settings,
    most: u64,
    in_time: &(impl Fn() -> bool + Sync),
) -> Result<Figures> {
    let cuts =
        Cuts { settings, recording, folder: folder()?, looked: AtomicU64::new(0), seen: Mutex::default() };
    let lanes: Vec<Result<Figures>> = std::thread::scope(|scope| {
        let start = |lane| {
            let cuts = &cuts;
            scope.spawn(move || cuts.lane(lane, most, in_time))
        };
        let lanes: Vec<_> = (0..settings.lanes).map(start).collect();
        let ended = |lane: std::thread::ScopedJoinHandle<'_, _>| {
            lane.join().unwrap_or_else(|_| Err("a lane panicked".into()))
        };
        lanes.into_iter().map(ended).collect()
    });
    let mut figures = Figures::default();
    for lane in lanes {
        figures.add(lane?);
    }
    Ok(figures)
}

struct Cuts<'a> {
    settings: &'a Settings,
    recording: &'a Recording,
    folder: tempfile::TempDir,
    looked: AtomicU64,
    /// What was seen in each image so far; many are equal.
    seen: Mutex<HashMap<u64, Arc<Seen>>>,
}

impl Cuts<'_> {
    /// One thread: plays the whole journal, and looks at the images of its share of the calls.
    fn lane(&self, lane: u64, most: u64, in_time: &impl Fn() -> bool) -> Result<Figures> {
        let Settings { ref name, seed, lanes, every, from, .. } = *self.settings;
        let (mut medium, mut said, mut call) = (Medium::default(), 0, 0);
        let mut figures = Figures::default();
        for (at, entry) in self.recording.journal.iter().enumerate() {
            medium.play(entry);
            if let Entry::Mark(words) = entry {
                said = *words;
                continue;
            }
            call += 1;
            let mine = call % lanes == lane && (call / lanes).is_multiple_of(every);
            if at < from || !mine {
                continue;
            }
            if self.looked.fetch_add(Pattern::ALL.len() as u64, Ordering::Relaxed) >= most || !in_time() {
                break;
            }
            figures.calls += 1;
            // The same chance whoever looks at it.
            let mut random = Random::new(seed ^ (call << 32));
            for pattern in Pattern::ALL {
                let mut image = medium.cut(pattern, &mut random);
                if let Some(spoil) = self.settings.image {
                    spoil(&mut image);
                }
                let violations = self.judge(&image, said, lane, &mut figures)?;
                let name = format!("{name}, entry {at}, {pattern:?} left, {said} words");
                figures.violations.extend(about(violations, &name));
                figures.images += 1;
            }
        }
        Ok(figures)
    }

    fn judge(&self, image: &Image, said: usize, lane: u64, figures: &mut Figures) -> Result<Vec<Violation>> {
        let seen = self.seen(image, lane, figures)?;
        let mut violations = seen.violations.clone();
        if violations.iter().any(|(broken, _)| *broken == Broken::Wedged) {
            // Nothing was seen in it.
            return Ok(violations);
        }
        violations.extend(seen.accuse(self.recording.words.get(..said).unwrap_or_default()));
        let whole = &self.recording.seen;
        if self.settings.beginning
            && let Some(found) = seen.apart(whole)
        {
            violations.push((Broken::Hole, format!("not a beginning of the whole: {found:?}")));
        }
        if self.settings.beginning
            && let Some(found) = seen.beyond(whole)
        {
            violations.push((Broken::Hole, format!("never in the whole: {found:?}")));
        }
        Ok(violations)
    }

    /// What is in an image: from memory, if there was one like it.
    fn seen(&self, image: &Image, lane: u64, figures: &mut Figures) -> Result<Arc<Seen>> {
        let mut hasher = DefaultHasher::new();
        image.hash(&mut hasher);
        let key = hasher.finish();
        if let Some(seen) = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(seen));
        }
        figures.opened += 1;
        let write = figures.opened.is_multiple_of(WRITTEN);
        figures.written += u64::from(write);
        let folder = self.folder.path().join(format!("lane{lane}-{}", figures.opened));
        let file = folder.join("power.db");
        fs::create_dir(&folder)?;
        make(&file, image, &self.recording.sidecar)?;
        let mut seen = look(&file, write);
        fs::remove_dir_all(folder)?;
        if let Some(spoil) = self.settings.seen {
            spoil(&mut seen);
        }
        let seen = Arc::new(seen);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&seen));
        Ok(seen)
    }
}

/// Writes the files of an image.
fn make(file: &Path, image: &Image, sidecar: &[u8]) -> Result<()> {
    let beside = |suffix: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        name
    };
    for (which, bytes) in image {
        fs::write(beside(which.suffix()), bytes)?;
    }
    Ok(fs::write(beside("-sync"), sidecar)?)
}

/// The violations of an image say which image it was. The first of each kind is enough: an image that lost something
/// has mostly lost many.
fn about(violations: Vec<Violation>, image: &str) -> impl Iterator<Item = Violation> {
    let mut kinds: BTreeMap<Broken, Violation> = BTreeMap::new();
    for (broken, words) in violations {
        kinds.entry(broken).or_insert_with(|| (broken, format!("{image}: {words}")));
    }
    kinds.into_values()
}
