//! What goes wrong on purpose does, and only that.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]

mod world;

use std::time::{Duration, Instant};

use doubletick_fdb_sandbox::client::Value;
use doubletick_fdb_sandbox::faults::Fault;
use doubletick_fdb_sandbox::{Error, Predicate};

use world::World;

/// The number after a name in the cluster's counts.
fn count(world: &World, name: &str) -> u64 {
    let counts = world.database().cluster().counts();
    let word = counts.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).unwrap_or_else(|| panic!("{name}: {counts}"));
    word.parse().unwrap()
}

fn milliseconds(ms: i64) -> Option<[u8; 8]> {
    Some(ms.to_le_bytes())
}

const TIMEOUT: i32 = 500;

#[test]
fn a_commit_that_fails_by_a_fault_is_committed_or_not_as_the_fault_says() {
    let cases = [
        ("conflict", Error::NOT_COMMITTED, false),
        ("too_old", Error::TRANSACTION_TOO_OLD, false),
        ("unknown_committed", Error::COMMIT_UNKNOWN_RESULT, true),
        ("unknown_lost", Error::COMMIT_UNKNOWN_RESULT, false),
        ("version_changed_committed", Error::CLUSTER_VERSION_CHANGED, true),
        ("version_changed_lost", Error::CLUSTER_VERSION_CHANGED, false),
        ("timed_out_committed", Error::TRANSACTION_TIMED_OUT, true),
        ("timed_out_lost", Error::TRANSACTION_TIMED_OUT, false),
    ];
    for (name, error, committed) in cases {
        let world = World::new();
        let transaction = world.transaction();
        world.done(&transaction.get(b"read", false)).unwrap();
        transaction.set(b"row", b"value");
        world.set_faults(&format!("{name}=1"));
        assert_eq!(world.done(&transaction.commit()), Err(error), "{name}");
        assert_eq!(count(&world, name), 1);
        assert_eq!(transaction.committed_version(), None);
        world.set_faults("");
        assert_eq!(world.get(b"row").is_some(), committed, "{name}");
    }
}

#[test]
fn a_read_that_fails_by_a_fault_can_be_run_again_unless_the_transaction_timed_out() {
    for (name, error) in [
        ("too_old", Error::TRANSACTION_TOO_OLD),
        ("future_version", Error::FUTURE_VERSION),
        ("behind", Error::PROCESS_BEHIND),
        ("version_changed_lost", Error::CLUSTER_VERSION_CHANGED),
        ("timed_out_lost", Error::TRANSACTION_TIMED_OUT),
    ] {
        let world = World::with(&format!("{name}=1"));
        let transaction = world.transaction();
        assert_eq!(world.done(&transaction.get(b"row", false)), Err(error), "{name}");
        assert_eq!(count(&world, name), 1);
        world.set_faults("");
        let again = world.done(&transaction.on_error(Some(error)));
        if error.is(Predicate::Retryable) {
            assert_eq!(again, Ok(Value::Done));
            assert_eq!(world.done(&transaction.get(b"row", false)), Ok(Value::Row(None)));
        } else {
            assert_eq!(again, Err(error));
            transaction.reset();
            assert_eq!(world.done(&transaction.get(b"row", false)), Ok(Value::Row(None)));
        }
    }
}

#[test]
fn who_reads_nothing_is_never_told_of_a_conflict_and_who_writes_nothing_of_an_unknown_result() {
    let world = World::with("conflict=1 unknown_lost=1");
    let reader = world.transaction();
    world.done(&reader.get(b"row", false)).unwrap();
    assert_eq!(world.done(&reader.commit()), Ok(Value::Done));
    world.set_faults("conflict=1");
    let writer = world.transaction();
    writer.set(b"row", b"value");
    assert_eq!(world.done(&writer.commit()), Ok(Value::Done));
    assert_eq!((count(&world, "unknown_lost"), count(&world, "conflict")), (0, 1));
}

#[test]
fn a_stalled_answer_comes_late_and_is_right() {
    let world = World::new();
    world.set(b"row", b"value");
    world.set_faults("seed=1 stall_answer=1 stall_ms=40");
    let began = Instant::now();
    let transaction = world.transaction();
    let reads: Vec<_> = (0..8).map(|_| transaction.get(b"row", false)).collect();
    for read in reads {
        assert_eq!(world.done(&read), Ok(Value::Row(Some("value".into()))));
    }
    assert!(began.elapsed() > Duration::from_millis(10), "{:?}", began.elapsed());
    assert_eq!(count(&world, "stall_answer"), 8);
}

#[test]
fn a_stalled_commit_is_made_even_if_its_transaction_timed_out_before() {
    // Some stall is longer than the time out; the seed makes it the first.
    let world = World::with("seed=3 stall_commit=1 stall_ms=400");
    let transaction = world.transaction();
    transaction.set_option(TIMEOUT, milliseconds(5).as_ref().map(|ms| &ms[..])).unwrap();
    transaction.set(b"row", b"value");
    assert_eq!(world.done(&transaction.commit()), Err(Error::TRANSACTION_TIMED_OUT));
    assert_eq!(world.get(b"row"), None, "it is still on its way");
    let patience = Instant::now() + Duration::from_secs(5);
    while world.get(b"row").is_none() {
        assert!(Instant::now() < patience, "it never came");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(count(&world, "stall_commit"), 1);
}

#[test]
fn an_unreachable_cluster_answers_nobody_until_it_is_back() {
    let world = World::with("unreachable=1");
    let transaction = world.transaction();
    let read = transaction.get(b"row", false);
    let writer = world.transaction();
    writer.set(b"row", b"value");
    let commit = writer.commit();
    let given_up = world.transaction();
    given_up.set(b"given up", b"value");
    given_up.set_option(TIMEOUT, milliseconds(10).as_ref().map(|ms| &ms[..])).unwrap();
    assert_eq!(world.done(&given_up.commit()), Err(Error::TRANSACTION_TIMED_OUT), "time goes on");
    std::thread::sleep(Duration::from_millis(20));
    assert!(!read.is_ready() && !commit.is_ready());
    world.set_faults("");
    assert_eq!(world.done(&read), Ok(Value::Row(None)));
    assert_eq!(world.done(&commit), Ok(Value::Done));
    assert_eq!(world.get(b"row"), Some(b"value".to_vec()));
    assert_eq!(world.get(b"given up"), None, "what nobody waits for is never sent");
}

#[test]
fn watches_ring_late_for_nothing_or_fail_as_they_are_told() {
    let world = World::new();
    let watch = |faults: &str| {
        world.set_faults(faults);
        let transaction = world.transaction();
        let watch = transaction.watch(b"bell");
        world.done(&transaction.commit()).unwrap();
        watch
    };
    assert_eq!(world.done(&watch("watch_spurious=1 watch_late_ms=1")), Ok(Value::Done));
    assert_eq!(world.done(&watch("watch_failed=1 watch_late_ms=1")), Err(Error::CLUSTER_VERSION_CHANGED));
    let late = watch("seed=1 watch_late=1 watch_late_ms=2000");
    world.set(b"bell", b"rung");
    assert!(!late.is_ready(), "it is to come late");
    assert_eq!(world.done(&late), Ok(Value::Done));
    for name in ["watch_spurious", "watch_failed", "watch_late"] {
        assert_eq!(count(&world, name), 1);
    }
}

#[test]
fn a_client_that_does_the_same_meets_the_same_faults() {
    let history = |seed: u64| {
        let world = World::with(&format!("seed={seed} conflict=0.2 unknown_lost=0.2 unknown_committed=0.2 too_old=0.1 behind=0.1"));
        let outcome = |n: u32| {
            let transaction = world.transaction();
            let read = world.done(&transaction.get(b"row", false)).err();
            transaction.set(b"row", &n.to_le_bytes());
            (read, world.done(&transaction.commit()).err())
        };
        (0..100).map(outcome).collect::<Vec<_>>()
    };
    let first = history(1);
    assert_eq!(first, history(1));
    assert_ne!(first, history(2));
    let met = |error: Error| first.iter().filter(|(read, commit)| [*read, *commit].contains(&Some(error))).count();
    assert!(
        [Error::NOT_COMMITTED, Error::COMMIT_UNKNOWN_RESULT, Error::PROCESS_BEHIND, Error::TRANSACTION_TOO_OLD].iter().all(|e| met(*e) > 2)
    );
}

#[test]
fn faults_are_read_and_changed_by_a_special_key() {
    const ENABLE_WRITES: i32 = 714;
    let world = World::with("seed=5 conflict=0.5");
    let key = b"\xff\xff/sandbox/faults";
    let transaction = world.transaction();
    assert_eq!(world.done(&transaction.get(key, false)), Ok(Value::Row(Some("seed=5 conflict=0.5".into()))));
    transaction.set(key, b"unreachable=1");
    assert_eq!(world.done(&transaction.commit()), Err(Error::SPECIAL_KEYS_WRITE_DISABLED));
    let change = |settings: &[u8]| {
        let transaction = world.another_handle().transaction();
        transaction.set_option(ENABLE_WRITES, None).unwrap();
        transaction.set(key, settings);
        world.done(&transaction.commit())
    };
    assert_eq!(change(b"thunder=1"), Err(Error::SPECIAL_KEYS_API_FAILURE));
    assert_eq!(change(b"unreachable=1"), Ok(Value::Done), "whoever changes the faults is answered");
    let transaction = world.transaction();
    let read = transaction.get(b"row", false);
    std::thread::sleep(Duration::from_millis(5));
    assert!(!read.is_ready(), "it took effect at once, on all handles");
    assert_eq!(change(b""), Ok(Value::Done));
    assert_eq!(world.done(&read), Ok(Value::Row(None)));
}

#[test]
fn every_kind_of_fault_is_counted_under_its_name() {
    let world = World::new();
    for fault in Fault::ALL {
        assert_eq!(count(&world, fault.name()), 0);
    }
}
