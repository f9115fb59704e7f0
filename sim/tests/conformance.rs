//! The simulator's store keeps what every store promises, when nothing goes wrong. The suite is the one that the embedded store and
//! FoundationDB's run; here it runs in virtual time, and tasks that run at the same time take turns in an order that is drawn.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use doubletick_core::store::{Failure, Key, Transaction, Write};
use doubletick_sim::attempt::{Attempt, Ran};
use doubletick_sim::store::{Reads, Store};
use doubletick_store::bells::{Bell, Bells};
use doubletick_store::conformance::{Harness, Random, Task};

/// The simulator's store as servers take one. All that it decides is when time passes: a millisecond between any two stages of a transaction.
#[derive(Clone, Default)]
struct Simulated {
    shared: Arc<Mutex<(Store, u64)>>,
    bells: Bells,
    in_rounds: bool,
}

impl Simulated {
    /// The store, a moment later.
    fn next_moment(&self) -> MutexGuard<'_, (Store, u64)> {
        // What is too large panics before anything was changed.
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.1 += 1;
        shared
    }

    async fn carry_out<T: Transaction>(self, transaction: T) -> Result<T::Answer, Failure> {
        let mut attempt = Attempt::new(Reads::default(), self.in_rounds);
        {
            let (store, now) = &*self.next_moment();
            attempt.begin(store, *now);
        }
        loop {
            others().await;
            let (store, now) = &*self.next_moment();
            match attempt.run(&transaction, store, *now) {
                Ran::Fetches => {}
                Ran::TooOld => return Err(Failure::Retry),
                Ran::Ready => break,
            }
        }
        others().await;
        let (store, now) = &mut *self.next_moment();
        if attempt.is_too_old(*now) || attempt.writes() && attempt.conflicts(store) {
            return Err(Failure::Retry);
        }
        let commit = attempt.take().unwrap();
        let keys: Vec<Key> = commit.writes.iter().map(Write::key).copied().collect();
        store.commit(*now, commit.writes);
        self.bells.ring(&keys);
        Ok(commit.answer)
    }
}

impl doubletick_store::Store for Simulated {
    type Bell = Bell;

    fn execute<T: Transaction>(&self, transaction: T) -> impl Future<Output = Result<T::Answer, Failure>> + Send + 'static + use<T> {
        self.clone().carry_out(transaction)
    }

    fn watch(&self, key: &Key) -> impl Future<Output = Bell> + Send + 'static + use<> {
        ready(self.bells.arm(key))
    }
}

/// Lets others go on.
async fn others() {
    let mut went = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut went, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

struct InVirtualTime {
    in_rounds: bool,
}

impl Harness for InVirtualTime {
    type Store = Simulated;

    fn store(&self) -> Simulated {
        Simulated { in_rounds: self.in_rounds, ..Simulated::default() }
    }

    /// On one thread, a step of one after a step of another.
    fn drive(&self, mut tasks: Vec<Task>) {
        let mut random = Random::new(1);
        let context = &mut Context::from_waker(Waker::noop());
        while !tasks.is_empty() {
            let next = random.below(tasks.len() as u64) as usize;
            if tasks[next].as_mut().poll(context).is_ready() {
                drop(tasks.swap_remove(next));
            }
        }
    }

    /// It has rung when the commit is answered.
    fn rings(&self, mut bell: Bell) -> bool {
        Pin::new(&mut bell).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn effort(&self) -> u64 {
        4
    }
}

mod with_everything_at_hand {
    doubletick_store::conformance!(super::InVirtualTime { in_rounds: false });
}

mod in_rounds_of_fetching {
    doubletick_store::conformance!(super::InVirtualTime { in_rounds: true });
}
