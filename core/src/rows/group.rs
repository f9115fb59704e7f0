//! The stored values of groups, first schema. Frozen, as those of [`super::v1`] are.

use super::envelope::{self, Damage, Row};
use super::v1::{Receipt, row};
use crate::change::Settings;
use crate::id::{Seq, UserId};
use crate::time::Timestamp;
use alloc::string::String;
use alloc::vec::Vec;
use rkyv::{Archive, Deserialize, Serialize};

row!(17, Group);
row!(18, Member);
row!(19, PastMember);
row!(20, FanOut);
row!(21, Reached);

/// A group as it is.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Group {
    /// What it is called.
    pub name: String,
    /// What the clients know its picture by; empty for none.
    pub avatar: Vec<u8>,
    /// Who may do what.
    pub settings: Settings,
    /// How many members it has.
    pub members: u32,
    /// How many of them are admins. At least one, unless it has no members.
    pub admins: u32,
    /// Raised whenever somebody becomes a member or ceases to be one, and whenever a member's devices change.
    pub epoch: u64,
}

/// A member of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Member {
    /// Whether they are an admin.
    pub admin: bool,
    /// The position at which they became a member: the first that they see.
    pub joined: Seq,
    /// When that was.
    pub since: Timestamp,
}

/// The times for which somebody was a member before, and whose log they may not have in full yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct PastMember {
    /// In their order, none touching another. At most [`crate::limits::SPANS_PER_MEMBER`].
    pub spans: Vec<Span>,
}

/// One time for which somebody was a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Span {
    /// The position at which they became a member: the first that they see.
    pub joined: Seq,
    /// The position at which they ceased to be one: the last that they see.
    pub left: Seq,
    /// The device epoch of their account then: a device that was linked later has nothing to do with that time.
    pub device_epoch: u32,
}

/// How far a job has got that marks the devices of a large group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct FanOut {
    /// Devices are marked as behind up to here.
    pub upto: Seq,
    /// The last member whose devices are marked.
    pub after: UserId,
}

/// How far the members of a group have got, as it was last summed up: each of two watermarks may be behind the truth, and is never ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Reached {
    /// On a device of theirs.
    pub delivered: Lowest,
    /// Shown to them.
    pub read: Lowest,
}

/// The lowest of the members' watermarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Lowest {
    /// All members have got at least so far.
    pub all: Seq,
    /// The one who holds the others up.
    pub behind: UserId,
    /// All but that one have got at least so far. Never less than `all`.
    pub others: Seq,
}

impl Reached {
    /// How far everybody but one has got.
    pub fn of_others(&self, user: UserId) -> Receipt {
        let delivered = self.delivered.of_others(user);
        Receipt { delivered, read: self.read.of_others(user).min(delivered) }
    }

    /// This, unless an earlier sum says more.
    #[must_use]
    pub fn beyond(self, before: Self) -> Self {
        Self { delivered: self.delivered.beyond(before.delivered), read: self.read.beyond(before.read) }
    }
}

impl Default for Lowest {
    fn default() -> Self {
        Self { all: Seq::START, behind: UserId(0), others: Seq::START }
    }
}

impl Lowest {
    /// How far everybody but one has got.
    pub fn of_others(&self, user: UserId) -> Seq {
        if user == self.behind { self.others } else { self.all }
    }

    fn beyond(self, before: Self) -> Self {
        if self.all >= before.all && self.others >= before.others { self } else { before }
    }
}
