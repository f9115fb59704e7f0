//! The chain over everything that happens.

use doubletick_core::command::stamp;
use doubletick_core::id::Digest;

/// Steps that are told when something goes wrong.
const LAST: usize = 48;

/// What has happened so far, hashed, and the last of it in full.
#[derive(Clone)]
pub(crate) struct Trace<E> {
    buffer: Vec<u8>,
    chain: Digest,
    every: u64,
    pub(crate) checkpoints: Vec<(u64, Digest)>,
    pub(crate) steps: u64,
    last: Vec<(u64, u64, E)>,
}

impl<E: Copy + core::fmt::Debug> Trace<E> {
    pub(crate) fn new(every: u64) -> Self {
        Self { buffer: Vec::new(), chain: Digest::START, every: every.max(1), checkpoints: Vec::new(), steps: 0, last: Vec::new() }
    }

    /// An event is about to be handled: when, which, and its kind and whose it is in numbers.
    pub(crate) fn step(&mut self, at: u64, event: E, (kind, whose): (u8, u64)) {
        if self.steps > 0 && self.steps.is_multiple_of(self.every) {
            self.seal();
            self.checkpoints.push((self.steps, self.chain));
        }
        self.steps += 1;
        let mut bytes = [0; 17];
        bytes[..8].copy_from_slice(&at.to_le_bytes());
        bytes[8] = kind;
        bytes[9..].copy_from_slice(&whose.to_le_bytes());
        self.buffer.extend_from_slice(&bytes);
        let entry = (self.steps, at, event);
        if self.last.len() < LAST {
            self.last.push(entry);
        } else {
            self.last[(self.steps as usize - 1) % LAST] = entry;
        }
    }

    /// Something that came of it.
    pub(crate) fn number(&mut self, number: u64) {
        self.buffer.extend_from_slice(&number.to_le_bytes());
    }

    /// The same, as a value that may be long: what tells it from others.
    pub(crate) fn value(&mut self, value: &[u8]) {
        self.number(stamp(value));
    }

    /// The same, as bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The chain up to here.
    pub(crate) fn seal(&mut self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.chain.0).update(&self.buffer);
        self.chain = Digest(*hasher.finalize().as_bytes());
        self.buffer.clear();
        self.chain
    }

    /// The last steps, in their order.
    pub(crate) fn last_steps(&self) -> Vec<String> {
        let mut last = self.last.clone();
        last.sort_unstable_by_key(|(step, ..)| *step);
        last.into_iter().map(|(step, at, event)| format!("{step} at {at} ms: {event:?}")).collect()
    }
}
