//! Who waits for which key, for stores that hold that in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use doubletick_core::store::Key;

/// The bells of one store. Clones are the same bells.
#[derive(Clone, Default)]
pub struct Bells {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// One entry for each [`Bell`] that is neither dropped nor heard. The number tells bells on one key apart.
    waiting: BTreeMap<(Key, u64), State>,
    next: u64,
}

enum State {
    /// Armed; with the waker of whoever polled last.
    Armed(Option<Waker>),
    /// The key was changed, and nobody has heard yet.
    Rung,
}

impl Bells {
    /// Arms a bell: any [`Bells::ring`] of the key from here on rings it.
    pub fn arm(&self, key: &Key) -> Bell {
        let mut shared = self.lock();
        let name = (*key, shared.next);
        shared.next += 1;
        shared.waiting.insert(name, State::Armed(None));
        Bell { bells: self.clone(), name }
    }

    /// Rings every bell that is armed on one of the keys.
    pub fn ring<'a>(&self, keys: impl IntoIterator<Item = &'a Key>) {
        let mut wakers = Vec::new();
        let mut shared = self.lock();
        if shared.waiting.is_empty() {
            return;
        }
        for key in keys {
            for (_, state) in shared.waiting.range_mut((*key, 0)..=(*key, u64::MAX)) {
                if let State::Armed(Some(waker)) = std::mem::replace(state, State::Rung) {
                    wakers.push(waker);
                }
            }
        }
        drop(shared);
        // Outside the lock: a waker may run the woken task at once.
        wakers.into_iter().for_each(Waker::wake);
    }

    /// How many bells are armed or rung and not yet heard.
    pub fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // No panic can leave the map half changed.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Bells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bells").field("waiting", &self.len()).finish()
    }
}

/// Resolves once its key was changed. Dropping it disarms it.
#[derive(Debug)]
#[must_use = "a bell is heard by awaiting it"]
pub struct Bell {
    bells: Bells,
    name: (Key, u64),
}

impl Future for Bell {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.bells.lock().waiting.get_mut(&self.name) {
            Some(State::Armed(waker)) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
            Some(State::Rung) | None => Poll::Ready(()),
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.bells.lock().waiting.remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(bell: &mut Bell) -> bool {
        Pin::new(bell).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn every_bell_on_the_key_rings_and_no_other() {
        let bells = Bells::default();
        let (a, b) = (Key::new(b"a"), Key::new(b"b"));
        let (mut one, mut two, mut other) = (bells.arm(&a), bells.arm(&a), bells.arm(&b));
        assert!(!heard(&mut one));
        bells.ring([&a]);
        assert!(heard(&mut one) && heard(&mut two) && !heard(&mut other));
    }

    #[test]
    fn a_bell_that_nobody_keeps_takes_no_room() {
        let bells = Bells::default();
        let key = Key::new(b"a");
        let (heard, dropped) = (bells.arm(&key), bells.arm(&key));
        bells.ring([&key]);
        drop((heard, dropped));
        assert!(bells.is_empty());
    }
}
