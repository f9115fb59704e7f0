//! What everybody reads: the published state, and what the running batch adds to it.
//!
//! A durable row is what the first of these says: the recent layer, the layer on its way into the tree, the tree. An ephemeral row is in
//! a map, and what the running batch does to ephemeral rows waits in [`Pending`] until the batch is published.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use doubletick_core::store::{Key, LentRows, NotFetched, Scan, Snapshot, Write, merge};
use doubletick_store::limits::check_scan;

use crate::layers::{Layer, Lent, Part, lend, merge_parts, range};
use crate::tree::{TreeError, TreeState};

/// The state of the store, behind one lock.
#[derive(Debug)]
pub(crate) struct View {
    /// What the batches wrote that are in the log in use.
    pub(crate) recent: Layer,
    /// What the batches wrote that are in the other log, while it is put into the tree; empty when it is not.
    pub(crate) folding: Arc<Layer>,
    /// The last batch in that layer.
    pub(crate) folding_batch: u64,
    pub(crate) tree: Arc<TreeState>,
    /// The last batch with durable writes that was answered, or may be.
    pub(crate) published: u64,
    pub(crate) ephemeral: BTreeMap<Key, Vec<u8>>,
    /// Rises with every change of the published state.
    pub(crate) epoch: u64,
    /// The ephemeral rows that transactions of the running batch have read, and found as they were before it.
    ///
    /// Added to while the view is locked for reading, so that no ephemeral row changes between the read and the note of it; hence a
    /// lock of its own, which nobody waits for.
    touched: Mutex<Touched>,
}

/// What was read of the ephemeral rows.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    rows: BTreeSet<Key>,
    runs: BTreeSet<(Key, Key)>,
}

impl Touched {
    fn has(&self, key: &Key) -> bool {
        self.rows.contains(key) || self.runs.iter().any(|(from, to)| from <= key && key < to)
    }
}

impl View {
    pub(crate) fn new(tree: TreeState) -> Self {
        Self {
            recent: Layer::default(),
            folding: Arc::default(),
            folding_batch: tree.batch,
            published: tree.batch,
            tree: Arc::new(tree),
            ephemeral: BTreeMap::new(),
            epoch: 0,
            touched: Mutex::default(),
        }
    }

    /// A durable row once `batch` is published.
    pub(crate) fn get(&self, key: &Key, batch: u64) -> Result<Lent<'_>, TreeError> {
        match self.recent.get(key, batch).or_else(|| self.folding.get(key, batch)) {
            Some(told) => Ok(lend(told)),
            None => Ok(self.tree.get(key)?.map(Cow::from)),
        }
    }

    fn scan(&self, scan: &Scan, batch: u64) -> Result<LentRows<'_>, TreeError> {
        let mut parts: Vec<Part<'_, TreeError>> = Vec::with_capacity(3);
        for layer in [&self.recent, &*self.folding] {
            if !layer.is_empty() {
                parts.push(Box::new(layer.scan(scan, batch).map(|(key, told)| Ok((key, lend(told))))));
            }
        }
        parts.push(Box::new(self.tree.scan(scan)?.map(|row| row.map(|(key, value)| (key, Some(value.into()))))));
        merge_parts(parts, scan)
    }

    /// Whether a transaction of the running batch has read one of the rows.
    pub(crate) fn has_touched<'a>(&mut self, mut keys: impl Iterator<Item = &'a Key>) -> bool {
        let touched = self.touched.get_mut().unwrap_or_else(PoisonError::into_inner);
        keys.any(|key| touched.has(key))
    }

    /// Changes an ephemeral row of the published state.
    pub(crate) fn write_ephemeral(&mut self, write: &Write) {
        let key = write.key();
        match merge(self.ephemeral.get(key).map(Vec::as_slice), write) {
            Some(value) => self.ephemeral.insert(*key, value),
            None => self.ephemeral.remove(key),
        };
    }

    /// Makes the batch with this number, and what it does to ephemeral rows, the published state.
    pub(crate) fn publish(&mut self, batch: u64, pending: &mut Pending) {
        self.published = batch;
        for write in std::mem::take(&mut pending.writes).into_values().flatten() {
            self.write_ephemeral(&write);
        }
        self.epoch += 1;
        *self.touched.get_mut().unwrap_or_else(PoisonError::into_inner) = Touched::default();
    }
}

/// What the running batch does to ephemeral rows, in order.
///
/// Writes are kept as they are, not what they come to: a [`Write::Add`] reads nothing, so that others may change the row before the batch
/// is published.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    writes: BTreeMap<Key, Vec<Write>>,
}

impl Pending {
    pub(crate) fn push(&mut self, write: Write) {
        let writes = self.writes.entry(*write.key()).or_default();
        match (writes.last_mut(), write) {
            (Some(Write::Add(_, before)), Write::Add(_, more)) => *before = before.wrapping_add(more),
            (Some(Write::Max(_, before)), Write::Max(_, least)) => *before = (*before).max(least),
            (_, write @ (Write::Set(..) | Write::Clear(_))) => *writes = vec![write],
            (_, write) => writes.push(write),
        }
    }

    fn apply<'a>(&self, key: &Key, before: Lent<'a>) -> Lent<'a> {
        self.writes.get(key).into_iter().flatten().fold(before, |before, write| merge(before.as_deref(), write).map(Cow::from))
    }
}

/// What a transaction sees that runs against the published state alone.
pub(crate) struct Published<'a> {
    pub(crate) view: &'a View,
    /// Why a read failed, if one did: the run is worth nothing then.
    pub(crate) failed: Option<TreeError>,
}

impl Snapshot for Published<'_> {
    fn has(&self, _: &Key) -> bool {
        true
    }

    fn get(&mut self, key: &Key) -> Result<Lent<'_>, NotFetched> {
        if key.is_ephemeral() {
            return Ok(self.view.ephemeral.get(key).map(Cow::from));
        }
        note(&mut self.failed, self.view.get(key, self.view.published))
    }

    fn scan(&mut self, scan: &Scan) -> Result<LentRows<'_>, NotFetched> {
        if !check_scan(scan) {
            return Ok(Vec::new());
        }
        if scan.from.is_ephemeral() {
            let rows = range(&self.view.ephemeral, scan).map(|(key, value)| (key, value.into()));
            return Ok(rows.take(scan.limit as usize).collect());
        }
        note(&mut self.failed, self.view.scan(scan, self.view.published))
    }
}

/// What a transaction of the running batch sees: the published state and what the batch has added so far.
pub(crate) struct Running<'a> {
    view: &'a View,
    pending: &'a Pending,
    batch: u64,
    /// What this run has read of the ephemeral rows.
    rows: Vec<Key>,
    runs: Vec<(Key, Key)>,
    /// As for [`Published`].
    pub(crate) failed: Option<TreeError>,
}

impl<'a> Running<'a> {
    /// `batch` is the number that the running batch will have.
    pub(crate) fn new(view: &'a View, pending: &'a Pending, batch: u64) -> Self {
        Self { view, pending, batch, rows: Vec::new(), runs: Vec::new(), failed: None }
    }
}

impl Drop for Running<'_> {
    /// Tells the view what was read, while the view is still locked. However the run ended: what another transaction of the batch
    /// does with the same rows is noted anew, so a note too many only sends somebody into the queue.
    fn drop(&mut self) {
        if !self.rows.is_empty() || !self.runs.is_empty() {
            let mut touched = self.view.touched.lock().unwrap_or_else(PoisonError::into_inner);
            touched.rows.extend(self.rows.drain(..));
            touched.runs.extend(self.runs.drain(..));
        }
    }
}

impl Snapshot for Running<'_> {
    fn has(&self, _: &Key) -> bool {
        true
    }

    fn get(&mut self, key: &Key) -> Result<Lent<'_>, NotFetched> {
        if key.is_ephemeral() {
            self.rows.push(*key);
            return Ok(self.pending.apply(key, self.view.ephemeral.get(key).map(Cow::from)));
        }
        note(&mut self.failed, self.view.get(key, self.batch))
    }

    fn scan(&mut self, scan: &Scan) -> Result<LentRows<'_>, NotFetched> {
        if !check_scan(scan) {
            return Ok(Vec::new());
        }
        if scan.from.is_ephemeral() {
            self.runs.push((scan.from, scan.to));
            let below = range(&self.view.ephemeral, scan).map(|(key, value)| (key, Some(value.into())));
            let above = range(&self.pending.writes, scan)
                .map(|(key, _)| (key, self.pending.apply(&key, self.view.ephemeral.get(&key).map(Cow::from))));
            let parts: Vec<Part<'_, TreeError>> = vec![Box::new(above.map(Ok)), Box::new(below.map(Ok))];
            return note(&mut self.failed, merge_parts(parts, scan));
        }
        note(&mut self.failed, self.view.scan(scan, self.batch))
    }
}

/// A read that failed is answered as one that is missing, so that the run ends.
fn note<T>(failed: &mut Option<TreeError>, read: Result<T, TreeError>) -> Result<T, NotFetched> {
    read.map_err(|error| {
        failed.get_or_insert(error);
        NotFetched
    })
}
