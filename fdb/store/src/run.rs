//! One transaction: rounds of reads, one commit, and again from the start when others got ahead of it.

use std::sync::atomic::{AtomicU64, Ordering};

use doubletick_core::store::{Failure, Key, Read, Scan, Transaction, Write};
use doubletick_store::fetched::Fetched;
use doubletick_store::limits::check_writes;
use foundationdb::future::FdbValues;
use foundationdb::options::{MutationType, StreamingMode, TransactionOption};
use foundationdb::{FdbError, KeySelector, RangeOption};

use crate::Fdb;
use crate::fate::{Fate, fate};

/// How often a transaction that others keep getting ahead of is run, before its caller is told to try again later.
const ATTEMPTS: u32 = 10;

/// Runs a transaction to its answer, or to the reason why there is none.
pub(crate) async fn run<T: Transaction>(store: Fdb, transaction: T) -> Result<T::Answer, Failure> {
    let counts = &store.shared.counts;
    let mut attempt = store.begin().map_err(|error| failed(error, false))?;
    for _ in 0..ATTEMPTS {
        count(&counts.attempts, 1);
        // It reads nothing that it has written, and the library need not look. Each attempt has forgotten that of the one before.
        attempt.set_option(TransactionOption::ReadYourWritesDisable).map_err(|error| failed(error, false))?;
        let mut fetched = Fetched::default();
        let ran = loop {
            match fetched.run(&transaction) {
                Ok(commit) => break Ok(commit),
                Err(reads) => {
                    if let Err(error) = fetch(&store, &attempt, &mut fetched, reads).await {
                        break Err(error);
                    }
                }
            }
        };
        let again = match ran {
            Ok(commit) if commit.writes.is_empty() => {
                // All of it was read from one state, which is where it comes in the order.
                count(&counts.answered, 1);
                return Ok(commit.answer);
            }
            Ok(commit) => {
                write(&store, &attempt, &commit.writes);
                let writes = commit.writes.len() as u64;
                match attempt.commit().await {
                    Ok(_) => {
                        count(&counts.answered, 1);
                        count(&counts.writes, writes);
                        return Ok(commit.answer);
                    }
                    Err(error) => {
                        let code = FdbError::from_code(error.code());
                        count(&counts.unknown, u64::from(fate(code, true) == Fate::Unknown));
                        refuse(code, true)?;
                        error.on_error().await
                    }
                }
            }
            Err(error) => {
                refuse(error, false)?;
                attempt.on_error(error).await
            }
        };
        attempt = again.map_err(|error| failed(error, false))?;
    }
    Err(Failure::Retry)
}

/// Fetches one round of reads: all are asked for before the first is waited for. Then they are waited for in turn, so that this is not woken by
/// each of them; most are there when their turn comes.
async fn fetch(store: &Fdb, attempt: &foundationdb::Transaction, fetched: &mut Fetched, reads: Vec<Read>) -> Result<(), FdbError> {
    count(&store.shared.counts.rounds, 1);
    count(&store.shared.counts.reads, reads.len() as u64);
    let (mut rows, mut scans) = (Vec::new(), Vec::new());
    for read in reads {
        match read {
            Read::Row(key) => rows.push((key, attempt.get(&store.name(&key), false))),
            Read::Rows(scan) => {
                let range = range(store, &scan);
                let first = attempt.get_range(&range, 1, false);
                scans.push((scan, range, first));
            }
        }
    }
    for (key, value) in rows {
        fetched.put_row(key, value.await?.map(|value| value.to_vec()));
    }
    for (scan, range, first) in scans {
        let rows = pages(store, attempt, range, first.await?).await?;
        fetched.put_scan(scan, rows);
    }
    Ok(())
}

fn range(store: &Fdb, scan: &Scan) -> RangeOption<'static> {
    let (from, to) = (store.name(&scan.from), store.name(&scan.to));
    RangeOption {
        limit: Some(scan.limit as usize),
        mode: StreamingMode::WantAll,
        reverse: scan.reverse,
        ..RangeOption::from((KeySelector::first_greater_or_equal(from), KeySelector::first_greater_or_equal(to)))
    }
}

/// The rows of a range whose first page is there.
async fn pages(
    store: &Fdb,
    attempt: &foundationdb::Transaction,
    range: RangeOption<'static>,
    first: FdbValues,
) -> Result<Vec<(Key, Vec<u8>)>, FdbError> {
    let mut rows = Vec::new();
    let (mut range, mut page, mut iteration) = (range, first, 1);
    loop {
        rows.extend(page.iter().map(|row| (Key::new(&row.key()[store.shared.rows.len()..]), row.value().to_vec())));
        let Some(next) = range.next_range(&page) else { return Ok(rows) };
        (range, iteration) = (next, iteration + 1);
        page = attempt.get_range(&range, iteration, false).await?;
    }
}

fn write(store: &Fdb, attempt: &foundationdb::Transaction, writes: &[Write]) {
    check_writes(writes);
    for write in writes {
        let name = store.name(write.key());
        match write {
            Write::Set(_, value) => attempt.set(&name, value),
            Write::Clear(_) => attempt.clear(&name),
            Write::Max(_, least) => attempt.atomic_op(&name, &least.to_le_bytes(), MutationType::Max),
            Write::Add(_, more) => attempt.atomic_op(&name, &more.to_le_bytes(), MutationType::Add),
        }
    }
}

/// Passes over what may be run again; all else is the end.
fn refuse(error: FdbError, committing: bool) -> Result<(), Failure> {
    if fate(error, committing) == Fate::Again { Ok(()) } else { Err(failed(error, committing)) }
}

/// What the caller hears.
fn failed(error: FdbError, committing: bool) -> Failure {
    match fate(error, committing) {
        Fate::Again => Failure::Retry,
        Fate::Unknown => Failure::Unknown,
        Fate::Unavailable => {
            tracing::warn!(code = error.code(), reason = error.message(), "the cluster refuses a transaction, or does not answer");
            Failure::Unavailable
        }
        Fate::Mistake => panic!("a transaction that FoundationDB does not take: {} ({})", error.message(), error.code()),
    }
}

fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}
