//! Transactions from closures.

use std::borrow::Cow;

use doubletick_core::store::{Commit, Failure, Key, Lane, Missing, NotFetched, Read, Scan, Snapshot, Transaction};

use crate::Store;
use crate::readable::{Reading, Stage};

/// How often [`commit`] runs a transaction again that the store wants run again.
const RETRIES: u32 = 10_000;

/// A transaction whose function is a closure.
#[derive(Clone, Debug)]
pub struct Pure<F> {
    lane: Lane,
    function: F,
}

/// A transaction that is tried in the durable lane.
pub fn durable<A, F>(function: F) -> Pure<F>
where
    F: Fn(&mut Reads<'_>) -> Result<Commit<A>, NotFetched> + Send + 'static,
{
    Pure { lane: Lane::Durable, function }
}

/// A transaction that is tried in the quick lane.
pub fn quick<A, F>(function: F) -> Pure<F>
where
    F: Fn(&mut Reads<'_>) -> Result<Commit<A>, NotFetched> + Send + 'static,
{
    Pure { lane: Lane::Quick, function }
}

/// Runs a transaction until it is committed.
///
/// # Panics
/// If it fails otherwise than by [`Failure::Retry`].
pub async fn commit<S: Store, T: Transaction + Clone>(store: &S, transaction: T) -> T::Answer {
    for _ in 0..RETRIES {
        match store.execute(transaction.clone()).await {
            Ok(answer) => return answer,
            Err(Failure::Retry) => {}
            Err(failure @ (Failure::Unknown | Failure::Unavailable)) => panic!("{failure:?} in a store that nobody disturbs"),
        }
    }
    panic!("to be run again, {RETRIES} times")
}

/// What a closure reads through: the snapshot, and a list of what it did not have at hand.
///
/// What is not at hand is asked for by reading on with `?` only after all that can be asked at once.
pub struct Reads<'a> {
    snapshot: &'a mut dyn Snapshot,
    missing: Vec<Read>,
}

impl Reads<'_> {
    /// The value of a row.
    pub fn get(&mut self, key: &Key) -> Result<Option<Vec<u8>>, NotFetched> {
        let value = self.snapshot.get(key).map(|value| value.map(Cow::into_owned));
        if value.is_err() {
            self.missing.push(Read::Row(*key));
        }
        value
    }

    /// The number that a row holds, 0 where there is no row.
    pub fn number(&mut self, key: &Key) -> Result<u64, NotFetched> {
        let value = self.get(key)?;
        Ok(value.map_or(0, |value| doubletick_core::store::counter(&value).expect("eight bytes were written")))
    }

    /// The rows of a scan.
    pub fn scan(&mut self, scan: &Scan) -> Result<Vec<(Key, Vec<u8>)>, NotFetched> {
        let rows = self.snapshot.scan(scan).map(|rows| rows.into_iter().map(|(key, value)| (key, value.into_owned())).collect());
        if rows.is_err() {
            self.missing.push(Read::Rows(*scan));
        }
        rows
    }
}

impl<A, F> Transaction for Pure<F>
where
    A: Send + 'static,
    F: Fn(&mut Reads<'_>) -> Result<Commit<A>, NotFetched> + Send + 'static,
{
    type Answer = A;

    fn run(&self, snapshot: &mut dyn Snapshot) -> Result<Commit<A>, Missing> {
        let mut reads = Reads { snapshot, missing: Vec::new() };
        (self.function)(&mut reads).map_err(|NotFetched| Missing(reads.missing))
    }

    fn lane(&self) -> Lane {
        self.lane
    }
}

/// All durable rows, all at once: for small stores.
#[derive(Clone, Copy, Debug)]
pub struct AllRows;

impl Reading for AllRows {
    type Answer = Vec<(Key, Vec<u8>)>;

    fn run(&self, snapshot: &mut dyn Snapshot) -> Result<Self::Answer, Missing> {
        let mut stage = Stage::new(snapshot);
        let rows = stage.rows(&Scan { from: Key::new(b""), to: Key::new(&[Key::EPHEMERAL]), limit: u32::MAX, reverse: false });
        stage.end().map(|()| rows)
    }
}
