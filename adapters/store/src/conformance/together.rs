//! Properties of transactions at the same time.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};

use doubletick_core::store::{Commit, Key, Scan, Write};

use super::alone::{lasting, passing, read, write};
use super::{Harness, Random, Reads, Task, block_on, commit, durable, quick};
use crate::Store;

fn task(future: impl Future<Output = ()> + Send + 'static) -> Task {
    Box::pin(future)
}

/// See the name.
pub fn a_commit_is_seen_whole_or_not_at_all<H: Harness>(harness: &H) {
    let store = harness.store();
    let rounds = 60 * harness.effort();
    let keys: Vec<Key> = (0..4).flat_map(|row| [lasting(&format!("row/{row}")), passing(&format!("row/{row}"))]).collect();
    let writers = (0..3_u64).map(|writer| {
        let (store, keys) = (store.clone(), keys.clone());
        task(async move {
            for round in 0..rounds {
                let stamp = (writer << 32 | round).to_le_bytes().to_vec();
                write(&store, keys.iter().map(|key| Write::Set(*key, stamp.clone())).collect()).await;
            }
        })
    });
    let readers = (0..4_u64).map(|reader| {
        let (store, keys) = (store.clone(), keys.clone());
        task(async move {
            for _ in 0..rounds * 2 {
                let keys = keys.clone();
                let all = move |reads: &mut Reads<'_>| {
                    let one_by_one: Vec<_> = keys.iter().map(|key| reads.get(key)).collect();
                    let runs = [(lasting("row/"), lasting("row0")), (passing("row/"), passing("row0"))]
                        .map(|(from, to)| reads.scan(&Scan { from, to, limit: 10, reverse: reader % 2 == 0 }));
                    let mut seen = one_by_one.into_iter().collect::<Result<Vec<_>, _>>()?;
                    for run in runs {
                        let run = run?;
                        seen.resize(seen.len() + keys.len() / 2 - run.len(), None);
                        seen.extend(run.into_iter().map(|(_, value)| Some(value)));
                    }
                    Ok(Commit { writes: Vec::new(), answer: seen })
                };
                let seen = if reader < 2 { commit(&store, quick(all)).await } else { commit(&store, durable(all)).await };
                assert!(seen.iter().all(|value| *value == seen[0]), "torn: {seen:?}");
            }
        })
    });
    harness.drive(writers.chain(readers).collect());
}

/// See the name.
pub fn no_increment_is_lost_and_none_is_counted_twice<H: Harness>(harness: &H) {
    for key in [lasting("counter"), passing("counter")] {
        let store = harness.store();
        let (tasks, times) = (6, 40 * harness.effort());
        let runs = Arc::new(AtomicU64::new(0));
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let tasks = (0..tasks).map(|number| {
            let (store, runs, seen) = (store.clone(), Arc::clone(&runs), Arc::clone(&seen));
            task(async move {
                for _ in 0..times {
                    let runs = Arc::clone(&runs);
                    let next = move |reads: &mut Reads<'_>| {
                        runs.fetch_add(1, Ordering::Relaxed);
                        let next = reads.number(&key)? + 1;
                        Ok(Commit { writes: vec![Write::Set(key, next.to_le_bytes().to_vec())], answer: next })
                    };
                    let next = if number % 2 == 0 { commit(&store, quick(next)).await } else { commit(&store, durable(next)).await };
                    seen.lock().expect("nobody panicked").push(next);
                }
            })
        });
        harness.drive(tasks.collect());
        let mut seen = std::mem::take(&mut *seen.lock().expect("nobody panicked"));
        seen.sort_unstable();
        // However often the function was run.
        assert!(seen.iter().copied().eq(1..=6 * times), "each number once: {seen:?}");
        assert!(runs.load(Ordering::Relaxed) >= 6 * times);
        assert_eq!(block_on(read(&store, key)), Some((6 * times).to_le_bytes().to_vec()));
    }
}

/// See the name.
pub fn sums_and_maxima_of_many_come_out_right<H: Harness>(harness: &H) {
    let store = harness.store();
    let times = 40 * harness.effort();
    let tasks = (0..6_u64).map(|number| {
        let store = store.clone();
        task(async move {
            for round in 0..times {
                let height = round * 6 + number;
                let both = move |key: fn(&str) -> Key| [Write::Add(key("sum"), 1), Write::Max(key("max"), height)];
                let merge = move |_: &mut Reads<'_>| Ok(Commit { writes: both(passing).to_vec(), answer: () });
                let merge_all = move |_: &mut Reads<'_>| Ok(Commit { writes: [both(lasting), both(passing)].concat(), answer: () });
                match number % 3 {
                    0 => commit(&store, quick(merge)).await,
                    1 => commit(&store, quick(merge_all)).await,
                    _ => commit(&store, durable(merge_all)).await,
                }
            }
        })
    });
    harness.drive(tasks.collect());
    let number = |number: u64| Some(number.to_le_bytes().to_vec());
    block_on(async {
        assert_eq!(read(&store, lasting("sum")).await, number(4 * times));
        assert_eq!(read(&store, passing("sum")).await, number(6 * times));
        assert_eq!(read(&store, lasting("max")).await, number(times * 6 - 1));
        assert_eq!(read(&store, passing("max")).await, number(times * 6 - 1));
    });
}

/// See the name. (Write skew: two on call, each may leave while the other stays.)
pub fn two_that_each_read_what_the_other_writes_do_not_both_win<H: Harness>(harness: &H) {
    let kinds: [fn(&str) -> Key; 2] = [lasting, passing];
    for (first, second) in [(0, 0), (1, 1), (0, 1)] {
        let store = harness.store();
        let rounds = 60 * harness.effort();
        let pair = move |round: u64| [kinds[first](&format!("on-call/{round}/a")), kinds[second](&format!("on-call/{round}/b"))];
        block_on(async {
            for round in 0..rounds {
                write(&store, pair(round).map(|key| Write::Set(key, Vec::new())).to_vec()).await;
            }
        });
        let leave = |own: usize, scans: bool| {
            let store = store.clone();
            task(async move {
                for round in 0..rounds {
                    let keys = pair(round);
                    let leave = move |reads: &mut Reads<'_>| {
                        let other = keys[1 - own];
                        let stays = if scans {
                            // Up to and with the other one's row.
                            let to = Key::new(&[other.as_bytes(), b"\0"].concat());
                            !reads.scan(&Scan { from: other, to, limit: 5, reverse: false })?.is_empty()
                        } else {
                            reads.get(&other)?.is_some()
                        };
                        let writes = stays.then_some(Write::Clear(keys[own])).into_iter().collect();
                        Ok(Commit { writes, answer: () })
                    };
                    if round % 2 == 0 {
                        commit(&store, quick(leave)).await;
                    } else {
                        commit(&store, durable(leave)).await;
                    }
                }
            })
        };
        harness.drive(vec![leave(0, false), leave(1, true), leave(0, true), leave(1, false)]);
        block_on(async {
            for round in 0..rounds {
                let [a, b] = pair(round);
                let left = [read(&store, a).await, read(&store, b).await].into_iter().flatten().count();
                assert_eq!(left, 1, "one of the two stays, in round {round}");
            }
        });
    }
}

/// See the name. (A session is ephemeral and starts in the quick lane; a message is durable.)
pub fn a_sender_sees_the_session_or_the_session_sees_the_message<H: Harness>(harness: &H) {
    let store = harness.store();
    let rounds = 150 * harness.effort();
    let outcome = Arc::new(std::sync::Mutex::new(vec![[None, None]; rounds as usize]));
    let message = |round: u64| lasting(&format!("message/{round}"));
    let session = |round: u64| passing(&format!("session/{round}"));
    let send = {
        let (store, outcome) = (store.clone(), Arc::clone(&outcome));
        task(async move {
            for round in 0..rounds {
                let send = move |reads: &mut Reads<'_>| {
                    let awake = reads.get(&session(round))?.is_some();
                    Ok(Commit { writes: vec![Write::Set(message(round), Vec::new())], answer: awake })
                };
                let saw = commit(&store, durable(send)).await;
                outcome.lock().expect("nobody panicked")[round as usize][0] = Some(saw);
            }
        })
    };
    let connect = {
        let (store, outcome) = (store.clone(), Arc::clone(&outcome));
        task(async move {
            for round in 0..rounds {
                let connect = move |reads: &mut Reads<'_>| {
                    let waiting = reads.get(&message(round))?.is_some();
                    Ok(Commit { writes: vec![Write::Set(session(round), Vec::new())], answer: waiting })
                };
                let saw = commit(&store, quick(connect)).await;
                outcome.lock().expect("nobody panicked")[round as usize][1] = Some(saw);
            }
        })
    };
    // Traffic, so that batches are long.
    let noise = (0..3).map(|number| {
        let store = store.clone();
        task(async move {
            for round in 0..rounds {
                write(&store, vec![Write::Set(lasting(&format!("noise/{number}/{round}")), vec![0; 100])]).await;
            }
        })
    });
    harness.drive(noise.chain([send, connect]).collect());
    for (round, saw) in outcome.lock().expect("nobody panicked").iter().enumerate() {
        assert!(saw.contains(&Some(true)), "in round {round} neither saw the other: {saw:?}");
    }
}

/// See the name.
pub fn a_reader_never_sees_less_than_was_answered_before_it_began<H: Harness>(harness: &H) {
    let store = harness.store();
    let (rounds, answered) = (150 * harness.effort(), Arc::new(AtomicU64::new(0)));
    let writer = {
        let (store, answered) = (store.clone(), Arc::clone(&answered));
        task(async move {
            for round in 1..=rounds {
                let value = round.to_le_bytes().to_vec();
                if round % 3 == 0 {
                    let writes = vec![Write::Set(passing("at"), value)];
                    commit(&store, quick(move |_| Ok(Commit { writes: writes.clone(), answer: () }))).await;
                } else {
                    write(&store, vec![Write::Set(lasting("at"), value.clone()), Write::Set(passing("at"), value)]).await;
                }
                answered.store(round, Ordering::Release);
            }
        })
    };
    let readers = (0..4).map(|number| {
        let (store, answered) = (store.clone(), Arc::clone(&answered));
        task(async move {
            let mut last = 0;
            while last < rounds - 2 {
                let least = answered.load(Ordering::Acquire);
                let both = |reads: &mut Reads<'_>| {
                    let (lasting, passing) = (reads.number(&lasting("at")), reads.number(&passing("at")));
                    Ok(Commit { writes: Vec::new(), answer: (lasting?, passing?) })
                };
                let (at, ahead) = if number % 2 == 0 { commit(&store, quick(both)).await } else { commit(&store, durable(both)).await };
                assert!(ahead >= least && ahead >= last, "{ahead}, after {last}, {least} answered");
                assert_eq!(at, if ahead % 3 == 0 { ahead.saturating_sub(1) } else { ahead }, "the two rows are of one state");
                last = ahead;
            }
        })
    });
    harness.drive(readers.chain([writer]).collect());
}

/// See the name.
pub fn a_dropped_future_leaves_all_or_nothing<H: Harness>(harness: &H) {
    let store = harness.store();
    let rounds = 30 * harness.effort();
    let mut random = Random::new(7);
    let pair = |round: u64| [lasting(&format!("half/{round}")), passing(&format!("half/{round}"))];
    for round in 0..rounds {
        let both = durable(move |reads: &mut Reads<'_>| {
            let before = reads.get(&pair(round)[0])?;
            Ok(Commit { writes: pair(round).map(|key| Write::Set(key, before.clone().unwrap_or_default())).to_vec(), answer: () })
        });
        let mut future = pin!(store.execute(both));
        for _ in 0..random.below(3) {
            if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                break;
            }
        }
    }
    block_on(async {
        for round in 0..rounds {
            let both = move |reads: &mut Reads<'_>| {
                let [a, b] = pair(round).map(|key| reads.get(&key));
                Ok(Commit { writes: Vec::new(), answer: (a?, b?) })
            };
            let (a, b) = commit(&store, durable(both)).await;
            assert_eq!(a, b, "in round {round}");
        }
    });
}
