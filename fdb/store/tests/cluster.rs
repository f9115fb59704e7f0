//! The store keeps every promise on the sandbox, with and without FoundationDB's faults.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use doubletick_fdb::{Fdb, Network, OpenError, Options};
use doubletick_fdb_sandbox::library;
use doubletick_store::conformance::{Harness, block_on};

/// The client library's thread, for all tests of this process, and as long as it lives.
fn network() -> &'static Network {
    static NETWORK: OnceLock<Network> = OnceLock::new();
    NETWORK.get_or_init(|| Network::start(Some(&library())).unwrap())
}

/// A cluster file of a database that nobody else has, with faults.
fn cluster(faults: &str) -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let file = std::env::temp_dir().join(format!("doubletick-fdb-{}-{number}.cluster", std::process::id()));
    std::fs::write(&file, format!("# sandbox: {faults}\ntest{number}:sandbox@127.0.0.1:4500\n")).unwrap();
    file
}

fn open(faults: &str) -> Fdb {
    let file = cluster(faults);
    let store = block_on(Fdb::open(network(), Options::new(&file))).unwrap();
    std::fs::remove_file(file).unwrap();
    store
}

struct Calm;

impl Harness for Calm {
    type Store = Fdb;

    fn store(&self) -> Fdb {
        open("")
    }
}

/// What a cluster does on a bad day and the store makes good by itself, so that nothing of it is to be seen.
struct BadDay;

impl Harness for BadDay {
    type Store = Fdb;

    fn store(&self) -> Fdb {
        open(
            "seed=7 conflict=0.02 too_old=0.01 future_version=0.01 behind=0.01 stall_answer=0.01 stall_ms=3 watch_late=0.2 watch_late_ms=20 watch_spurious=0.1 watch_failed=0.05",
        )
    }
}

mod on_a_calm_day {
    doubletick_store::conformance!(super::Calm);
}

mod on_a_bad_day {
    doubletick_store::conformance!(super::BadDay);
}

#[test]
fn a_cluster_file_that_is_none_is_told_with_what_it_should_be() {
    for (text, says) in [(None, "No such file"), (Some("nonsense"), "description:id@address:port")] {
        let file = std::env::temp_dir().join(format!("doubletick-fdb-wrong-{}-{}.cluster", std::process::id(), text.is_some()));
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let error = block_on(Fdb::open(network(), Options::new(&file))).unwrap_err();
        assert!(matches!(error, OpenError::ClusterFile { .. }) && error.to_string().contains(says), "{error}");
    }
}

#[test]
fn a_cluster_that_does_not_answer_is_told_in_time() {
    let mut options = Options::new(cluster("unreachable=1"));
    options.timeout = doubletick_core::time::Millis(200);
    let error = block_on(Fdb::open(network(), options)).unwrap_err();
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error}");
}

#[test]
fn a_prefix_that_no_server_has_used_is_not_opened_to_be_read_and_stays_unused() {
    let options = Options::new(cluster(""));
    for _ in 0..2 {
        let error = block_on(Fdb::open_read_only(network(), options.clone())).map(drop).unwrap_err();
        assert!(matches!(error, OpenError::Nothing { .. }), "{error}");
    }
    block_on(Fdb::open(network(), options.clone())).unwrap();
    assert!(block_on(Fdb::open_read_only(network(), options)).is_ok());
}

#[test]
fn rows_of_a_newer_schema_and_rows_of_somebody_else_are_left_alone() {
    let options = Options::new(cluster(""));
    let database = {
        block_on(Fdb::open(network(), options.clone())).unwrap();
        foundationdb::Database::from_path(options.cluster_file.to_str().unwrap()).unwrap()
    };
    for (stamp, says) in [(&9_u64.to_le_bytes()[..], "schema 9"), (&b"what is this?"[..], "not written by Doubletick")] {
        let write = database.create_trx().unwrap();
        write.set(b"doubletick\0schema", stamp);
        block_on(write.commit()).unwrap();
        let error = block_on(Fdb::open(network(), options.clone())).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        // The same program under another prefix is not concerned.
        block_on(Fdb::open(network(), Options { prefix: "other".into(), ..options.clone() })).unwrap();
    }
    assert!(block_on(Fdb::open(network(), Options { prefix: String::new(), ..options })).is_err());
}
