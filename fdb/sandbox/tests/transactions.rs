//! What transactions promise beside what they read and write: time outs, retries, watches, cancellation.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]

mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use doubletick_fdb_sandbox::Error;
use doubletick_fdb_sandbox::client::{ConflictRange, Limits, Mode, Selector, Value};

use world::World;

const TIMEOUT: i32 = 500;
const RETRY_LIMIT: i32 = 501;
const MAX_RETRY_DELAY: i32 = 502;
const MAX_WATCHES: i32 = 20;
const REPORT_CONFLICTING_KEYS: i32 = 712;

#[test]
fn a_transaction_that_timed_out_answers_so_until_it_is_reset() {
    let world = World::with("unreachable=1");
    let transaction = world.transaction();
    transaction.set_option(TIMEOUT, Some(&20_i64.to_le_bytes())).unwrap();
    let began = Instant::now();
    assert_eq!(world.done(&transaction.get(b"a", false)), Err(Error::TRANSACTION_TIMED_OUT));
    assert!(began.elapsed() >= Duration::from_millis(15));
    world.set_faults("");
    assert_eq!(world.done(&transaction.get(b"a", false)), Err(Error::TRANSACTION_TIMED_OUT));
    assert_eq!(world.done(&transaction.on_error(Some(Error::NOT_COMMITTED))), Err(Error::TRANSACTION_TIMED_OUT));
    transaction.reset();
    assert_eq!(world.done(&transaction.get(b"a", false)), Ok(Value::Row(None)));
}

#[test]
fn the_time_out_counts_over_all_retries_and_the_database_can_set_it() {
    let world = World::new();
    world.database().set_option(TIMEOUT, Some(&60_i64.to_le_bytes())).unwrap();
    let transaction = world.transaction();
    let began = Instant::now();
    let error = loop {
        if let Err(error) = world.done(&transaction.on_error(Some(Error::NOT_COMMITTED))) {
            break error;
        }
    };
    assert_eq!(error, Error::TRANSACTION_TIMED_OUT);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn retries_end_at_their_limit_and_their_delays_at_theirs() {
    let world = World::new();
    let transaction = world.transaction();
    transaction.set_option(RETRY_LIMIT, Some(&3_i64.to_le_bytes())).unwrap();
    transaction.set_option(MAX_RETRY_DELAY, Some(&0_i64.to_le_bytes())).unwrap();
    let began = Instant::now();
    for _ in 0..3 {
        assert_eq!(world.done(&transaction.on_error(Some(Error::NOT_COMMITTED))), Ok(Value::Done));
    }
    assert!(began.elapsed() < Duration::from_millis(500));
    assert_eq!(world.done(&transaction.on_error(Some(Error::NOT_COMMITTED))), Err(Error::NOT_COMMITTED));
    assert_eq!(world.done(&transaction.get(b"a", false)), Err(Error::TRANSACTION_CANCELLED), "it is of no more use");
    transaction.reset();
    assert_eq!(world.done(&transaction.get(b"a", false)), Ok(Value::Row(None)));
}

#[test]
fn an_error_that_cannot_be_helped_is_given_back() {
    let world = World::new();
    for error in [Error::KEY_TOO_LARGE, Error::OPERATION_CANCELLED, Error::UNSUPPORTED_OPERATION] {
        assert_eq!(world.done(&world.transaction().on_error(Some(error))), Err(error));
    }
    assert_eq!(world.done(&world.transaction().on_error(None)), Err(Error::CLIENT_INVALID_OPERATION));
}

#[test]
fn what_is_asked_of_a_transaction_while_it_commits_ends_both() {
    let world = World::with("latency_us=20000");
    let transaction = world.transaction();
    transaction.set(b"a", b"1");
    let commit = transaction.commit();
    assert_eq!(world.done(&transaction.get(b"a", false)), Err(Error::USED_DURING_COMMIT));
    assert_eq!(world.done(&commit), Err(Error::USED_DURING_COMMIT), "whether or not it was made");
}

#[test]
fn cancelling_tells_everybody_who_waits() {
    let world = World::with("unreachable=1");
    let transaction = world.transaction();
    transaction.set(b"a", b"1");
    let waiting = [transaction.get(b"a", false), transaction.watch(b"b"), transaction.versionstamp(), transaction.commit()];
    let called = Arc::new(AtomicBool::new(false));
    waiting[0].on_ready(Box::new({
        let called = Arc::clone(&called);
        move || called.store(true, Ordering::SeqCst)
    }));
    transaction.cancel();
    for future in &waiting {
        assert_eq!(world.done(future), Err(Error::TRANSACTION_CANCELLED));
    }
    let patience = Instant::now() + Duration::from_secs(5);
    while !called.load(Ordering::SeqCst) {
        assert!(Instant::now() < patience, "the callback never came");
        std::thread::yield_now();
    }
}

#[test]
fn a_transaction_that_is_dropped_tells_everybody_who_waits() {
    let world = World::with("unreachable=1");
    let transaction = world.transaction();
    let read = transaction.get(b"a", false);
    drop(transaction);
    assert_eq!(world.done(&read), Err(Error::TRANSACTION_CANCELLED));
}

#[test]
fn waiting_on_the_network_thread_is_refused() {
    let world = World::new();
    let (tell, told) = std::sync::mpsc::channel();
    let never = {
        world.set_faults("unreachable=1");
        let transaction = world.transaction();
        let read = transaction.get(b"a", false);
        std::mem::forget(transaction);
        world.set_faults("latency_us=10000");
        read
    };
    let later = world.transaction();
    world.set_faults("unreachable=1");
    let waits = later.get(b"b", false);
    never.on_ready(Box::new(move || tell.send(waits.wait().err()).unwrap()));
    assert_eq!(told.recv().unwrap(), Some(Error::BLOCKED_FROM_NETWORK_THREAD));
    world.set_faults("");
}

#[test]
fn watches_ring_for_changes_only_and_are_limited() {
    let world = World::new();
    world.set(b"a", b"1");
    world.database().set_option(MAX_WATCHES, Some(&2_i64.to_le_bytes())).unwrap();
    let transaction = world.transaction();
    let watches = [transaction.watch(b"a"), transaction.watch(b"b"), transaction.watch(b"c")];
    world.done(&transaction.commit()).unwrap();
    assert_eq!(world.done(&watches[2]), Err(Error::TOO_MANY_WATCHES));
    world.set(b"a", b"1");
    std::thread::sleep(Duration::from_millis(5));
    assert!(!watches[0].is_ready(), "nothing has changed");
    world.set(b"a", b"2");
    assert_eq!(world.done(&watches[0]), Ok(Value::Done));
    watches[1].cancel();
    assert_eq!(world.done(&watches[1]), Err(Error::OPERATION_CANCELLED));
    let transaction = world.transaction();
    let again = transaction.watch(b"b");
    world.done(&transaction.commit()).unwrap();
    assert!(!again.is_ready(), "those that rang or were given up do not count");
}

#[test]
fn a_watch_on_what_changed_in_between_rings_at_once() {
    let world = World::new();
    let transaction = world.transaction();
    let watch = transaction.watch(b"a");
    world.set(b"a", b"1");
    world.done(&transaction.commit()).unwrap();
    assert_eq!(world.done(&watch), Ok(Value::Done));
}

#[test]
fn the_keys_that_conflicted_are_told_on_request() {
    let world = World::new();
    let transaction = world.transaction();
    transaction.set_option(REPORT_CONFLICTING_KEYS, None).unwrap();
    world.done(&transaction.get(b"a", false)).unwrap();
    world.done(&transaction.get(b"b", false)).unwrap();
    transaction.add_conflict_range(b"m", b"n", ConflictRange::Read).unwrap();
    transaction.set(b"z", b"1");
    world.set(b"b", b"1");
    world.set(b"m5", b"1");
    assert_eq!(world.done(&transaction.commit()), Err(Error::NOT_COMMITTED));
    let bound = |key: &'static [u8]| Selector::first_at(bytes::Bytes::from_static(key));
    let limits = Limits::new(0, 0, Mode::WantAll, 1).unwrap();
    let (begin, end) = (bound(b"\xff\xff/transaction/conflicting_keys/"), bound(b"\xff\xff/transaction/conflicting_keys0"));
    let Ok(Value::Rows(rows, false)) = world.done(&transaction.get_range(&begin, &end, limits, false, false)) else { panic!("no rows") };
    let keys: Vec<_> = rows.iter().map(|(key, value)| (key[begin.key.len()..].to_vec(), value.to_vec())).collect();
    let expected = [(&b"b"[..], b"1"), (b"b\0", b"0"), (b"m5", b"1"), (b"m5\0", b"0")];
    assert_eq!(keys, expected.map(|(key, value)| (key.to_vec(), value.to_vec())));
}

#[test]
fn mistakes_in_calls_that_give_nothing_back_are_told_by_the_next_that_does() {
    let world = World::new();
    let transaction = world.transaction();
    transaction.set(&[b'k'; 10_001], b"");
    transaction.set(b"a", b"1");
    assert_eq!(world.done(&transaction.get(b"a", false)), Err(Error::KEY_TOO_LARGE));
    assert_eq!(world.done(&transaction.commit()), Err(Error::KEY_TOO_LARGE));
    assert_eq!(world.get(b"a"), None);
    transaction.reset();
    assert_eq!(world.done(&transaction.get(b"a", false)), Ok(Value::Row(None)));
}
