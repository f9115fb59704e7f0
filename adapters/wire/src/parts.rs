//! What frames of both directions are made of.

use crate::error::{Problem, WireError};
use crate::generated as pb;
use crate::generated::entry::Sender as PbSender;
use doubletick_core::content::Body;
use doubletick_core::frame::{Delivery, Handle, Sender, Target};
use doubletick_core::id::{ConversationId, DeviceId, GroupId, MessageId, Phone, Seq, UserId};
use doubletick_core::limits;
use doubletick_core::time::Timestamp;

/// Reads one frame of either direction: its length is checked before anything else is.
pub(crate) fn frame<M: prost::Message + Default>(bytes: &[u8]) -> Result<M, WireError> {
    if bytes.len() > limits::FRAME_BYTES {
        return Err(WireError::new("frame", Problem::TooLong));
    }
    M::decode(bytes).map_err(|error| WireError::new("frame", Problem::Malformed(error)))
}

/// Writes one frame of either direction after what the buffer holds.
pub(crate) fn append<M: prost::Message>(frame: &M, out: &mut Vec<u8>) {
    frame.encode(out).expect("a Vec has room for every frame");
}

/// Checks the number of items against a limit.
pub(crate) fn at_most<T>(limit: usize, items: Vec<T>, field: &'static str) -> Result<Vec<T>, WireError> {
    if items.len() > limit { Err(WireError::new(field, Problem::TooMany)) } else { Ok(items) }
}

pub(crate) fn fixed<const N: usize>(bytes: &[u8], field: &'static str) -> Result<[u8; N], WireError> {
    let wrong = if bytes.is_empty() { Problem::Missing } else { Problem::Length };
    bytes.try_into().map_err(|_| WireError::new(field, wrong))
}

pub(crate) fn user(id: Option<u64>) -> Result<UserId, WireError> {
    id.map(UserId).ok_or(WireError::new("user", Problem::Missing))
}

/// A device's number. Zero is no device's, so a field that was left out is noticed.
pub(crate) fn serial(number: u32, field: &'static str) -> Result<u16, WireError> {
    match u16::try_from(number) {
        Ok(0) => Err(WireError::new(field, Problem::Missing)),
        Ok(serial) => Ok(serial),
        Err(_) => Err(WireError::new(field, Problem::Range)),
    }
}

pub(crate) fn device(user_id: Option<u64>, number: u32) -> Result<DeviceId, WireError> {
    Ok(DeviceId { user: user(user_id)?, serial: serial(number, "serial")? })
}

pub(crate) fn phone(text: &str) -> Result<Phone, WireError> {
    Phone::parse(text).ok_or(WireError::new("phone", Problem::Phone))
}

pub(crate) fn conversation(name: pb::Conversation) -> Result<ConversationId, WireError> {
    if let Some(group) = name.group {
        // Either form, never both.
        if name.low.is_some() || name.high.is_some() {
            return Err(WireError::new("group", Problem::Forbidden));
        }
        return Ok(ConversationId::Group(GroupId(fixed(&group, "group")?)));
    }
    let low = name.low.ok_or(WireError::new("low", Problem::Missing))?;
    let high = name.high.ok_or(WireError::new("high", Problem::Missing))?;
    let ordered = (low < high).then(|| ConversationId::direct(UserId(low), UserId(high))).flatten();
    ordered.ok_or(WireError::new("conversation", Problem::Pair))
}

pub(crate) fn conversation_name(conversation: ConversationId) -> pb::Conversation {
    match conversation {
        ConversationId::Direct(pair) => {
            let [low, high] = pair.users();
            pb::Conversation { low: Some(low.0), high: Some(high.0), group: None }
        }
        ConversationId::Group(GroupId(id)) => pb::Conversation { low: None, high: None, group: Some(id.to_vec()) },
    }
}

/// The two fields that name a conversation in most frames; `None` where both are absent.
pub(crate) fn target(handle: Option<u32>, name: Option<pb::Conversation>) -> Result<Option<Target>, WireError> {
    let id = name.map(conversation).transpose()?;
    Ok(match (handle.map(Handle), id) {
        (Some(handle), Some(id)) => Some(Target::Bind(handle, id)),
        (Some(handle), None) => Some(Target::Handle(handle)),
        (None, Some(id)) => Some(Target::Id(id)),
        (None, None) => None,
    })
}

pub(crate) fn required_target(handle: Option<u32>, name: Option<pb::Conversation>) -> Result<Target, WireError> {
    target(handle, name)?.ok_or(WireError::new("conversation", Problem::Missing))
}

pub(crate) fn target_fields(target: Target) -> (Option<u32>, Option<pb::Conversation>) {
    match target {
        Target::Handle(handle) => (Some(handle.0), None),
        Target::Id(id) => (None, Some(conversation_name(id))),
        Target::Bind(handle, id) => (Some(handle.0), Some(conversation_name(id))),
    }
}

/// Entries at `first` and the positions that follow it.
pub(crate) fn deliveries(first: u64, entries: Vec<pb::Entry>) -> Result<Vec<Delivery>, WireError> {
    let entries = at_most(limits::PAGE_ENTRIES as usize, entries, "entries")?;
    if !entries.is_empty() && first == 0 {
        return Err(WireError::new("seq", Problem::Missing));
    }
    let past_the_end = || WireError::new("seq", Problem::Range);
    entries.into_iter().zip(0u64..).map(|(entry, step)| delivery(first.checked_add(step).ok_or_else(past_the_end)?, entry)).collect()
}

fn delivery(seq: u64, entry: pb::Entry) -> Result<Delivery, WireError> {
    let from = match entry.sender {
        Some(PbSender::Peer(number)) => Sender::Peer(sender_serial(number, "peer")?),
        Some(PbSender::Own(number)) => Sender::Own(sender_serial(number, "own")?),
        Some(PbSender::Member(it)) => Sender::Member(device(it.user, it.serial)?),
        None => return Err(WireError::new("sender", Problem::Missing)),
    };
    let id = MessageId(fixed(&entry.id, "id")?);
    let body = entry.body.map(|bytes| Body { kind: entry.kind, bytes: bytes.into() });
    Ok(Delivery { seq: Seq(seq), from, id, at: Timestamp::from_millis(entry.at), body })
}

/// The serial of an entry's sender. Zero stands for the sender of an entry whose stored value was damaged: nobody knows who it was.
fn sender_serial(number: u32, field: &'static str) -> Result<u16, WireError> {
    u16::try_from(number).map_err(|_| WireError::new(field, Problem::Range))
}

/// The position of the first delivery, or zero, and the entries.
///
/// # Panics
/// If the positions have a gap: only the first is written, so every later message would be taken for another.
pub(crate) fn entries(deliveries: &[Delivery]) -> (u64, Vec<pb::Entry>) {
    let unbroken = deliveries.windows(2).all(|two| two[0].seq.next() == two[1].seq);
    assert!(unbroken, "a run of deliveries has a gap");
    (deliveries.first().map_or(0, |first| first.seq.0), deliveries.iter().map(entry).collect())
}

fn entry(delivery: &Delivery) -> pb::Entry {
    let sender = match delivery.from {
        Sender::Peer(serial) => PbSender::Peer(serial.into()),
        Sender::Own(serial) => PbSender::Own(serial.into()),
        Sender::Member(device) => PbSender::Member(pb::MemberDevice { user: Some(device.user.0), serial: device.serial.into() }),
    };
    pb::Entry {
        sender: Some(sender),
        id: delivery.id.0.to_vec(),
        at: delivery.at.millis(),
        kind: delivery.body.as_ref().map_or(0, |body| body.kind),
        body: delivery.body.as_ref().map(|body| body.bytes.to_vec()),
    }
}
