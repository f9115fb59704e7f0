//! FoundationDB in memory, for tests.
//!
//! Two layers, and a third beside them:
//!
//! - [`model`]: the database. Pure and deterministic: rows in several versions, serializable commits, atomic operations, versionstamps.
//! - [`client`]: what an application deals with. A network thread, databases, transactions that read their own writes, futures, watches,
//!   options, limits, and [`faults`] that are drawn from a seed.
//! - The library with FoundationDB's C interface is a crate of its own, `doubletick-fdb-sandbox-c`, since its functions bear the names of
//!   those of the real one, and a program must not have both. [`library`] finds it for tests.
//!
//! Whatever FoundationDB offers and the sandbox does not keep answers with [`Error::UNSUPPORTED_OPERATION`]; the README lists it.
//!
//! ```
//! use doubletick_fdb_sandbox::client::{Client, Value};
//!
//! let client = Client::new();
//! let network = std::thread::spawn({
//!     let network = client.network().clone();
//!     move || network.run()
//! });
//! let database = client.open_text("test:test@127.0.0.1:4500")?;
//! let transaction = database.transaction();
//! transaction.set(b"greeting", b"hello");
//! assert_eq!(transaction.get(b"greeting", false).wait()?, &Ok(Value::Row(Some("hello".into()))));
//! assert_eq!(transaction.commit().wait()?, &Ok(Value::Done));
//! client.network().stop();
//! network.join().unwrap();
//! # Ok::<(), doubletick_fdb_sandbox::Error>(())
//! ```

pub mod client;
mod error;
pub mod faults;
pub mod limits;
pub mod model;

use std::path::PathBuf;

pub use error::{Error, Predicate};

/// The file of the library with the C interface, for a test or an example that was built beside it.
///
/// Cargo builds it for every crate that has `doubletick-fdb-sandbox-c` among its dev-dependencies, next to that crate's tests
/// and examples.
///
/// # Panics
/// If it is not there: then that dev-dependency is missing.
pub fn library() -> PathBuf {
    let program = std::env::current_exe().expect("a running program has a file");
    let above = program.ancestors().skip(1).take(2);
    // An example stands beside the folder of what it is made of.
    let beside = above.flat_map(|folder| [folder.join("libfdb_sandbox.so"), folder.join("deps/libfdb_sandbox.so")]);
    let found = beside.clone().find(|file| file.exists());
    found.unwrap_or_else(|| {
        panic!("no libfdb_sandbox.so among {:?}: is doubletick-fdb-sandbox-c a dev-dependency?", beside.collect::<Vec<_>>())
    })
}
