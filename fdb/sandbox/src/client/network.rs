//! The network thread: what is due runs there, one after the other.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// Something to be run on the network thread.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Names a job that is due later: by when, and which of those that are due together.
pub(super) type Timer = (Instant, u64);

/// A queue of what is due, and the thread that runs it.
pub struct Network {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    now: VecDeque<Job>,
    later: BTreeMap<Timer, Job>,
    numbered: u64,
    stopped: bool,
    thread: Option<ThreadId>,
}

impl Network {
    /// A network that nobody runs yet.
    #[allow(clippy::new_without_default, reason = "a network that nobody runs is no sensible default")]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { queue: Mutex::default(), wake: Condvar::new() })
    }

    /// Runs what is due, on this thread, until the network is stopped.
    pub fn run(&self) {
        let mut queue = self.lock();
        queue.thread = Some(thread::current().id());
        while !queue.stopped {
            let now = Instant::now();
            while let Some(entry) = queue.later.first_entry().filter(|entry| entry.key().0 <= now) {
                let job = entry.remove();
                queue.now.push_back(job);
            }
            if !queue.now.is_empty() {
                let jobs = std::mem::take(&mut queue.now);
                drop(queue);
                jobs.into_iter().for_each(|job| job());
                queue = self.lock();
                continue;
            }
            let wait = queue.later.first_key_value().map_or(Duration::from_secs(3_600), |((at, _), _)| *at - now);
            queue = self.wake.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.thread = None;
    }

    /// Ends [`Network::run`]. What has not run by then never does.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.wake.notify_all();
    }

    /// Whether this is the network thread.
    pub fn is_current_thread(&self) -> bool {
        self.lock().thread == Some(thread::current().id())
    }

    /// Has something run as soon as may be.
    pub(super) fn post(&self, job: Job) {
        let mut queue = self.lock();
        queue.now.push_back(job);
        // With more in line the thread is awake or has been woken.
        if queue.now.len() == 1 {
            self.wake.notify_one();
        }
    }

    /// Has something run after a while.
    pub(super) fn post_after(&self, delay: Duration, job: Job) {
        if delay.is_zero() {
            return self.post(job);
        }
        self.post_at(Instant::now() + delay, job);
    }

    /// Has something run once it is so late, unless it is called off before.
    pub(super) fn post_at(&self, due: Instant, job: Job) -> Timer {
        let mut queue = self.lock();
        queue.numbered += 1;
        let timer = (due, queue.numbered);
        queue.later.insert(timer, job);
        if queue.later.first_key_value().is_some_and(|(first, _)| *first == timer) {
            self.wake.notify_one();
        }
        timer
    }

    /// Calls off what has not run yet.
    pub(super) fn call_off(&self, timer: Timer) {
        let job = self.lock().later.remove(&timer);
        // Outside the lock: what the job holds may call something off too.
        drop(job);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}
