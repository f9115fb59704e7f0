//! Power losses at any write, change of length or sync.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use doubletick_core::store::{Commit, Failure, Key, Scan, Write};
use doubletick_embedded::Embedded;
use doubletick_store::Store;
use doubletick_store::conformance::{Random, Reads, block_on, durable, quick};

use crate::conformance::cramped;
use crate::disk::Disk;

type Model = BTreeMap<Key, Vec<u8>>;
type Reply = Pin<Box<dyn Future<Output = Result<u64, Failure>>>>;

/// The transaction with this number: some rows of a group, all with the same stamp, one of them long; a row less; a count.
fn writes(number: u64) -> Vec<Write> {
    let mut random = Random::new(number);
    let (group, length) = (random.below(8), [10, 700, 5000][random.below(3) as usize]);
    let row = |row: u64| Key::new(format!("group/{group}/{row}").as_bytes());
    let stamp = number.to_le_bytes();
    let mut writes: Vec<_> = (0..3).map(|at| Write::Set(row(at), stamp.repeat(1 + at as usize))).collect();
    writes.push(Write::Set(row(3), stamp.repeat(length / 8)));
    writes.push(if random.one_in(3) { Write::Clear(row(4)) } else { Write::Set(row(4), stamp.to_vec()) });
    // Unlike the others these pile up.
    writes.push(Write::Set(Key::new(format!("log/{number:08}").as_bytes()), stamp.to_vec()));
    writes.push(Write::Add(Key::new(b"count"), 1));
    writes.push(Write::Set(Key::new(&[Key::EPHEMERAL, group as u8]), stamp.to_vec()));
    writes
}

fn apply(model: &mut Model, number: u64) {
    for write in writes(number).iter().filter(|write| !write.key().is_ephemeral()) {
        match doubletick_core::store::merge(model.get(write.key()).map(Vec::as_slice), write) {
            Some(value) => model.insert(*write.key(), value),
            None => model.remove(write.key()),
        };
    }
}

fn everything(store: &Embedded) -> Model {
    let all = |reads: &mut Reads<'_>| {
        let scan = |from: u8, to: u8| Scan { from: Key::new(&[from]), to: Key::new(&[to]), limit: u32::MAX, reverse: false };
        let (lasting, passing) = (reads.scan(&scan(0, Key::EPHEMERAL)), reads.scan(&scan(Key::EPHEMERAL, 0xff)));
        Ok(Commit { writes: Vec::new(), answer: (lasting?, passing?) })
    };
    let (lasting, passing) = block_on(store.execute(quick(all))).expect("it is readable");
    assert!(passing.is_empty(), "ephemeral rows do not outlive the process");
    lasting.into_iter().collect()
}

/// Lives through some power losses and returns the images after each.
fn live(seed: u64, losses: u32) -> Vec<blake3::Hash> {
    let disk = Disk::new(seed);
    let mut random = Random::new(!seed);
    let mut images = Vec::new();
    // What is there after the first so many transactions; more of them were submitted, fewer answered.
    let (mut model, mut applied, mut submitted, mut answered) = (Model::new(), 0_u64, 0_u64, 0_u64);
    for loss in 0..=losses {
        if loss < losses {
            // Often in the first changes: making the files, or putting the logs into the tree.
            let within = [30, 300, 1500][random.below(3) as usize];
            disk.lose_power_within(within);
        }
        let opened = Embedded::by_hand(disk.clone(), cramped());
        if let Err(error) = &opened {
            assert!(!disk.has_power(), "seed {seed}, loss {loss}: {error}");
        }
        if let Ok((store, mut committer)) = opened {
            let found = everything(&store);
            while found != model && applied < submitted {
                apply(&mut model, applied);
                applied += 1;
            }
            assert!(found == model, "seed {seed}, loss {loss}: not the outcome of any number of transactions");
            assert!(applied >= answered, "seed {seed}, loss {loss}: {answered} answered, {applied} there");
            // What was not answered and is not there never will be.
            submitted = applied;
            for _ in 0..400 {
                let mut replies: Vec<Reply> = Vec::new();
                for _ in 0..=random.below(2) {
                    let number = submitted;
                    submitted += 1;
                    let transaction = durable(move |_: &mut Reads<'_>| Ok(Commit { writes: writes(number), answer: number }));
                    let mut reply: Reply = Box::pin(store.execute(transaction));
                    if poll(&mut reply).is_pending() {
                        replies.push(reply);
                    }
                }
                // More than one: a batch is soon full.
                while committer.turn() > 0 {}
                let results: Vec<_> = replies.iter_mut().map(poll).collect();
                for result in &results {
                    match result {
                        Poll::Ready(Ok(number)) => answered = number + 1,
                        Poll::Ready(Err(Failure::Unknown | Failure::Unavailable)) => {}
                        other @ (Poll::Ready(Err(Failure::Retry)) | Poll::Pending) => panic!("seed {seed}: {other:?}"),
                    }
                }
                if results.iter().any(|result| matches!(result, Poll::Ready(Err(_)))) || replies.is_empty() {
                    break;
                }
            }
        }
        disk.power_cycle();
        images.push(disk.fingerprint());
    }
    assert!(answered > 0, "seed {seed}: it got to do something");
    images
}

fn poll(reply: &mut Reply) -> Poll<Result<u64, Failure>> {
    reply.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn nothing_answered_is_lost_and_nothing_is_half_there() {
    let seeds = std::env::var("DOUBLETICK_POWER_SEEDS").map_or(30, |seeds| seeds.parse().expect("DOUBLETICK_POWER_SEEDS is a number"));
    for seed in 0..seeds {
        live(seed, 8);
    }
}

#[test]
fn the_same_seed_leaves_the_same_bytes() {
    for seed in 1000..1005 {
        assert_eq!(live(seed, 6), live(seed, 6), "seed {seed}");
    }
}
