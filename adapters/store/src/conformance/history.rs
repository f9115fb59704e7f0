//! Random histories, compared with models.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use doubletick_core::store::{Commit, Key, Scan, Write, counter, merge};

use super::{Harness, Random, Reads, Task, block_on, commit, durable, quick};

/// One of few keys, so that histories meet themselves.
fn some_key(random: &mut Random, ephemeral: bool) -> Key {
    let first = if ephemeral { Key::EPHEMERAL } else { b'd' };
    let length = random.below(3) as usize;
    let rest: Vec<u8> = (0..length).map(|_| [0, 1, 0xff][random.below(3) as usize]).collect();
    Key::new(&[&[first][..], &rest].concat())
}

fn some_write(random: &mut Random) -> Write {
    let ephemeral = random.one_in(2);
    let key = some_key(random, ephemeral);
    match random.below(6) {
        0 | 1 => {
            let length = [0, 8, 30, 5000][random.below(4) as usize];
            Write::Set(key, (0..length).map(|_| random.draw() as u8).collect())
        }
        2 => Write::Clear(key),
        3 => Write::Max(key, random.below(100)),
        4 => Write::Add(key, random.below(100)),
        _ => Write::Add(key, u64::MAX - random.below(100)),
    }
}

fn some_scan(random: &mut Random) -> Scan {
    let ephemeral = random.one_in(2);
    let (from, to) = (some_key(random, ephemeral), some_key(random, ephemeral));
    Scan { from, to, limit: 1 + random.below(5) as u32, reverse: random.one_in(2) }
}

fn model_scan(model: &BTreeMap<Key, Vec<u8>>, scan: &Scan) -> Vec<(Key, Vec<u8>)> {
    let mut rows: Vec<_> =
        model.iter().filter(|(key, _)| scan.from <= **key && **key < scan.to).map(|(key, value)| (*key, value.clone())).collect();
    if scan.reverse {
        rows.reverse();
    }
    rows.truncate(scan.limit as usize);
    rows
}

/// See the name.
pub fn every_random_history_agrees_with_a_plain_map<H: Harness>(harness: &H) {
    for seed in 0..6 * harness.effort() {
        let store = harness.store();
        let mut random = Random::new(seed);
        let mut model = BTreeMap::new();
        for step in 0..120 {
            let writes: Vec<_> = (0..random.below(5)).map(|_| some_write(&mut random)).collect();
            let gets: Vec<_> = (0..3).map(|at| some_key(&mut random, at % 2 == 0)).collect();
            let scans: Vec<_> = (0..2).map(|_| some_scan(&mut random)).collect();
            let expected: (Vec<_>, Vec<_>) =
                (gets.iter().map(|key| model.get(key).cloned()).collect(), scans.iter().map(|scan| model_scan(&model, scan)).collect());
            for write in &writes {
                match merge(model.get(write.key()).map(Vec::as_slice), write) {
                    Some(value) => model.insert(*write.key(), value),
                    None => model.remove(write.key()),
                };
            }
            let run = move |reads: &mut Reads<'_>| {
                let gets: Vec<_> = gets.iter().map(|key| reads.get(key)).collect();
                let scans: Vec<_> = scans.iter().map(|scan| reads.scan(scan)).collect();
                let answer = (gets.into_iter().collect::<Result<Vec<_>, _>>()?, scans.into_iter().collect::<Result<Vec<_>, _>>()?);
                Ok(Commit { writes: writes.clone(), answer })
            };
            let found = block_on(async {
                match random.one_in(2) {
                    true => commit(&store, quick(run)).await,
                    false => commit(&store, durable(run)).await,
                }
            });
            assert_eq!(found, expected, "step {step} of seed {seed}");
        }
    }
}

const ACCOUNTS: u64 = 6;
const START: u64 = 100;

fn account(number: u64) -> Key {
    // Half of them ephemeral, so that no transfer is of one kind only for long.
    let first = if number.is_multiple_of(2) { b'a' } else { Key::EPHEMERAL };
    Key::new(&[first, number as u8])
}

/// A transfer that was answered.
#[derive(Clone, Copy, Debug)]
struct Done {
    /// Its place in the order that the transfers made themselves.
    place: u64,
    from: u64,
    to: u64,
    amount: u64,
    /// What it saw in the account that it took from.
    saw: u64,
    /// When it was submitted and when it was answered, on a clock that all share.
    began: u64,
    ended: u64,
}

/// See the name.
///
/// Each transfer takes the next place in an order that is itself a row. The order must explain what each one saw, and one that was answered
/// before another was submitted must come first.
pub fn transfers_are_one_after_the_other_in_real_time<H: Harness>(harness: &H) {
    for seed in 0..3 * harness.effort() {
        let store = harness.store();
        let setup = |_: &mut Reads<'_>| {
            let writes = (0..ACCOUNTS).map(|number| Write::Set(account(number), START.to_le_bytes().to_vec())).collect();
            Ok(Commit { writes, answer: () })
        };
        block_on(commit(&store, durable(setup)));
        let (clock, history) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
        let movers = (0..5_u64).map(|mover| -> Task {
            let (store, clock, history) = (store.clone(), Arc::clone(&clock), Arc::clone(&history));
            let mut random = Random::new(seed << 8 | mover);
            Box::pin(async move {
                for _ in 0..40 {
                    let (from, to, amount) = (random.below(ACCOUNTS), random.below(ACCOUNTS), 1 + random.below(60));
                    let fast = random.one_in(2);
                    let began = clock.fetch_add(1, Ordering::SeqCst);
                    let (place, saw) = match fast {
                        true => commit(&store, quick(move |reads: &mut Reads<'_>| transfer(reads, from, to, amount))).await,
                        false => commit(&store, durable(move |reads: &mut Reads<'_>| transfer(reads, from, to, amount))).await,
                    };
                    let ended = clock.fetch_add(1, Ordering::SeqCst);
                    history.lock().expect("nobody panicked").push(Done { place, from, to, amount, saw, began, ended });
                }
            })
        });
        let auditors = (0..2_u64).map(|auditor| -> Task {
            let store = store.clone();
            Box::pin(async move {
                for _ in 0..80 {
                    let total = match auditor {
                        0 => commit(&store, quick(audit)).await,
                        _ => commit(&store, durable(audit)).await,
                    };
                    assert_eq!(total, ACCOUNTS * START, "money was made or lost, seed {seed}");
                }
            })
        });
        harness.drive(movers.chain(auditors).collect());
        let history = std::mem::take(&mut *history.lock().expect("nobody panicked"));
        check(history, seed);
    }
}

fn transfer(reads: &mut Reads<'_>, from: u64, to: u64, amount: u64) -> Result<Commit<(u64, u64)>, doubletick_core::store::NotFetched> {
    let order = Key::new(&[Key::EPHEMERAL, 0xff]);
    let (place, saw, other) = (reads.number(&order), reads.number(&account(from)), reads.number(&account(to)));
    let (place, saw, other) = (place?, saw?, other?);
    let mut writes = vec![Write::Set(order, (place + 1).to_le_bytes().to_vec())];
    if saw >= amount && from != to {
        writes.push(Write::Set(account(from), (saw - amount).to_le_bytes().to_vec()));
        writes.push(Write::Set(account(to), (other + amount).to_le_bytes().to_vec()));
    }
    Ok(Commit { writes, answer: (place, saw) })
}

fn audit(reads: &mut Reads<'_>) -> Result<Commit<u64>, doubletick_core::store::NotFetched> {
    let runs = [b'a', Key::EPHEMERAL]
        .map(|first| reads.scan(&Scan { from: Key::new(&[first]), to: Key::new(&[first, 0xf0]), limit: 100, reverse: false }));
    let mut total = 0;
    for run in runs {
        total += run?.iter().map(|(_, value)| counter(value).expect("eight bytes were written")).sum::<u64>();
    }
    Ok(Commit { writes: Vec::new(), answer: total })
}

fn check(mut history: Vec<Done>, seed: u64) {
    history.sort_by_key(|done| done.place);
    let mut accounts = BTreeMap::new();
    let mut latest_beginning = 0;
    for (place, done) in history.iter().enumerate() {
        assert_eq!(done.place, place as u64, "one in each place, seed {seed}: {done:?}");
        assert_eq!(done.saw, *accounts.entry(done.from).or_insert(START), "seed {seed}: {done:?}");
        assert!(done.ended > latest_beginning, "answered before one began that comes before it, seed {seed}: {done:?}");
        latest_beginning = latest_beginning.max(done.began);
        if done.saw >= done.amount && done.from != done.to {
            *accounts.entry(done.from).or_insert(START) -= done.amount;
            *accounts.entry(done.to).or_insert(START) += done.amount;
        }
    }
}
