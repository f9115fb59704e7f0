//! Properties of one transaction after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};

use doubletick_core::store::{Commit, Key, Scan, Write};

use super::{Harness, Random, block_on, commit, durable, quick};
use crate::Store;
use crate::limits::{MAX_VALUE, MAX_WRITTEN};

/// A durable key.
pub(super) fn lasting(name: &str) -> Key {
    Key::new(format!("k/{name}").as_bytes())
}

/// An ephemeral key.
pub(super) fn passing(name: &str) -> Key {
    Key::new(&[&[Key::EPHEMERAL + 1], name.as_bytes()].concat())
}

pub(super) async fn write<S: Store>(store: &S, writes: Vec<Write>) {
    commit(store, durable(move |_| Ok(Commit { writes: writes.clone(), answer: () }))).await;
}

pub(super) async fn read<S: Store>(store: &S, key: Key) -> Option<Vec<u8>> {
    let read = move |reads: &mut super::Reads<'_>| Ok(Commit { writes: Vec::new(), answer: reads.get(&key)? });
    let (slow, fast) = (commit(store, durable(read)).await, commit(store, quick(read)).await);
    assert_eq!(slow, fast, "both lanes agree when nothing happens");
    fast
}

async fn rows<S: Store>(store: &S, scan: Scan) -> Vec<(Key, Vec<u8>)> {
    let read = move |reads: &mut super::Reads<'_>| Ok(Commit { writes: Vec::new(), answer: reads.scan(&scan)? });
    let (slow, fast) = (commit(store, durable(read)).await, commit(store, quick(read)).await);
    assert_eq!(slow, fast, "both lanes agree when nothing happens");
    fast
}

/// See the name.
pub fn a_value_is_read_back_and_a_cleared_row_is_gone<H: Harness>(harness: &H) {
    let store = harness.store();
    block_on(async {
        for key in [lasting("a"), passing("a"), Key::new(b"")] {
            assert_eq!(read(&store, key).await, None);
            write(&store, vec![Write::Set(key, b"value".to_vec())]).await;
            assert_eq!(read(&store, key).await, Some(b"value".to_vec()));
            write(&store, vec![Write::Set(key, Vec::new())]).await;
            assert_eq!(read(&store, key).await, Some(Vec::new()), "an empty value is a value");
            write(&store, vec![Write::Clear(key)]).await;
            assert_eq!(read(&store, key).await, None);
            write(&store, vec![Write::Clear(key)]).await;
        }
    });
}

/// See the name.
pub fn the_last_write_of_a_row_in_a_transaction_prevails<H: Harness>(harness: &H) {
    let store = harness.store();
    let number = |number: u64| number.to_le_bytes().to_vec();
    block_on(async {
        for key in [lasting("a"), passing("a")] {
            let set = |value: u64| Write::Set(key, number(value));
            let cases = [
                (vec![set(1), set(2)], Some(2)),
                (vec![set(1), Write::Clear(key)], None),
                (vec![Write::Clear(key), Write::Add(key, 3)], Some(3)),
                (vec![Write::Add(key, 1), set(5), Write::Add(key, 1), Write::Max(key, 4)], Some(6)),
                (vec![Write::Max(key, 7), Write::Add(key, 1), Write::Max(key, 20), Write::Add(key, 1)], Some(21)),
                (vec![Write::Add(key, 1), Write::Clear(key)], None),
            ];
            for (writes, expected) in cases {
                write(&store, writes.clone()).await;
                assert_eq!(read(&store, key).await, expected.map(number), "{writes:?}");
            }
        }
    });
}

/// See the name.
pub fn maximum_and_sum_start_from_nothing_and_take_eight_bytes_of_anything_for_a_number<H: Harness>(harness: &H) {
    let store = harness.store();
    let ten = 10_u64.to_le_bytes().to_vec();
    let cases = [
        (None, 3, 3, 3),
        (Some(ten.clone()), 3, 10, 13),
        (Some(ten), 30, 30, 40),
        (Some(vec![1]), 3, 3, 4),
        (Some(b"garbage".to_vec()), 3, 0x65_6761_6272_6167, 0x65_6761_6272_616a),
        (Some(b"eight!!! and more".to_vec()), 0, 0x2121_2174_6867_6965, 0x2121_2174_6867_6965),
        (Some(u64::MAX.to_le_bytes().to_vec()), 2, u64::MAX, 1),
    ];
    block_on(async {
        for key in [lasting("a"), passing("a")] {
            for (before, operand, maximum, sum) in cases.clone() {
                for (merging, after) in [(Write::Max(key, operand), maximum), (Write::Add(key, operand), sum)] {
                    let base = before.clone().map_or(Write::Clear(key), |value| Write::Set(key, value));
                    write(&store, vec![base]).await;
                    write(&store, vec![merging.clone()]).await;
                    assert_eq!(read(&store, key).await, Some(after.to_le_bytes().to_vec()), "{merging:?} on {before:?}");
                }
            }
        }
    });
}

/// See the name.
pub fn a_scan_keeps_to_its_bounds_its_limit_and_its_direction<H: Harness>(harness: &H) {
    let store = harness.store();
    block_on(async {
        for (name, beyond) in [(lasting as fn(&str) -> Key, Key::new(&[Key::EPHEMERAL])), (passing, Key::new(&[0xff; Key::MAX_LEN]))] {
            for row in ["a", "b", "c", "d"] {
                write(&store, vec![Write::Set(name(row), row.as_bytes().to_vec())]).await;
            }
            // A neighbour that is gone, and one that is longer by a zero.
            write(&store, vec![Write::Set(name("bb"), Vec::new()), Write::Set(name("c\0"), b"c0".to_vec())]).await;
            write(&store, vec![Write::Clear(name("bb"))]).await;
            let cases = [
                (name("a"), name("z"), 9, false, "a b c c0 d"),
                (name("a"), name("z"), 9, true, "d c0 c b a"),
                (name("a"), name("z"), 2, false, "a b"),
                (name("a"), name("z"), 2, true, "d c0"),
                (name("b"), name("d"), 9, false, "b c c0"),
                (name("b"), name("c"), 9, true, "b"),
                (name("bb"), name("c\0"), 1, false, "c"),
                (name("b\0"), name("b\0\0"), 9, false, ""),
                (name("c"), name("c"), 9, false, ""),
                (name("d"), name("a"), 9, true, ""),
                (name("d"), beyond, 9, false, "d"),
                (name("a"), beyond, 1, true, "d"),
            ];
            for (from, to, limit, reverse, expected) in cases {
                let scan = Scan { from, to, limit, reverse };
                let found: Vec<_> =
                    rows(&store, scan).await.into_iter().map(|(_, value)| String::from_utf8(value).expect("text")).collect();
                assert_eq!(found.join(" "), expected, "{scan:?}");
            }
        }
    });
}

/// See the name.
pub fn what_was_answered_is_seen_by_whoever_comes_next<H: Harness>(harness: &H) {
    let store = harness.store();
    block_on(async {
        for round in 0..50_u64 * harness.effort() {
            let (lasting, passing) = (lasting("a"), passing("a"));
            let value = round.to_le_bytes().to_vec();
            let other = store.clone();
            match round % 3 {
                0 => write(&store, vec![Write::Set(lasting, value.clone()), Write::Set(passing, value.clone())]).await,
                1 => {
                    write(&store, vec![Write::Set(lasting, value.clone())]).await;
                    let writes = vec![Write::Set(passing, value.clone())];
                    commit(&other, quick(move |_| Ok(Commit { writes: writes.clone(), answer: () }))).await;
                }
                _ => {
                    // The quick lane is a hint: durable writes are as right there.
                    let writes = vec![Write::Set(passing, value.clone()), Write::Set(lasting, value.clone())];
                    commit(&other, quick(move |_| Ok(Commit { writes: writes.clone(), answer: () }))).await;
                }
            }
            assert_eq!(read(&other, lasting).await, Some(value.clone()));
            assert_eq!(read(&store, passing).await, Some(value));
        }
    });
}

/// See the name.
pub fn the_largest_values_keys_and_transactions_are_kept<H: Harness>(harness: &H) {
    let store = harness.store();
    let mut random = Random::new(1);
    let large = |random: &mut Random| (0..MAX_VALUE).map(|_| random.draw() as u8).collect::<Vec<_>>();
    block_on(async {
        for first in [b'k', Key::EPHEMERAL] {
            let key = |last: u8| Key::new(&[&[first; Key::MAX_LEN - 1][..], &[last]].concat());
            let count = (MAX_WRITTEN / (MAX_VALUE + Key::MAX_LEN)) as u8;
            let values: Vec<_> = (0..count).map(|last| (key(last), large(&mut random))).collect();
            write(&store, values.iter().map(|(key, value)| Write::Set(*key, value.clone())).collect()).await;
            for (key, value) in &values {
                assert!(read(&store, *key).await.as_ref() == Some(value), "{key:?}");
            }
            let scan = Scan { from: key(0), to: key(count), limit: 100, reverse: true };
            let found = rows(&store, scan).await;
            assert!(found.into_iter().rev().eq(values), "in one scan");
        }
    });
}

fn expect_panic(what: impl FnOnce(), because: &str) {
    assert!(catch_unwind(AssertUnwindSafe(what)).is_err(), "{because}");
}

/// See the name.
pub fn what_is_too_large_panics_where_it_was_submitted_and_writes_nothing<H: Harness>(harness: &H) {
    let store = harness.store();
    for key in [lasting("a"), passing("a")] {
        let value = vec![0; MAX_VALUE + 1];
        expect_panic(|| block_on(write(&store, vec![Write::Set(key, value)])), "too long a value");
        let many = (0..=10).map(|last| Write::Set(Key::new(&[key.as_bytes(), &[last]].concat()), vec![0; MAX_VALUE])).collect();
        expect_panic(|| block_on(write(&store, many)), "too much in all");
        assert_eq!(block_on(read(&store, key)), None);
    }
    let crossing = Scan { from: lasting("a"), to: passing("z"), limit: 1, reverse: false };
    expect_panic(|| drop(block_on(rows(&store, crossing))), "a scan into the ephemeral keys");
}

/// See the name.
pub fn a_panic_in_a_transaction_is_raised_where_it_was_submitted<H: Harness>(harness: &H) {
    let store = harness.store();
    let key = lasting("a");
    let panics = move |reads: &mut super::Reads<'_>| {
        let value = reads.get(&key)?;
        assert!(value.is_some(), "there is no row");
        Ok(Commit { writes: vec![Write::Clear(key)], answer: () })
    };
    expect_panic(|| block_on(commit(&store, durable(panics))), "in the durable lane");
    expect_panic(|| block_on(commit(&store, quick(panics))), "in the quick lane");
    block_on(async {
        write(&store, vec![Write::Set(key, Vec::new())]).await;
        commit(&store, durable(panics)).await;
        assert_eq!(read(&store, key).await, None, "the store goes on");
    });
}

/// See the name.
pub fn what_a_read_names_is_fetched_however_long_the_chain<H: Harness>(harness: &H) {
    let store = harness.store();
    let length = 12_u64;
    let step = |step: u64| lasting(&format!("step/{step:03}"));
    block_on(async {
        let chain = (0..length).map(|at| Write::Set(step(at), (at + 1).to_le_bytes().to_vec()));
        write(&store, chain.chain([Write::Set(step(length), length.to_le_bytes().to_vec())]).collect()).await;
        let follow = move |reads: &mut super::Reads<'_>| {
            let (mut at, mut steps) = (0, 0);
            loop {
                let next = reads.number(&step(at))?;
                if next == at {
                    break;
                }
                (at, steps) = (next, steps + 1);
            }
            // Two at once, of which one is a run.
            let all = reads.scan(&Scan { from: step(0), to: step(999), limit: 100, reverse: false });
            let none = reads.get(&passing("none"));
            Ok(Commit { writes: vec![Write::Set(passing("end"), b"seen".to_vec())], answer: (steps, all?.len(), none?) })
        };
        assert_eq!(commit(&store, durable(follow)).await, (length, length as usize + 1, None));
        assert_eq!(commit(&store, quick(follow)).await, (length, length as usize + 1, None));
        assert_eq!(read(&store, passing("end")).await, Some(b"seen".to_vec()));
    });
}

/// See the name.
pub fn a_bell_armed_before_a_commit_rings_after_it<H: Harness>(harness: &H) {
    let store = harness.store();
    for key in [passing("bell"), lasting("bell")] {
        for change in [Write::Add(key, 1), Write::Max(key, 9), Write::Set(key, Vec::new()), Write::Clear(key)] {
            let (one, other) = block_on(async {
                let armed = (store.watch(&key).await, store.watch(&key).await);
                write(&store, vec![Write::Set(lasting("other"), Vec::new()), change.clone()]).await;
                armed
            });
            assert!(harness.rings(one) && harness.rings(other), "{change:?}");
        }
        let bell = block_on(store.watch(&key));
        block_on(commit(&store, quick(move |_| Ok(Commit { writes: vec![Write::Add(key, 1)], answer: () }))));
        assert!(harness.rings(bell), "rung in the quick lane");
    }
}
