//! A simulated disk that fails and loses power as its seed says.
//!
//! What is written is in the system's cache until it is synced. When power is lost, each write that was not synced is kept, lost, or torn
//! at 512 bytes; in any combination, since a disk reorders. After a failed sync the cache takes its pages for written, as Linux does: they
//! still read well, and no later sync writes them.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use doubletick_embedded::files::Files;
use doubletick_store::conformance::Random;
use redb::StorageBackend;

const SECTOR: usize = 512;

#[derive(Clone, Debug)]
pub(crate) struct Disk(Arc<Mutex<State>>);

/// What a test makes fail, for the files whose name contains `of`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fails {
    pub(crate) of: &'static str,
    pub(crate) writes: bool,
    pub(crate) syncs: bool,
    pub(crate) reads: bool,
    /// The most bytes that all files have together.
    pub(crate) full_at: Option<u64>,
}

#[derive(Debug)]
struct State {
    files: BTreeMap<String, File>,
    random: Random,
    fails: Fails,
    /// Rises when power is lost; what was opened before is dead.
    life: u64,
    /// Writes, changes of length and syncs so far.
    changes: u64,
    /// Power is lost in the middle of the change with this number.
    power_until: Option<u64>,
}

#[derive(Debug, Default)]
struct File {
    /// As it reads.
    cache: Vec<u8>,
    /// As the disk has it.
    disk: Vec<u8>,
    /// What the cache knows that it must still write.
    dirty: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Length(length) => bytes.resize(*length, 0),
            Self::Write(offset, data) => {
                let end = offset + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(data);
            }
        }
    }

    /// Reaches the disk whole, not at all, or in part.
    fn apply_perhaps(&self, bytes: &mut Vec<u8>, random: &mut Random) {
        match (random.below(3), self) {
            (0, _) => self.apply(bytes),
            (1, Self::Write(offset, data)) => {
                let mut at = 0;
                while at < data.len() {
                    let end = ((offset + at) / SECTOR * SECTOR + SECTOR - offset).min(data.len());
                    if random.one_in(2) {
                        Self::Write(offset + at, data[at..end].to_vec()).apply(bytes);
                    }
                    at = end;
                }
            }
            _ => {}
        }
    }
}

impl Disk {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            files: BTreeMap::new(),
            random: Random::new(seed),
            fails: Fails::default(),
            life: 0,
            changes: 0,
            power_until: None,
        })))
    }

    pub(crate) fn fail(&self, fails: Fails) {
        self.lock().fails = fails;
    }

    pub(crate) fn heal(&self) {
        self.fail(Fails::default());
    }

    /// Lets power be lost in one of the next changes.
    pub(crate) fn lose_power_within(&self, changes: u64) {
        let mut state = self.lock();
        state.power_until = Some(state.changes + state.random.below(changes));
    }

    /// Loses power if it is not lost yet, and turns it on again.
    pub(crate) fn power_cycle(&self) {
        if self.has_power() {
            self.lock().lose_power();
        }
        self.lock().power_until = None;
    }

    /// Whether power was not lost since it was last turned on.
    pub(crate) fn has_power(&self) -> bool {
        let state = self.lock();
        state.power_until.is_none_or(|until| state.changes <= until)
    }

    /// What the disk has, as a number that differs when anything does.
    pub(crate) fn fingerprint(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for (name, file) in &self.lock().files {
            hasher.update(name.as_bytes());
            hasher.update(&(file.disk.len() as u64).to_le_bytes());
            hasher.update(&file.disk);
        }
        hasher.finalize()
    }

    /// Overwrites bytes as the disk has them, as no power loss would.
    pub(crate) fn damage(&self, name: &str, offset: usize) {
        let mut state = self.lock();
        let file = state.files.get_mut(name).expect("there is such a file");
        for bytes in [&mut file.cache, &mut file.disk] {
            bytes[offset] ^= 0x40;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics in here")
    }
}

impl State {
    fn lose_power(&mut self) {
        self.life += 1;
        for file in self.files.values_mut() {
            for change in std::mem::take(&mut file.dirty) {
                change.apply_perhaps(&mut file.disk, &mut self.random);
            }
            file.cache = file.disk.clone();
        }
    }

    /// Counts a change, and says whether power was lost in it.
    fn power_fails(&mut self) -> bool {
        self.changes += 1;
        let fails = self.power_until.is_some_and(|until| self.changes > until);
        if fails {
            self.lose_power();
        }
        fails
    }

    fn fails(&self, name: &str, which: impl Fn(&Fails) -> bool) -> bool {
        name.contains(self.fails.of) && which(&self.fails)
    }

    fn room_for(&self, name: &str, end: usize) -> bool {
        let used: u64 = self.files.values().map(|file| file.cache.len() as u64).sum();
        let grows = (end as u64).saturating_sub(self.files[name].cache.len() as u64);
        grows == 0 || self.fails.full_at.is_none_or(|full| used + grows <= full)
    }
}

fn broken(what: &'static str) -> io::Error {
    io::Error::other(what)
}

impl Files for Disk {
    fn open(&self, name: &str) -> io::Result<Box<dyn StorageBackend>> {
        let mut state = self.lock();
        state.files.entry(name.to_owned()).or_default();
        Ok(Box::new(Handle { disk: self.clone(), name: name.to_owned(), life: state.life }))
    }
}

#[derive(Debug)]
struct Handle {
    disk: Disk,
    name: String,
    life: u64,
}

impl Handle {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.lock();
        if state.life == self.life { Ok(state) } else { Err(broken("the power is off")) }
    }

    fn change(&self, state: &mut State, change: Change) -> io::Result<()> {
        let file = state.files.get_mut(&self.name).expect("it was opened");
        change.apply(&mut file.cache);
        file.dirty.push(change);
        if state.power_fails() { Err(broken("the power goes off")) } else { Ok(()) }
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state()?.files[&self.name].cache.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state()?;
        if state.fails(&self.name, |fails| fails.reads) {
            return Err(broken("a bad sector"));
        }
        let bytes = &state.files[&self.name].cache;
        let offset = offset as usize;
        let there = bytes.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(there);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state()?;
        if !state.room_for(&self.name, len as usize) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.change(&mut state, Change::Length(len as usize))
    }

    fn sync_data(&self) -> io::Result<()> {
        let state = &mut *self.state()?;
        if state.power_fails() {
            return Err(broken("the power goes off"));
        }
        let fails = state.fails(&self.name, |fails| fails.syncs);
        let file = state.files.get_mut(&self.name).expect("it was opened");
        for change in std::mem::take(&mut file.dirty) {
            if fails {
                change.apply_perhaps(&mut file.disk, &mut state.random);
            } else {
                change.apply(&mut file.disk);
            }
        }
        if fails { Err(broken("the sync fails")) } else { Ok(()) }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state()?;
        if state.fails(&self.name, |fails| fails.writes) {
            return Err(broken("the write fails"));
        }
        let end = offset as usize + data.len();
        if !state.room_for(&self.name, end) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.change(&mut state, Change::Write(offset as usize, data.to_vec()))
    }
}
