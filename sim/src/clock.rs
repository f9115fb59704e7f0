//! The clocks of machines: off, too fast or too slow, and set by somebody now and then.

use doubletick_core::time::Timestamp;

/// When every world begins, in milliseconds since 1970.
pub(crate) const BEGINNING: u64 = 1_800_000_000_000;

/// How fast a clock goes that was set back, in microseconds a millisecond.
const SLOW: u64 = 500;

/// One machine's clock as its process reads it. As the server's adapter does it, it never goes back: when it is set back, it goes on at
/// half its speed until the two agree again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Milliseconds.
    off: i64,
    drift_per_million: i64,
    /// When it was last read, and what it said, in microseconds.
    last: (u64, u64),
    /// What was last waited for, and when it will say that.
    awaited: Option<(Timestamp, u64)>,
}

impl Clock {
    pub(crate) fn new(off: i64, drift_per_million: i64) -> Self {
        Self { off, drift_per_million, last: (0, 0), awaited: None }
    }

    /// What it says.
    pub(crate) fn read(&mut self, now: u64) -> Timestamp {
        let (at, said) = self.last;
        let says = self.set_to(now).max(said + now.saturating_sub(at) * SLOW);
        self.last = (now, says);
        Timestamp::from_millis(says / 1000)
    }

    /// What it would say if it had never been set back, in microseconds.
    fn set_to(&self, now: u64) -> u64 {
        let drift = now as i64 * self.drift_per_million / 1_000_000;
        (BEGINNING as i64 + now as i64 + self.off + drift).max(0) as u64 * 1000
    }

    /// Somebody sets it forwards (or back).
    pub(crate) fn step(&mut self, millis: i64) {
        self.off += millis;
        self.awaited = None;
    }

    /// The machine starts again: what was read before binds nobody.
    pub(crate) fn restart(&mut self) {
        self.last = (0, 0);
        self.awaited = None;
    }

    /// After how many milliseconds of the world it says at least that, unless somebody sets it.
    pub(crate) fn until(&mut self, now: u64, then: Timestamp) -> u64 {
        self.read(now);
        let known = self.awaited.filter(|(awaited, at)| *awaited == then && *at >= now).map(|(_, at)| at - now);
        known.unwrap_or_else(|| {
            let wait = self.wait(now, then);
            self.awaited = now.checked_add(wait).map(|at| (then, at));
            wait
        })
    }

    fn wait(&self, now: u64, then: Timestamp) -> u64 {
        let then = then.millis().saturating_mul(1000);
        let slowly = then.saturating_sub(self.last.1).div_ceil(SLOW);
        let rate = (1_000_000 + self.drift_per_million).max(1) as u64;
        let mut straight = (then.saturating_sub(self.set_to(now)) / 1000).saturating_mul(1_000_000) / rate;
        // Drift counts in whole milliseconds.
        while straight < slowly && self.set_to(now + straight) < then {
            straight += 1;
        }
        straight.min(slowly)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doubletick_core::time::Millis;

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

    #[test]
    fn a_timer_is_set_for_the_first_millisecond_at_which_it_is_due_also_on_a_clock_that_is_wrong() {
        for drift in [-500, -3, 0, 3, 499] {
            for set_back in [0, -1, -1_500, -90_000, 5_000] {
                for left in [0, 1, 2, 7, 999, 30_001] {
                    let mut clock = Clock::new(-1_234, drift);
                    let said = clock.read(7_777);
                    clock.step(set_back);
                    let then = said + Millis(left);
                    let wait = clock.until(8_000, then);
                    let at = |millis: u64| {
                        let mut clock = clock;
                        clock.read(8_000 + millis)
                    };
                    assert!(at(wait) >= then, "{drift} {set_back} {left}");
                    assert!(wait == 0 || at(wait - 1) < then, "{drift} {set_back} {left}");
                }
            }
        }
    }
}
