//! Groups: messages and changes into their logs, and who may see which part of them.

mod change;
mod devices;
mod fan_out;
pub(super) mod reached;
mod roster;
mod span;

pub(super) use devices::{linked, unlinked};
pub(super) use fan_out::{run as run_fan_out, waiting as waiting_fan_outs};
pub(super) use roster::ask as ask_roster;
pub(super) use span::{Seen, seen};

use super::{Decision, blocked, devices_of};
use crate::chain;
use crate::change::Change;
use crate::command::Reply;
use crate::content::Content;
use crate::event::{Event, MessageSent};
use crate::id::{ConversationId, DeviceId, MessageId, Seq, Side, UserId};
use crate::limits;
use crate::reject::Reject;
use crate::rows::{self, Group, Head, Member};
use crate::store::Key;
use crate::time::Timestamp;
use crate::view::{Stop, View};
use alloc::vec;
use alloc::vec::Vec;

/// What is wanted of a group, and by whom.
struct Wish<'a> {
    now: Timestamp,
    from: DeviceId,
    conversation: ConversationId,
    id: MessageId,
    content: &'a Content,
}

/// Carries out what a message into a group asks for: that it be passed on, or that the group be changed.
pub(super) fn send(
    view: &mut View,
    now: Timestamp,
    from: DeviceId,
    conversation: ConversationId,
    id: MessageId,
    content: &Content,
    roster: u64,
) -> Result<Decision, Stop> {
    let (account, group, member) = (rows::account(from.user), rows::group(conversation), rows::member(conversation, from.user));
    let (head, index, cursor) = (rows::head(conversation), rows::index(conversation, from.user, id), rows::cursor(from, conversation));
    view.need(&[index.key, account.key, group.key, member.key, head.key, cursor.key])?;
    // A retry goes before every rule: it must hear its first answer again, also after its sender has left.
    if let Some(first) = view.get(&index)? {
        mark!(RetryIsKnown);
        mark!(RetryAfterLeaving if !view.exists(&member)?);
        let cursor = view.find(&cursor)?.map_or(Seq::START, |cursor| cursor.upto);
        let known = Reply::Sent { seq: first.seq, at: first.at, cursor, fan_out: false };
        return if first.digest == content.digest() { Ok(Decision::reply(known)) } else { Err(Reject::MessageIdReused.into()) };
    }
    let account = view.get(&account)?.ok_or(Reject::DeviceRemoved)?;
    if !devices_of(from.user, &account).any(|device| device == from) {
        return Err(Reject::DeviceRemoved.into());
    }
    let wish = Wish { now, from, conversation, id, content };
    let change = Change::of(content).map_err(|_| Reject::BadContent)?;
    let group = view.get(&group)?;
    if let Some(Change::Created { name, members, settings }) = change {
        if !matches!(conversation, ConversationId::Group(group) if group.is_well_formed()) {
            return Err(Reject::Nonsense.into());
        }
        if group.is_some() {
            return Err(Reject::GroupExists.into());
        }
        return change::create(view, &wish, name, &members, settings);
    }
    let (Some(group), Some(member)) = (group, view.get(&member)?) else { return Err(Reject::NotMember.into()) };
    match change {
        Some(change) => change::carry_out(view, &wish, group, member, &change),
        None => message(view, &wish, &group, member, roster),
    }
}

fn message(view: &mut View, wish: &Wish, group: &Group, member: Member, roster: u64) -> Result<Decision, Stop> {
    if group.settings.admins_post && !member.admin {
        return Err(Reject::NotAdmin.into());
    }
    if roster != group.epoch && !planted!(StaleRosterIsTaken) {
        mark!(RosterIsStale);
        return Err(Reject::StaleRoster { epoch: group.epoch }.into());
    }
    let mut events = vec![];
    let told = tell(view, wish.conversation, group.members, &[])?;
    let entry = Entry { kind: Side::Low, id: wish.id, content: wish.content.clone() };
    let sent = append(view, wish, entry, &told, &mut events)?;
    Ok(Decision::of(events, sent))
}

/// Who is told of an entry in its own transaction.
enum Told {
    /// The devices of all members, and of those who have just ceased to be members.
    All(Vec<DeviceId>),
    /// The group is large: those who have just ceased to be members. A job tells the others.
    Some(Vec<DeviceId>),
}

/// The devices to be told of an entry: those of all members as they stand in the view, and of these others.
fn tell(view: &mut View, conversation: ConversationId, members: u32, others: &[UserId]) -> Result<Told, Stop> {
    if members > limits::SYNCHRONOUS_FAN_OUT {
        return Ok(Told::Some(devices_of_users(view, others)?));
    }
    let mut users = members_of(view, conversation, limits::SYNCHRONOUS_FAN_OUT)?;
    users.extend(others);
    Ok(Told::All(devices_of_users(view, &users)?))
}

fn members_of(view: &mut View, conversation: ConversationId, limit: u32) -> Result<Vec<UserId>, Stop> {
    Ok(members_of_page(view, conversation, None, limit)?.into_iter().map(|(user, _)| user).collect())
}

/// Members after one, in the order of their ids. Of a damaged row, the user is known all the same.
fn members_of_page(
    view: &mut View,
    conversation: ConversationId,
    after: Option<UserId>,
    limit: u32,
) -> Result<Vec<(UserId, Option<Member>)>, Stop> {
    let members = view.scan::<Member>(&rows::members(conversation, after, limit))?;
    Ok(members.into_iter().filter_map(|(key, member)| Some((rows::member_of(&key)?, member))).collect())
}

/// The linked devices of these users. A damaged account has none that could be reached.
fn devices_of_users(view: &mut View, users: &[UserId]) -> Result<Vec<DeviceId>, Stop> {
    let keys: Vec<Key> = users.iter().map(|user| rows::account(*user).key).collect();
    view.need(&keys)?;
    let mut devices = vec![];
    for user in users {
        if let Some(account) = view.find(&rows::account(*user))? {
            devices.extend(devices_of(*user, &account));
        }
    }
    Ok(devices)
}

/// Who is typing is told to the others of a small group. In a large one nobody is told: a thousand people would be woken by every key.
pub(super) fn typing(view: &mut View, from: DeviceId, conversation: ConversationId, active: bool) -> Result<Decision, Stop> {
    let (group, member) = (rows::group(conversation), rows::member(conversation, from.user));
    view.need(&[group.key, member.key])?;
    let (Some(group), Some(member)) = (view.get(&group)?, view.get(&member)?) else { return Err(Reject::NotMember.into()) };
    let speaks = member.admin || !group.settings.admins_post;
    if group.members > limits::SYNCHRONOUS_FAN_OUT || !speaks {
        return Ok(Decision::reply(Reply::Done));
    }
    let mut others = members_of(view, conversation, limits::SYNCHRONOUS_FAN_OUT)?;
    others.retain(|user| *user != from.user);
    let blocks = others.iter().flat_map(|user| [rows::block(*user, from.user).key, rows::block(from.user, *user).key]);
    view.need(&blocks.collect::<Vec<Key>>())?;
    let mut told = vec![];
    for user in others {
        if !blocked(view, user, from.user)? {
            told.push(user);
        }
    }
    let devices = devices_of_users(view, &told)?;
    Ok(Decision::of(vec![Event::TypingIn { conversation, user: from.user, active, devices }], Reply::Done))
}

/// What is to stand in the log.
struct Entry {
    /// [`Side::Low`] for a message, [`Side::High`] for a change.
    kind: Side,
    id: MessageId,
    content: Content,
}

/// Puts an entry at the end of the log.
fn append(view: &mut View, wish: &Wish, entry: Entry, told: &Told, events: &mut Vec<Event>) -> Result<Reply, Stop> {
    let Wish { now, from, conversation, .. } = *wish;
    let before = events.iter().rev().find_map(head_after).map_or_else(|| view.get(&rows::head(conversation)), |head| Ok(Some(head)))?;
    let before = before.unwrap_or(Head::EMPTY);
    let Entry { kind, id, content } = entry;
    let (seq, at, digest) = (before.seq.next(), now.max(before.at), content.digest());
    let chain = chain::link(&before.chain, seq, from, id, at, &digest);
    let (Told::All(devices) | Told::Some(devices)) = told;
    // The sending device has what it sent. If its user ceases to be a member of a large group by it, no job marks it any more for what stands
    // before that.
    let has = matches!(told, Told::All(_)) || planted!(LeaverMissesWhatCameBefore);
    let devices = devices.iter().copied().filter(|device| *device != from || !has).collect();
    events.push(Event::MessageSent(MessageSent {
        conversation,
        seq,
        sender: from,
        side: kind,
        id,
        at,
        chain,
        tally: before.tally.with(kind),
        content,
        digest,
        before,
        device_epochs: [0; 2],
        devices,
    }));
    let fan_out = matches!(told, Told::Some(_));
    if fan_out {
        events.push(Event::FanOutDue { conversation, upto: seq });
    }
    let cursor = view.find(&rows::cursor(from, conversation))?.map_or(Seq::START, |cursor| cursor.upto);
    Ok(Reply::Sent { seq, at, cursor, fan_out })
}

/// The end of the log after an event of the same decision, where that has put an entry there.
fn head_after(event: &Event) -> Option<Head> {
    let Event::MessageSent(sent) = event else { return None };
    Some(sent.head())
}
