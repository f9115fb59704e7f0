//! How fast new connections are taken. After an outage everybody comes at once; those who cannot be served at once are told different times,
//! so that they do not all come at once again.

use doubletick_core::rate::{Meter, Rate};
use doubletick_core::time::{Millis, Timestamp};

/// The longest that a refused client is told to stay away.
const LONGEST: Millis = Millis::seconds(60);

/// The meters of one server.
#[derive(Debug)]
pub(crate) struct Arrivals {
    rate: Rate,
    admitted: Meter,
    /// When those who were refused come back.
    promised: Meter,
}

impl Arrivals {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, admitted: Meter::default(), promised: Meter::default() }
    }

    /// Counts one that arrives, if it is within the rate.
    ///
    /// # Errors
    /// How long it is to stay away. Each one that is refused is given a time of its own, as dense as the rate allows.
    pub(crate) fn admit(&mut self, now: Timestamp) -> Result<(), Millis> {
        self.admitted.admit(self.rate, now).map_err(|wait| {
            let before = self.promised;
            let promised = self.promised.count(Rate { burst: 1, ..self.rate }, now);
            if promised >= LONGEST {
                // No more times are given away than anybody is told of.
                self.promised = before;
            }
            wait.max(promised).min(LONGEST)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    #[test]
    fn a_burst_is_admitted_and_the_rest_comes_back_evenly_spread() {
        let mut arrivals = Arrivals::new(Rate { per_second: 10, burst: 5 });
        let refused: Vec<u64> = (0..25).filter_map(|_| arrivals.admit(NOW).err()).map(|Millis(wait)| wait).collect();
        assert_eq!(refused.len(), 20);
        assert_eq!(refused[..5], [100, 100, 200, 300, 400]);
        assert_eq!(refused[19], 1900);
    }

    #[test]
    fn whoever_comes_back_when_told_is_admitted() {
        let mut arrivals = Arrivals::new(Rate { per_second: 10, burst: 1 });
        assert_eq!(arrivals.admit(NOW), Ok(()));
        let told: Vec<Millis> = (0..50).map(|_| arrivals.admit(NOW).unwrap_err()).collect();
        let admitted = told[1..].iter().filter(|wait| arrivals.admit(NOW + **wait).is_ok()).count();
        assert_eq!(admitted, 49);
    }

    #[test]
    fn a_flood_uses_up_nobodys_time_beyond_the_longest() {
        let mut arrivals = Arrivals::new(Rate { per_second: 10, burst: 1 });
        let longest = (0..10_000).filter_map(|_| arrivals.admit(NOW).err()).max();
        assert_eq!(longest, Some(LONGEST));
        // A minute later it is as if nothing had been.
        assert_eq!(arrivals.admit(NOW + LONGEST), Ok(()));
        assert_eq!(arrivals.admit(NOW + LONGEST), Err(Millis(100)));
    }
}
