//! Messages: into the log, and out of it.

use super::{Decision, devices_of, peer_in};
use crate::chain;
use crate::command::{DirtyPage, Reply};
use crate::content::{Content, Entry};
use crate::event::{Event, MessageSent};
use crate::id::{ConversationId, DeviceId, MessageId, Seq, UserId};
use crate::limits;
use crate::reject::Reject;
use crate::rows::{self, Account, Counter, Head, LogEntry};
use crate::time::Timestamp;
use crate::view::{Stop, View};
use alloc::vec;
use alloc::vec::Vec;

pub(super) fn send(
    view: &mut View,
    now: Timestamp,
    from: DeviceId,
    conversation: ConversationId,
    id: MessageId,
    content: &Content,
) -> Result<Decision, Stop> {
    let pair = conversation.pair();
    let side = pair.side(from.user).ok_or(Reject::NotMember)?;
    let peer = pair.user(side.other());
    let (own_account, peer_account) = (rows::account(from.user), rows::account(peer));
    let (head, index, cursor) = (rows::head(conversation), rows::index(conversation, from.user, id), rows::cursor(from, conversation));
    let (ours, theirs) = (rows::block(from.user, peer), rows::block(peer, from.user));
    view.need(&[index.key, own_account.key, peer_account.key, head.key, cursor.key, ours.key, theirs.key])?;

    let digest = content.digest();
    let cursor = view.get(&cursor)?.map_or(Seq::START, |cursor| cursor.upto);
    // A retry goes before every rule: it must hear its first answer again, whatever has changed since.
    if let Some(first) = view.get(&index)? {
        if first.digest != digest {
            return Err(Reject::MessageIdReused.into());
        }
        return Ok(Decision::reply(Reply::Sent { seq: first.seq, at: first.at, cursor }));
    }
    let own_account = view.get(&own_account)?.ok_or(Reject::DeviceRemoved)?;
    if !devices_of(from.user, &own_account).any(|device| device == from) {
        return Err(Reject::DeviceRemoved.into());
    }
    let peer_account = view.get(&peer_account)?.ok_or(Reject::UnknownUser)?;
    if view.get(&ours)?.is_some() || view.get(&theirs)?.is_some() {
        return Err(Reject::NotAllowed.into());
    }

    let before = view.get(&head)?.unwrap_or(Head::EMPTY);
    let seq = before.seq.next();
    // The clocks of two gateways may differ, but what people see of time never goes back.
    let at = now.max(before.at);
    let mut events = vec![];
    if before.seq == Seq::START {
        events.push(Event::ConversationStarted { conversation, at });
    }
    let mut devices = vec![];
    let mut device_epochs = [0; 2];
    for (side, user) in pair.users().into_iter().enumerate() {
        let account = if user == from.user { &own_account } else { &peer_account };
        device_epochs[side] = account.device_epoch;
        devices.extend(devices_of(user, account).filter(|device| *device != from));
        events.extend(new_devices(user, account, &before, side, conversation));
    }
    let tally = before.tally.with(side);
    let chain = chain::link(&before.chain, seq, from, id, at, &digest);
    let content = content.clone();
    events.push(Event::MessageSent(MessageSent {
        conversation,
        seq,
        sender: from,
        side,
        id,
        at,
        chain,
        tally,
        content,
        digest,
        before,
        device_epochs,
        devices,
    }));
    Ok(Decision::of(events, Reply::Sent { seq, at, cursor }))
}

/// A device that was linked since the conversation's last message gets what is sent from here on, and nothing from before.
fn new_devices(user: UserId, account: &Account, before: &Head, side: usize, conversation: ConversationId) -> impl Iterator<Item = Event> {
    let known = before.device_epochs[side];
    let upto = before.seq;
    account
        .devices
        .iter()
        .filter(move |device| upto > Seq::START && device.epoch > known)
        .map(move |device| DeviceId { user, serial: device.serial })
        .map(move |device| Event::CursorMoved { device, conversation, upto, caught_up: false })
}

pub(super) fn read_log(view: &mut View, device: DeviceId, conversation: ConversationId, after: Option<Seq>) -> Result<Decision, Stop> {
    peer_in(conversation, device.user)?;
    let (head, cursor) = (rows::head(conversation), rows::cursor(device, conversation));
    view.need(&[head.key, cursor.key])?;
    let head = view.get(&head)?.map_or(Seq::START, |head| head.seq);
    let after = match after {
        Some(after) => after,
        None => view.get(&cursor)?.map_or(Seq::START, |cursor| cursor.upto),
    };
    if after > head {
        return Err(Reject::BeyondHead { head }.into());
    }
    let mut entries: Vec<Entry> = vec![];
    let mut bytes = 0;
    for (key, row) in view.scan::<LogEntry>(&rows::log_page(conversation, after, limits::PAGE_ENTRIES))? {
        let Some(seq) = rows::log_of(&key) else { break };
        let expected = entries.last().map_or(after, |entry| entry.seq).next();
        assert_eq!(seq, expected, "positions of a log have no gaps: {conversation}");
        let entry = row.map_or_else(|| unreadable(seq, device), |row| row.for_device(seq, device));
        bytes += entry.body.as_ref().map_or(0, |body| body.bytes.len());
        if bytes > limits::PAGE_BYTES && !entries.is_empty() {
            break;
        }
        entries.push(entry);
    }
    Ok(Decision::reply(Reply::Page { after, entries, head }))
}

/// What stands at a position whose stored value is damaged: nothing, but the positions after it are reached.
fn unreadable(seq: Seq, device: DeviceId) -> Entry {
    let sender = DeviceId { user: device.user, serial: 0 };
    Entry { seq, sender, id: MessageId([0; 16]), at: Timestamp::default(), body: None }
}

pub(super) fn read_dirty(view: &mut View, device: DeviceId, after: Option<ConversationId>) -> Result<Decision, Stop> {
    dirty_page(view, device, after).map(|page| Decision::reply(Reply::Dirty(page)))
}

pub(super) fn dirty_page(view: &mut View, device: DeviceId, after: Option<ConversationId>) -> Result<DirtyPage, Stop> {
    let rows = view.scan::<Counter>(&rows::dirty_set(device, after, limits::PAGE_CONVERSATIONS))?;
    let more = rows.len() as u32 == limits::PAGE_CONVERSATIONS;
    // A damaged mark still says that there is something to read.
    let conversations = rows
        .into_iter()
        .filter_map(|(key, row)| Some((rows::dirty_of(&key)?, row.map_or(Seq::START.next(), |Counter(upto)| Seq(upto)))))
        .collect();
    Ok(DirtyPage { conversations, more })
}
