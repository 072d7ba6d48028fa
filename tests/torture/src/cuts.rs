//! Every image of a recording, made and looked at by several threads.

use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::recording::{Recording, folder};
use super::{Mutant, Report, Settings, about};
use crate::kill::{Broken, Violation};
use crate::look::{Seen, look};
use crate::medium::{Image, Medium, Pattern};
use crate::random::Random;
use crate::vfs::Entry;
use crate::Result;

/// Of so many images that are opened, one is written to.
const WRITTEN: u64 = 8;

/// The images of one recording.
pub(super) struct Images<'a> {
    settings: &'a Settings,
    seed: u64,
    recording: &'a Recording,
    folder: tempfile::TempDir,
    looked: AtomicU64,
    /// What was seen in each image so far; many are equal.
    seen: Mutex<HashMap<u64, Arc<Seen>>>,
}

impl<'a> Images<'a> {
    pub(super) fn of(settings: &'a Settings, seed: u64, recording: &'a Recording) -> Result<Images<'a>> {
        let (looked, seen) = (AtomicU64::new(0), Mutex::default());
        Ok(Images { settings, seed, recording, folder: folder()?, looked, seen })
    }

    /// Looks at all images, or at the first `most`, as long as there is time.
    pub(super) fn look_at_all(
        &self,
        most: u64,
        in_time: &(impl Fn() -> bool + Sync),
        report: &mut Report,
    ) -> Result<()> {
        let lanes: Vec<Result<Report>> = std::thread::scope(|scope| {
            let lanes: Vec<_> =
                (0..self.settings.lanes).map(|lane| scope.spawn(move || self.lane(lane, most, in_time))).collect();
            let ended = |lane: std::thread::ScopedJoinHandle<'_, _>| {
                lane.join().unwrap_or_else(|_| Err("a lane panicked".into()))
            };
            lanes.into_iter().map(ended).collect()
        });
        for lane in lanes {
            let lane = lane?;
            report.calls += lane.calls;
            report.images += lane.images;
            report.opened += lane.opened;
            report.written += lane.written;
            report.violations.extend(lane.violations);
        }
        Ok(())
    }

    /// One thread: plays the whole journal, and looks at the images of every so manyth call.
    fn lane(&self, lane: u64, most: u64, in_time: &impl Fn() -> bool) -> Result<Report> {
        let (mut medium, mut said, mut call) = (Medium::default(), 0, 0);
        let mut report = Report::default();
        for (at, entry) in self.recording.journal.iter().enumerate() {
            medium.play(entry);
            if let Entry::Mark(words) = entry {
                said = *words;
                continue;
            }
            call += 1;
            if call % self.settings.lanes != lane || (call / self.settings.lanes) % self.settings.every != 0 {
                continue;
            }
            if self.looked.fetch_add(Pattern::ALL.len() as u64, Ordering::Relaxed) >= most || !in_time() {
                break;
            }
            report.calls += 1;
            // The same numbers whoever looks at it.
            let mut random = Random::new(self.seed ^ (call << 32));
            for pattern in Pattern::ALL {
                let mut image = medium.cut(pattern, &mut random);
                if let Some(mutant) = self.settings.mutant {
                    mutant.spoil_image(&mut image);
                }
                let name = || format!("seed {}, entry {at}, {pattern:?} left, {said} words", self.seed);
                let violations = self.judge(&image, said, lane, &mut report)?;
                report.violations.extend(about(violations, &name()));
                report.images += 1;
            }
        }
        Ok(report)
    }

    fn judge(&self, image: &Image, said: usize, lane: u64, report: &mut Report) -> Result<Vec<Violation>> {
        let seen = self.seen(image, lane, report)?;
        let mut violations: Vec<Violation> =
            seen.violations.iter().map(|(broken, words)| (*broken, words.clone())).collect();
        violations.extend(seen.accuse(self.recording.words.get(..said).unwrap_or_default()));
        let whole = &self.recording.found;
        // In the order of the commits: a beginning of what there was at the end.
        if !whole.starts_with(&seen.found) {
            let first = seen.found.iter().zip(whole).find(|(seen, whole)| seen != whole);
            violations.push((Broken::Hole, format!("not a beginning of the whole: {first:?}")));
        }
        Ok(violations)
    }

    /// What is in an image: from memory, if there was one like it.
    fn seen(&self, image: &Image, lane: u64, report: &mut Report) -> Result<Arc<Seen>> {
        let mut hasher = DefaultHasher::new();
        image.hash(&mut hasher);
        let key = hasher.finish();
        if let Some(seen) = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(seen));
        }
        report.opened += 1;
        let write = report.opened % WRITTEN == 0;
        report.written += u64::from(write);
        let file = self.folder.path().join(format!("lane{lane}-{}", report.opened)).join("power.db");
        make(&file, image, &self.recording.sidecar)?;
        let mut seen = look(&file, write);
        if let Some(folder) = file.parent() {
            fs::remove_dir_all(folder)?;
        }
        match self.settings.mutant {
            Some(Mutant::Hole) if seen.found.len() > 2 => drop(seen.found.remove(seen.found.len() / 2)),
            Some(Mutant::Swapped) if seen.found.len() > 2 => seen.found.swap(0, 1),
            _ => {}
        }
        let seen = Arc::new(seen);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&seen));
        Ok(seen)
    }
}

/// Writes the files of an image.
pub(crate) fn make(file: &Path, image: &Image, sidecar: &[u8]) -> Result<()> {
    fs::create_dir(file.parent().ok_or("no folder")?)?;
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
