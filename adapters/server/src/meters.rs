//! How often each address may register, in bounded memory.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use doubletick_core::rate::{Meter, Rate};
use doubletick_core::time::{Millis, Timestamp};

/// Addresses that are remembered in one generation.
const ADDRESSES: usize = 16 * 1024;

/// A unit of [`Rate`] is a minute here: meters are shown a clock that goes sixty times slower.
const SLOWER: u64 = 60;

/// The meters of all addresses, and the one for all of them together.
#[derive(Debug)]
pub(crate) struct Meters {
    per_address: Rate,
    overall: Rate,
    all: Meter,
    /// Two generations: when the young one is full it becomes the old one, and what was old and not asked for since is forgotten. Whoever
    /// makes it forget by using many addresses still meets the limit for all.
    young: BTreeMap<IpAddr, Meter>,
    old: BTreeMap<IpAddr, Meter>,
}

impl Meters {
    pub(crate) fn new(per_address: Rate, overall: Rate) -> Self {
        Self { per_address, overall, all: Meter::default(), young: BTreeMap::new(), old: BTreeMap::new() }
    }

    /// Counts a request from an address if it is within the rates.
    ///
    /// # Errors
    /// The time to wait, with nothing counted.
    pub(crate) fn admit(&mut self, address: IpAddr, now: Timestamp) -> Result<(), Millis> {
        let now = Timestamp::from_millis(now.millis() / SLOWER);
        let stretched = |Millis(wait)| Millis(wait * SLOWER);
        let address = network(address);
        let mut meter = self.young.get(&address).or_else(|| self.old.get(&address)).copied().unwrap_or_default();
        // The address first: one that is over its own rate uses up nothing of the others'.
        meter.admit(self.per_address, now).map_err(stretched)?;
        self.all.admit(self.overall, now).map_err(stretched)?;
        if self.young.len() >= ADDRESSES {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(address, meter);
        Ok(())
    }
}

/// Whoever has one IPv6 address has a network of 64 bits full of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000_000 + seconds * 1000)
    }

    fn meters() -> Meters {
        Meters::new(Rate { per_second: 1, burst: 2 }, Rate { per_second: 1000, burst: 1000 })
    }

    #[test]
    fn an_address_waits_for_its_minute_and_no_other_address_does() {
        let mut meters = meters();
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        assert_eq!(meters.admit(one, at(0)), Ok(()));
        assert_eq!(meters.admit(one, at(0)), Ok(()));
        assert!(meters.admit(one, at(0)).is_err());
        assert_eq!(meters.admit(other, at(0)), Ok(()));
        assert!(meters.admit(one, at(58)).is_err());
        assert_eq!(meters.admit(one, at(61)), Ok(()));
    }

    #[test]
    fn addresses_of_one_network_share_their_rate() {
        let mut meters = meters();
        let texts = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1", "::ffff:192.0.2.1"];
        let admitted = texts.map(|text| meters.admit(text.parse().unwrap(), at(0)).is_ok());
        assert_eq!(admitted, [true, true, false, true, true]);
    }

    #[test]
    fn the_limit_for_all_holds_however_many_addresses_are_used() {
        let mut meters = Meters::new(Rate { per_second: 1, burst: 1 }, Rate { per_second: 1, burst: 3 });
        let admitted = (0..10).filter(|n| meters.admit(IpAddr::from([192, 0, 2, *n]), at(0)).is_ok()).count();
        assert_eq!(admitted, 3);
    }

    #[test]
    fn addresses_are_remembered_only_so_far() {
        let mut meters = Meters::new(Rate { per_second: 1, burst: 1 }, Rate { per_second: 1_000_000, burst: 1_000_000 });
        for n in 0..3 * ADDRESSES as u32 {
            meters.admit(IpAddr::from(n.to_be_bytes()), at(0)).unwrap();
        }
        assert!(meters.young.len() + meters.old.len() <= 2 * ADDRESSES);
    }
}
