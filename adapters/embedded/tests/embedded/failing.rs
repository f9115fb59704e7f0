//! Disks that fail, and what goes on.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use doubletick_core::store::{Commit, Failure, Key, Lane, Transaction, Write};
use doubletick_embedded::files::{LOGS, TREE};
use doubletick_embedded::{Committer, Embedded, OpenError};
use doubletick_store::Store;
use doubletick_store::conformance::{Pure, Reads, block_on, durable, quick};

use crate::conformance::cramped;
use crate::disk::{Disk, Fails};

fn key(name: &str) -> Key {
    Key::new(name.as_bytes())
}

fn passing(name: &str) -> Key {
    Key::new(&[&[Key::EPHEMERAL], name.as_bytes()].concat())
}

fn open(disk: &Disk) -> (Embedded, Committer) {
    Embedded::by_hand(disk.clone(), cramped()).expect("the disk is well")
}

/// Submits, lets the committer do what it can, and returns what came of it.
fn run<T: Transaction>(store: &Embedded, committer: &mut Committer, transaction: T) -> Result<T::Answer, Failure> {
    // What its thread does from time to time: see whether the disk works again.
    committer.turn();
    let mut reply = Box::pin(store.execute(transaction));
    if let Poll::Ready(result) = poll(&mut reply) {
        return result;
    }
    committer.turn();
    match poll(&mut reply) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("a turn answers what waits"),
    }
}

fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Adds one to rows, durable or ephemeral, having read them; answers with what they were.
fn add(
    lane: Lane,
    keys: &[Key],
) -> Pure<impl Fn(&mut Reads<'_>) -> Result<Commit<Vec<u64>>, doubletick_core::store::NotFetched> + Clone + use<>> {
    let keys = keys.to_vec();
    let function = move |reads: &mut Reads<'_>| {
        let before = keys.iter().map(|key| reads.number(key)).collect::<Result<Vec<_>, _>>()?;
        let writes = keys.iter().zip(&before).map(|(key, before)| Write::Set(*key, (before + 1).to_le_bytes().to_vec()));
        Ok(Commit { writes: writes.collect(), answer: before })
    };
    match lane {
        Lane::Durable => durable(function),
        Lane::Quick => quick(function),
    }
}

fn see(store: &Embedded, key: Key) -> u64 {
    let mut reply =
        Box::pin(store.execute(quick(move |reads: &mut Reads<'_>| Ok(Commit { writes: Vec::new(), answer: reads.number(&key)? }))));
    match poll(&mut reply) {
        Poll::Ready(Ok(number)) => number,
        other @ (Poll::Ready(Err(_)) | Poll::Pending) => panic!("not readable: {other:?}"),
    }
}

const IN_DOUBT: Result<Vec<u64>, Failure> = Err(Failure::Unknown);
const REFUSED: Result<Vec<u64>, Failure> = Err(Failure::Unavailable);

#[test]
fn a_log_that_fails_stops_durable_transactions_and_nothing_else() {
    for (seed, fails) in [
        Fails { of: "log", writes: true, ..Fails::default() },
        Fails { of: "log", syncs: true, ..Fails::default() },
        Fails { of: "log", writes: true, syncs: true, ..Fails::default() },
    ]
    .into_iter()
    .enumerate()
    {
        let disk = Disk::new(seed as u64);
        let (store, mut committer) = open(&disk);
        let (row, session, other) = (key("row"), passing("session"), passing("other"));
        assert_eq!(run(&store, &mut committer, add(Lane::Durable, &[row, session])), Ok(vec![0, 0]));

        disk.fail(fails);
        let mut bell = Box::pin(block_on(store.watch(&row)));
        assert_eq!(run(&store, &mut committer, add(Lane::Durable, &[row, session])), IN_DOUBT);
        for _ in 0..3 {
            assert_eq!(run(&store, &mut committer, add(Lane::Durable, &[row])), REFUSED);
            assert_eq!((see(&store, row), see(&store, session)), (1, 1), "what is in doubt is not shown");
        }
        assert_eq!(run(&store, &mut committer, add(Lane::Quick, &[other])), Ok(vec![0]), "ephemeral rows need no disk");
        // The transaction in doubt has read it, so nobody may change it before its fate is known.
        assert_eq!(run(&store, &mut committer, add(Lane::Quick, &[session])), REFUSED);
        assert!(poll(&mut bell).is_pending());

        disk.heal();
        committer.turn();
        assert_eq!((see(&store, row), see(&store, session)), (2, 2), "what was in doubt is done, as a whole");
        assert!(poll(&mut bell).is_ready());
        assert_eq!(run(&store, &mut committer, add(Lane::Durable, &[row, session])), Ok(vec![2, 2]));

        drop((store, committer));
        disk.power_cycle();
        let (store, _committer) = open(&disk);
        assert_eq!((see(&store, row), see(&store, session)), (3, 0));
    }
}

#[test]
fn a_batch_whose_sync_failed_is_written_again_and_not_taken_for_synced() {
    // The cache shows all of it, and would sync none of it: only writing it again helps, whatever part the disk got.
    for seed in 0..40 {
        let disk = Disk::new(seed);
        let (store, mut committer) = open(&disk);
        disk.fail(Fails { of: "log", syncs: true, ..Fails::default() });
        let keys: Vec<_> = (0..30).map(|row| key(&format!("a row with quite a long name {row:10}"))).collect();
        assert_eq!(run(&store, &mut committer, add(Lane::Durable, &keys)), IN_DOUBT);
        disk.heal();
        assert_eq!(run(&store, &mut committer, add(Lane::Durable, &keys[..1])), Ok(vec![1]), "seed {seed}");
        drop((store, committer));
        disk.power_cycle();
        let (store, _committer) = open(&disk);
        assert!(keys[1..].iter().all(|key| see(&store, *key) == 1) && see(&store, keys[0]) == 2, "seed {seed}");
    }
}

/// Writes until nothing is accepted any more; returns how many were answered and how many are in doubt.
fn write_until_refused(store: &Embedded, committer: &mut Committer, from: u64) -> (u64, u64) {
    let (mut answered, mut in_doubt) = (0, 0);
    for number in from..from + 10_000 {
        let row = Write::Set(key(&format!("row/{number}")), number.to_le_bytes().repeat(100));
        let insert = durable(move |_: &mut Reads<'_>| Ok(Commit { writes: vec![row.clone(), Write::Add(key("count"), 1)], answer: () }));
        match run(store, committer, insert) {
            Ok(()) => answered += 1,
            Err(Failure::Unknown) => in_doubt += 1,
            Err(Failure::Unavailable) => return (answered, in_doubt),
            Err(Failure::Retry) => panic!("one writer has no conflicts"),
        }
    }
    panic!("it should have been refused");
}

fn check_all(store: &Embedded, count: u64) {
    assert_eq!(see(store, key("count")), count);
    for number in 0..count {
        let row = key(&format!("row/{number}"));
        let mut reply =
            Box::pin(store.execute(quick(move |reads: &mut Reads<'_>| Ok(Commit { writes: Vec::new(), answer: reads.get(&row)? }))));
        assert_eq!(poll(&mut reply), Poll::Ready(Ok(Some(number.to_le_bytes().repeat(100)))));
    }
}

#[test]
fn a_full_disk_stops_writing_not_reading_and_room_lets_it_go_on() {
    let disk = Disk::new(1);
    let (store, mut committer) = open(&disk);
    disk.fail(Fails { full_at: Some(9_500_000), ..Fails::default() });
    let (answered, in_doubt) = write_until_refused(&store, &mut committer, 0);
    assert!(answered > 10, "{answered}");
    check_all(&store, answered);

    disk.heal();
    while run(&store, &mut committer, add(Lane::Durable, &[key("probe")])).is_err() {}
    check_all(&store, answered + in_doubt);
    drop((store, committer));
    disk.power_cycle();
    check_all(&open(&disk).0, answered + in_doubt);
}

#[test]
fn a_tree_that_cannot_be_written_stops_nothing_until_the_logs_are_full() {
    for fails in [
        Fails { of: TREE, writes: true, ..Fails::default() },
        Fails { of: TREE, syncs: true, ..Fails::default() },
        Fails { of: TREE, writes: true, syncs: true, ..Fails::default() },
    ] {
        for seed in 0..5 {
            let disk = Disk::new(seed);
            let (store, mut committer) = open(&disk);
            // Enough that the tree holds some.
            for _ in 0..30 {
                run(&store, &mut committer, add(Lane::Durable, &[key("filler")])).expect("the disk is well");
            }
            disk.fail(fails.clone());
            let (answered, in_doubt) = write_until_refused(&store, &mut committer, 0);
            assert!(answered >= 10 && in_doubt == 0, "{answered} answered, {in_doubt} in doubt");
            check_all(&store, answered);
            assert_eq!(see(&store, key("filler")), 30, "from the tree, without a cache");

            disk.heal();
            run(&store, &mut committer, add(Lane::Durable, &[key("filler")])).expect("the disk is well again");
            check_all(&store, answered);
            drop((store, committer));
            disk.power_cycle();
            let (store, mut committer) = open(&disk);
            check_all(&store, answered);
            assert_eq!(run(&store, &mut committer, add(Lane::Durable, &[key("filler")])), Ok(vec![31]));
        }
    }
}

#[test]
fn power_lost_while_the_disk_fails_loses_nothing_answered() {
    for seed in 0..20 {
        for of in [TREE, LOGS[0], LOGS[1], ""] {
            let disk = Disk::new(seed);
            let (store, mut committer) = open(&disk);
            disk.fail(Fails { of, writes: seed % 2 == 0, syncs: seed % 2 == 1, ..Fails::default() });
            let (answered, in_doubt) = write_until_refused(&store, &mut committer, 0);
            check_all(&store, answered);
            drop((store, committer));
            disk.heal();
            disk.power_cycle();
            let (store, _committer) = open(&disk);
            let there = see(&store, key("count"));
            assert!((answered..=answered + in_doubt).contains(&there), "seed {seed}, {of}: {answered}, {in_doubt}, {there}");
            check_all(&store, there);
        }
    }
}

#[test]
fn a_tree_that_cannot_be_read_is_opened_anew() {
    let disk = Disk::new(1);
    let (store, mut committer) = open(&disk);
    for number in 0..100 {
        let row = Write::Set(key(&format!("row/{number}")), vec![0; 1000]);
        let insert = durable(move |_: &mut Reads<'_>| Ok(Commit { writes: vec![row.clone(), Write::Add(key("count"), 1)], answer: () }));
        run(&store, &mut committer, insert).expect("the disk is well");
    }
    let absent = add(Lane::Durable, &[key("not in memory")]);
    disk.fail(Fails { of: TREE, reads: true, ..Fails::default() });
    assert_eq!(run(&store, &mut committer, absent.clone()), REFUSED);
    assert_eq!(run(&store, &mut committer, absent.clone()), REFUSED);
    disk.heal();
    assert_eq!(run(&store, &mut committer, absent), Ok(vec![0]));
    assert_eq!(see(&store, key("count")), 100);
}

#[test]
fn a_disk_that_fails_at_once_is_an_error() {
    for fails in [
        Fails { of: TREE, writes: true, ..Fails::default() },
        Fails { of: TREE, syncs: true, ..Fails::default() },
        Fails { full_at: Some(10_000), ..Fails::default() },
    ] {
        let disk = Disk::new(1);
        disk.fail(fails);
        let error = Embedded::by_hand(disk, cramped()).map(drop).expect_err("nothing could be made durable");
        assert!(matches!(error, OpenError::Tree(_)), "{error}");
    }
}

#[test]
fn damage_that_no_power_loss_explains_is_an_error() {
    let disk = Disk::new(1);
    let (store, mut committer) = open(&disk);
    for _ in 0..3 {
        run(&store, &mut committer, add(Lane::Durable, &[key("a")])).expect("the disk is well");
    }
    drop((store, committer));
    disk.damage(LOGS[0], 4096 + 60);
    assert!(matches!(Embedded::by_hand(disk, cramped()), Err(OpenError::Log(_))));
}
