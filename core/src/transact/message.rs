//! Messages: into the log, and out of it.

use super::group::{self, Seen};
use super::{Decision, devices_of, linked};
use crate::chain;
use crate::command::{DirtyPage, Reply};
use crate::content::{Content, Entry};
use crate::event::{Event, MessageSent};
use crate::id::{ConversationId, DeviceId, MessageId, Pair, Seq, Side};
use crate::limits;
use crate::reject::Reject;
use crate::rows::{self, Account, Counter, Head, LogEntry};
use crate::time::{Millis, Timestamp};
use crate::view::{Stop, View};
use alloc::vec;
use alloc::vec::Vec;

pub(super) fn send(
    view: &mut View,
    now: Timestamp,
    from: DeviceId,
    pair: Pair,
    id: MessageId,
    content: &Content,
) -> Result<Decision, Stop> {
    let conversation = ConversationId::Direct(pair);
    let side = pair.side(from.user).ok_or(Reject::NotMember)?;
    let peer = pair.user(side.other());
    let (own_account, peer_account) = (rows::account(from.user), rows::account(peer));
    let (head, index, cursor) = (rows::head(conversation), rows::index(conversation, from.user, id), rows::cursor(from, conversation));
    let (ours, theirs) = (rows::block(from.user, peer), rows::block(peer, from.user));
    view.need(&[index.key, own_account.key, peer_account.key, head.key, cursor.key, ours.key, theirs.key])?;

    let digest = content.digest();
    // A damaged cursor starts from the beginning: the device gets again what it has, and its acknowledgement writes the row anew.
    let cursor = view.find(&cursor)?.map_or(Seq::START, |cursor| cursor.upto);
    if planted!(RulesBeforeRetry if view.exists(&ours)? || view.exists(&theirs)?) {
        return Err(Reject::NotAllowed.into());
    }
    // A retry goes before every rule: it must hear its first answer again, whatever has changed since.
    let first = view.get(&index)?;
    let first = first.filter(|first| !planted!(DedupForgets if now > first.at + Millis::seconds(10)));
    let earlier =
        planted!(DedupKnowsOnlyTheLast if first.map(|first| first.seq) < view.find(&head)?.map(|head| head.last_of[side as usize]));
    if let Some(first) = first.filter(|_| !earlier) {
        mark!(RetryIsKnown);
        mark!(RetryAfterBlock if view.exists(&ours)? || view.exists(&theirs)?);
        let known = Reply::Sent { seq: first.seq, at: first.at, cursor, fan_out: false };
        return if first.digest == digest { Ok(Decision::reply(known)) } else { Err(Reject::MessageIdReused.into()) };
    }
    let own_account = view.get(&own_account)?.ok_or(Reject::DeviceRemoved)?;
    if !devices_of(from.user, &own_account).any(|device| device == from) {
        return Err(Reject::DeviceRemoved.into());
    }
    let peer_account = view.get(&peer_account)?.ok_or(Reject::UnknownUser)?;
    if view.exists(&ours)? || (view.exists(&theirs)? && !planted!(BlockedMayWrite)) {
        return Err(Reject::NotAllowed.into());
    }

    let before = view.get(&head)?.unwrap_or(Head::EMPTY);
    let seq = before.seq.next();
    // The clocks of two gateways may differ, but what people see of time never goes back.
    mark!(ClockIsBehind if now < before.at);
    let at = if planted!(TimeGoesBack if now < before.at) { now } else { now.max(before.at) };
    let accounts = if side == Side::Low { [&own_account, &peer_account] } else { [&peer_account, &own_account] };
    let newcomers = newcomers(view, pair, accounts, &before)?;
    let mut events = vec![];
    if before.seq == Seq::START {
        events.push(Event::ConversationStarted { conversation, at });
    }
    let begins = |device: DeviceId| newcomers.iter().find(|(newcomer, _)| *newcomer == device).map(|(_, upto)| *upto);
    let cursor = begins(from).unwrap_or(cursor);
    events.extend(newcomers.iter().map(|&(device, upto)| Event::CursorMoved { device, conversation, upto, caught_up: false }));
    // The sending device has its own message, but as a newcomer it may be behind all the same.
    let behind = begins(from).is_some_and(|upto| upto < before.seq);
    let devices = pair.users().into_iter().zip(accounts).flat_map(|(user, account)| devices_of(user, account));
    let devices = devices.filter(|device| *device != from || behind);
    let devices = devices.filter(|device| !planted!(OwnDevicesForgotten if device.user == from.user));
    let devices = devices.filter(|device| !planted!(StaleDeviceList if begins(*device).is_some())).collect();
    let device_epochs = accounts.map(|account| account.device_epoch);
    let tally = before.tally.with(side);
    let alone = planted!(ChainOverNothing if before.at == at && before.seq > Seq::START);
    let chain = chain::link(if alone { &Head::EMPTY.chain } else { &before.chain }, seq, from, id, at, &digest);
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
    Ok(Decision::of(events, Reply::Sent { seq, at, cursor, fan_out: false }))
}

/// The devices that were linked since the conversation's last message, each with the position after which its part of the log begins.
///
/// A newcomer gets what is sent from here on, and before that only what no device of its user has: a watermark of what is delivered
/// could otherwise not move past those without a lie, and nobody would ever get them if the older devices are lost.
fn newcomers(view: &mut View, pair: Pair, accounts: [&Account; 2], before: &Head) -> Result<Vec<(DeviceId, Seq)>, Stop> {
    let conversation = ConversationId::Direct(pair);
    if before.seq == Seq::START {
        return Ok(vec![]);
    }
    let mut newcomers = vec![];
    for side in [Side::Low, Side::High] {
        let known = before.device_epochs[side as usize];
        let linked = accounts[side as usize].devices.iter().filter(|device| device.epoch > known);
        newcomers.extend(linked.map(|device| (side, device.serial)));
    }
    if newcomers.is_empty() {
        return Ok(vec![]);
    }
    let user = |side| pair.user(side);
    let receipts = [Side::Low, Side::High].map(|side| rows::receipt(conversation, user(side)).key);
    // What will be asked about the sessions is asked for in the same round.
    let sessions = [Side::Low, Side::High]
        .into_iter()
        .flat_map(|side| devices_of(user(side), accounts[side as usize]).map(|device| rows::session(device).key));
    view.need(&receipts.into_iter().chain(sessions).collect::<Vec<_>>())?;
    let mut begins = Vec::with_capacity(newcomers.len());
    for (side, serial) in newcomers {
        let user = user(side);
        let delivered = view.find(&rows::receipt(conversation, user))?.unwrap_or_default().delivered;
        let undelivered = before.last_of[side.other() as usize] > delivered && !planted!(NewcomerBeginsAtHead);
        mark!(NewcomerIsBehind if undelivered);
        let upto = if undelivered { delivered } else { before.seq };
        begins.push((DeviceId { user, serial }, upto));
    }
    Ok(begins)
}

pub(super) fn read_log(view: &mut View, device: DeviceId, conversation: ConversationId, after: Option<Seq>) -> Result<Decision, Stop> {
    if !conversation.may_include(device.user) {
        return Err(Reject::NotMember.into());
    }
    let (head, cursor) = (rows::head(conversation), rows::cursor(device, conversation));
    view.need(&[rows::account(device.user).key, head.key, cursor.key])?;
    let account = linked(view, device)?;
    let head = view.get(&head)?.unwrap_or(Head::EMPTY);
    let seen = match conversation {
        ConversationId::Direct(_) => Seen::all(head.seq),
        ConversationId::Group(_) => group::seen(view, conversation, device, &account, &head)?,
    };
    let head = seen.end();
    let after = match after {
        Some(after) => after,
        None => view.find(&cursor)?.map_or(seen.start(), |cursor| cursor.upto),
    };
    if after > head {
        return Err(Reject::BeyondHead { head }.into());
    }
    let (after, last) = seen.after(after);
    let size = |entry: &Entry| entry.body.as_ref().map_or(0, |body| body.bytes.len());
    let mut bytes = 0;
    let stored = view.scan_stored(&rows::log_page(conversation, after, limits::PAGE_ENTRIES), |key, value| {
        let seq = rows::log_of(&key)?;
        // Nothing is read of what the page has no room for.
        let entry = (bytes <= limits::PAGE_BYTES).then(|| LogEntry::read_for(value, seq, device).ok());
        bytes += entry.iter().flatten().map(size).sum::<usize>();
        Some((seq, entry))
    })?;
    let mut stored = stored.into_iter().flatten().peekable();
    let mut entries: Vec<Entry> = vec![];
    let mut bytes = 0;
    let mut at = Timestamp::default();
    for seq in (after.0 + 1..=last.0).take(limits::PAGE_ENTRIES as usize).map(Seq) {
        let entry = match stored.next_if(|(of, _)| *of == seq) {
            Some((_, None)) => break,
            Some((_, Some(entry))) => entry,
            None => None,
        };
        let entry = entry.unwrap_or_else(|| {
            view.report(rows::log(conversation, seq).key);
            unreadable(seq, device, at)
        });
        bytes += size(&entry);
        if bytes > limits::PAGE_BYTES && !entries.is_empty() {
            break;
        }
        at = entry.at;
        entries.push(entry);
    }
    mark!(PageIsEmpty if entries.is_empty());
    Ok(Decision::reply(Reply::Page { conversation, after, entries, head }))
}

/// What stands at a position whose stored value is damaged or lost: nothing, but the positions after it are reached.
///
/// Each has a name of its own, or a device would take the second for the first delivered twice.
fn unreadable(seq: Seq, device: DeviceId, at: Timestamp) -> Entry {
    let sender = DeviceId { user: device.user, serial: 0 };
    let mut id = [0; 16];
    id[8..].copy_from_slice(&seq.0.to_be_bytes());
    Entry { seq, sender, id: MessageId(id), at, body: None }
}

pub(super) fn read_dirty(view: &mut View, device: DeviceId, after: Option<ConversationId>) -> Result<Decision, Stop> {
    // Both are asked for before either is judged, so that one round fetches both.
    let page = dirty_page(view, device, after);
    linked(view, device)?;
    Ok(Decision::reply(Reply::Dirty(page?)))
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
