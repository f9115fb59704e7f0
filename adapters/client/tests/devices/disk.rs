//! A disk in memory that can lose its power: what was not synced is kept, lost, or kept in part.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

/// The disk. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    synced: Vec<u8>,
    seen: Vec<u8>,
    /// Writes since the last sync.
    unsynced: Vec<Range<usize>>,
    syncs: u64,
    /// With which sync the power goes.
    fails_at: Option<u64>,
    dead: bool,
}

/// What becomes of writes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsynced {
    /// They are lost.
    Lost,
    /// They were on the disk all the same: the program was killed, and the machine was not.
    Kept,
    /// Every n-th was.
    Some(usize),
}

impl Disk {
    /// The power goes instead of the n-th sync from this moment; 0 is the next.
    pub(crate) fn fail_at(&self, nth: u64) {
        let mut state = self.0.lock().unwrap();
        state.fails_at = Some(state.syncs + nth);
    }

    /// What is on the disk after the power is back.
    pub(crate) fn after_crash(&self, unsynced: Unsynced) -> Self {
        let state = self.0.lock().unwrap();
        let mut bytes = if unsynced == Unsynced::Kept { state.seen.clone() } else { state.synced.clone() };
        if let Unsynced::Some(n) = unsynced {
            bytes.resize(state.seen.len(), 0);
            for range in state.unsynced.iter().step_by(n).filter(|range| range.end <= state.seen.len()) {
                bytes[range.clone()].copy_from_slice(&state.seen[range.clone()]);
            }
        }
        Self(Arc::new(Mutex::new(State { synced: bytes.clone(), seen: bytes, ..State::default() })))
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.0.lock().unwrap().dead
    }

    fn alive(&self) -> Result<std::sync::MutexGuard<'_, State>, io::Error> {
        let state = self.0.lock().unwrap();
        if state.dead { Err(io::Error::other("the disk has no power")) } else { Ok(state) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.alive()?.seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let start = offset as usize;
        out.copy_from_slice(&self.alive()?.seen[start..start + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.alive()?.seen.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut state = self.alive()?;
        if state.fails_at == Some(state.syncs) {
            state.dead = true;
            return Err(io::Error::other("the disk has lost its power"));
        }
        state.syncs += 1;
        state.synced = state.seen.clone();
        state.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut state = self.alive()?;
        let range = offset as usize..offset as usize + data.len();
        state.seen[range.clone()].copy_from_slice(data);
        state.unsynced.push(range);
        Ok(())
    }
}
