//! The sidecar, `<store>-sync`: who lives, whose turn it is to write, and whether somebody waits for a ring.
//!
//! It carries locks of open file descriptions: the kernel frees them when their process dies, however it dies,
//! and several opens in one process count as several processes. Nothing of value is stored in it.
//!
//! | bytes | lock |
//! | --- | --- |
//! | 1 | shared by everybody who waits for a ring |
//! | 2 | shared by everybody who watches for changes |
//! | 3 | shared by everybody who waits for the turn |
//! | 64 + slot | held by process `slot` while it lives, through a description of its own (see `presence`) |
//! | 8192 + slot | held by process `slot` while it runs itself, whatever it has lent its presence to |
//! | 16384 .. | the writers' turn; all turns begin at the same byte and so exclude each other, and the length of the one that refuses us tells whose it is and which of his |

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use millpond_actors::clock::{Rng, SystemRng};
use millpond_actors::error::{Error, Result};
use millpond_actors::failpoint::{Point, reach};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::error::system;
use super::place::{Place, sync_directory};
use super::same::glance;
use super::turn::Turns;

/// Processes that can have one store open.
pub(super) const SLOTS: u32 = 4_096;

const WAITING: i64 = 1;
const WATCHING: i64 = 2;
pub(super) const WANTING: i64 = 3;
const ALIVE: i64 = 64;
const RUNS: i64 = 8_192;
pub(super) const TURN: i64 = 16_384;

/// The first bytes of every sidecar; the 16 bytes after them are its id.
const MAGIC: &[u8; 16] = b"millpond sync 1\n";

/// Where a ring is written. What is written does not matter; that it is written wakes those who watch.
const BELL: u64 = 40;

/// Whole length of the file.
const LENGTH: usize = 64;

/// Names one sidecar for ever, so that a replaced one is not taken for the old.
pub(super) type SidecarId = [u8; 16];

/// One open file description of the sidecar. Dropping it gives up every lock taken through it.
#[derive(Debug)]
pub(super) struct Sidecar {
    path: PathBuf,
    file: File,
    inode: (u64, u64),
    /// Those that are taken through it.
    pub(super) turns: Turns,
    /// The id in its header.
    pub(super) id: SidecarId,
}

impl Sidecar {
    /// Opens the sidecar of a store for taking locks, and makes it if it is missing.
    pub(super) fn open(place: &Place) -> Result<Sidecar> {
        reach(Point::OpenSidecar)?;
        let path = place.beside("-sync");
        // Between the making and the opening somebody may remove it again; a few times is an accident.
        for _ in 0..10 {
            match OpenOptions::new().read(true).write(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => create(&path)?,
                found => return Sidecar::from_file(path.clone(), found),
            }
        }
        Err(fleeting(&path))
    }

    /// The same with a second description of the same sidecar, for a slot.
    pub(super) fn open_with_slot(place: &Place) -> Result<(Sidecar, Sidecar)> {
        let path = place.beside("-sync");
        for _ in 0..10 {
            let turn = Sidecar::open(place)?;
            // It goes to other programs. What one of them writes to a descriptor that it does not know lands behind
            // all that counts.
            match OpenOptions::new().read(true).append(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                found => match Sidecar::from_file(path.clone(), found)? {
                    slot if slot.inode == turn.inode => return Ok((turn, slot)),
                    _ => {}
                },
            }
        }
        Err(fleeting(&path))
    }

    /// A descriptor more of this description, which programs that are started inherit.
    pub(super) fn inheritable(&self) -> Result<OwnedFd> {
        let what = || format!("cannot duplicate the descriptor of \"{}\"", self.path.display());
        // dup(2) makes one that is not closed on exec; what std makes always is.
        rustix::io::dup(&self.file).map_err(|errno| system(&what(), &errno.into()))
    }

    /// Opens the sidecar for looking only: closing it does not look like a death to those who watch.
    /// `None` if there is none, or if it may not be read.
    pub(super) fn look(place: &Place) -> Option<Sidecar> {
        let path = place.beside("-sync");
        let file = File::open(&path);
        Sidecar::from_file(path, file).ok()
    }

    fn from_file(path: PathBuf, file: io::Result<File>) -> Result<Sidecar> {
        let failed = |error: io::Error| system(&format!("cannot open \"{}\"", path.display()), &error);
        let file = file.map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        let foreign = || Error::NotOurFile {
            path: path.display().to_string(),
            reason: "its name is that of the store's sidecar, but something else is in it".into(),
        };
        let mut head = [0_u8; 32];
        if !found.is_file() || file.read_exact_at(&mut head, 0).is_err() {
            return Err(foreign());
        }
        match head.split_first_chunk::<16>() {
            Some((magic, rest)) if magic == MAGIC => {
                let id = rest.try_into().map_err(|_| foreign())?;
                Ok(Sidecar { inode: (found.dev(), found.ino()), path, file, turns: Turns::new(), id })
            }
            _ => Err(foreign()),
        }
    }

    /// Whether the path still leads to this file. A sidecar that was removed or replaced divides the processes
    /// into those who see the old one and those who see the new one.
    pub(super) fn is_current(&self) -> bool {
        glance(&self.path).is_some_and(|(file, _)| file == self.inode)
    }

    /// Claims a slot for the life of this description; `false` if another description has it.
    pub(super) fn claim_slot(&self, slot: u32) -> Result<bool> {
        self.try_lock(libc::F_WRLCK, ALIVE + i64::from(slot), 1)
    }

    /// Gives a slot up.
    pub(super) fn leave_slot(&self, slot: u32) {
        self.unlock(ALIVE + i64::from(slot), 1);
    }

    /// Whether another description holds the slot.
    pub(super) fn slot_is_taken(&self, slot: u32) -> Result<bool> {
        self.refused(ALIVE + i64::from(slot), 1).map(|by| by.is_some())
    }

    /// Says that the process of this slot runs, for the life of this description.
    pub(super) fn claim_run(&self, slot: u32) -> Result<()> {
        self.try_lock(libc::F_WRLCK, RUNS + i64::from(slot), 1).map(|_| ())
    }

    /// Gives that up.
    pub(super) fn leave_run(&self, slot: u32) {
        self.unlock(RUNS + i64::from(slot), 1);
    }

    /// Whether another description says so of the slot.
    pub(super) fn runs(&self, slot: u32) -> Result<bool> {
        self.refused(RUNS + i64::from(slot), 1).map(|by| by.is_some())
    }

    /// Whether any process says so through another description.
    pub(super) fn anybody_runs(&self) -> Result<bool> {
        self.refused(RUNS, i64::from(SLOTS)).map(|by| by.is_some())
    }

    /// Says that somebody here waits for a ring, or that nobody does any more.
    pub(super) fn wait_for_ring(&self, somebody: bool) -> Result<()> {
        self.share(WAITING, somebody)
    }

    /// Says that somebody here watches for changes, or that nobody does any more.
    pub(super) fn watch(&self, somebody: bool) -> Result<()> {
        self.share(WATCHING, somebody)
    }

    /// Whether somebody watches for changes through another description.
    pub(super) fn is_watched(&self) -> Result<bool> {
        self.refused(WATCHING, 1).map(|by| by.is_some())
    }

    pub(super) fn share(&self, byte: i64, somebody: bool) -> Result<()> {
        if somebody {
            return self.try_lock(libc::F_RDLCK, byte, 1).map(|_| ());
        }
        self.unlock(byte, 1);
        Ok(())
    }

    /// Rings if somebody waits.
    pub(super) fn ring(&self) -> io::Result<()> {
        match self.refused(WAITING, 1) {
            Ok(None) => Ok(()),
            _ => self.file.write_all_at(&[1], BELL),
        }
    }

    /// Who would refuse us an exclusive lock there.
    pub(super) fn refused(&self, start: i64, length: i64) -> Result<Option<libc::flock>> {
        let mut lock = region(libc::F_WRLCK, start, length);
        self.ask(FcntlArg::F_OFD_GETLK(&mut lock))?;
        Ok((lock.l_type != libc::F_UNLCK as libc::c_short).then_some(lock))
    }

    pub(super) fn try_lock(&self, kind: libc::c_int, start: i64, length: i64) -> Result<bool> {
        let lock = region(kind, start, length);
        match fcntl(&self.file, FcntlArg::F_OFD_SETLK(&lock)) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
            Err(errno) => Err(self.failed(errno)),
        }
    }

    /// Giving a lock up cannot fail on a file that is open.
    pub(super) fn unlock(&self, start: i64, length: i64) {
        let lock = region(libc::F_UNLCK, start, length);
        let _ = fcntl(&self.file, FcntlArg::F_OFD_SETLK(&lock));
    }

    /// Asks once, and again after each signal.
    pub(super) fn ask(&self, mut question: FcntlArg<'_>) -> Result<()> {
        loop {
            let answer = match &mut question {
                FcntlArg::F_OFD_SETLKW(lock) => fcntl(&self.file, FcntlArg::F_OFD_SETLKW(lock)),
                FcntlArg::F_OFD_GETLK(lock) => fcntl(&self.file, FcntlArg::F_OFD_GETLK(lock)),
                _ => return Ok(()),
            };
            match answer {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(self.failed(errno)),
            }
        }
    }

    fn failed(&self, errno: Errno) -> Error {
        system(&format!("cannot lock \"{}\"", self.path.display()), &errno.into())
    }
}

fn fleeting(path: &Path) -> Error {
    Error::Storage { detail: format!("\"{}\" is removed as fast as it is made", path.display()) }
}

pub(super) fn region(kind: libc::c_int, start: i64, length: i64) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: length,
        l_pid: 0,
    }
}

/// Makes a sidecar whole under another name and links it in place, so that nobody ever sees half of one, and
/// of two who make one at once both end up with the same.
fn create(path: &Path) -> Result<()> {
    let rng = SystemRng;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!("-{}", rng.uuid().simple()));
    let temporary = PathBuf::from(temporary);
    let mut body = Vec::with_capacity(LENGTH);
    body.extend_from_slice(MAGIC);
    body.extend_from_slice(rng.uuid().as_bytes());
    body.resize(LENGTH, 0);
    let made = File::create_new(&temporary)
        .and_then(|mut file| file.write_all(&body).and_then(|()| file.sync_all()))
        .and_then(|()| match fs::hard_link(&temporary, path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        });
    // It has another name now, or is of no use.
    let _ = fs::remove_file(&temporary);
    made.map_err(|error| system(&format!("cannot create \"{}\"", path.display()), &error))?;
    sync_directory(path)
}
