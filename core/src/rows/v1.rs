//! The first schema of the stored values. Frozen: a change of any of these is a new schema beside it, with a conversion from this one.

use super::envelope::{self, Damage, Row};
use super::shared::AsBytes;
use crate::content::{Body, Content, ContentError, Entry, Parts, TRIMMED};
use crate::frame::{Presence, Privacy};
use crate::id::{DeviceId, Digest, GatewayId, MessageId, Seq, SessionEpoch, Side, UserId};
use crate::time::Timestamp;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use rkyv::{Archive, Deserialize, Serialize};

/// Gives a type its place in the envelope. A kind's number is never given to another.
///
/// A value of which the archived type does not say all says how many bytes it has besides, or a few more.
macro_rules! row {
    ($kind:literal, $row:ty) => {
        row!($kind, $row, |_| 0);
    };
    ($kind:literal, $row:ty, $besides:expr) => {
        impl Row for $row {
            fn encode(&self) -> Vec<u8> {
                let besides: fn(&Self) -> usize = $besides;
                let room = size_of::<rkyv::Archived<Self>>() + besides(self);
                rkyv::api::high::to_bytes_in::<_, rkyv::rancor::Error>(self, envelope::header(1, $kind, room))
                    .expect("writing into a vector cannot fail")
            }

            fn decode(bytes: &[u8]) -> Result<Self, Damage> {
                match envelope::open($kind, bytes)? {
                    (1, archive) => rkyv::from_bytes::<Self, rkyv::rancor::Error>(archive).map_err(|_| Damage::Archive),
                    (schema, _) => Err(Damage::Schema(schema)),
                }
            }
        }
    };
}
pub(super) use row;

row!(1, Head);
row!(2, LogEntry, |entry| entry.content.size());
row!(3, Index);
row!(4, Receipt);
row!(5, Account, |account| 64 + 32 * account.devices.len());
row!(6, ChatRow);
row!(7, Listed);
row!(8, Device);
row!(9, Cursor);
row!(10, PhoneRow);
row!(11, Verification);
row!(12, Session);
row!(13, SessionOf);
row!(14, StoredWake, |wake| if let StoredWake::Dirty(_, Some(entry)) = wake { entry.size() } else { 0 });
row!(15, Lease);
row!(16, Watcher);

/// Messages of each side of a direct conversation up to some position: low, high. Of a group: messages, changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Tally(pub [u64; 2]);

impl Tally {
    /// Messages of one side.
    pub fn of(self, side: Side) -> u64 {
        self.0[side as usize]
    }

    /// With one message more of one side.
    #[must_use]
    pub fn with(mut self, side: Side) -> Self {
        self.0[side as usize] += 1;
        self
    }
}

/// The end of a conversation's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Head {
    /// The last position.
    pub seq: Seq,
    /// The chain's link at that position.
    pub chain: Digest,
    /// When that entry was accepted.
    pub at: Timestamp,
    /// Messages of each side.
    pub tally: Tally,
    /// The last position of each side: low, high. Of a group: of a message, of a change.
    pub last_of: [Seq; 2],
    /// The devices of each side that were linked at that position, as [`Account::device_epoch`]: low, high. Of a group: zero.
    pub device_epochs: [u32; 2],
}

impl Head {
    /// Of a conversation in which nothing was said yet.
    pub const EMPTY: Self = Self {
        seq: Seq::START,
        chain: Digest::START,
        at: Timestamp::from_millis(0),
        tally: Tally([0; 2]),
        last_of: [Seq::START; 2],
        device_epochs: [0; 2],
    };
}

/// One entry of a conversation's log.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct LogEntry {
    /// The sending device.
    pub sender: DeviceId,
    /// The sender's name for it.
    pub id: MessageId,
    /// When it was accepted.
    pub at: Timestamp,
    /// The chain's link: over the previous link, the position and everything else here; see [`crate::chain`].
    pub chain: Digest,
    /// Messages of each side up to and with this one.
    pub tally: Tally,
    /// What it carries.
    pub content: StoredContent,
}

/// A [`Content`] at rest.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum StoredContent {
    /// One body for every device.
    Shared(StoredBody),
    /// A body of its own for each device.
    PerDevice(Vec<(DeviceId, StoredBody)>),
}

/// A [`Body`] at rest.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct StoredBody {
    /// See [`Body::kind`].
    pub kind: u32,
    /// See [`Body::bytes`].
    #[rkyv(with = AsBytes)]
    pub bytes: Arc<[u8]>,
}

impl From<&Body> for StoredBody {
    fn from(body: &Body) -> Self {
        Self { kind: body.kind, bytes: Arc::clone(&body.bytes) }
    }
}

impl From<StoredBody> for Body {
    fn from(body: StoredBody) -> Self {
        Self { kind: body.kind, bytes: body.bytes }
    }
}

impl From<&Content> for StoredContent {
    fn from(content: &Content) -> Self {
        match content.parts() {
            Parts::Shared(body) => Self::Shared(body.into()),
            Parts::PerDevice(bodies) => Self::PerDevice(bodies.iter().map(|(to, body)| (*to, body.into())).collect()),
        }
    }
}

impl StoredContent {
    /// Bytes that it takes beyond those of its type, or a few more.
    fn size(&self) -> usize {
        match self {
            Self::Shared(body) => body.bytes.len(),
            Self::PerDevice(bodies) => bodies.iter().map(|(_, body)| 32 + body.bytes.len()).sum(),
        }
    }

    /// What is left of a content that is not kept any more: what tells it from every other, so that the log can still be proved.
    pub fn trimmed(digest: &Digest) -> Self {
        Self::Shared(StoredBody { kind: TRIMMED, bytes: digest.0.into() })
    }

    /// Whether it is [`Self::trimmed`].
    pub fn is_trimmed(&self) -> bool {
        matches!(self, Self::Shared(StoredBody { kind: TRIMMED, .. }))
    }

    /// The digest of the content that it is, or was.
    ///
    /// # Errors
    /// If it is none that could have been sent.
    pub fn digest(self) -> Result<Digest, ContentError> {
        let parts = match self {
            Self::Shared(StoredBody { kind: TRIMMED, bytes }) => {
                return bytes[..].try_into().map(Digest).map_err(|_| ContentError::Trimmed);
            }
            Self::Shared(body) => Parts::Shared(body.into()),
            Self::PerDevice(bodies) => Parts::PerDevice(bodies.into_iter().map(|(to, body)| (to, Body::from(body))).collect()),
        };
        Content::new(parts).map(|content| content.digest())
    }

    /// The body that is for this device.
    pub fn body_for(&self, device: DeviceId) -> Option<&StoredBody> {
        match self {
            Self::Shared(body) => Some(body),
            Self::PerDevice(bodies) => bodies.iter().find(|(to, _)| *to == device).map(|(_, body)| body),
        }
    }
}

impl LogEntry {
    /// Reads the entry at a position as one device gets it, without what is for the others.
    ///
    /// # Errors
    /// As [`Row::decode`].
    pub fn read_for(bytes: &[u8], seq: Seq, device: DeviceId) -> Result<Entry, Damage> {
        let entry = Self::access(bytes)?;
        let body = match &entry.content {
            ArchivedStoredContent::Shared(body) => Some(body),
            ArchivedStoredContent::PerDevice(bodies) => bodies.iter().find(|own| read(&own.0) == device).map(|own| &own.1),
        };
        let body = body.map(|body| match body.kind.to_native() {
            TRIMMED => Body { kind: TRIMMED, bytes: [].into() },
            kind => Body { kind, bytes: body.bytes.as_slice().into() },
        });
        Ok(Entry { seq, sender: read(&entry.sender), id: read(&entry.id), at: read(&entry.at), body })
    }

    /// Reads who sent the entry, and under which name, without what it carries.
    ///
    /// # Errors
    /// As [`Row::decode`].
    pub fn read_name(bytes: &[u8]) -> Result<(DeviceId, MessageId), Damage> {
        let entry = Self::access(bytes)?;
        Ok((read(&entry.sender), read(&entry.id)))
    }

    fn access(bytes: &[u8]) -> Result<&ArchivedLogEntry, Damage> {
        match envelope::open(2, bytes)? {
            (1, archive) => rkyv::access::<ArchivedLogEntry, rkyv::rancor::Error>(archive).map_err(|_| Damage::Archive),
            (schema, _) => Err(Damage::Schema(schema)),
        }
    }
}

/// Where a message stands, so that a retry hears its first answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Index {
    /// Its position.
    pub seq: Seq,
    /// When it was accepted.
    pub at: Timestamp,
    /// Of its content.
    pub digest: Digest,
}

/// How far a user has got in a conversation. Always `read <= delivered`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Receipt {
    /// Everything up to here is on a device of theirs.
    pub delivered: Seq,
    /// Everything up to here was shown to them.
    pub read: Seq,
}

/// A user's account.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Account {
    /// In E.164; unique.
    pub phone: String,
    /// At most [`crate::limits::DEVICES_PER_USER`], in the order of their serials.
    pub devices: Vec<LinkedDevice>,
    /// The serial of the next device.
    pub next_serial: u16,
    /// Raised whenever a device is linked.
    pub device_epoch: u32,
    /// Who may see the user's presence.
    pub privacy: Privacy,
}

/// A device in its user's account.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct LinkedDevice {
    /// Its number.
    pub serial: u16,
    /// The account's device epoch from which on it is linked: it gets what is sent to conversations from then on.
    pub epoch: u32,
    /// The owner's name for it.
    pub name: String,
}

/// A conversation on a user's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct ChatRow {
    /// Since when.
    pub since: Timestamp,
}

/// A user on another's contact or block list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Listed {
    /// Since when.
    pub since: Timestamp,
}

/// How a device proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Device {
    /// The digest of its secret.
    pub secret: Digest,
    /// When that secret runs out.
    pub expires: Timestamp,
    /// The digest of the last secret that has opened a session, and when it runs out, while a newer one has not: the answer to an exchange may
    /// be lost.
    pub previous: Option<(Digest, Timestamp)>,
}

/// A device's contiguous position in a conversation, as it has acknowledged it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Cursor {
    /// Everything up to here is on the device.
    pub upto: Seq,
}

/// Whose a phone number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct PhoneRow {
    /// The account.
    pub user: UserId,
}

/// A phone number that is being verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Verification {
    /// The digest of the code, `None` once it is void.
    pub code: Option<Digest>,
    /// When the code runs out.
    pub expires: Timestamp,
    /// Wrong answers so far.
    pub wrong: u8,
    /// When the first code of the present window was asked for.
    pub window: Timestamp,
    /// Codes asked for in the present window.
    pub asked: u8,
}

/// Where a device is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Session {
    /// To which gateway.
    pub gateway: GatewayId,
    /// Which of the gateway's connections it is.
    pub epoch: SessionEpoch,
    /// Which run of the client program it is: later ones have greater numbers.
    pub run: u64,
}

/// A session in the list of its gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct SessionOf {
    /// See [`Session::epoch`].
    pub epoch: SessionEpoch,
}

/// A gateway's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Lease {
    /// How often it was renewed.
    pub renewals: u64,
    /// Whether its sessions are being ended. From then on it is not renewed.
    pub lost: bool,
}

/// A session that watches a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Watcher {
    /// The session's gateway.
    pub gateway: GatewayId,
}

/// What a wake-up says beyond its key.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum StoredWake {
    /// A conversation is ahead of the device up to this position, with the entry there if it is small.
    Dirty(Seq, Option<StoredEntry>),
    /// The other side's watermarks: delivered, read.
    Receipt(Seq, Seq),
    /// Whether the other side is typing.
    Typing(bool),
    /// What the watcher may see of the user.
    Presence(StoredPresence),
    /// The session that has ended, and whether the newer one is of the same run of the client program.
    Replaced(SessionEpoch, bool),
    /// The device was removed.
    Removed,
}

/// A [`Presence`] at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum StoredPresence {
    /// See [`Presence::Hidden`].
    Hidden,
    /// See [`Presence::Online`].
    Online,
    /// See [`Presence::Offline`].
    Offline(Option<Timestamp>),
}

impl From<Presence> for StoredPresence {
    fn from(presence: Presence) -> Self {
        match presence {
            Presence::Hidden => Self::Hidden,
            Presence::Online => Self::Online,
            Presence::Offline { last_seen } => Self::Offline(last_seen),
        }
    }
}

impl From<StoredPresence> for Presence {
    fn from(presence: StoredPresence) -> Self {
        match presence {
            StoredPresence::Hidden => Self::Hidden,
            StoredPresence::Online => Self::Online,
            StoredPresence::Offline(last_seen) => Self::Offline { last_seen },
        }
    }
}

/// What an archived value of a fixed size is.
fn read<T>(archived: &impl Deserialize<T, rkyv::rancor::Strategy<(), rkyv::rancor::Infallible>>) -> T {
    let Ok(value) = archived.deserialize(rkyv::rancor::Strategy::wrap(&mut ()));
    value
}

/// An [`Entry`] that rides along with a wake-up.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct StoredEntry {
    sender: DeviceId,
    id: MessageId,
    at: Timestamp,
    body: Option<StoredBody>,
}

impl StoredEntry {
    fn size(&self) -> usize {
        self.body.as_ref().map_or(0, |body| body.bytes.len())
    }

    /// What the log holds at a position, as one device gets it; `None` if it is too large to ride along.
    pub fn of(entry: &LogEntry, device: DeviceId) -> Option<Self> {
        let body = entry.content.body_for(device);
        let small = body.is_none_or(|body| body.bytes.len() <= crate::limits::WAKE_ENTRY_BYTES);
        small.then(|| Self { sender: entry.sender, id: entry.id, at: entry.at, body: body.cloned() })
    }

    /// The entry at this position.
    pub fn at(self, seq: Seq) -> Entry {
        Entry { seq, sender: self.sender, id: self.id, at: self.at, body: self.body.map(Body::from) }
    }
}

/// A row that only [`crate::store::Write::Max`] and [`crate::store::Write::Add`] write: eight bytes little-endian, without an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter(pub u64);

impl Row for Counter {
    fn encode(&self) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        crate::store::counter(bytes).map(Self).ok_or(Damage::Archive)
    }
}
