//! What is kept of what was said. A content that need not be kept any more is trimmed: its entry stays, with its sender, its time and the
//! digest of what it carried, so that positions have no gaps, a log can be proved for ever, and a retry is still known. Whoever asks for
//! it gets a body of the kind [`TRIMMED`](crate::content::TRIMMED). Changes of groups are never trimmed: they say who may see what.
//!
//! When that is, is the gateways' to say; see [`Retention`](crate::gateway::Retention). Every step here is safe to do twice.

use super::{Decision, devices_of};
use crate::change;
use crate::command::Reply;
use crate::event::Event;
use crate::id::{ConversationId, DeviceId, Pair, Seq, Side, UserId};
use crate::limits;
use crate::rows::{self, Counter, Head, LogEntry, Member, PastMember, Place, Row as _, StoredContent};
use crate::store::Key;
use crate::time::Timestamp;
use crate::view::{Stop, View};
use alloc::vec;
use alloc::vec::Vec;

/// The next conversations of which more was said than is trimmed.
pub(super) fn find(view: &mut View, after: Option<ConversationId>) -> Result<Decision, Stop> {
    let (mut last, mut passed) = (None, after);
    let mut seen = vec![];
    for _ in 0..limits::CONVERSATIONS_LOOKED_AT {
        let from = passed.map(rows::conversation_end);
        // All that stands here belongs to some conversation, but for what no version of the row table has written.
        let next = view.scan_stored(&rows::conversations(from, 1), |key, _| rows::conversation_of(&key))?;
        let Some(Some(conversation)) = next.first() else { break };
        seen.push(*conversation);
        (last, passed) = (Some(*conversation), Some(*conversation));
    }
    view.need(&seen.iter().flat_map(|seen| [rows::head(*seen).key, rows::trimmed(*seen).key]).collect::<Vec<Key>>())?;
    let mut conversations = vec![];
    for conversation in seen {
        let head = view.find(&rows::head(conversation))?.unwrap_or(Head::EMPTY);
        if head.seq > trimmed(view, conversation)? {
            conversations.push(conversation);
        }
    }
    Ok(Decision::reply(Reply::Untrimmed { conversations, last }))
}

/// Where trimming has got to. Where that is damaged it begins again: what is trimmed already stays as it is.
fn trimmed(view: &mut View, conversation: ConversationId) -> Result<Seq, Stop> {
    Ok(view.find(&rows::trimmed(conversation))?.map_or(Seq::START, |Counter(upto)| Seq(upto)))
}

/// Up to where all devices have what is for them, of those users that this part of the rows is about. It only ever grows, so of several parts
/// the least holds, however long ago each was read.
pub(super) fn ask_delivered(view: &mut View, conversation: ConversationId, after: Option<Key>) -> Result<Decision, Stop> {
    let (upto, after) = match conversation {
        ConversationId::Direct(pair) => (delivered_to_both(view, conversation, pair)?, None),
        ConversationId::Group(_) => delivered_to_members(view, conversation, after)?,
    };
    Ok(Decision::reply(Reply::Delivered { upto, after }))
}

fn delivered_to_both(view: &mut View, conversation: ConversationId, pair: Pair) -> Result<Seq, Stop> {
    let head = rows::head(conversation);
    let accounts = pair.users().map(|user| rows::account(user).key);
    view.need(&[accounts[0], accounts[1], head.key])?;
    let head = view.find(&head)?.unwrap_or(Head::EMPTY);
    need_positions(view, conversation, &pair.users())?;
    let mut least = head.seq;
    for side in [Side::Low, Side::High] {
        let known = head.device_epochs[side as usize];
        let delivered = delivered_to(view, conversation, pair.user(side), &[Owed::from(Seq::START)], known)?;
        if !planted!(TrimmedAfterOneSide if side == Side::High && delivered < least) {
            least = least.min(delivered);
        }
    }
    Ok(least)
}

/// Of some rows of members: the present ones first, then those who were members before and may not have all of that yet.
fn delivered_to_members(view: &mut View, conversation: ConversationId, after: Option<Key>) -> Result<(Seq, Option<Key>), Stop> {
    let scan = rows::all_members(conversation, after.map(Key::after), limits::FAN_OUT_MEMBERS);
    let members = view.scan_stored(&scan, |key, value| (key, Place::of(&key).and_then(|place| owed(&place, value))))?;
    let after = members.last().map(|(key, _)| *key).filter(|_| members.len() as u32 == limits::FAN_OUT_MEMBERS);
    let users: Vec<UserId> = members.iter().flat_map(|(_, owed)| owed).map(|(user, _)| *user).collect();
    view.need(&users.iter().map(|user| rows::account(*user).key).collect::<Vec<Key>>())?;
    need_positions(view, conversation, &users)?;
    let mut least = Seq(u64::MAX);
    for (_, owed) in members {
        // What a damaged row's user has is not known.
        let Some((user, owed)) = owed else { return Ok((Seq::START, None)) };
        least = least.min(delivered_to(view, conversation, user, &owed, u32::MAX)?);
    }
    Ok((least, after))
}

/// A run of positions that a user's devices are to have.
struct Owed {
    /// The position before the first of them.
    after: Seq,
    /// The last of them.
    last: Seq,
    /// Devices that were linked later have nothing to do with it. `None` for a run that has not ended.
    ended: Option<u32>,
}

impl Owed {
    fn from(after: Seq) -> Self {
        Self { after, last: Seq(u64::MAX), ended: None }
    }
}

/// What a row of a member's says that their devices are to have.
fn owed(place: &Place, value: &[u8]) -> Option<(UserId, Vec<Owed>)> {
    let before = |seq: Seq| Seq(seq.0.saturating_sub(1));
    if let Place::Member(_, user) = place {
        let member = Member::decode(value).ok()?;
        Some((*user, vec![Owed::from(before(member.joined))]))
    } else if let Place::PastMember(_, user) = place {
        let spans = PastMember::decode(value).ok()?.spans.into_iter();
        Some((*user, spans.map(|span| Owed { after: before(span.joined), last: span.left, ended: Some(span.device_epoch) }).collect()))
    } else {
        None
    }
}

/// Asks at once for all that is to be looked at of users whose accounts are there.
fn need_positions(view: &mut View, conversation: ConversationId, users: &[UserId]) -> Result<(), Stop> {
    let mut keys: Vec<Key> = users.iter().map(|user| rows::receipt(conversation, *user).key).collect();
    for user in users {
        let account = view.find(&rows::account(*user))?;
        let devices = account.iter().flat_map(|account| devices_of(*user, account));
        keys.extend(devices.map(|device| rows::cursor(device, conversation).key));
    }
    view.need(&keys)
}

/// Up to where all devices of a user have what they are to have; the end of all positions if they have all of it.
///
/// A device without a cursor has nothing. But one that was linked after the last message of a direct conversation is given what no device of its user
/// has; and so is one that a user without devices may link yet.
fn delivered_to(view: &mut View, conversation: ConversationId, user: UserId, owed: &[Owed], known: u32) -> Result<Seq, Stop> {
    // A damaged account may have any devices.
    let Some(account) = view.find(&rows::account(user))? else { return Ok(Seq::START) };
    let devices: Vec<DeviceId> = devices_of(user, &account).collect();
    let delivered = view.find(&rows::receipt(conversation, user))?.unwrap_or_default().delivered;
    let mut least = Seq(u64::MAX);
    if devices.is_empty() {
        let lasting = owed.iter().filter(|owed| owed.ended.is_none());
        least = lasting.map(|owed| delivered.max(owed.after)).min().unwrap_or(least);
    }
    for (device, linked) in devices.into_iter().zip(&account.devices) {
        let cursor = view.find(&rows::cursor(device, conversation))?.map(|cursor| cursor.upto);
        let has = cursor.unwrap_or(if linked.epoch > known { delivered } else { Seq::START });
        let has = if planted!(TrimmedAtDelivered if has < delivered) { delivered } else { has };
        let lacks = owed.iter().find(|owed| has < owed.last && owed.ended.is_none_or(|ended| linked.epoch <= ended));
        least = least.min(lacks.map_or(least, |owed| has.max(owed.after)));
    }
    Ok(least)
}

/// Trims what stands after where trimming has got to, as much as one transaction takes.
pub(super) fn trim(view: &mut View, conversation: ConversationId, upto: Seq, before: Timestamp) -> Result<Decision, Stop> {
    let from = trimmed(view, conversation)?;
    let page = view.scan_stored(&rows::log_page(conversation, from, limits::ENTRIES_TRIMMED), |key, value| {
        (rows::log_of(&key).unwrap_or(from), LogEntry::decode(value).ok())
    })?;
    let full = page.len() as u32 == limits::ENTRIES_TRIMMED;
    let mut reached = from;
    let mut entries = vec![];
    let mut stopped = false;
    for (seq, entry) in page {
        stopped = seq > upto || entry.as_ref().is_some_and(|entry| entry.at >= before);
        if stopped {
            break;
        }
        reached = seq;
        // One that does not decode stays as it is, for whoever mends it.
        entries.extend(entry.and_then(without_content).map(|entry| (seq, entry)));
    }
    if reached == from {
        return Ok(Decision::reply(Reply::Trimmed { more: false }));
    }
    let event = Event::ContentTrimmed { conversation, upto: reached, entries };
    Ok(Decision::of(vec![event], Reply::Trimmed { more: full && !stopped }))
}

/// What is left of an entry; `None` if nothing of it may be trimmed.
fn without_content(mut entry: LogEntry) -> Option<LogEntry> {
    let is_change = matches!(&entry.content, StoredContent::Shared(body) if body.kind == change::KIND);
    if is_change || entry.content.is_trimmed() {
        return None;
    }
    let digest = entry.content.digest().ok()?;
    entry.content = StoredContent::trimmed(&digest);
    Some(entry)
}
