//! What a transaction writes.

use bytes::Bytes;

use super::special;
use super::transaction::{State, Transaction};
use crate::error::Error;
use crate::limits::{self, METADATA_VERSION};
use crate::model::{Atomic, Mutation, Version, key_after, stamp, stamp_position, versionstamp};

/// What a range of keys counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictRange {
    /// It counts as read: the commit fails if another writes to it.
    Read,
    /// It counts as written: commits of others that read it fail.
    Write,
}

/// The only operand that a write to [`METADATA_VERSION`] may have: a versionstamp at its beginning.
const METADATA_OPERAND: [u8; 14] = [0; 14];

/// What a change weighs beside its bytes.
const CHANGE_BYTES: usize = 40;

/// What a conflict range weighs beside its bytes.
const RANGE_BYTES: usize = 24;

impl Transaction {
    /// Sets a row.
    pub fn set(&self, key: &[u8], value: &[u8]) {
        self.write(|state| state.set(key, value));
    }

    /// Clears a row.
    pub fn clear(&self, key: &[u8]) {
        self.write(|state| if key >= state.write_end() { state.out_of_reach(key) } else { state.clear(key, &key_after(key)) });
    }

    /// Clears the rows from `begin` to just before `end`.
    pub fn clear_range(&self, begin: &[u8], end: &[u8]) {
        self.write(|state| match begin.max(end) {
            _ if begin > end => Err(Error::INVERTED_RANGE),
            last if last > state.write_end() => state.out_of_reach(last),
            _ => state.clear(begin, end),
        });
    }

    /// Changes a row by the atomic operation with this code.
    pub fn atomic(&self, code: i32, key: &[u8], operand: &[u8]) {
        self.write(|state| state.atomic(code, key, operand));
    }

    /// Has the transaction read at this version.
    pub fn set_read_version(&self, version: i64) {
        self.write(|state| {
            if state.read_version.is_some() {
                return Err(Error::READ_VERSION_ALREADY_SET);
            }
            if version <= 0 {
                return Err(Error::VERSION_INVALID);
            }
            state.read_version = Some(Version(version));
            Ok(())
        });
    }

    /// Has keys count as read or written.
    ///
    /// # Errors
    /// [`Error::INVERTED_RANGE`] at once; what else is wrong with it is told by the next call that gives something back.
    pub fn add_conflict_range(&self, begin: &[u8], end: &[u8], kind: ConflictRange) -> Result<(), Error> {
        if begin > end {
            return Err(Error::INVERTED_RANGE);
        }
        self.write(|state| state.add_conflict_range(begin, end, kind));
        Ok(())
    }

    /// Does something whose mistakes are told later.
    fn write(&self, change: impl FnOnce(&mut State) -> Result<(), Error>) {
        let mut state = self.lock();
        let result = match state.commit_started {
            true => state.usable(),
            false => change(&mut state),
        };
        if let Err(mistake) = result {
            state.mistake.get_or_insert(mistake);
        }
    }
}

impl State {
    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        if key.starts_with(limits::SPECIAL) {
            return special::set(self, key, value);
        }
        if key == METADATA_VERSION {
            return Err(Error::CLIENT_INVALID_OPERATION);
        }
        self.check_key(key)?;
        if value.len() > limits::VALUE {
            return Err(Error::VALUE_TOO_LARGE);
        }
        let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        self.size += (key.len() + value.len() + CHANGE_BYTES) as i64;
        self.written(&key, &key_after(&key));
        if self.options.read_your_writes {
            self.overlay.set(key.clone(), value.clone());
        }
        self.mutations.push(Mutation::Set(key, value));
        Ok(())
    }

    fn clear(&mut self, begin: &[u8], end: &[u8]) -> Result<(), Error> {
        let (begin, end) = (cut(begin), cut(end));
        self.size += (begin.len() + end.len() + CHANGE_BYTES) as i64;
        if begin >= end {
            self.options.next_write_unconflicting = false;
            return Ok(());
        }
        self.written(&begin, &end);
        if self.options.read_your_writes {
            self.overlay.clear(&begin, &end);
        }
        self.mutations.push(Mutation::Clear(begin, end));
        Ok(())
    }

    fn atomic(&mut self, code: i32, key: &[u8], operand: &[u8]) -> Result<(), Error> {
        const STAMPED_KEY: i32 = 14;
        const STAMPED_VALUE: i32 = 15;
        if key == METADATA_VERSION {
            if code != STAMPED_VALUE || operand != METADATA_OPERAND {
                return Err(Error::CLIENT_INVALID_OPERATION);
            }
        } else {
            self.check_key(key)?;
        }
        if operand.len() > limits::VALUE {
            return Err(Error::VALUE_TOO_LARGE);
        }
        let (key, operand) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(operand));
        self.size += (key.len() + operand.len() + CHANGE_BYTES) as i64;
        let op = match code {
            STAMPED_KEY => return self.stamped_key(key, operand),
            STAMPED_VALUE => return self.stamped_value(key, operand),
            _ => operation(code).ok_or(Error::INVALID_MUTATION_TYPE)?,
        };
        self.written(&key, &key_after(&key));
        if self.options.read_your_writes {
            self.overlay.atomic(key.clone(), op, operand.clone());
        }
        self.mutations.push(Mutation::Atomic(op, key, operand));
        Ok(())
    }

    fn stamped_key(&mut self, template: Bytes, value: Bytes) -> Result<(), Error> {
        let position = stamp_position(&template).ok_or(Error::CLIENT_INVALID_OPERATION)?;
        self.options.next_write_unconflicting = false;
        // The key will be between the one with the next version and the one with the last that there is.
        let least = self.read_version.map_or(Version::ZERO, |version| Version(version.0 + 1));
        let begin = stamp(&template, versionstamp(least));
        let mut end = begin.to_vec();
        end[position..position + 10].fill(0xff);
        if self.options.read_your_writes {
            self.overlay.stamped(begin, key_after(&end).min(Bytes::from_static(self.read_end())));
        }
        self.mutations.push(Mutation::StampedKey(template, value));
        Ok(())
    }

    fn stamped_value(&mut self, key: Bytes, template: Bytes) -> Result<(), Error> {
        stamp_position(&template).ok_or(Error::CLIENT_INVALID_OPERATION)?;
        self.written(&key, &key_after(&key));
        if self.options.read_your_writes {
            self.overlay.stamped(key.clone(), key_after(&key));
        }
        self.mutations.push(Mutation::StampedValue(key, template));
        Ok(())
    }

    fn add_conflict_range(&mut self, begin: &[u8], end: &[u8], kind: ConflictRange) -> Result<(), Error> {
        let last = match kind {
            ConflictRange::Read => self.read_end(),
            ConflictRange::Write => self.write_end(),
        };
        if begin > last || end > last {
            return Err(Error::KEY_OUTSIDE_LEGAL_RANGE);
        }
        let (begin, end) = (cut(begin), cut(end));
        match kind {
            ConflictRange::Read => self.read(&begin, &end),
            ConflictRange::Write => {
                self.size += (begin.len() + end.len() + RANGE_BYTES) as i64;
                self.writes.insert(begin, end);
            }
        }
        Ok(())
    }

    /// Has a range count as read, but for what in it does not depend on the database.
    pub(super) fn read(&mut self, begin: &Bytes, end: &Bytes) {
        if self.overlay.is_empty() {
            self.size += (begin.len() + end.len() + RANGE_BYTES) as i64;
            self.reads.insert(begin.clone(), end.clone());
            return;
        }
        for (begin, end) in self.overlay.dependent(begin, end) {
            self.size += (begin.len() + end.len() + RANGE_BYTES) as i64;
            self.reads.insert(begin, end);
        }
    }

    /// Has a range count as written, unless the next write was not to.
    fn written(&mut self, begin: &Bytes, end: &Bytes) {
        if std::mem::take(&mut self.options.next_write_unconflicting) {
            return;
        }
        self.size += (begin.len() + end.len() + RANGE_BYTES) as i64;
        self.writes.insert(begin.clone(), end.clone());
    }

    /// Refuses to clear what lies behind the keys that may be written.
    fn out_of_reach(&self, key: &[u8]) -> Result<(), Error> {
        let special = key.starts_with(limits::SPECIAL) && key != limits::SPECIAL;
        Err(if special { Error::SPECIAL_KEYS_NO_WRITE_MODULE_FOUND } else { Error::KEY_OUTSIDE_LEGAL_RANGE })
    }

    fn check_key(&self, key: &[u8]) -> Result<(), Error> {
        if key >= self.write_end() {
            return Err(Error::KEY_OUTSIDE_LEGAL_RANGE);
        }
        if key.len() > limits::of_key(key) { Err(Error::KEY_TOO_LARGE) } else { Ok(()) }
    }
}

/// A bound that lies among the same keys as this one, none of which is longer than the limit.
fn cut(bound: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&bound[..bound.len().min(limits::of_key(bound) + 1)])
}

fn operation(code: i32) -> Option<Atomic> {
    Some(match code {
        2 => Atomic::Add,
        6 => Atomic::And,
        7 => Atomic::Or,
        8 => Atomic::Xor,
        9 => Atomic::AppendIfFits,
        12 => Atomic::Max,
        13 => Atomic::Min,
        16 => Atomic::ByteMin,
        17 => Atomic::ByteMax,
        20 => Atomic::CompareAndClear,
        _ => return None,
    })
}
