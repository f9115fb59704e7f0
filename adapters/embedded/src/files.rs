//! The files of a data directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use redb::StorageBackend;

use crate::OpenError;

/// The tree.
pub const TREE: &str = "doubletick.redb";
/// The two logs.
pub const LOGS: [&str; 2] = ["doubletick.log-0", "doubletick.log-1"];

const VERSION: &str = "VERSION";
const VERSION_TEMPORARY: &str = "VERSION.new";
const LOCK: &str = "LOCK";

/// The version of the format of a data directory that this program reads and writes.
pub const FORMAT: u32 = 1;

/// Where the files of a store are: a directory, or a simulated disk.
pub trait Files: std::fmt::Debug + Send + Sync + 'static {
    /// Opens the file with this name, one of [`TREE`] and [`LOGS`]; makes an empty one, durably, where there is none.
    ///
    /// A write beyond the end makes the file longer. [`TREE`] is opened a second time, while readers still use the first, after a failure.
    ///
    /// # Errors
    /// Those of the system.
    fn open(&self, name: &str) -> io::Result<Box<dyn StorageBackend>>;
}

/// A directory that this process owns until the value is dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// Locked.
    _lock: File,
}

impl Directory {
    /// Makes the directory where there is none, locks it, and checks its version.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |what: &'static str| move |source| OpenError::Directory { path: path.to_owned(), what, source };
        if !path.is_dir() {
            fs::create_dir_all(path).map_err(failed("cannot be made"))?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            sync_directory(parent).map_err(failed("cannot be made durable"))?;
        }
        let lock = lock(path)?;
        check_version(path)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }
}

impl Files for Directory {
    fn open(&self, name: &str) -> io::Result<Box<dyn StorageBackend>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(self.path.join(name))?;
        // Also where the file was there: whoever made it may have ended before this.
        sync_directory(&self.path)?;
        Ok(Box::new(DiskFile(file)))
    }
}

/// The files of a directory, open for reading only.
pub(crate) struct Frozen {
    /// Shared with other readers, and with no server.
    pub(crate) lock: File,
    pub(crate) tree: Box<dyn StorageBackend>,
    pub(crate) logs: [Box<dyn StorageBackend>; 2],
}

impl Frozen {
    /// Opens a directory that no server uses, and changes nothing in it.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |what: &'static str| move |source| OpenError::Directory { path: path.to_owned(), what, source };
        if !path.join(VERSION).exists() {
            fs::read_dir(path).map_err(failed("cannot be read"))?;
            return Err(OpenError::NotOurs { path: path.join(VERSION) });
        }
        let mut lock = File::open(path.join(LOCK)).map_err(failed("has no lock file that can be read"))?;
        match lock.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(path, &mut lock)),
            Err(TryLockError::Error(source)) => return Err(failed("cannot be locked")(source)),
        }
        check_version(path)?;
        let open = |name| match File::open(path.join(name)) {
            Ok(file) => Ok(Box::new(DiskFile(file)) as Box<dyn StorageBackend>),
            Err(source) => Err(OpenError::File { name, source }),
        };
        Ok(Self { lock, tree: open(TREE)?, logs: [open(LOGS[0])?, open(LOGS[1])?] })
    }
}

fn in_use(path: &Path, lock: &mut File) -> OpenError {
    let mut owner = String::new();
    // A hint for people; the lock itself is what counts.
    let _ = lock.read_to_string(&mut owner);
    OpenError::InUse { path: path.to_owned(), owner: owner.trim().parse().ok() }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let failed = |source| OpenError::Directory { path: path.to_owned(), what: "cannot be locked", source };
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path.join(LOCK)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        // What stands in it is a server's that has ended.
        Err(TryLockError::WouldBlock) if file.try_lock_shared().is_ok() => return Err(OpenError::BeingRead { path: path.to_owned() }),
        Err(TryLockError::WouldBlock) => return Err(in_use(path, &mut file)),
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
    Ok(file)
}

fn check_version(path: &Path) -> Result<(), OpenError> {
    let failed = |what: &'static str| move |source| OpenError::Directory { path: path.to_owned(), what, source };
    let stamp = path.join(VERSION);
    match fs::read_to_string(&stamp) {
        Ok(text) => match text.trim().parse() {
            Ok(FORMAT) => Ok(()),
            Ok(found) => Err(OpenError::Version { path: path.to_owned(), found, known: FORMAT }),
            Err(_) => Err(OpenError::NotOurs { path: stamp }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // It is written first of all, so what has no stamp and is not empty was not made by this program.
            if path.join(TREE).exists() {
                return Err(OpenError::NotOurs { path: stamp });
            }
            let temporary = path.join(VERSION_TEMPORARY);
            write_version(&temporary, &stamp).and_then(|()| sync_directory(path)).map_err(failed("cannot be stamped with a version"))
        }
        Err(source) => Err(failed("has a version that cannot be read")(source)),
    }
}

fn write_version(temporary: &Path, stamp: &Path) -> io::Result<()> {
    let mut file = File::create(temporary)?;
    writeln!(file, "{FORMAT}")?;
    file.sync_all()?;
    fs::rename(temporary, stamp)
}

/// A file on a disk. redb's own would lock it, and so could not be opened anew while readers hold the old one.
#[derive(Debug)]
struct DiskFile(File);

impl StorageBackend for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }
}
