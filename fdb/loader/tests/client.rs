//! The `foundationdb` crate on a library that is loaded at run time: the sandbox.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]

use doubletick_fdb_loader::{Error, load};
use doubletick_fdb_sandbox::library;
use foundationdb::options::{MutationType, TransactionOption};
use foundationdb::{Database, FdbError, RangeOption, TransactOption};
use std::path::Path;
use std::sync::OnceLock;

/// The network, which a process starts once and which ends with it.
fn network() {
    static NETWORK: OnceLock<()> = OnceLock::new();
    NETWORK.get_or_init(|| {
        let loaded = load(Some(&library())).unwrap();
        assert_eq!(loaded.newest_api_version(), 740);
        // SAFETY: it is to be stopped before the process ends. The process ends while it runs, and nothing of it is used after that.
        #[allow(unsafe_code, reason = "the crate marks starting its network so")]
        let network = unsafe { foundationdb::boot() };
        std::mem::forget(network);
    });
}

/// A database of the sandbox's for each name.
fn database(name: &str) -> Database {
    network();
    let file = std::env::temp_dir().join(format!("{name}-{}.cluster", std::process::id()));
    std::fs::write(&file, format!("{name}:sandbox@127.0.0.1:4500\n")).unwrap();
    let database = Database::from_path(file.to_str().unwrap()).unwrap();
    std::fs::remove_file(file).unwrap();
    database
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_written_and_read_by_the_crate() {
    let db = database("rows");
    let tr = db.create_trx().unwrap();
    tr.set(b"a", b"1");
    tr.set(b"b", b"2");
    tr.atomic_op(b"n", &7_u64.to_le_bytes(), MutationType::Add);
    assert_eq!(tr.get(b"a", false).await.unwrap().as_deref(), Some(&b"1"[..]));
    let committed = tr.commit().await.unwrap();
    assert!(committed.committed_version().unwrap() > 0);
    let tr = db.create_trx().unwrap();
    let rows = tr.get_range(&RangeOption::from((&b"a"[..], &b"z"[..])), 1, false).await.unwrap();
    let rows: Vec<_> = rows.iter().map(|row| (row.key().to_vec(), row.value().to_vec())).collect();
    assert_eq!(rows, [(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"2".to_vec()), (b"n".to_vec(), 7_u64.to_le_bytes().to_vec())]);
    assert_eq!(tr.get_addresses_for_key(b"a").await.unwrap()[0].to_str(), Ok("127.0.0.1:4500"));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_sums_by_read_and_write_lose_nothing() {
    const TASKS: u64 = 8;
    const EACH: u64 = 50;
    let db = std::sync::Arc::new(database("sums"));
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let db = std::sync::Arc::clone(&db);
            tokio::spawn(async move {
                for _ in 0..EACH {
                    add_one(&db).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(sum(&db).await, TASKS * EACH);
}

async fn add_one(db: &Database) {
    let read_and_write = async |tr: &foundationdb::Transaction| {
        let held = tr.get(b"sum", false).await?.map_or(0, |value| u64::from_le_bytes((&*value).try_into().unwrap()));
        tr.set(b"sum", &(held + 1).to_le_bytes());
        Ok::<(), FdbError>(())
    };
    let mut tr = db.create_trx().unwrap();
    loop {
        let result = match read_and_write(&tr).await {
            Ok(()) => tr.commit().await.map(drop).map_err(|failed| (failed.code(), failed.on_error())),
            Err(error) => {
                tr = tr.on_error(error).await.unwrap();
                continue;
            }
        };
        match result {
            Ok(()) => return,
            Err((code, again)) => {
                assert_eq!(code, 1020);
                tr = again.await.unwrap();
            }
        }
    }
}

async fn sum(db: &Database) -> u64 {
    let tr = db.create_trx().unwrap();
    tr.get(b"sum", false).await.unwrap().map_or(0, |value| u64::from_le_bytes((&*value).try_into().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_crates_own_loop_retries_and_a_watch_rings() {
    let db = database("watch");
    let watch = db
        .transact_boxed(
            (),
            |tr, ()| {
                Box::pin(async move {
                    let watch = tr.watch(b"bell");
                    tr.set(b"other", b"1");
                    Ok::<_, FdbError>(watch)
                })
            },
            TransactOption::default(),
        )
        .await
        .unwrap();
    let ring = db.create_trx().unwrap();
    ring.atomic_op(b"bell", &1_u64.to_le_bytes(), MutationType::Add);
    ring.commit().await.unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(10), watch).await.expect("it rings").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_future_that_is_dropped_while_it_waits_is_cancelled_and_harmless() {
    let db = database("dropped");
    for _ in 0..100 {
        let tr = db.create_trx().unwrap();
        let watch = tr.watch(b"never");
        tr.set(b"x", b"1");
        tr.commit().await.unwrap();
        let waited = tokio::time::timeout(std::time::Duration::from_micros(50), watch).await;
        assert!(waited.is_err(), "nothing rings it");
    }
    let tr = db.create_trx().unwrap();
    let counts = tr.get(b"\xff\xff/sandbox/counts", false).await.unwrap().unwrap();
    let counts = String::from_utf8_lossy(&counts).into_owned();
    assert!(counts.contains("watches=0"), "a watch outlived its caller: {counts}");
}

/// Everything that goes wrong at once, each kind often enough to happen in any run.
const STORM: &str = "seed=11 conflict=0.05 too_old=0.03 future_version=0.03 behind=0.03 unknown_committed=0.05 unknown_lost=0.05 \
    version_changed_committed=0.03 version_changed_lost=0.03 timed_out_committed=0.03 timed_out_lost=0.03 stall_answer=0.05 stall_commit=0.05 \
    stall_ms=5";

/// Counts each number once, however often it is run: a number that has been counted has left its mark.
async fn count_once(db: &Database, number: u32) {
    let mark = [&b"mark/"[..], &number.to_be_bytes()].concat();
    loop {
        let tr = db.create_trx().unwrap();
        let counted = async {
            if tr.get(&mark, false).await?.is_none() {
                tr.set(&mark, b"");
                let held = tr.get(b"sum", false).await?.map_or(0, |value| u64::from_le_bytes((&*value).try_into().unwrap()));
                tr.set(b"sum", &(held + 1).to_le_bytes());
            }
            Ok::<(), FdbError>(())
        };
        let failed = match counted.await {
            Ok(()) => match tr.commit().await {
                Ok(_) => return,
                Err(failed) => *failed,
            },
            Err(error) => error,
        };
        // A time out is for the caller to run again; the others say themselves that they may be.
        assert!(failed.is_retryable() || failed.code() == 1031, "{failed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_storm_of_faults_what_is_safe_to_run_again_is_done_once() {
    const TASKS: u32 = 6;
    const EACH: u32 = 60;
    let db = std::sync::Arc::new(database("storm"));
    faults(&db, STORM).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let db = std::sync::Arc::clone(&db);
            tokio::spawn(async move {
                for n in 0..EACH {
                    count_once(&db, task * EACH + n).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    faults(&db, "").await;
    assert_eq!(sum(&db).await, u64::from(TASKS * EACH));
    let tr = db.create_trx().unwrap();
    let counts = tr.get(b"\xff\xff/sandbox/counts", false).await.unwrap().unwrap();
    let counts = String::from_utf8_lossy(&counts).into_owned();
    let names = STORM.split_whitespace().filter_map(|word| word.split('=').next()).filter(|name| !["seed", "stall_ms"].contains(name));
    let idle: Vec<_> = names.filter(|name| counts.contains(&format!("{name}=0 "))).collect();
    assert!(idle.is_empty(), "faults that never happened: {idle:?} of {counts}");
}

/// Changes what goes wrong.
async fn faults(db: &Database, settings: &str) {
    let tr = db.create_trx().unwrap();
    tr.set_option(TransactionOption::SpecialKeySpaceEnableWrites).unwrap();
    tr.set(b"\xff\xff/sandbox/faults", settings.as_bytes());
    tr.commit().await.unwrap();
}

#[test]
fn a_second_library_is_refused_and_the_same_one_is_not() {
    network();
    assert_eq!(load(Some(&library())).unwrap().path(), library());
    assert!(matches!(load(Some(Path::new("libfdb_c.so"))), Err(Error::Another { .. })));
}
