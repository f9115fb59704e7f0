//! The sandbox and the simulator's store are two models of one thing: what happens in one happens in the other.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]

mod world;

use std::sync::Arc;

use doubletick_core::store::{Key, Read, Scan, Snapshot, Write};
use doubletick_fdb_sandbox::Error;
use doubletick_fdb_sandbox::client::{Limits, Mode, Selector, Transaction, Value};
use doubletick_sim::store::{Reads, Store, Version};
use proptest::prelude::*;

use world::World;

/// How many transactions are under way at a time.
const TRANSACTIONS: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    Read(Read),
    Write(Write),
    Commit,
}

fn key() -> impl Strategy<Value = Key> {
    (0..12_u8).prop_map(|n| Key::new(&[0x10, n]))
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0..4_u64;
    let scan = (key(), key(), 1..5_u32, any::<bool>()).prop_map(|(from, to, limit, reverse)| Scan { from, to, limit, reverse });
    prop_oneof![
        3 => key().prop_map(|key| Step::Read(Read::Row(key))),
        3 => scan.prop_map(|scan| Step::Read(Read::Rows(scan))),
        2 => (key(), number.clone()).prop_map(|(key, n)| Step::Write(Write::Set(key, n.to_le_bytes().to_vec()))),
        1 => key().prop_map(|key| Step::Write(Write::Clear(key))),
        1 => (key(), number.clone()).prop_map(|(key, n)| Step::Write(Write::Max(key, n))),
        1 => (key(), number).prop_map(|(key, n)| Step::Write(Write::Add(key, n))),
        3 => Just(Step::Commit),
    ]
}

/// A transaction in both.
struct Pair {
    sandbox: Arc<Transaction>,
    version: Version,
    reads: Reads,
    writes: Vec<Write>,
}

const ADD: i32 = 2;
const MAX: i32 = 12;

impl Pair {
    fn begin(world: &World, store: &Store) -> Self {
        let sandbox = world.database().transaction();
        world.done(&sandbox.read_version()).unwrap();
        Self { sandbox, version: store.version(), reads: Reads::default(), writes: vec![] }
    }

    fn read(&mut self, world: &World, store: &Store, read: &Read) {
        let mut snapshot = store.at(self.version, &mut self.reads, None);
        match read {
            Read::Row(key) => {
                let expected = snapshot.get(key).unwrap().map(|value| value.into_owned().into());
                assert_eq!(world.done(&self.sandbox.get(key.as_bytes(), false)), Ok(Value::Row(expected)), "{key:?}");
            }
            Read::Rows(scan) => {
                let expected: Vec<_> = snapshot.scan(scan).unwrap().into_iter().map(|(key, value)| (key, value.into_owned())).collect();
                let bound = |key: &Key| Selector::first_at(key.as_bytes().to_vec().into());
                let limits = Limits::new(scan.limit as i32, 0, Mode::Exact, 0).unwrap();
                let found = world.done(&self.sandbox.get_range(&bound(&scan.from), &bound(&scan.to), limits, false, scan.reverse));
                let Ok(Value::Rows(rows, _)) = found else { panic!("{scan:?}: {found:?}") };
                let rows: Vec<_> = rows.iter().map(|(key, value)| (Key::new(key), value.to_vec())).collect();
                assert_eq!(rows, expected, "{scan:?}");
            }
        }
    }

    fn write(&mut self, write: &Write) {
        let key = write.key().as_bytes();
        match write {
            Write::Set(_, value) => self.sandbox.set(key, value),
            Write::Clear(_) => self.sandbox.clear(key),
            Write::Max(_, least) => self.sandbox.atomic(MAX, key, &least.to_le_bytes()),
            Write::Add(_, more) => self.sandbox.atomic(ADD, key, &more.to_le_bytes()),
        }
        self.writes.push(write.clone());
    }

    /// Whether it was committed.
    fn commit(self, world: &World, store: &mut Store) -> bool {
        let refused = !self.writes.is_empty() && store.conflicts(&self.reads, self.version);
        if !refused {
            store.commit(0, self.writes.clone());
        }
        let expected = if refused { Err(Error::NOT_COMMITTED) } else { Ok(Value::Done) };
        assert_eq!(world.done(&self.sandbox.commit()), expected, "{:?}", self.reads);
        assert_eq!(self.sandbox.committed_version().is_some(), !refused && !self.writes.is_empty());
        !refused
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_histories_have_the_same_outcomes_in_both(steps in prop::collection::vec((0..TRANSACTIONS, step()), 0..120)) {
        let world = World::new();
        let mut store = Store::default();
        let mut open: [Option<Pair>; TRANSACTIONS] = Default::default();
        for (n, step) in &steps {
            let mut pair = open[*n].take().unwrap_or_else(|| Pair::begin(&world, &store));
            match step {
                // What core asks of a store has no reads after writes.
                Step::Read(_) if !pair.writes.is_empty() => {}
                Step::Read(read) => pair.read(&world, &store, read),
                Step::Write(write) => pair.write(write),
                Step::Commit => {
                    pair.commit(&world, &mut store);
                    continue;
                }
            }
            open[*n] = Some(pair);
        }
        let mut last = Pair::begin(&world, &store);
        last.read(&world, &store, &Read::Rows(Scan { from: Key::new(&[0x10]), to: Key::new(&[0x11]), limit: 100, reverse: false }));
    }
}

#[test]
fn both_refuse_the_second_of_two_that_read_what_the_other_writes() {
    let world = World::new();
    let mut store = Store::default();
    let (a, b) = (Key::new(&[0x10, 1]), Key::new(&[0x10, 2]));
    let mut pairs = [Pair::begin(&world, &store), Pair::begin(&world, &store)];
    pairs[0].read(&world, &store, &Read::Row(a));
    pairs[1].read(&world, &store, &Read::Row(b));
    pairs[0].write(&Write::Set(b, vec![1; 8]));
    pairs[1].write(&Write::Set(a, vec![1; 8]));
    assert_eq!(pairs.map(|pair| pair.commit(&world, &mut store)), [true, false]);
}
