//! Transactions that are under way together have the outcome of one after the other, in the order of their commits, whatever they read and
//! by whatever selectors: each is run again on a plain map at its place in that order, and must read there what it read.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]

mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use doubletick_fdb_sandbox::Error;
use doubletick_fdb_sandbox::client::{Limits, Mode, Selector, Transaction, Value};
use proptest::prelude::*;

use world::World;

const TRANSACTIONS: usize = 4;
const KEYS: u8 = 6;
const ADD: i32 = 2;
const COMPARE_AND_CLEAR: i32 = 20;
const READ_END: &[u8] = b"\xff";

#[derive(Clone, Debug)]
enum Read {
    Row(u8),
    Key(Place),
    Rows { begin: Place, end: Place, limit: i32, reverse: bool },
}

#[derive(Clone, Debug)]
enum Write {
    Set(u8, u8),
    Clear(u8, u8),
    Add(u8, u8),
    CompareAndClear(u8, u8),
}

#[derive(Clone, Debug)]
enum Step {
    Read(Read),
    Write(Write),
    Commit,
}

/// A selector over small keys.
#[derive(Clone, Copy, Debug)]
struct Place {
    key: u8,
    or_equal: bool,
    offset: i32,
}

impl Place {
    fn selector(self) -> Selector {
        Selector { key: Bytes::copy_from_slice(&[self.key]), or_equal: self.or_equal, offset: self.offset }
    }
}

/// What a read gave, in a form that both have.
#[derive(Debug, PartialEq)]
enum Found {
    Row(Option<u8>),
    Key(Vec<u8>),
    Rows(Vec<(u8, u8)>),
}

type Map = BTreeMap<u8, u8>;

/// Where a place leads in a map: an index into its keys, before all of them or behind.
fn index(map: &Map, place: Place) -> usize {
    let before = map.keys().filter(|key| **key < place.key || place.or_equal && **key == place.key).count();
    let index = before as i64 + i64::from(place.offset) - 1;
    usize::try_from(index).map_or(0, |index| index.min(map.len()))
}

fn read_map(map: &Map, read: &Read) -> Found {
    match read {
        Read::Row(key) => Found::Row(map.get(key).copied()),
        Read::Key(place) => {
            let before = map.keys().filter(|key| **key < place.key || place.or_equal && **key == place.key).count();
            match usize::try_from(before as i64 + i64::from(place.offset) - 1) {
                Err(_) => Found::Key(vec![]),
                Ok(index) => Found::Key(map.keys().nth(index).map_or(READ_END.to_vec(), |key| vec![*key])),
            }
        }
        Read::Rows { begin, end, limit, reverse } => {
            let (from, to) = (index(map, *begin), index(map, *end));
            let rows: Vec<_> = map.iter().map(|(key, value)| (*key, *value)).collect();
            let mut rows = rows.get(from..to).unwrap_or_default().to_vec();
            if *reverse {
                rows.reverse();
            }
            rows.truncate(if *limit == 0 { usize::MAX } else { *limit as usize });
            Found::Rows(rows)
        }
    }
}

fn write_map(map: &mut Map, write: &Write) {
    match *write {
        Write::Set(key, value) => drop(map.insert(key, value)),
        Write::Clear(begin, end) => map.retain(|key, _| !(begin..end).contains(key)),
        Write::Add(key, more) => {
            let value = map.entry(key).or_default();
            *value = value.wrapping_add(more);
        }
        Write::CompareAndClear(key, value) => {
            if map.get(&key) == Some(&value) {
                map.remove(&key);
            }
        }
    }
}

fn read(world: &World, transaction: &Transaction, read: &Read) -> Found {
    let future = match read {
        Read::Row(key) => transaction.get(&[*key], false),
        Read::Key(place) => transaction.get_key(&place.selector(), false),
        Read::Rows { begin, end, limit, reverse } => {
            let limits = Limits::new(*limit, 0, Mode::WantAll, 1).unwrap();
            transaction.get_range(&begin.selector(), &end.selector(), limits, false, *reverse)
        }
    };
    let value = world.done(&future).unwrap();
    let (rows, key) = (|rows: &[(Bytes, Bytes)]| rows.iter().map(|(key, value)| (key[0], value[0])).collect(), |key: &Bytes| key.to_vec());
    if let Value::Row(row) = &value {
        Found::Row(row.as_ref().map(|value| value[0]))
    } else if let Value::Key(found) = &value {
        Found::Key(key(found))
    } else if let Value::Rows(found, _) = &value {
        Found::Rows(rows(found))
    } else {
        panic!("{value:?}")
    }
}

fn write(transaction: &Transaction, write: &Write) {
    match *write {
        Write::Set(key, value) => transaction.set(&[key], &[value]),
        Write::Clear(begin, end) => transaction.clear_range(&[begin], &[end]),
        Write::Add(key, more) => transaction.atomic(ADD, &[key], &[more]),
        Write::CompareAndClear(key, value) => transaction.atomic(COMPARE_AND_CLEAR, &[key], &[value]),
    }
}

fn place() -> impl Strategy<Value = Place> {
    (0..KEYS, any::<bool>(), prop_oneof![1 => Just(1), 1 => -2..4_i32]).prop_map(|(key, or_equal, offset)| Place { key, or_equal, offset })
}

fn step() -> impl Strategy<Value = Step> {
    let (key, value) = (0..KEYS, 0..9_u8);
    let rows = (place(), place(), 0..4_i32, any::<bool>());
    let rows = rows.prop_map(|(begin, end, limit, reverse)| Step::Read(Read::Rows { begin, end, limit, reverse }));
    prop_oneof![
        1 => key.clone().prop_map(|key| Step::Read(Read::Row(key))),
        1 => place().prop_map(|place| Step::Read(Read::Key(place))),
        2 => rows,
        2 => (key.clone(), value.clone()).prop_map(|(key, value)| Step::Write(Write::Set(key, value))),
        1 => (key.clone(), 1..3_u8).prop_map(|(begin, count)| Step::Write(Write::Clear(begin, begin + count))),
        1 => (key.clone(), value.clone()).prop_map(|(key, value)| Step::Write(Write::Add(key, value))),
        1 => (key, value).prop_map(|(key, value)| Step::Write(Write::CompareAndClear(key, value))),
        4 => Just(Step::Commit),
    ]
}

/// What a transaction did, and what it read by it.
type Done = Vec<(Step, Option<Found>)>;

struct Running {
    transaction: Arc<Transaction>,
    done: Done,
}

/// Runs steps on the sandbox. Gives what each transaction did that was committed, in the order of commits, and how many were refused.
fn run(world: &World, steps: &[(usize, Step)]) -> (Vec<Done>, usize) {
    let (mut committed, mut refused) = (vec![], 0);
    let mut open: [Option<Running>; TRANSACTIONS] = Default::default();
    for (n, step) in steps {
        let running = open[*n].get_or_insert_with(|| Running { transaction: world.transaction(), done: vec![] });
        let found = match step {
            Step::Read(asked) => Some(read(world, &running.transaction, asked)),
            Step::Write(asked) => {
                write(&running.transaction, asked);
                None
            }
            Step::Commit => {
                let running = open[*n].take().unwrap();
                match world.done(&running.transaction.commit()) {
                    Ok(_) if running.transaction.committed_version().is_some() => committed.push(running.done),
                    // It only read, and has its place where its snapshot was.
                    Ok(_) => {}
                    Err(Error::NOT_COMMITTED) => refused += 1,
                    Err(error) => panic!("{error}"),
                }
                continue;
            }
        };
        running.done.push((step.clone(), found));
    }
    (committed, refused)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_committed_reads_the_same_one_after_the_other(steps in prop::collection::vec((0..TRANSACTIONS, step()), 0..120)) {
        let world = World::new();
        let (committed, _) = run(&world, &steps);
        let mut map = Map::new();
        for done in committed {
            for (step, found) in done {
                match (step, found) {
                    (Step::Read(asked), Some(found)) => prop_assert_eq!(read_map(&map, &asked), found, "{:?} of {:?}", asked, map),
                    (Step::Write(asked), _) => write_map(&mut map, &asked),
                    (Step::Read(_) | Step::Commit, _) => unreachable!("a read has a result, and a commit ends a transaction"),
                }
            }
        }
        for key in 0..KEYS {
            prop_assert_eq!(world.get(&[key]).map(|value| value[0]), map.get(&key).copied());
        }
    }
}

#[test]
fn such_histories_have_commits_and_conflicts() {
    let steps = |n: usize| {
        let read = Step::Read(Read::Rows {
            begin: Place { key: 0, or_equal: false, offset: 1 },
            end: Place { key: KEYS, or_equal: false, offset: 1 },
            limit: 0,
            reverse: false,
        });
        [(n, read), (n, Step::Write(Write::Add(n as u8, 1)))]
    };
    let world = World::new();
    let ends = [(0, Step::Commit), (1, Step::Commit)];
    let steps: Vec<_> = steps(0).into_iter().chain(steps(1)).chain(ends).collect();
    let (committed, refused) = run(&world, &steps);
    assert_eq!((committed.len(), refused), (1, 1));
}
