//! The clocks of machines: off, too fast or too slow, and set by somebody now and then.

use doubletick_core::time::Timestamp;

/// When every world begins, in milliseconds since 1970.
pub(crate) const BEGINNING: u64 = 1_800_000_000_000;

/// One machine's clock as its process reads it. As the server's adapter does it, it never goes back: when it is set back, it goes on at
/// half its speed until the two agree again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Milliseconds.
    off: i64,
    drift_per_million: i64,
    /// When it was last read, and what it said, in microseconds.
    last: (u64, u64),
}

impl Clock {
    pub(crate) fn new(off: i64, drift_per_million: i64) -> Self {
        Self { off, drift_per_million, last: (0, 0) }
    }

    /// What it says.
    pub(crate) fn read(&mut self, now: u64) -> Timestamp {
        let drift = now as i64 * self.drift_per_million / 1_000_000;
        let set = (BEGINNING as i64 + now as i64 + self.off + drift).max(0) as u64 * 1000;
        let (at, said) = self.last;
        let says = set.max(said + now.saturating_sub(at) * 500);
        self.last = (now, says);
        Timestamp::from_millis(says / 1000)
    }

    /// Somebody sets it forwards (or back).
    pub(crate) fn step(&mut self, millis: i64) {
        self.off += millis;
    }

    /// The machine starts again: what was read before binds nobody.
    pub(crate) fn restart(&mut self) {
        self.last = (0, 0);
    }

    /// In how many milliseconds of the world to look whether it says at least that.
    pub(crate) fn until(&mut self, now: u64, then: Timestamp) -> u64 {
        let left = then.since(self.read(now)).0;
        if left == 0 {
            return 0;
        }
        let rate = (1_000_000 + self.drift_per_million).max(1) as u64;
        (left.saturating_mul(1_000_000) / rate).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_slows_down_until_it_is_right() {
        let mut clock = Clock::new(0, 0);
        let start = clock.read(10_000).millis();
        clock.step(-1_000);
        assert_eq!(clock.read(11_000).millis(), start + 500);
        assert_eq!(clock.read(12_000).millis(), start + 1_000);
        assert_eq!(clock.read(13_000).millis(), start + 2_000);
        clock.step(5_000);
        assert_eq!(clock.read(13_000).millis(), start + 7_000);
    }
}
