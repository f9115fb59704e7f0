//! Loads FoundationDB's client library at run time.
//!
//! `foundationdb-sys` asks to be linked with `libfdb_c`. This crate's build script writes a library of that name: for each function of the
//! C interface one that jumps to where a table says. So a program built with FoundationDB starts on a machine that has none of it, and only
//! when it is asked for a cluster does [`load`] open the real library, from wherever it is, and fill the table. The same code is tested
//! with another library of the same interface, `doubletick-fdb-sandbox-c`.
//!
//! A function that is called before [`load`] ends the process with its name on standard error.
//!
//! ```no_run
//! let library = doubletick_fdb_loader::load(None)?;
//! println!("{} {}", library.path().display(), library.version());
//! // Only then: foundationdb::boot()
//! # Ok::<(), doubletick_fdb_loader::Error>(())
//! ```

#![allow(unsafe_code, reason = "a library is opened, and its functions are called by their C interface")]

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

// Has its request for `-lfdb_c` come before the library that answers it.
use foundationdb_sys as _;
use libloading::os::unix::{Library as Opened, RTLD_LOCAL, RTLD_NOW};

include!(concat!(env!("OUT_DIR"), "/names.rs"));

/// The name by which the system finds the library where it is installed.
pub const NAME: &str = "libfdb_c.so";

/// The environment variable that names the library's file where nothing else does.
pub const PATH_VARIABLE: &str = "FDB_CLIENT_LIBRARY";

/// The API version that the table was written for: a library must offer at least this one.
pub const API_VERSION: i32 = foundationdb_sys::FDB_API_VERSION as i32;

/// The library that was loaded. It stays for as long as the process lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    path: PathBuf,
    version: String,
    newest_api_version: i32,
}

/// Why there is no library. Each says in one line what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No library of that name was found, or the system cannot load it.
    #[error(
        "FoundationDB's client library cannot be loaded: {reason}. Install the package foundationdb-clients, or name the file in ${PATH_VARIABLE}"
    )]
    NotLoaded {
        /// The file that was asked for.
        path: PathBuf,
        /// What the system says of it.
        reason: String,
    },
    /// It is no client library of FoundationDB, or an old one.
    #[error(
        "{} lacks the function {function} of FoundationDB's client library: is it one, and of version {}.{} or newer?",
        path.display(), API_VERSION / 100, API_VERSION / 10 % 10
    )]
    Incomplete {
        /// The file that was asked for.
        path: PathBuf,
        /// The first function that it lacks.
        function: &'static str,
    },
    /// It offers older API versions only.
    #[error("{} speaks API version {newest} of FoundationDB, and {API_VERSION} is needed: install a newer foundationdb-clients", path.display())]
    TooOld {
        /// The file that was asked for.
        path: PathBuf,
        /// The newest API version that it offers.
        newest: i32,
    },
    /// Another library was loaded before. There is one table, so there can be no second.
    #[error("{} has been loaded already, so {} cannot be", loaded.display(), path.display())]
    Another {
        /// The file that was loaded.
        loaded: PathBuf,
        /// The file that was asked for.
        path: PathBuf,
    },
}

/// Where the trampolines jump to. Its symbol is in the library that the build script writes.
type Table = [*const c_void; NAMES.len()];

unsafe extern "C" {
    #[link_name = "doubletick_fdb_table"]
    static mut TABLE: Table;
}

static LOADED: Mutex<Option<Library>> = Mutex::new(None);

/// Loads the client library: from this file; without one from the file that `$FDB_CLIENT_LIBRARY` names; without that from where the system
/// finds `libfdb_c.so`. If it has been loaded already, gives what was loaded.
///
/// # Errors
/// See [`Error`]. A failure changes nothing, so it can be tried again.
pub fn load(path: Option<&Path>) -> Result<Library, Error> {
    let from_environment = std::env::var_os(PATH_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = path.map(Path::to_path_buf).or(from_environment).unwrap_or_else(|| PathBuf::from(NAME));
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(library) = &*loaded {
        return match library.path == path {
            true => Ok(library.clone()),
            false => Err(Error::Another { loaded: library.path.clone(), path }),
        };
    }
    let opened = open(&path)?;
    let functions = functions(&opened, &path)?;
    let (newest_api_version, version) = about(&functions);
    if newest_api_version < API_VERSION {
        return Err(Error::TooOld { path, newest: newest_api_version });
    }
    // SAFETY: the table is as long as the list of names, since the build script writes both from one list. Nobody jumps by it yet who was
    // not told so: functions are not to be called before this returns, and it is written once, under the lock.
    unsafe { (&raw mut TABLE).write(functions) };
    // The table leads into it from here on, and threads of its own may run.
    std::mem::forget(opened);
    Ok(loaded.insert(Library { path, version, newest_api_version }).clone())
}

impl Library {
    /// The file as it was asked for.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the library says of its version: release, source and protocol, with commas between.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The newest API version that it offers.
    pub fn newest_api_version(&self) -> i32 {
        self.newest_api_version
    }
}

fn open(path: &Path) -> Result<Opened, Error> {
    // SAFETY: opening a library runs its initialization, which is trusted as the library itself is: whoever names it says that it is
    // FoundationDB's client library. Its names stay its own, so it cannot take the place of functions of this program.
    unsafe { Opened::open(Some(OsStr::new(path)), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| {
        let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        Error::NotLoaded { path: path.to_path_buf(), reason }
    })
}

fn functions(opened: &Opened, path: &Path) -> Result<Table, Error> {
    let mut table: Table = [std::ptr::null(); NAMES.len()];
    for (entry, name) in table.iter_mut().zip(NAMES) {
        let function = name.to_str().expect("names of functions are plain");
        // SAFETY: it is taken as an address only, and jumped to under the name that the library gives it.
        let address = unsafe { opened.get::<*const c_void>(name.to_bytes_with_nul()) };
        *entry = address.map_err(|_| Error::Incomplete { path: path.to_path_buf(), function })?.into_raw().cast_const();
    }
    Ok(table)
}

/// The newest API version that the library offers, and what it says of its version.
fn about(functions: &Table) -> (i32, String) {
    let address = |name: &CStr| functions[NAMES.iter().position(|known| *known == name).expect("it is in the list")];
    let (newest, version) = (address(c"fdb_get_max_api_version"), address(c"fdb_get_client_version"));
    // SAFETY: these are the types of the two functions in `fdb_c.h`. They need no preparation, and the text lasts as long as the library.
    unsafe {
        let newest = std::mem::transmute::<*const c_void, extern "C" fn() -> c_int>(newest);
        let version = std::mem::transmute::<*const c_void, extern "C" fn() -> *const c_char>(version);
        (newest(), CStr::from_ptr(version()).to_string_lossy().into_owned())
    }
}

/// Where the table leads until it is filled.
#[unsafe(no_mangle)]
extern "C" fn doubletick_fdb_missing(function: u32) -> ! {
    let name = NAMES.get(function as usize).map_or("a function", |name| name.to_str().unwrap_or("a function"));
    eprintln!("{name} was called before FoundationDB's client library was loaded: doubletick_fdb_loader::load comes first");
    std::process::abort()
}
