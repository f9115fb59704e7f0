//! The committer: one batch after the other, each one transaction after the other, one sync for all of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use doubletick_core::store::{Failure, Key, Write, merge};
use tokio::sync::mpsc;

use crate::folding::Folding;
use crate::job::{Job, Ran};
use crate::layers::Told;
use crate::log::{Log, Record};
use crate::shared::Shared;
use crate::tree::{Tree, TreeError};
use crate::view::{Pending, Running, View};

/// Commits what is submitted to one store. Made by [`Embedded::by_hand`](crate::Embedded::by_hand), for tests that decide
/// themselves what is one batch; otherwise it has a thread of its own.
pub struct Committer {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Box<dyn Job>>,
    /// Taken from the queue.
    waiting: VecDeque<Box<dyn Job>>,
    logs: [Log; 2],
    /// Which of the logs is in use.
    log: usize,
    /// The last batch in it.
    batch: u64,
    folding: Folding,
    /// Of the running batch: the durable rows, what it does to ephemeral rows, and the keys of both.
    record: Record,
    pending: Pending,
    written: Vec<Key>,
    /// The running batch could not be written or synced, so that nobody knows whether it is durable. It is tried again, unchanged, until it
    /// is.
    in_doubt: bool,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, queue: mpsc::Receiver<Box<dyn Job>>, logs: [Log; 2], tree: Tree, threads: bool) -> Self {
        let batch = shared.read().published;
        let folding = Folding::new(Arc::clone(&shared), tree, threads);
        let (record, pending) = (Record::new(), Pending::default());
        let (waiting, written) = (VecDeque::new(), Vec::new());
        Self { shared, queue, waiting, logs, log: 0, batch, folding, record, pending, written, in_doubt: false }
    }

    /// Commits until there are no more handles.
    pub(crate) fn run(mut self) {
        let mut taken = Vec::new();
        let mut begun = None;
        loop {
            if self.shared.refuses.load(Ordering::Acquire) {
                if self.queue.is_closed() && self.queue.is_empty() {
                    break;
                }
                std::thread::sleep(self.shared.options.retry);
            } else {
                if self.queue.blocking_recv_many(&mut taken, self.shared.options.batch_transactions) == 0 {
                    break;
                }
                self.waiting.extend(taken.drain(..));
                self.gather(begun);
            }
            begun = Some(Instant::now());
            while self.turn() > 0 && !self.waiting.is_empty() {}
        }
        self.folding.finish();
    }

    /// Waits until it is time for the next batch, for what else comes until then, unless there is enough for a whole one.
    fn gather(&mut self, begun: Option<Instant>) {
        let options = &self.shared.options;
        let early = begun.and_then(|begun| options.batch_interval.checked_sub(begun.elapsed()));
        if let Some(early) = early
            && self.waiting.len() + self.queue.len() < options.batch_transactions
        {
            std::thread::sleep(early);
        }
    }

    /// Answers what waits, at most one batch of it: commits it, or refuses it while the disk fails. First tries again what failed the last
    /// time. Returns how many were answered.
    pub fn turn(&mut self) -> usize {
        self.folding.advance();
        let ready = self.settle_doubt() && self.make_room();
        if self.shared.refuses.swap(!ready, Ordering::AcqRel) && ready {
            tracing::info!("the disk works again: durable transactions are accepted");
        }
        let answered = if ready { self.commit_batch() } else { self.refuse() };
        // So that a full log is put into the tree before there is more to do.
        if !self.in_doubt {
            self.make_room();
        }
        answered
    }

    fn next(&mut self) -> Option<Box<dyn Job>> {
        self.waiting.pop_front().or_else(|| self.queue.try_recv().ok())
    }

    fn refuse(&mut self) -> usize {
        let mut answered = 0;
        while answered < self.shared.options.queue
            && let Some(job) = self.next()
        {
            job.settle(Err(Failure::Unavailable));
            answered += 1;
        }
        answered
    }

    /// Whether no batch is in doubt, or no longer is.
    fn settle_doubt(&mut self) -> bool {
        if self.in_doubt && self.logs[self.log].append(&self.record).is_ok() {
            self.in_doubt = false;
            self.publish();
        }
        !self.in_doubt
    }

    /// Whether the log in use has room, or the other one could be taken.
    fn make_room(&mut self) -> bool {
        let limit = self.shared.options.log_bytes;
        let used = self.logs[self.log].len();
        if used >= limit && self.folding.is_free(used >= 2 * limit) {
            self.log = 1 - self.log;
            self.logs[self.log].restart();
            self.folding.begin();
        }
        self.logs[self.log].len() < 2 * limit
    }

    fn commit_batch(&mut self) -> usize {
        self.record.clear();
        let mut done = Vec::new();
        let mut answered = 0;
        let (transactions, bytes) = (self.shared.options.batch_transactions, self.shared.options.batch_bytes);
        while answered < transactions
            && self.record.len() < bytes
            && let Some(mut job) = self.next()
        {
            answered += 1;
            match self.run_one(&mut *job) {
                Ok(true) => done.push(job),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(%error, "the tree cannot be read");
                    self.shared.tree_fails.store(true, Ordering::Release);
                    job.settle(Err(Failure::Unavailable));
                }
            }
        }
        if self.record.len() > 0 {
            self.batch += 1;
            self.record.seal(self.batch);
            if let Err(error) = self.logs[self.log].append(&self.record) {
                tracing::error!(%error, batch = self.batch, "a batch cannot be made durable: durable transactions are refused until it can");
                self.in_doubt = true;
                self.shared.refuses.store(true, Ordering::Release);
                // Those that only read have read what is in doubt.
                done.into_iter().for_each(|job| job.settle(Err(Failure::Unknown)));
                return answered;
            }
        }
        self.publish();
        done.into_iter().for_each(|job| job.settle(Ok(())));
        answered
    }

    fn publish(&mut self) {
        self.shared.write().publish(self.batch, &mut self.pending);
        self.shared.bells.ring(&self.written);
        self.written.clear();
    }

    /// Runs one transaction of the batch. Returns whether it awaits the batch's fate.
    fn run_one(&mut self, job: &mut dyn Job) -> Result<bool, TreeError> {
        let batch = self.batch + 1;
        let view = self.shared.read();
        let mut snapshot = Running::new(&view, &self.pending, batch);
        let writes = match job.run(&mut snapshot) {
            Ran::Wants(writes) => writes,
            Ran::Panicked => return Ok(false),
            Ran::Missing => {
                let Some(error) = snapshot.failed.take() else {
                    job.blame("a transaction misses something though nothing was missing");
                    return Ok(false);
                };
                return Err(error);
            }
        };
        drop(snapshot);
        if writes.is_empty() {
            return Ok(true);
        }
        let (durable, ephemeral) = resolve(&view, batch, writes)?;
        drop(view);
        // From here on nothing fails, so it happens as a whole.
        self.written.extend(durable.keys().chain(ephemeral.iter().map(Write::key)));
        ephemeral.into_iter().for_each(|write| self.pending.push(write));
        if !durable.is_empty() {
            let mut view = self.shared.write();
            for (key, value) in durable {
                self.record.push(&key, value.as_deref());
                view.recent.put(key, value, batch);
            }
        }
        Ok(true)
    }
}

/// What the durable rows come to, and the ephemeral writes as they are.
fn resolve(view: &View, batch: u64, writes: Vec<Write>) -> Result<(BTreeMap<Key, Told>, Vec<Write>), TreeError> {
    let mut durable = BTreeMap::<Key, Told>::new();
    let mut ephemeral = Vec::new();
    for write in writes {
        let key = *write.key();
        if key.is_ephemeral() {
            ephemeral.push(write);
            continue;
        }
        let value = match write {
            Write::Set(_, value) => Some(value),
            Write::Clear(_) => None,
            Write::Max(..) | Write::Add(..) => match durable.get(&key) {
                Some(before) => merge(before.as_deref(), &write),
                None => merge(view.get(&key, batch)?.as_deref(), &write),
            },
        };
        durable.insert(key, value);
    }
    Ok((durable, ephemeral))
}
