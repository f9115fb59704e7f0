//! Names of users, devices, conversations and messages.
//!
//! Every type here is a value that is right once it exists: what cannot be a user or a phone number cannot be constructed.

use core::fmt;
use core::str::FromStr;
use rkyv::{Archive, Deserialize, Serialize};

/// A person with an account. Sixty-four random bits, chosen at registration, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Archive, Serialize, Deserialize)]
pub struct UserId(pub u64);

/// One of a user's devices: the address of everything that is delivered.
///
/// `serial` counts the devices a user ever linked, from 1, and is never reused, so that a cursor can never be mistaken for another device's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Archive, Serialize, Deserialize)]
pub struct DeviceId {
    /// The owner.
    pub user: UserId,
    /// The device's number within the account.
    pub serial: u16,
}

/// A conversation: one log with one order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Archive, Serialize, Deserialize)]
pub enum ConversationId {
    /// Two people. Derived from both ids, so it needs no creation and cannot be created twice.
    Direct(Pair),
    /// A group.
    Group(GroupId),
}

/// A group: sixteen bytes that its creator's client makes, as it makes those of a [`MessageId`]. Never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Archive, Serialize, Deserialize)]
pub struct GroupId(pub [u8; 16]);

impl GroupId {
    /// Whether it is the UUIDv7 of a moment before the year 6400: of no other name can a group be created, so that whoever stores names can tell
    /// those of groups from pairs of users.
    pub fn is_well_formed(self) -> bool {
        self.0[0] < 0x80 && self.0[6] >> 4 == 7 && self.0[8] >> 6 == 2
    }
}

/// Two different users, the lower id first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Archive, Serialize, Deserialize)]
pub struct Pair {
    low: UserId,
    high: UserId,
}

/// Which of the two people of a direct conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The user with the lower id.
    Low,
    /// The user with the higher id.
    High,
}

impl ConversationId {
    /// The conversation of two users, whichever of them asks; `None` for a user with themselves.
    pub fn direct(one: UserId, other: UserId) -> Option<Self> {
        if one == other {
            return None;
        }
        Some(Self::Direct(Pair { low: one.min(other), high: one.max(other) }))
    }

    /// The two people of a direct conversation; `None` for a group.
    pub fn pair(self) -> Option<Pair> {
        match self {
            Self::Direct(pair) => Some(pair),
            Self::Group(_) => None,
        }
    }

    /// The person with whom `user` talks in a direct conversation; `None` for somebody else, and for a group.
    pub fn peer(self, user: UserId) -> Option<UserId> {
        self.pair().and_then(|pair| pair.peer(user))
    }

    /// Whether a user may take part in it as far as its name tells: a direct conversation names its two people, a group nobody.
    pub fn may_include(self, user: UserId) -> bool {
        self.pair().is_none_or(|pair| pair.side(user).is_some())
    }
}

impl Pair {
    /// The two users, the lower id first.
    pub fn users(self) -> [UserId; 2] {
        [self.low, self.high]
    }

    /// The user on one side.
    pub fn user(self, side: Side) -> UserId {
        match side {
            Side::Low => self.low,
            Side::High => self.high,
        }
    }

    /// The side on which a user stands; `None` for somebody else.
    pub fn side(self, user: UserId) -> Option<Side> {
        if user == self.low {
            Some(Side::Low)
        } else if user == self.high {
            Some(Side::High)
        } else {
            None
        }
    }

    /// The person with whom `user` talks here; `None` for somebody else.
    pub fn peer(self, user: UserId) -> Option<UserId> {
        self.side(user).map(|side| self.user(side.other()))
    }
}

impl Side {
    /// The opposite side.
    pub fn other(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }
}

/// A message's name, made by the client that sends it (a UUIDv7, RFC 9562 §5.7).
///
/// Conversation, sender and message id together are the key by which a retry is recognised.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Archive, Serialize, Deserialize)]
pub struct MessageId(pub [u8; 16]);

impl MessageId {
    /// The UUIDv7 of a moment: 48 bits of milliseconds, then version, variant and 74 of the random bits.
    pub fn new(at: crate::time::Timestamp, random: [u8; 10]) -> Self {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&at.millis().to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&random);
        bytes[6] = 0x70 | (bytes[6] & 0x0f);
        bytes[8] = 0x80 | (bytes[8] & 0x3f);
        Self(bytes)
    }
}

/// A position in a conversation: 1, 2, 3 … with no gaps. Zero stands before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Archive, Serialize, Deserialize)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first position.
    pub const START: Self = Self(0);

    /// The position that follows.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// One incarnation of one gateway shard: sixty-four random bits, drawn at each start, never reused.
///
/// A shard that starts again is another gateway, so whatever an older incarnation still does is recognised by its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Archive, Serialize, Deserialize)]
pub struct GatewayId(pub u64);

/// The how-manieth session of a device. A newer session ends the older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Archive, Serialize, Deserialize)]
pub struct SessionEpoch(pub u64);

/// A phone number as ITU-T E.164 writes it: a plus sign and 7 to 15 digits, the first not zero.
///
/// Kept in place, because a device may ask for many at a time.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Phone {
    // ASCII, and zeros after it: they come before any digit, so that the order is that of the numbers as text.
    text: [u8; Self::MAX_LEN],
    len: u8,
}

impl Phone {
    /// The most characters that a phone number has, with its plus sign.
    pub const MAX_LEN: usize = 16;

    /// Reads a phone number. Spaces, hyphens and parentheses between digits are passed over; `None` for what is no E.164 number.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 2 * Self::MAX_LEN {
            return None;
        }
        let mut phone = Self { text: [0; Self::MAX_LEN], len: 0 };
        for (place, byte) in text.trim().bytes().enumerate() {
            match byte {
                b'+' if place > 0 => return None,
                b'+' | b'0'..=b'9' => {
                    *phone.text.get_mut(usize::from(phone.len))? = byte;
                    phone.len += 1;
                }
                b' ' | b'-' | b'(' | b')' => {}
                _ => return None,
            }
        }
        let well_formed = phone.len >= 8 && phone.text[0] == b'+' && phone.text[1] != b'0';
        well_formed.then_some(phone)
    }

    /// The number with its plus sign and no separators.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.text[..usize::from(self.len)]).expect("a plus sign and digits")
    }
}

/// Thirty-two secret bytes that authenticate a device. The server stores only their digest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

impl Secret {
    /// What the server stores in place of the secret.
    pub fn digest(&self) -> Digest {
        Digest(blake3::derive_key("doubletick 2026 device token", &self.0))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A blake3 digest: of a body, of a secret, or a link of the log's chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Archive, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The link before a log's first entry.
    pub const START: Self = Self([0; 32]);
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.user, self.serial)
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(pair) => write!(f, "{}-{}", pair.low, pair.high),
            Self::Group(group) => write!(f, "group-{group}"),
        }
    }
}

/// As it is displayed; a group's also without the word before it.
impl FromStr for ConversationId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let user = |text: &str| u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16).map(UserId);
        let direct = text.split_once('-').and_then(|(one, other)| Self::direct(user(one)?, user(other)?));
        let digits = text.strip_prefix("group-").unwrap_or(text);
        let group =
            || u128::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 32).map(|id| Self::Group(GroupId(id.to_be_bytes())));
        direct.or_else(group).ok_or(())
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserId({self})")
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceId({self})")
    }
}

impl fmt::Debug for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConversationId({self})")
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Phone({})", self.as_str())
    }
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0[..8], f)
    }
}

impl fmt::Display for GatewayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for GatewayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GatewayId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direct_conversation_is_the_same_whoever_asks() {
        let (a, b) = (UserId(7), UserId(3));
        assert_eq!(ConversationId::direct(a, b), ConversationId::direct(b, a));
        assert_eq!(ConversationId::direct(a, a), None);
        let pair = ConversationId::direct(a, b).unwrap().pair().unwrap();
        assert_eq!(pair.peer(a), Some(b));
        assert_eq!(pair.peer(UserId(9)), None);
    }

    #[test]
    fn only_e164_numbers_are_phone_numbers() {
        for (text, read) in [
            ("+4915112345678", Some("+4915112345678")),
            (" +1 (555) 010-9999 ", Some("+15550109999")),
            ("4915112345678", None),
            ("+0123456789", None),
            ("+123456", None),
            ("+1234567890123456", None),
            ("+12345678x", None),
            ("", None),
        ] {
            assert_eq!(Phone::parse(text).as_ref().map(Phone::as_str), read, "{text:?}");
        }
    }

    #[test]
    fn a_message_id_is_a_uuid_version_7() {
        let id = MessageId::new(crate::time::Timestamp::from_millis(0x0123_4567_89ab), [0xff; 10]);
        assert_eq!(alloc::format!("{id}"), "0123456789ab7fffbfffffffffffffff");
    }

    #[test]
    fn a_secret_never_shows_in_a_log() {
        assert_eq!(alloc::format!("{:?}", Secret([9; 32])), "Secret(…)");
    }

    #[test]
    fn a_conversation_is_read_as_it_is_displayed() {
        let direct = ConversationId::direct(UserId(0xabc), UserId(7)).expect("they differ");
        let group = ConversationId::Group(GroupId([0xf0; 16]));
        for conversation in [direct, group] {
            assert_eq!(alloc::format!("{conversation}").parse(), Ok(conversation));
        }
        assert_eq!("f0".repeat(16).parse(), Ok(group));
        for text in ["", "group-", "group-f0", "7-abc", "0000000000000007-0000000000000007", "0000000000000007-0000000000000abc "] {
            assert_eq!(text.parse::<ConversationId>(), Err(()), "{text}");
        }
    }
}
