//! What transactions cost the store, by the kind of command.
//!
//! A row that several commands of a transaction read or write counts for the first of them. Rounds of reads and commits belong to the whole
//! transaction, so each of its commands is charged an equal share.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use doubletick_core::store::{Commit, Failure, Key, Lane, LentRows, Missing, NotFetched, Scan, Snapshot, Transaction, Write};
use doubletick_core::transact::{Batch, Outcome};
use doubletick_store::Store;

/// What was spent so far, in all transactions that were answered.
#[derive(Debug, Default)]
pub(crate) struct Costs {
    spent: Mutex<BTreeMap<&'static str, Spent>>,
    /// Transactions by how they ended: answered, retry, unknown, unavailable.
    ended: [AtomicU64; 4],
}

/// What commands of one kind have cost.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    commands: u64,
    refused: u64,
    /// Rows and runs of rows that were asked for.
    reads: u64,
    /// Rows that were found, and their bytes.
    rows_read: u64,
    bytes_read: u64,
    rows_written: u64,
    bytes_written: u64,
    /// In millionths.
    rounds: u64,
    commits: u64,
}

/// What one command has asked for.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    reads: u64,
    rows_read: u64,
    bytes_read: u64,
    rows_written: u64,
    bytes_written: u64,
}

const MILLION: u64 = 1_000_000;
const ENDS: [&str; 4] = ["answered", "retry", "unknown", "unavailable"];

/// Runs a batch, and counts what it costs if that is counted.
pub(crate) async fn execute<S: Store>(costs: Option<Arc<Costs>>, store: S, batch: Arc<Batch>) -> Result<Outcome, Failure> {
    match costs {
        Some(costs) => costs.execute(store, batch).await,
        None => store.execute(batch).await,
    }
}

impl Costs {
    async fn execute<S: Store>(self: Arc<Self>, store: S, batch: Arc<Batch>) -> Result<Outcome, Failure> {
        let rounds = Arc::new(AtomicU64::new(0));
        let result = store.execute(Counted { batch: batch.clone(), rounds: rounds.clone() }).await;
        let end = match &result {
            Ok(_) => 0,
            Err(Failure::Retry) => 1,
            Err(Failure::Unknown) => 2,
            Err(Failure::Unavailable) => 3,
        };
        self.ended[end].fetch_add(1, Ordering::Relaxed);
        result.map(|(outcome, asked)| {
            self.note(&batch, &outcome, &asked, rounds.load(Ordering::Relaxed));
            outcome
        })
    }

    fn note(&self, batch: &Batch, outcome: &Outcome, asked: &[Asked], rounds: u64) {
        let share = |of: u64| of * MILLION / (batch.commands.len() as u64).max(1);
        let writes = asked.iter().any(|asked| asked.rows_written > 0);
        let mut all = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        for ((command, reply), asked) in batch.commands.iter().zip(&outcome.replies).zip(asked) {
            let spent = all.entry(command.name()).or_default();
            spent.commands += 1;
            spent.refused += u64::from(reply.is_err());
            spent.reads += asked.reads;
            spent.rows_read += asked.rows_read;
            spent.bytes_read += asked.bytes_read;
            spent.rows_written += asked.rows_written;
            spent.bytes_written += asked.bytes_written;
            spent.rounds += share(rounds);
            spent.commits += share(u64::from(writes));
        }
    }

    /// The counters in the text format of Prometheus.
    pub(crate) fn write_to(&self, text: &mut String) {
        let all = self.spent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        type Read = fn(&Spent) -> f64;
        let columns: [(&str, &str, Read); 9] = [
            ("commands_total", "Commands that were carried out or refused.", |spent| spent.commands as f64),
            ("commands_refused_total", "Commands that were refused.", |spent| spent.refused as f64),
            ("reads_total", "Rows and runs of rows that commands asked the store for.", |spent| spent.reads as f64),
            ("rows_read_total", "Rows that they found.", |spent| spent.rows_read as f64),
            ("bytes_read_total", "Keys and values of those rows.", |spent| spent.bytes_read as f64),
            ("rows_written_total", "Rows that they wrote.", |spent| spent.rows_written as f64),
            ("bytes_written_total", "Keys and values of those rows.", |spent| spent.bytes_written as f64),
            ("rounds_total", "Their shares of rounds of reads.", |spent| spent.rounds as f64 / MILLION as f64),
            ("commits_total", "Their shares of commits.", |spent| spent.commits as f64 / MILLION as f64),
        ];
        for (name, help, read) in columns {
            head(text, name, help, "counter");
            for (command, spent) in &all {
                line(text, name, &[("command", command)], read(spent));
            }
        }
        head(text, "transactions_total", "Transactions by how they ended. Those that ended in retry or unknown are run again.", "counter");
        for (end, count) in ENDS.iter().zip(&self.ended) {
            line(text, "transactions_total", &[("end", end)], count.load(Ordering::Relaxed) as f64);
        }
    }
}

/// What a metric is.
pub(crate) fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    writeln!(text, "# HELP doubletick_{name} {help}\n# TYPE doubletick_{name} {kind}").expect("a string takes everything");
}

/// A value of a metric. The labels' values are names of ours, so nothing in them needs to be escaped.
pub(crate) fn line(text: &mut String, name: &str, labels: &[(&str, &str)], value: f64) {
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    writeln!(text, "doubletick_{name}{labels} {value}").expect("a string takes everything");
}

/// A batch that counts what each of its commands asks for.
struct Counted {
    batch: Arc<Batch>,
    rounds: Arc<AtomicU64>,
}

impl Transaction for Counted {
    type Answer = (Outcome, Vec<Asked>);

    fn run(&self, snapshot: &mut dyn Snapshot) -> Result<Commit<Self::Answer>, Missing> {
        let asked = vec![Asked::default(); self.batch.commands.len()];
        let mut counting = Counting { snapshot, asked, turn: 0, read: HashSet::new(), scanned: BTreeSet::new(), written: HashSet::new() };
        match self.batch.run(&mut counting) {
            Ok(Commit { writes, answer }) => Ok(Commit { writes, answer: (answer, counting.asked) }),
            Err(missing) => {
                self.rounds.fetch_add(1, Ordering::Relaxed);
                Err(missing)
            }
        }
    }

    fn lane(&self) -> Lane {
        self.batch.lane()
    }
}

/// A snapshot that counts.
struct Counting<'a> {
    snapshot: &'a mut dyn Snapshot,
    asked: Vec<Asked>,
    turn: usize,
    read: HashSet<Key>,
    scanned: BTreeSet<Scan>,
    written: HashSet<Key>,
}

impl Snapshot for Counting<'_> {
    fn has(&self, key: &Key) -> bool {
        self.snapshot.has(key)
    }

    fn get(&mut self, key: &Key) -> Result<Option<Cow<'_, [u8]>>, NotFetched> {
        let value = self.snapshot.get(key)?;
        if self.read.insert(*key) {
            let asked = &mut self.asked[self.turn];
            asked.reads += 1;
            if let Some(value) = &value {
                asked.rows_read += 1;
                asked.bytes_read += size(key, value.len());
            }
        }
        Ok(value)
    }

    fn scan(&mut self, scan: &Scan) -> Result<LentRows<'_>, NotFetched> {
        let rows = self.snapshot.scan(scan)?;
        if self.scanned.insert(*scan) {
            let asked = &mut self.asked[self.turn];
            asked.reads += 1;
            asked.rows_read += rows.len() as u64;
            asked.bytes_read += rows.iter().map(|(key, value)| size(key, value.len())).sum::<u64>();
        }
        Ok(rows)
    }

    fn turn(&mut self, nth: usize) {
        self.turn = nth;
    }

    fn writing(&mut self, write: &Write) {
        if self.written.insert(*write.key()) {
            let value = match write {
                Write::Set(_, value) => value.len(),
                Write::Clear(_) => 0,
                Write::Max(..) | Write::Add(..) => 8,
            };
            let asked = &mut self.asked[self.turn];
            asked.rows_written += 1;
            asked.bytes_written += size(write.key(), value);
        }
    }
}

fn size(key: &Key, value: usize) -> u64 {
    (key.as_bytes().len() + value) as u64
}
