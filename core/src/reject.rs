//! What a device did wrong, with numbers that never change.

use crate::id::Seq;
use crate::time::Millis;

/// The device's fault, or a limit that it met: the command changed nothing.
///
/// Each kind has a stable number on the wire ([`Reject::code`]); a number is never given to another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reject {
    /// The frame came before the session was open, or a second greeting came.
    OutOfTurn,
    /// No such device, or another secret: register again.
    BadToken,
    /// The token has run out: renew it, then send again what was refused.
    TokenExpired,
    /// The device was removed from its account.
    DeviceRemoved,
    /// No account has this id or phone number.
    UnknownUser,
    /// The user takes no part in that conversation.
    NotMember,
    /// A handle that this session was never given.
    UnknownHandle,
    /// The same message id was used before with another content.
    MessageIdReused,
    /// The content is too large, has too many bodies, or two for one device.
    BadContent,
    /// A position that the conversation has not reached: the server was restored, or the device is mistaken.
    BeyondHead {
        /// The last position that there is.
        head: Seq,
    },
    /// Too many at once: wait.
    TooMany {
        /// When to try again, from now.
        retry_after: Millis,
    },
    /// The account has its full number of devices: remove one.
    TooManyDevices,
    /// A list (contacts, blocked users, watches) is full.
    ListFull,
    /// The verification code is wrong.
    WrongCode,
    /// The verification code has run out, was used, or was guessed at too often: ask for another.
    CodeVoid,
    /// The store refuses work for the moment: keep what was refused, and send it again when the server says or after a delay.
    Unavailable,
    /// An earlier command of this session was refused for the moment, so this one must not overtake it: send both again, in order.
    Superseded,
    /// A stored value that this needs does not decode. It was reported; everything else goes on.
    Damaged,
    /// Something that makes no sense, such as a conversation with oneself.
    Nonsense,
    /// One of the two has blocked the other. Said openly, because a message that looks sent and never arrives would make the ticks a lie.
    NotAllowed,
    /// Only an admin of the group may do that.
    NotAdmin,
    /// The group would have more members than it may.
    GroupFull {
        /// The most that it may have.
        limit: u32,
    },
    /// The user whom the change is about is a member already, or stands in the request twice.
    AlreadyMember,
    /// The user whom the change is about is no member of the group.
    NoSuchMember,
    /// The group would be left without an admin.
    LastAdmin,
    /// There is a group of this name already.
    GroupExists,
    /// The message was made for other members or devices than the group has: ask for them, and send it again under the same id.
    StaleRoster {
        /// The group's roster epoch.
        epoch: u64,
    },
    /// The user is in as many groups as one may be.
    TooManyGroups,
}

impl Reject {
    /// The stable number on the wire.
    pub fn code(self) -> u32 {
        match self {
            Self::OutOfTurn => 1,
            Self::BadToken => 2,
            Self::TokenExpired => 3,
            Self::DeviceRemoved => 4,
            Self::UnknownUser => 5,
            Self::NotMember => 6,
            Self::UnknownHandle => 7,
            Self::MessageIdReused => 8,
            Self::BadContent => 9,
            Self::BeyondHead { .. } => 10,
            Self::TooMany { .. } => 11,
            Self::TooManyDevices => 12,
            Self::ListFull => 13,
            Self::WrongCode => 14,
            Self::CodeVoid => 15,
            Self::Unavailable => 16,
            Self::Superseded => 17,
            Self::Damaged => 18,
            Self::Nonsense => 19,
            Self::NotAllowed => 20,
            Self::NotAdmin => 21,
            Self::GroupFull { .. } => 22,
            Self::AlreadyMember => 23,
            Self::NoSuchMember => 24,
            Self::LastAdmin => 25,
            Self::GroupExists => 26,
            Self::StaleRoster { .. } => 27,
            Self::TooManyGroups => 28,
        }
    }

    /// The number that comes with some kinds on the wire: a position for [`Reject::BeyondHead`], milliseconds for [`Reject::TooMany`], members
    /// for [`Reject::GroupFull`], an epoch for [`Reject::StaleRoster`].
    pub fn detail(self) -> u64 {
        if let Self::BeyondHead { head } = self {
            head.0
        } else if let Self::TooMany { retry_after } = self {
            retry_after.0
        } else if let Self::GroupFull { limit } = self {
            limit.into()
        } else if let Self::StaleRoster { epoch } = self {
            epoch
        } else {
            0
        }
    }

    /// Reads a reject off the wire; `None` for a number that this version does not know.
    pub fn from_code(code: u32, detail: u64) -> Option<Self> {
        Some(match code {
            1 => Self::OutOfTurn,
            2 => Self::BadToken,
            3 => Self::TokenExpired,
            4 => Self::DeviceRemoved,
            5 => Self::UnknownUser,
            6 => Self::NotMember,
            7 => Self::UnknownHandle,
            8 => Self::MessageIdReused,
            9 => Self::BadContent,
            10 => Self::BeyondHead { head: Seq(detail) },
            11 => Self::TooMany { retry_after: Millis(detail) },
            12 => Self::TooManyDevices,
            13 => Self::ListFull,
            14 => Self::WrongCode,
            15 => Self::CodeVoid,
            16 => Self::Unavailable,
            17 => Self::Superseded,
            18 => Self::Damaged,
            19 => Self::Nonsense,
            20 => Self::NotAllowed,
            21 => Self::NotAdmin,
            22 => Self::GroupFull { limit: u32::try_from(detail).unwrap_or(u32::MAX) },
            23 => Self::AlreadyMember,
            24 => Self::NoSuchMember,
            25 => Self::LastAdmin,
            26 => Self::GroupExists,
            27 => Self::StaleRoster { epoch: detail },
            28 => Self::TooManyGroups,
            _ => return None,
        })
    }

    /// Whether the request can succeed later, so that the client keeps it and sends it again: the very same, or after [`Reject::StaleRoster`]
    /// the same message for another roster.
    pub fn is_for_now(self) -> bool {
        matches!(self, Self::TokenExpired | Self::TooMany { .. } | Self::Unavailable | Self::Superseded | Self::StaleRoster { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_read_back_as_the_reject_that_it_was() {
        let known: alloc::vec::Vec<_> = (0..64).filter_map(|code| Reject::from_code(code, 7)).collect();
        assert_eq!(known.len(), 28);
        for reject in known {
            assert_eq!(Reject::from_code(reject.code(), reject.detail()), Some(reject));
        }
    }
}
