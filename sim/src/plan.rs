//! What is left of a seed: all that it draws, or only some of its faults, acts and devices.
//!
//! Draws are keyed, so a fault has a name: its kind, whom it befalls and the how-manieth occasion it is. A run that is given a set of
//! names has those faults, if their occasions come, and no others: nothing is drawn anew.

use crate::draw::Who;
use crate::fault::FaultKind;
use core::fmt;
use core::str::FromStr;
use std::collections::BTreeSet;

/// One occasion at which a fault happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultId {
    /// What went wrong.
    pub kind: FaultKind,
    /// Whom it befell.
    pub who: Who,
    /// The how-manieth occasion of theirs it was.
    pub counter: u64,
}

/// One thing that somebody did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ActId {
    /// With which device.
    pub device: u32,
    /// The how-manieth thing done with it.
    pub nth: u64,
}

/// What is left of a seed. [`Plan::default`] leaves everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Only these faults happen.
    pub faults: Option<BTreeSet<FaultId>>,
    /// Only these things are done.
    pub acts: Option<BTreeSet<ActId>>,
    /// Only these devices are ever registered.
    pub devices: Option<BTreeSet<u32>>,
}

impl Plan {
    /// Whether it leaves everything.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::World => f.write_str("world"),
            Self::Slot(n) => write!(f, "slot-{n}"),
            Self::Host(n) => write!(f, "gateway-{n}"),
            Self::Device(n) => write!(f, "device-{n}"),
            Self::User(n) => write!(f, "user-{n}"),
        }
    }
}

impl FromStr for Who {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "world" {
            return Ok(Self::World);
        }
        let (what, number) = text.split_once('-').ok_or(())?;
        let number = number.parse().map_err(|_| ())?;
        match what {
            "slot" => Ok(Self::Slot(number)),
            "gateway" => Ok(Self::Host(number)),
            "device" => Ok(Self::Device(number)),
            "user" => Ok(Self::User(number)),
            _ => Err(()),
        }
    }
}

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.kind, self.who, self.counter)
    }
}

impl FromStr for FaultId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let [kind, who, counter] = text.split(' ').collect::<Vec<_>>()[..] else { return Err(()) };
        let kind = FaultKind::ALL.into_iter().find(|known| known.name() == kind).ok_or(())?;
        Ok(Self { kind, who: who.parse()?, counter: counter.parse().map_err(|_| ())? })
    }
}

impl fmt::Display for ActId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", Who::Device(self.device), self.nth)
    }
}

impl FromStr for ActId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (who, nth) = text.split_once(' ').ok_or(())?;
        let Who::Device(device) = who.parse()? else { return Err(()) };
        Ok(Self { device, nth: nth.parse().map_err(|_| ())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_faults_and_acts_are_read_as_they_are_written() {
        for who in [Who::World, Who::Slot(0), Who::Host(7), Who::Device(12), Who::User(1)] {
            for kind in FaultKind::ALL {
                let id = FaultId { kind, who, counter: u64::MAX };
                assert_eq!(id.to_string().parse(), Ok(id));
            }
        }
        let act = ActId { device: 3, nth: 9 };
        assert_eq!(act.to_string().parse(), Ok(act));
        for text in [
            "",
            "conflict",
            "conflict gateway-1",
            "conflict gateway-x 1",
            "conflikt gateway-1 1",
            "conflict gateway-1 1 1",
            "conflict host 1",
        ] {
            assert_eq!(text.parse::<FaultId>(), Err(()), "{text}");
        }
        assert_eq!("gateway-1 2".parse::<ActId>(), Err(()));
    }
}
