//! A process that stops its network ends, whatever it still waited for.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]

use doubletick_fdb_sandbox::client::ClusterFile;
use doubletick_fdb_sandbox::{faults::Faults, library};

/// Alone in its file: a process has one network, and it cannot be started again.
#[test]
fn stopping_the_network_ends_its_thread_and_leaves_nothing_that_hangs() {
    doubletick_fdb_loader::load(Some(&library())).unwrap();
    // SAFETY: it is dropped before the process ends, below.
    #[allow(unsafe_code, reason = "the crate marks starting its network so")]
    let network = unsafe { foundationdb::boot() };
    let file = std::env::temp_dir().join(format!("ends-{}.cluster", std::process::id()));
    let cluster = ClusterFile { connection: "ends:sandbox@127.0.0.1:4500".to_owned(), faults: Faults::parse("unreachable=1").ok() };
    std::fs::write(&file, cluster.to_string()).unwrap();
    let db = foundationdb::Database::from_path(file.to_str().unwrap()).unwrap();
    std::fs::remove_file(file).unwrap();
    let tr = db.create_trx().unwrap();
    let (read, watch) = (tr.get(b"never answered", false), tr.watch(b"never rung"));
    drop(network);
    drop((read, watch, tr, db));
}
