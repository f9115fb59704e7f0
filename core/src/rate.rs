//! The generic cell rate algorithm (ITU-T I.371, "virtual scheduling") as pure state: one number a limit.

use crate::time::{Millis, Timestamp};

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// So many a second on average; at least 1.
    pub per_second: u32,
    /// So many at once after a rest; at least 1.
    pub burst: u32,
}

/// How often it has happened lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// When the next one would be due if they came evenly, in microseconds since 1970.
    due: u64,
}

impl Meter {
    /// Counts one, and says how long it has to wait: nothing if it is within the rate.
    pub fn count(&mut self, rate: Rate, now: Timestamp) -> Millis {
        let now = now.millis().saturating_mul(1000);
        let interval = 1_000_000 / u64::from(rate.per_second.max(1));
        let tolerance = interval * u64::from(rate.burst.max(1) - 1);
        let due = self.due.max(now);
        self.due = due + interval;
        Millis(due.saturating_sub(now + tolerance).div_ceil(1000))
    }

    /// Counts one if it is within the rate; if not, says when to try again.
    ///
    /// # Errors
    /// The time to wait, with nothing counted.
    pub fn admit(&mut self, rate: Rate, now: Timestamp) -> Result<(), Millis> {
        let before = *self;
        match self.count(rate, now) {
            Millis(0) => Ok(()),
            wait => {
                *self = before;
                Err(wait)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_each_interval() {
        let rate = Rate { per_second: 10, burst: 3 };
        let mut meter = Meter::default();
        let at = Timestamp::from_millis(1_000_000);
        let waits: alloc::vec::Vec<u64> = (0..5).map(|_| meter.count(rate, at).0).collect();
        assert_eq!(waits, [0, 0, 0, 100, 200]);
        assert_eq!(meter.count(rate, at + Millis(10_000)).0, 0);
    }

    #[test]
    fn what_is_refused_does_not_count() {
        let rate = Rate { per_second: 1, burst: 1 };
        let mut meter = Meter::default();
        let at = Timestamp::from_millis(5_000);
        assert_eq!(meter.admit(rate, at), Ok(()));
        for _ in 0..9 {
            assert_eq!(meter.admit(rate, at), Err(Millis(1000)));
        }
        assert_eq!(meter.admit(rate, at + Millis(1000)), Ok(()));
    }
}
