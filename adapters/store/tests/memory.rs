//! The store in memory keeps every promise, in both of its ways, and fails as it is told to.

use doubletick_core::store::{Commit, Failure, Key, Write};
use doubletick_store::Store;
use doubletick_store::conformance::{Harness, Reads, block_on, durable, quick, wait_for};
use doubletick_store::memory::{Fault, Memory};

struct AtOnce;

impl Harness for AtOnce {
    type Store = Memory;

    fn store(&self) -> Memory {
        Memory::new()
    }
}

struct InRounds;

impl Harness for InRounds {
    type Store = Memory;

    fn store(&self) -> Memory {
        Memory::with_rounds()
    }
}

mod with_everything_at_hand {
    doubletick_store::conformance!(super::AtOnce);
}

mod fetching_in_rounds {
    doubletick_store::conformance!(super::InRounds);
}

fn add_one(reads: &mut Reads<'_>) -> Result<Commit<u64>, doubletick_core::store::NotFetched> {
    let key = Key::new(b"counter");
    let next = reads.number(&key)? + 1;
    Ok(Commit { writes: vec![Write::Set(key, next.to_le_bytes().to_vec())], answer: next })
}

#[test]
fn it_fails_as_it_is_told_to_and_then_goes_on() {
    for store in [Memory::new(), Memory::with_rounds()] {
        store.fail_next(2, Fault::Retry);
        store.fail_next(1, Fault::UnknownNotCommitted);
        store.fail_next(1, Fault::UnknownCommitted);
        store.fail_next(1, Fault::Unavailable);
        let results: Vec<_> = (0..6).map(|_| block_on(store.execute(durable(add_one)))).collect();
        let (retry, unknown, unavailable) = (Err(Failure::Retry), Err(Failure::Unknown), Err(Failure::Unavailable));
        assert_eq!(results, [retry, retry, unknown, unknown, unavailable, Ok(2)], "one of the unknown was committed");
    }
}

#[test]
fn rounds_and_runs_are_counted() {
    let store = Memory::with_rounds();
    let chase = |reads: &mut Reads<'_>| {
        let first = reads.number(&Key::new(b"first"))?;
        let (second, third) = (reads.get(&Key::new(b"second")), reads.get(&Key::new(b"third")));
        Ok(Commit { writes: Vec::new(), answer: (first, second?, third?) })
    };
    block_on(store.execute(quick(chase))).expect("nothing fails");
    let counts = store.counts();
    // The second and third are asked for in the same round.
    assert_eq!((counts.rounds, counts.runs, counts.commits, counts.conflicts), (2, 3, 1, 0));
}

#[test]
fn bells_can_be_lost_and_can_ring_for_nothing() {
    let store = Memory::new();
    let key = Key::new(&[Key::EPHEMERAL]);
    let add = quick(move |_| Ok(Commit { writes: vec![Write::Add(key, 1)], answer: () }));
    block_on(async {
        let mut bell = store.watch(&key).await;
        store.lose_bells(true);
        store.execute(add).await.expect("nothing fails");
        assert_eq!(wait_for(&mut bell, Some(std::time::Duration::ZERO)), None);
        store.ring(&key);
        bell.await;
    });
}

#[test]
fn ephemeral_rows_can_be_forgotten_and_durable_ones_stay() {
    let store = Memory::new();
    let (lasting, passing) = (Key::new(b"lasting"), Key::new(&[Key::EPHEMERAL]));
    let both = durable(move |_| Ok(Commit { writes: vec![Write::Add(lasting, 1), Write::Add(passing, 1)], answer: () }));
    block_on(store.execute(both)).expect("nothing fails");
    store.forget_ephemeral();
    assert!(store.rows().into_keys().eq([lasting]));
}
