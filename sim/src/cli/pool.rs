//! Worker threads around worlds that know nothing of threads.
//!
//! Jobs are numbered as they are handed out, and their results are merged in that order, so what comes of them does not depend on how many
//! threads there are or on which of them was faster. At most `AHEAD` jobs a thread are under way or waiting to be merged, so memory does
//! not grow with their number.

use core::ops::ControlFlow;
use core::time::Duration;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Jobs under way or waiting to be merged, for each thread. One slow job holds up as many fast ones.
const AHEAD: u64 = 64;
/// Jobs handed to a thread: one that it does, and one that it will find as soon as it is done. The end does not wait for more.
const AT_HAND: u64 = 2;
/// How often [`Work::tick`] is called when nothing comes in.
const TICK: Duration = Duration::from_millis(200);
/// As much as the main thread of a program usually has.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// Something to be done by many threads, merged by one.
pub trait Work {
    /// What is handed to a thread.
    type Job: Send;
    /// What comes back.
    type Done: Send;

    /// The next job. `None` is the end, at which what is under way is still waited for and merged.
    fn next(&mut self) -> Option<Self::Job>;

    /// Takes what came of the next job in order. `Break` is the end too; what is under way is dropped.
    fn merge(&mut self, done: Self::Done) -> ControlFlow<()>;

    /// Called a few times a second: to show progress.
    fn tick(&mut self);
}

/// Does all the work with so many threads.
///
/// # Panics
/// If `run` does.
pub fn work<W: Work>(work: &mut W, threads: usize, run: impl Fn(W::Job) -> W::Done + Sync) {
    let (hand_out, jobs) = channel::<(u64, W::Job)>();
    let (jobs, stop) = (Mutex::new(jobs), AtomicBool::new(false));
    thread::scope(|scope| {
        let (hand_in, results) = channel();
        // Gone when this returns, which is how the workers learn that there is nothing more.
        let hand_out = hand_out;
        for number in 0..threads.max(1) {
            let (jobs, stop, hand_in, run) = (&jobs, &stop, hand_in.clone(), &run);
            let worker = move || {
                // The lock is given back before the job is run.
                let take = || jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                while let Ok((number, job)) = take() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let done = catch_unwind(AssertUnwindSafe(|| run(job)));
                    if hand_in.send((number, done)).is_err() {
                        return;
                    }
                }
            };
            let thread = thread::Builder::new().name(format!("world {number}")).stack_size(STACK_BYTES);
            thread.spawn_scoped(scope, worker).expect("a thread can be started");
        }

        let threads = threads.max(1) as u64;
        let (mut handed_out, mut merged, mut waiting, mut ended) = (0, 0, BTreeMap::new(), false);
        loop {
            let done = |waiting: &BTreeMap<u64, W::Done>| merged + waiting.len() as u64;
            while !ended && handed_out < (merged + AHEAD * threads).min(done(&waiting) + AT_HAND * threads) {
                match work.next() {
                    Some(job) => {
                        hand_out.send((handed_out, job)).expect("the workers wait for jobs");
                        handed_out += 1;
                    }
                    None => ended = true,
                }
            }
            if merged == handed_out {
                return;
            }
            match results.recv_timeout(TICK) {
                Ok((number, Ok(done))) => {
                    waiting.insert(number, done);
                }
                Ok((_, Err(panic))) => {
                    stop.store(true, Ordering::Relaxed);
                    resume_unwind(panic)
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("this function holds a sender too"),
            }
            while let Some(done) = waiting.remove(&merged) {
                merged += 1;
                if work.merge(done).is_break() {
                    return stop.store(true, Ordering::Relaxed);
                }
            }
            work.tick();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts to `end`; stops when it has merged `stop`.
    struct Count {
        next: u64,
        end: u64,
        stop: u64,
        merged: Vec<u64>,
        most_ahead: u64,
    }

    impl Work for Count {
        type Job = u64;
        type Done = u64;

        fn next(&mut self) -> Option<u64> {
            self.next += 1;
            self.most_ahead = self.most_ahead.max(self.next - self.merged.len() as u64);
            (self.next <= self.end).then_some(self.next)
        }

        fn merge(&mut self, done: u64) -> ControlFlow<()> {
            self.merged.push(done);
            if done == self.stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }

        fn tick(&mut self) {}
    }

    fn count(threads: usize, end: u64, stop: u64) -> Count {
        let mut count = Count { next: 0, end, stop, merged: vec![], most_ahead: 0 };
        work(&mut count, threads, |job| {
            // Some take longer, so that they come in out of order.
            (0..job % 7 * 1000).for_each(|turn| assert_ne!(core::hint::black_box(turn), u64::MAX));
            job
        });
        count
    }

    #[test]
    fn results_are_merged_in_order_whatever_the_number_of_threads() {
        for threads in [0, 1, 2, 5] {
            assert_eq!(count(threads, 1000, 0).merged, (1..=1000).collect::<Vec<_>>());
        }
    }

    #[test]
    fn nothing_is_merged_after_the_end() {
        for threads in [1, 3] {
            assert_eq!(count(threads, 1000, 17).merged, (1..=17).collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_more_is_under_way_than_the_limit() {
        let count = count(2, 5000, 0);
        assert!(count.most_ahead <= 2 * AHEAD + 1, "{}", count.most_ahead);
    }

    #[test]
    #[should_panic(expected = "the thirteenth")]
    fn a_panic_outside_of_the_worlds_ends_the_program() {
        let mut count = Count { next: 0, end: 100, stop: 0, merged: vec![], most_ahead: 0 };
        work(&mut count, 2, |job| {
            assert_ne!(job, 13, "the thirteenth");
            job
        });
    }
}
