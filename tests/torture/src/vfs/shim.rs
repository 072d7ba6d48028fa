//! SQLite's calls to its files: recorded, refused, or passed on to the VFS of the operating system.
//!
//! A file of ours is a [`Shimmed`] with the file of the real VFS behind it in the same memory; SQLite gives us room for
//! both. The files of stores that are not watched are opened as files of the real VFS, and we never see them again.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rusqlite::ffi::{
    SQLITE_CANTOPEN, SQLITE_FULL, SQLITE_IOERR, SQLITE_IOERR_DELETE, SQLITE_IOERR_FSYNC, SQLITE_IOERR_READ,
    SQLITE_IOERR_SHMMAP, SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_WRITE, SQLITE_OK,
    sqlite3_file, sqlite3_filename, sqlite3_initialize, sqlite3_io_methods, sqlite3_vfs, sqlite3_vfs_find,
    sqlite3_vfs_register,
};

use super::past::PastSqlite;
use super::{Call, Disk, Entry, File, Harm};

/// A watched file, followed by the real one.
#[repr(C)]
struct Shimmed {
    base: sqlite3_file,
    /// From [`Arc::into_raw`]; given back when the file is closed.
    disk: *const Disk,
    file: File,
}

/// The VFS of the operating system.
struct Real(*mut sqlite3_vfs);

// SAFETY: SQLite's own VFS lives as long as the process and may be used from any thread.
unsafe impl Send for Real {}
// SAFETY: as above; nothing of it is changed.
unsafe impl Sync for Real {}

static REAL: OnceLock<Real> = OnceLock::new();

/// Makes the shim the default VFS of this process, once. Call it before anything opens a database.
pub fn install() {
    REAL.get_or_init(|| {
        // SAFETY: `sqlite3_vfs_find` gives the default VFS, which is a valid structure for ever; a copy of it with other
        // functions is a valid one too, and is leaked, so that SQLite may keep it.
        unsafe {
            sqlite3_initialize();
            let real = sqlite3_vfs_find(std::ptr::null());
            let mut shim: sqlite3_vfs = *real;
            shim.zName = c"watched".as_ptr();
            shim.pNext = std::ptr::null_mut();
            shim.szOsFile += size_of::<Shimmed>() as c_int;
            shim.xOpen = Some(open);
            shim.xDelete = Some(delete);
            sqlite3_vfs_register(Box::leak(Box::new(shim)), 1);
            Real(real)
        }
    });
    let _ = millpond::watched::BY.set(Box::new(PastSqlite));
}

fn real_vfs() -> *mut sqlite3_vfs {
    REAL.get().map_or(std::ptr::null_mut(), |real| real.0)
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// What SQLite's own VFS would have said.
fn code(call: Call, harm: Harm) -> c_int {
    let full = matches!(harm, Harm::Full | Harm::Short);
    match call {
        Call::Open => SQLITE_CANTOPEN,
        Call::Read => SQLITE_IOERR_READ,
        Call::Write if full => SQLITE_FULL,
        Call::Write => SQLITE_IOERR_WRITE,
        Call::Sync => SQLITE_IOERR_FSYNC,
        Call::Truncate => SQLITE_IOERR_TRUNCATE,
        Call::Delete => SQLITE_IOERR_DELETE,
        Call::Map if full => SQLITE_IOERR_SHMSIZE,
        Call::Map => SQLITE_IOERR_SHMMAP,
    }
}

/// Calls a method of the real file behind a watched one; what has no such method fails.
macro_rules! pass_on {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        // SAFETY: SQLite calls us with a file that `open` has made, so the real one stands behind it, with the methods
        // that its own `xOpen` gave it; the arguments are SQLite's own.
        unsafe {
            let real = $file.cast::<Shimmed>().add(1).cast::<sqlite3_file>();
            match (*(*real).pMethods).$method {
                Some(method) => method(real $(, $argument)*),
                None => SQLITE_IOERR,
            }
        }
    }};
}

/// The disk under a watched file, and which of its files it is.
fn under<'a>(file: *mut sqlite3_file) -> (&'a Disk, File) {
    // SAFETY: SQLite calls us with a file that `open` has made and `close` has not seen yet, so the disk lives.
    unsafe {
        let shimmed = file.cast::<Shimmed>();
        (&*(*shimmed).disk, (*shimmed).file)
    }
}

/// The path that SQLite names.
fn path_of<'a>(name: *const c_char) -> Option<&'a Path> {
    if name.is_null() {
        return None;
    }
    // SAFETY: it is not null, so it is a string that ends with a NUL and lives during the call.
    let name = unsafe { CStr::from_ptr(name) };
    Some(Path::new(OsStr::from_bytes(name.to_bytes())))
}

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    let real = real_vfs();
    // SAFETY: `file` points to as much memory as the shim asked for, which is enough for both files; it is ours to
    // fill until we return. `real` is the VFS that `install` found.
    unsafe {
        let Some(real_open) = (*real).xOpen else { return SQLITE_CANTOPEN };
        let Some((path, (disk, which))) = path_of(name).and_then(|path| Some((path, super::find(path)?)))
        else {
            return real_open(real, name, file, flags, out);
        };
        (*file).pMethods = std::ptr::null();
        if let Some(harm) = disk.meets(Call::Open, which) {
            return code(Call::Open, harm);
        }
        let existed = path.exists();
        let behind = file.cast::<Shimmed>().add(1).cast::<sqlite3_file>();
        let done = real_open(real, name, behind, flags, out);
        if done == SQLITE_OK {
            if !existed {
                disk.note(Entry::Create(which));
            }
            let base = sqlite3_file { pMethods: &raw const METHODS };
            file.cast::<Shimmed>().write(Shimmed { base, disk: Arc::into_raw(disk), file: which });
        }
        done
    }
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    let real = real_vfs();
    let found = path_of(name).and_then(super::find);
    if let Some((disk, file)) = &found
        && let Some(harm) = disk.meets(Call::Delete, *file)
    {
        return code(Call::Delete, harm);
    }
    // SAFETY: the real VFS's own function, with SQLite's own arguments.
    let done = unsafe {
        match (*real).xDelete {
            Some(delete) => delete(real, name, sync),
            None => SQLITE_IOERR,
        }
    };
    if let (Some((disk, file)), SQLITE_OK) = (found, done) {
        disk.note(Entry::Delete { file, synced: sync != 0 });
    }
    done
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    let done = pass_on!(file, xClose);
    // SAFETY: the pointer is from `Arc::into_raw` in `open`, and SQLite closes a file once.
    drop(unsafe { Arc::from_raw((*file.cast::<Shimmed>()).disk) });
    done
}

unsafe extern "C" fn read(file: *mut sqlite3_file, into: *mut c_void, length: c_int, at: i64) -> c_int {
    let (disk, which) = under(file);
    if let Some(harm) = disk.meets(Call::Read, which) {
        return code(Call::Read, harm);
    }
    pass_on!(file, xRead, into, length, at)
}

unsafe extern "C" fn write(file: *mut sqlite3_file, from: *const c_void, length: c_int, at: i64) -> c_int {
    let (disk, which) = under(file);
    let harm = disk.meets(Call::Write, which);
    let length = match harm {
        None => length,
        Some(Harm::Short) => length / 2,
        Some(harm) => return code(Call::Write, harm),
    };
    let done = pass_on!(file, xWrite, from, length, at);
    if done == SQLITE_OK {
        // SAFETY: SQLite gives us at least so many bytes to be written.
        let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), length.unsigned_abs() as usize) };
        disk.note(Entry::Write { file: which, at: at.unsigned_abs(), bytes: bytes.into() });
    }
    harm.map_or(done, |harm| code(Call::Write, harm))
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, length: i64) -> c_int {
    let (disk, which) = under(file);
    if let Some(harm) = disk.meets(Call::Truncate, which) {
        return code(Call::Truncate, harm);
    }
    let done = pass_on!(file, xTruncate, length);
    if done == SQLITE_OK {
        disk.note(Entry::Truncate { file: which, length: length.unsigned_abs() });
    }
    done
}

/// The real one is not asked: what is on disk is a matter of the journal, and the machine is not going to lose power.
unsafe extern "C" fn sync(file: *mut sqlite3_file, _: c_int) -> c_int {
    let (disk, which) = under(file);
    let Some(harm) = disk.meets(Call::Sync, which) else {
        disk.note(Entry::Sync(which));
        return SQLITE_OK;
    };
    if matches!(harm, Harm::Dropped | Harm::Unheard) {
        disk.note(Entry::Dropped(which));
    }
    if harm == Harm::Unheard { SQLITE_OK } else { code(Call::Sync, harm) }
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, out: *mut i64) -> c_int {
    pass_on!(file, xFileSize, out)
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    pass_on!(file, xLock, level)
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    pass_on!(file, xUnlock, level)
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, out: *mut c_int) -> c_int {
    pass_on!(file, xCheckReservedLock, out)
}

unsafe extern "C" fn file_control(file: *mut sqlite3_file, operation: c_int, argument: *mut c_void) -> c_int {
    pass_on!(file, xFileControl, operation, argument)
}

unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
    pass_on!(file, xSectorSize)
}

unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
    pass_on!(file, xDeviceCharacteristics)
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    let (disk, which) = under(file);
    if let Some(harm) = disk.meets(Call::Map, which) {
        return code(Call::Map, harm);
    }
    pass_on!(file, xShmMap, page, size, extend, out)
}

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, from: c_int, count: c_int, flags: c_int) -> c_int {
    pass_on!(file, xShmLock, from, count, flags)
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: as in `pass_on`; this one has no result.
    unsafe {
        let real = file.cast::<Shimmed>().add(1).cast::<sqlite3_file>();
        if let Some(barrier) = (*(*real).pMethods).xShmBarrier {
            barrier(real);
        }
    }
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, delete: c_int) -> c_int {
    pass_on!(file, xShmUnmap, delete)
}
